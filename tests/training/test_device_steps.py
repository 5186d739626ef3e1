"""Steps without the host come to the same weights and figures as steps with it; on a GPU also as a CUDA graph."""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sbir.data.feed import Columns, Feed, make_feed
from sbir.data.loader import Shared
from sbir.data.protocol import make_protocol, partition
from sbir.data.smoke import write_smoke_store
from sbir.data.splits import assign
from sbir.data.transform import TransformSettings
from sbir.models.bdt import BDT
from sbir.models.cross_modal import CrossModal
from sbir.models.cvae import CVAE
from sbir.models.method import Method
from sbir.training import device_steps
from sbir.training.descent import make_optimizer, play, set_rate
from sbir.training.loop import Loop
from sbir.training.terms import NonFiniteLossError
from sbir.training.train_settings import TrainSettings
from sbir.types import Batch, DataSpec, Player, Rows, Sampling, Stage, Views
from tests.models.found import methods_where

SMALL = {"hidden": 24, "latent": 16}
SETTINGS: dict[str, Any] = {"steps": 60, "batch_size": 16, "warmup": 4}
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="captures a CUDA graph, which takes a GPU")


def capturable() -> list[type[Method]]:
    return methods_where(lambda method: method.capturable)


class Staged(Method):
    """Two stages, the second with a begin of its own, and figures at every epoch."""

    capturable = True
    sampling = Sampling(("positive",))
    centre: Tensor

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.first, self.second = (nn.Linear(spec.query["feature"][0], 8) for _ in range(2))
        self.register_buffer("centre", torch.zeros(8))

    def stages(self) -> list[Stage]:
        sides = [("first", self.first, self.loss), ("second", self.second, self._later)]
        first, second = (Player(name, list(net.parameters()), loss) for name, net, loss in sides)
        return [Stage("one", 0.4, [first]), Stage("two", 0.6, [first, second], 0.1, self._fix)]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        seen = functional.dropout(self.first(batch.query["feature"]), 0.5)
        return {"near": (seen - self.first(batch.gallery["positive"]["feature"])).square().mean()}

    def begin_epoch(self, queries: Any, gallery: Any) -> dict[str, float]:
        return {"mean": float(sum(rows["feature"].sum() for rows, _ in queries))}

    def embed_query(self, rows: Rows) -> Views:
        return {"code": self.first(rows["feature"])}

    embed_gallery = embed_query

    @torch.no_grad()
    def _fix(self, train: Iterator[tuple[Rows, Tensor]]) -> None:
        self.centre.copy_(torch.cat([self.first(rows["feature"]) for rows, _ in train]).mean(0))

    def _later(self, batch: Batch) -> dict[str, Tensor]:
        return {"centre": (self.second(batch.query["feature"]) - self.centre).square().mean()}


