"""What a paper's experimental section says of a run: a paragraph, and the search space as a table."""

import re
from collections.abc import Sequence
from typing import Any

from sbir.report.load import Run
from sbir.report.table import NONE, metric_label
from sbir.tracking.names import readable

Cells = Sequence[str]
_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def setup_markdown(run: Run) -> str:
    """Paragraph and table in Markdown."""
    head, *rows = _space(run)
    lines = [markdown_row(head), markdown_row(["---"] * len(head)), *map(markdown_row, rows)]
    return f"{setup_paragraph(run)}\n\n" + "\n".join(lines) + "\n"


def setup_latex(run: Run) -> str:
    """Paragraph and table in LaTeX, with plain `tabular`."""
    head, *rows = _space(run)
    body = "\n".join(" & ".join(map(latex, cells)) + r" \\" for cells in rows)
    table = rf"""\begin{{tabular}}{{{"l" * len(head)}}}
\hline
{" & ".join(map(latex, head))} \\
\hline
{body}
\hline
\end{{tabular}}"""
    return f"{latex(setup_paragraph(run))}\n\n{table}\n"


def setup_paragraph(run: Run) -> str:
    """Data, protocol, search, refits, cost and software, in sentences."""
    data, num, classes = run.manifest["data"], run.manifest["data"].get("num", {}), run.manifest["data"]["classes"]
    flags = f" ({', '.join(run.summary['flags'])})" if run.summary.get("flags") else ""
    versions = run.manifest.get("versions") or {}
    software = ", ".join(f"{name} {versions[name]}" for name in ("torch", "ray", "optuna") if versions.get(name))
    hours = float(run.trials["device_seconds"].sum()) / 3600
    sentences = [
        f"Data: {data['dataset']}{flags}, {run.summary.get('given') or 'features of unstated origin'}; "
        f"{classes['train']} training, {classes['val']} validation and {classes['test']} test classes, "
        f"{num.get('test_query', NONE)} test queries against {num.get('test_gallery', NONE)} gallery items.",
        f"Protocol: {run.summary['protocol']['name']}, split {data['split']} (hash {data['split_hash']}), fingerprint "
        f"{run.summary['protocol']['fingerprint']}; settings were chosen by {metric_label(run.metric)} on validation.",
        _searched(run),
        f"The chosen settings were refitted on training and validation classes with {run.manifest['final_seeds']} "
        "seeds, for the number of steps that validation had chosen, and scored on test once.",
        *_extended(run),
        f"All trainings took {hours:.2f} device-hours. Software: sbir {versions.get('sbir', '')}, {software}.",
    ]
    return " ".join(sentences)


def latex(text: str) -> str:
    """Text with LaTeX's special characters escaped.

    >>> latex("P@20 50 % of a_b")
    'P@20 50 \\\\% of a\\\\_b'
    """
    return re.sub(r"[\\&%$#_{}~^<>]", lambda found: _SPECIAL[found[0]], text)


def _searched(run: Run) -> str:
    if run.manifest["stage"] != "search":
        return (
            f"Declared rows were trained at full length ({run.manifest['stage']}), {len(run.search_trials())} in all."
        )
    budgets = run.summary.get("methods") or {}
    spent = ", ".join(f"{one['label']} {one['spent']:.3g} ({one['device_s']:.0f} s)" for one in budgets.values())
    return (
        f"Search: TPE with successive halving within each method, a budget of {run.manifest['trials']} full-length "
        f"trainings per method, spent (device-seconds): {spent}."
    )


def _extended(run: Run) -> list[str]:
    times = len(run.manifest.get("extensions", []))
    if not times:
        return []
    often = "once" if times == 1 else f"{times} times"
    return [f"The search was extended {often} after its finalists had been scored; further finalists were scored then."]


def _space(run: Run) -> list[Cells]:
    """Heading and one line an axis: method, setting, values, chosen."""
    labels = run.manifest.get("labels") or {}
    chosen = {row["row"]: row["settings"] for row in run.summary["table"] if row["kind"] == "method"}
    lines: list[Cells] = [("method", "setting", "values", "chosen")]
    for method, domains in (run.manifest.get("domains") or {}).items():
        label = str(labels.get(method, method))
        for key, domain in domains.items():
            value = chosen.get(label, {}).get(key)
            lines.append(
                (label, key.removeprefix("method/"), _values(domain), NONE if value is None else readable(value))
            )
    return lines


def _values(domain: Any) -> str:
    return ", ".join(map(readable, domain)) if isinstance(domain, list) else str(domain)


def markdown_row(cells: Cells) -> str:
    """One line of a table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
