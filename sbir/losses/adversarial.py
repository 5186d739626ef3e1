"""What a critic, and who tries to fool it, minimise: losses on logits of any shape."""

from typing import Literal

from torch import Tensor
from torch.nn import functional

Objective = Literal["bce", "lsgan"]
OBJECTIVES = ("bce", "lsgan")


def judge(real: Tensor, fake: Tensor, objective: Objective = "bce") -> Tensor:
    """Loss of the critic, logits of real and of fake rows -> scalar.

    "bce": mean of -log D(real) plus mean of -log(1 - D(fake)), D the sigmoid of the logit (Goodfellow et al. 2014,
    https://arxiv.org/abs/1406.2661). "lsgan": half the mean of (real - 1)^2 plus half the mean of fake^2 (Mao et al.
    2017, https://arxiv.org/abs/1611.04076, with targets 0 and 1).

    >>> import torch
    >>> judge(torch.zeros(2), torch.zeros(2)).item()  # 2 log 2: it cannot tell
    1.3862943649291992
    """
    if objective == "bce":
        return functional.softplus(-real).mean() + functional.softplus(fake).mean()
    return ((real - 1).square().mean() + fake.square().mean()) / 2


def fool(fake: Tensor, objective: Objective = "bce") -> Tensor:
    """Loss of who made the fake rows: mean of -log D(fake), or half the mean of (fake - 1)^2 -> scalar.

    >>> import torch
    >>> fool(torch.tensor([3.0]), "lsgan").item()
    2.0
    """
    return functional.softplus(-fake).mean() if objective == "bce" else (fake - 1).square().mean() / 2
