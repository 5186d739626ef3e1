"""Run the fault tests and write docs/faults.md from what they saw: `python -m tests.faults.table [pytest's arguments]`.

A row is replaced by the next run of its test; a test that fails loses its row.
"""

import json
import os
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs/faults.md"
ROWS = "<!-- rows: "  # the rows as JSON, in the last line of the page
HEAD = """# What breaks, and what is lost

Written by `python -m tests.faults.table` from the tests in `tests/faults`, which break real sweeps. After each fault
they check that the trials that had ended are there, unchanged and once, that every method's budget is kept to the
trial, that the study has no trial left running, and that the kept models load and score what was logged.

Times are from the fault (of a disk: from when it was mended) until what it hit had reported something new; an empty
cell has not been measured. They were taken on a shared machine with two cores, whose load (processes that wanted a
core, the test's own too) stands beside the day; without one it was high, and starting a worker alone took tens of
seconds. Most of a lost node's time is Ray's own limit for giving it up.

| fault | what was done | what was lost | seconds until work went on | run on |
| --- | --- | --- | ---: | --- |
"""


class Collector:
    """A pytest plugin that keeps the rows of passed tests, by test and fault."""

    def __init__(self, rows: dict[str, Any]) -> None:
        self.rows = rows

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call":
            return
        for name in [name for name in self.rows if name.startswith(f"{report.nodeid} ")]:
            del self.rows[name]
        for name, value in report.user_properties if report.passed else []:
            if name == "fault":
                row: dict[str, Any] = dict(value)  # type: ignore[call-overload]
                when = f"{date.today():%Y-%m-%d}, load {os.getloadavg()[1]:.1f}"  # of the last five minutes
                self.rows[f"{report.nodeid} {row['fault']}"] = row | {"day": when}


def read() -> dict[str, Any]:
    last = PAGE.read_text().splitlines()[-1] if PAGE.exists() else ""
    return dict(json.loads(last.removeprefix(ROWS).removesuffix(" -->"))) if last.startswith(ROWS) else {}


def write(rows: dict[str, Any]) -> None:
    lines = []
    for row in dict(sorted(rows.items())).values():
        seconds = "" if row["seconds"] is None else f"{row['seconds']:.0f}"
        lines.append(f"| {row['fault']} | {row['done']} | {row['lost']} | {seconds} | {row['day']} |\n")
    PAGE.write_text(f"{HEAD}{''.join(lines)}\n{ROWS}{json.dumps(rows, sort_keys=True)} -->\n")


def main() -> int:
    collector = Collector(read())
    given = sys.argv[1:] or [str(Path(__file__).parent)]
    status = pytest.main(["-m", "faults or cluster or not faults", *given], plugins=[collector])
    write(collector.rows)
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
