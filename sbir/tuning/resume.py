"""Which folder a run has: a new one, or that of a run that goes on; and whether it may go on."""

from pathlib import Path
from typing import Any

from sbir.tuning.code import check_code
from sbir.tuning.data_change import check_data, is_changed
from sbir.tuning.extend import check_extension
from sbir.tuning.folder import MANIFEST, SUMMARY, held_request, holds_files, new_name, open_runs
from sbir.tuning.setup import Setup


def choose_folder(setup: Setup) -> tuple[Path, bool]:
    """The run's folder, and whether it is there already and goes on; nothing is written but accepted code.

    Without `--name` the script's last interrupted run with the same request is resumed. Raises where the named folder
    is finished, or belongs to a request that differs, and says in what; with `--extend` where it cannot be extended to
    what is asked; or where data or code have changed, methods from outside the package included, and
    `--accept-changes` was not given.
    """
    options = setup.options
    folder = _interrupted(setup) if options.name is None else options.runs / options.name
    if folder is None:
        return options.runs / new_name(options), False
    if not (folder / MANIFEST).exists():
        if options.extend:
            raise ValueError(f"--extend needs a run to go on with, {folder} is none; leave --extend out")
        if holds_files(folder):
            raise ValueError(f"a new run needs a new or empty folder, {folder} holds other files; take another --name")
        return folder, False
    if options.extend:
        check_extension(folder, setup)
    else:
        _check_open(folder, setup)
    check_code(folder, [one.sweep.method for one in setup.resolved], accept=options.accept_changes)
    return folder, True


def check_same(
    folder: Path, held: dict[str, Any], request: dict[str, Any], *, but: frozenset[str] = frozenset()
) -> None:
    """Raise where a run began with other settings."""
    differing = sorted(key for key in request.keys() - but if request[key] != held.get(key))
    if differing:
        got = ", ".join(f"{key}: {held.get(key)!r} there, {request[key]!r} asked" for key in differing)
        fix = "take another --name, or --extend to ask a finished run for more"
        raise ValueError(f"a run goes on with the settings it began with, {folder} differs ({got}); {fix}")


def _interrupted(setup: Setup) -> Path | None:
    """The script's last run that was asked for the same and has no end; of a store that has changed since, too."""
    options, request = setup.options, setup.request()
    found = open_runs(options, request) + [
        path for path in open_runs(options, request, but="data") if is_changed(path, setup)
    ]
    return max(found, key=lambda path: (path / MANIFEST).stat().st_mtime, default=None)


def _check_open(folder: Path, setup: Setup) -> None:
    held, finished = held_request(folder), (folder / SUMMARY).exists()
    check_same(folder, held, setup.request(), but=frozenset() if finished else frozenset({"data"}))
    if finished:
        raise ValueError(f"{folder} is finished; take another --name, or --extend to go on with it")
    check_data(folder, setup, accept=setup.options.accept_changes)
