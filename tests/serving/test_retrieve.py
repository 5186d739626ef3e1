"""A new sketch is seen as the store's sketches were, and finds what they find."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sbir.cli import main
from sbir.data.loader import Shared
from sbir.features.weights import load_backbone
from sbir.models.linear_map import LinearMap
from sbir.serving.model import Exported
from sbir.serving.sketch import Sketcher, open_sketch


def test_a_stores_own_sketch_file_gives_the_ranking_of_the_stored_feature(drawn_model: Path, drawn_store: Path) -> None:
    model = Exported(drawn_model)
    sketcher = Sketcher(model.about)
    shared = Shared.mapped(drawn_store)
    items, root = shared.items(), str(shared.manifest["root"])
    rows = np.flatnonzero(items.domain == "sketch")[:20]
    for row in rows:
        stored = torch.from_numpy(items.payload["feature"].take(rows[rows == row])[0])
        found = sketcher.feature(open_sketch(f"{root}/{items.item_id[row]}"))
        assert torch.allclose(found, stored, rtol=1e-5, atol=1e-6)
        ids = [[answer.item_id for answer in model.search(feature, 16)] for feature in (found, stored)]
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
        feature = torch.from_numpy(items.payload["feature"].take(np.array([row]))[0])
        answers = model.search(feature, top.shape[1])
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


def test_the_backbone_must_be_the_models_own(tmp_path: Path) -> None:
    described = load_backbone("squeezenet1_1", "random", size=64)[0].describe()
    with pytest.raises(ValueError, match="imported as arrays and none is known"):
        Sketcher({"backbone": None})
    for weights in ("w.safetensors (0123abcd)", "imagenet.pth (ffff0000)"):
        with pytest.raises(ValueError, match=r"has the weights .*; name that file with --weights"):
            Sketcher({"backbone": {**described, "weights": weights}})
    from torchvision.models import squeezenet1_1

    torch.save(squeezenet1_1(weights=None).state_dict(), tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"'w.pth \(0123abcd\)'.*got .*'w.pth \("):
        Sketcher({"backbone": {**described, "weights": "w.pth (0123abcd)"}}, tmp_path / "w.pth")


def test_an_export_searches_where_the_store_is_not(drawn_model: Path, drawn_store: Path, tmp_path: Path) -> None:
    for file in drawn_model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    about = (tmp_path / "model.json").read_text()
    (tmp_path / "model.json").write_text(about.replace(str(drawn_store.parent), "/nowhere"))
    feature = torch.from_numpy(Shared.mapped(drawn_store).items().payload["feature"].take(np.array([0]))[0])
    assert Exported(tmp_path).search(feature, 5) == Exported(drawn_model).search(feature, 5)
