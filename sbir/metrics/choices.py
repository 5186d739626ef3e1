"""People's choices between two photos for a sketch, and how many of them a ranking makes alike.

The share of triplets ranked correctly, which Q. Yu et al., "Sketch Me That Shoe" (CVPR 2016), report beside acc@1.
"""

import torch
from torch import Tensor


def agreement(positions: Tensor, chosen: Tensor) -> Tensor:
    """Ranked gallery positions (Q, G) and those of the choices (Q, T, 2) -> share of each query's pairs whose first
    photo is ranked before its second, (Q,) float64.

    >>> agreement(torch.tensor([[2, 0, 1]]), torch.tensor([[[2, 1], [1, 0], [-1, -1]]]))
    tensor([0.5000], dtype=torch.float64)
    """
    every = torch.arange(positions.shape[1], device=positions.device)
    ranks = torch.empty_like(positions).scatter_(1, positions, every.expand_as(positions))
    return _share(_take(ranks, chosen), chosen)


def tied_agreement(query: Tensor, gallery: Tensor, chosen: Tensor) -> Tensor:
    """As `agreement`, in expectation over the order of ties, of codes (Q, K) and (G, K) of -1 and +1."""
    return _share(_take(-(query @ gallery.T), chosen), chosen)


def _take(values: Tensor, chosen: Tensor) -> Tensor:
    """Values (Q, G) of the photos of each pair, (Q, T, 2)."""
    return values.gather(1, chosen.clamp(min=0).flatten(1)).view_as(chosen)


def _share(values: Tensor, chosen: Tensor) -> Tensor:
    """Smaller values are nearer; an equal pair counts one half."""
    first, second = values.unbind(2)
    alike = (first < second).double() + (first == second).double() / 2
    there = chosen[:, :, 0] >= 0
    return (alike * there).sum(1) / there.sum(1)
