"""Which rows make up a training batch: indices only, drawn for a whole epoch at once."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sbir.data.items import Items
from sbir.types import Role, Sampling

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class IndexBatch:
    """Positions in the store: `query` (B,), and for each role the gallery row beside each query (B,)."""

    query: Indices
    gallery: dict[Role, Indices]


class Sampler:
    """Shuffled passes over the training queries, with gallery rows drawn for the roles that a method asks for.

    Epoch n depends on `(seed, n)` alone, so that a resumed trial sees the batches of an uninterrupted one. A last batch
    that is not full is dropped. A query without a photo of its own gets one of its class as `positive`; one whose class
    has no other photo is left out where `other_instance` is asked for.

    With `per_class` K a batch has K queries of each of batch_size / K classes, and an epoch is one pass over the
    classes. A class with fewer than K gives each of its queries as often as any other, one more or less; the source
    draws them with replacement.
    """

    def __init__(
        self,
        query: Indices,
        gallery: Indices,
        class_id: Indices,
        instance_id: Indices,
        *,
        sampling: Sampling,
        batch_size: int,
        seed: int,
    ) -> None:
        if sampling.per_class is None and not 2 <= batch_size <= len(query):
            raise ValueError(
                f"train/batch_size must be between 2 and the number of training queries {len(query)}, got {batch_size}"
            )
        self._gallery = _ClassIndex(gallery, class_id, instance_id)
        if "other_instance" in sampling.roles:
            query = self._with_others(query, class_id, instance_id)
        self._query, self._sampling, self._seed = query, sampling, seed
        self._batch_size = batch_size if sampling.per_class else min(batch_size, len(query))
        self._by_class = None if sampling.per_class is None else _ByClass(class_id[query], sampling.per_class)
        if self._by_class is not None:
            self._by_class.check(batch_size)
        self._classes = self._gallery.class_positions(class_id[query])
        self._own = self._gallery.own(instance_id[query])
        if "negative" in sampling.roles and self._gallery.num_classes < 2:
            raise ValueError(
                "negatives need at least 2 classes with training photos, got 1; add classes to the train split"
            )

    def __len__(self) -> int:
        """Batches in an epoch."""
        return (len(self._query) if self._by_class is None else len(self._by_class)) // self._batch_size

    def rows(self, number: int) -> Indices:
        """Store rows of one whole epoch, (batches, 1 + roles, B): the queries, and beside them each role's."""
        rng = np.random.default_rng([self._seed, number])
        order = rng.permutation(len(self._query)) if self._by_class is None else self._by_class.order(rng)
        drawn = [self._draw(role, rng) for role in self._sampling.roles]
        order = order[: len(self) * self._batch_size]
        sides = [side[order].reshape(len(self), self._batch_size) for side in (self._query, *drawn)]
        return np.stack(sides, 1)

    def epoch(self, number: int, start: int = 0) -> Iterator[IndexBatch]:
        """The batches of one epoch, from batch `start` on."""
        for query, *gallery in self.rows(number)[start:]:
            yield IndexBatch(query, dict(zip(self._sampling.roles, gallery, strict=True)))

    def _draw(self, role: Role, rng: np.random.Generator) -> Indices:
        uniform = rng.random(len(self._query))
        if role == "negative":
            return self._gallery.draw(_another(self._classes, self._gallery.num_classes, rng), uniform)
        if role == "other_instance":
            return self._gallery.draw_other(self._classes, self._own, uniform)
        drawn = self._gallery.draw(self._classes, uniform)
        if role == "positive" and self._sampling.pairing == "paired":
            return np.where(self._own >= 0, self._gallery.rows[self._own], drawn)
        return drawn

    def _with_others(self, query: Indices, class_id: Indices, instance_id: Indices) -> Indices:
        """The queries whose class has a photo that is not their own; the others have no `other_instance`."""
        sizes = self._gallery.sizes[self._gallery.class_positions(class_id[query])]
        kept = query[sizes - (self._gallery.own(instance_id[query]) >= 0) >= 1]
        if len(kept) < 2:
            raise ValueError(
                "another instance of the class needs classes with at least 2 training photos, "
                f"{len(kept)} of {len(query)} training queries have one; use more photos a class"
            )
        return kept


