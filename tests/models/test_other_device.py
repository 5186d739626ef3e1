"""Every method trains and is scored on another device than the CPU, to the same figures; its rules are a GPU's."""

import inspect
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sbir.data.feed import Columns, Feed, make_feed
from sbir.data.loader import Shared
from sbir.data.protocol import Protocol, make_protocol, partition
from sbir.data.sampler import Sampler
from sbir.data.smoke import write_smoke_store
from sbir.data.splits import assign
from sbir.data.transform import TransformSettings
from sbir.metrics.retrieval import Retrieval
from sbir.models.cvae import CVAE
from sbir.models.method import Method
from sbir.training import evaluate
from sbir.training.device_steps import DeviceSteps
from sbir.training.run import build
from sbir.training.settings import Settings
from sbir.training.train_settings import TrainSettings
from sbir.types import Batch
from tests.models.found import methods_where
from tests.other_device import OTHER, other_device

SMALL: dict[str, Any] = {
    "hidden": 24, "latent": 16, "num_samples": 2, "width": 8, "cnn_features": 16, "rnn_layers": 1, "bits": 16,
    "network": "small_alexnet", "generator_width": 4, "blocks": 1, "critic_width": 4, "pool": 8, "backbone": "plain",
    "weights": "random", "frozen_norms": False, "per_class": 2, "encoder": "scratch", "text_width": 64,
    "text_layers": 1, "vocabulary": 80,
}  # fmt: skip
BATCH = 8


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """With texts or without."""
    root = tmp_path_factory.mktemp("stores")
    for texts in (False, True):
        write_smoke_store(root / str(texts), texts=texts)
    return {texts: root / str(texts) for texts in (False, True)}


def world(method: type[Method], stores: dict[bool, Path], device: torch.device | str) -> tuple[Feed, Protocol]:
    items = Shared.mapped(stores["text" in (*method.query_columns, *method.gallery_columns)]).items()
    split = assign(items, "stored")
    query, gallery = method.query_domain, method.gallery_domain
    protocol = make_protocol(
        items, split, split_spec="stored", content_hash="", synthetic=True, query=query, gallery=gallery
    )
    rows = partition(items, split, protocol, "val")
    rows = replace(rows, train_query=rows.train_query[:48], train_gallery=rows.train_gallery[:48])
    feed = make_feed(Columns(items, device), rows, method.query_columns, method.gallery_columns, TransformSettings())
    return feed, protocol


def make(method: type[Method], feed: Feed) -> Method:
    known = inspect.signature(method).parameters
    own = {name: value for name, value in SMALL.items() if name in known}
    return build(method, feed, Settings(own, TrainSettings(), TransformSettings()), seed=0)


def sampler_of(method: Method, feed: Feed) -> Sampler:
    items, rows = feed.columns.items, feed.partition
    sides = rows.train_query, rows.train_gallery, items.class_id, items.instance_id
    return Sampler(*sides, sampling=method.sampling, batch_size=BATCH, seed=0)


def play(method: Method, feed: Feed) -> dict[str, float]:
    """Every player of every stage goes down its losses once, in a plain step: the losses."""
    values: dict[str, float] = {}
    batch = next(feed.batches(sampler_of(method, feed), 0, 0))
    torch.manual_seed(0)
    method.begin_epoch(feed.train_queries(), feed.train_gallery())
    for stage in method.stages():
        if stage.begin is not None:
            stage.begin(feed.train_queries())
        method.train()
        for player in stage.players:
            terms = down(player.loss, player.parameters, batch)
            values |= {f"{stage.name}/{name}": value.item() for name, value in terms.items()}
    return values | method.metrics()


def down(loss: Any, given: list[Any], batch: Batch) -> dict[str, Tensor]:
    """A step of gradient descent without an optimiser, of which torch has none for this device."""
    flat = [one for group in given for one in (group["params"] if isinstance(group, dict) else [group])]
    parameters = [one for one in flat if one.requires_grad]
    terms: dict[str, Tensor] = loss(batch)
    for parameter in parameters:
        parameter.grad = None
    torch.autograd.backward(torch.stack(list(terms.values())).sum(), inputs=parameters)
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    with torch.no_grad():
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.sub_(1e-3 * parameter.grad)
    return {name: value.detach() for name, value in terms.items()}


def found_on(device: torch.device | str, method: type[Method], stores: dict[bool, Path]) -> tuple[Any, Retrieval]:
    feed, protocol = world(method, stores, device)
    built = make(method, feed)
    losses = play(built, feed) if built.players() else {}
    with torch.no_grad():
        return losses, inspect.unwrap(evaluate.evaluate)(built, feed, protocol)


@pytest.mark.parametrize("method", methods_where(lambda _: True), ids=lambda method: method.__name__)
def test_a_method_learns_and_is_scored_alike_on_another_device(
    method: type[Method], stores: dict[bool, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # this device has neither it
    monkeypatch.setattr(evaluate, "embed", inspect.unwrap(evaluate.embed))  # nor inference mode
    losses, scored = found_on("cpu", method, stores)
    with other_device() as device:
        there, also = found_on(OTHER, method, stores)
        assert device.waits  # figures were asked for
    assert there == pytest.approx(losses, rel=1e-5, abs=1e-6)
    assert also.means == pytest.approx(scored.means, abs=1e-12)
    assert also.fusion == scored.fusion
    assert torch.equal(also.top, scored.top)


def waits_of_a_step(method: type[Method], stores: dict[bool, Path]) -> list[str]:
    """What the host waits for in one step over buffers, but for the optimiser's own part."""
    with other_device() as device:
        feed, _ = world(method, stores, OTHER)
        built = make(method, feed).train()

        def update(batch: Batch) -> dict[str, Tensor]:
            terms: dict[str, Tensor] = {}
            for player in (player for stage in built.stages() for player in stage.players):
                terms |= down(player.loss, player.parameters, batch)
            return terms

        steps = DeviceSteps(feed, sampler_of(built, feed), built.sampling.roles, update)
        steps.take(0)  # of which the epoch's rows are moved
        before = len(device.waits)
        steps.take(1)
        return device.waits[before:]


@pytest.mark.parametrize("method", methods_where(lambda method: method.capturable), ids=lambda method: method.__name__)
def test_a_step_of_a_capturable_method_waits_for_nothing(method: type[Method], stores: dict[bool, Path]) -> None:
    assert waits_of_a_step(method, stores) == []


def test_a_step_that_waits_is_found_out(stores: dict[bool, Path]) -> None:
    class Asking(CVAE):
        def loss(self, batch: Batch) -> dict[str, Tensor]:
            terms = super().loss(batch)
            return terms if terms["image"].item() < 1e9 else {}

    assert waits_of_a_step(Asking, stores) == ["aten._local_scalar_dense.default"]


def test_tensors_of_two_devices_are_refused_as_a_gpu_does() -> None:
    with other_device():
        there, here = torch.ones(2, device=OTHER), torch.ones(2)
        with pytest.raises(RuntimeError, match="tensors of both devices"):
            there + here
        assert (there + 1 + torch.tensor(1.0)).tolist() == [3.0, 3.0]
        assert (there + here.to(OTHER)).cpu().tolist() == [2.0, 2.0]
