"""What the server from which workers are forked imports, so that they needn't, each time that one is replaced.

It has been started deaf to Ctrl-C, which it ignores from here on; what others fork from it hears Ctrl-C as ever.
"""

from __future__ import annotations

import signal
from contextlib import suppress
from importlib import import_module

import jaccheck.fuzz.process  # noqa: F401
from jaccheck.paths import get, paths

for _path in paths():
    get(_path)
for _module in ("torch.fx.experimental.symbolic_shapes", "torch._dynamo", "numpy.random"):  # on torch.func's first use
    with suppress(ImportError):
        import_module(_module)
if hasattr(signal, "pthread_sigmask"):
    _before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # one that waits is dropped
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, _before)
