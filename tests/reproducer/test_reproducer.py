"""Each script runs on its own, with exit status 1 while the fault is there and 0 once it is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn

from jaccheck import Network, check, register_path
from jaccheck._finding import FORWARD
from jaccheck.defects.register import register
from jaccheck.paths import get, paths, snippet, unregister_path
from jaccheck.properties import PROPERTIES
from jaccheck.reproducer import NoReproducer, reproducer, run
from jaccheck.reproducer._models import input_lines, written
from jaccheck.strategies import networks
from tests.defects.showing import hidden, network_of
from tests.planted import Planted, doubled, planted

DEFECTS = {defect.id: defect for defect in register()}

# What mends the defects of BackPACK of the register: run before the script.
MENDED = {
    "sqrt-ggn-relu-nan": """
from backpack.core.derivatives.relu import ReLUDerivatives as D
D.df = lambda self, module, g_inp, g_out, subsampling=None: (~(module.input0 <= 0)).to(module.input0.dtype)
""",
    "sqrt-ggn-logsigmoid-overflow": """
from backpack.core.derivatives.logsigmoid import LogSigmoidDerivatives as D
D.df = lambda self, module, g_inp, g_out, subsampling=None: (-module.input0).sigmoid()
""",
    "sqrt-ggn-flatten-empty-batch": """
from backpack.core.derivatives.flatten import FlattenDerivatives as D
D._jac_t_mat_prod = lambda self, module, g_inp, g_out, mat, subsampling=None: mat.reshape(
    len(mat), *module.input0.shape)
""",
}


def script_of(network: Network, path: str, *properties: str) -> str:
    model, x = network.build()
    forward, path = path == FORWARD, "autograd" if path == FORWARD else path
    report = check(model, x, paths=(path,), properties=properties or None, seed=network.seed, images=False)
    return reproducer(model, x, report, None if forward else path, seed=network.seed)


def script_of_defect(name: str, path: str | None = None) -> str:
    defect = DEFECTS[name]
    return script_of(
        network_of(defect), path or defect.paths[0], *([defect.property] if defect.property in PROPERTIES else [])
    )


def alone(text: str, file: Path) -> subprocess.CompletedProcess[str]:
    """The script in a Python of its own, which has no jaccheck."""
    file.write_text(f"import sys\nsys.modules['jaccheck'] = None\n{text}", encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, file], capture_output=True, text=True, env=environment)


def test_a_script_runs_in_a_python_of_its_own(tmp_path):
    done = alone(script_of_defect("sqrt-ggn-relu-nan"), tmp_path / "script.py")
    assert done.returncode == 1, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["got", "expected", "allowed"]


@pytest.mark.long
def test_once_a_defect_of_backpack_is_mended_its_script_says_so(tmp_path):
    """One Python for all, each script before and after."""
    lines = ["import runpy"]
    for name, mend in MENDED.items():
        if hidden(DEFECTS[name], "sqrt_ggn_exact") is not None:
            continue
        file = tmp_path / f"{name}.py"
        file.write_text(script_of_defect(name), encoding="utf-8")
        run_it = f"try:\n    runpy.run_path({str(file)!r})\nexcept SystemExit as end:\n    status.append(end.code)"
        lines += ["status = []", run_it, mend, run_it, f"assert status == [1, 0], ({name!r}, status)"]
    done = alone("\n".join(lines), tmp_path / "all.py")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", DEFECTS)
def test_each_defect_of_the_register_has_a_script_for_each_of_its_paths(name):
    for path in (path for path in DEFECTS[name].paths if hidden(DEFECTS[name], path) is None):
        text = script_of_defect(name, path)
        assert len(text.splitlines()) <= 44
        assert max(map(len, text.splitlines())) <= 120
        assert "jaccheck" not in text
        status, said = run(text)
        assert status == 1, said


@pytest.mark.parametrize("path", paths())
@settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(network=networks(min_batch=1, max_outputs=6, max_width=5, frozen=False, values=("ordinary", "integers")))
def test_a_snippet_is_what_its_path_does(path, network):
    source = snippet(get(path))
    assert source is not None
    names = {"torch": torch, "nn": nn}
    exec(source, names)
    model, x = network.build()
    report = check(model, x, paths=(path,), images=False)
    if report.verdicts[path].status == "agrees":
        ours = get(path).jacobian(*network.build())
        theirs = names["jacobian"](*network.build())
        for name, j in ours.items():
            assert torch.allclose(j, theirs[name], 1e-2 if path == "vmap_jacfwd" else 0, 0, equal_nan=True)


EVERYTHING = dict.fromkeys(("residual", "reuse", "tied", "containers", "functional", "dropout"), True)


@settings(max_examples=100, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(network=networks(max_outputs=6, max_width=20, **EVERYTHING), data=st.data())
def test_a_model_and_its_input_come_back_from_their_source(network, data):
    model, x = network.build()
    options = f", dtype={x.dtype}"
    try:
        classes, lines = written(model, options)
        lines += input_lines(x, options)
    except NoReproducer:  # a tensor is too large
        assume(False)
    names = {"torch": torch, "nn": nn, "nan": torch.nan, "inf": torch.inf}
    exec("\n\n".join([*classes, "\n".join(lines)]), {**names, "OrderedDict": OrderedDict}, names)
    again, x_again = names["model"], names["x"]
    state, state_again = model.state_dict(), again.state_dict()
    assert list(state) == list(state_again)
    assert all(same(t, state_again[name]) for name, t in state.items())
    assert [(n, p.requires_grad) for n, p in model.named_parameters()] == [
        (n, p.requires_grad) for n, p in again.named_parameters()
    ]
    assert [m.training for m in model.modules()] == [m.training for m in again.modules()]
    assert same(x, x_again)
    assert (x.stride(), x.storage_offset(), x.requires_grad) == (
        x_again.stride(),
        x_again.storage_offset(),
        x_again.requires_grad,
    )
    with torch.no_grad():
        torch.manual_seed(0)
        f = model(x)
        torch.manual_seed(0)
        assert same(f, again(x_again))


def same(a, b):
    return (
        a.dtype == b.dtype
        and torch.equal(a.isnan(), b.isnan())
        and bool(((a == b) & (a.signbit() == b.signbit()) | a.isnan()).all())
    )


def test_a_path_that_does_not_say_how_it_is_called_has_none():
    with planted(doubled) as path, pytest.raises(NoReproducer, match="'planted' doesn't say how it is called: give it"):
        script_of(Network.from_json('{"format": 1, "layers": [{"kind": "Linear"}]}'), path)


def test_what_shows_in_jaccheck_alone_has_none():
    path = Planted(doubled)
    path.snippet = get("batch_grad").snippet
    register_path(path)
    try:
        with pytest.raises(NoReproducer, match="outside of jaccheck it doesn't show"):
            script_of(Network.from_json('{"format": 1, "layers": [{"kind": "Linear"}]}'), "planted")
    finally:
        unregister_path("planted")


def test_there_is_none_where_nothing_is_wrong():
    model, x = Network.from_json('{"format": 1, "layers": [{"kind": "Linear"}]}').build()
    report = check(model, x)
    with pytest.raises(NoReproducer, match=r"nothing is wrong$"):
        reproducer(model, x, report)
    with pytest.raises(NoReproducer, match="nothing is wrong with 'autograd'"):
        reproducer(model, x, report, "autograd")
