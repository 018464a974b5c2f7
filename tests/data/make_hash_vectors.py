#!/usr/bin/env python3
"""Writes hash_vectors.tsv: what ImageHash gives for pictures made by formulas.

Needs ImageHash 4.3.2 and Pillow 11 (pip install imagehash==4.3.2 'pillow==11.*'). The formulas are
repeated in tests/unit/image_hasher_test.cpp. Where a value ties with the median, ImageHash's phash
and whash depend on rounding noise: the table has '-' there.
"""

import pathlib

import imagehash
import numpy
import PIL
import scipy.fftpack
from PIL import Image

SIZES = [
    (1, 1), (1, 7), (5, 1), (2, 3), (3, 2), (7, 7), (8, 8), (9, 8), (8, 9), (9, 9), (15, 16),
    (16, 15), (16, 16), (17, 16), (31, 33), (32, 32), (33, 31), (40, 7), (7, 40), (64, 63),
    (63, 65), (97, 101), (128, 128), (127, 129), (150, 100), (257, 255), (333, 250), (512, 384),
    (509, 521), (640, 480), (1021, 300), (300, 1021), (1024, 1024), (1600, 1200), (1300, 1733),
    (3001, 2), (2, 3001), (4000, 9), (11, 5000), (2600, 70), (65500, 8), (9, 65500),
]


def noise(x, y, w, h):
    v = (x * 73856093 ^ y * 19349663) & 0xFFFFFFFF
    v = (v ^ v >> 15) * 2246822519 & 0xFFFFFFFF
    v = (v ^ v >> 13) * 3266489917 & 0xFFFFFFFF
    return (v ^ v >> 16) & 255


def triangle(v):
    """A wave between 0 and 255 with a period of 510."""
    v = v % 510
    return numpy.where(v > 255, 510 - v, v)


def waves(x, y, w, h):
    a = triangle(x * 700 // w + y * 300 // h)
    b = triangle(x * 150 // w + 900 * y // h + 77)
    return (3 * a + 4 * b + noise(x, y, w, h)) // 8


def blocks(x, y, w, h):
    return noise(x * 6 // w, y * 7 // h, w, h)


def black_white(x, y, w, h):
    return (noise(x, y, w, h) & 1) * 255


FORMULAS = [noise, waves, blocks, black_white]


def median_ties(values):
    """Whether a value is the median, so that its bit is a matter of rounding."""
    values = numpy.asarray(values, dtype=float).ravel()
    scale = max(1.0, numpy.abs(values).max())
    return bool((numpy.abs(values - numpy.median(values)) < 1e-9 * scale).any())


def vector(formula, w, h):
    y, x = numpy.mgrid[0:h, 0:w].astype(numpy.int64)
    image = Image.fromarray(formula(x, y, w, h).astype(numpy.uint8), "L")

    small = numpy.asarray(image.resize((32, 32), Image.Resampling.LANCZOS))
    frequencies = scipy.fftpack.dct(scipy.fftpack.dct(small, axis=0), axis=1)[:8, :8]
    n = max(8, 2 ** int(numpy.log2(min(w, h))))
    square = numpy.asarray(image.resize((n, n), Image.Resampling.LANCZOS), dtype=numpy.int64)
    sums = square.reshape(8, n // 8, 8, n // 8).sum(axis=(1, 3))
    return [
        formula.__name__, str(w), str(h),
        str(imagehash.dhash(image)),
        str(imagehash.average_hash(image)),
        "-" if median_ties(frequencies) else str(imagehash.phash(image)),
        "-" if median_ties(sums) else str(imagehash.whash(image)),
    ]


def main():
    assert imagehash.__version__ == "4.3.2" and PIL.__version__.startswith("11.")
    path = pathlib.Path(__file__).with_name("hash_vectors.tsv")
    with path.open("w", encoding="ascii") as out:
        out.write("formula\twidth\theight\tdhash\tahash\tphash\twhash\n")
        for w, h in SIZES:
            for formula in FORMULAS:
                out.write("\t".join(vector(formula, w, h)) + "\n")


if __name__ == "__main__":
    main()
