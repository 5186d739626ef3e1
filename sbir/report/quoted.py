"""Figures of other papers that stand below a table without being held against it."""

from sbir.report.load import Run
from sbir.report.reported import ReportedTable, load_reported

TABLES = {
    "cub": "metric_learning_cub_cars",
    "cars": "metric_learning_cub_cars",
    "sop": "metric_learning_sop_inshop",
    "inshop": "metric_learning_sop_inshop",
}


def quoted(run: Run) -> str:
    """What papers report of deep metric learning on the run's data set, in percent; empty for other runs.

    Every row has another network and dimension, which stand beside it: no controlled comparison.
    """
    protocol, dataset = run.summary["protocol"], run.manifest["data"]["dataset"]
    if (protocol.get("query"), protocol.get("gallery")) != ("photo", "photo") or dataset not in TABLES:
        return ""
    table = load_reported()[TABLES[dataset]]
    ranks = ", ".join(str(n) for n in protocol["recall"])
    return (
        f"Recall@{ranks} in percent, as {table.source} lists them: {'; '.join(_rows(table, dataset))}. "
        f"{'; '.join(table.left_open(''))}."
    )


def _rows(table: ReportedTable, dataset: str) -> list[str]:
    return [
        f"{row['method']} ({row['network']}) {' / '.join(f'{100 * value:.1f}' for value in row[dataset])}"
        for row in table.rows
        if row[dataset]
    ]
