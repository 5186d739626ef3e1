import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sbir.cli import main
from sbir.tracking.dashboard import build, save, specification

BLUE, ORANGE, GREY = "#0072B2", "#E69F00", "#8A8F98"  # Okabe and Ito's blue and orange


@pytest.fixture
def two_methods(finished: Path) -> Path:
    """The run with a second method, BDT, whose trials are those of the first at twice the time."""
    trials = pd.read_parquet(finished / "trials.parquet")
    second = trials.assign(method="bdt", device_seconds=2 * trials["device_seconds"])
    pd.concat([trials, second], ignore_index=True).to_parquet(finished / "trials.parquet")
    for folder in sorted((finished / "trials").glob("cross_modal-*")):
        shutil.copytree(folder, folder.with_name(folder.name.replace("cross_modal", "bdt")))
    manifest, summary = (json.loads((finished / name).read_text()) for name in ("manifest.json", "summary.json"))
    manifest |= {"methods": ["cross_modal", "bdt"], "labels": {"cross_modal": "CMDT", "bdt": "BDT"}}
    manifest["axes"]["bdt"] = manifest["axes"]["cross_modal"]
    manifest["domains"]["cross_modal"]["train/lr"] = "5e-05 to 0.001 (log)"
    summary["methods"] = {
        name: {"label": label, "trials": 6, "budget": 6, "spent": 5.0, "device_s": seconds, "num_axes": 6}
        for name, label, seconds in (("cross_modal", "CMDT", 3600.0), ("bdt", "BDT", 7200.0))
    }
    summary["table"] += [{**row, "row": "BDT"} for row in summary["table"] if row["row"] == "CMDT"]
    summary["flags"] = ["synthetic", "demo scale"]
    (finished / "manifest.json").write_text(json.dumps(manifest))
    (finished / "summary.json").write_text(json.dumps(summary))
    return finished


def spec(*runs: Path, **options: Any) -> Any:
    return json.loads(specification(build(runs, **options)))


def panels(told: Any) -> dict[str, list[tuple[str, Any]]]:
    """Section -> (kind, configuration) of each panel of the workspace."""
    sections = told["workspace"]["section"]["panelBankConfig"]["sections"]
    return {one["name"]: [(panel["viewType"], panel["config"]) for panel in one["panels"]] for one in sections}


def grids(told: Any) -> dict[str, Any]:
    """Name of the run set -> panel grid of the report."""
    found = [block["metadata"] for block in told["report"]["blocks"] if block["type"] == "panel-grid"]
    return {grid["runSets"][0]["name"]: grid for grid in found}


def test_every_panel_is_there_in_order_and_says_what_it_draws(two_methods: Path) -> None:
    found = panels(spec(two_methods))
    assert list(found) == [
        "What this is", "Methods side by side", "Learning curves", "Settings and result", "Lambda",
        "Quality against cost", "Reported against reproduced", "Runs compared",
        "Retrieval grids (sent with --pictures only)",
    ]  # fmt: skip
    ((_, overview),) = found["What this is"]
    for words in ("SYNTHETIC", "DEMO SCALE", "fingerprint `1a2b3c4d`", "looked at by 3 runs", "P@20"):
        assert words in overview["value"]
    bars = [config for kind, config in found["Methods side by side"] if kind == "Bar Chart"]
    assert [bar["metrics"] for bar in bars] == [["test/precision_at_20"], ["best/precision_at_20"], ["test/map_all"]]
    assert {(bar["groupBy"], bar["groupAgg"], bar["groupArea"]) for bar in bars} == {
        ("about/row.value", "mean", "stddev")
    }
    curves = [config for _, config in found["Learning curves"]]
    assert [curve["metrics"] for curve in curves] == [["val/precision_at_20"], ["best/precision_at_20"]]
    assert {(curve["xAxis"], curve["groupBy"], curve["groupArea"]) for curve in curves} == {
        ("step", "about/row.value", "minmax")
    }
    assert found["Runs compared"] == [("Run Comparer", {"diffOnly": "split"})]
    assert found["Retrieval grids (sent with --pictures only)"][0][1]["mediaKeys"] == ["retrieval"]
    assert "No declared rows were run" in found["Reported against reproduced"][0][1]["value"]


def test_settings_are_drawn_a_method_each_and_importance_says_when_there_is_not_enough(two_methods: Path) -> None:
    shown = panels(spec(two_methods))["Settings and result"]
    lines = [config for kind, config in shown if kind == "Parallel Coordinates Plot"]
    assert [line["chartTitle"].split(",")[0] for line in lines] == ["CMDT", "BDT"]
    accessors = [column["accessor"] for column in lines[0]["columns"]]
    assert accessors[0] == "config:method/latent.value"
    assert accessors[-1] == "summary:best/precision_at_20"
    assert [column["displayName"] for column in lines[0]["columns"] if column.get("log")] == ["lr"]
    (target,) = [config["targetKey"] for kind, config in shown if kind == "Parameter Importance"]
    assert target == "best/precision_at_20"
    assert "not enough: 6 axes need 60 complete trials" in shown[-1][1]["value"]


