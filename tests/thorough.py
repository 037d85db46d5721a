"""Whether breadth is asked for rather than time: ``HYPOTHESIS_PROFILE=thorough``."""

import os

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
