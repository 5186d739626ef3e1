"""Feature transforms that are fitted on training rows: part of the protocol, never baked into a store."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TransformSettings:
    """How stored features reach a method; fitted per domain on the train rows of the split in use."""

    feature_dim: int | None = None  # keep the last so many entries (4096 of 5568 = fc2 alone); None keeps all
    centre: bool = False  # subtract the domain's mean
    pca: int | None = None  # project on so many principal components of the domain (implies centring)
    scale: bool = False  # divide by the domain's root mean square, so that the mean squared entry is 1

    @property
    def fitted(self) -> bool:
        """Whether anything has to be estimated from training rows."""
        return self.centre or self.scale or self.pca is not None

    def __post_init__(self) -> None:
        if self.pca is not None and self.centre:
            raise ValueError("data/centre has no effect beside data/pca, which centres too; drop one of them")


@dataclass(frozen=True)
class Transform:
    """A fitted map of features, (n, D) -> (n, D')."""

    feature_dim: int
    mean: Tensor | None = None  # (D,)
    components: Tensor | None = None  # (D, D')
    divisor: float = 1.0

    def __call__(self, feature: Tensor) -> Tensor:
        """Apply to rows (n, stored width), on any device."""
        feature = feature[:, feature.shape[1] - self.feature_dim :]
        if self.mean is not None:
            feature = feature - self.mean.to(feature.device)
        if self.components is not None:
            feature = feature @ self.components.to(feature.device)
        return feature / self.divisor if self.divisor != 1.0 else feature

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What was fitted, by the name of its field."""
        found = {"mean": self.mean, "components": self.components}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def numbers(self) -> dict[str, float]:
        """The fields that are no tensors."""
        return {"feature_dim": self.feature_dim, "divisor": self.divisor}

    @property
    def out_features(self) -> int:
        """Width D' after the transform."""
        return self.feature_dim if self.components is None else self.components.shape[1]


def check_width(settings: TransformSettings, width: int) -> int:
    """The number of entries kept of `width` stored ones; raises where there are not so many."""
    feature_dim = width if settings.feature_dim is None else settings.feature_dim
    if not 1 <= feature_dim <= width:
        raise ValueError(f"data/feature_dim must be between 1 and the stored width {width}, got {feature_dim}")
    return feature_dim


def output_width(settings: TransformSettings, width: int) -> int:
    """Entries that come out of `width` stored ones; raises where there are not so many."""
    kept = check_width(settings, width)
    return kept if settings.pca is None else settings.pca


def fit_transform(settings: TransformSettings, feature: Tensor) -> Transform:
    """Fit on the training features of one domain, (n, D).

    >>> transform = fit_transform(TransformSettings(feature_dim=1, centre=True), torch.tensor([[9., 1.], [9., 3.]]))
    >>> transform(torch.tensor([[9., 5.]]))
    tensor([[3.]])
    """
    feature_dim = check_width(settings, feature.shape[1])
    transform = Transform(feature_dim)
    if settings.centre or settings.pca is not None:
        transform = Transform(feature_dim, mean=transform(feature).mean(0))
    if settings.pca is not None:
        transform = Transform(feature_dim, transform.mean, _principal_components(transform(feature), settings.pca))
    if settings.scale:
        divisor = transform(feature).square().mean().sqrt().item()
        if divisor == 0.0:
            raise ValueError("data/scale needs features that are not all zero, got only zeros; check the store")
        transform = Transform(feature_dim, transform.mean, transform.components, divisor)
    return transform


def _principal_components(centred: Tensor, count: int) -> Tensor:
    limit = min(centred.shape)
    if not 1 <= count <= limit:
        raise ValueError(
            f"data/pca must be between 1 and min(training rows, width) = {limit}, got {count}; take fewer components"
        )
    components: Tensor = torch.linalg.svd(centred, full_matrices=False)[2]
    return components[:count].T.contiguous()
