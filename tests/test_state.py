"""A snapshot sees each change, says it in words, and undoes it."""

from __future__ import annotations

import ctypes
import gc
import importlib
import io
import logging
import os
import platform
import random
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from jaccheck._capabilities import TELLS_OF_HOOKS_ON_SAVED_TENSORS
from jaccheck._parts import Watched
from jaccheck._state import Snapshot, untouched

UPWARD = 0x800 if platform.machine() in ("x86_64", "AMD64") else 0x400000  # FE_UPWARD


class World(SimpleNamespace):
    model: nn.Sequential
    x: Tensor


@pytest.fixture
def world() -> World:
    torch.manual_seed(0)
    np.random.random()  # numpy loads its generator when it is first asked for
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 2)).eval()
    model[2].weight.grad = torch.ones(2, 2)
    model[2].weight.kept = torch.ones(2)
    model[2].weight.register_hook(lambda g: None)
    model[2].names = ["mine"]
    model[2].size = 1.5
    model[2].nested = {"a": [], "b": {"c": [1]}}
    model[2].last = deque([1], maxlen=1)
    first = model[2].register_forward_hook(hook)
    model[2].register_forward_hook(lambda *_: None)
    for _ in range(2):
        model[2].bias.register_hook(lambda g: None)
    return World(model=model, x=torch.ones(4, 3), first=first)


def hook(*_: Any) -> None: ...


class Parameter(nn.Parameter): ...


