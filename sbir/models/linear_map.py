"""A linear map from query to gallery features in closed form: seconds of work that beat many trained networks."""

from typing import Literal

import torch
from torch import Tensor

from sbir.models.closed_form import Blocks, pairs
from sbir.models.method import Method
from sbir.models.settings import check_choice, check_positive, check_unused, common_width, feature_widths
from sbir.types import DataSpec, Rows, TrainRows, Views


class LinearMap(Method):
    """Maps a query's feature to that of its own photo, or of its class's mean photo where it has none; then cosine.

    Both sides are centred first, on the means of their training rows; a query without own photo whose class has no
    training photo is left out. "ridge" (Hoerl and Kennard 1970) solves min |XW - Y|² + penalty · s · |W|², where s is
    the mean eigenvalue of X Xᵀ (of Xᵀ X where there are fewer features than rows), so that `penalty` means the same on
    every data set; "procrustes" is the orthogonal map of least error (Schönemann 1966), zero on directions that the
    training rows do not show. Both are solved in float64, in the smaller of primal and dual form; the last
    product of the dual one is in float32.
    """

    query_mean: Tensor
    gallery_mean: Tensor
    weight: Tensor

    def __init__(self, spec: DataSpec, *, kind: Literal["ridge", "procrustes"] = "ridge", penalty: float = 0.1) -> None:
        super().__init__()
        check_choice("kind", kind, ("ridge", "procrustes"))
        check_positive(penalty=penalty)
        if kind == "procrustes":
            common_width(spec)
            check_unused(LinearMap, "kind='procrustes'", penalty=penalty)
        query, gallery = feature_widths(spec)
        self.kind, self.penalty, self.paired = kind, penalty, spec.paired
        self.register_buffer("query_mean", torch.zeros(query))
        self.register_buffer("gallery_mean", torch.zeros(gallery))
        self.register_buffer("weight", torch.zeros(query, gallery))

    @property
    def given(self) -> str:
        """Pairs where the data have them, else classes."""
        return "sketch-photo pairs" if self.paired else "class labels"

    def fit(self, rows: TrainRows) -> None:
        """Solve for the map."""
        self.query_mean.copy_(rows.query["feature"].mean(0))
        self.gallery_mean.copy_(rows.gallery["feature"].mean(0))
        blocks = pairs(rows, self.query_mean)
        self.weight.copy_(blocks.ridge(self.penalty) if self.kind == "ridge" else _procrustes(blocks))

    def embed_query(self, rows: Rows) -> Views:
        """The photo feature that the map predicts, centred."""
        return {"feature": (rows["feature"] - self.query_mean) @ self.weight}

    def embed_gallery(self, rows: Rows) -> Views:
        """Centred feature."""
        return {"feature": rows["feature"] - self.gallery_mean}


def _procrustes(blocks: Blocks) -> Tensor:
    if not blocks.is_wide:
        return _orthogonal(blocks.cross())
    x, y = blocks.stacked()  # thin QRs keep the SVD at the size of the training rows
    left, x = torch.linalg.qr(x.T)
    right, y = torch.linalg.qr(y.T)
    weight: Tensor = (left @ _orthogonal(x @ y.T)).float() @ right.T.float()  # stored so, and a quarter of the time
    return weight


def _orthogonal(cross: Tensor) -> Tensor:
    """U Vᵀ of the singular value decomposition, without directions of singular value zero, whose pairing is chance."""
    left, values, right = torch.linalg.svd(cross, full_matrices=False)
    shown = values > values[0] * max(cross.shape) * torch.finfo(cross.dtype).eps
    weight: Tensor = left[:, shown] @ right[shown]
    return weight
