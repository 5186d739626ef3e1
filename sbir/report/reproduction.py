"""Reported against reproduced: every declared row beside what its source reports, and what each setting changes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from sbir.metrics.effects import effects, rank_correlation
from sbir.metrics.intervals import prediction_interval, seed_interval
from sbir.report.load import Run
from sbir.report.setup_text import markdown_row
from sbir.report.table import NONE, interval, percent

SOURCE_DATA = (104, 21, 12694, 10453)  # seen and unseen classes, sketches and photos of the unseen ones
SOURCE_K = 200
CONTROLS = ("mean removed", "ridge", "Procrustes")


@dataclass(frozen=True)
class RowLine:
    """One row of the source or of the project; percentages as text, a dash where there is none."""

    row: str  # "12", empty for a row that the source does not have
    label: str
    reported: str  # P and mAP
    reproduced: str  # selected on test as the source did, mean over seeds
    expected: str  # 95 % prediction interval of one run
    verdict: str
    honest: str
    honest_interval: str
    selecting: str  # points gained by selecting on test
    zero: str  # points lost or gained by decoding z = 0
    open: str


@dataclass(frozen=True)
class EffectLine:
    """A declared row against the reference row of its method."""

    label: str
    gap: str
    ends: str
    p_holm: str


@dataclass(frozen=True)
class Reproduction:
    """One method's table."""

    label: str
    source: str
    rows: list[RowLine]
    reference: str
    effects: list[EffectLine] = field(default_factory=list)
    correlation: str = ""  # of the reported and the reproduced order


def reproductions(run: Run) -> list[Reproduction]:
    """One table a method of a run with `--stage published` or `ablate`; none for a search."""
    if run.published is None:
        return []
    reasons = not_comparable(run)
    return [_reproduction(run, method, reasons) for method in run.manifest["methods"] if _of(run, method) is not None]


def not_comparable(run: Run) -> list[str]:
    """Why a figure of this run cannot be held against the source's; empty where it can."""
    manifest, protocol = run.manifest, run.summary["protocol"]
    backbone, given = manifest.get("backbone") or {}, manifest.get("settings") or {}
    free = ("data/split", "eval/protocol", "eval/k", "eval/metric", "eval/centre")  # judged by what they lead to
    by_hand = sorted(key for key in given if key not in free)
    checks = {
        "demo scale": "demo scale" in run.summary.get("flags", []),
        "synthetic": "synthetic" in run.summary.get("flags", []),
        _other_data(run): bool(_other_data(run)),
        "no sketch-photo pairs": manifest["data"].get("paired") is False,
        f"k is {run.summary.get('k')}, the source's {SOURCE_K}": run.summary.get("k") != SOURCE_K,
        f"maximises {run.metric}": not run.metric.startswith("precision_at_"),
        f"protocol {protocol.get('name')}": protocol.get("name") != "zero_shot",
        "embeddings centred": bool(protocol.get("centre")),
        f"features of {backbone.get('name')}": backbone.get("name", "vgg16") != "vgg16",
        "features of random weights": str(backbone.get("weights")).startswith("random"),
        f"set by hand: {', '.join(by_hand)}": bool(by_hand),
    }
    return [reason for reason, holds in checks.items() if holds]


def _other_data(run: Run) -> str:
    """How the data differ from the source's; empty where they agree."""
    data = run.manifest["data"]
    classes, num = data.get("classes") or {}, data.get("num") or {}
    seen = classes.get("train", 0) + classes.get("val", 0)
    found = seen, classes.get("test", 0), num.get("test_query", 0), num.get("test_gallery", 0)
    if found == SOURCE_DATA:
        return ""
    words = "{} seen and {} unseen classes, {} sketches, {} photos"
    return f"other data ({words.format(*found)}; the source's Sketchy split has {words.format(*SOURCE_DATA)})"


def as_markdown(run: Run) -> str:
    """All tables as Markdown; empty for a search."""
    tables = reproductions(run)
    reasons = not_comparable(run)
    head = [f"Not a reproduction: {'; '.join(reasons)}."] if reasons and tables else []
    blocks = ["\n".join([f"## {one.label}", "", *_markdown(one)]) for one in tables]
    return "\n\n".join([*head, *blocks, *([controls(run)] if tables else [])])


def _markdown(one: Reproduction) -> list[str]:
    heads = ("row", "settings", "reported", "selected on test", "95 % of one run", "verdict", "honest",
             "95 % over seeds", "gain by selecting", "z = 0", "left open")  # fmt: skip
    rows = [
        (line.row, line.label, line.reported, line.reproduced, line.expected, line.verdict, line.honest,
         line.honest_interval, line.selecting, line.zero, line.open)
        for line in one.rows
    ]  # fmt: skip
    return [markdown_row(heads), markdown_row(["---"] * len(heads)), *map(markdown_row, rows)]


