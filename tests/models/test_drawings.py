"""What every method on pixels and strokes promises: found, not listed, and tested on little drawings of four shapes.

Methods that retrieve photos see each drawing's own photo too: the same shape, light on a coloured ground.
"""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sbir.data.feed import Columns
from sbir.data.items import Items, Payload
from sbir.data.pictures import draw_strokes
from sbir.data.protocol import make_protocol
from sbir.data.splits import Split
from sbir.metrics.identity import Identity
from sbir.metrics.retrieval import retrieve
from sbir.models.method import Method
from sbir.training.run import Job, Run
from sbir.types import Batch, DataSpec, Player, Role, Rows
from tests.models.found import methods_where

SIDE, POINTS, PER_CLASS = 32, 24, 24
SHAPES = ("ring", "triangle", "zigzag", "cross")
SMALL = {"width": 8, "cnn_features": 32, "hidden": 16, "rnn_layers": 1, "dropout": 0.0, "bits": 16} | {
    "network": "small_alexnet", "generator_width": 4, "blocks": 1, "critic_width": 4, "pool": 8, "latent": 16,
    "backbone": "plain", "weights": "random", "frozen_norms": False, "per_class": 6, "crop": 0.5,
}  # fmt: skip


def methods() -> list[type[Method]]:
    return methods_where(lambda method: "image" in method.query_columns)


def drawing(shape: str, rng: np.random.Generator) -> list[np.ndarray]:
    """Strokes (n, 2) of a shape, turned a little, shifted and stretched."""
    around = np.linspace(0, 2 * np.pi, 12) + rng.uniform(0, 2 * np.pi)
    lines = {
        "ring": [np.stack([np.cos(around), np.sin(around)], 1)],
        "triangle": [np.array([[0, -1], [1, 1], [-1, 1], [0, -1]]).repeat(3, 0)],
        "zigzag": [np.array([[-1, 0], [-0.5, 1], [0, 0], [0.5, 1], [1, 0]]).repeat(2, 0)],
        "cross": [np.array([[-1, 0], [1, 0]]), np.array([[0, -1], [0, 1]])],
    }[shape]
    angle = rng.uniform(-0.4, 0.4)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * rng.uniform(0.6, 1.1, 2)
    return [line @ turn + rng.normal(0, 0.06, line.shape) for line in lines]


def photo_of(images: Any) -> Any:
    """The same shapes, light on a coloured ground; arrays and tensors alike."""
    photos = 220 - images // 2
    photos[..., 2] = 160
    return photos


def domains_of(method: type[Method] | Method) -> tuple[str, ...]:
    return tuple(dict.fromkeys((method.query_domain, method.gallery_domain)))


