"""`rows.jsonl`, the curve of one trial: one JSON object per evaluation."""

import json
from pathlib import Path
from typing import Any

ROWS = "rows.jsonl"


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """Rows of a trial's folder by rising `step`; a folder without the file has none.

    A resumed trial reports its last step again, so the later of two rows with one step counts. A last line without its
    end was being written when the process died and is left out. `ValueError` names a line that is no row.
    """
    path = Path(folder) / ROWS
    if not path.exists():
        return []
    *lines, torn = path.read_text(encoding="utf-8").split("\n")
    rows = dict(_row(path, at, line) for at, line in enumerate(lines, 1) if line)
    if torn and (last := _row_or_none(torn)) is not None:
        rows[last["step"]] = last
    return [rows[step] for step in sorted(rows)]


def _row(path: Path, at: int, line: str) -> tuple[int, dict[str, Any]]:
    row = _row_or_none(line)
    if row is None:
        rule = "every line must be a JSON object with an integer 'step'"
        raise ValueError(f"{path}: {rule}, got line {at}: {line[:80]!r}; restore the file from a copy of the run")
    return row["step"], row


def _row_or_none(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("step"), int) else None