def controls(run: Run) -> str:
    """What removing the mean and the linear maps alone gain over the raw feature, on test."""
    tests = {row["row"]: row["test"].get(run.metric) or {} for row in run.summary["table"]}
    figures = {name: float(test["mean"]) for name, test in tests.items() if test.get("mean") is not None}
    raw = figures.get("raw")
    if raw is None:
        return ""
    gains = [f"{name} {_points(figures[name] - raw)}" for name in CONTROLS if name in figures]
    return f"Without any training, over the raw feature ({percent(raw)}): {', '.join(gains)} points."


def _of(run: Run, method: str) -> pd.DataFrame | None:
    assert run.published is not None
    found = run.published[run.published["method"] == method]
    return None if found.empty else found


def _reproduction(run: Run, method: str, reasons: list[str]) -> Reproduction:
    frame = _of(run, method)
    assert frame is not None
    table = (run.summary.get("reported") or {}).get(method, {"source": "", "rows": []})
    reported = {str(row["row"]): row for row in table["rows"]}
    lines, pairs = [], []
    for label, seeds in frame.groupby("label", sort=False):
        for number in re.findall(r"row (\d+):", str(label)) or [""]:
            row = reported.get(number, {})
            lines.append(_line(number, str(label), seeds, row, reasons))
            if row.get("p_at_200") is not None:
                pairs.append((row["p_at_200"], float(seeds["source_precision"].mean())))
    lines += [_missing(row) for number, row in reported.items() if number not in {line.row for line in lines}]
    lines.sort(key=lambda line: int(line.row or 10_000))
    reference, changed = _effects(frame)
    label = (run.manifest.get("labels") or {}).get(method, method)
    return Reproduction(label, table["source"], lines, reference, changed, _correlation(pairs))


def _line(number: str, label: str, seeds: pd.DataFrame, row: Mapping[str, Any], reasons: list[str]) -> RowLine:
    taken, honest = seeds["source_precision"].to_numpy(float), seeds["precision"].to_numpy(float)
    expected = prediction_interval(taken) if len(taken) > 1 else None
    over_seeds = seed_interval(honest) if len(honest) > 1 else None
    zero = seeds["zero_precision"].to_numpy(float)
    figures = [percent(row.get(key)) for key in ("p_at_200", "map_at_200")]
    return RowLine(
        row=number,
        label=_own(label, number),
        reported=" / ".join(figures) if row else NONE,
        reproduced=f"{percent(float(taken.mean()))} / {percent(float(seeds['source_map'].mean()))}",
        expected=interval(expected.low, expected.high) if expected else NONE,
        verdict=_verdict(row, expected, reasons),
        honest=percent(float(honest.mean())),
        honest_interval=interval(over_seeds.low, over_seeds.high) if over_seeds else NONE,
        selecting=_points(float((taken - honest).mean())),
        zero=NONE if np.isnan(zero).all() else _points(float(np.nanmean(zero - honest))),
        open="; ".join(row.get("open", [])),
    )


def _missing(row: Mapping[str, Any]) -> RowLine:
    """A reported row that was not run: the store could not serve it, or `--set` left it out."""
    figures = " / ".join(percent(row.get(key)) for key in ("p_at_200", "map_at_200"))
    dashes = dict.fromkeys(("reproduced", "expected", "honest", "honest_interval", "selecting", "zero"), NONE)
    verdict = "not run: narrower features or --set"
    return RowLine(str(row["row"]), "", figures, verdict=verdict, open="; ".join(row.get("open", [])), **dashes)


def _own(label: str, number: str) -> str:
    """A row's own name where several rows share one training and so one label."""
    found = re.search(rf"row {number}: (.*?)(?:, row \d+:|$)", label) if number else None
    return found[1] if found else label


def _verdict(row: Mapping[str, Any], expected: Any, reasons: list[str]) -> str:
    if not row:
        return "no row of the source"
    if row.get("p_at_200") is None:
        return "not comparable: left blank by the source"
    if reasons:
        return "not comparable"  # the reasons are the run's, and stand above the tables
    if expected is None:
        return "not comparable: fewer than 2 seeds"
    return "inside" if expected.low <= row["p_at_200"] <= expected.high else "outside"


def _effects(frame: pd.DataFrame) -> tuple[str, list[EffectLine]]:
    """Honest figures of every row minus the reference row: `best` of an ablation, else the first declared."""
    wide = frame.pivot(index="seed", columns="label", values="precision")
    labels = list(dict.fromkeys(frame["label"]))
    reference = "best" if "best" in labels else labels[0]
    wide = wide.dropna(subset=[reference])
    others = [label for label in labels if label != reference and not wide[label].isna().any()]
    if len(wide) < 2 or not others:
        return reference, []
    found = effects(wide[reference].to_numpy(float), [wide[label].to_numpy(float) for label in others])
    return reference, [
        EffectLine(label, _points(one.gap.mean), _ends(one.gap.low, one.gap.high), _p(one.p_holm))
        for label, one in zip(others, found, strict=True)
    ]


def _correlation(pairs: list[tuple[float, float]]) -> str:
    if len(pairs) < 4:
        return ""
    found = rank_correlation(*zip(*pairs, strict=True))
    return f"Spearman correlation of reported and reproduced order, {len(pairs)} rows: {found:.2f}."


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _ends(low: float, high: float) -> str:
    return f"[{_points(low)}, {_points(high)}]"
