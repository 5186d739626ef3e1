"""Asynchronous successive halving on our own step counter, rebuilt from the journal, within one method only."""

from collections.abc import Mapping
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from sbir.tuning.plan import Plan
from sbir.tuning.studies import Studies

ETA = 3  # the best third of a rung goes on
STANDING = 4  # results that must stand in a rung before anything is cut there


class Rungs(FIFOScheduler):  # type: ignore[misc, unused-ignore]
    """Stops a search trial that is not in the best third of those that reached the same number of steps.

    Unlike Tune's ASHA (which cuts trial 2 against trial 1), nothing is cut before four results stand in a rung;
    declared rows and finalists are never cut. A trial enters a rung once, so a report that a resumed trial repeats
    changes nothing.
    """

    def __init__(self, studies: Studies, levels: Mapping[str, list[int]], *, prune: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._studies, self._levels, self._prune = studies, levels, prune  # levels: method -> steps
        self._rungs: dict[tuple[str, int], dict[int, float]] = {}
        for plan in studies.plans:
            self._rebuild(plan)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles schedulers; this one is rebuilt from the journal

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """No trial: Tune starts those that wait by itself.

        FIFO's choice would be given the first worker that comes free, and the one that is being started for it would
        end: on a node that joins, or after a worker's death, none would come up where trials end faster than that.
        """
        return

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Continue or stop."""
        plan, asked = self._studies.live[trial.trial_id]
        if plan.phase != "search":
            return str(TrialScheduler.CONTINUE)
        cut = self.cut(plan.method, asked.number, result["at"], result["value"])
        spared = not self._prune or "label" in asked.user_attrs
        stop = self._studies.out_of_time or (cut and not spared)
        return str(TrialScheduler.STOP if stop else TrialScheduler.CONTINUE)

    def cut(self, method: str, number: int, step: int, value: float) -> bool:
        """Enter every rung that the trial has reached; whether it falls behind in one that it newly entered."""
        behind = False
        for level in self._levels[method]:
            rung = self._rungs.setdefault((method, level), {})
            if step < level or number in rung:
                continue
            rung[number] = value
            better = sum(other > value for other in rung.values())
            behind |= len(rung) >= STANDING and better >= max(1, len(rung) // ETA)
        return behind

    def _rebuild(self, plan: Plan) -> None:
        for trial in plan.study.get_trials(deepcopy=False):
            steps = sorted(trial.intermediate_values)
            if not trial.state.is_finished():
                steps = steps[:-1]  # the last report of a trial that was running comes again, and is judged then
            for step in steps:
                self.cut(plan.method, trial.number, step, trial.intermediate_values[step])


def rung_levels(steps: int, eval_every: int, last_stage: float = 0.0) -> list[int]:
    """Steps at which trials are compared: a ninth and a third of the whole length, at evaluations, but not before a
    method's last stage has begun, `last_stage` being the part of the length that comes before it.

    >>> rung_levels(900, 50), rung_levels(100, 100), rung_levels(900, 50, 0.2)
    ([100, 300], [], [300])
    """
    levels = {max(1, round(steps / ETA**power / eval_every)) * eval_every for power in (2, 1)}
    return sorted(level for level in levels if last_stage * steps <= level < steps)
