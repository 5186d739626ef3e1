"""From a folder to a data set with its split, whatever its layout."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from sbir.data.dataset import Dataset, Item, check_classes
from sbir.data.sets import published
from sbir.data.sets.files import unique
from sbir.data.sets.known import choices, find
from sbir.data.sets.ready import is_ready
from sbir.data.split_file import find_split, read_split, split_names


def read_dataset(
    root: str | Path, *, name: str | None = None, split: str | Path | None = None, variant: str | None = None
) -> Dataset:
    """Find the items of a data set, without opening an image.

    The layout is recognised, or `name` says which of `known.KNOWN` it is; folders `photo/<class>` and `sketch/<class>`
    are the last that is tried. `split` is a published split (`sketchy:eccv18`) or a file; without it, `split.json` or
    `zero_shot_split.json` of the folder, else the data set's own, else that of `zero_shot:0`. `variant` chooses among
    several forms of the same items (`sketch=tx_000000000010`). Raises `ValueError` where a file or class is missing.
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"a data set is a folder with photo/ and sketch/, {root} is not a folder")
    if name is None and is_ready(root):
        raise ValueError(f"{root} holds features, not images; `sbir store import {root} --out STORE` takes them")
    key, known = find(root, name)
    dataset = known.read(root, choices(variant, key, known))
    check_classes(root, dataset.items, dataset.domains, dataset.least_classes)
    unique([item.item_id for item in dataset.items], root, "item")
    return with_split(dataset, split)


def with_split(dataset: Dataset, split: str | Path | None) -> Dataset:
    """The data set with the split of each item; see `read_dataset`."""
    items = [dataclasses.replace(item, split=part) for item, part in zip(
        dataset.items, _parts(dataset, split), strict=True)]  # fmt: skip
    return dataclasses.replace(dataset, items=tuple(items))


def _parts(dataset: Dataset, split: str | Path | None) -> list[str]:
    items = dataset.items
    if isinstance(split, str) and published.is_published(split):
        return published.by_name(split, items)
    file = find_split(dataset.root) if split is None else Path(split)
    if split is not None and file is not None and not file.is_file():
        raise ValueError(
            f"a split must be a file or one of {', '.join(published.names())} (class lists also with "
            f"+{published.GENERALISED}), got {split}"
        )
    if file is None and any(item.split for item in items):
        return published.standard(items)
    return listed(items, file, dataset.root)


def listed(items: Sequence[Item], file: Path | None, folder: Path) -> list[str]:
    """The split of each item by a split file; without one, that of `zero_shot:0`."""
    lists = read_split(file, sorted({item.class_name for item in items}))
    return split_names(lists, [(item.item_id, item.class_name, item.instance) for item in items], file or folder)
