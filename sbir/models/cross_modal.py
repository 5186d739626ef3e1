"""Cross-modal domain translation (CMDT): photos have structure and appearance, sketches have structure only."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from sbir.losses.ranking import contrastive, double_margin, euclidean
from sbir.losses.variational import active_units, cosine_overlap, kl_to_standard_normal
from sbir.models.layers import NormOrder, check, decoder, encoder
from sbir.models.method import Method
from sbir.types import Batch, DataSpec, Rows, Sampling, Views

NOISE_SEED = 0  # of the samples of z at retrieval
SAMPLES_AT_ONCE = 16  # decoded together, which bounds memory and changes no figure


class CrossModal(Method):
    """Bi-directional translation between sketch and photo features, retrieval in two views that are fused by lambda.

    E_sk encodes a sketch's structure, E_S a photo's structure, E_A its appearance. A photo is decoded from a sample z
    of its appearance and from the sketch (`decode`: "e" the encoded sketch, "s" its raw feature, "s+e" both), a sketch
    from the photo's structure. Views: `structure` compares E_sk(s) with E_S(p), `photo` the mean of `num_samples`
    photos decoded for the sketch with the gallery feature; lambda = 1 is structure only, 0 generation only.

    Source: J. Li, Z. Ling, L. Niu, L. Zhang, "Bi-directional Domain Translation for Zero-Shot Sketch-Based Image
    Retrieval" (2019, https://arxiv.org/abs/1911.13251) and the authors' code of 24 to 27 October 2019, whose defaults
    these are. Where we differ: noise at retrieval is seeded and the same for all queries (the source draws anew), so
    that a score is a function of the model; `ranking_weight` is 1.0 (0.7 in some of the source's rows, which is not
    recorded).

    Controls: `decoder="deterministic"` has no appearance and no KL; `num_samples=0` decodes z = 0, 1 a single sample.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        latent: int = 1024,
        hidden: int = 2048,
        decode: Literal["e", "s", "s+e"] = "s",
        dropout: float = 0.3,
        deeper: bool = False,
        norm_order: NormOrder = "post",
        ranking: Literal["ranking", "siamese"] = "ranking",
        margin1: float = 0.0,
        margin2: float = 10.0,
        ranking_weight: float = 1.0,
        kl_weight: float = 1.0,
        image_weight: float = 1.0,
        sketch_weight: float = 10.0,
        orthogonality_weight: float = 0.01,
        pairing: Literal["auto", "paired", "unpaired"] = "auto",
        decoder: Literal["variational", "deterministic"] = "variational",
        num_samples: int = 200,
    ) -> None:
        super().__init__()
        check(decode in ("e", "s", "s+e"), f"decode must be e, s or s+e, got {decode!r}")
        check(ranking in ("ranking", "siamese"), f"ranking must be ranking or siamese, got {ranking!r}")
        check(norm_order in ("post", "pre"), f"norm_order must be post or pre, got {norm_order!r}")
        check(pairing in ("auto", "paired", "unpaired"), f"pairing must be auto, paired or unpaired, got {pairing!r}")
        check(
            pairing != "paired" or spec.paired, "pairing must be auto or unpaired on data without pairs, got 'paired'"
        )
        check(0 <= dropout < 1, f"dropout must be in [0, 1), got {dropout}")
        check(latent >= 1 and hidden >= 1, f"latent and hidden must be at least 1, got {latent} and {hidden}")
        check(num_samples >= 0, f"num_samples must be 0 (z = 0) or more, got {num_samples}")
        check(ranking == "ranking" or margin1 == 0, f"margin1 has no effect on the siamese loss, got {margin1}")
        check(
            decoder in ("variational", "deterministic"),
            f"decoder must be variational or deterministic, got {decoder!r}",
        )
        self.decode, self.ranking, self.variational = decode, ranking, decoder == "variational"
        self.margin1, self.margin2, self.num_samples, self.latent = margin1, margin2, num_samples, latent
        self.weights = {
            "ranking": ranking_weight,
            "image": image_weight,
            "sketch": sketch_weight,
            "kl": kl_weight,
            "orthogonality": orthogonality_weight,
        }
        paired = pairing == "paired" or (pairing == "auto" and spec.paired)
        self.sampling = Sampling(("positive", "same_class", "negative"), "paired" if paired else "unpaired")
        sketch, photo = spec.query["feature"][0], spec.gallery["feature"][0]
        self.photo_features = photo
        middle = [hidden, hidden] if deeper else [hidden]
        self.sketch_structure = encoder([sketch, *middle, latent], dropout, norm_order)
        self.photo_structure = encoder([photo, *middle, latent], dropout, norm_order)
        if self.variational:
            self.photo_appearance = encoder([photo, *middle, latent], dropout, norm_order)
            self.mean, self.logvar = nn.Linear(latent, latent), nn.Linear(latent, latent)
        given = latent * (decode != "s") + sketch * (decode != "e")
        self.sketch_decoder = _decoder([latent, *middle, sketch])
        self.photo_decoder = _decoder([latent * self.variational + given, *middle, photo])
        self._kl, self._active = 0.0, 0

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted terms: ranking, image, sketch and, with a variational decoder, kl and orthogonality."""
        sketch, photo = batch.query["feature"], batch.gallery["positive"]["feature"]
        # One forward pass a role, in the source's order: batch norm sees each role as a batch of its own.
        negative = self.photo_structure(batch.gallery["negative"]["feature"])
        same_class = self.photo_structure(batch.gallery["same_class"]["feature"])
        positive = self.photo_structure(photo)
        code = self.sketch_structure(sketch)
        terms = {
            "ranking": self._ranking_loss(
                euclidean(positive, code), euclidean(same_class, code), euclidean(negative, code)
            ),
            "sketch": functional.mse_loss(self.sketch_decoder(positive), sketch),
        }
        given = self._given(sketch, code)
        if self.variational:
            appearance = self.photo_appearance(photo)
            mean, logvar = self.mean(appearance), self.logvar(appearance)
            given = torch.cat([mean + (0.5 * logvar).exp() * torch.randn_like(mean), given], 1)
            terms["kl"] = kl_to_standard_normal(mean, logvar)
            terms["orthogonality"] = cosine_overlap(positive, appearance)
            self._kl, self._active = terms["kl"].item(), active_units(mean)
        terms["image"] = functional.mse_loss(self.photo_decoder(given), photo)
        return {name: self.weights[name] * value for name, value in terms.items()}

    def metrics(self) -> dict[str, float]:
        """KL in nats and active units of the last batch: near 0.01 nats a unit, z carries nothing."""
        return {"kl_nats": self._kl, "active_units": float(self._active)} if self.variational else {}

    def embed_query(self, rows: Rows) -> Views:
        """`structure` (n, latent) and the translated `photo` (n, D)."""
        sketch = rows["feature"]
        code = self.sketch_structure(sketch)
        return {"structure": code, "photo": self._translate(self._given(sketch, code))}

    def embed_gallery(self, rows: Rows) -> Views:
        """`structure` (n, latent) and the feature itself as `photo` (n, D)."""
        return {"structure": self.photo_structure(rows["feature"]), "photo": rows["feature"]}

    def _ranking_loss(self, positive: Tensor, same_class: Tensor, negative: Tensor) -> Tensor:
        if self.ranking == "siamese":
            return contrastive(positive, negative, self.margin2)
        return double_margin(positive, same_class, negative, self.margin1, self.margin2)

    def _given(self, sketch: Tensor, code: Tensor) -> Tensor:
        """What the photo decoder sees beside z."""
        if self.decode == "s+e":
            return torch.cat([code, sketch], 1)
        return code if self.decode == "e" else sketch

    def _translate(self, given: Tensor) -> Tensor:
        """Mean photo over samples of z. The first layer is linear: its part for z and its part for the sketch are
        added."""
        if not self.variational:
            return _apply(self.photo_decoder, given)
        first, rest = self.photo_decoder[0], self.photo_decoder[1:]
        assert isinstance(first, nn.Linear)
        of_sketch = functional.linear(given, first.weight[:, self.latent :], first.bias)
        if not self.num_samples:
            return _apply(rest, of_sketch)
        of_noise = functional.linear(self._noise(given), first.weight[:, : self.latent])
        total = torch.zeros(len(given), self.photo_features, device=given.device)
        for some in torch.split(of_noise, SAMPLES_AT_ONCE):
            total += _apply(rest, of_sketch[:, None] + some).sum(1)  # (n, samples, D)
        return total / self.num_samples

    def _noise(self, like: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(NOISE_SEED)
        return torch.randn(self.num_samples, self.latent, generator=generator).to(like.device)


_decoder = decoder  # the constructor has a setting of this name


def _apply(module: nn.Module, value: Tensor) -> Tensor:
    result: Tensor = module(value)
    return result
