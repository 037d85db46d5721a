"""The smallest network that still fails in the same way, down to its numbers."""

from jaccheck.minimize.search import Minimized, minimized

__all__ = ["Minimized", "minimized"]
