import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sbir.cli import main
from sbir.data.smoke import write_smoke_store
from sbir.data.store import verify_store


@pytest.fixture
def arrays(tmp_path: Path) -> tuple[str, str]:
    paths = str(tmp_path / "sketches.npz"), str(tmp_path / "photos.npz")
    for path in paths:
        classes = np.repeat(["ant", "bee", "cat", "dog"], 5)
        columns: dict[str, Any] = {"feature": np.ones((20, 3)), "class": classes}
        np.savez(path, **columns)
    return paths


def error_of(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line on stderr of a command that ends with status 2."""
    assert main([str(word) for word in words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("sbir: error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_arrays_are_imported_and_the_store_is_described(
    tmp_path: Path, arrays: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(tmp_path / "store")
    assert main(["store", "import", *arrays, "--out", store, "--given", "my network"]) == 0
    assert main(["store", store]) == 0
    lines = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines() if ":" in line)
    assert lines["rows"].strip() == "40 (20 photo, 20 sketch)"
    assert lines["columns"].strip() == "feature float32 (3,)"
    assert lines["given"].strip() == "my network; class labels"
    assert lines["stored split"].strip() == "test: 1 classes, train: 2 classes, val: 1 classes"


def test_every_bad_input_is_one_line_and_leaves_nothing_behind(
    tmp_path: Path, arrays: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "store"
    (tmp_path / "split.json").write_text('{"train": ["ant", "bee"], "test": ["bee", "cat", "dog"]}')
    (tmp_path / "photo/ant").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    importing = ("store", "import", *arrays, "--out", out)
    assert "bee in two" in error_of(capsys, *importing, "--split", tmp_path / "split.json")
    assert "does not exist" in error_of(capsys, "store", "import", "no.npz", arrays[1], "--out", out)
    features = ("features", "--weights", "random", "--out", out)
    assert "is not a folder" in error_of(capsys, *features, tmp_path / "nowhere")
    assert "needs photos in photo/<class>/" in error_of(capsys, *features, tmp_path / "empty")
    assert "every class folder needs pictures" in error_of(capsys, *features, tmp_path)
    assert "needs manifest.json" in error_of(capsys, "store", tmp_path / "empty")
    assert "needs --out, --card or --contact-sheet" in error_of(capsys, "data", "doodles")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_damaged_store_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_smoke_store(tmp_path / "store")
    path = tmp_path / "store/part-00000.arrow"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 64
    path.write_bytes(bytes(raw))
    assert "part-00000.arrow: row" in error_of(capsys, "store", tmp_path / "store")


def test_ctrl_c_exits_with_130(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sbir.data.store.verify_store", interrupt)
    assert main(["store", str(tmp_path)]) == 130


def test_a_wrong_word_is_argparses_error() -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["stores"])
    assert stopped.value.code == 2


def test_help_needs_no_heavy_package() -> None:
    script = (
        "import sys, sbir.cli; sbir.cli._parser(); print([name for name in ('torch', 'ray') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_command_extracts_features(tmp_path: Path, ray_session: None, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    for path in [f"{side}/{name}/1.png" for side in ("photo", "sketch") for name in "abc"]:
        (tmp_path / "data" / path).parent.mkdir(parents=True)
        Image.new("RGB", (40, 40), "red").save(tmp_path / "data" / path)
    words = ["--backbone", "squeezenet1_1", "--weights", "random", "--size", "32", "--workers", "1"]
    assert main(["features", str(tmp_path / "data"), *words, "--out", str(tmp_path / "store")]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"wrote {tmp_path / 'store'}\n"
    assert "6 of 6 items" in captured.err
    assert verify_store(tmp_path / "store").manifest["num_rows"] == 6
