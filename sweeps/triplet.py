"""Triplet networks on features: coarse (between classes) and fine (down to the single photo).

    python sweeps/triplet.py                        # embedded synthetic data, on a laptop
    python sweeps/triplet.py --data store           # your features; fine triplets need sketch-photo pairs
    python sweeps/triplet.py --set distance=cosine

Rows: the ECCV-18 comparison names both without their settings, so the declared rows have the defaults of this project.
"""

from sbir.models.triplet import Triplet
from sbir.tuning.draw import Draw
from sbir.tuning.main import main
from sbir.tuning.sweep import Demo, Sweep

ROWS = {
    "euclidean": {"latent": 1024, "distance": "euclidean"},
    "cosine": {"latent": 1024, "distance": "cosine", "margin": 0.2},
}


def space(draw: Draw) -> None:
    """The margin above all, in units of the distance."""
    if draw.setting("distance", "euclidean") == "euclidean":  # one distance a run: margins of two have no common range
        draw.suggest_float("margin", 0.2, 20.0, log=True)
    else:
        draw.suggest_float("margin", 0.02, 1.0, log=True)
    draw.suggest_categorical("latent", [1024, 2048])
    draw.suggest_categorical("dropout", [0.0, 0.3, 0.5])
    draw.suggest_categorical("norm_momentum", [0.1, 0.99])
    draw.suggest_categorical("joint_batch", [False, True])
    draw.suggest_float("train/lr", 2e-5, 1e-3, log=True)


def fine_space(draw: Draw) -> None:
    """Further, how often a negative shows the class of the sketch."""
    space(draw)
    draw.suggest_float("instance_share", 0.0, 1.0)


DEMO = Demo(
    settings={"hidden": 256, "train/steps": 250, "train/eval_every": 50, "train/warmup": 50, "train/patience": 4},
    replace={"method/latent": {1024: 128, 2048: 256}},
)

COARSE = Sweep(
    method=Triplet,
    key="coarse_triplet",
    title="coarse triplet",
    fixed={"kind": "coarse"},
    space=space,
    published=ROWS,
    best=ROWS["euclidean"],
    first=("euclidean",),
    demo=DEMO,
)
FINE = Sweep(
    method=Triplet,
    key="fine_triplet",
    title="fine triplet",
    fixed={"kind": "fine"},
    space=fine_space,
    published=ROWS,
    best=ROWS["euclidean"],
    first=("euclidean",),
    demo=DEMO,
)

if __name__ == "__main__":
    main(COARSE, FINE, doc=__doc__)
