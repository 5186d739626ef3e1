"""Data of Sketchy's sizes with made-up values, and the source's completed rows trained on them at their own lengths."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sbir.data.feed import Columns
from sbir.data.items import Items, Payload
from sbir.data.protocol import Protocol
from sbir.data.splits import Split
from sbir.models.cross_modal import CrossModal
from sbir.models.cvae import CVAE
from sbir.models.method import Method
from sbir.models.siamese import Siamese
from sbir.report.reported import load_reported
from sbir.training.run import Job, Refit

METHODS: dict[str, type[Method]] = {"cvae": CVAE, "siamese_1": Siamese, "cross_modal": CrossModal}
EVERY = 500  # steps between two evaluations of the source


@dataclass(frozen=True)
class Sizes:
    """Of a set of features: Sketchy's in the source's split of 104 and 21 classes, unless said otherwise."""

    width: int = 5568
    sketches: int = 62_787
    photos: int = 62_549
    queries: int = 12_694
    gallery: int = 10_453
    pairs: int = 10_400  # photos that were drawn
    classes: tuple[int, int] = (104, 21)
    k: int = 200


QUICK = Sizes(width=64, sketches=640, photos=320, queries=84, gallery=63, pairs=104, k=5)


def made_up(sizes: Sizes, device: torch.device) -> tuple[Columns, Split, Protocol]:
    """Features of sketches and photos, half of the entries 0, as after a ReLU."""
    rng = np.random.default_rng(0)
    counts = [sizes.sketches, sizes.photos, sizes.queries, sizes.gallery]
    feature = rng.random((sum(counts), sizes.width), np.float32)
    np.maximum(feature - 0.5, 0, out=feature)
    train, test = sizes.classes
    own = np.arange(sizes.sketches) % sizes.pairs  # the photo that a sketch shows
    class_id = [own % train, np.arange(sizes.photos) % train]
    class_id += [train + np.arange(count) % test for count in counts[2:]]
    unknown = [np.full(count, -1) for count in counts[2:]]
    items = Items(
        item_id=np.arange(len(feature)).astype(str),
        domain=np.repeat(["sketch", "photo", "sketch", "photo"], counts),
        class_id=np.concatenate(class_id),
        instance_id=np.concatenate([own, np.arange(sizes.photos), *unknown]),
        split=np.repeat(["train", "train", "test", "test"], counts),
        class_names=tuple(map(str, range(train + test))),
        payload={"feature": Payload([feature])},
    )
    protocol = Protocol("zero_shot", sizes.k, f"precision_at_{sizes.k}", "made up", "", "", synthetic=True)
    return Columns(items, device), Split(items.split, "zero_shot", ""), protocol


@dataclass(frozen=True)
class Row:
    """One completed row of the source."""

    label: str
    method: str
    settings: dict[str, Any]
    steps: int


def completed_rows(width: int, sizes: dict[str, int]) -> Iterator[Row]:
    """Those for which the source gives the step at which their figure was taken; networks of other `sizes` if any."""
    for name, table in load_reported().items():
        for row in table.rows if name in METHODS else ():
            if row["step"] is None:
                continue
            settings = {f"method/{key}": value for key, value in {**_own(name, row), **sizes}.items()}
            if row.get("feature_dim", 5568) != 5568:
                settings["data/feature_dim"] = width * 4096 // 5568
            if name == "siamese_1":
                settings["train/lr"] = 5e-5
            yield Row(f"{name} {row['row']}", name, settings, int(row["step"]))


def _own(name: str, row: Any) -> dict[str, Any]:
    if name == "cross_modal":
        return {key: row[key] for key in ("latent", "decode", "dropout", "margin1", "deeper")}
    own = {"pairing": row["pairing"]}
    if name == "cvae":
        own |= {"tanh": row["tanh"]} | ({} if row["sketch_recon"] else {"sketch_weight": 0.0})
    return own


class Timed(Refit):
    """A training of so many steps, scored once at its end, that knows where its time went."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self.seconds: dict[str, list[float]] = {"train": [], "evaluate": []}
        super().__init__(*args, **more)

    def _train(self) -> dict[str, Any]:
        return self._time("train", super()._train)

    def _evaluate(self) -> dict[str, Any]:
        return self._time("evaluate", super()._evaluate)

    def _time(self, name: str, work: Any) -> dict[str, Any]:
        started = time.perf_counter()
        found: dict[str, Any] = work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds[name].append(time.perf_counter() - started)
        return found


@dataclass(frozen=True)
class Taken:
    """Seconds that a row takes, of which those of most steps are projected from some."""

    build: float
    train: float
    score: float
    projected: bool


def time_row(row: Row, data: tuple[Columns, Split, Protocol], share: float, folder: str) -> Taken:
    """Train a row for a `share` of its steps, in two parts: the first has what is paid once, the second the rate."""
    columns, split, protocol = data
    steps = row.steps if share == 1 else max(20, round(share * row.steps))  # of two parts, 10 at least
    settings = row.settings | {"train/eval_every": min(EVERY, steps // 2)}
    # `split` marks figures alone as wanted: no model is written, which would take other packages than torch
    job = Job(row.label, 0, "refit", settings, 0, folder, steps=steps, fusion=_fusion(row), split="made up")
    started = time.perf_counter()
    run = Timed(job, METHODS[row.method], columns, split, protocol, save_every=1e9)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    built, finished = time.perf_counter() - started, False
    while not finished:
        _, finished = run.advance()
    train = sum(run.seconds["train"])
    if share < 1:
        first, second = run.seconds["train"][:2]
        train = first + second / (steps // 2) * (row.steps - steps // 2)
    return Taken(built, train, run.seconds["evaluate"][-1], share < 1)


def _fusion(row: Row) -> str | None:
    return "0.5" if row.method == "cross_modal" else None
