"""Data sets on disk as items: the Sketchy layout, QuickDraw strokes, and plain folders of photos and sketches."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sbir.data.items import Items
from sbir.data.split_file import find_split, read_split, split_names

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
EXTENDED = "EXTEND_image_sketchy"
PREFERRED = {"photo": "tx_000000000000", "sketch": "tx_000100000000"}  # whole photo; centred sketch, 78 % of the canvas
_DRAWING_OF = re.compile(r"(.+)-\d+$")  # <photo>-<k>: the k-th sketch of a photo


@dataclass(frozen=True)
class Item:
    """One picture or drawing of a data set."""

    item_id: str  # path below the data set; of a drawing in an .ndjson file: that path, a slash and its key
    domain: str  # "sketch" | "photo"
    class_name: str
    instance: str | None  # class/photo; a sketch and its own photo share it
    path: str
    offset: int | None = None  # where a drawing's line begins in its .ndjson file
    split: str = ""


@dataclass(frozen=True)
class Dataset:
    """A data set on disk: its items in a fixed order, each with its split."""

    name: str
    root: Path
    synthetic: bool  # says so itself, in doodles.json
    items: tuple[Item, ...]


def read_dataset(root: str | Path) -> Dataset:
    """Find the items of a data set, whatever its layout, without opening an image.

    Photos lie in `photo/<class>/<id>.jpg` or `EXTEND_image_sketchy/<class>/`, sketches in
    `sketch/<class>/<id>-<k>.png`, `sketch/<class>/<id>.png` or `sketch/<class>.ndjson` (QuickDraw); Sketchy's
    `256x256` and `tx_*` levels may be there. A sketch belongs to the photo of its class with the same id. `split.json`
    or `zero_shot_split.json` fill the split; without one it is that of `zero_shot:0`. Raises `ValueError` where a
    class lacks photos or sketches.
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"a data set is a folder with photo/ and sketch/, {root} is not a folder")
    photos = _photos(root)
    owners = {item.instance for item in photos}
    items = [*photos, *_sketches(root, owners)]
    check_classes(root, items)
    parts = read_split(find_split(root), sorted({item.class_name for item in items}))
    names = split_names(parts, [(item.item_id, item.class_name, item.instance) for item in items], root)
    placed = tuple(
        Item(item.item_id, item.domain, item.class_name, item.instance, item.path, item.offset, part)
        for item, part in zip(items, names, strict=True)
    )
    return Dataset(root.resolve().name, root, _synthetic(root), placed)


def identities(items: tuple[Item, ...] | list[Item]) -> Items:
    """Items without payload: class and instance names become numbers, in the order of their names."""
    class_names = sorted({item.class_name for item in items})
    instances = sorted({item.instance for item in items if item.instance is not None})
    class_of = {name: number for number, name in enumerate(class_names)}
    instance_of: dict[str | None, int] = {name: number for number, name in enumerate(instances)}
    return Items(
        item_id=np.array([item.item_id for item in items], dtype=object),
        domain=np.array([item.domain for item in items], dtype=object),
        class_id=np.array([class_of[item.class_name] for item in items], dtype=np.int64),
        instance_id=np.array([instance_of.get(item.instance, -1) for item in items], dtype=np.int64),
        split=np.array([item.split for item in items], dtype=object),
        class_names=tuple(class_names),
    )


def _photos(root: Path) -> list[Item]:
    """Photos, the extended ones first: Sketchy's extension repeats the original photos, and each counts once."""
    found: dict[str, Item] = {}
    extended = _below(root, EXTENDED)
    for folder in [extended] if extended else []:
        found |= {str(item.instance): item for item in _pictures(root, folder, "photo")}
    plain = _level(root, "photo")
    if plain is None and not found:
        raise ValueError(f"a data set needs photos in photo/<class>/, there is no folder {root / 'photo'}")
    for item in _pictures(root, plain, "photo") if plain else ():
        found.setdefault(str(item.instance), item)
    return list(found.values())


