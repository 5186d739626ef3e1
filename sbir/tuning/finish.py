"""From journal, rows and finalists to the tables of a finished run."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from sbir.data.items import Items
from sbir.data.protocol import Partition
from sbir.metrics.intervals import class_bootstrap, seed_interval
from sbir.tracking.rows import read_rows
from sbir.training.baselines import Baseline
from sbir.training.run import top_columns
from sbir.tuning.phases import Phases, best_row
from sbir.tuning.plan import Plan
from sbir.tuning.space import Resolved

Table = dict[str, Any]


@dataclass(frozen=True)
class Scores:
    """Every query's figures for one row of the table and one seed."""

    row: str
    method: str
    seed: int
    query: np.ndarray  # (Q,) store rows
    metrics: Mapping[str, np.ndarray]  # metric -> (Q,)


def trials_table(plans: Sequence[Plan], phases: Phases, resolved: Mapping[str, Resolved]) -> pd.DataFrame:
    """One row per trial, finalists too."""
    rows = []
    for plan in plans:
        for trial in plan.study.get_trials(deepcopy=False):
            rows.append(_trial_row(plan, trial, phases.settings(resolved[plan.method], trial)))
    return pd.DataFrame(rows)


def _trial_row(plan: Plan, trial: FrozenTrial, settings: Mapping[str, Any]) -> Table:
    rows = read_rows(plan.trial_folder(trial.number))
    last = rows[-1] if rows else {}
    best = best_row(rows) if rows and plan.phase == "search" else last
    kind = plan.phase if plan.phase != "search" else "declared" if "label" in trial.user_attrs else "search"
    value = trial.value if trial.value is not None else None
    return {
        "method": plan.method,
        "number": trial.number,
        "label": trial.user_attrs.get("label", ""),
        "kind": kind,
        "state": trial.state.name,
        "value": value,
        "lambda": best.get("lambda"),
        "best_step": last.get("best/step", last.get("step")),
        "steps": last.get("step", 0),
        "device_seconds": last.get("device_seconds", 0.0),
        "seed": trial.user_attrs.get("replicate", 0),
        "reason": trial.user_attrs.get("reason", ""),
        **settings,
    }


def published_rows(plans: Sequence[Plan], select: str) -> pd.DataFrame | None:
    """One row a declared row and seed: its best on test as the source selects, and its honest figure; None without.

    `*_precision` is the maximised metric of the run, `*_map` the mAP with the source's constant denominator.
    """
    found = [
        _published_row(plan, trial, select)
        for plan in plans
        if plan.phase == "source"
        for trial in plan.study.get_trials(states=[TrialState.COMPLETE], deepcopy=False)
    ]
    return pd.DataFrame(found) if found else None


def _published_row(plan: Plan, trial: FrozenTrial, select: str) -> Table:
    rows = read_rows(plan.trial_folder(trial.number))
    best, last = best_row(rows), rows[-1]
    honest = next(row for row in rows if f"test/{select}" in row)
    constant = next(key.removeprefix("test/") for key in honest if re.fullmatch(r"test/map_at_\d+_k", key))
    label, _, seed = str(trial.user_attrs["label"]).rpartition(", seed ")
    return {
        "method": plan.method,
        "label": label,
        "seed": int(seed),
        "source_precision": best[f"source/{select}"],
        "source_map": best[f"source/{constant}"],
        "source_step": best["step"],
        "source_lambda": best["lambda"],
        "precision": honest[f"test/{select}"],
        "map": honest[f"test/{constant}"],
        "step": honest["step"],
        "lambda": trial.user_attrs["fusion"],
        "zero_precision": honest.get(f"z = 0/{select}", float("nan")),
        "real_precision": honest.get(f"real-valued/{select}", float("nan")),
        "device_seconds": last["device_seconds"],
    }


def split_means(plans: Sequence[Plan], select: str) -> dict[str, dict[str, float]]:
    """Method -> split -> mean of the maximised metric over its seeds."""
    found: dict[str, dict[str, list[float]]] = {}
    for plan in plans:
        if plan.phase == "splits":
            for trial in plan.study.get_trials(states=[TrialState.COMPLETE], deepcopy=False):
                value = read_rows(plan.trial_folder(trial.number))[-1][f"test/{select}"]
                found.setdefault(plan.method, {}).setdefault(trial.user_attrs["split"], []).append(value)
    return {
        method: {split: float(np.mean(values)) for split, values in splits.items()} for method, splits in found.items()
    }


