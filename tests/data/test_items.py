import dataclasses

import numpy as np
import pytest

from sbir.data.items import Items, Payload, identity_error


def rows(count: int = 4) -> Items:
    return Items(
        item_id=np.array([f"i{number}" for number in range(count)]),
        domain=np.array(["sketch", "photo"] * (count // 2)),
        class_id=np.arange(count) % 2,
        instance_id=np.full(count, -1),
        split=np.array(["train"] * count),
        class_names=("a", "b"),
        payload={"feature": Payload([np.eye(count, dtype=np.float32)])},
    )


@pytest.mark.parametrize("cuts", [[], [3], [1, 1, 6]])
def test_rows_are_the_same_in_one_block_and_in_several(cuts: list[int]) -> None:
    whole = np.random.default_rng(0).random((8, 2, 3))
    column = Payload(np.split(whole, cuts))
    chosen = np.array([7, 0, 0, 3, 2])
    out = np.empty((5, 2, 3))
    np.testing.assert_array_equal(column.take(chosen), whole[chosen])
    column.take(chosen, out=out)
    np.testing.assert_array_equal(out, whole[chosen])
    assert (len(column), column.shape, column.dtype) == (8, (2, 3), whole.dtype)


def test_blocks_of_different_widths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(3,\), got float64 of shape \(4,\)"):
        Payload([np.zeros((2, 3)), np.zeros((2, 4))])


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"as many rows as item_id \(4\), got {'split': 3}"):
        dataclasses.replace(rows(), split=np.array(["train"] * 3))


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("domain", "drawing", "domain must be one of sketch, photo, text, got drawing"),
        ("split", "valid", "split must be train, val, test, held or empty, got valid"),
        ("class_id", 2, "class_id must be between 0 and 1, got 2"),
        ("instance_id", -2, "instance_id must be -1 or more, got -2"),
        ("item_id", "i0", "item_id must be unique, got i0"),
    ],
)
def test_the_row_with_a_wrong_identity_is_named(column: str, value: object, rule: str) -> None:
    items = rows()
    assert identity_error(items) is None
    changed = getattr(items, column).astype(object)
    changed[2] = value
    if column in ("class_id", "instance_id"):
        changed = changed.astype(np.int64)
    assert identity_error(dataclasses.replace(items, **{column: changed})) == (2, rule)
