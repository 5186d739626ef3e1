"""Relevant component analysis: the linear map to beat where photos retrieve photos of their class."""

import torch
from torch import Tensor

from sbir.models.closed_form import class_means
from sbir.models.method import Method
from sbir.models.settings import check_positive, common_width
from sbir.types import DataSpec, Rows, TrainRows, Views


class Rca(Method):
    """Cosine between centred features (W + shrinkage · s · I)^-1/2 x: what varies within classes counts less.

    W is the covariance of training features within their classes and s its mean eigenvalue; a large `shrinkage` leaves
    the centred feature. Source: A. Bar-Hillel et al., "Learning a Mahalanobis Metric from Equivalence Constraints"
    (JMLR 2005), with W shrunk, since there are fewer rows than a full one takes. Features of the query's side alone are
    fitted: both sides are of one kind.
    """

    mean: Tensor
    axes: Tensor
    kept: Tensor

    def __init__(self, spec: DataSpec, *, shrinkage: float = 1.0) -> None:
        super().__init__()
        check_positive(shrinkage=shrinkage)
        self.shrinkage = shrinkage
        width = common_width(spec)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("axes", torch.zeros(width, width))  # rows
        self.register_buffer("kept", torch.ones(width))  # of each axis, relative to what no class varies in

    @property
    def given(self) -> str:
        """Classes."""
        return "class labels"

    def fit(self, rows: TrainRows) -> None:
        """Take the axes along which classes vary."""
        features = rows.query["feature"]
        means, _ = class_means(features, rows.labels, int(rows.labels.max()) + 1)
        _, sizes, axes = torch.linalg.svd(features.double() - means[rows.labels], full_matrices=False)  # axes (r, D)
        spread = sizes.square() / len(features)
        floor = self.shrinkage * spread.sum() / features.shape[1] + torch.finfo(spread.dtype).tiny
        self.mean.copy_(features.mean(0))
        self.axes[: len(axes)] = axes.to(self.axes)
        self.kept[: len(axes)] = (floor / (spread + floor)).sqrt().to(self.kept)

    def embed_query(self, rows: Rows) -> Views:
        """The weighted feature, centred."""
        centred = rows["feature"] - self.mean
        return {"feature": centred + (centred @ self.axes.T * (self.kept - 1)) @ self.axes}

    def embed_gallery(self, rows: Rows) -> Views:
        """The weighted feature, centred."""
        return self.embed_query(rows)
