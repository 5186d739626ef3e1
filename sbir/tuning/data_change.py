"""The data of an interrupted run have changed: what has, and how it goes on where the user accepts that."""

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from sbir.training.plain_json import write_json
from sbir.tuning.folder import MANIFEST, read_manifest
from sbir.tuning.plan import ALL_SETTINGS, FOLDERS
from sbir.tuning.setup import Setup

CHANGED = "data changed in mid-run"  # mark of every result
HASHES = ("content_hash", "split_hash")  # what may differ of a protocol
FINALS = ("refit", "splits", "source")


def is_changed(folder: Path, setup: Setup) -> bool:
    """Whether a run was begun on the same store when it held something else."""
    held, now = read_manifest(folder)["data"], setup.describe()["data"]
    return bool(held["store"] == now["store"] and held["content_hash"] != now["content_hash"])


def check_data(folder: Path, setup: Setup, *, accept: bool) -> None:
    """Raise `ValueError` with what has changed of the data since a run was begun, unless the user accepts it.

    Also where it would be another task: other data set, protocol or metric have no place in one run.
    """
    manifest = read_manifest(folder)
    held, now = manifest["data"], setup.describe()["data"]
    if held["content_hash"] == now["content_hash"]:
        return
    protocol = json.loads(json.dumps(asdict(setup.protocol)))
    before = {"dataset": held["dataset"]} | {key: manifest["protocol"].get(key) for key in protocol}
    other = {key: value for key, value in {"dataset": now["dataset"], **protocol}.items() if value != before[key]}
    for key in other.keys() - set(HASHES):
        rule = "a run goes on with its data set and protocol"
        raise ValueError(f"{rule}, {folder} has {key} {before[key]!r}, got {other[key]!r}; take a new --name")
    if not accept:
        raise ValueError(
            f"a run goes on with the data that it began with, since {folder} was begun they have changed: "
            f"{change(held, now)}; add --accept-changes to go on all the same (trials of the search that have ended "
            "keep their values, finalists are trained and scored on the data as they are), or take a new --name"
        )


def change(held: dict[str, Any], now: dict[str, Any]) -> str:
    """Store, content and numbers of rows, before and since."""
    counts = {key: (held["num"].get(key), count) for key, count in now["num"].items()}
    rows = ", ".join(f"{key} {before} to {count}" for key, (before, count) in counts.items() if before != count)
    content = f"content {held['content_hash']} to {now['content_hash']}"
    return f"{now['store']}, {content}, {rows or 'no row more or less'}"


def take_data(folder: Path, storage: BaseStorage, setup: Setup) -> None:
    """Go on with the data as they are, which `check_data` has let pass; nothing where they are the same.

    Ended trials of the search keep their values and the sampler goes on learning from them. A trial that was running
    is pruned: half of it would be of each. Finalists are forgotten, and their files moved to `superseded`: no two
    figures of a table are of different data.
    """
    manifest, about = read_manifest(folder), setup.describe()
    held = manifest["data"]
    if held["content_hash"] == about["data"]["content_hash"]:
        return
    ended = 0
    for name in optuna.get_all_study_names(storage):
        if name.rpartition(" ")[2] in FINALS:
            optuna.delete_study(study_name=name, storage=storage)
        else:
            ended += _end_running(optuna.load_study(study_name=name, storage=storage))
    for phase in FINALS:
        if (folder / FOLDERS[phase]).exists():
            aside = folder / f"superseded/{held['content_hash']}"
            aside.mkdir(parents=True, exist_ok=True)
            (folder / FOLDERS[phase]).rename(aside / FOLDERS[phase])
    when, what = datetime.now().isoformat(timespec="seconds"), change(held, about["data"])
    changes = [*manifest.get("data_changes", []), {"when": when, "change": what, "trials": ended}]
    write_json(folder / MANIFEST, manifest | about | {"data_changes": changes})


def _end_running(study: optuna.Study) -> int:
    """Prune what was running, but for a trial that had not been handed out; how many trials have ended by now."""
    running = study.get_trials(states=[TrialState.RUNNING], deepcopy=False)
    for frozen in (one for one in running if ALL_SETTINGS in one.user_attrs):
        trial = optuna.trial.Trial(study, frozen._trial_id)
        trial.set_user_attr("reason", "the data changed while it was interrupted")
        study.tell(trial, state=TrialState.PRUNED)
    return sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))
