"""One mean per domain removed: the cheapest adaptation there is, and a strong one."""

import torch
from torch import Tensor

from sbir.models.method import Method
from sbir.models.settings import common_width
from sbir.types import DataSpec, Rows, TrainRows, Views


class MeanRemoved(Method):
    """Cosine between features from which each domain's mean over its training rows was subtracted.

    Sketches and photos differ most by a constant offset; without it, cosines compare classes.
    """

    query_mean: Tensor
    gallery_mean: Tensor

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        width = common_width(spec)
        self.register_buffer("query_mean", torch.zeros(width))
        self.register_buffer("gallery_mean", torch.zeros(width))

    def fit(self, rows: TrainRows) -> None:
        """Take both means."""
        self.query_mean.copy_(rows.query["feature"].mean(0))
        self.gallery_mean.copy_(rows.gallery["feature"].mean(0))

    def embed_query(self, rows: Rows) -> Views:
        """Centred feature."""
        return {"feature": rows["feature"] - self.query_mean}

    def embed_gallery(self, rows: Rows) -> Views:
        """Centred feature."""
        return {"feature": rows["feature"] - self.gallery_mean}
