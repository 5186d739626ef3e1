"""The reproduction table: hand-made trainings against reported rows, with figures worked out by hand."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sbir.report.load import Run, load_run
from sbir.report.page import render
from sbir.report.reproduction import as_markdown, controls, not_comparable, reproductions
from sbir.report.setup_text import setup_latex, setup_markdown

MakeRun = Callable[..., Path]

REPORTED = {
    "cross_modal": {
        "source": "a paper",
        "rows": [
            {"row": 1, "p_at_200": 0.35, "map_at_200": 0.2, "open": ["dropout"]},
            {"row": 2, "p_at_200": 0.50, "map_at_200": 0.4, "open": []},
            {"row": 3, "p_at_200": None, "map_at_200": None, "open": []},
            {"row": 4, "p_at_200": 0.36, "map_at_200": 0.2, "open": []},
            {"row": 9, "p_at_200": 0.10, "map_at_200": 0.1, "open": []},
        ],
    }
}


def training(label: str, seed: int, source: float, honest: float, zero: float = float("nan")) -> dict[str, Any]:
    figures = {"source_precision": source, "source_map": source / 2, "precision": honest, "map": honest / 2}
    steps = {"source_step": 50, "source_lambda": "0.3", "step": 40, "lambda": "0.4", "device_seconds": 1.0}
    return {"method": "cross_modal", "label": label, "seed": seed, "zero_precision": zero, **figures, **steps}


def published() -> pd.DataFrame:
    rows = [
        *(
            training("row 1: a, row 4: <b>b</b>", seed, 0.32 + 0.02 * seed, 0.30 + 0.02 * seed, 0.30)
            for seed in (1, 2, 3)
        ),
        *(training("row 2: c", seed, 0.32 + 0.02 * seed, 0.20 + 0.02 * seed) for seed in (1, 2, 3)),
        *(training("row 3: d", seed, 0.32 + 0.02 * seed, 0.20) for seed in (1, 2, 3)),
        *(training("control: e", seed, 0.30, 0.30) for seed in (1, 2, 3)),
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def sketchy(make_run: MakeRun) -> Run:
    """A run on the source's data, split and k, at full scale."""
    run = load_run(make_run())
    num = {"test_query": 12694, "test_gallery": 10453}
    data = {**run.manifest["data"], "classes": {"train": 90, "val": 14, "test": 21}, "num": num}
    summary = {**run.summary, "flags": [], "k": 200, "reported": REPORTED}
    return replace(run, manifest={**run.manifest, "data": data}, summary=summary, published=published())


def test_a_search_has_no_reproduction(make_run: MakeRun) -> None:
    assert reproductions(load_run(make_run())) == []


def test_each_reported_row_is_held_against_the_interval_of_one_run(sketchy: Run) -> None:
    assert not_comparable(sketchy) == []
    (table,) = reproductions(sketchy)
    lines = {line.row or line.label: line for line in table.rows}
    assert list(lines) == ["1", "2", "3", "4", "9", "control: e"]
    first = lines["1"]
    assert first.label == "a"
    assert (first.reported, first.reproduced, first.honest) == ("35.0 / 20.0", "36.0 / 18.0", "34.0")
    assert first.expected == "[26.1, 45.9]"  # 0.36 ± 4.303 · 0.02 · sqrt(4/3)
    assert first.honest_interval == "[29.0, 39.0]"  # 0.34 ± 4.303 · 0.02 / sqrt(3)
    assert (first.selecting, first.zero, first.open) == ("+2.0", "-4.0", "dropout")
    verdicts = {row: line.verdict for row, line in lines.items()}
    assert verdicts == {
        "1": "inside",
        "2": "outside",
        "3": "not comparable: left blank by the source",
        "4": "inside",
        "9": "not run: narrower features or --set",
        "control: e": "no row of the source",
    }
    assert lines["2"].zero == "–"


