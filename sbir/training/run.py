"""One trial from its first step to its last, without Ray: a search trial on train, or a finalist on train and val."""

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sbir.data.feed import Columns, Feed, make_feed
from sbir.data.items import Array, Indices, Items
from sbir.data.protocol import Part, Protocol, partition
from sbir.data.splits import Split
from sbir.data.transform import Transform
from sbir.metrics.retrieval import Retrieval
from sbir.models.method import Method
from sbir.training import checkpoint
from sbir.training.evaluate import evaluate
from sbir.training.loop import Loop, mix
from sbir.training.pictures import is_due, save_pictures
from sbir.training.plain_json import write_json
from sbir.training.settings import Settings, group

SAVE_EVERY = 20.0  # seconds of work between two checkpoints: what a killed trial repeats at most
_GENERATOR = threading.Lock()  # torch's, which all threads of a process share
CHECKPOINT = "last.pt"  # in a trial's folder until it has ended
Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """What one trial is to do: plain data, since it travels through Tune's config."""

    method: str
    number: int
    phase: str  # "search" | "refit" | "source"
    settings: dict[str, Any]
    seed: int
    folder: str  # of its own, absolute, on storage that a restarted trial sees
    steps: int | None = None  # a refit's fixed number of steps
    length: int | None = None  # of the whole training that they are the begin of; a method's stages share it
    fusion: str | None = None  # fixed lambda; None lets validation choose
    split: str | None = None  # another class split than the run's
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)  # settings of retrieval alone, scored beside


class Run:
    """A trial that advances from one evaluation to the next; a folder with a checkpoint is continued.

    A resumed run first returns its last saved row again, then equals an uninterrupted one.
    """

    part: Part = "val"

    def __init__(
        self,
        job: Job,
        method: type[Method],
        columns: Columns,
        split: Split,
        protocol: Protocol,
        *,
        save_every: float = SAVE_EVERY,
        source: Mapping[str, Any] | None = None,
    ) -> None:
        self.source = source or {"store": None, "backbone": None}  # of the features, to be kept beside a model
        self.job, self._protocol, self._save_every = job, protocol, save_every
        self.settings: Settings = group(job.settings)
        rows = partition(columns.items, split, protocol, self.part)
        self.feed: Feed = make_feed(columns, rows, method.query_columns, method.gallery_columns, self.settings.data)
        self.method = build(method, self.feed, self.settings, job.seed)
        self._steps = (
            (job.steps if job.steps is not None else self.settings.train.steps) if self.method.players() else 0
        )
        length = self._steps if job.length is None else job.length
        self._loop = Loop(self.method, self.feed, self.settings.train, job.seed, length=length)
        self._seconds, self._saved = 0.0, time.perf_counter()
        self._best: dict[str, Any] = {}
        self._again: tuple[Row, bool] | None = None
        self._resume()

    def advance(self) -> tuple[Row, bool]:
        """Train to the next evaluation; its row, and whether the trial has finished (by budget or by patience)."""
        if self._again is not None:
            again, self._again = self._again, None
            return again
        started = time.perf_counter()
        row = self._train()
        row |= self._evaluate()
        self._seconds += time.perf_counter() - started
        row["device_seconds"] = round(self._seconds, 3)
        finished = self._finished()
        self._save(row, finished)
        return row, finished

    def _train(self) -> Row:
        steps = min(self.settings.train.eval_every, self._steps - self._loop.step)
        terms = self._loop.train(steps) if steps > 0 else {}
        step = self._loop.step
        row = {"step": step, "examples": step * self.settings.train.batch_size}
        return row | {f"train/{name}": value for name, value in terms.items()}

    def _evaluate(self) -> Row:
        result = evaluate(self.method, self.feed, self._protocol, fusion=self.job.fusion)
        select = self._protocol.select
        value = result.means[select]
        if not self._best or value > self._best["value"]:
            self._best = {"value": value, "step": self._loop.step, "bad": 0}
        elif self._loop.in_last_stage:  # what comes before it may not show in retrieval at all
            self._best["bad"] += 1
        return {
            **{f"val/{name}": mean for name, mean in result.means.items()},
            f"best/{select}": self._best["value"],
            "best/step": self._best["step"],
            "lambda": result.fusion,
            "curve": {fusion: means[select] for fusion, means in result.curve.items()},
        }

    def _finished(self) -> bool:
        return self._loop.step >= self._steps or self._best["bad"] >= self.settings.train.patience

    def _save(self, row: Row, finished: bool) -> None:
        if finished or time.perf_counter() - self._saved < self._save_every:
            return
        state = {"loop": self._loop.state(), "best": self._best, "row": row, "seconds": self._seconds}
        checkpoint.save(self._checkpoint, state | {"job": _fingerprint(self.job)})
        self._saved = time.perf_counter()

    def _resume(self) -> None:
        if not self._checkpoint.exists():
            return
        state = checkpoint.load(self._checkpoint, self.feed.columns.device)
        if state["job"] != _fingerprint(self.job):
            raise ValueError(f"{self._checkpoint} must belong to this trial, it has other settings; remove it")
        self._loop.load(state["loop"])
        self._best, self._seconds = state["best"], state["seconds"]
        self._again = state["row"], False

    @property
    def _checkpoint(self) -> Path:
        return Path(self.job.folder) / CHECKPOINT


