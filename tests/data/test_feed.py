import numpy as np
import pytest
import torch

from sbir.data.feed import Columns, Feed, make_feed
from sbir.data.loader import Shared
from sbir.data.protocol import Partition
from sbir.data.smoke import POINTS, SIDE, write_smoke_store
from sbir.data.transform import TransformSettings


@pytest.fixture(scope="module")
def columns(tmp_path_factory: pytest.TempPathFactory) -> Columns:
    path = tmp_path_factory.mktemp("feed") / "store"
    write_smoke_store(path)
    return Columns(Shared.mapped(path).items())


def feed(columns: Columns, *names: str) -> Feed:
    items = columns.items
    sides = [np.flatnonzero((items.split == "train") & (items.domain == domain)) for domain in ("sketch", "photo")]
    return make_feed(columns, Partition(*sides, *sides), names, names[:1], TransformSettings(pca=4))


def test_pixels_and_strokes_come_as_they_are_stored(columns: Columns) -> None:
    drawn = feed(columns, "image", "strokes", "num_points")
    assert drawn.spec().query == {"image": (SIDE, SIDE, 3), "strokes": (POINTS, 3), "num_points": ()}
    assert drawn.spec().gallery == {"image": (SIDE, SIDE, 3)}
    assert not drawn.spec().signed
    rows = drawn.partition.train_query[:5]
    taken = drawn.query(rows)
    assert [taken[name].dtype for name in taken] == [torch.uint8, torch.float32, torch.int32]
    for name, values in taken.items():
        np.testing.assert_array_equal(values.numpy(), columns.items.payload[name].take(rows))
    pen = taken["strokes"][torch.arange(5), taken["num_points"].long() - 1, 2]
    assert pen.tolist() == [1.0] * 5
    assert (columns.items.payload["num_points"].take(drawn.partition.train_gallery) == 0).all()


def test_transforms_are_for_features_alone(columns: Columns) -> None:
    assert feed(columns, "image").transforms == {}
    assert feed(columns, "feature", "image").spec().query == {"feature": (4,), "image": (SIDE, SIDE, 3)}


def test_a_missing_column_comes_with_the_command_that_writes_it(columns: Columns) -> None:
    payload = {"feature": columns.items.payload["feature"]}
    from dataclasses import replace

    poor = Columns(replace(columns.items, payload=payload))
    with pytest.raises(
        ValueError,
        match=r"the method needs the columns image, num_points, strokes, the store has feature; write a store that "
        r"has them: sbir features DATASET_ROOT --images 64 --strokes 100 --out STORE",
    ):
        feed(poor, "image", "strokes", "num_points")