def items(seed: int = 0, domains: tuple[str, ...] = ("sketch",)) -> Items:
    """A store's rows: items of every shape, in a second domain the photo of each."""
    rng = np.random.default_rng(seed)
    class_id = np.tile(np.arange(len(SHAPES)), PER_CLASS)
    images = np.zeros((len(class_id), SIDE, SIDE, 3), np.uint8)
    strokes, num_points = np.zeros((len(class_id), POINTS, 3), np.float32), np.zeros(len(class_id), np.int32)
    for row, shape in enumerate(class_id):
        lines = drawing(SHAPES[shape], rng)
        corner = [np.array([[-1.5, -1.5]]), np.array([[1.5, 1.5]])]  # two dots that keep the size of the shape
        picture = draw_strokes([line.T.tolist() for line in lines + corner])
        images[row] = np.asarray(picture.resize((SIDE, SIDE)))
        points = np.concatenate([np.column_stack([x, np.arange(len(x)) == len(x) - 1]) for x in lines])[:POINTS]
        strokes[row, : len(points)] = points * [60, 60, 1] + [128, 128, 0]
        num_points[row] = len(points)
    count, sides = len(class_id), len(domains)
    split = np.repeat(["train", "val", "test"], [count // 2, count // 4, count - count // 2 - count // 4])
    payload = {"image": np.concatenate([images, photo_of(images)]), "strokes": strokes, "num_points": num_points}
    return Items(
        item_id=np.array([f"{domain}/{row}" for domain in domains for row in range(count)]),
        domain=np.repeat(domains, count),
        class_id=np.tile(class_id, sides),
        instance_id=np.tile(np.arange(count) if sides > 1 else np.full(count, -1), sides),
        split=np.tile(split, sides),
        class_names=SHAPES,
        payload={
            name: Payload([column[: sides * count] if name == "image" else np.concatenate([column] * sides)])
            for name, column in payload.items()
        },
    )


def rows_of(method: type[Method] | Method, seed: int = 0) -> tuple[Rows, Tensor]:
    every = items(seed)
    rows = {name: torch.from_numpy(every.payload[name].blocks[0]) for name in method.query_columns}
    return rows, torch.from_numpy(every.class_id)


def gallery_of(method: type[Method] | Method, rows: Rows) -> Rows:
    """What the method retrieves for these drawings: themselves, or their photos."""
    return {"image": photo_of(rows["image"])} if len(domains_of(method)) > 1 else rows


def small(method: type[Method], **settings: Any) -> Method:
    known = inspect.signature(method).parameters
    shapes = {"image": (SIDE, SIDE, 3), "strokes": (POINTS, 3), "num_points": ()}
    torch.manual_seed(0)
    spec = DataSpec(shapes, shapes, num_classes=len(SHAPES), paired=len(domains_of(method)) > 1)
    return method(spec, **{**{name: value for name, value in SMALL.items() if name in known}, **settings})


def batch(method: Method, seed: int = 0, size: int = 32) -> Batch:
    rows, labels = rows_of(method, seed)
    return batch_of(method, {name: column[:size] for name, column in rows.items()}, labels[:size])


def batch_of(method: Method, rows: Rows, labels: Tensor) -> Batch:
    """Drawings with what the method asks for beside them; shapes take turns, so the next row is of another class."""
    shift: dict[Role, int] = {"positive": 0, "same_class": 0, "other_instance": len(SHAPES), "negative": 1}
    gallery = {role: gallery_of(method, _rolled(rows, shift[role])) for role in method.sampling.roles}
    beside = {role: labels.roll(shift[role]) for role in gallery}
    return Batch(rows, gallery, labels, beside, instances=torch.arange(len(labels)))


def _rolled(rows: Rows, by: int) -> Rows:
    return {name: column.roll(by, 0) for name, column in rows.items()}


def run(method: type[Method], folder: Path, kind: type[Run] = Run, /, **changes: Any) -> Run:
    """A short trial through the one trainer, or a finalist; changes of settings, and of the job."""
    every = items(domains=domains_of(method))
    split = Split(every.split, "seen", "x")
    protocol = make_protocol(
        every, split, split_spec="stored", content_hash="x", synthetic=True, select="map_all",
        query=method.query_domain, gallery=method.gallery_domain,
    )  # fmt: skip
    known = inspect.signature(method).parameters
    settings = {f"method/{name}": value for name, value in SMALL.items() if name in known} | {
        "train/steps": 60, "train/eval_every": 12, "train/batch_size": 24, "train/warmup": 0, "train/lr": 3e-3,
        "train/beta1": 0.9, "train/clip_norm": 0.0,
    }  # fmt: skip
    settings |= {key: value for key, value in changes.items() if "/" in key}
    own = {key: value for key, value in changes.items() if "/" not in key}
    job = Job("m", 0, "search", settings, seed=3, folder=str(folder), **own)
    return kind(job, method, Columns(every), split, protocol, save_every=0.0)


@torch.no_grad()
def mean_average_precision(method: Method, seed: int = 9) -> float:
    rows, labels = rows_of(method, seed)
    odd = torch.arange(len(labels)) % 8 < 4  # of each shape half
    sides = [{name: column[part] for name, column in rows.items()} for part in (odd, ~odd)]
    ids = [Identity(labels[part], torch.full((int(part.sum()),), -1)) for part in (odd, ~odd)]
    method.eval()
    query, gallery = method.embed_query(sides[0]), method.embed_gallery(gallery_of(method, sides[1]))
    found = retrieve(query, gallery, *ids, distance=method.distance, k=5, select="map_all")
    return found.means["map_all"]


trained_methods = pytest.mark.parametrize(
    "method", [one for one in methods() if small(one).players()], ids=lambda method: method.__name__
)
every_method = pytest.mark.parametrize("method", methods(), ids=lambda method: method.__name__)


def test_methods_are_found() -> None:
    assert {"Pixels", "SketchMate"} <= {method.__name__ for method in methods()}


@every_method
def test_every_parameter_has_a_player_in_some_stage_and_gets_a_gradient(method: type[Method]) -> None:
    built = small(method)
    names = {id(parameter): name for name, parameter in built.named_parameters()}
    owned: set[int] = set()
    for stage in built.stages():
        seen: list[int] = []
        for player in stage.players:
            seen += _with_gradients(built, player, names)
        assert len(set(seen)) == len(seen), f"two players of stage {stage.name} step one parameter"
        owned |= set(seen)
    assert sorted(owned) == sorted(names)
    assert sum(stage.share for stage in built.stages()) == pytest.approx(1)


def _with_gradients(built: Method, player: Player, names: dict[int, str]) -> list[int]:
    groups: list[Any] = [g["params"] if isinstance(g, dict) else [g] for g in player.parameters]
    parameters = [parameter for group in groups for parameter in group]
    built.zero_grad()
    torch.stack(list(player.loss(batch(built)).values())).sum().backward()  # type: ignore[no-untyped-call]
    for parameter in parameters:
        assert parameter.grad is not None, names[id(parameter)]
        assert parameter.grad.any(), names[id(parameter)]
    return [id(parameter) for parameter in parameters]


@every_method
def test_evaluation_is_deterministic_for_each_drawing_by_itself_and_the_same_for_both_sides_of_one_domain(
    method: type[Method],
) -> None:
    built = small(method)
    for stage in built.stages():
        for player in stage.players:
            player.loss(batch(built))  # moves what normalises by batches
    built.eval()
    rows, labels = rows_of(built, 1)
    with torch.no_grad():
        whole, again, gallery = (embed(rows) for embed in (built.embed_query, built.embed_query, built.embed_gallery))
        parts = [
            built.embed_query({name: column[start:stop] for name, column in rows.items()})
            for start, stop in ((0, 1), (1, 7), (7, len(labels)))
        ]
    for name, view in whole.items():
        assert view.shape[0] == len(labels)
        assert torch.equal(view, again[name])
        assert gallery[name].shape == view.shape
        if len(domains_of(built)) == 1:
            assert torch.equal(view, gallery[name])
        same = (view - torch.cat([part[name] for part in parts])).abs().amax(1) <= 1e-4
        assert same.float().mean() > 0.98  # a bit may flip where its output is 0.5
        if built.distance == "hamming":
            assert set(torch.unique(view).tolist()) <= {-1.0, 1.0}


@trained_methods
def test_a_trial_learns_and_resumes_exactly_within_a_stage_and_between_two(
    method: type[Method], tmp_path: Path
) -> None:
    untrained = mean_average_precision(small(method))
    whole = run(method, tmp_path / "whole")
    rows = [whole.advance()[0] for _ in range(5)]
    for cut in (2, 4):  # within a stage of SketchMate's, and between two
        folder = tmp_path / f"cut-{cut}"
        first = run(method, folder)
        for _ in range(cut):
            first.advance()
        second = run(method, folder)
        again = [second.advance()[0] for _ in range(6 - cut)]
        for one, two in zip(rows[cut - 1 :], again, strict=True):
            assert {k: v for k, v in one.items() if k != "device_seconds"} == {
                k: v for k, v in two.items() if k != "device_seconds"
            }
    assert mean_average_precision(whole.method) > untrained


@every_method
def test_edge_cases_of_drawings_give_finite_codes(method: type[Method]) -> None:
    built = small(method).eval()
    rows, _ = rows_of(built)
    odd = {name: column[:6].clone() for name, column in rows.items()}
    odd["image"][0] = 255  # an empty drawing
    odd["image"][1] = 0
    if "strokes" in odd:
        odd["strokes"][0], odd["num_points"][0] = 0, 0
        odd["strokes"][1, 1:], odd["num_points"][1] = 0, 1  # one point
        odd["strokes"][2] *= 1000  # far outside the box
        odd["num_points"][3] = POINTS  # as long as there is room
    with torch.no_grad():
        for view in built.embed_query(odd).values():
            assert view.isfinite().all()
    losses = [
        value
        for stage in built.train().stages()
        for player in stage.players
        for value in player.loss(batch_of(built, odd, torch.arange(6) % 4)).values()
    ]
    assert all(bool(value.isfinite()) for value in losses)
