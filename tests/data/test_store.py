import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sbir.data.items import Items, Payload
from sbir.data.store import (
    StoreError,
    check_backbone,
    content_hash,
    file_hash,
    items_from_tables,
    open_store,
    read_table,
    verify_store,
)
from sbir.data.store_write import write_store

COUNT, WIDTH = 40, 6


def rows() -> Items:
    rng = np.random.default_rng(1)
    return Items(
        item_id=np.array([f"item {number}" for number in range(COUNT)]),
        domain=np.repeat(["sketch", "photo"], COUNT // 2),
        class_id=np.arange(COUNT) % 5,
        instance_id=np.tile(np.arange(COUNT // 2), 2),
        split=np.array(["train", "val", "test", "held", ""])[np.arange(COUNT) % 5],
        class_names=("a", "b", "c", "d", "e"),
        payload={
            "feature": Payload([rng.normal(size=(COUNT, WIDTH)).astype(np.float32)]),
            "strokes": Payload([rng.normal(size=(COUNT, 2, 3)).astype(np.float16)]),
            "image": Payload([rng.integers(0, 255, (COUNT, 2, 2, 3), dtype=np.uint8)]),
            "num_points": Payload([rng.integers(0, 9, COUNT, dtype=np.int32)]),
        },
    )


def write(path: Path, items: Items, **changes: Any) -> Path:
    settings: dict[str, Any] = {"dataset": "miniature", "synthetic": True, "given": "nothing"} | changes
    write_store(path, items, **settings)
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return write(tmp_path / "store", rows(), file_bytes=15 * 52)  # three files


def by_id(items: Items) -> dict[str, tuple[Any, ...]]:
    everything = np.arange(len(items))
    payload = {name: column.take(everything) for name, column in items.payload.items()}
    return {
        str(items.item_id[row]): (
            items.domain[row],
            items.class_names[items.class_id[row]],
            items.instance_id[row],
            items.split[row],
            *(payload[name][row].tobytes() for name in sorted(payload)),
        )
        for row in everything
    }


def forge(store: Path, name: str, table: pa.Table) -> None:
    """Put another table in place of a file, with a manifest that agrees with it."""
    with pa.OSFile(str(store / name), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    manifest = json.loads((store / "manifest.json").read_text())
    for file in manifest["files"]:
        if file["name"] == name:
            size = (store / name).stat().st_size
            file |= {"rows": table.num_rows, "bytes": size, "sha256": file_hash(store / name)}
    manifest["content_hash"] = content_hash(manifest)
    (store / "manifest.json").write_text(json.dumps(manifest))


def own_copy(path: Path) -> pa.Table:
    with path.open("rb") as stream:  # not mapped, so that the file can be written again
        return pa.ipc.open_file(stream.read()).read_all()


def test_every_row_comes_back_as_it_went_in(store: Path) -> None:
    assert len(open_store(store).files) == 3
    assert by_id(verify_store(store).items()) == by_id(rows())


def test_the_payload_is_mapped_not_copied(store: Path) -> None:
    tables = [read_table(path) for path in open_store(store).files]
    items = items_from_tables(tables, open_store(store).manifest)
    for table, block in zip(tables, items.payload["feature"].blocks, strict=True):
        buffer = table["feature"].chunk(0).flatten().buffers()[1]
        address = block.__array_interface__["data"][0]
        assert buffer.address <= address < buffer.address + buffer.size


def test_every_file_is_one_record_batch(store: Path) -> None:
    for path in open_store(store).files:
        assert pa.ipc.open_file(pa.memory_map(str(path))).num_record_batches == 1


def test_rows_lie_in_a_random_order_that_the_seed_repeats(tmp_path: Path) -> None:
    orders = [
        list(open_store(write(tmp_path / name, rows(), seed=seed)).items().item_id)
        for name, seed in (("one", 0), ("two", 0), ("three", 1))
    ]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2] != list(rows().item_id)
    assert open_store(tmp_path / "one").manifest == open_store(tmp_path / "two").manifest


def test_the_manifest_says_what_is_there(store: Path) -> None:
    manifest = open_store(store).manifest
    assert manifest["num_rows"] == COUNT
    assert manifest["num_rows_by_domain"] == {"photo": 20, "sketch": 20}
    assert manifest["columns"]["strokes"] == {"dtype": "float16", "shape": [2, 3]}


def test_a_store_is_never_overwritten(store: Path) -> None:
    with pytest.raises(ValueError, match="exists; remove it or choose another"):
        write(store, rows())
    assert by_id(verify_store(store).items()) == by_id(rows())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused_by_item_and_leave_nothing_behind(
    tmp_path: Path, value: float
) -> None:
    items = rows()
    feature = items.payload["feature"].take(np.arange(COUNT))
    feature[7, 3] = value
    with pytest.raises(ValueError, match="column feature must be finite, got NaN or infinity in item item 7"):
        write(tmp_path / "bad", dataclasses.replace(items, payload={"feature": Payload([feature])}))
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sbir.data.store_write.file_hash", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "half", rows())
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_and_an_empty_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"is not a directory"):
        open_store(tmp_path / "nowhere")
    with pytest.raises(StoreError, match=r"needs manifest.json, there is none; make a store with"):
        open_store(tmp_path)


def test_a_file_cut_short_is_named(store: Path) -> None:
    path = store / "part-00001.arrow"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StoreError, match=r"part-00001.arrow: must have \d+ bytes, got \d+: it was cut short"):
        open_store(store)
    path.unlink()
    with pytest.raises(StoreError, match=r"part-00001.arrow: must have \d+ bytes, is missing"):
        open_store(store)


def test_a_flipped_byte_is_found_in_its_row(store: Path) -> None:
    path = store / "part-00002.arrow"
    table = own_copy(path)
    needle = table["feature"].chunk(0).flatten().to_numpy().reshape(-1, WIDTH)[4].tobytes()
    raw = bytearray(path.read_bytes())
    raw[raw.index(needle) + 2] ^= 1
    path.write_bytes(bytes(raw))
    open_store(store)
    with pytest.raises(StoreError, match=r"part-00002.arrow: row 4 does not match its checksum"):
        verify_store(store)


def test_a_flipped_byte_outside_of_the_payload_is_found_too(store: Path) -> None:
    path = store / "part-00000.arrow"
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"item ") + 1] ^= 1
    path.write_bytes(bytes(raw))
    with pytest.raises(StoreError, match=r"part-00000.arrow: does not match the manifest's sha256"):
        verify_store(store)


