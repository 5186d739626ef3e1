"""A Ray head with its job server, started as users start one."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

LONG = 240  # seconds


class Head:
    """It has a home below a folder, which the next one may take over, and a temporary folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.home, self.temp = folder / "home", Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
        self.home.mkdir(exist_ok=True)
        port, agent = free_port(), free_port()  # the agent of a head that was killed may hold its port for a while
        self.address = f"http://127.0.0.1:{port}"
        programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {**os.environ, "HOME": str(self.home), "PATH": programs, "RAY_TMPDIR": str(self.temp)}
        env |= {"RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1", "SBIR_CACHE": str(folder / "cache")}
        small = ["--num-cpus=2", "--object-store-memory=200000000", "--dashboard-host=127.0.0.1"]
        small += [f"--dashboard-agent-listen-port={agent}"]
        ray = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--port=0"]
        self._process = subprocess.Popen([*ray, f"--dashboard-port={port}", *small], env=env, stdout=subprocess.DEVNULL)
        started = time.monotonic()
        while not self._answers():
            assert self._process.poll() is None
            assert time.monotonic() - started < LONG
            time.sleep(0.2)

    def _answers(self) -> bool:
        try:
            return bool(self.ask("/api/version"))
        except OSError:
            return False

    def ask(self, route: str) -> str:
        with urllib.request.urlopen(self.address + route, timeout=30) as answer:
            return str(answer.read().decode())

    def stop(self) -> None:
        """At once: told to end, Ray takes half a minute."""
        ours = [pid for pid, variables in environments() if f"RAY_TMPDIR={self.temp}" in variables]
        for pid in [*ours, self._process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        shutil.rmtree(self.temp, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def environments() -> Iterator[tuple[int, list[str]]]:
    """Of every process, by pid: titles do not tell whose a process of Ray's is."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            yield int(path.parent.name), path.read_bytes().decode(errors="replace").split("\0")
