"""What goes to a cluster and what comes back."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from sbir.tuning import parcel
from sbir.tuning.folder import GIT, MANIFEST


def write_run(folder: Path, *, created: str = "2026-11-21T10:00:00", text: str = "whole") -> Path:
    (folder / "trials/m-0").mkdir(parents=True)
    (folder / MANIFEST).write_text(json.dumps({"created": created, "data": {"split_hash": "abc"}}))
    (folder / "summary.json").write_text("{}")
    for name in ("rows.jsonl", "last.pt", "rows.jsonl.part"):
        (folder / "trials/m-0" / name).write_text(text)
    return folder


def contents(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_scripts_folder_goes_along_and_what_is_no_source_stays(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    for path in (
        "sweep.py",
        "helpers/words.py",
        ".git/config",
        "venv/pyvenv.cfg",
        "venv/lib.py",
        "runs/a/manifest.json",
    ):
        (mine / path).parent.mkdir(parents=True, exist_ok=True)
        (mine / path).write_text("{}")
    other = tmp_path / "other.py"
    other.write_text("")
    names = parcel.pack_script(mine / "sweep.py", [other], tmp_path / "parcel.zip")
    packed = set(zipfile.ZipFile(tmp_path / "parcel.zip").namelist())
    assert names == ["given/0/other.py"]
    assert {"sweep.py", "helpers/words.py", "given/0/other.py", "sbir/tuning/parcel.py", GIT} <= packed
    assert not [name for name in packed if name.startswith((".git/", "venv", "runs")) or "__pycache__" in name]


def test_too_large_a_folder_is_refused_with_its_largest_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcel, "LARGEST", 1000)
    (tmp_path / "sweep.py").write_text("")
    (tmp_path / "pictures.npy").write_bytes(bytes(2000))
    with pytest.raises(ValueError, match=r"must be below 0 MB.*pictures\.npy.*folder of its own"):
        parcel.pack_script(tmp_path / "sweep.py", [], tmp_path / "parcel.zip")


def test_runs_come_home_whole_and_renew_only_themselves(tmp_path: Path) -> None:
    there, home, archive = tmp_path / "there", tmp_path / "home", tmp_path / "a.tar.gz"
    write_run(there / "first")
    (there / "first/debug.log").symlink_to("/var/log/debug.log")
    assert not parcel.pack_runs(there, "second", archive)
    assert parcel.pack_runs(there, "first", archive)
    assert parcel.unpack_runs(archive, home) == [home / "first"]
    assert contents(home / "first") == {MANIFEST, "summary.json", "trials/m-0/rows.jsonl"}
    assert json.loads((home / "looks_at_test.json").read_text()) == {"abc": ["first"]}
    (there / "first/later.txt").write_text("")
    parcel.pack_runs(there, "first", archive)
    assert parcel.unpack_runs(archive, home) == [home / "first"]
    assert (home / "first/later.txt").exists()
    write_run(tmp_path / "elsewhere/first", created="2026-11-22T10:00:00")
    parcel.pack_runs(tmp_path / "elsewhere", "first", archive)
    assert parcel.unpack_runs(archive, home) == [home / "first-2"]
    assert (home / "first/later.txt").exists()


def test_runs_on_several_data_sets_come_home_together(tmp_path: Path) -> None:
    for name in ("both-a", "both-b"):
        write_run(tmp_path / "there" / name)
    (tmp_path / "there/both").mkdir()
    (tmp_path / "there/both/data_sets.json").write_text(
        json.dumps({"runs": ["both-a", "both-b"], "requests": [{}, {}]})
    )
    parcel.pack_runs(tmp_path / "there", "both", tmp_path / "a.tar.gz")
    home = tmp_path / "home"
    assert parcel.unpack_runs(tmp_path / "a.tar.gz", home) == [home / "both", home / "both-a", home / "both-b"]


@pytest.mark.parametrize("kept", [0, 10, 300])
def test_an_archive_that_was_cut_short_leaves_nothing(tmp_path: Path, kept: int) -> None:
    write_run(tmp_path / "there/first", text="x" * 1000)
    archive, home = tmp_path / "a.tar.gz", tmp_path / "home"
    parcel.pack_runs(tmp_path / "there", "first", archive)
    archive.write_bytes(archive.read_bytes()[:kept])
    with pytest.raises(ValueError, match="must come as a whole archive"):
        parcel.unpack_runs(archive, home)
    assert not list(home.iterdir())


def test_an_archive_cannot_write_outside_the_runs(tmp_path: Path) -> None:
    import io
    import tarfile

    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        member: Any = tarfile.TarInfo("../escaped")
        member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(ValueError, match="unpacking failed"):
        parcel.unpack_runs(tmp_path / "a.tar.gz", tmp_path / "home")
    assert not (tmp_path / "escaped").exists()
