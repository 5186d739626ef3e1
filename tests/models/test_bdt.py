"""BDT: what it adds to CrossModal, on the model's own weights, and who steps on what."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from sbir.models.bdt import BDT
from sbir.models.cross_modal import CrossModal
from sbir.types import Batch, DataSpec, Role, Rows

SKETCH, PHOTO, LATENT, HIDDEN, B = 11, 13, 6, 10, 8
SMALL: dict[str, Any] = {"latent": LATENT, "hidden": HIDDEN, "num_samples": 5, "dropout": 0.0}
ROLES: tuple[Role, ...] = ("positive", "negative")


def spec(paired: bool = True) -> DataSpec:
    return DataSpec({"feature": (SKETCH,)}, {"feature": (PHOTO,)}, num_classes=3, paired=paired)


def features(rows: int, width: int, seed: int) -> Rows:
    return {"feature": torch.rand(rows, width, generator=torch.Generator().manual_seed(seed))}


def batch() -> Batch:
    labels = torch.arange(B) % 3
    gallery = {role: features(B, PHOTO, seed) for seed, role in enumerate(ROLES)}
    return Batch(features(B, SKETCH, 9), gallery, labels, dict.fromkeys(ROLES, labels))


def model(**settings: Any) -> BDT:
    torch.manual_seed(0)
    return BDT(spec(), **{**SMALL, **settings})


def see(method: BDT, side: str, x: Tensor) -> Tensor:
    """Logits of a discriminator: linear, batch norm over x, LeakyReLU, linear."""
    w = {name: value.detach() for name, value in method.discriminators[side].state_dict().items()}
    x = x @ w["0.weight"].T
    x = (x - x.mean(0)) / torch.sqrt(((x - x.mean(0)) ** 2).mean(0) + 1e-5) * w["1.weight"] + w["1.bias"]
    logits: Tensor = torch.where(x > 0, x, 0.2 * x) @ w["3.weight"].T + w["3.bias"]
    return logits


def reconstructions(method: BDT, data: Batch) -> dict[str, Tensor]:
    """Photo and sketch as the generator makes them with the noise of seed 5."""
    torch.manual_seed(5)
    noise = torch.randn(B, LATENT)
    photo = data.gallery["positive"]["feature"]
    look = method.photo_appearance(photo)
    z = method.mean(look) + torch.exp(method.logvar(look) / 2) * noise
    decoded = method.photo_decoder(torch.cat([z, data.query["feature"]], 1))
    torch.manual_seed(5)
    return {"image": decoded, "sketch": method.sketch_decoder(method.photo_structure(photo))}


def test_ranking_is_not_squared_and_the_other_terms_are_crossmodals_with_the_papers_weights() -> None:
    method, data = model(), batch()
    torch.manual_seed(0)
    other = CrossModal(spec(), **SMALL, ranking="siamese", norm_order="pre")
    torch.manual_seed(5)
    expected = {name: value.item() / other.weights[name] for name, value in other.loss(data).items()}
    torch.manual_seed(5)
    terms = {name: value.item() for name, value in method.loss(data).items()}
    papers = {"image": 2.0, "sketch": 1.0, "kl": 1.0, "orthogonality": 1.0}
    assert {name: terms[name] for name in papers} == pytest.approx(
        {name: weight * expected[name] for name, weight in papers.items()}, rel=1e-5
    )
    code = method.sketch_structure(data.query["feature"])
    own, far = (functional.pairwise_distance(method.photo_structure(data.gallery[r]["feature"]), code) for r in ROLES)
    assert terms["ranking"] == pytest.approx(0.5 * (own + (10 - far).clamp(min=0)).mean().item(), rel=1e-5)


@pytest.mark.parametrize("adversarial", ["bce", "lsgan"])
def test_both_players_judge_the_same_reconstructions(adversarial: str) -> None:
    method, data = model(adversarial=adversarial), batch()
    made = reconstructions(method, data)
    terms = method.loss(data)
    judged = method.discriminator_loss(data)
    real = {"image": data.gallery["positive"]["feature"], "sketch": data.query["feature"]}
    for side, weight in {"image": 2.0, "sketch": 1.0}.items():
        yes, no = see(method, side, real[side]), see(method, side, made[side])
        if adversarial == "bce":
            fooling = -torch.sigmoid(no).log().mean()
            judging = -torch.sigmoid(yes).log().mean() - (1 - torch.sigmoid(no)).log().mean()
        else:
            fooling, judging = ((no - 1) ** 2).mean() / 2, (((yes - 1) ** 2).mean() + (no**2).mean()) / 2
        assert terms[f"{side}_adversarial"].item() == pytest.approx(weight * fooling.item(), rel=1e-4)
        assert judged[f"{side}_discriminator"].item() == pytest.approx(judging.item(), rel=1e-4)


def test_the_discriminators_have_their_own_learning_rate_and_do_not_reach_the_generator() -> None:
    method, data = model(discriminator_lr=1e-3), batch()
    generator, discriminators = method.players()
    assert (generator.name, discriminators.name) == ("generator", "discriminators")
    (group,) = discriminators.parameters
    assert group["lr"] == 1e-3
    generator.loss(data)
    torch.stack(list(discriminators.loss(data).values())).sum().backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is None for parameter in generator.parameters)
    assert all(parameter.grad is not None for parameter in group["params"])


def test_views_are_crossmodals() -> None:
    method = model().eval()
    torch.manual_seed(0)
    other = CrossModal(spec(), **SMALL, norm_order="pre").eval()
    rows = features(4, SKETCH, 3)
    assert all(torch.equal(view, other.embed_query(rows)[name]) for name, view in method.embed_query(rows).items())


def test_an_ablated_adversary_has_no_discriminator_and_the_appearance_can_be_left_out() -> None:
    method = model(sketch_adversarial_weight=0.0)
    assert set(method.discriminators) == {"image"}
    terms = method.loss(batch()) | method.discriminator_loss(batch())
    assert {name for name in terms if "_" in name} == {"image_adversarial", "image_discriminator"}
    plain = model(decoder="deterministic")
    assert not {"kl", "orthogonality"} & set(plain.loss(batch()))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"adversarial": "wgan"}, "adversarial must be one of bce, lsgan, got 'wgan'"),
        ({"discriminator_lr": 0.0}, r"discriminator_lr must be above 0 and finite, got 0\.0"),
        ({"image_adversarial_weight": -1.0}, r"image_adversarial_weight must be 0 or more, got -1\.0"),
        ({"image_adversarial_weight": 0.0, "sketch_adversarial_weight": 0.0}, "one adversarial weight must be above 0"),
        ({"margin": -1.0}, r"margin must be 0 or more, got -1\.0"),
        ({"decoder": "deterministic", "orthogonality_weight": 0.01}, r"orthogonality_weight has no effect.*at 1\.0"),
    ],
)
def test_a_bad_setting_is_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        model(**settings)
