"""Which code a run's figures were computed by, and what of it has changed when the run is gone on with."""

import hashlib
import importlib.metadata
import inspect
import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from sbir.models.method import Method
from sbir.training.plain_json import write_json

CODE = "code.json"
PACKAGE = Path(__file__).parents[1]
ROOMS = ("data", "losses", "metrics", "models", "training", "tuning")  # the others only show what these found
LIBRARIES = ("numpy", "optuna", "torch")


def record_code(folder: Path, methods: Iterable[type[Method]]) -> None:
    """Write a new run's `code.json`."""
    write_json(folder / CODE, {"parts": _parts(methods), "changes": []})


def check_code(folder: Path, methods: Iterable[type[Method]], *, accept: bool) -> None:
    """Raise `ValueError` with what has changed since a run was begun; with `accept` note it in `code.json` instead."""
    if not (folder / CODE).exists():
        return  # of a version that did not write it
    held: dict[str, Any] = json.loads((folder / CODE).read_text())
    now = _parts(methods)
    changed = sorted(name for name, part in held["parts"].items() if now.get(name) != part)
    if held["parts"] == now:
        return
    if not changed:  # a method more
        write_json(folder / CODE, held | {"parts": now})
        return
    if not accept:
        listed = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
        raise ValueError(
            f"a run goes on with the code that it began with, since {folder} was begun these have changed: {listed}; "
            "add --accept-changes to go on all the same, or take a new --name"
        )
    change = {"when": datetime.now().isoformat(timespec="seconds"), "changed": changed}
    write_json(folder / CODE, {"parts": now, "changes": [*held["changes"], change]})


def _parts(methods: Iterable[type[Method]]) -> dict[str, str]:
    """Name -> hash of every file that has a part in a trial's figures, and name -> version of the libraries."""
    ours = {f"sbir/{path.relative_to(PACKAGE)}": path for room in ROOMS for path in (PACKAGE / room).rglob("*.py")}
    files = [Path(file) for method in methods if (file := inspect.getsourcefile(method)) is not None]
    users = {path.name: path for path in files if PACKAGE not in path.resolve().parents}
    hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest()[:12] for name, path in (ours | users).items()}
    return hashes | {name: importlib.metadata.version(name) for name in LIBRARIES}
