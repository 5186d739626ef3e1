"""Small data sets in the layouts of the published ones: the same names, lists, encodings and quirks."""

import json
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.io
from numpy.typing import NDArray
from PIL import Image

from sbir.data.sets.published import class_lists

DRAWING = [[[0, 9, 30], [0, 9, 5]], [[4, 20], [30, 2]]]
POINTS = np.array([[10.0, 20, 0], [200, 30, 1], [50, 60, 0], [70, 250, 1]])


def picture(root: Path, *names: str) -> None:
    """Pictures whose colour depends on their name, so that no two are alike."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        colour = np.random.default_rng(list(name.encode())).integers(0, 255, 3)
        Image.new("RGB", (8, 8), tuple(colour.tolist())).save(path)


def text(root: Path, name: str, content: str, encoding: str = "utf-8") -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode(encoding))


def sketchy(root: Path, classes: Sequence[str] | None = None, *, photos: int = 1, levels: bool = True) -> Path:
    """Sketchy with its extension: no leading zeros, `<photo>-<k>.png`, each original photo in the extension again."""
    lists = class_lists("sketchy:eccv18")
    base = root / "256x256" if levels else root
    for number, name in enumerate(classes or [*lists["train"], *lists["test"]]):
        for photo in range(photos):
            own = f"n{2691156 + number:08d}_{photo * 50 + 8}"
            for level in ("tx_000000000000", "tx_000100000000"):
                picture(base, f"photo/{level}/{name}/{own}.jpg")
                picture(base, *(f"sketch/{level}/{name}/{own}-{k}.png" for k in (1, 2)))
            picture(base, f"EXTEND_image_sketchy/{name}/{own}.jpg")
        picture(base, f"EXTEND_image_sketchy/{name}/ext_7.jpg")
        text(base, f"EXTEND_image_sketchy/{name}/._ext_7.jpg", "")
    return root


TUBERLIN = {  # folder of the sketches -> folder of the photos
    "chandelier": "chandeler", "diamond": "diamod", "giraffe": "griaffe", "mouse (animal)": "mouse",
    "pipe (for smoking)": "pipe", "space shuttle": "spacesshuttle", "spider": "spidar", "trombone": "tromobone",
    "wrist-watch": "wristwatching", "hot air balloon": "hotairballoon", "bear (animal)": "bearanimal",
    "t-shirt": "tshirt", "horse": "horse",
}  # fmt: skip


def tuberlin(root: Path, folders: dict[str, str] | None = None) -> Path:
    """TU-Berlin with extended photos in folders spelt otherwise, files numbered through and `.JPEG`."""
    for number, (sketches, photos) in enumerate((folders or TUBERLIN).items()):
        picture(root, *(f"png/{sketches}/{number * 80 + k}.png" for k in (1, 2)))
        picture(root, f"ImageResized/{photos}/n0244_{number}.JPEG", f"ImageResized/{photos}/{number}.jpg")
    return root


def quickdraw(root: Path, classes: Sequence[str] = ("palm tree", "cat", "The Eiffel Tower")) -> Path:
    """Two drawings of each class in the four formats."""
    for name in classes:
        for folder, timed in (("simplified", False), ("raw", True)):
            strokes = [[*stroke, [0] * len(stroke[0])] if timed else stroke for stroke in DRAWING]
            record = {"word": name, "countrycode": "DE", "timestamp": "2017", "recognized": True}
            rows = [json.dumps(record | {"key_id": f"{name[0]}{key}", "drawing": strokes}) for key in (1, 2)]
            text(root, f"full/{folder}/{name}.ndjson", "\n".join(rows) + "\n")
        bitmaps = np.zeros((2, 784), np.uint8)
        bitmaps[:, 28 * 14 : 28 * 15] = 255
        (root / "full/numpy_bitmap").mkdir(parents=True, exist_ok=True)
        np.save(root / f"full/numpy_bitmap/{name}.npy", bitmaps)
        steps = np.array([[5, 5, 0], [10, 0, 1], [0, 10, 1]], np.int16)
        ragged = np.empty(2, dtype=object)
        ragged[:] = [steps, steps[:2]]
        (root / "sketchrnn").mkdir(parents=True, exist_ok=True)
        np.savez(root / f"sketchrnn/{name}.npz", train=ragged, valid=ragged[:1], test=ragged[1:])
    return root


def qmul_v2(root: Path, photos: int = 4, protocol: int = 4) -> Path:
    """ShoeV2: a pickle of coordinates by name, three sketches a photo, the last photos in test."""
    names = {
        f"{'test' if number >= photos - 2 else 'train'}/{number + 100}v_{k}": np.add(POINTS, [k, k, 0])
        for number in range(photos)
        for k in (1, 2, 3)
    }
    root.mkdir(parents=True, exist_ok=True)
    (root / "ShoeV2_Coordinate").write_bytes(pickle.dumps(names, protocol=protocol))
    picture(root, *(f"photo/{number + 100}v.png" for number in range(photos)))
    return root


def qmul_v1(root: Path) -> Path:
    """Shoes and chairs of 2016: the i-th sketch is of the i-th photo, and each has triplets of positions."""
    for what in ("shoes", "chairs"):
        lists = {}
        for part, count in (("train", 3), ("test", 2)):
            names = [f"{number + 7}.png" for number in range(count)]
            picture(root, *(f"{what}/{part}/{side}/{name}" for side in ("images", "sketches") for name in names))
            triplets = [[[number, (number + 1) % count]] for number in range(count)]
            lists[part] = {"images": names, "sketches": names, "triplets": triplets}
        text(root, f"{what}/annotation/{what}_annotation.json", json.dumps(lists))
    return root


def qmul_stacks(root: Path) -> Path:
    """The `.mat` stacks that are made of QMUL's shoes."""
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for part, count in (("train", 3), ("test", 2)):
        for kind, shape in (("sketch", (16, 16)), ("edge", (16, 16)), ("image", (16, 16, 3))):
            data = rng.integers(0, 255, (count, *shape), dtype=np.uint8)
            scipy.io.savemat(root / f"shoes_{kind}_db_{part}.mat", {"data": data})
    return root


