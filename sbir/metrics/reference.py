"""What no method has to earn (chance) and what none can pass (ceiling), for the counts of one protocol. Both exact."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from sbir.metrics.identity import (
    ACCURACIES,
    AGREEMENT,
    Identity,
    count_matches,
    count_relevant,
    metric_names,
    num_candidates,
)

Figure = Callable[[Tensor], Tensor]
"""Relevant gallery items R of each query (Q,) float64, at least 1 -> value of one metric for each (Q,)."""


def chance(query: Identity, gallery: Identity, k: int, recall: Sequence[int] = ()) -> dict[str, float]:
    """Expected value of every metric under a uniformly random ranking, in closed form.

    With R relevant among G items, rank i is relevant with probability R/G, and given that, each earlier rank is with
    (R-1)/(G-1). So the expected sum of precisions over the first n ranks, sum over i of E[rel_i P(i)], is
    R/G · H_n + R(R-1)/(G(G-1)) · (n - H_n), H_n the harmonic number; mAP with a constant divisor divides it.
    `map_at_k_hits` divides by the h hits among the first k ranks: given h these are a random ranking of k items with h
    relevant ones, so that the same sum with R = h, G = k, divided by h, is linear in h for h > 0. `acc_at_n` is the
    chance that the first n ranks hold one of the query's own photos, `recall_at_n` that they hold anything relevant;
    of two photos either is as likely the nearer one.
    """
    size = num_candidates(query, gallery)

    def sum_of_precisions(relevant: Tensor) -> Tensor:
        return _sum_of_precisions(relevant, size, k)

    def hits(relevant: Tensor) -> Tensor:
        some, harmonic = 1 - _none_among(relevant, size, k), _harmonic(k)  # P(h > 0), H_k
        later = (k - harmonic) / (k * max(k - 1, 1))
        return some * harmonic / k + (k * relevant / size - some) * later

    by_class: dict[str, Figure] = {
        f"precision_at_{k}": lambda relevant: relevant / size,
        f"map_at_{k}_k": lambda relevant: sum_of_precisions(relevant) / k,
        f"map_at_{k}_hits": hits,
        f"map_at_{k}_min": lambda relevant: sum_of_precisions(relevant) / relevant.clamp(max=k),
        "map_all": lambda relevant: _sum_of_precisions(relevant, size, size) / relevant,
        **{f"recall_at_{n}": _chance_of_any(size, n) for n in recall},
    }
    by_instance: dict[str, Figure] = {f"acc_at_{n}": _chance_of_any(size, min(n, size)) for n in ACCURACIES}
    names = metric_names(query, gallery, k, recall)
    return _means(query, gallery, names, by_class, by_instance, agreement=0.5)


def ceiling(query: Identity, gallery: Identity, k: int, recall: Sequence[int] = ()) -> dict[str, float]:
    """Value of every metric under a perfect ranking.

    Below 1 where fewer than k gallery items of a class divide by k, and where queries have nothing relevant to find.
    Agreement with people's choices is 1 although choices that contradict each other would keep it below.
    """
    by_class: dict[str, Figure] = {
        f"precision_at_{k}": lambda relevant: relevant.clamp(max=k) / k,
        f"map_at_{k}_k": lambda relevant: relevant.clamp(max=k) / k,
        f"map_at_{k}_hits": torch.ones_like,
        f"map_at_{k}_min": torch.ones_like,
        "map_all": torch.ones_like,
        **{f"recall_at_{n}": torch.ones_like for n in recall},
    }
    by_instance: dict[str, Figure] = {f"acc_at_{n}": torch.ones_like for n in ACCURACIES}
    names = metric_names(query, gallery, k, recall)
    return _means(query, gallery, names, by_class, by_instance, agreement=1.0)


def _means(
    query: Identity,
    gallery: Identity,
    names: Sequence[str],
    by_class: Mapping[str, Figure],
    by_instance: Mapping[str, Figure],
    *,
    agreement: float,
) -> dict[str, float]:
    """Mean over queries, 0 for those with nothing relevant: as the metrics themselves count them."""
    relevant = count_relevant(query, gallery).double()
    own = count_matches(query.instances, gallery.instances).double()
    values = {name: torch.where(relevant > 0, figure(relevant.clamp(min=1)), 0) for name, figure in by_class.items()}
    values |= {name: torch.where(own > 0, figure(own.clamp(min=1)), 0) for name, figure in by_instance.items()}
    values[AGREEMENT] = torch.full_like(relevant, agreement)
    return {name: values[name].mean().item() for name in names}


def _sum_of_precisions(relevant: Tensor, size: int, ranks: int) -> Tensor:
    first, pair = relevant / size, relevant * (relevant - 1) / (size * max(size - 1, 1))
    return first * _harmonic(ranks) + pair * (ranks - _harmonic(ranks))


def _harmonic(count: int) -> float:
    return sum(1 / rank for rank in range(1, count + 1))


def _chance_of_any(size: int, ranks: int) -> Figure:
    return lambda relevant: 1 - _none_among(relevant, size, ranks)


def _none_among(relevant: Tensor, size: int, ranks: int) -> Tensor:
    """Probability that the first ranks hold none of the relevant items: product of (G - R - i) / (G - i)."""
    index = torch.arange(ranks, dtype=torch.float64, device=relevant.device)
    numbers, place = torch.unique(relevant, return_inverse=True)
    none: Tensor = ((size - numbers[:, None] - index).clamp(min=0) / (size - index)).prod(1)
    return none[place]
