"""CrossModal against a second writing of the source's equations, and what its settings promise."""

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from sbir.models import layers
from sbir.models.cross_modal import CrossModal
from sbir.types import Batch, DataSpec, Role, Rows

SKETCH, PHOTO, LATENT, HIDDEN, B = 11, 13, 6, 10, 8
SMALL: dict[str, Any] = {"latent": LATENT, "hidden": HIDDEN, "num_samples": 5}
ROLES: tuple[Role, ...] = ("positive", "same_class", "negative")


def spec(paired: bool = True) -> DataSpec:
    return DataSpec({"feature": (SKETCH,)}, {"feature": (PHOTO,)}, num_classes=3, paired=paired)


def features(rows: int, width: int, seed: int) -> Rows:
    return {"feature": torch.rand(rows, width, generator=torch.Generator().manual_seed(seed))}


def batch() -> Batch:
    labels = torch.arange(B) % 3
    gallery = {role: features(B, PHOTO, seed) for seed, role in enumerate(ROLES)}
    return Batch(features(B, SKETCH, 9), gallery, labels, dict.fromkeys(ROLES, labels))


def model(**settings: Any) -> CrossModal:
    torch.manual_seed(0)
    return CrossModal(spec(), **{**SMALL, **settings})


class Source:
    """The equations of the source on the model's own weights, with nothing of the model's code: one dict of tensors."""

    def __init__(self, method: CrossModal, *, deeper: bool, pre: bool) -> None:
        self.w = {name: value.detach().clone() for name, value in method.state_dict().items()}
        self.num_blocks, self.pre = 3 if deeper else 2, pre

    def linear(self, name: str, x: Tensor) -> Tensor:
        y: Tensor = x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]
        return y

    def encode(self, name: str, x: Tensor, *, train: bool) -> Tensor:
        for block in range(self.num_blocks):  # Linear, ReLU, BN and a Dropout between blocks: four places in the list
            x = self.linear(f"{name}.{4 * block}", x)
            norm = f"{name}.{4 * block + (1 if self.pre else 2)}"
            x = (
                self.norm(norm, x, train=train).clamp(min=0)
                if self.pre
                else self.norm(norm, x.clamp(min=0), train=train)
            )
        return x

    def norm(self, name: str, x: Tensor, *, train: bool) -> Tensor:
        mean = x.mean(0) if train else self.w[f"{name}.running_mean"]
        var = ((x - x.mean(0)) ** 2).mean(0) if train else self.w[f"{name}.running_var"]
        y: Tensor = (x - mean) / torch.sqrt(var + 1e-5) * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]
        return y

    def decode(self, name: str, x: Tensor) -> Tensor:
        for layer in range(self.num_blocks):
            x = self.linear(f"{name}.{2 * layer}", x).clamp(min=0)
        return x


def given(decode: str, code: Tensor, sketch: Tensor) -> Tensor:
    return {"e": code, "s": sketch, "s+e": torch.cat([code, sketch], 1)}[decode]


