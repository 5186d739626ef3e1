from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sbir.data.pictures import BrokenImage, pixels
from sbir.data.readers import read_dataset
from sbir.data.store import verify_store
from sbir.features.backbones import Backbone, normalise
from sbir.features.extract import _actors, extract, imagenet_overlap
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


def run(root: Path, out: Path, **changes: bool) -> Path:
    return extract(root, out, backbone="squeezenet1_1", weights="random", size=32, workers=1, **changes)


@pytest.mark.usefixtures("ray_session")
def test_each_row_is_the_backbones_feature_of_its_image(tmp_path: Path) -> None:
    root = dataset(tmp_path / "data")
    store = verify_store(run(root, tmp_path / "store"))
    items = store.items()
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
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "store"]


@pytest.mark.usefixtures("ray_session")
def test_a_broken_image_is_named_and_left_out_only_on_request(tmp_path: Path) -> None:
    root = dataset(tmp_path / "data")
    (root / "photo/bee/1.jpg").write_bytes(b"nothing")
    with pytest.raises(BrokenImage, match=r"photo/bee/1.jpg cannot be read: .*--skip-broken"):
        run(root, tmp_path / "store")
    assert not (tmp_path / "store").exists()
    names = set(verify_store(run(root, tmp_path / "store", skip_broken=True)).items().item_id)
    assert names == {item.item_id for item in read_dataset(root).items} - {"photo/bee/1.jpg"}


def test_a_class_that_loses_its_last_image_is_named(tmp_path: Path) -> None:
    root = dataset(tmp_path / "data", photos=1)
    items = read_dataset(root).items
    with Work(tmp_path / "store", items, Backbone("squeezenet1_1", "random:0", 32, 0).describe()) as work:
        broken = [row for row, item in enumerate(items) if item.item_id == "photo/bee/0.jpg"]
        work.add(np.arange(len(items)), np.ones((len(items), 512)), {broken[0]: "nothing"})
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
    with pytest.raises(ValueError, match="size must be at least 32"):
        extract(root, tmp_path / "store", size=8)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "there"]


def test_finished_batches_survive_a_process_and_a_torn_line_does_not_count(tmp_path: Path) -> None:
    items, backbone = read_dataset(dataset(tmp_path / "data")).items, {"name": "x", "width": 4}
    with Work(tmp_path / "store", items, backbone) as work:
        work.add(np.array([1, 2]), np.array([[1.0] * 4, [2.0] * 4]), {2: "broken"})
    with (work.folder / "done.jsonl").open("a") as log:
        log.write('{"rows": [3, 4], "bro')
    with Work(tmp_path / "store", items, backbone) as again:
        assert again.folder == work.folder
        assert np.flatnonzero(again.done).tolist() == [1, 2]
        assert again.broken == {2: "broken"}
        assert again.feature[1].tolist() == [1.0] * 4
        again.add(np.array([3]), np.array([[3.0] * 4]), {})
    with Work(tmp_path / "store", items, backbone) as third:
        assert np.flatnonzero(third.done).tolist() == [1, 2, 3]
    with Work(tmp_path / "store", items, backbone | {"size": 64}) as other:
        assert other.folder != work.folder


def test_two_extractions_into_one_store_are_refused(tmp_path: Path) -> None:
    items = read_dataset(dataset(tmp_path / "data")).items
    with (
        Work(tmp_path / "store", items, {"width": 4}),
        pytest.raises(ValueError, match="one extraction at a time may write a store"),
        Work(tmp_path / "store", items, {"width": 4}),
    ):
        pass


@pytest.mark.usefixtures("ray_session")
def test_finished_images_are_not_computed_again_after_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, out = dataset(tmp_path / "data"), tmp_path / "store"
    monkeypatch.setattr("sbir.features.extract.BATCH", 6)  # three batches
    add = Work.add

    def add_and_die(self: Work, rows: Any, feature: Any, broken: Any) -> None:
        add(self, rows, np.full_like(feature, 7), broken)  # a mark: were the rows computed again, it would be gone
        raise KeyboardInterrupt

    monkeypatch.setattr(Work, "add", add_and_die)
    with pytest.raises(KeyboardInterrupt):
        run(root, out)
    monkeypatch.setattr(Work, "add", add)
    assert not out.exists()
    rows = verify_store(run(root, out)).items()
    marked = (rows.payload["feature"].take(np.arange(18)) == 7).all(axis=1)
    assert sorted(rows.item_id[marked]) == sorted(item.item_id for item in read_dataset(root).items[:6])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "store"]


@pytest.mark.parametrize(
    ("resources", "workers", "expected"),
    [({"CPU": 4.0}, None, (0, 4)), ({"CPU": 4.0}, 3, (0, 3)), ({"CPU": 8.0, "GPU": 2.0}, None, (2, 2))],
)
def test_there_is_an_actor_for_each_gpu_or_core(
    resources: dict[str, float], workers: int | None, expected: tuple[int, int]
) -> None:
    assert _actors(resources, workers) == expected


@pytest.mark.parametrize(
    ("resources", "workers"), [({"CPU": 4.0}, 0), ({"CPU": 4.0}, 5), ({"CPU": 8.0, "GPU": 1.0}, 2)]
)
def test_actors_that_would_wait_for_ever_are_refused(resources: dict[str, float], workers: int) -> None:
    with pytest.raises(ValueError, match="workers must be between 1 and the"):
        _actors(resources, workers)


def test_imagenet_classes_are_counted_by_name() -> None:
    names = ["cat", "butterfly", "soccer_ball", "kangaroo", "car_(sedan)", "motorbike", "at"]
    assert imagenet_overlap(names) == ["cat", "butterfly", "soccer_ball"]