@pytest.fixture(scope="module")
def columns(tmp_path_factory: pytest.TempPathFactory) -> Columns:
    store = tmp_path_factory.mktemp("store") / "smoke"
    write_smoke_store(store)
    return Columns(Shared.mapped(store).items(), "cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(scope="module")
def feed(columns: Columns) -> Feed:
    items = columns.items
    split = assign(items, "stored")
    protocol = make_protocol(items, split, split_spec="stored", content_hash="", synthetic=True)
    rows = partition(items, split, protocol, "val")
    return make_feed(columns, rows, ("feature",), ("feature",), TransformSettings(scale=True))


def make_loop(kind: type[Method], feed: Feed, *, on_device: bool, **changes: Any) -> Loop:
    known = inspect.signature(kind).parameters
    torch.manual_seed(0)
    method = kind(feed.spec(), **{name: value for name, value in SMALL.items() if name in known})
    settings = TrainSettings(**{**SETTINGS, **changes})
    return Loop(method.to(feed.columns.device), feed, settings, seed=5, on_device=on_device)


def check_alike(one: Loop, two: Loop) -> None:
    """Weights, buffers and the optimisers' states, bit for bit."""
    left, right = one.state(), two.state()
    assert left["step"] == right["step"]
    torch.testing.assert_close(left["method"], right["method"], rtol=0, atol=0)
    for mine, other in zip(left["optimizers"], right["optimizers"], strict=True):
        torch.testing.assert_close(mine["state"], other["state"], rtol=0, atol=0)
        assert [float(group["lr"]) for group in mine["param_groups"]] == [
            float(group["lr"]) for group in other["param_groups"]
        ]


@pytest.mark.parametrize("kind", [*capturable(), Staged])
def test_steps_on_the_device_come_to_the_weights_and_figures_of_those_with_the_host(
    kind: type[Method], feed: Feed
) -> None:
    loops = [make_loop(kind, feed, on_device=on_device) for on_device in (False, True)]
    for steps in (1, 9, 25, 25):  # within an epoch, over its end, and over the end of a stage
        assert loops[0].train(steps) == loops[1].train(steps)
        check_alike(*loops)


@pytest.mark.parametrize("changes", [{"precision": "bfloat16"}, {"clip_norm": 0.0, "schedule": "inverse_sqrt"}])
def test_settings_of_training_hold_on_the_device_too(changes: dict[str, Any], feed: Feed) -> None:
    loops = [make_loop(CVAE, feed, on_device=on_device, **changes) for on_device in (False, True)]
    assert loops[0].train(12) == loops[1].train(12)
    check_alike(*loops)


@pytest.mark.parametrize("first", [False, True])
def test_a_training_goes_on_from_either_kind_of_steps_with_either(first: bool, feed: Feed) -> None:
    whole, cut = (make_loop(BDT, feed, on_device=first) for _ in range(2))
    figures = [whole.train(7), whole.train(14)]
    assert cut.train(7) == figures[0]
    for on_device in (first, not first):
        resumed = make_loop(BDT, feed, on_device=on_device)
        resumed.load(cut.state())
        assert resumed.train(14) == figures[1]
        check_alike(whole, resumed)
        cut = make_loop(BDT, feed, on_device=first)  # a loaded state is no copy
        cut.train(7)


def test_a_full_log_is_read_on_the_way(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = make_loop(CVAE, feed, on_device=False)
    monkeypatch.setattr(device_steps, "LOGGED", 4)
    often = make_loop(CVAE, feed, on_device=True)
    assert plain.train(10) == often.train(10)
    check_alike(plain, often)


def test_a_term_that_is_no_number_is_told_as_by_steps_with_the_host(feed: Feed) -> None:
    told = []
    for on_device in (False, True):
        loop = make_loop(CrossModal, feed, on_device=on_device, lr=1e30, warmup=0, clip_norm=0.0)
        with pytest.raises(NonFiniteLossError) as error:
            loop.train(12)
        told.append(str(error.value))
    assert told[0] == told[1]


def test_the_rows_of_a_batch_are_those_of_the_sampler(feed: Feed) -> None:
    loop = make_loop(CrossModal, feed, on_device=False)
    sampler = loop._sampler
    assert sampler is not None
    roles = loop.method.sampling.roles
    for rows, wanted in zip(torch.from_numpy(sampler.rows(3)), feed.batches(sampler, 3, 0), strict=True):
        found = feed.gathered(rows.to(feed.columns.device), roles)
        torch.testing.assert_close(found.query, wanted.query, rtol=0, atol=0)
        torch.testing.assert_close(found.gallery, wanted.gallery, rtol=0, atol=0)
        torch.testing.assert_close(found.gallery_labels, wanted.gallery_labels)
        assert found.tags is wanted.tags is None
        torch.testing.assert_close(found.labels, wanted.labels)
        torch.testing.assert_close(found.instances, wanted.instances)


def test_tf32_is_refused_where_it_would_do_nothing(feed: Feed) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU, where it does something")
    with pytest.raises(ValueError, match=r"train/precision tf32 needs a GPU, this trial has none; take float32 or"):
        make_loop(CVAE, feed, on_device=False, precision="tf32")


@needs_gpu
def test_a_gpu_repeats_a_graph_where_the_method_allows_it(feed: Feed) -> None:
    loop = make_loop(CVAE, feed, on_device=True)
    loop.train(device_steps.WARM_UP)
    assert loop._running is not None
    assert loop._running[1]._graph is None
    loop.train(1)
    assert loop._running[1]._graph is not None


@needs_gpu
def test_tf32_moves_weights_otherwise_and_is_over_with_the_training(feed: Feed) -> None:
    before = torch.backends.cuda.matmul.fp32_precision
    exact, rounded = (make_loop(CVAE, feed, on_device=True, precision=one) for one in ("float32", "tf32"))
    assert exact.train(12) != rounded.train(12)
    assert torch.backends.cuda.matmul.fp32_precision == before


@needs_gpu
def test_a_checkpoint_of_a_gpu_goes_on_without_one_and_back(columns: Columns, feed: Feed) -> None:
    loop = make_loop(CVAE, feed, on_device=True)
    loop.train(6)
    state = loop.state()
    at_home = Feed(Columns(columns.items), feed.partition, ("feature",), ("feature",), feed.transforms, feed.label_of)
    there = make_loop(CVAE, at_home, on_device=False)
    there.load(state)
    there.train(3)
    back = make_loop(CVAE, feed, on_device=True)
    back.load(there.state())
    back.train(6)
    assert all(value.isfinite().all() for value in back.method.state_dict().values())


def test_rates_are_set_in_place_where_they_are_tensors() -> None:
    weight = nn.Parameter(torch.ones(2))
    optimizer = make_optimizer(Player("one", [weight], lambda _: {}), TrainSettings(lr=0.5))
    rate = torch.tensor(0.5)
    optimizer.param_groups[0]["lr"] = rate
    set_rate(optimizer, 0.5)
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == 0.25


def test_players_of_one_step_see_what_the_one_before_has_made(feed: Feed) -> None:
    loop = make_loop(BDT, feed, on_device=False)
    assert loop._sampler is not None
    batch = next(feed.batches(loop._sampler, 0, 0))
    before = {name: value.clone() for name, value in loop.method.state_dict().items()}
    loop.method.train()
    terms = play(loop._stages[0].players, loop._optimizers[0], TrainSettings(**SETTINGS), batch)
    assert {"image_adversarial", "image_discriminator"} <= set(terms)
    assert not any(value.requires_grad for value in terms.values())
    changed = {
        name.split(".")[0] for name, value in loop.method.state_dict().items() if not torch.equal(value, before[name])
    }
    assert {"discriminators", "photo_decoder", "sketch_structure"} <= changed
