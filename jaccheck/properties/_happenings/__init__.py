"""What happens to a model in use, as `STEPS` names it."""

from jaccheck.properties._happenings import calls, gradients, layers, model, numbers, surroundings
from jaccheck.properties._happenings._step import HAPPENINGS

__all__ = ["HAPPENINGS", "calls", "gradients", "layers", "model", "numbers", "surroundings"]
