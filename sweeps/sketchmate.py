"""SketchMate: binary codes of sketches from their pixels and strokes, sketches by sketches.

    python sweeps/sketchmate.py                       # embedded synthetic data
    python sweeps/sketchmate.py --data store          # your drawings: sbir features ROOT --images 64 --strokes 100 ...
    python sweeps/sketchmate.py --stage published     # bits 16 to 64
    python sweeps/sketchmate.py --stage ablate        # branches, losses, noise removal, one at a time

Of each class the held-out drawings are parted into queries and gallery, and the search maximises the mean average
precision of the whole Hamming ranking, in expectation over its ties: the source's measure.
"""

from sbir.models.sketchmate import SketchMate
from sbir.tuning.draw import Draw
from sbir.tuning.main import main
from sbir.tuning.sweep import Demo, Sweep


def row(bits: int, **settings: object) -> dict[str, object]:
    """The source's method with so many bits."""
    return {"bits": bits, "train/lr": 1e-3, **settings}


PUBLISHED = {f"{bits} bits": row(bits) for bits in (16, 24, 32, 64)}


def space(draw: Draw) -> None:
    """Length of the code, branches, and the weights that the source does not give."""
    draw.suggest_categorical("bits", [16, 24, 32, 64])
    draw.suggest_categorical("branches", ["both", "cnn", "rnn"])
    centre = draw.suggest_categorical("centre_weight", [0.0, 0.001, 0.01, 0.1])
    draw.suggest_categorical("quantisation_weight", [0.0, 1e-4, 1e-2])
    if centre:
        draw.suggest_categorical("kept", [0.9, 1.0])  # 1: no noise is removed
    draw.suggest_categorical("dropout", [0.0, 0.5])
    draw.suggest_float("train/lr", 1e-4, 1e-2, log=True)


SWEEP = Sweep(
    method=SketchMate,
    key="sketchmate",
    fixed={"train/beta1": 0.9},  # Adam's own, where the other methods have a GAN's
    space=space,
    published=PUBLISHED,
    best=PUBLISHED["32 bits"],
    first=("32 bits", "64 bits"),
    variants={"real-valued": {"code": "real"}},
    run={"data/split": "seen:0", "eval/metric": "map_all"},
    demo=Demo(
        settings={
            "width": 16,
            "cnn_features": 256,
            "hidden": 64,
            "rnn_layers": 1,
            "rnn_lr": 2.0,
            "train/steps": 800,
            "train/eval_every": 100,
            "train/warmup": 50,
            "train/patience": 4,
        },
        replace={"train/lr": {1e-3: 3e-3}},
    ),
)

if __name__ == "__main__":
    main(SWEEP, doc=__doc__, trials=6)
