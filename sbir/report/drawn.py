"""What methods that draw made of held-out items, at several steps of their final training."""

from dataclasses import dataclass
from pathlib import Path

from sbir.report.load import Run
from sbir.training.pictures import FOLDER


@dataclass(frozen=True)
class Sheet:
    """One JPEG: a column a title, a row an item."""

    step: int
    path: Path

    @property
    def picture(self) -> bytes:
        """The file."""
        return self.path.read_bytes()


@dataclass(frozen=True)
class Drawn:
    """The sheets of one finalist, by step."""

    label: str
    finalist: str
    sheets: tuple[Sheet, ...]


def drawn(run: Run) -> list[Drawn]:
    """The first finalist of each method that left sheets."""
    found: dict[str, Drawn] = {}
    for folder in sorted(run.path.glob(f"finalists/*/{FOLDER}")):
        sheets = tuple(Sheet(int(path.stem), path) for path in sorted(folder.glob("*.jpg")) if path.stem.isdecimal())
        finalist = folder.parent.name
        method = finalist.rsplit("-", 2)[0]
        label = str(run.manifest.get("labels", {}).get(method, method))
        if sheets:
            found.setdefault(method, Drawn(label, finalist, sheets))
    return list(found.values())