class Mode(torch.overrides.TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def bits(value: int) -> Tensor:
    return torch.tensor([value], dtype=torch.int32).view(torch.float32)


def leave_inference_mode(world: World) -> None:
    world.guard = torch.inference_mode()
    world.guard.__enter__()


ENGINE = next(
    (one for one in torch.backends.quantized.supported_engines if one != torch.backends.quantized.engine), "none"
)
CHANGES: dict[str, tuple[Callable[[World], object], str]] = {
    "value": (lambda w: w.model[0].weight.data.add_(1), "0.weight: 6 of 6 values changed, the first at [0, 0]"),
    "one value": (
        lambda w: w.model[0].weight.data[1, 2].neg_(),
        "0.weight: 1 of 6 values changed, the first at [1, 2]",
    ),
    "in place": (lambda w: w.model[0].weight.detach().zero_(), "0.weight: 6 of 6 values changed"),
    "buffer": (lambda w: w.model[1].running_mean.add_(1), "1.running_mean: 2 of 2 values changed"),
    "counter": (lambda w: w.model[1].num_batches_tracked.add_(1), "1.num_batches_tracked: 1 of 1 values changed"),
    "memory": (lambda w: setattr(w.model[0].weight, "data", w.model[0].weight.data.clone()), "0.weight: moved to"),
    "dtype": (
        lambda w: setattr(w.model[0].weight, "data", w.model[0].weight.data.double()),
        "0.weight: tensor [2, 3] float32 on cpu -> tensor [2, 3] float64 on cpu",
    ),
    "layout": (
        lambda w: setattr(w.model[0].weight, "data", w.model[0].weight.data.as_strided((2, 3), (1, 2))),
        "0.weight: moved to other memory",
    ),
    "requires_grad": (lambda w: w.model[0].bias.requires_grad_(False), "0.bias.requires_grad: True -> False"),
    "grad set": (
        lambda w: setattr(w.model[0].weight, "grad", torch.ones(2, 3)),
        "0.weight.grad: None -> tensor [2, 3]",
    ),
    "grad taken": (lambda w: setattr(w.model[2].weight, "grad", None), "2.weight.grad: tensor [2, 2] -> None"),
    "grad another": (
        lambda w: setattr(w.model[2].weight, "grad", torch.ones(2, 2)),
        "2.weight.grad: tensor [2, 2] -> another tensor [2, 2]",
    ),
    "grad value": (lambda w: w.model[2].weight.grad.add_(1), "2.weight.grad: 4 of 4 values changed"),
    "backward": (
        lambda w: w.model(w.x).sum().backward(),
        "0.bias.grad: None -> tensor [2]",
    ),
    "parameter": (
        lambda w: setattr(w.model[0], "weight", nn.Parameter(torch.ones(2, 3))),
        "parameter 'weight' of 0: tensor [2, 3] -> another tensor [2, 3]",
    ),
    "parameter added": (
        lambda w: w.model.register_parameter("more", nn.Parameter(torch.ones(1))),
        "parameter 'more' of model: absent -> tensor [1]",
    ),
    "parameter gone": (lambda w: delattr(w.model[0], "bias"), "parameter 'bias' of 0: tensor [2] -> absent"),
    "module": (
        lambda w: w.model.append(nn.ReLU()),
        "module '3' of model: absent -> ReLU()",
    ),
    "class": (
        lambda w: setattr(w.model[0], "__class__", nn.Bilinear),
        "0: class torch.nn.modules.linear.Linear -> torch.nn.modules.linear.Bilinear",
    ),
    "mode": (lambda w: w.model.train(), "model.training: False -> True"),
    "attribute": (lambda w: setattr(w.model[0], "input0", w.x), "0.input0: absent -> tensor [4, 3]"),
    "attribute of another type": (lambda w: setattr(w.model[2], "size", 2), "2.size: 1.5 -> 2"),
    "attribute gone": (lambda w: delattr(w.model[2], "names"), "2.names: list of 1 -> absent"),
    "list": (lambda w: w.model[2].names.append("yours"), "2.names: list of 1 -> list of 2"),
    "tensor attribute": (
        lambda w: setattr(w.model[0].weight, "grad_batch", torch.ones(4, 2, 3)),
        "0.weight.grad_batch: absent -> tensor [4, 2, 3]",
    ),
    "forward hook": (
        lambda w: w.model[0].register_forward_hook(hook),
        f"forward hook added to '0' ({__name__}.hook)",
    ),
    "backward hook": (
        lambda w: w.model[0].register_full_backward_hook(hook),
        f"backward hook added to '0' ({__name__}.hook)",
    ),
    "hook on the model": (
        lambda w: w.model.register_forward_pre_hook(hook),
        f"forward pre hook added to 'model' ({__name__}.hook)",
    ),
    "tensor hook": (lambda w: w.model[0].weight.register_hook(hook), f"hook added to '0.weight' ({__name__}.hook)"),
    "tensor hook gone": (lambda w: w.model[2].weight._backward_hooks.clear(), "hook removed from '2.weight'"),
    "accumulation hook": (
        lambda w: w.model[0].weight.register_post_accumulate_grad_hook(hook),
        f"hook added to '0.weight' ({__name__}.hook)",
    ),
    "x": (lambda w: w.x[0].zero_(), "x: 3 of 12 values changed, the first at [0, 0]"),
    "x requires grad": (lambda w: w.x.requires_grad_(), "x.requires_grad: False -> True"),
    "x.grad": (lambda w: setattr(w.x, "grad", torch.ones(4, 3)), "x.grad: None -> tensor [4, 3]"),
    "torch's random state": (lambda w: torch.rand(1), "torch's random state has changed"),
    "Python's random state": (lambda w: random.random(), "Python's random state has changed"),
    "numpy's random state": (lambda w: np.random.random(), "numpy's random state has changed"),
    "numpy's normal numbers": (lambda w: np.random.randn(2), "numpy's random state has changed"),
    "default dtype": (
        lambda w: torch.set_default_dtype(torch.float64),
        "torch.get_default_dtype(): torch.float32 -> torch.float64",
    ),
    "default device": (lambda w: torch.set_default_device("meta"), "torch's default device: None -> device(type="),
    "grad mode": (lambda w: torch.set_grad_enabled(False), "torch.is_grad_enabled(): True -> False"),
    "inference mode": (leave_inference_mode, "torch.is_inference_mode_enabled(): False -> True"),
    "threads": (
        lambda w: torch.set_num_threads(torch.get_num_threads() + 1),
        "torch.get_num_threads(): ",
    ),
    "deterministic": (lambda w: torch.use_deterministic_algorithms(True), "(False, False) -> (True, False)"),
    "anomaly": (lambda w: torch.autograd.set_detect_anomaly(True, False), "(False, True) -> (True, False)"),
    "autocast": (lambda w: torch.autocast("cpu", torch.bfloat16).__enter__(), "autocast on cpu: False -> True"),
    "subnormals": (lambda w: torch.set_flush_denormal(True), "flushing of subnormals: False -> True"),
    "precision": (lambda w: torch.set_float32_matmul_precision("medium"), "'highest' -> 'medium'"),
    "TF32": (
        lambda w: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
        "torch.backends.cuda.matmul.allow_tf32: False -> True",
    ),
    "cuDNN": (
        lambda w: setattr(torch.backends.cudnn, "deterministic", True),
        "torch.backends.cudnn.deterministic: False -> True",
    ),
    "global hook": (
        lambda w: nn.modules.module.register_module_forward_hook(hook),
        "torch's hooks on all modules has changed",
    ),
    "warnings": (lambda w: warnings.simplefilter("ignore"), "warnings.filters: "),
    "attention": (lambda w: torch.backends.cuda.enable_math_sdp(False), "math_sdp_enabled(): True -> False"),
    "attention by cuDNN": (lambda w: torch.backends.cuda.enable_cudnn_sdp(False), "cudnn_sdp_enabled(): True -> False"),
    "attention's sums": (
        lambda w: torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True),
        "fp16_bf16_reduction_math_sdp_allowed(): False -> True",
    ),
    "autograd's threads": (
        lambda w: torch.autograd.set_multithreading_enabled(False),
        "whether autograd uses threads: True -> False",
    ),
    "conversion": (
        lambda w: torch.__future__.set_overwrite_module_params_on_conversion(True),
        "overwrite_module_params_on_conversion(): False -> True",
    ),
    "dual level": (lambda w: torch.autograd.forward_ad.enter_dual_level(), "the level of forward_ad: -1 -> 0"),
    "method of a parameter": (lambda w: setattr(nn.Parameter, "mine", hook), ".Parameter.mine: absent -> "),
    "engine": (lambda w: setattr(torch.backends.quantized, "engine", ENGINE), "torch.backends.quantized.engine: "),
    "method of a tensor": (lambda w: setattr(torch.Tensor, "__matmul__", hook), "torch.Tensor.__matmul__: absent -> "),
    "numpy's printing": (lambda w: np.set_printoptions(precision=3), "numpy.get_printoptions(): "),
    "standard output": (lambda w: setattr(sys, "stdout", io.StringIO()), "sys.stdout: "),
    "excepthook": (lambda w: setattr(sys, "excepthook", hook), "sys.excepthook: "),
    "profile": (lambda w: sys.setprofile(hook), "sys.getprofile(): None -> "),
    "logging": (lambda w: logging.basicConfig(level=logging.DEBUG, force=True), "logging.root.level: "),
    "written and written back": (
        lambda w: w.model[0].weight.detach().add_(0),
        "0.weight: written to in place, though its values are the same",
    ),
    "x written and written back": (lambda w: w.x.neg_().neg_(), "x: written to in place"),
    "gradient written": (lambda w: w.model[2].weight.grad.mul_(1), "2.weight.grad: written to in place"),
    "x in a graph": (lambda w: w.x.mul_(w.model[2].bias.sum()), "x.requires_grad: False -> True"),
    "class of a tensor": (
        lambda w: setattr(w.model[0].weight, "__class__", Parameter),
        "0.weight: class torch.nn.parameter.Parameter -> ",
    ),
    "negated when read": (lambda w: setattr(w.x, "data", torch._neg_view(w.x)), "x: moved"),
    "storage given back": (lambda w: w.model[0].weight.untyped_storage().resize_(0), "0.weight: moved"),
    "storage shared": (lambda w: w.model[0].weight.share_memory_(), "0.weight: moved"),
    "order of hooks": (lambda w: w.model[2]._forward_hooks.move_to_end(w.first.id), "forward hooks of '2': in another"),
    "order of parameters": (
        lambda w: w.model[0]._parameters.update(weight=w.model[0]._parameters.pop("weight")),
        "parameters of '0': in another order",
    ),
    "order of tensor hooks": (
        lambda w: w.model[2].bias._backward_hooks.move_to_end(next(iter(w.model[2].bias._backward_hooks))),
        "hooks of '2.bias': in another order",
    ),
    "list in a dict": (lambda w: w.model[2].nested["a"].append(1), "2.nested['a']: list of 0 -> list of 1"),
    "deque": (lambda w: w.model[2].last.append(2), "2.last: deque"),
    "method of a class": (
        lambda w: setattr(nn.Linear, "forward", hook),
        f"torch.nn.modules.linear.Linear.forward: torch.nn.modules.linear.Linear.forward -> {__name__}.hook",
    ),
    "method of all modules": (lambda w: setattr(nn.Module, "train", hook), "torch.nn.modules.module.Module.train: "),
    "method added": (lambda w: setattr(nn.Linear, "more", hook), "torch.nn.modules.linear.Linear.more: absent -> "),
    "function": (lambda w: setattr(nn.functional, "linear", hook), "torch.nn.functional.linear: "),
    "autograd": (lambda w: setattr(torch.autograd, "grad", hook), "torch.autograd.grad: "),
    "autocast dtype": (
        lambda w: torch.set_autocast_dtype("cpu", torch.float16),
        "torch's autocast dtype on cpu: torch.bfloat16 -> torch.float16",
    ),
    "autocast cache": (lambda w: torch.set_autocast_cache_enabled(False), "cache_enabled(): True -> False"),
    "mkldnn": (lambda w: setattr(torch.backends.mkldnn, "enabled", False), "torch.backends.mkldnn.enabled: True"),
    "warn always": (lambda w: torch.set_warn_always(True), "torch.is_warn_always_enabled(): False -> True"),
    "printing": (lambda w: torch.set_printoptions(precision=9), "torch.set_printoptions(): "),
    "function mode": (lambda w: Mode().__enter__(), "torch's stack of function modes: 0 -> 1"),
    "saved tensors": (
        lambda w: torch.autograd.graph.saved_tensors_hooks(hook, hook).__enter__(),
        "torch's hooks on saved tensors: None -> ",
    ),
    "numpy's errors": (lambda w: np.seterr(over="ignore"), "numpy.geterr(): "),
    "environment": (lambda w: os.environ.update(JACCHECK_TEST="1"), "os.environ: JACCHECK_TEST"),
    "folder": (lambda w: os.chdir("/"), "os.getcwd(): "),
    "search path": (lambda w: sys.path.append("nowhere"), "sys.path: "),
    "recursion": (lambda w: sys.setrecursionlimit(5000), "sys.getrecursionlimit(): "),
    "garbage": (lambda w: gc.disable(), "gc.isenabled(): True -> False"),
    "garbage's threshold": (lambda w: gc.set_threshold(7), "gc.get_threshold(): "),
    "switches": (lambda w: sys.setswitchinterval(0.5), "sys.getswitchinterval(): 0.005 -> 0.5"),
    "signals": (lambda w: signal.signal(signal.SIGTERM, signal.SIG_IGN), "signal.getsignal() has changed"),
    "threads' profile": (lambda w: threading.setprofile(hook), "threading.getprofile(): None -> "),
    "rounding": (lambda w: ctypes.CDLL(None).fesetround(UPWARD), "the direction of rounding: 'to nearest' -> 'up'"),
    "sparse checks": (
        lambda w: torch.sparse.check_sparse_tensor_invariants.enable(),
        "torch's checks of sparse tensors: False -> True",
    ),
    "torch's functions": (lambda w: setattr(torch, "tanh", hook), "torch's functions: tanh"),
    "attention's fast path": (
        lambda w: torch.backends.mha.set_fastpath_enabled(False),
        "torch.backends.mha.get_fastpath_enabled(): True -> False",
    ),
    "distributions": (
        lambda w: torch.distributions.Distribution.set_default_validate_args(False),
        "torch.distributions.Distribution._validate_args: True -> False",
    ),
    "NNPACK": (lambda w: torch._C._set_nnpack_enabled(False), "whether NNPACK is enabled: True -> False"),
    "level of a logger": (lambda w: logging.getLogger("torch").setLevel(7), "levels of loggers: torch"),
    "class attribute": (lambda w: setattr(nn.Linear, "kept", [1]), "Linear.kept: absent -> "),
    "showwarning": (lambda w: setattr(warnings, "showwarning", hook), f"-> <function {hook.__qualname__}"),
}


