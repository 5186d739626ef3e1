"""A mirrored run folder is a whole run at every moment, and comes back from there."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from sbir.training.run import CHECKPOINT
from sbir.tuning.folder import JOURNAL, MANIFEST, SUMMARY
from sbir.tuning.main import main
from sbir.tuning.mirror import Copy, fetch, listing, open_storage
from sbir.tuning.options import parse
from sbir.tuning.restore import restore
from sweeps import closed_forms

REQUEST = {"trials": 3}


class Watched:
    """A local filesystem that calls back before every change, which may raise or change the run."""

    type_name = "local"

    def __init__(self, before: Callable[[str], None]) -> None:
        self._inner, self._before = fs.LocalFileSystem(), before

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name not in ("open_output_stream", "move", "delete_file"):
            return method

        def watched(path: str, *more: Any) -> Any:
            self._before(path)
            return method(path, *more)

        return watched


def copy_to(folder: Path, there: Path, filesystem: Any = None) -> Copy:
    filesystem = filesystem or fs.LocalFileSystem()
    return Copy(folder, filesystem, str(there), mark=SUMMARY, first=(JOURNAL, CHECKPOINT))


def contents(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def begin(folder: Path) -> Path:
    """A run with a trial that goes on."""
    write(folder, **{MANIFEST: json.dumps({"request": REQUEST}), JOURNAL: "begun 0\n"})
    write(folder / "trials/0", **{CHECKPOINT: "step 1", "rows.jsonl": "1\n", "rows.jsonl.part": "torn"})
    return folder


def go_on(folder: Path) -> None:
    """The trial ends, another begins, and the run is finished."""
    write(folder / "trials/0", **{"rows.jsonl": "1\n2\n", "model": "weights"})
    (folder / "trials/0" / CHECKPOINT).unlink()
    write(folder / "trials/1", **{"rows.jsonl": "1\n", CHECKPOINT: "step 1"})
    with (folder / JOURNAL).open("a") as journal:
        journal.write("ended 0\nbegun 1\n")


def check_whole(there: Path) -> None:
    """What a resumed run relies on."""
    held = contents(there)
    journal = held.get(JOURNAL, "")
    if "begun" in journal:
        assert MANIFEST in held
    if "ended 0" in journal:
        assert held["trials/0/rows.jsonl"] == "1\n2\n"
        assert held["trials/0/model"] == "weights"
    if f"trials/1/{CHECKPOINT}" in held:
        assert "begun 1" in journal
    if SUMMARY in held:
        assert "begun 1" in journal


def test_a_round_makes_the_copy_equal_and_touches_what_changed_alone(tmp_path: Path) -> None:
    run, there, changed = begin(tmp_path / "run"), tmp_path / "there", list[str]()
    copy = copy_to(run, there, Watched(changed.append))
    copy.round()
    (run / "trials/0/rows.jsonl.part").unlink()
    assert contents(there) == contents(run)
    changed.clear()
    copy.round()
    assert changed == []
    go_on(run)
    copy.round()
    assert contents(there) == contents(run)
    assert not [path for path in changed if MANIFEST in path]


@pytest.mark.parametrize("survives", range(20))
def test_a_copy_that_breaks_off_anywhere_is_a_whole_run_and_the_next_round_mends_it(
    tmp_path: Path, survives: int
) -> None:
    run, there = begin(tmp_path / "run"), tmp_path / "there"
    copy_to(run, there).round()
    go_on(run)
    write(run, **{SUMMARY: "{}"})
    left = survives

    def break_off(path: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError("the bucket is gone")

    copy = copy_to(run, there, Watched(break_off))
    try:
        copy.round()
    except OSError:
        check_whole(there)
    left = 100
    copy.round()
    assert {name: text for name, text in contents(there).items() if not name.endswith(".part")} == {
        name: text for name, text in contents(run).items() if not name.endswith(".part")
    }


def test_what_ends_during_a_round_comes_with_the_next(tmp_path: Path) -> None:
    run, there = begin(tmp_path / "run"), tmp_path / "there"
    begun = False

    def go_on_once(path: str) -> None:
        nonlocal begun
        if path.endswith(f"{JOURNAL}.part") and not begun:
            begun = True
            go_on(run)

    copy_to(run, there, Watched(go_on_once)).round()
    assert (there / JOURNAL).read_text() == "begun 0\n"
    check_whole(there)


def test_a_finished_run_that_goes_on_is_not_finished_there_first(tmp_path: Path) -> None:
    run, there = begin(tmp_path / "run"), tmp_path / "there"
    write(run, **{SUMMARY: "{}"})
    copy_to(run, there).round()
    (run / SUMMARY).unlink()
    go_on(run)
    changed: list[str] = []
    copy_to(run, there, Watched(changed.append)).round()
    assert changed[0] == str(there / SUMMARY)
    assert SUMMARY not in contents(there)


def test_a_folder_that_is_lost_does_not_empty_its_copy(tmp_path: Path) -> None:
    run, there = begin(tmp_path / "run"), tmp_path / "there"
    copy = copy_to(run, there)
    copy.round()
    held = contents(there)
    shutil.rmtree(run)
    with pytest.raises(FileNotFoundError, match="nothing is removed from its copy"):
        copy.round()
    assert contents(there) == held


def test_a_fetched_run_is_what_was_copied_and_is_not_copied_again(tmp_path: Path) -> None:
    run, there, changed = begin(tmp_path / "run"), tmp_path / "there", list[str]()
    copy_to(run, there).round()
    fetch(fs.LocalFileSystem(), str(there), tmp_path / "back")
    assert contents(tmp_path / "back") == contents(there)
    copy_to(tmp_path / "back", there, Watched(changed.append)).round()
    assert changed == []


def flags(tmp_path: Path, *more: str) -> list[str]:
    return ["--runs", str(tmp_path / "here"), "--mirror", (tmp_path / "there").as_uri(), *more]


def test_an_interrupted_run_is_found_there_without_its_name(tmp_path: Path) -> None:
    for name in ("x-1", "x-2", "y-1"):
        copy_to(begin(tmp_path / name), tmp_path / "there" / name).round()
    write(tmp_path / "there/x-2", **{SUMMARY: "{}"})
    restore(parse("x", None, flags(tmp_path)), {"trials": 4})
    assert not (tmp_path / "here").exists()
    restore(parse("x", None, flags(tmp_path)), REQUEST)
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["x-1"]
    restore(parse("x", None, flags(tmp_path, "--name", "y-1")), REQUEST)
    assert (tmp_path / "here/y-1" / MANIFEST).exists()


def test_a_run_that_is_behind_its_mirror_is_refused(tmp_path: Path) -> None:
    run = begin(tmp_path / "here/x-1")
    copy_to(run, tmp_path / "there/x-1").round()
    options = parse("x", None, flags(tmp_path, "--name", "x-1"))
    restore(options, REQUEST)
    go_on(run)
    restore(options, REQUEST)  # ahead
    copy_to(run, tmp_path / "there/x-1").round()
    write(run, **{JOURNAL: "begun 0\n"})
    with pytest.raises(ValueError, match=r"the mirror's x-1 holds trials that .* lacks; move .* away"):
        restore(options, REQUEST)
    manifest = json.loads((run / MANIFEST).read_text())
    write(run, **{MANIFEST: json.dumps(manifest | {"extensions": [{}]})})
    restore(options, REQUEST)  # ahead: an extension wrote the journal anew, and was not copied yet


@pytest.mark.parametrize(
    ("uri", "error"),
    [
        ("there", "--mirror must be a URI such as s3://bucket/prefix, got there"),
        ("s3://key:secret@bucket/prefix", "--mirror must hold no keys"),
        ("file:///proc/there", "--mirror must be storage that can be written, file:///proc/there is not"),
    ],
)
def test_a_mirror_that_cannot_be_is_refused_before_anything_is_written(tmp_path: Path, uri: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        restore(parse("x", None, ["--runs", str(tmp_path / "here"), "--mirror", uri]), REQUEST)
    assert not (tmp_path / "here").exists()


def test_storage_is_named_by_a_uri_and_a_missing_folder_is_empty(tmp_path: Path) -> None:
    filesystem, base = open_storage(f"{tmp_path.as_uri()}/there/")
    assert base == str(tmp_path / "there")
    assert listing(filesystem, base) == []


@pytest.mark.usefixtures("ray_session", "one_thread")
def test_a_sweep_is_mirrored_and_comes_back_where_it_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    argv = ["--smoke", "--workers", "1", "--wandb", "off", "--name", "run", "--runs", "runs"]
    argv += ["--mirror", (tmp_path / "there").as_uri()]
    with pytest.raises(SystemExit) as ended:
        main(closed_forms.DIRECT, closed_forms.ESZSL_SWEEP, closed_forms.SAE_SWEEP, argv=argv)
    said = capsys.readouterr()
    assert ended.value.code == 0, said.out + said.err
    run, there = tmp_path / "runs/run", tmp_path / "there/run"
    names = {path.relative_to(run) for path in run.rglob("*") if path.is_file()}
    assert {path.relative_to(there) for path in there.rglob("*") if path.is_file()} == names
    assert all((there / name).read_bytes() == (run / name).read_bytes() for name in names)
    shutil.rmtree(tmp_path / "runs")
    with pytest.raises(SystemExit) as ended:
        main(closed_forms.DIRECT, closed_forms.ESZSL_SWEEP, closed_forms.SAE_SWEEP, argv=argv)
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert "was fetched from the mirror" in said.out
    assert "is finished" in said.err
    assert {path.relative_to(run) for path in run.rglob("*") if path.is_file()} == names
