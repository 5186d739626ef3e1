"""Pixels of an item: images upright and composited on white, strokes drawn in black."""

import io
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageDraw

from sbir.data.dataset import Item
from sbir.data.drawings import find_drawing, has_strokes, read_bitmap, read_strokes

CANVAS = 256  # pixels: QuickDraw's own square, of 0 to 255
MARGIN = 12  # pixels, so that a line at the edge is whole
LINE = 4  # pixels
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM")  # no other reader is tried: some run programs
LARGE_PIXELS, LARGE_SIDE = 16_000_000, 1024  # a JPEG above is decoded smaller, to this side at least
MOST_PIXELS = 90_000_000  # of other formats, which must be decoded whole
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # of the EXIF tag 0x0112
_OVERSAMPLE = 2  # Pillow draws lines without smoothing


class BrokenImage(ValueError):
    """An image or drawing that cannot be read; the text names the file."""


def picture(item: Item) -> Image.Image:
    """An item as an RGB image, in its own size (strokes: 256 x 256). Raises `BrokenImage`."""
    with guarded(item.item_id):
        if item.offset is None:
            return _open(item.path)
        if has_strokes(item):
            return draw_strokes(read_strokes(item))
        return Image.fromarray(read_bitmap(item)).convert("RGB")


@contextmanager
def guarded(item_id: str) -> Iterator[None]:
    """Whatever a bad file makes a reader raise in this block becomes a `BrokenImage` with the item's name."""
    try:
        yield
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, KeyError, TypeError, IndexError) as error:
        raise BrokenImage(f"{item_id} cannot be read: {_short(error)}") from None
    except Image.DecompressionBombError as error:
        raise BrokenImage(f"{item_id} is too large: {_short(error)}") from None


def pixels(item: Item, size: int) -> NDArray[np.uint8]:
    """An item resized, not cropped, to (size, size, 3)."""
    return resized(picture(item), size)


def resized(image: Image.Image, size: int, *, bicubic: bool = False) -> NDArray[np.uint8]:
    """An RGB image resized, not cropped, to (size, size, 3), bilinearly in the usual case."""
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC if bicubic else Image.Resampling.BILINEAR)
    return np.array(image, dtype=np.uint8)


def find_picture(root: str | Path, item_id: str) -> Image.Image:
    """The picture behind an item id, for reports; raises `BrokenImage` where the data set is not at `root` any more."""
    return picture(find_item(root, item_id))


def find_item(root: str | Path, item_id: str) -> Item:
    """The item behind an id, as far as its pixels and strokes go; of an `.ndjson` file without a key the first line.

    Raises `BrokenImage` where a file of drawings has none of that name.
    """
    path = Path(root) / item_id
    file = next((parent for parent in path.parents if parent.is_file()), None)
    if file is None:
        return Item(item_id, "", "", None, str(path), 0 if path.suffix == ".ndjson" else None)
    try:
        offset = find_drawing(file, path.relative_to(file).as_posix())
    except (KeyError, ValueError):
        raise BrokenImage(f"{file} has no drawing {path.relative_to(file)}") from None
    return Item(item_id, "", "", None, str(file), offset)


def thumbnail(root: Path, item_id: str, side: int, quality: int) -> bytes | None:
    """A small JPEG of an item, its longer side `side` pixels; None where the picture is not at hand.

    `root` is resolved, and an id is not to reach for files outside it.
    """
    if not (root / item_id).resolve().is_relative_to(root):
        return None
    try:
        image = find_picture(root, item_id)
    except BrokenImage:
        return None
    image.thumbnail((side, side))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def draw_strokes(drawing: Sequence[Sequence[Sequence[float]]]) -> Image.Image:
    """QuickDraw strokes [[xs, ys, ...], ...], in any unit, scaled into the canvas: black on white."""
    side, width = CANVAS * _OVERSAMPLE, LINE * _OVERSAMPLE
    image = Image.new("L", (side, side), 255)
    pen = ImageDraw.Draw(image)
    for stroke in placed(drawing):
        _draw(pen, [(float(x), float(y)) for x, y in stroke * _OVERSAMPLE], width)
    return image.resize((CANVAS, CANVAS), Image.Resampling.BOX).convert("RGB")


def placed(drawing: Sequence[Sequence[Sequence[float]]]) -> list[NDArray[np.float64]]:
    """Strokes (T, 2) each, without empty ones, moved and scaled alike to fill the canvas up to its margin."""
    points = [np.array([stroke[0], stroke[1]], dtype=np.float64).T for stroke in drawing if len(stroke[0])]  # (T, 2)
    every = np.concatenate(points) if points else np.empty((0, 2))
    if not len(every) or not np.isfinite(every).all():
        raise ValueError("a drawing needs at least one point, and finite ones")
    low, high = every.min(axis=0), every.max(axis=0)
    scale = (CANVAS - 2 * MARGIN) / max(float((high - low).max()), 1e-9)
    return [(stroke - (low + high) / 2) * scale + CANVAS / 2 for stroke in points]


def _draw(pen: ImageDraw.ImageDraw, line: list[tuple[float, float]], width: int) -> None:
    pen.line(line, fill=0, width=width, joint="curve")
    radius = width / 2
    for x, y in (line[0], line[-1]):  # round ends, and dots
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=0)


def _open(path: str) -> Image.Image:
    """The first frame of an image file, upright, on white, as RGB."""
    if not Path(path).is_file():  # opening a pipe would wait for ever
        raise ValueError("it is not a file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata; sizes are checked here
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > LARGE_PIXELS:
                image.draft("RGB", (LARGE_SIDE, LARGE_SIDE))  # of JPEG alone: decoded at a half, a quarter or an eighth
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels are too many, at most {MOST_PIXELS} in all")
            return _on_white(_upright(image))


def _upright(image: Image.Image) -> Image.Image:
    """Turned as the camera's EXIF tag says; a tag that cannot be read says nothing."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, KeyError, TypeError, IndexError):
        orientation = 1
    turn = _TURNS.get(orientation)
    return image.transpose(turn) if turn is not None else image


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits, which Pillow would clip to white
        return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode not in ("RGBA", "LA", "PA", "La", "RGBa") and "transparency" not in image.info:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, layer).convert("RGB")


def _short(error: Exception) -> str:
    return str(error).partition("\n")[0][:200] or type(error).__name__
