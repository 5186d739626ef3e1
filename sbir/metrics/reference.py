"""What no method has to earn (chance) and what none can pass (ceiling), for the counts of one protocol."""

import numpy as np
import torch
from numpy.typing import NDArray

from sbir.metrics.retrieval import Identity, count_matches, metric_names


def chance(query: Identity, gallery: Identity, k: int) -> dict[str, float]:
    """Expected value of every metric under a uniformly random ranking, exact.

    With R relevant among G items, rank i is relevant with probability R/G, and given that, each earlier rank with
    (R-1)/(G-1): so E[rel_i P(i)] = R/G * (1 + (i-1)(R-1)/(G-1)) / i, summed for the mAP variants with a constant
    divisor. `map_at_k_hits` divides by a random number of hits: the sum runs over its hypergeometric distribution.
    """
    return _per_relevant(query, gallery, k, _chance)


def ceiling(query: Identity, gallery: Identity, k: int) -> dict[str, float]:
    """Value of every metric under a perfect ranking: below 1 where a class has fewer than k gallery items."""
    return _per_relevant(query, gallery, k, _ceiling)


def _per_relevant(query: Identity, gallery: Identity, k: int, figure: object) -> dict[str, float]:
    size = len(gallery.labels)
    names = metric_names(query, gallery, k)
    by_class = count_matches(query.labels, gallery.labels)
    own = count_matches(query.instances, gallery.instances)
    assert callable(figure)
    figures = {}
    for name in names:
        counts = own if name.startswith("acc_at_") else by_class
        cut = int(name.rsplit("_", 1)[1]) if name.startswith("acc_at_") else k
        found, times = torch.unique(counts, return_counts=True)
        values = [
            figure(name.split("_at_")[0] + name.removeprefix(f"map_at_{k}"), int(one), size, cut) for one in found
        ]
        figures[name] = float(np.average(values, weights=times.numpy()))
    return figures


def _chance(kind: str, relevant: int, size: int, k: int) -> float:
    if not relevant:
        return 0.0
    if kind.startswith("acc"):
        return 1 - _none_in(relevant, size, min(k, size))
    if kind.startswith("precision"):
        return relevant / size
    cut = size if kind.startswith("map_all") else k
    ranks = np.arange(1, cut + 1)
    inner = (relevant - 1) / (size - 1) if size > 1 else 0.0
    terms = relevant / size * (1 + (ranks - 1) * inner) / ranks
    if kind.startswith("map_all"):
        return float(terms.sum() / relevant)
    if kind.endswith("_hits"):
        return _chance_of_hits(relevant, size, k)
    return float(terms.sum() / (k if kind.endswith("_k") else min(k, relevant)))


def _chance_of_hits(relevant: int, size: int, k: int) -> float:
    """Given h hits among the first k, they are a random h-subset of the k ranks: a random ranking with R = h, G = k."""
    from scipy.stats import hypergeom

    hits = np.arange(1, min(relevant, k) + 1)
    values = [_chance("map_all", int(one), k, k) for one in hits]
    return float(np.sum(hypergeom.pmf(hits, size, relevant, k) * values))


def _none_in(relevant: int, size: int, k: int) -> float:
    misses: NDArray[np.float64] = (size - relevant - np.arange(k)) / (size - np.arange(k))
    return float(np.prod(np.maximum(misses, 0)))


def _ceiling(kind: str, relevant: int, _: int, k: int) -> float:
    if not relevant:
        return 0.0
    constant = kind.startswith("precision") or kind.endswith("_k")
    return min(relevant, k) / k if constant else 1.0
