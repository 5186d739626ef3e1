"""What is wrong in a data set's own files is named, before any image is opened, and nothing in it runs."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from sbir.data.arrays import import_ready
from sbir.data.pictures import BrokenImage, find_picture, picture
from sbir.data.readers import read_dataset
from tests.data import miniatures
from tests.data.test_safe_load import Runs


def replaced(file: str, old: str, new: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        text = (root / file).read_bytes()
        assert old.encode() in text
        (root / file).write_bytes(text.replace(old.encode(), new.encode(), 1))

    return change


def annotation(part: str, key: str, value: Any) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        file = root / "shoes/annotation/shoes_annotation.json"
        table = json.loads(file.read_text())
        table[part][key] = value
        file.write_text(json.dumps(table))

    return change


def coordinates(names: object) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / "ShoeV2_Coordinate").write_bytes(pickle.dumps(names))

    return change


def removed(*files: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        for file in files:
            (root / file).unlink()

    return change


def stack(shape: tuple[int, ...], name: str = "data", kind: str = "sketch") -> Callable[[Path], None]:
    return lambda root: scipy.io.savemat(root / f"shoes_{kind}_db_train.mat", {name: np.zeros(shape, np.uint8)})


CUB, IMAGES = "CUB_200_2011", "CUB_200_2011/images.txt"
LABELS, EBAY = "CUB_200_2011/image_class_labels.txt", "Stanford_Online_Products/Ebay_train.txt"
ENGLISH, PARTITION = "iaprtc12/annotations_complete_eng/01/3.eng", "Eval/list_eval_partition.txt"
SIMPLE, POINTS = "full/simplified/cat.ndjson", miniatures.POINTS
BIRD = "001.Some_Bird/Some_Bird_0001_1.jpg"

CASES = [
    (miniatures.quickdraw, replaced(SIMPLE, '{"word"', '{word"'), "cat.ndjson: line 1 must be one JSON object"),
    (miniatures.quickdraw, replaced(SIMPLE, '"drawing"', '"picture"'), "line 1 must be a QuickDraw record"),
    (miniatures.quickdraw, replaced(SIMPLE, '"c2"', '"c1"'), "each item must be listed once, .*cat.ndjson/c1 is there"),
    (miniatures.cub, replaced(IMAGES, BIRD, "../../../secret.jpg"), "files must lie below .*images, got ../../../sec"),
    (miniatures.cub, replaced(IMAGES, BIRD, "/etc/passwd"), "files must lie below .*images, got /etc/passwd"),
    (miniatures.cub, removed(f"{CUB}/images/{BIRD}"), "images.txt names 001.Some_Bird/.*, there is no such file"),
    (miniatures.cub, replaced(IMAGES, "2 001", "1 001"), "each image must be listed once, 1 is there twice"),
    (miniatures.cub, replaced(LABELS, "2 1", "77 1"), "must give every image's class, 2 has none"),
    (miniatures.cub, replaced(LABELS, "1 1", "1 one"), "numbers must be whole and at least 1, got 'one'"),
    (miniatures.cub, replaced(LABELS, "1 1", "1 0"), "numbers must be whole and at least 1, got '0'"),
    (miniatures.cub, replaced(IMAGES, f"1 {BIRD}", "1"), "line 1 must have 2 fields, got '1'"),
    (miniatures.cub, removed(IMAGES), "the data set needs the file .*images.txt, there is none"),
    (miniatures.cub, lambda root: (root / IMAGES).write_bytes(b"1 \xff\xfe\n"), "must be text in utf-8, got byte 0xff"),
    (miniatures.sop, replaced(EBAY, "bicycle_final/1111_0.JPG", "bicycle_final/1111_1.JPG"), "must be listed once"),
    (miniatures.sop, replaced(EBAY, "1 1 1 bic", "1 x 1 bic"), "numbers must be whole and at least 1, got 'x'"),
    (miniatures.inshop, replaced(PARTITION, "query", "probe"), "status must be train, query or gallery, got 'probe'"),
    (miniatures.inshop, replaced(PARTITION, "10\n", "11\n"), "must list the 11 photos that its first line says"),
    (miniatures.cars, lambda root: (root / "cars_annos.mat").write_bytes(b"MATLAB"), "must be a MATLAB file"),
    (miniatures.cars, lambda root: scipy.io.savemat(root / "cars_annos.mat", {"x": 1}), "variables annotations, anno"),
    (miniatures.cars, lambda root: scipy.io.savemat(root / "cars_annos.mat", {"annotations": [1, 2]}), "be records"),
    (miniatures.qmul_v2, lambda root: coordinates({"train/1_1": Runs(root / "ran")})(root), "posix.system, which"),
    (miniatures.qmul_v2, coordinates({"train/100v_1": POINTS[:, :2]}), r"train/100v_1 must be \(points, 3\) numbers"),
    (miniatures.qmul_v2, coordinates({"train/100v_1": POINTS[:0]}), r"train/100v_1 must be \(points, 3\) numbers"),
    (miniatures.qmul_v2, coordinates({"100v_1": POINTS}), "must be named <train or test>/<photo>_<k>, got '100v_1'"),
    (miniatures.qmul_v2, coordinates({"train/9_1": POINTS}), "every drawing needs its photo, shoe/9 is not in"),
    (miniatures.qmul_v2, coordinates({"train/100v_1": POINTS, "test/100v_2": POINTS}), "shoe/100v is in both"),
    (miniatures.qmul_v2, coordinates([]), "must hold drawings by name, got list"),
    (miniatures.qmul_v1, annotation("train", "images", ["7.png"]), "as many images as sketches and triplets, got 1, 3"),
    (miniatures.qmul_v1, annotation("train", "triplets", [[[0, 9]], [], []]), "two numbers of photos from 0 to 2"),
    (miniatures.qmul_v1, annotation("test", "images", ["7.png", "../../../7.png"]), "files must lie below .*, got ../"),
    (miniatures.qmul_v1, annotation("test", "images", ["7.png", "7.png"]), "each picture must be listed once"),
    (miniatures.qmul_v1, replaced("shoes/annotation/shoes_annotation.json", "{", "["), "must be JSON with the parts"),
    (miniatures.qmul_stacks, stack((2, 16, 16)), "as many sketches as photos .image., got 2 and 3"),
    (miniatures.qmul_stacks, stack((3, 16)), r"data must be \(pictures, height, width\) numbers, got \(3, 16\)"),
    (miniatures.qmul_stacks, stack((3, 16, 16), "images"), "must have the variables data, data missing"),
    (miniatures.iapr, replaced(ENGLISH, "DESCRIPTION>", "DESC>"), "must have the tags DESCRIPTION and IMAGE"),
    (miniatures.iapr, replaced(ENGLISH, "images/01/3.jpg", "images/01/5.jpg"), "the photo of its own number"),
    (miniatures.iapr, replaced(ENGLISH, "images/01/3.jpg", "../../3.jpg"), "files must lie below .*iaprtc12, got ../"),
    (miniatures.iapr, replaced(ENGLISH, "a caf", "\x81\x81"), "must be text in cp1252, got byte 0x81"),
    (miniatures.iapr, replaced("saiapr_tc-12/01/labels.txt", "3 1 7", "3 1"), "line 2 must have 3 fields, got '3 1'"),
]  # fmt: skip


@pytest.mark.parametrize(("write", "change", "rule"), CASES, ids=[str(number) for number in range(len(CASES))])
def test_a_wrong_file_is_named_and_nothing_runs(
    tmp_path: Path, write: Callable[[Path], Path], change: Callable[[Path], None], rule: str
) -> None:
    root = write(tmp_path)
    read_dataset(root)
    change(root)
    with pytest.raises(ValueError, match=rule) as raised:
        read_dataset(root)
    assert str(tmp_path) in str(raised.value) or write is miniatures.quickdraw
    assert not (tmp_path / "ran").exists()


def test_bitmaps_of_another_size_and_steps_with_code_are_refused(tmp_path: Path) -> None:
    root = miniatures.quickdraw(tmp_path)
    np.save(root / "full/numpy_bitmap/cat.npy", np.zeros((2, 100), np.uint8))
    with pytest.raises(ValueError, match=r"cat.npy must have bitmaps \(drawings, 784\), got \(2, 100\)"):
        read_dataset(root, variant="sketch=numpy_bitmap")
    bad = np.empty(1, dtype=object)
    bad[0] = Runs(tmp_path / "ran")
    np.savez(root / "sketchrnn/cat.npz", train=bad)
    with pytest.raises(ValueError, match=r"cat.npz must be an .npz file of plain arrays, got: it asks for posix"):
        read_dataset(root, variant="sketch=sketchrnn")
    np.savez(root / "sketchrnn/cat.npz", something=np.ones(3))
    with pytest.raises(ValueError, match="must be a sketch-rnn file with the arrays train, valid, test, got none"):
        read_dataset(root, variant="sketch=sketchrnn")
    assert not (tmp_path / "ran").exists()


def test_a_drawing_that_changed_after_it_was_read_is_a_broken_image(tmp_path: Path) -> None:
    dataset = read_dataset(miniatures.qmul_v2(tmp_path))
    sketch = next(item for item in dataset.items if item.domain == "sketch")
    (tmp_path / "ShoeV2_Coordinate").write_bytes(b"cut short")
    with pytest.raises(BrokenImage, match=r"100v_1 cannot be read: .*plain arrays"):
        picture(sketch)
    with pytest.raises(BrokenImage, match="has no drawing train/100v_1"):
        find_picture(tmp_path, sketch.item_id)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (replaced("trainset_txt_img_cat.list", "\t1\n", "\t11\n"), "a category must be at most 4, got 11"),
        (lambda root: (root / "trainset_txt_img_cat.list").write_text("a\tb\t1\n"), "one row for each of the 1 items"),
        (replaced("trainset_txt_img_cat.list", "trtext-1\t", "trtext-0\t"), "must be listed once, text/trtext-0"),
        (removed("testset_txt_img_cat.list"), "needs the file .*testset_txt_img_cat.list, there is none"),
        (lambda root: (root / "raw_features.mat").write_bytes(b"no"), "must be a MATLAB file"),
    ],
)  # fmt: skip
def test_wrong_files_of_the_wikipedia_features_are_named(
    tmp_path: Path, change: Callable[[Path], None], rule: str
) -> None:
    root = miniatures.wikipedia(tmp_path / "data")
    change(root)
    with pytest.raises(ValueError, match=rule):
        import_ready(root, tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("name", "array", "rule"),
    [
        ("sketch_paths", np.array(["zebra.png"] * 250), "a path must end in <class>/<file>, got 'zebra.png'"),
        ("sketch_paths", np.array(["a/zebra/1.png"] * 7), "one row for each of the 7 items of the list"),
        ("sketch_paths", np.array(["a/zebra/1.png"] * 250), "each item must be listed once, sketch/zebra/1.png"),
        ("sketch_vgg_features", np.ones((250, 16), int), r"must be floats, .*got \(250, 16\) of int64"),
    ],
)
def test_wrong_files_of_the_authors_features_are_named(
    tmp_path: Path, name: str, array: np.ndarray[Any, Any], rule: str
) -> None:
    root = miniatures.authors(tmp_path / "data")
    np.save(root / f"{name}.npy", array)
    with pytest.raises(ValueError, match=rule):
        import_ready(root, tmp_path / "store")
    assert not (tmp_path / "store").exists()
