import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sbir.data.arrays import import_arrays
from sbir.data.store import verify_store

CLASSES = np.repeat(["ant", "bee", "cat", "dog"], 5)


def save(path: Path, **changes: Any) -> Path:
    arrays: dict[str, Any] = {"feature": np.random.default_rng(0).normal(size=(20, 3)), "class": CLASSES} | changes
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return save(tmp_path / "photos.npz", instance=np.arange(20))


def test_arrays_become_a_store_row_for_row(tmp_path: Path, photos: Path) -> None:
    feature = np.random.default_rng(1).normal(size=(20, 3))
    instance = np.array([*range(18), -1, 99])
    sketches = save(tmp_path / "s.npz", feature=feature, instance=instance, id=[f"s{n}" for n in range(20)])
    (tmp_path / "split.json").write_text(json.dumps({"train": ["ant", "bee"], "val": ["cat"], "test": ["dog"]}))
    import_arrays(sketches, photos, tmp_path / "store", split=tmp_path / "split.json", given="my network")
    store = verify_store(tmp_path / "store")
    items = store.items()
    row = {str(name): number for number, name in enumerate(items.item_id)}
    assert len(items) == 40
    for number in range(20):
        mine = row[f"sketch/s{number}"]
        np.testing.assert_array_equal(
            items.payload["feature"].take(np.array([mine]))[0], feature[number].astype(np.float32)
        )
        assert items.class_names[items.class_id[mine]] == CLASSES[number]
        if number < 18:
            assert items.instance_id[mine] == items.instance_id[row[f"photo/{number}"]] >= 0
    assert items.instance_id[row["sketch/s18"]] == -1
    assert items.instance_id[row["sketch/s19"]] not in items.instance_id[items.domain == "photo"]
    assert dict(zip(items.class_id, items.split, strict=True)) == {0: "train", 1: "train", 2: "val", 3: "test"}
    assert store.manifest["given"] == "my network; class labels and sketch-photo pairs"


def test_half_precision_stays_and_without_instances_there_are_no_pairs(tmp_path: Path) -> None:
    half = save(tmp_path / "half.npz", feature=np.ones((20, 3), np.float16))
    import_arrays(half, half, tmp_path / "store")
    store = verify_store(tmp_path / "store")
    assert store.items().payload["feature"].dtype == np.float16
    assert store.manifest["given"] == "imported features; class labels"
    assert set(store.items().instance_id) == {-1}


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"class": CLASSES[:-1]}, r"class must have one entry for each of the 20 features, got \(19,\)"),
        ({"instance": np.arange(3)}, r"instance must have one entry for each of the 20 features, got \(3,\)"),
        ({"feature": np.zeros((20, 4))}, "sketch and photo features must have one width, got 4 and 3"),
        ({"feature": np.zeros(20)}, r"feature must be \(rows, width\) of floats"),
        ({"feature": np.zeros((20, 3), int)}, r"feature must be \(rows, width\) of floats"),
        ({"feature": np.full((20, 3), np.nan)}, "column feature must be finite, got NaN or infinity in item sketch/0"),
        ({"class": None}, "must have the arrays feature and class, class missing"),
        ({"class": np.repeat("ant", 20)}, "every class needs photos and sketches, bee"),
        ({"id": np.repeat("same", 20)}, "item_id must be unique, got sketch/same"),
        ({"class": CLASSES.astype(object)}, "Object arrays cannot be loaded"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_and_leave_nothing_behind(
    tmp_path: Path, photos: Path, changes: dict[str, Any], rule: str
) -> None:
    sketches = save(tmp_path / "sketches.npz", **changes)
    with pytest.raises(ValueError, match=rule):
        import_arrays(sketches, photos, tmp_path / "store")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos.npz", "sketches.npz"]


class Trap:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch '{self.mark}'",)


def test_a_pickle_posing_as_arrays_is_not_executed(tmp_path: Path, photos: Path) -> None:
    mark, bad = tmp_path / "mark", tmp_path / "bad.npz"
    bad.write_bytes(pickle.dumps(Trap(mark)))
    hidden = save(tmp_path / "hidden.npz", **{"class": np.array([Trap(mark)] * 20, dtype=object)})
    for path in (bad, hidden):
        with pytest.raises(ValueError, match=r"must be an .npz file of plain arrays"):
            import_arrays(path, photos, tmp_path / "store")
    assert not mark.exists()


def test_files_that_are_missing_cut_short_or_something_else_are_named(tmp_path: Path, photos: Path) -> None:
    cut, single = tmp_path / "cut.npz", tmp_path / "single.npz"
    cut.write_bytes(photos.read_bytes()[:300])
    with single.open("wb") as stream:
        np.save(stream, np.zeros((20, 3)))
    for path in (tmp_path / "nowhere.npz", cut, single):
        with pytest.raises(ValueError, match=path.name):
            import_arrays(path, photos, tmp_path / "store")
