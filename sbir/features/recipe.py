"""Which payload columns an extraction writes beside the identity of each item."""

from dataclasses import dataclass
from typing import Any

from sbir.features.backbones import Backbone

IMAGES = range(8, 1025)  # pixels of a side
POINTS = range(2, 10_001)  # of a drawing


@dataclass(frozen=True)
class Recipe:
    """`feature` of a backbone, `image` in a fixed size, `strokes` with `num_points`: each may be left out, not all."""

    backbone: Backbone | None
    images: int | None = None  # pixels: `image` (S, S, 3) uint8
    strokes: int | None = None  # points: `strokes` (T, 3) float32 and `num_points` () int32

    def __post_init__(self) -> None:
        if self.images is not None and self.images not in IMAGES:
            raise ValueError(f"images must be {IMAGES.start} to {IMAGES.stop - 1} pixels wide, got {self.images}")
        if self.strokes is not None and self.strokes not in POINTS:
            raise ValueError(f"strokes must have {POINTS.start} to {POINTS.stop - 1} points, got {self.strokes}")
        if not self.columns:
            raise ValueError("a store needs a column: name a backbone, or ask for --images or --strokes")

    @property
    def columns(self) -> dict[str, dict[str, Any]]:
        """Column -> dtype and shape of a row, as a store's manifest has them."""
        found: dict[str, dict[str, Any]] = {}
        if self.backbone is not None:
            found["feature"] = {"dtype": "float32", "shape": [self.backbone.describe()["width"]]}
        if self.images is not None:
            found["image"] = {"dtype": "uint8", "shape": [self.images, self.images, 3]}
        if self.strokes is not None:
            found["strokes"] = {"dtype": "float32", "shape": [self.strokes, 3]}
            found["num_points"] = {"dtype": "int32", "shape": []}
        return found

    @property
    def sizes(self) -> set[int]:
        """Sizes in which images are decoded."""
        wanted = (self.images, self.backbone.size if self.backbone is not None else None)
        return {size for size in wanted if size is not None}

    def describe(self) -> dict[str, Any]:
        """All that the payload depends on beside the items."""
        return {"columns": self.columns, "backbone": self.backbone.describe() if self.backbone is not None else None}

    def given(self) -> str:
        """What the payload was made from, in words."""
        words = []
        if (backbone := self.backbone) is not None:
            words.append(f"{backbone.name} features, weights {backbone.weights}, {backbone.size} px")
        if self.images is not None:
            words.append(f"images of {self.images} px")
        if self.strokes is not None:
            words.append(f"strokes of at most {self.strokes} points")
        return ", ".join(words)
