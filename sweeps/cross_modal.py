"""Cross-modal domain translation (CMDT, later BDT): structure and appearance of photos, structure of sketches.

    python sweeps/cross_modal.py                        # embedded synthetic data, on a laptop
    python sweeps/cross_modal.py --data store           # your features
    python sweeps/cross_modal.py --stage published      # the 20 rows of the source, at full length
    python sweeps/cross_modal.py --set decode=s --set latent=1024,2048

Rows: the table "Cross-Modal Domain Translation" of the SJTU ZS-SBIR result file (October 2019).
"""

from typing import Any

from sbir.models.cross_modal import CrossModal
from sbir.tuning.draw import Draw
from sbir.tuning.main import main
from sbir.tuning.sweep import Demo, Sweep


def row(latent: int, decode: str, dropout: float, margin1: float, **more: Any) -> dict[str, Any]:
    """One row of the source, in the settings that its name gives."""
    return {"latent": latent, "decode": decode, "dropout": dropout, "margin1": margin1, **more}


PUBLISHED = {
    "row 1: 1024 e": row(1024, "e", 0.3, 0.0),
    "row 2: 1024 e no drop": row(1024, "e", 0.0, 0.0),
    "row 3: 1024 e m1": row(1024, "e", 0.3, 1.0),
    "row 4: 1024 e no drop m1": row(1024, "e", 0.0, 1.0),
    "row 5: 1024 e siamese": row(1024, "e", 0.3, 0.0, ranking="siamese"),
    "row 6: 1024 s": row(1024, "s", 0.3, 0.0),
    "row 7: 1024 s no drop": row(1024, "s", 0.0, 0.0),
    "row 8: 1024 s m1": row(1024, "s", 0.3, 1.0),
    "row 9: 1024 s no drop m1": row(1024, "s", 0.0, 1.0),
    "row 10: 1024 s+e": row(1024, "s+e", 0.3, 0.0),
    "row 11: 1024 s+e no drop": row(1024, "s+e", 0.0, 0.0),
    "row 12: 1024 s+e m1": row(1024, "s+e", 0.3, 1.0),
    "row 13: 1024 s+e no drop m1": row(1024, "s+e", 0.0, 1.0),
    "row 14: 1024 e deeper 0.3": row(1024, "e", 0.3, 0.0, deeper=True),
    "row 15: 1024 e deeper 0.16": row(1024, "e", 0.16, 0.0, deeper=True),
    "row 16: 2048 s": row(2048, "s", 0.3, 0.0),
    "row 17: 2048 s+e": row(2048, "s+e", 0.3, 0.0),
    "row 18: 2048 e": row(2048, "e", 0.3, 0.0),
    "row 19: 2048 e again": row(2048, "e", 0.3, 0.0, replicate=1),  # the source's only estimate of its own noise
    "row 20: 2048 e no drop": row(2048, "e", 0.0, 0.0),
}


def space(draw: Draw) -> None:
    """The source's axes, and those that its code leaves constant but that decide whether z carries anything."""
    draw.suggest_categorical("latent", [1024, 2048])
    draw.suggest_categorical("decode", ["e", "s", "s+e"])
    draw.suggest_categorical("dropout", [0.0, 0.1, 0.16, 0.2, 0.3])
    draw.suggest_categorical("deeper", [False, True])
    if draw.suggest_categorical("ranking", ["ranking", "siamese"]) == "ranking":
        draw.suggest_categorical("margin1", [0.0, 1.0, 2.0, 3.0, 4.0])
    draw.suggest_float("margin2", 2.0, 50.0, log=True)  # un-normalised Euclidean units
    draw.suggest_float("ranking_weight", 0.1, 10.0, log=True)
    draw.suggest_float("image_weight", 0.1, 100.0, log=True)
    if draw.setting("decoder", "variational") == "variational":  # a control, not an axis: --set decoder=deterministic
        draw.suggest_float("kl_weight", 1e-4, 1.0, log=True)
        draw.suggest_categorical("orthogonality_weight", [0.0, 0.01])
    draw.suggest_float("train/lr", 5e-5, 1e-3, log=True)


SWEEP = Sweep(
    method=CrossModal,
    title="CMDT",
    space=space,
    published=PUBLISHED,
    best=PUBLISHED["row 7: 1024 s no drop"],  # the source's best
    variants={"z = 0": {"num_samples": 0}},
    first=("row 7: 1024 s no drop", "row 2: 1024 e no drop", "row 6: 1024 s", "row 13: 1024 s+e no drop m1"),
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
