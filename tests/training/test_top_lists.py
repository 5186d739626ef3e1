from dataclasses import replace

import numpy as np

from sbir.data.items import Items, Payload
from sbir.training.run import top_columns


def test_top_lists_tell_the_class_and_the_very_item_of_each_answer() -> None:
    items = Items(
        item_id=np.array(["s0", "s1", "p0", "p1", "p2"]),
        domain=np.array(["sketch", "sketch", "photo", "photo", "photo"]),
        class_id=np.array([0, 1, 0, 0, 1]),
        instance_id=np.array([7, -1, 8, 7, -1]),
        split=np.array(["test"] * 5),
        class_names=("owl", "cup"),
    )
    columns = top_columns(items, np.array([0, 1]), np.array([[3, 4], [2, 4]]))
    assert {name: list(values) for name, values in columns.items()} == {
        "query": ["s0", "s0", "s1", "s1"],
        "rank": [1, 2, 1, 2],
        "gallery": ["p1", "p2", "p0", "p2"],
        "correct": [True, False, False, True],
        "own": [True, False, False, False],  # an instance that is not known is nobody's
    }
    labels = np.array([[1, 0, 1], [0, 1, 0], [0, 1, 1], [0, 0, 0], [0, 1, 0]], np.uint8)
    labelled = top_columns(
        replace(items, payload={"labels": Payload([labels])}), np.array([0, 1]), np.array([[3, 2], [2, 4]])
    )
    assert labelled["correct"].tolist() == [False, True, True, True]
