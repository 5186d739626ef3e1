"""From a data set on disk to a feature store: Ray Data reads and decodes, a pool of actors runs the backbone."""

import dataclasses
import re
import warnings
from collections.abc import Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from sbir.data.items import Indices, Items, Payload
from sbir.data.pictures import BrokenImage, pixels
from sbir.data.ray_data import ray_data, running_ray
from sbir.data.readers import Dataset, Item, check_classes, identities, read_dataset
from sbir.data.store_write import check_new, write_store
from sbir.features.backbones import Backbone, State, normalise
from sbir.features.progress import meter
from sbir.features.weights import load_backbone
from sbir.features.work import Work

if TYPE_CHECKING:
    from ray.data import Dataset as RayDataset

BATCH = 64  # images at once, and the unit that a killed extraction loses
DECODE_CPUS = 0.2  # of the core beside each CPU actor

Table = dict[str, Any]


def extract(
    root: str | Path,
    out: str | Path,
    *,
    backbone: str = "vgg16",
    weights: str = "random",
    size: int = 224,
    seed: int = 0,
    skip_broken: bool = False,
    workers: int | None = None,
) -> Path:
    """Write the features of a data set to a new store at `out`, and return its path.

    `seed` is that of random weights and of the order of rows. Uses the Ray that is running, else a local one. Killed
    and started again, it goes on after the last finished batch. Raises `ValueError` before any work where the data
    set, the weights or the place are wrong, and `BrokenImage` at the first image that cannot be read.
    """
    out = Path(out)
    check_new(out)
    dataset = read_dataset(root)
    network, state = load_backbone(backbone, weights, size=size, seed=seed)
    with Work(out, dataset.items, network.describe()) as work:
        _refuse_broken(work.broken, skip_broken)
        if not work.done.all():
            with running_ray(), ray_data(whole_blocks=True):
                missing = np.flatnonzero(~work.done)
                _fill(work, _pipeline(dataset.items, missing, network, state, workers), skip_broken)
        _write(out, dataset, work, network, seed)
        work.remove()
    return out


def _fill(work: Work, pipeline: "RayDataset", skip_broken: bool) -> None:
    with meter(len(work.done), int(work.done.sum())) as progress:
        for batch in pipeline.iter_batches(batch_size=None, prefetch_batches=0):
            table = cast(Table, batch)
            broken = {int(row): str(why) for row, why in zip(table["row"], table["broken"], strict=True) if why}
            _refuse_broken(broken, skip_broken)
            work.add(table["row"], table["feature"], broken)
            progress.advance(len(table["row"]))


