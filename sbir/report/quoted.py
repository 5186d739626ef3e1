"""Figures of other papers that stand below a table without being held against it."""

from collections.abc import Mapping, Sequence
from typing import Any

from sbir.report.load import Run
from sbir.report.reported import ReportedTable, load_reported

TABLES = {
    "cub": "metric_learning_cub_cars",
    "cars": "metric_learning_cub_cars",
    "sop": "metric_learning_sop_inshop",
    "inshop": "metric_learning_sop_inshop",
}
DIRECTIONS = {"text_to_image": "photos by texts", "image_to_text": "texts by photos"}
LANGUAGES = {"en": "English", "de": "German"}


def quoted(run: Run) -> str:
    """What a source reports on the run's data set for this kind of retrieval, in percent; empty for other runs.

    Photos by photos: the tables of deep metric learning, whose rows differ in network and dimension, which stand beside
    them. Photos by texts: image-text hashing on IAPR TC-12, under its own protocol. Photos by sketches of the training
    classes: domain-migration hashing on Sketchy. None of them is a controlled comparison.
    """
    protocol, dataset = run.summary["protocol"], run.manifest["data"]["dataset"]
    sides = protocol.get("query"), protocol.get("gallery")
    if sides == ("photo", "photo") and dataset in TABLES:
        return _recall(load_reported()[TABLES[dataset]], dataset, protocol["recall"])
    if sides == ("text", "photo") and dataset == "iapr":
        return _image_text(load_reported()["image_text_hashing"])
    if sides == ("sketch", "photo") and dataset == "sketchy" and protocol.get("name") == "seen":
        return _migration(load_reported()["domain_migration_hashing"])
    return ""


def _recall(table: ReportedTable, dataset: str, ranks: Sequence[int]) -> str:
    rows = [
        f"{row['method']} ({row['network']}) {' / '.join(map(_percent, row[dataset]))}"
        for row in table.rows
        if row[dataset]
    ]
    return _sentence(f"Recall@{', '.join(map(str, ranks))}", table, rows)


def _image_text(table: ReportedTable) -> str:
    return _sentence("mAP over the whole ranking", table, [_direction(row) for row in table.rows])


def _direction(row: Mapping[str, Any]) -> str:
    return f"{DIRECTIONS[row['direction']]}, {LANGUAGES[row['language']]}, {row['bits']} bits {_percent(row['map'])}"


def _migration(table: ReportedTable) -> str:
    rows = [f"{' '.join(filter(None, (row['method'], row['code'])))} {_percent(row['acc_at_1'])}" for row in table.rows]
    return _sentence("The sketch's own photo first", table, rows)


def _sentence(metric: str, table: ReportedTable, rows: Sequence[str]) -> str:
    return f"{metric} in percent, as {table.source} lists them: {'; '.join(rows)}. {'; '.join(table.left_open(''))}."


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"
