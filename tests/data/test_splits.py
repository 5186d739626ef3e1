import dataclasses

import numpy as np
import pytest

from sbir.data.items import Items
from sbir.data.splits import Split, assign


def rows(num_classes: int = 30, photos: int = 20, sketches: int = 2, *, paired: bool = True) -> Items:
    """Photos of each class, each with its sketches."""
    of_photo = np.arange(num_classes * photos)
    owner = np.concatenate([of_photo, np.repeat(of_photo, sketches)])
    domain = np.repeat(["photo", "sketch"], [len(of_photo), len(of_photo) * sketches])
    order = np.random.default_rng(0).permutation(len(owner))
    return Items(
        item_id=np.array([f"{kind}-{number}" for number, kind in enumerate(domain)])[order],
        domain=domain[order],
        class_id=(owner // photos)[order],
        instance_id=np.where(paired | (domain == "photo"), owner, -1)[order],
        split=np.full(len(owner), "", dtype=object),
        class_names=tuple(f"class {number:02}" for number in range(num_classes)),
    )


def classes(items: Items, split: Split, part: str) -> set[int]:
    return set(items.class_id[split.rows == part].tolist())


@pytest.mark.parametrize(
    ("num_classes", "val", "test"), [(125, 16, 21), (47, 8, 8), (30, 8, 5), (24, 8, 4), (10, 1, 2), (3, 1, 1)]
)
def test_zero_shot_parts_classes_70_13_17_with_at_least_8_for_validation(num_classes: int, val: int, test: int) -> None:
    items = rows(num_classes, photos=2)
    split = assign(items, "zero_shot:0")
    found = {part: classes(items, split, part) for part in ("train", "val", "test")}
    assert {part: len(of) for part, of in found.items()} == {
        "train": num_classes - val - test,
        "val": val,
        "test": test,
    }
    assert not found["train"] & found["val"] and not found["train"] & found["test"] and not found["val"] & found["test"]  # noqa: PT018
    assert split.kind == "zero_shot"


def test_halves_are_the_first_and_the_second_half_of_the_classes_in_the_order_of_their_names() -> None:
    items = rows(47, photos=2)
    split = assign(items, "halves")
    assert classes(items, split, "test") == set(range(23, 47))
    train, val = classes(items, split, "train"), classes(items, split, "val")
    assert train | val == set(range(23))
    assert not train & val
    assert len(val) == 3
    shuffled = assign(items, "halves:0")
    assert len(classes(items, shuffled, "test")) == 24
    assert classes(items, shuffled, "test") != set(range(23, 47))


def test_a_split_depends_on_its_seed_and_not_on_the_order_of_rows() -> None:
    items = rows()
    order = np.random.default_rng(5).permutation(len(items))
    columns = ("item_id", "domain", "class_id", "instance_id", "split")
    other = dataclasses.replace(items, **{name: getattr(items, name)[order] for name in columns})
    for spec in ("zero_shot:1", "generalised:1", "seen:1", "halves:1"):
        split, again = assign(items, spec), assign(other, spec)
        np.testing.assert_array_equal(split.rows[order], again.rows)
        assert split.hash == again.hash
        assert split.hash != assign(items, spec[:-1] + "2").hash


def test_generalised_holds_out_a_tenth_of_the_train_photos_with_their_sketches() -> None:
    items = rows()
    plain, split = assign(items, "zero_shot:0"), assign(items, "generalised:0")
    held = split.rows == "held"
    photos = held & (items.domain == "photo")
    assert photos.sum() == 0.1 * ((plain.rows == "train") & (items.domain == "photo")).sum()
    assert classes(items, split, "held") == classes(items, plain, "train")
    assert set(items.instance_id[held]) == set(items.instance_id[photos])
    assert (held & (items.domain == "sketch")).sum() == 2 * photos.sum()
    np.testing.assert_array_equal(split.rows[~held], plain.rows[~held])


def test_seen_parts_the_photos_of_every_class_and_sketches_follow() -> None:
    items = rows()
    split = assign(items, "seen:0")
    for number in range(30):
        photos = split.rows[(items.class_id == number) & (items.domain == "photo")]
        assert {part: int((photos == part).sum()) for part in ("train", "val", "test")} == {
            "train": 14,
            "val": 2,
            "test": 4,
        }
    for instance in np.unique(items.instance_id):
        assert len(set(split.rows[items.instance_id == instance])) == 1
    assert split.kind == "seen"


def test_seen_divides_sketches_without_a_photo_too() -> None:
    items = rows(paired=False)
    split = assign(items, "seen:0")
    sketches = split.rows[(items.class_id == 3) & (items.domain == "sketch")]
    assert {part: int((sketches == part).sum()) for part in ("train", "val", "test")} == {
        "train": 28,
        "val": 4,
        "test": 8,
    }


@pytest.mark.parametrize("spec", ["zero", "zero_shot", "zero_shot:-1", "zero_shot:x", "stored:0", ""])
def test_an_unknown_split_is_refused_with_the_known_ones(spec: str) -> None:
    with pytest.raises(
        ValueError,
        match="a split must be stored, halves, halves:<seed>, zero_shot:<seed>, generalised:<seed> or seen:<seed>",
    ):
        assign(rows(3), spec)


@pytest.mark.parametrize("num_classes", [1, 2])
def test_too_few_classes_for_a_class_disjoint_split_are_refused(num_classes: int) -> None:
    with pytest.raises(ValueError, match=rf"needs at least 3 classes, got {num_classes}; take seen:<seed> instead"):
        assign(rows(num_classes), "zero_shot:0")


def stored(items: Items, of_class: dict[int, str]) -> Items:
    return dataclasses.replace(items, split=np.array([of_class[number] for number in items.class_id], dtype=object))


def test_the_stored_split_is_used_as_it_is() -> None:
    items = stored(rows(4), {0: "train", 1: "train", 2: "val", 3: "test"})
    split = assign(items, "stored")
    np.testing.assert_array_equal(split.rows, items.split)
    assert split.kind == "zero_shot"
    seen = rows(4)
    kept = dataclasses.replace(seen, split=assign(seen, "seen:0").rows)
    assert assign(kept, "stored").kind == "seen"


def test_a_stored_split_without_a_part_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must have train, val and test rows, \['val'\] are missing"):
        assign(stored(rows(3), {0: "train", 1: "test", 2: "test"}), "stored")


def test_stored_splits_whose_classes_overlap_are_refused() -> None:
    items = stored(rows(4), {0: "train", 1: "train", 2: "val", 3: "test"})
    some = (items.class_id == 0) & (items.instance_id % 2 == 0)
    items.split[some] = "test"
    with pytest.raises(ValueError, match=r"all different or all the same, got 1 of 3 in both \(such as class 00\)"):
        assign(items, "stored")
    items.split[some], items.split[(items.class_id == 3) & (items.instance_id % 2 == 0)] = "train", "val"
    with pytest.raises(ValueError, match="must be in val or in test, got class 03 in both"):
        assign(items, "stored")


def test_a_sketch_in_another_split_than_its_photo_is_refused() -> None:
    items = rows(4)
    parts = assign(items, "seen:0").rows
    row = int(np.flatnonzero((items.domain == "sketch") & (parts == "train"))[0])
    parts[row] = "test"
    with pytest.raises(ValueError, match="sketches must be in the split of their photo"):
        assign(dataclasses.replace(items, split=parts), "stored")


def test_a_split_without_sketches_is_refused() -> None:
    items = stored(rows(4), {0: "train", 1: "train", 2: "val", 3: "test"})
    keep = ~((items.split == "val") & (items.domain == "sketch"))
    columns = ("item_id", "domain", "class_id", "instance_id", "split")
    with pytest.raises(ValueError, match="every split needs sketches and photos, val has 0 and 20"):
        assign(dataclasses.replace(items, **{name: getattr(items, name)[keep] for name in columns}), "stored")
