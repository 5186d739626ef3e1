"""How the benchmarks of speed measure and what they leave behind: turns, medians, and one file of lines a benchmark.

Ratios come from runs in turns (A B A B ...) within one call, so that a machine that is busy or throttled troubles both
sides. Wall seconds are what a user waits; processor seconds of a process are nearly the same under any load.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from sbir.data.feed import Columns
    from sbir.data.protocol import Protocol
    from sbir.data.splits import Split

RESULTS = Path(__file__).parent / "results"


class Seconds(NamedTuple):
    """Medians over the turns."""

    wall: float
    processor: float  # of this process, all its threads


def in_turns(functions: Mapping[str, Callable[[], Any]], turns: int = 5, *, warm: bool = True) -> dict[str, Seconds]:
    """Median seconds of each function, called in turns; a first call of each is not counted where `warm`."""
    if warm:
        for function in functions.values():
            function()
    taken: dict[str, list[Seconds]] = {name: [] for name in functions}
    for _ in range(turns):
        for name, function in functions.items():
            wall, processor = time.perf_counter(), time.process_time()
            function()
            taken[name].append(Seconds(time.perf_counter() - wall, time.process_time() - processor))
    return {name: median(rows) for name, rows in taken.items()}


def median(rows: Sequence[Sequence[float]]) -> Seconds:
    """Column by column."""
    return Seconds(*(statistics.median(column) for column in zip(*rows, strict=True)))


def embedded() -> "tuple[Columns, Split, Protocol]":
    """The embedded data, mapped, under their own split."""
    from sbir.data.cache import embedded_store
    from sbir.data.feed import Columns
    from sbir.data.loader import Shared
    from sbir.data.protocol import make_protocol
    from sbir.data.splits import assign

    items = Shared.mapped(embedded_store()).items()
    split = assign(items, "stored")
    return Columns(items), split, make_protocol(items, split, split_spec="stored", content_hash="", synthetic=True)


def start_python(module: str, *words: str, threads: int | None = None) -> "subprocess.Popen[str]":
    """`python -m module words...` in a process of its own, with so many threads (None: what libraries choose)."""
    root = str(Path(__file__).resolve().parents[1])
    environ = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environ.get("PYTHONPATH")]))
    if threads is not None:
        environ["OMP_NUM_THREADS"] = str(threads)
    command = [sys.executable, "-m", module, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)


def answer(process: "subprocess.Popen[str]") -> Any:
    """The JSON on the last line that such a process prints; raises where it failed."""
    said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, process.args[1:]))} ended with status {process.returncode}")  # type: ignore[index]
    return json.loads(said.splitlines()[-1])


class Report:
    """Lines for people, printed as they come, and figures for programs; both are kept under `results` at the end."""

    def __init__(self, name: str, packages: Sequence[str] = ("torch", "numpy")) -> None:
        self._name, self._lines = name, [f"# {name}", ""]
        self._figures: dict[str, Any] = {}
        self._head: dict[str, Any] = {
            "device": device(),
            "versions": _versions(packages),
            "load at the start": os.getloadavg()[0],
        }

    def say(self, line: str = "") -> None:
        """A line of Markdown."""
        print(line, flush=True)
        self._lines.append(line)

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A Markdown table; numbers with three digits."""
        self.say("| " + " | ".join(heads) + " |")
        self.say("|" + "---|" * len(heads))
        for row in rows:
            self.say("| " + " | ".join(_text(cell) for cell in row) + " |")
        self.say()

    def keep(self, **figures: Any) -> None:
        """Figures by name."""
        self._figures |= figures

    def write(self, folder: Path = RESULTS) -> None:
        """`<name>.md` and `.json` in the folder."""
        head = self._head | {"load at the end": os.getloadavg()[0]}
        folder.mkdir(parents=True, exist_ok=True)
        told = [f"- {key}: {_text(value)}" for key, value in head.items() if key != "versions"]
        versions = ", ".join(f"{name} {number}" for name, number in head["versions"].items())
        text = "\n".join([*self._lines[:2], *told, f"- versions: {versions}", "", *self._lines[2:]])
        (folder / f"{self._name}.md").write_text(text.rstrip() + "\n")
        figures = json.dumps({**head, **self._figures}, indent=1)
        (folder / f"{self._name}.json").write_text(figures + "\n")


def device() -> str:
    """What this runs on, in words."""
    import torch

    words = f"{os.cpu_count()} cores, {_processor()}"
    return f"{words}, {torch.cuda.get_device_name()}" if torch.cuda.is_available() else words


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _versions(packages: Sequence[str]) -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found


def _text(cell: object) -> str:
    return (
        f"{cell:.3g}"
        if isinstance(cell, float) and abs(cell) < 1000
        else f"{cell:,.0f}"
        if isinstance(cell, float)
        else str(cell)
    )
