"""The feature store: a directory with `manifest.json` and Arrow IPC files of one record batch each, read by mapping."""

import hashlib
import json
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa

from sbir.data.items import Array, Items, Payload, identity_error

FORMAT = "sbir-store-1"
MANIFEST = "manifest.json"
IDENTITY = ("item_id", "domain", "class_id", "instance_id", "split")
CHECKSUM = "checksum"  # uint32 per row: CRC-32 of the payload's bytes, so that a damaged row can be named

Manifest = dict[str, Any]
_HASHED = ("format", "dataset", "synthetic", "columns", "num_rows", "class_names", "backbone", "given", "files")


class StoreError(ValueError):
    """A store that is not what its manifest claims; the text names the file and, where there is one, the row."""


@dataclass(frozen=True)
class Store:
    """An open store."""

    path: Path
    manifest: Manifest

    @property
    def files(self) -> list[Path]:
        """The Arrow files, in the order of their rows."""
        return [self.path / str(file["name"]) for file in self.manifest["files"]]

    @property
    def num_bytes(self) -> int:
        """Bytes of all Arrow files together."""
        return sum(int(file["bytes"]) for file in self.manifest["files"])

    def column_bytes(self, columns: Collection[str]) -> int:
        """Bytes of some payload columns."""
        claims = [self.manifest["columns"][name] for name in columns]
        return int(self.manifest["num_rows"]) * sum(row_bytes(claim) for claim in claims)

    def items(self) -> Items:
        """All rows, the payload memory-mapped."""
        return items_from_tables([read_table(file) for file in self.files], self.manifest)


def open_store(path: str | Path) -> Store:
    """Open a store after cheap checks: manifest, files, their sizes, columns, row counts and identities.

    Raises `StoreError` (a `ValueError`) with file and row. Payload bytes are not read: `verify_store` does that.
    """
    path = Path(path)
    store = Store(path, read_manifest(path))
    tables = [_checked_table(store, file) for file in store.manifest["files"]]
    items = items_from_tables(tables, store.manifest)
    if (wrong := identity_error(items)) is not None:
        fail(path / MANIFEST, f"{_place(store, wrong[0])}: {wrong[1]}")
    return store


def verify_store(path: str | Path) -> Store:
    """Open a store and read all of it: every byte against its hash, every payload entry for NaN and infinity."""
    store = open_store(path)
    for file, name in zip(store.manifest["files"], store.files, strict=True):
        table = read_table(name)
        damaged = file["sha256"] != file_hash(name)
        checksums = table[CHECKSUM].to_numpy()
        columns = {column: _block(table, column, store.manifest) for column in store.manifest["columns"]}
        if damaged and len(bad := np.flatnonzero(row_checksums(list(columns.values())) != checksums)):
            fail(name, f"row {bad[0]} does not match its checksum: the file has changed since it was written")
        for column, block in columns.items():
            if (row := first_not_finite(block)) is not None:
                fail(name, f"row {row} of column {column} must be finite, got NaN or infinity")
        if damaged:
            fail(name, "does not match the manifest's sha256: the file has changed since it was written")
    return store


def items_from_tables(tables: Sequence[pa.Table], manifest: Manifest) -> Items:
    """Rows of Arrow tables in the store's layout, wherever they lie: the payload is not copied.

    Works on mapped files and on tables out of Ray's object store alike; these may hold some of the columns only.
    """
    identity = {name: _identity(tables, name) for name in IDENTITY}
    payload = {
        name: Payload([_chunk(chunk, claim) for table in tables for chunk in table[name].chunks])
        for name, claim in manifest["columns"].items()
        if name in tables[0].column_names
    }
    return Items(**identity, class_names=tuple(manifest["class_names"]), payload=payload)


def read_manifest(path: Path) -> Manifest:
    """The manifest of a store, checked against its own content hash."""
    if not path.is_dir():
        raise StoreError(f"a store is a directory with {MANIFEST}, {path} is not a directory")
    try:
        manifest = json.loads((path / MANIFEST).read_text())
    except FileNotFoundError:
        fail(path, f"a store needs {MANIFEST}, there is none; make a store with `sbir features` or `sbir store import`")
    except ValueError as error:
        fail(path / MANIFEST, f"is not JSON: {error}")
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        fail(path / MANIFEST, f"format must be {FORMAT}, got {found}; write the store again with this version")
    missing = [key for key in (*_HASHED, "split_hash", "content_hash") if key not in manifest]
    if missing or manifest["content_hash"] != content_hash(manifest):
        fail(path / MANIFEST, f"does not match its content hash{f' (missing: {missing})' if missing else ''}; "
             "it was edited or cut short, write the store again")  # fmt: skip
    return dict(manifest)


