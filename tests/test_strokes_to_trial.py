"""Drawings as they are found in the wild, from QuickDraw's raw lines through the store into SketchMate's codes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sbir.cli import main
from sbir.data.feed import Columns
from sbir.data.items import Items
from sbir.data.loader import Shared
from sbir.data.pictures import CANVAS, MARGIN
from sbir.data.protocol import make_protocol
from sbir.data.splits import assign
from sbir.models.sketchmate import SketchMate
from sbir.training.run import Job, Run

POINTS, PLAIN = 100, 12  # of the store, and ordinary drawings a class
SPIRAL = np.linspace(0, 40, 5000)
ODD: dict[str, list[Any]] = {
    "one point": [[[7], [9], [0]]],
    "strokes of one point": [[[10 * k], [k * k], [k]] for k in range(9)],
    "5000 points": [[(SPIRAL * np.cos(SPIRAL)).tolist(), (SPIRAL * np.sin(SPIRAL)).tolist(), list(range(5000))]],
    "outside the box": [[[-900, 4000, 1e6], [0, 300, -2e5], [0, 5, 9]]],
    "no times": [[[0, 100, 200], [0, 90, 10]], [[30, 40], [200, 220]]],
    "empty times": [[[0, 100, 200], [0, 90, 10], []]],
    "unknown times": [[[0, 100, 200], [0, 90, 10], [None, None, None]]],
    "fewer times": [[[0, 100, 200], [0, 90, 10], [0]]],
    "an empty stroke": [[[], [], []], [[0, 50], [0, 50], [0, 9]]],
}
EMPTY: dict[str, list[Any]] = {"no stroke": [], "no point": [[[], [], []]]}


def raw_quickdraw(root: Path, odd: dict[str, list[Any]]) -> Path:
    """Lines of `raw/`, whose strokes have times: ordinary drawings of four classes, and odd ones in one of them."""
    rng = np.random.default_rng(0)
    (root / "raw").mkdir(parents=True)
    for number, name in enumerate(("ant", "bee", "cat", "dog")):
        along = np.linspace(0, (number + 1) * np.pi, 20)
        lines = []
        for key in range(PLAIN):
            x, y = 100 * along + rng.normal(0, 9, 20), 100 * np.cos(along) + rng.normal(0, 9, 20)
            lines.append({"key_id": f"plain {key}", "drawing": [[x.tolist(), y.tolist(), list(range(20))]]})
        lines += [{"key_id": key, "drawing": drawing} for key, drawing in odd.items() if name == "cat"]
        (root / f"raw/{name}.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> Items:
    """What `sbir features` stores of them."""
    folder = tmp_path_factory.mktemp("strokes")
    root, store = raw_quickdraw(folder / "data", ODD | EMPTY), folder / "store"
    words = ["features", str(root), "--backbone", "none", "--images", "32", "--strokes", str(POINTS), "--workers", "1"]
    assert main([*words, "--out", str(store)]) == 2  # an empty drawing is named, and left out on request alone
    assert not store.exists()
    assert main([*words, "--out", str(store), "--skip-broken"]) == 0
    return Shared.mapped(store).items()


def test_odd_drawings_are_stored_as_their_points_and_empty_ones_left_out(items: Items) -> None:
    row = {str(name).rpartition("/")[2]: at for at, name in enumerate(items.item_id) if "cat.ndjson" in str(name)}
    assert row.keys() == ODD.keys() | {f"plain {key}" for key in range(PLAIN)}
    counts = {name: int(items.payload["num_points"].take(np.array([at]))[0]) for name, at in row.items()}
    assert {name: counts[name] for name in ODD} == {
        "one point": 1, "strokes of one point": 9, "5000 points": POINTS, "outside the box": 3, "no times": 5,
        "empty times": 3, "unknown times": 3, "fewer times": 3, "an empty stroke": 2,
    }  # fmt: skip
    for name in ODD:
        points = items.payload["strokes"].take(np.array([row[name]]))[0]
        inside = points[: counts[name], :2]
        assert inside.min() >= MARGIN - 1e-3
        assert inside.max() <= CANVAS - MARGIN + 1e-3
        assert not points[counts[name] :].any()
        assert points[counts[name] - 1, 2] == 1
        assert items.payload["image"].take(np.array([row[name]]))[0].min() < 255, f"{name} left no ink"


def test_a_drawing_is_the_same_whatever_is_known_of_its_times(items: Items) -> None:
    at = {str(name).rpartition("/")[2]: row for row, name in enumerate(items.item_id) if "cat.ndjson" in str(name)}
    rows = np.array([at[name] for name in ("empty times", "unknown times", "fewer times")])
    for column in ("strokes", "image"):
        taken = items.payload[column].take(rows)
        assert (taken == taken[0]).all()


def test_odd_drawings_train_and_get_codes(items: Items, tmp_path: Path) -> None:
    split = assign(items, "seen:0")
    protocol = make_protocol(
        items, split, split_spec="seen:0", content_hash="x", synthetic=False, select="map_all", gallery="sketch"
    )
    settings = {
        "method/width": 4, "method/cnn_features": 16, "method/hidden": 8, "method/rnn_layers": 1, "method/bits": 16,
        "train/steps": 12, "train/eval_every": 6, "train/batch_size": 16, "train/warmup": 1,
    }  # fmt: skip
    run = Run(Job("m", 0, "search", settings, 1, str(tmp_path)), SketchMate, Columns(items), split, protocol)
    finished = False
    while not finished:
        row, finished = run.advance()
    assert all(np.isfinite(value) for name, value in row.items() if name.startswith(("train/", "val/")))
    run.method.eval()
    with torch.no_grad():
        codes = run.method.embed_query(run.feed.query(np.arange(len(items))))["code"]
    assert bool((codes.abs() == 1).all())
