"""Data sets that are published as features: the Wikipedia pairs, and Sketchy as the ECCV 2018 authors extracted it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sbir.data.dataset import Dataset, Item
from sbir.data.items import Array
from sbir.data.safe_load import load_array, load_mat
from sbir.data.sets.files import number, rows, text_of

WIKIPEDIA = "raw_features.mat"
LISTS = {"train": "trainset_txt_img_cat.list", "test": "testset_txt_img_cat.list"}
AUTHORS = {"sketch": ("sketch",), "photo": ("image_ext", "image")}  # domain -> beginning of its files, the first found


@dataclass(frozen=True)
class Ready:
    """A data set whose items have features already."""

    dataset: Dataset
    feature: tuple[Array, ...]  # blocks of rows, all items in order
    given: str


def is_ready(root: Path) -> bool:
    """Whether a folder holds features that `read_ready` knows."""
    return (root / WIKIPEDIA).is_file() or _author_files(root, "sketch") is not None


def read_ready(root: str | Path) -> Ready:
    """Read a folder of published features; raises `ValueError` where it is neither of the two."""
    root = Path(root)
    if (root / WIKIPEDIA).is_file():
        return _wikipedia(root)
    if _author_files(root, "sketch") is not None:
        return _authors(root)
    raise ValueError(
        f"a folder of features must have {WIKIPEDIA} (Wikipedia) or sketch_vgg_features.npy (ECCV 2018), {root} has "
        "neither; give two .npz files otherwise"
    )


def _wikipedia(root: Path) -> Ready:
    """Wikipedia (Rasiwasia et al. 2010): 2 866 pairs of 10 classes; photos 128 numbers (SIFT), texts 10 (LDA).

    A store has one width: texts are filled up with zeros to that of the photos.
    """
    names = [f"{side}_{part}" for part in ("tr", "te") for side in ("I", "T")]
    found = load_mat(root / WIKIPEDIA, names)
    items: list[Item] = []
    blocks: list[Array] = []
    for (part, file), short in zip(LISTS.items(), ("tr", "te"), strict=True):
        pairs = list(rows(root / file, 3))
        for domain, side in (("photo", "I"), ("text", "T")):
            block = found[f"{side}_{short}"]
            _check(root / WIKIPEDIA, f"{side}_{short}", block, len(pairs))
            blocks.append(block.astype(np.float32))
            items += _wiki_items(root, part, domain, pairs)
    width = max(block.shape[1] for block in blocks)
    padded = tuple(np.pad(block, ((0, 0), (0, width - block.shape[1]))) for block in blocks)
    dataset = Dataset("wikipedia", root, False, tuple(items), domains=("photo", "text"))
    return Ready(dataset, padded, "the authors' SIFT words of photos and LDA topics of texts (zeros behind)")


def _wiki_items(root: Path, part: str, domain: str, pairs: Sequence[Sequence[str]]) -> Iterator[Item]:
    names = _categories(root)
    for text, image, category in pairs:
        place = number(root / LISTS[part], category)
        if names and place > len(names):
            raise ValueError(f"{root / LISTS[part]}: a category must be at most {len(names)}, got {place}")
        class_name = names[place - 1] if names else f"{place:02d}"
        own = image if domain == "photo" else text
        yield Item(f"{domain}/{own}", domain, class_name, text, str(root / WIKIPEDIA), split=part)


def _categories(root: Path) -> list[str]:
    """The class names, where their list is there."""
    path = root / "categories.list"
    return [line.strip() for line in text_of(path).splitlines() if line.strip()] if path.is_file() else []


def _authors(root: Path) -> Ready:
    """fc2 of Keras' VGG-16 by Yelamarthi et al. 2018: 75 479 sketches and 73 002 photos (12 500 without extension).

    Class and photo are read from the paths that lie beside the features.
    """
    items: list[Item] = []
    blocks: list[Array] = []
    for domain in ("photo", "sketch"):
        files = _author_files(root, domain)
        if files is None:
            raise ValueError(f"{root} must have the features of {domain}s, {AUTHORS[domain][0]}_vgg_features.npy")
        feature, paths = load_array(files[0]), load_array(files[1]).reshape(-1)
        _check(files[0], "features", feature, len(paths))
        blocks.append(feature if feature.ndim == 2 else feature.reshape(len(feature), -1))
        items += [_author_item(files[1], domain, _text(path)) for path in paths]
    owners = {item.instance for item in items if item.domain == "photo"}
    kept = tuple(_own(item, owners) for item in items)
    dataset = Dataset("sketchy-eccv18-features", root, False, kept)
    return Ready(dataset, tuple(blocks), "fc2 of VGG-16 (Keras, ImageNet weights) by Yelamarthi et al. 2018")


def _author_files(root: Path, domain: str) -> tuple[Path, Path] | None:
    pairs = [(root / f"{name}_vgg_features.npy", root / f"{name}_paths.npy") for name in AUTHORS[domain]]
    return next((pair for pair in pairs if pair[0].is_file() and pair[1].is_file()), None)


def _author_item(file: Path, domain: str, path: str) -> Item:
    parts = path.replace("\\", "/").split("/")
    if len(parts) < 2 or not parts[-2]:
        raise ValueError(f"{file}: a path must end in <class>/<file>, got {path!r}")
    stem = parts[-1].rpartition(".")[0] or parts[-1]
    return Item(f"{domain}/{parts[-2]}/{parts[-1]}", domain, parts[-2], f"{parts[-2]}/{stem}", str(file))


def _own(item: Item, owners: set[str | None]) -> Item:
    """A sketch with its photo in place of itself, where that is there."""
    if item.domain == "photo":
        return item
    own = str(item.instance).rpartition("-")[0]
    return Item(item.item_id, item.domain, item.class_name, own if own in owners else None, item.path)


def _check(path: Path, name: str, block: Array, count: int) -> None:
    if block.dtype.kind != "f" or block.ndim < 2 or len(block) != count or 0 in block.shape:
        raise ValueError(
            f"{path}: {name} must be floats, one row for each of the {count} items of the list, got {block.shape} of "
            f"{block.dtype}"
        )


def _text(path: object) -> str:
    return path.decode("utf-8", "replace") if isinstance(path, bytes) else str(path)