def cub(root: Path, classes: Sequence[int] = (1, 2, 3, 101, 102)) -> Path:
    """CUB-200-2011: numbered from 1, with macOS's `._` files beside the pictures."""
    base, images = root / "CUB_200_2011", []
    for number in classes:
        for k in (1, 2):
            images.append((f"{number:03d}.Some_Bird/Some_Bird_{k:04d}_{number}.jpg", number))
            picture(base, f"images/{images[-1][0]}")
        text(base, f"images/{number:03d}.Some_Bird/._Some_Bird_0001_{number}.jpg", "")
    text(base, "images.txt", "".join(f"{row} {name}\n" for row, (name, _) in enumerate(images, 1)))
    text(base, "image_class_labels.txt", "".join(f"{row} {number}\n" for row, (_, number) in enumerate(images, 1)))
    text(base, "train_test_split.txt", "".join(f"{row} {row % 2}\n" for row, _ in enumerate(images, 1)))
    return root


def cars(root: Path, classes: Sequence[int] = (1, 2, 98, 99, 196)) -> Path:
    """Cars-196: one MATLAB list of records, classes from 1."""
    fields = ("relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test")
    records = np.zeros((1, 2 * len(classes)), dtype=[(field, object) for field in fields])
    for position, number in enumerate(np.repeat(classes, 2)):
        name = f"car_ims/{position + 1:06d}.jpg"
        picture(root, name)
        records[0, position] = (name, 1, 2, 7, 7, np.uint8(number), position % 2)
    scipy.io.savemat(root / "cars_annos.mat", {"annotations": records})
    return root


def sop(root: Path) -> Path:
    """Stanford Online Products: headers, superclass folders, classes from 1 and from 11 319."""
    base, row = root / "Stanford_Online_Products", 0
    for part, classes in (("train", (1, 2, 3)), ("test", (11319, 11320))):
        lines = ["image_id class_id super_class_id path"]
        for number in classes:
            for k in (0, 1):
                row += 1
                lines.append(f"{row} {number} 1 bicycle_final/{1110 + number}_{k}.JPG")
                picture(base, f"bicycle_final/{1110 + number}_{k}.JPG")
        text(base, f"Ebay_{part}.txt", "\n".join(lines) + "\n")
    return root


