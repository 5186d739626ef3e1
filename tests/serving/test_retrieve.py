"""A new sketch is seen as the store's sketches were, and finds what they find."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sbir.cli import main
from sbir.data.feed import Columns
from sbir.data.loader import Shared
from sbir.features.weights import load_backbone
from sbir.models import Method
from sbir.models.linear_map import LinearMap
from sbir.serving.export import export
from sbir.serving.model import Exported
from sbir.serving.sketch import Sketcher, open_sketch
from sbir.types import DataSpec, Rows, Views


def test_a_stores_own_sketch_file_gives_the_ranking_of_the_stored_feature(drawn_model: Path, drawn_store: Path) -> None:
    model = Exported(drawn_model)
    sketcher = Sketcher(model.about)
    shared = Shared.mapped(drawn_store)
    items, root = shared.items(), str(shared.manifest["root"])
    rows = np.flatnonzero(items.domain == "sketch")[:20]
    for row in rows:
        stored = Columns(items).take("feature", rows[rows == row])
        found = sketcher.rows(open_sketch(f"{root}/{items.item_id[row]}"))["feature"]
        assert torch.allclose(found, stored, rtol=1e-5, atol=1e-6)
        ids = [[answer.item_id for answer in model.search({"feature": one}, 16)] for one in (found, stored)]
        assert ids[0] == ids[1]
        assert len(set(ids[0])) == 16


def test_a_search_of_one_ranks_as_the_run_did(
    drawn_model: Path, drawn_store: Path, make_run: Callable[..., Path]
) -> None:
    run = make_run(LinearMap, drawn_store, {"method/penalty": 0.1}, split="seen:0")
    with np.load(run / "finalists/mine-0-0/scores.npz", allow_pickle=False) as scores:
        query, top = scores["query"], scores["top"]
    items = Shared.mapped(drawn_store).items()
    model = Exported(drawn_model)
    for row, ranked in zip(query, top, strict=True):
        answers = model.search({"feature": Columns(items).take("feature", np.array([row]))}, top.shape[1])
        assert [answer.item_id for answer in answers] == items.item_id[ranked].tolist()
        assert [answer.distance for answer in answers] == sorted(answer.distance for answer in answers)


def test_the_command_prints_a_list_or_json(
    drawn_model: Path, drawn_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(str(Shared.mapped(drawn_store).manifest["root"]))
    words = ["retrieve", str(drawn_model), "--top", "3", "--sketch"]
    assert main([*words, str(root / "sketch/fish.ndjson/4")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2", "3"]
    assert main([*words, str(root / "sketch/fish.ndjson/4"), "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert [line.split()[3] for line in lines] == [answer["item_id"] for answer in answers]
    assert set(answers[0]) == {"item_id", "class_name", "distance"}
    assert main([*words, str(root / "sketch/fish.ndjson")]) == 0  # its first drawing
    assert main([*words, str(root / "photo/fish/0.jpg")]) == 0  # any image


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--sketch", "nowhere.png"], "nowhere.png cannot be read"),
        (["--sketch", "dot.png", "--top", "0"], "top must be between 1 and the gallery size 16, got 0"),
        (["--sketch", "dot.png", "--weights", "w.pth"], "random:0, w.pth has no effect; leave --weights out"),
    ],
)
def test_bad_input_is_one_line(
    drawn_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], error: str
) -> None:
    Image.new("RGB", (8, 8), "white").save(tmp_path / "dot.png")
    words = [str(tmp_path / word) if word.endswith(".png") else word for word in words]
    assert main(["retrieve", str(drawn_model), *words]) == 2
    assert error in capsys.readouterr().err


def test_a_run_is_no_model_to_search_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (8, 8), "white").save(tmp_path / "dot.png")
    assert main(["retrieve", str(tmp_path), "--sketch", str(tmp_path / "dot.png")]) == 2
    assert "write one with `sbir export RUN --out FOLDER`" in capsys.readouterr().err


class PenAndPixels(Method):
    """Takes everything that a drawing has; its two views are pixels, and pixels less where the pen was."""

    query_columns = ("image", "strokes", "num_points")
    gallery_columns = ("image",)

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()

    def embed_query(self, rows: Rows) -> Views:
        places = (rows["strokes"][:, :, :2].mean(1) + rows["num_points"][:, None].float()).repeat(1, 864)
        pixels = rows["image"].flatten(1).float()
        return {"pixels": pixels, "both": pixels - places}

    def embed_gallery(self, rows: Rows) -> Views:
        return {"pixels": (pixels := rows["image"].flatten(1).float()), "both": pixels}


def test_pixels_and_strokes_of_a_new_drawing_are_those_of_the_store(
    drawn_store: Path, make_run: Callable[..., Path], tmp_path: Path
) -> None:
    run = make_run(PenAndPixels, drawn_store, {}, split="seen:0")
    script = tmp_path / "pen.py"
    head = "from sbir.models import Method\nfrom sbir.types import DataSpec, Rows, Views\n"
    script.write_text(head + inspect.getsource(PenAndPixels))
    export(run, tmp_path / "out", method=f"{script}:PenAndPixels")
    model = Exported(tmp_path / "out", f"{script}:PenAndPixels")
    shared = Shared.mapped(drawn_store)
    items = shared.items()
    row = np.flatnonzero(items.domain == "sketch")[:1]
    rows = Sketcher(model.about).rows(open_sketch(f"{shared.manifest['root']}/{items.item_id[row[0]]}"))
    assert set(rows) == {"image", "strokes", "num_points"}
    for name, found in rows.items():
        stored = Columns(items).take(name, row)
        assert found.dtype == stored.dtype
        assert torch.equal(found, stored), name
    assert len(model.search(rows, 5)) == 5
    photo = open_sketch(f"{shared.manifest['root']}/{model.item_id[0]}")
    with pytest.raises(ValueError, match=r"takes strokes, and a picture has none; give it FILE.ndjson/KEY"):
        Sketcher(model.about).rows(photo)


def taking(backbone: dict[str, Any] | None) -> dict[str, Any]:
    return {"backbone": backbone, "columns": {"feature": {"dtype": "float32", "shape": [512]}}}


def test_the_backbone_must_be_the_models_own(tmp_path: Path) -> None:
    described = load_backbone("squeezenet1_1", "random", size=64)[0].describe()
    with pytest.raises(ValueError, match="imported as arrays and none is known"):
        Sketcher(taking(None))
    for weights in ("w.safetensors (0123abcd)", "imagenet.pth (ffff0000)"):
        with pytest.raises(ValueError, match=r"has the weights .*; name that file with --weights"):
            Sketcher(taking({**described, "weights": weights}))
    from torchvision.models import squeezenet1_1

    torch.save(squeezenet1_1(weights=None).state_dict(), tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"'w.pth \(0123abcd\)'.*got .*'w.pth \("):
        Sketcher(taking({**described, "weights": "w.pth (0123abcd)"}), tmp_path / "w.pth")


def test_an_export_searches_where_the_store_is_not(drawn_model: Path, drawn_store: Path, tmp_path: Path) -> None:
    for file in drawn_model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    about = (tmp_path / "model.json").read_text()
    (tmp_path / "model.json").write_text(about.replace(str(drawn_store.parent), "/nowhere"))
    sketch = {"feature": Columns(Shared.mapped(drawn_store).items()).take("feature", np.array([0]))}
    assert Exported(tmp_path).search(sketch, 5) == Exported(drawn_model).search(sketch, 5)
