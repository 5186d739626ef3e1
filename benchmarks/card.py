"""What a card does at best, and how long it takes: bandwidth, bytes of a step, seconds of finished work."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from sbir.training.loop import Loop

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def bytes_moved(loop: Loop) -> tuple[int, float]:
    """Weights, and the bytes of them that a float32 step moves as it is written.

    Each use of a layer reads it, once more where its input has a gradient; the gradient is written at the first use,
    and from the second on written, read with the sum and added; clipping reads it for the norm, and reads and writes it
    again; Adam's are 28.
    """
    uses: dict[nn.Module, list[bool]] = {}
    for layer in loop.method.modules():
        if isinstance(layer, nn.Linear):
            layer.register_forward_hook(lambda of, given, _: uses.setdefault(of, []).append(given[0].requires_grad))
    loop.train(1)
    moved = 0.0
    for layer, inner in uses.items():
        size = sum(weight.numel() for weight in layer.parameters())
        moved += size * (4 * len(inner) + 4 * sum(inner) + 4 + 16 * (len(inner) - 1) + 12 + 28)
    return sum(weight.numel() for weight in loop.method.parameters()), moved


def bandwidth_of(values: int) -> float:
    """Bytes a second, read and written, of copies of so many float32."""
    first, second = (torch.zeros(values, device=DEVICE) for _ in range(2))

    def copies() -> None:
        for _ in range(10):
            second.copy_(first)

    return 10 * 2 * 4 * values / seconds_of(copies)


def seconds_of(work: Callable[[], Any], turns: int = 3) -> float:
    """The least of some turns, after one that is not counted."""
    work()
    return min(once(work) for _ in range(turns))


def once(work: Callable[[], Any]) -> float:
    """From nothing begun to everything done."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started
