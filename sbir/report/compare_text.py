"""The table of several runs as LaTeX, CSV, Markdown, and in the terminal."""

import csv
import io
from collections.abc import Callable
from html import escape
from typing import TextIO

from sbir.report.compare import Cell, Comparison
from sbir.report.setup_text import latex, markdown_row
from sbir.report.table import NONE, metric_label

LEGEND = "Test figures in percent, higher is better; [95 % interval over test classes]."
_ABOUT = ("row", "kind", "given", "dataset", "protocol", "fingerprint", "scale", "metric", "run")
_FIGURE = ("mean", "class_low", "class_high", "seed_low", "seed_high", "num_seeds")


def as_latex(found: Comparison) -> str:
    """A `table` with its notes; the document needs `\\usepackage{booktabs}`."""
    columns = found.columns
    heads = [rf"{latex(column.dataset)}\textsuperscript{{{at}}}" for at, column in enumerate(columns, 1)]
    metrics = [latex(metric_label(column.metric)) for column in columns]
    scales = [r"\emph{" + latex(", ".join(column.flags)) + "}" if column.flags else "" for column in columns]
    prints = [rf"\texttt{{{latex(column.fingerprint)}}}" for column in columns]
    under = [heads, metrics, *([scales] if any(scales) else []), prints]
    lines = [" & ".join(["", *cells]) + r" \\" for cells in under]
    body = [" & ".join(_line(found, name, latex, _raised, _strong)) + r" \\" for name in found.rows]
    below = " \\\\\n".join([latex(LEGEND), *(_raised(mark) + " " + latex(text) for mark, text in notes(found))])
    return "\n".join([
        r"\begin{table}", r"\centering", r"\footnotesize", r"\setlength{\tabcolsep}{4pt}",
        rf"\begin{{tabular}}{{l{'c' * len(columns)}}}", r"\toprule", *lines, r"\midrule", *body, r"\bottomrule",
        r"\end{tabular}", r"\par\smallskip", r"\begin{minipage}{\linewidth}", below, r"\end{minipage}",
        r"\end{table}", "",
    ])  # fmt: skip


def as_markdown(found: Comparison) -> str:
    """A pipe table, its notes below."""
    heads = []
    for at, column in enumerate(found.columns, 1):
        about = (f"{escape(column.dataset)} <sup>{at}</sup>", metric_label(column.metric), *column.flags)
        heads.append("<br>".join([*about, f"`{escape(column.fingerprint)}`"]))
    rows = [markdown_row(_line(found, name, escape, _sup, lambda text: f"**{text}**")) for name in found.rows]
    table = [markdown_row(["", *heads]), markdown_row(["---"] * (1 + len(heads))), *rows]
    below = [f"<sup>{mark}</sup> {escape(text)}" for mark, text in notes(found)]
    return "\n".join(table) + "\n\n" + "  \n".join([LEGEND, *below]) + "\n"


def as_csv(found: Comparison) -> str:
    """One line a row and column, for machines: shares, not percentages, nothing rounded."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*_ABOUT, *_FIGURE, "may_be_best"])
    for name in found.rows:
        for column, cell in zip(found.columns, found.cells[name], strict=True):
            if cell is None:
                continue
            place = (column.dataset, column.protocol, column.fingerprint, ", ".join(column.flags), column.metric)
            figures = ["" if cell.figure.get(key) is None else cell.figure[key] for key in _FIGURE]
            writer.writerow([name, cell.kind, cell.given, *place, cell.run, *figures, int(cell.bold)])
    return stream.getvalue()


def print_comparison(found: Comparison, file: TextIO | None = None) -> None:
    """The table in the terminal, bold as elsewhere (a star where the output is no terminal), notes below."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=file, highlight=False)
    if not console.is_terminal:
        console = Console(file=file, highlight=False, width=24 + 28 * (1 + len(found.columns)))
    strong = (lambda text: f"[bold]{text}[/bold]") if console.is_terminal else (lambda text: f"{text} *")
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for at, column in enumerate(found.columns, 1):
        scale = "".join(f"\n{flag.upper()}" for flag in column.flags)
        head = f"{column.dataset} ({at})\n{metric_label(column.metric)}\n{column.fingerprint}{scale}"
        table.add_column(Text(head), justify="right")
    for name in found.rows:
        line = _line(found, name, _unmarked, lambda mark: f" ({mark})", strong)
        table.add_row(*map(Text.from_markup, line))
    console.print(table)
    star = [] if console.is_terminal else ["* stands for bold."]
    for text in [LEGEND, *star, *(f"({mark}) {note}" for mark, note in notes(found))]:
        console.print(Text(text), soft_wrap=True)


def _line(
    found: Comparison,
    name: str,
    plain: Callable[[str], str],
    raised: Callable[[str], str],
    strong: Callable[[str], str],
) -> list[str]:
    """Cells of one row; the mark of what it was given stands at its name, or at each figure where they differ."""
    cells = found.cells[name]
    marks = {cell.mark for cell in cells if cell is not None}
    shared = marks.pop() if len(marks) == 1 else ""

    def text(cell: Cell | None) -> str:
        if cell is None:
            return plain(NONE)
        shown = strong(plain(cell.text)) if cell.bold else plain(cell.text)
        return shown + (raised(cell.mark) if cell.mark and not shared else "")

    return [plain(name) + (raised(shared) if shared else ""), *map(text, cells)]


def notes(found: Comparison) -> list[tuple[str, str]]:
    """Footnotes: what each column is, by its number, and what each mark says that a row was fitted on."""
    columns = [(str(at), column.note) for at, column in enumerate(found.columns, 1)]
    return columns + [(mark, f"fitted on: {given}") for mark, given in found.marks.items()]


def _raised(mark: str) -> str:
    return rf"\textsuperscript{{{mark}}}"


def _strong(text: str) -> str:
    return rf"\textbf{{{text}}}"


def _sup(mark: str) -> str:
    return f" <sup>{mark}</sup>"


def _unmarked(text: str) -> str:
    from rich.markup import escape as escape_markup

    return escape_markup(text)
