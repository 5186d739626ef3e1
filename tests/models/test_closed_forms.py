"""Direct regression, ESZSL and SAE against the equations that they solve, written out in full."""

from typing import Any

import pytest
import torch
from torch import Tensor

from sbir.models import closed_form
from sbir.models.direct_regression import DirectRegression
from sbir.models.eszsl import ESZSL
from sbir.models.linear_map import LinearMap
from sbir.models.sae import SAE
from sbir.types import DataSpec, TrainRows

SKETCH, PHOTO, CLASSES = 9, 12, 4
SIZES = pytest.mark.parametrize("num", [60, 10], ids=["more rows than features", "fewer rows than features"])
CENTRED = pytest.mark.parametrize("centre", [False, True])


def spec(paired: bool = True) -> DataSpec:
    return DataSpec({"feature": (SKETCH,)}, {"feature": (PHOTO,)}, num_classes=CLASSES, paired=paired)


def rows(num: int) -> TrainRows:
    """Sketches and, in another order and number, photos; all classes on both sides."""
    generator = torch.Generator().manual_seed(num)
    sketches, photos = (torch.rand(n, w, generator=generator) for n, w in ((num + 5, SKETCH), (num, PHOTO)))
    labels, found = torch.arange(num + 5) % CLASSES, torch.arange(num).flip(0) % CLASSES
    own = torch.tensor([next(row for row, one in enumerate(found) if one == label) for label in labels])
    return TrainRows({"feature": sketches}, labels, {"feature": photos}, found, own)


def sides(data: TrainRows, centre: bool) -> tuple[Tensor, Tensor]:
    """Photos X (D, G) and class vectors (D, C), as columns, as the papers have them."""
    sketches, photos = data.query["feature"].double(), data.gallery["feature"].double()
    if centre:
        sketches, photos = sketches - sketches.mean(0), photos - photos.mean(0)
    means = torch.stack([sketches[data.labels == one].mean(0) for one in range(CLASSES)])
    return photos.T, means.T


@SIZES
@CENTRED
def test_eszsl_is_the_papers_line_of_algebra(num: int, centre: bool) -> None:
    data = rows(num)
    method = ESZSL(spec(), feature_penalty=0.3, class_penalty=0.2, centre=centre)
    method.fit(data)
    x, s = sides(data, centre)
    y = torch.full((num, CLASSES), -1.0, dtype=torch.float64)
    y[torch.arange(num), data.gallery_labels] = 1
    gamma = 0.3 * (x**2).sum() / min(num, PHOTO)
    lam = 0.2 * (s**2).sum() / CLASSES
    v = method.to_classes.double() @ method.from_classes.double()
    left = x @ x.T + gamma * torch.eye(PHOTO)
    right = s @ s.T + lam * torch.eye(SKETCH)
    assert torch.allclose(left @ v @ right, x @ y @ s.T, atol=1e-4)
    predicted = method.embed_gallery(data.gallery)["class"]
    assert torch.allclose(predicted.double(), (v.T @ x).T, atol=1e-4)
    shift = data.query["feature"].mean(0) * centre
    assert torch.allclose(method.embed_query(data.query)["class"], data.query["feature"] - shift, atol=1e-6)


@SIZES
@CENTRED
def test_sae_solves_its_sylvester_equation_as_scipy_does(num: int, centre: bool) -> None:
    linalg = pytest.importorskip("scipy.linalg")
    data = rows(num)
    method = SAE(spec(), balance=0.7, centre=centre)
    method.fit(data)
    x, means = sides(data, centre)
    s = means[:, data.gallery_labels]
    lam = 0.7 * (s**2).sum() / (x**2).sum()
    w = method.codes.double().T @ method.features.double()
    assert torch.allclose(s @ s.T @ w + w @ (lam * x @ x.T), (1 + lam) * s @ x.T, atol=1e-4)
    if num > PHOTO and not centre:  # elsewhere both sides share the eigenvalue 0, and scipy has no solution
        peer = linalg.solve_sylvester((s @ s.T).numpy(), (lam * x @ x.T).numpy(), ((1 + lam) * s @ x.T).numpy())
        assert w.numpy() == pytest.approx(peer, abs=1e-4)
    assert torch.allclose(method.embed_gallery(data.gallery)["class"].double(), (w @ x).T, atol=1e-4)


