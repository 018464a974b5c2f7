"""Picture contents, as RGB arrays (height, width, 3) of bytes; the same for the same seed."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Rng = np.random.Generator
Painter = Callable[[Rng, int, int], np.ndarray]


def clouds(rng: Rng, width: int, height: int) -> np.ndarray:
    """Noise whose amplitude falls with its frequency (1/f), as that of photographs does."""
    total = np.zeros((height, width, 3))
    side = max(width, height)
    cells = 2
    while cells <= side:
        grid = rng.integers(0, 256, (cells * height // side + 2, cells * width // side + 2, 3))
        layer = Image.fromarray(grid.astype(np.uint8)).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        total += np.asarray(layer).astype(np.float64) / cells
        cells *= 2
    low, high = total.min(), total.max()
    return ((total - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)


def smooth(rng: Rng, width: int, height: int) -> np.ndarray:
    grid = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC))


def gradient(rng: Rng, width: int, height: int) -> np.ndarray:
    """A linear ramp, with its own direction in each channel."""
    y, x = np.mgrid[0:height, 0:width]
    across, down = rng.integers(-255, 256, (2, 3))
    start = rng.integers(0, 256, 3)
    ramp = (
        start
        + x[..., None] * across // max(width - 1, 1)
        + y[..., None] * down // max(height - 1, 1)
    )
    return np.abs((ramp + 255) % 511 - 255).astype(np.uint8)


def draw_shapes(rng: Rng, canvas: Image.Image, count: int) -> None:
    draw = ImageDraw.Draw(canvas)
    for _ in range(count):
        x, y = int(rng.integers(0, canvas.width)), int(rng.integers(0, canvas.height))
        wide, high = (1 + int(rng.integers(0, 1 + side // 2)) for side in canvas.size)
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        paint = draw.ellipse if rng.integers(0, 2) else draw.rectangle
        paint((x - wide // 2, y - high // 2, x + wide // 2, y + high // 2), fill=colour)


def shapes(rng: Rng, width: int, height: int) -> np.ndarray:
    canvas = Image.new("RGB", (width, height), tuple(int(c) for c in rng.integers(0, 256, 3)))
    draw_shapes(rng, canvas, 12)
    return np.asarray(canvas)


def scene(rng: Rng, width: int, height: int) -> np.ndarray:
    """Hard-edged objects before a cloudy background."""
    canvas = Image.fromarray(clouds(rng, width, height))
    draw_shapes(rng, canvas, 4)
    return np.asarray(canvas)


def text(rng: Rng, width: int, height: int) -> np.ndarray:
    """A page of dark glyphs on light paper."""
    canvas = Image.new("RGB", (width, height), (250, 248, 240))
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default_imagefont()
    for y in range(2, height, 13):
        line = "".join(chr(c) for c in rng.integers(33, 127, max(1, width // 6)))
        draw.text((3, y), line, fill=(20, 20, 60), font=font)
    return np.asarray(canvas)


def noise(rng: Rng, width: int, height: int) -> np.ndarray:
    return rng.integers(0, 256, (height, width, 3)).astype(np.uint8)


def flat(rng: Rng, width: int, height: int) -> np.ndarray:
    return np.broadcast_to(rng.integers(0, 256, 3).astype(np.uint8), (height, width, 3)).copy()


def grey(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).convert("L"))


def cmyk(picture: np.ndarray) -> np.ndarray:
    """Adobe's CMYK: inverted inks, with the black taken out of the colours."""
    key = picture.max(axis=2, keepdims=True)
    colours = picture.astype(np.uint16) * 255 // np.maximum(key, 1)
    return np.concatenate([colours.astype(np.uint8), key], axis=2)


def quantise(samples: np.ndarray, depth: int) -> np.ndarray:
    """8-bit samples as samples of another depth; 16-bit ones get a low byte of their own."""
    if depth == 16:
        low = (samples.astype(np.uint32) * 151 + 89) % 256
        return samples.astype(np.uint32) * 256 + low
    return samples >> (8 - depth)
