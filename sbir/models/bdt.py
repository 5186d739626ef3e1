"""Bi-directional domain translation (BDT): cross-modal translation whose reconstructions must also pass for real."""

from typing import Literal

import torch
from torch import Tensor

from sbir.losses.adversarial import OBJECTIVES, Objective, fool, judge
from sbir.losses.ranking import linear_contrastive
from sbir.models import layers
from sbir.models.cross_modal import CrossModal
from sbir.models.settings import PairingSetting, check, check_choice, check_positive, check_range, feature_widths
from sbir.types import Batch, DataSpec, Player


class BDT(CrossModal):
    """The networks, views and fusion of `CrossModal`, with un-squared ranking and a discriminator a side.

    Two players: the generator (all of CrossModal) minimises ranking, KL, orthogonality and, for photos and sketches,
    the squared error of the reconstruction plus -log D of it; the discriminators tell features from reconstructions.
    A discriminator whose adversarial weight is 0 is not there.

    Source: J. Li, Z. Ling, L. Niu, L. Zhang, "Bi-Directional Domain Translation for Zero-Shot Sketch-Based Image
    Retrieval" (2019, https://arxiv.org/abs/1911.13251), its tex source where it and the authors' code differ: weights
    (0.5 ranking, 2 image, adversarial and reconstruction alike), -log D(fake), and discriminators of two linear layers
    with batch norm and a LeakyReLU that see one feature. The code has `adversarial="lsgan"` with soft labels, feature
    pairs with noise of 0.3 added, an image weight of 0.5 and a ramp after the warm-up; of these only the loss is a
    setting, and with hard labels. Where we differ from both, or had to choose:

    - The players alternate in every step, not in runs of 100 generator and 50 discriminator steps, and discriminators
      judge the reconstructions that the generator has just made.
    - Every player has Adam; the tex steps discriminators by SGD at 0.01, which says nothing of `discriminator_lr`.
    - What the photo decoder sees, dropout and latent size are not in the tex as we know it: those of CrossModal, whose
      best rows decode from "s". `norm_order` is "pre", as in all the authors' code of November 2019.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        latent: int = 1024,
        hidden: int = 2048,
        decode: Literal["e", "s", "s+e"] = "s",
        dropout: float = 0.3,
        norm_order: layers.NormOrder = "pre",
        margin: float = 10.0,
        ranking_weight: float = 0.5,
        kl_weight: float = 1.0,
        orthogonality_weight: float = 1.0,
        image_weight: float = 2.0,
        sketch_weight: float = 1.0,
        image_adversarial_weight: float = 2.0,
        sketch_adversarial_weight: float = 1.0,
        adversarial: Objective = "bce",
        discriminator_lr: float = 2e-4,
        pairing: PairingSetting = "auto",
        decoder: Literal["variational", "deterministic"] = "variational",
        num_samples: int = 200,
    ) -> None:
        check_choice("adversarial", adversarial, OBJECTIVES)
        check_positive(discriminator_lr=discriminator_lr)
        check_range(0, margin=margin)
        super().__init__(
            spec,
            latent=latent,
            hidden=hidden,
            decode=decode,
            dropout=dropout,
            norm_order=norm_order,
            ranking="siamese",
            margin2=margin,
            ranking_weight=ranking_weight,
            kl_weight=kl_weight,
            orthogonality_weight=orthogonality_weight,
            image_weight=image_weight,
            sketch_weight=sketch_weight,
            pairing=pairing,
            decoder=decoder,
            num_samples=num_samples,
        )
        fooling = {"image": image_adversarial_weight, "sketch": sketch_adversarial_weight}
        check_range(0, **{f"{side}_adversarial_weight": weight for side, weight in fooling.items()})
        check(
            any(fooling.values()), "one adversarial weight must be above 0, got 0 for both; CrossModal has no critics"
        )
        self.fooling = {side: weight for side, weight in fooling.items() if weight}
        self.adversarial, self.discriminator_lr = adversarial, discriminator_lr
        widths = dict(zip(("sketch", "image"), feature_widths(spec), strict=True))
        critics = {side: layers.critic([widths[side], hidden], norm=True) for side in self.fooling}
        self.discriminators = torch.nn.ModuleDict(critics)
        self._made: dict[str, Tensor] = {}

    def players(self) -> list[Player]:
        """The generator first, then the discriminators on what it has just made."""
        judges = list(self.discriminators.parameters())
        others = [parameter for name, parameter in self.named_parameters() if not name.startswith("discriminators.")]
        groups = [{"params": judges, "lr": self.discriminator_lr}]
        return [Player("generator", others, self.loss), Player("discriminators", groups, self.discriminator_loss)]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """CrossModal's weighted terms, and one adversarial term a discriminator."""
        passed = self._pass(batch)
        made = {"image": passed.photo, "sketch": passed.sketch}
        self._made = {side: made[side].detach() for side in self.fooling}
        terms = {name: self.weights[name] * value for name, value in passed.terms.items()}
        for side, weight in self.fooling.items():
            terms[f"{side}_adversarial"] = weight * fool(self.discriminators[side](made[side]), self.adversarial)
        return terms

    def discriminator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """One term a discriminator, on the batch's features and the reconstructions of the last `loss`."""
        real = {"image": batch.gallery["positive"]["feature"], "sketch": batch.query["feature"]}
        terms = {}
        for side, fake in self._made.items():
            see = self.discriminators[side]
            terms[f"{side}_discriminator"] = judge(see(real[side]), see(fake), self.adversarial)
        return terms

    def _ranking_loss(self, distances: dict[str, Tensor]) -> Tensor:
        return linear_contrastive(distances["positive"], distances["negative"], self.margin2)
