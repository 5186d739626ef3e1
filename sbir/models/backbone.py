"""A network of torchvision's as the trained part of a method: from pictures to one vector each."""

from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from sbir.features.networks import Preprocessing, TorchvisionSource
from sbir.models.settings import check

MAPS = {  # backbone -> the layer that gives its last feature map
    "alexnet": "features",
    "googlenet": "inception5b",
    "mobilenet_v2": "features",
    "resnet18": "layer4",
    "resnet50": "layer4",
    "squeezenet1_1": "features",
}
PLAIN = "plain"
OWN = "torchvision:"  # before NAME@LAYER, for any other classifier of torchvision's


class Backbone(nn.Module):
    """Pictures (n, 3, S, S) in [0, 255] -> (n, width): normalised, convolved, and the maximum of each map taken.

    `name` is one of `MAPS`, `torchvision:NAME@LAYER`, or "plain" (see `PlainSource`). Weights are random until `load`
    is called.
    With `frozen_norms` batch norms always use their stored statistics; their scale and shift are trained.
    """

    def __init__(self, name: str, *, frozen_norms: bool) -> None:
        super().__init__()
        self.name, self.frozen_norms = name, frozen_norms
        source = _source(name)
        self.seen: Preprocessing = source.preprocessing()
        meta = torch.get_default_device().type == "meta"
        self.network = _weightless(name) if meta else source.maps(None)
        self.train()

    def forward(self, images: Tensor) -> Tensor:
        """Vectors (n, width) float32."""
        mean, std = (
            torch.tensor(values, device=images.device)[:, None, None] for values in (self.seen.mean, self.seen.std)
        )
        scaled = ((images.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)
        maps: Tensor = self.network(scaled)["node"]
        return maps.float().amax((2, 3))

    def train(self, mode: bool = True) -> "Backbone":
        """As torch's, but frozen norms stay as they are."""
        super().train(mode)
        if self.frozen_norms:
            for module in self.network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def load(self, weights: str) -> None:
        """Take published weights ("imagenet", downloaded once) or those of a file."""
        self.network.load_state_dict(published(self.name, weights), strict=False)


def published(name: str, weights: str) -> dict[str, Tensor]:
    """Weights of a network: "imagenet", or a file; raises `ValueError` where they are not to be had or do not fit."""
    check(name != PLAIN, f"weights must be random with backbone='plain', which has no others, got {weights!r}")
    path = Path(weights)
    return _published(name, weights, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache
def map_width(name: str, side: int) -> int:
    """Entries of the vector of pictures of `side` pixels; raises where there is no such network or it takes none so
    small."""
    network = _weightless(name).eval()
    with torch.device("meta"), torch.no_grad():
        try:
            return int(network(torch.empty(1, 3, side, side))["node"].shape[1])
        except (RuntimeError, IndexError) as error:
            reason = str(error).partition("\n")[0][:160]
            raise ValueError(f"{name} must be able to take images of {side} pixels, it cannot: {reason}") from None


@lru_cache
def _weightless(name: str) -> nn.Module:
    """The network without memory for its weights: methods that are only checked share it."""
    with torch.device("meta"):
        return _source(name).maps(None)


@lru_cache(maxsize=1)  # trial after trial of a process begins with the same
def _published(name: str, weights: str, _changed: int) -> dict[str, Tensor]:
    from sbir.features.weights import load_backbone

    try:
        state = load_backbone(name, weights)[1] or {}
    except OSError as error:
        reason = str(error).partition("; give weights")[0]
        raise ValueError(f"weights must be at hand, got {weights!r}: {reason}; name a file, or set random") from None
    with torch.device("cpu"):
        return {key: torch.tensor(value) for key, value in state.items()}


class PlainSource:
    """A network of four convolutions with batch norm, 16 to 64 maps: what a CPU can train without any weights."""

    def preprocessing(self) -> Preprocessing:
        """ImageNet's mean and deviation."""
        return Preprocessing()

    def maps(self, weights: str | None) -> nn.Module:
        """(B, 3, H, W) -> {"node": (B, 64, H / 8, W / 8)}, with random weights: there are no others."""
        return _Plain()


class _Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise((3, 16, 32, 64)):
            layers += [*_block(before, after), nn.MaxPool2d(2)]
        self.layers = nn.Sequential(*layers, *_block(64, 64))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"node": self.layers(images)}


def _block(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]


def _source(name: str) -> TorchvisionSource | PlainSource:
    if name == PLAIN:
        return PlainSource()
    if name.startswith(OWN) and "@" in name:
        return TorchvisionSource(*name.removeprefix(OWN).split("@", 1))
    check(name in MAPS, f"backbone must be one of {', '.join([*MAPS, PLAIN, OWN + 'NAME@LAYER'])}, got {name!r}")
    return TorchvisionSource(name, MAPS[name])
