"""Frozen image networks that turn an image into a feature: their names, and their weights drawn from a seed."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sbir.features.libraries import OpenClipSource, TimmSource
from sbir.features.networks import Preprocessing, Source, TorchvisionSource, Vgg16Source

BACKBONES = {  # name -> torchvision's layer, or timm's name
    "vgg16": "", "vgg16:bgr": "",
    "alexnet": "classifier.5", "googlenet": "avgpool", "resnet18": "avgpool", "resnet50": "avgpool",
    "squeezenet1_1": "features", "mobilenet_v2": "features",
    "dinov2_small": "vit_small_patch14_dinov2.lvd142m", "dinov2_base": "vit_base_patch14_dinov2.lvd142m",
    "dinov2_large": "vit_large_patch14_dinov2.lvd142m", "dinov2_giant": "vit_giant_patch14_dinov2.lvd142m",
}  # fmt: skip
PREFIXES = ("torchvision:NAME@LAYER", "timm:NAME", "openclip:NAME/TAG")
PIXELS_AT_ONCE = 16 * 224**2  # on a CPU, where more images at once need memory and save no time
DINO_SIZE = 224  # pixels: 16 patches of 14; it was trained on 518 too, at five times the cost

State = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Backbone:
    """A network with its weights: what to build on every machine, and what to say of it."""

    name: str
    weights: str  # "random:<seed>", "imagenet", another library's word, or a file's name with the start of its SHA-256
    size: int  # pixels: images are resized to size x size, without cropping
    seed: int | None = None  # of random weights, drawn where they are needed

    def build(self, state: State | None) -> nn.Module:
        """The network in eval mode, with `state` or seeded random weights."""
        if state is None:
            return _random(self.name, self.seed or 0)
        network = find_source(self.name).network()
        network.load_state_dict({name: torch.tensor(value) for name, value in state.items()}, strict=False)
        return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    @property
    def preprocessing(self) -> Preprocessing:
        """Normalisation and resampling; of its sizes ours counts."""
        return _preprocessing(self.name)

    @property
    def width(self) -> int:
        """Entries of a feature."""
        return feature_width(self.name, self.size)

    def describe(self) -> dict[str, Any]:
        """For a store's manifest."""
        layers = list(find_source(self.name).layers)
        return {"name": self.name, "weights": self.weights, "size": self.size, "layers": layers, "width": self.width}


def find_source(name: str) -> Source:
    """The network behind a name; raises `ValueError` with near names."""
    family, _, rest = name.partition(":")
    if name in BACKBONES:
        inside = BACKBONES[name]
        if family == "vgg16":
            return Vgg16Source(bgr=bool(rest))
        return TimmSource(inside, DINO_SIZE) if name.startswith("dinov2") else TorchvisionSource(name, inside)
    if family == "torchvision" and "@" in rest:
        return TorchvisionSource(*rest.split("@", 1))
    if family == "timm" and rest:
        return TimmSource(rest)
    if family == "openclip" and rest:
        return OpenClipSource(*(rest.split("/", 1) if "/" in rest else (rest, "")))
    raise ValueError(f"a backbone must be one of {', '.join([*BACKBONES, *PREFIXES])}, got {name}")


@torch.inference_mode()
def features(
    network: nn.Module,
    images: NDArray[np.uint8],
    preprocessing: Preprocessing = Preprocessing(),  # noqa: B008
    device: str = "cpu",
) -> NDArray[np.float32]:
    """Features (B, width) of pixels (B, S, S, 3): the one way from pixels to features, for stores and new sketches."""
    at_once = max(1, PIXELS_AT_ONCE // images.shape[1] ** 2) if device == "cpu" else len(images)
    parts = (normalise(part.to(device), preprocessing) for part in torch.split(torch.from_numpy(images), at_once))
    return np.concatenate([network(part).float().cpu().numpy() for part in parts])


def normalise(images: Tensor, preprocessing: Preprocessing = Preprocessing()) -> Tensor:  # noqa: B008
    """Pixels (B, H, W, 3) uint8 -> network input (B, 3, H, W) float32, in channels-last memory."""
    scaled = (images.flip(3) if preprocessing.bgr else images).float().div_(255)
    mean, std = (torch.tensor(values, device=images.device) for values in (preprocessing.mean, preprocessing.std))
    return scaled.sub_(mean).div_(std).permute(0, 3, 1, 2)


@lru_cache
def feature_width(name: str, size: int) -> int:
    """Entries of the feature of images of `size` pixels, without computing one; raises where the network takes none."""
    with torch.device("meta"), torch.inference_mode():
        network = find_source(name).network().eval()
        try:
            return int(network(torch.empty(1, 3, size, size)).shape[1])
        except (RuntimeError, AssertionError, ValueError) as error:
            reason = str(error).partition("\n")[0][:160]
            raise ValueError(f"{name} must be able to take images of {size} pixels, it cannot: {reason}") from None


@lru_cache
def _preprocessing(name: str) -> Preprocessing:
    return find_source(name).preprocessing()


def _random(name: str, seed: int) -> nn.Module:
    """He's normal initialisation by fan-out, 0.01 for linear layers, zero biases, as torchvision draws VGG-16.

    Drawn by NumPy, whose stream is the same on every machine; torch's depends on the processor's vector width, and is
    left what only some networks have (tokens, position embeddings).
    """
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = find_source(name).network()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * module.kernel_size[0] * module.kernel_size[1] // module.groups
            _draw(module, rng, (2 / fan_out) ** 0.5)
        elif isinstance(module, nn.Linear):
            _draw(module, rng, 0.01)
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def _draw(module: nn.Conv2d | nn.Linear, rng: np.random.Generator, scale: float) -> None:
    drawn = rng.standard_normal(tuple(module.weight.shape), dtype=np.float32)
    module.weight.data = torch.from_numpy(drawn).mul_(scale)
    if module.bias is not None:
        module.bias.data.zero_()