def test_nan_in_a_store_made_elsewhere_is_found_in_its_row(store: Path) -> None:
    table = own_copy(store / "part-00001.arrow")
    values = table["feature"].chunk(0).flatten().to_numpy().copy()
    values[3 * WIDTH] = np.nan
    column = pa.FixedSizeListArray.from_arrays(pa.array(values, from_pandas=False), WIDTH)
    forge(store, "part-00001.arrow", table.set_column(5, table.schema.field("feature"), column))
    with pytest.raises(StoreError, match=r"part-00001.arrow: row 3 of column feature must be finite"):
        verify_store(store)


def test_a_column_of_another_width_is_named(store: Path) -> None:
    table = own_copy(store / "part-00001.arrow")
    narrow = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(table.num_rows * 4, np.float32)), 4)
    forge(store, "part-00001.arrow", table.set_column(5, "feature", narrow))
    with pytest.raises(
        StoreError, match=r"part-00001.arrow: column feature must be fixed_size_list.*\[6\], got .*\[4\]"
    ):
        open_store(store)


def test_a_row_with_an_unknown_class_is_named(store: Path) -> None:
    table = own_copy(store / "part-00001.arrow")
    classes = table["class_id"].to_numpy().copy()
    classes[2] = 9
    forge(store, "part-00001.arrow", table.set_column(2, "class_id", pa.array(classes)))
    with pytest.raises(StoreError, match=r"part-00001.arrow, row 2: class_id must be between 0 and 4, got 9"):
        open_store(store)


def test_an_edited_manifest_is_refused(store: Path) -> None:
    path = store / "manifest.json"
    path.write_text(path.read_text().replace('"synthetic": true', '"synthetic": false'))
    with pytest.raises(StoreError, match="does not match its content hash"):
        open_store(store)
    path.write_text(path.read_text()[:-20])
    with pytest.raises(StoreError, match=r"manifest.json: is not JSON"):
        open_store(store)


def test_features_of_another_backbone_are_refused(tmp_path: Path) -> None:
    made = {"name": "vgg16", "weights": "random:0", "size": 64, "layers": ["fc2_relu"], "imagenet_overlap": ["cat"]}
    manifest = open_store(write(tmp_path / "store", rows(), backbone=made)).manifest
    check_backbone(manifest, made | {"imagenet_overlap": []})  # says something of the classes, not of the features
    with pytest.raises(StoreError, match=r"backbone {'size': 224}, got {'size': 64}; extract them with it"):
        check_backbone(manifest, made | {"size": 224})
