"""Features that are there already, turned into a store: arrays in `.npz` files, or a published set of features."""

import dataclasses
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sbir.data.dataset import Item, check_classes, identities
from sbir.data.items import Array, Payload
from sbir.data.readers import listed, with_split
from sbir.data.sets.files import unique
from sbir.data.sets.ready import read_ready
from sbir.data.store_write import check_new, write_store

NEEDED, OPTIONAL = ("feature", "class"), ("instance", "id")
READY_FILE_BYTES = 512 << 20  # rows are gathered in memory a file at a time, and published sets have gigabytes


def import_arrays(
    sketches: str | Path,
    photos: str | Path,
    out: str | Path,
    *,
    split: str | Path | None = None,
    name: str | None = None,
    given: str | None = None,
    seed: int = 0,
) -> None:
    """Write two `.npz` files of n rows each as a store.

    `feature` (n, D) float, `class` (n,) strings or numbers, optionally `instance` (n,), which a sketch and its own
    photo share (empty or -1: none), and `id` (n,). `split` is a file with class lists as in `split_file`; without one
    the split is that of `zero_shot:0`. float64 is stored as float32. Raises `ValueError` where lengths, widths or
    classes disagree.
    """
    sketches, photos, out = Path(sketches), Path(photos), Path(out)
    check_new(out)
    columns = {"sketch": _read(sketches), "photo": _read(photos)}
    widths = {domain: column["feature"].shape[1] for domain, column in columns.items()}
    if widths["sketch"] != widths["photo"]:
        raise ValueError(f"sketch and photo features must have one width, got {widths['sketch']} and {widths['photo']}")
    items = [item for domain, column in columns.items() for item in _items(domain, column)]
    check_classes(out, items)
    rows = identities(_with_split(items, Path(split) if split is not None else None, sketches.parent))
    dtype = np.result_type(*(column["feature"].dtype for column in columns.values()))
    blocks = [column["feature"].astype(dtype, copy=False) for column in columns.values()]
    paired = any(item.domain == "sketch" and item.instance is not None for item in items)
    told = "class labels and sketch-photo pairs" if paired else "class labels"
    write_store(
        out,
        dataclasses.replace(rows, payload={"feature": Payload(blocks)}),
        dataset=name or out.name,
        synthetic=False,
        given=f"{given or 'imported features'}; {told}",
        seed=seed,
    )


def import_ready(
    root: str | Path, out: str | Path, *, split: str | Path | None = None, name: str | None = None, seed: int = 0
) -> None:
    """Write a folder of published features (`ready.read_ready`) as a store.

    `split` is a file or a published split, else the data set's own, else that of `zero_shot:0`. Raises `ValueError`
    where the folder is no such set.
    """
    out = Path(out)
    check_new(out)
    ready = read_ready(root)
    unique([item.item_id for item in ready.dataset.items], ready.dataset.root, "item")
    check_classes(ready.dataset.root, ready.dataset.items, ready.dataset.domains)
    dataset = with_split(ready.dataset, split)
    write_store(
        out,
        dataclasses.replace(identities(dataset.items), payload={"feature": Payload(ready.feature)}),
        dataset=name or dataset.name,
        synthetic=False,
        given=f"{ready.given}; class labels and pairs",
        seed=seed,
        file_bytes=READY_FILE_BYTES,
    )


def _read(path: Path) -> dict[str, Array]:
    arrays = _load(path)
    missing = [key for key in NEEDED if key not in arrays]
    if missing:
        raise ValueError(
            f"{path} must have the arrays feature and class, {', '.join(missing)} missing, got {sorted(arrays)}"
        )
    feature = arrays["feature"]
    if feature.ndim != 2 or feature.dtype.kind != "f" or 0 in feature.shape:
        raise ValueError(f"{path}: feature must be (rows, width) of floats, got {feature.shape} of {feature.dtype}")
    for key in arrays.keys() - {"feature"}:
        if arrays[key].shape != (len(feature),):
            raise ValueError(
                f"{path}: {key} must have one entry for each of the {len(feature)} features, got {arrays[key].shape}"
            )
    return arrays | {"feature": feature if feature.dtype == np.float16 else feature.astype(np.float32)}


def _load(path: Path) -> dict[str, Array]:
    """The arrays by name; objects, which only pickle can store, are refused and never unpickled."""
    try:
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("a single array")
            return {key: file[key] for key in (*NEEDED, *OPTIONAL) if key in file.files}
    except FileNotFoundError:
        raise ValueError(f"arrays come in an .npz file, {path} does not exist") from None
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path} must be an .npz file of plain arrays (strings: dtype=str), got: {reason}") from None


def _items(domain: str, arrays: dict[str, Array]) -> list[Item]:
    count = len(arrays["feature"])
    ids = arrays.get("id", np.arange(count)).astype(str)
    instances = arrays.get("instance", np.full(count, -1)).astype(str)
    return [
        Item(f"{domain}/{own}", domain, str(class_name), None if instance in ("", "-1") else str(instance), "")
        for own, class_name, instance in zip(ids, arrays["class"].astype(str), instances, strict=True)
    ]


def _with_split(items: Sequence[Item], split: Path | None, folder: Path) -> list[Item]:
    parts = listed(items, split, folder)
    return [dataclasses.replace(item, split=part) for item, part in zip(items, parts, strict=True)]
