"""The Tune trainable: a worker keeps its process, device and data, and takes one trial after the other."""

import faulthandler
import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune

from sbir.data.feed import Columns
from sbir.data.loader import Shared
from sbir.data.protocol import Protocol, other_split
from sbir.data.splits import Split
from sbir.fast_products import use_fast_products
from sbir.memory import keep_freed_memory, return_freed_memory
from sbir.models.method import Method
from sbir.training.checkpoint import write_problem
from sbir.training.plain_json import as_json
from sbir.training.run import Job, Refit, Run, Source

VALUE = "value"  # best value so far of the maximised metric: what searcher and scheduler look at
WORKER, STACKS = "worker.json", "hang.txt"  # in a trial's folder while it runs: where, and its stacks if it hung


@dataclass(frozen=True)
class Constants:
    """What all trials of a sweep share."""

    methods: Mapping[str, type[Method]]
    split: Split
    protocol: Protocol
    threads: int  # per trial; part of the settings, since another number gives other low bits
    save_every: float  # seconds between checkpoints
    step_limit: float  # seconds after which a trial that reports nothing counts as hanging


class Trial(tune.Trainable):  # type: ignore[misc, unused-ignore]
    """One evaluation per step. It says itself how it ended: `finished`, `failed` with a reason, or neither (pruned)."""

    def setup(self, config: dict[str, Any], *, shared: Shared, constants: Constants) -> None:  # type: ignore[override]
        """Called once per process; `reset_config` serves every further trial."""
        torch.set_num_threads(constants.threads)
        keep_freed_memory()
        use_fast_products()
        self._constants = constants
        self._source = {"store": shared.path, "backbone": shared.manifest["backbone"]}
        self._splits: dict[str, tuple[Split, Protocol]] = {}
        self._columns = Columns(shared.items(), "cuda" if torch.cuda.is_available() else "cpu")
        self._worker = as_json({"pid": os.getpid(), "node": ray.util.get_node_ip_address()})  # type: ignore[no-untyped-call]
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial; it is built in `step`, where its errors are caught."""
        self._job = Job(**new_config["job"])
        self._run: Run | None = None
        gc.collect()
        gc.freeze()  # modules, of which the first trial imported more: from now on they are not walked again
        return_freed_memory()
        return True

    def step(self) -> dict[str, Any]:
        """Advance to the next evaluation. What goes wrong is a result: raising would cost the worker."""
        folder = Path(self._job.folder)
        try:
            with self._watched(folder):
                return self._advance()
        except torch.OutOfMemoryError as error:
            reason = f"out of GPU memory: {error}"
        except Exception as error:  # the trial's boundary: one trial's error must not end the sweep
            if problem := write_problem(folder):  # no fault of the trial's
                return self._failed(problem) | {"storage": True}
            return self._failed(f"{type(error).__name__}: {error}")
        # Only now, when no traceback holds the tensors any more, can their memory be given back.
        failed = self._failed(reason) | {"out_of_memory": True}
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return failed

    @contextmanager
    def _watched(self, folder: Path) -> Iterator[None]:
        """Say in the trial's folder where it runs, and end this process with its stacks there if it hangs."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / WORKER).write_text(self._worker)
        with (folder / STACKS).open("w") as stacks:
            faulthandler.dump_traceback_later(self._constants.step_limit, exit=True, file=stacks)
            try:
                yield
            finally:
                faulthandler.cancel_dump_traceback_later()

    def _advance(self) -> dict[str, Any]:
        if self._run is None:
            kind = {"search": Run, "refit": Refit, "source": Source}[self._job.phase]
            shared = self._constants
            split, protocol = self._split(self._job.split)
            self._run = kind(
                self._job,
                shared.methods[self._job.method],
                self._columns,
                split,
                protocol,
                save_every=shared.save_every,
                source=self._source,
            )
        row, finished = self._run.advance()
        select = self._constants.protocol.select
        value = row.get(f"best/{select}", row.get(f"test/{select}", float("nan")))  # a refit has no best
        return {"at": row["step"], VALUE: value, "row": as_json(row), "finished": finished, "done": finished}

    def _split(self, spec: str | None) -> tuple[Split, Protocol]:
        shared = self._constants
        if spec is None:
            return shared.split, shared.protocol
        if spec not in self._splits:
            self._splits[spec] = other_split(self._columns.items, spec, shared.protocol)
        return self._splits[spec]

    def _failed(self, reason: str) -> dict[str, Any]:
        self._run = None
        return {"at": -1, VALUE: float("nan"), "failed": reason, "finished": False, "done": True}
