"""The retrieval grid as one PNG: for a paper, a README, or a W&B run when its owner asks for pictures there."""

import io
from pathlib import Path
from textwrap import wrap

from PIL import Image, ImageDraw

from sbir.report.grid import SIDE, Grid, Look, Tile, looks, retrieval_grid
from sbir.report.load import load_run

PICTURE = "retrieval.png"
_GAP, _FRAME = 8, 5  # pixels
_RIGHT, _WRONG, _QUERY = (0, 121, 90), (192, 77, 0), (31, 41, 51)
_CELL = SIDE + 2 * _FRAME + _GAP


def write_grid_picture(run_dir: str | Path, *, look: Look | None = None) -> Path | None:
    """Write `retrieval.png` into the run's folder; None where there is no ranking or no picture at hand."""
    run = load_run(run_dir)
    grid = retrieval_grid(run, look or looks(run))
    if grid is None or all(tile.picture is None for row in grid.rows for tile in (row.query, *row.tiles)):
        return None
    path = run.path / PICTURE
    part = path.with_name(PICTURE + ".part")
    grid_picture(grid).save(part, "PNG")
    part.replace(path)
    return path


def grid_picture(grid: Grid) -> Image.Image:
    """Queries in the first column, answers beside them: solid frame and tick for right, broken and cross for wrong."""
    columns = 1 + max(len(row.tiles) for row in grid.rows)
    sheet = Image.new("RGB", (columns * _CELL + 2 * _GAP, len(grid.rows) * _CELL + _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for down, row in enumerate(grid.rows):
        for across, tile in enumerate((row.query, *row.tiles)):
            _draw_tile(sheet, pen, tile, (_GAP + across * _CELL + (_GAP if across else 0), _GAP + down * _CELL))
    return sheet


def _draw_tile(sheet: Image.Image, pen: ImageDraw.ImageDraw, tile: Tile, corner: tuple[int, int]) -> None:
    x, y = corner
    end = SIDE + 2 * _FRAME - 1
    colour = _QUERY if tile.correct is None else _RIGHT if tile.correct else _WRONG
    if tile.picture is not None:
        with Image.open(io.BytesIO(tile.picture)) as picture:
            sheet.paste(picture, (x + _FRAME + (SIDE - picture.width) // 2, y + _FRAME + (SIDE - picture.height) // 2))
    else:
        pen.multiline_text((x + _FRAME + 2, y + _FRAME + 2), "\n".join(wrap(tile.words, 18)[:7]), fill=_QUERY)
    pen.rectangle((x, y, x + end, y + end), outline=colour, width=_FRAME - 1)
    if tile.correct is not None:
        _draw_mark(pen, tile.correct, (x + end - 20, y), colour)
    if tile.correct is False:
        for at in range(12, SIDE, 24):  # break the frame on two sides, for readers and printers without colour
            pen.rectangle((x + at, y + end - _FRAME + 1, x + at + 9, y + end), fill="white")
            pen.rectangle((x, y + at, x + _FRAME - 1, y + at + 9), fill="white")


def _draw_mark(pen: ImageDraw.ImageDraw, correct: bool, corner: tuple[int, int], colour: tuple[int, int, int]) -> None:
    x, y = corner
    pen.rectangle((x, y, x + 20, y + 20), fill=colour)
    strokes = [[(5, 11), (9, 15), (16, 5)]] if correct else [[(5, 5), (15, 15)], [(5, 15), (15, 5)]]
    for stroke in strokes:
        pen.line([(x + right, y + down) for right, down in stroke], fill="white", width=3)
