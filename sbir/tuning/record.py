"""Each trial's `rows.jsonl`: one line per evaluation, written by the driver alone, never twice for a step."""

from pathlib import Path
from typing import Any

from sbir.tracking.rows import read_rows
from sbir.training.plain_json import as_json


class Record:
    """Appends a trial's rows; a torn last line of a killed driver is cut first."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "rows.jsonl"
        self.rows: list[dict[str, Any]] = []
        if self._path.exists():
            self.rows = read_rows(folder)
            self._path.write_text("".join(as_json(row) + "\n" for row in self.rows))

    def append(self, row: dict[str, Any]) -> None:
        """Write the row unless its step is there already."""
        if self.rows and row["step"] <= self.rows[-1]["step"]:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as stream:
            stream.write(as_json(row) + "\n")
        self.rows.append(row)
