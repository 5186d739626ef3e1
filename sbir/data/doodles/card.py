"""How difficult the doodles are, by chance, closed forms and an oracle: the card that is kept with their version."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sbir.data.doodles.write import VERSION

BINS = 4  # of a colour histogram, a channel


def colour_histograms(root: Path, item_ids: list[str]) -> np.ndarray:
    """Joint RGB histograms of pictures, (n, 64) float32; a sketch's tells nothing but how much ink there is."""
    rows = []
    for item_id in item_ids:
        with Image.open(root / item_id) as picture:
            pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3) // (256 // BINS)
        codes = pixels @ np.array([BINS * BINS, BINS, 1])
        rows.append(np.bincount(codes, minlength=BINS**3) / len(codes))
    return np.array(rows, dtype=np.float32)


def content_hash(root: Path) -> str:
    """Sixteen hexadecimal digits over all file names and bytes of a written data set."""
    digest = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def card(root: Path, store: Path) -> dict[str, Any]:
    """The difficulty card of a written data set and the store of its features.

    For unseen classes (zero-shot test part), seen classes and instances (held-out photos of train classes): chance, the
    colour histogram of photos (nearest class mean of training photos, accuracy over classes), raw, mean removed, ridge
    and the oracle, which ranks by class and then by the true parameters and so is the ceiling.
    """
    from sbir.data.feed import Columns, make_feed
    from sbir.data.loader import Shared
    from sbir.data.protocol import make_protocol, partition
    from sbir.data.splits import assign
    from sbir.data.transform import TransformSettings
    from sbir.metrics.reference import ceiling, chance
    from sbir.training.baselines import score_baselines
    from sbir.training.evaluate import identity

    shared = Shared.mapped(store)
    items = shared.items()
    split = assign(items, "stored")
    figures: dict[str, Any] = {}
    for name in ("zero_shot", "seen"):
        protocol = make_protocol(
            items,
            split,
            split_spec="stored",
            content_hash=shared.manifest["content_hash"],
            synthetic=True,
            name=name,
            k=20 if name == "zero_shot" else 2,
        )
        rows = partition(items, split, protocol, "test")
        feed = make_feed(Columns(items), rows, (), (), TransformSettings())
        ids = identity(feed, rows.query), identity(feed, rows.gallery)
        scored = {one.row: one.test.means for one in score_baselines(Columns(items), split, protocol)}
        table = {"chance": chance(*ids, protocol.k), **scored, "oracle": ceiling(*ids, protocol.k)}
        figures[name] = {
            row: {metric: round(value, 4) for metric, value in means.items()} for row, means in table.items()
        }
    figures["colour histogram"] = _colour_accuracy(root, items, split.rows)
    return {"version": VERSION, "content": content_hash(root), "backbone": shared.manifest["backbone"], **figures}


def _colour_accuracy(root: Path, items: Any, split: Any) -> dict[str, float]:
    """Accuracy of the nearest class mean on held-out photos of train classes, from colours alone."""
    photos = items.domain == "photo"
    train, held = np.flatnonzero(photos & (split == "train")), np.flatnonzero(photos & (split == "held"))
    colours = {
        part: colour_histograms(root, [str(name) for name in items.item_id[rows]])
        for part, rows in (("train", train), ("held", held))
    }
    classes = np.unique(items.class_id[train])
    means = np.stack([colours["train"][items.class_id[train] == one].mean(0) for one in classes])
    nearest = classes[((colours["held"][:, None] - means) ** 2).sum(2).argmin(1)]
    hits = nearest == items.class_id[held]
    return {"accuracy": round(float(hits.mean()), 4), "chance": round(1 / len(classes), 4), "photos": len(held)}
