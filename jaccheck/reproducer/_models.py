"""Models as Python source that needs torch alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import Tensor, nn

from jaccheck._modules import Chain, Either, Functional, LastFirst, Sum
from jaccheck.reproducer._errors import NoReproducer
from jaccheck.reproducer._hooks import hook_lines
from jaccheck.reproducer._tensors import tensor

FUNCTIONS = {"Identity": "x", "Tanh": "torch.tanh(x)", "Sigmoid": "torch.sigmoid(x)"}
"""What isn't spelled like its layer in `torch.nn.functional`."""
CHAIN = """\
class Chain(nn.Sequential):
    def forward(self, x):
        for layer in self:
            x = layer(x)
        return x"""
LAST_FIRST = """\
class LastFirst(nn.Sequential):
    def forward(self, x):
        for layer in reversed(self):
            x = layer(x)
        return x"""
OWN = {Chain: CHAIN, LastFirst: LAST_FIRST}
"""Containers in which layers are called one after another."""
SUM = """\
class Sum(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)"""

EITHER = """\
class {kind}(nn.Module):
    def __init__(self, parts):
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x):
        return self.parts[{active}](x)"""


@dataclass
class Source:
    """The lines that make a model called ``model``, and what they need."""

    classes: dict[str, str] = field(default_factory=dict)
    """Source of classes, by name."""
    shared: dict[int, str] = field(default_factory=dict)
    """Names of layers that are used twice, by id."""
    before: list[str] = field(default_factory=list)
    """Lines that make these layers."""


def written(model: nn.Module, options: str) -> tuple[list[str], list[str]]:
    """Classes that the model needs, and the lines that make it.

    Args:
        options: what says dtype and device to a function that makes a tensor: ``", dtype=dtype"``.
    Raises:
        NoReproducer: it has a layer, or something on a layer, that only its own source can make.
    """
    _plain(model)
    source = Source()
    uses = Counter(id(module) for module in _visited(model))
    built = _expression(model, source, {key for key, number in uses.items() if number > 1})
    lines = [*source.before, f"model = {built}{_moved(options)}"]
    lines += _tied(model)
    parameters = dict(model.named_parameters())
    frozen = [name for name, p in parameters.items() if not p.requires_grad]
    lines += [f"{place(name)}.requires_grad_(False)" for name in frozen]
    lines += [f"{place(name)}.data = {tensor(p, options)}" for name, p in parameters.items()]
    lines += _modes(model)
    lines += hook_lines(model, place, source.classes)
    return list(source.classes.values()), lines


def _visited(module: nn.Module) -> Iterator[nn.Module]:
    """The module and all in it, those used twice as often as they are."""
    yield module
    for child in module._modules.values():
        if child is not None:
            yield from _visited(child)


def _plain(model: nn.Module) -> None:
    """Nothing but layers and numbers makes the model what it is."""
    for name, module in model.named_modules():
        place = f"{name or 'the model'!r} ({type(module).__name__})"
        if "forward" in vars(module) or hasattr(module, "parametrizations"):
            raise NoReproducer(f"{place} has a forward pass, or a parametrization, of its own")
    for name, p in model.named_parameters():
        if type(p) is not nn.Parameter:
            raise NoReproducer(f"parameter {name!r} is of a class of its own")


def _expression(module: nn.Module, source: Source, twice: set[int]) -> str:
    if id(module) in source.shared:
        return source.shared[id(module)]
    made = _made(module, source, twice)
    if id(module) not in twice:
        return made
    name = source.shared[id(module)] = f"shared{len(source.shared) or ''}"
    source.before.append(f"{name} = {made}")
    return name


