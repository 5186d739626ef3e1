"""From a run's winner to a folder that others can use: weights, configuration, embedded gallery and a model card."""

import inspect
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sbir.data.store import file_hash, read_manifest
from sbir.data.store_write import check_new, new_directory
from sbir.report.load import Run, load_run
from sbir.serving import gallery
from sbir.serving.card import model_card
from sbir.serving.model import FORMAT, GALLERY, INDEX
from sbir.training import checkpoint
from sbir.training.evaluate import embed
from sbir.training.plain_json import write_json
from sbir.training.rescore import Reopened, reopen
from sbir.training.run import save_model

TOLERANCE = 1e-3  # of every metric's mean, a tenth of a percentage point: near-ties swap where devices or widths differ


def export(
    run_folder: Path, out: Path, *, method: str | None = None, store: Path | None = None, half: bool = False
) -> dict[str, float]:
    """Write a run's finalist to a new folder `out`; its test figures, as a clean process has scored them again.

    The finalist is the best method's (by validation), or that of `method`, a name of the run or `FILE.py:CLASS` where
    its class is not one of this package's. Of several refits it is the first: choosing the one that is best on test
    would be a selection on test. `store` is the run's own when left out; `half` keeps the gallery in float16.

    Raises `ValueError` and leaves nothing where a figure differs by more than `TOLERANCE` from the logged one.
    """
    check_new(out)
    run = load_run(run_folder)
    code = method if method is not None and ":" in method else None
    finalist = _finalist(run, method)
    opened = reopen(finalist, store, code=code)
    with new_directory(out) as folder:
        _write(folder, run, opened, half=half, store=store)
        scored = _score_in_clean_process(folder, store, code)
        _compare(opened.about["test"], scored)
        (folder / "README.md").write_text(model_card(run, _about(folder), scored), encoding="utf-8")
    return scored


def _finalist(run: Run, method: str | None) -> Path:
    """The first refit of a method's winner."""
    kind = method.rpartition(":")[2] if method is not None and ":" in method else None
    name = run.summary["best"].get("method") if method is None else method
    for folder in sorted((run.path / "finalists").glob("*/model.json"), key=_place):
        about = json.loads(folder.read_text())
        right = about["method"].rpartition(":")[2] == kind if kind else about["job"]["method"] == name
        if right and about["job"]["settings"] in [row["settings"] for row in run.summary["table"]]:
            return folder.parent
    known = sorted({path.parent.name.rsplit("-", 2)[0] for path in (run.path / "finalists").glob("*/model.json")})
    raise ValueError(f"a model to export must be of a finalist of the run ({', '.join(known) or 'it has none'}), "
                     f"got {name}; choose one with --method")  # fmt: skip


def _place(path: Path) -> tuple[str, int, int]:
    stem, number, seed = path.parent.name.rsplit("-", 2)
    return stem, int(number), int(seed)


def _write(folder: Path, run: Run, opened: Reopened, *, half: bool, store: Path | None) -> None:
    place = Path(opened.about["store"]) if store is None else store.resolve()
    manifest = read_manifest(place)
    embedded = embed(opened.method, opened.feed, opened.protocol)
    save_model(folder, opened.method, opened.feed.transforms)
    distance = opened.method.distance
    centre = {f"centre/{name}": view for name, view in embedded.query_centre.items()}
    checkpoint.save_tensors(folder / GALLERY, gallery.to_tensors(embedded.gallery, distance, half=half) | centre)
    _write_index(folder / INDEX, opened)
    about = {
        **opened.about,
        "job": opened.about["job"] | {"folder": ""},
        "format": FORMAT,
        "what": (inspect.getdoc(type(opened.method)) or "").partition("\n")[0],
        "label": run.manifest["labels"][opened.about["job"]["method"]],
        "dataset": run.manifest["data"]["dataset"],
        "flags": run.summary["flags"],
        "chance": _chance(run),
        "given": run.summary["given"],
        "store": str(place),
        "root": manifest["root"],  # where the pictures lay, for the drawing page
        "columns": {name: manifest["columns"][name] for name in _stored(opened)},
        "gallery": gallery.describe(embedded.gallery, distance, half=half),
        "files": {name: file_hash(folder / name) for name in ("model.safetensors", GALLERY, INDEX)},
    }
    write_json(folder / "model.json", about)


def _stored(opened: Reopened) -> list[str]:
    """The store's columns that queries come from."""
    columns, query = opened.feed.columns, opened.feed.partition.query
    return [columns.stored(name, query) for name in opened.method.query_columns]


def _chance(run: Run) -> float | None:
    """What guessing scores on the maximised metric, to stand beside the model's figure."""
    row = next((row for row in run.summary["table"] if row["row"] == "chance"), None)
    return row["test"][run.metric]["mean"] if row is not None else None


def _write_index(path: Path, opened: Reopened) -> None:
    """One row a gallery item, in the order of the embeddings."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    items, rows = opened.feed.columns.items, opened.feed.partition.gallery
    names = np.array(items.class_names, dtype=object)[items.class_id[rows]]
    columns = {"item_id": items.item_id[rows].astype(str).tolist(), "class_name": names.tolist()}
    pq.write_table(pa.table({**columns, "instance_id": items.instance_id[rows]}), path)


def _score_in_clean_process(folder: Path, store: Path | None, code: str | None) -> dict[str, float]:
    """What a process that has seen nothing but the folder and the store scores."""
    words = [sys.executable, "-m", "sbir.serving.check", str(folder)]
    words += ["--data", str(store)] if store is not None else []
    words += ["--method", code] if code is not None else []
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip() or "no word").rsplit("\n", 1)[-1]
        raise ValueError(f"an export must load and score in a clean process, this one did not: {reason}")
    figures: dict[str, float] = json.loads(done.stdout.rsplit("\n", 2)[-2])
    return figures


def _compare(logged: Mapping[str, float], scored: Mapping[str, float]) -> None:
    """Figures of the other direction are not an export's: its gallery is searched, and never asks."""
    for name, value in logged.items():
        if name.startswith("reverse_"):
            continue
        if name not in scored or abs(scored[name] - value) > TOLERANCE:
            raise ValueError(
                f"an export must score what was logged, {name} was {value:.6f} and is {scored.get(name)} (tolerance "
                f"{TOLERANCE}); nothing was exported: check that the store and sbir's version are those of the run"
            )


def _about(folder: Path) -> dict[str, Any]:
    about: dict[str, Any] = json.loads((folder / "model.json").read_text())
    return about
