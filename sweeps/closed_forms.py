"""Methods in closed form: direct regression, ESZSL and SAE (the linear rows of the ECCV-18 comparison).

    python sweeps/closed_forms.py                        # embedded synthetic data, on a laptop
    python sweeps/closed_forms.py --data store           # your features
    python sweeps/closed_forms.py --set centre=true

They are solved, not trained: no step is taken and `train/` settings have no effect. ESZSL and SAE know classes by the
mean of their sketches. The comparison names no settings, so the declared rows have the defaults of this project.
"""

from sbir.models.direct_regression import DirectRegression
from sbir.models.eszsl import ESZSL
from sbir.models.sae import SAE
from sbir.tuning.draw import Draw
from sbir.tuning.main import main
from sbir.tuning.sweep import Sweep


def regression_space(draw: Draw) -> None:
    """How strongly the map is held back, relative to the features' spread."""
    draw.suggest_categorical("centre", [False, True])
    draw.suggest_float("penalty", 1e-3, 1e2, log=True)


def eszsl_space(draw: Draw) -> None:
    """Both regularisers, over the range that the paper searched."""
    draw.suggest_categorical("centre", [False, True])
    draw.suggest_float("feature_penalty", 1e-3, 1e3, log=True)
    draw.suggest_float("class_penalty", 1e-3, 1e3, log=True)


def sae_space(draw: Draw) -> None:
    """The balance of encoder and decoder, and in whose space they are compared."""
    draw.suggest_categorical("centre", [False, True])
    draw.suggest_categorical("compare", ["query", "gallery"])
    draw.suggest_float("balance", 1e-3, 1e3, log=True)


DIRECT = Sweep(
    method=DirectRegression,
    title="direct regression",
    space=regression_space,
    published={"raw features": {}, "centred": {"centre": True}},
    best={"centre": False},
    first=("raw features", "centred"),
)
ESZSL_SWEEP = Sweep(
    method=ESZSL,
    title="ESZSL",
    space=eszsl_space,
    published={"raw features": {}, "centred": {"centre": True}},
    best={"centre": False},
    first=("raw features", "centred"),
)
SAE_SWEEP = Sweep(
    method=SAE,
    title="SAE",
    space=sae_space,
    published={
        "encoder": {"compare": "query"},
        "decoder": {"compare": "gallery"},
        "encoder, centred": {"compare": "query", "centre": True},
        "decoder, centred": {"compare": "gallery", "centre": True},
    },
    best={"compare": "query"},
    first=("encoder", "decoder"),
)

if __name__ == "__main__":
    main(DIRECT, ESZSL_SWEEP, SAE_SWEEP, doc=__doc__)
