"""Branches of networks that see drawings: their pixels, and the sequence of their pen points."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from sbir.models.settings import check
from sbir.types import Rows

HALF = 128.0  # of the canvas that pen points are given in, pixels


def ink(rows: Rows) -> Tensor:
    """Images (n, S, S, 3) uint8, black on white, as darkness (n, 1, S, S): 0 is white, 1 is black."""
    return 1 - rows["image"].float().mean(3)[:, None] / 255


class PixelBranch(nn.Module):
    """A small network of AlexNet's kind: (n, channels, S, S) -> (n, out).

    Five convolutions with batch norm and ReLU, three of them followed by pooling, and one linear layer: AlexNet (A.
    Krizhevsky et al., NIPS 2012) with its filters scaled to drawings of some 64 pixels; `width` is the first layer's
    number of filters.
    """

    def __init__(self, width: int, out: int, dropout: float, *, channels: int = 1) -> None:
        super().__init__()
        sizes = [channels, width, 2 * width, 4 * width, 4 * width, 4 * width]
        layers: list[nn.Module] = []
        for index, (before, after) in enumerate(pairwise(sizes)):
            kernel, stride = (5, 2) if index == 0 else (3, 1)
            conv = nn.Conv2d(before, after, kernel, stride=stride, padding=kernel // 2, bias=False)
            layers += [conv, nn.BatchNorm2d(after), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if index in (0, 1, 4) else []
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten())
        self.top = nn.Sequential(nn.Dropout(dropout), nn.Linear(64 * width, out), nn.ReLU())

    def forward(self, pixels: Tensor) -> Tensor:
        """Darkness (n, 1, S, S), or another number of channels -> (n, out)."""
        code: Tensor = self.top(self.features(pixels))
        return code


class StrokeBranch(nn.Module):
    """A bidirectional GRU over pen points (n, T, 3): the final states of both directions, (n, 2 hidden).

    Every step sees x and y in [-1, 1] and two bits of pen state, drawing and lifting; steps after the last point are
    zeros, as where the source pads. The forward state is that after the last point (of a drawing without points, after
    one step of zeros), and the backward state that after the first.
    """

    def __init__(self, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.hidden = hidden
        between = dropout if layers > 1 else 0.0
        self.gru = nn.GRU(4, hidden, layers, batch_first=True, bidirectional=True, dropout=between)

    def forward(self, strokes: Tensor, num_points: Tensor) -> Tensor:
        """Points (n, T, 3) with `num_points` (n,) real ones each -> (n, 2 hidden)."""
        present = (torch.arange(strokes.shape[1], device=strokes.device) < num_points[:, None]).float()[:, :, None]
        place = (strokes[:, :, :2] / HALF - 1).clamp(-2, 2)
        lifts = strokes[:, :, 2:]
        states = self.gru(torch.cat([place, 1 - lifts, lifts], 2) * present)[0]  # n, T, 2 hidden
        last = num_points.clamp(1, strokes.shape[1]).long() - 1
        forward = states[torch.arange(len(states), device=states.device), last, : self.hidden]
        return torch.cat([forward, states[:, 0, self.hidden :]], 1)


def check_drawings(shape: tuple[int, ...], strokes: tuple[int, ...] | None) -> None:
    """Raise unless images are square and of at least 32 pixels, and drawings have points of three numbers."""
    good = len(shape) == 3 and shape[0] == shape[1] >= 32 and shape[2] == 3
    check(good, f"images must be squares of at least 32 pixels in 3 channels, got {shape}; write them with --images 64")
    if strokes is not None:
        check(len(strokes) == 2 and strokes[1] == 3, f"strokes must be (points, 3): x, y and pen, got {strokes}")
