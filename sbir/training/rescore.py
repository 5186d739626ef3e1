"""Score a saved model again: on another store, under another protocol, in a clean process."""

import importlib
import json
from pathlib import Path
from typing import Any

import torch

from sbir.data.feed import Columns, Feed, make_feed
from sbir.data.loader import Shared
from sbir.data.protocol import Protocol, make_protocol, partition
from sbir.data.splits import assign
from sbir.data.store import check_backbone
from sbir.data.transform import Transform
from sbir.metrics.retrieval import Retrieval
from sbir.models.method import Method
from sbir.training import checkpoint
from sbir.training.evaluate import evaluate
from sbir.training.settings import group
from sbir.types import DataSpec


def rescore(model: Path, store: Path | None, protocol: str | None = None) -> str:
    """The figures of a run's finalists, or of one of them, as text: one line a model.

    `model` is a run folder or a folder with `model.json`; `store` is the one it was trained on when left out. Raises
    `ValueError` where the folder holds no model, or the store's features come from another backbone.
    """
    folders = (
        [model]
        if (model / "model.json").exists()
        else sorted(path.parent for path in model.glob("finalists/*/model.json"))
    )
    if not folders:
        raise ValueError(
            f"a model to evaluate is a run folder with finalists or one of them, {model} has no model.json"
        )
    lines = []
    for folder in folders:
        scored, result = score_model(folder, store, protocol)
        figures = "  ".join(f"{name} {100 * value:.2f} %" for name, value in result.means.items())
        lines.append(f"{folder.name}  {scored.name} {scored.fingerprint()}  lambda {result.fusion}  {figures}")
    return "\n".join(lines)


def score_model(folder: Path, store: Path | None, name: str | None) -> tuple[Protocol, Retrieval]:
    """Load one finalist and score it on the test part of a store."""
    about: dict[str, Any] = json.loads((folder / "model.json").read_text())
    trained = about["protocol"]
    shared = Shared.mapped(store if store is not None else Path(about["store"]))
    check_backbone(shared.manifest, about["backbone"])
    items, spec = shared.items(), trained["split"]
    split = assign(items, spec)
    protocol = make_protocol(
        items,
        split,
        split_spec=spec,
        content_hash=shared.manifest["content_hash"],
        synthetic=bool(shared.manifest["synthetic"]),
        name=name or trained["name"],
        k=trained["k"],
        select=_select(trained["select"]),
        centre=trained["centre"],
    )
    method, transforms = load_model(folder, about)
    rows = partition(items, split, protocol, "test")
    feed = make_feed(Columns(items), rows, method.query_columns, method.gallery_columns, group({}).data)
    feed = Feed(feed.columns, rows, feed.query_columns, feed.gallery_columns, transforms, feed.label_of)
    return protocol, evaluate(method, feed, protocol, fusion=about["lambda"])


def load_model(folder: Path, about: dict[str, Any] | None = None) -> tuple[Method, dict[str, Transform]]:
    """A finalist's method with its weights, and the feature transforms that it was trained with."""
    about = json.loads((folder / "model.json").read_text()) if about is None else about
    module, _, name = about["method"].partition(":")
    kind = getattr(importlib.import_module(module), name)
    if not (isinstance(kind, type) and issubclass(kind, Method)):
        raise ValueError(f"a saved model names a Method, {folder / 'model.json'} names {about['method']!r}")
    given = about["spec"]
    shapes = {side: {column: tuple(shape) for column, shape in given[side].items()} for side in ("query", "gallery")}
    spec = DataSpec(shapes["query"], shapes["gallery"], given["num_classes"], given["paired"])
    torch.manual_seed(0)
    method = kind(spec, **group(about["job"]["settings"]).method)
    state = checkpoint.load(folder / "model.pt")
    method.load_state_dict(state["method"])
    return method, {side: Transform(**fields) for side, fields in state["transforms"].items()}


def _select(metric: str) -> str:
    """The name that `eval/metric` takes, from a metric's full name."""
    if metric.startswith("precision"):
        return "precision"
    return "map_" + metric.rsplit("_", 1)[1] if metric.startswith("map") else metric
