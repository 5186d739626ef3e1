"""Frozen text encoders that turn a caption into a feature: `hf:FOLDER` or `hf:NAME`, models of transformers."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sbir.features.backbones import State
from sbir.models.texts import load_encoder

PREFIX = "hf:"
POOLING = "mean of the last layer's tokens"
_OWN = ("_name_or_path", "transformers_version", "dtype", "architectures")  # of a file, not of what it computes


@dataclass(frozen=True)
class TextState:
    """An encoder as plain values, from which every machine builds it: no file and no pickle is read there."""

    config: dict[str, Any]
    tokenizer: str  # JSON
    tensors: State


@dataclass(frozen=True)
class TextBackbone:
    """An encoder of texts, as a store's manifest names it."""

    name: str  # as the user gave it, of a folder the last part alone
    weights: str  # eight hexadecimal digits over weights, tokenizer and configuration
    width: int

    def describe(self) -> dict[str, Any]:
        """For a store's manifest."""
        return {"name": self.name, "weights": self.weights, "pooling": POOLING, "width": self.width}


class TextEncoder:
    """An encoder in memory: texts -> features, the mean of the last layer's tokens, special ones included.

    The mean is the better feature of an encoder that is not trained further (Reimers and Gurevych 2019, Sentence-BERT,
    https://arxiv.org/abs/1908.10084, table 6); a text of more than 512 tokens is cut.
    """

    def __init__(self, state: TextState, device: str = "cpu") -> None:
        import transformers
        from tokenizers import Tokenizer

        config = transformers.AutoConfig.for_model(**state.config)
        network = transformers.AutoModel.from_config(config).float()
        if getattr(network, "pooler", None) is not None:
            network.pooler = None
        network.load_state_dict({name: torch.tensor(value) for name, value in state.tensors.items()})
        self._network, self._device = network.eval().requires_grad_(False).to(device), device
        self._tokenizer = Tokenizer.from_str(state.tokenizer)

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Features (n, width) of n texts."""
        found = self._tokenizer.encode_batch(list(texts))
        ids, mask = (
            torch.tensor([getattr(one, name) for one in found], device=self._device)
            for name in ("ids", "attention_mask")
        )
        states = self._network(input_ids=ids, attention_mask=mask).last_hidden_state  # (n, T, width)
        kept = mask[:, :, None].to(states.dtype)
        feature: NDArray[np.float32] = ((states * kept).sum(1) / kept.sum(1)).float().cpu().numpy()
        return feature


def load_text_backbone(name: str) -> tuple[TextBackbone, TextState]:
    """An encoder with its weights (safetensors alone); raises `ValueError` where it cannot be had or reads no texts."""
    where = name.removeprefix(PREFIX)
    if where in (name, ""):
        raise ValueError(f"a text backbone must be hf:FOLDER of transformers or hf:NAME of its hub, got {name!r}")
    loaded = load_encoder(where)
    tensors = {key: value.numpy() for key, value in loaded.network.state_dict().items()}
    config = {key: value for key, value in loaded.network.config.to_diff_dict().items() if key not in _OWN}
    state = TextState(config, loaded.tokenizer.to_str(), tensors)
    short = f"{PREFIX}{Path(where).resolve().name}" if Path(where).is_dir() else name
    return TextBackbone(short, _digest(state), _width(state, where)), state


def own_text_encoder(described: Mapping[str, Any] | None, folder: Path | None = None) -> TextEncoder:
    """The encoder that made a store's `text_feature`, from the store's words about its backbone.

    `folder` is where it lies, where it came from a folder. Raises `ValueError` where it is missing or another one.
    """
    wanted = (described or {}).get("text")
    if wanted is None:
        raise ValueError("a new text needs the encoder of the model's texts, and none is known; make the store with "
                         "`sbir features --text-backbone` and train on that")  # fmt: skip
    name = wanted["name"] if folder is None else f"{PREFIX}{folder}"
    fix = f"name the folder of the model's text encoder {wanted['name']} ({wanted['weights']}) with --weights"
    try:
        found, state = load_text_backbone(name)
    except ValueError as error:
        raise ValueError(f"{error}; {fix}") from None
    if found.weights != wanted["weights"]:
        raise ValueError(f"the text encoder must be the model's own, {name} has other weights ({found.weights}); {fix}")
    return TextEncoder(state)


def _width(state: TextState, where: str) -> int:
    """Entries of a feature, found by making one."""
    try:
        feature = TextEncoder(state)(["a text"])
    except (ValueError, TypeError, AttributeError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ValueError(f"a text backbone must be an encoder of texts alone, {where} is none: {reason}") from None
    if not np.isfinite(feature).all():
        raise ValueError(f"the weights of {where} must be finite, they give NaN or infinity; take others")
    return int(feature.shape[1])


def _digest(state: TextState) -> str:
    digest = hashlib.sha256(json.dumps(state.config, sort_keys=True).encode())
    digest.update(state.tokenizer.encode())
    for name in sorted(state.tensors):
        digest.update(f"{name} {state.tensors[name].shape}".encode())
        digest.update(np.ascontiguousarray(state.tensors[name]).tobytes())
    return digest.hexdigest()[:8]
