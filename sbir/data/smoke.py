"""A store for `--smoke`: written in a second, nothing but noise around class means, in every column there is."""

from pathlib import Path

import numpy as np

from sbir.data.items import Array, Indices, Items, Payload
from sbir.data.store_write import write_store

PARTS = {"train": 12, "val": 6, "test": 8}  # classes
PHOTOS, WIDTH = 6, 64  # a class, and entries of a feature
GROUPS = 4  # of classes that share a label
SIDE, POINTS = 64, 100  # pixels of an image, and points of a drawing: those of the embedded data


def write_smoke_store(path: Path, seed: int = 0, *, texts: bool = False) -> None:
    """A paired sketch/photo store of 26 classes, 6 photos each with one sketch: features (312, 64) float32,
    images of 64 pixels that show them as 8 x 8 squares, and drawings of them as lines.

    With `texts` these stand in place of the sketches, and labels (the class, and a group of classes) beside the images
    in place of all else.
    """
    rng = np.random.default_rng(seed)
    classes = sum(PARTS.values())
    photos = rng.normal(size=(classes, 1, WIDTH)) + 0.5 * rng.normal(size=(classes, PHOTOS, WIDTH))
    sketches = np.roll(photos, 1, axis=2) + 0.5 * rng.normal(size=photos.shape)
    feature = np.maximum(np.concatenate([photos, sketches]).reshape(-1, WIDTH), 0).astype(np.float32)
    class_id = np.repeat(np.arange(classes), PHOTOS)
    part = np.repeat(list(PARTS), list(PARTS.values()))
    domains = ("photo", "text" if texts else "sketch")
    names = [f"{domain}/{of}/{index}" for domain in domains for index, of in enumerate(class_id)]
    drawn = _drawn(feature, len(class_id), rng)
    payload = {"image": drawn["image"], **_described(class_id)} if texts else {"feature": Payload([feature]), **drawn}
    items = Items(
        item_id=np.array(names),
        domain=np.repeat(domains, classes * PHOTOS),
        class_id=np.tile(class_id, 2),
        instance_id=np.tile(np.arange(classes * PHOTOS), 2),
        split=np.tile(np.repeat(part, PHOTOS), 2),
        class_names=tuple(f"class {number}" for number in range(classes)),
        payload=payload,
    )
    write_store(path, items, dataset="smoke", synthetic=True, given="random vectors; pairs and class labels")


def _described(class_id: Indices) -> dict[str, Payload]:
    """Words that name the class, its number in letters, and the labels of both sides."""
    digits = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    words = [b"a thing of " + " ".join(digits[int(digit)] for digit in str(of)).encode() for of in class_id]
    text = np.zeros((2 * len(words), max(map(len, words))), np.uint8)
    labels = np.zeros((2 * len(words), int(class_id.max()) + 1 + GROUPS), np.uint8)
    for row, word in enumerate(words):
        text[len(words) + row, : len(word)] = np.frombuffer(word, np.uint8)
        labels[[row, len(words) + row], class_id[row]] = 1
        labels[[row, len(words) + row], -1 - class_id[row] % GROUPS] = 1
    return {"text": Payload([text]), "labels": Payload([labels])}


def _drawn(feature: Array, num_photos: int, rng: np.random.Generator) -> dict[str, Payload]:
    """Images in grey for photos and in black on white for sketches, and the strokes of these."""
    squares = np.clip(feature / 3, 0, 1).reshape(-1, 8, 8)
    squares[num_photos:] = squares[num_photos:] < 0.4
    grey = (255 * squares.repeat(SIDE // 8, axis=1).repeat(SIDE // 8, axis=2)).astype(np.uint8)
    num_points = np.where(np.arange(len(feature)) < num_photos, 0, rng.integers(20, POINTS + 1, len(feature)))
    steps = np.arange(POINTS)
    inside = steps < num_points[:, None]
    x, y = 12 + 232 * steps / (POINTS - 1), 244 - 60 * np.clip(feature[:, steps % WIDTH], 0, 3)
    lifts = (steps % 10 == 9) | (steps == num_points[:, None] - 1)
    strokes = np.stack([np.broadcast_to(x, y.shape), y, lifts], axis=2) * inside[:, :, None]
    return {
        "image": Payload([np.repeat(grey[..., None], 3, axis=3)]),
        "strokes": Payload([strokes.astype(np.float32)]),
        "num_points": Payload([num_points.astype(np.int32)]),
    }
