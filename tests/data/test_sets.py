import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sbir.data.dataset import Dataset, identities, told_columns
from sbir.data.items import identity_error
from sbir.data.pictures import draw_strokes, find_picture, picture
from sbir.data.readers import read_dataset
from sbir.data.sets.tuberlin import MISSPELT, class_names, class_of
from sbir.data.splits import assign
from tests.data import miniatures


def counts(dataset: Dataset) -> dict[str, int]:
    return dict(Counter(item.domain for item in dataset.items))


def parts(dataset: Dataset) -> dict[str, int]:
    """How many classes each part of the split has."""
    return dict(Counter(part for part, _ in {(item.split, item.class_name) for item in dataset.items}))


@pytest.fixture(scope="module")
def sketchy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniatures.sketchy(tmp_path_factory.mktemp("sketchy"))


def test_sketchy_extended_is_recognised_and_each_photo_counts_once(sketchy: Path) -> None:
    dataset = read_dataset(sketchy)
    assert (dataset.name, counts(dataset)) == ("sketchy-extended", {"photo": 250, "sketch": 250})
    pairs = Counter(item.instance for item in dataset.items)
    assert Counter(pairs.values()) == {3: 125, 1: 125}, "a photo with two sketches, and an extended one alone"


def test_sketchy_alone_can_be_asked_for_and_its_levels_chosen(sketchy: Path) -> None:
    dataset = read_dataset(sketchy, name="sketchy", variant="sketch=tx_000000000000,photo=tx_000100000000")
    assert counts(dataset) == {"photo": 125, "sketch": 250}
    levels = {item.item_id.split("/")[2] for item in dataset.items}
    assert levels == {"tx_000000000000", "tx_000100000000"}
    assert {item.item_id.split("/")[2] for item in dataset.items if item.domain == "sketch"} == {"tx_000000000000"}


def test_a_named_photo_level_takes_the_place_of_the_extensions_copies(sketchy: Path) -> None:
    photos = [item for item in read_dataset(sketchy, variant="photo=tx_000100000000").items if item.domain == "photo"]
    assert Counter(item.item_id.split("/")[1] for item in photos) == {"photo": 125, "EXTEND_image_sketchy": 125}