def test_sae_is_where_its_loss_is_least_and_its_two_spaces_are_encoder_and_decoder() -> None:
    data = rows(60)
    encode, decode = SAE(spec()), SAE(spec(), compare="gallery")
    encode.fit(data)
    decode.fit(data)
    x, means = sides(data, centre=False)
    s = means[:, data.gallery_labels]
    lam = (s**2).sum() / (x**2).sum()
    w = (encode.codes.T @ encode.features).double().requires_grad_()
    loss = ((x - w.T @ s) ** 2).sum() + lam * ((w @ x - s) ** 2).sum()
    (gradient,) = torch.autograd.grad(loss, w)
    assert gradient.abs().max() < 1e-3 * loss.item()
    assert torch.allclose(
        decode.embed_query(data.query)["photo"], data.query["feature"] @ w.detach().float(), atol=1e-4
    )
    assert torch.equal(decode.embed_gallery(data.gallery)["photo"], data.gallery["feature"])


@SIZES
def test_direct_regression_solves_the_normal_equations_of_raw_features(num: int) -> None:
    data = rows(num)
    method = DirectRegression(spec(), penalty=0.3)
    method.fit(data)
    x, y = data.query["feature"].double(), data.gallery["feature"][data.pairs].double()
    penalty = 0.3 * (x**2).sum() / min(len(x), SKETCH)
    w = method.weight.double()
    assert torch.allclose((x.T @ x + penalty * torch.eye(SKETCH)) @ w, x.T @ y, atol=1e-4)
    assert torch.allclose(method.embed_query(data.query)["feature"].double(), x @ w, atol=1e-5)
    assert torch.equal(method.embed_gallery(data.gallery)["feature"], data.gallery["feature"])


def test_centred_direct_regression_is_the_linear_baseline() -> None:
    data = rows(60)
    ours, baseline = DirectRegression(spec(), centre=True), LinearMap(spec())
    ours.fit(data)
    baseline.fit(data)
    assert torch.equal(ours.weight, baseline.weight)
    assert torch.equal(ours.embed_query(data.query)["feature"], baseline.embed_query(data.query)["feature"])


@pytest.mark.parametrize("kind", [ESZSL, SAE])
def test_a_class_without_sketches_teaches_no_direction_and_no_nan(kind: type[ESZSL | SAE]) -> None:
    full = rows(60)
    kept = full.labels != 2
    data = TrainRows({"feature": full.query["feature"][kept]}, full.labels[kept], full.gallery, full.gallery_labels,
                     full.pairs[kept])  # fmt: skip
    method = kind(spec(), centre=True)
    method.fit(data)
    assert not method.class_vectors(data)[2].any()
    assert method.embed_gallery(data.gallery)["class"].isfinite().all()


@pytest.mark.parametrize("kind", [DirectRegression, ESZSL, SAE])
def test_features_without_any_spread_give_no_nan(kind: type[DirectRegression | ESZSL | SAE]) -> None:
    data = rows(20)
    flat = TrainRows({"feature": torch.ones(25, SKETCH)}, data.labels, {"feature": torch.ones(20, PHOTO)},
                     data.gallery_labels, data.pairs)  # fmt: skip
    method = kind(spec(), centre=True)
    method.fit(flat)
    assert all(view.isfinite().all() for view in method.embed_gallery(flat.gallery).values())


@pytest.mark.parametrize("kind", [DirectRegression, ESZSL, SAE])
def test_the_block_size_changes_nothing(kind: type[DirectRegression | ESZSL | SAE], monkeypatch: Any) -> None:
    data = rows(60)
    whole, parts = kind(spec()), kind(spec())
    whole.fit(data)
    monkeypatch.setattr(closed_form, "ROWS_AT_ONCE", 7)
    parts.fit(data)
    query = whole.embed_query(data.query), parts.embed_query(data.query)
    gallery = whole.embed_gallery(data.gallery), parts.embed_gallery(data.gallery)
    for one, two in (query, gallery):
        assert all(torch.allclose(view, two[name], atol=1e-4) for name, view in one.items())


def test_what_each_one_is_told() -> None:
    assert DirectRegression(spec()).given == LinearMap(spec()).given == "sketch-photo pairs"
    assert DirectRegression(spec(paired=False)).given == "class labels"
    assert ESZSL(spec()).given == SAE(spec()).given == "class labels"


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"penalty must be above 0 and finite, got 0\.0"):
        DirectRegression(spec(), penalty=0.0)
    with pytest.raises(ValueError, match="class_penalty must be above 0 and finite, got inf"):
        ESZSL(spec(), class_penalty=float("inf"))
    with pytest.raises(ValueError, match=r"balance must be above 0 and finite, got -1\.0"):
        SAE(spec(), balance=-1.0)
    with pytest.raises(ValueError, match="compare must be one of query, gallery, got 'photo'"):
        SAE(spec(), compare="photo")  # type: ignore[arg-type]