def test_a_write_to_a_tensor_kept_as_an_attribute_is_seen(world: World) -> None:
    snapshot = Snapshot.take(world.model, world.x)
    world.model[2].weight.kept.add_(1)
    assert snapshot.changes() == ["2.weight.kept: as it was -> changed in place"]


LACKING = {
    "saved tensors": not TELLS_OF_HOOKS_ON_SAVED_TENSORS,
    "autocast dtype": not hasattr(torch, "set_autocast_dtype"),
    "attention by cuDNN": not hasattr(torch.backends.cuda, "enable_cudnn_sdp"),
    "attention's fast path": not hasattr(torch.backends, "mha"),
    "NNPACK": not hasattr(torch._C, "_set_nnpack_enabled"),
    "attention's sums": not hasattr(torch.backends.cuda, "allow_fp16_bf16_reduction_math_sdp"),
}
"""What older releases don't tell, or have."""


@pytest.mark.parametrize("name", [name for name in CHANGES if not LACKING.get(name)])
def test_a_change_is_seen_said_and_undone(world: World, name: str) -> None:
    change, words = CHANGES[name]
    snapshot = Snapshot.take(world.model, world.x)
    assert snapshot.changes() == []
    try:
        change(world)
        changes = snapshot.changes()
    finally:
        snapshot.restore()
    assert any(words in line for line in changes), changes
    assert snapshot.changes() == []