def inshop(root: Path, folder: str = "Img") -> Path:
    """In-Shop: a count, a header, and columns set apart by any number of blanks."""
    rows = []
    for number, statuses in enumerate(
        ("train train", "train train", "train", "query gallery", "query gallery gallery")
    ):
        for k, status in enumerate(statuses.split()):
            name = f"img/WOMEN/Tees_Tanks/id_{number + 1:08d}/0{k + 1}_1_front.jpg"
            picture(root / folder, name)
            rows.append(f"{name}   id_{number + 1:08d}    {status}")
    text(
        root, "Eval/list_eval_partition.txt", "\n".join([str(len(rows)), "image_name item_id evaluation_status", *rows])
    )
    return root


def iapr(root: Path, count: int = 6) -> Path:
    """IAPR TC-12 in cp1252 with SAIAPR's labels; one photo without labels, one without text."""
    for number in range(1, count + 1):
        folder, language_text = (
            f"{number % 2:02d}",
            {"eng": f"a caf\xe9 no. {number} \u2013 at night;", "ger": "ein Caf\xe9;"},
        )
        picture(root, f"iaprtc12/images/{folder}/{number}.jpg")
        for language, words in language_text.items():
            tags = f"<DOC>\n<DOCNO>annotations/{folder}/{number}.{language}</DOCNO>\n<TITLE>x</TITLE>\n"
            tags += f"<DESCRIPTION>{words}</DESCRIPTION>\n<NOTES></NOTES>\n"
            tags += f"<IMAGE>images/{folder}/{number}.jpg</IMAGE>\n</DOC>\n"
            if number != 2:
                text(root, f"iaprtc12/annotations_complete_{language}/{folder}/{number}.{language}", tags, "cp1252")
    for folder in ("00", "01"):
        own = [number for number in range(1, count + 1) if number % 2 == int(folder) and number != 1]
        rows = [
            f"{number} {region} {label}" for number in own for region, label in ((1, 7), (2, 250 if number % 3 else 30))
        ]
        text(root, f"saiapr_tc-12/{folder}/labels.txt", "\n".join(["", *rows]) + "\n")
    return root


def wikipedia(root: Path) -> Path:
    """The Wikipedia features: classes from 1, texts narrower than photos, names without an ending."""
    rng = np.random.default_rng(0)
    found: dict[str, NDArray[np.float64]] = {}
    root.mkdir(parents=True, exist_ok=True)
    for part, short, count in (("train", "tr", 40), ("test", "te", 12)):
        found |= {f"I_{short}": rng.random((count, 128)), f"T_{short}": rng.random((count, 10))}
        rows = [f"{short}text-{row}\t{short}image{row}\t{row % 4 + 1}" for row in range(count)]
        text(root, f"{part}set_txt_img_cat.list", "\n".join(rows) + "\n")
    scipy.io.savemat(root / "raw_features.mat", found)
    text(root, "categories.list", "art\nbiology\ngeography\nhistory\n")
    return root


def authors(root: Path) -> Path:
    """The ECCV 2018 authors' features of Sketchy: paths from their own disk, extended photos beside the originals."""
    lists, rng = class_lists("sketchy:eccv18"), np.random.default_rng(0)
    root.mkdir(parents=True, exist_ok=True)
    names = sorted([*lists["train"], *lists["test"]])
    paths = {
        "image": [f"/home/user/256x256/photo/tx_000000000000/{name}/n01_5.jpg" for name in names],
        "image_ext": [
            f"/home/user/EXTEND_image_sketchy/{name}/{own}.jpg" for name in names for own in ("n01_5", "ext_3")
        ],
        "sketch": [f"/home/user/256x256/sketch/tx_000100000000/{name}/n01_5-{k}.png" for name in names for k in (1, 2)],
    }
    for kind, listed in paths.items():
        np.save(root / f"{kind}_vgg_features.npy", rng.random((len(listed), 16)).astype(np.float32))
        np.save(root / f"{kind}_paths.npy", np.array(listed))
    return root