class Refit(Run):
    """A finalist: trained on train and val for a fixed number of steps, then scored on test, once."""

    part: Part = "test"

    def _train(self) -> Row:
        if self._loop.step == 0:
            self._draw()
        return super()._train()

    def _evaluate(self) -> Row:
        self._draw()
        if self._loop.step < self._steps:
            return {}
        result = evaluate(self.method, self.feed, self._protocol, fusion=self.job.fusion)
        save_finalist(Path(self.job.folder), self, self._protocol, result)
        return {**{f"test/{name}": mean for name, mean in result.means.items()}, "lambda": result.fusion}

    def _draw(self) -> None:
        step, every = self._loop.step, self.settings.train.eval_every
        if self.job.split is None and is_due(step, every, self._steps):
            save_pictures(Path(self.job.folder), self.method, self.feed, step)

    def _finished(self) -> bool:
        return self._loop.step >= self._steps


class Source(Run):
    """A declared row under the protocol of the source documents, which selects step and lambda on the test classes.

    Trained on train and val for its whole length, it looks at test at every evaluation. Beside it stands the honest
    figure of the same training: at `job.steps` and `job.fusion`, which validation had fixed before, and there also with
    each of `job.variants`. No number of this class shares a row with an honest one.
    """

    part: Part = "test"

    def __init__(self, job: Job, method: type[Method], *args: Any, **more: Any) -> None:
        self._kind = method
        super().__init__(replace(job, steps=None, length=None, fusion=None), method, *args, **more)
        self._honest = job
        self._steps = max(self._steps, job.steps or 0)

    def _evaluate(self) -> Row:
        scored = {name.replace("val/", "source/", 1): value for name, value in super()._evaluate().items()}
        if self._loop.step != (self._honest.steps or 0):
            return scored
        honest = evaluate(self.method, self.feed, self._protocol, fusion=self._honest.fusion)
        scored |= {f"test/{name}": mean for name, mean in honest.means.items()}
        for variant, settings in self._honest.variants.items():
            means = evaluate(self._changed(settings), self.feed, self._protocol, fusion=self._honest.fusion).means
            scored |= {f"{variant}/{name}": mean for name, mean in means.items()}
        return scored

    def _changed(self, settings: Mapping[str, Any]) -> Method:
        """The same weights with other settings of retrieval."""
        method = self._kind(self.feed.spec(), **{**self.settings.method, **settings}).to(self.feed.columns.device)
        method.load_state_dict(self.method.state_dict())
        return method

    def _finished(self) -> bool:
        return super()._finished() and self._loop.step >= (self._honest.steps or 0)


