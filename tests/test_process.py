"""How a process ends: with its status, its output, what it had registered; at once."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ENDS = """
import atexit, sys, threading
from sbir.process import leave
atexit.register(print, "registered")
class Slow:
    def __del__(self): print("taken apart")
kept = Slow()
print("out", end="")
{more}
leave(3)
"""


def ended(more: str = "") -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-c", ENDS.format(more=more)], capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.returncode, done.stdout


def test_output_and_what_is_registered_come_out_and_objects_are_left() -> None:
    assert ended() == (3, "outregistered\n")


def test_a_program_that_runs_a_script_within_itself_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "script.py"
    script.write_text("from sbir.process import leave; leave(3)")
    monkeypatch.setattr(sys, "argv", [str(script)])
    with pytest.raises(SystemExit, match="3"):
        runpy.run_path(str(script), run_name="__main__")


def test_another_thread_is_waited_for() -> None:
    more = "threading.Timer(0.3, lambda: print(' and', end=' ')).start()"
    status, said = ended(more)
    assert (status, said.split()) == (3, ["out", "and", "registered", "taken", "apart"])


def test_a_reader_who_has_gone_is_no_error() -> None:
    command = f"{sys.executable} -m sbir.cli cite | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode in {0, 120}, done.stderr  # 0 where it had written before
    assert not done.stderr