def finalist_scores(plans: Sequence[Plan], resolved: Mapping[str, Resolved]) -> list[Scores]:
    """What the finalists wrote."""
    found = []
    for plan in plans:
        if plan.phase != "refit":
            continue
        for trial in plan.study.get_trials(states=[TrialState.COMPLETE], deepcopy=False):
            with np.load(plan.trial_folder(trial.number) / "scores.npz", allow_pickle=False) as saved:
                metrics = {key.removeprefix("metric/"): saved[key] for key in saved.files if key.startswith("metric/")}
                label = resolved[plan.method].sweep.label
                found.append(Scores(label, plan.method, trial.user_attrs["replicate"], saved["query"], metrics))
    return found


def baseline_scores(baselines: Sequence[Baseline], rows: Partition) -> list[Scores]:
    """Every query's figures for the baselines."""
    return [
        Scores(found.row, "", 0, rows.query, {name: values.numpy() for name, values in found.test.per_query.items()})
        for found in baselines
    ]


def baseline_top(baselines: Sequence[Baseline], items: Items, rows: Partition, keep: int = 10) -> pd.DataFrame:
    """What the baselines answer: the first items of every query, as `top.parquet` has them for a finalist."""
    frames = []
    for one in baselines:
        top = rows.gallery[one.test.top[:, :keep].numpy()]
        frames.append(pd.DataFrame({"row": one.row, **top_columns(items, rows.query, top)}))
    return pd.concat(frames, ignore_index=True)


def per_query_table(scores: Sequence[Scores], items: Items, run: str) -> pd.DataFrame:
    """One row per query, row of the table and seed."""
    frames = [
        pd.DataFrame(
            {
                "run": run,
                "row": score.row,
                "method": score.method,
                "seed": score.seed,
                "item": items.item_id[score.query].astype(str),
                "class": np.array(items.class_names)[items.class_id[score.query]],
                "instance": items.instance_id[score.query],
                **score.metrics,
            }
        )
        for score in scores
    ]
    return pd.concat(frames, ignore_index=True)


def test_figures(scores: Sequence[Scores], items: Items) -> Table:
    """Mean, class interval and seed interval of every metric, over all seeds of one row of the table."""
    first = scores[0]
    figures: Table = {}
    for metric in first.metrics:
        by_seed = np.stack([score.metrics[metric] for score in scores])  # (seeds, Q)
        classes, instances = items.class_id[first.query], items.instance_id[first.query]
        by_class = class_bootstrap(by_seed.mean(0), classes, instances)
        seeds = seed_interval(by_seed.mean(1)) if len(scores) > 1 else None
        figures[metric] = {
            "mean": float(by_seed.mean()),
            "class_low": by_class.low,
            "class_high": by_class.high,
            "seed_low": seeds.low if seeds else None,
            "seed_high": seeds.high if seeds else None,
            "num_seeds": len(scores),
        }
    return figures


def count_states(plans: Sequence[Plan]) -> dict[str, int]:
    """How the search's trials ended."""
    states = [
        trial.state for plan in plans if plan.phase == "search" for trial in plan.study.get_trials(deepcopy=False)
    ]
    names = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
    return {name: states.count(state) for name, state in names.items()}


def best_of(phases: Phases, resolved: Sequence[Resolved], folder: Path) -> tuple[Table, dict[str, Table]]:
    """The best trial over all methods, and each method's winner."""
    winners: dict[str, Table] = {}
    for one in resolved:
        trial = phases.winner(one)
        if trial is None:
            continue
        row = best_row(read_rows(folder / "trials" / f"{one.sweep.name}-{trial.number}"))
        winners[one.sweep.name] = {
            "method": one.sweep.name,
            "number": trial.number,
            "label": trial.user_attrs.get("label", ""),
            "settings": phases.settings(one, trial),
            "lambda": row["lambda"],
            "value": trial.value,
            "step": row["step"],
            "curve": row["curve"],
            "val": {key.removeprefix("val/"): value for key, value in row.items() if key.startswith("val/")},
        }
    best = max(winners.values(), key=lambda winner: winner["value"], default={})
    return best, winners


def importance(plans: Sequence[Plan]) -> dict[str, Any]:
    """fANOVA per method, or why there is none."""
    from sbir.report.importance import importance as fanova

    return {plan.method: fanova(plan.study) for plan in plans if plan.phase == "search"}


def reference_row(name: str, figures: Mapping[str, Sequence[Mapping[str, float]]]) -> Table:
    """Chance or ceiling: exact, without an interval."""
    val, test = figures[name]
    bare = {"class_low": None, "class_high": None, "seed_low": None, "seed_high": None, "num_seeds": 0}
    return {
        "row": name,
        "kind": "reference",
        "given": "nothing" if name == "chance" else "the labels",
        "settings": {},
        "lambda": None,
        "val": dict(val),
        "test": {metric: {"mean": value, **bare} for metric, value in test.items()},
    }
