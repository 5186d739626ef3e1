"""Generative domain-migration hashing: a sketch is migrated to a photo, and one network gives both their codes."""

from collections.abc import Iterator
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from sbir.losses.label_codes import (
    code_error,
    discrete_objective,
    instance_triplet,
    label_projection,
    nearest_codes,
    other_instance,
)
from sbir.models.cycle_gan import CycleGAN, augmented
from sbir.models.image_networks import ImageNetwork, OwnNorms, check_images, check_weights, signed
from sbir.models.method import Method
from sbir.models.migration import Norm
from sbir.models.settings import (
    PairingSetting,
    check,
    check_choice,
    check_positive,
    check_range,
    check_unused,
    resolve_pairing,
)
from sbir.types import Batch, DataSpec, Player, Rows, Sampling, Stage, TrainRows, Views

Level = Literal["auto", "category", "fine"]


class DomainMigrationHashing(Method):
    """GDH: a CycleGAN between sketches and photos, and a hash network H on photos and migrated sketches.

    Four players: both generators (fool the critics, come back after a cycle), a critic a side, and H, which is to give
    the codes B that the labels prescribe, the same ones for a photo and its migrated sketch, and with pairs a triplet
    term between instances (`level` "fine"). B and the projection of labels D are solved in closed form: at the begin of
    every pass over the training rows B = sign(Y D + w H) and D by ridge, w the `quantisation_weight`; in between, each
    batch takes the B-step with H as it is. So D, (C, K), is all the state that there is, and no code need be kept.
    `schedule` "joint" steps all players at once, as the source does for categories and Sketchy; "staged" trains the
    migration first, for the part `migrating` of the steps (200 of its 500 passes), and then H on what it makes, as it
    does for shoes and chairs, and at a fraction of the cost.
    `migration=False` is H on sketches and photos as they are. View `code` (n, K): signs for Hamming ranking, or with
    `code="real"` the outputs of H by Euclidean distance.

    Source: J. Zhang, F. Shen, L. Liu, F. Zhu, M. Yu, L. Shao, H. T. Shen, L. Van Gool, "Generative Domain-Migration
    Hashing for Sketch-to-Image Retrieval" (ECCV 2018), and its code (YCJGG/GDH): generator width 32 with 9 blocks,
    critic width 64, LSGAN, cycle weight 10, pool of 50, a ResNet-18 whose last layer gives the bits, weights 1e-5,
    margin 20, a tenth of the learning rate for the last sixth of the training. The code as it is released cannot be
    run as the method (gallery codes are those of the sketches; targets or the triplet are dropped); the equations are
    followed. Where we differ, or had to choose:

    - The source takes the B-step once a pass, for all rows, and D first. With w = 1e-5 both come to the same: D starts
      as random signs, and the code of a class stays what its first one was, unless H outgrows it 100 000 times.
    - Its H reads 2048 inputs, which is what an old torchvision's pooling left of 256 pixels; ours has the usual 512.
    - Its generators never see H. `joint_weight` adds H's terms to their loss; 0 is the source.
    - H sees photos and migrated sketches as two batches, as the source does, but its batch norms remember them apart:
      the source's remember both together, so evaluation normalises neither as training did. `joint_batch` normalises
      them as one.
    - The triplet's weight is 1 in the supplement and 0.1 in a script that then drops it. Its other instance is drawn
      among those of the batch that show another thing; the source may take the same photo's second sketch.
    - Adam begins anew where the learning rate falls, and the critics have one output a patch, not one a bit.
    """

    query_columns = gallery_columns = ("image",)
    fit_columns = ()
    projection: Tensor

    def __init__(
        self,
        spec: DataSpec,
        *,
        bits: int = 64,
        level: Level = "auto",
        schedule: Literal["joint", "staged"] = "joint",
        migrating: float = 0.4,
        migration: bool = True,
        generator_width: int = 32,
        blocks: int = 9,
        critic_width: int = 64,
        norm: Norm = "batch",
        attention: bool = False,
        cycle_weight: float = 10.0,
        pool: int = 50,
        network: str = "resnet18",
        width: int = 64,
        weights: str = "random",
        quantisation_weight: float = 1e-5,
        triplet_weight: float = 1.0,
        margin: float = 20.0,
        joint_weight: float = 0.0,
        joint_batch: bool = False,
        augment: bool = True,
        decayed: float = 1 / 6,
        pairing: PairingSetting = "auto",
        code: Literal["binary", "real"] = "binary",
    ) -> None:
        super().__init__()
        check_choice("schedule", schedule, ("joint", "staged"))
        check_choice("code", code, ("binary", "real"))
        check_range(1, 1024, bits=bits)
        check_range(0, quantisation_weight=quantisation_weight, joint_weight=joint_weight)
        check(0 < migrating < 1, f"migrating must be above 0 and below 1, got {migrating}")
        check(0 <= decayed < 1, f"decayed must be 0 or more and below 1, got {decayed}; 0 keeps the learning rate")
        check_weights(network, weights)
        drawing = {"norm": norm, "attention": attention, "cycle_weight": cycle_weight, "joint_weight": joint_weight}
        for reason, holds, unused in (
            ("migration=False", not migration, drawing),
            ("schedule='staged'", schedule == "staged", {"joint_weight": joint_weight}),
            ("schedule='joint'", schedule == "joint", {"migrating": migrating}),
        ):
            if holds:
                check_unused(DomainMigrationHashing, reason, **unused)
        self.sampling = Sampling(("positive",), resolve_pairing(pairing, spec))
        self._set_triplet(level, triplet_weight, margin)
        self.distance = "hamming" if code == "binary" else "euclidean"
        self.migration, self.schedule, self.migrating, self.decayed = migration, schedule, migrating, decayed
        self.joint_weight, self.quantisation_weight = joint_weight, quantisation_weight
        self.weights, self.augment, self.code = weights, augment, code
        side = check_images(spec.query["image"], spec.gallery["image"])
        if migration:
            self.gan = CycleGAN(
                side, generator_width=generator_width, blocks=blocks, critic_width=critic_width, norm=norm,
                attention=attention, cycle_weight=cycle_weight, pool=pool,
            )  # fmt: skip
        self.network = ImageNetwork(network, width)
        self.hashing = nn.Linear(self.network.out, bits)
        self.sketch_norms = None if joint_batch else OwnNorms(self.network)
        self.register_buffer("projection", torch.randn(spec.num_classes, bits).sign())
        self._seen: tuple[Batch, Tensor, Tensor] | None = None  # the last batch, and its sides as its players see them

    def _set_triplet(self, level: Level, weight: float, margin: float) -> None:
        """The fine-grained term, which needs pairs; weight 0 without it."""
        check_choice("level", level, get_args(Level))
        check_range(0, triplet_weight=weight)
        check_positive(margin=margin)
        paired = self.sampling.pairing == "paired"
        check(level != "fine" or paired, "level must be category on data without pairs, got 'fine'; or auto")
        if level == "category":
            check_unused(DomainMigrationHashing, "level='category'", triplet_weight=weight, margin=margin)
        self.triplet_weight, self.margin = weight if level != "category" and paired else 0.0, margin

    @property
    def given(self) -> str:
        """Labels, and pairs where the data have them."""
        return "sketch-photo pairs and class labels" if self.sampling.pairing == "paired" else "class labels"

    @property
    def pretrained(self) -> str:
        """H's weights, by file or name."""
        return self.network.pretrained(self.weights)

    def check_files(self) -> None:
        """H's weights."""
        self.network.load(self.weights)

    def fit(self, rows: TrainRows) -> None:
        """Begin with H's weights; no row is looked at."""
        self.network.load(self.weights)
        if self.sketch_norms is not None:
            self.sketch_norms.take(self.network)

    def players(self) -> list[Player]:
        """Generators, critics and H, in the source's order."""
        return [*(self._migrating() if self.migration else []), self._hashing()]

    def stages(self) -> list[Stage]:
        """All players at once, or the migration before H; at the end with a tenth of the learning rate."""
        players, rest = self.players(), 1 - self.decayed
        stages = [Stage("train", rest, players)]
        if self.schedule == "staged" and self.migration:
            players = [self._hashing()]
            stages = [
                Stage("migration", self.migrating, self._migrating()),
                Stage("hashing", rest * (1 - self.migrating), players),
            ]
        if self.decayed:
            stages.append(Stage("decayed", 1 - sum(stage.share for stage in stages), players, 0.1))
        return stages

    def _migrating(self) -> list[Player]:
        return [
            Player("generators", self.gan.generators(), self.generator_loss),
            Player("photo critic", list(self.gan.photo_critic.parameters()), self.photo_critic_loss),
            Player("sketch critic", list(self.gan.sketch_critic.parameters()), self.sketch_critic_loss),
        ]

    def _hashing(self) -> Player:
        return Player("hashing", [*self.network.parameters(), *self.hashing.parameters()], self.loss)

    def generator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Both generators' terms, and H's where it is joined."""
        sketches, photos = self._pair(batch)
        terms, migrated = self.gan.generator_loss(sketches, photos)
        if self.joint_weight:
            hashed = self._hashing_terms(batch, migrated, photos)
            terms |= {f"joint_{name}": self.joint_weight * value for name, value in hashed.items()}
        return terms

    def photo_critic_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Photos from migrated sketches."""
        return {"photo_critic": self.gan.photo_critic_loss(*self._pair(batch))}

    def sketch_critic_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Sketches from migrated photos."""
        return {"sketch_critic": self.gan.sketch_critic_loss(*self._pair(batch))}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """H's F-step, on migrated sketches as the generators make them now."""
        sketches, photos = self._pair(batch)
        with torch.no_grad():
            migrated = self._migrated(sketches)
        return self._hashing_terms(batch, migrated, photos)

    @torch.no_grad()
    def begin_epoch(
        self, queries: Iterator[tuple[Rows, Tensor]], gallery: Iterator[tuple[Rows, Tensor]]
    ) -> dict[str, float]:
        """The B-step and then the D-step on all training rows; the objective a row and bit, and after each step."""
        self.eval()
        sides = [
            [(self._output(rows, sketch=sketch), labels) for rows, labels in side]
            for sketch, side in ((True, queries), (False, gallery))
        ]
        outputs, labels = ([torch.cat([part[at] for part in side]) for side in sides] for at in (0, 1))
        weight, before = self.quantisation_weight, self.projection.clone()
        codes = [nearest_codes(out, which, before, weight) for out, which in zip(outputs, labels, strict=True)]
        self.projection.copy_(label_projection(codes, labels, len(before)))
        size = sum(code.numel() for code in codes)
        after_b, after_d = (
            float(discrete_objective(codes, outputs, labels, which, weight)) / size
            for which in (before, self.projection)
        )
        return {"objective_after_b_step": after_b, "objective_after_d_step": after_d}

    def embed_query(self, rows: Rows) -> Views:
        """The `code` (n, K) of sketches, migrated."""
        return self._views(self._output(rows, sketch=True))

    def embed_gallery(self, rows: Rows) -> Views:
        """The `code` (n, K) of photos."""
        return self._views(self._output(rows, sketch=False))

    @torch.no_grad()
    def pictures(self, query: Rows, gallery: Rows) -> dict[str, Tensor]:
        """The migration in both directions."""
        if not self.migration:
            return {}
        self.eval()
        drawn = self.gan.pictures(signed(query["image"]), signed(gallery["image"]))
        return {title: (images + 1) / 2 for title, images in drawn.items()}

    def _hashing_terms(self, batch: Batch, migrated: Tensor, photos: Tensor) -> dict[str, Tensor]:
        if self.sketch_norms is None:
            of_sketch, of_photo = self._hash(torch.cat([migrated, photos])).float().chunk(2)
        else:
            of_photo, of_sketch = self._hash(photos).float(), self._hash(migrated, self.sketch_norms).float()
        sides = {"photo": (of_photo, batch.gallery_labels["positive"]), "sketch": (of_sketch, batch.labels)}
        terms = {
            f"{name}_codes": code_error(
                out, nearest_codes(out.detach(), labels, self.projection, self.quantisation_weight)
            )
            for name, (out, labels) in sides.items()
        }
        terms["pairs"] = code_error(of_sketch, of_photo)
        if self.triplet_weight:
            assert batch.instances is not None  # data with pairs know their instances
            other = other_instance(batch.instances)
            terms["triplet"] = self.triplet_weight * instance_triplet(of_photo, of_sketch, other, self.margin)
        return terms

    def _pair(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Sketches and photos of a batch, (B, 3, S, S) in [-1, 1], augmented once for all its players."""
        if self._seen is None or self._seen[0] is not batch:
            sides = [signed(rows["image"]) for rows in (batch.query, batch.gallery["positive"])]
            sketches, photos = (augmented(images) if self.augment else images for images in sides)
            self._seen = batch, sketches, photos
            if self.migration:
                self.gan.forget()
        return self._seen[1:]

    def _migrated(self, sketches: Tensor) -> Tensor:
        return self.gan.to_photo(sketches) if self.migration else sketches

    def _hash(self, images: Tensor, norms: OwnNorms | None = None) -> Tensor:
        outputs: Tensor = self.hashing(norms(self.network, images) if norms else self.network(images))
        return outputs

    def _output(self, rows: Rows, *, sketch: bool) -> Tensor:
        images = signed(rows["image"])
        return self._hash(self._migrated(images), self.sketch_norms) if sketch else self._hash(images)

    def _views(self, outputs: Tensor) -> Views:
        return {"code": torch.where(outputs >= 0, 1.0, -1.0) if self.code == "binary" else outputs}
