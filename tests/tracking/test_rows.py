import json
from pathlib import Path
from typing import Any

import pytest

from sbir.tracking.rows import read_rows


def write(folder: Path, *rows: dict[str, Any], tail: str = "") -> Path:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + tail)
    return folder


def test_a_step_reported_twice_counts_once_and_the_later_one_wins(tmp_path: Path) -> None:
    folder = write(tmp_path, {"step": 5, "x": 1}, {"step": 9, "x": 2}, {"step": 9, "x": 3})
    assert read_rows(folder) == [{"step": 5, "x": 1}, {"step": 9, "x": 3}]


def test_a_torn_last_line_is_left_out_and_a_whole_one_without_its_newline_kept(tmp_path: Path) -> None:
    assert read_rows(write(tmp_path, {"step": 5}, tail='{"step": 9, "va')) == [{"step": 5}]
    assert read_rows(write(tmp_path, {"step": 5}, tail='{"step": 9}')) == [{"step": 5}, {"step": 9}]


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"step": 5}\n[1]\n{"step": 9}\n')
    with pytest.raises(ValueError, match=r"rows\.jsonl: every line .* got line 2: '\[1\]'"):
        read_rows(tmp_path)


def test_a_trial_that_reported_nothing_has_no_rows(tmp_path: Path) -> None:
    assert read_rows(tmp_path) == []
