"""TU-Berlin sketches (Eitz et al. 2012) with the extended photos of Zhang et al. 2016."""

import dataclasses
import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path

from sbir.data.dataset import Dataset, Item
from sbir.data.sets.folders import pictures

SKETCHES, PHOTOS = ("png", "sketches"), ("ImageResized", "images")  # the second: as SEM-PCYC's scripts rename them
# Folders of the photos that are spelt otherwise than the sketches', beyond blanks and hyphens (SEM-PCYC's list).
MISSPELT = {
    "chandeler": "chandelier",
    "diamod": "diamond",
    "griaffe": "giraffe",
    "mouse": "mouse (animal)",
    "pipe": "pipe (for smoking)",
    "spacesshuttle": "space shuttle",
    "spidar": "spider",
    "tromobone": "trombone",
    "wristwatching": "wrist-watch",
}


def is_tuberlin(root: Path) -> bool:
    """Whether there are TU-Berlin's folders under their own names, the photos' too."""
    return (root / SKETCHES[0]).is_dir() and (root / PHOTOS[0]).is_dir()


def is_tuberlin_sketches(root: Path) -> bool:
    """Whether there is the folder of sketches alone."""
    return (root / SKETCHES[0]).is_dir() and any((root / SKETCHES[0]).glob("airplane"))


def read_tuberlin(root: Path) -> Dataset:
    """The sketches alone: a data set of sketches that are retrieved by sketches."""
    return Dataset("tuberlin", root, False, tuple(_items(root, SKETCHES, "sketch")), domains=("sketch",))


def read_tuberlin_extended(root: Path) -> Dataset:
    """Sketches and photos; both take the sketches' class names, whatever their folder is called."""
    items = (*_items(root, PHOTOS, "photo"), *_items(root, SKETCHES, "sketch"))
    return Dataset("tuberlin-extended", root, False, items)


@cache
def class_names() -> tuple[str, ...]:
    """The 250 classes."""
    text = files("sbir.data.sets").joinpath("classes/tuberlin.json").read_text(encoding="utf-8")
    return tuple(json.loads(text)["classes"])


def class_of(folder: str) -> str:
    """The class that a folder holds.

    >>> class_of("hotairballoon"), class_of("wristwatching"), class_of("bear_(animal)")
    ('hot air balloon', 'wrist-watch', 'bear (animal)')
    """
    return MISSPELT.get(folder) or _by_letters().get(_letters(folder), folder)


def _items(root: Path, names: tuple[str, ...], domain: str) -> Iterator[Item]:
    folder = _folder(root, names)
    if folder is None:
        raise ValueError(f"TU-Berlin needs the folder {names[0]} ({domain}s), {root} has none")
    for item in pictures(root, folder, domain):
        yield dataclasses.replace(item, class_name=class_of(item.class_name), instance=None)  # no sketch has a photo


def _folder(root: Path, names: tuple[str, ...]) -> Path | None:
    return next((root / name for name in names if (root / name).is_dir()), None)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


@cache
def _by_letters() -> dict[str, str]:
    return {_letters(name): name for name in class_names()}
