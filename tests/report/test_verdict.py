from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from sbir.report.load import Run, load_run
from sbir.report.verdict import verdicts


@pytest.fixture
def two(make_run: Callable[..., Path]) -> Run:
    """A second method that is ten points worse than the first on every query."""
    run = load_run(make_run())
    rows = [row for row in run.summary["table"] if row["kind"] == "method"]
    worse = {**rows[0], "row": "CVAE", "test": {run.metric: {"mean": rows[0]["test"][run.metric]["mean"] - 0.1}}}
    scores = run.per_query[run.per_query["row"] == "CMDT"]
    scores = scores.assign(row="CVAE", **{run.metric: scores[run.metric] - 0.1})
    comparison = {
        "names_winners": True,
        "num_classes": 11,
        "rows": {name: {"candidate": name in ("CMDT", "ridge")} for name in ("raw", "ridge", "CMDT", "CVAE")},
    }
    summary = {**run.summary, "table": [*run.summary["table"], worse], "comparison": comparison}
    return replace(run, summary=summary, per_query=pd.concat([run.per_query, scores]))


def test_several_methods_are_compared_at_once_and_with_the_best_baseline_in_two_sentences(two: Run) -> None:
    first, second = verdicts(two)
    assert first.startswith("This run does not tell ridge and CMDT apart; the other 2 rows are worse")
    assert second.startswith("Against ridge (26.8 %, the best baseline on test), each by itself: ")
    assert second.index("CMDT 33.4") < second.index("CVAE 23.4")


def test_a_single_candidate_is_the_best_and_few_classes_name_none(two: Run) -> None:
    found = two.summary["comparison"]
    alone = {**found, "rows": {**found["rows"], "ridge": {"candidate": False}}}
    assert verdicts(replace(two, summary={**two.summary, "comparison": alone}))[0].startswith(
        "Best on these classes, of 4 rows: CMDT"
    )
    every = {**found, "rows": {name: {"candidate": True} for name in found["rows"]}}
    assert verdicts(replace(two, summary={**two.summary, "comparison": every}))[0] == (
        "This run does not tell raw, ridge, CMDT and CVAE apart."
    )
    few = {**found, "names_winners": False, "num_classes": 8}
    assert "no winner is named" in verdicts(replace(two, summary={**two.summary, "comparison": few}))[0]
