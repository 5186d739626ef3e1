"""Texts for networks: the store's bytes as tokens, a vocabulary learnt from captions, and a BERT-like encoder."""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from sbir.models.settings import check

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SCRATCH = "scratch"
BERT = ("bert-base-uncased", "google-bert/bert-base-uncased")  # its architecture is transformers' default
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # in BERT's order, [PAD] at 0
MOST_TOKENS = 512  # of a text, as in BERT
HUB_SECONDS = 5.0  # that the hub is waited for
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
        trained = load_encoder(self.encoder)
        self.network.load_state_dict(trained.network.state_dict())
        self.tokenizer = trained.tokenizer

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


@dataclass(frozen=True)
class Encoder:
    """A trained encoder of texts in memory, without a pooler, in float32."""

    network: Any
    tokenizer: "Tokenizer"


def load_encoder(name: str) -> Encoder:
    """A folder of transformers or a model of the hub; raises `ValueError` where it is no whole encoder of texts."""
    network, about = _published("AutoModel", name, use_safetensors=True, dtype=torch.float32, output_loading_info=True)
    missing = sorted(key for key in about["missing_keys"] if not key.startswith("pooler."))
    whole = f"a text encoder must come with all its weights, {name!r} lacks {len(missing)} of them {missing[:3]}"
    check(not missing, f"{whole}; take another one")
    return Encoder(_without_pooler(network).eval(), _framed(_published("AutoTokenizer", name), network.config, name))


@lru_cache
def check_encoder(name: str) -> None:
    """Raise `ValueError` where an encoder cannot be had."""
    if name == SCRATCH:
        return
    try:
        config = _published("AutoConfig", name)
        _framed(_published("AutoTokenizer", name), config, name)
    except ValueError as error:
        raise ValueError(f"{error}, or take encoder={SCRATCH}") from None


def _config(encoder: str, width: int, layers: int, vocabulary: int) -> Any:
    """The architecture, without any weights; of BERT itself without a file."""
    library = _library("transformers")
    if encoder in BERT:
        return library.BertConfig()
    if encoder != SCRATCH:
        return _published("AutoConfig", encoder)
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


def _framed(tokenizer: Any, config: Any, name: str) -> "Tokenizer":
    check(tokenizer.is_fast, f"an encoder needs a tokenizer of the library tokenizers, that of {name} is none")
    inner: Tokenizer = tokenizer.backend_tokenizer
    pieces, most = inner.get_vocab_size(), getattr(config, "vocab_size", None) or inner.get_vocab_size()
    few = len(tokenizer.all_special_tokens) + 1  # without its files transformers makes a tokenizer of special pieces
    own = f"an encoder must come with its own tokenizer, that of {name} has {pieces} pieces"
    check(few <= pieces <= most, f"{own} and not {few} to {most}; add its tokenizer.json")
    inner.enable_padding(pad_id=tokenizer.pad_token_id or 0, pad_token=tokenizer.pad_token or "[PAD]")
    positions = getattr(config, "max_position_embeddings", None) or MOST_TOKENS
    inner.enable_truncation(min(MOST_TOKENS, tokenizer.model_max_length, positions))
    return inner


def _published(kind: str, name: str, **settings: Any) -> Any:
    """A folder of transformers, or a model of the hub: out of its cache where it is there, else downloaded.

    Neither Python code nor pickles of a model are ever run or read.
    """
    from sbir.features.networks import quiet

    of_library = getattr(_library("transformers"), kind)
    try:
        with quiet():
            try:
                with _no_bars():
                    return of_library.from_pretrained(name, local_files_only=True, trust_remote_code=False, **settings)
            except (OSError, ValueError):
                if Path(name).is_dir():
                    raise
                _reach_hub()
                return of_library.from_pretrained(name, trust_remote_code=False, **settings)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ValueError(
            f"a text encoder must be a folder of transformers with its weights as safetensors, or such a model of the "
            f"Hugging Face hub that can be reached, {name!r} is none: {reason}; download it into a folder"
        ) from None


@contextmanager
def _no_bars() -> Iterator[None]:
    """No progress bars of transformers in this block; those of downloads stay."""
    shown = importlib.import_module("transformers.utils.logging")
    before = shown.is_progress_bar_enabled()
    shown.disable_progress_bar()
    try:
        yield
    finally:
        if before:
            shown.enable_progress_bar()


def _reach_hub() -> None:
    """Raise `OSError` where the hub gives no answer at all: its library would try for half a minute."""
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    from huggingface_hub.constants import ENDPOINT

    try:
        with suppress(HTTPError), urlopen(Request(ENDPOINT, method="HEAD"), timeout=HUB_SECONDS):
            pass
    except (URLError, TimeoutError) as error:
        raise OSError(f"the hub has no answer ({getattr(error, 'reason', error)})") from None


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ValueError(f"text encoders need the package {name}: pip install 'sbir[text]'") from None
