"""The camera RAW files of the exactness test: DNGs of a camera that nobody made."""

import struct

import numpy as np

import pictures
import tiff_writer as tiff
from image_set import ImageSet
from tiff_writer import Tags, write_tiff

MAKE, MODEL, SUB_DIRECTORIES, CFA_SIZE, CFA_PATTERN = 271, 272, 330, 33421, 33422
DNG_VERSION, CAMERA, BLACK_LEVEL, WHITE_LEVEL, COLOUR_MATRIX = 50706, 50708, 50714, 50717, 50721
NEUTRAL, ILLUMINANT, ACTIVE_AREA = 50728, 50778, 50829
FILTER_ARRAY, LINEAR_RAW = 32803, 34892
DAYLIGHT = 21

PATTERNS = {"rggb": (0, 1, 1, 2), "bggr": (2, 1, 1, 0), "grbg": (1, 0, 2, 1), "gbrg": (1, 2, 0, 1)}
# From CIE XYZ to the camera's colours: those of sRGB, mixed a little.
MATRIX = (2.9, -1.3, -0.4, -0.9, 1.8, 0.1, 0.1, -0.2, 1.0)
WHITE = (0.5, 1.0, 0.625)  # the camera's colours of a white thing


def camera_tags(neutral: tuple[float, float, float]) -> Tags:
    return {
        tiff.SUBFILE_TYPE: 0,
        MAKE: "Vamhash",
        MODEL: "One",
        DNG_VERSION: bytes([1, 4, 0, 0]),
        CAMERA: "Vamhash One",
        COLOUR_MATRIX: MATRIX,
        NEUTRAL: neutral,
        ILLUMINANT: DAYLIGHT,
    }


def sensor_values(
    picture: np.ndarray, white: tuple[float, ...], black_level: int, white_level: int
) -> np.ndarray:
    """What a sensor sees of a picture, in all three colours of each pixel."""
    light = (picture / 255.0) ** 2.2 * np.array(white)
    return (black_level + light * (white_level - black_level)).round().astype(np.uint32)


def mosaic(values: np.ndarray, pattern: str) -> np.ndarray:
    """Of each pixel the colour that its filter lets through."""
    y, x = np.mgrid[0 : values.shape[0], 0 : values.shape[1]]
    colours = np.array(PATTERNS[pattern])[y % 2 * 2 + x % 2]
    return np.take_along_axis(values, colours[..., None], axis=2)


def dng(
    picture: np.ndarray,
    *,
    pattern: str = "rggb",
    bits: int = 16,
    black: int = 0,
    white_level: int | None = None,
    neutral: tuple[float, float, float] = WHITE,
    linear: bool = False,
    tags: Tags | None = None,
    **options: object,
) -> bytes:
    level = white_level or (1 << bits) - 1
    values = sensor_values(picture, neutral, black, level)
    samples = values if linear else mosaic(values, pattern)
    count = samples.shape[2]
    more: Tags = camera_tags(neutral) | {
        BLACK_LEVEL: [black] * count,
        WHITE_LEVEL: [level] * count,
    }
    if not linear:
        more |= {CFA_SIZE: [2, 2], CFA_PATTERN: bytes(PATTERNS[pattern])}
    photometric = LINEAR_RAW if linear else FILTER_ARRAY
    return write_tiff(samples, photometric, bits, tags=more | (tags or {}), **options)


def with_thumbnail(picture: np.ndarray) -> bytes:
    """As cameras write it: a thumbnail in front, the sensor's data in a directory below."""
    small = picture[::8, ::8]
    neutral = {tag: value for tag, value in camera_tags(WHITE).items() if tag != tiff.SUBFILE_TYPE}

    def front(below: int) -> bytes:
        tags = neutral | {tiff.SUBFILE_TYPE: 1, SUB_DIRECTORIES: below}
        return write_tiff(small, tiff.RGB, tags=tags)

    length = len(front(1 << 20)) + len(front(1 << 20)) % 2
    rest = dng(picture, at=length)
    below = struct.unpack_from("<I", rest, 4)[0]
    return front(below + (1 << 20)).replace(
        struct.pack("<I", below + (1 << 20)), struct.pack("<I", below)
    ).ljust(length, b"\0") + rest


def make(images: ImageSet) -> None:
    def save(name: str, data: bytes) -> None:
        images.save(f"raw-{name}.dng", data)

    def scene(width: int = 72, height: int = 56) -> np.ndarray:
        return images.paint((width, height), pictures.scene)

    for pattern in PATTERNS:
        save(f"pattern_{pattern}", dng(scene(), pattern=pattern))
    for bits in (8, 10, 12, 14):
        save(f"bits_{bits}", dng(scene(), bits=bits))
    for orientation in (2, 3, 5, 6, 8):
        save(f"orient_{orientation}", dng(scene(), tags={tiff.ORIENTATION: orientation}))
    save("levels", dng(scene(), bits=14, black=512, white_level=15000))
    save("white_even", dng(scene(), neutral=(1.0, 1.0, 1.0)))
    save("white_warm", dng(scene(), neutral=(0.9, 1.0, 0.3)))
    save("big-endian", dng(scene(), order=">"))
    save("strips", dng(scene(), rows_per_strip=7))
    save("odd_61x75", dng(scene(61, 75)))
    save("active-area", dng(scene(80, 60), tags={ACTIVE_AREA: [4, 8, 58, 76]}))
    save("linear", dng(scene(), linear=True))
    save("thumbnail", with_thumbnail(scene(96, 64)))
    save("clouds", dng(images.paint((90, 60), pictures.clouds)))
