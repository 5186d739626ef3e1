"""One sweep on several data sets: a run each, one table, and the whole resumed."""

import csv
import io
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sbir.cli import main
from sbir.data.smoke import write_smoke_store
from sbir.report.load import load_run
from sbir.tuning.data_sets import DataSets
from sbir.tuning.options import parse
from sweeps.closed_forms import DIRECT

ROOT = Path(__file__).parents[2]
SCRIPT = str(ROOT / "sweeps/closed_forms.py")
FLAGS = ["--methods", "direct_regression", "--smoke", "--workers", "1", "--wandb", "off"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stores, and a folder for runs."""
    folder = tmp_path_factory.mktemp("data_sets")
    for seed, name in enumerate(("shoes", "chairs")):
        write_smoke_store(folder / name, seed)
    return folder


def start(place: Path, *flags: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, SCRIPT, *FLAGS, *flags]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with (place / "output").open("w") as output:
        return subprocess.Popen(command, cwd=place, env=env, stdout=output, stderr=subprocess.STDOUT)


def data(place: Path, *names: str) -> list[str]:
    return [word for name in names or ("shoes", "chairs") for word in ("--data", str(place / name))]


@pytest.mark.usefixtures("ray_session", "one_thread")
def test_a_killed_whole_goes_on_with_what_is_left_and_ends_in_one_table_of_all(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = start(place, *data(place))
    while begun.poll() is None and not list(place.glob("runs/*-chairs/study.journal")):
        time.sleep(0.01)
    begun.send_signal(signal.SIGKILL)
    assert begun.wait(timeout=60) == -signal.SIGKILL
    (whole,) = (path.parent for path in place.glob("runs/*/data_sets.json"))
    shoes, chairs = (whole.with_name(f"{whole.name}-{name}") for name in ("shoes", "chairs"))
    first = (shoes / "study.journal").read_bytes()
    assert not (chairs / "summary.json").exists()

    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "argv", [SCRIPT, *FLAGS, *data(place)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(SCRIPT, run_name="__main__")
    text, said = capsys.readouterr()
    assert ended.value.code == 0, text + said
    assert (shoes / "study.journal").read_bytes() == first  # it was not run again
    assert "data set 1 of 2" in text
    assert f"finished before, runs/{shoes.name}" in text
    assert "data set 2 of 2" in text
    page = (whole / "comparison.html").read_text()
    assert shoes.name in page
    assert chairs.name in page
    assert len(json.loads((place / "runs/looks_at_test.json").read_text())) == 1  # both have the same classes and rows

    capsys.readouterr()
    assert main(["compare", str(whole), "--format", "csv"]) == 0
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    found = {(line["row"], line["run"]): float(line["mean"]) for line in lines}
    for run in (shoes, chairs):
        table = json.loads((run / "summary.json").read_text())
        own = next(row for row in table["table"] if row["row"] == "direct regression")
        metric = table["metric"].removeprefix("val/")
        assert found["direct regression", run.name] == own["test"][metric]["mean"]
    with pytest.raises(ValueError, match="one run is wanted"):
        load_run(whole)


def sets(place: Path, *flags: str, runs: str = "other") -> DataSets:
    options = parse("closed_forms", None, [*FLAGS, "--runs", str(place / runs), *flags])
    return DataSets([DIRECT], options)


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (["--data", "shoes", "--data", "nowhere"], "nowhere"),
        (["--data", "shoes", "--data", "chairs/../shoes"], "hold the same; drop one"),
        (["--data", "shoes", "--data", "chairs", "--set", "eval/k=10000"], "eval/k must be between 1 and"),
        (["--data", "shoes", "--data", "chairs", "--extend", "--name", "new"], "--extend needs runs to go on with"),
    ],
)
def test_what_is_wrong_with_any_store_is_found_before_the_first_run_begins(
    place: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], error: str
) -> None:
    monkeypatch.chdir(place)
    with pytest.raises(ValueError, match=error):
        sets(place, *flags)
    assert not (place / "other").exists()


def test_a_named_whole_is_held_to_its_settings_its_data_and_its_end(place: Path) -> None:
    wanted = ["--name", "held", *data(place)]
    first = sets(place, *wanted, runs="named")
    assert [setup.options.name for setup in first.setups()] == ["held-shoes", "held-chairs"]
    with pytest.raises(ValueError, match="held-shoes differs"):
        sets(place, *wanted, "--seed", "1", runs="named")
    with pytest.raises(ValueError, match="is of the runs held-shoes, held-chairs"):
        sets(place, "--name", "held", *data(place, "chairs", "shoes"), runs="named")
    more = sets(place, *wanted, "--extend", "--trials", "9", runs="named")
    assert [setup.options.extend for setup in more.setups()] == [False, False]  # none had begun
    (first.folder / "comparison.html").write_text("")
    with pytest.raises(ValueError, match="held is finished"):
        sets(place, *wanted, "--trials", "9", runs="named")
    (place / "named/free-chairs").mkdir()
    (place / "named/free-chairs/notes").write_text("mine")
    with pytest.raises(ValueError, match="free-chairs holds files"):
        sets(place, "--name", "free", *data(place), runs="named")


def test_runs_of_an_interrupted_whole_are_found_without_a_name(place: Path) -> None:
    first = sets(place, *data(place), runs="found")
    assert sets(place, *data(place), runs="found").folder == first.folder
    assert sets(place, *data(place), "--seed", "1", runs="found").folder != first.folder
