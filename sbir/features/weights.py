"""Weights of a backbone, from torchvision, a file, or a seed; a file is never executed."""

import hashlib
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sbir.data.store import check_backbone
from sbir.features.backbones import BACKBONES, Backbone, State, empty_network

SMALLEST = 32  # pixels: five halvings leave one


def load_backbone(name: str, weights: str, *, size: int, seed: int = 0) -> tuple[Backbone, State | None]:
    """A backbone and its state, None where it is drawn from the seed.

    `weights` is "random", "imagenet" (torchvision's, downloaded once) or a file: a torchvision state dict as
    `.safetensors` or as written by `torch.save`. Classifier layers that the feature does not need may be there or not.
    Raises `ValueError` on an unknown name, and on a file that lacks layers, has other shapes or is no plain state dict.
    """
    if name not in BACKBONES:
        raise ValueError(f"a backbone must be one of {', '.join(BACKBONES)}, got {name}")
    if size < SMALLEST:
        raise ValueError(f"size must be at least {SMALLEST} pixels for five halvings, got {size}")
    if weights == "random":
        return Backbone(name, f"random:{seed}", size, seed), None
    if weights == "imagenet":
        return Backbone(name, "imagenet", size), _fitting(name, _torchvision(name), "imagenet")
    path = Path(weights)
    if not path.is_file():
        raise ValueError(f"weights must be random, imagenet or a file, {weights} is not a file")
    state = _safetensors(path) if path.suffix == ".safetensors" else _torch_file(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    return Backbone(name, f"{path.name} ({digest})", size), _fitting(name, state, path.name)


def own_network(described: Mapping[str, Any] | None, weights: Path | None = None) -> nn.Module:
    """The network that made a store's features, built again from the store's words about it.

    `weights` is the file that they came from, where it was one. Raises `ValueError` where features were imported from
    arrays, and where the weights are missing or are others.
    """
    if described is None:
        raise ValueError(
            "a new sketch needs the backbone of the model's features, they were imported as arrays and none is known; "
            "make them with `sbir features` and train on those"
        )
    kind, _, seed = str(described["weights"]).partition(":")
    from_file = kind not in ("random", "imagenet")
    if from_file and weights is None:
        raise ValueError(f"the model's backbone has the weights {described['weights']}; name that file with --weights")
    if not from_file and weights is not None:
        raise ValueError(f"the model's backbone has the weights {described['weights']}, {weights} has no effect; "
                         "leave --weights out")  # fmt: skip
    source = str(weights) if from_file else kind
    backbone, state = load_backbone(described["name"], source, size=int(described["size"]), seed=int(seed or 0))
    check_backbone({"backbone": backbone.describe()}, described)
    return backbone.build(state)


def _fitting(name: str, state: State, source: str) -> State:
    """The entries that the feature needs, all there and of the right shape."""
    network = empty_network(name)
    wanted = network.state_dict()
    unknown = sorted(key for key in state if key not in wanted and not key.startswith("classifier."))
    missing = sorted(key for key in wanted if key not in state and not key.endswith("num_batches_tracked"))
    if missing or unknown:
        raise ValueError(
            f"{source} must hold the weights of {name}, it lacks {len(missing)} entries {missing[:3]} and has "
            f"{len(unknown)} others {unknown[:3]}; check --backbone"
        )
    for key in state.keys() & wanted.keys():
        if tuple(state[key].shape) != tuple(wanted[key].shape):
            raise ValueError(f"{source}: {key} must be {tuple(wanted[key].shape)}, got {tuple(state[key].shape)}")
    chosen = {key: np.asarray(state[key]) for key in wanted if key in state}
    bad = [key for key, value in chosen.items() if value.dtype.kind == "f" and not np.isfinite(value).all()]
    if bad:
        raise ValueError(f"{source}: weights must be finite, {bad[0]} has NaN or infinity")
    return chosen


def _torchvision(name: str) -> State:
    from torchvision.models import get_model

    network: nn.Module = get_model(name, weights="IMAGENET1K_V1", progress=False)
    return {key: value.numpy() for key, value in network.state_dict().items()}


def _torch_file(path: Path) -> State:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a pickle that is refused anyway
            state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        OSError,
        EOFError,
        ValueError,
        KeyError,
        AttributeError,
        TypeError,
    ) as error:
        reason = str(error).partition("\n")[0][:120]
        raise ValueError(f"{path} must be a plain state dict (torch.save of tensors by name), got: {reason}") from None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{path} must be a plain state dict (tensors by name), got {type(state).__name__}")
    return {str(key): value.numpy() for key, value in state.items()}


def _safetensors(path: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        state: State = load_file(path)
    except (SafetensorError, TypeError, KeyError) as error:  # the latter two: a type that NumPy has not, as bfloat16
        raise ValueError(f"{path} must be a safetensors file, got: {error}") from None
    return state
