"""`train/precision`: bfloat16 matrix products are an option of training that changes nothing else."""

from typing import Any

import pytest
import torch

from sbir.data.feed import Columns, Feed, make_feed
from sbir.data.loader import Shared
from sbir.data.protocol import make_protocol, partition
from sbir.data.smoke import write_smoke_store
from sbir.data.splits import assign
from sbir.data.transform import TransformSettings
from sbir.models.caae import CAAE
from sbir.models.cross_modal import CrossModal
from sbir.models.cvae import CVAE
from sbir.models.method import Method
from sbir.models.siamese import Siamese
from sbir.models.triplet import Triplet
from sbir.training.loop import Loop
from sbir.training.train_settings import TrainSettings

SMALL: dict[type[Method], dict[str, Any]] = {kind: {"hidden": 128, "latent": 64} for kind in (CVAE, CrossModal)}


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Feed:
    store = tmp_path_factory.mktemp("store") / "smoke"
    write_smoke_store(store)
    items = Shared.mapped(store).items()
    split = assign(items, "stored")
    protocol = make_protocol(items, split, split_spec="stored", content_hash="", synthetic=True)
    rows = partition(items, split, protocol, "val")
    return make_feed(Columns(items), rows, ("feature",), ("feature",), TransformSettings())


def train(kind: type[Method], feed: Feed, precision: Any) -> tuple[dict[str, float], Method]:
    torch.manual_seed(0)
    method = kind(feed.spec(), **SMALL.get(kind, {}))
    settings = TrainSettings(steps=4, batch_size=16, warmup=0, precision=precision)
    return Loop(method, feed, settings, seed=0).train(4), method


@pytest.mark.parametrize("kind", [CAAE, CVAE, CrossModal, Siamese, Triplet])
def test_bfloat16_trains_float32_weights_to_nearly_the_same_losses(kind: type[Method], feed: Feed) -> None:
    exact, _ = train(kind, feed, "float32")
    rounded, method = train(kind, feed, "bfloat16")
    assert {weight.dtype for weight in method.parameters()} == {torch.float32}
    assert exact != rounded
    for name, value in exact.items():
        if name != "active_units":  # a count over a threshold
            assert rounded[name] == pytest.approx(value, rel=0.1, abs=0.05), name


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ValueError, match="train/precision must be one of float32, tf32, bfloat16, got 'half'"):
        TrainSettings(precision="half")  # type: ignore[arg-type]