def test_other_data_or_scale_is_never_called_a_reproduction(sketchy: Run) -> None:
    demo = replace(sketchy, summary={**sketchy.summary, "flags": ["demo scale"], "k": 20})
    assert not_comparable(demo) == ["demo scale", "k is 20, the source's 200"]
    assert reproductions(demo)[0].rows[0].verdict == "not comparable"

    def changed(**more: Any) -> list[str]:
        return not_comparable(replace(sketchy, manifest={**sketchy.manifest, **more}))

    data = sketchy.manifest["data"]
    assert "100 seen and 25 unseen" in changed(data={**data, "classes": {"train": 90, "val": 10, "test": 25}})[0]
    assert changed(data={**data, "paired": False}) == ["no sketch-photo pairs"]
    assert changed(backbone={"name": "vgg16", "weights": "random:0"}) == ["features of random weights"]
    assert changed(settings={"train/lr": [1.0], "eval/k": [200]}) == ["set by hand: train/lr"]


def test_the_tables_are_written_as_markdown_too(sketchy: Run) -> None:
    text = as_markdown(sketchy)
    assert (
        "| 1 | a | 35.0 / 20.0 | 36.0 / 18.0 | [26.1, 45.9] | inside | 34.0 | [29.0, 39.0] | +2.0 | -4.0 | dropout |"
        in text
    )
    assert "Not a reproduction" not in text
    assert as_markdown(replace(sketchy, published=None)) == ""


def test_effects_are_paired_by_seed_against_the_first_row_and_corrected(sketchy: Run) -> None:
    (table,) = reproductions(sketchy)
    found = {line.label: line for line in table.effects}
    assert table.reference.startswith("row 1: a")
    assert list(found) == ["row 2: c", "row 3: d", "control: e"]
    assert (found["row 2: c"].gap, found["row 2: c"].p_holm) == ("-10.0", "< 0.001")  # the same gap in every seed
    assert found["row 3: d"].gap == "-14.0"
    assert found["row 3: d"].ends == "[-19.0, -9.0]"
    assert found["row 3: d"].p_holm == "0.013"  # t = 0.14 / (0.02 / sqrt(3)) = 12.12, p = 0.0067, two rows left


def test_an_ablation_is_against_its_best_setting(sketchy: Run) -> None:
    assert sketchy.published is not None
    renamed = sketchy.published.replace({"label": {"row 2: c": "best"}})
    assert reproductions(replace(sketchy, published=renamed))[0].reference == "best"


def test_controls_say_what_needs_no_training(sketchy: Run) -> None:
    figures = {row["row"]: row["test"][sketchy.metric]["mean"] for row in sketchy.summary["table"]}
    gain = 100 * (figures["ridge"] - figures["raw"])
    assert f"ridge {gain:+.1f}" in controls(sketchy)


def test_labels_are_text_on_the_page(sketchy: Run) -> None:
    page = render([sketchy], [lambda _: None])
    assert "<b>b</b>" not in page
    assert "&lt;b&gt;b&lt;/b&gt;" in page
    assert "Reported versus reproduced" in page


def test_the_setup_is_told_in_markdown_and_latex(make_run: MakeRun) -> None:
    folder = make_run()
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest |= {
        "domains": {"cross_modal": {"method/a_b": [1, 2], "train/lr": "1e-05 to 0.001 (log)"}},
        "stage": "search",
    }
    manifest |= {"labels": {"cross_modal": "CMDT & co"}, "trials": 12, "final_seeds": 3}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    run = load_run(folder)
    text, tex = setup_markdown(run), setup_latex(run)
    assert "| CMDT & co | a_b | 1, 2 | – |" in text
    assert r"CMDT \& co & a\_b & 1, 2 & – \\" in tex
    assert "a budget of 12 full-length trainings per method" in text
    hours = run.trials["device_seconds"].sum() / 3600
    assert f"{hours:.2f} device-hours" in text
    assert not re.search(r"(?<!\\)%", tex)
