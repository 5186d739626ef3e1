"""SketchMate: sketches retrieve sketches by binary codes of their pixels and their strokes."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from sbir.losses.hashing import centre, class_means, middle, quantisation, raster_entropy
from sbir.models.drawings import PixelBranch, StrokeBranch, check_drawings, ink
from sbir.models.method import Method
from sbir.models.settings import check, check_choice, check_dropout, check_positive, check_range, check_unused
from sbir.types import Batch, DataSpec, Player, Rows, Stage, Views


class SketchMate(Method):
    """A CNN on pixels and a bidirectional GRU on pen points, fused late into a code behind a sigmoid.

    Trained in four stages: each branch as a classifier of its own, then both with the fusion layer as a classifier of
    the soft code, then that plus quantisation and sketch-centre loss, against class centres that are the mean soft
    codes at the end of the third stage. Drawings of unusual entropy are left out of the centres. View `code` (n, K):
    signs for Hamming ranking, or with `code="real"` the soft code itself by Euclidean distance.

    Source: P. Xu et al., "SketchMate: Deep Hashing for Million-Scale Human Sketch Retrieval" (CVPR 2018,
    https://arxiv.org/abs/1804.01401); no code was released. From the paper: branches, late fusion, sigmoid, the three
    losses, noise removal by entropy per class (the middle 90 %), fixed centres and the order of the stages. Not to be
    verified, and so our defaults: the sizes of the branches (the paper has a network of AlexNet's kind on 224 pixels;
    ours is one for drawings of the store's size, see `PixelBranch`), loss weights (those of an independent
    re-implementation, of low confidence), the stages' shares and learning rates, entropy as that of the grey levels'
    histogram, and squared distances as sums over bits.
    """

    query_columns = gallery_columns = ("image", "strokes", "num_points")
    gallery_domain = "sketch"
    centres: Tensor

    def __init__(
        self,
        spec: DataSpec,
        *,
        bits: int = 32,
        branches: Literal["both", "cnn", "rnn"] = "both",
        width: int = 64,
        cnn_features: int = 1024,
        hidden: int = 512,
        rnn_layers: int = 2,
        dropout: float = 0.5,
        centre_weight: float = 0.01,
        quantisation_weight: float = 1e-4,
        kept: float = 0.9,
        cnn_lr: float = 1.0,
        rnn_lr: float = 1.0,
        fusion_lr: float = 1.0,
        hashing_lr: float = 0.1,
        code: Literal["binary", "real"] = "binary",
    ) -> None:
        super().__init__()
        check_choice("branches", branches, ("both", "cnn", "rnn"))
        check_choice("code", code, ("binary", "real"))
        check_dropout(dropout)
        check_range(1, 1024, bits=bits)
        check_range(1, width=width, cnn_features=cnn_features, hidden=hidden, rnn_layers=rnn_layers)
        check_range(0, centre_weight=centre_weight, quantisation_weight=quantisation_weight)
        check(0 < kept <= 1, f"kept must be above 0 and at most 1, got {kept}; 1 removes no noise")
        check_positive(cnn_lr=cnn_lr, rnn_lr=rnn_lr, fusion_lr=fusion_lr, hashing_lr=hashing_lr)
        if not centre_weight:
            check_unused(SketchMate, "centre_weight 0", kept=kept)
        check_drawings(spec.query["image"], spec.query["strokes"] if branches != "cnn" else None)
        self.kept, self.code = kept, code
        self.centre_weight, self.quantisation_weight = centre_weight, quantisation_weight
        self.rates = {"cnn": cnn_lr, "rnn": rnn_lr, "fusion": fusion_lr, "hashing": hashing_lr}
        self.distance = "hamming" if code == "binary" else "euclidean"
        sizes = {"cnn": cnn_features, "rnn": 2 * hidden}
        names = ("cnn", "rnn") if branches == "both" else (branches,)
        if "cnn" in names:
            self.cnn = PixelBranch(width, cnn_features, dropout)
        if "rnn" in names:
            self.rnn = StrokeBranch(hidden, rnn_layers, dropout)
        self.heads = nn.ModuleDict({name: nn.Linear(sizes[name], spec.num_classes) for name in names})
        self.fusion = nn.Linear(sum(sizes[name] for name in names), bits)
        self.classifier = nn.Linear(bits, spec.num_classes)
        self.register_buffer("centres", torch.zeros(spec.num_classes, bits))

    @property
    def given(self) -> str:
        """Labels alone."""
        return "class labels"

    def players(self) -> list[Player]:
        """Who plays in the last stage: all but the heads of the single branches."""
        return [Player("hashing", self._fused(), self.loss)]

    def stages(self) -> list[Stage]:
        """One for each branch, one for their fusion, one for the code; a branch that is not there leaves its steps to
        the other."""
        shares = {"cnn": 0.15, "rnn": 0.35} if len(self.heads) == 2 else dict.fromkeys(self.heads, 0.5)
        alone = [Stage(name, share, [self._alone(name)], self.rates[name]) for name, share in shares.items()]
        fused = [Player("fusion", self._fused(), self._fusion_loss)]
        return [
            *alone,
            Stage("fusion", 0.3, fused, self.rates["fusion"]),
            Stage("hashing", 0.2, self.players(), self.rates["hashing"], self._fix_centres),
        ]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Terms of the last stage: classes, and centre and quantisation where they have a weight."""
        soft = self.soft_code(batch.query)  # B, K
        terms = {"classes": functional.cross_entropy(self.classifier(soft), batch.labels)}
        if self.quantisation_weight:
            terms["quantisation"] = self.quantisation_weight * quantisation(soft)
        if self.centre_weight:
            terms["centre"] = self.centre_weight * centre(soft, batch.labels, self.centres)
        return terms

    def soft_code(self, rows: Rows) -> Tensor:
        """Outputs of the sigmoid, (n, K) in (0, 1)."""
        seen = torch.cat([self._branch(name, rows) for name in self.heads], 1)
        return torch.sigmoid(self.fusion(seen))

    def embed_query(self, rows: Rows) -> Views:
        """The `code` (n, K): signs, or the soft code."""
        soft = self.soft_code(rows)
        return {"code": torch.where(soft >= 0.5, 1.0, -1.0) if self.code == "binary" else soft}

    def embed_gallery(self, rows: Rows) -> Views:
        """As the query: both sides are sketches."""
        return self.embed_query(rows)

    def _branch(self, name: str, rows: Rows) -> Tensor:
        found: Tensor = self.cnn(ink(rows)) if name == "cnn" else self.rnn(rows["strokes"], rows["num_points"])
        return found

    def _alone(self, name: str) -> Player:
        def loss(batch: Batch) -> dict[str, Tensor]:
            scores = self.heads[name](self._branch(name, batch.query))
            return {f"{name}_classes": functional.cross_entropy(scores, batch.labels)}

        return Player(name, [*getattr(self, name).parameters(), *self.heads[name].parameters()], loss)

    def _fused(self) -> list[nn.Parameter]:
        return [parameter for name, parameter in self.named_parameters() if not name.startswith("heads.")]

    def _fusion_loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"fusion_classes": functional.cross_entropy(self.classifier(self.soft_code(batch.query)), batch.labels)}

    @torch.no_grad()
    def _fix_centres(self, train: Iterator[tuple[Rows, Tensor]]) -> None:
        """Mean soft code of each class, over its drawings of usual entropy."""
        self.eval()
        found = [(self.soft_code(rows), raster_entropy(rows["image"][..., 0]), labels) for rows, labels in train]
        soft, entropy, labels = (torch.cat(part) for part in zip(*found, strict=True))
        kept = middle(entropy, labels, self.kept)
        self.centres.copy_(class_means(soft[kept], labels[kept], len(self.centres)))
