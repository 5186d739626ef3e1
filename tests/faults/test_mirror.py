"""A machine that is lost with its disk in the middle of a sweep, and the sweep's mirror, in a folder and in S3."""

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pyarrow import fs

from sbir.tuning.mirror import fetch, open_storage
from tests.faults import audit
from tests.faults.conftest import Note
from tests.faults.lab import until
from tests.faults.local import METHOD, Sweep

pytestmark = pytest.mark.faults
KEYS = {"AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "canary", "AWS_EC2_METADATA_DISABLED": "true"}


class Bucket:
    """A bucket of a server that speaks S3, on this machine (moto's)."""

    PORT = 20000 + os.getpid() % 20000

    def __init__(self) -> None:
        self.uri = f"s3://sweeps/group?scheme=http&endpoint_override=127.0.0.1:{self.PORT}&region=us-east-1"
        self.uri += "&allow_bucket_creation=true"
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.PORT)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._answers, 60, "moto's server does not answer")
        open_storage(self.uri)[0].create_dir("sweeps")

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.PORT}/moto-api", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    pytest.importorskip("moto.server", reason="needs `pip install 'moto[server]'`")
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    made = Bucket()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(params=["a folder", "a bucket"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "a folder":
        return (tmp_path / "mirror").as_uri()
    made: Bucket = request.getfixturevalue("bucket")
    return made.uri


def copying(driver: int) -> list[int]:
    """Copying processes that a sweep's driver has started, by pid."""
    found = subprocess.run(
        ["ps", "--ppid", str(driver), "-o", "pid=,args="], capture_output=True, text=True, check=True
    )
    return [int(line.split()[0]) for line in found.stdout.splitlines() if "sbir.tuning.mirror" in line]


def mirrored(uri: str, folder: Path) -> Path:
    """What lies there now; nothing where there is no journal yet, or where a file went while it was fetched."""
    shutil.rmtree(folder, ignore_errors=True)
    filesystem, base = open_storage(uri)
    if filesystem.get_file_info(f"{base}/run/study.journal").type == fs.FileType.File:
        with suppress(FileNotFoundError):
            fetch(filesystem, f"{base}/run", folder)
    return folder


def test_a_machine_that_is_lost_with_its_disk_costs_no_mirrored_trial(uri: str, tmp_path: Path, note: Note) -> None:
    sweep = Sweep(tmp_path / "runs", "--mirror", uri, "--mirror-every", "1")
    sweep.until(lambda: bool(audit.finished(mirrored(uri, tmp_path / "look"))), "no mirrored trial")
    sweep.middle()
    (copier,) = copying(sweep.process.pid)
    os.kill(copier, signal.SIGKILL)  # or it would copy what is left when its driver dies
    sweep.process.kill()
    sweep.process.wait()
    shutil.rmtree(tmp_path / "runs")
    before, started = audit.finished(mirrored(uri, tmp_path / "look")), time.monotonic()
    rows = audit.num_rows(tmp_path / "look")
    assert before
    sweep.start()
    sweep.until(lambda: audit.num_rows(sweep.run) > rows, "no report")
    seconds = time.monotonic() - started
    said = sweep.ends()
    assert "was fetched from the mirror" in said
    audit.check(sweep.run, before, method=METHOD)
    audit.check(mirrored(uri, tmp_path / "look"), before, method=METHOD)
    kind = "s3://, moto's server" if uri.startswith("s3") else "file://"
    note(
        f"the machine is lost with its disk; --mirror {kind} every second",
        "the same command on an empty folder fetched the run and went on",
        f"nothing of {len(before)} trials that had ended; what ended in the last second would be repeated",
        seconds,
    )


def test_storage_that_is_away_for_a_while_is_caught_up_with(tmp_path: Path, note: Note) -> None:
    there = tmp_path / "mirror"
    sweep = Sweep(tmp_path / "runs", "--mirror", there.as_uri(), "--mirror-every", "1")
    before = sweep.middle()
    there.rename(tmp_path / "away")
    there.write_text("no folder")
    sweep.until(lambda: "mirror: the sweep goes on, its copy does not" in sweep.output.read_text(), "nothing was said")
    rows = audit.num_rows(sweep.run)
    sweep.until(lambda: audit.num_rows(sweep.run) > rows, "the sweep stood still")
    there.unlink()
    (tmp_path / "away").rename(there)
    assert "mirror: the storage is back, the copy is up to date" in sweep.ends()
    for run in (sweep.run, there / "run"):
        audit.check(run, before, method=METHOD)
    note(
        "the storage of --mirror cannot be reached",
        "the sweep went on and said so; when it was back the copy was brought up to date",
        f"nothing of {len(before)} ended trials",
        None,
    )
