"""What removing noise by entropy finds among the doodles, whose spoilt sketches are known to us and not to any method.

    python benchmarks/noise_removal.py

Of each class the sketches of lowest and highest entropy of grey levels are removed, as SketchMate (CVPR 2018) does, at
several shares; precision is the share of the removed ones that are spoilt (scribbles, halves, another class's
drawing), recall the share of the spoilt ones that are removed. Removing at random has the precision of the share of
spoilt sketches, and the share removed as recall. Synthetic data. The last result is in noise_removal.txt.
"""

import json
from pathlib import Path

import torch

from sbir.data.cache import embedded_store
from sbir.data.loader import Shared
from sbir.losses.hashing import middle, raster_entropy

KEPT = (0.95, 0.9, 0.8, 0.6)


def main() -> None:
    """Print one line a share."""
    shared = Shared.mapped(embedded_store())
    items = shared.items()
    rows = (items.domain == "sketch").nonzero()[0]
    spoilt = torch.tensor(spoilt_flags(Path(shared.manifest["root"]), [Path(i).stem for i in items.item_id[rows]]))
    entropy = raster_entropy(torch.from_numpy(items.payload["image"].take(rows)[..., 0]))
    labels = torch.from_numpy(items.class_id[rows])
    print(f"doodles (synthetic), {len(rows)} sketches of {len(torch.unique(labels))} classes at 64 pixels")
    print(f"spoilt: {int(spoilt.sum())}, {100 * spoilt.float().mean():.1f} %")
    for share in KEPT:
        removed = ~middle(entropy, labels, share)
        both = int((removed & spoilt).sum())
        precision, recall = 100 * both / int(removed.sum()), 100 * both / int(spoilt.sum())
        print(f"middle {100 * share:.0f} % kept: {int(removed.sum())} removed, precision {precision:.1f} %, "
              f"recall {recall:.1f} %")  # fmt: skip


def spoilt_flags(root: Path, names: list[str]) -> list[bool]:
    """The flag that the generator writes beside the strokes and that no reader takes up."""
    flags = {}
    for file in sorted((root / "strokes").glob("*.ndjson")):
        for line in file.read_text().splitlines():
            record = json.loads(line)
            flags[record["key_id"]] = bool(record["bad"])
    return [flags[name] for name in names]


if __name__ == "__main__":
    main()
