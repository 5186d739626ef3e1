"""Conditional adversarial auto-encoder (CAAE, ECCV 2018): the CVAE with a critic in place of the KL divergence.

    python sweeps/caae.py                        # embedded synthetic data, on a laptop
    python sweeps/caae.py --data store           # your features
    python sweeps/caae.py --set pairing=unpaired

Rows: the ECCV-18 comparison has one figure for it and no settings, so the declared rows have what is inferred.
"""

from sbir.models.caae import CAAE
from sbir.tuning.draw import Draw
from sbir.tuning.main import main
from sbir.tuning.sweep import Demo, Sweep

ROWS = {
    "paired": {"latent": 1024, "pairing": "auto"},
    "unpaired": {"latent": 1024, "pairing": "unpaired"},
    "control: z = 0": {"latent": 1024, "pairing": "auto", "num_samples": 0},
}


def space(draw: Draw) -> None:
    """The CVAE's axes, and the weight of the adversary."""
    draw.suggest_categorical("pairing", ["auto", "unpaired"])
    draw.suggest_categorical("latent", [1024, 2048])
    draw.suggest_categorical("dropout", [0.0, 0.3, 0.5])
    draw.suggest_categorical("sketch_weight", [0.0, 1.0, 10.0])
    draw.suggest_float("image_weight", 0.1, 100.0, log=True)
    draw.suggest_float("adversarial_weight", 1e-2, 10.0, log=True)
    draw.suggest_float("train/lr", 5e-5, 1e-3, log=True)


SWEEP = Sweep(
    method=CAAE,
    title="CAAE",
    space=space,
    published=ROWS,
    best=ROWS["paired"],
    variants={"z = 0": {"num_samples": 0}},
    first=("paired", "unpaired"),
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
