"""One method's share of a sweep: a study, its budget of trials, and what to run next."""

import json
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from sbir.training.loop import mix
from sbir.training.run import CHECKPOINT, Job
from sbir.training.settings import group
from sbir.training.trial import STACKS, WORKER
from sbir.tuning.draw import Suggests
from sbir.tuning.record import Record

FOLDERS = {
    "search": "trials",
    "refit": "finalists",
    "splits": "splits",
    "source": "source",
    "old refit": "superseded/finalists",  # of a winner that a further trial has beaten since
    "old splits": "superseded/splits",
}
ALL_SETTINGS = "all settings"  # attribute of a trial that has been handed out
LARGE = 2  # slots of a trial that has run out of GPU memory in one
DEATHS = 2  # times that a trial may take its worker down without progress before it counts as failed
BLAMELESS = 0.2  # of a death that is rarely the trial's fault: its node went, or its worker never came up


class Plan:
    """Hands out a study's trials by number and notes what they report.

    A trial is (method, Optuna's number). Trials that a dead driver left RUNNING are taken up again under their
    number; the sampler is seeded by number before every ask, so a resumed study asks what an uninterrupted one would
    have asked. The budget is in full-length equivalents: with `by_steps` a trial that was stopped at a third of its
    steps has spent a third, and what it saved goes to further trials; one that failed has spent all of it.
    """

    def __init__(
        self,
        method: str,
        study: optuna.Study,
        total: int,
        *,
        phase: str,
        seed: int,
        folder: Path,
        propose: Callable[[Suggests, dict[str, Any]], dict[str, Any]],
        by_steps: bool = False,
        fusion: str | None = None,
        stem: str = "",
    ) -> None:
        self.method, self.study, self.total, self.phase = method, study, total, phase
        self._seed, self._folder, self._propose = seed, folder, propose
        self._by_steps, self._fusion = by_steps, fusion
        self._stem = stem or method  # of its trials' folders
        trials = study.get_trials(deepcopy=False)
        running = [trial for trial in trials if trial.state == TrialState.RUNNING]
        self._again = [trial for trial in running if not is_large(trial)]
        self._larger = [trial for trial in running if is_large(trial)]  # run last, since their slot costs warm workers
        self.live: set[int] = set()
        self._costs: dict[int, float] = {}
        self._settings: dict[int, dict[str, Any]] = {}
        for trial in trials:
            if trial.state.is_finished():
                self._costs[trial.number] = self._cost(trial)
        self._reported = {trial.number: set(trial.intermediate_values) for trial in running}
        self._records: dict[int, Record] = {}

    @property
    def spent(self) -> float:
        """Full-length equivalents of the trials that have ended."""
        return sum(self._costs.values())

    @property
    def share(self) -> float:
        """Part of the budget that is spent or held by a live trial, which may need its whole length."""
        return self._held / self.total

    @property
    def exhausted(self) -> bool:
        """Whether no further trial fits into the budget, now that nothing is live."""
        return not self._again and not self._larger and self.spent > self.total - 1 + 1e-9

    @property
    def _held(self) -> float:
        return self.spent + len(self.live) + len(self._larger)

    def next(self) -> tuple[optuna.Trial, Job] | None:
        """The next trial: a dead driver's, a declared one, or one that the sampler suggests; None when all are out."""
        if self._again:
            trial = self._retake(self._again.pop(0))
        elif self._held <= self.total - 1 + 1e-9:
            trial = self._ask()
        elif self._larger:
            trial = self._retake(self._larger.pop(0))
        else:
            return None
        self.live.add(trial.number)
        return trial, self._job(trial)

    def note(self, trial: optuna.Trial, result: dict[str, Any]) -> None:
        """Keep a report: the row first, then the value in the journal. A step that is known changes nothing."""
        row = json.loads(result["row"])
        number = trial.number
        record = self._records.setdefault(number, Record(self.trial_folder(number)))
        record.append(row)
        reported = self._reported.setdefault(number, set())
        if row["step"] not in reported and math.isfinite(result["value"]):
            trial.report(result["value"], row["step"])
            reported.add(row["step"])
            if trial.user_attrs.get("deaths"):
                trial.set_user_attr("deaths", 0)

    def complete(self, trial: optuna.Trial, result: dict[str, Any], *, has_larger: bool = False) -> TrialState:
        """Tell the study how a trial ended, as the trial itself says it, and drop what only a resumed trial needs.

        One that ran out of GPU memory goes on in a larger slot, once, where there is one.
        """
        if result.get("out_of_memory") and has_larger and not is_large(trial):
            trial.set_user_attr("slots", LARGE)
            self.live.discard(trial.number)
            self._larger.append(self.study.get_trials(deepcopy=False)[trial.number])
            return TrialState.RUNNING
        for name in (CHECKPOINT, STACKS, WORKER):
            (self.trial_folder(trial.number) / name).unlink(missing_ok=True)
        if result.get("failed"):
            return self._fail(trial, result["failed"])
        self.note(trial, result)
        state = TrialState.COMPLETE if result["finished"] else TrialState.PRUNED
        self.study.tell(trial, result["value"] if result["finished"] else None, state)
        self._ended(trial.number)
        return state

    def died(self, trial: optuna.Trial, *, blame: float = 1.0, why: str = "a kill or a crash") -> TrialState:
        """Its worker died: the trial is handed out again from its folder, unless it did so before without progress.

        `blame` is the part of a death that the trial answers for, 0 where another one brought its worker down.
        """
        (self.trial_folder(trial.number) / WORKER).unlink(missing_ok=True)
        stacks = self.trial_folder(trial.number) / STACKS
        if stacks.exists() and stacks.stat().st_size:
            why = f"it hung; the stacks are in {stacks.name} of its folder"
        deaths = round(trial.user_attrs.get("deaths", 0) + blame, 1)
        trial.set_user_attr("deaths", deaths)
        if deaths >= DEATHS:
            return self._fail(trial, f"the worker died again and again without progress ({why})")
        self.live.discard(trial.number)
        queue = self._larger if is_large(trial) else self._again
        queue.append(self.study.get_trials(deepcopy=False)[trial.number])
        return TrialState.RUNNING

    def give_up(self) -> list[int]:
        """The time is over: trials that wait to be taken up again end where they are; their numbers."""
        waiting = [*self._again, *self._larger]
        self._again, self._larger = [], []
        for frozen in waiting:
            trial = optuna.trial.Trial(self.study, frozen._trial_id)
            trial.set_user_attr("reason", "the time was over before it could go on")
            self.study.tell(trial, state=TrialState.PRUNED)
            self._ended(trial.number)
        return [frozen.number for frozen in waiting]

    def worker(self, number: int) -> dict[str, Any]:
        """`pid` and `node` of the process that runs or ran a live trial; empty where it had not begun."""
        path = self.trial_folder(number) / WORKER
        try:
            found: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError):
            return {}
        return found

    def settings(self, number: int) -> dict[str, Any]:
        """All settings of a trial that has been handed out."""
        if number not in self._settings:
            self._settings[number] = settings_of(self.study.get_trials(deepcopy=False)[number], self._propose)
        return self._settings[number]

    def rows(self, number: int) -> list[dict[str, Any]]:
        """What a trial has reported."""
        record = self._records.setdefault(number, Record(self.trial_folder(number)))
        return record.rows

    def trial_folder(self, number: int) -> Path:
        """Where a trial keeps its rows and its checkpoint."""
        return self._folder / FOLDERS[self.phase] / f"{self._stem}-{number}"

    def _fail(self, trial: optuna.Trial, reason: str) -> TrialState:
        trial.set_user_attr("reason", reason)  # a trial that has ended refuses attributes
        self.study.tell(trial, state=TrialState.FAIL)
        self._ended(trial.number)
        return TrialState.FAIL

    def _ended(self, number: int) -> None:
        self.live.discard(number)
        self._costs[number] = self._cost(self.study.get_trials(deepcopy=False)[number])

    def _cost(self, trial: FrozenTrial) -> float:
        """Full-length equivalents: steps spent over the full length, 1 for closed forms and for what has failed."""
        last = max(trial.intermediate_values, default=0)
        if not self._by_steps or trial.state == TrialState.FAIL or not last:
            return 1.0
        return min(1.0, last / group(self.settings(trial.number)).train.steps)

    def _ask(self) -> optuna.Trial:
        trials = self.study.get_trials(deepcopy=False)
        waiting = [trial.number for trial in trials if trial.state == TrialState.WAITING]
        self._seed_sampler(min(waiting, default=len(trials)))
        return self.study.ask()

    def _retake(self, frozen: FrozenTrial) -> optuna.Trial:
        self._seed_sampler(frozen.number)
        return optuna.trial.Trial(self.study, frozen._trial_id)

    def _seed_sampler(self, number: int) -> None:
        # TPE with its default of 10 random trials would leave a short search nothing to suggest.
        self.study.sampler = optuna.samplers.TPESampler(
            seed=mix(self._seed, zlib.crc32(self.method.encode()), number),
            n_startup_trials=min(10, max(1, self.total // 3)),
        )

    def _job(self, trial: optuna.Trial) -> Job:
        given = trial.user_attrs
        if ALL_SETTINGS not in given:
            trial.set_user_attr(ALL_SETTINGS, self._propose(trial, given))
        settings = self._settings[trial.number] = trial.user_attrs[ALL_SETTINGS]
        text = json.dumps(settings, sort_keys=True)
        return Job(
            method=self.method,
            number=trial.number,
            phase="refit" if self.phase == "splits" else self.phase,
            settings=settings,
            seed=mix(self._seed, zlib.crc32(text.encode()), given.get("replicate", 0)),
            folder=str(self.trial_folder(trial.number)),
            steps=given.get("steps"),
            length=given.get("length"),
            fusion=given.get("fusion", self._fusion),
            split=given.get("split"),
            variants=given.get("variants", {}),
        )


def is_large(trial: optuna.Trial | FrozenTrial) -> bool:
    """Whether a trial asks for more than one slot."""
    return bool(trial.user_attrs.get("slots", 1) > 1)


def settings_of(trial: FrozenTrial, propose: Callable[[Suggests, dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """All settings of a trial: those that it was handed out with, whatever its method's space has become since."""
    kept: dict[str, Any] | None = trial.user_attrs.get(ALL_SETTINGS)
    return propose(optuna.trial.FixedTrial(trial.params), trial.user_attrs) if kept is None else kept
