"""Who the items of a retrieval are, and which metrics that allows."""

from dataclasses import dataclass

import torch
from torch import Tensor

ACCURACIES = (1, 5, 10)


@dataclass(frozen=True)
class Identity:
    """Who the items are: `labels` (n,) int64, and `instances` (n,) int64 with -1 where the instance is not known."""

    labels: Tensor
    instances: Tensor


def metric_names(query_ids: Identity, gallery_ids: Identity, k: int) -> tuple[str, ...]:
    """Metrics that `retrieve` gives for these items; instance accuracy only where some instances pair up.

    >>> ids = Identity(torch.tensor([0, 1]), torch.tensor([-1, -1]))
    >>> metric_names(ids, ids, 2)
    ('precision_at_2', 'map_at_2_k', 'map_at_2_hits', 'map_at_2_min', 'map_all')
    """
    by_class = (f"precision_at_{k}", f"map_at_{k}_k", f"map_at_{k}_hits", f"map_at_{k}_min", "map_all")
    paired = bool(count_matches(query_ids.instances, gallery_ids.instances).any())
    return by_class + tuple(f"acc_at_{n}" for n in ACCURACIES if paired)


def count_matches(query: Tensor, gallery: Tensor) -> Tensor:
    """How many gallery items carry each query's number, (Q,) int64; -1 matches nothing.

    >>> count_matches(torch.tensor([3, 1, -1]), torch.tensor([1, 1, -1])).tolist()
    [0, 2, 0]
    """
    numbers = gallery.sort().values
    counts = torch.searchsorted(numbers, query, right=True) - torch.searchsorted(numbers, query)
    return counts.where(query >= 0, 0)
