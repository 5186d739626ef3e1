import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sbir.data.dataset import Item
from sbir.data.pictures import CANVAS, LINE, MARGIN, BrokenImage, draw_strokes, find_picture, picture, pixels


def item(path: Path, offset: int | None = None) -> Item:
    return Item(path.name, "photo", "cat", None, str(path), offset)


def test_transparent_pixels_become_white(tmp_path: Path) -> None:
    image = np.zeros((4, 4, 4), np.uint8)  # transparent black
    image[0, 0] = (255, 0, 0, 255)
    image[0, 1] = (0, 0, 0, 51)  # a fifth black
    Image.fromarray(image).save(tmp_path / "a.png")
    found = pixels(item(tmp_path / "a.png"), 4)
    assert found[0, 0].tolist() == [255, 0, 0]
    assert found[0, 1].tolist() == [204, 204, 204]
    assert (found[1:] == 255).all()


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1", "LA"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    Image.new("RGB", (6, 5), "white").convert(mode).save(path)
    assert (pixels(item(path), 8) == 255).all()


def test_images_are_resized_and_not_cropped(tmp_path: Path) -> None:
    image = np.zeros((10, 40, 3), np.uint8)
    image[:, 20:] = 255
    Image.fromarray(image).save(tmp_path / "a.png")
    found = pixels(item(tmp_path / "a.png"), 8)
    assert found.shape == (8, 8, 3)
    assert (found[:, :3] == 0).all()
    assert (found[:, 5:] == 255).all()


def test_strokes_fill_the_canvas_with_their_proportions_in_black_on_white() -> None:
    box = [[[1000, 1400, 1400, 1000, 1000], [5, 5, 205, 205, 5], [0, 1, 2, 3, 4]]]  # twice as wide as high
    ink = 1 - np.asarray(draw_strokes(box).convert("L")) / 255
    dark = ink > 0.5
    rows, columns = np.flatnonzero(dark.any(1)), np.flatnonzero(dark.any(0))
    inner = CANVAS - 2 * MARGIN
    assert abs((columns[-1] - columns[0]) - (inner + LINE)) <= 2
    assert abs((rows[-1] - rows[0]) - (inner / 2 + LINE)) <= 2
    assert not dark[CANVAS // 2, CANVAS // 4 : 3 * CANVAS // 4].any()
    assert ink.sum() == pytest.approx(LINE * 3 * inner, rel=0.15)


def test_a_dot_is_drawn_and_an_empty_stroke_is_passed_over() -> None:
    dark = np.asarray(draw_strokes([[[5], [5]], [[], []]]).convert("L")) < 128
    assert 0 < dark.sum() <= (LINE + 2) ** 2


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n" + b"\0" * 50])
def test_a_file_that_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(BrokenImage, match=r"bad.png cannot be read: "):
        picture(item(path))


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_an_image_cut_short_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"bad.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(BrokenImage, match=rf"bad.{suffix} cannot be read: "):
        picture(item(path))


@pytest.mark.parametrize(
    "record",
    [{}, {"drawing": []}, {"drawing": [[]]}, {"drawing": [[["x"], [1]]]}, {"drawing": [[[1, 2], [1]]]}, {"drawing": 3}],
)
def test_strokes_that_are_no_drawing_are_named(tmp_path: Path, record: object) -> None:
    path = tmp_path / "cat.ndjson"
    path.write_text(json.dumps(record) + "\n")
    with pytest.raises(BrokenImage, match=r"cat.ndjson cannot be read: "):
        picture(item(path, 0))


def test_the_picture_behind_an_item_id_is_found_again(tmp_path: Path) -> None:
    (tmp_path / "photo/cat").mkdir(parents=True)
    (tmp_path / "sketch").mkdir()
    Image.new("RGB", (7, 9), "red").save(tmp_path / "photo/cat/1.png")
    lines = [json.dumps({"key_id": key, "drawing": [[[0, width], [0, 1]]]}) for key, width in (("5", 1), ("6", 50))]
    (tmp_path / "sketch/cat.ndjson").write_text("\n".join(lines))
    assert find_picture(tmp_path, "photo/cat/1.png").size == (7, 9)
    assert find_picture(tmp_path, "sketch/cat.ndjson/6") == draw_strokes([[[0, 50], [0, 1]]])
    for missing in ("photo/cat/2.png", "sketch/cat.ndjson/7", "sketch/dog.ndjson/5"):
        with pytest.raises(BrokenImage):
            find_picture(tmp_path, missing)
