"""Losses that turn outputs of a sigmoid into codes, and which drawings to trust: plain functions on tensors."""

import math

import torch
from torch import Tensor


def quantisation(soft: Tensor) -> Tensor:
    """Mean squared distance of soft codes (B, K) in [0, 1] to their own bits (1 from 0.5 on) -> scalar.

    >>> quantisation(torch.tensor([[0.5, 0.25]])).item()  # 0.25 + 0.0625
    0.3125
    """
    return (soft - (soft >= 0.5).to(soft)).square().sum(1).mean()


def centre(soft: Tensor, labels: Tensor, centres: Tensor) -> Tensor:
    """Mean squared distance of soft codes (B, K) to the fixed centre (C, K) of their class -> scalar.

    >>> centre(torch.tensor([[1.0, 0.0]]), torch.tensor([1]), torch.tensor([[0.0, 0.0], [0.5, 0.0]])).item()
    0.25
    """
    return (soft - centres[labels]).square().sum(1).mean()


def raster_entropy(grey: Tensor) -> Tensor:
    """Entropy of the histogram of grey levels in bits, images (n, H, W) uint8 -> (n,) float32.

    >>> raster_entropy(torch.tensor([[[0, 255], [0, 255]]], dtype=torch.uint8)).item()
    1.0
    """
    flat = grey.reshape(len(grey), -1).long()
    counts = torch.zeros(len(grey), 256, device=grey.device).scatter_add_(1, flat, torch.ones_like(flat).float())
    nats: Tensor = torch.special.entr(counts / flat.shape[1]).sum(1)
    return nats / math.log(2)


def middle(values: Tensor, labels: Tensor, share: float) -> Tensor:
    """Which rows lie in the middle `share` of their class by value, (n,) bool; equal parts are cut at both ends.

    Of n rows of a class round(n (1 - share) / 2) are cut at each end, and the middle one always stays.

    >>> middle(torch.tensor([9.0, 1.0, 5.0, 7.0, 4.0, 2.0]), torch.tensor([0, 0, 0, 0, 0, 1]), 0.6).tolist()
    [False, False, True, True, True, True]
    """
    kept = torch.ones(len(values), dtype=torch.bool, device=values.device)
    for label in torch.unique(labels):
        rows = (labels == label).nonzero()[:, 0]
        rows = rows[values[rows].argsort(stable=True)]
        cut = min(int(len(rows) * (1 - share) / 2 + 0.5), (len(rows) - 1) // 2)
        kept[rows[:cut]] = False
        kept[rows[len(rows) - cut :]] = False
    return kept


def class_means(values: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Mean row of each class, (n, K) -> (C, K); 0 where a class has no row."""
    sums = torch.zeros(num_classes, values.shape[1], device=values.device).index_add_(0, labels, values)
    return sums / torch.bincount(labels, minlength=num_classes).clamp(min=1)[:, None]
