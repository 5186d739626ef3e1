"""Every script in sweeps/ runs. Scripts are found, not listed: a new one is tested from its first day."""

import json
import runpy
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from sbir.training.settings import full_key, method_settings
from sbir.tuning.space import Resolved
from sbir.tuning.sweep import Sweep
from sbir.types import DataSpec

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "sweeps").glob("*.py"))


def sweeps() -> list[Sweep]:
    found = [value for script in SCRIPTS for value in vars(import_module(f"sweeps.{script.stem}")).values()]
    return [value for value in found if isinstance(value, Sweep)]


@pytest.mark.parametrize("scale", ["demo", "paper"])
@pytest.mark.parametrize("sweep", sweeps(), ids=lambda sweep: sweep.name)
def test_every_declared_row_and_draw_is_accepted_and_first_rows_lie_in_the_space(sweep: Sweep, scale: str) -> None:
    resolved = Resolved(sweep, scale=scale, wanted={})
    shapes = {"feature": (5568,), "image": (64, 64, 3), "strokes": (100, 3), "num_points": ()}
    sketchy = DataSpec(shapes, shapes, num_classes=104, paired=True)
    resolved.check_values(lambda _: sketchy)
    assert resolved.ablation()
    first = resolved.allowed(sweep.first)
    assert first
    for row in first:
        assert resolved.parameters(row)  # raises where a row lies outside the space


@pytest.mark.parametrize("sweep", sweeps(), ids=lambda sweep: sweep.name)
def test_no_declared_row_is_of_full_size_at_demo_scale(sweep: Sweep) -> None:
    """A row that leaves a scaled setting out would take the method's own default for it."""
    resolved = Resolved(sweep, scale="demo", wanted={})
    full = {f"method/{name}": value for name, value in method_settings(sweep.method).items()} | resolved.constants
    scaled = {
        key: values for key, values in sweep.demo.replace.items() if full.get(full_key(key, sweep.method)) in values
    }
    for row in [*resolved.rows, *resolved.ablation()]:
        for key in scaled:
            unused = row.settings.get("method/decoder") == "deterministic" and key == "method/latent"
            assert unused or full_key(key, sweep.method) in row.settings, (row.label, key)


def test_an_ablation_differs_from_what_the_user_set() -> None:
    wanted: dict[str, list[Any]] = {"latent": [256], "margin2": [5.0], "dropout": [0.1, 0.2], "train/steps": [7]}
    resolved = Resolved(next(one for one in sweeps() if one.name == "cross_modal"), scale="demo", wanted=wanted)
    best, *others = resolved.ablation()
    settings = resolved.constants | best.settings
    assert [settings[f"method/{key}"] for key in ("latent", "margin2", "dropout")] == [256, 5.0, 0.1]
    assert settings["train/steps"] == 7
    labels = [row.label for row in others]
    assert "method/dropout=0.2" in labels
    assert not any("latent" in label or "margin2" in label or label == "method/dropout=0.0" for label in labels)
    assert all(row.settings["method/latent"] == 256 for row in others)


def test_sweeps_have_names_of_their_own() -> None:
    names = [sweep.name for sweep in sweeps()]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.usefixtures("ray_session", "one_thread")  # scripts start no Ray of their own where one runs
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_sweep_script_runs_to_its_table_and_no_trial_fails(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--smoke", "--workers", "1", "--name", "smoke", "--runs", str(tmp_path)]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(script), *flags])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    said = capsys.readouterr()
    assert ended.value.code == 0, said.out + said.err
    assert ", 0 failed)" in said.out, said.out
    table = json.loads((tmp_path / "smoke" / "summary.json").read_text())["table"]
    methods = [row for row in table if row["kind"] == "method"]
    assert methods
    assert all(row["test"] for row in methods), table
