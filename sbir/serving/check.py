"""`python -m sbir.serving.check FOLDER`: the test figures of an export, from nothing but the folder and a store."""

import argparse
import json
import sys
from pathlib import Path

import torch

from sbir.data.feed import Columns, Indices
from sbir.metrics.retrieval import retrieve
from sbir.serving.model import Exported
from sbir.training.evaluate import CHUNK, identity
from sbir.training.rescore import reopen
from sbir.types import Rows


def score(folder: Path, store: Path | None = None, code: str | None = None) -> dict[str, float]:
    """Search the exported gallery with every test sketch of the store, the way a new sketch is searched with."""
    model = Exported(folder, code)
    opened = reopen(folder, store, code=code)
    feed, rows, protocol = opened.feed, opened.feed.partition, opened.protocol
    if model.item_id != feed.columns.items.item_id[rows.gallery].tolist():
        raise ValueError("the gallery must be the test photos of the store, in its order, and is not; name that store")
    starts = range(0, len(rows.query), CHUNK)
    parts = [model.embed(_take(feed.columns, model, rows.query[start : start + CHUNK])) for start in starts]
    found = retrieve(
        {name: torch.cat([part[name] for part in parts]) for name in model.gallery},
        model.gallery,
        identity(feed, rows.query),
        identity(feed, rows.gallery),
        distance=model.method.distance,
        k=protocol.k,
        select=protocol.select,
        fusion=model.fusion,
        recall=protocol.recall,
    )
    return found.means


def _take(columns: Columns, model: Exported, rows: Indices) -> Rows:
    """The model's columns as they are stored: its own transforms come later."""
    return {name: columns.take(name, rows) for name in model.method.query_columns}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--method")
    args = parser.parse_args()
    try:
        print(json.dumps(score(args.folder, args.data, args.method)))
    except (ValueError, OSError) as error:
        sys.exit(" ".join(str(error).split()))
