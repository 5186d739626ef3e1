"""Weights of a backbone, from torchvision, a file, or a seed; a file is never executed."""

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sbir.data.store import check_backbone, file_hash
from sbir.features.backbones import Backbone, State, feature_width, find_source
from sbir.features.networks import fetch


def load_backbone(
    name: str, weights: str | None = None, *, size: int | None = None, seed: int = 0
) -> tuple[Backbone, State | None]:
    """A backbone and its state, None where it is drawn from the seed.

    `weights` is None (the network's published ones, downloaded once), "imagenet" (the same, of torchvision's networks),
    "random", or a file: a state dict of the network's library as `.safetensors` or as written by `torch.save`. Layers
    that the feature does not need may be there or not. `size` in pixels is the network's own where it is None.
    Raises `ValueError` on an unknown name, on a size that the network cannot take, and on a file that lacks layers, has
    other shapes or is no plain state dict; `OSError` where a download fails.
    """
    source = find_source(name)
    if weights == "imagenet" and source.published != "imagenet":
        raise ValueError(f"the weights of {name} must be random, a file, or its own; leave --weights imagenet out")
    size = source.preprocessing().size if size is None else size
    if size < 1:
        raise ValueError(f"size must be at least 1 pixel, got {size}")
    feature_width(name, size)
    if weights == "random":
        return Backbone(name, f"random:{seed}", size, seed), None
    if weights in (None, "imagenet"):
        state = {key: value.numpy() for key, value in fetch(source.download, name).state_dict().items()}
        return Backbone(name, source.published, size), _fitting(name, state, f"the published weights of {name}")
    path = Path(weights)
    loaded = read_state(path)
    digest = file_hash(path)[:8]
    return Backbone(name, f"{path.name} ({digest})", size), _fitting(name, loaded, path.name)


def read_state(path: Path) -> State:
    """A state dict as `.safetensors` or as written by `torch.save`; raises `ValueError` where it is something else."""
    if not path.is_file():
        raise ValueError(f"weights must be random, imagenet or a file, {path} is not a file")
    return _safetensors(path) if path.suffix == ".safetensors" else _torch_file(path)


def own_network(described: Mapping[str, Any] | None, weights: Path | None = None) -> tuple[Backbone, nn.Module]:
    """The backbone that made a store's features, and its network, built again from the store's words about it.

    `weights` is the file that they came from, where it was one. Raises `ValueError` where features were imported from
    arrays, and where the weights are missing or are others.
    """
    if described is None:
        raise ValueError(
            "a new sketch needs the backbone of the model's features, they were imported as arrays and none is known; "
            "make them with `sbir features` and train on those"
        )
    kind, _, seed = str(described["weights"]).partition(":")
    from_file = kind not in ("random", find_source(described["name"]).published)
    if from_file and weights is None:
        raise ValueError(f"the model's backbone has the weights {described['weights']}; name that file with --weights")
    if not from_file and weights is not None:
        raise ValueError(f"the model's backbone has the weights {described['weights']}, {weights} has no effect; "
                         "leave --weights out")  # fmt: skip
    source = str(weights) if from_file else "random" if kind == "random" else None
    backbone, state = load_backbone(described["name"], source, size=int(described["size"]), seed=int(seed or 0))
    check_backbone({"backbone": backbone.describe()}, described)
    return backbone, backbone.build(state)


def _fitting(name: str, state: State, origin: str) -> State:
    """The entries that the feature needs, all there and of the right shape."""
    source = find_source(name)
    with torch.device("meta"):
        wanted = source.network().state_dict()
    others = [key for key in state if key not in wanted]
    unknown = sorted(key for key in others if not source.optional(key))
    missing = sorted(key for key in wanted if key not in state and not key.endswith("num_batches_tracked"))
    if missing or unknown:
        raise ValueError(
            f"{origin} must hold the weights of {name}, it lacks {len(missing)} entries {missing[:3]} and has "
            f"{len(unknown)} others {unknown[:3]}; check --backbone"
        )
    for key in state.keys() & wanted.keys():
        if tuple(state[key].shape) != tuple(wanted[key].shape):
            raise ValueError(f"{origin}: {key} must be {tuple(wanted[key].shape)}, got {tuple(state[key].shape)}")
    chosen = {key: np.asarray(state[key]) for key in wanted if key in state}
    bad = [key for key, value in chosen.items() if value.dtype.kind == "f" and not np.isfinite(value).all()]
    if bad:
        raise ValueError(f"{origin}: weights must be finite, {bad[0]} has NaN or infinity")
    return chosen


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
        raise ValueError(
            f"{path} must be a plain state dict (tensors by name), got {type(state).__name__} with more than tensors"
        )
    return _arrays(state)


def _safetensors(path: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return _arrays(load_file(path))
    except (SafetensorError, TypeError, KeyError) as error:  # the latter two: a type that NumPy has not
        raise ValueError(f"{path} must be a safetensors file, got: {error}") from None


def _arrays(tensors: Mapping[Any, torch.Tensor]) -> State:
    """NumPy has no bfloat16: it becomes float32."""
    known = {key: value.float() if value.dtype == torch.bfloat16 else value for key, value in tensors.items()}
    return {str(key): value.numpy() for key, value in known.items()}