def test_lambda_and_cost_are_lines_of_the_comparison_in_the_pages_colours(two_methods: Path) -> None:
    found = panels(spec(two_methods, price=3.0))
    ((_, curve),) = found["Lambda"]
    assert (curve["xAxis"], curve["metrics"]) == ("lambda/at", ["lambda/CMDT", "lambda/BDT"])
    colours = {key: value["color"] for key, value in curve["overrideColors"].items()}
    assert colours == {"cross_modal-1-comparison:lambda/CMDT": BLUE, "cross_modal-1-comparison:lambda/BDT": ORANGE}
    (_, cost), (kind, points), (_, prices) = found["Quality against cost"]
    assert (cost["xAxis"], cost["metrics"]) == ("budget/device_seconds", ["budget/CMDT", "budget/BDT"])
    assert (kind, points["xAxis"], points["yAxis"]) == (
        "Scatter Plot", "summary:device_seconds", "summary:best/precision_at_20",
    )  # fmt: skip
    assert "| cross_modal-1 | BDT | 2 | 6 |" in prices["value"]


def test_baselines_are_pinned_pruned_trials_hidden_and_colours_fixed(two_methods: Path) -> None:
    told = spec(two_methods)
    section = told["workspace"]["section"]
    (runs,) = section["runSets"]
    pinned = [base64.b64decode(one).decode().split(":")[2] for one in runs["pinnedRunIds"]]
    assert pinned == [f"cross_modal-1-baseline-{row}" for row in ("ridge", "procrustes", "mean_removed", "raw")]
    assert runs["baselineRunId"] == runs["pinnedRunIds"][0]
    conditions = [(one["key"]["name"], one["op"], one["value"]) for one in runs["filters"]["filters"]]
    assert conditions == [("about/sweep", "IN", ["cross_modal-1"]), ("tags", "NIN", ["pruned"])]
    colours = {
        key.rpartition("value%22%3A%22")[2].partition("%22")[0]: c for key, c in section["customRunColors"].items()
    }
    assert (colours["CMDT"], colours["BDT"], colours["ridge"], colours["chance"]) == (BLUE, ORANGE, GREY, GREY)
    assert section["settings"]["maxRuns"] == 200


def test_the_report_has_its_own_run_sets_and_importance_apart_for_each_method(two_methods: Path) -> None:
    told = spec(two_methods)
    found = grids(told)
    assert found["Methods side by side"]["runSets"][0]["grouping"] == [{"section": "config", "name": "about/row.value"}]
    assert found["Settings and result"]["runSets"][0]["grouping"] == []
    (condition,) = [
        one
        for one in found["BDT, cross_modal-1"]["runSets"][0]["filters"]["filters"]
        if one["key"]["name"] == "jobType"
    ]
    assert condition["value"] == "bdt"
    kinds = [panel["viewType"] for panel in found["BDT, cross_modal-1"]["panelBankSectionConfig"]["panels"]]
    assert kinds == ["Parameter Importance"]
    assert set(found["Methods side by side"]["customRunColors"].values()) == {BLUE, ORANGE, GREY}


def test_another_fingerprint_is_another_group(finished: Path, tmp_path: Path) -> None:
    other = shutil.copytree(finished, tmp_path / "other")
    for name, key, value in (("manifest.json", "name", "other"), ("summary.json", "protocol", {"fingerprint": "ffff"})):
        held = json.loads((other / name).read_text())
        (other / name).write_text(json.dumps(held | {key: value}))
    told = spec(finished, other)
    assert told["workspace"]["section"]["runSets"][0]["grouping"][0]["name"] == "about/line.value"
    colours = str(told["workspace"]["section"]["customRunColors"])
    assert "CMDT%201a2b3c4d" in colours
    assert "CMDT%20ffff" in colours


def test_built_twice_it_is_the_same(two_methods: Path) -> None:
    assert specification(build([two_methods])) == specification(build([two_methods]))


def test_without_a_key_the_specification_is_written_and_what_pushing_would_do_is_said(
    finished: Path, server: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    assert main(["dashboard", str(finished)]) == 0
    told = capsys.readouterr().out
    assert "not saved: with a key of W&B's" in told
    assert "the report 'sbir: cross_modal-1' in your-entity/sbir" in told
    assert json.loads((finished / "dashboard.json").read_text())["title"] == "sbir: cross_modal-1"
    assert server.queries == []


def test_saved_twice_it_is_one_workspace_and_one_report(finished: Path, server: Any) -> None:
    server.projects.add("sbir")
    first, again = save(build([finished])), save(build([finished]))
    assert first == again
    assert server.saved == ["view-0", "view-1"] * 2
    workspace, report = server.views["view-0"], server.views["view-1"]
    assert (workspace["type"], report["type"]) == ("project-view", "runs")
    pinned = json.loads(workspace["spec"])["section"]["runSets"][0]["baselineRunId"]
    assert base64.b64decode(pinned).decode() == "Run:v1:cross_modal-1-baseline-ridge:sbir:lab"
    grid = next(block for block in json.loads(report["spec"])["blocks"] if block["type"] == "panel-grid")
    assert grid["metadata"]["runSets"][0]["project"]["name"] == "sbir"


def test_what_cannot_be_built_or_saved_is_one_line(
    finished: Path, server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dashboard", str(finished)]) == 2
    assert "needs the project lab/sbir on the server" in capsys.readouterr().err
    with pytest.raises(ValueError, match="runs with different names, got cross_modal-1, cross_modal-1"):
        build([finished, finished])
    with pytest.raises(ValueError, match="price must be at least 0"):
        build([finished], price=-1)
