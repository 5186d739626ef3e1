"""Photos in class folders with captions beside them in several languages: `captions.jsonl`."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sbir.data.dataset import Dataset, Item
from sbir.data.sets.files import text_of
from sbir.data.sets.folders import is_synthetic, level_photos

FILE = "captions.jsonl"


def read_captions(root: Path, variant: Mapping[str, str]) -> Dataset:
    """Photos (`photo/<class>/<id>.jpg`) and their captions in one language (`variant` `text=en`), with their labels.

    A line of `captions.jsonl` is {"id": photo, "class": class, "en": text, "de": text, ..., "labels": [numbers]}; the
    labels may be left out, then there are classes alone. Photos without a caption are not used, nor are sketches.
    Raises `ValueError` on a line that is none of these or names a photo that is not there.
    """
    language = variant["text"]
    photos = {photo.instance: photo for photo in level_photos(root, {})}
    items: list[Item] = []
    for where, line in _lines(root / FILE):
        key = f"{line['class']}/{line['id']}"
        if key not in photos:
            raise ValueError(f"{where} must describe a photo, there is none at photo/{key}")
        items += _pair(root, where, photos.pop(key), line, language)
    return Dataset(
        root.resolve().name, root, is_synthetic(root), tuple(items), domains=("photo", "text"),
        label_names=_label_names(root, items), language=language,
    )  # fmt: skip


def _pair(root: Path, where: str, photo: Item, line: Mapping[str, Any], language: str) -> tuple[Item, Item]:
    text, labels = line.get(language), line.get("labels", [])
    if not isinstance(text, str) or not text.strip():
        known = ", ".join(key for key in line if key not in ("id", "class", "labels"))
        raise ValueError(f"variant text must be a language of the captions, {where} has {known}, got {language}")
    if not isinstance(labels, list) or not all(isinstance(label, int) and label >= 0 for label in labels):
        raise ValueError(f"{where}: labels must be a list of whole numbers from 0 on, got {labels!r}")
    numbers = tuple(sorted(set(labels)))
    name = f"{FILE}/{language}/{photo.instance}"
    return (
        Item(photo.item_id, "photo", photo.class_name, photo.instance, photo.path, labels=numbers),
        Item(name, "text", photo.class_name, photo.instance, str(root / FILE), text=text, labels=numbers),
    )


def _lines(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each line with its place."""
    for number, text in enumerate(text_of(file).splitlines(), 1):
        where = f"{file}: line {number}"
        try:
            line = json.loads(text)
        except ValueError as error:
            raise ValueError(f"{where} must be one JSON object, got {text[:40]!r} ({error})") from None
        if not isinstance(line, dict) or not {"id", "class"} <= line.keys():
            raise ValueError(f'{where} must be a JSON object with "id" and "class", got {text[:40]!r}')
        yield where, line


def _label_names(root: Path, items: list[Item]) -> tuple[str, ...]:
    """Of the doodles the classes and families; of others the numbers."""
    if is_synthetic(root):
        from sbir.data.doodles.captions import LABEL_NAMES

        return LABEL_NAMES
    return tuple(str(label) for label in range(1 + max((label for item in items for label in item.labels), default=-1)))
