"""Triplet network on features, between classes ("coarse") or down to the single photo ("fine")."""

from typing import Literal

from torch import Tensor
from torch.nn import functional

from sbir.losses.ranking import euclidean, triplet
from sbir.models.settings import check, check_choice, check_positive, check_range, check_unused
from sbir.models.shared_mlp import SharedMLP
from sbir.types import Batch, DataSpec, Distance, Role, Sampling


class Triplet(SharedMLP):
    """One network for both sides: max(0, margin + d(sketch, positive) - d(sketch, negative)), d used at retrieval too.

    `kind` "coarse": the positive is any photo of the sketch's class, the negative one of another class. "fine": the
    positive is the sketch's own photo, the negative any other photo, of its class too; needs data with pairs.

    Source: both rows of the comparison in S. K. Yelamarthi et al. (ECCV 2018, https://arxiv.org/abs/1807.11724), of
    which distance and margin are not known to us and no code was released. Inferred, or where we differ:

    - The network is that of the SJTU ZS-SBIR code's Siamese rows instead of a VGG-16 trained end to end, with torch's
      own batch norm momentum.
    - `margin` 1 is a common choice, not the source's; it is in units of `distance`, and cosine distance ends at 2.
    - A "fine" negative shows the class with probability `instance_share`. Both kinds of negatives are drawn for every
      sketch and their losses averaged with these weights, which is the expectation of drawing one of them. A uniform
      draw among all photos would show the class once in as many times as there are classes, which is next to coarse.
      Data of one class, such as shoes alone, have no other negatives: `instance_share` 1 asks for none.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        kind: Literal["coarse", "fine"] = "coarse",
        distance: Distance = "euclidean",
        margin: float = 1.0,
        instance_share: float = 0.5,
        latent: int = 1024,
        hidden: int = 2048,
        dropout: float = 0.5,
        norm_momentum: float = 0.1,
        joint_batch: bool = False,
    ) -> None:
        check_choice("kind", kind, ("coarse", "fine"))
        check_choice("distance", distance, ("euclidean", "cosine"))
        check_positive(margin=margin)
        rule = f"margin must be at most 2 with distance='cosine', which ends there, got {margin}"
        check(distance == "euclidean" or margin <= 2, rule)
        check_range(0, 1, instance_share=instance_share)
        if kind == "coarse":
            check_unused(Triplet, "kind='coarse'", instance_share=instance_share)
        else:
            check(spec.paired, "kind must be coarse on data without pairs, got 'fine', whose positive is the own photo")
        super().__init__(
            spec, latent=latent, hidden=hidden, dropout=dropout, norm_momentum=norm_momentum, joint_batch=joint_batch
        )
        self.distance, self.margin = distance, margin
        self.shares: dict[Role, float] = {"negative": 1.0}
        if kind == "fine":
            shares: dict[Role, float] = {"other_instance": instance_share, "negative": 1 - instance_share}
            self.shares = {role: share for role, share in shares.items() if share}
        self.sampling = Sampling(("positive", *self.shares), "paired" if kind == "fine" else "unpaired")

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """One term a kind of negative, weighted: negative and, with kind "fine", other_instance."""
        sketch, photos = self.codes(batch)
        far = {role: self._distance(code, sketch) for role, code in photos.items()}
        return {role: share * triplet(far["positive"], far[role], self.margin) for role, share in self.shares.items()}

    def _distance(self, first: Tensor, second: Tensor) -> Tensor:
        if self.distance == "euclidean":
            return euclidean(first, second)
        return 1 - functional.cosine_similarity(first, second)
