"""Closed-form baselines against textbook formulas, and the cases that data in the wild bring."""

from typing import Any

import pytest
import torch
from torch import Tensor

from sbir.models import closed_form
from sbir.models.linear_map import LinearMap
from sbir.models.mean_removed import MeanRemoved
from sbir.models.raw import Raw
from sbir.types import DataSpec, TrainRows


def spec(query: int, gallery: int, paired: bool = True) -> DataSpec:
    return DataSpec({"feature": (query,)}, {"feature": (gallery,)}, num_classes=3, paired=paired)


def rows(num: int, query: int, gallery: int, pairs: Tensor | None = None) -> TrainRows:
    generator = torch.Generator().manual_seed(num)
    photos = torch.rand(num, gallery, generator=generator) + 1
    sketches = torch.rand(num, query, generator=generator) - 2
    labels = torch.arange(num) % 3
    order = torch.randperm(num, generator=generator)  # the own photo lies elsewhere
    own = torch.empty_like(order)
    own[order] = torch.arange(num)
    return TrainRows(
        {"feature": sketches}, labels, {"feature": photos[order]}, labels[order], own if pairs is None else pairs
    )


def fitted(data: TrainRows, **settings: Any) -> LinearMap:
    method = LinearMap(spec(data.query["feature"].shape[1], data.gallery["feature"].shape[1]), **settings)
    method.fit(data)
    return method


def centred(data: TrainRows) -> tuple[Tensor, Tensor]:
    x, photos = data.query["feature"].double(), data.gallery["feature"].double()
    y = photos[data.pairs]
    return x - x.mean(0), y - y.mean(0)


@pytest.mark.parametrize("num", [50, 9], ids=["more rows than features", "fewer rows than features"])
def test_ridge_is_scikit_learns(num: int) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    data = rows(num, 12, 7)
    x, y = centred(data)
    eigenvalue = (x**2).sum().item() / min(num, 12)
    peer = linear_model.Ridge(alpha=0.3 * eigenvalue).fit(data.query["feature"].double(), y)
    method = fitted(data, penalty=0.3)
    assert method.weight.numpy() == pytest.approx(peer.coef_.T, abs=1e-6)
    embedded = method.embed_query(data.query)["feature"]
    assert embedded.numpy() == pytest.approx(peer.predict(data.query["feature"]), abs=1e-5)


@pytest.mark.parametrize("num", [60, 7], ids=["more rows than features", "fewer rows than features"])
def test_procrustes_is_scipys_and_recovers_a_rotation(num: int) -> None:
    linalg = pytest.importorskip("scipy.linalg")
    data = rows(num, 10, 10)
    x, y = centred(data)
    method = fitted(data, kind="procrustes")
    peer, _ = linalg.orthogonal_procrustes(x.numpy(), y.numpy())
    error, best = (x @ method.weight.double() - y).norm(), (x @ torch.from_numpy(peer) - y).norm()
    assert error.item() == pytest.approx(best.item(), rel=1e-5)
    rotation = torch.linalg.qr(torch.randn(10, 10, dtype=torch.float64)).Q
    turned = TrainRows(data.query, data.labels, {"feature": (x @ rotation).float()}, data.labels, torch.arange(num))
    assert torch.allclose(x.float() @ fitted(turned, kind="procrustes").weight, (x @ rotation).float(), atol=1e-5)


def test_without_pairs_the_target_is_the_classs_mean_photo() -> None:
    data = rows(30, 5, 4, pairs=torch.full((30,), -1))
    means = torch.stack([data.gallery["feature"][data.gallery_labels == one].mean(0) for one in range(3)])
    same = TrainRows(
        data.query, data.labels, {"feature": torch.cat([means, data.gallery["feature"]])},
        torch.cat([torch.arange(3), data.gallery_labels]), data.labels,
    )  # fmt: skip
    assert torch.allclose(fitted(data).weight, fitted(same).weight, atol=1e-6)


def test_a_query_without_photo_and_class_is_left_out_and_others_keep_their_own() -> None:
    full = rows(30, 5, 4)
    labels = full.labels.clone()
    labels[::3] = 7  # a class without photos
    pairs = full.pairs.clone()
    pairs[::3] = -1
    some = TrainRows(full.query, labels, full.gallery, full.gallery_labels, pairs)
    kept = torch.arange(30) % 3 != 0
    method = fitted(some)
    assert method.weight.isfinite().all()
    x = (full.query["feature"] - full.query["feature"].mean(0))[kept].double()
    y = full.gallery["feature"][full.pairs[kept]].double()
    penalty = 0.1 * (x**2).sum() / 5 * torch.eye(5, dtype=torch.float64)
    expected = torch.linalg.solve(x.T @ x + penalty, x.T @ (y - y.mean(0)))
    assert torch.allclose(method.weight, expected.float(), atol=1e-5)
    with pytest.raises(ValueError, match="needs a query with its own photo or a photo of its class, got none"):
        fitted(TrainRows(full.query, torch.full((30,), 7), full.gallery, full.gallery_labels, torch.full((30,), -1)))


@pytest.mark.parametrize("kind", ["ridge", "procrustes"])
def test_the_block_size_changes_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = rows(50, 6, 6, pairs=torch.where(torch.arange(50) % 2 == 0, torch.arange(50), -1))
    whole = fitted(data, kind=kind).weight
    monkeypatch.setattr(closed_form, "ROWS_AT_ONCE", 7)
    assert torch.allclose(fitted(data, kind=kind).weight, whole, atol=1e-6)


@pytest.mark.parametrize("kind", ["ridge", "procrustes"])
def test_features_without_any_spread_give_no_nan(kind: str) -> None:
    flat = torch.ones(20, 4)
    data = TrainRows(
        {"feature": flat}, torch.zeros(20).long(), {"feature": flat}, torch.zeros(20).long(), torch.arange(20)
    )
    assert fitted(data, kind=kind).embed_query({"feature": flat})["feature"].isfinite().all()


def test_mean_removed_takes_each_sides_own_training_mean() -> None:
    data = rows(20, 4, 4)
    method = MeanRemoved(spec(4, 4))
    method.fit(data)
    assert method.embed_query(data.query)["feature"].mean(0).abs().max() < 1e-6
    assert method.embed_gallery(data.gallery)["feature"].mean(0).abs().max() < 1e-6
    one = torch.zeros(1, 4)
    assert torch.equal(method.embed_query({"feature": one})["feature"], -data.query["feature"].mean(0, keepdim=True))


@pytest.mark.parametrize("method", [Raw, MeanRemoved])
def test_features_of_two_widths_cannot_be_compared_unmapped(method: type[Raw | MeanRemoved]) -> None:
    with pytest.raises(ValueError, match="must have one width to be compared, got 4 and 5; map one"):
        method(spec(4, 5))


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="kind must be one of ridge, procrustes, got 'lasso'"):
        LinearMap(spec(4, 4), kind="lasso")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"penalty must be above 0 and finite, got 0\.0"):
        LinearMap(spec(4, 4), penalty=0.0)
    with pytest.raises(ValueError, match=r"penalty has no effect with kind='procrustes', got 1\.0; leave it at 0\.1"):
        LinearMap(spec(4, 4), kind="procrustes", penalty=1.0)
    with pytest.raises(ValueError, match="one width"):
        LinearMap(spec(4, 5), kind="procrustes")
