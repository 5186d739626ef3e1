"""A sweep that was sent to a cluster from outside: it is stopped there, and its head is lost."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.faults import audit
from tests.faults.conftest import Note
from tests.faults.head import Head
from tests.faults.lab import until
from tests.faults.local import FLAGS, LONG, METHOD, ROOT, STEADY

pytestmark = pytest.mark.faults


class Sent:
    """The steady sweep, sent by a user's command that looks on."""

    def __init__(self, head: Head, runs: Path) -> None:
        self.there, self.output = head.home / "sbir-runs/run", runs.parent / "sent.out"
        command = [sys.executable, str(STEADY), *FLAGS, "--smoke", "--name", "run"]
        command += ["--address", head.address, "--runs", str(runs)]
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=output, stderr=subprocess.STDOUT
            )

    def until_more(self, than: int = 0) -> None:
        """Wait until one trial has ended and more rows than so many are there."""

        def more() -> bool:
            assert self.process.poll() is None, self.output.read_text()
            return bool(audit.finished(self.there)) and audit.num_rows(self.there) > than

        until(more, LONG, "no report")

    def ends(self, status: int) -> str:
        ended = self.process.wait(timeout=LONG)
        assert ended == status, self.output.read_text()
        return self.output.read_text()


def test_a_sent_sweep_outlives_a_stop_and_its_head(tmp_path: Path, note: Note) -> None:
    head, home = Head(tmp_path), tmp_path / "runs"
    try:
        sent = Sent(head, home)
        sent.until_more()
        job = sent.output.read_text().split("as job ")[1].split()[0]
        urllib.request.urlopen(f"{head.address}/api/jobs/{job}/stop", data=b"", timeout=60).close()
        assert "came home" in sent.ends(130)
        stopped = audit.finished(home / "run")
        assert stopped == audit.finished(sent.there)

        again = Sent(head, home)
        again.until_more(than=audit.num_rows(again.there))
        again.process.send_signal(signal.SIGKILL)
        again.process.wait()
    finally:
        head.stop()
    lost, started, rows = audit.finished(again.there), time.monotonic(), audit.num_rows(again.there)
    head = Head(tmp_path)
    try:
        last = Sent(head, home)
        last.until_more(than=rows)
        seconds = time.monotonic() - started
        assert f"came home: {home}/run" in last.ends(0)
    finally:
        last.process.kill()
        head.stop()
    for before in (stopped, lost):
        audit.check(home / "run", before, method=METHOD)
    did = "stopped cleanly, what there was came home, and the same command went on with it"
    note("a sweep sent as a Ray Job is stopped", did, f"nothing of {len(stopped)} ended trials", None)
    did = "a new head, and the same command from outside"
    note("the head of a sent sweep is lost", did, f"nothing of {len(lost)} ended trials", seconds)
