"""What Siamese and triplet networks on features have in common: one small network for both sides."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from sbir.models import layers
from sbir.models.method import Method
from sbir.models.settings import check, check_dropout, check_range, common_width
from sbir.types import Batch, DataSpec, Role, Rows, Views

NORM_EPS = 1e-3  # Keras's default, which the source carried over


class SharedMLP(Method):
    """Embeds sketches and photos by one network: Linear D -> hidden, ReLU, batch norm, dropout, Linear -> latent.

    Training passes the sketches first, then the roles in their order, each as a batch of its own for batch norm;
    `joint_batch` passes them all at once. At retrieval batch norm uses its running statistics, to which the last batch
    contributed `norm_momentum`: at the source's 0.99 (Keras's momentum, which means the opposite in torch) one pass a
    role leaves the statistics of a single batch of negative photos, which then serve the sketches too.
    """

    capturable = True

    def __init__(
        self, spec: DataSpec, *, latent: int, hidden: int, dropout: float, norm_momentum: float, joint_batch: bool
    ) -> None:
        super().__init__()
        check_dropout(dropout)
        check(0 < norm_momentum <= 1, f"norm_momentum must be above 0 and at most 1, got {norm_momentum}")
        check_range(1, latent=latent, hidden=hidden)
        self.joint_batch = joint_batch
        body = layers.encoder([common_width(spec), hidden], dropout=0.0, norm_eps=NORM_EPS, norm_momentum=norm_momentum)
        self.net = nn.Sequential(*body, nn.Dropout(dropout), nn.Linear(hidden, latent))

    @abstractmethod
    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """What the codes of a batch are asked for."""

    def codes(self, batch: Batch) -> tuple[Tensor, dict[Role, Tensor]]:
        """Codes of the sketches, (B, latent), and of every role's photos."""
        roles = self.sampling.roles
        parts = [batch.query["feature"], *(batch.gallery[role]["feature"] for role in roles)]
        if self.joint_batch:
            sketch, *photos = self.net(torch.cat(parts)).chunk(len(parts))
        else:
            sketch, *photos = [self.net(part) for part in parts]
        return sketch, dict(zip(roles, photos, strict=True))

    def embed_query(self, rows: Rows) -> Views:
        """`code` (n, latent)."""
        return {"code": self.net(rows["feature"])}

    def embed_gallery(self, rows: Rows) -> Views:
        """`code` (n, latent), by the same network."""
        return {"code": self.net(rows["feature"])}
