"""A linear map from sketch features to photo features in closed form: seconds of work that beat many trained
networks."""

from typing import Literal

import torch
from torch import Tensor

from sbir.models.method import Method
from sbir.types import DataSpec, Rows, TrainRows, Views


class LinearMap(Method):
    """Maps a query's feature to its own photo's (to its class's mean photo where there are no pairs), then cosine.

    Both domains are centred first. "ridge" solves min |XW - Y|^2 + penalty * s * |W|^2, where s is the mean non-zero
    eigenvalue of X X^T, so that `penalty` means the same on every data set; solved in float64 in the smaller of primal
    and dual form. "procrustes" is the orthogonal map of least error (Schoenemann 1966), in the span of the training
    rows.
    """

    query_mean: Tensor
    gallery_mean: Tensor
    weight: Tensor

    def __init__(self, spec: DataSpec, *, kind: Literal["ridge", "procrustes"] = "ridge", penalty: float = 0.1) -> None:
        super().__init__()
        if kind not in ("ridge", "procrustes"):
            raise ValueError(f"kind must be ridge or procrustes, got {kind!r}")
        if not penalty > 0:
            raise ValueError(f"penalty must be above 0, got {penalty}")
        query, gallery = spec.query["feature"], spec.gallery["feature"]
        if kind == "procrustes" and query != gallery:
            raise ValueError(f"an orthogonal map needs one width on both sides, got {query} and {gallery}; take ridge")
        self.kind, self.penalty = kind, penalty
        self.register_buffer("query_mean", torch.zeros(query))
        self.register_buffer("gallery_mean", torch.zeros(gallery))
        self.register_buffer("weight", torch.zeros(*query, *gallery))  # (D query, D gallery)

    def fit(self, rows: TrainRows) -> None:
        """Solve for the map."""
        query, target = rows.query["feature"].double(), self._targets(rows)
        self.query_mean.copy_(query.mean(0))
        self.gallery_mean.copy_(rows.gallery["feature"].mean(0))
        query, target = query - query.mean(0), target - target.mean(0)
        self.weight.copy_(_ridge(query, target, self.penalty) if self.kind == "ridge" else _procrustes(query, target))

    def embed_query(self, rows: Rows) -> Views:
        """The photo feature that the map predicts, centred."""
        return {"feature": (rows["feature"] - self.query_mean) @ self.weight}

    def embed_gallery(self, rows: Rows) -> Views:
        """Centred feature."""
        return {"feature": rows["feature"] - self.gallery_mean}

    def _targets(self, rows: TrainRows) -> Tensor:
        gallery, classes = rows.gallery["feature"].double(), int(rows.gallery_labels.max()) + 1
        sums = torch.zeros(classes, gallery.shape[1], dtype=gallery.dtype, device=gallery.device)
        sums.index_add_(0, rows.gallery_labels, gallery)
        means = sums / torch.bincount(rows.gallery_labels, minlength=classes)[:, None]
        own = gallery[rows.pairs.clamp(min=0)]
        return torch.where((rows.pairs >= 0)[:, None], own, means[rows.labels])


def _ridge(query: Tensor, target: Tensor, penalty: float) -> Tensor:
    dual = query.shape[0] < query.shape[1]
    gram = query @ query.T if dual else query.T @ query
    scale = penalty * gram.trace() / min(query.shape)
    gram.diagonal().add_(scale)
    solved: Tensor = torch.linalg.solve(gram, target if dual else query.T @ target)
    return query.T @ solved if dual else solved


def _procrustes(query: Tensor, target: Tensor) -> Tensor:
    # Q = U V^T of the SVD of query^T target; the two thin QRs keep it at the size of the training rows.
    first, small = torch.linalg.qr(query.T)
    second, other = torch.linalg.qr(target.T)
    left, _, right = torch.linalg.svd(small @ other.T, full_matrices=False)
    product: Tensor = (first @ left) @ (right @ second.T)
    return product
