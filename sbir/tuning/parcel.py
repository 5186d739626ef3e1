"""What travels between a user's machine and a cluster: his script and this package there, a run's folder back."""

import json
import shutil
import tarfile
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sbir.report.load import DATA_SETS
from sbir.training.plain_json import write_json
from sbir.training.run import CHECKPOINT
from sbir.tuning.folder import DIFF, GIT, MANIFEST, SUMMARY, count_look, git_state

PACKAGE = Path(__file__).parents[1]
LARGEST = 50_000_000  # bytes that a job may take along; Ray holds them in the memory of the head
GIVEN = "given"  # folder of the files that options name
NEVER = {"__pycache__", "node_modules"}
OF_A_FOLDER = {MANIFEST, DATA_SETS, "pyvenv.cfg"}  # mark runs and stores, their tables, and environments


def pack_script(script: Path, files: Sequence[Path], archive: Path) -> list[str]:
    """Write a script's folder, this package and `files` into a zip file; the names of `files` there.

    Left behind are hidden files, environments, stores and runs. Raises `ValueError` with the largest parts where the
    rest is too much.
    """
    names = [f"{GIVEN}/{number}/{path.name}" for number, path in enumerate(files)]
    if missing := [path for path in files if not path.is_file()]:
        raise ValueError(f"a file that an option names must be here, {missing[0]} is not")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as parcel:
        _add_folder(parcel, script.parent)
        if not (script.parent / PACKAGE.name).is_dir():
            _add_folder(parcel, PACKAGE, below=PACKAGE.name)
        for path, name in zip(files, names, strict=True):
            parcel.write(path, name)
        for path in _git_files(archive.parent):
            parcel.write(path, path.name)
    return names


def _add_folder(parcel: zipfile.ZipFile, folder: Path, below: str = "") -> None:
    sizes: Counter[str] = Counter()
    for path in _sources(folder):
        name = path.relative_to(folder)
        sizes[name.parts[0]] += path.stat().st_size
        if sizes.total() > LARGEST:
            raise ValueError(_too_large(folder, sizes))
        parcel.write(path, Path(below) / name)


def _git_files(scratch: Path) -> Iterator[Path]:
    """What the checkout is at: for the run's manifest, since the cluster sees no checkout."""
    write_json(scratch / GIT, git_state(scratch))
    yield scratch / GIT
    if (scratch / DIFF).exists():
        yield scratch / DIFF


def _sources(folder: Path) -> Iterator[Path]:
    """Files below a folder, at its own level first, without what a job does not need."""
    inner = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in NEVER or path.suffix == ".egg-info":
            continue
        if path.is_file():
            yield path
        elif path.is_dir() and not path.is_symlink() and not any((path / name).exists() for name in OF_A_FOLDER):
            inner.append(path)
    for path in inner:
        yield from _sources(path)


def _too_large(folder: Path, sizes: Counter[str]) -> str:
    named = ", ".join(f"{name} ({size / 1e6:.0f} MB)" for name, size in sizes.most_common(3))
    return (
        f"the folder of the script goes to the cluster and must be below {LARGEST / 1e6:.0f} MB, {folder} holds more "
        f"(so far {named}); put the script into a folder of its own"
    )


def pack_runs(runs: Path, name: str, archive: Path) -> bool:
    """Write a run, or the runs on several data sets, into an archive; False where there is none."""
    record = runs / name / DATA_SETS
    names = [name, *(json.loads(record.read_text())["runs"] if record.exists() else [])]
    folders = [runs / one for one in dict.fromkeys(names) if _born(runs / one) is not None]
    if not folders:
        return False
    part = archive.with_name(f"{archive.name}.part")
    with tarfile.open(part, "w:gz", compresslevel=1) as tar:
        for folder in folders:
            tar.add(folder, folder.name, filter=_travels)
    part.replace(archive)
    return True


def _travels(file: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Checkpoints, half-written files and W&B's links to its logs stay."""
    left = file.issym() or file.name.endswith((".part", f"/{CHECKPOINT}"))
    return None if left else file


def unpack_runs(archive: Path, runs: Path) -> list[Path]:
    """Put the runs of an archive into the folder of all runs; a run that is there is renewed, another one is kept.

    Raises `ValueError` where the archive is none or was cut short; nothing is half-written.
    """
    runs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=runs, prefix=".arriving-") as scratch:
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(scratch, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise ValueError(f"results must come as a whole archive, unpacking failed: {error}") from None
        return [_arrive(folder, runs) for folder in sorted(Path(scratch).iterdir())]


def _arrive(folder: Path, runs: Path) -> Path:
    places = [runs / folder.name, *(runs / f"{folder.name}-{number}" for number in range(2, 1000))]
    place = next(path for path in places if not path.exists() or _born(path) == _born(folder))
    if place.exists():
        shutil.rmtree(place)
    folder.rename(place)
    if (place / SUMMARY).exists():
        count_look(runs, json.loads((place / MANIFEST).read_text())["data"]["split_hash"], place.name)
    return place


def _born(folder: Path) -> Any:
    """What tells a run from another one of its name; None of a folder that is no run."""
    for name, key in ((MANIFEST, "created"), (DATA_SETS, "requests")):
        if (folder / name).exists():
            return json.loads((folder / name).read_text()).get(key)
    return None


def log_folder() -> Path:
    """Where Ray keeps the log of the job that this process is: its standard output goes there."""
    return Path("/proc/self/fd/1").readlink().parent
