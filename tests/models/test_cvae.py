"""CVAE against a second writing of the sources' equations, and what its settings promise."""

from typing import Any

import pytest
import torch
from torch import Tensor

from sbir.models.cvae import CVAE
from sbir.types import Batch, DataSpec, Rows

SKETCH, PHOTO, LATENT, HIDDEN, B = 11, 13, 6, 10, 8
SMALL: dict[str, Any] = {"latent": LATENT, "hidden": HIDDEN, "num_samples": 5}


def spec(paired: bool = True) -> DataSpec:
    return DataSpec({"feature": (SKETCH,)}, {"feature": (PHOTO,)}, num_classes=3, paired=paired)


def features(rows: int, width: int, seed: int) -> Rows:
    return {"feature": torch.rand(rows, width, generator=torch.Generator().manual_seed(seed))}


def batch() -> Batch:
    labels = torch.arange(B) % 3
    return Batch(features(B, SKETCH, 9), {"positive": features(B, PHOTO, 0)}, labels, {"positive": labels})


def model(**settings: Any) -> CVAE:
    torch.manual_seed(0)
    return CVAE(spec(), **{**SMALL, **settings})


class Source:
    """The equations on the model's own weights, with nothing of the model's code."""

    def __init__(self, method: CVAE) -> None:
        self.w = {name: value.detach().clone() for name, value in method.state_dict().items()}

    def linear(self, name: str, x: Tensor) -> Tensor:
        y: Tensor = x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]
        return y

    def norm(self, name: str, x: Tensor) -> Tensor:
        var = ((x - x.mean(0)) ** 2).mean(0)
        y: Tensor = (x - x.mean(0)) / torch.sqrt(var + 1e-3) * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]
        return y

    def encode(self, x: Tensor) -> Tensor:
        x = self.norm("encoder.2", self.linear("encoder.0", x).clamp(min=0))
        return self.norm("encoder.6", self.linear("encoder.4", x).clamp(min=0))

    def head(self, name: str, x: Tensor, *, tanh: bool) -> Tensor:
        return torch.tanh(self.linear(f"{name}.0", x)) if tanh else self.linear(name, x)

    def decode(self, name: str, x: Tensor) -> Tensor:
        return self.linear(f"{name}.2", self.linear(f"{name}.0", x).clamp(min=0)).clamp(min=0)


@pytest.mark.parametrize("tanh", [False, True])
@pytest.mark.parametrize("form", ["sjtu", "eccv18"])
def test_losses_and_view_are_those_of_the_sources_equations(form: str, tanh: bool) -> None:
    method = model(form=form, tanh=tanh, dropout=0.0, kl_weight=0.5, image_weight=3.0)
    source = Source(method)
    data = batch()
    s, p = data.query["feature"], data.gallery["positive"]["feature"]

    torch.manual_seed(5)
    noise = torch.randn(1 if form == "eccv18" else B, LATENT)
    torch.manual_seed(5)
    terms = method.loss(data)

    code = source.encode(torch.cat([s, p], 1))
    assert code.shape[1] == (HIDDEN if form == "eccv18" else LATENT)
    mean, logvar = source.head("mean", code, tanh=tanh), source.head("logvar", code, tanh=tanh)
    photo = source.decode("photo_decoder", torch.cat([mean + torch.exp(logvar / 2) * noise, s], 1))
    kl = (torch.exp(logvar) + mean**2 - 1 - logvar).sum() / 2 / B
    expected = {
        "kl": 0.5 * kl,
        "image": 3 * ((photo - p) ** 2).mean(),
        "sketch": 10 * ((source.decode("sketch_decoder", photo) - s) ** 2).mean(),
    }
    assert set(terms) == set(expected)
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value.item(), rel=1e-4), name
    assert method.metrics()["kl_nats"] == pytest.approx(kl.item(), rel=1e-4)
    assert 0 <= method.metrics()["active_units"] <= LATENT

    views = method.eval().embed_query(data.query)
    z = torch.randn(5, LATENT, generator=torch.Generator().manual_seed(0))
    decoded = [source.decode("photo_decoder", torch.cat([one.expand(B, -1), s], 1)) for one in z]
    assert torch.allclose(views["photo"], torch.stack(decoded).mean(0), atol=1e-5)
    assert torch.equal(method.embed_gallery({"feature": p})["photo"], p)


