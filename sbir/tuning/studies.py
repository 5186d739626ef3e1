"""The searcher: one study per method behind Tune's interface, phase after phase, each method with its own budget."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.trial import TrialState
from ray.tune.search import Searcher

from sbir.training.trial import VALUE
from sbir.tuning.plan import Plan


class Studies(Searcher):  # type: ignore[misc, unused-ignore]
    """Hands each free worker the next trial of the method with the smallest used share.

    Not Ray's `OptunaSearch`: that one tells stopped trials as COMPLETE, keeps zombies and cannot resume from the
    journal. `phases` make plans one after the other: the second phase (finalists) sees the end of the first.
    """

    def __init__(self, phases: Sequence[Callable[[], list[Plan]]], deadline: float | None = None) -> None:
        super().__init__(metric=VALUE, mode="max")
        self._phases = list(phases)
        self.plans: list[Plan] = self._phases.pop(0)()
        self.all_plans: list[Plan] = list(self.plans)
        self.live: dict[str, tuple[Plan, optuna.Trial]] = {}
        self._deadline = deadline
        self.ended: list[tuple[Plan, int, TrialState]] = []

    def __getstate__(self) -> dict[str, Any]:
        return {"_metric": self._metric, "_mode": self._mode}  # Tune pickles searchers; a study is not to be pickled

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal is the record."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the journal is the record."""

    @property
    def out_of_time(self) -> bool:
        """Whether `--time-limit` has passed: no further search trial, and running ones stop at their next report."""
        return self._deadline is not None and time.monotonic() > self._deadline

    @property
    def done(self) -> bool:
        """Whether every phase has handed out its budget and nothing is live."""
        return not self._phases and not self.live and (all(self._spent(plan) for plan in self.plans))

    def _spent(self, plan: Plan) -> bool:
        return (not plan.live and plan.exhausted) or (plan.phase == "search" and self.out_of_time)

    def suggest(self, trial_id: str) -> Any:
        """The next trial's config; None while running trials may still free a place; FINISHED at the end."""
        for plan in sorted(self.plans, key=lambda plan: plan.share):
            if not self._spent(plan) and (found := plan.next()) is not None:
                trial, job = found
                self.live[trial_id] = plan, trial
                return {"job": vars(job)}
        if self.live:
            return None
        if self._phases:
            self.plans = self._phases.pop(0)()
            self.all_plans += self.plans
            return self.suggest(trial_id)
        return Searcher.FINISHED

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Keep a report of a trial that goes on."""
        plan, trial = self.live[trial_id]
        plan.note(trial, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Keep how a trial ended."""
        plan, trial = self.live.pop(trial_id)
        state = plan.died(trial) if error or result is None else plan.complete(trial, result)
        if state != TrialState.RUNNING:
            self.ended.append((plan, trial.number, state))

    def requeue(self) -> None:
        """After Tune itself went down: whatever was live is handed out again, or has failed."""
        for trial_id in list(self.live):
            self.on_trial_complete(trial_id, error=True)
