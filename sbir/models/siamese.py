"""Siamese network on features: own photo (or class) near, another class far."""

from typing import Literal

from torch import Tensor

from sbir.losses.ranking import contrastive, energy, euclidean
from sbir.models.settings import PairingSetting, check_choice, check_positive, resolve_pairing
from sbir.models.shared_mlp import SharedMLP
from sbir.types import Batch, DataSpec, Sampling


class Siamese(SharedMLP):
    """One network for both sides, trained on one positive and one negative pair a sketch; retrieval by cosine.

    `loss` "hadsell" is Siamese-1 of the ECCV-18 comparison: squared distances, pushed apart up to the margin (R.
    Hadsell, S. Chopra, Y. LeCun, CVPR 2006). "chopra" is Siamese-2: an energy that falls off exponentially (S. Chopra,
    R. Hadsell, Y. LeCun, CVPR 2005), where `margin` is its constant Q.

    Source: the rows "Siamese-1" of the SJTU ZS-SBIR code (October 2019): frozen features and two linear layers. Its
    learning rate of 5e-5 is in the sweep's rows. Where we differ:

    - Distances of both losses are Euclidean, as in the source. From memory, Chopra 2005 has the L1 norm, and Q is the
      bound of its energy; the source takes the margin for Q (500 in its end-to-end network), so codes are not bounded.
    - Which of the two losses the comparison calls 1 and 2 is inferred from a docstring of the source.
    - The defaults repeat the source's batch norm (see `SharedMLP`), which is probably a mistake: `norm_momentum=0.1`
      and `joint_batch` are the ways out.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        loss: Literal["hadsell", "chopra"] = "hadsell",
        latent: int = 1024,
        hidden: int = 2048,
        dropout: float = 0.5,
        margin: float = 10.0,
        norm_momentum: float = 0.99,
        joint_batch: bool = False,
        pairing: PairingSetting = "auto",
    ) -> None:
        check_choice("loss", loss, ("hadsell", "chopra"))
        check_positive(margin=margin)
        super().__init__(
            spec, latent=latent, hidden=hidden, dropout=dropout, norm_momentum=norm_momentum, joint_batch=joint_batch
        )
        self.pair_loss = contrastive if loss == "hadsell" else energy
        self.margin = margin
        self.sampling = Sampling(("positive", "negative"), resolve_pairing(pairing, spec))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """One term: pairs."""
        sketch, photos = self.codes(batch)
        own, negative = (euclidean(photos[role], sketch) for role in self.sampling.roles)
        return {"pairs": self.pair_loss(own, negative, self.margin)}
