"""What every method promises in its constructor, and every method on features besides. Methods are found, not listed:
a new file is tested from its first day."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from sbir.metrics.identity import Identity
from sbir.metrics.retrieval import retrieve
from sbir.models.linear_map import LinearMap
from sbir.models.mean_removed import MeanRemoved
from sbir.models.method import Method
from sbir.models.raw import Raw
from sbir.types import Batch, DataSpec, Role, Rows, TrainRows
from tests.models.found import methods_where

BATCH = 48
SMALL = {"latent": 32, "hidden": 256, "num_samples": 8}  # in place of the paper's sizes, for methods that have them


def methods() -> list[type[Method]]:
    return methods_where(lambda method: method.query_columns == ("feature",))  # test_drawings.py has the others


@dataclass(frozen=True)
class Shape:
    """How large a world is, and how hard: points of `dims` entries, seen through waves `scale` times as dense."""

    classes: int
    per_class: int
    width: int
    dims: int
    scale: float
    spread: float  # of a class


PLAIN = Shape(classes=12, per_class=20, width=24, dims=4, scale=2.0, spread=0.15)
CROWDED = Shape(classes=40, per_class=30, width=16, dims=2, scale=3.0, spread=0.04)  # more classes than a line can part


@dataclass(frozen=True)
class Side:
    """Items of one side."""

    rows: Rows
    labels: Tensor


@dataclass(frozen=True)
class World:
    """Sketches and photos of one hidden point each, seen through two different non-linear windows.

    Row i of the sketches shows the same instance as row i of the photos. Neither the raw features nor their centred
    ones have anything in common but what happens by chance.
    """

    shape: Shape
    query: Side
    gallery: Side

    def spec(self) -> DataSpec:
        width, classes = (self.shape.width,), self.shape.classes
        return DataSpec({"feature": width}, {"feature": width}, num_classes=classes, paired=True)

    def train(self) -> TrainRows:
        own = torch.arange(len(self.query.labels))
        return TrainRows(self.query.rows, self.query.labels, self.gallery.rows, self.gallery.labels, own)

    def batches(self, steps: int, method: Method) -> Iterator[Batch]:
        """Own photo, a photo of the class, another one of the class, a photo of another class."""
        generator = torch.Generator().manual_seed(0)
        labels, size = self.query.labels, self.shape.per_class
        for _ in range(steps):
            rows = torch.randperm(len(labels), generator=generator)[:BATCH]
            own = labels[rows]
            drawn: dict[Role, Tensor] = {}
            for role in method.sampling.roles:
                place = torch.randint(size, (BATCH,), generator=generator)
                if role == "negative":
                    other = own + torch.randint(1, self.shape.classes, (BATCH,), generator=generator)
                    drawn[role] = other % self.shape.classes * size + place
                elif role == "other_instance":
                    drawn[role] = own * size + (rows + 1 + place % (size - 1)) % size
                elif role == "positive" and method.sampling.pairing == "paired":
                    drawn[role] = rows
                else:
                    drawn[role] = own * size + place
            gallery: dict[Role, Rows] = {
                role: {"feature": self.gallery.rows["feature"][of]} for role, of in drawn.items()
            }
            found = {role: self.gallery.labels[of] for role, of in drawn.items()}
            yield Batch({"feature": self.query.rows["feature"][rows]}, gallery, own, found)


def world(seed: int, shape: Shape = PLAIN) -> World:
    """Rows are sorted by class; `seed` draws the instances, the classes and both windows stay."""
    fixed, drawn = torch.Generator().manual_seed(0), torch.Generator().manual_seed(seed)
    centres = 2 * torch.rand(shape.classes, shape.dims, generator=fixed) - 1
    windows = [torch.randn(shape.dims, shape.width, generator=fixed) * shape.scale for _ in range(2)]
    labels = torch.arange(shape.classes).repeat_interleave(shape.per_class)
    points = centres[labels] + shape.spread * torch.randn(len(labels), shape.dims, generator=drawn)
    sides = []
    for window in windows:
        seen = torch.sin(points @ window).relu() + 0.05 * torch.rand(len(labels), shape.width, generator=drawn)
        sides.append(Side({"feature": seen}, labels))
    return World(shape, *sides)


def small(method: type[Method], shape: Shape = PLAIN) -> Method:
    known = inspect.signature(method).parameters
    torch.manual_seed(0)
    built = method(world(1, shape).spec(), **{name: value for name, value in SMALL.items() if name in known})
    built.fit(world(1, shape).train())
    return built


def train(method: Method, steps: int, shape: Shape = PLAIN) -> Iterator[float]:
    """Every player steps on its own loss with the loop's Adam; the sum of all losses at every step."""
    players = method.players()
    optimizers = [torch.optim.Adam(player.parameters, lr=3e-3, betas=(0.5, 0.999)) for player in players]
    for batch in world(1, shape).batches(steps if players else 0, method):
        method.train()
        total = 0.0
        for player, optimizer in zip(players, optimizers, strict=True):
            optimizer.zero_grad()
            loss = torch.stack(list(player.loss(batch).values())).sum()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item()
        yield total


