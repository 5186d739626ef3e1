"""Drawings as sequences of pen points: where a data set keeps them, and the fixed shape in which a store holds them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sbir.data.dataset import Dataset, Item
from sbir.data.drawings import has_strokes, read_strokes
from sbir.data.pictures import BrokenImage, guarded, placed

FOLDER = "strokes"  # beside photo/ and sketch/: <class>.ndjson with the drawings behind the pictures of sketches

Points = NDArray[np.float32]


def pen_points(item: Item, length: int) -> tuple[Points, int]:
    """The drawing of an item as (length, 3) float32, and how many of these rows are points; the others are 0.

    A row is x, y in the 256-pixel canvas, placed as in `draw_strokes`, and 1 where the pen lifts after the point, else
    0. A drawing of more points is resampled: every stroke keeps its two ends, the room that is left goes to the strokes
    in proportion to their other points, and within a stroke points are chosen uniformly by index. Where even the ends
    are too many, the first strokes that fit are kept. Raises `BrokenImage`.
    """
    with guarded(item.item_id):
        return to_points(read_strokes(item), length)


def to_points(drawing: Sequence[Sequence[Sequence[float]]], length: int) -> tuple[Points, int]:
    """QuickDraw strokes as `pen_points` gives those of an item; raises `ValueError` where there is no finite point."""
    strokes = placed(drawing)
    chosen = [stroke[rows] for stroke, rows in zip(strokes, _choose([len(s) for s in strokes], length), strict=False)]
    points = np.zeros((length, 3), np.float32)
    start = 0
    for stroke in chosen:
        end = start + len(stroke)
        points[start:end, :2] = stroke
        points[end - 1, 2] = 1
        start = end
    return points, start


def drawn_items(dataset: Dataset) -> list[Item | None]:
    """For each item the one that holds its drawing: itself, or a line of `strokes/<class>.ndjson` with its file's name.

    Raises `ValueError` where no item has a drawing.
    """
    files: dict[str, dict[str, Item]] = {}
    found = [_drawn(dataset.root, item, files) if item.domain == "sketch" else None for item in dataset.items]
    if not any(found):
        raise ValueError(
            f"strokes need drawings, in sketch/<class>.ndjson or {FOLDER}/<class>.ndjson, {dataset.root} has pictures "
            "only; leave out --strokes"
        )
    return found


def _drawn(root: Path, item: Item, files: dict[str, dict[str, Item]]) -> Item | None:
    if item.offset is not None:
        return item if has_strokes(item) else None
    if item.class_name not in files:
        files[item.class_name] = _lines(root / FOLDER / f"{item.class_name}.ndjson")
    line = files[item.class_name].get(Path(item.item_id).stem)
    return replace(item, path=line.path, offset=line.offset) if line else None


def _lines(file: Path) -> dict[str, Item]:
    """Drawings of a file by key."""
    found, offset = {}, 0
    if file.is_file():
        with file.open("rb") as lines:
            for line in lines:
                if line.strip():
                    found[_key(file, line)] = Item("", "sketch", file.stem, None, str(file), offset)
                offset += len(line)
    return found


def _key(file: Path, line: bytes) -> str:
    try:
        return str(json.loads(line)["key_id"])
    except (ValueError, KeyError, TypeError) as error:
        raise BrokenImage(f"{file}: each line must be a drawing with a key_id, got {line[:40]!r} ({error!r})") from None


def _choose(lengths: Sequence[int], room: int) -> list[NDArray[np.int64]]:
    """Indices of the points that are kept, for each stroke that is.

    >>> [rows.tolist() for rows in _choose([5, 1, 3], 6)]
    [[0, 2, 4], [0], [0, 2]]
    >>> [rows.tolist() for rows in _choose([9, 9, 9], 5)]
    [[0, 4, 8], [0, 8]]
    """
    ends = np.minimum(lengths, 2)
    ends = ends[np.cumsum(ends) <= room]
    inner = np.array(lengths[: len(ends)]) - ends
    share = min(1.0, (room - ends.sum()) / max(1, inner.sum()))
    wanted = inner * share
    counts = np.floor(wanted).astype(np.int64)
    rest = int(min(room - ends.sum(), inner.sum()) - counts.sum())
    counts[np.argsort(counts - wanted, kind="stable")[:rest]] += 1  # the largest remainders
    pairs = zip(lengths, ends + counts, strict=False)
    return [np.floor(np.linspace(0, length - 1, count) + 0.5).astype(np.int64) for length, count in pairs]
