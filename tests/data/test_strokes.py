import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sbir.data.dataset import Item
from sbir.data.pictures import CANVAS, MARGIN, BrokenImage, draw_strokes, placed
from sbir.data.readers import read_dataset
from sbir.data.strokes import drawn_items, pen_points

BOX = [[[0, 200, 200], [0, 0, 100]], [], [[100], [50]]]  # a corner, and a dot in the middle


def drawn(path: Path, drawing: object) -> Item:
    path.write_text(json.dumps({"key_id": "1", "drawing": drawing}) + "\n")
    return Item("sketch/cat.ndjson/1", "sketch", "cat", None, str(path), 0)


def test_points_lie_where_the_picture_draws_them_and_the_pen_lifts_after_each_stroke(tmp_path: Path) -> None:
    points, count = pen_points(drawn(tmp_path / "cat.ndjson", [BOX[0], [[], []], BOX[2]]), 6)
    low, high, middle = MARGIN, CANVAS - MARGIN, CANVAS / 2
    quarter = (high - low) / 4
    assert points.dtype == np.float32
    assert count == 4
    assert points.tolist() == [
        [low, middle - quarter, 0],
        [high, middle - quarter, 0],
        [high, middle + quarter, 1],
        [middle, middle, 1],
        [0, 0, 0],
        [0, 0, 0],
    ]
    dark = np.asarray(draw_strokes([BOX[0], BOX[2]]).convert("L")) < 128
    assert all(dark[min(int(y), CANVAS - 1), min(int(x), CANVAS - 1)] for x, y, _ in points[:count])


def test_a_long_drawing_keeps_the_ends_of_its_strokes_and_every_so_many_points_between(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    drawing = [rng.uniform(-500, 500, (2, length)).tolist() for length in (3000, 1, 1500, 500)]
    points, count = pen_points(drawn(tmp_path / "cat.ndjson", drawing), 100)
    assert count == 100
    lifts = np.flatnonzero(points[:, 2])
    assert np.diff([-1, *lifts]).tolist() == [58, 1, 30, 11]  # 2 ends and 93 others in shares of 2998 : 1498 : 498
    starts = [0, *(lifts[:-1] + 1)]
    for stroke, start, end in zip(placed(drawing), starts, lifts, strict=True):
        np.testing.assert_allclose(points[[start, end], :2], stroke[[0, -1]], rtol=1e-6)
        along = [int(np.abs(stroke - point).sum(1).argmin()) for point in points[start : end + 1, :2]]
        assert np.ptp(np.diff(along)) <= 1 if len(along) > 1 else along == [0]


@pytest.mark.parametrize("lengths", [[100], [7, 100, 3], [1] * 100, [50, 50], [2] * 49 + [1] * 2])
def test_a_drawing_that_fits_is_kept_whole(tmp_path: Path, lengths: list[int]) -> None:
    drawing = [np.random.default_rng(0).uniform(0, 255, (2, length)).tolist() for length in lengths]
    points, count = pen_points(drawn(tmp_path / "cat.ndjson", drawing), 128)
    assert count == sum(lengths)
    np.testing.assert_allclose(points[:count, :2], np.concatenate(placed(drawing)), rtol=1e-5)


def test_of_too_many_strokes_the_first_are_kept(tmp_path: Path) -> None:
    drawing = [[[10 * number, 10 * number + 1, 10 * number + 2], [0, 0, 1]] for number in range(400)]
    points, count = pen_points(drawn(tmp_path / "cat.ndjson", drawing), 11)
    assert count == 11
    assert points[:, 2].sum() == 5
    assert (np.diff(points[:, 0]) > 0).all()


@pytest.mark.parametrize("drawing", [[], [[[], []]], [[[1, 2], [1]]], [[["x"], [1]]], 3, [[[1e400], [0]]]])
def test_what_is_no_drawing_is_named(tmp_path: Path, drawing: object) -> None:
    with pytest.raises(BrokenImage, match=r"sketch/cat.ndjson/1 cannot be read: "):
        pen_points(drawn(tmp_path / "cat.ndjson", drawing), 10)


def pictures(root: Path) -> Path:
    for name in ("cat", "dog"):
        for path in (f"photo/{name}/1.png", f"sketch/{name}/1-1.png"):
            (root / path).parent.mkdir(parents=True)
            Image.new("RGB", (4, 4)).save(root / path)
    return root


def test_the_drawing_behind_a_picture_is_found_by_its_key(tmp_path: Path) -> None:
    root = pictures(tmp_path)
    with pytest.raises(ValueError, match=r"strokes need drawings, .* has pictures only; leave out --strokes"):
        drawn_items(read_dataset(root))
    (root / "strokes").mkdir()
    lines = [json.dumps({"key_id": key, "drawing": [[[0, x], [0, 0]]]}) for key, x in (("7-1", 1), ("1-1", 9))]
    (root / "strokes/cat.ndjson").write_text("\n".join(lines) + "\n")
    items = read_dataset(root).items
    found = {item.item_id: of for item, of in zip(items, drawn_items(read_dataset(root)), strict=True)}
    assert [name for name, of in found.items() if of] == ["sketch/cat/1-1.png"]
    cat = found["sketch/cat/1-1.png"]
    assert cat is not None
    assert cat.offset == len(lines[0]) + 1
    (root / "strokes/cat.ndjson").write_text("{}\n")
    with pytest.raises(BrokenImage, match=r"cat.ndjson: each line must be a drawing with a key_id"):
        drawn_items(read_dataset(root))
