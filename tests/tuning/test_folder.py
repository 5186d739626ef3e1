import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sbir.tuning import folder


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git checkout with one committed file, and the working directory in it."""
    root = tmp_path / "code"
    root.mkdir()
    monkeypatch.chdir(root)
    (root / "sweep.py").write_text("trials = 1\n")
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one"]):
        subprocess.run(["git", *words], check=True)
    return root


def manifest(run: Path) -> dict[str, Any]:
    run.mkdir()
    folder.write_manifest(run, {"name": run.name})
    return dict(json.loads((run / "manifest.json").read_text()))


def test_what_is_not_committed_is_kept_beside_the_manifest(checkout: Path, tmp_path: Path) -> None:
    assert manifest(tmp_path / "clean")["git"]["dirty"] is None
    assert not (tmp_path / "clean/uncommitted.diff").exists()
    (checkout / "sweep.py").write_text("trials = 2\n")
    (checkout / "new.py").write_text("")
    told = manifest(tmp_path / "dirty")["git"]
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert (told["commit"], told["unknown"]) == (head, ["new.py"])
    assert len(told["dirty"]) == 12
    assert "+trials = 2" in (tmp_path / "dirty/uncommitted.diff").read_text()


def test_a_long_difference_is_cut_and_says_so(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "LONGEST_DIFF", 40)
    (checkout / "sweep.py").write_text("trials = 3\n" * 20)
    manifest(tmp_path / "run")
    told = (tmp_path / "run/uncommitted.diff").read_text()
    assert "characters in all]" in told
    assert len(told) < 100


def test_a_run_that_went_on_elsewhere_names_both_devices(tmp_path: Path) -> None:
    manifest(tmp_path / "run")
    for device in ("2 CPU cores (x86_64)", "1 GPU (H100)", "2 CPU cores (x86_64)"):
        folder.note_device(tmp_path / "run", device)
    assert json.loads((tmp_path / "run/manifest.json").read_text())["device"] == "2 CPU cores (x86_64) + 1 GPU (H100)"
