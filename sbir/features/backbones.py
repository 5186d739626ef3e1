"""Frozen image networks that turn an image into a feature."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

BACKBONES = ("vgg16", "squeezenet1_1", "mobilenet_v2")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet, RGB
TAPS = (3, 8, 15, 22, 29)  # the last ReLU of each block of VGG-16, before its max-pool

State = Mapping[str, NDArray[Any]]


class Vgg16Taps(nn.Module):
    """VGG-16 (Simonyan and Zisserman 2015, arXiv 1409.1556) as Li et al. read it: five block means, then fc2.

    (B, 3, H, W) -> (B, 5568): the channel means after relu1_2, 2_2, 3_3, 4_3, 5_3 and the second fully connected layer
    after its ReLU, [64, 128, 256, 512, 512, 4096]; fc2 alone is the last 4096 entries. Images may be smaller than 224:
    torchvision's adaptive pooling fills the 7 x 7 grid. The source fed BGR images through RGB means; here they are RGB.
    """

    layers = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3", "fc2_relu")
    out_features = 5568

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import vgg16

        whole = vgg16(weights=None, init_weights=False)
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


class Pooled(nn.Module):
    """The channel means of a convolutional network's last layer, (B, 3, H, W) -> (B, channels)."""

    layers = ("pooled",)

    def __init__(self, features: nn.Module, out_features: int) -> None:
        super().__init__()
        self.features, self.out_features = features, out_features

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, channels) of normalised images (B, 3, H, W)."""
        return torch.as_tensor(self.features(images).mean((2, 3)))


@dataclass(frozen=True)
class Backbone:
    """A network with its weights: what to build on every machine, and what to say of it."""

    name: str
    weights: str  # "random:<seed>", "imagenet", or a file's name with the start of its SHA-256
    size: int  # pixels: images are resized to size x size, without cropping
    seed: int | None = None  # of random weights, drawn where they are needed

    def build(self, state: State | None) -> nn.Module:
        """The network in eval mode, with `state` or seeded random weights."""
        network = empty_network(self.name)
        if state is None:
            _draw_weights(network, np.random.default_rng(self.seed))
        else:
            network.load_state_dict({name: torch.tensor(value) for name, value in state.items()}, strict=False)
        return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def describe(self) -> dict[str, Any]:
        """For a store's manifest."""
        network = _on_meta(self.name)
        layers, width = list(network.layers), network.out_features
        return {"name": self.name, "weights": self.weights, "size": self.size, "layers": layers, "width": width}


def empty_network(name: str) -> nn.Module:
    """The network without its own initialisation."""
    if name == "vgg16":
        return Vgg16Taps()
    if name == "mobilenet_v2":
        from torchvision.models import mobilenet_v2

        return Pooled(mobilenet_v2(weights=None).features, 1280)
    if name == "squeezenet1_1":
        from torchvision.models import squeezenet1_1

        return Pooled(squeezenet1_1(weights=None).features, 512)
    raise ValueError(f"a backbone must be one of {', '.join(BACKBONES)}, got {name}")


@torch.inference_mode()
def features(network: nn.Module, images: NDArray[np.uint8], device: str = "cpu") -> NDArray[np.float32]:
    """Features (B, width) of pixels (B, S, S, 3): the one way from pixels to features, for stores and new sketches."""
    found: NDArray[np.float32] = network(normalise(torch.from_numpy(images).to(device))).float().cpu().numpy()
    return found


def normalise(images: Tensor) -> Tensor:
    """Pixels (B, H, W, 3) uint8 -> network input (B, 3, H, W) float32, in channels-last memory."""
    scaled = images.float().div_(255)
    scaled.sub_(torch.tensor(MEAN, device=images.device)).div_(torch.tensor(STD, device=images.device))
    return scaled.permute(0, 3, 1, 2)


def _on_meta(name: str) -> Any:
    with torch.device("meta"):
        return empty_network(name)


def _draw_weights(network: nn.Module, rng: np.random.Generator) -> None:
    """He's normal initialisation by fan-out, 0.01 for linear layers, zero biases, as torchvision draws VGG-16.

    Drawn by NumPy, whose stream is the same on every machine; torch's depends on the processor's vector width.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * module.kernel_size[0] * module.kernel_size[1] // module.groups
            _draw(module, rng, (2 / fan_out) ** 0.5)
        elif isinstance(module, nn.Linear):
            _draw(module, rng, 0.01)


def _draw(module: nn.Conv2d | nn.Linear, rng: np.random.Generator, scale: float) -> None:
    drawn = rng.standard_normal(tuple(module.weight.shape), dtype=np.float32)
    module.weight.data = torch.from_numpy(drawn).mul_(scale)
    if module.bias is not None:
        module.bias.data.zero_()
