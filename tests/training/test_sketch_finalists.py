"""Finalists that retrieve sketches by sketches: scored again, their codes written down, their invariance studied."""

import json
from pathlib import Path

import pytest

from sbir.cli import main
from sbir.data.feed import Columns
from sbir.data.loader import Shared
from sbir.data.protocol import make_protocol
from sbir.data.smoke import write_smoke_store
from sbir.data.splits import assign
from sbir.models.gan_encoder import GANEncoder
from sbir.models.method import Method
from sbir.models.sketchmate import SketchMate
from sbir.training.baselines import Untrained, score_baselines
from sbir.training.rescore import rescore
from sbir.training.run import Job, Refit

SMALL: dict[type[Method], dict[str, object]] = {
    SketchMate: {"method/bits": 16, "method/width": 4, "method/cnn_features": 16, "method/branches": "cnn"},
    GANEncoder: {"method/width": 4, "method/noise": 8},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "smoke"
    write_smoke_store(path)
    return path


def finalist(store: Path, run: Path, method: type[Method], name: str) -> tuple[Path, dict[str, float]]:
    """A finalist in a run's folder, and its figures on test."""
    shared = Shared.mapped(store)
    items = shared.items()
    split = assign(items, "stored")
    protocol = make_protocol(
        items, split, split_spec="stored", content_hash=shared.manifest["content_hash"], synthetic=True,
        gallery="sketch",
    )  # fmt: skip
    folder = run / "finalists" / f"{name}-0-1"
    folder.mkdir(parents=True)
    settings = {**SMALL[method], "train/batch_size": 16, "train/steps": 5}
    job = Job(name, 0, "refit", settings, seed=1, folder=str(folder), steps=5)
    source = {"store": str(store), "backbone": shared.manifest["backbone"]}
    row, finished = Refit(job, method, Columns(items), split, protocol, source=source).advance()
    assert finished
    return folder, {key.removeprefix("test/"): value for key, value in row.items() if key.startswith("test/")}


@pytest.mark.parametrize("method", [SketchMate, GANEncoder])
def test_a_finalist_scored_again_has_its_own_figures(store: Path, tmp_path: Path, method: type[Method]) -> None:
    folder, figures = finalist(store, tmp_path, method, "m")
    (again,) = rescore(folder)
    assert again.result.means == pytest.approx(figures)
    assert again.protocol.gallery == "sketch"
    assert "acc_at_1" not in figures


def test_codes_leave_their_curves_behind(store: Path, tmp_path: Path) -> None:
    folder, figures = finalist(store, tmp_path, SketchMate, "m")
    codes = json.loads((folder / "codes.json").read_text())
    assert (codes["num_bits"], codes["bytes_per_item"]) == (16, 2)
    assert codes["means"]["map_all_worst"] <= figures["map_all"] <= codes["means"]["map_all_best"]
    assert codes["by_radius"][-1][1] == 1.0
    assert not (finalist(store, tmp_path, GANEncoder, "other")[0] / "codes.json").exists()


def test_the_invariance_of_a_runs_networks_stands_beside_raw_pixels_and_random_weights(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finalist(store, tmp_path, GANEncoder, "thin_gan")
    finalist(store, tmp_path, SketchMate, "sketchmate")  # takes strokes, and so is left out
    assert main(["invariance", str(tmp_path), "--drawings", "6"]) == 0
    curves = json.loads((tmp_path / "invariance.json").read_text())
    assert list(curves) == ["raw pixels", "thin_gan", "thin_gan, random weights"]
    for moves in curves.values():
        for move, unmoved in (("shift", 0.0), ("rotation", 0.0), ("scale", 1.0)):
            at = moves[move]["values"].index(unmoved)
            assert moves[move]["mean"][at] == pytest.approx(1.0, abs=1e-3)
            assert 0 < moves[move]["area"] < 1
    assert curves["thin_gan"] != curves["thin_gan, random weights"]
    assert "thin_gan, random weights" in capsys.readouterr().out


def test_a_run_without_networks_on_images_alone_has_no_study(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finalist(store, tmp_path, SketchMate, "sketchmate")
    assert main(["invariance", str(tmp_path)]) == 2
    assert main(["invariance", str(tmp_path), "--drawings", "0"]) == 2
    assert "takes images alone" in capsys.readouterr().err
    assert not (tmp_path / "invariance.json").exists()


def test_untrained_networks_and_raw_pixels_are_baselines_of_runs_on_pictures(store: Path) -> None:
    items = Shared.mapped(store).items()
    split = assign(items, "stored")
    protocol = make_protocol(items, split, split_spec="stored", content_hash="x", synthetic=True, gallery="sketch")
    settings = {key.removeprefix("method/"): value for key, value in SMALL[GANEncoder].items()}
    rows = score_baselines(Columns(items), split, protocol, None, [Untrained("thin, untrained", GANEncoder, settings)])
    assert [row.row for row in rows] == [
        "raw pixels", "thin, untrained", "raw", "mean removed", "ridge", "Procrustes",
    ]  # fmt: skip
    assert [row.given for row in rows[:2]] == ["nothing", "nothing"]
    assert rows[4].given == "class labels"  # a sketch is no pair of itself
