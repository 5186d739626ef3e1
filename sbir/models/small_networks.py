"""Networks of the kinds of AlexNet, GoogLeNet and ResNet for images of some 64 pixels, with a width of choice."""

from itertools import pairwise

from torch import nn

from sbir.models.drawings import PixelBranch

SMALL = ("small_alexnet", "small_googlenet", "small_resnet")


def small_network(name: str, width: int) -> nn.Module:
    """Images (n, 3, S, S) -> features (n, 16 width), `width` filters in the first layer."""
    if name == "small_alexnet":
        return PixelBranch(width, 16 * width, 0.0, channels=3)
    blocks = _inceptions(width) if name == "small_googlenet" else _residuals(width)
    pooled = [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32 * width, 16 * width), nn.ReLU()]
    return nn.Sequential(*_stem(width), *blocks, *pooled)


def _stem(width: int) -> list[nn.Module]:
    """To a quarter of the side."""
    return [nn.Conv2d(3, width, 5, 2, 2, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]


def _inceptions(width: int) -> list[nn.Module]:
    """Three of GoogLeNet's blocks (C. Szegedy et al., CVPR 2015), in torchvision's form with batch norm."""
    from torchvision.models.googlenet import Inception

    layers: list[nn.Module] = []
    for before, after in pairwise((width, 4 * width, 8 * width, 8 * width)):
        part = after // 8
        layers += [Inception(before, 2 * part, 2 * part, 4 * part, part, part, part), nn.MaxPool2d(3, 2, 1)]
    return layers[:-1]


def _residuals(width: int) -> list[nn.Module]:
    """Three of ResNet's basic blocks (K. He et al., CVPR 2016), each of twice the width and half the side."""
    from torchvision.models.resnet import BasicBlock

    layers: list[nn.Module] = []
    for before, after in pairwise((width, 2 * width, 4 * width, 8 * width)):
        shortcut = nn.Sequential(nn.Conv2d(before, after, 1, 2, bias=False), nn.BatchNorm2d(after))
        layers.append(BasicBlock(before, after, stride=2, downsample=shortcut))
    return layers
