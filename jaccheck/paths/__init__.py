"""The ways to compute a batched Jacobian: the built-in ones, loaded on first use, and whoever registers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.util import find_spec

from torch import Tensor, nn

from jaccheck._errors import InvalidProblem, Unsupported
from jaccheck._needs import missing
from jaccheck._problem import admit
from jaccheck.paths._path import Path as Path
from jaccheck.paths._path import exact as exact
from jaccheck.paths._path import exactly as exactly
from jaccheck.paths._path import extra_roundings as extra_roundings
from jaccheck.paths._path import mode as mode
from jaccheck.paths._path import rounding as rounding
from jaccheck.paths._path import snippet as snippet
from jaccheck.paths._path import trainable as trainable

# Name, which is the file's, and class.
_BUILT_IN = {
    "autograd": "Autograd",
    "batch_grad": "BatchGrad",
    "sqrt_ggn_exact": "SqrtGGNExact",
    "autograd_batched": "AutogradBatched",
    "vmap_jacrev": "VmapJacrev",
    "vmap_jacfwd": "VmapJacfwd",
}
# Those of other libraries that jaccheck doesn't depend on, which take part where the package of the name is installed.
_PEERS = {"curvlinops": "Curvlinops", "opacus": "Opacus"}
SHIPPED = frozenset(_BUILT_IN | _PEERS)
"""The names of all paths that aren't somebody else's."""
DEFAULT = ("autograd", "batch_grad", "sqrt_ggn_exact")
"""The paths of the example, taken where none are named."""

_loaded: dict[str, Path] = {}
_registered: dict[str, Path] = {}


def paths() -> tuple[str, ...]:
    """The names of all paths: the built-in ones, those of other libraries that are installed, the registered ones."""
    return (*_BUILT_IN, *_peers(), *_registered)


@cache
def _peers() -> tuple[str, ...]:
    return tuple(name for name in _PEERS if find_spec(name))


def register_path(path: Path) -> None:
    """Let `path` take part wherever it is named, or all are.

    Args:
        path: has a ``name`` and a ``jacobian(model, x)``, see `Path`.
    Raises:
        TypeError: it lacks one of the two.
        ValueError: the name is empty or taken, `mode` is neither "reverse" nor "forward", or `extra_roundings` no int
            from 0.
    """
    if isinstance(path, type):
        raise TypeError(f"register an instance, {path.__name__}(), rather than the class")
    name = getattr(path, "name", None)
    if not isinstance(name, str):
        raise TypeError(f"a path's name should be a str, but that of {path!r} is {name!r}")
    if not name.strip():
        raise ValueError(f"the name of {path!r} is empty")
    if not callable(getattr(path, "jacobian", None)):
        raise TypeError(f"path {name!r} has no method jacobian(model, x)")
    if name in paths() or name == "all":
        raise ValueError(f"a path called {name!r} is there already")
    rounding(path)
    _registered[name] = path


def unregister_path(name: str) -> None:
    """Forget a registered path.

    Raises:
        InvalidProblem: no path of this name has been registered (the built-in ones stay).
    """
    if name not in _registered:
        raise InvalidProblem(f"no path {name!r} has been registered")
    del _registered[name]


def get(name: str) -> Path:
    """The path called `name`.

    Raises:
        InvalidProblem: there is none.
    """
    if name in _registered:
        return _registered[name]
    known = _BUILT_IN | _PEERS
    if name not in known:
        near = get_close_matches(str(name), paths(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InvalidProblem(f"no path is called {name!r}, the paths are {', '.join(paths())}{hint}")
    if name not in _loaded:
        try:
            with warnings.catch_warnings():
                if name in _PEERS:
                    warnings.simplefilter("ignore")  # of what they use that is deprecated
                module = import_module(f"jaccheck.paths.{name}")
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package == "jaccheck":
                raise
            return _Missing(name, f"this path needs {missing(error) or package}")
        _loaded[name] = getattr(module, known[name])()
    return _loaded[name]


class _Missing:
    """Stands in for a path whose package is not installed."""

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason

    def jacobian(self, model: nn.Module, x: Tensor) -> dict[str, Tensor]:
        raise Unsupported(self.reason)


def resolve(chosen: str | Sequence[str] | None) -> tuple[str, ...]:
    """The names meant by `chosen`: None the default, ``"all"`` all of them, else one name or several.

    Raises:
        InvalidProblem: a name is unknown, or there is none.
    """
    if chosen is None:
        return DEFAULT
    if chosen == "all":
        return paths()
    names = tuple(dict.fromkeys([chosen] if isinstance(chosen, str) else chosen))
    if not names:
        raise InvalidProblem("no path is named; leave `paths` out for the default ones")
    for name in names:
        get(name)
    return names


def jacobian(model: nn.Module, x: Tensor, path: str = "autograd", *, seed: int | None = None) -> dict[str, Tensor]:
    """The batched Jacobian of `model` at `x`, computed by one path and checked by none.

    Args:
        model: maps ``[N, *features]`` to f(x), ``[N, C]``; it is left as it was.
        x: ``[N, *features]``, in the dtype and on the device of the parameters.
        path: one of `paths`.
        seed: lets layers of chance in, such as Dropout in training mode, with torch's random numbers at this seed.
    Returns:
        For each parameter p that requires grad, by name, ``d f(x)[n, c] / d p`` as ``[N, C, *p.shape]``.
    Raises:
        InvalidProblem: the model or the input can't be used, or the path is unknown.
        Unsupported: the path can't do this model; the message names the layer and the reason.
        TypeError: a registered path returned something else than a dict of tensors.
    """
    chosen = get(path)
    problem = admit(model, x, seed=seed)
    try:
        with problem.chance():
            J = chosen.jacobian(problem.model, problem.x)
    finally:
        problem.before.restore()
    if not isinstance(J, Mapping):
        raise TypeError(f"path {path!r} returned a {type(J).__name__}, but should return a dict of tensors")
    for name, j in J.items():
        if not isinstance(j, Tensor):
            raise TypeError(f"path {path!r} returned a {type(j).__name__} for {name!r}, but should return a tensor")
    return {name: j.detach() for name, j in J.items()}
