"""`summary.json` and the tables of a finished run: what the report, the terminal and `load_run` read."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sbir.data.feed import Columns, make_feed
from sbir.data.protocol import Part, reverse
from sbir.data.transform import TransformSettings
from sbir.metrics.best import compare_with_best
from sbir.metrics.intervals import seed_interval
from sbir.metrics.reference import ceiling, chance
from sbir.training.baselines import Baseline
from sbir.training.evaluate import identity
from sbir.training.plain_json import write_json
from sbir.tuning import finish
from sbir.tuning.data_change import CHANGED
from sbir.tuning.folder import SUMMARY, count_look, look_of, read_manifest
from sbir.tuning.phases import Phases
from sbir.tuning.plan import Plan
from sbir.tuning.setup import Setup

Table = dict[str, Any]


def write_tables(
    setup: Setup,
    folder: Path,
    phases: Phases,
    plans: Sequence[Plan],
    *,
    baselines: tuple[list[Baseline], Mapping[str, list[Baseline]]],
    started: tuple[float, datetime],
) -> None:
    """Write `trials.parquet`, `per_query.parquet`, `baseline_top.parquet`, with published rows `published.parquet`, and
    `summary.json` last.

    `baselines` are those of the run's split, and of each of `--splits`.
    """
    own, others = baselines
    trials = finish.trials_table([*plans, *phases.superseded()], phases, setup.by_name)
    trials.to_parquet(folder / "trials.parquet")
    scores = finish.baseline_scores(own, setup.rows("test")) + finish.finalist_scores(plans, setup.by_name)
    finish.per_query_table(scores, setup.items, folder.name).to_parquet(folder / "per_query.parquet")
    if own:  # a store without features has no baselines
        finish.baseline_top(own, setup.items, setup.rows("test")).to_parquet(folder / "baseline_top.parquet")
    published = finish.published_rows(plans, setup.protocol.select)
    if published is not None:
        published.to_parquet(folder / "published.parquet")
    best, winners = finish.best_of(phases, setup.resolved, folder)
    protocol, manifest = setup.protocol, read_manifest(folder)
    summary = {
        "metric": protocol.metric,
        "k": protocol.k,
        "flags": [*setup.flags, *([CHANGED] if "data_changes" in manifest else [])],
        "protocol": protocol.as_dict(),
        "given": setup.manifest["given"],
        "question": _question(setup),
        "counts": finish.count_states(plans),
        "best": {key: value for key, value in best.items() if key not in ("curve", "val")},
        "curve": best["curve"],
        "table": _table(setup, own, scores, winners),
        "comparison": _comparison(setup, scores),
        "methods": _budgets(setup, plans, trials),
        "splits": _splits(setup, plans, own, others),
        "reported": _reported(setup) if published is not None else {},
        "looks_at_test": count_look(setup.options.runs, setup.split.hash, look_of(manifest)),
        "importance": finish.importance(plans),
        "times": {
            "started": started[1].isoformat(timespec="seconds"),
            "total_s": round(time.monotonic() - started[0], 1),
            "device_s": round(float(trials["device_seconds"].sum()), 1),
        },
    }
    write_json(folder / SUMMARY, summary)


def _question(setup: Setup) -> str:
    labels = [one.sweep.label for one in setup.resolved]
    where = f"on {setup.manifest['dataset']} ({setup.protocol.name})"
    if len(labels) == 1:
        return f"Which setting of {labels[0]} retrieves best {where}?"
    named = ", ".join(labels) if len(labels) <= 4 else f"{len(labels)} methods"
    return f"Which of {named} retrieves best {where}?"


def _table(setup: Setup, baselines: list[Baseline], scores: list[finish.Scores], winners: Table) -> list[Table]:
    figures = {
        name: (_reference(setup, name, "val"), _reference(setup, name, "test")) for name in ("chance", "ceiling")
    }
    rows = [finish.reference_row("chance", figures)]
    for one in baselines:
        test = finish.test_figures([score for score in scores if score.row == one.row], setup.items)
        rows.append(_row(one.row, "baseline", one.given, one.settings, None, val=one.val, test=test))
    for name, winner in winners.items():
        label = setup.by_name[name].sweep.label
        found = [score for score in scores if score.row == label]
        test = finish.test_figures(found, setup.items) if found else {}
        told = setup.given(name, winner["settings"])
        rows.append(_row(label, "method", told, winner["settings"], winner["lambda"], val=winner["val"], test=test))
    return [*rows, finish.reference_row("ceiling", figures)]


def _row(row: str, kind: str, given: str, settings: Any, fusion: str | None, *, val: Any, test: Table) -> Table:
    return {
        "row": row,
        "kind": kind,
        "given": given,
        "settings": dict(settings),
        "lambda": fusion,
        "val": dict(val),
        "test": test,
    }


def _reference(setup: Setup, name: str, part: Part) -> dict[str, float]:
    rows = setup.rows(part)
    feed = make_feed(Columns(setup.items), rows, (), (), TransformSettings())
    figure = chance if name == "chance" else ceiling
    found = figure(identity(feed, rows.query), identity(feed, rows.gallery), setup.protocol.k, setup.protocol.recall)
    if (back := reverse(setup.items, rows, setup.protocol)) is not None:
        other = figure(identity(feed, back.gallery), identity(feed, back.query), setup.protocol.k)
        found |= {f"reverse_{name}": value for name, value in other.items()}
    return found


def _comparison(setup: Setup, scores: Sequence[finish.Scores]) -> Table | None:
    """Every row that was scored on test against the best of the others, on the one metric that the run had named."""
    by_row: dict[str, list[np.ndarray]] = {}
    for score in scores:
        by_row.setdefault(score.row, []).append(score.metrics[setup.protocol.select])
    if len(by_row) < 2:
        return None
    query, names = scores[0].query, list(by_row)
    values = np.stack([np.mean(by_row[name], axis=0) for name in names]).astype(np.float64)
    found = compare_with_best(values, setup.items.class_id[query], setup.items.instance_id[query])
    rows = {
        name: {"gap": found.gap[at], "low": found.low[at], "high": found.high[at], "candidate": at in found.candidates}
        for at, name in enumerate(names)
    }
    return {"rows": rows, "num_classes": found.num_classes, "names_winners": found.names_winners}


def _budgets(setup: Setup, plans: Sequence[Plan], trials: pd.DataFrame) -> Table:
    """Method -> what its search was given and what it took."""
    searched = trials[trials["kind"].isin(["declared", "search"])]
    found = {}
    for plan in plans:
        if plan.phase != "search":
            continue
        own = searched[searched["method"] == plan.method]
        axes = setup.by_name[plan.method].axes.values()
        found[plan.method] = {
            "label": setup.by_name[plan.method].sweep.label,
            "trials": len(own),
            "budget": plan.total,
            "spent": round(plan.spent, 3),
            "device_s": round(float(own["device_seconds"].sum()), 1),
            "num_axes": sum(not isinstance(domain, list) or len(domain) > 1 for domain in axes),
        }
    return found


def _reported(setup: Setup) -> Table:
    """What the sources report for the methods of this run, each row with what is left open."""
    return {
        table.id: {
            "source": table.source,
            "rows": [{**row, "open": table.left_open(row["row"])} for row in table.rows],
        }
        for table in setup.reported.values()
        if table.id in setup.by_name and all({"row", "p_at_200", "map_at_200"} <= row.keys() for row in table.rows)
    }


def _splits(
    setup: Setup, plans: Sequence[Plan], baselines: list[Baseline], others: Mapping[str, list[Baseline]]
) -> list[Table]:
    """Every row's figure over class splits: the only basis for a word on zero-shot retrieval in general."""
    select = setup.protocol.select
    by_row: dict[str, dict[str, float]] = {
        one.row: {spec: scored[place].test.means[select] for spec, scored in others.items()}
        for place, one in enumerate(baselines)
        if others
    }
    for name, found in finish.split_means(plans, select).items():
        by_row[setup.by_name[name].sweep.label] = found
    rows = []
    for row, by_split in by_row.items():
        values = np.array([by_split[spec] for spec in sorted(by_split)])
        over = seed_interval(values) if len(values) > 1 else None  # the same t interval, over splits
        ends = {"low": over.low if over else None, "high": over.high if over else None}
        rows.append({"row": row, "by_split": by_split, "mean": float(values.mean()), **ends})
    return rows
