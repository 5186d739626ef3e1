"""Blocks that several methods on features share."""

from itertools import pairwise
from typing import Literal

from torch import nn

NormOrder = Literal["post", "pre"]


def encoder(sizes: list[int], dropout: float, norm_order: NormOrder) -> nn.Sequential:
    """Linear blocks with ReLU and batch norm, dropout between them: sizes [D, hidden, ..., H] -> module (B, D) -> (B,
    H).

    "post" normalises after the ReLU (the source's rows up to 27 October 2019), "pre" before it (later rows).
    """
    layers: list[nn.Module] = []
    for index, (width, out) in enumerate(pairwise(sizes)):
        if index:
            layers.append(nn.Dropout(dropout))
        activation = [nn.ReLU(), nn.BatchNorm1d(out)] if norm_order == "post" else [nn.BatchNorm1d(out), nn.ReLU()]
        layers += [nn.Linear(width, out), *activation]
    return nn.Sequential(*layers)


def decoder(sizes: list[int]) -> nn.Sequential:
    """Linear layers, each with a ReLU (features are outputs of ReLUs): sizes [H, hidden, ..., D]."""
    layers: list[nn.Module] = []
    for width, out in pairwise(sizes):
        layers += [nn.Linear(width, out), nn.ReLU()]
    return nn.Sequential(*layers)


def check(rule: bool, text: str) -> None:
    """Raise `ValueError` with the text (rule, value) unless the rule holds."""
    if not rule:
        raise ValueError(text)
