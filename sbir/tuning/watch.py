"""What happens in the driver while trials run: the live view, and W&B runs of trials that have ended."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from ray.tune import Callback

from sbir.tracking.about import about, marks, row_of
from sbir.tracking.live import LiveView, SweepState, TrialLine
from sbir.tracking.names import trial_name
from sbir.tracking.rows import read_rows
from sbir.tracking.wandb_runs import EndedTrial, Mode, WandbRuns, best_values
from sbir.tuning.folder import MANIFEST
from sbir.tuning.plan import Plan
from sbir.tuning.studies import Studies

Axes = Mapping[str, list[str]]
SEARCH_SHARE = 0.7  # of a sweep's time, roughly, before the finalists are known


class Watch(Callback):
    """Follows the searcher. Nothing live is made before `setup`, since Tune pickles callbacks."""

    def __init__(self, studies: Studies, folder: Path, axes: Axes, *, metric: str, wandb: Mode, elapsed: float) -> None:
        self._studies, self._folder, self._axes = studies, folder, axes
        self._metric, self._mode, self._elapsed = metric, wandb, elapsed
        self._manifest: dict[str, Any] = {}
        self._runs: WandbRuns | None = None
        self._view: LiveView | None = None
        self._lines: list[TrialLine] = []

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def setup(self, *_: Any, **__: Any) -> None:
        """Called by Tune when a fit begins; the second time where Tune went down in between."""
        if self._runs is None:
            self._manifest = json.loads((self._folder / MANIFEST).read_text())
            self._runs = WandbRuns(self._folder, self._folder.name, self._mode, about(self._manifest))
            self._view = LiveView(self._folder.name, str(self._folder))
            self._view.start(elapsed=self._elapsed)
            self._catch_up()

    def on_step_end(self, iteration: int, trials: list[Any], **_: Any) -> None:
        """Called by Tune about ten times a second."""
        for plan, number, state in self._studies.ended[len(self._lines) :]:
            self._lines.append(self._line(plan, number, state))
            if plan.phase == "search":
                self._to_wandb(plan, number, state)
        if self._view is not None and self._view.wants(len(self._lines)):
            self._view.update(self._state())

    def close(self) -> list[str]:
        """End the view and wait for W&B's files; what went wrong there, a line each."""
        if self._view is not None:
            self._view.stop(self._state())
        return self._runs.close() if self._runs is not None else []

    def _catch_up(self) -> None:
        """After a kill some ended trials may lack their W&B run."""
        assert self._runs is not None
        for plan in self._studies.plans:
            for trial in plan.study.get_trials(deepcopy=False):
                if trial.state.is_finished() and not self._runs.written(plan.method, trial.number):
                    self._to_wandb(plan, trial.number, trial.state)

    def _to_wandb(self, plan: Plan, number: int, state: TrialState) -> None:
        assert self._runs is not None
        folder, settings = plan.trial_folder(number), plan.settings(number)
        trial = EndedTrial(
            plan.method,
            number,
            trial_name(settings, self._axes[plan.method]) or "fixed",
            {**row_of(self._manifest["protocol"], self._manifest["labels"][plan.method]), **settings},
            state.name,
            tags=[state.name.lower(), "search", *marks(self._manifest)],
            summary=best_values(read_rows(folder)),
        )
        self._runs.finish_trial(trial, folder)

    def _state(self) -> SweepState:
        plans = self._studies.all_plans
        running = [
            self._line(plan, trial.number, TrialState.RUNNING) for plan, trial in list(self._studies.live.values())
        ]
        part = sum(plan.spent for plan in plans) / (sum(plan.total for plan in plans) or 1)
        search = all(plan.phase == "search" for plan in plans)
        done = [line for line in self._lines if line.state == "COMPLETE" and line.value is not None and line.steps >= 0]
        best = max(done, key=lambda line: line.value or 0.0, default=None)
        return SweepState(
            phase="search" if search else "finalists",
            metric=self._metric,
            share=part * SEARCH_SHARE if search else part,
            running=running,
            ended=self._lines,
            best=best,
        )

    def _line(self, plan: Plan, number: int, state: TrialState) -> TrialLine:
        trial: FrozenTrial = plan.study.get_trials(deepcopy=False)[number]
        rows = plan.rows(number)
        last = rows[-1] if rows else {}
        select = self._metric.removeprefix("val/")
        is_search, label, settings = plan.phase == "search", trial.user_attrs.get("label", ""), plan.settings(number)
        varied = trial_name(settings, self._axes[plan.method])
        return TrialLine(
            name=f"{plan.method}-{number}" if is_search else f"{plan.method} {label}",
            settings=f"{label}: {varied}" if is_search and label else varied,
            state=state.name,
            value=last.get(f"best/{select}") if is_search else None,
            step=int(last.get("step", 0)),
            steps=int(trial.user_attrs.get("steps") or settings.get("train/steps", 0)),
            fusion=last.get("lambda"),
            reason=trial.user_attrs.get("reason", ""),
        )
