"""Photos of objects: filled parts on cluttered ground, looks independent of the class."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sbir.data.doodles.categories import CATEGORIES
from sbir.data.doodles.shape import Part, Points, Shape, rotate

Color = tuple[int, int, int]
OVERSAMPLE = 2
SIZES = (0.78, 0.94)  # of the picture
TRUNCATED, CUTS = 0.13, (0.12, 0.3)  # how many photos are cut by the border, and how much of the object
ROAM = 0.5  # of the room beside the object
SHADE, TEXTURE = 0.08, 4  # of the light across the picture, in parts; of the ground, in grey levels
CLUTTER, OCCLUDED = (1, 4), 0.25  # parts behind the object; photos with something before it
LIGHT, MIDDLE, DARK = (225, 250), (130, 235), (10, 90)  # of a channel: ground, clutter, object


def pose(parts: list[Part], rng: np.random.Generator) -> dict[str, float]:
    """How the object stands before the camera, and where in the picture.

    `size` is the part of the picture that its longer side takes, `cut` the part of its width or height that lies beyond
    the border, 0 for most.
    """
    stand = {
        "mirror": float(rng.random() < 0.5),
        "turn": float(rng.uniform(-8, 8)),
        "squash": float(rng.uniform(0.85, 1.0)),
        "size": float(rng.uniform(*SIZES)),
        "cut": float(rng.uniform(*CUTS)) if rng.random() < TRUNCATED else 0.0,
    }
    turned = _turned(np.concatenate([part.points for part in parts]), stand)
    low, high = turned.min(0), turned.max(0)
    scale = stand["size"] / float((high - low).max())
    extent = (high - low) * scale
    centre = 0.5 + rng.uniform(-0.5, 0.5, 2) * (1 - extent) * ROAM
    if stand["cut"]:
        axis, beyond = int(rng.integers(2)), float(rng.integers(2))
        centre[axis] = beyond - (2 * beyond - 1) * extent[axis] * (0.5 - stand["cut"])
    x, y = centre - (low + high) / 2 * scale
    return {**stand, "scale": scale, "x": float(x), "y": float(y)}


def place(points: Points, stand: dict[str, float]) -> Points:
    """Object coordinates to fractions of the picture."""
    return _turned(points, stand) * stand["scale"] + [stand["x"], stand["y"]]


def _turned(points: Points, stand: dict[str, float]) -> Points:
    return rotate(points * [(-1 if stand["mirror"] else 1) * stand["squash"], 1], stand["turn"])


def render(parts: list[Part], stand: dict[str, float], rng: np.random.Generator, size: int) -> Image.Image:
    """One photo, (size, size) RGB."""
    large = size * OVERSAMPLE
    image = _ground(rng, large)
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(*CLUTTER))):
        _clutter(draw, rng, large)
    base = _color(rng, DARK)
    colors = {name: _near(base, rng, 90) for name in sorted({part.name for part in parts})}
    for part in parts:
        _fill(draw, place(part.points, stand) * large, part, colors[part.name], large)
    if rng.random() < OCCLUDED:
        _occlude(draw, rng, large)
    return _light(image, rng).resize((size, size), Image.Resampling.BOX)


def _ground(rng: np.random.Generator, size: int) -> Image.Image:
    ground = _color(rng, LIGHT)
    first, second = np.array(ground), np.array(_near(ground, rng, 20))
    a = rng.uniform(0, 2 * np.pi)
    ramp = np.linspace(-0.5, 0.5, size)
    mix = np.clip(0.5 + ramp[None] * np.cos(a) + ramp[:, None] * np.sin(a), 0, 1)[..., None]
    texture = np.kron(rng.normal(0, TEXTURE, (size // 8, size // 8, 1)), np.ones((8, 8, 1)))
    return Image.fromarray(np.clip(first * mix + second * (1 - mix) + texture, 0, 255).astype(np.uint8))


def _clutter(draw: ImageDraw.ImageDraw, rng: np.random.Generator, size: int) -> None:
    """One part of some other category, somewhere behind the object."""
    names = list(CATEGORIES)
    parts = CATEGORIES[names[rng.integers(len(names))]].draw(Shape(rng))
    part = parts[rng.integers(len(parts))]
    points = rotate(part.points - part.points.mean(0), rng.uniform(0, 360)) * rng.uniform(0.06, 0.2)
    _fill(draw, (points + rng.random(2)) * size, part, _color(rng, MIDDLE), size)


def _fill(draw: ImageDraw.ImageDraw, points: Points, part: Part, color: Color, size: int) -> None:
    corners = [(float(x), float(y)) for x, y in points]
    if part.closed:
        draw.polygon(corners, fill=color)
    else:
        draw.line(corners, fill=color, width=max(2, size // 40), joint="curve")


def _occlude(draw: ImageDraw.ImageDraw, rng: np.random.Generator, size: int) -> None:
    x, y, w, h = rng.uniform(0, 0.85), rng.uniform(0, 0.85), rng.uniform(0.08, 0.22), rng.uniform(0.08, 0.22)
    box = (x * size, y * size, (x + w) * size, (y + h) * size)
    (draw.ellipse if rng.random() < 0.5 else draw.rectangle)(box, fill=_color(rng, MIDDLE))


def _light(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    pixels: NDArray[np.float64] = np.asarray(image, dtype=np.float64)
    ramp = np.linspace(-1, 1, len(pixels))
    a, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, SHADE)
    shade = 1 + strength * (ramp[None] * np.cos(a) + ramp[:, None] * np.sin(a))
    noise = rng.normal(0, 6, pixels.shape)
    return Image.fromarray(np.clip(pixels * shade[..., None] + noise, 0, 255).astype(np.uint8))


def _color(rng: np.random.Generator, bounds: tuple[int, int]) -> Color:
    red, green, blue = (int(value) for value in rng.integers(*bounds, 3))
    return red, green, blue


def _near(color: Color, rng: np.random.Generator, spread: int) -> Color:
    """A colour like another: the parts of one object are alike, as they mostly are."""
    red, green, blue = (int(np.clip(value + rng.integers(-spread, spread + 1), 0, 255)) for value in color)
    return red, green, blue
