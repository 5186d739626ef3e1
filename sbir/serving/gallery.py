"""The embedded gallery of an export: floats, half floats or packed bits on disk, distances in memory."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sbir.metrics import hamming
from sbir.metrics.distances import GalleryDistances
from sbir.types import Distance, Views


def to_tensors(views: Views, distance: Distance, *, half: bool) -> dict[str, Tensor]:
    """`gallery/<view>`, (G, d) floats, or of codes (G, K / 8) uint8 with bit j of a row set where entry j is +1."""
    if distance == "hamming":
        return {f"gallery/{name}": _packed(view) for name, view in views.items()}
    return {f"gallery/{name}": view.half() if half else view for name, view in views.items()}


def describe(views: Views, distance: Distance, *, half: bool) -> dict[str, Any]:
    """What `from_tensors` needs to know: the shape of each view, and how its entries are kept."""
    kept = "bits" if distance == "hamming" else "float16" if half else "float32"
    return {"views": {name: list(view.shape) for name, view in views.items()}, "dtype": kept}


def from_tensors(tensors: Mapping[str, Tensor], described: Mapping[str, Any]) -> dict[str, Tensor]:
    """The views (G, d) float32 that `to_tensors` wrote; raises `ValueError` where one is missing or misshapen."""
    views = {}
    for name, shape in described["views"].items():
        found = tensors.get(f"gallery/{name}")
        if found is not None and described["dtype"] == "bits":
            bits = np.unpackbits(found.numpy(), axis=1, count=int(shape[1]), bitorder="little")
            found = torch.from_numpy(bits).float() * 2 - 1
        if found is None or list(found.shape) != shape:
            got = "none" if found is None else list(found.shape)
            raise ValueError(f"gallery/{name} must have the shape {shape}, got {got}; export the model again")
        views[name] = found.float()
    return views


def measure(gallery: Tensor, distance: Distance) -> Callable[[Tensor], Tensor]:
    """From a query's embedding (d,) to its distances (G,) float32 to the gallery, the same as in the metrics."""
    if distance == "hamming":
        codes = hamming.pack(gallery)
        return lambda query: _counted(query, codes)
    return GalleryDistances(gallery[:0], gallery, distance).of


def _counted(query: Tensor, codes: hamming.Codes) -> Tensor:
    return torch.from_numpy(next(hamming.distances(hamming.pack(query[None]), codes)).astype(np.float32))


def _packed(view: Tensor) -> Tensor:
    return torch.from_numpy(np.packbits((view > 0).cpu().numpy(), axis=1, bitorder="little"))
