"""Curves of binary codes and of the invariance study: on the page where a run has them, and nowhere else."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from sbir.metrics.hamming import pack
from sbir.report.codes import _packed_bytes, code_figures, code_table
from sbir.report.invariance import invariance_figures
from sbir.report.load import load_run
from tests.report.conftest import write_run

CODES = {
    "num_bits": 16,
    "bytes_per_item": 2,
    "means": {"precision_within_2": 0.5, "nothing_within_2": 0.25, "map_all_worst": 0.1, "map_all_best": 0.9},
    "by_radius": [[0, 0.25, 0.75], [1, 1.0, 0.5]],
    "by_rank": [[1, 0.8], [10, 0.4]],
}


def test_a_run_without_codes_or_study_has_no_such_figure(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path))
    assert code_figures(run) == []
    assert invariance_figures(run) == []


def test_precision_stands_over_recall_and_over_the_number_of_results_in_percent(tmp_path: Path) -> None:
    write_run(tmp_path)
    (tmp_path / "finalists" / "cross_modal-13-0" / "codes.json").write_text(json.dumps(CODES))
    recall, rank = code_figures(load_run(tmp_path))
    (line,) = recall[3]["data"]
    assert (line["x"], line["y"]) == ([25.0, 100.0], [75.0, 50.0])
    (line,) = rank[3]["data"]
    assert (line["x"], line["y"]) == ([1, 10], [80.0, 40.0])
    for words in (
        "16 bits, 2 bytes an item",
        "50.0 % are right (25.0 % of the queries find nothing",
        "10.0 % to 90.0 %",
    ):
        assert words in recall[2]


def test_declared_codes_are_columns_by_their_length_with_what_they_cost(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path))
    assert code_table(run) == ([], [])
    declared = pd.DataFrame(
        {"method": "sketchmate", "label": ["64 bits", "24 bits"], "kind": "declared", "method/bits": [64, 24]}
    )
    published = pd.DataFrame(
        {
            "method": "sketchmate",
            "label": ["64 bits", "64 bits", "24 bits"],
            "seed": [1, 2, 1],
            "precision": [0.9, 0.8, 0.5],
            "real_precision": [0.95, 0.95, float("nan")],
        }
    )
    labels, lines = code_table(replace(run, trials=pd.concat([run.trials, declared]), published=published))
    assert labels == ["24 bits", "64 bits"]
    assert [values for _, values in lines] == [["24", "64"], ["50.0", "85.0"], ["–", "95.0"], ["4", "8"], ["96", "256"]]


def test_packed_sizes_are_those_of_the_packed_codes() -> None:
    for bits in (1, 8, 9, 16, 24, 32, 33, 64, 65, 200):
        assert _packed_bytes(bits) == pack(torch.ones(1, bits)).bytes_per_item


def test_every_network_and_reference_of_the_study_is_a_line_with_its_area(tmp_path: Path) -> None:
    write_run(tmp_path)
    moves = {
        move: {"values": [0.0, 1.0], "mean": [1.0, 0.5], "deviation": [0.0, 0.1], "others": 0.2, "area": 0.75}
        for move in ("shift", "rotation", "scale")
    }
    names = ["raw pixels", "cross_modal", "cross_modal, random weights"]
    (tmp_path / "invariance.json").write_text(json.dumps(dict.fromkeys(names, moves)))
    figures = invariance_figures(load_run(tmp_path))
    assert [name for name, *_ in figures] == ["invariance-shift", "invariance-rotation", "invariance-scale"]
    lines = figures[0][3]["data"]
    assert [line["name"] for line in lines] == ["raw pixels", "CMDT", "CMDT, random weights"]
    assert lines[1]["line"]["color"] == lines[2]["line"]["color"] != lines[0]["line"]["color"]
    assert [line["line"]["dash"] for line in lines] == ["dot", "solid", "dot"]
    assert lines[0]["error_y"]["array"] == pytest.approx([0.0, 0.1])
    assert "CMDT, random weights 0.750 (0.200)" in figures[0][2]
