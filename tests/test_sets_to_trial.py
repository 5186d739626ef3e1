"""Every data set in miniature, the whole way: reader, store, loader, and one trial where it has sketches and photos."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from sbir.cli import main
from sbir.data.dataset import Dataset, identities, told_columns
from sbir.data.feed import Columns, make_feed
from sbir.data.items import Payload
from sbir.data.loader import Shared
from sbir.data.pictures import pixels
from sbir.data.protocol import make_protocol, partition
from sbir.data.readers import read_dataset
from sbir.data.splits import assign
from sbir.data.store import verify_store
from sbir.data.store_write import write_store
from sbir.data.transform import TransformSettings
from sbir.features.extract import extract
from sbir.models.image_text import ImageTextHashing
from sbir.models.method import Method
from sbir.models.raw import Raw
from sbir.models.triplet import Triplet
from sbir.training.evaluate import evaluate
from sbir.training.run import Job, Run
from tests.data import miniatures

COARSE: dict[str, object] = {
    "method/hidden": 8, "method/latent": 4,
    "train/steps": 4, "train/eval_every": 2, "train/warmup": 1, "train/batch_size": 2,
}  # fmt: skip
HASHING: dict[str, object] = {
    "method/encoder": "scratch", "method/weights": "random", "method/text_width": 64, "method/text_layers": 1,
    "method/vocabulary": 100, "method/width": 8, "method/blocks": 1, "method/bits": 16,
    "train/steps": 4, "train/eval_every": 2, "train/warmup": 1, "train/batch_size": 4, "train/schedule": "inverse_sqrt",
}  # fmt: skip
FINE = COARSE | {"method/kind": "fine", "method/instance_share": 1.0}  # negatives of the class alone


def stored(dataset: Dataset, path: Path) -> Path:
    """A store whose features are the pixels at 4 x 4."""
    feature = np.zeros((len(dataset.items), 48), np.float32)
    for row, item in enumerate(dataset.items):
        if item.domain != "text":
            feature[row] = pixels(item, 4).reshape(-1) / 255
    rows = identities(dataset.items)
    payload = {"feature": Payload([feature]), **told_columns(dataset.items)}
    write_store(path, dataclasses.replace(rows, payload=payload), dataset=dataset.name, synthetic=False, given="pixels")
    return path


def trial(
    store: Path, folder: Path, settings: dict[str, object], select: str, method: type[Method] = Triplet
) -> dict[str, object]:
    """The last row of a trial of a few steps."""
    shared = Shared.mapped(store)
    items = shared.items()
    split = assign(items, "stored")
    content = str(shared.manifest["content_hash"])
    protocol = make_protocol(
        items, split, split_spec="stored", content_hash=content, synthetic=False, select=select, k=1,
        query=method.query_domain, gallery=method.gallery_domain,
    )  # fmt: skip
    job = Job("one", 0, "search", settings, seed=0, folder=str(folder))
    run = Run(job, method, Columns(items), split, protocol, save_every=0.0, source={})
    finished = False
    while not finished:
        row, finished = run.advance()
    return row


def quickdraw_with_photos(root: Path) -> Path:
    classes = [f"{animal} {k}" for animal in ("cat", "dog", "cow") for k in range(2)]
    miniatures.quickdraw(root, classes)
    for name in classes:
        miniatures.picture(root, f"photo/{name}/1.jpg", f"photo/{name}/2.jpg")
    return root


@pytest.mark.parametrize(
    ("write", "split", "variant"),
    [
        (miniatures.sketchy, "sketchy:eccv18", None),
        (miniatures.tuberlin, None, None),
        (quickdraw_with_photos, None, "sketch=sketchrnn"),
        (lambda root: miniatures.qmul_v2(root, photos=12), None, None),
        (miniatures.qmul_v1, None, None),
        (miniatures.qmul_stacks, None, None),
    ],
    ids=["sketchy", "tuberlin", "quickdraw", "qmul-v2", "qmul-v1", "qmul stacks"],
)
def test_sketches_and_photos_reach_a_trial(
    tmp_path: Path, write: Callable[[Path], Path], split: str | None, variant: str | None
) -> None:
    dataset = read_dataset(write(tmp_path / "data"), split=split, variant=variant)
    store = stored(dataset, tmp_path / "store")
    assert verify_store(store).manifest["num_rows"] == len(dataset.items)
    if dataset.name.startswith("qmul"):
        row = trial(store, tmp_path / "trial", FINE, "acc_at_1")
        assert 0 <= float(str(row["val/acc_at_1"])) <= 1
    else:
        row = trial(store, tmp_path / "trial", COARSE, "precision")
        assert 0 <= float(str(row["val/precision_at_1"])) <= 1


def test_what_people_chose_for_qmuls_sketches_is_held_against_the_ranking(tmp_path: Path) -> None:
    store = stored(read_dataset(miniatures.qmul_v1(tmp_path / "data")), tmp_path / "store")
    items = Shared.mapped(store).items()
    split = assign(items, "stored")
    protocol = make_protocol(items, split, split_spec="stored", content_hash="x", synthetic=False, k=1)
    rows = partition(items, split, protocol, "test")
    feed = make_feed(Columns(items), rows, ("feature",), ("feature",), TransformSettings())
    found = evaluate(Raw(feed.spec()), feed, protocol).per_query["triplet_agreement"]
    feature = items.payload["feature"].take(np.arange(len(items)))
    unit = feature / np.linalg.norm(feature, axis=1, keepdims=True)
    photo = {str(items.item_id[row]): row for row in rows.gallery}
    for query, share in zip(rows.query, found.tolist(), strict=True):
        what, _, _, name = str(items.item_id[query]).split("/")  # <number>.png has one choice: its own before the other
        own, other = (
            unit[photo[f"{what}/test/images/{one}"]] @ unit[query]
            for one in (name, {"7.png": "8.png", "8.png": "7.png"}[name])
        )
        assert share == float(own > other)


@pytest.mark.parametrize("write", [miniatures.cub, miniatures.cars, miniatures.sop, miniatures.inshop])
def test_photos_alone_reach_the_loader_with_their_split(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    store = stored(read_dataset(write(tmp_path / "data")), tmp_path / "store")
    items = Shared.mapped(store).items()
    split = assign(items, "stored")
    assert (split.kind, set(items.domain), set(split.rows)) == ("zero_shot", {"photo"}, {"train", "val", "test"})
    assert ("side" in items.payload) == (write is miniatures.inshop)
    if "side" in items.payload:
        sides = items.payload["side"].take(np.arange(len(items)))
        assert set(sides[split.rows == "test"]) == {1, 2}
        assert set(sides[split.rows != "test"]) == {0}


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize(
    ("variant", "expected"), [(None, "a café no. 3 – at night;"), ("text=ger", "ein Café;")], ids=["eng", "ger"]
)
def test_texts_labels_and_photos_are_extracted_into_one_store_and_hashed(
    tmp_path: Path, variant: str | None, expected: str
) -> None:
    root = miniatures.iapr(tmp_path / "data", count=22)
    extract(root, tmp_path / "store", backbone="none", images=32, workers=1, split="iapr:half", variant=variant)
    items = Shared.mapped(tmp_path / "store").items()
    assert assign(items, "stored").kind == "seen"
    every = np.arange(len(items))
    image, labels, text = (items.payload[name].take(every) for name in ("image", "labels", "text"))
    is_text = items.domain == "text"
    assert is_text.sum() == (~is_text).sum() == 20
    assert not image[is_text].any()
    assert image[~is_text].any(axis=(1, 2, 3)).all()
    assert (labels.sum(axis=1) == 2).all()
    words = {bytes(row[row > 0]).decode() for row in text[is_text]}
    assert expected in words
    assert not text[~is_text].any()
    store = Shared.mapped(tmp_path / "store")
    assert store.manifest["label_names"] == ["7", "30", "250"]
    row = trial(tmp_path / "store", tmp_path / "trial", HASHING, "map_all", ImageTextHashing)
    assert 0 < float(str(row["val/map_all"])) <= 1
    assert 0 < float(str(row["val/reverse_map_all"])) <= 1


@pytest.mark.usefixtures("ray_session")
def test_the_command_extracts_strokes_of_a_pickle_by_a_published_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = miniatures.qmul_v2(tmp_path / "data", photos=10)
    words = ["--backbone", "none", "--images", "8", "--strokes", "8", "--workers", "1", "--split", "qmul-v2:standard"]
    assert main(["features", str(root), *words, "--out", str(tmp_path / "store")]) == 0
    items = Shared.mapped(tmp_path / "store").items()
    count = items.payload["num_points"].take(np.arange(len(items)))
    assert set(count[items.domain == "sketch"]) == {4}
    assert set(count[items.domain == "photo"]) == {0}
    pens = items.payload["strokes"].take(np.flatnonzero(items.domain == "sketch"))[..., 2]
    assert (pens == [0, 1, 0, 1, 0, 0, 0, 0]).all()


def test_wikipedias_features_become_a_store_of_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = miniatures.wikipedia(tmp_path / "data")
    assert main(["store", "import", str(root), "--out", str(tmp_path / "store")]) == 0
    store = verify_store(tmp_path / "store")
    items = store.items()
    assert store.manifest["num_rows_by_domain"] == {"photo": 52, "text": 52}
    assert items.class_names == ("art", "biology", "geography", "history")
    sizes = {part: int(((items.split == part) & (items.domain == "text")).sum()) for part in ("train", "val", "test")}
    assert sizes == {"train": 36, "val": 4, "test": 12}
    found = scipy.io.loadmat(root / "raw_features.mat")
    row = {str(name): place for place, name in enumerate(items.item_id)}
    text, photo = row["text/tetext-5"], row["photo/teimage5"]
    assert items.instance_id[text] == items.instance_id[photo]
    feature = items.payload["feature"].take(np.array([text, photo]))
    np.testing.assert_array_equal(feature[0, :10], found["T_te"][5].astype(np.float32))
    np.testing.assert_array_equal(feature[1], found["I_te"][5].astype(np.float32))
    assert not feature[0, 10:].any()


def test_the_eccv18_authors_features_become_a_store_with_their_pairs(tmp_path: Path) -> None:
    root = miniatures.authors(tmp_path / "data")
    words = ["store", "import", str(root), "--split", "sketchy:eccv18", "--out", str(tmp_path / "store")]
    assert main(words) == 0
    store = verify_store(tmp_path / "store")
    items = store.items()
    assert store.manifest["num_rows_by_domain"] == {"photo": 250, "sketch": 250}
    row = {str(name): place for place, name in enumerate(items.item_id)}
    assert items.instance_id[row["sketch/zebra/n01_5-2.png"]] == items.instance_id[row["photo/zebra/n01_5.jpg"]]
    assert {items.class_names[number] for number in np.unique(items.class_id[items.split == "test"])} >= {"bat", "cow"}
    paths = np.load(root / "sketch_paths.npy").tolist()
    place = next(number for number, path in enumerate(paths) if path.endswith("zebra/n01_5-2.png"))
    expected = np.load(root / "sketch_vgg_features.npy")[place]
    np.testing.assert_array_equal(
        items.payload["feature"].take(np.array([row["sketch/zebra/n01_5-2.png"]]))[0], expected
    )


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["store", "import", "wiki", "--given", "x"], "--given is for .npz files"),
        (["store", "import", "nowhere"], "a folder of features must have raw_features.mat"),
        (["features", "wiki", "--weights", "random"], "wiki holds features, not images; `sbir store import wiki"),
        (["store", "import", "wiki", "--split", "sketchy:eccv18"], "needs its 125 classes"),
    ],
)
def test_features_and_images_are_not_taken_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], rule: str
) -> None:
    monkeypatch.chdir(tmp_path)
    miniatures.wikipedia(tmp_path / "wiki")
    assert main([*words, "--out", "store"]) == 2
    assert rule in capsys.readouterr().err
    assert not (tmp_path / "store").exists()
