"""CAAE: both players' losses on the model's own weights, and who steps on what."""

from typing import Any

import pytest
import torch
from torch import Tensor

from sbir.models.caae import CAAE
from sbir.types import Batch, DataSpec, Rows

SKETCH, PHOTO, LATENT, HIDDEN, B = 11, 13, 6, 10, 8
SMALL: dict[str, Any] = {"latent": LATENT, "hidden": HIDDEN, "num_samples": 5}


def features(rows: int, width: int, seed: int) -> Rows:
    return {"feature": torch.rand(rows, width, generator=torch.Generator().manual_seed(seed))}


def batch() -> Batch:
    labels = torch.arange(B) % 3
    return Batch(features(B, SKETCH, 9), {"positive": features(B, PHOTO, 0)}, labels, {"positive": labels})


def model(**settings: Any) -> CAAE:
    torch.manual_seed(0)
    spec = DataSpec({"feature": (SKETCH,)}, {"feature": (PHOTO,)}, num_classes=3, paired=True)
    return CAAE(spec, **{**SMALL, **settings})


class Written:
    """The inferred networks on the model's own weights, with nothing of the model's code."""

    def __init__(self, method: CAAE) -> None:
        self.w = {name: value.detach().clone() for name, value in method.state_dict().items()}

    def linear(self, name: str, x: Tensor) -> Tensor:
        y: Tensor = x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]
        return y

    def encode(self, x: Tensor) -> Tensor:
        for first in (0, 4):
            x = self.linear(f"encoder.{first}", x).clamp(min=0)
            x = (x - x.mean(0)) / torch.sqrt(((x - x.mean(0)) ** 2).mean(0) + 1e-3)
            x = x * self.w[f"encoder.{first + 2}.weight"] + self.w[f"encoder.{first + 2}.bias"]
        return self.linear("encoder.7", x)

    def decode(self, name: str, x: Tensor) -> Tensor:
        return self.linear(f"{name}.2", self.linear(f"{name}.0", x).clamp(min=0)).clamp(min=0)

    def judge(self, x: Tensor) -> Tensor:
        """The probability that x is noise."""
        for layer in (0, 2):
            x = self.linear(f"critic.{layer}", x)
            x = torch.where(x > 0, x, 0.2 * x)
        return torch.sigmoid(self.linear("critic.4", x))


def test_both_players_minimise_what_is_documented() -> None:
    method, data = model(dropout=0.0, image_weight=2.0, adversarial_weight=0.5), batch()
    source = Written(method)
    s, p = data.query["feature"], data.gallery["positive"]["feature"]
    code = source.encode(torch.cat([s, p], 1))
    photo = source.decode("photo_decoder", torch.cat([code, s], 1))
    terms = {name: value.item() for name, value in method.loss(data).items()}
    assert terms == pytest.approx(
        {
            "image": 2 * ((photo - p) ** 2).mean().item(),
            "sketch": 10 * ((source.decode("sketch_decoder", photo) - s) ** 2).mean().item(),
            "adversarial": -0.5 * source.judge(code).log().mean().item(),
        },
        rel=1e-4,
    )
    torch.manual_seed(5)
    noise = torch.randn(B, LATENT)
    torch.manual_seed(5)
    real, fake = source.judge(noise), source.judge(code)
    expected = -real.log().mean() - (1 - fake).log().mean()
    assert method.critic_loss(data)["critic"].item() == pytest.approx(expected.item(), rel=1e-4)
    right = ((real > 0.5).sum() + (fake < 0.5).sum()).item() / (2 * B)
    assert method.metrics() == {"critic_accuracy": pytest.approx(right)}


def test_the_critics_step_does_not_reach_the_encoder() -> None:
    method, data = model(), batch()
    method.loss(data)
    method.critic_loss(data)["critic"].backward()  # type: ignore[no-untyped-call]
    assert all(
        (parameter.grad is not None) == name.startswith("critic") for name, parameter in method.named_parameters()
    )
    autoencoder, critic = method.players()
    assert (autoencoder.name, critic.name) == ("autoencoder", "critic")
    assert len(critic.parameters) == 6


def test_retrieval_decodes_the_sketch_with_seeded_noise() -> None:
    data = batch()
    for num_samples in (0, 5):
        method = model(num_samples=num_samples).eval()
        z = torch.zeros(1, LATENT)
        if num_samples:
            z = torch.randn(num_samples, LATENT, generator=torch.Generator().manual_seed(0))
        decoded = [
            Written(method).decode("photo_decoder", torch.cat([one.expand(B, -1), data.query["feature"]], 1))
            for one in z
        ]
        assert torch.allclose(method.embed_query(data.query)["photo"], torch.stack(decoded).mean(0), atol=1e-5)
    photos = data.gallery["positive"]
    assert torch.equal(method.embed_gallery(photos)["photo"], photos["feature"])
    assert "sketch" not in model(sketch_weight=0.0).loss(data)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"adversarial_weight": 0.0}, r"adversarial_weight must be above 0, got 0\.0"),
        ({"latent": 1}, "latent must be 2 or more, got 1"),
        ({"dropout": -0.1}, r"dropout must be 0 or more and below 1, got -0\.1"),
        ({"sketch_weight": -1.0}, r"sketch_weight must be 0 or more, got -1\.0"),
    ],
)
def test_a_bad_setting_is_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        model(**settings)
