"""A machine that is lost with its disk in the middle of a sweep, and the sweep's mirror, in a folder and in S3."""

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
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
        self.start()
        open_storage(self.uri)[0].create_dir("sweeps")

    def start(self) -> None:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.PORT)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._answers, 60, "moto's server does not answer")

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


def mirrors() -> list[int]:
    """Copying processes of sweeps, by pid."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "sbir.tuning.mirror" in words:
            found.append(int(path.parent.name))
    return found


def mirrored(uri: str, folder: Path) -> Path:
    """What lies there now."""
    shutil.rmtree(folder, ignore_errors=True)
    filesystem, base = open_storage(uri)
    if filesystem.get_file_info(f"{base}/run/study.journal").type == fs.FileType.File:
        fetch(filesystem, f"{base}/run", folder)
    return folder


def test_a_machine_that_is_lost_with_its_disk_costs_no_mirrored_trial(uri: str, tmp_path: Path, note: Note) -> None:
    sweep = Sweep(tmp_path / "runs", "--mirror", uri, "--mirror-every", "1")
    sweep.until(lambda: bool(audit.finished(mirrored(uri, tmp_path / "look"))), "no mirrored trial")
    sweep.middle()
    for process in mirrors():  # without this it would copy what is left when its driver dies
        if os.getpgid(process) != os.getpgid(0):
            os.kill(process, signal.SIGKILL)
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


def test_a_bucket_that_is_away_for_a_while_is_caught_up_with(bucket: Bucket, tmp_path: Path, note: Note) -> None:
    sweep = Sweep(tmp_path / "runs", "--mirror", bucket.uri, "--mirror-every", "1")
    before = sweep.middle()
    bucket.stop()
    sweep.until(lambda: "mirror: the sweep goes on, its copy does not" in sweep.output.read_text(), "nothing was said")
    rows = audit.num_rows(sweep.run)
    sweep.until(lambda: audit.num_rows(sweep.run) > rows, "the sweep stood still")
    bucket.start()  # empty: moto keeps objects in memory
    open_storage(bucket.uri)[0].create_dir("sweeps")
    sweep.ends()
    audit.check(sweep.run, before, method=METHOD)
    note(
        "the bucket of --mirror cannot be reached",
        "the sweep went on and said so; the copy was caught up with when it was back",
        f"nothing of {len(before)} ended trials",
        None,
    )