@pytest.mark.parametrize("decode", ["e", "s", "s+e"])
@pytest.mark.parametrize("deeper", [False, True])
@pytest.mark.parametrize("norm_order", ["post", "pre"])
def test_losses_and_views_are_those_of_the_sources_equations(decode: str, deeper: bool, norm_order: str) -> None:
    method = model(decode=decode, deeper=deeper, norm_order=norm_order, dropout=0.0, margin1=1.0, ranking_weight=0.7)
    source = Source(method, deeper=deeper, pre=norm_order == "pre")
    data = batch()
    s = data.query["feature"]
    p, u, n = (data.gallery[role]["feature"] for role in ROLES)

    torch.manual_seed(5)
    noise = torch.randn(B, LATENT)
    torch.manual_seed(5)
    terms = method.loss(data)

    code = source.encode("sketch_structure", s, train=True)
    own, same, other = (source.encode("photo_structure", x, train=True) for x in (p, u, n))
    look = source.encode("photo_appearance", p, train=True)
    mean, logvar = source.linear("mean", look), source.linear("logvar", look)
    z = mean + torch.exp(logvar / 2) * noise
    photo = source.decode("photo_decoder", torch.cat([z, given(decode, code, s)], 1))
    d_p, d_u, d_n = (torch.sqrt(((x - code + 1e-6) ** 2).sum(1)) for x in (own, same, other))
    rank = (d_p**2 + (d_p - d_u + 1).clamp(min=0) ** 2 + (d_u - d_n + 10).clamp(min=0) ** 2).mean() / 3
    kl = (torch.exp(logvar) + mean**2 - 1 - logvar).sum() / 2 / B
    lengths = own.norm(dim=1) * look.norm(dim=1)
    expected = {
        "ranking": 0.7 * rank,
        "image": ((photo - p) ** 2).mean(),
        "sketch": 10 * ((source.decode("sketch_decoder", own) - s) ** 2).mean(),
        "kl": kl,
        "orthogonality": 0.01 * ((own * look).sum(1) / lengths.clamp(min=1e-8)).mean(),
    }
    assert set(terms) == set(expected)
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value.item(), rel=1e-4, abs=1e-6), name
    assert method.metrics()["kl_nats"] == pytest.approx(kl.item(), rel=1e-4)

    after = Source(method.eval(), deeper=deeper, pre=norm_order == "pre")  # running statistics have moved
    views = method.embed_query(data.query)
    code = after.encode("sketch_structure", s, train=False)
    samples = torch.randn(5, LATENT, generator=torch.Generator().manual_seed(0))
    decoded = [
        after.decode("photo_decoder", torch.cat([one.expand(B, -1), given(decode, code, s)], 1)) for one in samples
    ]
    assert torch.allclose(views["structure"], code, atol=1e-5)
    assert torch.allclose(views["photo"], torch.stack(decoded).mean(0), atol=1e-5)
    gallery = method.embed_gallery(data.gallery["positive"])
    assert torch.allclose(gallery["structure"], after.encode("photo_structure", p, train=False), atol=1e-5)
    assert torch.equal(gallery["photo"], p)


def test_the_defaults_have_the_sources_sizes() -> None:
    """Parameters of decode "s", counted from the equations: 5568-D features, 1024-D codes, 2048 hidden units."""
    wide = DataSpec({"feature": (5568,)}, {"feature": (5568,)}, num_classes=104, paired=True)
    with torch.device("meta"):
        method = CrossModal(wide)
    encoder = (5568 + 1) * 2048 + 2 * 2048 + (2048 + 1) * 1024 + 2 * 1024
    decoders = (1024 + 1) * 2048 + (1024 + 5568 + 1) * 2048 + 2 * (2048 + 1) * 5568
    expected = 3 * encoder + 2 * (1024 + 1) * 1024 + decoders
    assert sum(parameter.numel() for parameter in method.parameters()) == expected


def test_batch_norm_sees_each_role_as_a_batch_of_its_own_in_the_order_negative_same_class_own() -> None:
    method = model()
    data = batch()
    method.loss(data)
    norm = method.photo_structure[2]
    assert isinstance(norm, torch.nn.BatchNorm1d)
    first = method.photo_structure[0]
    expected = torch.zeros(HIDDEN)
    for role in ("negative", "same_class", "positive"):
        expected = 0.9 * expected + 0.1 * first(data.gallery[role]["feature"]).relu().mean(0)
    assert norm.num_batches_tracked == 3
    assert torch.allclose(norm.running_mean, expected, atol=1e-6)  # type: ignore[arg-type]


def test_dropout_lies_between_the_blocks_of_encoders_and_nowhere_else() -> None:
    def places(method: CrossModal) -> list[str]:
        return [name for name, module in method.named_modules() if isinstance(module, torch.nn.Dropout)]

    encoders = ("sketch_structure", "photo_structure", "photo_appearance")
    assert places(model()) == [f"{name}.3" for name in encoders]
    assert places(model(deeper=True)) == [f"{name}.{place}" for name in encoders for place in (3, 7)]


