"""A linear map from query to gallery features in closed form: seconds of work that beat many trained networks."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from sbir.models.method import Method
from sbir.models.settings import check, check_choice, check_unused, common_width, feature_widths
from sbir.types import DataSpec, Rows, TrainRows, Views

ROWS_AT_ONCE = 4096  # in float64, so that a whole training set need not be


class LinearMap(Method):
    """Maps a query's feature to that of its own photo, or of its class's mean photo where it has none; then cosine.

    Both sides are centred first, on the means of their training rows; a query without own photo whose class has no
    training photo is left out. "ridge" (Hoerl and Kennard 1970) solves min |XW - Y|² + penalty · s · |W|², where s is
    the mean eigenvalue of X Xᵀ (of Xᵀ X where there are fewer features than rows), so that `penalty` means the same on
    every data set; "procrustes" is the orthogonal map of least error (Schönemann 1966), zero on directions that the
    training rows do not show. Both are solved in float64, in the smaller of primal and dual form.
    """

    query_mean: Tensor
    gallery_mean: Tensor
    weight: Tensor

    def __init__(self, spec: DataSpec, *, kind: Literal["ridge", "procrustes"] = "ridge", penalty: float = 0.1) -> None:
        super().__init__()
        check_choice("kind", kind, ("ridge", "procrustes"))
        check(0 < penalty < float("inf"), f"penalty must be above 0 and finite, got {penalty}")
        if kind == "procrustes":
            common_width(spec)
            check_unused(LinearMap, "kind='procrustes'", penalty=penalty)
        query, gallery = feature_widths(spec)
        self.kind, self.penalty = kind, penalty
        self.register_buffer("query_mean", torch.zeros(query))
        self.register_buffer("gallery_mean", torch.zeros(gallery))
        self.register_buffer("weight", torch.zeros(query, gallery))

    def fit(self, rows: TrainRows) -> None:
        """Solve for the map."""
        self.query_mean.copy_(rows.query["feature"].mean(0))
        self.gallery_mean.copy_(rows.gallery["feature"].mean(0))
        pairs = _Pairs(rows, self.query_mean.double())
        solved = pairs.ridge(self.penalty) if self.kind == "ridge" else pairs.procrustes()
        self.weight.copy_(solved)

    def embed_query(self, rows: Rows) -> Views:
        """The photo feature that the map predicts, centred."""
        return {"feature": (rows["feature"] - self.query_mean) @ self.weight}

    def embed_gallery(self, rows: Rows) -> Views:
        """Centred feature."""
        return {"feature": rows["feature"] - self.gallery_mean}


class _Pairs:
    """Training pairs (x, y): centred query features and what they are to be mapped to, centred on the mean target."""

    def __init__(self, rows: TrainRows, query_mean: Tensor) -> None:
        self._rows, self._query_mean = rows, query_mean
        self._class_means, known = _class_means(rows)
        self._usable = torch.nonzero((rows.pairs >= 0) | known[rows.labels])[:, 0]
        if not len(self._usable):
            raise ValueError("a linear map needs a query with its own photo or a photo of its class, got none in train")
        self._target_mean = torch.zeros_like(self._class_means[0])
        self._target_mean = sum((y.sum(0) for _, y in self), self._target_mean) / len(self._usable)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Blocks of x (n, D) and y (n, D gallery), float64."""
        for some in torch.split(self._usable, ROWS_AT_ONCE):
            pairs = self._rows.pairs[some]
            own = self._rows.gallery["feature"][pairs.clamp(min=0)].double()
            y = torch.where((pairs >= 0)[:, None], own, self._class_means[self._rows.labels[some]])
            yield self._rows.query["feature"][some].double() - self._query_mean, y - self._target_mean

    def _is_wide(self) -> bool:
        return len(self._usable) < len(self._query_mean)

    def ridge(self, penalty: float) -> Tensor:
        if self._is_wide():
            x, y = self._stacked()
            gram = x @ x.T
            return x.T @ _solve(gram, y, penalty)
        gram = sum((x.T @ x for x, _ in self), torch.zeros((), dtype=torch.float64, device=self._query_mean.device))
        return _solve(gram, self._cross(), penalty)

    def procrustes(self) -> Tensor:
        if not self._is_wide():
            return _orthogonal(self._cross())
        x, y = self._stacked()  # thin QRs keep the SVD at the size of the training rows
        left, x = torch.linalg.qr(x.T)
        right, y = torch.linalg.qr(y.T)
        weight: Tensor = left @ _orthogonal(x @ y.T) @ right.T
        return weight

    def _cross(self) -> Tensor:
        start = torch.zeros((), dtype=torch.float64, device=self._query_mean.device)
        return sum((x.T @ y for x, y in self), start)

    def _stacked(self) -> tuple[Tensor, Tensor]:
        xs, ys = zip(*self, strict=True)
        return torch.cat(xs), torch.cat(ys)


def _class_means(rows: TrainRows) -> tuple[Tensor, Tensor]:
    """Mean gallery feature of every class (C, D), float64, and which classes have one (C,)."""
    features, labels = rows.gallery["feature"], rows.gallery_labels
    num_classes = 1 + int(torch.cat([rows.labels, labels]).max())
    sums = torch.zeros(num_classes, features.shape[1], dtype=torch.float64, device=features.device)
    for some, which in zip(torch.split(features, ROWS_AT_ONCE), torch.split(labels, ROWS_AT_ONCE), strict=True):
        sums.index_add_(0, which, some.double())
    counts = torch.bincount(labels, minlength=num_classes)
    return sums / counts.clamp(min=1)[:, None], counts > 0


def _solve(gram: Tensor, target: Tensor, penalty: float) -> Tensor:
    mean_eigenvalue = gram.diagonal().mean()
    tiny = torch.finfo(gram.dtype).tiny  # constant features: the map is zero, not an error
    gram.diagonal().add_(penalty * mean_eigenvalue + tiny)
    factor = torch.linalg.cholesky(gram)
    return torch.cholesky_solve(target, factor)


def _orthogonal(cross: Tensor) -> Tensor:
    """U Vᵀ of the singular value decomposition, without directions of singular value zero, whose pairing is chance."""
    left, values, right = torch.linalg.svd(cross, full_matrices=False)
    shown = values > values[0] * max(cross.shape) * torch.finfo(cross.dtype).eps
    weight: Tensor = left[:, shown] @ right[shown]
    return weight
