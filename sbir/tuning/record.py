"""Each trial's `rows.jsonl`: one line per evaluation, written by the driver alone, never twice for a step."""

import json
from pathlib import Path
from typing import Any

from sbir.training.run import as_json


class Record:
    """Appends a trial's rows; a torn last line of a killed driver is cut first."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "rows.jsonl"
        self.last_step = -1
        if self._path.exists():
            whole = [line for line in self._path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
            self._path.write_bytes(b"".join(whole))
            self.last_step = json.loads(whole[-1])["step"] if whole else -1

    def append(self, row: dict[str, Any]) -> bool:
        """Write the row unless its step is there already; whether it was new."""
        if row["step"] <= self.last_step:
            return False
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as stream:
            stream.write(as_json(row) + "\n")
        self.last_step = row["step"]
        return True
