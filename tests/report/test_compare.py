import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sbir.cli import main
from sbir.metrics.best import compare_with_best
from sbir.report.compare import Comparison, compare
from sbir.report.compare_text import as_csv, as_latex, as_markdown, print_comparison
from sbir.report.load import load_run
from tests.report.conftest import CLASSES, ROWS, write_run


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def rename(folder: Path, row: str, name: str) -> Path:
    """Another method's run on the same data: one row has another name."""

    def change(summary: dict[str, Any]) -> None:
        for one in summary["table"]:
            one["row"] = name if one["row"] == row else one["row"]

    edit(folder / "summary.json", change)
    frame = pd.read_parquet(folder / "per_query.parquet")
    frame.assign(row=frame["row"].replace(row, name)).to_parquet(folder / "per_query.parquet")
    return folder


def other_data(folder: Path) -> Path:
    edit(folder / "manifest.json", lambda manifest: manifest["data"].update(dataset="photos & more"))
    edit(folder / "summary.json", lambda summary: summary["protocol"].update(fingerprint="99887766"))
    return folder


@pytest.fixture
def found(run_dir: Path, tmp_path: Path) -> Comparison:
    same = rename(write_run(tmp_path / "second"), "CMDT", "CVAE_x")
    return compare([load_run(path) for path in (run_dir, same, other_data(write_run(tmp_path / "third")))])


def test_runs_of_one_fingerprint_share_a_column_and_others_have_their_own(found: Comparison) -> None:
    assert [(column.dataset, column.fingerprint) for column in found.columns] == [
        ("doodles-demo", "1a2b3c4d"), ("photos & more", "99887766")]  # fmt: skip
    assert found.columns[0].runs == ("cross_modal-20261121-0300", "second")
    assert found.rows == ["chance", "Procrustes", "ridge", "mean removed", "raw", "CMDT", "CVAE_x", "ceiling"] or set(
        found.rows
    ) == {"chance", *ROWS, "CVAE_x", "ceiling"}
    assert found.cells["CVAE_x"][1] is None
    ridge = found.cells["ridge"]
    assert [cell.text for cell in ridge if cell] == ["26.8 [22.8, 31.8]"] * 2


