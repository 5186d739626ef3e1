"""Texts for networks: the store's bytes as tokens, a vocabulary learnt from captions, and a BERT-like encoder."""

import importlib
import json
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sbir.models.settings import check

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SCRATCH = "scratch"
BERT = ("bert-base-uncased", "google-bert/bert-base-uncased")  # its architecture is transformers' default
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # in BERT's order, [PAD] at 0
MOST_TOKENS = 512  # of a text, as in BERT
_SHIFT = 0xF0000  # to characters that no text has


def texts_of(column: Tensor) -> list[str]:
    """The store's `text` column (n, bytes) uint8, UTF-8 filled up with zeros, as words.

    >>> texts_of(torch.tensor([[104, 195, 188, 0], [0, 0, 0, 0]], dtype=torch.uint8))
    ['hü', '']
    """
    return [bytes(row).rstrip(b"\0").decode() for row in column.cpu().numpy()]


def train_tokenizer(texts: Sequence[str], size: int) -> "Tokenizer":
    """A WordPiece tokenizer like that of bert-base-uncased, with at most `size` pieces learnt from the texts.

    Small letters, without accents; pieces inside a word begin with ##. The same texts always give the same pieces: the
    trainer of the library numbers the pieces inside a word at random, so it is given them as letters of their own.
    """
    _library("tokenizers")
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    normalizer, splitter = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    words = [
        word[0] + "".join(chr(ord(letter) + _SHIFT) for letter in word[1:])
        for text in texts
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))
    ]
    pairs = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=size - len(SPECIAL), min_frequency=2, show_progress=False)
    pairs.train_from_iterator(words, trainer)
    learnt = pairs.get_vocab()
    pieces = [*SPECIAL, *(_piece(shifted) for shifted in sorted(learnt, key=lambda one: learnt[one]))]
    vocabulary = {piece: number for number, piece in enumerate(pieces[:size])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    ends = [(piece, SPECIAL.index(piece)) for piece in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=ends)
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
    tokenizer.enable_truncation(MOST_TOKENS)
    return tokenizer


def _piece(shifted: str) -> str:
    inside = "##" if ord(shifted[0]) >= _SHIFT else ""
    return inside + "".join(chr(ord(letter) % _SHIFT) for letter in shifted)


class TextBranch(nn.Module):
    """A text encoder, the state of its first token, dropout, and a linear layer: (n, bytes) uint8 -> (n, out).

    `encoder` is a BERT-like model of transformers: a folder, a name of the Hugging Face hub, or "scratch", a BERT of
    `width` and `layers` with random weights whose vocabulary of at most `vocabulary` pieces is learnt in `prepare`. The
    tokenizer is part of the module's state, as JSON, so that a saved model needs no other file for it.
    """

    def __init__(self, encoder: str, out: int, dropout: float, *, width: int, layers: int, vocabulary: int) -> None:
        super().__init__()
        self.encoder, self.vocabulary = encoder, vocabulary
        config = _config(encoder, width, layers, vocabulary)
        self.network = _without_pooler(_library("transformers").AutoModel.from_config(config))
        self.top = nn.Sequential(nn.Dropout(dropout), nn.Linear(config.hidden_size, out))
        self.tokenizer: Tokenizer | None = None

    def forward(self, column: Tensor) -> Tensor:
        """Bytes (n, bytes) of texts -> (n, out)."""
        assert self.tokenizer is not None  # `prepare` or a saved state comes first
        found = self.tokenizer.encode_batch(texts_of(column))
        ids, mask = (torch.tensor([getattr(one, name) for one in found]) for name in ("ids", "attention_mask"))
        device = next(self.parameters()).device
        states = self.network(input_ids=ids.to(device), attention_mask=mask.to(device)).last_hidden_state  # n, T, width
        seen: Tensor = self.top(states[:, 0])
        return seen

    def prepare(self, column: Tensor) -> None:
        """Learn the vocabulary of training texts (n, bytes), or take over a published encoder with its tokenizer."""
        if self.encoder == SCRATCH:
            self.tokenizer = train_tokenizer(texts_of(column), self.vocabulary)
            return
        library = _library("transformers")
        published = _without_pooler(_published(library.AutoModel, self.encoder))
        self.network.load_state_dict(published.state_dict())
        self.tokenizer = _framed(_published(library.AutoTokenizer, self.encoder), self.encoder)

    def get_extra_state(self) -> Tensor:
        """The tokenizer as JSON in UTF-8, (bytes,) uint8; none before `prepare`."""
        text = self.tokenizer.to_str() if self.tokenizer is not None else ""
        return torch.tensor(list(text.encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Take over a saved tokenizer; raises `ValueError` where it is none."""
        if not len(state):
            return
        from tokenizers import Tokenizer

        try:
            self.tokenizer = Tokenizer.from_str(bytes(state.cpu().numpy()).decode())
        except Exception as error:  # the library raises nothing more special
            raise ValueError(f"a saved text encoder must come with its tokenizer as JSON, got: {error}") from None


@lru_cache
def check_encoder(name: str) -> None:
    """Raise `ValueError` where an encoder cannot be had."""
    if name != SCRATCH:
        _published(_library("transformers").AutoConfig, name)
        _framed(_published(_library("transformers").AutoTokenizer, name), name)


def _config(encoder: str, width: int, layers: int, vocabulary: int) -> Any:
    """The architecture, without any weights; of BERT itself without a file."""
    library = _library("transformers")
    if encoder in BERT:
        return library.BertConfig()
    if encoder != SCRATCH:
        return _published(library.AutoConfig, encoder)
    return library.BertConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // 64),  # heads of 64 entries, as in BERT
        intermediate_size=4 * width,
    )


def _without_pooler(network: Any) -> Any:
    """BERT's pooler is for next sentences: the state of the first token is taken as it is."""
    if getattr(network, "pooler", None) is not None:
        network.pooler = None
    return network


def _framed(tokenizer: Any, name: str) -> "Tokenizer":
    check(tokenizer.is_fast, f"an encoder needs a tokenizer of the library tokenizers, that of {name} is none")
    inner: Tokenizer = tokenizer.backend_tokenizer
    inner.enable_padding(pad_id=tokenizer.pad_token_id or 0, pad_token=tokenizer.pad_token or "[PAD]")
    inner.enable_truncation(min(MOST_TOKENS, tokenizer.model_max_length))
    return inner


def _published(kind: Any, name: str) -> Any:
    from sbir.features.networks import quiet

    try:
        with quiet():
            return kind.from_pretrained(name)
    except (OSError, ValueError, KeyError, json.JSONDecodeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ValueError(
            f"encoder must be {SCRATCH}, a folder of transformers, or a model of the Hugging Face hub that can be "
            f"reached, {name!r} is none: {reason}; download it into a folder, or take encoder={SCRATCH}"
        ) from None


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ValueError(f"text encoders need the package {name}: pip install 'sbir[text]'") from None
