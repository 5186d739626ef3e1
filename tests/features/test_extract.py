import dataclasses
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sbir.data.pictures import BrokenImage, pixels
from sbir.data.readers import read_dataset
from sbir.data.store import Store, verify_store
from sbir.features import pipeline
from sbir.features.backbones import Backbone, normalise
from sbir.features.extract import extract, imagenet_overlap
from sbir.features.pipeline import batch_rows, count_actors
from sbir.features.recipe import Recipe
from sbir.features.work import Work

CLASSES = ("ant", "bee", "comb")


def dataset(root: Path, photos: int = 3) -> Path:
    """Noise in Sketchy's layout, each photo with one sketch."""
    rng = np.random.default_rng(0)
    for name in CLASSES:
        for side in ("photo", "sketch"):
            (root / side / name).mkdir(parents=True)
        for number in range(photos):
            for path in (f"photo/{name}/{number}.jpg", f"sketch/{name}/{number}-1.png"):
                Image.fromarray(rng.integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(root / path)
    return root


RECIPE = Recipe((Backbone("squeezenet1_1", "random:0", 32, 0),))
SMALL = {"columns": {"feature": {"dtype": "float32", "shape": [4]}}}


def run(root: Path, out: Path, **changes: Any) -> Path:
    settings: dict[str, Any] = {"backbone": "squeezenet1_1", "weights": "random", "size": 32, "workers": 1} | changes
    return extract(root, out, **settings)


BATCH = 4  # images at once: the last bits of a feature depend on its batch


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images that every test may read and none changes, with drawings beside."""
    return drawings(dataset(tmp_path_factory.mktemp("extract") / "data"))


@pytest.fixture(scope="module")
def plain(root: Path, ray_session: None) -> Store:
    """Their features and nothing else, in one go."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sbir.features.pipeline.BATCH", BATCH)
        return verify_store(run(root, root.parent / "plain"))


def test_each_row_is_the_backbones_feature_of_its_image(root: Path, plain: Store) -> None:
    store, items = plain, plain.items()
    network = Backbone("squeezenet1_1", "random:0", 32, 0).build(None)
    row = {str(name): number for number, name in enumerate(items.item_id)}
    read = read_dataset(root).items
    assert set(row) == {item.item_id for item in read}
    for item in read[::4]:
        with torch.inference_mode():
            expected = network(normalise(torch.from_numpy(np.array(pixels(item, 32)))[None]))[0].numpy()
        found = items.payload["feature"].take(np.array([row[item.item_id]]))[0]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert items.instance_id[row["sketch/bee/2-1.png"]] == items.instance_id[row["photo/bee/2.jpg"]]
    assert store.manifest["given"] == (
        "squeezenet1_1 features, weights random:0, 32 px; class labels and sketch-photo pairs"
    )
    assert store.manifest["backbone"]["imagenet_overlap"] == ["ant", "bee"]
    assert sorted(path.name for path in root.parent.iterdir()) == ["data", "plain"]


