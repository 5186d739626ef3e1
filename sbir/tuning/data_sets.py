"""The same sweep on several data sets: a run for each, one after another, and all of them in one table at the end."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sbir.report.compare import compare
from sbir.report.compare_text import print_comparison
from sbir.report.load import DATA_SETS, load_run
from sbir.report.page import write_joint_report
from sbir.training.plain_json import write_json
from sbir.tuning.extend import check_extension
from sbir.tuning.folder import MANIFEST, SUMMARY, held_request, holds_files, new_name
from sbir.tuning.options import Options
from sbir.tuning.restore import restore
from sbir.tuning.resume import check_same
from sbir.tuning.setup import Setup
from sbir.tuning.sweep import Sweep

PAGE = "comparison.html"


class DataSets:
    """Runs that belong together: run `NAME-STORE` for each store, beside a folder `NAME` with their record and table.

    All stores are checked before anything is written: what is wrong with any of them is a `ValueError` here. An
    interrupted whole goes on where it was, as a single run does; what has finished is not run again.
    """

    def __init__(self, sweeps: Sequence[Sweep], options: Options) -> None:
        self._options, self._setups = options, []
        for store in options.data:
            print(f"checking {store}")
            self._setups.append(Setup(sweeps, replace(options, data=(store,))))
        self._check_different()
        self._requests = [setup.request() for setup in self._setups]
        self.folder = options.runs / (options.name or self._interrupted() or new_name(options))
        self._names = _names(self.folder.name, options.data)
        if options.mirror:
            for name, request in zip(self._names, self._requests, strict=True):
                restore(replace(options, name=name), request)
        self._begin()

    def setups(self) -> Iterator[Setup]:
        """What is left to be run, in order, each with its run's name."""
        for number, (setup, name) in enumerate(zip(self._setups, self._names, strict=True), 1):
            where = f"data set {number} of {len(self._names)}, {setup.manifest['dataset']} ({setup.store})"
            run = self._options.runs / name
            if (run / SUMMARY).is_file() and held_request(run) == setup.request():
                print(f"\n{where}: finished before, {run}")
                continue
            print(f"\n{where}")
            begun = (run / MANIFEST).is_file()
            setup.options = replace(setup.options, name=name, extend=self._options.extend and begun)
            yield setup

    def compare(self) -> None:
        """Print methods x data sets over the runs that have finished, and write the page of all of them."""
        runs = [self._options.runs / name for name in self._names]
        finished = [run for run in runs if (run / SUMMARY).is_file()]
        if len(finished) < len(runs):
            print(f"no table over all data sets: {len(runs) - len(finished)} of {len(runs)} runs have no result")
            return
        print_comparison(compare([load_run(run) for run in finished]))
        print(f"all data sets: {write_joint_report(finished, self.folder / PAGE)}")

    def _check_different(self) -> None:
        stores: dict[str, Path] = {}
        for setup in self._setups:
            content = setup.manifest["content_hash"]
            if content in stores:
                raise ValueError(
                    f"--data must name different data, {stores[content]} and {setup.store} hold the same; drop one"
                )
            stores[content] = setup.store

    def _interrupted(self) -> str | None:
        """The script's last runs on these data with the same request that have not come to their table."""
        found = [path.parent for path in self._options.runs.glob(f"{self._options.script}-*/{DATA_SETS}")]
        left = [path for path in found if not (path / PAGE).exists() and _record(path)["requests"] == self._requests]
        return max(left, key=lambda path: (path / DATA_SETS).stat().st_mtime).name if left else None

    def _begin(self) -> None:
        """Check that the runs' folders are new or ours, and write the record."""
        extend = self._options.extend
        if (self.folder / DATA_SETS).is_file():
            held = _record(self.folder)
            if held["runs"] != self._names:
                there = ", ".join(held["runs"])
                raise ValueError(f"{self.folder} is of the runs {there}; name the same data, or take another --name")
            for name, before, setup in zip(self._names, held["requests"], self._setups, strict=True):
                run = self._options.runs / name
                if not extend:
                    check_same(run, before, setup.request())
                elif (run / MANIFEST).is_file():
                    check_extension(run, setup)
            if (self.folder / PAGE).is_file() and not extend:
                raise ValueError(f"{self.folder} is finished; take another --name, or --extend to go on")
        elif extend:
            raise ValueError(f"--extend needs runs to go on with, {self.folder} has none; leave --extend out")
        else:
            folders = [self.folder, *(self._options.runs / name for name in self._names)]
            used = [folder for folder in folders if holds_files(folder)]
            if used:
                raise ValueError(f"new runs need new or empty folders, {used[0]} holds files; take another --name")
        (self.folder / PAGE).unlink(missing_ok=True)
        write_json(self.folder / DATA_SETS, {"runs": self._names, "requests": self._requests})


def _record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / DATA_SETS).read_text())
        return {key: record[key] for key in ("runs", "requests")}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / DATA_SETS} must name runs and requests, reading it failed: {error}") from None


def _names(stem: str, stores: Sequence[Path]) -> list[str]:
    """Names of the runs, by the stores' own; equal ones are numbered.

    >>> _names("first", [Path("a/store"), Path("b/store"), Path("sketchy")])
    ['first-store', 'first-store-2', 'first-sketchy']
    """
    counts: Counter[str] = Counter()
    names = []
    for store in stores:
        name = store.resolve().name
        counts[name] += 1
        names.append(f"{stem}-{name}" + (f"-{counts[name]}" if counts[name] > 1 else ""))
    return names
