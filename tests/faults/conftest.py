"""One cluster of namespaces for all tests that break it, and the note that each of them leaves for docs/faults.md."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults import lab

Note = Callable[..., None]


@pytest.fixture
def note(record_property: Callable[[str, object], None]) -> Note:
    """Keeps a row of docs/faults.md: what broke, what was done about it, what was lost, seconds until work went on."""

    def keep(fault: str, done: str, lost: str, seconds: float | None) -> None:
        record_property("fault", {"fault": fault, "done": done, "lost": lost, "seconds": seconds})

    return keep


@pytest.fixture(scope="session")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lab.Lab]:
    """A head and a worker that take ssh; Ray is not up yet."""
    if reason := lab.missing():
        pytest.skip(reason)
    folder: Path = tmp_path_factory.mktemp("lab")
    with lab.lab(folder) as made:
        yield made
