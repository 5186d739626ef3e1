import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sbir.report.load import load_run

MakeRun = Callable[..., Path]


def test_a_finished_run_comes_back_as_frames(run_dir: Path) -> None:
    run = load_run(run_dir)
    assert len(run.trials) == 27
    assert sorted(run.search_trials()["state"].value_counts().items()) == [("COMPLETE", 16), ("FAIL", 1), ("PRUNED", 7)]
    assert len(run.rows) == 16 * 10 + 7 * 4 + 2
    first = run.rows[(run.rows["method"] == "cross_modal") & (run.rows["number"] == 0)]
    assert first["step"].tolist() == list(range(50, 501, 50))
    assert first["curve/min"].iloc[0] == pytest.approx(0.95 * first["val/precision_at_20"].iloc[0])
    assert set(run.per_query["row"]) == {"raw", "mean removed", "ridge", "Procrustes", "CMDT"}
    assert run.metric == "precision_at_20"


def test_the_axes_are_the_settings_that_vary(make_run: MakeRun) -> None:
    folder = make_run()
    trials = pd.read_parquet(folder / "trials.parquet").assign(**{"train/batch_size": 64})
    trials.to_parquet(folder / "trials.parquet")
    axes = load_run(folder).axes["cross_modal"]
    assert "method/decode" in axes
    assert "train/batch_size" not in axes


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a run is a folder with manifest\.json, .*nothing has none; name a folder"):
        load_run(tmp_path / "nothing")


def test_an_interrupted_run_says_what_is_missing_and_how_to_go_on(make_run: MakeRun) -> None:
    folder = make_run()
    (folder / "summary.json").unlink()
    with pytest.raises(ValueError, match=r"lacks summary\.json; start its script again"):
        load_run(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("summary.json", b"{", r"summary\.json must be JSON"),
        ("summary.json", b"[]", r"summary\.json must be an object with metric"),
        ("manifest.json", b"\xff\xfe", r"manifest\.json must be JSON"),
        ("trials.parquet", b"no parquet", r"trials\.parquet must be Parquet"),
        ("per_query.parquet", b"", r"per_query\.parquet must be Parquet"),
    ],
)
def test_a_damaged_file_is_named(make_run: MakeRun, name: str, content: bytes, message: str) -> None:
    folder = make_run()
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_run(folder)


def test_a_frame_without_its_columns_is_named(make_run: MakeRun) -> None:
    folder = make_run()
    pd.DataFrame({"method": ["x"]}).to_parquet(folder / "trials.parquet")
    with pytest.raises(
        ValueError, match=r"trials\.parquet must have the columns .* it lacks number, kind, state, value"
    ):
        load_run(folder)


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, bytes]]:
        return (_write, (self.path, b"boom"))


def _write(path: str, data: bytes) -> None:
    Path(path).write_bytes(data)


def test_pickles_in_the_files_are_not_executed(make_run: MakeRun, tmp_path: Path) -> None:
    folder, trace = make_run(), tmp_path / "trace"
    bomb = pickle.dumps(Bomb(str(trace)))
    for name in ("finalists/cross_modal-13-0/model.safetensors", "trials/cross_modal-0/last.pt", "tuner.pkl"):
        (folder / name).write_bytes(bomb)
    load_run(folder)
    (folder / "trials.parquet").write_bytes(bomb)
    with pytest.raises(ValueError, match="must be Parquet"):
        load_run(folder)
    assert not trace.exists()
    pickle.loads(bomb)
    assert trace.exists()  # the bomb works


def test_a_run_without_curves_still_loads(make_run: MakeRun) -> None:
    folder = make_run()
    for rows in folder.glob("trials/*/rows.jsonl"):
        rows.unlink()
    run = load_run(folder)
    assert run.rows.empty
    assert np.isfinite(json.loads((folder / "summary.json").read_text())["best"]["value"])
