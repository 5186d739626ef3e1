"""Score a saved model again: on another store, under another protocol, in a clean process."""

import importlib
import importlib.util
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

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

OURS = "sbir.models."  # what is imported because a model's file says so; other code only because the user says so


@dataclass(frozen=True)
class Rescored:
    """A saved model's figures on the test part of a store."""

    folder: Path
    protocol: Protocol
    result: Retrieval

    def __str__(self) -> str:
        figures = "  ".join(f"{name} {100 * value:.2f} %" for name, value in self.result.means.items())
        lam = f"  lambda {self.result.fusion}" if self.result.fusion is not None else ""
        return f"{self.folder.name}  {self.protocol.name} {self.protocol.fingerprint()}{lam}  {figures}"


@dataclass(frozen=True)
class Reopened:
    """A saved model and what it is scored on."""

    about: dict[str, Any]  # its model.json
    method: Method
    feed: Feed  # of the store's test part, with the model's own transforms
    protocol: Protocol


def rescore(
    model: Path, store: Path | None = None, protocol: str | None = None, method: str | None = None
) -> list[Rescored]:
    """Score a run's finalists, or one of them, on test: every call is a look at it.

    `model` is a run folder or a folder with `model.json`; `store` and `protocol` are those of the run when left out.
    `method` is `file.py:Class` or `module:Class` where the model's class is not one of this package's: a saved model
    names its class, and is not believed. Raises `ValueError` where the folder holds no model, its class is not known,
    or the store's features come from another backbone.
    """
    return [_score(folder, store, protocol, method) for folder in model_folders(model)]


def model_folders(model: Path) -> list[Path]:
    """A folder with a saved model itself, or a run's finalists."""
    folders = [model] if (model / "model.json").exists() else sorted(model.glob("finalists/*/model.json"))
    if not folders:
        raise ValueError(
            f"a model to evaluate is a run folder with finalists or one of them, {model} has no model.json"
        )
    return [path if path.is_dir() else path.parent for path in folders]


def _score(folder: Path, store: Path | None, name: str | None, code: str | None) -> Rescored:
    opened = reopen(folder, store, name, code)
    result = evaluate(opened.method, opened.feed, opened.protocol, fusion=opened.about["lambda"])
    return Rescored(folder, opened.protocol, result)


def reopen(folder: Path, store: Path | None = None, name: str | None = None, code: str | None = None) -> Reopened:
    """A saved model beside the test rows of a store, ready to be scored; arguments as `rescore` takes them."""
    about = read_about(folder)
    method, transforms = load_model(folder, about, code)
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
        features=trained["features"],
        gallery=trained["gallery"],
        query=trained["query"],
        dataset=shared.manifest["dataset"],
    )
    rows = partition(items, split, protocol, "test")
    feed = make_feed(Columns(items), rows, method.query_columns, method.gallery_columns, group({}).data)
    feed = Feed(feed.columns, rows, feed.query_columns, feed.gallery_columns, transforms, feed.label_of)
    return Reopened(about, method, feed, protocol)


def load_model(
    folder: Path, about: dict[str, Any] | None = None, code: str | None = None
) -> tuple[Method, dict[str, Transform]]:
    """A finalist's method with its weights, and the feature transforms that it was trained with."""
    about = read_about(folder) if about is None else about
    method = fresh_model(folder, about, code)
    file = folder / "model.safetensors"
    tensors = checkpoint.load_tensors(file)
    try:
        method.load_state_dict(_below(tensors, "method/"))
    except RuntimeError as error:
        raise ValueError(f"{file} must hold the weights that model.json describes: {error}") from None
    transforms = {
        side: Transform(**numbers, **_below(tensors, f"transform/{side}/"))
        for side, numbers in about["transforms"].items()
    }
    return method, transforms


def fresh_model(folder: Path, about: dict[str, Any], code: str | None = None) -> Method:
    """A finalist's method with random weights, those of seed 0."""
    kind = _class(about["method"], code, folder)
    given = about["spec"]
    shapes = {side: {column: tuple(shape) for column, shape in given[side].items()} for side in ("query", "gallery")}
    spec = DataSpec(
        shapes["query"], shapes["gallery"], given["num_classes"], given["paired"], num_labels=given.get("num_labels")
    )
    torch.manual_seed(0)
    return kind(spec, **group(about["job"]["settings"]).method)


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _select(metric: str) -> str:
    """The name that `eval/metric` takes, from a metric's full name."""
    if metric.startswith("precision"):
        return "precision"
    return "map_" + metric.rsplit("_", 1)[1] if metric.startswith("map") else metric


def read_about(folder: Path) -> dict[str, Any]:
    """A saved model's `model.json`; raises `ValueError` where it is none."""
    try:
        about: dict[str, Any] = json.loads((folder / "model.json").read_text())
        _ = about["method"], about["protocol"]["gallery"], about["spec"], about["store"], about["transforms"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / 'model.json'} must be a finalist's, reading it failed: {error!r}") from None
    return about


def _class(saved: str, code: str | None, folder: Path) -> type[Method]:
    """The method's class: ours by the name in the file, anybody's by the name that the user gives."""
    if code is None and not saved.startswith(OURS):
        raise ValueError(
            f"a method from outside this package must be named by you, {folder} has {saved!r}; "
            f"add --method FILE.py:{saved.rpartition(':')[2]}"
        )
    place, _, name = (code or saved).rpartition(":")
    try:
        kind = getattr(_import_file(Path(place)) if place.endswith(".py") else importlib.import_module(place), name)
    except (ImportError, AttributeError, OSError) as error:
        raise ValueError(
            f"a method must be FILE.py:CLASS or MODULE:CLASS, {code or saved!r} is none: {error}"
        ) from None
    if not (isinstance(kind, type) and issubclass(kind, Method)):
        raise ValueError(f"a saved model's class must be a Method, {code or saved!r} is none; name another")
    return kind


def _import_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None  # a name that ends in .py has a loader
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
