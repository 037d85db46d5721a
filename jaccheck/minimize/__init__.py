"""The smallest network that still fails in the same way, down to its numbers."""

from jaccheck.minimize.search import Minimized, minimized, with_fewer_steps

__all__ = ["Minimized", "minimized", "with_fewer_steps"]
