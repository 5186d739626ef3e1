"""What a ranking is worth, query by query. Every name states its denominator: libraries mean different things by mAP@k.
mAP@200.

`hits` is (Q, n) bool: whether the gallery item at rank 1..n of a query is relevant, nearest first. All functions return
(Q,) float64, and a query without any relevant item has the value 0 and is counted: it is never dropped from a mean.
"""

import torch
from torch import Tensor


def precision_at_k(hits: Tensor, k: int) -> Tensor:
    """Share of relevant items among the first k; divides by k, always, also where fewer than k are relevant.

    >>> precision_at_k(torch.tensor([[True, False, False, True]]), 4).tolist()  # 2 / 4
    [0.5]
    """
    return hits[:, :k].sum(1, dtype=torch.float64) / k


def map_at_k_k(hits: Tensor, k: int) -> Tensor:
    """Average precision of the first k ranks divided by the constant k, as in the source of the zero-shot rows.

    Never above `precision_at_k`.

    >>> map_at_k_k(torch.tensor([[True, False, False, True]]), 4).tolist()  # (1/1 + 2/4) / 4
    [0.375]
    """
    return _sum_of_precisions(hits[:, :k])[0] / k


def map_at_k_hits(hits: Tensor, k: int) -> Tensor:
    """Average precision of the first k ranks divided by the hits among them (0 without a hit).

    It rewards finding little: one hit at rank 1 and none after it scores 1.

    >>> map_at_k_hits(torch.tensor([[True, False, False, True], [True, False, False, False]]), 4).tolist()
    [0.75, 1.0]
    """
    precisions, count = _sum_of_precisions(hits[:, :k])
    return precisions / count.clamp(min=1)


def map_at_k_min(hits: Tensor, k: int, num_relevant: Tensor) -> Tensor:
    """Average precision of the first k ranks divided by min(R, k); R (Q,) is all that is relevant in the gallery.

    A perfect ranking scores 1 for every query with R > 0.

    >>> map_at_k_min(torch.tensor([[True, False, False, True]]), 4, torch.tensor([3])).tolist()  # (1/1 + 2/4) / 3
    [0.5]
    """
    return _sum_of_precisions(hits[:, :k])[0] / num_relevant.clamp(min=1, max=k)


def map_all(hits: Tensor) -> Tensor:
    """Average precision of the whole ranking: `hits` covers the whole gallery, the divisor is all that is relevant.

    >>> map_all(torch.tensor([[False, True, False, True, False]])).tolist()  # (1/2 + 2/4) / 2
    [0.5]
    """
    precisions, count = _sum_of_precisions(hits)
    return precisions / count.clamp(min=1)


def acc_at_k(own: Tensor, k: int) -> Tensor:
    """Whether the query's own instance is among the first k; `own` is (Q, n) bool like `hits`, by instance.

    >>> own = torch.tensor([[False, True, False, False, False, False], [False, False, False, False, False, True]])
    >>> [acc_at_k(own, k).tolist() for k in (1, 5, 10)]
    [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]
    """
    return own[:, :k].any(1).double()


def recall_at_k(hits: Tensor, k: int) -> Tensor:
    """Whether anything relevant is among the first k: "Recall@K" of deep metric learning, not of information retrieval.

    The source calls a query found where fewer than k others are strictly nearer than its best; here ties are ranked.

    >>> recall_at_k(torch.tensor([[False, True, False, True], [False, False, False, True]]), 2).tolist()
    [1.0, 0.0]
    """
    return hits[:, :k].any(1).double()


def _sum_of_precisions(hits: Tensor) -> tuple[Tensor, Tensor]:
    """The sum over the hits of each row of the precision at their ranks, float64, and their number, (Q,) each."""
    row, place = hits.nonzero(as_tuple=True)
    count = torch.bincount(row, minlength=len(hits))
    number = torch.arange(1, len(row) + 1, device=hits.device) - (count.cumsum(0) - count)[row]  # of its row's hits
    return torch.segment_reduce(number / (place + 1).double(), "sum", lengths=count, initial=0.0), count
