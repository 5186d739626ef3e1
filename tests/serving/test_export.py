"""An export loads anywhere, scores what was logged, or is not there."""

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from sbir.cli import main
from sbir.data.feed import Columns
from sbir.data.loader import Shared
from sbir.models.cross_modal import CrossModal
from sbir.models.linear_map import LinearMap
from sbir.serving.export import export
from sbir.serving.model import Answer, Exported
from sbir.types import Rows, Views

CMDT = {
    "method/hidden": 32, "method/latent": 16, "method/num_samples": 2, "train/batch_size": 16, "train/warmup": 4,
    "data/scale": True,
}  # fmt: skip
CENTRED = {"method/kind": "procrustes", "data/pca": 24}


class SignedMap(LinearMap):
    """Codes of 64 bits."""

    distance = "hamming"

    def embed_query(self, rows: Rows) -> Views:
        return {name: torch.where(view > 0, 1.0, -1.0) for name, view in super().embed_query(rows).items()}

    def embed_gallery(self, rows: Rows) -> Views:
        return {name: torch.where(view > 0, 1.0, -1.0) for name, view in super().embed_gallery(rows).items()}


@pytest.fixture(scope="module")
def cmdt_run(smoke_store: Path, make_run: Callable[..., Path]) -> Path:
    return make_run(CrossModal, smoke_store, CMDT, fusion="0.5")


def logged(run: Path) -> dict[str, float]:
    figures: dict[str, float] = json.loads((run / "finalists/mine-0-0/model.json").read_text())["test"]
    return figures


def test_the_command_scores_two_views_and_scaled_features_in_a_clean_process_and_counts_its_look(
    cmdt_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(cmdt_run), "--out", str(tmp_path / "out")]) == 0
    told = "  ".join(f"{name} {100 * value:.2f} %" for name, value in logged(cmdt_run).items())
    assert f"scored again in a clean process, each within 0.1 points: {told}\n" in capsys.readouterr().out
    (looks,) = json.loads((cmdt_run.parent / "looks_at_test.json").read_text()).values()
    assert looks == ["a-run, sbir export"]
    tensors = load_file(tmp_path / "out/gallery.safetensors")
    assert {name: tuple(view.shape) for name, view in tensors.items()} == {
        "gallery/structure": (48, 16),
        "gallery/photo": (48, 64),
    }
    index = pd.read_parquet(tmp_path / "out/gallery.parquet")
    assert index["class_name"].nunique() == 8
    assert (index["item_id"].str.split("/").str[0] == "photo").all()


def test_fitted_transforms_and_centring_travel_with_the_model(
    smoke_store: Path, make_run: Callable[..., Path], tmp_path: Path
) -> None:
    run = make_run(LinearMap, smoke_store, CENTRED, centre=True)
    assert export(run, tmp_path / "out") == pytest.approx(logged(run), abs=1e-9)
    assert "centre/feature" in load_file(tmp_path / "out/gallery.safetensors")
    assert "transform/query/components" in load_file(tmp_path / "out/model.safetensors")


def test_a_gallery_in_half_precision_is_half_as_large_and_held_to_the_same_tolerance(
    cmdt_run: Path, tmp_path: Path
) -> None:
    scored = export(cmdt_run, tmp_path / "out", half=True)
    assert scored == pytest.approx(logged(cmdt_run), abs=1e-3)
    assert (tmp_path / "out/gallery.safetensors").stat().st_size == pytest.approx(48 * (16 + 64) * 2, rel=0.05)


def test_an_export_that_does_not_score_what_was_logged_is_refused_and_leaves_nothing(
    smoke_store: Path, make_run: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(LinearMap, smoke_store, CENTRED)
    weights = run / "finalists/mine-0-0/model.safetensors"
    tensors = load_file(weights)
    tensors["method/weight"] = tensors["method/weight"].flip(1)
    save_file(tensors, weights)
    assert main(["export", str(run), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("sbir: error: an export must score what was logged, precision_at_6 was ")
    assert "tolerance 0.001" in error
    assert list(tmp_path.iterdir()) == []


def test_an_export_is_never_written_over_and_names_the_methods_that_there_are(cmdt_run: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(ValueError, match="is written to a new path"):
        export(cmdt_run, tmp_path / "there")
    with pytest.raises(ValueError, match=r"of a finalist of the run \(mine\), got yours"):
        export(cmdt_run, tmp_path / "out", method="yours")


def test_a_method_from_outside_must_be_named_and_then_exports(
    smoke_store: Path, make_run: Callable[..., Path], tmp_path: Path
) -> None:
    run = make_run(LinearMap, smoke_store, CENTRED)
    about = run / "finalists/mine-0-0/model.json"
    about.write_text(about.read_text().replace("sbir.models.linear_map:LinearMap", "mine:Mine"))
    script = tmp_path / "mine.py"
    script.write_text("from sbir.models.linear_map import LinearMap as Mine\n")
    with pytest.raises(ValueError, match=r"add --method FILE.py:Mine"):
        export(run, tmp_path / "out")
    export(run, tmp_path / "out", method=f"{script}:Mine")
    with pytest.raises(ValueError, match=r"add --method FILE.py:Mine"):
        Exported(tmp_path / "out")
    assert Exported(tmp_path / "out", f"{script}:Mine").item_id


def test_codes_are_packed_and_found_at_their_hamming_distance(
    smoke_store: Path, make_run: Callable[..., Path], tmp_path: Path
) -> None:
    run = make_run(SignedMap, smoke_store, {})
    script = tmp_path / "signed.py"
    head = "import torch\nfrom sbir.models.linear_map import LinearMap\nfrom sbir.types import Rows, Views\n"
    script.write_text(head + inspect.getsource(SignedMap))
    export(run, tmp_path / "out", method=f"{script}:SignedMap")
    packed = load_file(tmp_path / "out/gallery.safetensors")["gallery/feature"]
    assert (packed.dtype, tuple(packed.shape)) == (torch.uint8, (48, 8))
    model = Exported(tmp_path / "out", f"{script}:SignedMap")
    sketch = {"feature": Columns(Shared.mapped(smoke_store).items()).take("feature", np.array([0]))}
    code = model.embed(sketch)["feature"][0]
    slow = [sum(int(one != other) for one, other in zip(code, row, strict=True)) for row in model.gallery["feature"]]
    best = sorted(range(48), key=lambda row: (slow[row], row))[:7]
    assert model.search(sketch, 7) == [Answer(model.item_id[row], model.class_name[row], slow[row]) for row in best]


@pytest.mark.parametrize("name", ["gallery.safetensors", "gallery.parquet", "model.safetensors"])
def test_a_file_that_has_changed_is_named(drawn_model: Path, tmp_path: Path, name: str) -> None:
    for file in drawn_model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    raw = bytearray((tmp_path / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(ValueError, match=f"{re.escape(name)} must be as it was exported"):
        Exported(tmp_path)


def test_the_card_says_what_it_is_and_its_code_runs(drawn_model: Path) -> None:
    card = (drawn_model / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: sbir\n")
    assert "> **SYNTHETIC, DEMO SCALE**" in card
    for heading in ("What it is", "Data and protocol", "Figures", "Limits", "Licence", "Use"):
        assert f"\n## {heading}\n" in card
    about: dict[str, Any] = json.loads((drawn_model / "model.json").read_text())
    assert f"fingerprint: {about['protocol']['fingerprint']}" in card
    assert re.search(r"\| Mine \| \d+\.\d \| \[11\.0, 22\.0\] \|", card)
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], cwd=drawn_model, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 3