def test_what_an_import_does_is_not_a_paths_fault(tmp_path: Path, world: World) -> None:
    """As torch's first call with a seed does, which imports sympy."""
    (tmp_path / "later.py").write_text("import warnings, os; warnings.simplefilter('once'); os.environ['LATER'] = '1'")
    snapshot = Snapshot.take(world.model, world.x)
    sys.path.insert(0, str(tmp_path))
    importlib.import_module("later")
    assert snapshot.undone() == []
    assert snapshot.changes() == []
    warnings.simplefilter("once")
    assert len(snapshot.undone()) == 1
    del sys.modules["later"]


def test_a_graph_of_the_users_is_as_good_as_before_once_all_is_put_back() -> None:
    """Autograd refuses a graph one of whose tensors has been written to since, by its version."""
    model, x = nn.Linear(2, 2), torch.ones(3, 2, requires_grad=True)
    loss = model(x).sum()
    with untouched(model, x), torch.no_grad():
        model.weight.zero_()
    loss.backward()
    assert x.grad is not None
    assert torch.equal(x.grad, model.weight.detach().sum(0).expand(3, 2))


def test_backpacks_context_is_watched_from_its_import_on(world: World) -> None:
    import backpack
    from backpack.context import CTX

    snapshot = Snapshot.take(world.model, world.x)
    backpack.extend(world.model[0])
    CTX.set_active_exts((backpack.extensions.BatchGrad(),))
    CTX.set_retain_graph(True)
    backpack.disable.store_io = False
    changes = snapshot.changes()
    snapshot.restore()
    for words in (
        "backpack.context.CTX.retain_graph: False -> True",
        "backpack.context.CTX.active_exts: ",
        "backpack.disable.store_io: True -> False",
        "backpack.context.CTX.hook_handles: ",
        "backward hook added to '0' (backpack.hook_run_extensions)",
        "forward hook added to '0' (backpack.hook_store_io)",
        "0._backpack_extend: absent -> True",
        "0._is_full_backward_hook: None -> True",
    ):
        assert any(words in line for line in changes), (words, changes)
    assert snapshot.changes() == []


