"""A store for `--smoke`: written in a second, nothing but noise around class means."""

from pathlib import Path

import numpy as np

from sbir.data.items import Items, Payload
from sbir.data.store_write import write_store

PARTS = {"train": 12, "val": 6, "test": 8}  # classes
PHOTOS, WIDTH = 6, 64  # a class, and entries of a feature


def write_smoke_store(path: Path, seed: int = 0) -> None:
    """A paired sketch/photo store of 26 classes, 6 photos each with one sketch, features (312, 64) float32."""
    rng = np.random.default_rng(seed)
    classes = sum(PARTS.values())
    photos = rng.normal(size=(classes, 1, WIDTH)) + 0.5 * rng.normal(size=(classes, PHOTOS, WIDTH))
    sketches = np.roll(photos, 1, axis=2) + 0.5 * rng.normal(size=photos.shape)
    feature = np.maximum(np.concatenate([photos, sketches]).reshape(-1, WIDTH), 0).astype(np.float32)
    class_id = np.repeat(np.arange(classes), PHOTOS)
    part = np.repeat(list(PARTS), list(PARTS.values()))
    names = [f"{domain}/{of}/{index}" for domain in ("photo", "sketch") for index, of in enumerate(class_id)]
    items = Items(
        item_id=np.array(names),
        domain=np.repeat(["photo", "sketch"], classes * PHOTOS),
        class_id=np.tile(class_id, 2),
        instance_id=np.tile(np.arange(classes * PHOTOS), 2),
        split=np.tile(np.repeat(part, PHOTOS), 2),
        class_names=tuple(f"class {number}" for number in range(classes)),
        payload={"feature": Payload([feature])},
    )
    write_store(path, items, dataset="smoke", synthetic=True, given="random vectors; pairs and class labels")
