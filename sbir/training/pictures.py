"""What a method draws, saved as one sheet a stage of its final training."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sbir.data.feed import Feed, own_photos
from sbir.models.method import Method

if TYPE_CHECKING:
    from PIL.Image import Image

FOLDER = "pictures"  # of a trial: <step>.jpg
STAGES = 4  # sheets after the first, evenly over the training
ITEMS = 6  # of each side, a sheet
HEAD, GAP = 16, 4  # pixels: of the titles, and between pictures


def is_due(step: int, every: int, steps: int) -> bool:
    """Whether a training of `steps` steps that pauses after each `every` is to save a sheet at `step`.

    >>> [step for step in range(0, 1001, 100) if is_due(step, 100, 1000)]
    [0, 300, 500, 800, 1000]
    """
    return step == 0 or step >= steps or step * STAGES // steps > max(0, step - every) * STAGES // steps


@torch.no_grad()
def save_pictures(folder: Path, method: Method, feed: Feed, step: int) -> Path | None:
    """Write `pictures/<step>.jpg`: some scored queries, their own items beside them; None for a method without any."""
    if type(method).pictures is Method.pictures:
        return None
    query, gallery = _rows(feed)
    method.eval()
    drawn = method.pictures(feed.query(query), feed.gallery(gallery))
    if not drawn:
        return None
    path = folder / FOLDER / f"{step:07d}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    sheet(drawn).save(part, "JPEG", quality=85)
    part.replace(path)
    return path


def _rows(feed: Feed) -> tuple[np.ndarray, np.ndarray]:
    """The first query of some classes, by item id, and its own item (the first of its class where it has none)."""
    items, rows = feed.columns.items, feed.partition
    order = rows.query[np.argsort(items.item_id[rows.query].astype(str))]
    first = order[np.unique(items.class_id[order], return_index=True)[1]]
    query = first[np.linspace(0, len(first) - 1, min(ITEMS, len(first))).astype(np.int64)]
    own = own_photos(items, query, rows.gallery)
    same = [int(np.argmax(items.class_id[rows.gallery] == items.class_id[row])) for row in query]
    return query, rows.gallery[np.where(own >= 0, own, same)]


def sheet(drawn: Mapping[str, Tensor]) -> "Image":
    """One column a title, one row an item: title -> (n, 3, S, S) in [0, 1]."""
    from PIL import ImageDraw
    from PIL.Image import fromarray, new

    count, _, side, _ = next(iter(drawn.values())).shape
    width = max(side, 64) + GAP
    page = new("RGB", (len(drawn) * width + GAP, HEAD + count * (side + GAP) + GAP), "white")
    pen = ImageDraw.Draw(page)
    for across, (title, images) in enumerate(drawn.items()):
        left = GAP + across * width
        pen.text((left, 2), title, fill="black")
        pixels = (255 * images.clamp(0, 1)).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        for down, image in enumerate(pixels):
            page.paste(fromarray(image), (left, HEAD + down * (side + GAP)))
    return page
