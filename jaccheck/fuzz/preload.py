"""What the server from which workers are forked imports, so that they needn't, each time that one is replaced."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module

import jaccheck.fuzz.process  # noqa: F401
from jaccheck.paths import get, paths

for _path in paths():
    get(_path)
for _module in ("torch.fx.experimental.symbolic_shapes", "torch._dynamo", "numpy.random"):  # on torch.func's first use
    with suppress(ImportError):
        import_module(_module)
