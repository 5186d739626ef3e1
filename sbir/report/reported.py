"""What the sources report, as data: the rows that a reproduction is held against."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

NEEDED = ("id", "source", "protocol", "columns", "rows")
SOURCE_PROTOCOL = "sketchy_zero_shot_source"


@dataclass(frozen=True)
class ReportedTable:
    """One table of a source; a missing number is None."""

    id: str  # the method's name in sweeps
    source: str
    protocol: str
    rows: tuple[Mapping[str, Any], ...]  # column -> value, fractions and not percent
    open: Mapping[str, tuple[str, ...]]  # row -> what the source leaves open; "" for all rows

    def left_open(self, row: Any) -> list[str]:
        """What is not known about one row, that of the whole table last."""
        return [*self.open.get(str(row), ()), *self.open.get("", ())]


def load_reported(path: Path | None = None) -> dict[str, ReportedTable]:
    """The project's file, or a user's own of the same form, by table id.

    Raises `ValueError` where the file is no TOML, a table lacks a field, or a row does not fit its columns.
    """
    text = (files("sbir.report") / "reported.toml").read_text("utf-8") if path is None else _read(path)
    name = path or "reported.toml"
    try:
        tables = tomllib.loads(text).get("table", [])
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{name} must be TOML, reading it failed: {error}") from None
    found = [_table(given, f"{name}, table {place}") for place, given in enumerate(tables, 1)]
    twice = {one.id for one in found if [other.id for other in found].count(one.id) > 1}
    if twice or not found:
        raise ValueError(f"{name} must hold tables of different ids, got {sorted(twice) or 'none'}")
    return {one.id: one for one in found}


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be TOML in UTF-8, reading it failed: {error}") from None


def _table(given: Any, where: str) -> ReportedTable:
    lacking = [field for field in NEEDED if field not in given]
    if lacking:
        raise ValueError(f"a table of reported rows needs {', '.join(NEEDED)}, {where} lacks {', '.join(lacking)}")
    columns = given["columns"]
    for number, row in enumerate(given["rows"], 1):
        if not isinstance(row, list) or len(row) != len(columns):
            raise ValueError(f"a row must have a value for each of {len(columns)} columns, {where} row {number}: {row}")
    rows = tuple(dict(zip(columns, map(_known, row), strict=True)) for row in given["rows"])
    numbers = [row["row"] for row in rows if "row" in row]
    if len(set(numbers)) != len(numbers):
        raise ValueError(f"a row's number must be its own, {where} has {numbers}; give a replicate a further number")
    left_open = {str(row): tuple(notes) for row, notes in given.get("open", {}).items()}
    return ReportedTable(str(given["id"]), str(given["source"]), str(given["protocol"]), rows, left_open)


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
