"""A finished run goes on with more: trials, seeds, splits, methods, a wider space. What it has stays as it is."""

import copy
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.trial import FrozenTrial, TrialState

from sbir.training.plain_json import write_json
from sbir.training.settings import RUN_KEYS
from sbir.tuning.folder import JOURNAL, MANIFEST, SUMMARY, read_manifest
from sbir.tuning.journal import Journal
from sbir.tuning.plan import ALL_SETTINGS
from sbir.tuning.setup import Setup
from sbir.tuning.space import Resolved

KEPT = ("script", "stage", "scale", "data", "smoke")
GROWN = ("trials", "final_seeds", "splits")  # may be more, not less
IF_ENDED = ("declaration", "seed")  # would change what an interrupted trial is


def check_extension(folder: Path, setup: Setup) -> None:
    """Raise `ValueError` where a run cannot be extended to what is asked for; nothing is written.

    Script, stage, scale, data and protocol stay. Methods may be added, and axes may be wider or new, as long as every
    trial that the run has is still allowed by the space. Another `--seed` is that of the further trials.
    """
    manifest = read_manifest(folder)
    held, asked = manifest["request"], setup.request()
    for key in KEPT:
        _same(folder, key, held.get(key), asked[key])
    for key in RUN_KEYS:
        _same(folder, key, *(request["set"].get(key) for request in (held, asked)))
    for key, now in json.loads(json.dumps(asdict(setup.protocol))).items():
        _same(folder, f"the protocol's {key}", manifest["protocol"].get(key), now)
    for key in GROWN:
        if asked[key] < held[key]:
            flag, least = f"--{key.replace('_', '-')}", held[key]
            rule = f"an extension asks for as much as {folder} has, or more"
            raise ValueError(f"{rule}: {flag} must be at least {least}, got {asked[key]}")
    lacking = [name for name in held["methods"] if name not in asked["methods"]]
    if lacking:
        raise ValueError(f"an extension keeps the methods of {folder}, {lacking[0]} is missing; add it to --methods")
    if any(held[key] != asked[key] for key in IF_ENDED):
        if not (folder / SUMMARY).exists():
            rule = "another space or seed needs a run that has ended"
            raise ValueError(f"{rule}, {folder} was interrupted; first give the command again that it was begun with")
        with closing(Journal(folder / JOURNAL)) as journal:
            for _ in _moved(JournalStorage(journal), setup.by_name):
                pass


def extend(folder: Path, journal: Journal, setup: Setup) -> Journal:
    """Take what is asked for into a run that `check_extension` has let pass; the journal to go on with.

    Optuna takes no other choices for an axis of a study. So where the space has changed the journal is written anew,
    with the same trials under the same numbers, now points of the space as it is, and the search learns from them. A
    kill leaves the run as it was or extended.
    """
    manifest = read_manifest(folder)
    asked = setup.request()
    if manifest["request"] != asked:
        if manifest["request"]["declaration"] != asked["declaration"]:
            journal = _rewritten(folder, journal, setup.by_name)
        about = setup.describe()
        extension = {"when": datetime.now().isoformat(timespec="seconds"), "changed": _changes(manifest, about)}
        extensions = [*manifest.get("extensions", []), extension]
        write_json(folder / MANIFEST, manifest | about | {"extensions": extensions})
    (folder / SUMMARY).unlink(missing_ok=True)
    return journal


def _same(folder: Path, what: str, before: Any, now: Any) -> None:
    if before != now:
        rule = f"an extension keeps {', '.join(KEPT)} and the protocol"
        raise ValueError(f"{rule}, {folder} has {what} {before!r}, got {now!r}; take another --name")


def _rewritten(folder: Path, journal: Journal, resolved: dict[str, Resolved]) -> Journal:
    part = folder / f"{JOURNAL}.part"
    part.unlink(missing_ok=True)
    fresh = Journal(part)
    storage = JournalStorage(fresh)
    for study, trials in _moved(JournalStorage(journal), resolved):
        optuna.create_study(storage=storage, study_name=study, direction="maximize").add_trials(trials)
    part.replace(folder / JOURNAL)  # the lock goes with the file
    journal.close()
    return fresh


def _moved(storage: BaseStorage, resolved: dict[str, Resolved]) -> Iterator[tuple[str, list[FrozenTrial]]]:
    """Every study's trials, those of searches as points of the space as it is now."""
    for name in optuna.get_all_study_names(storage):
        trials = optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
        yield name, [_moved_trial(resolved[name], trial) for trial in trials] if name in resolved else trials


def _moved_trial(resolved: Resolved, trial: FrozenTrial) -> FrozenTrial:
    if trial.state == TrialState.WAITING:
        return trial
    name = f"{resolved.sweep.name} {trial.number}"
    if ALL_SETTINGS not in trial.user_attrs:
        rule = "an extension to another space needs the settings of every trial"
        raise ValueError(f"{rule}, an older version that did not keep them wrote {name}; take another --name")
    moved = copy.copy(trial)
    try:
        moved.params, moved.distributions, settings = resolved.place(trial.user_attrs[ALL_SETTINGS], trial.user_attrs)
    except ValueError as error:
        rule = "an extension's space must allow every trial of the run"
        raise ValueError(f"{rule}, {name} has {error}; allow that value too, or take another --name") from None
    moved.user_attrs = trial.user_attrs | {ALL_SETTINGS: settings}
    return moved


def _changes(manifest: dict[str, Any], about: dict[str, Any]) -> dict[str, list[Any]]:
    """What was asked for before, and what is now."""
    before, now = manifest["request"], about["request"]
    changes = {key: [before[key], now[key]] for key in (*GROWN, "methods", "seed") if before[key] != now[key]}
    for method, axes in about["domains"].items():
        held = manifest["domains"].get(method, axes)
        for axis in axes | held:
            if held.get(axis) != axes.get(axis):
                changes[f"{method} {axis}"] = [held.get(axis), axes.get(axis)]
    return changes
