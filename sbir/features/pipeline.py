"""The Ray Data part of an extraction: tasks read and decode, a pool of actors runs the backbone."""

import dataclasses
import json
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np

from sbir.data.dataset import Item
from sbir.data.items import Array
from sbir.data.pictures import BrokenImage, pixels
from sbir.data.strokes import pen_points
from sbir.features.backbones import Backbone, State, features
from sbir.features.recipe import Recipe

if TYPE_CHECKING:
    from ray.data import Dataset as RayDataset

BATCH = 64  # images at once, and the unit that a killed extraction loses
DECODE_CPUS = 0.2  # of the core beside each CPU actor

Table = dict[str, Any]
Entry = tuple[int, Item, Item | None]  # its row, the item, and the one that holds its drawing where that is wanted


def pipeline(entries: Sequence[Entry], recipe: Recipe, state: State | None, workers: int | None) -> "RayDataset":
    """Batches of `row`, `broken` and the recipe's columns, in the order of the entries."""
    import ray

    gpus, actors = count_actors(ray.cluster_resources(), workers)  # type: ignore[no-untyped-call]
    tables = [_table(entries[start : start + BATCH]) for start in range(0, len(entries), BATCH)]
    decoded = ray.data.from_arrow(tables).map_batches(
        partial(_decode, recipe=recipe),
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=1 if gpus or recipe.backbone is None else DECODE_CPUS,
    )
    if recipe.backbone is None:
        return decoded
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # see _no_restarts
        return decoded.map_batches(
            _Extractor,
            batch_size=None,
            batch_format="numpy",
            concurrency=actors,
            fn_constructor_args=(recipe.backbone, [ray.put(state)] if state else []),
            # An actor leaves room for decoding on its core: were all cores taken, decoding would wait for ever.
            num_cpus=1 if gpus else 1 - DECODE_CPUS,
            num_gpus=1 if gpus else None,
            **_no_restarts(),
        )


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


def _decode(table: Any, recipe: Recipe) -> Table:
    """Rows with their images in each size that is wanted, and their strokes; broken ones are 0, with their reason."""
    count = table.num_rows
    images = {_sized(size): np.zeros((count, size, size, 3), np.uint8) for size in recipe.sizes}
    strokes = {
        name: np.zeros((count, *claim["shape"]), claim["dtype"])
        for name, claim in recipe.columns.items()
        if name in ("strokes", "num_points")
    }
    reasons = [""] * count
    for position, (item, drawn) in enumerate(zip(table["item"].to_pylist(), table["drawn"].to_pylist(), strict=True)):
        try:
            for size in recipe.sizes:
                images[_sized(size)][position] = pixels(Item(**json.loads(item)), size)
            if recipe.strokes is not None and drawn:
                found = pen_points(Item(**json.loads(drawn)), recipe.strokes)
                strokes["strokes"][position], strokes["num_points"][position] = found
        except BrokenImage as error:
            reasons[position] = str(error)
    broken = np.array(reasons, dtype=object)
    return {"row": table["row"].to_numpy(), "broken": broken} | strokes | _named(images, recipe)


def _sized(size: int) -> str:
    return f"pixels {size}"


def _named(images: Mapping[str, Array], recipe: Recipe) -> Table:
    """Images under the names of what takes them: `image` for the store, `network` for the backbone."""
    wanted = {"image": recipe.images, "network": recipe.backbone.size if recipe.backbone is not None else None}
    return {name: images[_sized(size)] for name, size in wanted.items() if size is not None}


class _Extractor:
    """An actor with the network in memory."""

    def __init__(self, network: Backbone, state: Sequence[Any]) -> None:  # a reference in a list stays one
        import ray
        import torch

        torch.set_num_threads(1)  # one actor a core: more threads would fight
        self._device = "cuda" if ray.get_gpu_ids() else "cpu"
        self._network = network.build(ray.get(state[0]) if state else None).to(self._device)

    def __call__(self, batch: Table) -> Table:
        feature = features(self._network, np.array(batch["network"]), self._device)
        return {name: values for name, values in batch.items() if name != "network"} | {"feature": feature}
