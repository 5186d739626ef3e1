"""Sketch-GAN and thin-GAN: codes of drawings learnt without labels, sketches by sketches.

    python sweeps/gan_encoder.py                            # embedded synthetic data, both networks
    python sweeps/gan_encoder.py --data store               # your drawings: sbir features ROOT --images 64 ...
    python sweeps/gan_encoder.py --methods thin_gan
    sbir invariance runs/NAME                               # how shift, rotation and scale change the codes

Both networks have the same number of parameters, within 2 %. The source judged them by eye; here they are rows of a
table like any others. On the embedded data at demo scale they are about as good as raw pixels, not better, which are
strong where drawings are centred and of one size. Sketch-GAN at width 8, one seed, mAP@all after the demo's 500 steps,
1 000 and 2 000: on validation 52.7, 53.5 and 54.0 (pixels 55.1), on test 45.0 and 44.6 (pixels 44.1). A higher rate is
no way out: at 1e-3 the discriminator wins within 250 steps.
"""

from sbir.models.gan_encoder import GANEncoder
from sbir.tuning.draw import Draw
from sbir.tuning.main import main
from sbir.tuning.sweep import Demo, Sweep

PUBLISHED = {"the source's": {"width": 64, "train/lr": 2e-4, "train/batch_size": 128}}


def space(draw: Draw) -> None:
    """What the source leaves open."""
    draw.suggest_categorical("width", [32, 64])
    draw.suggest_categorical("noise", [50, 100])
    draw.suggest_float("train/lr", 5e-5, 1e-3, log=True)


def network(filters: str, key: str, title: str) -> Sweep:
    """One of the two."""
    return Sweep(
        method=GANEncoder,
        key=key,
        title=title,
        fixed={"filters": filters},
        space=space,
        published=PUBLISHED,
        best=PUBLISHED["the source's"],
        first=("the source's",),
        run={"data/split": "seen:0", "eval/metric": "map_all"},
        demo=Demo(
            settings={"train/steps": 500, "train/eval_every": 100, "train/warmup": 20, "train/patience": 5},
            replace={"method/width": {32: 4, 64: 8}, "train/batch_size": {128: 64}},
        ),
    )


SKETCH_GAN = network("large", "sketch_gan", "sketch-GAN")
THIN_GAN = network("thin", "thin_gan", "thin-GAN")

if __name__ == "__main__":
    main(SKETCH_GAN, THIN_GAN, doc=__doc__, trials=4)
