import json
from collections import Counter
from pathlib import Path

import pytest

from sbir.data.dataset import Dataset, Item, identities
from sbir.data.items import identity_error
from sbir.data.readers import read_dataset

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the real data sets of ../shared/data are not here")


def touch(root: Path, *names: str) -> None:
    """Files without content: reading a data set opens no image."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def plain(root: Path, classes: str = "abcd") -> Path:
    touch(
        root, *(f"{side}/{name}/{number}.png" for side in ("photo", "sketch") for name in classes for number in (1, 2))
    )
    return root


def found(dataset: Dataset) -> dict[str, Item]:
    return {item.item_id: item for item in dataset.items}


def drawing(key: str, word: str) -> str:
    return json.dumps({"word": word, "key_id": key, "drawing": [[[0, 9], [0, 9], [0, 1]]]}) + "\n"


def test_sketchy_sketches_belong_to_the_photo_that_their_name_begins_with(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "photo/cat/n02_58.jpg", "photo/cat/n02_5.jpg", "photo/car_(sedan)/n03_1.jpg",
        "sketch/cat/n02_58-1.png", "sketch/cat/n02_58-12.png", "sketch/cat/n02_9-1.png",
        "sketch/car_(sedan)/n03_1-2.png",
    )  # fmt: skip
    items = found(read_dataset(tmp_path))
    assert {name: item.instance for name, item in items.items()} == {
        "photo/cat/n02_58.jpg": "cat/n02_58",
        "photo/cat/n02_5.jpg": "cat/n02_5",
        "photo/car_(sedan)/n03_1.jpg": "car_(sedan)/n03_1",
        "sketch/cat/n02_58-1.png": "cat/n02_58",
        "sketch/cat/n02_58-12.png": "cat/n02_58",
        "sketch/cat/n02_9-1.png": None,
        "sketch/car_(sedan)/n03_1-2.png": "car_(sedan)/n03_1",
    }


def test_sketchy_levels_are_passed_and_each_photo_counts_once(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "256x256/photo/tx_000000000000/cat/n1_1.jpg", "256x256/photo/tx_000100000000/cat/n1_1.jpg",
        "256x256/photo/tx_000000000000/dog/n2_1.jpg",
        "256x256/sketch/tx_000000000000/cat/n1_1-1.png", "256x256/sketch/tx_000100000000/cat/n1_1-1.png",
        "256x256/sketch/tx_000100000000/dog/n2_1-1.png",
        "EXTEND_image_sketchy/cat/n1_1.jpg", "EXTEND_image_sketchy/cat/ext_7.jpg",
    )  # fmt: skip
    items = found(read_dataset(tmp_path))
    assert set(items) == {
        "EXTEND_image_sketchy/cat/n1_1.jpg",
        "EXTEND_image_sketchy/cat/ext_7.jpg",
        "256x256/photo/tx_000000000000/dog/n2_1.jpg",
        "256x256/sketch/tx_000100000000/cat/n1_1-1.png",
        "256x256/sketch/tx_000100000000/dog/n2_1-1.png",
    }
    sketch = items["256x256/sketch/tx_000100000000/cat/n1_1-1.png"]
    assert sketch.instance == items["EXTEND_image_sketchy/cat/n1_1.jpg"].instance


def test_quickdraw_lines_become_sketches_without_a_photo_of_their_own(tmp_path: Path) -> None:
    touch(tmp_path, "photo/cat/1.jpg", "photo/dog/1.jpg", "sketch/x")
    for name in ("cat", "dog"):
        (tmp_path / f"sketch/{name}.ndjson").write_text(drawing("77", name) + "\n" + drawing("78", name))
    items = found(read_dataset(tmp_path))
    second = items["sketch/dog.ndjson/78"]
    assert (second.domain, second.class_name, second.instance) == ("sketch", "dog", None)
    with (tmp_path / "sketch/dog.ndjson").open("rb") as lines:
        lines.seek(second.offset or 0)
        assert json.loads(lines.readline())["key_id"] == "78"


def test_the_same_stem_is_a_pair_in_plain_folders_and_other_files_are_passed_over(tmp_path: Path) -> None:
    plain(tmp_path)
    touch(tmp_path, "photo/a/.DS_Store", "photo/a/._1.png", "photo/a/notes.txt", "photo/README.md")
    items = found(read_dataset(tmp_path))
    assert len(items) == 16
    assert items["sketch/c/2.png"].instance == items["photo/c/2.png"].instance == "c/2"


def test_class_and_instance_names_become_the_same_numbers_on_both_sides(tmp_path: Path) -> None:
    rows = identities(read_dataset(plain(tmp_path)).items)
    assert identity_error(rows) is None
    assert rows.class_names == ("a", "b", "c", "d")
    by_id = dict(zip(rows.item_id, zip(rows.class_id, rows.instance_id, strict=True), strict=True))
    assert by_id["sketch/c/2.png"] == by_id["photo/c/2.png"] == (2, 5)


def test_a_split_file_fills_the_split_and_held_photos_take_their_sketches_along(tmp_path: Path) -> None:
    plain(tmp_path)
    lists = {"train": ["a", "b"], "val": ["c"], "test": ["d"], "held": ["b/2"]}
    (tmp_path / "split.json").write_text(json.dumps(lists))
    parts = {name: item.split for name, item in found(read_dataset(tmp_path)).items()}
    assert parts["photo/a/1.png"] == parts["sketch/b/1.png"] == "train"
    assert parts["photo/b/2.png"] == parts["sketch/b/2.png"] == "held"
    assert (parts["photo/c/1.png"], parts["sketch/d/2.png"]) == ("val", "test")


def test_without_val_a_fixed_eighth_of_the_seen_classes_becomes_it(tmp_path: Path) -> None:
    classes = [chr(ord("a") + number) for number in range(26)]
    plain(tmp_path, "".join(classes))
    (tmp_path / "zero_shot_split.json").write_text(json.dumps({"seen": classes[:24], "unseen": classes[24:]}))
    datasets = read_dataset(tmp_path), read_dataset(tmp_path)
    parts = {item.class_name: item.split for item in datasets[0].items}
    assert Counter(parts.values()) == {"train": 16, "val": 8, "test": 2}
    assert parts["y"] == parts["z"] == "test"
    assert datasets[0] == datasets[1]


def test_without_a_split_file_classes_are_parted(tmp_path: Path) -> None:
    parts = {item.class_name: item.split for item in read_dataset(plain(tmp_path)).items}
    assert Counter(parts.values()) == {"train": 2, "val": 1, "test": 1}


@pytest.mark.parametrize(
    ("lists", "rule"),
    [
        ({"train": ["a", "b"], "test": ["b", "c", "d"]}, "a class must be in one list, b in two"),
        ({"train": ["a", "b"], "test": ["c"]}, r"in no list: \['d'\]"),
        ({"train": ["a", "b"], "test": ["c", "d", "e"]}, r"not in the data: \['e'\]"),
        ({"train": ["a", "b"]}, 'must have lists "train" and "test"'),
        (["a"], 'must have lists "train" and "test"'),
        ({"train": ["a", "b"], "val": ["c"], "test": ["d"], "held": ["b/9"]}, "held must list photos of the data set"),
    ],
)
def test_a_split_file_that_does_not_fit_is_refused(tmp_path: Path, lists: object, rule: str) -> None:
    plain(tmp_path)
    (tmp_path / "split.json").write_text(json.dumps(lists))
    with pytest.raises(ValueError, match=rule):
        read_dataset(tmp_path)


def test_missing_and_empty_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere is not a folder"):
        read_dataset(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"there is no folder .*photo"):
        read_dataset(tmp_path)
    (tmp_path / "photo").mkdir()
    with pytest.raises(ValueError, match=r"needs sketches in sketch/<class>/"):
        read_dataset(tmp_path)
    (tmp_path / "sketch").mkdir()
    with pytest.raises(ValueError, match="a data set needs images"):
        read_dataset(tmp_path)
    touch(tmp_path, "sketch/cat/drawing.tif")
    with pytest.raises(ValueError, match=r"every class folder needs pictures .*sketch/cat has none; fill it or remove"):
        read_dataset(tmp_path)


def test_a_class_without_photos_is_named(tmp_path: Path) -> None:
    plain(tmp_path)
    touch(tmp_path, "sketch/zebra/1.png")
    with pytest.raises(ValueError, match=r"zebra in .* has 0 photos and 1 sketches \(1 of 5 classes lack one\)"):
        read_dataset(tmp_path)


def test_data_of_one_class_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"retrieval needs at least 2 classes, .* has 1 \(a\)"):
        read_dataset(plain(tmp_path, "a"))


@pytest.mark.parametrize("line", ["{broken", '"text"', '{"word": "a"}'])
def test_a_line_that_is_no_drawing_is_named(tmp_path: Path, line: str) -> None:
    plain(tmp_path, "ab")
    touch(tmp_path, "photo/c/1.png")
    (tmp_path / "sketch/c.ndjson").write_text(drawing("1", "c") + line + "\n")
    with pytest.raises(ValueError, match=r"c.ndjson: line 2 must be"):
        read_dataset(tmp_path)


@needs_shared
def test_quickdraw_caltech_is_read_whole() -> None:
    dataset = read_dataset(SHARED / "quickdraw-caltech")
    assert Counter(item.domain for item in dataset.items) == {"photo": 2231, "sketch": 1156}  # as its README counts
    classes = {
        part: {item.class_name for item in dataset.items if item.split == part} for part in ("train", "val", "test")
    }
    assert {part: len(names) for part, names in classes.items()} == {"train": 29, "val": 8, "test": 10}
    assert {"butterfly", "kangaroo", "rhinoceros"} < classes["test"]
    assert identity_error(identities(dataset.items)) is None


@needs_shared
def test_openmoji_is_all_pairs() -> None:
    dataset = read_dataset(SHARED / "openmoji")
    assert len({item.class_name for item in dataset.items}) == 119
    pairs = Counter(item.instance for item in dataset.items)
    assert len(pairs) == 2362
    assert set(pairs.values()) == {2}
