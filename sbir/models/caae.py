"""Conditional adversarial auto-encoder (CAAE): as the CVAE, with a critic of codes in place of the KL divergence."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from sbir.losses.adversarial import fool, judge
from sbir.models import layers
from sbir.models.cvae import NORM_EPS
from sbir.models.method import Method
from sbir.models.settings import (
    PairingSetting,
    check,
    check_decodable,
    check_dropout,
    check_range,
    feature_widths,
    resolve_pairing,
)
from sbir.types import Batch, DataSpec, Player, Rows, Sampling, Views


class CAAE(Method):
    """Decodes photos from the sketch's feature and a code z, which a critic cannot tell from draws of N(0, I).

    Two players: the auto-encoder (encoder of (sketch, photo), photo decoder, sketch decoder), which also fools the
    critic, and the critic. View `photo` (n, D) as the CVAE has it: the mean of `num_samples` photos decoded from noise
    (0: from z = 0), against the gallery's feature. Features must be non-negative, since decoders end in a ReLU.

    Source: named in S. K. Yelamarthi et al. (ECCV 2018, https://arxiv.org/abs/1807.11724), from memory, after A.
    Makhzani et al., "Adversarial Autoencoders" (https://arxiv.org/abs/1511.05644); no code was released. Inferred: all
    sizes (those of the ECCV code's CVAE, with one linear head, since codes behind a tanh could never look normal), the
    critic latent -> latent -> latent / 2 -> 1 with LeakyReLUs, mean squared reconstructions and all weights. Where we
    differ: the source steps on reconstruction, critic and fooling in turn; here the first and the last are one step,
    and the critic then judges the codes of that step. Noise at retrieval is seeded and the same for all queries.
    """

    capturable = True

    def __init__(
        self,
        spec: DataSpec,
        *,
        latent: int = 1024,
        hidden: int = 2048,
        dropout: float = 0.3,
        image_weight: float = 1.0,
        sketch_weight: float = 10.0,
        adversarial_weight: float = 1.0,
        pairing: PairingSetting = "auto",
        num_samples: int = 200,
    ) -> None:
        super().__init__()
        check_decodable(spec)
        check_dropout(dropout)
        check_range(2, latent=latent)
        check_range(1, hidden=hidden)
        check_range(0, num_samples=num_samples)
        self.weights = {"image": image_weight, "adversarial": adversarial_weight, "sketch": sketch_weight}
        check_range(0, image_weight=image_weight, sketch_weight=sketch_weight)
        low = (
            f"adversarial_weight must be above 0, got {adversarial_weight}; a code that nothing shapes cannot be drawn"
        )
        check(adversarial_weight > 0, low)
        self.latent, self.num_samples = latent, num_samples
        self.sampling = Sampling(("positive",), resolve_pairing(pairing, spec))
        sketch, photo = feature_widths(spec)
        body = layers.encoder([sketch + photo, 2 * hidden, hidden], dropout=dropout, norm_eps=NORM_EPS)
        self.encoder = nn.Sequential(*body, nn.Linear(hidden, latent))
        self.photo_decoder = layers.decoder([latent + sketch, hidden, photo])
        self.critic = layers.critic([latent, latent, latent // 2])
        if sketch_weight:
            self.sketch_decoder = layers.decoder([photo, hidden, sketch])
        self._code: Tensor | None = None
        self._last: dict[str, Tensor] = {}

    def players(self) -> list[Player]:
        """The auto-encoder first, then the critic on the codes that it has just made."""
        critic = list(self.critic.parameters())
        others = [parameter for name, parameter in self.named_parameters() if not name.startswith("critic.")]
        return [Player("autoencoder", others, self.loss), Player("critic", critic, self.critic_loss)]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted terms of the auto-encoder: image, adversarial, and sketch where it has a weight."""
        sketch, photo = batch.query["feature"], batch.gallery["positive"]["feature"]
        code = self.encoder(torch.cat([sketch, photo], 1))  # B, latent
        self._code = code.detach()
        decoded = self.photo_decoder(torch.cat([code, sketch], 1))
        terms = {"image": functional.mse_loss(decoded, photo), "adversarial": fool(self.critic(code))}
        if self.weights["sketch"]:
            terms["sketch"] = functional.mse_loss(self.sketch_decoder(decoded), sketch)
        return {name: self.weights[name] * value for name, value in terms.items()}

    def critic_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The critic's term, on draws of N(0, I) and the codes of the last `loss`."""
        assert self._code is not None, "the auto-encoder plays first"
        real, fake = self.critic(torch.randn_like(self._code)), self.critic(self._code)
        self._last = {"critic_accuracy": torch.cat([real > 0, fake < 0]).float().mean()}
        return {"critic": judge(real, fake)}

    def metrics(self) -> dict[str, float]:
        """How often the critic was right on the last batch: 0.5 where codes look normal."""
        return {name: float(value) for name, value in self._last.items()}

    def embed_query(self, rows: Rows) -> Views:
        """The translated `photo` (n, D)."""
        noise = layers.seeded_noise(self.num_samples, self.latent, rows["feature"])
        return {"photo": layers.mean_decoded(self.photo_decoder, noise, rows["feature"])}

    def embed_gallery(self, rows: Rows) -> Views:
        """The feature itself as `photo` (n, D)."""
        return {"photo": rows["feature"]}
