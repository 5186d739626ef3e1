"""Protocols: which rows are scored, what k is, and that a fingerprint changes with every part."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from sbir.data.items import Items, Payload
from sbir.data.protocol import Part, Protocol, make_protocol, partition
from sbir.data.splits import Split, assign

CLASSES, PHOTOS = 26, 10


def items() -> Items:
    class_id = np.repeat(np.arange(CLASSES), PHOTOS)
    count = len(class_id)
    return Items(
        item_id=np.array([f"{side}{number}" for side in "ps" for number in range(count)]),
        domain=np.repeat(["photo", "sketch"], count),
        class_id=np.tile(class_id, 2),
        instance_id=np.tile(np.arange(count), 2),
        split=np.full(2 * count, ""),
        class_names=tuple(f"c{number}" for number in range(CLASSES)),
        payload={"feature": Payload([np.zeros((2 * count, 2), np.float32)])},
    )


def protocol(split: Split, name: str | None = None, k: int | None = None) -> Protocol:
    return make_protocol(items(), split, split_spec="x", content_hash="y", synthetic=False, name=name, k=k)


def test_zero_shot_scores_unseen_classes_and_refits_on_train_and_val() -> None:
    split = assign(items(), "zero_shot:1")
    made = protocol(split)
    val, test = (partition(items(), split, made, part) for part in ("val", "test"))
    classes = [set(items().class_id[rows]) for rows in (val.train_query, val.gallery, test.gallery)]
    assert sum(len(one) for one in classes) == len(set().union(*classes)) == CLASSES
    assert set(test.train_query) == set(val.train_query) | set(val.query)
    assert made.k == PHOTOS


def test_generalised_adds_held_out_photos_of_seen_classes_to_the_gallery_only() -> None:
    split = assign(items(), "generalised:0")
    narrow, wide, seen = (protocol(split, name) for name in ("zero_shot", "generalised", "seen"))
    rows = {one.name: partition(items(), split, one, "test") for one in (narrow, wide, seen)}
    assert set(rows["generalised"].gallery) == set(rows["zero_shot"].gallery) | set(rows["seen"].gallery)
    assert (rows["generalised"].query == rows["zero_shot"].query).all()
    assert not set(rows["generalised"].gallery) & set(rows["generalised"].train_gallery)


def test_k_follows_the_test_gallery_and_must_fit_it() -> None:
    split = assign(items(), "seen:0")
    assert protocol(split).k == 2  # 20 % of 10 photos a class
    with pytest.raises(ValueError, match=r"eval/k must be between 1 and the val gallery size 26, got 27"):
        protocol(split, k=27)


def test_a_split_without_held_out_photos_cannot_be_generalised() -> None:
    with pytest.raises(ValueError, match="generalised:0 holds out"):
        protocol(assign(items(), "zero_shot:0"), "generalised")


def test_every_part_changes_the_fingerprint() -> None:
    made = protocol(assign(items(), "zero_shot:0"))
    changes = {"name": "seen", "k": 3, "split_hash": "z", "content_hash": "z", "synthetic": True, "centre": True}
    prints = {replace(made, **{key: value}).fingerprint() for key, value in changes.items()}  # type: ignore[arg-type]
    assert len(prints | {made.fingerprint()}) == len(changes) + 1


def test_sketches_are_retrieved_by_other_sketches_of_their_class_and_each_item_is_on_one_side() -> None:
    split = assign(items(), "zero_shot:1")
    made = make_protocol(items(), split, split_spec="x", content_hash="y", synthetic=False, gallery="sketch")
    for part in get_args(Part):
        rows = partition(items(), split, made, part)
        assert not set(rows.query) & set(rows.gallery)
        scored = np.flatnonzero((split.rows == part) & (items().domain == "sketch"))
        assert set(rows.query) | set(rows.gallery) == set(scored)
        for number in set(items().class_id[scored]):
            count = (items().class_id[scored] == number).sum()
            assert (items().class_id[rows.query] == number).sum() == count // 2
        assert not rows.paired
    assert made.fingerprint() != protocol(split).fingerprint()
    assert "half are queries" in str(made.lines()["gallery"])


def test_of_many_sketches_a_class_gives_a_hundred_queries_and_a_gallery_of_a_thousand_as_the_source_has_it() -> None:
    count = 1300
    many = Items(
        item_id=np.array([f"s{number}" for number in range(2 * count)]),
        domain=np.full(2 * count, "sketch"),
        class_id=np.repeat([0, 1], count),
        instance_id=np.full(2 * count, -1),
        split=np.full(2 * count, "test"),
        class_names=("a", "b"),
    )
    rows = np.full(2 * count, "test", dtype=object)
    rows[::count] = "train"
    split = Split(rows, "seen", "x")
    made = Protocol("seen", 5, "map_all", "x", "x", "x", False, gallery="sketch")
    found = partition(many, split, made, "test")
    assert [(many.class_id[found.query] == number).sum() for number in (0, 1)] == [100, 100]
    assert [(many.class_id[found.gallery] == number).sum() for number in (0, 1)] == [1000, 1000]


def test_photos_are_retrieved_by_all_other_photos_at_the_published_ranks() -> None:
    split = assign(items(), "zero_shot:1")
    made = make_protocol(
        items(), split, split_spec="x", content_hash="y", synthetic=False, gallery="photo", query="photo",
        select="recall_at_1", dataset="sop",
    )  # fmt: skip
    assert (made.select, made.recall) == ("recall_at_1", (1, 10))  # a gallery of 80 has no rank 100
    rows = partition(items(), split, made, "test")
    assert (rows.query == rows.gallery).all()
    assert not rows.paired
    assert made.lines()["gallery"] == "all other photos of the unseen classes"
    assert made.lines()["query"] == "photos"
    assert "query" not in protocol(split).lines()  # or every older figure would lose its fingerprint


def test_a_data_set_may_say_on_which_side_a_photo_is() -> None:
    side = np.tile([1, 2, 0, 2, 1], len(items()) // 5).astype(np.uint8)  # query, gallery, both
    sided = replace(items(), payload={"side": Payload([side])})
    split = assign(sided, "zero_shot:1")
    made = make_protocol(
        sided, split, split_spec="x", content_hash="y", synthetic=False, gallery="photo", query="photo"
    )
    rows = partition(sided, split, made, "test")
    assert set(side[rows.query]) == {0, 1}
    assert set(side[rows.gallery]) == {0, 2}


def test_items_with_labels_are_relevant_by_them() -> None:
    labels = Payload([np.ones((len(items()), 3), np.uint8)])
    tagged = replace(items(), payload={"labels": labels})
    made = make_protocol(tagged, assign(tagged, "seen:0"), split_spec="x", content_hash="y", synthetic=False)
    assert made.relevant == "labels"
    assert made.lines()["relevant"] == "photos of a label of the query (accuracy: the query's own photo)"
    assert made.fingerprint() != protocol(assign(items(), "seen:0")).fingerprint()
