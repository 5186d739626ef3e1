"""Siamese networks on features, with the losses of Hadsell (Siamese-1) and of Chopra (Siamese-2).

    python sweeps/siamese.py                        # embedded synthetic data, on a laptop
    python sweeps/siamese.py --data store           # your features
    python sweeps/siamese.py --stage published      # the 6 rows of the source, at full length
    python sweeps/siamese.py --set norm_momentum=0.1 --set joint_batch=true

Rows: the table "Siamese-1" of the SJTU ZS-SBIR result file (October 2019), whose learning rate is 5e-5. The source has
no rows of the other loss on frozen features. Rows of 4096 entries need a store of 5568 (or 4096).
"""

from typing import Any

from sbir.models.siamese import Siamese
from sbir.tuning.draw import Draw
from sbir.tuning.main import main
from sbir.tuning.sweep import Demo, Sweep

FC2 = {"data/feature_dim": 4096}


def row(pairing: str, **more: Any) -> dict[str, Any]:
    """One row of the source; "auto" is paired wherever the data have pairs."""
    return {"latent": 1024, "pairing": pairing, "train/lr": 5e-5, **more}


# The source's features differ where settings do not: rows 1 and 2 "updated", 3 and 4 its own, 5 and 6 the ECCV
# authors'.
PUBLISHED = {
    "row 1: paired 5568": row("auto"),
    "row 2: unpaired 5568": row("unpaired"),
    "row 3: paired 5568": row("auto"),
    "row 4: unpaired 5568": row("unpaired"),
    "row 5: unpaired 4096": row("unpaired", **FC2),
    "row 6: paired 4096": row("auto", **FC2),
}

OURS = {
    "paired": row("auto"),
    "unpaired": row("unpaired"),
}


def space(draw: Draw) -> None:
    """The source's axes, and its batch norm, which decides what the statistics at retrieval are."""
    draw.suggest_categorical("pairing", ["auto", "unpaired"])
    draw.suggest_categorical("latent", [1024, 2048])
    draw.suggest_categorical("dropout", [0.0, 0.3, 0.5])
    draw.suggest_float("margin", 1.0, 500.0, log=True)  # un-normalised Euclidean units; Q in Chopra's loss
    draw.suggest_categorical("norm_momentum", [0.99, 0.1])
    draw.suggest_categorical("joint_batch", [False, True])
    draw.suggest_float("train/lr", 2e-5, 1e-3, log=True)


DEMO = Demo(
    settings={"hidden": 256, "train/steps": 250, "train/eval_every": 50, "train/warmup": 50, "train/patience": 4},
    replace={"method/latent": {1024: 128, 2048: 256}},
)

SIAMESE_1 = Sweep(
    method=Siamese,
    key="siamese_1",
    title="Siamese-1",
    fixed={"loss": "hadsell"},
    space=space,
    published=PUBLISHED,
    best=PUBLISHED["row 2: unpaired 5568"],  # the source's best
    first=("row 2: unpaired 5568", "row 1: paired 5568"),
    demo=DEMO,
)
SIAMESE_2 = Sweep(
    method=Siamese,
    key="siamese_2",
    title="Siamese-2",
    fixed={"loss": "chopra"},
    space=space,
    published=OURS,
    best=OURS["unpaired"],
    first=("unpaired", "paired"),
    demo=DEMO,
)

if __name__ == "__main__":
    main(SIAMESE_1, SIAMESE_2, doc=__doc__)
