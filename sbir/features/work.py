"""The work folder of an extraction: rows as they come in, so that a killed run goes on where it was."""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from sbir.data.dataset import Item
from sbir.data.items import Array, Indices
from sbir.data.store import first_not_finite


class Work:
    """Payload columns of n items, one mapped file each, and a line in a log for each finished batch.

    The folder lies beside the store and carries in its name a hash of the items (ids, file sizes and times) and of what
    is made of them (`recipe`, with dtype and shape of its `columns`): with other data or weights it is another folder.
    One process at a time holds it. A log line is written after its rows are, so that a batch is counted whole or not at
    all.
    """

    def __init__(self, out: Path, items: Sequence[Item], recipe: Mapping[str, Any]) -> None:
        self.folder = out.parent / f".{out.name}.{_key(items, recipe)}.work"
        self._items = items
        self._claims: Mapping[str, Any] = recipe["columns"]
        self.done = np.zeros(len(items), bool)
        self.broken: dict[int, str] = {}

    def __enter__(self) -> "Work":
        self.folder.mkdir(parents=True, exist_ok=True)
        self._log: IO[str] = (self.folder / "done.jsonl").open("a+")
        try:
            fcntl.flock(self._log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._log.close()
            raise ValueError(f"one extraction at a time may write a store, another one holds {self.folder}") from None
        self._read_log()
        self.columns: dict[str, Array] = {name: self._column(name) for name in self._claims}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._log.close()

    def add(self, rows: Indices, values: Mapping[str, Array], broken: Mapping[int, str]) -> None:
        """Keep a batch of some columns, the others stay zero; rows of broken images count as done."""
        for name in values:
            column = self.columns[name]
            if (position := first_not_finite(values[name])) is not None:
                raise ValueError(
                    f"{name} must be finite in {column.dtype}, it is not for {self._items[rows[position]].item_id}; "
                    "take other weights, or --dtype float32"
                )
            column[rows] = values[name]
            column.flush()  # type: ignore[attr-defined]
        line = {"rows": rows.tolist(), "broken": {str(row): reason for row, reason in broken.items()}}
        self._log.write(json.dumps(line) + "\n")
        self._log.flush()
        self._note(line)

    def remove(self) -> None:
        """Delete the folder, once the store is written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _column(self, name: str) -> Array:
        file, claim = self.folder / f"{name}.npy", self._claims[name]
        if not file.exists():
            shape = (len(self.done), *claim["shape"])
            np.lib.format.open_memmap(file, mode="w+", dtype=np.dtype(claim["dtype"]), shape=shape)
        column: Array = np.lib.format.open_memmap(file, mode="r+")
        return column

    def _read_log(self) -> None:
        """Read whole lines, and cut a torn last one."""
        self._log.seek(0)
        text = self._log.read()
        whole = text[: text.rfind("\n") + 1]
        for line in whole.splitlines():
            self._note(json.loads(line))
        self._log.truncate(len(whole.encode()))
        self._log.seek(0, 2)

    def _note(self, line: Mapping[str, Any]) -> None:
        self.done[line["rows"]] = True
        self.broken |= {int(row): str(reason) for row, reason in line["broken"].items()}


def file_state(path: str) -> str:
    """Size and time of a file, from which a change is seen; nothing where there is none, which is said later."""
    try:
        about = Path(path).stat()
    except OSError:
        return ""
    return f"{about.st_size}\t{about.st_mtime_ns}"


def _key(items: Sequence[Item], recipe: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(dict(recipe), sort_keys=True).encode())
    for item in items:
        digest.update(f"{item.item_id}\t{file_state(item.path)}\n".encode())
    return digest.hexdigest()[:12]