def build(method: type[Method], feed: Feed, settings: Settings, seed: int) -> Method:
    """A method on the feed's device: its first weights depend on the seed alone, and closed forms are fitted."""
    with _GENERATOR:
        torch.manual_seed(mix(seed))
        built = method(feed.spec(), **settings.method).to(feed.columns.device)
        closed = not list(built.parameters())
        if not closed:
            _fit(built, feed)
    if closed:  # draws nothing
        _fit(built, feed)
    return built


def _fit(method: Method, feed: Feed) -> None:
    if type(method).fit is not Method.fit:
        method.fit(feed.train_rows(method.fit_columns))


def save_finalist(folder: Path, run: Run, protocol: Protocol, result: Retrieval) -> None:
    """Write the model, what it needs to be built again, its top lists and every query's score."""
    items, rows = run.feed.columns.items, run.feed.partition
    queries, top = rows.query, result.top.cpu().numpy()
    arrays = {f"metric/{name}": values.cpu().numpy() for name, values in result.per_query.items()}
    if result.codes is not None:
        write_json(folder / "codes.json", asdict(result.codes))
    np.savez(folder / "scores.npz", allow_pickle=False, query=queries, top=rows.gallery[top], **arrays)
    if run.job.split is not None:
        return  # many, and only their figures are wanted
    save_model(folder, run.method, run.feed.transforms)
    kind, spec = type(run.method), run.feed.spec()
    about = {
        "method": f"{kind.__module__}:{kind.__qualname__}",
        "job": asdict(run.job),
        "lambda": result.fusion,
        "protocol": protocol.as_dict(),
        "store": run.source["store"],
        "backbone": run.source["backbone"],
        "transforms": {side: transform.numbers for side, transform in run.feed.transforms.items()},
        "spec": {
            "query": spec.query,
            "gallery": spec.gallery,
            "num_classes": spec.num_classes,
            "paired": spec.paired,
            "num_labels": spec.num_labels,
        },
        "test": result.means,
    }
    write_json(folder / "model.json", about)
    _write_top(folder / "top.parquet", items, queries, rows.gallery[top])


def save_model(folder: Path, method: Method, transforms: Mapping[str, Transform]) -> None:
    """Write `model.safetensors`: `method/<entry of the state>` and `transform/<side>/<fitted tensor>`."""
    fitted = {
        f"transform/{side}/{name}": value
        for side, transform in transforms.items()
        for name, value in transform.tensors.items()
    }
    state = {f"method/{name}": value for name, value in method.state_dict().items()}
    checkpoint.save_tensors(folder / "model.safetensors", state | fitted)


def top_columns(items: Items, queries: Indices, top: Indices) -> dict[str, Any]:
    """Top lists (Q, n) of store rows as columns: query, rank, gallery, whether relevant, and whether its own photo."""
    count = top.shape[1]
    instance = items.instance_id[queries][:, None]
    return {
        "query": np.repeat(items.item_id[queries].astype(str), count),
        "rank": np.tile(np.arange(1, count + 1), len(queries)),
        "gallery": items.item_id[top.ravel()].astype(str),
        "correct": _relevant(items, queries, top).ravel(),
        "own": ((items.instance_id[top] == instance) & (instance >= 0)).ravel(),
    }


def _relevant(items: Items, queries: Indices, top: Indices) -> Array:
    """Of the query's class, or of data with several labels an item sharing one with it, (Q, n) bool."""
    if "labels" not in items.payload:
        same: Array = items.class_id[top] == items.class_id[queries][:, None]
        return same
    labels = items.payload["labels"]
    answers = zip(queries[:, None], top, strict=True)
    return np.stack([((labels.take(own) > 0) & (labels.take(found) > 0)).any(1) for own, found in answers])


def _write_top(path: Path, items: Items, queries: Indices, top: Indices) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(top_columns(items, queries, top)), path)


def _fingerprint(job: Job) -> str:
    return json.dumps({**asdict(job), "folder": ""}, sort_keys=True)
