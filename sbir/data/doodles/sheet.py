"""One picture with every class: a photo and a sketch each, so that a person can judge the doodles."""

from pathlib import Path

from PIL import Image, ImageDraw

from sbir.data.doodles.categories import CATEGORIES

COLUMNS, TILE, TEXT = 8, 96, 14


def contact_sheet(root: str | Path, path: str | Path) -> None:
    """Write a PNG of the first photo and the first sketch of each class of a written data set."""
    rows = -(-len(CATEGORIES) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * 2 * TILE, rows * (TILE + TEXT)), "white")
    write = ImageDraw.Draw(sheet)
    for index, name in enumerate(CATEGORIES):
        x, y = index % COLUMNS * 2 * TILE, index // COLUMNS * (TILE + TEXT)
        write.text((x + 2, y + 1), name.replace("_", " "), fill="black")
        for offset, folder in enumerate(("photo", "sketch")):
            first = min((Path(root) / folder / name).iterdir())
            with Image.open(first) as picture:
                sheet.paste(picture.convert("RGB").resize((TILE, TILE)), (x + offset * TILE, y + TEXT))
    sheet.save(path)
