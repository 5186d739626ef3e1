"""From a data set on disk to a feature store, whole or not at all, and taken up again after a kill."""

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sbir.data.dataset import Dataset, check_classes, identities, told_columns
from sbir.data.items import TEXT_FEATURE, Array, Items, Payload
from sbir.data.pictures import BrokenImage
from sbir.data.ray_data import ray_data, running_ray
from sbir.data.readers import read_dataset
from sbir.data.store_write import check_new, new_directory, write_store
from sbir.data.strokes import drawn_items
from sbir.features.backbones import Backbone, State
from sbir.features.pipeline import pipeline, text_pipeline
from sbir.features.progress import meter
from sbir.features.recipe import Recipe
from sbir.features.texts import TextBackbone, TextState, load_text_backbone
from sbir.features.weights import load_backbone
from sbir.features.work import Work, file_state


def extract(
    root: str | Path,
    out: str | Path,
    *,
    backbone: str = "vgg16",
    text_backbone: str | None = None,
    weights: str | None = "random",
    size: int | None = None,
    dtype: str = "float32",
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
    `strokes` also `strokes` of so many points and `num_points`, zeros in the rows of texts; with a `text_backbone`
    ("hf:FOLDER" or "hf:NAME") also `text_feature`, zeros in all other rows. Several backbones, with commas between
    them, give several stores, named by them in the folder `out`; `weights` may then have commas too. `name`, `split`
    and `variant` are those of `read_dataset`. `seed` is that of random weights and of the order of rows. Uses the Ray
    that is running, else a local one. Killed and started again, it goes on after the last finished batch. Raises
    `ValueError` before any work where the data set, the weights or the place are wrong, and `BrokenImage` at the first
    image that cannot be read.
    """
    out = Path(out)
    check_new(out)
    dataset = read_dataset(root, name=name, split=split, variant=variant)
    is_text = np.array([item.domain == "text" for item in dataset.items])
    texts, text_state = _load_texts(text_backbone, is_text) if text_backbone is not None else (None, None)
    networks, states = _load(backbone, weights, size, seed)
    recipe = Recipe(networks, images, strokes, dtype, seed, texts)
    drawn = drawn_items(dataset) if strokes is not None else [None] * len(dataset.items)
    drawings = {item.path: file_state(item.path) for item in drawn if item is not None}
    with Work(out, dataset.items, recipe.describe() | {"drawings": drawings}) as work:
        work.done |= ~np.where(is_text, texts is not None, bool(recipe.of_pictures))
        _refuse_broken(work.broken, skip_broken)
        if not work.done.all():
            with running_ray(), ray_data(whole_blocks=True):
                if len(rows := np.flatnonzero(~work.done & ~is_text)):
                    entries = [(int(row), dataset.items[row], drawn[row]) for row in rows]
                    _fill(work, pipeline(entries, recipe, states, workers), recipe.of_pictures, skip_broken)
                if text_state is not None and len(rows := np.flatnonzero(~work.done & is_text)):
                    captions = [(int(row), dataset.items[row].text) for row in rows]
                    _fill(work, text_pipeline(captions, recipe, text_state, workers), [TEXT_FEATURE], skip_broken)
        _write(out, dataset, work, recipe)
        work.remove()
    return out


def _load(
    backbone: str, weights: str | None, size: int | None, seed: int
) -> tuple[tuple[Backbone, ...], list[State | None]]:
    if backbone == "none":
        return (), []
    names, sources = backbone.split(","), weights.split(",") if weights else [None]
    if len(sources) not in (1, len(names)):
        raise ValueError(f"weights must be one for all {len(names)} backbones or one for each, got {weights}")
    each = sources * len(names) if len(sources) == 1 else sources
    loaded = [load_backbone(name, source, size=size, seed=seed) for name, source in zip(names, each, strict=True)]
    return tuple(network for network, _ in loaded), [state for _, state in loaded]


def _load_texts(name: str, is_text: NDArray[np.bool_]) -> tuple[TextBackbone, TextState]:
    if not is_text.any():
        raise ValueError(
            f"a text backbone needs a data set with texts, this has none; leave out --text-backbone {name}, or choose "
            "the language of captions with --variant text=en"
        )
    return load_text_backbone(name)


def _fill(work: Work, batches: Any, columns: Collection[str], skip_broken: bool) -> None:
    with meter(len(work.done), int(work.done.sum())) as progress:
        for batch in batches.iter_batches(batch_size=None, prefetch_batches=0):
            table = cast(dict[str, Any], batch)
            broken = {int(row): str(why) for row, why in zip(table["row"], table["broken"], strict=True) if why}
            _refuse_broken(broken, skip_broken)
            work.add(table["row"], {name: table[name] for name in columns}, broken)
            progress.advance(len(table["row"]))


def _write(out: Path, dataset: Dataset, work: Work, recipe: Recipe) -> None:
    kept = [row for row in range(len(dataset.items)) if row not in work.broken]
    items = [dataset.items[row] for row in kept]
    # Broken images may have been a class's only ones.
    check_classes(dataset.root, items, dataset.domains, dataset.least_classes)
    rows = dataclasses.replace(identities(items), payload=told_columns(items))
    if len(recipe.backbones) < 2:
        _write_one(out, dataset, rows, work, recipe)
        return
    with new_directory(out) as folder:
        for number, name in enumerate(recipe.folders):
            _write_one(folder / name, dataset, rows, work, recipe, number)


def _write_one(path: Path, dataset: Dataset, rows: Items, work: Work, recipe: Recipe, number: int = 0) -> None:  # noqa: PLR0917
    """The store of one backbone."""
    own = recipe.columns_of(number).items()
    payload = {name: Payload(_without(work.columns[column], work.broken)) for name, column in own}
    backbone = recipe.backbones[number] if recipe.backbones else None
    overlap = {"imagenet_overlap": imagenet_overlap(rows.class_names)} if backbone else {}
    told = [f"texts ({dataset.language})"] * bool(dataset.language) + [_told(rows)]
    write_store(
        path,
        dataclasses.replace(rows, payload=payload | dict(rows.payload)),
        dataset=dataset.name,
        synthetic=dataset.synthetic,
        given=f"{recipe.given(backbone)}; {'; '.join(told)}",
        backbone=recipe.about(backbone) | overlap or None,
        label_names=dataset.label_names,
        root=dataset.root,
        seed=recipe.seed,
    )


def _refuse_broken(broken: Mapping[int, str], skip_broken: bool) -> None:
    if broken and not skip_broken:
        reason = next(iter(broken.values()))
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        raise BrokenImage(f"{reason}{more}; mend or remove it, or leave such images out with --skip-broken")


def _without(column: Array, broken: Collection[int]) -> list[Array]:
    """The rows of a mapped column that are not broken, as views between them."""
    bounds = [-1, *sorted(broken), len(column)]
    return [column[low + 1 : high] for low, high in pairwise(bounds) if high > low + 1]


def _told(rows: Items) -> str:
    """What the data set says of its items."""
    paired = [domain for domain in ("sketch", "text") if ((rows.domain == domain) & (rows.instance_id >= 0)).any()]
    labels = "several labels an item" if "labels" in rows.payload else "class labels"
    return " and ".join([labels, *(f"{domain}-photo pairs" for domain in paired)])


def imagenet_overlap(class_names: Sequence[str]) -> list[str]:
    """Classes whose name is, or ends, the name of an ImageNet-1k category: "cat" for "tabby cat". A lower bound."""
    from torchvision.models import VGG16_Weights

    categories = [str(name).lower() for name in VGG16_Weights.IMAGENET1K_V1.meta["categories"]]
    known = {" ".join(words[start:]) for name in categories for words in [name.split()] for start in range(len(words))}
    return [name for name in class_names if re.sub(r"[^a-z0-9]+", " ", name.lower()).strip() in known]
