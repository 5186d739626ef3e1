"""Bi-directional domain translation (BDT): CMDT with discriminators, the final form of the paper.

    python sweeps/bdt.py                        # embedded synthetic data, on a laptop
    python sweeps/bdt.py --data store           # your features
    python sweeps/bdt.py --stage published      # the paper's rows and ablation, at full length
    python sweeps/bdt.py --set adversarial=lsgan

Rows: the tables of the paper's tex source (November 2019). Its "aligned" rows train on paired photos alone; here the
negatives come from all training photos of the store. Batch size 128 is the paper's for Sketchy.
"""

from typing import Any

from sbir.models.bdt import BDT
from sbir.tuning.draw import Draw
from sbir.tuning.main import main
from sbir.tuning.sweep import Demo, Sweep


def row(pairing: str = "auto", **more: Any) -> dict[str, Any]:
    """One row of the paper; "auto" is paired wherever the data have pairs."""
    return {"latent": 1024, "pairing": pairing, "train/batch_size": 128, **more}


PUBLISHED = {
    "BDT aligned": row(),
    "BDT unaligned": row("unpaired"),
    "w/o ranking": row(ranking_weight=0.0),
    "w/o orthogonality": row(orthogonality_weight=0.0),
    "w/o image reconstruction": row(image_weight=0.0),
    "w/o sketch reconstruction": row(sketch_weight=0.0),
    "w/o image adversary": row(image_adversarial_weight=0.0),
    "w/o sketch adversary": row(sketch_adversarial_weight=0.0),
    "w/o appearance": row(decoder="deterministic"),
    "control: least squares": row(adversarial="lsgan"),
    "control: z = 0": row(num_samples=0),
}


def space(draw: Draw) -> None:
    """The axes that the paper ablates, as weights, and those of CMDT."""
    draw.suggest_categorical("latent", [1024, 2048])
    draw.suggest_categorical("decode", ["e", "s", "s+e"])
    draw.suggest_categorical("dropout", [0.0, 0.1, 0.3])
    draw.suggest_float("margin", 2.0, 50.0, log=True)  # un-normalised Euclidean units
    draw.suggest_float("ranking_weight", 0.05, 5.0, log=True)
    draw.suggest_float("image_weight", 0.2, 200.0, log=True)
    draw.suggest_float("image_adversarial_weight", 0.02, 2.0, log=True)
    draw.suggest_float("sketch_adversarial_weight", 0.01, 1.0, log=True)
    draw.suggest_categorical("adversarial", ["bce", "lsgan"])
    if draw.setting("decoder", "variational") == "variational":  # a control, not an axis: --set decoder=deterministic
        draw.suggest_float("kl_weight", 1e-4, 1.0, log=True)
        draw.suggest_categorical("orthogonality_weight", [0.0, 0.01, 1.0])
    draw.suggest_float("discriminator_lr", 2e-5, 1e-3, log=True)
    draw.suggest_float("train/lr", 5e-5, 1e-3, log=True)


SWEEP = Sweep(
    method=BDT,
    title="BDT",
    space=space,
    published=PUBLISHED,
    best=PUBLISHED["BDT aligned"],
    variants={"z = 0": {"num_samples": 0}},
    first=("BDT aligned", "BDT unaligned"),
    demo=Demo(
        settings={
            "hidden": 256,
            "num_samples": 20,
            "train/steps": 250,
            "train/eval_every": 50,
            "train/warmup": 50,
            "train/patience": 4,
        },
        replace={"method/latent": {1024: 128, 2048: 256}},
    ),
)

if __name__ == "__main__":
    main(SWEEP, doc=__doc__)
