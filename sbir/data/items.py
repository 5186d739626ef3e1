"""Rows of a data set: who each item is, and its payload where it lies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Indices = NDArray[np.int64]

DOMAINS = ("sketch", "photo", "text")
TEXT_FEATURE = "text_feature"  # the column of texts' features, which have a width of their own
SPLITS = ("train", "val", "test", "held", "")


class Payload:
    """One column of numbers, (n, *shape), in one block of memory or several.

    >>> column = Payload([np.array([[1, 2], [3, 4]]), np.array([[5, 6]])])
    >>> column.take(np.array([2, 0])).tolist()
    [[5, 6], [1, 2]]
    """

    def __init__(self, blocks: Sequence[Array]) -> None:
        if not blocks:
            raise ValueError("a payload column needs at least one block, got none")
        self.shape: tuple[int, ...] = blocks[0].shape[1:]
        self.dtype: np.dtype[Any] = blocks[0].dtype
        for block in blocks:
            if block.shape[1:] != self.shape or block.dtype != self.dtype:
                raise ValueError(
                    f"all blocks of a column must be {self.dtype} of shape {self.shape}, "
                    f"got {block.dtype} of shape {block.shape[1:]}"
                )
        self.blocks = tuple(blocks)
        self._starts = np.cumsum([0, *(len(block) for block in blocks)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def take(self, rows: Indices, out: Array | None = None) -> Array:
        """Gather rows into a new array, or into `out` (n, *shape), which saves the allocation.

        Rows must lie in [0, len): they are not checked, since this runs for every batch.
        """
        if len(self.blocks) == 1:
            return np.take(self.blocks[0], rows, axis=0, out=out, mode="clip")
        gathered = np.empty((len(rows), *self.shape), self.dtype) if out is None else out
        which = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(which):
            chosen = which == number
            gathered[chosen] = self.blocks[number][rows[chosen] - self._starts[number]]
        return gathered


@dataclass(frozen=True)
class Items:
    """Identity of n items in memory, payload where it lies (usually mapped, without a copy)."""

    item_id: Array  # (n,) str
    domain: Array  # (n,) str, one of DOMAINS
    class_id: Indices  # (n,), index into class_names
    instance_id: Indices  # (n,); a sketch and its own photo share it; -1 = no known instance
    split: Array  # (n,) str, one of SPLITS; "" = not assigned
    class_names: tuple[str, ...]
    payload: Mapping[str, Payload] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in ("domain", "class_id", "instance_id", "split")}
        lengths |= {name: len(column) for name, column in self.payload.items()}
        wrong = {name: length for name, length in lengths.items() if length != len(self)}
        if wrong:
            raise ValueError(f"all columns must have as many rows as item_id ({len(self)}), got {wrong}")

    def __len__(self) -> int:
        return len(self.item_id)


def plural(domain: str) -> str:
    """What items of a domain are called.

    >>> plural("photo"), plural("sketch")
    ('photos', 'sketches')
    """
    return {"sketch": "sketches"}.get(domain, f"{domain}s")


def identity_error(items: Items) -> tuple[int, str] | None:
    """The first row whose identity breaks a rule, with the rule and the value; None where all is well."""
    checks = (
        (np.isin(items.domain, DOMAINS), "domain", f"one of {', '.join(DOMAINS)}"),
        (np.isin(items.split, SPLITS), "split", "train, val, test, held or empty"),
        (
            (items.class_id >= 0) & (items.class_id < len(items.class_names)),
            "class_id",
            f"between 0 and {len(items.class_names) - 1}",
        ),
        (items.instance_id >= -1, "instance_id", "-1 or more"),
        (_first_of_its_kind(items.item_id), "item_id", "unique"),
    )
    for good, column, rule in checks:
        if not good.all():
            row = int(np.argmin(good))
            return row, f"{column} must be {rule}, got {getattr(items, column)[row]!s}"
    return None


def _first_of_its_kind(values: Array) -> NDArray[np.bool_]:
    first = np.zeros(len(values), bool)
    first[np.unique(values.astype(str), return_index=True)[1]] = True
    return first
