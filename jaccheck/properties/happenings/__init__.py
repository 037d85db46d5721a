"""What happens to a model in use, as `STEPS` names it."""

from jaccheck.properties.happenings import calls, gradients, model, numbers, surroundings
from jaccheck.properties.happenings._step import HAPPENINGS

__all__ = ["HAPPENINGS", "calls", "gradients", "model", "numbers", "surroundings"]
