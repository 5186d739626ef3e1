"""SAE: a linear auto-encoder of photos whose code is the class vector."""

from typing import Literal

import torch
from torch import Tensor

from sbir.models.class_space import ClassSpace
from sbir.models.closed_form import class_sums
from sbir.models.settings import check_choice, check_positive, feature_widths
from sbir.types import DataSpec, Rows, TrainRows, Views


class SAE(ClassSpace):
    """W of least |X - WᵀS|² + λ|WX - S|², a Sylvester equation: SSᵀW + W(λXXᵀ) = (1 + λ)SXᵀ.

    X (D, G) are photos and S (D, G) the class vector of each: the mean of the sketches of its class (see `ClassSpace`).
    Both sides of the equation are symmetric, so it is solved entry by entry between their eigenvectors, with as many
    rows as S has ranks. λ is `balance` · |S|² / |X|², so that it means the same on every data set. `compare` "query"
    encodes photos as Wx and compares with the sketch, "gallery" decodes the sketch as Wᵀs and compares with the photo;
    the source reports both.

    Source: E. Kodirov, T. Xiang, S. Gong, "Semantic Autoencoder for Zero-Shot Learning" (CVPR 2017,
    https://arxiv.org/abs/1704.08345). Where we differ: λ is relative, and directions in which no photo and no class
    vector lies are mapped to zero.
    """

    codes: Tensor
    features: Tensor

    def __init__(
        self,
        spec: DataSpec,
        *,
        balance: float = 1.0,
        compare: Literal["query", "gallery"] = "query",
        centre: bool = False,
    ) -> None:
        super().__init__(spec, centre=centre)
        check_positive(balance=balance)
        check_choice("compare", compare, ("query", "gallery"))
        self.balance, self.compare = balance, compare
        query, gallery = feature_widths(spec)
        self.register_buffer("codes", torch.zeros(spec.num_classes, query))  # W = codesᵀ features
        self.register_buffer("features", torch.zeros(spec.num_classes, gallery))

    def fit(self, rows: TrainRows) -> None:
        """Solve for both factors of W."""
        self.fit_means(rows)
        vectors = self.class_vectors(rows)
        sizes = torch.bincount(rows.gallery_labels, minlength=len(vectors)).double()
        sums = class_sums(rows.gallery["feature"], rows.gallery_labels, len(vectors))
        sums -= sizes[:, None] * self.gallery_mean.double()
        alpha, left = _eigen(vectors * sizes.sqrt()[:, None])  # of SSᵀ: (C,), (C, D)
        beta, right = self.photos(rows, vectors).eigen()  # of XXᵀ: (r,), (D, r)
        weight = self.balance * alpha.sum() / beta.sum().clamp(min=torch.finfo(beta.dtype).tiny)
        target = (1 + weight) * (left @ vectors.T) @ (sums @ right)  # (1 + λ)SXᵀ between the eigenvectors: (C, r)
        scale = alpha[:, None] + weight * beta
        solved = torch.where(scale > 0, target / scale.clamp(min=torch.finfo(scale.dtype).tiny), 0.0)
        self.codes.copy_(left)
        self.features.copy_(solved @ right.T)

    def embed_query(self, rows: Rows) -> Views:
        """The feature itself as `class` vector, or the `photo` that W decodes from it, (n, D)."""
        sketch = self.query(rows)
        return {"class": sketch} if self.compare == "query" else {"photo": sketch @ self.codes.T @ self.features}

    def embed_gallery(self, rows: Rows) -> Views:
        """The `class` vector that W encodes, or the feature itself as `photo`, (n, D)."""
        photo = self.gallery(rows)
        return {"class": photo @ self.features.T @ self.codes} if self.compare == "query" else {"photo": photo}


def _eigen(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (C,) and eigenvectors (C, D) of rowsᵀ rows, (C, D) with C < D or not; zero beyond the rank."""
    _, values, vectors = torch.linalg.svd(rows, full_matrices=False)
    kept = values > values[0] * max(rows.shape) * torch.finfo(rows.dtype).eps
    missing = len(rows) - len(values)
    vectors = torch.cat([vectors * kept[:, None], vectors.new_zeros(missing, rows.shape[1])])
    return torch.cat([(values * kept).square(), values.new_zeros(missing)]), vectors
