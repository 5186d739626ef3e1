"""Terms of variational auto-encoders against torch's own distributions and hand-worked numbers."""

import math

import pytest
import torch

from sbir.losses.variational import cosine_overlap, kl_to_standard_normal, num_active_units


def test_kl_is_that_of_torchs_distributions_summed_over_units() -> None:
    mean, logvar = torch.randn(7, 5, dtype=torch.float64), torch.randn(7, 5, dtype=torch.float64)
    normal = torch.distributions.Normal(mean, (0.5 * logvar).exp())
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
    assert kl_to_standard_normal(mean, logvar).item() == pytest.approx(expected.item())


def test_kl_is_in_nats() -> None:
    """N(0, e^2) against N(0, 1): (e^2 - 1 - 2) / 2."""
    logvar = torch.full((3, 1), 2.0, dtype=torch.float64)
    assert kl_to_standard_normal(torch.zeros_like(logvar), logvar).item() == pytest.approx((math.e**2 - 3) / 2)


def test_active_units_are_those_that_vary_by_more_than_a_hundredth() -> None:
    """Values ±a have the sample variance 2 a^2: 0.0098 for a = 0.07, 0.0128 for a = 0.08."""
    mean = torch.tensor([[0.07, 0.08, 5.0], [-0.07, -0.08, 5.0]])
    assert num_active_units(mean).item() == 1


def test_cosine_overlap_is_the_mean_over_rows() -> None:
    first = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 4.0]])
    second = torch.tensor([[2.0, 0.0], [5.0, 0.0], [-3.0, -4.0]])  # cosines 1, 0, -1
    assert cosine_overlap(first, second).item() == pytest.approx(0.0, abs=1e-7)
    assert cosine_overlap(first, first).item() == pytest.approx(1.0)
