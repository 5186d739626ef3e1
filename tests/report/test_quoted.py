"""Figures that papers report stand on the page of a run on their data set, and nowhere else."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from sbir.data.protocol import RECALL
from sbir.report.load import Run
from sbir.report.quoted import TABLES, quoted
from sbir.report.reported import load_reported

SEED = Path(__file__).parents[3] / "shared/seeds/004_14c7913403d7ea77.txt"


def run(dataset: str, query: str = "photo") -> Run:
    protocol = {"query": query, "gallery": "photo", "recall": list(RECALL.get(dataset, (1,)))}
    return cast(Run, SimpleNamespace(summary={"protocol": protocol}, manifest={"data": {"dataset": dataset}}))


def test_rows_of_the_data_set_stand_with_their_network() -> None:
    text = quoted(run("cub"))
    assert "Recall@1, 2, 4, 8, 16, 32 in percent" in text
    assert "HDC (GoogLeNet, 384) 53.6 / 65.7 / 77.0 / 85.6 / 91.5 / 95.5; Clustering (BN-Inception, 64) 48.2" in text
    assert "no controlled comparison" in text
    assert "Smart Mining" not in quoted(run("sop"))
    assert "Clustering" not in quoted(run("inshop"))  # the source has no figures of it there


@pytest.mark.parametrize(("dataset", "query"), [("doodles", "photo"), ("cub", "sketch")])
def test_other_runs_have_none(dataset: str, query: str) -> None:
    assert quoted(run(dataset, query)) == ""


@pytest.mark.skipif(not SEED.exists(), reason="needs the source document in ../shared/seeds")
def test_every_quoted_figure_is_in_the_source() -> None:
    lines = [re.findall(r"[\d.]+", line.replace(",", ".")) for line in SEED.read_text().splitlines() if "|" in line]
    for name in set(TABLES.values()):
        for row in load_reported()[name].rows:
            values = [value for column in ("cub", "cars", "sop", "inshop") for value in row.get(column, [])]
            assert any([f"{100 * v:.4g}" for v in values] == [f"{float(n):.4g}" for n in line] for line in lines), row
