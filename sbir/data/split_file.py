"""Splits that come with a data set: `split.json` or `zero_shot_split.json` beside its folders."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sbir.data.splits import class_parts

PARTS = ("train", "val", "test")
FILES = ("split.json", "zero_shot_split.json")


@dataclass(frozen=True)
class SplitLists:
    """Which class is in which part, and which photos of seen classes are held out of training."""

    part_of_class: Mapping[str, str]
    held: frozenset[str] = frozenset()  # photo ids: <class>/<photo>, a photo's item id, or its bare id


def find_split(root: Path) -> Path | None:
    """The split file of a data set, where it has one."""
    return next((root / name for name in FILES if (root / name).is_file()), None)


def read_split(path: Path | None, class_names: Sequence[str]) -> SplitLists:
    """The lists of a split file; without a file, a class-disjoint split with a fixed seed.

    A file has class lists "train", "val", "test" (or "seen", "unseen") and optionally photo ids "held". Without "val" a
    fixed part of the train classes becomes it. Raises `ValueError` on classes that are in two lists, in none, or not in
    the data.
    """
    if path is not None:
        return _read_file(path, class_names)
    if len(class_names) < 3:  # too few to part; `seen:<seed>` still serves them
        return SplitLists(dict.fromkeys(class_names, ""))
    return SplitLists(class_parts(class_names, np.random.default_rng([0, 20260])))


def _read_file(path: Path, class_names: Sequence[str]) -> SplitLists:
    lists = _lists(path)
    _check_lists(path, lists, class_names)
    part_of = {name: part for part in PARTS for name in lists.get(part, [])}
    if "val" not in lists:
        part_of |= class_parts(lists["train"], np.random.default_rng([0, 20260]), test=False)
    return SplitLists(part_of, frozenset(lists.get("held", [])))


def split_names(lists: SplitLists, items: Sequence[tuple[str, str, str | None]], source: Path) -> list[str]:
    """The split of each (item id, class, instance): its class's, or "held" where its photo is."""
    if not lists.held:
        return [lists.part_of_class[class_name] for _, class_name, _ in items]
    names, used = [], set()
    for item_id, class_name, instance in items:
        keys = {item_id, instance, instance.partition("/")[2] if instance else None} & lists.held
        used |= keys
        names.append("held" if keys else lists.part_of_class[class_name])
    if unknown := sorted(lists.held - used):
        raise ValueError(
            f"{source}: held must list photos of the data set, got {len(unknown)} others such as {unknown[0]}"
        )
    return names


def _lists(path: Path) -> dict[str, list[str]]:
    try:
        lists = json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"a split file must exist, {path} does not") from None
    except ValueError as error:
        raise ValueError(f"{path} must be JSON with lists of classes, got {error}") from None
    if isinstance(lists, dict):
        names = {"seen": "train", "unseen": "test"}
        lists = {names.get(key, key): value for key, value in lists.items() if key in (*PARTS, "held", *names)}
        if all(isinstance(value, list) for value in lists.values()) and {"train", "test"} <= set(lists):
            return {key: [str(name) for name in value] for key, value in lists.items()}
    raise ValueError(f'{path} must have lists "train" and "test" (or "seen" and "unseen"), optionally "val" and "held"')


def _check_lists(path: Path, lists: Mapping[str, Sequence[str]], class_names: Sequence[str]) -> None:
    listed = [name for part in PARTS for name in lists.get(part, [])]
    twice = sorted({name for name in listed if listed.count(name) > 1})
    if twice:
        raise ValueError(f"{path}: a class must be in one list, {', '.join(twice[:5])} in two; take it out of one")
    unknown, missing = sorted(set(listed) - set(class_names)), sorted(set(class_names) - set(listed))
    if unknown or missing:
        raise ValueError(
            f"{path}: the lists must name the data's {len(class_names)} classes, "
            f"not in the data: {unknown[:5]}, in no list: {missing[:5]}"
        )
