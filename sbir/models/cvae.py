"""Conditional variational auto-encoder (CVAE): a photo's feature out of a sketch's feature and noise."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from sbir.losses.variational import kl_to_standard_normal, num_active_units
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
from sbir.types import Batch, DataSpec, Rows, Sampling, Views

NORM_EPS = 1e-3  # Keras's default, which both sources have


class CVAE(Method):
    """Decodes photos from the sketch's feature and z; the encoder of (sketch, photo) -> z serves training alone.

    A second decoder predicts the sketch from the decoded photo (`sketch_weight` 0: "no sketch recon" leaves it out).
    View `photo` (n, D): the mean of `num_samples` photos decoded for the sketch, against the gallery's feature itself.
    Reconstructions are means over the feature's entries, KL a sum over the latent units. Features must be non-negative,
    since decoders end in a ReLU.

    Source: S. K. Yelamarthi, S. K. Reddy, A. Mishra, A. Mittal, "A Zero-Shot Framework for Sketch Based Image
    Retrieval" (ECCV 2018, https://arxiv.org/abs/1807.11724). `form` "sjtu" is its re-implementation in the SJTU ZS-SBIR
    code (October 2019), whose values the defaults are: encoder hidden -> latent, tanh on both heads ("Tanh in Variance
    Sample") or on neither, noise of its own for every row. "eccv18" is the authors' public code: encoder 2 · hidden ->
    hidden, whose heads have tanh too, one noise vector shared by the batch; it was trained at batch size 128 without
    warm-up and retrieved with 100 samples. Where we differ:

    - Noise at retrieval is seeded and the same for all queries; the sources draw anew for each.
    - `pairing` "paired" is the sketch's own photo; SJTU matched file names by substring, so some pairs were wrong.
    - `dropout` is 0.3 as in the ECCV code; SJTU's scripts had 0.3 and 0.5, and which row had which is not recorded.
    - The sources' batch norm momentum is no setting: running statistics are never read, the encoder only trains.

    Controls: `decoder="deterministic"` decodes the sketch alone, without encoder, z and KL, and its num_samples is not
    read; `num_samples=0` decodes z = 0, and 1 a single sample. Weights trained with one num_samples serve any other.
    """

    capturable = True

    def __init__(
        self,
        spec: DataSpec,
        *,
        form: Literal["sjtu", "eccv18"] = "sjtu",
        latent: int = 1024,
        hidden: int = 2048,
        tanh: bool = True,
        dropout: float = 0.3,
        image_weight: float = 1.0,
        kl_weight: float = 1.0,
        sketch_weight: float = 10.0,
        pairing: PairingSetting = "auto",
        decoder: Literal["variational", "deterministic"] = "variational",
        num_samples: int = 200,
    ) -> None:
        super().__init__()
        check_decodable(spec)
        check_choice("form", form, ("sjtu", "eccv18"))
        check_choice("decoder", decoder, ("variational", "deterministic"))
        check_dropout(dropout)
        check_range(1, latent=latent, hidden=hidden)
        check_range(0, num_samples=num_samples)
        self.variational = decoder == "variational"
        self.weights = {"image": image_weight, "kl": kl_weight, "sketch": sketch_weight}
        check_range(0, **{f"{name}_weight": weight for name, weight in self.weights.items()})
        if not self.variational:
            unread = {"form": form, "latent": latent, "tanh": tanh, "dropout": dropout, "kl_weight": kl_weight}
            check_unused(CVAE, "decoder='deterministic'", **unread)
        self.latent, self.num_samples, self.shared_noise = latent, num_samples, form == "eccv18"
        self.sampling = Sampling(("positive",), resolve_pairing(pairing, spec))
        sketch, photo = feature_widths(spec)
        if self.variational:
            sizes = [hidden, latent] if form == "sjtu" else [2 * hidden, hidden]
            self.encoder = layers.encoder([sketch + photo, *sizes], dropout=dropout, norm_eps=NORM_EPS)
            self.mean, self.logvar = _head(sizes[-1], latent, tanh), _head(sizes[-1], latent, tanh)
        self.photo_decoder = layers.decoder([latent * self.variational + sketch, hidden, photo])
        if sketch_weight:
            self.sketch_decoder = layers.decoder([photo, hidden, sketch])
        self._last: dict[str, Tensor] = {}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted terms: image, kl with a variational decoder, and sketch where it has a weight."""
        sketch, photo = batch.query["feature"], batch.gallery["positive"]["feature"]
        terms, given = {}, sketch
        if self.variational:
            code = self.encoder(torch.cat([sketch, photo], 1))
            mean, logvar = self.mean(code), self.logvar(code)
            noise = torch.randn_like(mean[:1] if self.shared_noise else mean)
            given = torch.cat([layers.sample(mean, logvar, noise), sketch], 1)  # B, latent + D
            terms["kl"] = kl_to_standard_normal(mean, logvar)
            self._last = {"kl_nats": terms["kl"].detach(), "active_units": num_active_units(mean.detach())}
        decoded = self.photo_decoder(given)
        terms["image"] = functional.mse_loss(decoded, photo)
        if self.weights["sketch"]:
            terms["sketch"] = functional.mse_loss(self.sketch_decoder(decoded), sketch)
        return {name: self.weights[name] * value for name, value in terms.items()}

    def metrics(self) -> dict[str, float]:
        """KL in nats and active units of the last batch: below about 0.01 nats a unit, z carries nothing."""
        return {name: float(value) for name, value in self._last.items()}

    def embed_query(self, rows: Rows) -> Views:
        """The translated `photo` (n, D)."""
        sketch = rows["feature"]
        if not self.variational:
            return {"photo": self.photo_decoder(sketch)}
        noise = layers.seeded_noise(self.num_samples, self.latent, sketch)
        return {"photo": layers.mean_decoded(self.photo_decoder, noise, sketch)}

    def embed_gallery(self, rows: Rows) -> Views:
        """The feature itself as `photo` (n, D)."""
        return {"photo": rows["feature"]}


def _head(width: int, latent: int, tanh: bool) -> nn.Module:
    linear = nn.Linear(width, latent)
    return nn.Sequential(linear, nn.Tanh()) if tanh else linear