def check_batches(items: Items, query: Indices, gallery: Indices, sampling: Sampling, batch_size: int) -> None:
    """Raise where batches of so many items of each class cannot be drawn."""
    if sampling.per_class is not None:
        identity = items.class_id, items.instance_id
        Sampler(query, gallery, *identity, sampling=sampling, batch_size=batch_size, seed=0)


class _ByClass:
    """Positions of queries, K of each class."""

    def __init__(self, class_id: Indices, per_class: int) -> None:
        self._class_id, self._per_class = class_id, per_class
        _, self._starts, self._sizes = np.unique(np.sort(class_id), return_index=True, return_counts=True)

    def __len__(self) -> int:
        return len(self._sizes) * self._per_class

    def check(self, batch_size: int) -> None:
        num_classes, per_class = len(self._sizes), self._per_class
        if not 1 <= per_class <= batch_size or batch_size % per_class:
            raise ValueError(
                f"train/batch_size must be a multiple of the {per_class} items of a class in it, got {batch_size}"
            )
        if batch_size > len(self):
            raise ValueError(
                f"train/batch_size must be at most {per_class} items of each of the {num_classes} training classes = "
                f"{len(self)}, got {batch_size}"
            )

    def order(self, rng: np.random.Generator) -> Indices:
        """One pass over the classes, in a random order of classes and within each class."""
        shuffled = np.lexsort((rng.random(len(self._class_id)), self._class_id))
        of_class = np.arange(self._per_class) % self._sizes[:, None] + self._starts[:, None]  # classes, K
        return np.asarray(shuffled[rng.permutation(of_class)].ravel())


class _ClassIndex:
    """Gallery rows sorted by class, so that a draw within a class is an offset."""

    def __init__(self, gallery: Indices, class_id: Indices, instance_id: Indices) -> None:
        self.rows = gallery[np.argsort(class_id[gallery], kind="stable")]
        self.classes, self.starts, self.sizes = np.unique(class_id[self.rows], return_index=True, return_counts=True)
        self.num_classes = len(self.classes)
        self._instances = instance_id[self.rows]

    def class_positions(self, class_id: Indices) -> Indices:
        positions = np.searchsorted(self.classes, class_id)
        known = self.classes[np.minimum(positions, self.num_classes - 1)] == class_id
        if not known.all():
            missing = sorted(set(class_id[~known].tolist()))
            raise ValueError(f"every class with training sketches needs a training photo, classes {missing} have none")
        return np.asarray(positions)

    def own(self, instances: Indices) -> Indices:
        """Position in `rows` of the first photo of each instance, -1 where there is none."""
        return first_of(instances, self._instances)

    def draw(self, classes: Indices, uniform: NDArray[np.float64]) -> Indices:
        return self.rows[self.starts[classes] + (uniform * self.sizes[classes]).astype(np.int64)]

    def draw_other(self, classes: Indices, own: Indices, uniform: NDArray[np.float64]) -> Indices:
        has_own = own >= 0
        offset = (uniform * (self.sizes[classes] - has_own)).astype(np.int64)
        positions = self.starts[classes] + offset
        return np.asarray(self.rows[positions + (has_own & (positions >= own))])


def first_of(instances: Indices, offered: Indices) -> Indices:
    """For each instance its first position in `offered`, -1 where there is none and for unknown instances (below 0).

    >>> first_of(np.array([7, 5, -1]), np.array([3, 5, 5, -1]))
    array([-1,  1, -1])
    """
    order = np.argsort(offered, kind="stable")
    found = order[np.minimum(np.searchsorted(offered[order], instances), len(order) - 1)]
    return np.where((instances >= 0) & (offered[found] == instances), found, -1)


def _another(classes: Indices, num_classes: int, rng: np.random.Generator) -> Indices:
    other: Indices = rng.integers(0, num_classes - 1, len(classes))
    return np.asarray(other + (other >= classes))