def _pipeline(
    items: Sequence[Item], rows: Indices, network: Backbone, state: State | None, workers: int | None
) -> "RayDataset":
    import ray

    gpus, actors = _actors(ray.cluster_resources(), workers)  # type: ignore[no-untyped-call]
    images = ray.data.from_arrow([_table(items, rows[start : start + BATCH]) for start in range(0, len(rows), BATCH)])
    decoded = images.map_batches(
        _decode,
        batch_size=None,
        batch_format="pyarrow",
        fn_kwargs={"size": network.size},
        num_cpus=1 if gpus else DECODE_CPUS,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # see _no_restarts
        return decoded.map_batches(
            _Extractor,
            batch_size=None,
            batch_format="numpy",
            concurrency=actors,
            fn_constructor_args=(network, [ray.put(state)] if state else []),
            # An actor leaves room for decoding on its core: were all cores taken, decoding would wait for ever.
            num_cpus=1 if gpus else 1 - DECODE_CPUS,
            num_gpus=1 if gpus else None,
            **_no_restarts(),
        )


def _actors(resources: Mapping[str, float], workers: int | None) -> tuple[int, int]:
    """GPUs, and how many actors run: one a GPU, else one a core. More would wait for ever."""
    gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
    room = gpus or cpus
    if workers is not None and not 1 <= workers <= room:
        raise ValueError(
            f"workers must be between 1 and the {room} {'GPUs' if gpus else 'cores'} there are, got {workers}"
        )
    return gpus, workers or room


def _table(items: Sequence[Item], rows: Indices) -> Any:
    import pyarrow as pa

    part = [items[row] for row in rows]
    offset = pa.array([item.offset for item in part], pa.int64())
    columns = {name: [getattr(item, name) for item in part] for name in ("item_id", "path")}
    return pa.table({"row": rows, **columns, "offset": offset})


def _no_restarts() -> dict[str, Any]:
    """Actors that may be restarted make Ray print an "error" per run; an interrupted extraction goes on anyway.

    Ray 2.60 calls this way of passing the option deprecated, has no other, and drops it in 2.64.
    """
    from ray.data import Dataset as RayDataset

    return {"max_restarts": 0} if "ray_remote_args" in signature(RayDataset.map_batches).parameters else {}


def _decode(table: Any, size: int = 0) -> Table:
    """Rows with `image` (B, size, size, 3) uint8; a broken one is black, with its reason in `broken`."""
    images = np.zeros((table.num_rows, size, size, 3), np.uint8)
    reasons = [""] * table.num_rows
    for position, row in enumerate(table.to_pylist()):
        item = Item(row["item_id"], "", "", None, row["path"], row["offset"])
        try:
            images[position] = pixels(item, size)
        except BrokenImage as error:
            reasons[position] = str(error)
    return {"row": table["row"].to_numpy(), "image": images, "broken": np.array(reasons, dtype=object)}


class _Extractor:
    """An actor with the network in memory."""

    def __init__(self, network: Backbone, state: Sequence[Any]) -> None:  # a reference in a list stays one
        import ray
        import torch

        torch.set_num_threads(1)  # one actor a core: more threads would fight
        self._device = "cuda" if ray.get_gpu_ids() else "cpu"
        self._network = (
            network.build(ray.get(state[0]) if state else None).to(self._device).to(memory_format=torch.channels_last)
        )

    def __call__(self, batch: Table) -> Table:
        import torch

        with torch.inference_mode():
            images = torch.from_numpy(np.array(batch["image"])).to(self._device)
            feature = self._network(normalise(images)).float().cpu().numpy()
        return {"row": batch["row"], "broken": batch["broken"], "feature": feature}


def _refuse_broken(broken: Mapping[int, str], skip_broken: bool) -> None:
    if broken and not skip_broken:
        reason = next(iter(broken.values()))
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        raise BrokenImage(f"{reason}{more}; mend or remove it, or leave such images out with --skip-broken")


def _write(out: Path, dataset: Dataset, work: Work, network: Backbone, seed: int) -> None:
    kept = [row for row in range(len(dataset.items)) if row not in work.broken]
    items = [dataset.items[row] for row in kept]
    check_classes(dataset.root, items)  # broken images may have been a class's only ones
    feature = work.feature if not work.broken else work.feature[kept]
    rows: Items = dataclasses.replace(identities(items), payload={"feature": Payload([feature])})
    backbone = network.describe() | {"imagenet_overlap": imagenet_overlap(rows.class_names)}
    told = "class labels and sketch-photo pairs" if _paired(items) else "class labels"
    write_store(
        out,
        rows,
        dataset=dataset.name,
        synthetic=dataset.synthetic,
        given=f"{network.name} features, weights {network.weights}, {network.size} px; {told}",
        backbone=backbone,
        root=dataset.root,
        seed=seed,
    )


def _paired(items: Sequence[Item]) -> bool:
    return any(item.domain == "sketch" and item.instance is not None for item in items)


def imagenet_overlap(class_names: Sequence[str]) -> list[str]:
    """Classes whose name is, or ends, the name of an ImageNet-1k category: "cat" for "tabby cat". A lower bound."""
    from torchvision.models import VGG16_Weights

    categories = [str(name).lower() for name in VGG16_Weights.IMAGENET1K_V1.meta["categories"]]
    known = {" ".join(words[start:]) for name in categories for words in [name.split()] for start in range(len(words))}
    return [name for name in class_names if re.sub(r"[^a-z0-9]+", " ", name.lower()).strip() in known]
