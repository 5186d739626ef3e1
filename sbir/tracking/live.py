"""What a person sees while a sweep runs: one live view on a terminal, plain lines anywhere else."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sbir.tracking.names import readable_time

REFRESH = 0.25  # seconds between two pictures: Tune's loop turns ten times a second
_STATES = {"COMPLETE": "done", "PRUNED": "pruned", "FAIL": "failed"}
_STYLES = {"COMPLETE": "green", "PRUNED": "yellow", "FAIL": "red"}


@dataclass(frozen=True)
class TrialLine:
    """One trial, running or ended, as a line."""

    name: str  # "cross_modal-7"
    settings: str  # the axes that vary, see `trial_name`
    state: str  # "RUNNING", "COMPLETE", "PRUNED" or "FAIL"
    value: float | None  # best validation value so far
    step: int = 0
    steps: int = 0  # full length; 0 where it is not known
    fusion: str | None = None  # lambda of that value; None with one view
    reason: str = ""  # why it failed


@dataclass(frozen=True)
class SweepState:
    """What the view shows; `ended` grows, in the order in which trials ended."""

    phase: str  # what is going on, in a word: "search", "finalists"
    metric: str  # the key that is maximised
    share: float  # of the whole sweep's work that is done, 0 to 1
    running: Sequence[TrialLine] = ()
    ended: Sequence[TrialLine] = ()
    best: TrialLine | None = None


class LiveView:
    """Fed by `update`, from one thread. Nothing live exists before `start`, so that it can be pickled."""

    def __init__(self, name: str, folder: str) -> None:
        self._name, self._folder = name, folder
        self._live: Live | None = None
        self._console: Console | None = None
        self._begun = self._drawn = 0.0
        self._first_share: float | None = None
        self._told = 0

    def start(self, file: TextIO | None = None, *, width: int | None = None, elapsed: float = 0.0) -> None:
        """Begin to draw, on standard output unless `file` is given; `elapsed` seconds have gone already."""
        self._begun = time.monotonic() - elapsed
        self._console = Console(file=file, width=width, highlight=False, soft_wrap=True)
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        else:
            self._console.print(f"{self._name}: started, run folder {self._folder}", markup=False)

    def wants(self, ended: int) -> bool:
        """Whether `update` would show something now that so many trials have ended: a state is work to make."""
        if self._console is None:
            return False
        if self._first_share is None:
            return True
        return ended > self._told if self._live is None else time.monotonic() - self._drawn >= REFRESH

    def update(self, state: SweepState) -> None:
        """Show a state; cheap when the last picture is younger than `REFRESH`."""
        if self._console is None:
            return
        if self._first_share is None:
            self._first_share = state.share
        if self._live is None:
            for line in state.ended[self._told :]:
                self._told += 1
                self._tell(line, state)
        elif time.monotonic() - self._drawn >= REFRESH:
            self._drawn = time.monotonic()
            self._live.update(self._picture(state), refresh=True)

    def note(self, text: str) -> None:
        """A line of its own, above the live view."""
        if self._console is not None:
            self._console.print(text, markup=False)

    def stop(self, state: SweepState | None = None) -> None:
        """Take the view down and leave a line with the counts of the last `state`."""
        if self._console is None:
            return
        if state is not None:
            self.update(state)
        if self._live is not None:
            self._live.stop()
        counted = f": {self._counts(state)}" if state is not None else ""
        self._console.print(f"{self._name}: trials over after {readable_time(self._elapsed)}{counted}", markup=False)
        self._live = self._console = None

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._begun

    def _remaining(self, state: SweepState) -> str:
        """From the pace since the start: a resumed sweep did part of its work in another process."""
        done = state.share - (self._first_share or 0.0)
        if done <= 0 or state.share <= 0:
            return "remaining time not known yet"
        return f"about {readable_time(self._elapsed / done * (1 - state.share))} left"

    def _counts(self, state: SweepState) -> str:
        counts = Counter(line.state for line in state.ended)
        words = [f"{counts[key]} {word}" for key, word in _STATES.items()]
        return f"{len(state.ended)} trials ({', '.join(words)})"

    def _tell(self, line: TrialLine, state: SweepState) -> None:
        assert self._console is not None
        found = line.reason if line.state == "FAIL" else f"{_short(state.metric)} {_percent(line.value)}"
        best = f", best {_percent(state.best.value)}" if state.best is not None else ""
        parts = [
            f"[{readable_time(self._elapsed)}]",
            f"{self._told} ({100 * min(1.0, state.share):.0f} %)",
            line.name,
            f"{_STATES.get(line.state, line.state)},",
            f"{found}{best};",
            f"{line.step} steps;",
            line.settings,
        ]
        self._console.print(" ".join(parts), markup=False)

    def _bar(self, state: SweepState) -> Table:
        line = Table.grid(padding=(0, 1))
        line.add_row(ProgressBar(total=1.0, completed=min(1.0, state.share), width=30), Text(self._counts(state)))
        return line

    def _picture(self, state: SweepState) -> Group:
        return Group(
            Text.assemble((self._name, "bold"), f"  {state.phase}  ", (self._folder, "dim")),
            self._bar(state),
            Text(f"{readable_time(self._elapsed)} so far, {self._remaining(state)}"),
            _best(state),
            _running(state),
        )


def _best(state: SweepState) -> Text:
    if state.best is None:
        return Text("best so far: no evaluation yet", style="dim")
    best = state.best
    fusion = f"  lambda {best.fusion}" if best.fusion is not None else ""
    head = ("best so far: ", f"{_short(state.metric)} {_percent(best.value)}")
    return Text.assemble(head[0], (head[1], "bold green"), f" on validation  {best.name}{fusion}\n  {best.settings}")


def _running(state: SweepState) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("running", "step", _short(state.metric), "settings"):
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    for line in state.running:
        steps = f"{line.step}/{line.steps}" if line.steps else str(line.step)
        table.add_row(Text(line.name), steps, _percent(line.value), Text(line.settings))
    for line in state.ended[-3:]:
        style = _STYLES.get(line.state, "")
        more = Text(line.reason if line.state == "FAIL" else line.settings, style="dim")
        table.add_row(Text(line.name, style=style), _STATES.get(line.state, ""), _percent(line.value), more)
    return table


def _short(metric: str) -> str:
    return metric.rsplit("/", 1)[-1]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
