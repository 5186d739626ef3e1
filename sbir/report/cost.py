"""What it cost to reach a quality, and which trials were stopped early and why."""

from dataclasses import dataclass

import pandas as pd

from sbir.report.budgets import searched
from sbir.report.load import Run
from sbir.report.table import NONE, percent
from sbir.tracking.names import readable_time


@dataclass(frozen=True)
class Cost:
    """One method: what its search had taken when its best validation value reached each level."""

    label: str
    reached: tuple[str, ...]  # "12 s, 1.4 trials" a level, a dash where it was not reached


@dataclass(frozen=True)
class Stopped:
    """Trials of one method that stopped after as many steps."""

    label: str
    steps: int
    count: int
    best: str  # the best validation value among them
    kept: str  # the method's best value of all


def cost_to_reach(run: Run) -> tuple[list[str], list[Cost]]:
    """Names of the levels, and a line a method, cheapest first at the highest level that anyone reached.

    Levels: the best baseline on validation, and 80, 90, 100 % of the best value of the run.
    """
    levels = _levels(run)
    found = []
    for method in run.manifest["methods"]:
        frame = searched(run, method)
        if not frame.empty:
            times = [_first(frame, value) for _, value in levels]
            found.append((tuple(times), Cost(_label(run, method), tuple(_told(time) for time in times))))
    found.sort(key=lambda pair: [time[0] if time else float("inf") for time in reversed(pair[0])])
    return [f"{name}: {percent(value)}" for name, value in levels], [cost for _, cost in found]


def _levels(run: Run) -> list[tuple[str, float]]:
    best = float(run.summary["best"]["value"])
    levels = [(f"{share} % of the best", best * share / 100) for share in (80, 90)] + [("the best", best)]
    baselines = [
        (row["val"][run.metric], str(row["row"]))
        for row in run.summary["table"]
        if row["kind"] == "baseline" and row["val"].get(run.metric) is not None
    ]
    return ([(f"best baseline ({max(baselines)[1]})", max(baselines)[0])] if baselines else []) + levels


def _first(frame: pd.DataFrame, value: float) -> tuple[float, float] | None:
    """Device-seconds and full-length trials when the best so far first reached the value."""
    there = frame[frame["best"] >= value * (1 - 1e-9)]
    return None if there.empty else (float(there["seconds"].iloc[0]), float(there["spent"].iloc[0]))


def _told(time: tuple[float, float] | None) -> str:
    return NONE if time is None else f"{readable_time(time[0])}, {time[1]:.3g} trials"


def stopped_early(run: Run) -> list[Stopped]:
    """Pruned trials by method and length."""
    trials = run.search_trials()
    pruned = trials[trials["state"] == "PRUNED"]
    found = []
    for method, own in pruned.groupby("method"):
        best = trials.loc[trials["method"] == method, "value"].max()
        for steps in sorted(set(own["steps"].astype(int))):
            group = own[own["steps"] == steps]
            highest = percent(_value(group["value"].max()))
            found.append(Stopped(_label(run, str(method)), steps, len(group), highest, percent(_value(best))))
    return found


def failures(run: Run) -> list[tuple[str, int]]:
    """Reasons of failed trials, and how often each."""
    trials = run.search_trials()
    reasons = trials.loc[trials["state"] == "FAIL", "reason"].fillna("").astype(str)
    return [
        (str(reason) or "no reason noted", int(count)) for reason, count in reasons.value_counts(sort=False).items()
    ]


def _value(number: float) -> float | None:
    return None if pd.isna(number) else float(number)


def _label(run: Run, method: str) -> str:
    return str((run.manifest.get("labels") or {}).get(method, method))
