"""Sweeps out of scripts: those beside a script, and a user's own from outside."""

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from sbir.tuning.sweep import Sweep


def sweeps_in(path: Path) -> list[Sweep]:
    """The sweeps that a script declares at its top level; the script is run for it, its `main` is not."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ValueError(f"a sweep is declared in a Python script, {path} is none")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    found = [value for value in vars(module).values() if isinstance(value, Sweep)]
    if not found:
        raise ValueError(f"--also takes a script with a Sweep at its top level, {path} has none; declare one")
    from ray import cloudpickle

    # Workers cannot import it: its classes travel whole.
    cloudpickle.register_pickle_by_value(module)  # type: ignore[no-untyped-call]
    return found


def sweeps_beside(script: str) -> list[Sweep]:
    """The sweeps of all scripts in a script's folder, itself left out, by file name."""
    others = [path for path in sorted(Path(script).parent.glob("*.py")) if path.name != Path(script).name]
    return [sweep for path in others for sweep in sweeps_in(path)]


def choose(sweeps: Sequence[Sweep], names: str | None) -> list[Sweep]:
    """The sweeps that `--methods` names, all of them when it is left out."""
    if names is None:
        return list(sweeps)
    known = {sweep.name: sweep for sweep in sweeps}
    wanted = [name.strip() for name in names.split(",")]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ValueError(f"--methods must be among {', '.join(known)}, got {unknown[0]!r}")
    return [known[name] for name in dict.fromkeys(wanted)]
