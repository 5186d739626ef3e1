"""Pixels as they are, and a linear map between them: what a network on images has to beat first."""

from dataclasses import replace
from typing import Literal

from torch import Tensor
from torch.nn import functional

from sbir.models.drawings import ink
from sbir.models.linear_map import LinearMap
from sbir.models.method import Method
from sbir.types import DataSpec, Rows, TrainRows, Views

MAPPED = 16  # pixels a side that the linear map sees, at most


class Pixels(Method):
    """Ranks by the cosine between the ink of two pictures, pixel by pixel."""

    query_columns = gallery_columns = ("image",)

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()

    def embed_query(self, rows: Rows) -> Views:
        """Darkness of every pixel, (n, S·S)."""
        return {"ink": ink(rows).flatten(1)}

    def embed_gallery(self, rows: Rows) -> Views:
        """Darkness of every pixel, (n, S·S)."""
        return self.embed_query(rows)


class LinearPixels(Method):
    """`LinearMap` from a sketch's pixels to its photo's, in colour, averaged to at most 16 x 16."""

    query_columns = gallery_columns = ("image",)

    def __init__(self, spec: DataSpec, *, kind: Literal["ridge", "procrustes"] = "ridge", penalty: float = 0.1) -> None:
        super().__init__()
        widths = {"feature": (3 * min(MAPPED, spec.query["image"][0]) ** 2,)}
        self.map = LinearMap(replace(spec, query=widths, gallery=widths), kind=kind, penalty=penalty)

    @property
    def given(self) -> str:
        """Pairs where the data have them, else classes."""
        return self.map.given

    def fit(self, rows: TrainRows) -> None:
        """Solve for the map."""
        self.map.fit(replace(rows, query=_averaged(rows.query), gallery=_averaged(rows.gallery)))

    def embed_query(self, rows: Rows) -> Views:
        """The photo's pixels that the map predicts, centred."""
        return self.map.embed_query(_averaged(rows))

    def embed_gallery(self, rows: Rows) -> Views:
        """Centred pixels."""
        return self.map.embed_gallery(_averaged(rows))


def _averaged(rows: Rows) -> Rows:
    """Darkness of each channel, (n, 3·s·s)."""
    images = 1 - rows["image"].permute(0, 3, 1, 2).float() / 255
    small: Tensor = functional.adaptive_avg_pool2d(images, min(MAPPED, images.shape[2]))
    return {"feature": small.flatten(1)}
