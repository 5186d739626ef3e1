"""Siamese and triplet networks: the shared network, its batch norm, and both methods' losses."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from sbir.models.siamese import Siamese
from sbir.models.triplet import Triplet
from sbir.types import Batch, DataSpec, Role, Rows

WIDTH, LATENT, HIDDEN, B = 11, 6, 10, 8
SMALL: dict[str, Any] = {"latent": LATENT, "hidden": HIDDEN}
ROLES: tuple[Role, ...] = ("positive", "other_instance", "negative")


def spec(paired: bool = True) -> DataSpec:
    return DataSpec({"feature": (WIDTH,)}, {"feature": (WIDTH,)}, num_classes=3, paired=paired)


def features(seed: int) -> Rows:
    return {"feature": 9 * torch.rand(B, WIDTH, generator=torch.Generator().manual_seed(seed))}


def batch() -> Batch:
    labels = torch.arange(B) % 3
    gallery = {role: features(seed) for seed, role in enumerate(ROLES)}
    return Batch(features(9), gallery, labels, dict.fromkeys(ROLES, labels))


def siamese(**settings: Any) -> Siamese:
    torch.manual_seed(0)
    return Siamese(spec(), **{**SMALL, "dropout": 0.0, **settings})


def triplet(**settings: Any) -> Triplet:
    torch.manual_seed(0)
    return Triplet(spec(), **{**SMALL, "dropout": 0.0, **settings})


def code(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """The network in training mode, on its weights alone; batch norm over all of x."""
    x = (x @ weights["net.0.weight"].T + weights["net.0.bias"]).clamp(min=0)
    x = (x - x.mean(0)) / torch.sqrt(((x - x.mean(0)) ** 2).mean(0) + 1e-3)
    x = x * weights["net.2.weight"] + weights["net.2.bias"]
    return x @ weights["net.4.weight"].T + weights["net.4.bias"]


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("loss", ["hadsell", "chopra"])
def test_siamese_losses_are_the_sources_on_one_pass_a_role_or_one_joint_pass(loss: str, joint: bool) -> None:
    method, data = siamese(loss=loss, joint_batch=joint, margin=3.0), batch()
    weights = {name: value.detach().clone() for name, value in method.state_dict().items()}
    parts = [data.query["feature"], data.gallery["positive"]["feature"], data.gallery["negative"]["feature"]]
    joined = code(weights, torch.cat(parts)).split(B)  # type: ignore[no-untyped-call]
    sketch, own, other = joined if joint else [code(weights, part) for part in parts]
    total = 0.0
    for s, p, n in zip(sketch, own, other, strict=True):
        d_p, d_n = (s - p).norm().item(), (s - n).norm().item()
        if loss == "hadsell":
            total += 0.5 * d_p**2 + 0.5 * max(0.0, 3 - d_n) ** 2
        else:
            total += d_p**2 / 3 + 3 * 2.718281828 ** (-2.77 * d_n / 3)
    assert method.loss(data)["pairs"].item() == pytest.approx(total / B, rel=1e-3)


def test_the_sources_batch_norm_keeps_the_statistics_of_one_batch_of_negatives() -> None:
    method, data = siamese(norm_momentum=1.0), batch()
    first, norm = method.net[0], method.net[2]
    assert isinstance(norm, torch.nn.BatchNorm1d)
    method.loss(data)
    assert torch.allclose(norm.running_mean, first(data.gallery["negative"]["feature"]).relu().mean(0))  # type: ignore[arg-type]
    assert norm.eps == 1e-3
    assert [one.net[2].momentum for one in (siamese(), triplet())] == [0.99, 0.1]


def test_the_defaults_have_the_sources_sizes() -> None:
    wide = DataSpec({"feature": (5568,)}, {"feature": (5568,)}, num_classes=104, paired=True)
    expected = (5568 + 1) * 2048 + 2 * 2048 + (2048 + 1) * 1024
    with torch.device("meta"):
        for method in (Siamese(wide), Triplet(wide)):
            assert sum(parameter.numel() for parameter in method.parameters()) == expected
            assert [module.p for module in method.net if isinstance(module, torch.nn.Dropout)] == [0.5]


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_coarse_triplets_part_classes_and_fine_ones_instances_too(distance: str) -> None:
    data = batch()
    for kind in ("coarse", "fine"):
        share = {"instance_share": 0.25} if kind == "fine" else {}
        method = triplet(kind=kind, distance=distance, margin=2.0, **share)
        found = {role: method.net(data.gallery[role]["feature"]) for role in ROLES}
        sketch = method.net(data.query["feature"])
        if distance == "euclidean":
            far = {role: (photo - sketch).norm(dim=1) for role, photo in found.items()}
        else:
            far = {role: 1 - functional.cosine_similarity(photo, sketch) for role, photo in found.items()}
        hinge = {role: (2 + far["positive"] - far[role]).clamp(min=0).mean().item() for role in ROLES}
        terms = {role: value.item() for role, value in method.loss(data).items()}
        if kind == "coarse":
            expected = {"negative": hinge["negative"]}
        else:
            expected = {"other_instance": 0.25 * hinge["other_instance"], "negative": 0.75 * hinge["negative"]}
        assert terms == pytest.approx(expected, rel=1e-4)
        assert method.distance == distance


def test_each_method_is_told_what_its_roles_say() -> None:
    assert siamese().given == "sketch-photo pairs and class labels"
    assert siamese(pairing="unpaired").given == "class labels"
    assert triplet().given == "class labels"
    assert triplet(kind="fine").given == "sketch-photo pairs and class labels"


@pytest.mark.parametrize(
    ("method", "settings", "text"),
    [
        (siamese, {"loss": "hinge"}, "loss must be one of hadsell, chopra, got 'hinge'"),
        (siamese, {"margin": 0.0}, r"margin must be above 0 and finite, got 0\.0"),
        (siamese, {"norm_momentum": 0.0}, r"norm_momentum must be above 0 and at most 1, got 0\.0"),
        (siamese, {"dropout": 1.0}, r"dropout must be 0 or more and below 1, got 1\.0"),
        (triplet, {"kind": "rough"}, "kind must be one of coarse, fine, got 'rough'"),
        (triplet, {"distance": "hamming"}, "distance must be one of euclidean, cosine, got 'hamming'"),
        (triplet, {"distance": "cosine", "margin": 3.0}, r"margin must be at most 2 with distance='cosine'.*got 3\.0"),
        (triplet, {"instance_share": 0.2}, r"instance_share has no effect with kind='coarse', got 0\.2"),
        (triplet, {"kind": "fine", "instance_share": 1.2}, "instance_share must be between 0 and 1, got 1.2"),
    ],
)
def test_a_bad_setting_is_refused_before_anything_is_built(method: Any, settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        method(**settings)


def test_one_network_needs_one_width_and_fine_triplets_need_pairs() -> None:
    with pytest.raises(ValueError, match="must have one width to be compared, got 4 and 5"):
        Siamese(DataSpec({"feature": (4,)}, {"feature": (5,)}, num_classes=3, paired=True))
    with pytest.raises(ValueError, match="kind must be coarse on data without pairs, got 'fine'"):
        Triplet(spec(paired=False), kind="fine")