@pytest.mark.parametrize(("form", "sizes"), [("sjtu", [2048, 1024]), ("eccv18", [4096, 2048])])
def test_the_defaults_have_the_sources_sizes(form: Any, sizes: list[int]) -> None:
    wide = DataSpec({"feature": (4096,)}, {"feature": (4096,)}, num_classes=104, paired=True)
    with torch.device("meta"):
        method = CVAE(wide, form=form)
    expected, width = 0, 8192
    for out in sizes:
        expected, width = expected + (width + 1) * out + 2 * out, out
    expected += 2 * (width + 1) * 1024 + (1024 + 4096 + 1) * 2048 + (2048 + 1) * 4096
    expected += (4096 + 1) * 2048 + (2048 + 1) * 4096
    assert sum(parameter.numel() for parameter in method.parameters()) == expected


def test_the_encoder_has_the_sources_dropout_and_norm() -> None:
    encoder = model(dropout=0.5).encoder
    assert [module.p for module in encoder if isinstance(module, torch.nn.Dropout)] == [0.5]
    assert {module.eps for module in encoder if isinstance(module, torch.nn.BatchNorm1d)} == {1e-3}


def test_no_sketch_reconstruction_has_no_sketch_decoder_and_leaves_the_other_weights_as_they_were() -> None:
    whole, without = model().state_dict(), model(sketch_weight=0.0)
    rest = without.state_dict()
    assert set(whole) - set(rest) == {f"sketch_decoder.{layer}.{kind}" for layer in "02" for kind in ("weight", "bias")}
    assert all(torch.equal(value, whole[name]) for name, value in rest.items())
    assert set(without.loss(batch())) == {"kl", "image"}


def test_the_controls_decode_what_they_say() -> None:
    data, weights = batch(), model().state_dict()
    s = data.query["feature"]
    for num_samples in (0, 1, 5):
        method = model(num_samples=num_samples).eval()
        method.load_state_dict(weights)  # one training serves every number of samples
        z = torch.zeros(1, LATENT)
        if num_samples:
            z = torch.randn(num_samples, LATENT, generator=torch.Generator().manual_seed(0))
        decoded = torch.stack([method.photo_decoder(torch.cat([one.expand(B, -1), s], 1)) for one in z])
        assert torch.allclose(method.embed_query(data.query)["photo"], decoded.mean(0), atol=1e-6)
    plain = CVAE(spec(), hidden=HIDDEN, decoder="deterministic")
    assert torch.equal(plain.embed_query(data.query)["photo"], plain.photo_decoder(s))
    assert set(plain.loss(data)) == {"image", "sketch"}
    assert plain.metrics() == {}
    assert {name.split(".")[0] for name, _ in plain.named_parameters()} == {"photo_decoder", "sketch_decoder"}


def test_pairing_follows_the_data_unless_told_otherwise() -> None:
    assert model().sampling.pairing == "paired"
    assert model().given == "sketch-photo pairs"
    assert model(pairing="unpaired").given == "class labels"
    with pytest.raises(ValueError, match="on data without pairs, got 'paired'"):
        CVAE(spec(paired=False), pairing="paired")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"form": "iccv"}, "form must be one of sjtu, eccv18, got 'iccv'"),
        ({"decoder": "none"}, "decoder must be one of variational, deterministic, got 'none'"),
        ({"dropout": 1.0}, r"dropout must be 0 or more and below 1, got 1\.0"),
        ({"latent": 0}, "latent must be 1 or more, got 0"),
        ({"sketch_weight": -1.0}, r"sketch_weight must be 0 or more, got -1\.0"),
        ({"num_samples": -1}, "num_samples must be 0 or more, got -1"),
        ({"decoder": "deterministic"}, "latent has no effect with decoder='deterministic', got 6; leave it at 1024"),
        ({"decoder": "deterministic", "latent": 1024, "tanh": False}, "tanh has no effect"),
        ({"decoder": "deterministic", "latent": 1024, "kl_weight": 0.1}, "kl_weight has no effect"),
    ],
)
def test_a_bad_setting_is_refused_before_anything_is_built(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        model(**settings)
