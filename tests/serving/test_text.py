"""A new text as a model takes it, and what is refused."""

import pytest
from PIL import Image

from sbir.models.texts import texts_of
from sbir.serving.sketch import Sketch, Sketcher, text_rows

TEXTS = {"columns": {"text": {"dtype": "uint8", "shape": [20]}}, "backbone": None}
IMAGES = {"columns": {"image": {"dtype": "uint8", "shape": [64, 64, 3]}}, "backbone": None}


def test_words_become_the_one_row_of_a_text_column_however_long_they_are() -> None:
    for words in ("a café", "two words " * 20):
        rows = text_rows(TEXTS, words)
        assert list(rows) == ["text"]
        assert texts_of(rows["text"]) == [words]


def test_texts_and_sketches_are_not_taken_for_each_other() -> None:
    with pytest.raises(ValueError, match="the model must take texts, it takes image; search with --sketch"):
        text_rows(IMAGES, "a café")
    with pytest.raises(ValueError, match="the model takes texts, not sketches; search with --text WORDS"):
        Sketcher(TEXTS).rows(Sketch(Image.new("RGB", (8, 8))))
    with pytest.raises(ValueError, match="must have words"):
        text_rows(TEXTS, "  ")
