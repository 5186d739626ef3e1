"""The work folder of an extraction: features as they come in, so that a killed run goes on where it was."""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from sbir.data.items import Array, Indices
from sbir.data.readers import Item


class Work:
    """Features of n items in one mapped file, and a line in a log for each finished batch.

    The folder lies beside the store and carries in its name a hash of the items (ids, file sizes and times) and the
    backbone: with other data or weights it is another folder. One process at a time holds it. A log line is written
    after its features are, so that a batch is counted whole or not at all.
    """

    def __init__(self, out: Path, items: Sequence[Item], backbone: Mapping[str, Any]) -> None:
        self.folder = out.parent / f".{out.name}.{_key(items, backbone)}.work"
        self._shape = len(items), int(backbone["width"])
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
        file = self.folder / "feature.npy"
        if not file.exists():
            np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=self._shape)
        self.feature: Array = np.lib.format.open_memmap(file, mode="r+")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._log.close()

    def add(self, rows: Indices, feature: Array, broken: Mapping[int, str]) -> None:
        """Keep a batch; rows of broken images count as done."""
        self.feature[rows] = feature
        self.feature.flush()  # type: ignore[attr-defined]
        line = {"rows": rows.tolist(), "broken": {str(row): reason for row, reason in broken.items()}}
        self._log.write(json.dumps(line) + "\n")
        self._log.flush()
        self._note(line)

    def remove(self) -> None:
        """Delete the folder, once the store is written."""
        shutil.rmtree(self.folder, ignore_errors=True)

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


def _key(items: Sequence[Item], backbone: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(dict(backbone), sort_keys=True).encode())
    for item in items:
        about = Path(item.path).stat()
        digest.update(f"{item.item_id}\t{about.st_size}\t{about.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]