def test_siamese_loss_takes_own_and_negative_only() -> None:
    method = model(ranking="siamese", dropout=0.0, margin2=3.0)
    data = batch()
    assert set(method.sampling.roles) == {"positive", "negative"}
    code = method.sketch_structure(data.query["feature"])
    own, other = (method.photo_structure(data.gallery[r]["feature"]) for r in ("positive", "negative"))
    d_p, d_n = functional.pairwise_distance(own, code), functional.pairwise_distance(other, code)
    expected = (0.5 * d_p**2 + 0.5 * (3.0 - d_n).clamp(min=0) ** 2).mean()
    assert method.loss(data)["ranking"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_controls_decode_what_they_say() -> None:
    data = batch()
    weights = model().state_dict()
    for num_samples in (0, 1, 5):
        method = model(num_samples=num_samples).eval()
        method.load_state_dict(weights)  # one training serves every number of samples
        z = torch.randn(num_samples, LATENT, generator=torch.Generator().manual_seed(0)) if num_samples else None
        rows = torch.zeros(1, LATENT) if z is None else z
        s = data.query["feature"]
        decoded = torch.stack([method.photo_decoder(torch.cat([one.expand(B, -1), s], 1)) for one in rows])
        assert torch.allclose(method.embed_query(data.query)["photo"], decoded.mean(0), atol=1e-6)
    plain = model(decoder="deterministic").eval()
    assert torch.equal(plain.embed_query(data.query)["photo"], plain.photo_decoder(data.query["feature"]))
    assert set(plain.train().loss(data)) == {"ranking", "image", "sketch"}
    assert plain.metrics() == {}
    assert not any("appearance" in name or "logvar" in name for name, _ in plain.named_parameters())


def test_the_mean_over_samples_does_not_depend_on_how_many_are_decoded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    method, query = model(deeper=True, decode="s+e").eval(), features(50, SKETCH, 3)
    whole = method.embed_query(query)["photo"]
    monkeypatch.setattr(layers, "VALUES_AT_ONCE", 1)
    assert torch.allclose(method.embed_query(query)["photo"], whole, atol=1e-6)


def test_pairing_follows_the_data_unless_told_otherwise() -> None:
    assert model().sampling.pairing == "paired"
    assert model(pairing="unpaired").sampling.pairing == "unpaired"
    assert CrossModal(spec(paired=False), **SMALL).sampling.pairing == "unpaired"
    with pytest.raises(ValueError, match="on data without pairs, got 'paired'"):
        CrossModal(spec(paired=False), pairing="paired", **SMALL)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"decode": "z"}, r"decode must be one of e, s, s\+e, got 'z'"),
        ({"dropout": 1.0}, r"dropout must be 0 or more and below 1, got 1\.0"),
        ({"latent": 0}, "latent must be 1 or more, got 0"),
        ({"num_samples": -1}, "num_samples must be 0 or more, got -1"),
        ({"margin2": float("nan")}, "margin2 must be 0 or more, got nan"),
        ({"kl_weight": -1.0}, r"kl_weight must be 0 or more, got -1\.0"),
        ({"ranking": "siamese", "margin1": 1.0}, "margin1 has no effect with ranking='siamese', got 1.0; leave it at"),
        ({"decoder": "deterministic", "kl_weight": 0.1}, "kl_weight has no effect with decoder='deterministic'"),
        ({"decoder": "deterministic", "orthogonality_weight": 0.0}, "orthogonality_weight has no effect"),
    ],
)
def test_a_bad_setting_is_refused_before_anything_is_built(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        model(**settings)


def test_every_setting_has_a_default_and_only_the_data_are_positional() -> None:
    first, *settings = inspect.signature(CrossModal).parameters.values()
    assert first.name == "spec"
    assert all(one.kind is one.KEYWORD_ONLY and one.default is not one.empty for one in settings)
