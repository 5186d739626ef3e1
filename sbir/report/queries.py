"""What the page's picker of queries shows: the first ten answers of every row of the table, side by side."""

import base64
import io
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from sbir.report.grid import NUM_ANSWERS, Look, choose_queries, class_of
from sbir.report.load import Run

SIDE = 72  # pixels of a picture's longer side; each picture is on the page once, however often it is shown
BUDGET = 3_000_000  # characters of all pictures of a page; queries are left out beyond it
_PER_GROUP, _PER_CLASS = 12, 2
_TOP = ("query", "rank", "gallery", "correct")
Groups = dict[str, list[str]]  # why they were taken -> queries
Tops = dict[str, pd.DataFrame]  # row of the table -> rank, gallery, correct by query


def query_answers(run: Run, look: Look, budget: int = BUDGET) -> dict[str, Any] | None:
    """Queries in groups, and for each what every row answered; None where no ranking was left.

    Items are `[id, class, picture, words]`, answers `[item, mark]`, by their place in `items`; marks are 0 for wrong, 1
    for an item of the query's class, 2 for its own photo. Queries are left out once these exceed `budget` characters.
    """
    tops = _tops(run)
    if not tops:
        return None
    values = _values(run, list(tops))
    groups = _groups(run, tops, values)
    items = _Items(_classes(run), look)
    kept: list[tuple[str, dict[str, Any]]] = []
    for group, query in _in_turn(groups):
        kept.append((group, _query(query, tops, values, items)))
        if items.size > budget:
            break
    return {
        "rows": list(tops),
        "groups": [[group, [one for name, one in kept if name == group]] for group in groups],
        "items": items.found,
    }


class _Items:
    """The items that are shown, each once."""

    def __init__(self, classes: Mapping[str, str], look: Look) -> None:
        self.found: list[list[str]] = []
        self.size = 0
        self._classes, self._look = classes, look
        self._place: dict[str, int] = {}

    def place(self, item: str) -> int:
        """Where the item stands; it is added where it is new."""
        if item not in self._place:
            look = self._look(item)
            picture, words = ("", look) if isinstance(look, str) else (_small(look), "")
            self._place[item] = len(self.found)
            self.found.append([item, self._classes.get(item, class_of(item)), picture, words])
            self.size += len(picture) + len(words)
        return self._place[item]


def _small(picture: bytes | None) -> str:
    """The picture at SIDE pixels, base64; empty where there is none."""
    if picture is None:
        return ""
    with Image.open(io.BytesIO(picture)) as image:
        image.thumbnail((SIDE, SIDE))
        stream = io.BytesIO()
        image.convert("RGB").save(stream, "JPEG", quality=74, optimize=True)
    return base64.b64encode(stream.getvalue()).decode("ascii")


def _query(query: str, tops: Tops, values: pd.DataFrame, items: _Items) -> dict[str, Any]:
    answers = []
    for top in tops.values():
        own = top.loc[[query]] if query in top.index else top[:0]
        marks = own["correct"].astype(int) + own["own"].astype(int)
        answers.append([[items.place(str(item)), int(mark)] for item, mark in zip(own["gallery"], marks, strict=True)])
    known = values.loc[[query]].to_numpy(dtype=np.float64)[0] if query in values.index else np.full(len(tops), np.nan)
    figures = [None if np.isnan(value) else round(100 * float(value), 1) for value in known]
    return {"item": items.place(query), "answers": answers, "values": figures}


def _tops(run: Run) -> Tops:
    """The first answers of the baselines, and of each method's first finalist; rows in the order of the table."""
    labels = run.manifest.get("labels") or {}
    found: Tops = {}
    path = run.path / "baseline_top.parquet"
    if path.is_file():
        found |= {str(row): _by_query(top) for row, top in _read(path, (*_TOP, "row")).groupby("row", sort=False)}
    for method in run.manifest["methods"]:
        path_of = _first_finalist(run, method)
        if path_of is not None:
            found[str(labels.get(method, method))] = _by_query(_read(path_of, _TOP))
    order = [row["row"] for row in sorted(run.summary["table"], key=lambda row: -_mean(row, run.metric))]
    return {row: found[row] for row in order if row in found}


