"""The Ray Data part of an extraction: images are read and decoded, and a pool of actors runs the backbones."""

import dataclasses
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from inspect import signature
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from sbir.data.dataset import Item
from sbir.data.items import TEXT_FEATURE, Array
from sbir.data.pictures import BrokenImage, picture, resized
from sbir.data.strokes import pen_points
from sbir.features.backbones import Backbone, State, features
from sbir.features.recipe import Recipe, feature_name
from sbir.features.texts import TextEncoder, TextState
from sbir.memory import keep_freed_memory

if TYPE_CHECKING:
    from ray.data import Dataset as RayDataset

BATCH = 64  # images at once up to BATCH_SIZE pixels, fewer above; also the unit that a killed extraction loses
BATCH_SIZE = 224
TEXT_BATCH = 64  # neighbouring rows, of which some are texts, of at most 512 tokens each

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
    decode = partial(_decode, forms=_forms(recipe), length=recipe.strokes)
    batches: RayDataset = ray.data.from_arrow(tables)
    # One process a core does both where there is no GPU to keep busy: it starts fewer processes, and copies less.
    apart = bool(gpus) or not recipe.backbones
    if apart:
        batches = batches.map_batches(decode, batch_size=None, batch_format="numpy", num_cpus=1)
    if not recipe.backbones:
        return batches
    made = (recipe, [ray.put(state) if state else None for state in states], None if apart else decode)
    return _through_actors(batches, _Extractor, made, gpus, actors)


def text_pipeline(
    texts: Sequence[tuple[int, str]], recipe: Recipe, state: TextState, workers: int | None
) -> "RayDataset":
    """Batches of `row`, `broken` and `text_feature` of captions, each with its row, in their order."""
    import pyarrow as pa
    import ray

    gpus, actors = count_actors(ray.cluster_resources(), workers)  # type: ignore[no-untyped-call]
    parts = [list(part) for _, part in groupby(texts, key=lambda entry: entry[0] // TEXT_BATCH)]
    tables = [pa.table({"row": [row for row, _ in part], "text": [text for _, text in part]}) for part in parts]
    made = (recipe.dtype, [ray.put(state)])
    return _through_actors(ray.data.from_arrow(tables), _TextExtractor, made, gpus, actors)


def _through_actors(batches: "RayDataset", actor: type, made: tuple[Any, ...], gpus: int, count: int) -> "RayDataset":
    """Batches through a pool of `count` actors, each with a core, and a GPU where there are any."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # see _no_restarts
        return batches.map_batches(
            actor,
            batch_size=None,
            batch_format="numpy",
            concurrency=count,
            fn_constructor_args=made,
            num_cpus=1,
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


def _decode(table: Table, forms: Mapping[str, Form], length: int | None) -> Table:
    """Rows with their images in each form that is wanted, and their strokes; broken ones are 0, with their reason."""
    count = len(table["row"])
    images = {form: np.zeros((count, form[0], form[0], 3), np.uint8) for form in forms.values()}
    strokes, num_points = np.zeros((count, length or 0, 3), np.float32), np.zeros(count, np.int32)
    reasons = [""] * count
    for position, (item, drawn) in enumerate(zip(table["item"], table["drawn"], strict=True)):
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
    return {"row": table["row"], "broken": broken} | points | named


def _forms(recipe: Recipe) -> dict[str, Form]:
    """Images by what takes them: `image` for the store, else a name that only the extractor knows."""
    found = {_seen(backbone): (backbone.size, backbone.preprocessing.bicubic) for backbone in recipe.backbones}
    return found | ({"image": (recipe.images, False)} if recipe.images is not None else {})


def _seen(backbone: Backbone) -> str:
    return f"seen {backbone.size} {backbone.preprocessing.bicubic}"


class _Extractor:
    """An actor with the networks in memory, which decodes images too where it is told how."""

    def __init__(
        self,
        recipe: Recipe,
        states: Sequence[Any],  # references in a list stay what they are
        decode: Callable[[Table], Table] | None,
    ) -> None:
        import ray
        import torch

        torch.set_num_threads(1)  # one actor a core: more threads would fight
        keep_freed_memory()
        self._recipe, self._decode, self._device = recipe, decode, "cuda" if ray.get_gpu_ids() else "cpu"
        built = [
            backbone.build(ray.get(state) if state else None)
            for backbone, state in zip(recipe.backbones, states, strict=True)
        ]
        self._networks = [network.to(self._device) for network in built]

    def __call__(self, batch: Table) -> Table:
        batch = self._decode(batch) if self._decode is not None else batch
        found = {feature_name(number): self._feature(number, batch) for number in range(len(self._networks))}
        return {name: values for name, values in batch.items() if not name.startswith("seen ")} | found

    def _feature(self, number: int, batch: Table) -> Array:
        backbone = self._recipe.backbones[number]
        images = np.require(batch[_seen(backbone)], requirements="W")  # what Ray hands on cannot be written to
        return _stored(
            features(self._networks[number], images, backbone.preprocessing, self._device), self._recipe.dtype
        )


class _TextExtractor:
    """An actor with the text encoder in memory."""

    def __init__(self, dtype: str, state: Sequence[Any]) -> None:  # as above
        import ray
        import torch

        torch.set_num_threads(1)
        keep_freed_memory()
        self._dtype, self._encoder = dtype, TextEncoder(ray.get(state[0]), "cuda" if ray.get_gpu_ids() else "cpu")

    def __call__(self, batch: Table) -> Table:
        feature = _stored(self._encoder(batch["text"].tolist()), self._dtype)
        return {"row": batch["row"], "broken": np.full(len(feature), "", object), TEXT_FEATURE: feature}


def _stored(feature: Array, dtype: str) -> Array:
    with np.errstate(over="ignore"):  # infinity is refused where the row is known
        return feature.astype(dtype)
