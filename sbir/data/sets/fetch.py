"""Data sets that need no form, over the network: classes of Quick, Draw! and Caltech-101."""

import base64
import hashlib
import http.client
import shutil
import tarfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sbir.data.sets.folders import SUFFIXES
from sbir.data.sets.published import letters
from sbir.data.store_write import new_directory

QUICKDRAW = "https://storage.googleapis.com/quickdraw_dataset/full/simplified"
CALTECH = "https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip"
CALTECH_MD5 = "3138e1922a9193bfa496528edbbc45d0"  # as torchvision checks it
TIMEOUT = 30  # seconds without a byte
_CHUNK = 1 << 20


def get_quickdraw(out: Path, classes: Sequence[str], *, address: str = QUICKDRAW) -> Iterator[Path]:
    """Download `sketch/<class>.ndjson` of each class (the simplified drawings) below `out`; what is there stays."""
    for name in _quickdraw_names(classes):
        yield download(f"{address}/{urllib.parse.quote(name)}.ndjson", out / "sketch" / f"{name}.ndjson")


def get_caltech(
    out: Path, classes: Sequence[str] = (), *, address: str = CALTECH, md5: str = CALTECH_MD5
) -> Iterator[Path]:
    """Download Caltech-101 (137 MB) and unpack `photo/<class>/` of all or some classes below `out`."""
    folders = [out / "photo" / name for name in classes]
    if folders and all(folder.is_dir() for folder in folders):
        yield from folders
        return
    archive = download(address, out / "caltech-101.zip", md5=md5)
    with new_directory(out / ".caltech-101") as scratch:
        found = _unpack(archive, scratch, classes)
        (out / "photo").mkdir(exist_ok=True)
        for folder in found:
            if not (out / "photo" / folder.name).exists():
                folder.replace(out / "photo" / folder.name)
    shutil.rmtree(out / ".caltech-101")
    archive.unlink()
    yield from (out / "photo" / folder.name for folder in found)


def download(address: str, path: Path, *, md5: str | None = None) -> Path:
    """Fetch a file to `path`, which is there only when it is whole; a stopped download goes on where it was.

    Checked against `md5`, else against the length and the MD5 that the server states. Raises `OSError` without a
    network and `ValueError` where what came is not what was to come.
    """
    if path.exists():
        return path
    part = path.with_name(f".{path.name}.part")
    with _reasons(address):
        stated = _fetch(address, part)
    expected = md5 or stated
    if expected and (found := _md5(part)) != expected:
        part.unlink()
        raise ValueError(f"{address} must have the MD5 {expected}, got {found}; download it again")
    return part.replace(path)


def _fetch(address: str, part: Path) -> str | None:
    """Write the file or what is missing of it, and return the MD5 that the server states."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        part.unlink()  # it is whole already, or of another version: begin again
        return _fetch(address, part)
    part.parent.mkdir(parents=True, exist_ok=True)
    with answer, part.open("ab" if answer.status == http.client.PARTIAL_CONTENT else "wb") as file:
        shutil.copyfileobj(answer, file, _CHUNK)
        length = answer.headers.get("Content-Length")
        start = have if answer.status == http.client.PARTIAL_CONTENT else 0
        if length is not None and file.tell() - start != int(length):
            raise ConnectionError(f"it ended after {file.tell()} of {start + int(length)} bytes")
        return _stated_md5(answer.headers.get_all("x-goog-hash") or [])


def _stated_md5(hashes: Sequence[str]) -> str | None:
    """Google's storage states `md5=<base64>` among others."""
    stated = [one.strip()[4:] for line in hashes for one in line.split(",") if one.strip().startswith("md5=")]
    return base64.b64decode(stated[0]).hex() if stated else None


@contextmanager
def _reasons(address: str) -> Iterator[None]:
    try:
        yield
    except urllib.error.HTTPError as error:
        raise OSError(f"{address} cannot be had: the server says {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise OSError(
            f"{address} cannot be reached ({reason}); a network is needed, and the same command goes on where it was"
        ) from None


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _quickdraw_names(classes: Sequence[str]) -> list[str]:
    """The files' spelling of classes; unknown ones are errors."""
    import difflib
    import json
    from importlib.resources import files

    text = files("sbir.data.sets").joinpath("classes/quickdraw.json").read_text(encoding="utf-8")
    known = {letters(name): name for name in json.loads(text)["classes"]}
    for name in classes:
        if letters(name) not in known:
            near = difflib.get_close_matches(letters(name), known, n=3)
            hint = f"; near it: {', '.join(known[one] for one in near)}" if near else ""
            raise ValueError(f"a class must be one of Quick, Draw!'s {len(known)}, got {name}{hint}")
    return [known[letters(name)] for name in classes] or list(known.values())


def _unpack(archive: Path, out: Path, classes: Sequence[str]) -> list[Path]:
    """Write the pictures of an archive's class folders to `out`/<class>, whatever path the archive gives them."""
    with _pictures_tar(archive) as tar:
        for member in tar:
            parts = Path(member.name).parts
            if len(parts) < 2 or not member.isfile() or Path(member.name).suffix.lower() not in SUFFIXES:
                continue
            folder, name = parts[-2:]
            source = tar.extractfile(member)
            if source is not None and not name.startswith(".") and folder != ".." and folder in (classes or [folder]):
                (out / folder).mkdir(exist_ok=True)
                with source, (out / folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target)
    found = sorted(out.iterdir())
    if missing := sorted(set(classes) - {folder.name for folder in found}):
        raise ValueError(f"the classes must be in the archive, {', '.join(missing)} are not")
    return found


@contextmanager
def _pictures_tar(archive: Path) -> Iterator[tarfile.TarFile]:
    """The `.tar.gz` of pictures inside the zip file."""
    try:
        with zipfile.ZipFile(archive) as outer:
            name = next((name for name in outer.namelist() if name.endswith("101_ObjectCategories.tar.gz")), None)
            if name is None:
                raise ValueError(
                    f"{archive} must hold 101_ObjectCategories.tar.gz, got {', '.join(outer.namelist()[:5])}"
                )
            with outer.open(name) as inner, tarfile.open(fileobj=inner, mode="r:gz") as tar:
                yield tar
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise ValueError(f"{archive} must be Caltech-101's zip file, got: {error}") from None
