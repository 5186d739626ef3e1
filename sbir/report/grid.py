"""The retrieval grid: a few queries, drawn by seed and not by result, each with its first ten answers."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sbir.data.store import open_store
from sbir.report.load import Run

NUM_QUERIES, NUM_ANSWERS = 6, 10
SIDE = 112  # pixels of a thumbnail's longer side
Look = Callable[[str], bytes | str | None]  # item id -> JPEG, or its words; None where neither is at hand


@dataclass(frozen=True)
class Tile:
    """One item of the grid."""

    item_id: str
    class_name: str  # "" where the id does not tell
    correct: bool | None  # None for the query
    look: bytes | str | None

    @property
    def picture(self) -> bytes | None:
        """JPEG."""
        return self.look if isinstance(self.look, bytes) else None

    @property
    def words(self) -> str:
        """What stands in place of a picture: the item's text, or the end of its id."""
        return self.look if isinstance(self.look, str) else self.item_id.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Answers:
    """One row of the grid."""

    query: Tile
    tiles: tuple[Tile, ...]
    value: float | None  # the query's own figure of the maximised metric


@dataclass(frozen=True)
class Grid:
    """Rows of the grid, and whose ranking they show."""

    source: str
    rows: tuple[Answers, ...]


def retrieval_grid(run: Run, look: Look, *, num: int = NUM_QUERIES, seed: int = 0) -> Grid | None:
    """The best method's first finalist on test queries of `num` classes; None where no finalist left its top lists."""
    method, number = str(run.summary["best"]["method"]), int(run.summary["best"]["number"])
    found = sorted((run.path / "finalists").glob(f"{method}-{number}-*/top.parquet"))
    if not found:
        return None
    top = _read_top(found[0])
    items = run.per_query.drop_duplicates("item")
    classes = dict(zip(items["item"].astype(str), items["class"].astype(str), strict=True))
    values = _values(run, method)
    rows = [
        _answers(query, top[top["query"] == query], classes, values.get(query), look)
        for query in choose_queries(top["query"].unique().tolist(), classes, num=num, seed=seed)
    ]
    return Grid(found[0].parent.name, tuple(rows))


def choose_queries(queries: list[str], classes: dict[str, str], *, num: int, seed: int) -> list[str]:
    """One query from each of `num` drawn classes (of all classes where there are fewer), by seed alone."""
    rng = np.random.default_rng(seed)
    by_class: dict[str, list[str]] = {}
    for query in sorted(queries):
        by_class.setdefault(classes.get(query, class_of(query)), []).append(query)
    drawn = rng.permutation(sorted(by_class))[:num]
    return [by_class[name][rng.integers(len(by_class[name]))] for name in drawn.tolist()]


def class_of(item_id: str) -> str:
    """The folder that an item lies in, or the name of its drawings' file.

    >>> class_of("photo/owl/00012.jpg"), class_of("sketch/owl.ndjson/4711"), class_of("17")
    ('owl', 'owl', '')
    """
    parts = item_id.split("/")
    return parts[-2].removesuffix(".ndjson") if len(parts) > 1 else ""


def looks(run: Run) -> Look:
    """Pictures of the data set behind the run's store, whose manifest's `root` says where that lay, and its texts."""
    root, texts = _image_root(run), _texts(run)

    def look(item_id: str) -> bytes | str | None:
        return texts.get(item_id) or (None if root is None else _thumbnail(root, item_id))

    return look


def _texts(run: Run) -> dict[str, str]:
    """Item id -> text, where the run's store is at hand and has texts."""
    path = Path(str(run.manifest["data"].get("store", "")))
    try:
        items = open_store(path).items()
    except (OSError, ValueError):
        return {}
    if "text" not in items.payload:
        return {}
    import torch

    from sbir.models.texts import texts_of

    rows = np.flatnonzero(items.domain == "text")
    texts = texts_of(torch.from_numpy(items.payload["text"].take(rows)))
    return dict(zip(map(str, items.item_id[rows]), texts, strict=True))


def _image_root(run: Run) -> Path | None:
    path = Path(str(run.manifest["data"].get("store", ""))) / "manifest.json"
    try:
        root = json.loads(path.read_text(encoding="utf-8")).get("root")
    except (OSError, ValueError, AttributeError):
        return None  # a run folder is read on other machines, too, where neither store nor pictures are
    return Path(root).resolve() if isinstance(root, str) and Path(root).is_dir() else None


def _thumbnail(root: Path, item_id: str) -> bytes | None:
    from sbir.data.pictures import thumbnail

    return thumbnail(root, item_id, SIDE, quality=82)


def _answers(query: str, top: pd.DataFrame, classes: dict[str, str], value: float | None, look: Look) -> Answers:
    first = top.sort_values("rank").head(NUM_ANSWERS)
    tiles = [
        Tile(item, class_of(item), bool(correct), look(item))
        for item, correct in zip(first["gallery"].astype(str), first["correct"], strict=True)
    ]
    return Answers(Tile(query, classes.get(query, class_of(query)), None, look(query)), tuple(tiles), value)


def _values(run: Run, method: str) -> dict[str, float]:
    rows = run.per_query[run.per_query["method"] == method] if "method" in run.per_query.columns else run.per_query[:0]
    if run.metric not in rows.columns or rows.empty:
        return {}
    first = rows[rows["seed"] == rows["seed"].min()]
    return dict(zip(first["item"].astype(str), first[run.metric].astype(float), strict=True))


def _read_top(path: Path) -> pd.DataFrame:
    top = pd.read_parquet(path)
    lacking = {"query", "rank", "gallery", "correct"} - set(top.columns)
    if lacking:
        raise ValueError(f"{path} must have the columns query, rank, gallery and correct, it lacks {sorted(lacking)}")
    return top.astype({"query": str})
