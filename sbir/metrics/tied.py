"""What a ranking with ties is worth: the expected value of each metric when equal distances are ordered at random.

Items of equal distance form a group. `items` and `relevant` are (Q, L): how many gallery items, and how many relevant
ones, lie in the groups 0..L-1 of each query, nearest first. All functions return (Q,) float64, are exact, and agree
with `sbir.metrics.ranked` where no two items tie; a query without any relevant item has the value 0. After F. McSherry
and M. Najork, "Computing Information Retrieval Performance Measures Efficiently in the Presence of Tied Scores" (ECIR
2008).
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Groups:
    """Counts of the groups of Q queries, and what comes before each group; (Q, L) float64 all."""

    items: Tensor
    relevant: Tensor
    items_before: Tensor
    relevant_before: Tensor


def groups(items: Tensor, relevant: Tensor) -> Groups:
    """Of counts (Q, L) of any integer type."""
    items, relevant = items.double(), relevant.double()
    return Groups(items, relevant, items.cumsum(1) - items, relevant.cumsum(1) - relevant)


def precision_at_k(of: Groups, k: int) -> Tensor:
    """Expected share of relevant items among the first k ranks; divides by k, always.

    >>> one_tie = groups(torch.tensor([[1, 4]]), torch.tensor([[1, 2]]))
    >>> precision_at_k(one_tie, 3).tolist()  # (1 + 2 · 2/4) / 3
    [0.6666666666666666]
    """
    return (of.relevant * _taken(of, k) / of.items.clamp(min=1)).sum(1) / k


def map_at_k_k(of: Groups, k: int) -> Tensor:
    """Expected average precision of the first k ranks divided by the constant k."""
    return _sum_of_precisions(of, k).sum(1) / k


def map_at_k_min(of: Groups, k: int) -> Tensor:
    """Expected average precision of the first k ranks divided by min(R, k)."""
    return _sum_of_precisions(of, k).sum(1) / of.relevant.sum(1).clamp(min=1, max=k)


def map_all(of: Groups) -> Tensor:
    """Expected average precision of the whole ranking.

    >>> map_all(groups(torch.tensor([[2]]), torch.tensor([[1]]))).tolist()  # first or second: (1 + 1/2) / 2
    [0.75]
    """
    return _sum_of_precisions(of, int(of.items.sum(1).max())).sum(1) / of.relevant.sum(1).clamp(min=1)


def map_at_k_hits(of: Groups, k: int) -> Tensor:
    """Expected average precision of the first k ranks divided by the hits among them, which are random themselves.

    Only the group that rank k falls into leaves the number of its hits h among the m ranks taken from it open: h is
    hypergeometric, and given h these ranks are a random order of m items with h relevant ones.

    >>> map_at_k_hits(groups(torch.tensor([[2]]), torch.tensor([[1]])), 1).tolist()  # a hit or none
    [0.5]
    """
    taken = _taken(of, k)
    cut = ((taken > 0) & (taken < of.items)).double()  # Q, L: at most one group a query
    whole = (_sum_of_precisions(of, k) * (1 - cut)).sum(1)
    hits_before = (of.relevant * (taken >= of.items)).sum(1)
    items, relevant, ranks, before = ((x * cut).sum(1) for x in (of.items, of.relevant, taken, of.items_before))
    hits = torch.arange(k + 1, dtype=torch.float64, device=items.device)  # Q, H from here on
    column = [x[:, None] for x in (items, relevant, ranks, before, hits_before, whole)]
    items, relevant, ranks, before, hits_before, whole = column
    chances = _hypergeometric(hits, items, relevant, ranks)
    group = _expected_precisions(ranks, hits, before, hits_before, ranks)
    return (chances * (whole + group) / (hits_before + hits).clamp(min=1)).sum(1)


def map_all_bounds(of: Groups) -> tuple[Tensor, Tensor]:
    """Average precision of the whole ranking in the worst and in the best order of the ties.

    >>> [bound.tolist() for bound in map_all_bounds(groups(torch.tensor([[2]]), torch.tensor([[1]])))]
    [[0.5], [1.0]]
    """
    harmonic = _harmonic(int(of.items.sum(1).max()))
    bounds = []
    for lead in (of.items - of.relevant, torch.zeros_like(of.items)):  # irrelevant items of the group that come first
        start = of.items_before + lead
        terms = _between(harmonic, start, start + of.relevant)
        # Relevant item i of the group stands at rank start + i with relevant_before + i hits so far.
        precisions = of.relevant + (of.relevant_before - start) * terms
        bounds.append(precisions.sum(1) / of.relevant.sum(1).clamp(min=1))
    return bounds[0], bounds[1]


def precision_at_k_bounds(of: Groups, k: int) -> tuple[Tensor, Tensor]:
    """Precision of the first k ranks in the worst and in the best order of the ties."""
    taken = _taken(of, k)
    worst = (taken - (of.items - of.relevant)).clamp(min=0)
    return worst.sum(1) / k, torch.minimum(taken, of.relevant).sum(1) / k


def acc_at_k(items: Tensor, own: Tensor, k: int) -> Tensor:
    """Probability that one of the query's own items is among the first k ranks; `own` (Q, L) counts them by group.

    >>> acc_at_k(torch.tensor([[4]]), torch.tensor([[1]]), 2).tolist()
    [0.5]
    """
    of = groups(items, own)
    taken = _taken(of, k)
    none = _hypergeometric(torch.zeros_like(taken), of.items, of.relevant, taken)
    return 1 - none.prod(1)


def _taken(of: Groups, k: int) -> Tensor:
    """How many of the first k ranks lie in each group, (Q, L)."""
    return torch.minimum(of.items, (k - of.items_before).clamp(min=0))


def _sum_of_precisions(of: Groups, k: int) -> Tensor:
    """Expected sum of the precisions at the relevant ones among the first k ranks, by group, (Q, L)."""
    return _expected_precisions(of.items, of.relevant, of.items_before, of.relevant_before, _taken(of, k))


def _expected_precisions(
    items: Tensor, relevant: Tensor, items_before: Tensor, relevant_before: Tensor, ranks: Tensor
) -> Tensor:
    """Over the first `ranks` ranks of groups of n items with r relevant ones, the sum of P(relevant) x precision.

    Rank i of a group is relevant with probability r/n, and given that, each earlier one is with (r-1)/(n-1): the sum
    over i of r/n · (before + 1 + (i-1) (r-1)/(n-1)) / (items_before + i), in closed form by harmonic numbers.
    """
    harmonic = _harmonic(int((items_before + items).max()))
    inverse_ranks = _between(harmonic, items_before, items_before + ranks)
    earlier = (relevant - 1).clamp(min=0) / (items - 1).clamp(min=1)
    steps = ranks - (items_before + 1) * inverse_ranks  # the sum of (i-1) / (items_before + i)
    return relevant / items.clamp(min=1) * ((relevant_before + 1) * inverse_ranks + earlier * steps)


def _harmonic(size: int) -> Tensor:
    """H_0..H_size, float64."""
    inverse = 1 / torch.arange(1, size + 1, dtype=torch.float64)
    return torch.cat([torch.zeros(1, dtype=torch.float64), inverse.cumsum(0)])


def _between(harmonic: Tensor, start: Tensor, stop: Tensor) -> Tensor:
    """The sum of 1/rank over start < rank <= stop."""
    table = harmonic.to(start.device)
    return table[stop.long()] - table[start.long()]


def _hypergeometric(hits: Tensor, items: Tensor, relevant: Tensor, draws: Tensor) -> Tensor:
    """Probability of `hits` relevant ones in `draws` out of `items`, of which `relevant` are; 0 where impossible."""
    low, high = (draws - (items - relevant)).clamp(min=0), torch.minimum(draws, relevant)
    possible = (low <= hits) & (hits <= high)
    found = torch.minimum(torch.maximum(hits, low), high)
    logs = _log_choose(relevant, found) + _log_choose(items - relevant, draws - found) - _log_choose(items, draws)
    return torch.where(possible, logs.exp(), 0)


def _log_choose(n: Tensor, k: Tensor) -> Tensor:
    return torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
