import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sbir.data.items import Items, Payload
from sbir.data.loader import Shared, share
from sbir.data.store import StoreError, open_store
from sbir.data.store_write import write_store

COUNT, WIDTH = 3000, 64


@pytest.fixture
def store(tmp_path: Path) -> Path:
    items = Items(
        item_id=np.array([f"{number}" for number in range(COUNT)]),
        domain=np.array(["sketch", "photo"] * (COUNT // 2)),
        class_id=np.arange(COUNT) % 3,
        instance_id=np.full(COUNT, -1),
        split=np.full(COUNT, "train"),
        class_names=("a", "b", "c"),
        payload={
            "feature": Payload([np.arange(COUNT * WIDTH, dtype=np.float32).reshape(COUNT, WIDTH)]),
            "image": Payload([(np.arange(COUNT * 300) % 251).astype(np.uint8).reshape(COUNT, 10, 10, 3)]),
            "num_points": Payload([np.arange(COUNT, dtype=np.int32)]),
        },
    )
    path = tmp_path / "store"
    write_store(
        path, items, dataset="x", synthetic=True, given="nothing", file_bytes=COUNT * (WIDTH + 76)
    )  # four files
    return path


def seen_in_worker(shared: Shared) -> Any:
    """What a worker sees, and the file that holds the memory of its first block."""
    import ray

    def look(shared: Shared) -> tuple[list[str], Any, str]:
        items = shared.items()
        address = items.payload["feature"].blocks[0].__array_interface__["data"][0]
        for line in Path("/proc/self/maps").read_text().splitlines():
            low, high = (int(bound, 16) for bound in line.split()[0].split("-"))
            if low <= address < high:
                return list(items.item_id), items.payload["feature"].take(np.arange(len(items))), line
        raise AssertionError("the block lies in no mapping")

    return ray.get(ray.remote(look).remote(shared))


def check(found: Any, store: Path) -> str:
    names, feature, mapping = found
    expected = open_store(store).items()
    assert names == list(expected.item_id)  # several files stay in their order
    np.testing.assert_array_equal(feature, expected.payload["feature"].take(np.arange(COUNT)))
    np.testing.assert_array_equal(feature[:, 0], np.array(names, dtype=int) * WIDTH)
    return str(mapping)


@pytest.mark.usefixtures("ray_session")
def test_workers_see_the_rows_in_the_object_store_without_a_copy(store: Path) -> None:
    shared = share(open_store(store))
    assert shared.refs is not None
    assert len(shared.refs) == 4
    assert "plasma" in check(seen_in_worker(shared), store)


@pytest.mark.usefixtures("ray_session")
def test_only_the_columns_that_are_wanted_go_to_the_object_store(store: Path) -> None:
    import ray

    shared = share(store, {"image", "num_points"}, object_store_fraction=0.0045)  # features would not fit: 768 kB
    assert shared.refs is not None
    assert sum(block.nbytes for block in ray.get(list(shared.refs))) < 1.2e6  # 912 kB and identities
    items, expected = shared.items(), open_store(store).items()
    assert set(items.payload) == {"image", "num_points"}
    for name, column in items.payload.items():
        np.testing.assert_array_equal(column.take(np.arange(COUNT)), expected.payload[name].take(np.arange(COUNT)))
    assert share(store, object_store_fraction=0.0045).refs is None


@pytest.mark.usefixtures("ray_session")
def test_a_store_too_large_for_the_object_store_is_mapped_and_the_log_says_so(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        shared = share(store, object_store_fraction=0.001)
    assert shared.refs is None
    assert "do not fit" in caplog.text
    assert "part-00000.arrow" in check(seen_in_worker(shared), store)


@pytest.mark.usefixtures("ray_session")
def test_a_handle_goes_through_tune_with_its_references(store: Path, tmp_path: Path) -> None:
    from ray import tune

    seen = tmp_path / "seen"

    def trial(config: dict[str, Any], shared: Shared) -> None:
        seen.write_text(str(len(shared.items())))

    with_shared = tune.with_parameters(trial, shared=share(store))
    import ray

    ray.get(ray.remote(lambda: with_shared({})).remote())
    assert seen.read_text() == str(COUNT)


@pytest.mark.usefixtures("ray_session")
def test_a_damaged_store_is_not_shared(store: Path) -> None:
    path = store / "part-00003.arrow"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(bytes(raw))
    with pytest.raises(StoreError, match=r"part-00003.arrow: row"):
        share(store)


def test_a_mapped_handle_needs_no_ray(store: Path) -> None:
    shared = pickle.loads(pickle.dumps(Shared.mapped(store)))
    assert list(shared.items().item_id) == list(open_store(store).items().item_id)
