"""Networks that see images, by name, and their pretrained weights from a file or from torchvision."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call

from sbir.features.networks import MEAN, STD, fetch
from sbir.models.settings import check, check_choice, check_range
from sbir.models.small_networks import SMALL, small_network

NETWORKS = ("alexnet", "googlenet", "resnet18", *SMALL)
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of a batch norm
WIDTHS = {"alexnet": 4096, "googlenet": 1024, "resnet18": 512}
LAST = {"alexnet": "classifier.6.", "googlenet": "fc.", "resnet18": "fc."}  # torchvision's class scores, not needed


class ImageNetwork(nn.Module):
    """Images (n, 3, S, S) in [-1, 1] -> features (n, `out`): a network of torchvision without its class scores.

    "alexnet" ends at the ReLU of its second linear layer, the others after their average pooling. Names with "small_"
    are networks of the same kinds for images of some 64 pixels, with `width` filters in their first layer. Inputs are
    normalised by ImageNet's means, as the published weights want them.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, width: int = 64) -> None:
        super().__init__()
        check_choice("network", name, NETWORKS)
        check_range(1, width=width)
        self.name, self.out = name, WIDTHS.get(name, 16 * width)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)
        self.layers = small_network(name, width) if name in SMALL else _torchvision(name)

    def forward(self, images: Tensor) -> Tensor:
        """Features (n, out)."""
        features: Tensor = self.layers(((images + 1) / 2 - self.mean) / self.std)
        return features

    def pretrained(self, weights: str) -> str:
        """What such weights are called beside a figure; empty for random ones."""
        return "" if weights == "random" else f"{self.name} weights {Path(weights).name}"

    def load(self, weights: str) -> None:
        """Take in weights: "random" leaves those drawn, "imagenet" is torchvision's own (fetched once into its
        cache), anything else a file with a state dict of torchvision's network (`.safetensors` or `torch.save`).

        Raises `ValueError` on a file that does not fit, `OSError` where "imagenet" cannot be had.
        """
        if weights == "random":
            return
        state = _published(self.name) if weights == "imagenet" else _read(Path(weights))
        state = {key: value for key, value in state.items() if not key.startswith((LAST[self.name], "aux"))}
        wanted = {key: value.shape for key, value in self.layers.state_dict().items() if "num_batches" not in key}
        wrong = sorted(key for key, shape in wanted.items() if key not in state or state[key].shape != shape)
        wrong += sorted(state.keys() - self.layers.state_dict().keys())
        rule = f"weights must fit torchvision's {self.name}, {weights} does not in {len(wrong)} entries"
        check(not wrong, f"{rule}, such as {', '.join(wrong[:3])}")
        if not next(self.layers.parameters()).is_meta:  # else it was asked whether they fit
            self.layers.load_state_dict(state, strict=False)


class OwnNorms(nn.Module):
    """What the batch norms of a network remember of one more kind of images, beside their own running statistics.

    Where a network sees two kinds of images in batches of their own, each is normalised by itself in training; running
    statistics of both together would normalise neither so in evaluation.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.names = [name for name, _ in network.named_buffers() if name.rpartition(".")[2] in STATISTICS]
        for at, name in enumerate(self.names):
            self.register_buffer(str(at), network.get_buffer(name).clone())

    def take(self, network: nn.Module) -> None:
        """Begin with the network's own statistics."""
        for at, name in enumerate(self.names):
            self.get_buffer(str(at)).copy_(network.get_buffer(name))

    def forward(self, network: nn.Module, images: Tensor) -> Tensor:
        """The network's output, its norms remembering and using these statistics."""
        own = {name: self.get_buffer(str(at)) for at, name in enumerate(self.names)}
        output: Tensor = functional_call(network, own, (images,))
        return output


def check_weights(network: str, weights: str) -> None:
    """Raise unless the network can have such weights."""
    rule = f"weights must be random with network={network!r}, which nobody has published"
    check(network not in SMALL or weights == "random", f"{rule}, got {weights!r}; choose another network")


def signed(image: Tensor) -> Tensor:
    """Pixels (n, S, S, 3) uint8 -> (n, 3, S, S) in [-1, 1], as generators draw them."""
    return image.permute(0, 3, 1, 2).float() / 127.5 - 1


def check_images(*shapes: tuple[int, ...]) -> int:
    """The one side of both sides' images; raises unless they are squares in 3 channels of a multiple of 4 pixels."""
    shape = shapes[0]
    good = all(one == shape for one in shapes) and len(shape) == 3 and shape[0] == shape[1] and shape[2] == 3
    rule = "images must be squares in 3 channels, alike on both sides, of a multiple of 4 and at least 32 pixels"
    check(
        good and shape[0] >= 32 and shape[0] % 4 == 0,
        f"{rule}, got {' and '.join(map(str, shapes))}; write them with --images 64",
    )
    return shape[0]


def _torchvision(name: str) -> nn.Module:
    from torchvision import models

    if name == "alexnet":
        network = models.alexnet(weights=None)
        network.classifier = network.classifier[:-1]
    elif name == "googlenet":
        network = models.googlenet(weights=None, transform_input=True, aux_logits=False, init_weights=False)
        network.fc = nn.Identity()
    else:
        network = models.resnet18(weights=None)
        network.fc = nn.Identity()
    module: nn.Module = network
    return module


def _published(name: str) -> Mapping[str, Tensor]:
    from torchvision.models import get_model

    return fetch(lambda: get_model(name, weights="IMAGENET1K_V1", progress=False), name).state_dict()


def _read(path: Path) -> Mapping[str, Tensor]:
    """A plain state dict; nothing in the file is executed."""
    from sbir.features.weights import read_state

    return {key: torch.from_numpy(value) for key, value in read_state(path).items()}
