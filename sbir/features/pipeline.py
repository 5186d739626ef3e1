"""The Ray Data part of an extraction: tasks read and decode, a pool of actors runs the backbone."""

import dataclasses
import json
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from inspect import signature
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from sbir.data.dataset import Item
from sbir.data.items import Array
from sbir.data.pictures import BrokenImage, picture, resized
from sbir.data.strokes import pen_points
from sbir.features.backbones import Backbone, State, features
from sbir.features.recipe import Recipe, feature_name

if TYPE_CHECKING:
    from ray.data import Dataset as RayDataset

BATCH = 64  # images at once up to BATCH_SIZE pixels, fewer above; also the unit that a killed extraction loses
BATCH_SIZE = 224
DECODE_CPUS = 0.2  # of the core beside each CPU actor

Table = dict[str, Any]
Form = tuple[int, bool]  # of decoded images: pixels of a side, and whether resampled bicubically
Entry = tuple[int, Item, Item | None]  # its row, the item, and the one that holds its drawing where that is wanted


def pipeline(
    entries: Sequence[Entry], recipe: Recipe, states: Sequence[State | None], workers: int | None
) -> "RayDataset":
    """Batches of `row`, `broken` and the recipe's columns, in the order of the entries."""
    import ray

    gpus, actors = count_actors(ray.cluster_resources(), workers)  # type: ignore[no-untyped-call]
    # The last bits of a feature depend on its batch: these are the same ones whatever is left to do.
    at_once = batch_rows(recipe)
    tables = [_table(list(part)) for _, part in groupby(entries, key=lambda entry: entry[0] // at_once)]
    decoded = ray.data.from_arrow(tables).map_batches(
        partial(_decode, forms=_forms(recipe), length=recipe.strokes),
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=1 if gpus or not recipe.backbones else DECODE_CPUS,
    )
    if not recipe.backbones:
        return decoded
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # see _no_restarts
        return decoded.map_batches(
            _Extractor,
            batch_size=None,
            batch_format="numpy",
            concurrency=actors,
            fn_constructor_args=(recipe, [ray.put(state) if state else None for state in states]),
            # An actor leaves room for decoding on its core: were all cores taken, decoding would wait for ever.
            num_cpus=1 if gpus else 1 - DECODE_CPUS,
            num_gpus=1 if gpus else None,
            **_no_restarts(),
        )


def batch_rows(recipe: Recipe) -> int:
    """Images of one batch, so that memory does not grow with their size."""
    size = max([BATCH_SIZE, recipe.images or 0, *(backbone.size for backbone in recipe.backbones)])
    return max(1, BATCH * BATCH_SIZE**2 // size**2)


def count_actors(resources: Mapping[str, float], workers: int | None) -> tuple[int, int]:
    """GPUs, and how many actors run: one a GPU, else one a core. More would wait for ever."""
    gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
    room = gpus or cpus
    if workers is not None and not 1 <= workers <= room:
        raise ValueError(
            f"workers must be between 1 and the {room} {'GPUs' if gpus else 'cores'} there are, got {workers}"
        )
    return gpus, workers or room


def _table(entries: Sequence[Entry]) -> Any:
    import pyarrow as pa

    rows, items, drawn = zip(*entries, strict=True)
    return pa.table({"row": rows, "item": list(map(_text, items)), "drawn": list(map(_text, drawn))})


def _text(item: Item | None) -> str:
    return json.dumps(dataclasses.asdict(item)) if item is not None else ""


def _no_restarts() -> dict[str, Any]:
    """Actors that may be restarted make Ray print an "error" per run; an interrupted extraction goes on anyway.

    Ray 2.60 calls this way of passing the option deprecated, has no other, and drops it in 2.64.
    """
    from ray.data import Dataset as RayDataset

    return {"max_restarts": 0} if "ray_remote_args" in signature(RayDataset.map_batches).parameters else {}


def _decode(table: Any, forms: Mapping[str, Form], length: int | None) -> Table:
    """Rows with their images in each form that is wanted, and their strokes; broken ones are 0, with their reason."""
    count = table.num_rows
    images = {form: np.zeros((count, form[0], form[0], 3), np.uint8) for form in forms.values()}
    strokes, num_points = np.zeros((count, length or 0, 3), np.float32), np.zeros(count, np.int32)
    reasons = [""] * count
    for position, (item, drawn) in enumerate(zip(table["item"].to_pylist(), table["drawn"].to_pylist(), strict=True)):
        try:
            if images:
                whole = picture(Item(**json.loads(item)))
                for (size, bicubic), block in images.items():
                    block[position] = resized(whole, size, bicubic=bicubic)
            if length is not None and drawn:
                strokes[position], num_points[position] = pen_points(Item(**json.loads(drawn)), length)
        except BrokenImage as error:
            reasons[position] = str(error)
    broken = np.array(reasons, dtype=object)
    points = {"strokes": strokes, "num_points": num_points} if length is not None else {}
    named = {name: images[form] for name, form in forms.items()}
    return {"row": table["row"].to_numpy(), "broken": broken} | points | named


def _forms(recipe: Recipe) -> dict[str, Form]:
    """Images by what takes them: `image` for the store, else a name that only the extractor knows."""
    found = {_seen(backbone): (backbone.size, backbone.preprocessing.bicubic) for backbone in recipe.backbones}
    return found | ({"image": (recipe.images, False)} if recipe.images is not None else {})


def _seen(backbone: Backbone) -> str:
    return f"seen {backbone.size} {backbone.preprocessing.bicubic}"


class _Extractor:
    """An actor with the networks in memory."""

    def __init__(self, recipe: Recipe, states: Sequence[Any]) -> None:  # references in a list stay what they are
        import ray
        import torch

        torch.set_num_threads(1)  # one actor a core: more threads would fight
        self._recipe, self._device = recipe, "cuda" if ray.get_gpu_ids() else "cpu"
        built = [
            backbone.build(ray.get(state) if state else None)
            for backbone, state in zip(recipe.backbones, states, strict=True)
        ]
        self._networks = [network.to(self._device) for network in built]

    def __call__(self, batch: Table) -> Table:
        found = {feature_name(number): self._feature(number, batch) for number in range(len(self._networks))}
        return {name: values for name, values in batch.items() if not name.startswith("seen ")} | found

    def _feature(self, number: int, batch: Table) -> Array:
        backbone = self._recipe.backbones[number]
        images = np.array(batch[_seen(backbone)])
        feature: Array = features(self._networks[number], images, backbone.preprocessing, self._device)
        with np.errstate(over="ignore"):  # infinity is refused where the row is known
            return feature.astype(self._recipe.dtype)
