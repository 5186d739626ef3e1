"""Matrix products in float32 on AMD processors: by oneDNN, since MKL gives those no AVX-512."""

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

LARGE = 2**21  # multiplications from which it pays: a call takes 10 µs more than one that never comes to Python
NARROW = 8  # rows and columns from which it pays: products of fewer are bound by memory
WIDE = 256  # columns from which it pays to turn a first matrix that lies by columns
_PROCESSOR = Path("/proc/cpuinfo")


def use_fast_products() -> bool:
    """Multiply float32 matrices with oneDNN from now on where MKL is slow; whether this process does.

    PyTorch multiplies with MKL, whose kernels for AMD end at AVX2 (https://github.com/pytorch/builder/issues/504).
    PyTorch's other library, oneDNN, takes AVX-512 wherever it is, and is 2 to 2.6 times as fast there. It is float32
    all the same, added up in another order: errors reach 1e-6 of the largest entry of a product of 64 x 2048 x 1024,
    with MKL 3e-7, and low bits differ between kinds of processor, as they always have. What is replaced is `aten::mm`
    and `aten::addmm` on the CPU, so that gradients are served too.
    """
    return _is_served() and _replace() is not None


def _is_served() -> bool:
    """An AMD processor with AVX-512, and a PyTorch that has both libraries."""
    backends = torch.backends
    if backends.cpu.get_cpu_capability() != "AVX512" or not _PROCESSOR.exists():
        return False
    both = backends.mkl.is_available() and backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return both and "AuthenticAMD" in _PROCESSOR.read_text()


@cache
def _replace() -> torch.library.Library | None:
    """Put the two kernels in place; the cache keeps the library, whose kernels would go with it."""
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):  # what torch.compile calls: not public, so it may go
        return None
    library = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a kernel is replaced
        library.impl("mm", mm, "CPU")  # type: ignore[no-untyped-call]
        library.impl("addmm", addmm, "CPU")  # type: ignore[no-untyped-call]
    return library


def mm(a: Tensor, b: Tensor) -> Tensor:
    """A (n, k) times B (k, m), any type."""
    if suits(a, b):
        return _linear(a, b, None)
    return torch.ops.aten.mm.out(a, b, out=a.new_empty(0))  # type: ignore[no-any-return]


def addmm(add: Tensor, a: Tensor, b: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta · add + alpha · A (n, k) B (k, m), any type; `add` is broadcast to (n, m)."""
    if suits(a, b) and add.shape == b.shape[1:] and add.dtype == a.dtype and beta == alpha == 1:
        return _linear(a, b, add)
    return torch.ops.aten.addmm.out(add, a, b, beta=beta, alpha=alpha, out=a.new_empty(0))  # type: ignore[no-any-return]


def suits(a: Tensor, b: Tensor) -> bool:
    """Large matrices of float32 without gaps, by rows or by columns; others go the usual way, with its errors.

    For matrices with gaps oneDNN has its reference loops alone, a hundred times slower.
    """
    if a.dtype is not torch.float32 or b.dtype is not torch.float32 or a.dim() != 2 or b.dim() != 2:
        return False
    (n, k), (rows, m) = a.shape, b.shape
    if k != rows or min(n, k, m) < NARROW or n * k * m < LARGE:
        return False
    return (_lies_by_rows(a) or (_lies_by_rows(a.t()) and m >= WIDE)) and (_lies_by_rows(b) or _lies_by_rows(b.t()))


def _lies_by_rows(a: Tensor) -> bool:
    return a.stride() == (a.shape[1], 1)


def _linear(a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(a, b.t(), bias, "none", [], "")  # type: ignore[no-any-return]
