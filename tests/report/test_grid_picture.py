from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from sbir.report.grid import SIDE, Answers, Grid, Tile
from sbir.report.grid_picture import grid_picture, write_grid_picture

MakeRun = Callable[..., Path]


def test_the_picture_is_written_where_pictures_are_at_hand_and_only_there(make_run: MakeRun, store: Path) -> None:
    folder = make_run(store=store)
    path = write_grid_picture(folder)
    assert path == folder / "retrieval.png"
    with Image.open(folder / "retrieval.png") as picture:
        assert picture.width > 11 * SIDE
        assert picture.height > 6 * SIDE
    assert write_grid_picture(folder, thumbnail=lambda item: None) is None


@pytest.mark.parametrize("correct", [True, False])
def test_right_and_wrong_can_be_told_apart_without_colour(correct: bool) -> None:
    def draw(flag: bool) -> bytes:
        answers = Answers(Tile("q", "owl", None, None), (Tile("a", "owl", flag, None),), 0.5)
        return grid_picture(Grid("m-0", (answers,))).convert("1", dither=Image.Dither.NONE).tobytes()

    assert draw(correct) == draw(correct)
    assert draw(correct) != draw(not correct)