def _mean(row: Mapping[str, Any], metric: str) -> float:
    return float((row["test"].get(metric) or {}).get("mean") or 0.0)


def _first_finalist(run: Run, method: str) -> Path | None:
    """The top lists of the method's winner, its first seed; of a former winner only where there is no other."""
    trials = run.search_trials()
    whole = trials[(trials["method"] == method) & (trials["state"] == "COMPLETE") & trials["value"].notna()]
    winner = None if whole.empty else int(whole.sort_values("value", kind="stable")["number"].to_numpy()[-1])
    found = [path for path in (run.path / "finalists").glob(f"{method}-*-*/top.parquet")
             if path.parent.name.rsplit("-", 2)[0] == method]  # fmt: skip
    return min(found, key=lambda path: (f"{method}-{winner}-" not in path.parent.name, path.parent.name), default=None)


def _read(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    import pyarrow as pa

    try:
        frame = pd.read_parquet(path, filters=[("rank", "<=", NUM_ANSWERS)])
    except (pa.ArrowException, OSError) as error:
        first = str(error).partition("\n")[0]
        raise ValueError(f"{path} must be Parquet with ranks, reading it failed: {first}") from None
    lacking = sorted(set(columns) - set(frame.columns))
    if lacking:
        raise ValueError(f"{path} must have the columns {', '.join(columns)}, it lacks {', '.join(lacking)}")
    return frame if "own" in frame else frame.assign(own=False)  # noted by newer runs only


def _by_query(top: pd.DataFrame) -> pd.DataFrame:
    return top.sort_values(["query", "rank"], kind="stable").astype({"query": str}).set_index("query")


def _values(run: Run, rows: list[str]) -> pd.DataFrame:
    """Item x row: the maximised metric, mean over seeds."""
    if run.metric not in run.per_query.columns:
        return pd.DataFrame(columns=rows)
    table = run.per_query.pivot_table(index="item", columns="row", values=run.metric, aggfunc="mean")
    table.index = table.index.astype(str)
    return table.reindex(columns=rows)


def _classes(run: Run) -> dict[str, str]:
    items = run.per_query.drop_duplicates("item")
    return dict(zip(items["item"].astype(str), items["class"].astype(str), strict=True))


def _groups(run: Run, tops: Tops, values: pd.DataFrame) -> Groups:
    classes = _classes(run)
    queries = sorted(next(iter(tops.values())).index.unique())
    groups = {"Drawn by seed, whatever their result": choose_queries(queries, classes, num=_PER_GROUP, seed=0)}
    values = values[values.index.isin(queries)].sort_index()
    if values.empty:
        return groups
    if len(tops) > 1:
        spread = values.std(axis=1, ddof=0).sort_values(ascending=False, kind="stable")
        groups["Where the rows disagree most"] = _some(spread[spread > 0].index, classes)
    labels = run.manifest.get("labels") or {}
    best = str(labels.get(run.summary["best"]["method"], run.summary["best"]["method"]))
    if best in values.columns:
        order = values.assign(overall=values.mean(axis=1)).sort_values([best, "overall"], kind="stable")
        groups[f"Worst of {best}"] = _some(order.index, classes)
    return groups


def _some(ranked: Iterable[str], classes: Mapping[str, str]) -> list[str]:
    """The first few, no class more than twice: a hard class would fill the list."""
    taken: list[str] = []
    for query in ranked:
        same = sum(classes.get(one) == classes.get(query) for one in taken)
        if same < _PER_CLASS:
            taken.append(query)
        if len(taken) == _PER_GROUP:
            break
    return taken


def _in_turn(groups: Groups) -> Iterator[tuple[str, str]]:
    """One of each group after the other, so that a budget cuts all of them alike."""
    for turn in zip_longest(*groups.values()):
        yield from ((group, query) for group, query in zip(groups, turn, strict=True) if query is not None)
