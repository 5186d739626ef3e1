"""One copy of a store per node: read once by Ray Data, seen by every trial without copying."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sbir.data.items import Items
from sbir.data.ray_data import ray_data
from sbir.data.store import IDENTITY, Manifest, Store, items_from_tables, open_store, read_table, verify_store

if TYPE_CHECKING:
    from ray import ObjectRef

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shared:
    """A small handle on a store's rows, made to be pickled into trials."""

    manifest: Manifest
    path: str
    refs: "tuple[ObjectRef[Any], ...] | None" = (
        None  # blocks in Ray's object store; None = the files are mapped instead
    )

    @staticmethod
    def mapped(path: str | Path) -> "Shared":
        """A handle on the files themselves: no Ray, one copy per node in the page cache."""
        store = open_store(path)
        return Shared(store.manifest, str(store.path.resolve()))

    def items(self) -> Items:
        """All rows, the payload in shared memory or mapped: no copy, and no Ray Data execution inside a trial.

        Arrays are read-only, and live as long as the rows that this returns.
        """
        if self.refs is None:
            return Store(Path(self.path), self.manifest).items()
        import ray

        return items_from_tables(ray.get(list(self.refs)), self.manifest)


def share(
    store: Store | str | Path, columns: Collection[str] | None = None, *, object_store_fraction: float = 0.6
) -> Shared:
    """Verify a store and put it into Ray's object store, once per sweep, from the driver of a running Ray.

    Of the payload only `columns` go there (None: all). Where these are larger than `object_store_fraction` of the
    smallest node's object store, each trial maps the files from disk instead, which needs the store's path to be valid
    on every node. Raises `StoreError` on a damaged store.
    """
    store = verify_store(store.path if isinstance(store, Store) else store)
    room = object_store_fraction * _object_store_bytes()
    path = str(store.path.resolve())
    names = [name for name in store.manifest["columns"] if columns is None or name in columns]
    if (num_bytes := store.column_bytes(names)) > room:
        logger.warning(
            "the store's %.1f GB do not fit %.0f %% of a node's object store (%.1f GB): trials map the files at %s, "
            "which must be there on every node",
            num_bytes / 1e9, 100 * object_store_fraction, room / 1e9, path,
        )  # fmt: skip
        return Shared(store.manifest, path)
    return Shared(store.manifest, path, tuple(_read_once([str(file.resolve()) for file in store.files], names)))


def _object_store_bytes() -> float:
    import ray

    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    sizes = [node["Resources"].get("object_store_memory", 0.0) for node in nodes if node["Alive"]]
    return float(min(size for size in sizes if size > 0))


def _read_once(files: list[str], columns: list[str]) -> "list[ObjectRef[Any]]":
    """Block references in the order of the files, one block a file.

    Ray Data has no reader of Arrow IPC files, and by default it would split blocks and might reorder them.
    """
    import ray
    from ray.data.datasource import FileBasedDatasource

    class ArrowFiles(FileBasedDatasource):
        def _read_stream(self, f: Any, path: str) -> Any:  # mapped, so the stream is not needed
            yield read_table(Path(path)).select([*IDENTITY, *columns])

    with ray_data(whole_blocks=True):
        dataset = ray.data.read_datasource(ArrowFiles(files), override_num_blocks=len(files)).materialize()
        return [ref for bundle in dataset.iter_internal_ref_bundles() for ref in bundle.block_refs]
