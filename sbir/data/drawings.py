"""Drawings that lie many in one file: as strokes, or as small pictures."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from sbir.data.dataset import Item
from sbir.data.items import Array
from sbir.data.safe_load import load_array, load_arrays, load_mat, load_pickle

PARTS = ("train", "valid", "test")  # of a sketch-rnn file, in the order of its drawings' numbers
Strokes = list[list[list[float]]]  # [[xs, ys, ...], ...]


def has_strokes(item: Item) -> bool:
    """Whether an item is a drawing whose strokes are known."""
    return item.offset is not None and Path(item.path).suffix not in (".npy", ".mat")


def read_strokes(item: Item) -> Strokes:
    """The strokes of an item that `has_strokes`, [[xs, ys, ...], ...], in its own unit."""
    path, number = Path(item.path), item.offset or 0
    if path.suffix == ".ndjson":
        with path.open("rb") as lines:
            lines.seek(number)
            strokes: Strokes = json.loads(lines.readline())["drawing"]
            return strokes
    if path.suffix == ".npz":
        return from_steps(_steps(path, path.stat().st_mtime_ns)[number])
    return from_points(list(coordinates(path).values())[number])


def read_bitmap(item: Item) -> Array:
    """The pixels (H, W) or (H, W, 3) uint8 of an item in a `.npy` or `.mat` stack, dark on light."""
    path, number = Path(item.path), item.offset or 0
    if path.suffix == ".npy":  # QuickDraw's: 784 numbers, white on black
        return 255 - np.asarray(load_array(path)[number]).reshape(28, 28).astype(np.uint8)
    return np.asarray(stack(path)[number], np.uint8)


def find_drawing(path: Path, name: str) -> int:
    """Where in the file `path` the drawing `name` is, as `Item.offset` says it; raises `KeyError`."""
    if path.suffix == ".ndjson":
        return _find_line(path, name)
    if path.suffix in (".npy", ".mat"):
        return int(name)
    names = part_names(path) if path.suffix == ".npz" else list(coordinates(path))
    if name not in names:
        raise KeyError(name)
    return names.index(name)


def part_names(path: Path) -> list[str]:
    """The names of the drawings in a sketch-rnn file, such as `train-7`."""
    found = load_arrays(path, PARTS)
    if not found:
        raise ValueError(f"{path} must be a sketch-rnn file with the arrays {', '.join(PARTS)}, got none of them")
    return [f"{part}-{number}" for part in found for number in range(len(found[part]))]


def coordinates(path: Path) -> dict[str, Array]:
    """The drawings of a QMUL coordinate file, name -> (T, 3): x, y in 0 to 256, and 1 where the pen lifts."""
    return _coordinates(path, path.stat().st_mtime_ns)


def stack(path: Path) -> Array:
    """The pictures (N, H, W) or (N, H, W, 3) of a `.mat` file."""
    return _stack(path, path.stat().st_mtime_ns)


def from_points(points: Array) -> Strokes:
    """Points (T, 3) with the pen's state as strokes.

    >>> from_points(np.array([[0, 0, 0], [9, 0, 1], [5, 5, 1]]))
    [[[0.0, 9.0], [0.0, 0.0]], [[5.0], [5.0]]]
    """
    ends = np.flatnonzero(points[:, 2] == 1) + 1
    parts = np.split(np.asarray(points, np.float64), ends[ends < len(points)])
    return [[part[:, 0].tolist(), part[:, 1].tolist()] for part in parts]


def from_steps(steps: Array) -> Strokes:
    """sketch-rnn's steps (T, 3) from point to point as strokes.

    >>> from_steps(np.array([[1, 2, 0], [3, 0, 1], [0, 5, 1]]))
    [[[1.0, 4.0], [2.0, 2.0]], [[4.0], [7.0]]]
    """
    points = np.array(steps, np.float64)
    points[:, :2] = np.cumsum(points[:, :2], axis=0)
    return from_points(points)


@lru_cache(maxsize=4)  # the files are whole pickles: reading one for each drawing would take hours
def _coordinates(path: Path, _: int) -> dict[str, Array]:
    found = load_pickle(path)
    if not isinstance(found, dict) or not found:
        raise ValueError(f"{path} must hold drawings by name, got {type(found).__name__}")
    return {str(name): _points(path, name, points) for name, points in found.items()}


def _points(path: Path, name: Any, points: Any) -> Array:
    array = np.asarray(points)
    if array.dtype.kind not in "biuf" or array.ndim != 2 or array.shape[1] != 3 or not len(array):
        raise ValueError(f"{path}: {name} must be (points, 3) numbers, got {array.shape} of {array.dtype}")
    return array


@lru_cache(maxsize=4)
def _steps(path: Path, _: int) -> list[Array]:
    found = load_arrays(path, PARTS)
    return [_points(path, part, drawing) for part, drawings in found.items() for drawing in drawings]


@lru_cache(maxsize=4)
def _stack(path: Path, _: int) -> Array:
    data = load_mat(path, ("data",))["data"]
    if data.dtype.kind not in "uif" or data.ndim not in (3, 4) or 0 in data.shape:
        raise ValueError(f"{path}: data must be (pictures, height, width) numbers, got {data.shape} of {data.dtype}")
    return data


def _find_line(path: Path, name: str) -> int:
    offset = 0
    with path.open("rb") as lines:
        for number, line in enumerate(lines):
            if line.strip() and str(json.loads(line).get("key_id", number)) == name:
                return offset
            offset += len(line)
    raise KeyError(name)
