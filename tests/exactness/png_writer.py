"""A small PNG writer for what Pillow cannot write: every depth, interlacing, chosen filters."""

import struct
import zlib
from enum import IntEnum

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# First column and row, then the steps between columns and rows, of the seven passes.
ADAM7 = [
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4),
    (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2),
]  # fmt: skip
FILTERS = 5  # none, sub, up, average, Paeth


class Colour(IntEnum):
    """PNG colour types."""

    GREY = 0
    RGB = 2
    PALETTE = 3
    GREY_ALPHA = 4
    RGBA = 6


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def packed_rows(samples: np.ndarray, depth: int) -> np.ndarray:
    """Samples (height, width, channels) as rows of bytes."""
    flat = samples.reshape(samples.shape[0], -1)
    if depth == 16:
        return flat.astype(">u2").view(np.uint8)
    if depth == 8:
        return flat.astype(np.uint8)
    bits = (flat[:, :, None] >> np.arange(depth - 1, -1, -1)) & 1
    return np.packbits(bits.reshape(flat.shape[0], -1).astype(np.uint8), axis=1)


def filtered(kind: int, row: np.ndarray, above: np.ndarray, pixel_bytes: int) -> np.ndarray:
    """One row of bytes under a PNG filter (PNG specification, section 9)."""
    up = above.astype(np.int16)
    left = np.concatenate([np.zeros(pixel_bytes, np.int16), row.astype(np.int16)])[: row.size]
    upper_left = np.concatenate([np.zeros(pixel_bytes, np.int16), up])[: row.size]
    if kind == 4:
        estimate = left + up - upper_left
        to_left, to_up, to_corner = (abs(estimate - n) for n in (left, up, upper_left))
        nearest_up = np.where(to_up <= to_corner, up, upper_left)
        prediction = np.where((to_left <= to_up) & (to_left <= to_corner), left, nearest_up)
    else:
        prediction = (np.zeros_like(up), left, up, (left + up) // 2)[kind]
    return (row - prediction).astype(np.uint8)


def filtered_image(samples: np.ndarray, depth: int, filter_kind: int | None) -> bytes:
    """The filtered rows of one pass; without a filter kind, the rows take all five in turn."""
    if 0 in samples.shape:
        return b""
    pixel_bytes = max(1, samples.shape[2] * depth // 8)
    rows = packed_rows(samples, depth)
    above = np.zeros_like(rows[0])
    out = []
    for y, row in enumerate(rows):
        kind = y % FILTERS if filter_kind is None else filter_kind
        out.append(bytes([kind]) + filtered(kind, row, above, pixel_bytes).tobytes())
        above = row
    return b"".join(out)


def write_png(
    samples: np.ndarray,
    colour: Colour,
    depth: int = 8,
    *,
    interlaced: bool = False,
    filter_kind: int | None = None,
    before_palette: bytes = b"",
    palette: bytes = b"",
    before_data: bytes = b"",
    after_data: bytes = b"",
    data_chunk_size: int = 1 << 20,
) -> bytes:
    """Encodes samples (height, width[, channels]), each already in 0 .. 2^depth − 1.

    The `before_` and `after_` arguments are whole chunks to put at those places.
    """
    samples = samples.reshape(samples.shape[0], samples.shape[1], -1)
    height, width = samples.shape[:2]
    if interlaced:
        passes = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7]
        raw = b"".join(filtered_image(part, depth, filter_kind) for part in passes)
    else:
        raw = filtered_image(samples, depth, filter_kind)
    data = zlib.compress(raw, 9)
    parts = [data[i : i + data_chunk_size] for i in range(0, len(data), data_chunk_size)]
    return b"".join(
        [
            SIGNATURE,
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)),
            before_palette,
            chunk(b"PLTE", palette) if palette else b"",
            before_data,
            *(chunk(b"IDAT", part) for part in parts),
            after_data,
            chunk(b"IEND", b""),
        ]
    )
