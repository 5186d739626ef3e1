"""One sweep from the opened store to the written report."""

import hashlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from optuna.storages import JournalStorage

from sbir.data.cache import embedded_store
from sbir.data.feed import Columns, has_pairs, make_feed
from sbir.data.loader import Shared, share
from sbir.data.protocol import Partition, Protocol, make_protocol, partition
from sbir.data.smoke import write_smoke_store
from sbir.data.splits import assign
from sbir.data.transform import TransformSettings
from sbir.metrics.distances import FUSIONS
from sbir.metrics.reference import ceiling, chance
from sbir.report.page import write_report
from sbir.report.terminal import print_summary
from sbir.tracking.wandb_runs import wandb_mode
from sbir.training import run as trial_run
from sbir.training.baselines import Baseline, score_baselines
from sbir.training.evaluate import identity
from sbir.training.run import write_json
from sbir.training.settings import RUN_KEYS, group
from sbir.training.trial import Constants
from sbir.tuning import finish, folder
from sbir.tuning.journal import Journal
from sbir.tuning.options import Options
from sbir.tuning.phases import Phases
from sbir.tuning.rungs import Rungs, rung_levels
from sbir.tuning.space import Resolved, wanted_by
from sbir.tuning.studies import Studies
from sbir.tuning.sweep import Sweep
from sbir.tuning.tune import Slots, ray_session, run_trials
from sbir.tuning.watch import Watch

THREADS = 1  # a trial; one trial a core is faster than one trial on all cores
STEP_LIMIT = 3600.0  # seconds without a report after which a trial counts as hanging
SMOKE = {"train/steps": 20, "train/eval_every": 10, "train/batch_size": 16, "train/warmup": 5}


