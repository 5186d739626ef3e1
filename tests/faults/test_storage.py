"""Storage that is full, that cannot be written, that stands still, and an object store too small for the features."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import audit
from tests.faults.conftest import Note
from tests.faults.local import METHOD, Sweep

pytestmark = pytest.mark.faults


def mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")


@pytest.fixture
def memory_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount("-t", "tmpfs", "-o", "size=64m", "none", str(disk))
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def real_disk(tmp_path: Path) -> Iterator[Path]:
    disk, image = tmp_path / "disk", tmp_path / "image"
    disk.mkdir()
    with image.open("wb") as file:
        os.truncate(file.fileno(), 64 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    mount("-o", "loop", str(image), str(disk))
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_stops_the_sweep_and_loses_nothing(memory_disk: Path, note: Note) -> None:
    sweep = Sweep(memory_disk)
    before = sweep.middle()
    filler = memory_disk / "filler"
    subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4k"], check=False, capture_output=True)
    said = sweep.ends(status=2)
    assert "No space left on device" in said
    assert "Traceback" not in said
    filler.unlink()
    rows, started = audit.num_rows(sweep.run), time.monotonic()
    sweep.start()
    sweep.until(lambda: audit.num_rows(sweep.run) > rows, "no report")
    seconds = time.monotonic() - started
    sweep.ends()
    audit.check(sweep.run, before, method=METHOD)
    did = "the sweep stopped and said so; with room again the same command went on"
    note("the disk of the runs is full", did, f"nothing of {len(before)} ended trials", seconds)


def test_a_folder_that_cannot_be_written_is_refused(memory_disk: Path, note: Note) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(memory_disk)], check=True)
    said = Sweep(memory_disk).ends(status=2)
    assert "Read-only file system" in said
    assert len(said.strip().splitlines()) == 1
    note("the runs' folder cannot be written", "refused before Ray is started, in one line", "nothing", None)


def test_a_disk_that_stands_still_delays_and_harms_nothing(real_disk: Path, note: Note) -> None:
    sweep = Sweep(real_disk)
    before = sweep.middle()
    subprocess.run(["fsfreeze", "-f", str(real_disk)], check=True)
    try:
        time.sleep(20)
    finally:
        subprocess.run(["fsfreeze", "-u", str(real_disk)], check=True)
    rows, started = audit.num_rows(sweep.run), time.monotonic()
    sweep.until(lambda: audit.num_rows(sweep.run) > rows, "no report")
    seconds = time.monotonic() - started
    sweep.ends()
    audit.check(sweep.run, before, method=METHOD)
    note("the disk of the runs stands still for 20 s", "waited", "nothing", seconds)