def _made(module: nn.Module, source: Source, twice: set[int]) -> str:
    if type(module) in (nn.Sequential, *OWN):
        inside = [_expression(child, source, twice) for child in module._modules.values() if child is not None]
        names = list(module._modules)
        plain = [str(i) if type(module) is nn.Sequential else f"layer{i}" for i in range(len(names))]
        kind = "nn.Sequential"
        if type(module) in OWN:
            kind = type(module).__name__
            source.classes[kind] = OWN[type(module)]
        if type(module) in OWN or names != plain:
            made = ", ".join(f'("{name}", {child})' for name, child in zip(names, inside, strict=True))
            return f"{kind}(OrderedDict([{made}]))"
        return f"nn.Sequential({', '.join(inside)})"
    if type(module) is Sum:
        source.classes["Sum"] = SUM
        return f"Sum({_expression(module.inner, source, twice)})"
    if type(module) is Either:
        kind = f"Either{module.active or ''}"
        source.classes[kind] = EITHER.format(kind=kind, active=module.active)
        return f"{kind}([{', '.join(_expression(part, source, twice) for part in module.parts)}])"
    if type(module) is Functional:
        return _functional(module, source)
    if type(module) is nn.Linear:
        bias = "" if module.bias is not None else ", bias=False"
        return f"nn.Linear({module.in_features}, {module.out_features}{bias})"
    return _layer(module)


def _functional(module: Functional, source: Source) -> str:
    parameters = "".join(f", {name}={value!r}" for name, value in module.parameters_.items())
    spelled = {"LeakyReLU": "leaky_relu", "LogSigmoid": "logsigmoid"}.get(module.name, module.name.lower())
    called = FUNCTIONS.get(module.name, f"nn.functional.{spelled}(x{parameters})")
    name = f"Functional{module.name}"
    text = f"class {name}(nn.Module):\n    def forward(self, x):\n        return {called}"
    while source.classes.get(name, text) != text:
        name += "_"
        text = text.replace(name[:-1], name, 1)
    source.classes[name] = text
    return f"{name}()"


def _layer(module: nn.Module) -> str:
    """A layer of torch's without parameters, as its repr has it, if that makes the same again."""
    kind = type(module)
    if getattr(nn, kind.__name__, None) is not kind or module._parameters or module._buffers or module._modules:
        raise NoReproducer(f"a layer of the class {kind.__qualname__} needs more than a line of its own")
    said = f"nn.{module!r}"
    try:
        again = vars(eval(said, {"nn": nn}))
    except Exception as error:
        raise NoReproducer(f"{said} doesn't make {module!r}: {error}") from error
    known = {name: value for name, value in vars(module).items() if name in again and not name.endswith("_hooks")}
    if any(again[name] != value for name, value in known.items() if name != "training"):
        raise NoReproducer(f"{said} makes another layer than the model's")
    return said.replace("(inplace=False)", "()").replace(", inplace=False)", ")")


def _moved(options: str) -> str:
    return f".to({options.removeprefix(', ')})" if options else ""


def _tied(model: nn.Module) -> Iterator[str]:
    """The parameters that stand in several places."""
    first: dict[int, str] = {}
    seen: set[tuple[int, str]] = set()
    for path, module in model.named_modules():
        for name, p in module._parameters.items():
            if p is None or (id(module), name) in seen:
                continue
            seen.add((id(module), name))
            whole = f"{path}.{name}" if path else name
            if id(p) in first:
                yield f"{place(whole)} = {place(first[id(p)])}"
            first.setdefault(id(p), whole)


def _modes(model: nn.Module) -> Iterator[str]:
    modes = {module.training for module in model.modules()}
    if modes == {False}:
        yield "model.eval()"
    elif len(modes) > 1:
        for name, module in model.named_modules():
            if not module.training:
                yield f"{place(name)}.training = False"


def place(name: str) -> str:
    """An expression for the module, parameter or buffer of ``model`` that is called `name`: ``model[0].weight``."""
    parts = name.split(".") if name else []
    return "model" + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in parts)


def input_lines(x: Tensor, options: str) -> list[str]:
    """The lines that make the input, called ``x``."""
    requires_grad = ".requires_grad_()" if x.requires_grad else ""
    return [f"x = {tensor(x, options)}{requires_grad}"]
