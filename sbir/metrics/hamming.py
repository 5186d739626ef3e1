"""Hamming search over packed codes: exact, one query at a time, so that its distances stay in the processor's cache."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sbir.metrics import tied
from sbir.metrics.identity import Identity, own_position

Positions = NDArray[np.int64]
Distances = NDArray[np.unsignedinteger[Any]]

BITS = 1024  # of a code, at most: longer ones are no codes any more


RADIUS = 2  # within which a hash table finds items by few look-ups: the field's usual figure


@dataclass(frozen=True)
class Codes:
    """n codes of K bits, packed: bit j of a row is set where entry j is +1, and padding is 0 on both sides."""

    words: NDArray[np.unsignedinteger[Any]]  # (W, n): one row per word, so that a search walks along memory
    num_bits: int  # K

    def __len__(self) -> int:
        return len(self.words[0])

    @property
    def bytes_per_item(self) -> int:
        """What an item takes in memory, padding to a machine word included."""
        return self.words.dtype.itemsize * len(self.words)


def pack(embedding: Tensor) -> Codes:
    """Codes of embeddings (n, K) with entries -1 and +1; anything else raises `ValueError`.

    >>> import torch
    >>> pack(torch.tensor([[1.0, -1.0, 1.0]])).words.tolist()
    [[5]]
    """
    num, num_bits = embedding.shape
    if not 1 <= num_bits <= BITS:
        raise ValueError(f"a code must have 1 to {BITS} bits, got {num_bits}")
    if not bool((embedding.abs() == 1).all()):
        value = embedding[embedding.abs() != 1][0].item()
        raise ValueError(f"embeddings of a method with Hamming distance must be -1 or +1, got {value}; return signs")
    packed = np.packbits((embedding > 0).cpu().numpy(), axis=1, bitorder="little")
    width = next(size for size in (1, 2, 4, 8) if size >= packed.shape[1] or size == 8)
    padded = np.zeros((num, -(-packed.shape[1] // width) * width), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return Codes(np.ascontiguousarray(padded.view(f"<u{width}").T), num_bits)


def distances(query: Codes, gallery: Codes) -> Iterator[Distances]:
    """For each query its distances to the gallery, (G,) uint8 or uint16; the array is used again for the next one.

    >>> import torch
    >>> codes = pack(torch.tensor([[1.0, -1.0, 1.0], [-1.0, -1.0, 1.0]]))
    >>> [row.tolist() for row in distances(codes, codes)]
    [[0, 1], [1, 0]]
    """
    if query.num_bits != gallery.num_bits:
        raise ValueError(f"codes must have one length to be compared, got {query.num_bits} and {gallery.num_bits} bits")
    total: Distances = np.zeros(len(gallery), np.uint8 if gallery.num_bits < 256 else np.uint16)
    differing, count = np.empty(len(gallery), gallery.words.dtype), np.empty(len(gallery), np.uint8)
    for row in range(len(query)):
        for word, of_gallery in enumerate(gallery.words):
            np.bitwise_xor(of_gallery, query.words[word, row], out=differing)
            if word == 0:
                np.bitwise_count(differing, out=total)
            else:
                np.add(total, np.bitwise_count(differing, out=count), out=total)
        yield total


def nearest(found: Distances, k: int, num_bits: int) -> Positions:
    """Positions (k,) of the k smallest distances (G,), nearest first, equal ones in gallery order.

    The radius that holds k items is found by bisection: a comparison of small integers is cheaper than any sort.

    >>> nearest(np.array([3, 1, 3, 3, 1], np.uint8), 3, 3).tolist()
    [1, 4, 0]
    """
    low, high = 0, num_bits
    while low < high:
        middle = (low + high) // 2
        if np.count_nonzero(found <= middle) >= k:
            high = middle
        else:
            low = middle + 1
    within = np.flatnonzero(found <= low)
    return within[np.argsort(found[within], kind="stable")[:k]]


def search(query: Codes, gallery: Codes, k: int) -> tuple[Positions, Positions]:
    """The k nearest gallery items of each query: distances and positions, (Q, k) int64 each, ties in gallery order.

    Raises `ValueError` where k is not between 1 and the gallery size.
    """
    if not 1 <= k <= len(gallery):
        raise ValueError(f"k must be between 1 and the gallery size {len(gallery)}, got {k}")
    found, positions = np.empty((2, len(query), k), np.int64)
    for row, of_query in enumerate(distances(query, gallery)):
        positions[row] = nearest(of_query, k, gallery.num_bits)
        found[row] = of_query[positions[row]]
    return found, positions


@dataclass(frozen=True)
class Counted:
    """What lies at each distance 0..K of each query, (Q, K + 1) int64 each, and who is nearest."""

    items: Tensor
    relevant: Tensor  # of the query's class, or with one of its tags
    own: Tensor  # of the query's instance
    top: Tensor  # (Q, keep) positions, ties in gallery order


def count(query: Codes, gallery: Codes, query_ids: Identity, gallery_ids: Identity, keep: int) -> Counted:
    """One pass over all distances: everything that a metric with ties needs, without a sort. No query is counted for
    itself.
    """
    tables = np.zeros((3, len(query), gallery.num_bits + 1), np.int64)
    itself = own_position(query_ids, gallery_ids).cpu().numpy()
    alone = int((itself >= 0).any())
    top = np.empty((len(query), min(keep, len(gallery) - alone)), np.int64)
    rows_of = (_relevant(query_ids, gallery_ids), _by_number(query_ids.instances, gallery_ids.instances))
    for row, found in enumerate(distances(query, gallery)):
        chosen = [rows(row) for rows in rows_of]
        first = nearest(found, top.shape[1] + alone, gallery.num_bits)
        tables[0, row] = np.bincount(found, minlength=gallery.num_bits + 1)
        if itself[row] >= 0:
            chosen, first = ([rows[rows != itself[row]] for rows in chosen], first[first != itself[row]])
            tables[0, row, found[itself[row]]] -= 1
        for table, rows in zip(tables[1:], chosen, strict=True):
            table[row] = np.bincount(found[rows], minlength=gallery.num_bits + 1)
        top[row] = first[: top.shape[1]]
    items, relevant, own = map(torch.from_numpy, tables)
    return Counted(items, relevant, own, torch.from_numpy(top))


def _relevant(query_ids: Identity, gallery_ids: Identity) -> Callable[[int], Positions]:
    """Query -> positions of what is relevant to it."""
    if query_ids.tags is None or gallery_ids.tags is None:
        return _by_number(query_ids.labels, gallery_ids.labels)
    query, gallery = query_ids.tags.cpu().numpy(), gallery_ids.tags.T.contiguous().cpu().numpy()  # (Q, L), (L, G)
    return lambda row: np.flatnonzero(gallery[query[row]].any(0))


def _by_number(query: Tensor, gallery: Tensor) -> Callable[[int], Positions]:
    rows, numbers = _Rows(gallery.cpu().numpy()), query.tolist()
    return lambda row: rows.of(numbers[row])


class _Rows:
    """Gallery rows by number."""

    def __init__(self, numbers: Positions) -> None:
        self._order = np.argsort(numbers, kind="stable")
        self._numbers = numbers[self._order]

    def of(self, number: int) -> Positions:
        """The rows that carry it; below 0 none do."""
        if number < 0:
            return self._order[:0]
        start, stop = np.searchsorted(self._numbers, [number, number + 1])
        return self._order[start:stop]


@dataclass(frozen=True)
class CodeScores:
    """What is said of codes beside the usual metrics; plain numbers, for files and reports."""

    num_bits: int
    bytes_per_item: int
    means: dict[str, float]  # precision within radius 2 (0 where nothing is), and bounds over all orders of ties
    by_radius: list[tuple[int, float, float]]  # radius, recall, precision: all queries pooled, radii that hold an item
    by_rank: list[tuple[int, float]]  # N, expected precision of the first N


def score_codes(counted: Counted, gallery: Codes, k: int) -> CodeScores:
    """Figures of Hamming search; `counted` and `k` as for the usual metrics."""
    of = tied.groups(counted.items, counted.relevant)
    within, hits = (table[:, : RADIUS + 1].sum(1).double() for table in (counted.items, counted.relevant))
    worst, best = tied.map_all_bounds(of)
    low, high = tied.precision_at_k_bounds(of, k)
    figures = {
        f"precision_within_{RADIUS}": hits / within.clamp(min=1),
        f"nothing_within_{RADIUS}": (within == 0).double(),
        "map_all_worst": worst,
        "map_all_best": best,
        f"precision_at_{k}_worst": low,
        f"precision_at_{k}_best": high,
    }
    reached, found = counted.items.sum(0).cumsum(0), counted.relevant.sum(0).cumsum(0)  # K + 1
    radii = [radius for radius in range(len(reached)) if reached[radius]]
    total = max(1, int(found[-1]))
    return CodeScores(
        gallery.num_bits,
        gallery.bytes_per_item,
        {name: values.mean().item() for name, values in figures.items()},
        [(radius, int(found[radius]) / total, int(found[radius]) / int(reached[radius])) for radius in radii],
        [(n, tied.precision_at_k(of, n).mean().item()) for n in _ranks(int(counted.items.sum(1).min()))],
    )


def _ranks(size: int) -> list[int]:
    """Some 30 ranks from 1 to `size`, evenly on a logarithmic axis.

    >>> _ranks(4)
    [1, 2, 3, 4]
    """
    return sorted({round(size ** (step / 30)) for step in range(31)})
