"""The steps of a sequence in plain torch, and what a path gives after them beside what it gives for a fresh model."""

from __future__ import annotations

import re
from collections.abc import Mapping

from jaccheck._steps import STEPS
from jaccheck.reproducer._errors import NoReproducer

CALL = "got = jacobian(model, x)"
LINES: Mapping[str, str] = {
    "again": CALL,
    "ten": f"for _ in range(10):\n    {CALL}",
    "other_samples": "for others in (x[:0], x[:1], torch.cat((x, x))):\n    jacobian(model, others)",
    "other_input": "x.copy_(x.neg().roll(1, 0))",
    "one_sample": "x.data[0] = x.data[0].flatten().neg().roll(1).view(x[0].shape)",
    "small_input": "x.data[0].mul_(1 + 2 * torch.finfo(x.dtype).eps)",
    "update": "with torch.no_grad():\n    for p in model.parameters():\n        p.mul_(-0.5)",
    "update_one": "with torch.no_grad():\n    p = next(p for p in model.parameters() if p.numel())\n"
    "    p[(0,) * p.dim()] = 1 - p[(0,) * p.dim()]",
    "small_update": "with torch.no_grad():\n    for p in [*model.parameters()][:-1] or model.parameters():\n"
    "        p.mul_(1 + 2 * torch.finfo(p.dtype).eps)",
    "exchange": "with torch.no_grad():\n    for p, q in itertools.combinations(model.parameters(), 2):\n"
    "        if p.shape == q.shape:\n            kept = p.clone()\n            p.copy_(q)\n            q.copy_(kept)",
    "update_data": "for p in model.parameters():\n    p.data.copy_(p.data.flatten().roll(1).view(p.shape))",
    "new_memory": "for p in model.parameters():\n    p.data = p.detach().neg()",
    "new_parameters": "parameters = [*model.parameters()]\n"
    "others = {p: torch.nn.Parameter(p.detach().neg(), p.requires_grad) for p in parameters}\n"
    "for part in model.modules():\n    for name, p in part._parameters.items():\n"
    "        part._parameters[name] = others.get(p)",
    "load": "model.load_state_dict(first)\nif not torch.equal(x, samples):\n    x.data.copy_(samples)",
    "eval": "training = model.training\njacobian(model.eval(), x)\nmodel.train(training)",
    "freeze": "p = next(p for p in model.parameters() if p.requires_grad)\np.requires_grad_(False)\n"
    "jacobian(model, x)\np.neg_()\njacobian(model, x)\np.neg_().requires_grad_()",
    "all_frozen": "trainable = [p for p in model.parameters() if p.requires_grad]\n"
    "try:\n    jacobian(model.requires_grad_(False), x)\nexcept Exception:\n    pass\n"
    "for p in trainable:\n    p.requires_grad_()",
    "backward": "model(x).sum().backward()",
    "zero_grad": "model(x).sum().backward()\njacobian(model, x)\nmodel.zero_grad(set_to_none=False)",
    "grad": "for p in model.parameters():\n    p.grad = torch.ones_like(p)",
    "no_grad": f"with torch.no_grad():\n    {CALL}",
    "inference_mode": f"with torch.inference_mode():\n    {CALL}",
    "default_dtype": f"before = torch.get_default_dtype()\n"
    f"torch.set_default_dtype(torch.float32 if before == torch.float64 else torch.float64)\n{CALL}\n"
    "torch.set_default_dtype(before)",
    "deterministic": f"torch.use_deterministic_algorithms(True)\n{CALL}\ntorch.use_deterministic_algorithms(False)",
    "anomaly": f"with torch.autograd.set_detect_anomaly(True, check_nan=False):\n    {CALL}",
    "deepcopy": "for p in model.parameters():\n    p.grad = None\nmodel = copy.deepcopy(model)",
    "pickle": "model = pickle.loads(pickle.dumps(model))",
    "hooks": "parts = [*model.modules()]\nhandles = [parts[-1].register_forward_hook(lambda *call: None)]\n"
    "handles += [parts[0].register_forward_pre_hook(lambda *call: None)]\n"
    "handles += [p.register_hook(lambda *call: None) for p in model.parameters() if p.requires_grad]\n"
    f"{CALL}\nfor handle in handles:\n    handle.remove()",
    "another_model": "other = copy.deepcopy(fresh)\nfor p in other.parameters():\n    p.data.mul_(-2)\n"
    "jacobian(other, x)",
    "thread": "results = []\nthread = threading.Thread(target=lambda: results.append(jacobian(model, x)))\n"
    "thread.start()\nthread.join()\ngot = results[0]",
    "overwrite": "for J in got.values():\n    J.zero_()",
}
"""What has a few lines of its own."""

_WORDS = "|".join(re.escape(words) for words in sorted(STEPS.values(), key=len, reverse=True))
_HAPPENED = re.compile(rf"\b(after|in) ((?:{_WORDS})(?:(?:, | and )(?:{_WORDS}))*)")


def ending(reason: str) -> list[str]:
    """The lines that do what `reason`, of a verdict on `sequence`, says has happened, and compare.

    Raises:
        NoReproducer: it doesn't say, or a step has no lines.
    """
    happened = _HAPPENED.search(reason)
    if happened is None:
        raise NoReproducer(f"there is no script for this sequence: {reason}")
    names = {words: name for name, words in STEPS.items()}
    steps = [names[words] for words in re.findall(_WORDS, happened[2])]
    without = [STEPS[step] for step in steps if step not in LINES]
    if without:
        raise NoReproducer(f"there are no lines of plain torch for {without[0]!r}")
    lines = [
        "fresh, first, samples = copy.deepcopy(model), copy.deepcopy(model.state_dict()), x.detach().clone()",
        CALL,
    ]
    for i, step in enumerate(steps):
        first, *others = LINES[step].splitlines()
        lines += [f"{first}  # {STEPS[step]}", *others]
        if happened[1] == "after" or i < len(steps) - 1:
            lines.append(CALL)
    return [
        *lines,
        "fresh.load_state_dict(model.state_dict())",
        "expected = jacobian(fresh, x)",
        "wrong = [name for name, J in expected.items() if not torch.allclose(got[name], J, 0, 0, equal_nan=True)]",
        "for name in wrong[:1] or expected:",
        '    print(f"got       {got[name].tolist()}, {name!r}")',
        '    print(f"expected  {expected[name].tolist()}, as for a fresh model")',
        'print("allowed   no difference")',
        "sys.exit(1 if wrong else 0)",
    ]
