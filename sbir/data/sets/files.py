"""The lists of a data set, and the files that they name."""

from collections.abc import Iterator, Sequence
from pathlib import Path


def rows(path: Path, fields: int, *, encoding: str = "utf-8", skip: int = 0) -> Iterator[list[str]]:
    """The white-space separated fields of each line after the first `skip`; a line with fewer than `fields` is named.

    The last field takes the rest of the line, so that it may hold spaces.
    """
    for number, line in enumerate(text_of(path, encoding).splitlines()[skip:], skip + 1):
        if not line.strip():
            continue
        found = line.split(maxsplit=fields - 1)
        if len(found) < fields:
            raise ValueError(f"{path}: line {number} must have {fields} fields, got {line.strip()[:60]!r}")
        yield [*found[:-1], found[-1].strip()]


def text_of(path: Path, encoding: str = "utf-8") -> str:
    """The text of a list; raises `ValueError` where it is missing or in another encoding."""
    try:
        return path.read_text(encoding=encoding)
    except FileNotFoundError:
        raise ValueError(f"the data set needs the file {path}, there is none") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be text in {encoding}, got byte {error.object[error.start]:#x}") from None


def number(path: Path, text: str, least: int = 1) -> int:
    """A whole number out of a list, at least `least`."""
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise ValueError(f"{path}: numbers must be whole and at least {least}, got {text!r}")
    return int(text)


def inside(root: Path, name: str, *, source: Path) -> Path:
    """The file that a list names below `root`; one that leaves it, or is not there, is an error."""
    path = root / name
    if Path(name).is_absolute() or ".." in Path(name).parts:  # links inside are the user's own
        raise ValueError(f"{source}: files must lie below {root}, got {name}; mend the list")
    if not path.is_file():
        raise ValueError(f"{source} names {name}, there is no such file below {root}; unpack the data set again")
    return path


def unique(values: Sequence[str], source: Path, what: str) -> None:
    """Raise where a list names something twice."""
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{source}: each {what} must be listed once, {value} is there twice")
        seen.add(value)
