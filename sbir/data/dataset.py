"""A data set on disk as items, whatever its layout was."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sbir.data.items import Array, Items, Payload, plural

SIDES = ("", "query", "gallery")  # the column `side` holds the position


@dataclass(frozen=True)
class Item:
    """One picture, drawing or text of a data set."""

    item_id: str  # path below the data set; of a drawing in a file of many: that path, a slash and its own name
    domain: str  # "sketch" | "photo" | "text"
    class_name: str
    instance: str | None  # class/photo; a sketch or text and its own photo share it
    path: str
    offset: int | None = None  # in a file of many drawings: where the line begins (.ndjson), else the drawing's number
    split: str = ""
    text: str = ""  # of the domain text
    labels: tuple[int, ...] = ()  # of multi-label data: positions in `Dataset.label_names`
    side: str = ""  # "query" | "gallery" where a test photo is only one of them, else both
    choices: tuple[tuple[str, str], ...] = ()  # of a sketch: pairs of instances, people found the first more like it


@dataclass(frozen=True)
class Dataset:
    """A data set on disk: its items in a fixed order, each with its split."""

    name: str
    root: Path
    synthetic: bool  # says so itself, in doodles.json
    items: tuple[Item, ...]
    domains: tuple[str, ...] = ("sketch", "photo")  # the domains that every class must have
    least_classes: int = 2  # 1 where the items of one class are told apart by their pairs
    label_names: tuple[str, ...] = ()  # of multi-label data
    language: str = ""  # of the texts


def identities(items: Sequence[Item]) -> Items:
    """Items without payload: class and instance names become numbers, in the order of their names."""
    class_names = sorted({item.class_name for item in items})
    class_of = {name: number for number, name in enumerate(class_names)}
    instance_of = _instance_numbers(items)
    return Items(
        item_id=np.array([item.item_id for item in items], dtype=object),
        domain=np.array([item.domain for item in items], dtype=object),
        class_id=np.array([class_of[item.class_name] for item in items], dtype=np.int64),
        instance_id=np.array([instance_of.get(item.instance, -1) for item in items], dtype=np.int64),
        split=np.array([item.split for item in items], dtype=object),
        class_names=tuple(class_names),
    )


def _instance_numbers(items: Sequence[Item]) -> dict[str | None, int]:
    instances = sorted({item.instance for item in items if item.instance is not None})
    return {name: number for number, name in enumerate(instances)}


def told_columns(items: Sequence[Item]) -> dict[str, Payload]:
    """What the data set itself tells of its items, as columns of uint8, each only where some item has it.

    `labels` (n, L) multi-hot; `side` () as a position in `SIDES`; `text` (n, bytes) UTF-8, filled up with zeros;
    `choices` (n, T, 2) int32, pairs of instance ids of which people found the first more like the sketch, filled up
    with -1.
    """
    columns: dict[str, Payload] = {}
    if width := 1 + max((label for item in items for label in item.labels), default=-1):
        labels = np.zeros((len(items), width), np.uint8)
        for row, item in enumerate(items):
            labels[row, list(item.labels)] = 1
        columns["labels"] = Payload([labels])
    if any(item.side for item in items):
        columns["side"] = Payload([np.array([SIDES.index(item.side) for item in items], np.uint8)])
    if most := max((len(item.choices) for item in items), default=0):
        columns["choices"] = Payload([_choices(items, most)])
    if any(item.text for item in items):
        coded = [item.text.encode() for item in items]
        text = np.zeros((len(items), max(map(len, coded))), np.uint8)
        for row, one in enumerate(coded):
            text[row, : len(one)] = np.frombuffer(one, np.uint8)
        columns["text"] = Payload([text])
    return columns


def _choices(items: Sequence[Item], most: int) -> Array:
    number, choices = _instance_numbers(items), np.full((len(items), most, 2), -1, np.int32)
    for row, item in enumerate(items):
        for place, pair in enumerate(item.choices):
            choices[row, place] = [number.get(instance, -1) for instance in pair]
    return choices


def check_classes(
    root: Path, items: Sequence[Item], domains: Sequence[str] = ("sketch", "photo"), least: int = 2
) -> None:
    """Every class has items of each domain, and there are `least` classes; `root` is for the text of the error."""
    counts: dict[str, dict[str, int]] = {}
    for item in items:
        of_class = counts.setdefault(item.class_name, dict.fromkeys(domains, 0))
        of_class[item.domain] = of_class.get(item.domain, 0) + 1
    if not counts:
        raise ValueError(f"a data set needs images, {root} has none (.jpg, .jpeg, .png, .bmp, .webp or .ndjson)")
    lacking = {name: found for name, found in counts.items() if 0 in found.values()}
    if lacking:
        name, found = next(iter(sorted(lacking.items())))
        has = " and ".join(f"{found[domain]} {plural(domain)}" for domain in sorted(domains))
        raise ValueError(
            f"every class needs {' and '.join(plural(domain) for domain in sorted(domains))}, {name} in {root} has "
            f"{has} ({len(lacking)} of {len(counts)} classes lack one); add them or drop the class"
        )
    if len(counts) < least:
        raise ValueError(f"retrieval needs at least {least} classes, {root} has 1 ({next(iter(counts))}); add another")
