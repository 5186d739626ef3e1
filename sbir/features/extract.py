"""From a data set on disk to a feature store, whole or not at all, and taken up again after a kill."""

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np

from sbir.data.dataset import Dataset, Item, check_classes, identities, told_columns
from sbir.data.items import Array, Items, Payload
from sbir.data.pictures import BrokenImage
from sbir.data.ray_data import ray_data, running_ray
from sbir.data.readers import read_dataset
from sbir.data.store_write import check_new, write_store
from sbir.data.strokes import drawn_items
from sbir.features.pipeline import pipeline
from sbir.features.progress import meter
from sbir.features.recipe import Recipe
from sbir.features.weights import load_backbone
from sbir.features.work import Work


def extract(
    root: str | Path,
    out: str | Path,
    *,
    backbone: str = "vgg16",
    weights: str = "random",
    size: int = 224,
    images: int | None = None,
    strokes: int | None = None,
    seed: int = 0,
    skip_broken: bool = False,
    workers: int | None = None,
    name: str | None = None,
    split: str | None = None,
    variant: str | None = None,
) -> Path:
    """Write a data set to a new store at `out`, in one pass over its images, and return its path.

    Payload columns: `feature` of the `backbone` ("none": without), with `images` also `image` of so many pixels, with
    `strokes` also `strokes` of so many points and `num_points`; texts have none of these (zeros). `name`,
    `split` and `variant` are those of `read_dataset`. `seed` is that of random weights and of the order of
    rows. Uses the Ray that is running, else a local one. Killed and started again, it goes on after the last finished
    batch. Raises `ValueError` before any work where the data set, the weights or the place are wrong, and `BrokenImage`
    at the first image that cannot be read.
    """
    out = Path(out)
    check_new(out)
    dataset = read_dataset(root, name=name, split=split, variant=variant)
    network, state = load_backbone(backbone, weights, size=size, seed=seed) if backbone != "none" else (None, None)
    recipe = Recipe(network, images, strokes)
    drawn = drawn_items(dataset) if strokes is not None else [None] * len(dataset.items)
    with Work(out, dataset.items, recipe.describe()) as work:
        work.done |= np.array([item.domain == "text" for item in dataset.items])
        _refuse_broken(work.broken, skip_broken)
        if not work.done.all():
            with running_ray(), ray_data(whole_blocks=True):
                entries = [(int(row), dataset.items[row], drawn[row]) for row in np.flatnonzero(~work.done)]
                _fill(work, pipeline(entries, recipe, state, workers), skip_broken)
        _write(out, dataset, work, recipe, seed)
        work.remove()
    return out


def _fill(work: Work, batches: Any, skip_broken: bool) -> None:
    with meter(len(work.done), int(work.done.sum())) as progress:
        for batch in batches.iter_batches(batch_size=None, prefetch_batches=0):
            table = cast(dict[str, Any], batch)
            broken = {int(row): str(why) for row, why in zip(table["row"], table["broken"], strict=True) if why}
            _refuse_broken(broken, skip_broken)
            work.add(table["row"], table, broken)
            progress.advance(len(table["row"]))


def _refuse_broken(broken: Mapping[int, str], skip_broken: bool) -> None:
    if broken and not skip_broken:
        reason = next(iter(broken.values()))
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        raise BrokenImage(f"{reason}{more}; mend or remove it, or leave such images out with --skip-broken")


def _write(out: Path, dataset: Dataset, work: Work, recipe: Recipe, seed: int) -> None:
    kept = [row for row in range(len(dataset.items)) if row not in work.broken]
    items = [dataset.items[row] for row in kept]
    # Broken images may have been a class's only ones.
    check_classes(dataset.root, items, dataset.domains, dataset.least_classes)
    payload = {name: Payload(_without(column, work.broken)) for name, column in work.columns.items()}
    rows: Items = dataclasses.replace(identities(items), payload=payload | told_columns(items))
    told = "class labels and sketch-photo pairs" if _paired(items) else "class labels"
    backbone = recipe.backbone
    write_store(
        out,
        rows,
        dataset=dataset.name,
        synthetic=dataset.synthetic,
        given=f"{recipe.given()}; {told}",
        backbone=backbone.describe() | {"imagenet_overlap": imagenet_overlap(rows.class_names)} if backbone else None,
        root=dataset.root,
        seed=seed,
    )


def _without(column: Array, broken: Collection[int]) -> list[Array]:
    """The rows of a mapped column that are not broken, as views between them."""
    bounds = [-1, *sorted(broken), len(column)]
    return [column[low + 1 : high] for low, high in pairwise(bounds) if high > low + 1]


def _paired(items: Sequence[Item]) -> bool:
    return any(item.domain == "sketch" and item.instance is not None for item in items)


def imagenet_overlap(class_names: Sequence[str]) -> list[str]:
    """Classes whose name is, or ends, the name of an ImageNet-1k category: "cat" for "tabby cat". A lower bound."""
    from torchvision.models import VGG16_Weights

    categories = [str(name).lower() for name in VGG16_Weights.IMAGENET1K_V1.meta["categories"]]
    known = {" ".join(words[start:]) for name in categories for words in [name.split()] for start in range(len(words))}
    return [name for name in class_names if re.sub(r"[^a-z0-9]+", " ", name.lower()).strip() in known]