@pytest.mark.parametrize(
    "change",
    [
        lambda summary: summary["protocol"].update(fingerprint="0"),
        lambda summary: summary["protocol"].update(name="generalised"),
        lambda summary: summary.update(flags=["demo scale"]),
        lambda summary: summary.update(metric="val/map_all"),
    ],
    ids=["fingerprint", "protocol", "scale", "metric"],
)
def test_nothing_of_another_protocol_scale_or_selection_stands_in_a_column(
    run_dir: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    other = write_run(tmp_path / "other")
    assert len(compare([load_run(run_dir), load_run(other)]).columns) == 1
    edit(other / "summary.json", change)
    apart = compare([load_run(run_dir), load_run(other)])
    assert len(apart.columns) == 2
    assert len(compare([load_run(run_dir), load_run(other)], "map_all").columns) == 2


def test_a_row_that_two_runs_give_differently_is_named_with_its_run(run_dir: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other")

    def better(summary: dict[str, Any]) -> None:
        (row,) = [row for row in summary["table"] if row["row"] == "CMDT"]
        row["test"]["precision_at_20"]["mean"] += 0.01

    edit(other / "summary.json", better)
    rows = compare([load_run(run_dir), load_run(other)]).rows
    assert {"CMDT (cross_modal-20261121-0300)", "CMDT (other)", "ridge"} <= set(rows)
    assert "CMDT" not in rows


def test_bold_is_the_set_that_the_test_leaves_and_nothing_without_a_test(found: Comparison, tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "fourth"))
    frame = run.per_query
    names = list(ROWS)
    wide = frame.pivot_table(index="item", columns="row", values="precision_at_20", sort=False)[names]
    about = frame.drop_duplicates("item").set_index("item").loc[wide.index]
    classes = np.array([CLASSES.index(name) for name in about["class"]])
    best = compare_with_best(wide.to_numpy().T, classes, about["instance"].to_numpy())
    expected = {names[at] for at in best.candidates}
    assert 0 < len(expected) < len(names)
    alone = compare([run])
    assert {name for name, (cell,) in alone.cells.items() if cell and cell.bold} == expected
    few = frame[frame["class"].isin(CLASSES[:9])]
    few.to_parquet(run.path / "per_query.parquet")
    fewer = compare([load_run(run.path)])
    assert not any(cell.bold for (cell,) in fewer.cells.values() if cell)
    assert fewer.columns[0].verdict == "Nothing bold: 9 test classes, fewer than 10."
    flat = frame.assign(precision_at_20=np.random.default_rng(0).random(len(frame)))
    flat.to_parquet(run.path / "per_query.parquet")
    assert compare([load_run(run.path)]).columns[0].verdict == "Nothing bold: no two rows are told apart."


def test_the_latex_is_balanced_and_escaped_and_every_row_has_all_columns(found: Comparison) -> None:
    text = as_latex(found)
    assert re.findall(r"\\begin\{(\w+)\}", text) == ["table", "tabular", "minipage"]
    assert sorted(re.findall(r"\\end\{(\w+)\}", text)) == ["minipage", "table", "tabular"]
    assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    assert not re.search(r"(?<!\\)[%_#$]", text)
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    lines = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert len(lines) == 3 + len(found.rows)
    assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {2}
    assert r"photos \& more\textsuperscript{2}" in body
    assert r"CVAE\_x" in body
    assert r"\textbf{33.4 [29.4, 38.4]}" in body
    assert r"\textsuperscript{a} fitted on:" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_tex_takes_the_table(found: Comparison, tmp_path: Path) -> None:
    head = r"\documentclass{article}\usepackage{booktabs}\begin{document}"
    (tmp_path / "t.tex").write_text(f"{head}\n{as_latex(found)}\\end{{document}}\n", encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "t.pdf").stat().st_size > 1000


def test_the_csv_has_one_line_a_figure_unrounded(found: Comparison) -> None:
    lines = list(csv.DictReader(io.StringIO(as_csv(found))))
    assert len(lines) == sum(cell is not None for cells in found.cells.values() for cell in cells)
    (line,) = [line for line in lines if line["row"] == "CMDT" and line["dataset"] == "photos & more"]
    assert (line["fingerprint"], line["metric"], line["given"]) == (
        "99887766", "precision_at_20", "sketch-photo pairs and class labels")  # fmt: skip
    assert [float(line[key]) for key in ("mean", "class_low", "seed_high")] == pytest.approx([0.334, 0.294, 0.345])


def test_markdown_and_terminal_say_the_same(found: Comparison) -> None:
    text = as_markdown(found)
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(found.rows)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {4}
    assert "photos &amp; more <sup>2</sup><br>P@20<br>`99887766`" in table[0]
    out = io.StringIO()
    print_comparison(found, out)
    shown = out.getvalue()
    assert "33.4 [29.4, 38.4] *" in shown
    assert "\x1b" not in shown
    for part in ("protocol zero_shot, fingerprint 99887766", "fitted on: sketch-photo pairs and class labels"):
        assert part in shown
        assert part in text


def test_demo_and_synthetic_columns_are_marked_in_every_form(tmp_path: Path) -> None:
    found = compare([load_run(write_run(tmp_path / "r", flags=("synthetic", "demo scale")))])
    out = io.StringIO()
    print_comparison(found, out)
    for text in (as_latex(found), as_markdown(found), out.getvalue()):
        assert "SYNTHETIC, DEMO SCALE" in text
    assert '"synthetic, demo scale"' in as_csv(found)


def test_an_unknown_metric_is_refused_in_one_line(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(run_dir), "--metric", "map_at_200"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--metric must be one that all runs scored" in error
    assert "got map_at_200" in error


def test_figures_are_written_as_pdf_and_svg_the_same_each_time(run_dir: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert main(["compare", str(run_dir), "--format", "csv", "--figures", str(tmp_path / name)]) == 0
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    stems = ["cross_modal-20261121-0300-lambda", "cross_modal-20261121-0300-learning", "results"]
    assert names == [f"{stem}.{kind}" for stem in stems for kind in ("pdf", "svg")]
    for name in names:
        data = (tmp_path / "one" / name).read_bytes()
        assert data == (tmp_path / "two" / name).read_bytes()
        assert data.startswith(b"%PDF-" if name.endswith("pdf") else b"<?xml")
    assert b"higher is better" in re.sub(rb"\s+", b" ", (tmp_path / "one/results.svg").read_bytes())
