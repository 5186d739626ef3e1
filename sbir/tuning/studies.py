"""The searcher: one study per method behind Tune's interface, phase after phase, each method with its own budget."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.trial import TrialState
from ray.tune.search import Searcher

from sbir.training.trial import VALUE
from sbir.tuning.plan import BLAMELESS, Plan

# In Ray's message when a node runs out of memory: the node, and each worker that it thought of ending.
MEMORY_NODE, MEMORY_USED = re.compile(r"IP: ([^,)\s]+)"), re.compile(r"pid=(\d+), actual memory used=([\d.]+)GB")


class StorageError(OSError):
    """The run's folder cannot be written; when it can be, the same command goes on."""


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
        self.storage_problem: str | None = None  # what ended the sweep, where that was it
        self.has_larger = False  # whether a trial that ran out of GPU memory can have a larger slot
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
                return {"job": vars(job), "slots": trial.user_attrs.get("slots", 1)}
        if self.live:
            return None
        for plan in self.plans:
            self.ended += [(plan, number, TrialState.PRUNED) for number in plan.give_up()]
        if self._phases:
            self.plans = self._phases.pop(0)()
            self.all_plans += self.plans
            return self.suggest(trial_id)
        return Searcher.FINISHED

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Keep a report of a trial that goes on."""
        plan, trial = self.live[trial_id]
        with self._storage():
            plan.note(trial, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Keep how a trial ended."""
        plan, trial = self.live.pop(trial_id)
        if result is not None and result.get("storage"):
            self.storage_problem = result["failed"]  # the trial stays as it is in the journal, to be gone on with
            raise StorageError(self.storage_problem)
        with self._storage():
            self._end(plan, trial, result, error)

    def _end(self, plan: Plan, trial: optuna.Trial, result: dict[str, Any] | None, error: bool) -> None:
        if error or result is None:
            node = plan.worker(trial.number).get("node")  # None where the trial had not begun
            state = plan.died(trial, blame=BLAMELESS if node is None or node in _lost_nodes() else 1.0)
        else:
            state = plan.complete(trial, result, has_larger=self.has_larger)
        self._keep(plan, trial, state)

    @contextmanager
    def _storage(self) -> Iterator[None]:
        """Remember what the journal or the rows could not be written for: Tune would wrap it."""
        try:
            yield
        except OSError as error:
            self.storage_problem = f"writing the run's record failed: {error}"
            raise

    def _keep(self, plan: Plan, trial: optuna.Trial, state: TrialState) -> None:
        if state != TrialState.RUNNING:
            self.ended.append((plan, trial.number, state))

    def requeue(self, error: str) -> None:
        """After Tune itself went down: whatever was live is handed out again, or has failed.

        Ray's memory monitor ends the workers that began last, whoever filled the memory: the largest trial of that node
        answers for it and no other. A node that is lost with objects on it takes Tune down as well, and then no worker
        is named.
        """
        guilty = self._largest(error)
        for name, (plan, trial) in list(self.live.items()):
            del self.live[name]
            blame = BLAMELESS if guilty is None else float(name == guilty)
            self._keep(plan, trial, plan.died(trial, blame=blame, why="the node's memory was full"))

    def _largest(self, error: str) -> str | None:
        node, used = MEMORY_NODE.search(error), {int(pid): float(size) for pid, size in MEMORY_USED.findall(error)}
        workers = {name: plan.worker(trial.number) for name, (plan, trial) in self.live.items()}
        found = {name: used[one["pid"]] for name, one in workers.items()
                 if node and one.get("node") == node[1] and one["pid"] in used}  # fmt: skip
        return max(found, key=lambda name: found[name], default=None)


def _lost_nodes() -> set[str]:
    import ray

    nodes = ray.nodes() if ray.is_initialized() else []  # type: ignore[no-untyped-call]
    alive = {node["NodeManagerAddress"] for node in nodes if node["Alive"]}
    return {node["NodeManagerAddress"] for node in nodes} - alive
