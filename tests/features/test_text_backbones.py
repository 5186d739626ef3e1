"""Captions by an encoder of transformers: the vectors themselves, the store that holds them, and what is refused."""

import json
import os
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from sbir.cli import main
from sbir.data.readers import read_dataset
from sbir.data.store import Store, StoreError, check_backbone, verify_store
from sbir.features.extract import extract
from sbir.features.texts import load_text_backbone, own_text_encoder
from sbir.features.work import Work
from sbir.serving.sketch import text_rows
from tests.data import miniatures
from tests.models.bert import saved_bert

CLASSES, PHOTOS, WIDTH = ("ant", "bee", "cat"), 4, 16
BATCH = 5  # neighbouring rows


def captions(root: Path) -> Path:
    """Three classes of four photos with a caption each, of different lengths."""
    names = [(name, f"{name}_{number}") for name in CLASSES for number in range(PHOTOS)]
    miniatures.picture(root, *(f"photo/{name}/{photo}.jpg" for name, photo in names))
    lines = [
        {"id": photo, "class": name, "en": f"a {name}" + " that is seen from afar" * place}
        for place, (name, photo) in enumerate(names)
    ]
    (root / "captions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return captions(tmp_path_factory.mktemp("captions") / "data")


@pytest.fixture(scope="module")
def bert(root: Path) -> tuple[Path, Any, Any]:
    """Its folder, the model, and the tokenizer."""
    folder = root.parent / "tiny-bert"
    texts = [item.text for item in read_dataset(root, variant="text=en").items if item.domain == "text"]
    return folder, *saved_bert(folder, texts, WIDTH)


def run(root: Path, bert: Path, out: Path, **changes: Any) -> Path:
    settings: dict[str, Any] = {"backbone": "squeezenet1_1", "size": 32, "workers": 1, "variant": "text=en"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sbir.features.pipeline.TEXT_BATCH", BATCH)
        return extract(root, out, **settings | {"text_backbone": f"hf:{bert}"} | changes)


@pytest.fixture(scope="module")
def plain(root: Path, bert: tuple[Path, Any, Any], ray_session: None) -> Store:
    """Photos and captions in one go."""
    return verify_store(run(root, bert[0], root.parent / "plain"))


@torch.no_grad()
def test_each_caption_is_the_mean_of_its_own_tokens_in_a_column_of_its_own_width(
    root: Path, bert: tuple[Path, Any, Any], plain: Store
) -> None:
    _, model, tokenizer = bert
    items = plain.items()
    features = items.payload["text_feature"].take(np.arange(len(items)))
    assert plain.manifest["columns"]["text_feature"] == {"dtype": "float32", "shape": [WIDTH]}
    assert plain.manifest["columns"]["feature"] == {"dtype": "float32", "shape": [512]}
    texts = {item.item_id: item.text for item in read_dataset(root, variant="text=en").items}
    for row, (name, domain) in enumerate(zip(items.item_id, items.domain, strict=True)):
        if domain == "photo":
            assert not features[row].any()
            continue
        alone = model(**tokenizer(texts[str(name)], return_tensors="pt")).last_hidden_state[0]
        np.testing.assert_allclose(features[row], alone.mean(0).numpy(), rtol=1e-4, atol=1e-5)


def test_the_encoder_is_named_by_its_weights_and_not_by_its_place(root: Path, plain: Store) -> None:
    about = plain.manifest["backbone"]["text"]
    assert (about["name"], about["width"], len(about["weights"])) == ("hf:tiny-bert", WIDTH, 8)
    assert f"px, texts by hf:tiny-bert, weights {about['weights']}; texts (en)" in plain.manifest["given"]
    assert str(root.parent) not in json.dumps(plain.manifest["backbone"]) + plain.manifest["given"]
    without = {"backbone": {name: value for name, value in plain.manifest["backbone"].items() if name != "text"}}
    check_backbone(plain.manifest, without["backbone"])  # a model that was trained on photos alone
    with pytest.raises(StoreError, match=r"must come from the model's own backbone .*tiny-bert"):
        check_backbone(without, plain.manifest["backbone"])


@pytest.mark.usefixtures("ray_session")
def test_captions_may_be_stored_alone_in_halves_and_when_stopped_go_on_to_the_same_store(
    root: Path, bert: tuple[Path, Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: dict[str, Any] = {"backbone": "none", "dtype": "float16"}
    whole = verify_store(run(root, bert[0], tmp_path / "whole", **wanted))
    assert list(whole.manifest["columns"]) == ["text_feature", "text"]
    assert whole.manifest["columns"]["text_feature"] == {"dtype": "float16", "shape": [WIDTH]}
    assert list(whole.manifest["backbone"]) == ["text"]
    add, batches = Work.add, []

    def add_and_stop(self: Work, rows: Any, *rest: Any) -> None:
        add(self, rows, *rest)
        batches.append(rows.tolist())
        if len(batches) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Work, "add", add_and_stop)
    with pytest.raises(KeyboardInterrupt):
        run(root, bert[0], tmp_path / "store", **wanted)
    run(root, bert[0], tmp_path / "store", **wanted)
    texts = np.flatnonzero([item.domain == "text" for item in read_dataset(root, variant="text=en").items])
    assert sorted(row for rows in batches for row in rows) == texts.tolist()
    assert verify_store(tmp_path / "store").manifest == whole.manifest


def test_a_new_text_is_embedded_as_those_of_the_store_by_the_same_encoder_alone(
    root: Path, bert: tuple[Path, Any, Any], plain: Store, tmp_path: Path
) -> None:
    folder = bert[0]
    items = plain.items()
    item = next(item for item in read_dataset(root, variant="text=en").items if item.domain == "text")
    about = {"columns": {"text_feature": {"dtype": "float32"}}, "backbone": plain.manifest["backbone"]}
    row = np.flatnonzero(items.item_id == item.item_id)
    found = text_rows(about, item.text, folder)["feature"].numpy()
    np.testing.assert_allclose(found, items.payload["text_feature"].take(row), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"name the folder of the model's text encoder hf:tiny-bert .* with --weights"):
        own_text_encoder(about["backbone"], tmp_path / "nowhere")
    saved_bert(tmp_path / "other", ["other words"], WIDTH)
    with pytest.raises(ValueError, match=r"must be the model's own, .* has other weights"):
        own_text_encoder(about["backbone"], tmp_path / "other")


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = str(proof)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.proof,)


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with (folder / "pytorch_model.bin").open("wb") as file:
        pickle.dump(Payload(folder / "proof"), file)


def with_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text(f"import os\nos.mkdir({str(folder / 'proof')!r})\nclass Config: pass\n")


def lacking(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["encoder.layer.0.attention.self.query.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def infinite(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["encoder.layer.0.output.dense.bias"][0] = float("inf")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def wordless(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()


def torn(folder: Path) -> None:
    (folder / "config.json").write_text("{")


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (pickled, "with its weights as safetensors"),
        (with_code, "is none: "),
        (
            lacking,
            r"must come with all its weights, .* lacks 1 of them \['encoder.layer.0.attention.self.query.weight'\]",
        ),
        (infinite, "must be finite"),
        (cut, "is none: "),
        (wordless, "must come with its own tokenizer, .* has 5 pieces"),
        (torn, "is none: "),
    ],
)
def test_an_encoder_that_is_not_whole_or_brings_code_is_refused_and_nothing_runs(
    bert: tuple[Path, Any, Any], tmp_path: Path, spoil: Callable[[Path], None], text: str
) -> None:
    folder = shutil.copytree(bert[0], tmp_path / "spoilt")
    spoil(folder)
    with pytest.raises(ValueError, match=text):
        load_text_backbone(f"hf:{folder}")
    assert not (folder / "proof").exists()


def test_an_encoder_of_images_and_texts_is_refused(tmp_path: Path, bert: tuple[Path, Any, Any]) -> None:
    import transformers

    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config={**small, "vocab_size": 120}, vision_config={**small, "image_size": 32, "patch_size": 16}
    )
    transformers.CLIPModel(config).save_pretrained(tmp_path)
    bert[2].save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="must be an encoder of texts alone"):
        load_text_backbone(f"hf:{tmp_path}")


def test_what_is_wrong_is_said_in_one_line_before_any_work(
    root: Path, bert: tuple[Path, Any, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    out = tmp_path / "out"

    def error(root: Path, backbone: str, *more: str) -> str:
        words = ["features", str(root), "--backbone", "none", "--out", str(out), "--text-backbone", backbone, *more]
        assert main(words) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        return said

    english = ("--variant", "text=en")
    assert "must be hf:FOLDER of transformers or hf:NAME of its hub, got 'bert'" in error(root, "bert", *english)
    for name in CLASSES:
        miniatures.picture(tmp_path / "sketches", f"photo/{name}/{name}_0.jpg", f"sketch/{name}/{name}_0-1.png")
    assert "leave out --text-backbone hf:x, or choose the language" in error(tmp_path / "sketches", "hf:x")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    unreachable = error(root, "hf:nobody/nothing-of-this-name", *english)
    assert "'nobody/nothing-of-this-name' is none: the hub has no answer" in unreachable
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert "need the package transformers: pip install 'sbir[text]'" in error(root, f"hf:{bert[0]}", *english)
    assert not out.exists()
