"""A run goes on with the code that it began with, or says what has changed."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from sbir.tuning.code import CODE, check_code, record_code

MINE = "from sbir.models.raw import Raw\n\n\nclass Mine(Raw):\n    pass\n"


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Any]:
    """A user's method, and the file that it is in."""
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    spec = importlib.util.spec_from_file_location("mine", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "mine", module)
    spec.loader.exec_module(module)
    return path, module.Mine


def test_a_changed_method_is_named_and_going_on_is_noted(tmp_path: Path, mine: tuple[Path, Any]) -> None:
    path, method = mine
    record_code(tmp_path / "run", [method])
    check_code(tmp_path / "run", [method], accept=False)
    path.write_text(MINE + "\n# another line\n")
    with pytest.raises(ValueError, match=r"these have changed: mine\.py; add --accept-changes"):
        check_code(tmp_path / "run", [method], accept=False)
    check_code(tmp_path / "run", [method], accept=True)
    check_code(tmp_path / "run", [method], accept=False)  # noted, and from now on the code of the run
    held = json.loads((tmp_path / "run" / CODE).read_text())
    assert [change["changed"] for change in held["changes"]] == [["mine.py"]]


def test_a_method_more_is_no_change_and_is_known_from_then_on(tmp_path: Path, mine: tuple[Path, Any]) -> None:
    path, method = mine
    record_code(tmp_path / "run", [])
    check_code(tmp_path / "run", [method], accept=False)
    path.write_text(MINE + "\n# another line\n")
    with pytest.raises(ValueError, match=r"these have changed: mine\.py"):
        check_code(tmp_path / "run", [method], accept=False)