def test_values_are_compared_by_their_bits(dtype: torch.dtype) -> None:
    model = nn.Linear(2, 2).to(dtype)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.0, torch.nan], [torch.inf, 1.0]]))
    snapshot = Snapshot.take(model)
    assert snapshot.changes() == []
    model.weight.data[0, 0] = -0.0
    assert snapshot.changes() == ["weight: 1 of 4 values changed, the first at [0, 0]"]
    snapshot.restore()
    integers = {2: torch.int16, 4: torch.int32, 8: torch.int64}[dtype.itemsize]
    model.weight.data.view(integers)[0, 1] += 1  # another NaN
    assert snapshot.changes() == ["weight: 1 of 4 values changed, the first at [0, 1]"]
    snapshot.restore()
    assert snapshot.changes() == []
    assert model.weight[0, 1].isnan()


def test_a_tied_parameter_is_named_once() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    snapshot = Snapshot.take(model)
    model[0].weight.data.zero_()
    assert len(snapshot.changes()) == 1


@pytest.mark.parametrize("outside", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_it_works_in_every_mode(world: World, outside: type) -> None:
    with outside():
        snapshot = Snapshot.take(world.model, world.x)
        world.model[0].weight.data.add_(1)
        world.x.zero_()
        assert len(snapshot.changes()) == 2
        snapshot.restore()
        assert snapshot.changes() == []


def test_tensors_of_every_kind_can_be_watched() -> None:
    model = nn.Module()
    for name, tensor in {
        "complex": torch.ones(2, dtype=torch.complex64),
        "boolean": torch.ones(2, dtype=torch.bool),
        "float8": torch.ones(2).to(torch.float8_e4m3fn),
        "sparse": torch.eye(2).to_sparse(),
        "scalar": torch.tensor(1.0),
        "empty": torch.ones(0, 3),
        "strided": torch.ones(4, 4)[::2, 1:3],
        "expanded": torch.ones(1).expand(3),
        "meta": torch.ones(2, device="meta"),
        "not a number": torch.full((2,), torch.nan, dtype=torch.complex128),
    }.items():
        model.register_buffer(name, tensor)
    snapshot = Snapshot.take(model)
    assert snapshot.changes() == []
    model.complex.zero_()
    model.boolean.zero_()
    model.strided.zero_()
    model.float8.zero_()
    assert [line.partition(":")[0] for line in snapshot.changes()] == ["complex", "boolean", "float8", "strided"]
    snapshot.restore()
    assert snapshot.changes() == []


def test_a_block_leaves_nothing_behind_even_if_it_raises(world: World) -> None:
    before = Snapshot.take(world.model, world.x)
    with pytest.raises(LookupError), untouched(world.model, world.x) as inside:  # noqa: PT012
        world.model.train()
        torch.rand(1)
        assert len(inside.changes()) == 5
        raise LookupError
    assert before.changes() == []


def test_memory_is_one_copy_of_the_parameters() -> None:
    model, x = nn.Linear(500, 1000), torch.ones(2, 500)
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    snapshot = Snapshot.take(model, x)
    tensors = [part.values for part in snapshot._parts if isinstance(part, Watched)]
    held = sum(values.numel() * values.element_size() for values in tensors)
    assert held == size + x.numel() * x.element_size()


@pytest.mark.parametrize("drawn", [0, 1, 2])
@pytest.mark.parametrize(
    ("stream", "draw"),
    [
        ("Python's random state", lambda: random.gauss(0, 1)),
        ("numpy's random state", np.random.randn),
    ],
)
def test_one_normal_number_of_a_pair_is_a_change(world: World, stream, draw, drawn):
    for _ in range(drawn):
        draw()
    snapshot = Snapshot.take(world.model, world.x)
    assert not snapshot.changes()
    first = random.getstate(), repr(np.random.get_state())
    draw()
    assert f"{stream} has changed" in snapshot.changes()
    snapshot.restore()
    assert (random.getstate(), repr(np.random.get_state())) == first


def test_numpy_may_have_another_generator(world: World):
    usual = np.random.get_bit_generator()
    np.random.set_bit_generator(np.random.PCG64(3))
    try:
        snapshot = Snapshot.take(world.model, world.x)
        assert not snapshot.changes()
        np.random.random()
        assert snapshot.changes() == ["numpy's random state has changed"]
        snapshot.restore()
        assert not snapshot.changes()
    finally:
        np.random.set_bit_generator(usual)
