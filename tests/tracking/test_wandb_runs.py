import json
import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
from PIL import Image
from wandb.proto import wandb_internal_pb2

from sbir.tracking.upload import Upload, is_reachable
from sbir.tracking.wandb_runs import EndedTrial, WandbRuns, wandb_mode


def records(segment: Path) -> Iterator[Any]:
    """The records of a .wandb file: 7 bytes of header, then LevelDB's log format with 32 kB blocks."""
    data = next(segment.glob("*.wandb")).read_bytes()
    at, whole = 7, b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in {1, 4}:  # whole, or the last part
            yield wandb_internal_pb2.Record.FromString(whole)  # type: ignore[attr-defined]
            whole = b""


def history(segment: Path) -> list[dict[str, Any]]:
    rows = [record.history for record in records(segment) if record.WhichOneof("record_type") == "history"]
    return [{item.key or item.nested_key[0]: json.loads(item.value_json) for item in row.item} for row in rows]


def summary(segment: Path) -> dict[str, Any]:
    updates = [record.summary.update for record in records(segment) if record.WhichOneof("record_type") == "summary"]
    return {(item.key or item.nested_key[0]): json.loads(item.value_json) for update in updates for item in update}


def make_trial(folder: Path, steps: int = 400, **changes: Any) -> tuple[EndedTrial, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"step": 10 * at, "examples": 640 * at, "device_seconds": 0.5 * at, "val/map_all": 1 / (1 + abs(at - 3)),
         "train/kl": None, "best/map_all": 1.0, "best/step": 30, "lambda": "0.4", "curve": {"0.0": 0.1}}
        for at in range(1, steps + 1)
    ]  # fmt: skip
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    fields: dict[str, Any] = {"method": "cross_modal", "number": 1, "name": "latent=512", "state": "COMPLETE"}
    return EndedTrial(**{**fields, "settings": {"method/latent": 512}, **changes}), folder


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_PROJECT", "WANDB_ENTITY", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "online")  # must not matter: the writer is always offline
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody answers here


def test_a_trial_becomes_one_offline_segment_with_a_row_per_evaluation(tmp_path: Path) -> None:
    runs = WandbRuns(tmp_path, "sweep-1", "offline")
    runs.finish_trial(*make_trial(tmp_path / "trials/cross_modal-1"))
    assert runs.close() == []
    (segment,) = runs.segments("cross_modal", 1)
    assert segment.parent == tmp_path / "wandb"
    rows = history(segment)
    assert [row["_step"] for row in rows] == [10 * at for at in range(1, 401)]
    assert {"step", "examples", "device_seconds", "val/map_all", "lambda"} <= set(rows[0])
    assert "curve" not in rows[0]
    assert "train/kl" not in rows[0]


def test_a_run_is_found_by_sweep_method_and_tag_and_keeps_the_best_values(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "sketches")
    monkeypatch.setenv("WANDB_ENTITY", "lab")
    runs = WandbRuns(tmp_path, "sweep-1", "offline")
    runs.finish_trial(*make_trial(tmp_path / "t", steps=8, state="PRUNED", tags=("search",)))
    runs.close()
    (segment,) = runs.segments("cross_modal", 1)
    run = next(record.run for record in records(segment) if record.WhichOneof("record_type") == "run")
    assert (run.run_id, run.run_group, run.job_type) == ("sweep-1-cross_modal-1", "sweep-1", "cross_modal")
    assert (run.project, run.entity, run.display_name) == ("sketches", "lab", "latent=512")
    assert sorted(run.tags) == ["pruned", "search"]
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert config["method/latent"] == 512
    found = summary(segment)
    assert found["val/map_all"] == 1.0  # of the best step, not of the last
    assert (found["best/step"], found["state"], found["lambda"]) == (30, "PRUNED", "0.4")
    metrics = {m.name or m.glob_name: m.step_metric for r in records(segment) if (m := r.metric).ByteSize()}
    assert metrics["val/*"] == "step"
    assert {"examples", "device_seconds"} <= set(metrics)


def test_a_picture_goes_into_the_run_only_when_handed_in(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "grid.png")
    runs = WandbRuns(tmp_path, "sweep-1", "offline")
    runs.finish_trial(*make_trial(tmp_path / "t", steps=2))
    runs.finish_trial(*make_trial(tmp_path / "t", steps=2, number=2, pictures={"retrieval": tmp_path / "grid.png"}))
    assert runs.close() == []
    assert [len(list(runs.segments("cross_modal", n)[0].rglob("*.png"))) for n in (1, 2)] == [0, 1]
    assert len(history(runs.segments("cross_modal", 2)[0])) == 2


