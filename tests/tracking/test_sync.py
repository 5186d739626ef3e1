import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sbir.cli import main
from sbir.report.load import load_run
from sbir.tracking import finished as finished_runs
from sbir.tracking.segment import FOLDER, is_synced, segments
from sbir.tracking.sync import sync_run
from sbir.tracking.upload import Upload

NUM_FINISHED = 10  # 4 baselines, chance, ceiling, 3 refits, comparison


def below(process: int) -> list[int]:
    """A process and all that it started, and W&B's own, which leaves its parent and would go on alone."""
    options = ["-e", "-ww", "-o", "pid=,ppid=,args="]
    table = subprocess.run(["ps", *options], capture_output=True, text=True, check=True).stdout
    lines = [line.split() for line in table.splitlines()]
    wanted = [process]
    for one in wanted:
        wanted += [int(line[0]) for line in lines if line[1] == str(one) or line[-2:] == ["--pid", str(one)]]
    return wanted


def held(folder: Path) -> str:
    """All bytes of a folder as text."""
    return "".join(path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file())


def test_everything_is_sent_with_groups_tags_tables_and_artifacts_from_wherever_it_lies(synced: Any) -> None:
    server, run = synced
    assert len(server.runs) == len(server.exits) == len(set(server.exits)) == NUM_FINISHED + 2
    trial, ridge = server.runs["cross_modal-1-cross_modal-0"], server.runs["cross_modal-1-baseline-ridge"]
    assert (trial["groupName"], trial["jobType"], trial["displayName"]) == ("cross_modal-1", "cross_modal", "trial 0")
    assert [row["val/map_all"] for row in server.history["cross_modal-1-cross_modal-0"].values()] == [0.25, 0.5, 0.75]
    assert (ridge["groupName"], ridge["jobType"], ridge["tags"]) == (run.name, "baseline", ["baseline", "demo scale"])
    assert server.artifacts["cross_modal-1-results"]["committed"]
    assert server.files["cross_modal-1-results/summary.json"] == (run / "summary.json").read_bytes()
    (table,) = [content for name, content in server.files.items() if name.endswith("/results.table.json")]
    assert b"Procrustes" in table


def test_a_second_call_sends_nothing(synced: Any) -> None:
    server, run = synced
    done = sync_run(run)
    assert (done.sent, done.before, done.project) == (0, NUM_FINISHED + 2, "sbir")
    assert len(server.exits) == NUM_FINISHED + 2
    assert not (run / FOLDER / "staging").exists()


def test_a_refit_bears_its_own_seeds_figure_and_a_baseline_the_tables(synced: Any) -> None:
    server, run = synced
    scores = load_run(run).per_query
    for seed in (1, 2, 3):
        own = scores[(scores["row"] == "CMDT") & (scores["seed"] == seed)]["precision_at_20"].mean()
        told = server.runs[f"cross_modal-1-final-cross_modal-{seed}"]["summary"]
        assert told["test/precision_at_20"] == pytest.approx(own, abs=1e-12)
    assert server.runs["cross_modal-1-baseline-raw"]["summary"]["test/precision_at_20"] == 0.152


def test_every_run_says_what_its_figures_rest_on(synced: Any) -> None:
    config = json.loads(synced[0].runs["cross_modal-1-final-cross_modal-2"]["config"])
    told = {key.removeprefix("about/"): value["value"] for key, value in config.items() if key.startswith("about/")}
    assert told["commit"] == "5682ccd0aa11223344"
    assert told["uncommitted"] == "abc"
    assert (told["data_hash"], told["split_hash"]) == ("0f3c9a1e77aa", "77aa01")
    assert (told["row"], told["seed"], told["told"]) == ("CMDT", 2, "sketch-photo pairs and class labels")
    assert "torch 2.14.1" in told["versions"]


def test_the_key_and_the_environment_stay_out_of_every_file(synced: Any) -> None:
    server, run = synced
    assert {key for key in server.keys if key} == {os.environ["WANDB_API_KEY"]}
    sent = b"".join(server.files.values()).decode("latin-1") + str(server.runs)
    for secret in (os.environ["SOMEBODYS_TOKEN"], os.environ["WANDB_API_KEY"]):
        assert secret not in held(run)
        assert secret not in sent


