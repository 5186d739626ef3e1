"""Cross-modal domain translation (CMDT): photos have structure and appearance, sketches have structure only."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from sbir.losses.ranking import contrastive, double_margin, euclidean
from sbir.losses.variational import cosine_overlap, kl_to_standard_normal, num_active_units
from sbir.models import layers
from sbir.models.method import Method
from sbir.models.settings import (
    PairingSetting,
    check_choice,
    check_decodable,
    check_dropout,
    check_range,
    check_unused,
    feature_widths,
    resolve_pairing,
)
from sbir.types import Batch, DataSpec, Role, Rows, Sampling, Views

ROLES: tuple[Role, ...] = ("negative", "same_class", "positive")  # the source's order of forward passes


class Pass(NamedTuple):
    """What a batch gives in training: terms without their weights, and both reconstructions."""

    terms: dict[str, Tensor]
    sketch: Tensor  # (B, D)
    photo: Tensor  # (B, D)


class CrossModal(Method):
    """Bi-directional translation between sketch and photo features, retrieval in two views that are fused by lambda.

    E_sk encodes a sketch's structure, E_S a photo's structure, E_A its appearance. A photo is decoded from a sample z
    of its appearance and from the sketch (`decode`: "e" the encoded sketch, "s" its raw feature, "s+e" both), a sketch
    from the photo's structure. Views: `structure` (n, latent) compares E_sk(s) with E_S(p); `photo` (n, D) compares the
    mean of `num_samples` photos decoded for the sketch with the gallery feature itself. lambda = 1 is structure only, 0
    generation only. `deeper` adds a hidden layer to every encoder and decoder; margins are in units of the structure
    code, whose distances grow with sqrt(latent). Features must be non-negative, since decoders end in a ReLU.

    Source: J. Li, Z. Ling, L. Niu, L. Zhang, "Bi-Directional Domain Translation for Zero-Shot Sketch-Based Image
    Retrieval" (2019, https://arxiv.org/abs/1911.13251), and the authors' public code of 24 to 27 October 2019, whose
    values the defaults are. Where we differ:

    - Noise at retrieval is seeded and the same for all queries; the source draws anew for each.
    - `ranking_weight` is 1.0; the code of some of the source's rows had 0.7, and which is not recorded.
    - `ranking="siamese"` leaves the same-class photo out, for which that loss has no use.
    - `norm_order="pre"` (1 November) also put a ReLU on all inputs: nothing on features that come from a ReLU.
    - On data without pairs the "own" photo is a random one of the class, so margin1 then orders two random photos.

    Controls: `decoder="deterministic"` has neither appearance nor KL, and its num_samples is not read; `num_samples=0`
    decodes z = 0, and 1 a single sample. Weights trained with one num_samples serve any other.
    """

    capturable = True

    def __init__(
        self,
        spec: DataSpec,
        *,
        latent: int = 1024,
        hidden: int = 2048,
        decode: Literal["e", "s", "s+e"] = "s",
        dropout: float = 0.3,
        deeper: bool = False,
        norm_order: layers.NormOrder = "post",
        ranking: Literal["ranking", "siamese"] = "ranking",
        margin1: float = 0.0,
        margin2: float = 10.0,
        ranking_weight: float = 1.0,
        kl_weight: float = 1.0,
        image_weight: float = 1.0,
        sketch_weight: float = 10.0,
        orthogonality_weight: float = 0.01,
        pairing: PairingSetting = "auto",
        decoder: Literal["variational", "deterministic"] = "variational",
        num_samples: int = 200,
    ) -> None:
        super().__init__()
        check_decodable(spec)
        check_choice("decode", decode, ("e", "s", "s+e"))
        check_choice("norm_order", norm_order, ("post", "pre"))
        check_choice("ranking", ranking, ("ranking", "siamese"))
        check_choice("decoder", decoder, ("variational", "deterministic"))
        check_dropout(dropout)
        check_range(1, latent=latent, hidden=hidden)
        check_range(0, margin1=margin1, margin2=margin2, num_samples=num_samples)
        self.weights = {"ranking": ranking_weight, "image": image_weight, "sketch": sketch_weight}
        self.variational = decoder == "variational"
        if self.variational:
            self.weights |= {"kl": kl_weight, "orthogonality": orthogonality_weight}
        else:
            given = {"kl_weight": kl_weight, "orthogonality_weight": orthogonality_weight}
            check_unused(type(self), "decoder='deterministic'", **given)
        check_range(0, **{f"{name}_weight": weight for name, weight in self.weights.items()})
        if ranking == "siamese":
            check_unused(CrossModal, "ranking='siamese'", margin1=margin1)
        self.decode, self.ranking, self.margin1, self.margin2 = decode, ranking, margin1, margin2
        self.latent, self.num_samples = latent, num_samples
        roles = ROLES if ranking == "ranking" else tuple(role for role in ROLES if role != "same_class")
        self.sampling = Sampling(roles, resolve_pairing(pairing, spec))
        self._build(feature_widths(spec), [hidden, hidden] if deeper else [hidden], dropout, norm_order)

    def _build(self, widths: tuple[int, int], hidden: list[int], dropout: float, norm_order: layers.NormOrder) -> None:
        sketch, photo = widths
        latent = self.latent

        def encoder(width: int) -> nn.Sequential:
            return layers.encoder([width, *hidden, latent], dropout=dropout, norm_order=norm_order)

        self.sketch_structure, self.photo_structure = encoder(sketch), encoder(photo)  # E_sk, E_S
        if self.variational:
            self.photo_appearance = encoder(photo)  # E_A
            self.mean, self.logvar = nn.Linear(latent, latent), nn.Linear(latent, latent)
        given = {"e": latent, "s": sketch, "s+e": latent + sketch}[self.decode]
        self.sketch_decoder = layers.decoder([latent, *hidden, sketch])
        self.photo_decoder = layers.decoder([latent * self.variational + given, *hidden, photo])
        self._last: dict[str, Tensor] = {}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted terms: ranking, image, sketch and, with a variational decoder, kl and orthogonality."""
        return {name: self.weights[name] * value for name, value in self._pass(batch).terms.items()}

    def _pass(self, batch: Batch) -> Pass:
        sketch, photo = batch.query["feature"], batch.gallery["positive"]["feature"]
        # One forward pass a role, in the order of ROLES: batch norm sees each role as a batch of its own.
        structure = {role: self.photo_structure(batch.gallery[role]["feature"]) for role in self.sampling.roles}
        code = self.sketch_structure(sketch)
        decoded_sketch = self.sketch_decoder(structure["positive"])
        terms = {
            "ranking": self._ranking_loss({role: euclidean(photos, code) for role, photos in structure.items()}),
            "sketch": functional.mse_loss(decoded_sketch, sketch),
        }
        given = self._given(sketch, code)
        if self.variational:
            appearance = self.photo_appearance(photo)
            mean, logvar = self.mean(appearance), self.logvar(appearance)
            given = torch.cat([layers.sample(mean, logvar, torch.randn_like(mean)), given], 1)  # B, latent + given
            terms["kl"] = kl_to_standard_normal(mean, logvar)
            terms["orthogonality"] = cosine_overlap(structure["positive"], appearance)
            self._last = {"kl_nats": terms["kl"].detach(), "active_units": num_active_units(mean.detach())}
        decoded_photo = self.photo_decoder(given)
        terms["image"] = functional.mse_loss(decoded_photo, photo)
        return Pass(terms, decoded_sketch, decoded_photo)

    def metrics(self) -> dict[str, float]:
        """KL in nats and active units of the last batch: below about 0.01 nats a unit, z carries nothing."""
        return {name: float(value) for name, value in self._last.items()}

    def embed_query(self, rows: Rows) -> Views:
        """`structure` (n, latent) and the translated `photo` (n, D)."""
        sketch = rows["feature"]
        code = self.sketch_structure(sketch)
        return {"structure": code, "photo": self._translate(self._given(sketch, code))}

    def embed_gallery(self, rows: Rows) -> Views:
        """`structure` (n, latent) and the feature itself as `photo` (n, D)."""
        return {"structure": self.photo_structure(rows["feature"]), "photo": rows["feature"]}

    def _ranking_loss(self, distances: dict[str, Tensor]) -> Tensor:
        own, negative = distances["positive"], distances["negative"]
        if self.ranking == "siamese":
            return contrastive(own, negative, self.margin2)
        return double_margin(own, distances["same_class"], negative, self.margin1, self.margin2)

    def _given(self, sketch: Tensor, code: Tensor) -> Tensor:
        """What the photo decoder sees beside z."""
        if self.decode == "s+e":
            return torch.cat([code, sketch], 1)
        return code if self.decode == "e" else sketch

    def _translate(self, given: Tensor) -> Tensor:
        if not self.variational:
            photo: Tensor = self.photo_decoder(given)
            return photo
        return layers.mean_decoded(self.photo_decoder, layers.seeded_noise(self.num_samples, self.latent, given), given)
