"""The one table of a run, as lines of text that terminal and page share."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sbir.report.load import Run

NONE = "–"
_ORDER = {"chance": 0, "baseline": 1, "method": 2, "ceiling": 3}
_SHORT = {"precision": "P", "recall": "R"}
# Beside the maximised metric; the rest is in the long table.
_FURTHER = re.compile(r"(reverse_)?map_all|acc_at_1|recall_at_1|triplet_agreement")


@dataclass(frozen=True)
class Line:
    """One row: percentages with one decimal, as the field prints them."""

    row: str
    kind: str  # "reference", "baseline" or "method"
    given: str
    fusion: str  # lambda
    val: str
    test: str
    by_class: str
    by_seed: str
    num_seeds: int  # refits behind a method's figure; 0 for what has no training seed
    further: tuple[str, ...]  # test figures of `further_metrics`
    mean: float | None
    low: float | None
    high: float | None
    best: bool  # the best test figure among baselines and methods


def table_lines(run: Run) -> list[Line]:
    """Chance, baselines, methods (the best on test first), ceiling."""
    rows = sorted(run.summary["table"], key=lambda row: (_place(row), _worse_last(row, run.metric)))
    means = [_figure(row, run.metric).get("mean") for row in rows if row["kind"] != "reference"]
    best = max((mean for mean in means if mean is not None), default=None)
    return [_line(row, run, best) for row in rows]


def further_metrics(run: Run) -> list[str]:
    """Metrics of the short table beside the maximised one."""
    return [metric for metric in all_metrics(run) if metric != run.metric and _FURTHER.fullmatch(metric)]


def all_metrics(run: Run) -> list[str]:
    """Metrics of the test figures, in the order of the first row that has each."""
    return list(dict.fromkeys(metric for row in run.summary["table"] for metric in row["test"]))


def _place(row: Mapping[str, Any]) -> int:
    return _ORDER.get(row["row"] if row["kind"] == "reference" else row["kind"], 2)


def _worse_last(row: Mapping[str, Any], metric: str) -> float:
    return -float(_figure(row, metric).get("mean") or 0.0) if row["kind"] == "method" else 0.0


def _line(row: Mapping[str, Any], run: Run, best: float | None) -> Line:
    figure = _figure(row, run.metric)
    mean = figure.get("mean")
    return Line(
        row=row["row"],
        kind=row["kind"],
        given=row.get("given") or NONE,
        fusion=row.get("lambda") or NONE,
        val=percent(row["val"].get(run.metric)),
        test=percent(mean),
        by_class=interval(figure.get("class_low"), figure.get("class_high")),
        by_seed=interval(figure.get("seed_low"), figure.get("seed_high")),
        num_seeds=int(figure.get("num_seeds") or 0) if row["kind"] == "method" else 0,
        further=tuple(percent(_figure(row, metric).get("mean")) for metric in further_metrics(run)),
        mean=mean,
        low=figure.get("class_low"),
        high=figure.get("class_high"),
        best=row["kind"] != "reference" and mean is not None and mean == best,
    )


def _figure(row: Mapping[str, Any], metric: str) -> dict[str, Any]:
    return dict(row["test"].get(metric) or {})


def percent(value: float | None) -> str:
    """A share in percent.

    >>> percent(0.4123), percent(None)
    ('41.2', '–')
    """
    return NONE if value is None else f"{100 * value:.1f}"


def interval(low: float | None, high: float | None) -> str:
    """Two ends in percent.

    >>> interval(0.38, 0.4449)
    '[38.0, 44.5]'
    """
    return NONE if low is None or high is None else f"[{percent(low)}, {percent(high)}]"


def metric_label(metric: str) -> str:
    """A metric as papers write it, with its denominator where papers differ.

    >>> [metric_label(name) for name in ("precision_at_20", "map_at_20_hits", "map_all", "acc_at_1", "recall_at_1")]
    ['P@20', 'mAP@20 (÷ hits)', 'mAP@all', 'acc@1', 'R@1']
    >>> metric_label("reverse_map_all")  # of texts and photos: the other way round
    'mAP@all in reverse'
    """
    if metric.startswith("reverse_"):
        return f"{metric_label(metric.removeprefix('reverse_'))} in reverse"
    if found := re.fullmatch(r"(precision|acc|recall)_at_(\d+)", metric):
        return f"{_SHORT.get(found[1], found[1])}@{found[2]}"
    if found := re.fullmatch(r"map_at_(\d+)_(k|hits|min)", metric):
        return f"mAP@{found[1]} (÷ {'min(R, k)' if found[2] == 'min' else found[2]})"
    return {"map_all": "mAP@all", "triplet_agreement": "triplets"}.get(metric, metric)


def long_table(run: Run) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Every test metric of every row: headings, and (row, cells)."""
    metrics = all_metrics(run)
    rows: Sequence[Mapping[str, Any]] = sorted(run.summary["table"], key=_place)
    cells = [(str(row["row"]), [_full_cell(_figure(row, metric)) for metric in metrics]) for row in rows]
    return [metric_label(metric) for metric in metrics], cells


def _full_cell(figure: Mapping[str, Any]) -> str:
    by_class = interval(figure.get("class_low"), figure.get("class_high"))
    return percent(figure.get("mean")) + (f" {by_class}" if by_class != NONE else "")