@torch.no_grad()
def precision(method: Method, shape: Shape = PLAIN) -> float:
    """P@10 by class on instances that were not trained on."""
    method.eval()
    test = world(2, shape)
    ids = Identity(test.query.labels, torch.arange(len(test.query.labels)))
    return retrieve(
        method.embed_query(test.query.rows),
        method.embed_gallery(test.gallery.rows),
        ids,
        ids,
        distance=method.distance,
        k=10,
        select="precision_at_10",
    ).means["precision_at_10"]


every_method = pytest.mark.parametrize("method", methods(), ids=lambda method: method.__name__)
trained_methods = pytest.mark.parametrize(
    "method", [one for one in methods() if small(one).players()], ids=lambda method: method.__name__
)


def test_methods_are_found() -> None:
    assert {"CrossModal", "LinearMap", "MeanRemoved", "Raw"} <= {method.__name__ for method in methods()}


@pytest.mark.parametrize("method", methods_where(lambda _: True), ids=lambda method: method.__name__)
def test_the_constructor_is_the_configuration(method: type[Method]) -> None:
    spec, *settings = inspect.signature(method).parameters.values()
    assert spec.name == "spec"
    for setting in settings:
        assert setting.kind is setting.KEYWORD_ONLY, setting.name
        assert setting.default is not setting.empty, setting.name


@every_method
def test_every_parameter_has_one_player_and_gets_a_gradient(method: type[Method]) -> None:
    built = small(method)
    names = {id(parameter): name for name, parameter in built.named_parameters()}
    owned: list[int] = []
    for player in built.players():
        groups: list[Any] = [g["params"] if isinstance(g, dict) else [g] for g in player.parameters]
        parameters = [parameter for group in groups for parameter in group]
        owned += [id(parameter) for parameter in parameters]
        (batch,) = world(1).batches(1, built)
        torch.stack(list(player.loss(batch).values())).sum().backward()  # type: ignore[no-untyped-call]
        for parameter in parameters:
            assert parameter.grad is not None, names[id(parameter)]
            assert parameter.grad.any(), names[id(parameter)]
    assert sorted(owned) == sorted(names)


@every_method
def test_both_sides_are_embedded_into_the_same_views_and_widths(method: type[Method]) -> None:
    built = small(method).eval()
    query, gallery = built.embed_query(world(1).query.rows), built.embed_gallery(world(1).gallery.rows)
    assert list(query) == list(gallery)
    assert len(query) in {1, 2}
    for name, view in query.items():
        assert view.shape == gallery[name].shape
        assert view.shape[0] == PLAIN.classes * PLAIN.per_class
        assert view.isfinite().all()


@every_method
def test_evaluation_is_deterministic_and_does_not_depend_on_who_is_embedded_together(method: type[Method]) -> None:
    built = small(method)
    list(train(built, 2))
    built.eval()
    for embed, side in ((built.embed_query, world(2).query), (built.embed_gallery, world(2).gallery)):
        whole, again = embed(side.rows), embed(side.rows)
        parts = [embed({"feature": part}) for part in side.rows["feature"].split([1, 6, len(side.labels) - 7])]  # type: ignore[no-untyped-call]
        for name, view in whole.items():
            assert torch.equal(view, again[name])
            assert torch.allclose(view, torch.cat([part[name] for part in parts]), atol=1e-5)


@every_method
def test_a_saved_state_gives_the_same_embeddings(method: type[Method]) -> None:
    built = small(method)
    list(train(built, 2))
    known = inspect.signature(method).parameters
    other = method(world(1).spec(), **{name: value for name, value in SMALL.items() if name in known})
    other.load_state_dict(built.state_dict())
    for one, two in ((built.eval().embed_query, other.eval().embed_query), (built.embed_gallery, other.embed_gallery)):
        rows = world(2).query.rows
        assert all(torch.equal(view, two(rows)[name]) for name, view in one(rows).items())


@trained_methods
def test_training_lowers_the_loss_and_beats_every_baseline_where_the_map_is_not_linear(method: type[Method]) -> None:
    closed_forms = [one for one in methods() if not small(one).players()]
    baselines = {one.__name__: precision(small(one, CROWDED), CROWDED) for one in closed_forms}
    built = small(method, CROWDED)
    history: list[float] = []
    for loss in train(built, 4000, CROWDED):
        history.append(loss)
        if len(history) % 200 == 0 and precision(built, CROWDED) > max(baselines.values()) + 0.03:
            break
    assert sum(history[180:200]) < 0.7 * sum(history[:20])
    assert precision(built, CROWDED) > max(baselines.values()) + 0.03, baselines


def test_a_linear_map_beats_what_is_not_fitted_and_that_is_at_chance_here() -> None:
    assert precision(small(LinearMap)) > 0.8
    for method in (Raw, MeanRemoved):
        assert precision(small(method)) < 2 / PLAIN.classes
