"""Generative domain-migration hashing: sketches become photos, and both become bits; with its three baselines.

    python sweeps/domain_migration_hashing.py                             # embedded synthetic data
    python sweeps/domain_migration_hashing.py --data store                # yours: sbir features ROOT --images 256 ...
    python sweeps/domain_migration_hashing.py --set eval/metric=acc_at_1  # fine-grained: the sketch's own photo
    python sweeps/domain_migration_hashing.py --stage published --methods gdh    # 32, 64 and 128 bits
    python sweeps/domain_migration_hashing.py --stage ablate --methods gdh       # migration, cycle, attention, ...
    python sweeps/domain_migration_hashing.py --set train/precision=bfloat16     # on a GPU

Classes are the same in training and test (the source's protocols), photos and their sketches are not. The report shows
what the generators made of held-out sketches and photos at several steps. At demo scale a small network stands in for
AlexNet, GoogLeNet and ResNet-18, and the migration is trained first, as the source does for shoes, since H alone is
cheaper by the step.
"""

from typing import Any

from sbir.models.domain_migration import DomainMigrationHashing
from sbir.models.image_siamese import ImageSiamese
from sbir.tuning.draw import Draw
from sbir.tuning.main import main
from sbir.tuning.sweep import Demo, Sweep

RUN = {"data/split": "seen:0", "eval/metric": "map_all"}
TRAIN = {"train/steps": 360, "train/eval_every": 60, "train/warmup": 20, "train/patience": 6, "train/batch_size": 32}
SOURCE = {"network": "resnet18", "train/lr": 2e-4, "train/batch_size": 32, "train/warmup": 0, "train/clip_norm": 0.0}


def gdh(bits: int, **settings: Any) -> dict[str, Any]:
    """The source's method with so many bits."""
    return {"bits": bits, **SOURCE, **settings}


def space(draw: Draw) -> None:
    """Length of the code, the parts that its authors weigh up, and what the source leaves open."""
    draw.suggest_categorical("bits", [32, 64, 128])
    draw.suggest_categorical("network", ["resnet18"])
    migration = draw.suggest_categorical("migration", [True, False])
    if migration:
        draw.suggest_categorical("cycle_weight", [0.0, 10.0])
        draw.suggest_categorical("attention", [False, True])
        draw.suggest_categorical("norm", ["batch", "instance"])
    draw.suggest_categorical("triplet_weight", [0.0, 0.1, 1.0])
    draw.suggest_categorical("joint_batch", [False, True])
    draw.suggest_categorical("quantisation_weight", [1e-5, 1e-1])
    draw.suggest_float("train/lr", 5e-5, 2e-3, log=True)


def baseline(key: str, title: str, network: str, loss: str, margin: float) -> Sweep:
    """One of the three; the source gives neither margins nor learning rates."""

    def its_space(draw: Draw) -> None:
        draw.suggest_categorical("network", [network])
        draw.suggest_categorical("margin", [0.1, 0.3, 1.0])
        draw.suggest_categorical("class_weight", [0.0, 0.5, 1.0])
        draw.suggest_categorical("shared", [False, True])
        draw.suggest_float("train/lr", 5e-5, 2e-3, log=True)

    row = {"network": network, "margin": margin, "class_weight": 1.0, "train/lr": 2e-4, "train/batch_size": 32}
    return Sweep(
        method=ImageSiamese,
        key=key,
        title=title,
        fixed={"loss": loss, "train/beta1": 0.9},
        space=its_space,
        published={"our defaults": row},
        best=row,
        first=("our defaults",),
        run=RUN,
        demo=Demo(
            settings={"width": 16, "latent": 128, **TRAIN},
            replace={"network": {network: f"small_{network}"}, "train/lr": {2e-4: 1e-3}},
        ),
    )


PUBLISHED = {f"{bits} bits": gdh(bits) for bits in (32, 64, 128)}

GDH = Sweep(
    method=DomainMigrationHashing,
    key="gdh",
    title="GDH",
    space=space,
    published=PUBLISHED,
    best=PUBLISHED["64 bits"],
    first=("64 bits", "32 bits"),
    variants={"real-valued": {"code": "real"}},
    run=RUN,
    demo=Demo(
        settings={
            "width": 16,
            "generator_width": 4,
            "blocks": 1,
            "critic_width": 8,
            "schedule": "staged",
            "migrating": 0.2,
            **TRAIN,
            "train/steps": 480,
        },
        replace={"network": {"resnet18": "small_resnet"}, "train/lr": {2e-4: 1e-3}, "train/clip_norm": {0.0: 1.0}},
    ),
)
AN_SIAMESE = baseline("an_siamese", "AN Siamese", "alexnet", "contrastive", 1.0)
GN_SIAMESE = baseline("gn_siamese", "GN Siamese", "googlenet", "contrastive", 1.0)
GN_TRIPLET = baseline("gn_triplet", "GN Triplet", "googlenet", "triplet", 0.3)

if __name__ == "__main__":
    main(GDH, AN_SIAMESE, GN_SIAMESE, GN_TRIPLET, doc=__doc__, trials=3)
