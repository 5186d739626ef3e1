"""Deep metric learning: photos of unseen classes retrieve photos of their class, from an embedding of pixels."""

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from sbir.losses.metric_learning import LOSSES, loss_settings, make_loss
from sbir.models.augment import centre_crops, random_crops
from sbir.models.backbone import Backbone, map_width, published
from sbir.models.method import Method
from sbir.models.settings import check, check_choice, check_positive, check_range
from sbir.types import Batch, DataSpec, Player, Rows, Sampling, TrainRows, Views

LossName = Literal[
    "contrastive", "semi_hard", "lifted_structure", "lifted_similarity", "binomial_deviance", "margin", "nca", "weight",
    "multi_similarity", "proxy_nca",
]  # fmt: skip


class MetricLearning(Method):
    """A network of torchvision's, its maps' maxima projected to `latent` entries of unit length, trained by a loss on
    all pairs of a batch of `per_class` photos of each class; retrieval by cosine.

    `loss` names one of `sbir.losses.metric_learning`, and the settings below it are the loss's own: None is its
    default, and one that it does not have is refused. `weights` is "random", "imagenet" (torchvision's, downloaded
    once) or a file. Training sees a random part of each picture of an area in [`crop`, 1], half of them mirrored, at
    `size` pixels (the stored picture's where it is None); retrieval sees the middle `size` pixels. `backbone_lr` and
    `loss_lr` are factors on the learning rate: of the network, and of what a loss learns (boundaries, proxies).

    Source: https://github.com/bnu-wangxun/Deep_metric: maximum pooling, one linear layer, frozen batch norms, crops of
    [0.16, 1] with mirroring, 5 photos a class, Adam. Where we differ:

    - Its network is BN-Inception in Caffe's weights, which torchvision has not; GoogLeNet with batch norm is the
      nearest that it has, and the default.
    - Stored pictures were resized whole to squares, where the source resizes the shorter side to 256 pixels; the middle
      of a store of 256 pixels at `size=227` comes nearest.
    - An item drawn twice in a small class is a positive of itself; the source leaves pairs of cosine 1 out.
    """

    query_columns = gallery_columns = ("image",)
    fit_columns = ()
    query_domain = gallery_domain = "photo"

    def __init__(
        self,
        spec: DataSpec,
        *,
        loss: LossName = "weight",
        backbone: str = "googlenet",
        weights: str = "imagenet",
        latent: int = 512,
        per_class: int = 5,
        frozen_norms: bool = True,
        size: int | None = None,
        crop: float = 0.16,
        backbone_lr: float = 1.0,
        loss_lr: float = 1.0,
        margin: float | None = None,
        threshold: float | None = None,
        positive_scale: float | None = None,
        negative_scale: float | None = None,
        mining: float | None = None,
        scale: float | None = None,
        neighbours: int | None = None,
        boundary: float | None = None,
    ) -> None:
        super().__init__()
        check_choice("loss", loss, tuple(LOSSES))
        check_range(1, latent=latent)
        check_range(2, per_class=per_class)
        check_positive(backbone_lr=backbone_lr, loss_lr=loss_lr)
        check(0 < crop <= 1, f"crop must be above 0 and at most 1, got {crop}; 1 takes whole pictures")
        own = _own_settings(
            loss,
            margin=margin,
            threshold=threshold,
            positive_scale=positive_scale,
            negative_scale=negative_scale,
            mining=mining,
            scale=scale,
            neighbours=neighbours,
            boundary=boundary,
        )
        self.size = _checked_size(spec.query["image"], size)
        self.weights, self.crop = weights, crop
        self.factors = {"backbone": backbone_lr, "loss": loss_lr}
        self.sampling = Sampling((), per_class=per_class)
        self.backbone = Backbone(backbone, frozen_norms=frozen_norms)
        self.projection = nn.Linear(map_width(backbone, self.size), latent)
        self.criterion = make_loss(loss, spec.num_classes, latent, **own)

    @property
    def given(self) -> str:
        """Labels."""
        return "class labels"

    @property
    def pretrained(self) -> str:
        """The network's weights, by file or name."""
        return "" if self.weights == "random" else f"{self.backbone.name} weights {Path(self.weights).name}"

    def check_files(self) -> None:
        """Raise where there are no such weights."""
        if self.weights != "random":
            published(self.backbone.name, self.weights)

    def fit(self, rows: TrainRows) -> None:
        """Take the network's weights."""
        if self.weights != "random":
            self.backbone.load(self.weights)

    def players(self) -> list[Player]:
        """One, with learning rates of their own for the network and for what the loss learns."""
        groups = [
            {"params": list(self.backbone.parameters()), "lr_scale": self.factors["backbone"]},
            {"params": list(self.projection.parameters())},
        ]
        if isinstance(self.criterion, nn.Module):
            groups.append({"params": list(self.criterion.parameters()), "lr_scale": self.factors["loss"]})
        return [Player("embedding", groups, self.loss)]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """One term: pairs."""
        images = random_crops(batch.query["image"].permute(0, 3, 1, 2), self.size, self.crop)
        embeddings = self._embed(images)
        with torch.autocast(images.device.type, enabled=False):  # exponentials of many times a cosine
            return {"pairs": self.criterion(embeddings, batch.labels)}

    def embed_query(self, rows: Rows) -> Views:
        """The `embedding` (n, latent), of unit length."""
        return {"embedding": self._embed(centre_crops(rows["image"].permute(0, 3, 1, 2), self.size))}

    def embed_gallery(self, rows: Rows) -> Views:
        """As the query: both sides are photos."""
        return self.embed_query(rows)

    def _embed(self, images: Tensor) -> Tensor:
        return functional.normalize(self.projection(self.backbone(images)).float())


def _own_settings(loss: str, **given: Any) -> dict[str, Any]:
    """What was given of a loss's own settings; raises where it has no such setting or the value is none."""
    known = loss_settings(loss)
    own = {name: value for name, value in given.items() if value is not None}
    for name, value in own.items():
        check(name in known, f"{name} has no effect with loss='{loss}', got {value!r}; leave it out")
    check_range(0, **{name: own[name] for name in ("mining",) if name in own})
    check_range(-1, 1, **{name: own[name] for name in ("threshold",) if name in own})
    check_range(1, **{name: own[name] for name in ("neighbours",) if name in own})
    check_positive(**{name: value for name, value in own.items() if name not in ("mining", "threshold", "neighbours")})
    return own


def _checked_size(shape: tuple[int, ...], size: int | None) -> int:
    square = len(shape) == 3 and shape[0] == shape[1] and shape[2] == 3
    check(square, f"images must be squares in 3 channels, got {shape}; write them with --images 64")
    check(size is None or 1 <= size <= shape[0], f"size must be between 1 and the {shape[0]} stored pixels, got {size}")
    return shape[0] if size is None else size
