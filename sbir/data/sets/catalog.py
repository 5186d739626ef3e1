"""What is known of each data set, as text, and whether a folder has all of it."""

import json
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from sbir.data.dataset import Dataset
from sbir.data.sets.known import KNOWN, choices, find
from sbir.data.sets.published import letters
from sbir.data.sets.ready import is_ready, read_ready


@dataclass(frozen=True)
class Entry:
    """One data set; see `catalog.toml`."""

    title: str
    files: str
    where: str
    licence: str
    imagenet: str
    variants: str
    splits: Sequence[str]
    counts: Mapping[str, int] = field(default_factory=dict)  # published: of classes, labels, and items by domain
    classes: str = ""  # the file of its class names
    note: str = ""


def entries() -> dict[str, Entry]:
    """All data sets by name."""
    text = files("sbir.data.sets").joinpath("catalog.toml").read_text(encoding="utf-8")
    return {name: Entry(**values) for name, values in tomllib.loads(text).items()}


def entry(name: str) -> Entry:
    """One data set; raises `ValueError` with the names there are."""
    known = entries()
    if name not in known:
        raise ValueError(f"a data set must be one of {', '.join(known)}, got {name}")
    return known[name]


def describe(name: str) -> str:
    """A paragraph of `word: value` lines."""
    one = entry(name)
    counts = ", ".join(f"{count} {_many(what)}" for what, count in one.counts.items())
    lines = {
        "files": one.files, "where": one.where, "licence": one.licence, "ImageNet": one.imagenet,
        "published": counts, "splits": ", ".join(one.splits), "variants": one.variants,
        "note": one.note,
    }  # fmt: skip
    return "\n".join([f"{name}: {one.title}", *(f"  {word + ':':11}{value}" for word, value in lines.items() if value)])


def check(name: str, root: str | Path, variant: str | None = None) -> tuple[list[str], list[str]]:
    """What a folder has of a data set against the published counts: lines to read, and what is wrong.

    Raises `ValueError` where the folder is not that data set at all.
    """
    published, dataset = entry(name), _read(name, Path(root), variant)
    found = Counter(item.domain for item in dataset.items)
    found["class"] = len({item.class_name for item in dataset.items})
    found["label"] = len(dataset.label_names)
    lines, wrong = [], []
    for what, count in published.counts.items():
        same = found[what] == count
        lines.append(f"{'ok' if same else 'NOT':4}{_many(what)}: {found[what]} of {count}")
        wrong += [] if same else [f"{found[what]} of {count} {_many(what)}"]
    for side, classes in _class_differences(published, dataset).items():
        lines.append(f"NOT {side}: {', '.join(classes)}")
        wrong.append(f"{len(classes)} {side}")
    return lines, wrong


def _read(name: str, root: Path, variant: str | None) -> Dataset:
    if not root.is_dir():
        raise ValueError(f"a data set is a folder, {root} is not a folder")
    if name in ("wikipedia", "sketchy-eccv18-features"):
        dataset = read_ready(root).dataset
    else:
        key = {"quickdraw-extended": "quickdraw" if KNOWN["quickdraw"].is_there(root) else "folders"}.get(name, name)
        if key not in KNOWN:
            raise ValueError(f"{name} is a source of photos and not checked; sbir data check takes {', '.join(KNOWN)}")
        if is_ready(root):
            raise ValueError(f"{root} holds features, not the pictures of {name}")
        _, known = find(root, key)
        dataset = known.read(root, choices(variant, key, known))
    if name not in (dataset.name, "quickdraw-extended"):
        raise ValueError(f"{root} is {dataset.name}, not {name}")
    return dataset


def _class_differences(published: Entry, dataset: Dataset) -> dict[str, list[str]]:
    """Classes that the folder lacks, and those that are not published, by the letters of their names."""
    if not published.classes:
        return {}
    text = files("sbir.data.sets").joinpath(f"classes/{published.classes}.json").read_text(encoding="utf-8")
    names = {letters(name): name for name in json.loads(text)["classes"]}
    found = {letters(item.class_name): item.class_name for item in dataset.items}
    missing = [names[letter] for letter in names if letter not in found]
    other = sorted(found[letter] for letter in found.keys() - names.keys())
    return {side: some for side, some in (("missing classes", missing), ("unknown classes", other)) if some}


def _many(what: str) -> str:
    return {"class": "classes", "sketch": "sketches"}.get(what, f"{what}s")
