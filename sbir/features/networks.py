"""Where a backbone's network comes from: what every source says of it, and torchvision's networks cut at a layer."""

import difflib
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet, RGB
TAPS = (3, 8, 15, 22, 29)  # the last ReLU of each block of VGG-16, before its max-pool
HEADS = ("classifier", "fc", "head", "heads", "aux1", "aux2", "AuxLogits")  # layers above every feature


@dataclass(frozen=True)
class Preprocessing:
    """What a network was trained to see: images resized to `size` x `size` without cropping, then normalised."""

    size: int = 224  # pixels, where the user names none
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    bicubic: bool = False  # else bilinear
    bgr: bool = False  # the channels swapped, under the same mean and std


class Source(Protocol):
    """A network with its preprocessing, before any weights."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Where it is read."""

    @property
    def published(self) -> str:
        """What its own weights are called in a store's manifest."""

    def preprocessing(self) -> Preprocessing:
        """What it wants to see."""

    def network(self) -> nn.Module:
        """The network, (B, 3, H, W) -> (B, width), in the library's own initialisation."""

    def download(self) -> nn.Module:
        """The same with its published weights, found in the library's cache or fetched into it."""

    def optional(self, key: str) -> bool:
        """Whether an entry of a file of weights belongs to a part of the network that the feature does not need."""


class Vgg16Taps(nn.Module):
    """VGG-16 (Simonyan and Zisserman 2015, arXiv 1409.1556) as Li et al. read it: five block means, then fc2.

    (B, 3, H, W) -> (B, 5568): the channel means after relu1_2, 2_2, 3_3, 4_3, 5_3 and the second fully connected layer
    after its ReLU, [64, 128, 256, 512, 512, 4096]; fc2 alone is the last 4096 entries. Images may be smaller than 224:
    torchvision's adaptive pooling fills the 7 x 7 grid.
    """

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.features, self.avgpool = whole.features, whole.avgpool
        self.classifier = whole.classifier[:5]  # up to the ReLU of fc2

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, 5568) of normalised images (B, 3, H, W)."""
        taps = []
        for position, layer in enumerate(self.features):
            images = layer(images)
            if position in TAPS:
                taps.append(images.mean((2, 3)))  # (B, channels)
        taps.append(self.classifier(self.avgpool(images).flatten(1)))  # (B, 4096)
        return torch.cat(taps, 1)


@dataclass(frozen=True)
class Vgg16Source:
    """VGG-16 with its taps. The source's code fed BGR images through the RGB means: that is `bgr`."""

    bgr: bool = False
    layers = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3", "fc2_relu")
    published = "imagenet"

    def preprocessing(self) -> Preprocessing:
        """ImageNet's."""
        return Preprocessing(bgr=self.bgr)

    def network(self) -> nn.Module:
        """Without its own initialisation, which takes seconds."""
        from torchvision.models import vgg16

        return Vgg16Taps(vgg16(weights=None, init_weights=False))

    def download(self) -> nn.Module:
        """torchvision's IMAGENET1K_V1."""
        from torchvision.models import get_model

        return Vgg16Taps(get_model("vgg16", weights="IMAGENET1K_V1", progress=False))

    def optional(self, key: str) -> bool:
        """fc3, and whatever else stands in the classifier."""
        return key.partition(".")[0] in HEADS


def pooled(_network: nn.Module, _images: Any, output: Mapping[str, Tensor]) -> Tensor:
    """A node (B, C), (B, T, C) or (B, C, h, w) as (B, C): feature maps and tokens are averaged. A forward hook, so that
    the network's entries keep their names."""
    node = output["node"]
    return node.mean((2, 3)) if node.ndim == 4 else node.mean(1) if node.ndim == 3 else node


@dataclass(frozen=True)
class TorchvisionSource:
    """A classifier of torchvision, read at one of its nodes (torchvision.models.feature_extraction)."""

    name: str
    layer: str
    published = "imagenet"

    def __post_init__(self) -> None:
        from torchvision import models

        check_known("torchvision's classifiers", self.name, models.list_models(module=models))

    @property
    def layers(self) -> tuple[str, ...]:
        """The node."""
        return (self.layer,)

    def preprocessing(self) -> Preprocessing:
        """What torchvision says of the weights IMAGENET1K_V1."""
        from torchvision.models import get_model_weights

        said = get_model_weights(self.name)["IMAGENET1K_V1"].transforms()
        bicubic = said.interpolation.value == "bicubic"
        return Preprocessing(said.crop_size[0], tuple(said.mean), tuple(said.std), bicubic)

    def network(self) -> nn.Module:
        """Cut after the node."""
        return self._cut(weights=None)

    def download(self) -> nn.Module:
        """torchvision's IMAGENET1K_V1."""
        return self._cut(weights="IMAGENET1K_V1")

    def optional(self, key: str) -> bool:
        """Layers above the node, and heads of the user's own."""
        return key.partition(".")[0] in HEADS or key in _whole(self.name)

    def _cut(self, weights: str | None) -> nn.Module:
        cut = self.maps(weights)
        cut.register_forward_hook(pooled)
        return cut

    def maps(self, weights: str | None) -> nn.Module:
        """Cut after the node, unpooled: (B, 3, H, W) -> {"node": (B, C, h, w)}; `weights` by torchvision's name."""
        from torchvision.models import get_model
        from torchvision.models.feature_extraction import create_feature_extractor

        whole = get_model(self.name, weights=weights, progress=False, **_own(self.name)).eval()
        try:
            cut = create_feature_extractor(whole, {self.layer: "node"}, suppress_diff_warning=True)
        except ValueError as error:
            reason = str(error).partition("\n")[0][:200]
            raise ValueError(f"torchvision:{self.name}@LAYER must name a layer of the network: {reason}") from None
        return cast(nn.Module, cut)


@lru_cache
def _whole(name: str) -> frozenset[str]:
    """Entries of a whole classifier of torchvision."""
    from torchvision.models import get_model

    with torch.device("meta"):
        return frozenset(get_model(name, weights=None, **_own(name)).state_dict())


def _own(name: str) -> dict[str, bool]:
    """These two do not draw weights without a warning, and the published ones are for images that are shifted so."""
    return {"init_weights": False, "transform_input": True} if name in ("googlenet", "inception_v3") else {}


def check_known(what: str, name: str, known: Collection[str]) -> None:
    """Refuse an unknown name, with those near it."""
    if name not in known:
        near = difflib.get_close_matches(name, known, 3, 0.5)
        raise ValueError(
            f"a backbone must be one of {what}, got {name}" + (f"; near: {', '.join(near)}" if near else "")
        )


@contextmanager
def quiet() -> Iterator[None]:
    """No log lines of libraries in this block: their errors are raised too."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def fetch(download: Callable[[], nn.Module], name: str) -> nn.Module:
    """A network with its published weights, as `download` of its library gives it; raises `OSError` with the way out
    where they cannot be had."""
    try:
        with quiet():
            return download()
    except (OSError, RuntimeError) as error:
        reason = str(error).partition("\n")[0][:160]
        raise OSError(
            f"the published weights of {name} could not be downloaded ({reason}); give weights as a file, or random "
            "ones for a try"
        ) from None