def test_written_anew_a_trial_still_has_one_segment_with_all_rows(tmp_path: Path) -> None:
    first = WandbRuns(tmp_path, "sweep-1", "offline")
    first.finish_trial(*make_trial(tmp_path / "one", steps=3))
    first.finish_trial(*make_trial(tmp_path / "eleven", steps=4, number=11))
    assert first.close() == []
    (torn,) = first.segments("cross_modal", 1)
    (torn / "sbir-complete").unlink()  # as after kill -9 in mid-writing
    again = WandbRuns(tmp_path, "sweep-1", "offline")
    assert (again.written("cross_modal", 1), again.written("cross_modal", 11)) == (False, True)
    again.finish_trial(*make_trial(tmp_path / "one", steps=7))
    assert again.close() == []
    (segment,) = again.segments("cross_modal", 1)
    assert len(history(segment)) == 7
    assert len(history(again.segments("cross_modal", 11)[0])) == 4


def test_a_raising_wandb_is_a_line_and_the_next_trial_is_still_written(tmp_path: Path, monkeypatch: Any) -> None:
    real, calls = wandb.init, []

    def init(**options: Any) -> Any:
        calls.append(options["mode"])
        if len(calls) == 1:
            raise wandb.errors.CommError("run initialization has timed out")
        return real(**options)

    monkeypatch.setattr(wandb, "init", init)
    runs = WandbRuns(tmp_path, "sweep-1", "offline")
    runs.finish_trial(*make_trial(tmp_path / "a", steps=2))
    runs.finish_trial(*make_trial(tmp_path / "b", steps=2, number=2))
    assert runs.close() == ["W&B: CommError: run initialization has timed out"]
    assert (runs.written("cross_modal", 1), runs.written("cross_modal", 2)) == (False, True)
    assert calls == ["offline", "offline"]


def test_broken_rows_do_not_propagate_either(tmp_path: Path) -> None:
    trial, folder = make_trial(tmp_path / "a", steps=2)
    (folder / "rows.jsonl").write_text("nonsense\n")
    runs = WandbRuns(tmp_path, "sweep-1", "offline")
    runs.finish_trial(trial, folder)
    (problem,) = runs.close()
    assert "rows.jsonl" in problem


def test_online_without_a_server_writes_everything_and_says_how_to_upload_later(tmp_path: Path) -> None:
    runs = WandbRuns(tmp_path, "sweep-1", "online")
    start = time.monotonic()
    for number in (1, 2):
        runs.finish_trial(*make_trial(tmp_path / "t", steps=2, number=number))
    (problem,) = runs.close()
    assert time.monotonic() - start < 20
    assert "does not answer" in problem
    assert f"sbir sync {tmp_path}" in problem
    assert runs.written("cross_modal", 2)


def test_off_writes_nothing(tmp_path: Path) -> None:
    runs = WandbRuns(tmp_path, "sweep-1", "off")
    runs.finish_trial(*make_trial(tmp_path / "t", steps=2))
    assert runs.close() == []
    assert not (tmp_path / "wandb").exists()


def test_a_silent_server_counts_as_away_after_the_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        start = time.monotonic()
        assert not is_reachable(f"http://127.0.0.1:{server.getsockname()[1]}", limit=0.3)
        assert time.monotonic() - start < 3


def test_each_segment_is_uploaded_once_and_a_failure_stops_the_rest(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("sbir.tracking.upload.is_reachable", lambda url: True)
    log = tmp_path / "log"
    script = (
        f"import sys; print(sys.argv[1], file=open({str(log)!r}, 'a')); "
        "sys.exit('no key') if 'bad' in sys.argv[1] else open(sys.argv[1] + '/run-1.wandb.synced', 'w')"
    )
    segments = [tmp_path / "wandb" / name for name in ("run-good", "run-bad", "run-after")]
    for segment in segments:
        segment.mkdir(parents=True)
    upload = Upload((sys.executable, "-c", script))
    upload.send(segments[0])
    for segment in segments[1:]:
        with pytest.raises(RuntimeError, match="failed: no key; upload later with"):
            upload.send(segment)
    assert log.read_text().split() == [str(segments[0]), str(segments[1])]


@pytest.mark.parametrize(
    ("flag", "variable", "demo", "expected"),
    [
        (None, "", False, "offline"),
        ("online", "", False, "online"),
        (None, "online", False, "online"),
        ("offline", "online", False, "offline"),
        (None, "disabled", False, "off"),
        ("online", "online", True, "offline"),
    ],
)
def test_the_flag_goes_before_the_variable_and_demo_is_never_online(
    flag: str | None, variable: str, demo: bool, expected: str
) -> None:
    assert wandb_mode(flag, demo=demo, smoke=False, environ={"WANDB_MODE": variable}) == expected
    assert wandb_mode(flag, demo=False, smoke=True, environ={"WANDB_MODE": variable}) != "online"


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="must be offline, online or off, got 'on'"):
        wandb_mode("on", demo=False, smoke=False, environ={})
