import json
import os
import pickle
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch

from sbir.features.backbones import Backbone
from sbir.features.networks import TorchvisionSource
from sbir.features.weights import load_backbone

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "weights"


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """A whole squeezenet, classifier included, as torchvision would save it."""
    from torchvision.models import squeezenet1_1

    return dict(squeezenet1_1(weights=None).state_dict())


def write_safetensors(path: Path, state: dict[str, torch.Tensor]) -> Path:
    header, data = {"__metadata__": {"format": "pt"}}, b""
    claims: dict[str, Any] = header
    for name, value in state.items():
        raw = value.numpy().tobytes()
        claims[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(claims).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def load(path: Path, name: str = "squeezenet1_1") -> Any:
    return load_backbone(name, str(path), size=64)


def test_both_kinds_of_file_give_the_same_network(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    torch.save(state, tmp_path / "w.pth")
    write_safetensors(tmp_path / "w.safetensors", state)
    for name in ("w.pth", "w.safetensors"):
        backbone, entries = load(tmp_path / name)
        network = backbone.build(entries).state_dict()
        assert all(torch.equal(network[key], state[key]) for key in network)
        assert backbone.weights.startswith(f"{name} (")


def test_the_classifier_may_be_missing_and_other_layers_may_not(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    features = {name: value for name, value in state.items() if name.startswith("features.")}
    torch.save(features, tmp_path / "w.pth")
    load(tmp_path / "w.pth")
    torch.save({name: value for name, value in features.items() if name != "features.0.bias"}, tmp_path / "w.pth")
    with pytest.raises(
        ValueError, match=r"w.pth must hold the weights of squeezenet1_1, it lacks 1 entries \['features.0.b"
    ):
        load(tmp_path / "w.pth")


def test_weights_of_another_backbone_or_shape_are_refused(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"must hold the weights of mobilenet_v2, it lacks .* check --backbone"):
        load(tmp_path / "w.pth", "mobilenet_v2")
    torch.save(state | {"features.0.bias": torch.zeros(3)}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"features.0.bias must be \(64,\), got \(3,\)"):
        load(tmp_path / "w.pth")
    torch.save(state | {"features.0.bias": torch.full((64,), torch.nan)}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"weights must be finite, features.0.bias has NaN"):
        load(tmp_path / "w.pth")


class Trap:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch '{self.mark}'",)


def test_a_pickle_posing_as_weights_is_not_executed(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "plain.pth").write_bytes(pickle.dumps({"features.0.bias": Trap(mark)}))
    torch.save({"features.0.bias": Trap(mark)}, tmp_path / "saved.pth")
    (tmp_path / "other.safetensors").write_bytes(pickle.dumps(Trap(mark)))
    for name in ("plain.pth", "saved.pth", "other.safetensors"):
        with pytest.raises(ValueError, match=f"{name} must be a"):
            load(tmp_path / name)
    assert not mark.exists()


def test_files_that_are_empty_cut_short_or_hold_something_else_are_named(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    whole = write_safetensors(tmp_path / "w.safetensors", state).read_bytes()
    torch.save(state, tmp_path / "w.pth")
    bad = {
        "empty.pth": b"",
        "cut.pth": (tmp_path / "w.pth").read_bytes()[:5000],
        "text.pth": b"hello",
        "empty.safetensors": b"",
        "cut.safetensors": whole[:-50],
        "header.safetensors": whole[:40],
        "long.safetensors": (1 << 62).to_bytes(8, "little") + b"{}",
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} must be a"):
            load(tmp_path / name)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="must be a plain state dict"):
        load(tmp_path / "list.pth")


def test_half_precision_files_are_read_in_float32(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    half = {name: value.bfloat16() for name, value in state.items()}
    torch.save(half, tmp_path / "w.pth")
    claims: dict[str, Any] = {}
    data = b""
    for name, value in half.items():
        raw = value.view(torch.int16).numpy().tobytes()
        claims[name] = {"dtype": "BF16", "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(claims).encode()
    (tmp_path / "w.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
    for name in ("w.pth", "w.safetensors"):
        backbone, entries = load(tmp_path / name)
        assert all(torch.equal(value, half[key].float()) for key, value in backbone.build(entries).state_dict().items())


def test_what_is_no_file_and_a_size_too_small_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"weights must be random, imagenet or a file, .*nowhere is not a file"):
        load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"vgg16 must be able to take images of 16 pixels, it cannot: .*too small"):
        load_backbone("vgg16", "random", size=16)
    with pytest.raises(ValueError, match="size must be at least 1 pixel, got 0"):
        load_backbone("vgg16", "random", size=0)


def test_published_weights_are_those_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    published = Backbone("squeezenet1_1", "", 64, 7).build(None)
    monkeypatch.setattr(TorchvisionSource, "download", lambda self: published)
    for weights in (None, "imagenet"):
        backbone, entries = load_backbone("squeezenet1_1", weights)
        assert (backbone.weights, backbone.size) == ("imagenet", 224)
        network = backbone.build(entries).state_dict()
        assert all(torch.equal(value, network[key]) for key, value in published.state_dict().items())
    with pytest.raises(ValueError, match="the weights of timm:test_resnet must be random, a file, or its own"):
        load_backbone("timm:test_resnet", "imagenet")


@pytest.mark.parametrize("error", [URLError("no such host"), RuntimeError("Failed to download\nmore")])
def test_weights_that_cannot_be_downloaded_come_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def download(self: TorchvisionSource) -> None:
        raise error

    monkeypatch.setattr(TorchvisionSource, "download", download)
    with pytest.raises(
        OSError,
        match=r"published weights of resnet18 could not be downloaded \(.*\); give weights as a file, or random",
    ):
        load_backbone("resnet18")


def test_random_weights_need_no_state() -> None:
    assert load_backbone("vgg16", "random", size=64, seed=5) == (Backbone("vgg16", "random:5", 64, 5), None)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real weights of ../shared/data are not here")
@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v2"])
def test_the_shared_imagenet_weights_fit(name: str) -> None:
    (path,) = SHARED.glob(f"{name}*")
    backbone, entries = load_backbone(name, str(path), size=64)
    images = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)
    with torch.inference_mode():
        assert torch.isfinite(backbone.build(entries)(torch.from_numpy(images))).all()