class Runner:
    """Checks everything that can be wrong before Ray starts, then runs trials and writes the tables."""

    def __init__(self, sweeps: Sequence[Sweep], options: Options, *, started: tuple[float, datetime]) -> None:
        self.options, self._started = options, started
        torch.set_num_threads(THREADS)  # baselines are to give the same figures on every number of cores
        self._run_settings = {key: _single(key, options.wanted[key]) for key in RUN_KEYS if key in options.wanted}
        smoke = {key: [value] for key, value in SMOKE.items()} if options.smoke else {}
        wanted = smoke | {key: values for key, values in options.wanted.items() if key not in RUN_KEYS}
        by_sweep = wanted_by(sweeps, wanted)

        def resolve(width: int | None) -> list[Resolved]:
            both = zip(sweeps, by_sweep, strict=True)
            return [Resolved(sweep, scale=options.scale, wanted=own, width=width) for sweep, own in both]

        self.resolved = resolve(None)  # a typo is found before data are made
        self._open_store()
        width = self.items.payload["feature"].shape[0] if "feature" in self.items.payload else None
        self.resolved = resolve(width)
        self._by_name = {one.sweep.name: one for one in self.resolved}
        self._make_protocol()
        self._check_settings()
        self.folder, self.resumed = folder.choose_folder(options, self._request())
        self._journal = Journal(self.folder / folder.JOURNAL)
        if not self.resumed:
            folder.write_manifest(self.folder, self._manifest())

    def run(self) -> int:
        """Run all trials and finalists, write tables and report; 1 where no trial came to its end."""
        phases = Phases(
            JournalStorage(self._journal),
            self.folder,
            self.options,
            self.resolved,
            fit=(self._rows("val"), self._rows("test")),
            fusion=self._fusion,
        )
        limit = self.options.time_limit
        deadline = None if limit is None else self._started[0] + 60 * limit
        studies = Studies([phases.search, phases.refit], deadline)
        with ray_session(self.options.address, self.options.workers) as slots:
            shared = share(self._store_path)
            # Closed forms take a minute at full width: they are solved while trials run, and wait for nobody.
            with ThreadPoolExecutor(1) as beside:
                dim = self._shared_data().get("data/feature_dim")
                baselines = beside.submit(score_baselines, Columns(self.items), self.split, self.protocol, dim)
                self._run_trials(studies, slots, shared)
        return self._finish(phases, studies, baselines.result())

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()

    def _run_trials(self, studies: Studies, slots: Slots, shared: Shared) -> None:
        options = self.options
        lengths = {one.sweep.name: group(one.constants).train for one in self.resolved}
        levels = {name: rung_levels(train.steps, train.eval_every) for name, train in lengths.items()}
        rungs = Rungs(studies, levels, prune=options.stage == "search")
        mode = wandb_mode(options.wandb, demo=options.scale == "demo" or self.protocol.synthetic, smoke=options.smoke)
        axes = {one.sweep.name: list(one.axes) for one in self.resolved}
        elapsed = time.monotonic() - self._started[0]
        watch = Watch(studies, self.folder, axes, metric=self.protocol.metric, wandb=mode, elapsed=elapsed)
        constants = Constants(
            methods={one.sweep.name: one.sweep.method for one in self.resolved},
            split=self.split,
            protocol=self.protocol,
            threads=THREADS,
            save_every=trial_run.SAVE_EVERY,
            step_limit=STEP_LIMIT,
        )
        try:
            run_trials(studies, rungs, [watch], slots, shared=shared, constants=constants)
        finally:
            for problem in watch.close():
                print(problem)

    def _open_store(self) -> None:
        options = self.options
        if options.data is not None:
            self._store_path = options.data
        elif options.smoke:
            self._store_path = options.runs / "smoke-store"
            if not self._store_path.exists():
                write_smoke_store(self._store_path)
        else:
            self._store_path = embedded_store()
        shared = Shared.mapped(self._store_path)
        self.manifest, self.items = shared.manifest, shared.items()

    def _make_protocol(self) -> None:
        spec = str(self._run_settings.get("data/split", "stored"))
        self.split = assign(self.items, spec)
        self.protocol: Protocol = make_protocol(
            self.items,
            self.split,
            split_spec=spec,
            content_hash=self.manifest["content_hash"],
            synthetic=bool(self.manifest["synthetic"]),
            name=self._run_settings.get("eval/protocol"),
            k=self._run_settings.get("eval/k"),
            select=self._run_settings.get("eval/metric", "precision"),
            centre=bool(self._run_settings.get("eval/centre", False)),
            features=self._features(),
        )

    def _shared_data(self) -> dict[str, Any]:
        """Transforms of the features that hold for every trial of every method."""
        first, *others = [
            {key: value for key, value in one.constants.items() if key.startswith("data/")} for one in self.resolved
        ]
        return {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}

    def _features(self) -> str:
        shared = [f"{key.removeprefix('data/')}={value}" for key, value in self._shared_data().items()]
        keys = {key for one in self.resolved for key in (*one.axes, *one.constants, *_row_keys(one))}
        own = sorted(key for key in keys - self._shared_data().keys() if key.startswith("data/"))
        return ", ".join(shared + [f"{key} as each row's settings say" for key in own]) or "as stored"

    def _check_settings(self) -> None:
        fusion = self._fusion
        if fusion is not None and fusion not in FUSIONS:
            raise ValueError(f"eval/lambda must be one of {', '.join(FUSIONS)}, got {fusion}")
        rows = self._rows("val")
        for one in self.resolved:
            columns = one.sweep.method.query_columns, one.sweep.method.gallery_columns
            feed = make_feed(Columns(self.items), rows, *columns, TransformSettings())
            one.check_values(feed.spec_of)
            if one.unserved:
                listed = ", ".join(one.unserved)
                print(f"{one.sweep.label}: not run, since they need wider features than the store's: {listed}")

    @property
    def _fusion(self) -> str | None:
        """How two views are combined in every trial, where the user fixed it."""
        fusion = self._run_settings.get("eval/lambda")
        return None if fusion is None else str(float(fusion)) if isinstance(fusion, int) else str(fusion)

    def _rows(self, part: Any) -> Partition:
        return partition(self.items, self.split, self.protocol, part)

    def _request(self) -> dict[str, Any]:
        """What must be the same for a run to be resumed."""
        options = self.options
        return {
            "script": options.script,
            "methods": [one.sweep.name for one in self.resolved],
            "declaration": hashlib.sha256("".join(one.signature() for one in self.resolved).encode()).hexdigest()[:12],
            "stage": options.stage,
            "trials": options.trials,
            "final_seeds": options.final_seeds,
            "seed": options.seed,
            "scale": options.scale,
            "set": {key: list(values) for key, values in options.wanted.items()},
            "data": self.manifest["content_hash"],
            "smoke": options.smoke,
        }

    def _manifest(self) -> dict[str, Any]:
        options = self.options
        return {
            "name": self.folder.name,
            "request": self._request(),
            "script": options.script,
            "methods": [one.sweep.name for one in self.resolved],
            "stage": options.stage,
            "seed": options.seed,
            "scale": options.scale,
            "trials": options.trials,
            "final_seeds": options.final_seeds,
            "threads": THREADS,
            "workers": options.workers,
            "settings": {key: list(values) for key, values in options.wanted.items()},
            "constants": {one.sweep.name: one.constants for one in self.resolved},
            "axes": {one.sweep.name: list(one.axes) for one in self.resolved},
            "metric": self.protocol.metric,
            "data": self._about_data(),
            "protocol": self.protocol.as_dict(),
            "given": self.manifest["given"],
            "backbone": self.manifest["backbone"],
        }

    def _about_data(self) -> dict[str, Any]:
        parts = {part: self._rows(part) for part in ("val", "test")}
        num = {"train_query": len(parts["val"].train_query), "train_gallery": len(parts["val"].train_gallery)}
        for part, rows in parts.items():
            num |= {f"{part}_query": len(rows.query), f"{part}_gallery": len(rows.gallery)}
        return {
            "store": str(Path(self._store_path).resolve()),
            "dataset": self.manifest["dataset"],
            "synthetic": self.protocol.synthetic,
            "content_hash": self.manifest["content_hash"],
            "split": self.protocol.split,
            "split_hash": self.split.hash,
            "paired": has_pairs(self.items, parts["val"]),
            "num": num,
            "classes": {part: self._num_classes(part) for part in ("train", "val", "test")},
        }

    def _num_classes(self, part: str) -> int:
        return len(set(self.items.class_id[self.split.rows == part]))

    def _finish(self, phases: Phases, studies: Studies, baselines: list[Baseline]) -> int:
        counts = finish.count_states(studies.all_plans)
        if not counts["complete"]:
            print("no trial came to its end; see the reasons in the trials' table of the journal")
            return 1
        table = finish.trials_table(studies.all_plans, phases, self._by_name)
        table.to_parquet(self.folder / "trials.parquet")
        finals = finish.finalist_scores([plan for plan in studies.all_plans if plan.phase == "refit"], self._by_name)
        scores = finish.baseline_scores(baselines, self._rows("test")) + finals
        finish.per_query_table(scores, self.items, self.folder.name).to_parquet(self.folder / "per_query.parquet")
        best, winners = finish.best_of(phases, self.resolved, self.folder)
        looks = folder.count_look(self.options.runs, self.split.hash, self.folder.name)
        protocol = self.protocol
        marks = {"synthetic": protocol.synthetic, "demo scale": self.options.scale == "demo"}
        summary = {
            "metric": protocol.metric,
            "k": protocol.k,
            "flags": [flag for flag, marked in marks.items() if marked],
            "protocol": protocol.as_dict(),
            "given": self.manifest["given"],
            "question": self._question(),
            "counts": counts,
            "best": {key: value for key, value in best.items() if key not in ("curve", "val")},
            "curve": best["curve"],
            "table": self._table(baselines, scores, winners),
            "looks_at_test": looks,
            "importance": finish.importance(studies.all_plans),
            "times": self._times(table),
        }
        write_json(self.folder / folder.SUMMARY, summary)
        write_report(self.folder)
        print_summary(self.folder)
        return 0

    def _question(self) -> str:
        names = ", ".join(one.sweep.label for one in self.resolved)
        return f"Which setting of {names} retrieves best on {self.manifest['dataset']} ({self.protocol.name})?"

    def _table(
        self, baselines: list[Baseline], scores: list[finish.Scores], winners: dict[str, Any]
    ) -> list[dict[str, Any]]:
        figures = {
            name: (self._reference(name, "val"), self._reference(name, "test")) for name in ("chance", "ceiling")
        }
        rows = [finish.reference_row("chance", figures)]
        for one in baselines:
            test = finish.test_figures([score for score in scores if score.row == one.row], self.items)
            rows.append(_row(one.row, "baseline", one.given, one.settings, None, val=one.val, test=test))
        for name, winner in winners.items():
            label = self._by_name[name].sweep.label
            found = [score for score in scores if score.row == label]
            test = finish.test_figures(found, self.items) if found else {}
            given = "sketch-photo pairs and class labels" if self._about_data()["paired"] else "class labels"
            rows.append(
                _row(label, "method", given, winner["settings"], winner["lambda"], val=winner["val"], test=test)
            )
        return [*rows, finish.reference_row("ceiling", figures)]

    def _reference(self, name: str, part: str) -> dict[str, float]:
        rows = self._rows(part)
        feed = make_feed(Columns(self.items), rows, (), (), TransformSettings())
        figure = chance if name == "chance" else ceiling
        return figure(identity(feed, rows.query), identity(feed, rows.gallery), self.protocol.k)

    def _times(self, table: Any) -> dict[str, Any]:
        return {
            "started": self._started[1].isoformat(timespec="seconds"),
            "total_s": round(time.monotonic() - self._started[0], 1),
            "device_s": round(float(table["device_seconds"].sum()), 1),
        }


def _row(
    row: str, kind: str, given: str, settings: Any, fusion: str | None, *, val: Any, test: dict[str, Any]
) -> dict[str, Any]:
    return {
        "row": row,
        "kind": kind,
        "given": given,
        "settings": dict(settings),
        "lambda": fusion,
        "val": dict(val),
        "test": test,
    }


def _row_keys(one: Resolved) -> set[str]:
    return {key for row in one.rows for key in row.settings}


def _single(key: str, values: list[Any]) -> Any:
    if len(values) != 1:
        raise ValueError(f"{key} holds for the whole run and so takes one value, got {values}")
    return values[0]
