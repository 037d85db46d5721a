"""What is global in Python itself: environment variables, folders, limits, numpy's settings."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import warnings
from typing import Any

from jaccheck._setting import Setting, attribute, attributes

_ENVIRONMENT: dict[Any, Any] = getattr(os.environ, "_data", {})  # as it is kept: to decode all takes 50 times as long


def _set_environment(before: dict[Any, Any]) -> None:
    for name in _ENVIRONMENT.keys() | before.keys():
        if name not in before:
            del os.environ[os.fsdecode(name)]
        elif _ENVIRONMENT.get(name) != before[name]:
            os.environ[os.fsdecode(name)] = os.fsdecode(before[name])


def _variables(before: dict[Any, Any], now: dict[Any, Any]) -> str:
    names = [name for name in before.keys() | now.keys() if before.get(name) != now.get(name)]
    return ", ".join(sorted(map(os.fsdecode, names)))


def _set_path(path: list[str]) -> None:
    sys.path[:] = path


def _set_gc(enabled: bool) -> None:
    (gc.enable if enabled else gc.disable)()


def _set_filters(filters: list[Any]) -> None:
    warnings.filters[:] = filters  # type: ignore[index]
    with warnings.catch_warnings():  # makes Python forget what it has decided by the old ones
        pass


def _shown_filters(filters: list[Any]) -> str:
    return f"{len(filters)} filters, the first {filters[0] if filters else None}"


def numpy_settings() -> list[Setting]:
    """Those of numpy, which only they import who use it."""
    import numpy as np

    return [
        Setting("numpy.geterr()", np.geterr, lambda state: np.seterr(**state)),
        Setting("numpy.get_printoptions()", np.get_printoptions, lambda options: np.set_printoptions(**options)),
    ]


_SIGNALS = (signal.SIGTERM, signal.SIGABRT, signal.SIGFPE, signal.SIGSEGV)
"""Not SIGINT's: that changes when the first Ctrl-C falls into a call."""


def _signal_handlers() -> list[Any]:
    return list(map(signal.getsignal, _SIGNALS))


def _set_signal_handlers(handlers: list[Any]) -> None:
    for number, handler in zip(_SIGNALS, handlers, strict=True):
        if handler is not None and signal.getsignal(number) is not handler:  # None: C has set it
            signal.signal(number, handler)


def _set_log_handlers(handlers: list[logging.Handler]) -> None:
    logging.root.handlers[:] = handlers


_Levels = list[tuple[logging.Logger, int, bool]]


def _levels() -> _Levels:
    loggers = logging.root.manager.loggerDict.values()
    return [(one, one.level, one.disabled) for one in loggers if isinstance(one, logging.Logger)]


def _set_levels(levels: _Levels) -> None:
    for logger, level, disabled in levels:
        if logger.level != level:
            logger.setLevel(level)  # which forgets what it knows by the old one, too
        logger.disabled = disabled


def _levels_hold(before: _Levels) -> bool:
    """Those that have come to them are nobody's."""
    return all(logger.level == level and logger.disabled == disabled for logger, level, disabled in before)


def _levels_apart(before: _Levels, now: _Levels) -> str:
    return ", ".join(sorted(state[0].name for state in before if not _levels_hold([state])))


PROCESS = (
    Setting("warnings.filters", lambda: list(warnings.filters), _set_filters, _shown_filters, by_imports=True),
    attribute(warnings, "showwarning", "warnings.showwarning"),
    Setting(
        "os.environ",
        lambda: dict(_ENVIRONMENT),
        _set_environment,
        same=lambda before: before == _ENVIRONMENT,
        apart=_variables,
        by_imports=True,
    ),
    Setting("os.getcwd()", os.getcwd, os.chdir),
    Setting("sys.path", lambda: list(sys.path), _set_path, lambda path: f"{len(path)} folders", by_imports=True),
    Setting("sys.getrecursionlimit()", sys.getrecursionlimit, sys.setrecursionlimit),
    Setting("gc.isenabled()", gc.isenabled, _set_gc),
    Setting("gc.get_threshold()", gc.get_threshold, lambda threshold: gc.set_threshold(*threshold)),
    Setting("sys.getswitchinterval()", sys.getswitchinterval, sys.setswitchinterval),
    Setting("signal.getsignal()", _signal_handlers, _set_signal_handlers, None),
    *attributes(sys, "sys", "stdout", "stderr", "excepthook", "displayhook"),
    Setting("sys.gettrace()", sys.gettrace, sys.settrace),
    Setting("sys.getprofile()", sys.getprofile, sys.setprofile),
    Setting("threading.gettrace()", threading.gettrace, threading.settrace),
    Setting("threading.getprofile()", threading.getprofile, threading.setprofile),
    attribute(threading, "excepthook", "threading.excepthook"),
    *attributes(logging.root, "logging.root", "level", "disabled"),
    Setting("levels of loggers", _levels, _set_levels, same=_levels_hold, apart=_levels_apart, by_imports=True),
    attribute(logging.root.manager, "disable", "logging.root.manager.disable"),
    Setting("logging.root.handlers", lambda: list(logging.root.handlers), _set_log_handlers, by_imports=True),
)