def _sketches(root: Path, owners: set[str | None]) -> Iterator[Item]:
    folder = _level(root, "sketch")
    if folder is None:
        raise ValueError(f"a data set needs sketches in sketch/<class>/ or sketch/<class>.ndjson, no {root / 'sketch'}")
    folders = {path.name for path in folder.iterdir() if path.is_dir()}
    for item in _pictures(root, folder, "sketch"):
        own = _owner(str(item.instance), owners)
        yield Item(item.item_id, "sketch", item.class_name, own, item.path)
    for file in sorted(folder.glob("*.ndjson")):
        if file.stem not in folders:  # the same drawings as pictures are preferred
            yield from _drawings(root, file)


def _owner(stem: str, owners: set[str | None]) -> str | None:
    if stem in owners:
        return stem
    match = _DRAWING_OF.match(stem)
    return match[1] if match and match[1] in owners else None


def _pictures(root: Path, folder: Path, domain: str) -> Iterator[Item]:
    for of_class in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        for path in sorted(of_class.iterdir()):
            if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
                instance = f"{of_class.name}/{path.stem}"
                yield Item(path.relative_to(root).as_posix(), domain, of_class.name, instance, str(path))


def _drawings(root: Path, file: Path) -> Iterator[Item]:
    """Drawings of one class, one a line; only keys are read here."""
    offset = 0
    with file.open("rb") as lines:
        for number, line in enumerate(lines):
            if line.strip():
                yield Item(f"{file.relative_to(root).as_posix()}/{_key(file, number, line)}", "sketch", file.stem, None,
                           str(file), offset)  # fmt: skip
            offset += len(line)


def _key(file: Path, number: int, line: bytes) -> str:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{file}: line {number + 1} must be one JSON object, got {line[:40]!r} ({error})") from None
    if not isinstance(record, dict) or not isinstance(record.get("drawing"), list):
        raise ValueError(f"{file}: line {number + 1} must be a QuickDraw record with a drawing, got {line[:40]!r}")
    return str(record.get("key_id", number))


def _level(root: Path, name: str) -> Path | None:
    """The folder that holds the class folders: `name`, below `256x256` and above `tx_*` where there are such levels."""
    folder = _below(root, name)
    levels = sorted(path for path in folder.glob("tx_*") if path.is_dir()) if folder else []
    if not levels:
        return folder
    preferred = [path for path in levels if path.name == PREFERRED[name]]
    return (preferred or levels)[0]


def _below(root: Path, name: str) -> Path | None:
    return next((path for path in (root / name, root / "256x256" / name) if path.is_dir()), None)


def check_classes(root: Path, items: list[Item]) -> None:
    """Every class has photos and sketches, and there are two classes at least; `root` is for the text of the error."""
    counts: dict[str, dict[str, int]] = {}
    for item in items:
        of_class = counts.setdefault(item.class_name, {"photo": 0, "sketch": 0})
        of_class[item.domain] += 1
    if not counts:
        raise ValueError(f"a data set needs images, {root} has none ({', '.join(SUFFIXES)} or .ndjson)")
    lacking = {name: found for name, found in counts.items() if 0 in found.values()}
    if lacking:
        name, found = next(iter(sorted(lacking.items())))
        raise ValueError(
            f"every class needs photos and sketches, {name} in {root} has {found['photo']} photos and "
            f"{found['sketch']} sketches ({len(lacking)} of {len(counts)} classes lack one); add them or drop the class"
        )
    if len(counts) < 2:
        raise ValueError(f"retrieval needs at least 2 classes, {root} has 1 ({next(iter(counts))}); add another")


def _synthetic(root: Path) -> bool:
    """Whether the data set is our own procedural one, by the file that its generator leaves."""
    try:
        return bool(json.loads((root / "doodles.json").read_text())["synthetic"])
    except FileNotFoundError:
        return False
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{root / 'doodles.json'} must be JSON with the key synthetic, got {error!r}") from None
