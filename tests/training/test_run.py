"""A trial without Ray: exact resuming, honest failures, finalists that can be scored again."""

import json
import pickle
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sbir.cli import main
from sbir.data.feed import Columns
from sbir.data.loader import Shared
from sbir.data.protocol import make_protocol, partition
from sbir.data.smoke import write_smoke_store
from sbir.data.splits import assign
from sbir.models.cross_modal import CrossModal
from sbir.training.rescore import rescore
from sbir.training.run import Job, Refit, Run
from sbir.training.settings import full_key
from sbir.training.terms import NonFiniteLossError

SETTINGS = {
    "method/hidden": 32,
    "method/latent": 16,
    "method/num_samples": 2,
    "train/steps": 24,
    "train/eval_every": 6,
    "train/warmup": 4,
    "train/batch_size": 16,
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "smoke"
    write_smoke_store(path)
    return path


def make_run(store: Path, folder: Path, kind: type[Run] = Run, changes: dict[str, Any] | None = None) -> Run:
    shared = Shared.mapped(store)
    items = shared.items()
    split = assign(items, "stored")
    content = shared.manifest["content_hash"]
    protocol = make_protocol(items, split, split_spec="stored", content_hash=content, synthetic=True)
    job = Job("cross_modal", 0, "search", {**SETTINGS, **(changes or {})}, seed=3, folder=str(folder))
    if kind is Refit:
        job = replace(job, phase="refit", steps=12, fusion="0.5")
    source = {"store": str(store), "backbone": shared.manifest["backbone"]}
    return kind(job, CrossModal, Columns(items), split, protocol, save_every=0.0, source=source)


def rows_of(run: Run) -> list[dict[str, Any]]:
    rows, finished = [], False
    while not finished:
        row, finished = run.advance()
        rows.append({key: value for key, value in row.items() if key != "device_seconds"})
    return rows


def test_a_resumed_trial_reports_its_last_row_again_and_then_equals_an_uninterrupted_one(
    store: Path, tmp_path: Path
) -> None:
    whole = rows_of(make_run(store, tmp_path / "whole"))
    first = make_run(store, tmp_path / "cut")
    for _ in range(2):
        first.advance()
    assert rows_of(make_run(store, tmp_path / "cut")) == whole[1:]
    assert [row["step"] for row in whole] == [6, 12, 18, 24]


def test_patience_ends_a_trial_before_its_budget(store: Path, tmp_path: Path) -> None:
    rows = rows_of(make_run(store, tmp_path, changes={"train/lr": 1e-12, "train/patience": 2, "train/steps": 600}))
    assert rows[-1]["step"] < 100
    assert rows[-1]["step"] == rows[-1]["best/step"] + 2 * 6


def test_a_loss_that_is_no_number_names_term_and_step(store: Path, tmp_path: Path) -> None:
    run = make_run(store, tmp_path, changes={"train/lr": 1e30, "train/warmup": 0, "train/clip_norm": 0.0})
    with pytest.raises(NonFiniteLossError, match=r"loss term \w+ is (nan|inf) at step \d+"):
        rows_of(run)


def test_a_hostile_checkpoint_is_refused_and_not_run(store: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    (tmp_path / "last.pt").write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(pickle.UnpicklingError):
        make_run(store, tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_of_other_settings_is_refused(store: Path, tmp_path: Path) -> None:
    make_run(store, tmp_path).advance()
    with pytest.raises(ValueError, match="other settings"):
        make_run(store, tmp_path, changes={"method/dropout": 0.1})


def test_a_finalist_trains_on_train_and_val_and_scores_the_same_when_it_is_loaded(store: Path, tmp_path: Path) -> None:
    run = make_run(store, tmp_path, Refit)
    rows = rows_of(run)
    assert len(run.feed.partition.train_query) == 18 * 6
    logged = {key.removeprefix("test/"): value for key, value in rows[-1].items() if key.startswith("test/")}
    (again,) = rescore(tmp_path)
    assert again.result.means == pytest.approx(logged, abs=1e-12)
    assert again.result.fusion == "0.5"
    assert (again.protocol.name, again.protocol.k) == ("zero_shot", 6)
    assert "precision_at_6" in str(again)
    with np.load(tmp_path / "scores.npz") as saved:
        assert saved["metric/precision_at_6"].mean() == pytest.approx(logged["precision_at_6"])
    assert json.loads((tmp_path / "model.json").read_text())["job"] == asdict(run.job)


def test_evaluating_a_folder_without_a_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no model\.json"):
        rescore(tmp_path)


def test_the_command_scores_a_run_as_it_was_scored_and_counts_the_look(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "some-run"
    rows_of(make_run(store, folder / "finalists/cross_modal-0", Refit))
    (folder / "manifest.json").write_text("{}")
    assert main(["evaluate", str(folder)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("cross_modal-0  zero_shot ")
    assert out[1].endswith(": 1")
    assert len(json.loads((tmp_path / "looks_at_test.json").read_text())) == 1


def test_a_saved_model_runs_no_code_that_its_file_names(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows_of(make_run(store, tmp_path / "run", Refit))
    about = tmp_path / "run/model.json"
    about.write_text(about.read_text().replace("sbir.models.cross_modal:CrossModal", "mine:Mine"))
    script = tmp_path / "mine.py"
    lines = ["import pathlib", f"pathlib.Path({str(tmp_path / 'ran')!r}).touch()"]
    script.write_text("\n".join([*lines, "from sbir.models.cross_modal import CrossModal as Mine", ""]))
    assert main(["evaluate", str(tmp_path / "run")]) == 2
    assert "add --method FILE.py:Mine" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()
    assert main(["evaluate", str(tmp_path / "run"), "--method", f"{script}:Mine"]) == 0
    assert (tmp_path / "ran").exists()
    assert main(["evaluate", str(tmp_path / "run"), "--method", f"{script}:Yours"]) == 2


def test_test_rows_never_reach_training(store: Path) -> None:
    items = Shared.mapped(store).items()
    split = assign(items, "stored")
    protocol = make_protocol(items, split, split_spec="stored", content_hash="x", synthetic=True)
    for part in ("val", "test"):
        rows = partition(items, split, protocol, part)
        assert not set(items.class_id[rows.train_query]) & set(items.class_id[rows.gallery])


def test_an_unknown_setting_gets_a_suggestion() -> None:
    with pytest.raises(ValueError, match="did you mean 'method/dropout'"):
        full_key("dropuot", CrossModal)


def test_the_same_seed_gives_the_same_weights_whatever_ran_before(store: Path, tmp_path: Path) -> None:
    first = make_run(store, tmp_path / "a").method.state_dict()
    torch.rand(7)
    second = make_run(store, tmp_path / "b").method.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
