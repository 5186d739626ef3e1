"""Who the items of a retrieval are, which of them are relevant to each other, and which metrics that allows."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ACCURACIES = (1, 5, 10)
AGREEMENT = "triplet_agreement"


@dataclass(frozen=True)
class Identity:
    """Who the items are: `labels` (n,) int64, and `instances` (n,) int64 with -1 where the instance is not known.

    With `tags` (n, L) bool, multi-label data, items are relevant to each other that share a tag; without, those of one
    label. `rows` (n,) int64 number the items themselves: an item is not retrieved for itself. `choices` (n, T, 2) int64
    are pairs of instances of which people found the first more like the item; unused places are -1.
    """

    labels: Tensor
    instances: Tensor
    tags: Tensor | None = None
    rows: Tensor | None = None
    choices: Tensor | None = None

    def to(self, device: torch.device) -> "Identity":
        """The same, on a device."""
        rest = (self.tags, self.rows, self.choices)
        return Identity(
            self.labels.to(device),
            self.instances.to(device),
            *(None if value is None else value.to(device) for value in rest),
        )


def metric_names(query_ids: Identity, gallery_ids: Identity, k: int, recall: Sequence[int] = ()) -> tuple[str, ...]:
    """Metrics that `retrieve` gives for these items; instance accuracy only where some instances pair up, and agreement
    with people's choices only where each query has some between photos of the gallery.

    >>> ids = Identity(torch.tensor([0, 1]), torch.tensor([-1, -1]))
    >>> metric_names(ids, ids, 2, recall=[1])
    ('precision_at_2', 'map_at_2_k', 'map_at_2_hits', 'map_at_2_min', 'map_all', 'recall_at_1')
    """
    by_class = (f"precision_at_{k}", f"map_at_{k}_k", f"map_at_{k}_hits", f"map_at_{k}_min", "map_all")
    paired = bool(count_matches(query_ids.instances, gallery_ids.instances).any())
    chosen = chosen_positions(query_ids, gallery_ids) is not None
    return (
        *by_class,
        *(f"recall_at_{n}" for n in recall),
        *(f"acc_at_{n}" for n in ACCURACIES if paired),
        *([AGREEMENT] if chosen else []),
    )


def count_matches(query: Tensor, gallery: Tensor) -> Tensor:
    """How many gallery items carry each query's number, (Q,) int64; -1 matches nothing.

    >>> count_matches(torch.tensor([3, 1, -1]), torch.tensor([1, 1, -1])).tolist()
    [0, 2, 0]
    """
    numbers = gallery.sort().values
    counts = torch.searchsorted(numbers, query, right=True) - torch.searchsorted(numbers, query)
    return counts.where(query >= 0, 0)


def count_relevant(query_ids: Identity, gallery_ids: Identity) -> Tensor:
    """How many gallery items are relevant to each query, itself left out, (Q,) int64.

    >>> ids = Identity(torch.tensor([0, 1, 1]), torch.full((3,), -1), rows=torch.arange(3))
    >>> count_relevant(ids, ids).tolist()
    [0, 1, 1]
    """
    if query_ids.tags is None or gallery_ids.tags is None:
        counts = count_matches(query_ids.labels, gallery_ids.labels)
    else:
        counts = torch.cat([share_a_tag(some, gallery_ids.tags).sum(1) for some in torch.split(query_ids.tags, 512)])
    itself = own_position(query_ids, gallery_ids)
    return counts - ((itself >= 0) & (counts > 0)).long()


def share_a_tag(query: Tensor, gallery: Tensor) -> Tensor:
    """(Q, G) bool of two sides' tags (Q, L) and (G, L)."""
    return query.float() @ gallery.float().T > 0


def own_position(query_ids: Identity, gallery_ids: Identity) -> Tensor:
    """Where in the gallery each query itself stands, (Q,) int64, -1 where it does not.

    >>> none = torch.full((2,), -1)
    >>> own_position(Identity(none, none, rows=torch.tensor([4, 9])), Identity(none, none, rows=torch.tensor([7, 4])))
    tensor([ 1, -1])
    """
    if query_ids.rows is None or gallery_ids.rows is None:
        return torch.full_like(query_ids.labels, -1)
    rows, order = gallery_ids.rows.sort()
    found = torch.searchsorted(rows, query_ids.rows).clamp(max=len(rows) - 1)
    return torch.where(rows[found] == query_ids.rows, order[found], -1)


def chosen_positions(query_ids: Identity, gallery_ids: Identity) -> Tensor | None:
    """Where in the gallery the photos of the queries' choices stand, (Q, T, 2) int64, -1 where one of a pair does not.

    None where some query has no pair that can be judged.

    >>> ids = Identity(torch.tensor([0]), torch.tensor([7]), choices=torch.tensor([[[7, 9], [7, 8]]]))
    >>> photos = Identity(torch.tensor([0, 0]), torch.tensor([9, 7]))
    >>> chosen_positions(ids, photos)
    tensor([[[ 1,  0],
             [-1, -1]]])
    """
    if query_ids.choices is None:
        return None
    instances, order = gallery_ids.instances.sort(stable=True)
    choices = query_ids.choices.to(instances.device)
    found = torch.searchsorted(instances, choices.contiguous()).clamp(max=len(instances) - 1)
    there = ((instances[found] == choices) & (choices >= 0)).all(2, keepdim=True)
    return order[found].where(there, -1) if bool(there.any(1).all()) else None


def num_candidates(query_ids: Identity, gallery_ids: Identity) -> int:
    """How many gallery items are ranked for a query, at the least: all but itself."""
    return len(gallery_ids.labels) - int((own_position(query_ids, gallery_ids) >= 0).any())
