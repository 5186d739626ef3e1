"""What happens in the driver while trials run: the live view, and W&B runs of trials that have ended."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from optuna.trial import TrialState
from ray.tune import Callback

from sbir.tracking.names import trial_name
from sbir.tracking.rows import read_rows
from sbir.tracking.wandb_runs import EndedTrial, Mode, WandbRuns, best_values
from sbir.tuning.plan import Plan
from sbir.tuning.studies import Studies


class Watch(Callback):  # type: ignore[misc, unused-ignore]
    """Follows the searcher. Nothing live is made before `setup`, since Tune pickles callbacks."""

    def __init__(
        self, studies: Studies, folder: Path, axes: Mapping[str, list[str]], *, wandb: Mode, show: Callable[[Any], None]
    ) -> None:
        self._studies, self._folder, self._axes, self._mode, self._show = studies, folder, axes, wandb, show
        self._runs: WandbRuns | None = None
        self._seen = 0

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def setup(self, *_: Any, **__: Any) -> None:
        """Called by Tune when a fit begins."""
        if self._runs is None:
            self._runs = WandbRuns(self._folder, self._folder.name, self._mode)

    def on_step_end(self, iteration: int, trials: list[Any], **_: Any) -> None:
        """Called by Tune about ten times a second."""
        for plan, number, state in self._studies.ended[self._seen :]:
            self._seen += 1
            if plan.phase == "search":
                self.to_wandb(plan, number, state)
        self._show(self._studies)

    def to_wandb(self, plan: Plan, number: int, state: TrialState) -> None:
        """Write an ended trial's W&B run."""
        assert self._runs is not None  # set up before any trial ends
        folder = plan.trial_folder(number)
        settings = plan.settings(number)
        rows = read_rows(folder)
        trial = EndedTrial(
            plan.method,
            number,
            trial_name(settings, self._axes[plan.method]) or "fixed",
            settings,
            state.name,
            tags=[state.name.lower()],
            summary=best_values(rows),
        )
        self._runs.finish_trial(trial, folder)

    def close(self) -> list[str]:
        """Wait for W&B's files; what went wrong there."""
        return self._runs.close() if self._runs is not None else []
