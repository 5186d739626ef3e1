"""Google's Quick, Draw! drawings (Jongejan et al. 2016) in its four formats or as pictures, alone or with photos."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from sbir.data.dataset import Dataset, Item
from sbir.data.drawings import part_names
from sbir.data.safe_load import load_array
from sbir.data.sets.folders import SUFFIXES, lines, pictures
from sbir.data.sets.published import letters

PHOTOS = ("photo", "QuickDraw_images_final")  # the second: Quickdraw-Extended of Dey et al. 2019


def is_quickdraw(root: Path) -> bool:
    """Whether there is one of the formats' folders."""
    return bool(_present(root))


def read_quickdraw(root: Path, variant: Mapping[str, str]) -> Dataset:
    """Drawings of the format that `variant` names (`sketch=raw`), else the first of `FORMATS` that is there.

    `first=1000` keeps so many drawings of each class: the whole set has 50 million.

    With photos in `photo/<class>/` the classes that have photos are kept, otherwise all, to be retrieved by drawings.
    Classes of drawings and photos are one where their letters are (`palm_tree`, `palm tree`).
    """
    present = _present(root)
    chosen = variant.get("sketch", present[0] if present else "")
    if chosen not in present:
        raise ValueError(f"variant sketch must be one of {', '.join(present) or 'none'} in {root}, got {chosen}")
    folder = _folder(root, chosen)
    assert folder is not None
    photos = _photos(root)
    named = {letters(item.class_name): item.class_name for item in photos}
    items = [*photos]
    first = int(variant["first"]) if variant.get("first", "").isdecimal() else None
    if "first" in variant and not first:
        raise ValueError(f"variant first must be a number of drawings a class, at least 1, got {variant['first']}")
    ending, read = FORMATS[chosen]
    for file in sorted(folder.glob(f"*{ending}")):
        if not file.name.startswith(".") and (not photos or letters(_class(file)) in named):
            items += islice(read(root, file, named.get(letters(_class(file)), _class(file))), first)
    domains = ("sketch", "photo") if photos else ("sketch",)
    return Dataset("quickdraw-extended" if photos else "quickdraw", root, False, tuple(items), domains)


def _photos(root: Path) -> list[Item]:
    folder = next((root / name for name in PHOTOS if (root / name).is_dir()), None)
    photos = pictures(root, folder, "photo") if folder else ()
    return [dataclasses.replace(item, instance=None) for item in photos]  # no drawing is of a photo


def _present(root: Path) -> list[str]:
    """The formats with a folder and a file in it."""
    folders = {name: _folder(root, name) for name in FORMATS}
    return [name for name, folder in folders.items() if folder and any(folder.glob(f"*{FORMATS[name][0]}"))]


def _folder(root: Path, name: str) -> Path | None:
    return next((path for path in (root / "full" / name, root / name) if path.is_dir()), None)


def _class(file: Path) -> str:
    return file.name if file.is_dir() else file.stem


def _pictures(root: Path, folder: Path, class_name: str) -> Iterator[Item]:
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            yield Item(path.relative_to(root).as_posix(), "sketch", class_name, None, str(path))


def _steps(root: Path, file: Path, class_name: str) -> Iterator[Item]:
    return _numbered(root, file, class_name, part_names(file))


def _bitmaps(root: Path, file: Path, class_name: str) -> Iterator[Item]:
    shape = load_array(file).shape
    if len(shape) not in (2, 3) or shape[1:] not in ((784,), (28, 28)):
        raise ValueError(f"{file} must have bitmaps (drawings, 784), got {shape}")
    return _numbered(root, file, class_name, [str(number) for number in range(shape[0])])


def _numbered(root: Path, file: Path, class_name: str, names: list[str]) -> Iterator[Item]:
    below = file.relative_to(root).as_posix()
    for number, name in enumerate(names):
        yield Item(f"{below}/{name}", "sketch", class_name, None, str(file), number)


Read = Callable[[Path, Path, str], Iterator[Item]]
FORMATS: dict[str, tuple[str, Read]] = {  # folder -> ending of its files, reader of one
    "simplified": (".ndjson", lines),
    "raw": (".ndjson", lines),
    "sketchrnn": (".npz", _steps),
    "numpy_bitmap": (".npy", _bitmaps),
    "QuickDraw_sketches_final": ("", _pictures),  # Quickdraw-Extended, drawn as pictures in class folders
}
