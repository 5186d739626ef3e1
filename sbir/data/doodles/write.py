"""Write the doodles as a data set on disk, in Sketchy's folder layout with QuickDraw strokes beside it."""

import json
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sbir.data.doodles.captions import caption, labels
from sbir.data.doodles.categories import CATEGORIES
from sbir.data.doodles.photo import pose, render
from sbir.data.doodles.sketch import DRAWERS, Sketch, draw_sketch, drawer, rasterise

VERSION = 2  # of the generator: a change of one pixel is a new version, and the card's hash of pixels holds it to that
ABOUT = "doodles.json"  # what was written, last of all
Size = Literal["demo", "full"]


@dataclass(frozen=True)
class Extent:
    """How much is drawn."""

    photos: int  # a class
    sketches: int  # a photo
    pixels: int


EXTENTS: dict[str, Extent] = {"demo": Extent(20, 2, 96), "full": Extent(200, 5, 192)}
TEST = (
    "airplane", "bus", "butterfly", "cup", "dog", "duck", "elephant", "fish", "hammer", "house",
    "octopus", "palm", "pig", "rabbit", "ship", "skyscraper", "spider", "swan", "tractor", "windmill",
)  # fmt: skip
VAL = ("bicycle", "car", "castle", "penguin", "rocket", "table", "turtle", "whale")
HELD = 0.1  # of the photos of each train class


def write_doodles(root: str | Path, *, size: Size = "demo", seed: int = 0) -> None:
    """Write the procedural data set: `photo/`, `sketch/`, `strokes/`, captions, attributes and the split.

    Synthetic: an embedded default, a fixture and an oracle, never evidence. The same (VERSION, size, seed) gives the
    same pictures. Nothing is at `root` before all of it is, and nothing is left behind by an error. Raises `ValueError`
    on an unknown size, a negative seed or an existing path.
    """
    root = Path(root)
    if size not in EXTENTS:
        raise ValueError(f"size must be one of {', '.join(EXTENTS)}, got {size!r}")
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
    if root.exists():
        raise ValueError(f"doodles are written to a new folder, {root} exists; remove it or take another")
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{root.name}.part-", dir=root.parent) as scratch:
        whole = Path(scratch) / "whole"  # inside: what TemporaryDirectory makes is for its owner's eyes only
        whole.mkdir()
        _write_all(whole, size, seed)
        whole.replace(root)


def _write_all(root: Path, size: Size, seed: int) -> None:
    jobs = [(str(root), name, size, seed) for name in CATEGORIES]
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        written = list(pool.map(_write_class, jobs))
    _write_lines(root / "captions.jsonl", [line for captions, _ in written for line in captions])
    _write_lines(root / "attributes.jsonl", [line for _, attributes in written for line in attributes])
    (root / "split.json").write_text(json.dumps(split(size), indent=1) + "\n")
    (root / ABOUT).write_text(json.dumps(_about(root, size, seed), indent=1) + "\n")


def is_written(root: Path, *, size: Size, seed: int) -> bool:
    """Whether `root` says that it is this (VERSION, size, seed) and has as many files as were written."""
    try:
        found = json.loads((root / ABOUT).read_text())
    except (OSError, ValueError):
        return False
    return bool(found == _about(root, size, seed))


def _about(root: Path, size: Size, seed: int) -> dict[str, Any]:
    files = sum(path.is_file() and path.name != ABOUT for path in root.rglob("*"))
    return {"version": VERSION, "size": size, "seed": seed, "synthetic": True, "files": files}


def split(size: Size) -> dict[str, list[str]]:
    """Class lists, and the photos of train classes that are held out of training."""
    train = [name for name in CATEGORIES if name not in TEST + VAL]
    count = EXTENTS[size].photos
    held = [photo_id(name, number) for name in train for number in range(count - round(HELD * count), count)]
    return {"train": train, "val": list(VAL), "test": list(TEST), "held": held}


def photo_id(name: str, number: int) -> str:
    """In the form of Sketchy's: `n` and the class, an underscore, the photo."""
    return f"n{list(CATEGORIES).index(name):08d}_{number + 1}"


def instance(name: str, number: int, seed: int) -> tuple[dict[str, float], dict[str, float]]:
    """True parameters and pose of one photo."""
    index = list(CATEGORIES).index(name)
    values = CATEGORIES[name].instances(number + 1, np.random.default_rng([VERSION, seed, index]))[number]
    return values, pose(CATEGORIES[name].parts(values), _rng(seed, index, number, 0))


def _rng(seed: int, index: int, number: int, purpose: int) -> np.random.Generator:
    return np.random.default_rng([VERSION, seed, index, number, purpose])


def _write_class(job: tuple[str, str, Size, int]) -> tuple[list[Any], list[Any]]:
    root, name, size, seed = Path(job[0]), job[1], job[2], job[3]
    extent, index, kind = EXTENTS[size], list(CATEGORIES).index(name), CATEGORIES[name]
    every = kind.instances(extent.photos, np.random.default_rng([VERSION, seed, index]))
    for folder in ("photo", "sketch"):
        (root / folder / name).mkdir(parents=True)
    (root / "strokes").mkdir(exist_ok=True)
    drawings, captions, attributes = [], [], []
    for number, values in enumerate(every):
        of_photo = photo_id(name, number)
        parts = kind.parts(values)
        stand = pose(parts, _rng(seed, index, number, 0))
        picture = render(parts, stand, _rng(seed, index, number, 1), extent.pixels)
        picture.save(root / "photo" / name / f"{of_photo}.jpg", quality=90)
        artists = _rng(seed, index, number, 2).permutation(DRAWERS)[: extent.sketches]
        for turn, artist in enumerate(artists):
            sketch = draw_sketch(name, values, stand, int(artist), _rng(seed, index, number, 3 + turn))
            raster = rasterise(sketch.strokes, drawer(int(artist)).pen, extent.pixels)
            raster.save(root / "sketch" / name / f"{of_photo}-{turn + 1}.png")
            drawings.append(_drawing(name, f"{of_photo}-{turn + 1}", sketch))
        words = caption(name, stand, _rng(seed, index, number, 2))
        captions.append({"id": of_photo, "class": name, **words, "labels": labels(name)})
        attributes.append({"id": of_photo, "class": name, "parameters": values, "pose": stand})
    _write_lines(root / "strokes" / f"{name}.ndjson", drawings)
    return captions, attributes


def _drawing(name: str, key: str, sketch: Sketch) -> dict[str, Any]:
    """QuickDraw's raw format, 255 units to the canvas; `drawer` and `bad` are keys that its readers pass over."""
    strokes = [
        [np.round(stroke[:, 0] * 255, 1).tolist(), np.round(stroke[:, 1] * 255, 1).tolist(), stroke[:, 2].tolist()]
        for stroke in sketch.strokes
    ]
    return {
        "word": name,
        "key_id": key,
        "recognized": True,
        "drawing": strokes,
        "drawer": sketch.drawer,
        "bad": sketch.bad,
    }


def _write_lines(path: Path, lines: list[Any]) -> None:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