def content_hash(manifest: Mapping[str, Any]) -> str:
    """Sixteen hex digits over everything that a store holds, its file hashes included."""
    claims = json.dumps({key: manifest[key] for key in _HASHED}, sort_keys=True)
    return hashlib.sha256(claims.encode()).hexdigest()[:16]


def check_backbone(manifest: Mapping[str, Any], expected: Mapping[str, Any] | None) -> None:
    """Refuse a store whose features come from another backbone than `expected`, the one that a model was trained on."""
    found, wanted = manifest["backbone"] or {}, expected or {}
    keys = ("name", "weights", "size", "layers") + ("text",) * ("text" in wanted)
    other = [key for key in keys if found.get(key) != wanted.get(key)]
    if other:
        wants, has = ({key: which.get(key) for key in other} for which in (wanted, found))
        raise StoreError(
            f"the features must come from the model's own backbone {wants}, got {has}; extract them with it"
        )


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def row_checksums(blocks: Sequence[Array]) -> Array:
    """CRC-32 of each row over all payload columns, in the order of the manifest, (n,) uint32."""
    flat = [np.ascontiguousarray(block).reshape(len(block), -1).view(np.uint8) for block in blocks]
    sums = np.zeros(len(blocks[0]) if blocks else 0, np.uint32)
    for row in range(len(sums)):
        for block in flat:
            sums[row] = zlib.crc32(block[row], int(sums[row]))
    return sums


def first_not_finite(block: Array) -> int | None:
    """The first row with NaN or infinity, looked for in slices so that a mapped file stays mapped."""
    if block.dtype.kind != "f":
        return None
    for start in range(0, len(block), 4096):
        rows = block[start : start + 4096]
        if not np.isfinite(rows.sum(dtype=np.float64)):  # one pass without a temporary, in the usual case
            finite = np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
            if not finite.all():
                return start + int(np.argmin(finite))
    return None


def read_table(path: Path) -> pa.Table:
    """A mapped Arrow IPC file; raises `StoreError` where it is cut short or not Arrow."""
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        fail(path, f"is not a whole Arrow file ({str(error).splitlines()[0]})")


def fail(path: Path, rule: str) -> NoReturn:
    """Raise a `StoreError` about one file."""
    raise StoreError(f"{path}: {rule}")


def _checked_table(store: Store, file: Mapping[str, Any]) -> pa.Table:
    path = store.path / file["name"]
    size = path.stat().st_size if path.is_file() else None
    if size != file["bytes"]:
        fail(
            path,
            f"must have {file['bytes']} bytes, " + ("is missing" if size is None else f"got {size}: it was cut short"),
        )
    table = read_table(path)
    if table.num_rows != file["rows"]:
        fail(path, f"must have {file['rows']} rows, got {table.num_rows}")
    expected = (*IDENTITY, *store.manifest["columns"], CHECKSUM)
    if tuple(table.column_names) != expected:
        fail(path, f"must have the columns {', '.join(expected)}, got {', '.join(table.column_names)}")
    for name, claim in store.manifest["columns"].items():
        if table.schema.field(name).type != arrow_type(claim):
            fail(path, f"column {name} must be {arrow_type(claim)}, got {table.schema.field(name).type}")
    return table


def arrow_type(claim: Mapping[str, Any]) -> pa.DataType:
    """The flat fixed-size list that holds one row of a payload column."""
    return pa.list_(pa.from_numpy_dtype(np.dtype(claim["dtype"])), int(np.prod(claim["shape"], dtype=int)))


def row_bytes(claim: Mapping[str, Any]) -> int:
    """Bytes of one row of a payload column."""
    return int(np.dtype(claim["dtype"]).itemsize) * int(np.prod(claim["shape"], dtype=int))


def _place(store: Store, row: int) -> str:
    for file in store.manifest["files"]:
        if row < file["rows"]:
            return f"{file['name']}, row {row}"
        row -= file["rows"]
    raise AssertionError("a row beyond the last file")


def _identity(tables: Sequence[pa.Table], name: str) -> Array:
    values: Array = np.concatenate([table[name].to_numpy() for table in tables])
    return values


def _block(table: pa.Table, name: str, manifest: Manifest) -> Array:
    chunks = [_chunk(chunk, manifest["columns"][name]) for chunk in table[name].chunks]
    return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)


def _chunk(chunk: pa.Array, claim: Mapping[str, Any]) -> Array:
    block: Array = chunk.flatten().to_numpy(zero_copy_only=True).reshape(len(chunk), *claim["shape"])
    return block
