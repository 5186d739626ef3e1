"""QMUL's shoes and chairs: fine-grained pairs of one class each, versions 1 (Yu et al. 2016) and 2."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sbir.data.dataset import Dataset, Item
from sbir.data.drawings import coordinates, stack
from sbir.data.sets.files import inside, text_of, unique
from sbir.data.sets.folders import SUFFIXES

_STACK = re.compile(r"(?P<what>[a-z]+)_(?P<kind>sketch|image|edge)_db_(?P<part>train|test)\.mat$")
_K = re.compile(r"(.+)_\d+$")  # <photo>_<k>: the k-th sketch of a photo
_WORDS = ("shoe", "chair")


def is_v2(root: Path) -> bool:
    """Whether there is a coordinate file, or a folder with shoe or chair in its name has trainA to testB."""
    folders = all((root / name).is_dir() for name in ("trainA", "trainB", "testA", "testB"))
    return _coordinate_file(root) is not None or (folders and _word(root.resolve().name) in _WORDS)


def read_v2(root: Path) -> Dataset:
    """ShoeV2 or ChairV2: sketches as strokes in one pickle, or pictures in trainA and testA (photos in B).

    The pickle is read by an unpickler that knows arrays and nothing else. A sketch `<photo>_<k>` belongs to the photo.
    """
    file = _coordinate_file(root)
    items = list(_from_coordinates(root, file) if file else _from_folders(root))
    return _fine("qmul-v2", root, items)


def is_v1(root: Path) -> bool:
    """Whether there are annotations of shoes or chairs, or stacks of their pictures."""
    return bool(_annotations(root)) or bool(_stacks(root))


def read_v1(root: Path, variant: Mapping[str, str]) -> Dataset:
    """Shoes and chairs by their annotation, or `.mat` stacks of pictures.

    The i-th sketch of a part belongs to its i-th photo; the annotation's triplets, two photos each, are people's
    choices between them. `variant` `photo=edge` takes the stacks of edge maps.
    """
    if found := _annotations(root):
        return _fine("qmul-v1", root, [item for what, file in found.items() for item in _annotated(root, what, file)])
    return _fine("qmul-v1", root, list(_from_stacks(root, variant.get("photo", "image"))))


def _fine(name: str, root: Path, items: list[Item]) -> Dataset:
    unique([item.item_id for item in items], root, "picture")
    return Dataset(name, root, False, tuple(items), least_classes=1)


def _coordinate_file(root: Path) -> Path | None:
    return next((path for path in sorted(root.glob("*_Coordinate")) if path.is_file()), None)


def _from_coordinates(root: Path, file: Path) -> Iterator[Item]:
    class_name = _word(file.name)
    sketches = []
    for number, name in enumerate(coordinates(file)):
        own = _K.match(name.rsplit("/", 1)[-1])
        part = next((part for part in ("train", "test") if part in name), None)
        if own is None or part is None:
            raise ValueError(f"{file}: a drawing must be named <train or test>/<photo>_<k>, got {name!r}")
        sketches.append(
            Item(f"{file.name}/{name}", "sketch", class_name, f"{class_name}/{own[1]}", str(file), number, part)
        )
    part_of = _parts(file, sketches)
    photos = root / "photo"
    if not photos.is_dir():
        raise ValueError(f"QMUL V2 needs photos in photo/, there is no folder {photos}")
    for path in _files(photos):
        instance = f"{class_name}/{path.stem}"
        name = path.relative_to(root).as_posix()
        yield Item(name, "photo", class_name, instance, str(path), split=part_of.pop(instance, ""))
    if part_of:
        raise ValueError(f"{file}: every drawing needs its photo, {next(iter(part_of))} is not in {photos}")
    yield from sketches


def _parts(file: Path, sketches: list[Item]) -> dict[str, str]:
    """The part of each photo, which is that of all of its sketches."""
    part_of: dict[str, str] = {}
    for item in sketches:
        if part_of.setdefault(str(item.instance), item.split) != item.split:
            raise ValueError(f"{file}: the sketches of a photo must be in one part, {item.instance} is in both")
    return part_of


def _from_folders(root: Path) -> Iterator[Item]:
    class_name = _word(root.resolve().name)
    for part in ("train", "test"):
        photos = {path.stem: path for path in _files(root / f"{part}B")}
        for stem, path in photos.items():
            name = path.relative_to(root).as_posix()
            yield Item(name, "photo", class_name, f"{class_name}/{part}/{stem}", str(path), split=part)
        for path in _files(root / f"{part}A"):
            match = _K.match(path.stem)
            own = next((stem for stem in (path.stem, match[1] if match else "") if stem in photos), None)
            if own is None:
                raise ValueError(f"every sketch needs its photo <name> for <name>_<k>, {path} has none in {part}B")
            name = path.relative_to(root).as_posix()
            yield Item(name, "sketch", class_name, f"{class_name}/{part}/{own}", str(path), split=part)


def _annotations(root: Path) -> dict[str, Path]:
    """Shoes and chairs -> their annotation, which lies beside the folders or in its own."""
    found = {}
    for what in (f"{word}s" for word in _WORDS):
        for base in (root, root / "sbir_cvpr2016"):
            for folder in (base / what / "annotation", base / "annotation"):
                file = folder / f"{what}_annotation.json"
                if file.is_file() and (base / what).is_dir():
                    found[what] = file
    return found


def _annotated(root: Path, what: str, file: Path) -> list[Item]:
    folder = next(base / what for base in (root, root / "sbir_cvpr2016") if (base / what).is_dir())
    table = _json(file)
    items: list[Item] = []
    for part in ("train", "test"):
        lists = table.get(part) if isinstance(table, dict) else None
        photos, sketches, chosen = _lists(file, part, lists)
        own = [f"{what}/{part}/{number}" for number in range(len(photos))]
        choices = [tuple(_pair(file, own, pair) for pair in pairs) for pairs in chosen]
        none: list[tuple[tuple[str, str], ...]] = [()] * len(photos)
        every = (("photo", "images", photos, none), ("sketch", "sketches", sketches, choices))
        for domain, below, names, told in every:
            for name, instance, pairs in zip(names, own, told, strict=True):
                path = inside(folder / part / below, name, source=file)
                item_id = path.relative_to(root).as_posix()
                items.append(Item(item_id, domain, what[:-1], instance, str(path), split=part, choices=pairs))
    return items


def _lists(file: Path, part: str, lists: Any) -> tuple[list[str], list[str], list[Any]]:
    keys = ("images", "sketches", "triplets")
    if not isinstance(lists, dict) or not all(isinstance(lists.get(key), list) for key in keys):
        raise ValueError(f"{file}: {part} must have the lists images, sketches and triplets")
    photos, sketches, triplets = (lists[key] for key in keys)
    if not len(photos) == len(sketches) == len(triplets):
        raise ValueError(
            f"{file}: {part} must have as many images as sketches and triplets, got {len(photos)}, {len(sketches)} and "
            f"{len(triplets)}"
        )
    return [str(name) for name in photos], [str(name) for name in sketches], triplets


def _pair(file: Path, photos: list[str], pair: Any) -> tuple[str, str]:
    good = isinstance(pair, list | tuple) and len(pair) == 2
    if not good or not all(isinstance(number, int) and 0 <= number < len(photos) for number in pair):
        raise ValueError(f"{file}: a triplet must be two numbers of photos from 0 to {len(photos) - 1}, got {pair!r}")
    return photos[pair[0]], photos[pair[1]]


def _json(file: Path) -> Any:
    try:
        return json.loads(text_of(file))
    except ValueError as error:
        raise ValueError(f"{file} must be JSON with the parts train and test, got {error}") from None


def _stacks(root: Path) -> list[tuple[Path, re.Match[str]]]:
    return [(path, match) for path in sorted(root.glob("*.mat")) if (match := _STACK.match(path.name))]


def _from_stacks(root: Path, photos: str) -> Iterator[Item]:
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for path, match in _stacks(root):
        domain = {photos: "photo", "sketch": "sketch"}.get(match["kind"])
        if domain is None:
            continue
        class_name, part = _word(match["what"]), match["part"]
        count = counts.setdefault((class_name, part), {})[domain] = len(stack(path))
        for number in range(count):
            instance = f"{class_name}/{part}/{number}"
            yield Item(f"{path.name}/{number}", domain, class_name, instance, str(path), number, part)
    for (class_name, part), found in counts.items():
        if found.get("photo") != found.get("sketch"):
            raise ValueError(
                f"{root}: the stacks {class_name} {part} must have as many sketches as photos ({photos}), got "
                f"{found.get('sketch', 0)} and {found.get('photo', 0)}"
            )


def _files(folder: Path) -> list[Path]:
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))


def _word(name: str) -> str:
    """What is drawn, out of a file's name."""
    return next((word for word in _WORDS if word in name.lower()), name.lower())
