"""ESZSL: a bilinear map between photos and classes in one line of algebra."""

import torch
from torch import Tensor

from sbir.models.class_space import ClassSpace
from sbir.models.closed_form import solve
from sbir.models.settings import check_positive, feature_widths
from sbir.types import DataSpec, Rows, TrainRows, Views


class ESZSL(ClassSpace):
    """V = (XXᵀ + γI)⁻¹ X Y Sᵀ (SSᵀ + λI)⁻¹; photos become Vᵀx, compared with the sketch itself by cosine.

    X (D, G) are photos, Y (G, C) is 1 for a photo's class and -1 elsewhere, and S (D, C) are class vectors: means of
    the sketches of each class (see `ClassSpace`). γ and λ are `feature_penalty` and `class_penalty` times the mean
    eigenvalue of the smaller Gram matrix of X and of SᵀS, so that they mean the same on every data set. V has the rank
    of S, and is kept as two factors.

    Source: B. Romera-Paredes, P. Torr, "An Embarrassingly Simple Approach to Zero-Shot Learning" (ICML 2015,
    https://proceedings.mlr.press/v37/romera-paredes15.html). Where we differ: the source picks the class of largest
    xᵀVs for one photo, while here photos are ranked for one s, so their length is divided out.
    """

    to_classes: Tensor
    from_classes: Tensor

    def __init__(
        self, spec: DataSpec, *, feature_penalty: float = 1.0, class_penalty: float = 1.0, centre: bool = False
    ) -> None:
        super().__init__(spec, centre=centre)
        check_positive(feature_penalty=feature_penalty, class_penalty=class_penalty)
        self.feature_penalty, self.class_penalty = feature_penalty, class_penalty
        query, gallery = feature_widths(spec)
        self.register_buffer("to_classes", torch.zeros(gallery, spec.num_classes))
        self.register_buffer("from_classes", torch.zeros(spec.num_classes, query))

    def fit(self, rows: TrainRows) -> None:
        """Solve for both factors of V."""
        self.fit_means(rows)
        vectors = self.class_vectors(rows)
        signs = 2 * torch.eye(len(vectors), dtype=torch.float64, device=vectors.device) - 1
        self.to_classes.copy_(self.photos(rows, signs).ridge(self.feature_penalty))
        self.from_classes.copy_(solve(vectors @ vectors.T, vectors, self.class_penalty))  # Sᵀ(SSᵀ + λI)⁻¹, dual form

    def embed_query(self, rows: Rows) -> Views:
        """The feature itself as `class` vector (n, D)."""
        return {"class": self.query(rows)}

    def embed_gallery(self, rows: Rows) -> Views:
        """The `class` vector (n, D) that V predicts for a photo."""
        return {"class": self.gallery(rows) @ self.to_classes @ self.from_classes}
