"""A finished run's folder as data frames."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from sbir.tracking.rows import read_rows

DATA_SETS = "data_sets.json"  # in the folder of a sweep on several data sets: its runs, which lie beside it
_NEEDED = ("manifest.json", "summary.json", "trials.parquet", "per_query.parquet")


@dataclass(frozen=True)
class Run:
    """What a run left behind; frames have the columns of the files, `rows` one row per evaluation of a search trial."""

    path: Path
    manifest: Mapping[str, Any]
    summary: Mapping[str, Any]
    trials: pd.DataFrame
    rows: pd.DataFrame  # method, number, step, examples, train/..., val/..., and curve/<lambda>
    per_query: pd.DataFrame
    published: pd.DataFrame | None = None  # declared rows over seeds, with --stage published or ablate

    @property
    def metric(self) -> str:
        """The maximised metric without `val/`: the key of the table's figures."""
        return str(self.summary["metric"]).removeprefix("val/")

    @cached_property
    def axes(self) -> dict[str, list[str]]:
        """Method -> the settings that vary over its search trials, as columns of `trials`."""
        return {method: list(self._varying(method)) for method in self.manifest["methods"]}

    def search_trials(self) -> pd.DataFrame:
        """Trials without refits and baselines: those that the counts are about."""
        return self.trials[self.trials["kind"].isin(["declared", "search"])]

    def _varying(self, method: str) -> Iterator[str]:
        trials = self.search_trials()
        trials = trials[trials["method"] == method]
        for column in trials.columns:
            if "/" in column and trials[column].astype(str).nunique() > 1:
                yield column


def load_run(path: str | Path) -> Run:
    """Read a finished run; nothing in the folder is executed, only JSON and Parquet are read.

    `ValueError` names the file where the folder is no run, is not finished, or is damaged.
    """
    path = Path(path)
    _check(path)
    published = path / "published.parquet"
    return Run(
        path=path,
        manifest=_read_object(path / "manifest.json", ("name", "methods", "data")),
        summary=_read_object(path / "summary.json", ("metric", "table", "counts", "protocol")),
        trials=_read_frame(path / "trials.parquet", ("method", "number", "kind", "state", "value")),
        rows=_curves(path / "trials"),
        per_query=_read_frame(path / "per_query.parquet", ("row", "seed", "item", "class", "instance")),
        published=_read_frame(published, ("method", "label", "seed", "precision")) if published.is_file() else None,
    )


def runs_in(path: Path) -> list[Path]:
    """The run itself, or the runs of a sweep on several data sets."""
    if not (path / DATA_SETS).is_file():
        return [path]
    return [path.parent / Path(str(name)).name for name in _read_object(path / DATA_SETS, ("runs",))["runs"]]


def _check(path: Path) -> None:
    if (path / DATA_SETS).is_file():
        named = ", ".join(str(run) for run in runs_in(path))
        raise ValueError(f"one run is wanted, {path} stands for several; name one of {named}")
    if not (path / "manifest.json").is_file():
        raise ValueError(f"a run is a folder with manifest.json, {path} has none; name a folder below runs/")
    lacking = [name for name in _NEEDED if not (path / name).is_file()]
    if lacking:
        fix = "start its script again with the same flags to finish it"
        raise ValueError(f"a finished run needs {', '.join(_NEEDED)}, {path} lacks {', '.join(lacking)}; {fix}")


def _read_object(path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} must be JSON, reading it failed: {error}; restore it from a copy") from None
    lacking = [key for key in keys if not isinstance(value, dict) or key not in value]
    if lacking:
        raise ValueError(f"{path} must be an object with {', '.join(keys)}, it lacks {', '.join(lacking)}")
    return dict(value)


def _read_frame(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    import pyarrow as pa

    try:
        frame = pd.read_parquet(path)
    except (pa.ArrowException, OSError) as error:
        first = str(error).partition("\n")[0]
        raise ValueError(f"{path} must be Parquet, reading it failed: {first}; restore it from a copy") from None
    lacking = [column for column in columns if column not in frame.columns]
    if lacking:
        raise ValueError(f"{path} must have the columns {', '.join(columns)}, it lacks {', '.join(lacking)}")
    return frame


def _curves(folder: Path) -> pd.DataFrame:
    records = [
        {"method": method, "number": int(number), **_flat(row)}
        for trial in sorted(path for path in folder.glob("*-*") if path.is_dir())
        for method, _, number in [trial.name.rpartition("-")]
        if number.isdecimal()
        for row in read_rows(trial)
    ]
    return pd.DataFrame(records, columns=None if records else ["method", "number", "step"])


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    curve = {f"curve/{fusion}": value for fusion, value in (row.get("curve") or {}).items()}
    return {key: value for key, value in row.items() if key != "curve"} | curve
