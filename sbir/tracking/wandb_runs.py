"""Weights & Biases as a view of the trials' own rows: written offline by the driver, one whole segment per trial.

Nothing here can block or end a sweep. A trial's segment is written when the trial has ended, from its `rows.jsonl`; an
earlier one of the same trial (a killed driver leaves torn files) is deleted first. Online is the same, plus a
`wandb sync` of each finished run folder in the background.
"""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from sbir.tracking.background import Background
from sbir.tracking.rows import read_rows
from sbir.tracking.segment import FOLDER, Segment, is_whole, segments, settle, write_segment
from sbir.tracking.upload import Upload

Mode = Literal["offline", "online", "off"]

_ENV = {"online": "online", "offline": "offline", "dryrun": "offline", "disabled": "off"}


def wandb_mode(flag: str | None, *, demo: bool, smoke: bool, environ: Mapping[str, str] = os.environ) -> Mode:
    """What `--wandb` and WANDB_MODE ask for, offline by default; the flag counts first, demo and smoke never go online.

    >>> wandb_mode(None, demo=False, smoke=False, environ={"WANDB_MODE": "online"})
    'online'
    >>> wandb_mode("online", demo=True, smoke=False, environ={})
    'offline'
    """
    asked = flag or _ENV.get(environ.get("WANDB_MODE", ""), "offline")
    if asked not in {"offline", "online", "off"}:
        raise ValueError(f"wandb must be offline, online or off, got {asked!r}")
    if asked == "online" and not (demo or smoke):
        return "online"
    return "off" if asked == "off" else "offline"


@dataclass(frozen=True)
class EndedTrial:
    """One trial as W&B is to show it; `settings` become the config, `pictures` (name -> file) are logged as images."""

    method: str
    number: int
    name: str
    settings: Mapping[str, Any]
    state: str  # "COMPLETE", "PRUNED" or "FAIL"
    tags: Sequence[str] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)
    pictures: Mapping[str, Path] = field(default_factory=dict)


class WandbRuns:
    """W&B runs of a sweep's trials, in `run_dir/wandb`: id = sweep-method-number, group = sweep, job type = method.

    `about` goes into each one's config: what the figures rest on. Holds a thread and a lock: create it in
    `Callback.setup`, not in `__init__` (Tune pickles callbacks).
    """

    def __init__(self, run_dir: Path, sweep_id: str, mode: Mode, about: Mapping[str, Any] | None = None) -> None:
        self.folder = Path(run_dir) / FOLDER
        self._sweep_id, self._mode, self._about = sweep_id, mode, about or {}
        self._writer, self._syncer = Background("W&B"), Background("W&B sync")
        self._upload = Upload()

    def finish_trial(self, trial: EndedTrial, folder: Path) -> None:
        """Queue the trial's segment, from the rows in its `folder`; called again, the segment is written anew."""
        if self._mode != "off":
            self._writer.submit(lambda: self._write(trial, read_rows(folder)))

    def written(self, method: str, number: int) -> bool:
        """Whether a whole segment lies on disk; False after a kill in mid-writing, and always when W&B is off."""
        return any(is_whole(segment) for segment in self.segments(method, number))

    def segments(self, method: str, number: int) -> list[Path]:
        """Run folders of one trial: one, or none."""
        return segments(self.folder, self._id(method, number))

    def close(self, timeout: float = 30.0) -> list[str]:
        """Wait at most `timeout` seconds for the writing, and as long for the syncing; what went wrong, a line each."""
        problems = self._writer.close(timeout)
        settle(self.folder, timeout)
        problems += self._syncer.close(timeout)
        self._upload.stop()
        return problems

    def _id(self, method: str, number: int) -> str:
        return f"{self._sweep_id}-{method}-{number}"

    def _write(self, trial: EndedTrial, rows: list[dict[str, Any]]) -> None:
        wanted = Segment(
            self._id(trial.method, trial.number),
            group=self._sweep_id,
            job_type=trial.method,
            name=trial.name,
            tags=[*trial.tags, *(["pruned"] if trial.state == "PRUNED" else [])],
            config={**self._about, **trial.settings},
            rows=[scalars(row) for row in rows],
            summary={"state": trial.state, **best_values(rows), **trial.summary},
            pictures=trial.pictures,
        )
        for segment in write_segment(wanted, self.folder):
            if self._mode == "online":
                self._syncer.submit(partial(self._upload.send, segment))


def scalars(row: Mapping[str, Any]) -> dict[str, Any]:
    """What of a row W&B can draw: finite numbers, and lambda, which may be the word "min".

    >>> scalars({"step": 50, "val/map_all": 0.25, "train/kl": None, "lambda": "min", "curve": {"0.0": 0.2}})
    {'step': 50, 'val/map_all': 0.25, 'lambda': 'min'}
    """
    numbers = {key: value for key, value in row.items() if isinstance(value, int | float) and math.isfinite(value)}
    return {**numbers, "lambda": row["lambda"]} if row.get("lambda") is not None else numbers


def best_values(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The row of the checkpoint that is kept, in place of W&B's own summary, which is the last row.

    >>> best_values([{"step": 5, "val/p": 0.4}, {"step": 9, "val/p": 0.3, "best/step": 5, "best/p": 0.4}])
    {'val/p': 0.4, 'best/step': 5, 'best/p': 0.4}
    """
    rows = list(rows)
    if not rows:
        return {}
    last = rows[-1]
    best = next((row for row in rows if row["step"] == last.get("best/step")), last)
    kept = {key: value for key, value in scalars(best).items() if key.startswith(("val/", "lambda"))}
    return kept | {key: value for key, value in scalars(last).items() if key.startswith("best/")}
