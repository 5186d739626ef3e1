"""One sweep from the checked request to the written report."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import torch
from optuna.storages import JournalStorage

from sbir.data.feed import Columns
from sbir.data.loader import Shared, share
from sbir.data.protocol import other_split
from sbir.fast_products import use_fast_products
from sbir.report.page import write_report
from sbir.report.terminal import print_summary
from sbir.tracking.wandb_runs import wandb_mode
from sbir.training import run as trial_run
from sbir.training.baselines import Baseline, score_baselines
from sbir.training.settings import group
from sbir.training.trial import Constants
from sbir.tuning import finish, folder
from sbir.tuning.code import record_code
from sbir.tuning.data_change import take_data
from sbir.tuning.extend import extend
from sbir.tuning.journal import Journal
from sbir.tuning.mirror import Mirror
from sbir.tuning.phases import Phases, other_splits
from sbir.tuning.restore import restore
from sbir.tuning.resume import choose_folder
from sbir.tuning.rungs import Rungs, rung_levels
from sbir.tuning.setup import THREADS, Setup
from sbir.tuning.spare import SpareCores
from sbir.tuning.studies import Studies
from sbir.tuning.summary import write_tables
from sbir.tuning.tune import ClusterError, Slots, check_shared, ray_session, run_trials
from sbir.tuning.watch import Watch

STEP_LIMIT = 3600.0  # seconds without a report after which a trial counts as hanging


class Runner:
    """Holds a run's folder and journal while its trials run; the tables are written from them at the end."""

    def __init__(self, setup: Setup, *, started: tuple[float, datetime]) -> None:
        torch.set_num_threads(THREADS)  # baselines are to give the same figures on every number of cores
        use_fast_products()
        self._started = started
        self.setup = setup
        if setup.options.mirror:
            restore(setup.options, setup.request())
        self.folder, self._resumed = choose_folder(setup)
        self._journal = Journal(self.folder / folder.JOURNAL)
        self._mirror: Mirror | None = None
        if self._resumed and setup.options.extend:
            self._journal = extend(self.folder, self._journal, setup)
        elif self._resumed:
            take_data(self.folder, JournalStorage(self._journal), setup)
        else:
            record_code(self.folder, [one.sweep.method for one in setup.resolved])
            folder.write_manifest(self.folder, {"name": self.folder.name, **setup.describe()})

    def run(self) -> int:
        """Run all trials and finalists, write tables and report; 1 where no trial came to its end."""
        setup = self.setup
        phases = Phases(
            JournalStorage(self._journal),
            self.folder,
            setup.options,
            setup.resolved,
            fit=(setup.rows("val"), setup.rows("test")),
            fusion=setup.fusion,
        )
        limit = setup.options.time_limit
        deadline = None if limit is None else self._started[0] + 60 * limit
        studies = Studies([phases.search, phases.finals], deadline)
        with SpareCores() as spare, self._ray() as slots:
            folder.note_device(self.folder, slots.device)
            self._mirror = self._mirrored()
            shared = share(setup.store, setup.columns)
            baselines = spare.submit(lambda: self._baselines(spare))
            self._run_trials(studies, slots, shared)
            spare.trials_ended()
        if not finish.count_states(studies.all_plans)["complete"]:
            print("no trial came to its end; see the reasons in the trials' table of the journal")
            return 1
        write_tables(setup, self.folder, phases, studies.all_plans, baselines=baselines.result(), started=self._started)
        write_report(self.folder)
        print_summary(self.folder)
        return 0

    @contextmanager
    def _ray(self) -> Iterator[Slots]:
        """A running Ray that suits the run; where it does not, a run that has only begun leaves nothing."""
        options = self.setup.options
        try:
            with ray_session(options.address, options.workers) as slots:
                if options.address != "local":
                    check_shared(self.folder.resolve())
                self._check_precision(slots)
                yield slots
        except ClusterError:
            if not self._resumed:
                shutil.rmtree(self.folder)
            raise

    def _check_precision(self, slots: Slots) -> None:
        wanted = [one.constants.get("train/precision") for one in self.setup.resolved]
        wanted += self.setup.options.wanted.get("train/precision", [])
        if "tf32" in wanted and "GPU" not in slots.bundle:
            raise ClusterError(
                f"train/precision tf32 needs a GPU, trials here run on {slots.device}; take float32 or bfloat16"
            )

    def close(self) -> None:
        """Let go of the journal, and have the mirror copy what is left."""
        self._journal.close()
        if self._mirror is not None:
            self._mirror.close()

    def _mirrored(self) -> Mirror | None:
        uri, every = self.setup.options.mirror, self.setup.options.mirror_every
        if not uri:
            return None
        return Mirror(self.folder, uri, every, mark=folder.SUMMARY, first=(folder.JOURNAL, trial_run.CHECKPOINT))

    def _baselines(self, spare: SpareCores) -> tuple[list[Baseline], dict[str, list[Baseline]]]:
        """On the run's split, and on each of `--splits`."""
        setup, columns = self.setup, Columns(self.setup.items)
        given = setup.feature_dim, setup.untrained
        own = score_baselines(columns, setup.split, setup.protocol, *given, each=spare.map)
        others = {
            spec: score_baselines(columns, *other_split(setup.items, spec, setup.protocol), *given, each=spare.map)
            for spec in other_splits(setup.options.splits)
        }
        return own, others

    def _run_trials(self, studies: Studies, slots: Slots, shared: Shared) -> None:
        setup, options = self.setup, self.setup.options
        lengths = {one.sweep.name: group(one.constants).train for one in setup.resolved}
        last = {one.sweep.name: setup.last_stage(one) for one in setup.resolved}
        levels = {name: rung_levels(train.steps, train.eval_every, last[name]) for name, train in lengths.items()}
        rungs = Rungs(studies, levels, prune=options.stage == "search")
        mode = wandb_mode(options.wandb, demo=bool(setup.flags), smoke=options.smoke)
        axes = {one.sweep.name: list(one.axes) for one in setup.resolved}
        elapsed = time.monotonic() - self._started[0]
        watch = Watch(studies, self.folder, axes, metric=setup.protocol.metric, wandb=mode, elapsed=elapsed)
        constants = Constants(
            methods={one.sweep.name: one.sweep.method for one in setup.resolved},
            split=setup.split,
            protocol=setup.protocol,
            threads=THREADS,
            save_every=trial_run.SAVE_EVERY,
            step_limit=STEP_LIMIT,
        )
        try:
            run_trials(studies, rungs, [watch], slots, shared=shared, constants=constants)
        finally:
            for problem in watch.close():
                print(problem)