def drawings(root: Path) -> Path:
    """A drawing behind every sketch but those of combs."""
    (root / "strokes").mkdir()
    for name in CLASSES[:2]:
        lines = [
            {"key_id": f"{photo}-1", "drawing": [[[0, 5 + photo, 9], [0, 1, 7]], [[3], [2]]]} for photo in range(3)
        ]
        (root / f"strokes/{name}.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root


def test_images_and_strokes_lie_beside_the_same_feature(
    root: Path, plain: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sbir.features.pipeline.BATCH", BATCH)
    store = verify_store(run(root, tmp_path / "store", images=48, strokes=4))
    items, everything = store.items(), np.arange(18)
    columns = {name: column.take(everything) for name, column in items.payload.items()}
    assert {name: (column.dtype.name, column.shape[1:]) for name, column in columns.items()} == {
        "feature": ("float32", (512,)),
        "image": ("uint8", (48, 48, 3)),
        "strokes": ("float32", (4, 3)),
        "num_points": ("int32", ()),
    }
    assert items.item_id.tolist() == plain.items().item_id.tolist()
    np.testing.assert_array_equal(columns["feature"], plain.items().payload["feature"].take(everything))
    for item in read_dataset(root).items:
        row = items.item_id.tolist().index(item.item_id)
        np.testing.assert_array_equal(columns["image"][row], pixels(item, 48))
        is_drawn = item.domain == "sketch" and item.class_name != "comb"
        assert columns["num_points"][row] == (4 if is_drawn else 0)
        assert columns["strokes"][row, :, 2].tolist() == ([0, 0, 1, 1] if is_drawn else [0, 0, 0, 0])
    assert store.manifest["given"] == (
        "squeezenet1_1 features, weights random:0, 32 px, images of 48 px, strokes of at most 4 points; "
        "class labels and sketch-photo pairs"
    )


def test_several_backbones_in_one_pass_give_each_its_own_store(root: Path, plain: Store, tmp_path: Path) -> None:
    out = run(root, tmp_path / "both", backbone="squeezenet1_1,timm:test_resnet", dtype="float16", images=8)
    assert sorted(path.name for path in out.iterdir()) == ["squeezenet1_1", "timm-test_resnet"]
    first, second = (verify_store(out / name) for name in ("squeezenet1_1", "timm-test_resnet"))
    assert first.manifest["columns"]["feature"] == {"dtype": "float16", "shape": [512]}
    assert [store.manifest["backbone"]["name"] for store in (first, second)] == ["squeezenet1_1", "timm:test_resnet"]
    every = np.arange(18)
    found, alone = (store.items().payload["feature"].take(every) for store in (first, plain))
    assert first.items().item_id.tolist() == second.items().item_id.tolist() == plain.items().item_id.tolist()
    np.testing.assert_allclose(found, alone, rtol=1e-2, atol=1e-3)
    backbone = Backbone("timm:test_resnet", "random:0", 32, 0)
    paths = {item.item_id: item for item in read_dataset(root).items}
    images = torch.from_numpy(np.stack([pixels(paths[str(name)], 32) for name in second.items().item_id]))
    with torch.inference_mode():
        expected = backbone.build(None)(normalise(images, backbone.preprocessing)).numpy()
    np.testing.assert_allclose(second.items().payload["feature"].take(every), expected, rtol=1e-2, atol=1e-3)


@pytest.mark.usefixtures("ray_session")
def test_images_decoded_before_the_actor_as_beside_a_gpu_give_the_same(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)  # that is for a process of its own
    items = read_dataset(root).items[:BATCH]
    words = np.array([json.dumps(dataclasses.asdict(item)) for item in items], object)
    table = {"row": np.arange(BATCH), "item": words, "drawn": np.full(BATCH, "", object)}
    decode = partial(pipeline._decode, forms=pipeline._forms(RECIPE), length=None)
    apart = pipeline._Extractor(RECIPE, [None], None)(decode(table))
    together = pipeline._Extractor(RECIPE, [None], decode)(table)
    assert apart.keys() == together.keys() == {"row", "broken", "feature"}
    assert apart["feature"].any(1).all()
    np.testing.assert_array_equal(apart["feature"], together["feature"])


def test_features_too_large_for_their_type_are_refused_at_once(tmp_path: Path) -> None:
    items = read_dataset(dataset(tmp_path / "data")).items
    half = {"columns": {"feature": {"dtype": "float16", "shape": [1]}}}
    with Work(tmp_path / "store", items, half) as work:
        large = np.array([[65504.0], [70000.0]]).astype(np.float32)
        with (
            np.errstate(over="ignore"),
            pytest.raises(ValueError, match=rf"feature must be finite in float16, it is not for {items[5].item_id}; "),
        ):
            work.add(np.array([3, 5]), {"feature": large.astype(np.float16)}, {})
        assert not work.done.any()


@pytest.mark.usefixtures("ray_session")
def test_a_broken_image_is_named_and_left_out_only_on_request_and_a_store_may_do_without_features(
    tmp_path: Path,
) -> None:
    root = dataset(tmp_path / "data")
    (root / "photo/bee/1.jpg").write_bytes(b"nothing")
    wanted: dict[str, Any] = {"backbone": "none", "images": 8, "workers": 1}
    with pytest.raises(BrokenImage, match=r"photo/bee/1.jpg cannot be read: .*--skip-broken"):
        extract(root, tmp_path / "store", **wanted)
    assert not (tmp_path / "store").exists()
    store = verify_store(extract(root, tmp_path / "store", skip_broken=True, **wanted))
    assert set(store.items().item_id) == {item.item_id for item in read_dataset(root).items} - {"photo/bee/1.jpg"}
    assert list(store.manifest["columns"]) == ["image"]
    assert store.manifest["backbone"] is None
    assert store.manifest["given"] == "images of 8 px; class labels and sketch-photo pairs"


def test_a_class_that_loses_its_last_image_is_named(tmp_path: Path) -> None:
    root = dataset(tmp_path / "data", photos=1)
    items = read_dataset(root).items
    with Work(tmp_path / "store", items, RECIPE.describe() | {"drawings": {}}) as work:
        broken = [row for row, item in enumerate(items) if item.item_id == "photo/bee/0.jpg"]
        work.add(np.arange(len(items)), {"feature": np.ones((len(items), 512))}, {broken[0]: "nothing"})
    with pytest.raises(ValueError, match=r"every class needs photos and sketches, bee in .* has 0 photos"):
        run(root, tmp_path / "store", skip_broken=True)
    assert not (tmp_path / "store").exists()


def test_what_is_wrong_is_said_before_any_work(tmp_path: Path) -> None:
    root = dataset(tmp_path / "data")
    (tmp_path / "there").mkdir()
    with pytest.raises(ValueError, match="there exists; remove it or choose another"):
        run(root, tmp_path / "there")
    with pytest.raises(ValueError, match="nowhere is not a folder"):
        run(tmp_path / "nowhere", tmp_path / "store")
    with pytest.raises(ValueError, match="vgg16 must be able to take images of 8 pixels"):
        extract(root, tmp_path / "store", size=8)
    with pytest.raises(ValueError, match="dtype must be one of float32, float16, got int8"):
        run(root, tmp_path / "store", dtype="int8")
    with pytest.raises(ValueError, match="backbones of one call must differ, got alexnet, alexnet"):
        extract(root, tmp_path / "store", backbone="alexnet,alexnet")
    with pytest.raises(ValueError, match="weights must be one for all 1 backbones or one for each, got random,random"):
        extract(root, tmp_path / "store", backbone="alexnet", weights="random,random")
    with pytest.raises(ValueError, match="a store needs a column: name a backbone, or ask for --images or --strokes"):
        extract(root, tmp_path / "store", backbone="none")
    with pytest.raises(ValueError, match="images must be 8 to 1024 pixels wide, got 4"):
        run(root, tmp_path / "store", images=4)
    with pytest.raises(ValueError, match="strokes must have 2 to 10000 points, got 1"):
        run(root, tmp_path / "store", strokes=1)
    with pytest.raises(ValueError, match="has pictures only; leave out --strokes"):
        run(root, tmp_path / "store", strokes=10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "there"]


def test_finished_batches_survive_a_process_and_a_torn_line_does_not_count(tmp_path: Path) -> None:
    items = read_dataset(dataset(tmp_path / "data")).items
    with Work(tmp_path / "store", items, SMALL) as work:
        work.add(np.array([1, 2]), {"feature": np.array([[1.0] * 4, [2.0] * 4])}, {2: "broken"})
    with (work.folder / "done.jsonl").open("a") as log:
        log.write('{"rows": [3, 4], "bro')
    with Work(tmp_path / "store", items, SMALL) as again:
        assert again.folder == work.folder
        assert np.flatnonzero(again.done).tolist() == [1, 2]
        assert again.broken == {2: "broken"}
        assert again.columns["feature"][1].tolist() == [1.0] * 4
        again.add(np.array([3]), {"feature": np.array([[3.0] * 4])}, {})
    with Work(tmp_path / "store", items, SMALL) as third:
        assert np.flatnonzero(third.done).tolist() == [1, 2, 3]
    with Work(tmp_path / "store", items, SMALL | {"size": 64}) as other:
        assert other.folder != work.folder


def test_two_extractions_into_one_store_are_refused(tmp_path: Path) -> None:
    items = read_dataset(dataset(tmp_path / "data")).items
    with (
        Work(tmp_path / "store", items, SMALL),
        pytest.raises(ValueError, match="one extraction at a time may write a store"),
        Work(tmp_path / "store", items, SMALL),
    ):
        pass


KILLED = """
import os, sys
from sbir.features import pipeline
from sbir.features.extract import extract
from sbir.features.work import Work

pipeline.BATCH = 4
add = Work.add

def add_and_die(self, *batch):
    add(self, *batch)
    if self.done.sum() == 8:
        os.kill(os.getpid(), 9)

Work.add = add_and_die
extract(sys.argv[1], sys.argv[2], backbone="squeezenet1_1", weights="random", size=32, workers=1)
"""


def test_killed_it_goes_on_with_what_is_missing_to_the_same_store(
    root: Path, plain: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "store"
    command = [sys.executable, "-c", KILLED, str(root), str(out)]
    killed = subprocess.run(command, check=False, capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    assert not out.exists()
    (folder,) = tmp_path.glob(".store.*.work")
    monkeypatch.setattr("sbir.features.pipeline.BATCH", BATCH)
    again: list[int] = []
    add = Work.add

    def note(self: Work, rows: Any, *rest: Any) -> None:
        again.extend(rows)
        add(self, rows, *rest)

    monkeypatch.setattr(Work, "add", note)
    run(root, out)
    assert sorted(again) == list(range(8, 18))
    assert not folder.exists()
    assert verify_store(out).manifest == plain.manifest


@pytest.mark.parametrize(
    ("resources", "workers", "expected"),
    [({"CPU": 4.0}, None, (0, 4)), ({"CPU": 4.0}, 3, (0, 3)), ({"CPU": 8.0, "GPU": 2.0}, None, (2, 2))],
)
def test_there_is_an_actor_for_each_gpu_or_core(
    resources: dict[str, float], workers: int | None, expected: tuple[int, int]
) -> None:
    assert count_actors(resources, workers) == expected


@pytest.mark.parametrize(
    ("resources", "workers"), [({"CPU": 4.0}, 0), ({"CPU": 4.0}, 5), ({"CPU": 8.0, "GPU": 1.0}, 2)]
)
def test_actors_that_would_wait_for_ever_are_refused(resources: dict[str, float], workers: int) -> None:
    with pytest.raises(ValueError, match="workers must be between 1 and the"):
        count_actors(resources, workers)


@pytest.mark.parametrize(("size", "images", "rows"), [(64, None, 64), (224, 64, 64), (448, 64, 16), (64, 1024, 3)])
def test_larger_images_come_in_smaller_batches(size: int, images: int | None, rows: int) -> None:
    assert batch_rows(Recipe((Backbone("vgg16", "random:0", size, 0),), images)) == rows
    assert batch_rows(Recipe((), 64)) == 64


def test_changed_drawings_and_images_are_another_work(tmp_path: Path) -> None:
    items = read_dataset(dataset(tmp_path / "data")).items
    first = Work(tmp_path / "store", items, SMALL).folder
    Path(items[3].path).write_bytes(b"another")
    second = Work(tmp_path / "store", items, SMALL).folder
    Path(items[3].path).unlink()  # named when it is read
    assert len({first, second, Work(tmp_path / "store", items, SMALL).folder}) == 3


def test_imagenet_classes_are_counted_by_name() -> None:
    names = ["cat", "butterfly", "soccer_ball", "kangaroo", "car_(sedan)", "motorbike", "at"]
    assert imagenet_overlap(names) == ["cat", "butterfly", "soccer_ball"]
