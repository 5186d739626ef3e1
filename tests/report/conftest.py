"""A finished run's folder, written by hand in the runner's format."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

K = 20
METRICS = (f"precision_at_{K}", f"map_at_{K}_k", f"map_at_{K}_hits", "map_all", "acc_at_1")
ROWS = {"raw": 0.152, "mean removed": 0.231, "ridge": 0.268, "Procrustes": 0.249, "CMDT": 0.334}
GIVEN = {"raw": "nothing", "mean removed": "domains", "CMDT": "sketch-photo pairs and class labels"}
CLASSES = ("anchor", "barn", "crab", "dolphin", "ewer", "fan", "gramophone", "helicopter", "ibis", "kangaroo", "lamp")
LAMBDAS = ("0.0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1.0", "min")
AXES = ("method/latent", "method/decode", "method/dropout", "method/kl_weight", "method/margin1", "train/lr")


def write_run(
    folder: Path,
    *,
    num_trials: int = 24,
    store: Path | None = None,
    flags: tuple[str, ...] = (),
    evaluations: int = 10,
) -> Path:
    """A run of `num_trials` search trials and three refits; pictures where `store` has a manifest that names them."""
    rng = np.random.default_rng(0)
    trials = [_trial(folder, number, rng, evaluations) for number in range(num_trials)]
    best = max((trial for trial in trials if trial["state"] == "COMPLETE"), key=lambda trial: trial["value"])
    refits = [{**best, "number": n, "kind": "refit", "seed": n + 1, "label": f"seed {n + 1}"} for n in range(3)]
    pd.DataFrame([*trials, *refits]).to_parquet(folder / "trials.parquet")
    _write_queries(folder, rng)
    _write_top(folder / "finalists/cross_modal-13-0/top.parquet", rng)
    _write_top(folder / "baseline_top.parquet", rng, rows=("raw", "ridge"))
    _write_json(folder / "manifest.json", _manifest(folder, store))
    _write_json(folder / "summary.json", _summary(best, trials, flags))
    return folder


def _trial(folder: Path, number: int, rng: np.random.Generator, evaluations: int) -> dict[str, Any]:
    state = "FAIL" if number == 5 else "PRUNED" if number % 3 == 2 else "COMPLETE"
    margin = float(rng.choice([0, 1, 2])) if number % 4 else None
    settings = dict(
        zip(
            AXES,
            (
                int(rng.choice([256, 512, 1024])),
                str(rng.choice(["e", "s", "s+e"])),
                float(rng.choice([0.0, 0.3])),
                float(10 ** rng.uniform(-4, 0)),
                margin,
                float(10 ** rng.uniform(-4.5, -2.5)),
            ),
            strict=True,
        )
    )
    top = (
        0.2 + 0.1 * (settings["method/decode"] == "s") + 0.04 * rng.random() + 0.02 * (settings["method/latent"] == 512)
    )
    count = {"FAIL": 2, "PRUNED": 4, "COMPLETE": evaluations}[state]
    rows, best, best_step = [], 0.0, 0
    for at in range(1, count + 1):
        value = float(top * (1 - np.exp(-at / 2.5)) + 0.006 * rng.standard_normal())
        best, best_step = (value, 50 * at) if value > best else (best, best_step)
        curve = {fusion: value * (1 - 0.6 * (float(fusion) - 0.4) ** 2) for fusion in LAMBDAS[:-1]} | {
            "min": 0.95 * value
        }
        rows.append(
            {
                "step": 50 * at,
                "examples": 3200 * at,
                "device_seconds": 1.5 * at,
                "train/ranking": 2 / at,
                f"val/precision_at_{K}": value,
                "val/map_all": 0.8 * value,
                f"best/precision_at_{K}": best,
                "best/step": best_step,
                "lambda": "0.4",
                "curve": curve,
            }
        )
    path = folder / f"trials/cross_modal-{number}/rows.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {
        "method": "cross_modal",
        "number": number,
        "label": "row 6: 1024 s" if number == 0 else "",
        "kind": "declared" if number < 3 else "search",
        "state": state,
        "value": None if state == "FAIL" else best,
        "lambda": "0.4",
        "best_step": best_step,
        "steps": 50 * count,
        "device_seconds": 1.5 * count,
        "seed": 0,
        "reason": "loss term kl is nan at step 100" if state == "FAIL" else "",
        **settings,
    }


def items(domain: str) -> list[str]:
    """Twelve items a class, named as the readers name them."""
    suffix = "jpg" if domain == "photo" else "png"
    return [f"{domain}/{name}/{number:04d}.{suffix}" for name in CLASSES for number in range(12)]


def _write_queries(folder: Path, rng: np.random.Generator) -> None:
    queries = items("sketch")
    ease = np.repeat(rng.normal(0, 0.06, len(CLASSES)), 12)
    frames = []
    for row, mean in ROWS.items():
        for seed in (1, 2, 3) if row == "CMDT" else (0,):
            about = {"run": "r", "row": row, "method": "cross_modal" if row == "CMDT" else "", "seed": seed}
            values = np.clip(mean + ease + rng.normal(0, 0.05, len(queries)), 0, 1)
            names = {"item": queries, "class": np.repeat(CLASSES, 12), "instance": np.arange(len(queries)) // 3}
            frames.append(pd.DataFrame({**about, **names, **dict.fromkeys(METRICS, values)}))
    pd.concat(frames).to_parquet(folder / "per_query.parquet")


def _write_top(path: Path, rng: np.random.Generator, rows: tuple[str, ...] = ("",)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    photos = items("photo")
    records = []
    for row, query in itertools.product(rows, items("sketch")):
        own = query.split("/")[1]
        order = sorted(photos, key=lambda photo: rng.random() - 0.45 * (f"/{own}/" in photo))
        for rank, photo in enumerate(order[:30], 1):
            same = photo.removeprefix("photo/").removesuffix(".jpg") == query.removeprefix("sketch/").removesuffix(
                ".png"
            )
            about = {"correct": f"/{own}/" in photo, "own": same}
            records.append({**({"row": row} if row else {}), "query": query, "rank": rank, "gallery": photo, **about})
    pd.DataFrame(records).to_parquet(path)


def _manifest(folder: Path, store: Path | None) -> dict[str, Any]:
    return {
        "name": folder.name,
        "script": "cross_modal",
        "methods": ["cross_modal"],
        "labels": {"cross_modal": "CMDT"},
        "domains": {"cross_modal": {axis: [1, 2] for axis in AXES}},
        "stage": "search",
        "trials": 12,
        "final_seeds": 3,
        "seed": 0,
        "scale": "demo",
        "axes": {"cross_modal": list(AXES)},
        "metric": f"val/precision_at_{K}",
        "data": {
            "store": str(store or folder / "no-store"),
            "dataset": "doodles-demo",
            "content_hash": "0f3c9a1e77aa",
            "split": "stored",
            "split_hash": "77aa01",
            "num": {"train_query": 864, "train_gallery": 432, "val_query": 192, "val_gallery": 96, "test_query": 132,
                    "test_gallery": 132},
            "classes": {"train": 36, "val": 8, "test": len(CLASSES)},
        },
        "versions": {"python": "3.11.2", "sbir": "0.1.0", "torch": "2.14.1", "ray": "2.60.0", "optuna": "5.0.0"},
        "git": {"commit": "5682ccd0aa11223344", "dirty": "abc"},
        "created": "2026-11-21T03:00:00",
    }  # fmt: skip


def _summary(best: dict[str, Any], trials: list[dict[str, Any]], flags: tuple[str, ...]) -> dict[str, Any]:
    states = [trial["state"] for trial in trials]
    value, rows = best["value"], [_row(name, mean) for name, mean in ROWS.items()]
    curve = {fusion: value * (1 - 0.6 * (float(fusion) - 0.4) ** 2) for fusion in LAMBDAS[:-1]} | {"min": 0.95 * value}
    return {
        "metric": f"val/precision_at_{K}",
        "k": K,
        "flags": list(flags),
        "protocol": {
            "name": "zero_shot",
            "fingerprint": "1a2b3c4d",
            "lines": {"protocol": "zero_shot", "gallery": "all photos of the unseen classes", "k": K,
                      "ties": "ranked by gallery order", "split": "stored (77aa01)"},
        },
        "given": "VGG-16 with seeded random weights at 96 px; sketch-photo pairs and class labels",
        "question": "Which setting of CMDT retrieves best on doodles-demo (zero_shot)?",
        "counts": {"complete": states.count("COMPLETE"), "pruned": states.count("PRUNED"),
                   "failed": states.count("FAIL")},
        "best": {"method": "cross_modal", "number": best["number"], "label": best["label"], "lambda": "0.4",
                 "value": value, "step": best["best_step"], "settings": {axis: best[axis] for axis in AXES}},
        "curve": curve,
        "table": [_reference("chance", 0.091), *rows, _reference("ceiling", 0.6)],
        "looks_at_test": 3,
        "importance": {"cross_modal": {"note": "not enough: 6 axes need 60 complete trials, there are 15"}},
        "times": {"started": "2026-11-21T03:00:00", "total_s": 214.3, "device_s": 180.0},
    }  # fmt: skip


def _reference(name: str, mean: float) -> dict[str, Any]:
    bare = {"class_low": None, "class_high": None, "seed_low": None, "seed_high": None, "num_seeds": 0}
    given = "nothing" if name == "chance" else "the labels"
    figures = {"val": dict.fromkeys(METRICS, mean), "test": {metric: {"mean": mean, **bare} for metric in METRICS}}
    return {"row": name, "kind": "reference", "given": given, "settings": {}, "lambda": None, **figures}


def _row(name: str, mean: float) -> dict[str, Any]:
    method = name == "CMDT"
    seeds = {"seed_low": mean - 0.011, "seed_high": mean + 0.011, "num_seeds": 3} if method else {}
    figure = {"mean": mean, "class_low": mean - 0.04, "class_high": mean + 0.05, "seed_low": None, "seed_high": None}
    return {
        "row": name,
        "kind": "method" if method else "baseline",
        "given": GIVEN.get(name, "sketch-photo pairs"),
        "settings": {},
        "lambda": "0.4" if method else None,
        "val": dict.fromkeys(METRICS, mean + 0.01),
        "test": {metric: {**figure, "num_seeds": 1, **seeds} for metric in METRICS},
    }


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, allow_nan=False))


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose store is gone; not to be changed."""
    return write_run(tmp_path_factory.mktemp("runs") / "cross_modal-20261121-0300")


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """A run of the test's own, to change."""
    return lambda **options: write_run(tmp_path / "cross_modal-1", **options)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store's manifest, and a plain colour square for every item."""
    root = tmp_path / "store"
    for at, item in enumerate([*items("photo"), *items("sketch")]):
        path = root / "images" / item
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (at % 256, 120, 200)).save(path)
    _write_json(root / "manifest.json", {"root": str(root / "images")})
    return root
