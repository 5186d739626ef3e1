"""Adversarial losses against their definition by probabilities, as a loop."""

import math

import pytest
import torch

from sbir.losses.adversarial import fool, judge


def test_bce_is_the_log_likelihood_of_the_right_answer() -> None:
    real, fake = torch.randn(6, dtype=torch.float64), torch.randn(4, dtype=torch.float64)

    def probability(logit: float) -> float:
        return 1 / (1 + math.exp(-logit))

    right = sum(-math.log(probability(x)) for x in real.tolist()) / 6
    right += sum(-math.log(1 - probability(x)) for x in fake.tolist()) / 4
    assert judge(real, fake).item() == pytest.approx(right)
    fooled = sum(-math.log(probability(x)) for x in fake.tolist()) / 4
    assert fool(fake).item() == pytest.approx(fooled)


def test_lsgan_worked_by_hand() -> None:
    """Real 1 and 3, fake -2: ((0 + 4) / 2 + 4) / 2 = 3; fooling (-2 - 1)^2 / 2 = 4.5."""
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([-2.0])
    assert judge(real, fake, "lsgan").item() == pytest.approx(3.0)
    assert fool(fake, "lsgan").item() == pytest.approx(4.5)
    assert judge(torch.ones(2), torch.zeros(2), "lsgan").item() == 0.0


def test_a_sure_critic_gives_finite_losses_and_a_gradient() -> None:
    fake = torch.tensor([-200.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(fool(fake), fake)
    assert gradient.item() == pytest.approx(-1.0)
    assert judge(torch.tensor([200.0]), torch.tensor([200.0])).item() == pytest.approx(200.0)
