"""Writing a feature store, whole or not at all."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sbir.data.items import Array, Indices, Items, Payload, identity_error
from sbir.data.splits import split_hash
from sbir.data.store import (
    CHECKSUM,
    FORMAT,
    IDENTITY,
    MANIFEST,
    Manifest,
    arrow_type,
    content_hash,
    file_hash,
    first_not_finite,
    row_bytes,
    row_checksums,
)

FILE_BYTES = 4 << 30
GATHER_ROWS = 1024  # at once
DTYPES = ("float32", "float16", "uint8", "int32", "int64")


def write_store(
    path: str | Path,
    items: Items,
    *,
    dataset: str,
    synthetic: bool,
    given: str,
    backbone: Mapping[str, Any] | None = None,
    label_names: Sequence[str] = (),
    root: Path | None = None,
    seed: int = 0,
    file_bytes: int = FILE_BYTES,
) -> None:
    """Write items as a store, their rows in a random order given by `seed`, at most `file_bytes` of payload a file.

    `given` says what the features were made from and what the data tell (weights, pairs, labels); it travels with every
    figure. `label_names` are those of the columns of `labels`, where there are several labels an item. Nothing is at
    `path` before all of it is. `root` is where the pictures lie.
    Raises `ValueError` on a path that exists and on bad rows.
    """
    path = Path(path)
    check_new(path)
    _check_rows(items)
    order = np.random.default_rng(seed).permutation(len(items))
    with new_directory(path) as folder:
        columns = {name: _claim(column) for name, column in items.payload.items()}
        files = []
        for number, rows in enumerate(_parts(order, columns, file_bytes)):
            file = folder / f"part-{number:05d}.arrow"
            _write_file(file, items, rows, columns)
            files.append(
                {"name": file.name, "rows": len(rows), "bytes": file.stat().st_size, "sha256": file_hash(file)}
            )
        manifest = {
            "format": FORMAT,
            "dataset": dataset,
            "synthetic": synthetic,
            "given": given,
            "backbone": dict(backbone) if backbone is not None else None,
            "columns": columns,
            "num_rows": len(items),
            "num_rows_by_domain": {str(name): int((items.domain == name).sum()) for name in sorted(set(items.domain))},
            "class_names": list(items.class_names),
            **({"label_names": list(label_names)} if label_names else {}),
            "split_hash": split_hash(items.item_id, items.split),
            "files": files,
            "root": str(root.resolve()) if root is not None else None,
        }
        _write_manifest(folder, manifest)


def check_new(path: Path) -> None:
    """Refuse a path that exists: a store is never overwritten."""
    if path.exists():
        raise ValueError(f"a store is written to a new path, {path} exists; remove it or choose another")


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """A directory beside `path` that takes its name when the block ends well, and vanishes when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path.parent / f".{path.name}.{os.getpid()}.tmp"
    shutil.rmtree(folder, ignore_errors=True)  # of a dead process with our number
    folder.mkdir()
    try:
        yield folder
        folder.replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_rows(items: Items) -> None:
    if not len(items):
        raise ValueError("a store needs at least one row, got none")
    if not items.payload:
        raise ValueError("a store needs at least one payload column such as feature, got none")
    if (wrong := identity_error(items)) is not None:
        raise ValueError(f"item {items.item_id[wrong[0]]} (row {wrong[0]}): {wrong[1]}")
    for name, column in items.payload.items():
        if str(column.dtype) not in DTYPES:
            raise ValueError(f"column {name} must be one of {', '.join(DTYPES)}, got {column.dtype}; convert it")
        start = 0
        for block in column.blocks:
            if (row := first_not_finite(block)) is not None:
                raise ValueError(
                    f"column {name} must be finite, got NaN or infinity in item {items.item_id[start + row]}"
                )
            start += len(block)


def _claim(column: Payload) -> dict[str, Any]:
    return {"dtype": str(column.dtype), "shape": list(column.shape)}


def _parts(order: Indices, columns: Mapping[str, Any], file_bytes: int) -> Iterator[Indices]:
    step = max(1, file_bytes // max(1, sum(row_bytes(claim) for claim in columns.values())))
    for start in range(0, len(order), step):
        yield order[start : start + step]


def _write_file(path: Path, items: Items, rows: Indices, columns: Mapping[str, Any]) -> None:
    blocks = {name: _gathered(path.with_suffix(f".{name}"), items.payload[name], rows) for name in columns}
    arrays = [_identity_array(getattr(items, name)[rows]) for name in IDENTITY]
    arrays += [
        pa.FixedSizeListArray.from_arrays(pa.array(block.reshape(-1)), type=arrow_type(columns[name]))
        for name, block in blocks.items()
    ]
    arrays.append(pa.array(row_checksums(list(blocks.values()))))
    batch = pa.record_batch(arrays, names=[*IDENTITY, *columns, CHECKSUM])
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    for name in columns:
        path.with_suffix(f".{name}").unlink()


def _gathered(scratch: Path, column: Payload, rows: Indices) -> Array:
    """Rows of a column in their new order, in a mapped file: a record batch of gigabytes is not held in memory."""
    gathered = np.memmap(scratch, column.dtype, "w+", shape=(len(rows), *column.shape))
    for start in range(0, len(rows), GATHER_ROWS):
        part = rows[start : start + GATHER_ROWS]
        gathered[start : start + len(part)] = column.take(part)
    return gathered


def _identity_array(values: Array) -> pa.Array:
    return (
        pa.array(values.astype(np.int64))
        if values.dtype.kind in "iu"
        else pa.array(values.astype(str).tolist(), pa.string())
    )


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    text = json.dumps(manifest | {"content_hash": content_hash(manifest)}, indent=1)
    (folder / MANIFEST).write_text(text + "\n")
