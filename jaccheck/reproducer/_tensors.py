"""Tensors as Python source: the same bits, the same places in memory, in as few characters as that takes."""

from __future__ import annotations

from math import isfinite, isnan, prod
from textwrap import fill

import torch
from torch import Tensor

from jaccheck.reproducer._errors import NoReproducer

MOST_NUMBERS = 1024
"""Numbers of one tensor that are written one by one; nobody reads more."""
WIDTH = 110


def number(value: float, dtype: torch.dtype = torch.float64) -> str:
    """The shortest decimal that is `value`, once it is rounded to `dtype`; inf and nan are the names from `math`."""
    if not isfinite(value):
        return "nan" if isnan(value) else "inf" if value > 0 else "-inf"
    for digits in range(1, 18):
        short = float(f"{value:.{digits}g}")
        if float(torch.tensor(short, dtype=torch.float64, device="cpu").to(dtype)) == value:
            return repr(short)
    return repr(value)


def tensor(t: Tensor, options: str) -> str:
    """An expression that makes `t`, ``options`` being what says dtype and device: ``", dtype=dtype"``.

    Raises:
        NoReproducer: it holds too many different numbers.
    """
    t = t.detach().cpu()
    if t.stride() == torch.empty(t.shape, device="cpu").stride() and not t.is_neg() and not t.storage_offset():
        return _contiguous(t, options)
    where = f"{tuple(t.shape)}, {t.stride()}, {t.storage_offset()}"
    if t.is_neg():  # as the imaginary part of a conjugate is
        return f"torch._neg_view({_region(torch._neg_view(t), options)}.as_strided({where}))"
    return f"{_region(t, options)}.as_strided({where})"


def _region(t: Tensor, options: str) -> str:
    """The numbers in memory from the first to the last that `t` reads."""
    last = sum((size - 1) * stride for size, stride in zip(t.shape, t.stride(), strict=True)) if t.numel() else -1
    size = t.storage_offset() + last + 1
    return _contiguous(t.as_strided((size,), (1,), 0), options)


def _contiguous(t: Tensor, options: str) -> str:
    flat, shape = t.flatten(), tuple(t.shape)
    if not flat.numel():
        return f"torch.empty({shape}{options})"
    if flat.numel() > 4 and _alike(flat, flat[:1]):
        value = number(float(flat[0]), t.dtype)
        return f"torch.zeros({shape}{options})" if value == "0.0" else f"torch.full({shape}, {value}{options})"
    if all_16_bit_numbers(flat):
        every = f"torch.arange(-(2**15), 2**15).to(torch.int16).view({t.dtype})"
        return every if shape == (2**16,) else f"{every}.reshape{shape}"
    if flat.numel() <= 64:
        return f"torch.tensor({_nested(t)}{options})"
    period = next((k for k in range(1, 65) if _alike(flat[k:], flat[:-k])), None)
    if period is not None:
        times = -(-prod(shape) // period)
        return f"torch.tensor({_nested(flat[:period])}{options}).repeat({times})[:{prod(shape)}].view{shape}"
    if flat.numel() > MOST_NUMBERS:
        raise NoReproducer(f"a tensor holds {flat.numel()} numbers, and a script of at most {MOST_NUMBERS} can be read")
    return f"torch.tensor({_nested(t)}{options})"


def all_16_bit_numbers(flat: Tensor) -> bool:
    """Whether these are the numbers of a 16-bit dtype in the order of their bits."""
    if flat.element_size() != 2 or flat.numel() != 2**16:
        return False
    return torch.equal(flat.view(torch.int16).int(), torch.arange(-(2**15), 2**15, dtype=torch.int32, device="cpu"))


def _alike(a: Tensor, b: Tensor) -> bool:
    """Bit for bit, but for NaNs."""
    return bool((((a == b) & (a.signbit() == b.signbit())) | (a.isnan() & b.isnan())).all())


def _nested(t: Tensor) -> str:
    if not t.dim():
        return number(float(t), t.dtype)
    return f"[{', '.join(_nested(part) for part in t)}]"


def wrapped(line: str) -> str:
    """A long line broken at its blanks inside brackets, the rest indented."""
    if len(line) <= WIDTH:
        return line
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return fill(
        line, WIDTH, initial_indent="", subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