@pytest.mark.parametrize(
    ("variant", "rule"),
    [
        ("sketch=tx_1", "variant sketch must be one of tx_000000000000, tx_000100000000 in .*, got tx_1"),
        ("text=eng", "a variant of sketchy-extended must be sketch=..., photo=..., got 'text=eng'"),
        ("raw", "a variant of sketchy-extended must be"),
    ],
)
def test_a_variant_that_is_not_there_is_refused(sketchy: Path, variant: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        read_dataset(sketchy, variant=variant)


@pytest.mark.parametrize(
    ("split", "sizes"),
    [
        ("sketchy:eccv18", {"train": 90, "val": 14, "test": 21}),
        ("sketchy:sake", {"train": 87, "val": 13, "test": 25}),
        ("sketchy:sem_pcyc", {"train": 100, "val": 12, "test": 13}),
    ],
)
def test_the_published_splits_of_sketchy_have_their_sizes(sketchy: Path, split: str, sizes: dict[str, int]) -> None:
    assert parts(read_dataset(sketchy, split=split)) == sizes


def test_the_unseen_classes_of_eccv18_are_those_of_the_paper(sketchy: Path) -> None:
    items = read_dataset(sketchy, split="sketchy:eccv18").items
    unseen = (
        "bat cabin cow dolphin door giraffe helicopter mouse pear raccoon rhinoceros saw scissors seagull skyscraper "
        "songbird sword tree wheelchair windmill window"
    )
    assert {item.class_name for item in items if item.split == "test"} == set(unseen.split())


def test_sem_pcycs_draw_is_numpys_with_seed_0_over_the_sorted_names(sketchy: Path) -> None:
    items = read_dataset(sketchy, split="sketchy:sem_pcyc").items
    names = sorted({item.class_name for item in items})
    rng = np.random.RandomState(0)  # as np.random.seed(0)
    train = rng.choice(names, 100, replace=False)
    val = rng.choice(np.setdiff1d(names, train), 12, replace=False)
    assert {item.class_name for item in items if item.split == "train"} == set(train)
    assert {item.class_name for item in items if item.split == "val"} == set(val)


def test_sem_pcycs_spellings_are_the_same_classes(tmp_path: Path, sketchy: Path) -> None:
    base = shutil.copytree(sketchy, tmp_path / "renamed") / "256x256"
    for folder in [*base.glob("*/*/hot-air_balloon"), *base.glob("*/hot-air_balloon")]:
        folder.rename(folder.with_name("hot_air_balloon"))
    (base / "EXTEND_image_sketchy").rename(base / "extended_photo")
    dataset = read_dataset(tmp_path / "renamed", split="sketchy:eccv18")
    assert dataset.name == "sketchy-extended"
    assert parts(dataset) == {"train": 90, "val": 14, "test": 21}


def test_a_listed_class_that_is_not_there_is_an_error_with_near_names(tmp_path: Path) -> None:
    root = miniatures.sketchy(tmp_path, ["rhinocerous", "cat", "dog"])
    with pytest.raises(ValueError, match=r"needs its 125 classes, the data lack 123 .* airplane"):
        read_dataset(root, split="sketchy:eccv18")
    everything = miniatures.sketchy(tmp_path / "all")
    for folder in [*everything.glob("256x256/*/*/rhinoceros"), *everything.glob("256x256/*/rhinoceros")]:
        folder.rename(folder.with_name("rhinocerous"))
    with pytest.raises(ValueError, match="lack 1 of them such as rhinoceros; near it: rhinocerous; rename"):
        read_dataset(everything, split="sketchy:eccv18")


def test_the_fine_grained_split_takes_a_tenth_of_the_photos_and_sketches_follow(tmp_path: Path) -> None:
    items = read_dataset(miniatures.sketchy(tmp_path, ["cat", "cow"], photos=20), split="sketchy:fine_grained").items
    photos = Counter((item.class_name, item.split) for item in items if item.domain == "photo")
    assert photos == {(name, part): n for name in ("cat", "cow")
                      for part, n in (("train", 16), ("val", 2), ("test", 2), ("", 1))}  # fmt: skip
    of_photo = {item.instance: item.split for item in items if item.domain == "photo"}
    assert all(item.split == of_photo[item.instance] for item in items if item.domain == "sketch")
    assert assign(identities(items), "stored").kind == "seen"


def test_a_generalised_split_holds_photos_of_training_classes_with_their_sketches(tmp_path: Path) -> None:
    root = miniatures.sketchy(tmp_path, photos=5)
    items = read_dataset(root, split="sketchy:eccv18+generalised").items
    plain = read_dataset(root, split="sketchy:eccv18").items
    photos = [(one.split, two.split) for one, two in zip(plain, items, strict=True) if one.domain == "photo"]
    assert Counter(photos) == {
        ("train", "train"): 450,
        ("train", "held"): 90,
        ("val", "val"): 84,
        ("test", "test"): 126,
    }
    of_photo = {item.instance: item.split for item in items if item.domain == "photo"}
    assert all(item.split == of_photo[item.instance] for item in items)
    split = assign(identities(items), "stored")
    assert split.kind == "zero_shot"
    assert set(split.rows) == {"train", "val", "test", "held"}


def test_an_unknown_split_names_the_published_ones(sketchy: Path) -> None:
    with pytest.raises(ValueError, match=r"a split must be a file or one of .*sketchy:eccv18.*, got sketchy:eccv"):
        read_dataset(sketchy, split="sketchy:eccv")


def test_tuberlin_joins_the_misspelt_folders_of_its_photos(tmp_path: Path) -> None:
    dataset = read_dataset(miniatures.tuberlin(tmp_path))
    assert dataset.name == "tuberlin-extended"
    assert {item.class_name for item in dataset.items} == set(miniatures.TUBERLIN)
    per_class = Counter((item.class_name, item.domain) for item in dataset.items)
    assert set(per_class.values()) == {2}
    assert {item.instance for item in dataset.items} == {None}, "the numbers of its files pair nothing"


def test_tuberlin_has_250_classes_and_knows_every_photo_folder() -> None:
    assert len(class_names()) == len(set(class_names())) == 250
    assert set(MISSPELT.values()) <= set(class_names())
    assert [class_of(name) for name in class_names()] == list(class_names())


@pytest.mark.parametrize(("split", "seen", "unseen"), [("tuberlin:sake", 220, 30), ("tuberlin:seed", 186, 64)])
def test_tuberlins_published_splits_have_their_sizes(tmp_path: Path, split: str, seen: int, unseen: int) -> None:
    folders = {name: name.replace(" ", "").replace("-", "") for name in class_names()}
    sizes = parts(read_dataset(miniatures.tuberlin(tmp_path, folders), split=split))
    assert (sizes["train"] + sizes["val"], sizes["test"]) == (seen, unseen)
    assert sizes["val"] == round(0.13 * seen)


def test_tuberlin_without_photos_is_sketches_that_retrieve_sketches(tmp_path: Path) -> None:
    root = miniatures.tuberlin(tmp_path, {"airplane": "airplane", "cat": "cat", "hot-dog": "hotdog"})
    shutil.rmtree(root / "ImageResized")
    dataset = read_dataset(root)
    assert (dataset.name, dataset.domains, counts(dataset)) == ("tuberlin", ("sketch",), {"sketch": 6})


@pytest.mark.parametrize(
    ("variant", "first"),
    [
        (None, "full/simplified/The Eiffel Tower.ndjson/T1"),
        ("sketch=raw", "full/raw/The Eiffel Tower.ndjson/T1"),
        ("sketch=sketchrnn", "sketchrnn/The Eiffel Tower.npz/train-0"),
        ("sketch=numpy_bitmap", "full/numpy_bitmap/The Eiffel Tower.npy/0"),
    ],
)
def test_quickdraw_is_read_in_each_of_its_formats(tmp_path: Path, variant: str | None, first: str) -> None:
    dataset = read_dataset(miniatures.quickdraw(tmp_path), variant=variant)
    assert (dataset.name, dataset.domains) == ("quickdraw", ("sketch",))
    assert dataset.items[0].item_id == first
    expected = 12 if variant == "sketch=sketchrnn" else 6  # 2 train, 1 valid, 1 test
    assert len(dataset.items) == expected
    for item in dataset.items:
        image = picture(item)
        assert image == find_picture(tmp_path, item.item_id), "the reports find the same picture by its name"
        assert image.convert("L").getextrema() == (0, 255), "black on white"


def test_quickdraw_may_be_read_in_part(tmp_path: Path) -> None:
    root = miniatures.quickdraw(tmp_path)
    dataset = read_dataset(root, variant="sketch=raw,first=1")
    assert [item.item_id.rpartition("/")[2] for item in dataset.items] == ["T1", "c1", "p1"]
    with pytest.raises(ValueError, match="variant first must be a number of drawings a class, at least 1, got 0"):
        read_dataset(root, variant="first=0")


def test_sketchrnns_steps_are_the_same_drawing_as_points(tmp_path: Path) -> None:
    dataset = read_dataset(miniatures.quickdraw(tmp_path), variant="sketch=sketchrnn")
    assert picture(dataset.items[0]) == draw_strokes([[[5, 15], [5, 5]], [[15], [15]]])


def test_quickdraw_keeps_the_classes_that_have_photos_whatever_their_spelling(tmp_path: Path) -> None:
    miniatures.quickdraw(tmp_path)
    miniatures.picture(tmp_path, *(f"photo/{name}/1.jpg" for name in ("palm_tree", "cat")))
    dataset = read_dataset(tmp_path)
    assert (dataset.name, counts(dataset)) == ("quickdraw-extended", {"photo": 2, "sketch": 4})
    assert {item.class_name for item in dataset.items} == {"palm_tree", "cat"}


def test_quickdraw_extendeds_split_has_its_sizes(tmp_path: Path) -> None:
    from sbir.data.sets.published import class_lists

    lists = class_lists("quickdraw:doodle2search")
    names = [*lists["train"], *lists["test"]]
    for name in names:
        miniatures.text(tmp_path, f"sketch/{name}.ndjson", '{"key_id": "1", "drawing": [[[0, 9], [0, 9]]]}\n')
        miniatures.text(tmp_path, f"photo/{name}/1.jpg", "")
    sizes = parts(read_dataset(tmp_path, split="quickdraw:doodle2search"))
    assert (sizes["train"] + sizes["val"], sizes["test"]) == (80, 30)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_qmul_v2_pairs_each_drawing_with_the_photo_of_its_name(tmp_path: Path, protocol: int) -> None:
    dataset = read_dataset(miniatures.qmul_v2(tmp_path, photos=12, protocol=protocol))
    assert (dataset.name, counts(dataset)) == ("qmul-v2", {"photo": 12, "sketch": 36})
    sketch = next(item for item in dataset.items if item.item_id == "ShoeV2_Coordinate/train/100v_2")
    assert sketch.instance == "shoe/100v"
    points = np.add(miniatures.POINTS, [2, 2, 0])
    assert picture(sketch) == draw_strokes([points[:2, :2].T.tolist(), points[2:, :2].T.tolist()])
    assert picture(sketch) == find_picture(tmp_path, sketch.item_id)
    by_part = Counter((item.domain, item.split) for item in dataset.items)
    assert by_part == {("photo", "train"): 9, ("photo", "val"): 1, ("photo", "test"): 2,
                       ("sketch", "train"): 27, ("sketch", "val"): 3, ("sketch", "test"): 6}  # fmt: skip


def test_qmul_v2_is_also_read_from_folders(tmp_path: Path) -> None:
    for part in ("train", "test"):
        miniatures.picture(tmp_path / "ChairV2", f"{part}B/c1.png", f"{part}A/c1_1.png", f"{part}A/c1_2.png")
    dataset = read_dataset(tmp_path / "ChairV2", split=None)
    assert Counter(item.instance for item in dataset.items) == {"chair/train/c1": 3, "chair/test/c1": 3}


def test_qmul_v1_pairs_by_position_and_keeps_the_triplets(tmp_path: Path) -> None:
    dataset = read_dataset(miniatures.qmul_v1(tmp_path))
    assert (dataset.name, counts(dataset)) == ("qmul-v1", {"photo": 10, "sketch": 10})
    assert set(Counter(item.instance for item in dataset.items).values()) == {2}
    chosen = {item.item_id: item.choices for item in dataset.items if item.domain == "sketch"}
    assert chosen["shoes/train/sketches/9.png"] == (("shoes/train/2", "shoes/train/0"),)
    photos = {item.instance: item.item_id for item in dataset.items if item.domain == "photo"}
    assert photos["shoes/train/2"] == "shoes/train/images/9.png"
    assert all(chosen.values())


@pytest.mark.parametrize(("variant", "kind"), [(None, "image"), ("photo=edge", "edge")])
def test_qmuls_stacks_are_read_by_position(tmp_path: Path, variant: str | None, kind: str) -> None:
    import scipy.io

    dataset = read_dataset(miniatures.qmul_stacks(tmp_path), variant=variant)
    assert counts(dataset) == {"photo": 5, "sketch": 5}
    photo = next(item for item in dataset.items if item.item_id == f"shoes_{kind}_db_train.mat/2")
    expected = scipy.io.loadmat(tmp_path / f"shoes_{kind}_db_train.mat")["data"][2]
    pixels = np.asarray(picture(photo))
    assert (pixels == (expected if kind == "image" else expected[..., None])).all()
    assert find_picture(tmp_path, photo.item_id) == picture(photo)


@pytest.mark.parametrize(
    ("write", "name", "train", "test"),
    [
        (miniatures.cub, "cub", 6, 4),
        (miniatures.cars, "cars", 6, 4),
        (miniatures.sop, "sop", 6, 4),
        (miniatures.inshop, "inshop", 5, 5),
    ],
)
def test_metric_learning_sets_are_photos_whose_test_classes_are_unseen(
    tmp_path: Path, write: Callable[[Path], Path], name: str, train: int, test: int
) -> None:
    dataset = read_dataset(write(tmp_path))
    assert (dataset.name, dataset.domains, counts(dataset)) == (name, ("photo",), {"photo": train + test})
    sizes = Counter(item.split for item in dataset.items)
    assert (sizes["train"] + sizes["val"], sizes["test"]) == (train, test)
    classes = {part: {item.class_name for item in dataset.items if item.split == part} for part in sizes}
    assert not classes["test"] & (classes["train"] | classes["val"])
    assert classes["val"]
    assert not classes["val"] & classes["train"]


def test_cars_classes_count_from_1(tmp_path: Path) -> None:
    split = {item.class_name: item.split for item in read_dataset(miniatures.cars(tmp_path)).items}
    assert set(split) == {"001", "002", "098", "099", "196"}
    assert (split["098"] in ("train", "val"), split["099"]) == (True, "test")


@pytest.mark.parametrize("folder", ["Img", "."])
def test_inshops_test_photos_are_queries_or_gallery(tmp_path: Path, folder: str) -> None:
    items = read_dataset(miniatures.inshop(tmp_path, folder)).items
    assert Counter(item.side for item in items) == {"": 5, "query": 2, "gallery": 3}
    assert {item.split for item in items if item.side} == {"test"}
    side = told_columns(items)["side"]
    assert Counter(side.take(np.arange(10)).tolist()) == {0: 5, 1: 2, 2: 3}


@pytest.mark.parametrize(("variant", "words"), [(None, "a café no. 3 – at night;"), ("text=ger", "ein Café;")])
def test_iapr_pairs_photos_with_texts_and_labels(tmp_path: Path, variant: str | None, words: str) -> None:
    dataset = read_dataset(miniatures.iapr(tmp_path), variant=variant, split="iapr:half")
    assert counts(dataset) == {"photo": 4, "text": 4}, "without the photo that lacks labels and the one that lacks text"
    three = [item for item in dataset.items if item.instance == "3"]
    assert [item.text for item in three] == ["", words]
    assert dataset.label_names == ("7", "30", "250")
    assert [item.labels for item in three] == [(0, 1), (0, 1)]
    columns = told_columns(dataset.items)
    assert columns["labels"].take(np.arange(8)).sum(axis=1).tolist() == [2] * 8
    row = columns["text"].take(np.array([dataset.items.index(three[1])]))[0]
    assert bytes(row[row > 0]).decode() == words
    split = {item.instance: item.split for item in dataset.items}
    assert Counter(split.values()) == {"train": 1, "val": 1, "test": 2}


WRITERS = [
    miniatures.sketchy, miniatures.tuberlin, miniatures.quickdraw, miniatures.qmul_v2, miniatures.qmul_v1,
    miniatures.qmul_stacks, miniatures.cub, miniatures.cars, miniatures.sop, miniatures.inshop, miniatures.iapr,
]  # fmt: skip


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: str(write.__name__))
def test_every_item_of_every_set_is_in_order_and_has_its_picture(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    dataset = read_dataset(write(tmp_path))
    assert dataset == read_dataset(tmp_path), "reading is the same each time"
    assert identity_error(identities(dataset.items)) is None
    for item in dataset.items[:: max(1, len(dataset.items) // 20)]:
        if item.domain != "text":
            assert picture(item) == find_picture(tmp_path, item.item_id)
