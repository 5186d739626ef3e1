"""Sending a run's W&B files to the server once and completely: `wandb sync` does it, this says what, and checks."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sbir.report.load import load_run
from sbir.tracking.finished import PICTURES, write_finished
from sbir.tracking.segment import FOLDER, drop_staging, is_synced, is_whole, place, segments, settle
from sbir.tracking.upload import COMMAND, SYNC_LIMIT, Upload, is_reachable, server

Say = Callable[[str], object]
AT_ONCE = 200  # W&B runs a `wandb sync`, which sends five side by side


@dataclass(frozen=True)
class Synced:
    """What became of a run's W&B runs."""

    sent: int
    before: int  # that were on the server already
    project: str  # "entity/project", or the project alone where the key's own entity is meant


def has_key() -> bool:
    """Whether environment, netrc or W&B's settings hold a key for the server; `ValueError` where it is no key."""
    from wandb.errors import AuthenticationError
    from wandb.sdk.lib import wbauth

    try:
        key = wbauth.authenticate_session(host=server(), source="sbir", prompt=False, update_session=False)
    except AuthenticationError as error:
        raise ValueError(f"W&B's key must be whole, got another: {error}") from None
    return key is not None


def check_access() -> None:
    """`ValueError` without a key, `OSError` where the server does not answer; nothing is sent but one bare request."""
    host = server()
    if not has_key():
        raise ValueError(f"W&B at {host} needs a key, there is none; set WANDB_API_KEY or use `wandb login`")
    if not is_reachable(host):
        raise OSError(f"W&B at {host} does not answer; look at the network or WANDB_BASE_URL and try again")


def check_run(path: Path) -> dict[str, Any]:
    """The run's manifest; `ValueError` where the folder is no run."""
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ValueError(f"a run is a folder with manifest.json, {path} has none; name a folder below runs/") from None
    return dict(manifest)


def destination(manifest: Mapping[str, Any]) -> tuple[str | None, str]:
    """Entity and project: of the environment, else of the sweep when it was started, else the key's own and `sbir`."""
    told, (entity, project) = manifest.get("wandb") or {}, place()
    if not os.environ.get("WANDB_PROJECT"):
        project = told.get("project") or project
    return entity or told.get("entity"), project


def sync_run(path: Path, *, pictures: bool = False, limit: float = SYNC_LIMIT, say: Say | None = None) -> Synced:
    """Send what the server does not have yet of one run; a call that was killed is gone on with by the next.

    A finished run's baselines, refits and tables go with its trials. `limit` is in seconds without progress. Raises
    `OSError` with the server's words where not all could be sent, `ValueError` where there is nothing to send.
    """
    entity, project = destination(check_run(path))
    folder = path / FOLDER
    if (path / "summary.json").is_file():
        write_finished(load_run(path), pictures=pictures)
    elif pictures:
        raise ValueError(f"--pictures needs a finished run, {path} is not; finish it first")
    settle(folder, 30)
    shown = [] if pictures else segments(folder, f"{path.resolve().name}-{PICTURES}")  # left by a call that was killed
    whole = [segment for segment in segments(folder) if is_whole(segment) and segment not in shown]
    if not whole:
        raise ValueError(f"{folder} must hold W&B runs, it holds none whole; the sweep was run with --wandb off?")
    waiting = [segment for segment in whole if not is_synced(segment)]
    flags = ["--project", project, *(["--entity", entity] if entity else [])]
    upload = Upload((*COMMAND, *flags), limit)
    for done, part in _parts(waiting):
        problem = upload.sync(part, partial(_progress, say, done, len(waiting)))
        if problem:
            left = sum(not is_synced(segment) for segment in whole)
            raise OSError(f"{problem}; {left} of {len(whole)} W&B runs of {path} are not sent; try again to go on")
    drop_staging(folder)
    return Synced(len(waiting), len(whole) - len(waiting), "/".join(filter(None, (entity, project))))


def _progress(say: Say | None, done: int, all_of_it: int, sent: int) -> None:
    if say is not None:
        say(f"sent {done + sent} of {all_of_it}")


def _parts(waiting: Sequence[Path]) -> Iterator[tuple[int, Sequence[Path]]]:
    return ((start, waiting[start : start + AT_ONCE]) for start in range(0, len(waiting), AT_ONCE))
