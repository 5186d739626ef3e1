import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sbir.cli import main
from sbir.report.runs import choose, list_runs, remove
from tests.report.conftest import write_run

DAY = 86400


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished run of ten days ago, an interrupted one of yesterday, and things that are no runs."""
    runs = tmp_path / "runs"
    for name, age in (("old", 10), ("cut", 1)):
        run = write_run(runs / name, num_trials=3, flags=("synthetic",))
        (run / "study.journal").write_text("{}\n")
        if name == "cut":
            (run / "summary.json").unlink()
        for path in run.iterdir():
            os.utime(path, (1e9 - age * DAY, 1e9 - age * DAY))
    (runs / "notes").mkdir()
    (runs / "notes/precious.txt").write_text("mine")
    (runs / "half").mkdir()
    (runs / "half/manifest.json").write_text("{")
    (runs / "looks_at_test.json").write_text("{}")
    outside = write_run(tmp_path / "outside", num_trials=2)
    (runs / "link").symlink_to(outside)
    return runs


def test_runs_are_listed_oldest_first_with_state_size_and_best(folder: Path) -> None:
    old, cut = list_runs(folder)
    assert [(run.path.name, run.state) for run in (old, cut)] == [("old", "finished"), ("cut", "interrupted")]
    assert old.best.startswith("cross_modal-")
    assert old.best.endswith(" %")
    assert (cut.best, old.flags) == ("–", ("synthetic",))
    du = subprocess.run(["du", "--apparent-size", "-sb", folder / "old"], capture_output=True, text=True, check=True)
    folders = sum(1 for _ in (folder / "old").rglob("*/")) + 1
    assert 0 <= int(du.stdout.split()[0]) - old.size <= 4096 * folders


def test_a_run_whose_journal_another_process_holds_is_running_and_is_not_removed(folder: Path) -> None:
    hold = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", hold, str(folder / "old/study.journal")], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as holder:  # fmt: skip
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert {run.path.name: run.state for run in list_runs(folder)} == {"old": "running", "cut": "interrupted"}
        assert [run.path.name for run in choose(folder, [], 0.5, now=1e9)] == ["cut"]
        with pytest.raises(ValueError, match="a run in progress is not removed, old is one"):
            choose(folder, ["old"], None)
        holder.kill()
    assert {run.state for run in list_runs(folder)} == {"finished", "interrupted"}


def test_a_run_that_starts_again_after_it_was_chosen_stays(folder: Path) -> None:
    chosen = choose(folder, ["old"], None)
    with (folder / "old/study.journal").open("rb") as journal:
        fcntl.flock(journal, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="has become something else"):
            remove(chosen)
    assert (folder / "old/summary.json").is_file()


def test_age_counts_from_the_last_writing(folder: Path) -> None:
    assert [run.path.name for run in choose(folder, [], 5, now=1e9)] == ["old"]
    assert [run.path.name for run in choose(folder, [], 0.5, now=1e9)] == ["old", "cut"]
    assert choose(folder, [], 11, now=1e9) == []
    with pytest.raises(ValueError, match="--older-than must be at least 0 days, got -1"):
        choose(folder, [], -1)


def test_nothing_is_removed_without_yes_and_only_what_was_named_with_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in folder.iterdir())
    assert main(["runs", str(folder), "--remove", "old"]) == 0
    assert "would remove 1 runs" in capsys.readouterr().out
    assert sorted(path.name for path in folder.iterdir()) == before
    assert main(["runs", str(folder), "--remove", "old", "--yes"]) == 0
    assert sorted(path.name for path in folder.iterdir()) == [name for name in before if name != "old"]


@pytest.mark.parametrize("name", ["link", "notes", "half", "../outside", "nope", "", "."])
def test_links_and_what_is_no_run_are_refused(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", str(folder), "--remove", name, "--yes"]) == 2
    assert "--remove takes names of runs" in capsys.readouterr().err
    assert (folder / "notes/precious.txt").is_file()
    assert (folder.parent / "outside/summary.json").is_file()
    assert (folder / "old").is_dir()


def test_links_inside_a_run_are_removed_and_not_followed(folder: Path) -> None:
    (folder / "old/out").symlink_to(folder / "notes")
    remove(choose(folder, ["old"], None))
    assert (folder / "notes/precious.txt").is_file()


def test_a_missing_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", str(tmp_path / "none")]) == 2
    assert "the runs' folder must be a folder" in capsys.readouterr().err
