"""Which payload columns an extraction writes beside the identity of each item, and into which stores."""

import re
from dataclasses import dataclass
from typing import Any

from sbir.data.items import TEXT_FEATURE
from sbir.features.backbones import Backbone
from sbir.features.texts import TextBackbone

IMAGES = range(8, 1025)  # pixels of a side
DTYPES = ("float32", "float16")  # of features
POINTS = range(2, 10_001)  # of a drawing


@dataclass(frozen=True)
class Recipe:
    """`feature` of each backbone, `text_feature`, `image`, `strokes` with `num_points`: each may be left out, not all.

    One pass over the images serves all backbones; each has a store of its own, with the images and strokes beside.
    """

    backbones: tuple[Backbone, ...] = ()
    images: int | None = None  # pixels: `image` (S, S, 3) uint8
    strokes: int | None = None  # points: `strokes` (T, 3) float32 and `num_points` () int32
    dtype: str = "float32"  # of features
    seed: int = 0  # of the order of rows
    texts: TextBackbone | None = None

    def __post_init__(self) -> None:
        if self.images is not None and self.images not in IMAGES:
            raise ValueError(f"images must be {IMAGES.start} to {IMAGES.stop - 1} pixels wide, got {self.images}")
        if self.strokes is not None and self.strokes not in POINTS:
            raise ValueError(f"strokes must have {POINTS.start} to {POINTS.stop - 1} points, got {self.strokes}")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {self.dtype}")
        if not self.columns:
            raise ValueError("a store needs a column: name a backbone, or ask for --images or --strokes")
        if len(set(self.folders)) < len(self.folders):
            raise ValueError(f"backbones of one call must differ, got {', '.join(self.folders)}")

    @property
    def columns(self) -> dict[str, dict[str, Any]]:
        """Column -> dtype and shape of a row, as a store's manifest has them, but with a feature for each backbone."""
        found: dict[str, dict[str, Any]] = {
            feature_name(number): {"dtype": self.dtype, "shape": [backbone.width]}
            for number, backbone in enumerate(self.backbones)
        }
        if self.texts is not None:
            found[TEXT_FEATURE] = {"dtype": self.dtype, "shape": [self.texts.width]}
        if self.images is not None:
            found["image"] = {"dtype": "uint8", "shape": [self.images, self.images, 3]}
        if self.strokes is not None:
            found["strokes"] = {"dtype": "float32", "shape": [self.strokes, 3]}
            found["num_points"] = {"dtype": "int32", "shape": []}
        return found

    @property
    def of_pictures(self) -> list[str]:
        """The columns that texts have not."""
        return [name for name in self.columns if name != TEXT_FEATURE]

    @property
    def folders(self) -> list[str]:
        """Names of the backbones' stores, where there are several."""
        return [re.sub(r"[^A-Za-z0-9._]+", "-", backbone.name) for backbone in self.backbones]

    def columns_of(self, number: int) -> dict[str, str]:
        """Column of one backbone's store -> column of the recipe."""
        others = [name for name in self.columns if not name.startswith("feature")]
        return ({"feature": feature_name(number)} if self.backbones else {}) | {name: name for name in others}

    def describe(self) -> dict[str, Any]:
        """All that the payload depends on beside the items."""
        return {"columns": self.columns, "backbones": [self.about(backbone) for backbone in self.backbones or (None,)]}

    def about(self, backbone: Backbone | None) -> dict[str, Any]:
        """The backbone of one store, with that of its texts, for the store's manifest."""
        said = backbone.describe() if backbone is not None else {}
        return said | ({"text": self.texts.describe()} if self.texts is not None else {})

    def given(self, backbone: Backbone | None) -> str:
        """What a store's payload was made from, in words."""
        words = []
        if backbone is not None:
            words.append(f"{backbone.name} features, weights {backbone.weights}, {backbone.size} px")
        if self.texts is not None:
            words.append(f"texts by {self.texts.name}, weights {self.texts.weights}")
        if self.images is not None:
            words.append(f"images of {self.images} px")
        if self.strokes is not None:
            words.append(f"strokes of at most {self.strokes} points")
        return ", ".join(words)


def feature_name(number: int) -> str:
    """The column of the n-th backbone in a recipe."""
    return f"feature {number}" if number else "feature"
