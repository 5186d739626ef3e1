"""Direct regression: the photo's feature is predicted from the sketch's, in closed form."""

import torch
from torch import Tensor

from sbir.models.closed_form import pairs
from sbir.models.method import Method
from sbir.models.settings import check_positive, feature_widths
from sbir.types import DataSpec, Rows, TrainRows, Views


class DirectRegression(Method):
    """Ridge regression from a sketch's feature to its own photo's, compared with gallery features as they are.

    A sketch without own photo is mapped to its class's mean photo. `penalty` is relative to the mean eigenvalue of the
    sketches' Gram matrix (see `closed_form.Blocks.ridge`).

    Source: the row of this name in S. K. Yelamarthi et al. (ECCV 2018, https://arxiv.org/abs/1807.11724), whose
    regressor is not known to us: ridge is inferred. Features are not centred, unlike those of the baseline `LinearMap`,
    which this equals with `centre`.
    """

    query_mean: Tensor
    gallery_mean: Tensor
    weight: Tensor

    def __init__(self, spec: DataSpec, *, penalty: float = 0.1, centre: bool = False) -> None:
        super().__init__()
        check_positive(penalty=penalty)
        query, gallery = feature_widths(spec)
        self.penalty, self.centre, self.paired = penalty, centre, spec.paired
        self.register_buffer("query_mean", torch.zeros(query))
        self.register_buffer("gallery_mean", torch.zeros(gallery))
        self.register_buffer("weight", torch.zeros(query, gallery))

    @property
    def given(self) -> str:
        """Pairs where the data have them, else classes."""
        return "sketch-photo pairs" if self.paired else "class labels"

    def fit(self, rows: TrainRows) -> None:
        """Solve for the map."""
        if self.centre:
            self.query_mean.copy_(rows.query["feature"].mean(0))
            self.gallery_mean.copy_(rows.gallery["feature"].mean(0))
        self.weight.copy_(pairs(rows, self.query_mean if self.centre else None).ridge(self.penalty))

    def embed_query(self, rows: Rows) -> Views:
        """The photo feature (n, D) that the map predicts."""
        return {"feature": (rows["feature"] - self.query_mean) @ self.weight}

    def embed_gallery(self, rows: Rows) -> Views:
        """The feature itself, less the mean with `centre`."""
        return {"feature": rows["feature"] - self.gallery_mean}
