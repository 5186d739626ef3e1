"""Photos alone, retrieved by photos of other classes than those trained on: CUB, Cars, Online Products, In-Shop."""

from pathlib import Path

import numpy as np

from sbir.data.dataset import Dataset, Item
from sbir.data.items import Array
from sbir.data.safe_load import load_mat
from sbir.data.sets.files import inside, number, rows, unique

CUB_LISTS = ("images.txt", "image_class_labels.txt")
CARS_LIST = "cars_annos.mat"
SOP_LISTS = {"train": "Ebay_train.txt", "test": "Ebay_test.txt"}
INSHOP_LISTS = ("Eval/list_eval_partition.txt", "list_eval_partition.txt")


def is_cub(root: Path) -> bool:
    """Whether CUB's lists are there, or one folder below."""
    return _below(root, "CUB_200_2011", CUB_LISTS[1]) is not None


def read_cub(root: Path) -> Dataset:
    """CUB-200-2011 (Wah et al. 2011): classes 1 to 100 train, 101 to 200 test; its own train_test_split is ignored."""
    folder = _needed(root, "CUB_200_2011", CUB_LISTS[1])
    class_of = {image: number(folder / CUB_LISTS[1], text) for image, text in rows(folder / CUB_LISTS[1], 2)}
    source = folder / CUB_LISTS[0]
    listed = list(rows(source, 2))
    unique([image for image, _ in listed], source, "image")
    if missing := [image for image, _ in listed if image not in class_of]:
        raise ValueError(f"{folder / CUB_LISTS[1]} must give every image's class, {missing[0]} has none")
    items = []
    for image, name in listed:
        path = inside(folder / "images", name, source=source)
        items.append(_photo(root, path, Path(name).parent.name, "train" if class_of[image] <= 100 else "test"))
    return _photos("cub", root, items)


def is_cars(root: Path) -> bool:
    """Whether the list of Cars-196 is there."""
    return (root / CARS_LIST).is_file()


def read_cars(root: Path) -> Dataset:
    """Cars-196 (Krause et al. 2013): classes 1 to 98 train, 99 to 196 test; its own test flag is ignored."""
    source = root / CARS_LIST
    table = load_mat(source, ("annotations",))["annotations"].reshape(-1)
    if table.dtype.names is None or len(table.dtype.names) < 6 or not len(table):
        raise ValueError(f"{source}: annotations must be records of path, box, class and test, got {table.dtype}")
    items = []
    for record in table:
        name, class_id = _only(record[0], source), number(source, _only(record[5], source))
        path = inside(root, name, source=source)
        items.append(_photo(root, path, f"{class_id:03d}", "train" if class_id <= 98 else "test"))
    return _photos("cars", root, items)


def is_sop(root: Path) -> bool:
    """Whether the lists of Online Products are there, or one folder below."""
    return _below(root, "Stanford_Online_Products", SOP_LISTS["train"]) is not None


def read_sop(root: Path) -> Dataset:
    """Stanford Online Products (Song et al. 2016): classes 1 to 11 318 train, 11 319 to 22 634 test."""
    folder = _needed(root, "Stanford_Online_Products", SOP_LISTS["train"])
    items = []
    for part, name in SOP_LISTS.items():
        source = folder / name
        for _, class_id, _, image in rows(source, 4, skip=1):
            path = inside(folder, image, source=source)
            items.append(_photo(root, path, f"{number(source, class_id):05d}", part))
    return _photos("sop", root, items)


def is_inshop(root: Path) -> bool:
    """Whether the partition of In-Shop is there."""
    return _partition(root) is not None


def read_inshop(root: Path) -> Dataset:
    """In-Shop (DeepFashion, Liu et al. 2016): a test photo is a query or in the gallery, never both (`Item.side`)."""
    source = _partition(root)
    if source is None:
        raise ValueError(f"In-Shop needs the file {INSHOP_LISTS[0]}, {root} has none")
    images = next(folder for folder in (root / "Img", root) if (folder / "img").is_dir() or folder == root)
    items = []
    for name, item_id, status in rows(source, 3, skip=2):
        if status not in ("train", "query", "gallery"):
            raise ValueError(f"{source}: the status must be train, query or gallery, got {status!r} of {name}")
        path = inside(images, name, source=source)
        side = "" if status == "train" else status
        items.append(_photo(root, path, item_id, "test" if side else "train", side))
    declared = next(rows(source, 1))[0]
    if number(source, declared) != len(items):
        raise ValueError(f"{source} must list the {declared} photos that its first line says, got {len(items)}")
    return _photos("inshop", root, items)


def _photos(name: str, root: Path, items: list[Item]) -> Dataset:
    unique([item.item_id for item in items], root, "photo")
    return Dataset(name, root, False, tuple(items), domains=("photo",))


def _photo(root: Path, path: Path, class_name: str, split: str, side: str = "") -> Item:
    return Item(path.relative_to(root).as_posix(), "photo", class_name, None, str(path), split=split, side=side)


def _only(value: Array, source: Path) -> str:
    """The one entry of a MATLAB field, as text."""
    found = np.asarray(value).reshape(-1)
    if len(found) != 1:
        raise ValueError(f"{source}: path and class must be single values, got {found!r}")
    return str(found[0])


def _below(root: Path, name: str, wanted: str) -> Path | None:
    return next((folder for folder in (root, root / name) if (folder / wanted).is_file()), None)


def _needed(root: Path, name: str, wanted: str) -> Path:
    folder = _below(root, name, wanted)
    if folder is None:
        raise ValueError(f"the data set needs the file {wanted}, {root} and {root / name} have none")
    return folder


def _partition(root: Path) -> Path | None:
    return next((root / name for name in INSHOP_LISTS if (root / name).is_file()), None)
