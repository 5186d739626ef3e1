"""Folders of pictures: Sketchy with its extension, QuickDraw lines, and any `photo/<class>` and `sketch/<class>`."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from sbir.data.dataset import Dataset, Item

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
EXTENDED = ("EXTEND_image_sketchy", "extended_photo")  # the second: as SEM-PCYC's scripts rename it
PREFERRED = {"photo": "tx_000000000000", "sketch": "tx_000100000000"}  # whole photo; centred sketch, 78 % of the canvas
_DRAWING_OF = re.compile(r"(.+)-\d+$")  # <photo>-<k>: the k-th sketch of a photo
_LEVEL = re.compile(r"tx_\d{12}$")


def is_sketchy(root: Path) -> bool:
    """Whether there are Sketchy's `tx_*` levels."""
    folder = _below(root, "sketch")
    return folder is not None and any(_LEVEL.match(path.name) for path in folder.iterdir())


def is_extended(root: Path) -> bool:
    """Whether there are Sketchy's extended photos."""
    return _extended(root) is not None


def read_sketchy(root: Path, variant: Mapping[str, str]) -> Dataset:
    """Sketchy (Sangkloy et al. 2016) alone; `variant` chooses the `photo` and the `sketch` level (`tx_*`)."""
    return _dataset("sketchy", root, level_photos(root, variant), variant)


def read_sketchy_extended(root: Path, variant: Mapping[str, str]) -> Dataset:
    """Sketchy with the extended photos of Liu et al. 2017, which repeat its own: each counts once.

    The copy in the extension is taken, or the one of the `photo` level where `variant` names it.
    """
    folder = _extended(root)
    if folder is None:
        raise ValueError(f"Sketchy-Extended needs the folder {EXTENDED[0]}, {root} has none")
    levels = level_photos(root, variant) if _below(root, "photo") else []
    extended = list(pictures(root, folder, "photo"))
    first, second = (levels, extended) if "photo" in variant else (extended, levels)
    once: dict[str | None, Item] = {}
    for item in (*first, *second):
        once.setdefault(item.instance, item)
    return _dataset("sketchy-extended", root, list(once.values()), variant)


def read_folders(root: Path, variant: Mapping[str, str]) -> Dataset:
    """Any folders `photo/<class>` and `sketch/<class>` (or `sketch/<class>.ndjson`), named after the folder."""
    return _dataset(root.resolve().name, root, level_photos(root, variant), variant)


def pictures(root: Path, folder: Path, domain: str) -> Iterator[Item]:
    """The pictures in the class folders of `folder`, in order; hidden and other files are passed over.

    Raises `ValueError` on a class folder without a picture.
    """
    for of_class in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        found = sorted(path for path in of_class.iterdir() if path.suffix.lower() in SUFFIXES)
        shown = [path for path in found if not path.name.startswith(".")]
        if not shown:
            raise ValueError(
                f"every class folder needs pictures ({', '.join(SUFFIXES)}), {of_class} has none; fill it or remove it"
            )
        for path in shown:
            instance = f"{of_class.name}/{path.stem}"
            yield Item(path.relative_to(root).as_posix(), domain, of_class.name, instance, str(path))


def lines(root: Path, file: Path, class_name: str) -> Iterator[Item]:
    """The drawings of one class in a QuickDraw `.ndjson` file, one a line; only keys are kept."""
    offset = 0
    with file.open("rb") as stream:
        for number, line in enumerate(stream):
            if line.strip():
                name = f"{file.relative_to(root).as_posix()}/{_key(file, number, line)}"
                yield Item(name, "sketch", class_name, None, str(file), offset)
            offset += len(line)


def _dataset(name: str, root: Path, photos: list[Item], variant: Mapping[str, str]) -> Dataset:
    owners = {item.instance for item in photos}
    return Dataset(name, root, is_synthetic(root), (*photos, *_sketches(root, owners, variant)))


def level_photos(root: Path, variant: Mapping[str, str]) -> list[Item]:
    """The photos of a data set, of the level that `variant` chooses where there are several."""
    folder = _level(root, "photo", variant)
    if folder is None:
        raise ValueError(f"a data set needs photos in photo/<class>/, there is no folder {root / 'photo'}")
    return list(pictures(root, folder, "photo"))


def _sketches(root: Path, owners: set[str | None], variant: Mapping[str, str]) -> Iterator[Item]:
    folder = _level(root, "sketch", variant)
    if folder is None:
        raise ValueError(f"a data set needs sketches in sketch/<class>/ or sketch/<class>.ndjson, no {root / 'sketch'}")
    folders = {path.name for path in folder.iterdir() if path.is_dir()}
    for item in pictures(root, folder, "sketch"):
        own = _owner(str(item.instance), owners)
        yield Item(item.item_id, "sketch", item.class_name, own, item.path)
    for file in sorted(folder.glob("*.ndjson")):
        if file.stem not in folders and not file.name.startswith("."):  # the same drawings as pictures are preferred
            yield from lines(root, file, file.stem)


def _owner(stem: str, owners: set[str | None]) -> str | None:
    if stem in owners:
        return stem
    match = _DRAWING_OF.match(stem)
    return match[1] if match and match[1] in owners else None


def _key(file: Path, number: int, line: bytes) -> str:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{file}: line {number + 1} must be one JSON object, got {line[:40]!r} ({error})") from None
    if not isinstance(record, dict) or not isinstance(record.get("drawing"), list):
        raise ValueError(f"{file}: line {number + 1} must be a QuickDraw record with a drawing, got {line[:40]!r}")
    return str(record.get("key_id", number))


def _level(root: Path, name: str, variant: Mapping[str, str]) -> Path | None:
    """The folder that holds the class folders: `name`, below `256x256` and above `tx_*` where there are such levels."""
    folder = _below(root, name)
    levels = {path.name: path for path in sorted(folder.glob("tx_*")) if path.is_dir()} if folder else {}
    if (wanted := variant.get(name)) is not None:
        if wanted not in levels:
            raise ValueError(f"variant {name} must be one of {', '.join(levels) or 'none'} in {folder}, got {wanted}")
        return levels[wanted]
    if not levels:
        return folder
    return levels.get(PREFERRED[name], next(iter(levels.values())))


def _extended(root: Path) -> Path | None:
    return next((path for name in EXTENDED if (path := _below(root, name)) is not None), None)


def _below(root: Path, name: str) -> Path | None:
    return next((path for path in (root / name, root / "256x256" / name) if path.is_dir()), None)


def is_synthetic(root: Path) -> bool:
    """Whether the data set is our own procedural one, by the file that its generator leaves."""
    try:
        return bool(json.loads((root / "doodles.json").read_text())["synthetic"])
    except FileNotFoundError:
        return False
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{root / 'doodles.json'} must be JSON with the key synthetic, got {error!r}") from None
