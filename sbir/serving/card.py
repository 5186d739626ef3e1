"""The model card of an export: what it is, what it was trained on, its figures with their intervals, its limits."""

from collections.abc import Iterator, Mapping
from typing import Any

from sbir.report.load import Run
from sbir.report.setup_text import markdown_row, setup_paragraph
from sbir.report.table import metric_label, percent, table_lines
from sbir.report.verdict import verdicts
from sbir.tracking.names import readable

FRONT = """---
library_name: sbir
tags:
- sketch-based-image-retrieval
- image-feature-extraction
---

"""
_LICENCE = {
    True: "The data are drawings and pictures that sbir itself generates, under its licence, Apache-2.0.",
    False: "The data set's own licence holds for what was learnt from it. The store does not record it, and this card "
    "does not guess it: look it up before you pass the weights or the gallery on.",
}
_USE = """`sbir retrieve FOLDER --sketch FILE` searches with a picture or a QuickDraw drawing, and
`sbir retrieve FOLDER --draw` opens a page to draw on. In Python, where nothing in these files is executed:

```python
from pathlib import Path

import torch

from sbir.serving.model import Exported

model = Exported(Path("."))  # the folder of this card
sketch = {rows}  # one row, as `sbir features` writes it
for answer in model.search(sketch, top=3):
    print(answer.item_id, answer.class_name, answer.distance)
```

`gallery.safetensors` and `gallery.parquet` (item, class, instance; in the same order) open without sbir, too."""


def model_card(run: Run, about: Mapping[str, Any], scored: Mapping[str, float]) -> str:
    """Markdown with a Hugging Face header; `scored` are the test figures of the export itself."""
    sections = {
        "What it is": _what(run, about),
        "Data and protocol": _data(run, about),
        "Figures": _figures(run, about, scored),
        "Limits": _limits(run),
        "Licence": [_LICENCE[bool(run.manifest["data"]["synthetic"])]],
        "Use": [_USE.format(rows=_rows(about))],
    }
    body = [f"## {title}\n\n" + "\n".join(lines) for title, lines in sections.items()]
    return FRONT + "\n\n".join([_head(about), *body]) + "\n"


def _rows(about: Mapping[str, Any]) -> str:
    """The argument of `search`, as code."""
    made = [
        f'"{name}": torch.zeros({[1, *claim["shape"]]}, dtype=torch.{claim["dtype"]})'
        for name, claim in about["columns"].items()
    ]
    return "{" + ", ".join(made) + "}"


def _head(about: Mapping[str, Any]) -> str:
    title = f"# {about['label']} for sketch-based image retrieval, trained on {about['dataset']}"
    flags = ", ".join(about["flags"]).upper()
    return f"{title}\n\n> **{flags}**: an example, not a model for use." if flags else title


def _what(run: Run, about: Mapping[str, Any]) -> Iterator[str]:
    views = "; ".join(f"`{name}` {rows} x {width}" for name, (rows, width) in about["gallery"]["views"].items())
    fused = f", fused with lambda {about['lambda']}" if about["lambda"] is not None else ""
    told = next(line.given for line in table_lines(run) if line.row == about["label"])
    settings = ", ".join(f"`{key}={readable(value)}`" for key, value in about["job"]["settings"].items())
    yield f"{about['what']}"
    yield f"`{about['method']}` of sbir {run.manifest['versions']['sbir']}, run `{run.manifest['name']}`."
    yield f"It embeds a sketch, given as {' and '.join(about['columns'])}, and searches what is embedded here: {views}"
    yield f"({about['gallery']['dtype']}{fused}).\n"
    yield f"Training was told: {told}. Settings, chosen on validation: {settings}. Of the refits on train and val"
    yield "with several seeds this is the first, not the one that is best on test."


def _data(run: Run, about: Mapping[str, Any]) -> Iterator[str]:
    overlap = (about["backbone"] or {}).get("imagenet_overlap")
    yield setup_paragraph(run)
    if overlap is not None:
        yield f"{len(overlap)} classes of the data set bear the name of an ImageNet category (a lower bound)."
    yield ""
    yield from (f"- {name}: {value}" for name, value in about["protocol"]["lines"].items())
    yield f"- fingerprint: {about['protocol']['fingerprint']} (only figures with the same one may be compared)"


def _figures(run: Run, about: Mapping[str, Any], scored: Mapping[str, float]) -> Iterator[str]:
    label = metric_label(run.metric)
    yield "On the test part, in percent: all refits of the method together, and what it has to beat.\n"
    yield markdown_row(["", label, "95 % over classes", "95 % over seeds", "fitted on"])
    yield markdown_row(["---"] * 5)
    for line in table_lines(run):
        if line.kind != "method" or line.row == about["label"]:
            yield markdown_row([line.row, line.test, line.by_class, line.by_seed, line.given])
    yield "\nThis model alone, scored again from these files in a clean process:\n"
    yield markdown_row([metric_label(name) for name in scored])
    yield markdown_row(["---"] * len(scored))
    yield markdown_row([percent(value) for value in scored.values()])


def _limits(run: Run) -> Iterator[str]:
    looks = run.summary["looks_at_test"]
    yield from (f"- {sentence}" for sentence in verdicts(run))
    yield f"- Runs that had looked at the test part of this split when this one ended, in its runs folder: {looks}."
    yield "- Intervals over classes and over training seeds stand apart; the variance of the search is in neither."
    yield "- The gallery is the test gallery of the protocol. Other photos must be embedded by the same method first."
    yield "- Sketches must come from the same backbone, weights, size and kind of drawing as those of the training."
