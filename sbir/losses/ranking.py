"""Losses on distances between a query and gallery items of several roles."""

import torch
from torch import Tensor

EPS = 1e-6  # torch's PairwiseDistance adds it to every difference, and so did the source


def euclidean(first: Tensor, second: Tensor) -> Tensor:
    """Distance of row i to row i, (B, D), (B, D) -> (B,), as `nn.PairwiseDistance` computes it."""
    distance: Tensor = torch.linalg.vector_norm(first - second + EPS, dim=1)
    return distance


def double_margin(positive: Tensor, same_class: Tensor, negative: Tensor, margin1: float, margin2: float) -> Tensor:
    """The ranking loss of cross-modal domain translation: own photo before class before the rest.

    Distances (B,) each -> scalar. Asks 0 <= d_p <= d_u - margin1 and d_u <= d_n - margin2, all three squared:
    mean of (d_p^2 + max(0, d_p - d_u + margin1)^2 + max(0, d_u - d_n + margin2)^2) / 3.
    Source: SJTU ZS-SBIR code, triplet_loss.py (2019).

    >>> double_margin(torch.tensor([1.]), torch.tensor([3.]), torch.tensor([4.]), 0., 10.).item()
    27.33333396911621
    """
    own = positive.square()
    within = (positive - same_class + margin1).relu().square()
    between = (same_class - negative + margin2).relu().square()
    return (own + within + between).mean() / 3


def contrastive(positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """The pairwise (Siamese) loss in the form that halves both parts, (B,), (B,) -> scalar.

    mean of d_p^2 / 2 + max(0, margin - d_n)^2 / 2 (Hadsell et al. 2006, with distances of a pair each).

    >>> contrastive(torch.tensor([2.]), torch.tensor([7.]), 10.).item()
    6.5
    """
    return (positive.square() + (margin - negative).relu().square()).mean() / 2


def energy(positive: Tensor, negative: Tensor, bound: float) -> Tensor:
    """The pairwise (Siamese) loss with an exponential fall, (B,), (B,) -> scalar, halved as `contrastive` is.

    mean of d_p^2 / Q + Q exp(-2.77 d_n / Q): half of (2 / Q) d_p^2 and of 2 Q exp(-2.77 d_n / Q), with Q the `bound`
    (Chopra et al. 2005, as the SJTU ZS-SBIR code of 2019 writes it).

    >>> energy(torch.tensor([2.]), torch.tensor([1e9]), 10.).item(), energy(torch.zeros(1), torch.zeros(1), 10.).item()
    (0.4000000059604645, 10.0)
    """
    return (positive.square() / bound + bound * (-2.77 * negative / bound).exp()).mean()


def triplet(positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Positive nearer than negative by a margin, distances (B,), (B,) -> scalar: mean of max(0, margin + d_p - d_n).

    >>> triplet(torch.tensor([2., 2.]), torch.tensor([7., 2.5]), 1.).item()
    0.25
    """
    return (margin + positive - negative).relu().mean()


def linear_contrastive(positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """The pairwise loss without squares, distances (B,), (B,) -> scalar: mean of d_p + max(0, margin - d_n).

    Source: the ranking term of bi-directional domain translation (Li et al. 2019, https://arxiv.org/abs/1911.13251).

    >>> linear_contrastive(torch.tensor([2.]), torch.tensor([7.]), 10.).item()
    5.0
    """
    return (positive + (margin - negative).relu()).mean()
