"""Texts as networks see them: bytes, pieces of words, and an encoder whose tokenizer travels with its weights."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sbir.data.dataset import Item, told_columns
from sbir.models.texts import SPECIAL, TextBranch, check_encoder, texts_of, train_tokenizer
from sbir.training import checkpoint
from tests.models.bert import saved_bert

CAPTIONS = [
    "A large café at night, facing left",
    "ein großes Flugzeug; nach links gewandt",
    "zwei Flugzeuge nach rechts gewandt",
    "two large airplanes facing right",
]


def column(texts: list[str]) -> Tensor:
    """As a store has them."""
    items = [Item(str(row), "text", "x", None, "", text=text) for row, text in enumerate(texts)]
    return torch.from_numpy(told_columns(items)["text"].blocks[0])


def branch(texts: list[str], **settings: Any) -> TextBranch:
    torch.manual_seed(0)
    sizes = {"width": 64, "layers": 1, "vocabulary": 200, **settings}
    built = TextBranch("scratch", 8, 0.5, **sizes)
    built.prepare(column(texts))
    return built.eval()


def test_the_columns_bytes_are_the_texts() -> None:
    assert texts_of(column(CAPTIONS)) == CAPTIONS


def test_pieces_spell_every_training_word_and_repeated_words_are_whole() -> None:
    tokenizer = train_tokenizer(CAPTIONS * 3, 400)
    for text in CAPTIONS:
        pieces = tokenizer.encode(text).tokens
        assert (pieces[0], pieces[-1]) == ("[CLS]", "[SEP]")
        assert "[UNK]" not in pieces
        letters = "".join(piece.removeprefix("##") for piece in pieces[1:-1])
        assert letters == tokenizer.normalizer.normalize_str(text).replace(" ", "")
    assert tokenizer.encode("Flugzeuge").tokens == ["[CLS]", "flugzeuge", "[SEP]"]
    assert tokenizer.encode("nachts").tokens[1] == "nach"
    assert tokenizer.encode("ὀ").tokens == ["[CLS]", "[UNK]", "[SEP]"]
    assert [tokenizer.token_to_id(piece) for piece in SPECIAL] == [0, 1, 2, 3, 4]


def test_a_vocabulary_has_at_most_the_size_that_is_asked_for() -> None:
    for size in (64, 70, 90):
        vocabulary = train_tokenizer(CAPTIONS * 3, size).get_vocab()
        assert len(vocabulary) <= size
        assert max(vocabulary.values()) < size


def test_the_same_texts_give_the_same_pieces_in_every_process() -> None:
    code = "import json, sys; from sbir.models.texts import train_tokenizer as train; "
    code += "print(train(json.load(sys.stdin), 120).to_str())"
    ends = ("tier", "hund", "tür", "mann")
    words = [f"{one}{two} {two}{one}" for one in ("wal", "see", "boot", "haus") for two in ends]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    found = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(words), capture_output=True, text=True, check=True, env=env
    )
    assert found.stdout.strip() == train_tokenizer(words, 120).to_str()


@torch.no_grad()
def test_a_text_is_embedded_by_itself_whoever_stands_beside_it() -> None:
    built = branch(CAPTIONS)
    together = built(column(CAPTIONS))
    alone = torch.cat([built(column([text])) for text in CAPTIONS])
    assert torch.allclose(together, alone, atol=1e-5)
    assert torch.equal(together, built(column(CAPTIONS)))


@torch.no_grad()
def test_weights_and_tokenizer_come_back_from_one_file_that_holds_no_code(tmp_path: Path) -> None:
    built = branch(CAPTIONS)
    checkpoint.save_tensors(tmp_path / "model.safetensors", built.state_dict())
    again = branch(["other words"]).eval()
    again.load_state_dict(checkpoint.load_tensors(tmp_path / "model.safetensors"))
    assert torch.equal(again(column(CAPTIONS)), built(column(CAPTIONS)))
    checkpoint.save(tmp_path / "last.pt", built.state_dict())
    again.load_state_dict(checkpoint.load(tmp_path / "last.pt"))
    assert again.tokenizer is not None
    assert json.loads(again.tokenizer.to_str())["model"]["type"] == "WordPiece"


def test_a_state_with_a_broken_tokenizer_is_refused() -> None:
    built = branch(CAPTIONS)
    state = built.state_dict()
    for broken in (b"{}", b"\xff\xfe", b"cos\nsystem\n"):
        with pytest.raises(ValueError, match="its tokenizer as JSON"):
            built.load_state_dict(state | {"_extra_state": torch.tensor(list(broken), dtype=torch.uint8)})


def test_texts_longer_than_the_encoder_are_cut() -> None:
    built = branch(CAPTIONS)
    assert built(column(["large café " * 400])).isfinite().all()


@torch.no_grad()
def test_a_folder_of_transformers_is_taken_with_its_weights_and_its_tokenizer(tmp_path: Path) -> None:
    model, fast = saved_bert(tmp_path, CAPTIONS)
    check_encoder(str(tmp_path))
    built = TextBranch(str(tmp_path), 8, 0.0, width=64, layers=1, vocabulary=64).eval()
    built.prepare(column(CAPTIONS))
    assert not any("pooler" in name for name, _ in built.named_parameters())
    given = fast(CAPTIONS, padding=True, return_tensors="pt")
    expected = model(input_ids=given["input_ids"], attention_mask=given["attention_mask"]).last_hidden_state[:, 0]
    assert torch.allclose(built(column(CAPTIONS)), built.top(expected), atol=1e-5)


@pytest.mark.parametrize("name", ["nowhere/at all", "a folder/that is/not there"])
def test_an_encoder_that_cannot_be_had_is_named_with_a_way_out(name: str) -> None:
    with pytest.raises(ValueError, match=r"text encoder must be .* is none: .*, or take encoder=scratch"):
        check_encoder(name)


def test_berts_own_architecture_needs_no_file() -> None:
    with torch.device("meta"):
        built = TextBranch("bert-base-uncased", 32, 0.5, width=64, layers=1, vocabulary=64)
    sizes = sum(int(np.prod(one.shape)) for name, one in built.named_parameters() if name.startswith("network."))
    assert sizes == 109_482_240 - 590_592  # as published, without the pooler
