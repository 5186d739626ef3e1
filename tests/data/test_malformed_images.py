"""Image files as they are found in the wild: each gives the right pixels, or an error that names it."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from sbir.data.dataset import Item
from sbir.data.pictures import BrokenImage, picture, pixels

SIDE = 8
QUARTERS = np.zeros((SIDE, SIDE, 3), np.uint8)  # red, green / blue, white
QUARTERS[:4, :4], QUARTERS[:4, 4:], QUARTERS[4:, :4], QUARTERS[4:, 4:] = (255, 0, 0), (0, 255, 0), (0, 0, 255), 255


def quarters(mode: str = "RGB") -> Image.Image:
    return Image.fromarray(QUARTERS).convert(mode)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def jpeg(image: Image.Image | None = None, **options: object) -> bytes:
    return encoded(image or quarters(), "JPEG", quality=100, subsampling=0, **options)


def turned(orientation: int) -> bytes:
    """What a camera held so would have stored of the quarters."""
    undo = {1: (), 2: (0,), 3: (3,), 4: (1,), 5: (5,), 6: (2,), 7: (6,), 8: (4,)}[orientation]  # Image.Transpose
    image = quarters()
    for step in undo:
        image = image.transpose(Image.Transpose(step))
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, "PNG", exif=exif)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(header: bytes, data: bytes, *extra: bytes) -> bytes:
    parts = (chunk(b"IHDR", header), *extra, chunk(b"IDAT", data), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def sixteen_bits() -> bytes:
    """A grey ramp of 16 bits, 0 to 65535."""
    rows = b"".join(b"\0" + struct.pack(">8H", *range(0, 65536, 9362)) for _ in range(SIDE))
    return png(struct.pack(">IIBBBBB", SIDE, SIDE, 16, 0, 0, 0, 0), zlib.compress(rows))


def bomb() -> bytes:
    """A PNG that says it has 10^10 pixels, in 80 bytes."""
    return png(struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0), zlib.compress(b"\0" * 100))


def large(width: int, height: int) -> bytes:
    return png(struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0), zlib.compress(b""))


def frames(kind: str, **options: object) -> bytes:
    others = [Image.new("RGB", (SIDE, SIDE), "black")] * 2
    return encoded(quarters(), kind, save_all=True, append_images=others, duration=50, **options)


def half_transparent(mode: str) -> bytes:
    image = Image.fromarray(np.full((SIDE, SIDE), 255 - 2 * 51, np.uint8)).convert("RGBA")
    image.putalpha(Image.fromarray(np.repeat(np.repeat(np.array([[0, 255], [255, 0]], np.uint8), 4, 0), 4, 1)))
    return encoded(image.convert(mode), "PNG")


def palette_with_transparent_white() -> bytes:
    image = quarters("P")
    return encoded(image, "PNG", transparency=image.getpixel((0, 0)))


def broken_profile() -> bytes:
    return jpeg(icc_profile=b"this is no profile" * 10)


def broken_exif() -> bytes:
    return jpeg(exif=b"Exif\0\0II*\0\xff\xff\xff\x7fnonsense")


def with_text() -> bytes:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("svg", "<svg onload='run()'><image href='file:///etc/passwd'/></svg>", zip=True)
    return encoded(quarters(), "PNG", pnginfo=info)


RIGHT: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a plain JPEG": ("a.jpg", jpeg),
    "a progressive JPEG": ("a.jpg", lambda: jpeg(progressive=True)),
    "a JPEG with junk behind": ("a.jpg", lambda: jpeg() + b"junk" * 1000),
    "a PNG with another name": ("a.jpg", lambda: encoded(quarters(), "PNG")),
    "a WebP with another name": ("a.png", lambda: encoded(quarters(), "WEBP", lossless=True)),
    "a palette": ("a.png", lambda: encoded(quarters("P"), "PNG")),
    "a BMP of 32 bits": ("a.bmp", lambda: encoded(quarters("RGBA"), "BMP")),
    "the first frame of a GIF": ("a.png", lambda: frames("GIF")),
    "the first frame of an animated WebP": ("a.webp", lambda: frames("WEBP", lossless=True)),
    "the first frame of an animated PNG": ("a.png", lambda: frames("PNG")),
    "a broken colour profile": ("a.jpg", broken_profile),
    "a broken EXIF": ("a.jpg", broken_exif),
    "text chunks with a drawing in SVG": ("a.png", with_text),
    **{f"EXIF orientation {way}": ("a.jpg", lambda way=way: turned(way)) for way in range(1, 9)},  # type: ignore[misc]
}


BROKEN: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "no bytes": ("a.jpg", lambda: b"", "cannot identify"),
    "text": ("a.jpg", lambda: b"hello", "cannot identify"),
    "a web page": ("a.jpg", lambda: b"<!DOCTYPE html><title>404</title>", "cannot identify"),
    "SVG": ("a.png", lambda: b"<svg><script>run()</script></svg>", "cannot identify"),
    "a JPEG cut short": ("a.jpg", lambda: jpeg(quarters().resize((200, 200)))[:-1500], "truncated"),
    "a PNG cut short": ("a.png", lambda: encoded(quarters(), "PNG")[:-30], ""),
    "a PNG with a wrong checksum": ("a.png", lambda: encoded(quarters(), "PNG").replace(b"IHDR", b"IHDX"), ""),
    "a JPEG's first bytes alone": ("a.jpg", lambda: jpeg()[:20], ""),
    "10^10 pixels": ("a.png", bomb, "too large|exceeds"),
    "more pixels than are decoded": ("a.png", lambda: large(10_000, 10_000), "10000 x 10000 pixels are too many"),
    "no pixels": ("a.png", lambda: large(0, 8), ""),
    "PostScript": ("a.jpg", lambda: b"%!PS-Adobe-3.0 \n%%BoundingBox: 0 0 9 9\n(x) (w) file", "cannot identify"),
    "a Photoshop file": ("a.jpg", lambda: b"8BPS\0\1" + b"\0" * 40, "cannot identify"),
    "a pickle": ("a.png", lambda: b"\x80\x04cposix\nsystem\n(S'touch mark'\ntR.", "cannot identify"),
}  # fmt: skip


def item(path: Path) -> Item:
    return Item(f"photo/cat/{path.name}", "photo", "cat", None, str(path))


@pytest.mark.parametrize("kind", RIGHT)
def test_what_can_be_read_gives_the_right_pixels(tmp_path: Path, kind: str) -> None:
    name, make = RIGHT[kind]
    (tmp_path / name).write_bytes(make())
    found = pixels(item(tmp_path / name), SIDE).astype(int)
    assert np.abs(found - QUARTERS).max() <= 8, kind  # JPEG is not exact


@pytest.mark.parametrize("kind", BROKEN)
def test_what_cannot_be_read_is_named_with_the_reason(tmp_path: Path, kind: str) -> None:
    name, make, reason = BROKEN[kind]
    (tmp_path / name).write_bytes(make())
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BrokenImage, match=rf"photo/cat/{name} (cannot be read|is too large): .*({reason})"):
        picture(item(tmp_path / name))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("way", range(1, 9))
def test_images_are_turned_as_pillow_itself_would_turn_them(tmp_path: Path, way: int) -> None:
    (tmp_path / "a.png").write_bytes(turned(way))
    with Image.open(tmp_path / "a.png") as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(np.asarray(picture(item(tmp_path / "a.png"))), expected)


def test_a_folder_a_pipe_and_a_link_to_nowhere_are_no_images(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    for name in ("folder", "pipe", "link", "loop"):
        with pytest.raises(BrokenImage, match=f"{name}.png cannot be read: it is not a file"):
            picture(item(tmp_path / f"{name}.png"))


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(encoded(quarters(), "PNG"))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "a.png")  # tests may run as root, who may read everything

    monkeypatch.setattr("PIL.Image.open", refuse)
    with pytest.raises(BrokenImage, match=r"a.png cannot be read: .*Permission denied"):
        picture(item(tmp_path / "a.png"))


def test_sixteen_bits_of_grey_keep_their_shades(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(sixteen_bits())
    ramp = [value >> 8 for value in range(0, 65536, 9362)]
    assert pixels(item(tmp_path / "a.png"), SIDE)[3, :, 1].tolist() == ramp


def test_cmyk_becomes_the_colours_that_it_was_made_from(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(quarters("CMYK")))
    assert np.abs(pixels(item(tmp_path / "a.jpg"), SIDE).astype(int) - QUARTERS).max() <= 8


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_are_white_whatever_colour_they_hide(tmp_path: Path, mode: str) -> None:
    (tmp_path / "a.png").write_bytes(half_transparent(mode))
    found = pixels(item(tmp_path / "a.png"), SIDE)
    assert (found[:4, :4] == 255).all()
    assert (found[:4, 4:] == 153).all()
    assert (found[4:, 4:] == 255).all()


def test_a_transparent_palette_entry_is_white(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(palette_with_transparent_white())
    found = pixels(item(tmp_path / "a.png"), SIDE)
    assert (found[:4, :4] == 255).all()
    assert found[0, 7].tolist() == [0, 255, 0]


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1)])
def test_a_pixel_and_extreme_shapes_are_resized_like_others(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "a.png").write_bytes(encoded(Image.new("RGB", size, (10, 20, 30)), "PNG"))
    assert (pixels(item(tmp_path / "a.png"), SIDE) == (10, 20, 30)).all()


def test_a_huge_jpeg_is_decoded_small(tmp_path: Path) -> None:
    whole = quarters().resize((5200, 4000), Image.Resampling.NEAREST)
    (tmp_path / "a.jpg").write_bytes(jpeg(whole))
    assert picture(item(tmp_path / "a.jpg")).size == (
        2600,
        2000,
    )  # of the halves, the smallest with both sides above 1024
    found = pixels(item(tmp_path / "a.jpg"), SIDE)
    assert np.abs(found.astype(int) - QUARTERS)[[1, 1, 6, 6], [1, 6, 1, 6]].max() <= 8
