"""The hashes of a grey image without rounding: whole numbers only, ties known for certain.

An independent answer for golden.py. A bit is `value > median`, the median being the mean of the two
middle values, so it is the sign of 2·value − low − high; a tie, sign 0, gives the bit 0.
"""

from math import isqrt

import numpy as np
from PIL import Image

FRACTION_BITS = 1024


def resized(grey: Image.Image, width: int, height: int) -> np.ndarray:
    return np.asarray(grey.resize((width, height), Image.Resampling.LANCZOS)).astype(np.int64)


def pack(bits: list[bool]) -> int:
    """Row-major bits, the first most significant, in the high end of 64."""
    return sum(1 << (63 - i) for i, bit in enumerate(bits) if bit)


def above_median(values: list[int]) -> tuple[int, int]:
    """The hash of whole numbers and the mask of the bits that tie with their median."""
    middle = sorted(values)[len(values) // 2 - 1 : len(values) // 2 + 1]
    signs = [2 * value - sum(middle) for value in values]
    return pack([sign > 0 for sign in signs]), pack([sign == 0 for sign in signs])


def block_sums(pixels: np.ndarray, blocks: int) -> list[int]:
    side = pixels.shape[0] // blocks
    return pixels.reshape(blocks, side, blocks, side).sum(axis=(1, 3)).ravel().tolist()


def dhash(grey: Image.Image) -> tuple[int, int]:
    pixels = resized(grey, 9, 8)
    return pack((pixels[:, 1:] > pixels[:, :-1]).ravel().tolist()), 0


def ahash(grey: Image.Image) -> tuple[int, int]:
    pixels = resized(grey, 8, 8)
    return pack((64 * pixels > pixels.sum()).ravel().tolist()), 0


def whash(grey: Image.Image) -> tuple[int, int]:
    """Haar low pass down to 8x8: the sums of the blocks of the largest power-of-two square."""
    side = max(8, 1 << (min(grey.size).bit_length() - 1))
    return above_median(block_sums(resized(grey, side, side), 8))


def whash16(grey: Image.Image) -> tuple[int, int]:
    return above_median(block_sums(resized(grey, 8, 8), 4))


def cosine_table() -> list[int]:
    """cos(kπ/64) for k = 0..32, in units of 2^-FRACTION_BITS: five half-angles, then Chebyshev."""
    one = 1 << FRACTION_BITS
    cosine = isqrt(one * one // 2)  # cos(π/4)
    for _ in range(4):
        cosine = isqrt((one + cosine) * one // 2)  # cos(a/2) = sqrt((1 + cos a) / 2)
    table = [one, cosine]
    while len(table) < 33:
        table.append((2 * cosine * table[-1] >> FRACTION_BITS) - table[-2])
    return table


COSINES = cosine_table()


def dct_coordinates(pixels: np.ndarray) -> np.ndarray:
    """The 64 lowest DCT coefficients of a 32x32 image, each as 32 whole coordinates.

    2·cos(a)·cos(b) = cos(a + b) + cos(a − b), so twice a coefficient is a whole combination of
    cos(kπ/64), k = 0..31. Those are linearly independent over the rationals: coefficients are
    equal exactly when their coordinates are.
    """
    y, x = np.mgrid[0:32, 0:32]
    coordinates = []
    for v in range(8):
        for u in range(8):
            vertical, horizontal = (2 * y + 1) * v, (2 * x + 1) * u
            folded = np.zeros(128, dtype=np.int64)
            np.add.at(folded, (vertical + horizontal) % 128, pixels)
            np.add.at(folded, (vertical - horizontal) % 128, pixels)
            half = folded[:65].copy()
            half[1:64] += folded[:64:-1]  # cos(−a) = cos(a)
            quarter = half[:32].copy()
            quarter[0:32] -= half[:32:-1]  # cos(π − a) = −cos(a); cos(π/2) = 0
            coordinates.append(quarter)
    return np.array(coordinates)


def phash(grey: Image.Image) -> tuple[int, int]:
    """Sorts the coefficients by their value to 1024 bits.

    That decides every comparison: 2·value − low − high, were it not 0, would be an algebraic
    integer whose 32 conjugates are each below 2^23, so above 2^-713, while the error of the sum is
    below 2^-980.
    """
    coordinates = dct_coordinates(resized(grey, 32, 32))
    values = [
        sum(int(c) * cosine for c, cosine in zip(row, COSINES[:32], strict=True))
        for row in coordinates
    ]
    order = sorted(range(64), key=values.__getitem__)
    low, high = order[31], order[32]
    signs = []
    for value, row in zip(values, coordinates, strict=True):
        tied = not np.any(2 * row - coordinates[low] - coordinates[high])
        signs.append(0 if tied else 2 * value - values[low] - values[high])
    return pack([sign > 0 for sign in signs]), pack([sign == 0 for sign in signs])


EXACT_HASHES = {"dhash": dhash, "ahash": ahash, "phash": phash, "whash": whash, "whash16": whash16}
