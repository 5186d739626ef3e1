"""Real sweeps in real processes: killed, interrupted, resumed, and refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from sbir.tracking.rows import read_rows
from sbir.tuning.main import main, run
from sbir.tuning.options import parse
from sweeps import cross_modal

ROOT = Path(__file__).parents[2]
SWEEPS = ROOT / "sweeps"
SWEEP = [sys.executable, str(SWEEPS / "cross_modal.py"), "--smoke", "--workers", "1", "--trials", "6"]
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
LONGER = ["--set", "train/steps=60"]
STOPS = ((6, signal.SIGKILL), (34, signal.SIGINT), (40, signal.SIGTERM), (60, signal.SIGKILL))  # after new lines


def start(folder: Path, name: str, *more: str, script: str = "cross_modal.py") -> "subprocess.Popen[bytes]":
    flags = [*SWEEP[2:], *LONGER, *more, "--name", name, "--runs", str(folder)]
    command = [sys.executable, str(SWEEPS / script), *flags]
    with (folder / f"{name}.out").open("w") as output:
        return subprocess.Popen(command, cwd=folder, env=ENV, stdout=output, stderr=subprocess.STDOUT)


def finish(folder: Path, name: str, *more: str, script: str = "cross_modal.py") -> None:
    status = start(folder, name, *more, script=script).wait(timeout=300)
    assert status == 0, (folder / f"{name}.out").read_text()


def trials(folder: Path, name: str) -> dict[Any, Any]:
    storage = JournalStorage(JournalFileBackend(str(folder / name / "study.journal")))
    found = {}
    for study in optuna.get_all_study_names(storage):
        for trial in optuna.load_study(study_name=study, storage=storage).trials:
            last = max(trial.intermediate_values, default=None)
            found[study, trial.number] = (trial.state.name, trial.params, trial.value, last)
    return found


def summary(folder: Path, name: str) -> dict[str, Any]:
    """`summary.json` apart from times."""
    whole = json.loads((folder / name / "summary.json").read_text())
    for method in whole["methods"].values():
        del method["device_s"]
    return {key: value for key, value in whole.items() if key not in ("times", "looks_at_test")}


def interrupt(
    folder: Path, name: str, lines: int, how: signal.Signals, *more: str, script: str = "cross_modal.py"
) -> int:
    """Send a signal after so many new lines of the journal; the exit status."""
    journal = folder / name / "study.journal"

    def length() -> int:
        return journal.read_bytes().count(b"\n") if journal.exists() else 0

    enough = length() + lines
    process = start(folder, name, *more, script=script)
    while process.poll() is None and length() < enough:
        time.sleep(0.002)
    process.send_signal(how)
    return process.wait(timeout=300)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweeps")
    finish(folder, "whole")
    return folder


def test_a_sweep_leaves_everything_that_is_documented(whole: Path) -> None:
    names = {path.name for path in (whole / "whole").iterdir()}
    assert names >= {
        "manifest.json", "study.journal", "summary.json", "trials.parquet", "per_query.parquet", "report.html",
        "baseline_top.parquet", "trials", "finalists", "wandb",
    }  # fmt: skip
    rows = [row["row"] for row in summary(whole, "whole")["table"]]
    assert rows == ["chance", "raw", "mean removed", "ridge", "Procrustes", "CMDT", "ceiling"]


def test_a_sweep_that_is_killed_and_stopped_goes_on_as_if_nothing_had_happened(whole: Path) -> None:
    """Another process, or five of them, come with the same seed to the same summary."""
    for lines, how in STOPS:
        status = interrupt(whole, "broken", lines, how)
        assert not (whole / "broken/summary.json").exists()
        if how == signal.SIGKILL:
            assert status == -how
        else:
            assert status == 130
            assert "the same command goes on" in (whole / "broken.out").read_text()
    finish(whole, "broken")
    assert trials(whole, "broken") == trials(whole, "whole")
    assert summary(whole, "broken") == summary(whole, "whole")


def test_a_run_folder_of_another_sweep_is_refused(whole: Path) -> None:
    command = [*SWEEP, "--name", "whole", "--runs", str(whole)]
    done = subprocess.run(command, cwd=whole, env=ENV, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2
    assert "differs" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


@pytest.mark.usefixtures("ray_session", "one_thread")
def test_one_configuration_is_one_trial_with_the_lambda_that_was_set(tmp_path: Path) -> None:
    one = {
        "latent": 128, "decode": "s", "dropout": 0.0, "deeper": "false", "ranking": "siamese", "margin2": 10,
        "ranking_weight": 1, "image_weight": 1, "kl_weight": 1, "orthogonality_weight": 0, "train/lr": 0.001,
        "eval/lambda": 0.3,
    }  # fmt: skip
    settings = [word for key, value in one.items() for word in ("--set", f"{key}={value}")]
    flags = [*SWEEP[2:], *LONGER, *settings, "--name", "one", "--runs", str(tmp_path)]
    assert run([cross_modal.SWEEP], parse("cross_modal", None, flags)) == 0
    states = trials(tmp_path, "one")
    assert [state for state, *_ in states.values()] == ["COMPLETE", "COMPLETE"]  # the trial and its one refit
    assert {row["lambda"] for row in read_rows(tmp_path / "one/trials/cross_modal-0")} == {"0.3"}
    assert summary(tmp_path, "one")["best"]["lambda"] == "0.3"


def test_several_methods_keep_their_budgets_when_the_driver_is_killed_twice(tmp_path: Path) -> None:
    methods = ["--methods", "siamese_1,cvae,direct_regression", "--trials", "3", "--workers", "2"]
    for lines in (25, 35):
        assert interrupt(tmp_path, "all", lines, signal.SIGKILL, *methods, script="all_methods.py") == -signal.SIGKILL
    finish(tmp_path, "all", *methods, script="all_methods.py")
    found = summary(tmp_path, "all")
    assert [one["label"] for one in found["methods"].values()] == ["Siamese-1", "CVAE", "direct regression"]
    for one in found["methods"].values():
        assert one["budget"] - 1 < one["spent"] <= one["budget"]
    states = trials(tmp_path, "all")
    assert not any(state == "RUNNING" for state, *_ in states.values())
    table = pd.read_parquet(tmp_path / "all/trials.parquet")
    assert len(table) == len(states)  # every trial once, and none that the journal does not know
    assert not table.duplicated(["method", "kind", "number"]).any()
    assert {row["row"] for row in found["table"] if row["kind"] == "method"} == {
        "Siamese-1",
        "CVAE",
        "direct regression",
    }


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (["--set", "latnet=3"], "did you mean 'method/latent'?"),
        (["--set", "decode=x"], "must be among"),
        (["--set", "norm_order=sideways"], "sideways"),
        (["--set", "eval/k=100000"], "eval/k must be between 1 and"),
        (["--set", "eval/lambda=0.35"], "eval/lambda must be one of"),
        (["--set", "data/split=seen"], "split must be"),
        (["--data", "nowhere"], "nowhere"),
        (["--address", "ray://x:1"], "ray://"),
    ],
)
def test_bad_input_is_one_line_and_status_2_and_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    flags: list[str],
    error: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(cross_modal.SWEEP, argv=[*SWEEP[2:], *flags])
    said = capfd.readouterr().err
    assert ended.value.code == 2, said
    assert error in said
    assert len(said.strip().splitlines()) == 1, said
    left = [path.name for path in (tmp_path / "runs").iterdir()] if (tmp_path / "runs").exists() else []
    assert set(left) <= {"smoke-data"}
