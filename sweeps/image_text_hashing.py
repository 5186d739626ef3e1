"""Image-text hashing: texts retrieve photos, and photos texts, by binary codes.

    python sweeps/image_text_hashing.py                       # embedded synthetic data: doodles with English captions
    python sweeps/image_text_hashing.py --data store          # your photos and texts, see the README
    python sweeps/image_text_hashing.py --stage published     # bits 16 to 64
    python sweeps/image_text_hashing.py --stage ablate        # positives, augmentation, dropout, one at a time
    python sweeps/image_text_hashing.py --scale paper --set encoder=scratch --set weights=random  # without a connection

Needs `pip install 'sbir[text]'`. At full scale the text encoder is bert-base-uncased and the image network starts from
ImageNet weights, both downloaded once; `--set encoder=FOLDER --set weights=FILE` takes your own. The search maximises
the mean average precision of the whole Hamming ranking, photos by texts; the other direction stands beside it. Of each
class a fifth of the pairs tests; `--set data/split=stored` takes the store's own split (iapr:half).

The source (xiami2019) draws its training pairs from the items that it searches: `--set eval/protocol=overlapping --set
aligned=false` is its protocol, and its figures are no others' (README, 32 bits, IAPR TC-12: photos by texts 45.8 % in
English and 45.1 % in German, texts by photos 45.3 % and 44.2 %; 16, 48 and 64 bits were announced and not given).
"""

from sbir.models.image_text import ImageTextHashing
from sbir.tuning.draw import Draw
from sbir.tuning.main import main
from sbir.tuning.sweep import Demo, Sweep

RATES = {"train/lr": 1e-3, "text_lr": 1e-4}
PUBLISHED = {f"{bits} bits": {"bits": bits, **RATES} for bits in (16, 32, 48, 64)}


def space(draw: Draw) -> None:
    """Length of the code, what a positive is, and what the source fixes without a reason."""
    draw.suggest_categorical("bits", [16, 32, 48, 64])
    draw.suggest_categorical("aligned", [True, False])
    draw.suggest_categorical("margin", [0.125, 0.25, 0.5])
    draw.suggest_categorical("dropout", [0.5, 0.1])
    draw.suggest_categorical("crop", [0.875, 1.0])
    draw.suggest_categorical("flip", [True, False])
    draw.suggest_float("text_lr", 1e-5, 1e-3, log=True)
    draw.suggest_float("train/lr", 1e-4, 1e-2, log=True)


SWEEP = Sweep(
    method=ImageTextHashing,
    key="image_text_hashing",
    title="image-text hashing",
    fixed={
        "train/beta1": 0.9,
        "train/beta2": 0.98,
        "train/clip_norm": 0.0,
        "train/schedule": "inverse_sqrt",
    },
    space=space,
    published=PUBLISHED,
    best=PUBLISHED["32 bits"],
    first=("32 bits", "64 bits"),
    variants={"real-valued": {"code": "real"}},
    run={"data/split": "seen:0", "eval/metric": "map_all"},
    demo=Demo(
        settings={
            "encoder": "scratch",
            "weights": "random",
            "text_width": 64,
            "text_layers": 2,
            "vocabulary": 1000,
            "width": 16,
            "blocks": 1,
            "train/batch_size": 32,
            "train/steps": 1200,
            "train/eval_every": 150,
            "train/warmup": 100,
            "train/patience": 4,
        },
        replace={"text_lr": {1e-4: 1e-3}, "train/lr": {1e-3: 2e-3}},  # from random weights
    ),
)

if __name__ == "__main__":
    main(SWEEP, doc=__doc__, trials=6)
