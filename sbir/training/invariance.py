"""The invariance study of a run: its finalists on drawings, raw pixels and random weights, on held-out drawings."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sbir.data.items import Items
from sbir.data.loader import Shared
from sbir.data.splits import assign
from sbir.metrics.invariance import invariance
from sbir.models.drawings import ink
from sbir.models.method import Method
from sbir.training.plain_json import write_json
from sbir.training.rescore import fresh_model, load_model, model_folders, read_about

FILE = "invariance.json"


def study(model: Path, store: Path | None = None, *, drawings: int = 100) -> dict[str, Any]:
    """Study the first finalist of each method of a run, or one finalist; write `invariance.json` there and return it.

    Name -> move -> curve. `raw pixels` and each network with random weights stand beside. At most so many `drawings` of
    the test part are moved, chosen by item id. Raises `ValueError` where there is no finalist whose method takes images
    alone.
    """
    folders = _first_finalists(model)
    curves: dict[str, Any] = {}
    for name, folder in folders.items():
        about = read_about(folder)
        trained, _ = load_model(folder, about)
        if trained.query_columns != ("image",):
            continue
        shared = Shared.mapped(store if store is not None else Path(about["store"]))
        pictures = _held_out(shared.items(), about["protocol"]["split"], drawings)
        curves.setdefault("raw pixels", _curves(None, pictures))
        curves[name] = _curves(trained, pictures)
        curves[f"{name}, random weights"] = _curves(fresh_model(folder, about), pictures)
    if not curves:
        raise ValueError(f"an invariance study needs finalists whose method takes images alone, {model} has none")
    write_json(model / FILE, curves)
    return curves


def _first_finalists(model: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in model_folders(model):
        found.setdefault(folder.name.rsplit("-", 2)[0], folder)
    return found


def _held_out(items: Items, split: str, count: int) -> Tensor:
    """Ink of sketches of the test part, (n, 1, S, S)."""
    rows = np.flatnonzero((assign(items, split).rows == "test") & (items.domain == "sketch"))
    rows = rows[np.argsort(items.item_id[rows].astype(str))]
    rows = rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.int64)]
    return ink({"image": torch.from_numpy(items.payload["image"].take(rows))})


def _curves(model: Method | None, pictures: Tensor) -> dict[str, Any]:
    def encode(moved: Tensor) -> Tensor:
        if model is None:
            return moved.flatten(1)
        image = (255 * (1 - moved)).round().to(torch.uint8)[:, 0, :, :, None].expand(-1, -1, -1, 3)
        (view,) = model.embed_query({"image": image}).values()
        return view

    if model is not None:
        model.eval()
    return {move: asdict(curve) | {"area": curve.area} for move, curve in invariance(encode, pictures).items()}
