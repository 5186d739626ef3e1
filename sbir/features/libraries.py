"""Networks of timm and OpenCLIP, which are optional packages."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sbir.features.networks import HEADS, Preprocessing, check_known, quiet


@dataclass(frozen=True)
class TimmSource:
    """A network of timm (Wightman 2019) without its classifier, `NAME` or `NAME.TAG` as timm writes it."""

    name: str
    size: int | None = None  # where the published one is not what we take
    layers: tuple[str, ...] = ("pooled",)
    published: str = "timm"

    def __post_init__(self) -> None:
        timm = _library("timm", f"timm:{self.name}")
        check_known("timm's networks", self.name.partition(".")[0], timm.list_models())

    def preprocessing(self) -> Preprocessing:
        """What timm says of the weights."""
        with torch.device("meta"):
            said = self.network().pretrained_cfg
        size, bicubic = self.size or said["input_size"][1], said["interpolation"] == "bicubic"
        return Preprocessing(size, tuple(said["mean"]), tuple(said["std"]), bicubic)

    def network(self) -> Any:
        """With its position embedding fitted to the image where the network can do that."""
        return self._create(pretrained=False)

    def download(self) -> Any:
        """The weights of the tag, from the Hugging Face hub."""
        return self._create(pretrained=True)

    def optional(self, key: str) -> bool:
        """The classifier."""
        return key.partition(".")[0] in HEADS

    def _create(self, pretrained: bool) -> Any:
        timm = _library("timm", f"timm:{self.name}")
        with torch.device("meta"):
            dynamic = hasattr(timm.create_model(self.name, num_classes=0), "dynamic_img_size")
        fitting = {"dynamic_img_size": True} if dynamic else {}
        return timm.create_model(self.name, pretrained=pretrained, num_classes=0, **fitting)


class ImageTower(nn.Module):
    """The visual half of a CLIP model, up to the joint space."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, D), not normalised."""
        return torch.as_tensor(self.visual(images))


@dataclass(frozen=True)
class OpenClipSource:
    """The image tower of an OpenCLIP model (Ilharco et al. 2021), `NAME/TAG`; the tag names published weights."""

    name: str
    published: str  # the tag; empty where weights come from elsewhere
    layers: tuple[str, ...] = ("image tower",)

    def __post_init__(self) -> None:
        library = _library("open_clip", f"openclip:{self.name}")
        check_known("OpenCLIP's models", self.name, library.list_models())
        if self.published:
            tags = library.list_pretrained_tags_by_model(self.name)
            check_known(f"the tags of openclip:{self.name}", self.published, tags)

    def preprocessing(self) -> Preprocessing:
        """What OpenCLIP says of the tower."""
        with torch.device("meta"):
            visual = self._create(None).visual
        size = visual.image_size[0] if isinstance(visual.image_size, tuple) else visual.image_size
        return Preprocessing(size, tuple(visual.image_mean), tuple(visual.image_std), bicubic=True)

    def network(self) -> nn.Module:
        """Without the text tower."""
        return ImageTower(self._create(None).visual)

    def download(self) -> nn.Module:
        """The weights of the tag."""
        if not self.published:
            raise ValueError(f"openclip:{self.name} needs a tag after a slash, --weights random or a file; got none")
        return ImageTower(self._create(self.published).visual)

    def optional(self, key: str) -> bool:
        """The text tower and the temperature."""
        return not key.startswith("visual.")

    def _create(self, tag: str | None) -> Any:
        with quiet():  # it warns of weights that nobody asked for
            return _library("open_clip", self.name).create_model(self.name, pretrained=tag, device=_device())


def _device() -> torch.device:
    return torch.empty(0).device  # of the `with torch.device` around


def _library(module: str, name: str) -> Any:
    try:
        return __import__(module)
    except ImportError:
        raise ValueError(f"{name} needs the package {module}: pip install 'sbir[backbones]'") from None