def test_killed_in_the_middle_the_next_call_sends_the_rest(finished: Path, server: Any, trials_of: Any) -> None:
    (finished / "summary.json").unlink()  # trials alone
    trials_of(finished, 6)
    server.stall_after = 2
    killed = subprocess.Popen([sys.executable, "-m", "sbir.cli", "sync", str(finished)], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not server.stalled and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in below(killed.pid):  # W&B's own process would go on
        os.kill(process, signal.SIGKILL)
    killed.wait()
    before = sum(map(is_synced, segments(finished / FOLDER)))
    assert before < 6
    server.stall_after = None
    done = sync_run(finished)
    assert (done.before, done.sent) == (before, 6 - before)
    for number in range(6):
        rows = server.history[f"cross_modal-1-cross_modal-{number}"]
        assert [row["val/map_all"] for _, row in sorted(rows.items())] == [0.25, 0.5, 0.75]


def test_a_rate_limit_is_waited_for_as_long_as_the_server_says(finished: Path, server: Any, trials_of: Any) -> None:
    (finished / "summary.json").unlink()  # trials alone
    trials_of(finished, 1)
    server.refuse = 1
    assert sync_run(finished).sent == 1
    assert server.waits[0] >= 1.9  # Retry-After was 2 s; W&B's own first wait is shorter
    assert len(server.history["cross_modal-1-cross_modal-0"]) == 3


def test_a_refused_key_and_a_stalled_server_are_errors_and_leave_the_rest_to_the_next_call(
    finished: Path, server: Any, trials_of: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (finished / "summary.json").unlink()
    trials_of(finished, 1)
    server.forbid = True
    assert main(["sync", str(finished)]) == 2
    assert "permission denied; 1 of 1 W&B runs" in capsys.readouterr().err
    server.forbid, server.stall_after = False, 0
    with pytest.raises(OSError, match="stood still for 3 s; 1 of 1"):
        sync_run(finished, limit=3)


def test_an_upload_in_the_background_believes_the_marker_and_not_the_exit_status(
    finished: Path, server: Any, trials_of: Any
) -> None:
    trials_of(finished, 1)
    server.forbid = True
    with pytest.raises(RuntimeError, match="permission denied; upload later with `sbir sync"):
        Upload().send(segments(finished / FOLDER)[0])


def test_pictures_are_sent_only_when_asked(synced: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server, run = synced
    Image.new("RGB", (8, 8)).save(run / "grid.png")
    monkeypatch.setattr(finished_runs, "write_grid_picture", lambda path: path / "grid.png")
    sheet = run / "finalists/cross_modal-1-0/pictures/0000090.jpg"
    sheet.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(sheet)
    finished_runs.write_finished(load_run(run), pictures=True)  # as a call that was killed may leave it
    assert sync_run(run).sent == 0
    assert not [name for name in server.files if name.endswith(".png")]
    assert sync_run(run, pictures=True).sent == 1
    assert [name for name in server.files if "retrieval" in name and name.endswith(".png")]
    assert [name for name in server.files if "drawn_cross_modal-1-0_step_90" in name]


def test_an_extended_run_is_told_anew(synced: Any) -> None:
    _, run = synced
    later = time.time() + 60
    os.utime(run / "summary.json", (later, later))
    assert len(finished_runs.write_finished(load_run(run), pictures=False)) == NUM_FINISHED


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("WANDB_API_KEY", "", "needs a key, there is none; set WANDB_API_KEY or use `wandb login`"),
        ("WANDB_API_KEY", "short", "key must be whole"),
        ("WANDB_BASE_URL", "http://127.0.0.1:9", "does not answer; look at the network"),
    ],
)
def test_without_key_or_server_nothing_changes(  # noqa: PLR0917
    finished: Path, server: Any, capsys: Any, monkeypatch: Any, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    before = sorted(finished.rglob("*"))
    assert main(["sync", str(finished)]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert sorted(finished.rglob("*")) == before


def test_what_cannot_be_synced_is_said(finished: Path, server: Any, tmp_path: Path) -> None:
    (finished / "summary.json").unlink()
    with pytest.raises(ValueError, match="it holds none whole; the sweep was run with --wandb off"):
        sync_run(finished)
    with pytest.raises(ValueError, match="--pictures needs a finished run"):
        sync_run(finished, pictures=True)
    with pytest.raises(ValueError, match=r"a run is a folder with manifest\.json"):
        sync_run(tmp_path / "nothing")
