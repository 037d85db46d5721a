"""Ctrl-C where Python would lose it."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

SOON = 0.01  # seconds: by then Python is out of what lost it


@contextmanager
def ctrl_c_heard() -> Iterator[None]:
    """A KeyboardInterrupt that nothing could be raised from is raised again, a moment later.

    Python ignores it in `__del__`, and in a callback of the garbage collector, as Hypothesis has one once it has drawn.
    """
    before = sys.unraisablehook

    def hook(lost: UnraisableHookArgs) -> None:
        ours = threading.current_thread() is threading.main_thread()
        if not (ours and issubclass(lost.exc_type, KeyboardInterrupt)):
            before(lost)
            return
        again = threading.Timer(SOON, _interrupt)
        again.daemon = True
        again.start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _interrupt() -> None:
    """Also where the main thread waits, if the system can."""
    if hasattr(signal, "pthread_kill"):
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGINT)
    else:
        _thread.interrupt_main()
