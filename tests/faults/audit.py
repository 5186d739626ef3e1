"""What must hold of a sweep's folder whatever happened while it ran."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial

from sbir.training.rescore import rescore

Trials = dict[tuple[str, int], FrozenTrial]


def trials(run: Path) -> Trials:
    """All trials that the journal knows, by study and number; also of a sweep that is still running."""
    if not (run / "study.journal").exists():
        return {}
    storage = JournalStorage(JournalFileBackend(str(run / "study.journal")))
    studies = [optuna.load_study(study_name=name, storage=storage) for name in optuna.get_all_study_names(storage)]
    return {(study.study_name, trial.number): trial for study in studies for trial in study.trials}


def finished(run: Path) -> Trials:
    return {key: trial for key, trial in trials(run).items() if trial.state.is_finished()}


def num_rows(run: Path) -> int:
    """Evaluations that are written down, of all trials."""
    return sum(path.read_bytes().count(b"\n") for path in run.glob("*/*/rows.jsonl"))


def deaths(run: Path) -> list[int]:
    """What the journal says of dead workers, in order: 1 or more where a trial lost its worker, 0 where it had
    reported something new after that."""
    path = run / "study.journal"
    lines = path.read_text().splitlines() if path.exists() else []
    attributes = [json.loads(line).get("user_attr", {}) for line in lines if '"deaths"' in line]
    return [given["deaths"] for given in attributes if "deaths" in given]


def check(run: Path, before: Trials, *, method: str, fails: int = 0) -> None:
    """Finished trials are all there, as they were, and once; budgets are exact; nothing is left running; rows are
    whole; the kept models load and score what was logged. `before`: what had finished when the fault came; `method`:
    the class, as `sbir evaluate --method` takes it."""
    now = trials(run)
    for key, trial in before.items():
        assert (now[key].state, now[key].params, now[key].value) == (trial.state, trial.params, trial.value), key
        assert now[key].intermediate_values == trial.intermediate_values, key
    assert all(trial.state.is_finished() for trial in now.values()), {key: one.state for key, one in now.items()}
    assert sum(trial.state.name == "FAIL" for trial in now.values()) == fails
    table = pd.read_parquet(run / "trials.parquet")
    assert len(table) == len(now)
    assert not table.duplicated(["method", "kind", "number"]).any()
    for spent in json.loads((run / "summary.json").read_text())["methods"].values():
        assert spent["budget"] - 1 < spent["spent"] <= spent["budget"]
    for steps in _steps(run):
        assert steps == sorted(set(steps))
    for scored in rescore(run, method=method):
        logged = json.loads((scored.folder / "model.json").read_text())["test"]
        assert all(math.isclose(scored.result.means[name], value, abs_tol=1e-6) for name, value in logged.items())


def _steps(run: Path) -> Iterator[list[Any]]:
    for path in run.glob("*/*/rows.jsonl"):
        yield [json.loads(line)["step"] for line in path.read_text().splitlines()]
