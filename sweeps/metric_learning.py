"""Deep metric learning: photos of unseen classes by photos of their class, one row of the table for each loss.

    python sweeps/metric_learning.py                          # embedded synthetic data, a small network without weights
    python sweeps/metric_learning.py --data store             # your photos: sbir features ROOT --images 256 ...
    python sweeps/metric_learning.py --data store --set backbone=squeezenet1_1 --set weights=squeezenet1_1.safetensors
    python sweeps/metric_learning.py --data store --set data/split=halves   # first half of the classes, second half
    python sweeps/metric_learning.py --methods weight,margin --stage published

Rows: the losses of https://github.com/bnu-wangxun/Deep_metric at its settings (Adam at 1e-5 with weight decay, 16
classes x 5 photos, 512 entries, alpha 40, 3 600 steps as on CUB), and of the papers where it has none. The search
maximises Recall@1. CUB-200-2011, Cars-196, Online Products and In-Shop come with their published halves and ranks K.
"""

from dataclasses import replace
from typing import Any

from sbir.losses.metric_learning import loss_settings
from sbir.models.metric_learning import MetricLearning
from sbir.training.settings import method_settings
from sbir.tuning.draw import Draw
from sbir.tuning.main import main
from sbir.tuning.sweep import Demo, Sweep

SOURCE = {"train/lr": 1e-5}
TRAINED = {
    "train/batch_size": 80, "train/steps": 3600, "train/eval_every": 200, "train/patience": 10, "train/warmup": 0,
    "train/beta1": 0.9, "train/clip_norm": 0.0, "train/weight_decay": 5e-4,
}  # fmt: skip
MINING = [None, 0.05, 0.1]

DEMO = Demo(
    settings={
        "backbone": "plain", "weights": "random", "frozen_norms": False, "latent": 128, "train/steps": 200,
        "train/eval_every": 40, "train/patience": 4, "train/batch_size": 40,
    },
    replace={"train/lr": {1e-5: 1e-3, 3e-5: 1e-3}},
)  # fmt: skip
WHOLE = replace(DEMO, replace={**DEMO.replace, "backbone_lr": {0.1: 1.0}})  # random weights are nothing to be kept


def common(draw: Draw) -> None:
    """What every loss is searched with; a network without weights wants larger steps than one that has learnt."""
    draw.suggest_float("train/lr", 3e-6, 3e-3, log=True)
    draw.suggest_categorical("backbone_lr", [0.1, 1.0])
    draw.suggest_categorical("crop", [0.16, 0.5])


def contrastive(draw: Draw) -> None:
    """The cosine that negatives may have."""
    common(draw)
    draw.suggest_float("margin", 0.1, 0.9)


def triplets(draw: Draw) -> None:
    """In squared distances, which end at 4."""
    common(draw)
    draw.suggest_float("margin", 0.05, 1.0, log=True)


def lifted(draw: Draw) -> None:
    """In distances, which end at 2."""
    common(draw)
    draw.suggest_float("margin", 0.2, 2.0)


def soft(draw: Draw) -> None:
    """Slopes of the soft maxima and minima."""
    common(draw)
    draw.suggest_float("positive_scale", 1.0, 10.0, log=True)
    draw.suggest_float("negative_scale", 10.0, 80.0, log=True)


def thresholded(draw: Draw) -> None:
    """Further, the cosine that parts positives and negatives."""
    soft(draw)
    draw.suggest_float("threshold", 0.2, 0.8)


def mined(draw: Draw) -> None:
    """Further, which pairs are left."""
    thresholded(draw)
    draw.suggest_categorical("mining", MINING)


def mined_soft(draw: Draw) -> None:
    """Without a threshold."""
    soft(draw)
    draw.suggest_categorical("mining", MINING)


def margin(draw: Draw) -> None:
    """Margin and first boundary, and how fast boundaries move."""
    common(draw)
    draw.suggest_float("margin", 0.05, 0.5)
    draw.suggest_float("boundary", 0.6, 1.4)
    draw.suggest_categorical("loss_lr", [1.0, 10.0, 100.0])


def neighbourhood(draw: Draw) -> None:
    """How sharp, and how many."""
    common(draw)
    draw.suggest_float("scale", 4.0, 32.0, log=True)
    draw.suggest_categorical("neighbours", [16, 32])


def proxies(draw: Draw) -> None:
    """How sharp, and how fast proxies move."""
    common(draw)
    draw.suggest_float("scale", 1.0, 16.0, log=True)
    draw.suggest_categorical("loss_lr", [1.0, 10.0, 100.0])


def sweep(loss: str, title: str, space: Any, rows: dict[str, dict[str, Any]], demo: Demo = DEMO) -> Sweep:
    """One loss as a method of its own; the first row is the one that is varied."""
    known = method_settings(MetricLearning)
    own = {name: value for name, value in loss_settings(loss).items() if name in known}
    declared = {label: SOURCE | own | row for label, row in rows.items()}
    first = next(iter(declared))
    return Sweep(
        method=MetricLearning,
        key=loss,
        title=title,
        fixed={"loss": loss},
        defaults=TRAINED,
        space=space,
        published=declared,
        best=declared[first],
        first=(first,),
        run={"eval/metric": "recall_at_1"},
        demo=demo,
        untrained="network",
    )


CONTRASTIVE = sweep("contrastive", "contrastive", contrastive, {"margin 0.5": {}})
SEMI_HARD = sweep("semi_hard", "semi-hard triplets", triplets, {"margin 0.2": {}})
LIFTED = sweep("lifted_structure", "lifted structure", lifted, {"margin 1": {}})
LIFTED_SIMILARITY = sweep(
    "lifted_similarity", "lifted structure*", mined_soft, {"alpha 40": {}, "alpha 40, mined": {"mining": 0.1}}
)
BINOMIAL = sweep("binomial_deviance", "binomial deviance", thresholded, {"alpha 40": {}})
MARGIN = sweep("margin", "margin", margin, {"boundary 1.2": {}})
NCA = sweep("nca", "NCA", neighbourhood, {"scale 16": {}})
WEIGHT = sweep("weight", "Weight", mined, {"alpha 40": {}, "alpha 40, mined": {"mining": 0.1}})
MULTI_SIMILARITY = sweep(
    "multi_similarity", "multi-similarity", thresholded, {"authors'": {"train/lr": 3e-5, "backbone_lr": 0.1}}, WHOLE
)
PROXY_NCA = sweep("proxy_nca", "ProxyNCA", proxies, {"scale 1": {}})

if __name__ == "__main__":
    main(
        CONTRASTIVE, SEMI_HARD, LIFTED, LIFTED_SIMILARITY, BINOMIAL, MARGIN, NCA, WEIGHT, MULTI_SIMILARITY, PROXY_NCA,
        doc=__doc__, trials=2,
    )  # fmt: skip
