from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from sbir.data.smoke import write_smoke_store
from sbir.data.store import open_store
from sbir.report.grid import SIDE, Answers, Grid, Tile, looks
from sbir.report.grid_picture import grid_picture, write_grid_picture
from sbir.report.load import load_run
from sbir.report.page import write_report

MakeRun = Callable[..., Path]


def test_the_picture_is_written_where_pictures_are_at_hand_and_only_there(make_run: MakeRun, store: Path) -> None:
    folder = make_run(store=store)
    path = write_grid_picture(folder)
    assert path == folder / "retrieval.png"
    with Image.open(folder / "retrieval.png") as picture:
        assert picture.width > 11 * SIDE
        assert picture.height > 6 * SIDE
    assert write_grid_picture(folder, look=lambda item: None) is None


@pytest.mark.parametrize("correct", [True, False])
def test_right_and_wrong_can_be_told_apart_without_colour(correct: bool) -> None:
    def draw(flag: bool) -> bytes:
        answers = Answers(Tile("q", "owl", None, None), (Tile("a", "owl", flag, None),), 0.5)
        return grid_picture(Grid("m-0", (answers,))).convert("1", dither=Image.Dither.NONE).tobytes()

    assert draw(correct) == draw(correct)
    assert draw(correct) != draw(not correct)


def test_an_item_without_picture_is_shown_by_its_words(make_run: MakeRun, tmp_path: Path) -> None:
    store = tmp_path / "texts"
    write_smoke_store(store, texts=True)
    folder = make_run(store=store)
    look = looks(load_run(folder))
    items = open_store(store).items()
    text = str(items.item_id[items.domain == "text"][0])
    words = look(text)
    assert isinstance(words, str)
    assert words.startswith("a thing of ")
    assert look(str(items.item_id[items.domain == "photo"][0])) is None
    page = write_report(folder, look=lambda item: f"{words} <{item}>" if item.startswith("sketch") else None)
    shown = page.read_text(encoding="utf-8")
    assert f'<span class="words">{words} &lt;sketch/' in shown
    assert write_grid_picture(folder, look=lambda item: words) is None  # nothing but words
