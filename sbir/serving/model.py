"""An exported model: a method with its weights, and a gallery that is embedded already, ready to be searched."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sbir.data.store import file_hash
from sbir.data.transform import Transform
from sbir.metrics.distances import fuse, nearest
from sbir.models.method import Method
from sbir.serving.gallery import from_tensors, measure
from sbir.training import checkpoint
from sbir.training.rescore import load_model, read_about
from sbir.types import Rows, Views

FORMAT = "sbir-model-1"
GALLERY, INDEX = "gallery.safetensors", "gallery.parquet"


@dataclass(frozen=True)
class Answer:
    """One item that was found."""

    item_id: str
    class_name: str
    distance: float


class Exported:
    """A model as `sbir export` wrote it, in memory."""

    def __init__(self, folder: Path, code: str | None = None) -> None:
        """Read a folder; `code` is `FILE.py:CLASS` where the method's class is not one of sbir's.

        Raises `ValueError` where the folder is no export, or a file of it has changed.
        """
        self.about = _checked_about(folder)
        self.method: Method
        self.transforms: Mapping[str, Transform]
        self.method, self.transforms = load_model(folder, self.about, code)
        self.method.eval()
        tensors = checkpoint.load_tensors(folder / GALLERY)
        self.gallery = from_tensors(tensors, self.about["gallery"])
        self._centre = {name: tensors[f"centre/{name}"] for name in self.gallery if f"centre/{name}" in tensors}
        self.item_id, self.class_name = _read_index(folder / INDEX)
        self._distances = {name: measure(view, self.method.distance) for name, view in self.gallery.items()}

    @property
    def fusion(self) -> str | None:
        """How two views are combined; None with one."""
        fusion: str | None = self.about["lambda"] if len(self.gallery) > 1 else None
        return fusion

    @torch.inference_mode()
    def embed(self, rows: Rows) -> Views:
        """Views of n sketches, as they are ranked, from their columns as a feed takes them out of a store."""
        if "feature" in rows:
            rows = {**rows, "feature": self.transforms["query"](rows["feature"])}
        views = self.method.embed_query(rows)
        return {name: view - self._centre[name] if self._centre else view for name, view in views.items()}

    @torch.inference_mode()
    def search(self, rows: Rows, top: int) -> list[Answer]:
        """The `top` nearest items of the gallery for one sketch, one row of each column, nearest first.

        The distance is the method's own; with two views it is the fused one. Raises `ValueError` where `top` is beyond
        the gallery.
        """
        self.check_top(top)
        views = self.embed(rows)
        found = [self._distances[name](views[name][0]) for name in self.gallery]
        distances = found[0] if self.fusion is None else fuse(found[0], found[1], self.fusion)
        places = nearest(distances[None], top)[0].tolist()
        return [Answer(self.item_id[place], self.class_name[place], float(distances[place])) for place in places]

    def check_top(self, top: int) -> None:
        """Refuse a number of answers that the gallery does not have."""
        if not 1 <= top <= len(self.item_id):
            raise ValueError(f"top must be between 1 and the gallery size {len(self.item_id)}, got {top}")


def _checked_about(folder: Path) -> dict[str, Any]:
    if not (folder / "model.json").is_file():
        raise ValueError(f"a model to search with is a folder of `sbir export`, {folder} has no model.json; "
                         "write one with `sbir export RUN --out FOLDER`")  # fmt: skip
    about = read_about(folder)
    if about.get("format") != FORMAT:
        raise ValueError(f"{folder}: format must be {FORMAT}, got {about.get('format')}; "
                         "write it with `sbir export RUN --out FOLDER`")  # fmt: skip
    for name, digest in about["files"].items():
        file = folder / Path(name).name
        if not file.is_file() or file_hash(file) != digest:
            raise ValueError(f"{file} must be as it was exported, it is missing or has changed; export the model again")
    return about


def _read_index(path: Path) -> tuple[list[str], list[str]]:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    return table["item_id"].to_pylist(), table["class_name"].to_pylist()
