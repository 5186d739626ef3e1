"""From a new sketch to the feature that a model expects: the same pixels and the same backbone as its store's."""

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sbir.data.pictures import find_picture, resized
from sbir.features.backbones import features
from sbir.features.weights import own_network


class Sketcher:
    """The backbone of a model's features, in memory."""

    def __init__(self, about: dict[str, Any], weights: Path | None = None) -> None:
        """`about` is the model's `model.json`; `weights` the file of the backbone's weights where they came from one.

        Raises `ValueError` that says what is needed where the backbone cannot be had.
        """
        self._network = own_network(about["backbone"], weights)
        self._size = int(about["backbone"]["size"])

    def feature(self, picture: Image.Image) -> Tensor:
        """The feature (width,) of one picture."""
        return torch.from_numpy(features(self._network, resized(picture, self._size)[None])[0])


def open_sketch(name: str) -> Image.Image:
    """A sketch file: an image (on white where it is transparent), the first drawing of a QuickDraw `.ndjson`, or with
    `FILE.ndjson/KEY` the drawing of that key. Raises `BrokenImage`, a `ValueError`."""
    return find_picture("", name)
