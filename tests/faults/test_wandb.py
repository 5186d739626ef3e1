"""A W&B server that is not there, refuses, or dies while a sweep runs; `sbir sync` sends the rest, once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sbir.data import smoke
from sbir.data.store_write import write_store
from sbir.tracking.rows import read_rows
from sbir.tracking.segment import FOLDER, segments
from sbir.tracking.sync import sync_run
from tests.faults import audit
from tests.faults.conftest import Note
from tests.faults.local import METHOD, Sweep
from tests.tracking.conftest import Server, serving

pytestmark = pytest.mark.faults


@pytest.fixture
def real_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Data that are not marked as synthetic: runs on others never go online."""
    with monkeypatch.context() as patched:
        patched.setattr(
            smoke, "write_store", lambda *given, **more: write_store(*given, **{**more, "synthetic": False})
        )
        smoke.write_smoke_store(tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    with serving(monkeypatch, tmp_path) as state:
        yield state


@pytest.mark.parametrize("how", ["is not reached", "refuses the key", "dies in the middle"])
def test_a_sweep_goes_on_without_wandb_and_sync_sends_everything_once(
    how: str, tmp_path: Path, real_store: Path, server: Server, note: Note
) -> None:
    server.forbid = how == "refuses the key"
    server.stall_after = 1 if how == "dies in the middle" else None
    gone = {"WANDB_BASE_URL": "http://127.0.0.1:9"} if how == "is not reached" else {}
    flags = ["--scale", "paper", "--data", str(real_store), "--wandb", "online", "--final-seeds", "1"]
    sweep = Sweep(tmp_path / "runs", *flags, smoke=False, env=gone)
    said = sweep.ends()
    assert "W&B" in said
    assert "sync" in said
    audit.check(sweep.run, {}, method=METHOD)
    server.forbid, server.stall_after = False, None
    sync_run(sweep.run)
    assert sync_run(sweep.run).sent == 0
    for number in range(len(list(sweep.run.glob("trials/*")))):
        rows = read_rows(sweep.run / f"trials/steady-{number}")
        sent = server.history[f"run-steady-{number}"]
        assert [sent[line]["step"] for line in sorted(sent)] == [row["step"] for row in rows]
    told = {path.name for path in segments(sweep.run / FOLDER)}
    assert len(set(server.exits)) == len(told)
    note(f"W&B {how}", "the sweep ended as it would have and said so; `sbir sync` sent all of it once", "nothing", None)
