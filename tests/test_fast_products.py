"""Products by oneDNN: the same as torch's own but for rounding, whatever the matrices look like, gradients included."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sbir import fast_products
from sbir.fast_products import addmm, mm

ULP = 2.0**-23

BY_ROWS, BY_COLUMNS, WITH_GAPS, REPEATED = range(4)


def laid(matrix: Tensor, how: int) -> Tensor:
    """The same values, lying otherwise in memory."""
    rows, columns = matrix.shape
    if how == BY_COLUMNS:
        return matrix.t().contiguous().t()
    if how == WITH_GAPS:
        wider = torch.zeros(rows, columns + 7)
        wider[:, :columns] = matrix
        return wider[:, :columns]
    return matrix[:1].expand(rows, columns) if how == REPEATED else matrix.contiguous()


@pytest.mark.parametrize("right", range(4))
@pytest.mark.parametrize("left", range(4))
@pytest.mark.parametrize(("n", "k", "m"), [(64, 320, 512), (300, 64, 300), (1, 2048, 2048), (2048, 1, 2048), (3, 4, 5)])
def test_products_equal_those_in_float64(n: int, k: int, m: int, left: int, right: int) -> None:
    generator = torch.Generator().manual_seed(n + k + m)
    a, b = torch.randn(n, k, generator=generator), torch.randn(k, m, generator=generator)
    a, b, add = laid(a, left), laid(b, right), torch.randn(m, generator=generator)
    exact = a.double() @ b.double()
    in_any_order = 2 * k * ULP * (a.double().abs() @ b.double().abs())
    bound = in_any_order + ULP * (exact.abs() + add.abs())
    assert ((mm(a, b).double() - exact).abs() <= bound).all()
    assert ((addmm(add, a, b).double() - (exact + add)).abs() <= bound).all()
    assert ((addmm(add, a, b, beta=2, alpha=3).double() - (3 * exact + 2 * add)).abs() <= 5 * bound).all()


def test_which_products_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[int, ...]] = []

    def linear(a: Tensor, b: Tensor, _: Tensor | None) -> Tensor:
        taken.append((*a.shape, b.shape[1]))
        return a @ b

    monkeypatch.setattr(fast_products, "_linear", linear)
    wide, gaps = torch.ones(512, 512), torch.ones(512, 600)[:, :512]
    mm(wide, wide.t())
    mm(wide.t(), wide)
    addmm(torch.ones(512), wide, wide)
    assert taken == 3 * [(512, 512, 512)]
    for a, b in [(gaps, wide), (wide, gaps), (wide[:4], wide), (wide[:, :4], wide[:4]), (wide[:8, :8], wide[:8, :8])]:
        mm(a, b)  # oneDNN is slow on gaps, torch on nothing small
    mm(wide.double(), wide.double())
    addmm(wide, wide, wide)
    addmm(torch.ones(512, 1), wide, wide)
    addmm(torch.ones(1), wide, wide)
    assert len(taken) == 3


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16, torch.int64, torch.complex64])
def test_other_types_stay_torchs(kind: torch.dtype) -> None:
    a = torch.arange(256 * 256).view(256, 256).remainder(7).to(kind)
    assert torch.equal(mm(a, a.t()), torch.mm(a, a.t()))
    assert torch.equal(addmm(a[0], a, a), torch.addmm(a[0], a, a))


def test_errors_stay_torchs() -> None:
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        mm(torch.ones(512, 512), torch.ones(511, 512))
    with pytest.raises(RuntimeError, match=r"must be a matrix|must be 2"):
        mm(torch.ones(512), torch.ones(512, 512))
    with pytest.raises(RuntimeError, match=r"must be a matrix|must be 2"):
        mm(torch.ones(512, 512), torch.ones(512))
    with pytest.raises(RuntimeError, match=r"same dtype|scalar type"):
        mm(torch.ones(512, 512), torch.ones(512, 512).double())


PROGRAM = """
import torch
from torch.nn import functional
from sbir import fast_products
assert fast_products._replace()
generator = torch.Generator().manual_seed(0)
x, w, b = (torch.randn(*shape, generator=generator) for shape in ((64, 2048), (512, 2048), (512,)))
w.requires_grad_(), b.requires_grad_(), x.requires_grad_()
y = functional.linear(x, w, b)
y.square().sum().backward()
dy = (2 * y).detach()
own = torch.ops.mkldnn._linear_pointwise
with torch.no_grad():
    assert torch.equal(y, own(x, w, b, "none", [], ""))
    assert torch.equal(x.grad, own(dy, w.t(), None, "none", [], ""))
    assert torch.equal(w.grad, own(dy.t(), x.t(), None, "none", [], ""))
    assert torch.allclose(b.grad, dy.sum(0))
    with torch.autocast("cpu", torch.bfloat16):
        assert (x @ w.t()).dtype is torch.bfloat16
    deep = torch.randn(3, 64, 2048, generator=generator)
    assert torch.equal(functional.linear(deep, w, b)[1], functional.linear(deep[1], w, b))
    assert (x.double() @ w.double().t() - x @ w.t()).abs().max() < 1e-3
torch.set_num_threads(2)
with torch.no_grad():
    assert torch.equal(y, functional.linear(x, w, b))
print("same")
"""


def test_once_in_place_torch_itself_multiplies_so_forward_and_backward() -> None:
    said = subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], check=False, capture_output=True, text=True)
    assert (said.returncode, said.stdout, said.stderr) == (0, "same\n", "")


@pytest.mark.parametrize(
    ("cpuinfo", "capability", "mkl", "served"),
    [
        ("vendor_id\t: AuthenticAMD\n", "AVX512", True, True),
        ("vendor_id\t: GenuineIntel\n", "AVX512", True, False),
        ("vendor_id\t: AuthenticAMD\n", "AVX2", True, False),
        ("vendor_id\t: AuthenticAMD\n", "AVX512", False, False),
        (None, "AVX512", True, False),
    ],
)
def test_processors_that_are_served(
    cpuinfo: str | None, capability: str, mkl: bool, served: bool, tmp_path: Path
) -> None:
    if cpuinfo is not None:
        (tmp_path / "cpuinfo").write_text(cpuinfo)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast_products, "_PROCESSOR", tmp_path / "cpuinfo")
        patch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
        patch.setattr(torch.backends.mkl, "is_available", lambda: mkl)
        assert fast_products._is_served() is served
