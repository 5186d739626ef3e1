"""What the drawing page asks for: the nearest photos for a drawing, and the photos themselves."""

import threading
import time
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from sbir.data.pictures import thumbnail
from sbir.report.table import metric_label, percent
from sbir.serving.model import Exported
from sbir.serving.sketch import Drawing, Sketcher, drawn

SIDE = 180  # pixels of a photo's longer side


class Pad:
    """A model and its backbone, ready for drawings."""

    def __init__(self, model: Exported, sketcher: Sketcher, *, top: int, root: Path | None) -> None:
        """`top` answers a drawing; `root` is the data set's folder, and without it the page shows names alone."""
        model.check_top(top)
        self._model, self._sketcher, self._top = model, sketcher, top
        self._root = root.resolve() if root is not None else None
        self._known = frozenset(model.item_id)
        self._one = threading.Lock()  # two drawings at once would only slow each other
        self.photo = lru_cache(2000)(self._photo)
        self.search([[[0, 1], [0, 1]]])  # what fails, fails before the page opens; and a network's first pass is slow

    def search(self, drawing: Drawing) -> dict[str, Any]:
        """Answers, nearest first, and the milliseconds that each part took; drawn as strokes are for training."""
        with self._one:
            started = time.perf_counter()
            rows = self._sketcher.rows(drawn(drawing))
            made = time.perf_counter()
            answers = [asdict(answer) for answer in self._model.search(rows, self._top)]
            ended = time.perf_counter()
        times = {"feature": 1000 * (made - started), "ranking": 1000 * (ended - made)}
        return {"answers": answers, "milliseconds": {name: round(value, 1) for name, value in times.items()}}

    def _photo(self, item_id: str) -> bytes | None:
        """A small JPEG of a gallery item; None for any other name, and where the picture is not at hand."""
        if self._root is None or item_id not in self._known:
            return None
        return thumbnail(self._root, item_id, SIDE, quality=85)

    def page(self) -> str:
        """The page's HTML."""
        from jinja2 import Environment, PackageLoader

        about, select = self._model.about, self._model.about["protocol"]["select"]
        template = Environment(loader=PackageLoader("sbir.serving", ""), autoescape=True).get_template("draw.html")
        return template.render(
            about=about,
            metric=metric_label(select),
            score=percent(about["test"][select]),
            chance=percent(about["chance"]),
            count=len(self._model.item_id),
            classes=len(set(self._model.class_name)),
        )
