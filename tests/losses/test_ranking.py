"""Losses on distances against the formula, written as a loop over the batch."""

import math

import pytest
import torch

from sbir.losses.ranking import contrastive, double_margin, energy, euclidean, linear_contrastive, triplet


def distances(seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [20 * torch.rand(16, generator=generator, dtype=torch.float64) for _ in range(3)]


def test_euclidean_is_torchs_pairwise_distance() -> None:
    first, second = torch.randn(8, 5), torch.randn(8, 5)
    assert torch.equal(euclidean(first, second), torch.nn.PairwiseDistance(p=2, eps=1e-6)(first, second))


def test_euclidean_of_equal_rows_has_a_gradient() -> None:
    point = torch.zeros(2, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(euclidean(point, torch.zeros(2, 3)).sum(), point)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("margins", [(0.0, 10.0), (1.0, 10.0), (3.0, 2.0)])
def test_double_margin_is_the_formula_of_the_source(margins: tuple[float, float]) -> None:
    own, same, other = distances(0)
    total = 0.0
    for p, u, n in zip(own.tolist(), same.tolist(), other.tolist(), strict=True):
        total += p**2 + max(0.0, p - u + margins[0]) ** 2 + max(0.0, u - n + margins[1]) ** 2
    assert double_margin(own, same, other, *margins).item() == pytest.approx(total / 3 / 16)


def test_double_margin_worked_by_hand() -> None:
    """d_p = 2, d_u = 3, d_n = 8, margins 2 and 10: (4 + (2-3+2)^2 + (3-8+10)^2) / 3 = 30 / 3."""
    two, three, eight = torch.tensor([2.0]), torch.tensor([3.0]), torch.tensor([8.0])
    assert double_margin(two, three, eight, 2.0, 10.0).item() == pytest.approx(10.0)
    assert double_margin(torch.zeros(1), three, torch.tensor([13.0]), 3.0, 10.0).item() == 0.0


def test_contrastive_is_half_of_both_squares() -> None:
    own, other, _ = distances(1)
    total = sum(0.5 * p**2 + 0.5 * max(0.0, 10.0 - n) ** 2 for p, n in zip(own.tolist(), other.tolist(), strict=True))
    assert contrastive(own, other, 10.0).item() == pytest.approx(total / 16)
    assert contrastive(torch.zeros(1), torch.tensor([10.0]), 10.0).item() == 0.0


@pytest.mark.parametrize("bound", [1.0, 10.0, 500.0])
def test_energy_is_half_of_both_parts_of_the_formula(bound: float) -> None:
    own, other, _ = distances(2)
    total = 0.0
    for p, n in zip(own.tolist(), other.tolist(), strict=True):
        total += 0.5 * (2 / bound) * p**2 + 0.5 * 2 * bound * math.exp(-2.77 / bound * n)
    assert energy(own, other, bound).item() == pytest.approx(total / 16)


def test_energy_worked_by_hand() -> None:
    """d_p = 4, Q = 2: 16 / 2 = 8; d_n = 2 gives 2 e^-2.77 = 0.1253."""
    assert energy(torch.tensor([4.0]), torch.tensor([2.0]), 2.0).item() == pytest.approx(8.1253, abs=1e-4)


def test_triplet_is_the_hinge_on_the_difference() -> None:
    own, other, _ = distances(3)
    total = sum(max(0.0, 5.0 + p - n) for p, n in zip(own.tolist(), other.tolist(), strict=True))
    assert triplet(own, other, 5.0).item() == pytest.approx(total / 16)
    assert triplet(torch.zeros(1), torch.tensor([5.0]), 5.0).item() == 0.0


def test_linear_contrastive_has_no_squares() -> None:
    own, other, _ = distances(4)
    total = sum(p + max(0.0, 10.0 - n) for p, n in zip(own.tolist(), other.tolist(), strict=True))
    assert linear_contrastive(own, other, 10.0).item() == pytest.approx(total / 16)
    assert linear_contrastive(torch.zeros(1), torch.tensor([10.0]), 10.0).item() == 0.0
