"""From a new sketch to the columns that a model takes, made as those of its store were."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sbir.data.drawings import has_strokes, read_strokes
from sbir.data.items import TEXT_FEATURE, Array
from sbir.data.pictures import draw_strokes, find_item, guarded, picture, resized
from sbir.data.strokes import to_points
from sbir.features.backbones import features
from sbir.features.texts import own_text_encoder
from sbir.features.weights import own_network

Drawing = Sequence[Sequence[Sequence[float]]]  # QuickDraw's: [[xs, ys, ...], ...]


@dataclass(frozen=True)
class Sketch:
    """A picture, and the strokes behind it where it was drawn."""

    picture: Image.Image
    drawing: Drawing | None = None


def text_rows(about: Mapping[str, Any], words: str, weights: Path | None = None) -> dict[str, Tensor]:
    """The one row of a model's columns for a new text; `weights` is the folder of the text encoder where it was one.

    Raises `ValueError` where the model does not take texts, or its encoder cannot be had.
    """
    if not set(about["columns"]) <= {"text", TEXT_FEATURE}:
        raise ValueError(f"the model must take texts, it takes {', '.join(about['columns'])}; search with --sketch")
    if not words.strip():
        raise ValueError("a text to search with must have words, got none")
    if TEXT_FEATURE in about["columns"]:
        dtype = about["columns"][TEXT_FEATURE]["dtype"]
        feature = own_text_encoder(about["backbone"], weights)([words]).astype(dtype)  # as a store keeps it
        return {"feature": torch.from_numpy(feature).float()}
    return {"text": torch.tensor([list(words.encode())], dtype=torch.uint8)}


def drawn(drawing: Drawing) -> Sketch:
    """Strokes as a sketch, drawn as they are for a store; raises `ValueError` where there is no finite point."""
    return Sketch(draw_strokes(drawing), drawing)


def open_sketch(name: str) -> Sketch:
    """A sketch file: an image, on white where it is transparent; the first drawing of a QuickDraw `.ndjson` file, or
    with `FILE.ndjson/KEY` the one of that key. Raises `BrokenImage`, a `ValueError`."""
    item = find_item("", name)
    if not has_strokes(item):
        return Sketch(picture(item))
    with guarded(name):
        return drawn(read_strokes(item))


class Sketcher:
    """What makes a model's columns, the backbone in memory where there is a feature among them."""

    def __init__(self, about: dict[str, Any], weights: Path | None = None) -> None:
        """`about` is the model's `model.json`; `weights` the file of the backbone's weights where they came from one.

        Raises `ValueError` that says what is needed where the backbone cannot be had.
        """
        self._columns: dict[str, dict[str, Any]] = about["columns"]
        self._own = own_network(about["backbone"], weights) if "feature" in self._columns else None

    def rows(self, sketch: Sketch) -> dict[str, Tensor]:
        """One row (1, ...) of every column; raises `ValueError` where the model takes strokes and there are none."""
        if {"text", TEXT_FEATURE} & self._columns.keys():
            raise ValueError("the model takes texts, not sketches; search with --text WORDS")
        made: dict[str, Array] = {}
        if self._own is not None:
            backbone, network = self._own
            pixels = resized(sketch.picture, backbone.size, bicubic=backbone.preprocessing.bicubic)
            made["feature"] = features(network, pixels[None], backbone.preprocessing)
        if "image" in self._columns:
            made["image"] = resized(sketch.picture, self._columns["image"]["shape"][0])[None]
        if "strokes" in self._columns:
            if sketch.drawing is None:
                raise ValueError("the model takes strokes, and a picture has none; give it FILE.ndjson/KEY")
            points, count = to_points(sketch.drawing, self._columns["strokes"]["shape"][0])
            made |= {"strokes": points[None], "num_points": np.array([count])}
        kept = {name: made[name].astype(claim["dtype"]) for name, claim in self._columns.items()}  # as a store keeps it
        rows = {name: torch.from_numpy(value) for name, value in kept.items()}
        return {name: value.float() if value.is_floating_point() else value for name, value in rows.items()}
