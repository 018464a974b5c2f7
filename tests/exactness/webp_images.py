"""The WebPs of the exactness test."""

import io
import struct

import numpy as np
from PIL import Image

import pictures
from image_set import ImageSet, icc_profile
from tiff_writer import exif

ALPHA, ANIMATION, EXIF, XMP = 0x10, 0x02, 0x08, 0x04


def encode(picture: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "WEBP", **options)
    return stream.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def container(*chunks: bytes) -> bytes:
    data = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(data)) + data


def number24(value: int) -> bytes:
    return struct.pack("<I", value)[:3]


def extended(size: tuple[int, int], flags: int) -> bytes:
    return chunk(b"VP8X", bytes([flags, 0, 0, 0]) + number24(size[0] - 1) + number24(size[1] - 1))


def image_chunks(picture: np.ndarray, **options: object) -> bytes:
    """The chunks of a picture (VP8 or VP8L, ALPH) without those of its container."""
    data = encode(picture, **options)[12:]
    if data.startswith(b"VP8X"):
        data = data[18:]
    return data


def frame(picture: np.ndarray, at: tuple[int, int], flags: int = 0, **options: object) -> bytes:
    height, width = picture.shape[:2]
    head = b"".join(number24(n) for n in (at[0] // 2, at[1] // 2, width - 1, height - 1, 50))
    return chunk(b"ANMF", head + bytes([flags]) + image_chunks(picture, **options))


def with_alpha(images: ImageSet, picture: np.ndarray) -> np.ndarray:
    alpha = pictures.grey(images.paint(picture.shape[1::-1], pictures.gradient))
    return np.dstack([picture, alpha])


def lossy(images: ImageSet) -> None:
    for number, quality in enumerate((1, 5, 20, 50, 75, 90, 100)):
        data = encode(images.paint(), quality=quality, method=number % 7)
        images.save(f"webp-lossy_q{quality}.webp", data)
    for quality, alpha_quality in ((40, 100), (80, 30), (95, 0)):
        picture = with_alpha(images, images.paint())
        data = encode(picture, quality=quality, alpha_quality=alpha_quality, exact=True)
        images.save(f"webp-lossy-alpha_q{quality}_{alpha_quality}.webp", data)
    for name, painter in (("text", pictures.text), ("noise", pictures.noise)):
        data = encode(images.paint((90, 61), painter), quality=70)
        images.save(f"webp-lossy_{name}.webp", data)
    for width, height in ((1, 1), (1, 2), (2, 1), (3, 3), (1, 19), (23, 1), (16, 17), (33, 32)):
        data = encode(images.paint((width, height)), quality=85)
        images.save(f"webp-lossy-size_{width}x{height}.webp", data)
    images.save("webp-lossy-size_500x2.webp", encode(images.paint((500, 2)), quality=60))


def lossless(images: ImageSet) -> None:
    for number, effort in enumerate((0, 40, 75, 100)):
        data = encode(images.paint(), lossless=True, quality=effort, method=2 * number)
        images.save(f"webp-lossless_effort-{effort}.webp", data)
    for colours in (2, 3, 16, 200):
        reduced = Image.fromarray(images.paint()).quantize(colours).convert("RGB")
        data = encode(np.asarray(reduced), lossless=True)
        images.save(f"webp-lossless_{colours}-colours.webp", data)
    for exact in (False, True):
        picture = with_alpha(images, images.paint())
        picture[:20, :, 3] = 0
        data = encode(picture, lossless=True, exact=exact)
        images.save(f"webp-lossless-alpha_{'exact' if exact else 'cleared'}.webp", data)
    grey = pictures.grey(images.paint())
    images.save("webp-lossless_grey.webp", encode(np.dstack([grey] * 3), lossless=True))
    for name, size, painter in (
        ("noise", (31, 40), pictures.noise), ("flat", (90, 61), pictures.flat),
    ):  # fmt: skip
        data = encode(images.paint(size, painter), lossless=True)
        images.save(f"webp-lossless_{name}.webp", data)
    for width, height in ((1, 1), (2, 3), (1, 400), (500, 1)):
        data = encode(images.paint((width, height)), lossless=True)
        images.save(f"webp-lossless-size_{width}x{height}.webp", data)


def containers(images: ImageSet) -> None:
    data = encode(images.paint(), quality=80, icc_profile=icc_profile())
    images.save("webp-container_icc.webp", data)
    data = encode(images.paint(), quality=80) + b"what follows"
    images.save("webp-container_trailing-bytes.webp", data)
    picture = images.paint((33, 31))
    chunks = [extended((33, 31), 0), chunk(b"abcd", b"odd"), image_chunks(picture, quality=80)]
    images.save("webp-container_unknown-chunk.webp", container(*chunks))


def animations(images: ImageSet) -> None:
    loop = chunk(b"ANIM", bytes([10, 200, 90, 255, 0, 0]))
    for name, size, at, options in (
        ("lossy", (40, 30), (0, 0), {"quality": 75}),
        ("lossless", (40, 30), (0, 0), {"lossless": True}),
        ("inside", (61, 53), (12, 8), {"lossless": True}),
        ("inside-lossy", (60, 50), (20, 20), {"quality": 60}),
    ):
        first, second = images.paint((40, 30)), images.paint((20, 22))
        frames = [frame(first, at, **options), frame(second, (2, 2), quality=50)]
        images.save(
            f"webp-animated_{name}.webp", container(extended(size, ANIMATION), loop, *frames)
        )
    for flags in (0, 1, 2, 3):  # blended or not, disposed of or not
        picture = with_alpha(images, images.paint((40, 30)))
        data = frame(picture, (4, 6), flags, lossless=flags > 1, exact=True)
        data = container(extended((50, 41), ANIMATION | ALPHA), loop, data)
        images.save(f"webp-animated_alpha-{flags}.webp", data)


def orientations(images: ImageSet) -> None:
    for orientation in range(1, 9):
        picture = images.paint((40 + orientation, 31), pictures.scene)
        data = encode(picture, quality=70, exif=exif(orientation, "<>"[orientation % 2]))
        images.save(f"webp-orient_{orientation}.webp", data)
    size = (43, 30)
    three, eight = chunk(b"EXIF", exif(3)), chunk(b"XMP ", b'<x tiff:Orientation="8"/>')
    metadata = {
        "prefix": (EXIF, chunk(b"EXIF", b"Exif\0\0" + exif(6))),
        "xmp": (XMP, eight),
        "both": (XMP | EXIF, three + eight),
        "not-announced": (0, chunk(b"EXIF", exif(6))),
        "twice": (EXIF, chunk(b"EXIF", exif(5)) + chunk(b"EXIF", exif(6))),
    }
    for name, (flags, chunks) in metadata.items():
        picture = image_chunks(images.paint(size, pictures.scene), quality=70)
        images.save(f"webp-orient_{name}.webp", container(extended(size, flags), picture, chunks))


def make(images: ImageSet) -> None:
    for part in (lossy, lossless, containers, animations, orientations):
        part(images)
