"""A run's folder copied to other storage while its sweep runs. Run as a process of its own, which imports little:

    python -m sbir.tuning.mirror FOLDER URI SECONDS MARK FIRST...

so that storage that hangs cannot hold up trials, and a driver that is killed leaves nothing uncopied behind: the
process copies once more and ends when its standard input does.
"""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import urlsplit

CHUNK = 8 << 20  # bytes
TRIES, PAUSE = 3, 5.0  # at the end; seconds


class Held(NamedTuple):
    """An open file, and what it was when it was opened: size in bytes, time of change in ns."""

    name: str
    file: IO[bytes]
    size: int
    changed: int


class Mirror:
    """The copying process of a run, as its driver sees it; what it says is printed as it comes."""

    def __init__(self, folder: Path, uri: str, every: float, *, mark: str, first: Sequence[str]) -> None:
        command = [sys.executable, "-m", "sbir.tuning.mirror", str(folder), uri, str(every), mark, *first]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
        self._reader = threading.Thread(target=self._tell, daemon=True)
        self._reader.start()

    def close(self) -> None:
        """Have it copy once more, and wait for that."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._reader.join()
        if status := self._process.wait():
            print(f"mirror: its process ended with status {status}; the copy is not up to date")

    def _tell(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as said:
            for line in said:
                print(line.decode(errors="replace").rstrip())


class Copy:
    """Makes a folder in a `pyarrow.fs` filesystem equal to a local one, so that it is a whole run at every moment.

    A round takes hold of the files named in `first` (the journal, checkpoints), puts all others that have changed, and
    then these: what the journal says has ended is there by then, and no checkpoint is ahead of the journal. `mark`, the
    file that says that a run is finished, is put last and removed before anything else.
    """

    def __init__(self, folder: Path, filesystem: Any, base: str, *, mark: str, first: Sequence[str]) -> None:
        self._folder, self._filesystem, self._base = folder, filesystem, base
        self._mark, self._first = mark, tuple(first)
        self._is_local = filesystem.type_name == "local"
        self._there: dict[str, tuple[int, int]] | None = None  # size and time of change

    def round(self) -> None:
        """Raises `OSError` where the storage fails; the next round does what is left."""
        if self._there is None:
            self._there = {name: (info.size, info.mtime_ns) for name, info in listing(self._filesystem, self._base)}
        if self._mark in self._there and not (self._folder / self._mark).exists():
            self._delete(self._mark)
        with ExitStack() as opened:
            held = [self._hold(name, opened) for name in reversed(self._names(early=True))]
            for name in self._names(early=False):
                with ExitStack() as one:
                    self._put(self._hold(name, one))
            for file in reversed(held):
                self._put(file)
        gone = [name for name in self._there if not (self._folder / name).exists()]
        if self._first[0] in gone:
            raise FileNotFoundError(f"{self._folder} has lost {self._first[0]}, and nothing is removed from its copy")
        for name in gone:
            self._delete(name)

    def _names(self, *, early: bool) -> list[str]:
        """Files by their path below the folder: those of `first` and the mark in that order, or all others."""
        order = [*self._first, self._mark]
        files = (path for path in self._folder.rglob("*") if path.is_file() and not path.is_symlink())
        wanted = [path for path in files if path.suffix != ".part" and (path.name in order) == early]
        wanted.sort(key=lambda path: order.index(path.name) if early else 0)
        return [path.relative_to(self._folder).as_posix() for path in wanted]

    def _hold(self, name: str, until: ExitStack) -> Held | None:
        """A file as it is now, since files here are replaced or appended to; None where it has just gone."""
        try:
            file = until.enter_context((self._folder / name).open("rb"))
        except FileNotFoundError:
            return None
        status = os.fstat(file.fileno())
        return Held(name, file, status.st_size, status.st_mtime_ns)

    def _put(self, held: Held | None) -> None:
        assert self._there is not None
        if held is None or self._is_there(held):
            return
        target = f"{self._base}/{held.name}"
        part = f"{target}.part" if self._is_local else target  # an object comes whole or not at all
        if self._is_local:
            self._filesystem.create_dir(target.rpartition("/")[0], recursive=True)
        with self._filesystem.open_output_stream(part) as sink:
            for chunk in _chunks(held.file, held.size):
                sink.write(chunk)
        if self._is_local:
            self._filesystem.move(part, target)
        self._there[held.name] = (held.size, held.changed)

    def _is_there(self, held: Held) -> bool:
        assert self._there is not None
        size, changed = self._there.get(held.name, (-1, -1))
        return size == held.size and changed >= held.changed

    def _delete(self, name: str) -> None:
        assert self._there is not None
        self._filesystem.delete_file(f"{self._base}/{name}")
        del self._there[name]


def _chunks(file: IO[bytes], size: int) -> Iterator[bytes]:
    while size > 0 and (chunk := file.read(min(CHUNK, size))):
        size -= len(chunk)
        yield chunk


def open_storage(uri: str) -> tuple[Any, str]:
    """The filesystem and the path in it that a URI names.

    Raises `ValueError` where `pyarrow` knows no such filesystem, or where the URI holds keys.
    """
    from pyarrow import fs

    if urlsplit(uri).username or urlsplit(uri).password:
        raise ValueError("--mirror must hold no keys, which all users of a machine could read; put them into $AWS_...")
    try:
        filesystem, base = fs.FileSystem.from_uri(uri)
    except (ValueError, OSError) as error:
        raise ValueError(f"--mirror must be a URI such as s3://bucket/prefix, got {uri}: {error}") from None
    return filesystem, base.rstrip("/")


def listing(filesystem: Any, base: str) -> list[tuple[str, Any]]:
    """Files below a folder, by their path below it, with size and time; nothing where there is no such folder."""
    from pyarrow import fs

    found = filesystem.get_file_info(fs.FileSelector(base, recursive=True, allow_not_found=True))
    files = [info for info in found if info.type == fs.FileType.File and not info.path.endswith(".part")]
    return [(info.path[len(base) :].lstrip("/"), info) for info in files]


def fetch(filesystem: Any, base: str, folder: Path) -> None:
    """Copy a whole folder from there to a local one that is not there yet; it appears when it is whole."""
    scratch = folder.with_name(f".{folder.name}.arriving")
    for name, info in listing(filesystem, base):
        path = scratch / name
        if not path.resolve().is_relative_to(scratch.resolve()):
            raise ValueError(f"a mirrored file must lie below its run, {info.path} does not")
        path.parent.mkdir(parents=True, exist_ok=True)
        with filesystem.open_input_stream(info.path) as source, path.open("wb") as file:
            while chunk := source.read(CHUNK):
                file.write(chunk)
        os.utime(path, ns=(info.mtime_ns, info.mtime_ns))
    scratch.rename(folder)


def _keep_copying(copy: Callable[[], None], every: float) -> bool:
    """Copy every so many seconds until standard input ends, and then once more; whether that succeeded."""
    failing = ended = False
    tries = 0
    while True:
        try:
            copy()
            if failing:
                print("mirror: the storage is back, the copy is up to date", flush=True)
            failing = False
        except OSError as error:
            if not failing:
                print(f"mirror: the sweep goes on, its copy does not: {' '.join(str(error).split())}", flush=True)
            failing = True
        if ended and (not failing or (tries := tries + 1) == TRIES):
            return not failing
        if ended:
            time.sleep(PAUSE)
        elif select.select([sys.stdin], [], [], every)[0]:
            ended = True


def main() -> int:
    """Mirror the folder that the command line names; 1 where the last copy failed."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # it ends with its driver
    folder, uri, every, mark, *first = sys.argv[1:]
    filesystem, base = open_storage(uri)
    folder_there = f"{base}/{Path(folder).name}"
    if not _keep_copying(Copy(Path(folder), filesystem, folder_there, mark=mark, first=first).round, float(every)):
        print(f"mirror: {uri} is behind; what is missing there lies in {folder}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
