"""Finished runs in the runner's format around a real finalist, and a store of drawings whose pictures are there."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sbir.data.dataset import identities
from sbir.data.doodles.categories import CATEGORIES
from sbir.data.doodles.photo import pose, render
from sbir.data.doodles.sketch import draw_sketch
from sbir.data.feed import Columns
from sbir.data.items import Payload
from sbir.data.loader import Shared
from sbir.data.pictures import pixels
from sbir.data.protocol import make_protocol
from sbir.data.readers import read_dataset
from sbir.data.smoke import write_smoke_store
from sbir.data.splits import assign
from sbir.data.store_write import write_store
from sbir.data.strokes import pen_points
from sbir.features.backbones import features
from sbir.features.weights import load_backbone
from sbir.models.method import Method
from sbir.serving.export import export
from sbir.training.run import Job, Refit

CLASSES = ("airplane", "bus", "fish", "house", "lollipop", "octopus", "tree", "umbrella")
PHOTOS = 10  # a class, each with one drawing
UNITS = 380  # of a drawing's square: whole ones, so that a browser's pointer can follow it to the point


@pytest.fixture(scope="session")
def smoke_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("serving") / "smoke"
    write_smoke_store(path)
    return path


@pytest.fixture(scope="session")
def drawn_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Doodles whose sketches are QuickDraw strokes, with features of a small network of random weights."""
    folder = tmp_path_factory.mktemp("drawn")
    for index, name in enumerate(CLASSES):
        _write_class(folder / "data", name, np.random.default_rng(index))
    dataset = read_dataset(folder / "data")
    backbone, _ = load_backbone("squeezenet1_1", "random", size=64)
    network = backbone.build(None)
    feature = np.concatenate([features(network, pixels(item, 64)[None]) for item in dataset.items])
    points = [pen_points(item, 50) if item.offset is not None else (np.zeros((50, 3)), 0) for item in dataset.items]
    payload = {
        "feature": feature,
        "image": np.stack([pixels(item, 24) for item in dataset.items]),
        "strokes": np.stack([strokes for strokes, _ in points]).astype(np.float32),
        "num_points": np.array([count for _, count in points], np.int32),
    }
    rows = replace(identities(dataset.items), payload={name: Payload([column]) for name, column in payload.items()})
    more: dict[str, Any] = {"backbone": backbone.describe(), "root": folder / "data"}
    write_store(folder / "store", rows, dataset="drawn", synthetic=True, given="random weights; class labels", **more)
    return folder / "store"


def _write_class(root: Path, name: str, rng: np.random.Generator) -> None:
    (root / "photo" / name).mkdir(parents=True)
    (root / "sketch").mkdir(exist_ok=True)
    kind, lines = CATEGORIES[name], []
    for number, values in enumerate(kind.instances(PHOTOS, rng)):
        parts = kind.parts(values)
        stand = pose(parts, rng)
        render(parts, stand, rng, 96).save(root / "photo" / name / f"{number}.jpg", quality=90)
        strokes = draw_sketch(name, values, stand, number, rng).strokes
        drawing = [np.round(stroke[:, :2].T * UNITS).astype(int).tolist() for stroke in strokes]
        lines.append(json.dumps({"word": name, "key_id": str(number), "drawing": drawing}) + "\n")
    (root / "sketch" / f"{name}.ndjson").write_text("".join(lines))


@pytest.fixture(scope="session")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A run of one method and one refit, its summary holding what an export reads."""

    def made(
        method: type[Method],
        store: Path,
        settings: Mapping[str, Any],
        *,
        split: str = "stored",
        fusion: str | None = None,
        centre: bool = False,
    ) -> Path:
        folder = tmp_path_factory.mktemp("runs") / "a-run"
        shared = Shared.mapped(store)
        items, manifest = shared.items(), shared.manifest
        rows = assign(items, split)
        protocol = make_protocol(
            items, rows, split_spec=split, content_hash=manifest["content_hash"], synthetic=True, centre=centre
        )
        place = folder / "finalists/mine-0-0"
        job = Job("mine", 0, "refit", dict(settings), seed=3, folder=str(place), steps=12, fusion=fusion)
        source = {"store": str(store), "backbone": manifest["backbone"]}
        place.mkdir(parents=True)
        refit = Refit(job, method, Columns(items), rows, protocol, source=source)
        while not refit.advance()[1]:
            pass
        _write_run(folder, dict(settings), protocol.as_dict(), json.loads((place / "model.json").read_text())["test"])
        return folder

    return made


def _write_run(folder: Path, settings: dict[str, Any], protocol: dict[str, Any], test: Mapping[str, float]) -> None:
    data = {"dataset": "drawn", "synthetic": True, "split": protocol["split"], "split_hash": protocol["split_hash"]}
    manifest = {
        "name": folder.name,
        "methods": ["mine"],
        "labels": {"mine": "Mine"},
        "stage": "search",
        "trials": 2,
        "final_seeds": 1,
        "data": data | {"classes": {"train": 8, "val": 8, "test": 8}},
        "versions": {"sbir": "0.1.0"},
    }
    ends = {"class_low": 0.11, "class_high": 0.22, "seed_low": None, "seed_high": None, "num_seeds": 1}
    figures = {name: {"mean": mean, **ends} for name, mean in test.items()}
    row = {"row": "Mine", "kind": "method", "given": "class labels", "lambda": None, "val": test, "test": figures}
    chance = {**row, "row": "chance", "kind": "reference", "given": "nothing", "settings": {}}
    summary = {
        "metric": f"val/{protocol['select']}",
        "counts": {},
        "flags": ["synthetic", "demo scale"],
        "given": "random weights; class labels",
        "protocol": protocol,
        "best": {"method": "mine", "number": 0},
        "table": [chance, {**row, "settings": settings}],
        "methods": {"mine": {"label": "Mine", "budget": 2, "spent": 2.0, "device_s": 1.0}},
        "looks_at_test": 1,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "summary.json").write_text(json.dumps(summary))
    trial = {"method": "mine", "number": 0, "kind": "search", "state": "COMPLETE", "value": 0.5, "device_seconds": 1.0}
    pd.DataFrame([trial]).to_parquet(folder / "trials.parquet")
    pd.DataFrame(columns=["row", "seed", "item", "class", "instance"]).to_parquet(folder / "per_query.parquet")


@pytest.fixture(scope="session")
def drawn_model(drawn_store: Path, make_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported closed form on drawings of classes that it has seen."""
    from sbir.models.linear_map import LinearMap

    run = make_run(LinearMap, drawn_store, {"method/penalty": 0.1}, split="seen:0")
    out = tmp_path_factory.mktemp("exported") / "model"
    export(run, out)
    return out
