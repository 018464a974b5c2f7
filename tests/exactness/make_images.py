#!/usr/bin/env python3
"""Makes tests/data/images: every kind of image that must hash as ImageHash on Pillow does.

A file is named KIND_detail, the kind beginning with the format. The same packages and libjpeg make
the same files; the committed files, not this script, are what the tests use. Photographs, JPEG and
PNG, are derived from CC0 sources in the folder given by --photos (tests/data/README.md names them).
"""

import argparse
import io
import itertools
import struct
import subprocess
import tempfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

import bmp_images
import gif_images
import pictures
import tiff_images
import webp_images
from image_set import SMALL_SIZES, ImageSet, icc_profile
from png_writer import Colour, chunk, write_png
from tiff_writer import exif

HERE = Path(__file__).resolve().parent
EDGE_SIZES = [
    (1, 1), (1, 2), (2, 1), (1, 19), (23, 1), (2, 3), (7, 7), (8, 8), (9, 8), (8, 9), (15, 16),
    (16, 17), (32, 32), (31, 33), (63, 64), (65, 64), (127, 129), (128, 128), (255, 257),
]  # fmt: skip
LONG_SIZES = [(3000, 2), (2, 3000), (1500, 1), (7, 1200), (1201, 17)]


def with_segment(jpeg: bytes, marker: int, data: bytes) -> bytes:
    """Puts an APPn or COM segment right after SOI."""
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data + jpeg[2:]


# --- JPEG ---------------------------------------------------------------------------------------

SAMPLINGS = {
    "444": "1x1,1x1,1x1",
    "422": "2x1,1x1,1x1",
    "420": "2x2,1x1,1x1",
    "440": "1x2,1x1,1x1",
    "411": "4x1,1x1,1x1",
    "410": "4x2,1x1,1x1",
    "441": "1x4,1x1,1x1",
    "311": "3x1,1x1,1x1",
    "131": "1x3,1x1,1x1",
    "32": "3x2,1x1,1x1",
    "23": "2x3,1x1,1x1",
    "421": "2x2,1x2,1x1",
    "422-cb": "2x2,2x1,1x1",
    "mixed": "2x2,1x2,2x1",
    "41-21": "4x1,2x1,1x1",
    "14-12": "1x4,1x2,1x1",
    "444-2x1": "2x1,2x1,2x1",
    "444-1x2": "1x2,1x2,1x2",
    "422-2x2": "2x2,1x2,1x2",
    "440-2x2": "2x2,2x1,2x1",
    "chroma-2x1": "1x1,2x1,2x1",
    "chroma-1x2": "1x1,1x2,1x2",
    "chroma-2x2": "1x1,2x2,2x2",
    "chroma-cr": "1x1,1x1,2x2",
    "chroma-3x1": "1x1,3x1,1x1",
}
SEPARATE_SCANS = "0:0:63:0:0;1:0:63:0:0;2:0:63:0:0"
SPECTRAL_SCANS = "0,1,2:0:0:0:0;0:1:9:0:0;2:1:63:0:0;1:1:63:0:0;0:10:63:0:0"
REFINED_SCANS = (
    "0,1,2:0:0:0:2;0:1:5:0:3;1:1:63:0:2;2:1:63:0:2;0:6:63:0:3;0,1,2:0:0:2:1;0:1:63:3:2;"
    "1:1:63:2:1;2:1:63:2:1;0:1:63:2:1;0,1,2:0:0:1:0;2:1:63:1:0;1:1:63:1:0;0:1:63:1:0"
)
# Complete files whose last scans were never sent: libjpeg smooths the blocks of such pictures.
PARTIAL_SCANS = {
    "dc": "0,1,2:0:0:0:0",
    "dc-coarse": "0,1,2:0:0:0:1",
    "no-refinement": "0,1,2:0:0:0:1;0:1:5:0:2;1:1:63:0:1;2:1:63:0:1;0:6:63:0:2",
    "luma-low": "0,1,2:0:0:0:0;0:1:5:0:0",
}


def jpeg_sampling(images: ImageSet) -> None:
    for (name, factors), quality in zip(SAMPLINGS.items(), itertools.cycle([75, 90, 60, 97])):
        for _ in range(2):
            picture = images.paint()
            height, width = picture.shape[:2]
            data = images.jpeg(picture, sampling=factors, quality=quality)
            images.save(f"jpeg-sampling_{name}_{width}x{height}_q{quality}.jpg", data)
    # More than ten blocks an MCU: legal only when every scan has one component.
    data = images.jpeg(images.paint((101, 83)), sampling="4x4,1x1,1x1", scans=SEPARATE_SCANS)
    images.save("jpeg-sampling_4x4-separate_101x83.jpg", data)
    data = images.jpeg(images.paint((83, 101)), sampling="4x4,2x2,1x4", scans=SEPARATE_SCANS)
    images.save("jpeg-sampling_4x4-2x2-1x4-separate_83x101.jpg", data)


def jpeg_colour(images: ImageSet) -> None:
    for number, factors in enumerate(["1x1", "1x1", "2x2", "3x1"]):
        picture = pictures.grey(images.paint())
        images.save(f"jpeg-grey_{number}_{factors}.jpg", images.jpeg(picture, sampling=factors))
    for name, options in {
        "adobe": {},
        "adobe-2": {"quality": 95},
        "ids-only": {"adobe": 0},
        "subsampled": {"sampling": "1x1,2x2,1x1"},
    }.items():
        images.save(f"jpeg-rgb_{name}.jpg", images.jpeg(images.paint(), space="rgb", **options))
    for name, options in {
        "adobe": {},
        "plain": {"adobe": 0},
        "subsampled": {"sampling": "2x1,1x1,1x1,2x1"},
        "progressive": {"progressive": 1},
    }.items():
        images.save(
            f"jpeg-cmyk_{name}.jpg",
            images.jpeg(pictures.cmyk(images.paint()), space="cmyk", **options),
        )
    for name, options in {
        "adobe": {},
        "420": {"sampling": "2x2,1x1,1x1,2x2"},
        "422-progressive": {"sampling": "2x1,1x1,1x1,2x1", "progressive": 1},
        "plain": {"adobe": 0},
    }.items():
        images.save(
            f"jpeg-ycck_{name}.jpg",
            images.jpeg(pictures.cmyk(images.paint()), space="ycck", **options),
        )
    for name, options in {
        "no-jfif-123": {"jfif": 0},
        "no-jfif-012": {"jfif": 0, "ids": "0,1,2"},
        "no-jfif-odd": {"jfif": 0, "ids": "7,40,9"},
        "adobe": {"jfif": 0, "adobe": 1, "sampling": "2x1,1x1,1x1"},
    }.items():
        images.save(f"jpeg-ycbcr_{name}.jpg", images.jpeg(images.paint(), **options))


def jpeg_scans(images: ImageSet) -> None:
    for name, options in {
        "default": {"progressive": 1},
        "default-444": {"progressive": 1, "sampling": "1x1,1x1,1x1"},
        "spectral": {"scans": SPECTRAL_SCANS},
        "refined": {"scans": REFINED_SCANS},
        "refined-411": {"scans": REFINED_SCANS, "sampling": "4x1,1x1,1x1"},
        "restart": {"progressive": 1, "restart": 3},
    }.items():
        images.save(f"jpeg-progressive_{name}.jpg", images.jpeg(images.paint(), **options))
    grey = pictures.grey(images.paint((61, 90)))
    images.save("jpeg-progressive_grey.jpg", images.jpeg(grey, progressive=1))
    for name, scans in PARTIAL_SCANS.items():
        for sampling, size in (("1x1,1x1,1x1", (101, 90)), ("2x1,1x1,1x1", (70, 133))):
            data = images.jpeg(images.paint(size, pictures.scene), scans=scans, sampling=sampling)
            images.save(f"jpeg-partial_{name}_{size[0]}x{size[1]}.jpg", data)
        # Vertical subsampling, or two blocks across: smoothed rightly since libjpeg-turbo 3.0.1.
        for sampling, size in (("2x2,1x1,1x1", (101, 90)), ("1x1,1x1,1x1", (16, 70))):
            data = images.jpeg(images.paint(size, pictures.scene), scans=scans, sampling=sampling)
            images.save(f"jpeg-partial-edge_{name}_{size[0]}x{size[1]}.jpg", data)
    grey = pictures.grey(images.paint((90, 61), pictures.scene))
    images.save("jpeg-partial_grey.jpg", images.jpeg(grey, scans="0:0:0:0:1;0:1:5:0:2"))
    for name, sampling in {
        "444": "1x1,1x1,1x1",
        "420": "2x2,1x1,1x1",
        "411": "4x1,1x1,1x1",
    }.items():
        data = images.jpeg(images.paint(), sampling=sampling, scans=SEPARATE_SCANS)
        images.save(f"jpeg-separate_{name}.jpg", data)
    data = images.jpeg(images.paint(), scans="0:0:63:0:0;1,2:0:63:0:0", restart=2)
    images.save("jpeg-separate_luma-chroma.jpg", data)


def jpeg_coding(images: ImageSet) -> None:
    for name, options in {
        "420": {},
        "444": {"sampling": "1x1,1x1,1x1"},
        "progressive": {"progressive": 1},
        "refined": {"scans": REFINED_SCANS, "sampling": "2x1,1x1,1x1"},
        "restart": {"restart": 4},
    }.items():
        images.save(
            f"jpeg-arithmetic_{name}.jpg", images.jpeg(images.paint(), arithmetic=1, **options)
        )
    grey = pictures.grey(images.paint())
    images.save("jpeg-arithmetic_grey.jpg", images.jpeg(grey, arithmetic=1))
    for restart in (1, 2, 7, 1000):
        images.save(f"jpeg-restart_{restart}.jpg", images.jpeg(images.paint(), restart=restart))
    for quality in (50, 85, 95):
        data = images.jpeg(images.paint(), optimise=1, quality=quality)
        images.save(f"jpeg-optimised_q{quality}.jpg", data)
    for quality in (1, 2, 5, 10, 25, 40, 99, 100):
        data = images.jpeg(images.paint(painter=pictures.scene), quality=quality)
        images.save(f"jpeg-quality_q{quality}.jpg", data)
    for quality in (1, 5, 11):
        data = images.jpeg(images.paint(painter=pictures.scene), quality=quality, baseline=0)
        images.save(f"jpeg-table16_q{quality}.jpg", data)
    data = images.jpeg(images.paint(), quality=2, baseline=0, progressive=1)
    images.save("jpeg-table16_progressive.jpg", data)


def jpeg_sizes(images: ImageSet) -> None:
    samplings = itertools.cycle(["2x2,1x1,1x1", "1x1,1x1,1x1", "2x1,1x1,1x1", "1x2,1x1,1x1"])
    for width, height in EDGE_SIZES:
        data = images.jpeg(images.paint((width, height)), sampling=next(samplings), quality=85)
        images.save(f"jpeg-size_{width}x{height}.jpg", data)
    for width, height in LONG_SIZES:
        data = images.jpeg(images.paint((width, height)), sampling=next(samplings), quality=85)
        images.save(f"jpeg-aspect_{width}x{height}.jpg", data)


def jpeg_contents(images: ImageSet) -> None:
    for number, size in enumerate([(90, 61), (8, 8), (128, 64)]):
        images.save(f"jpeg-flat_{number}.jpg", images.jpeg(images.paint(size, pictures.flat)))
    for number, size in enumerate([(61, 90), (40, 40)]):
        data = images.jpeg(images.paint(size, pictures.noise), quality=90)
        images.save(f"jpeg-noise_{number}.jpg", data)
    for number, size in enumerate([(200, 141), (99, 240)]):
        images.save(f"jpeg-text_{number}.jpg", images.jpeg(images.paint(size, pictures.text)))


def jpeg_orientation(images: ImageSet) -> None:
    for orientation in range(1, 10):
        picture = images.paint((70 + orientation, 41), pictures.scene)
        order = "<>"[orientation % 2]
        data = with_segment(images.jpeg(picture), 0xE1, b"Exif\0\0" + exif(orientation, order))
        images.save(f"jpeg-orient_{orientation}.jpg", data)
    data = images.jpeg(images.paint((90, 55), pictures.scene))
    images.save("jpeg-orient_6-long.jpg", with_segment(data, 0xE1, b"Exif\0\0" + exif(6, ">", 4)))
    data = images.jpeg(images.paint((55, 90), pictures.scene), progressive=1)
    images.save("jpeg-orient_8-progressive.jpg", with_segment(data, 0xE1, b"Exif\0\0" + exif(8)))


def jpeg_containers(images: ImageSet) -> None:
    """What surrounds the picture in files from cameras and editors."""
    data = images.jpeg(images.paint())
    images.save("jpeg-container_trailing-bytes.jpg", data + b"\0" * 100 + b"\xff\xd8 not an image")
    data = with_segment(images.jpeg(images.paint()), 0xE2, b"ICC_PROFILE\0\1\1" + icc_profile())
    images.save("jpeg-container_icc.jpg", data)
    data = with_segment(images.jpeg(images.paint()), 0xFE, b"a comment\xff\xd9 with EOI inside")
    images.save("jpeg-container_comment.jpg", data)
    data = images.jpeg(images.paint())
    images.save("jpeg-container_fill-bytes.jpg", data[:2] + b"\xff\xff\xff" + data[2:])
    thumbnail = images.jpeg(images.paint((16, 12)))
    data = with_segment(images.jpeg(images.paint()), 0xE1, b"Exif\0\0" + exif(1) + thumbnail)
    images.save("jpeg-container_thumbnail.jpg", data)
    first, second = (Image.fromarray(images.paint((80, 60))) for _ in range(2))
    stream = io.BytesIO()
    first.save(stream, "MPO", save_all=True, append_images=[second])
    images.save("jpeg-container_mpo.jpg", stream.getvalue())


# --- PNG ----------------------------------------------------------------------------------------


def png_grey(images: ImageSet) -> None:
    for depth, interlaced in itertools.product((1, 2, 4, 8), (False, True)):
        for number in range(2 - interlaced):
            samples = pictures.quantise(pictures.grey(images.paint()), depth)
            data = write_png(samples, Colour.GREY, depth, interlaced=interlaced)
            suffix = "-interlaced" if interlaced else ""
            images.save(f"png-grey_{depth}{suffix}_{number}.png", data)
    for depth, key in ((1, 1), (4, 3), (8, 128)):
        transparent = chunk(b"tRNS", struct.pack(">H", key))
        samples = pictures.quantise(pictures.grey(images.paint()), depth)
        data = write_png(samples, Colour.GREY, depth, before_data=transparent)
        images.save(f"png-grey-trns_{depth}.png", data)
    for number, interlaced in enumerate([False, True, False]):
        samples = pictures.quantise(pictures.grey(images.paint()), 16)
        transparent = chunk(b"tRNS", struct.pack(">H", int(samples[0, 0]))) if number == 2 else b""
        data = write_png(samples, Colour.GREY, 16, interlaced=interlaced, before_data=transparent)
        images.save(f"png-grey16_{number}.png", data)


def png_palette(images: ImageSet) -> None:
    for depth, entries in (
        (1, 2),
        (1, 1),
        (2, 4),
        (2, 3),
        (4, 16),
        (4, 11),
        (8, 256),
        (8, 201),
        (8, 5),
    ):
        for transparent_entries in (0, 1, entries):
            if transparent_entries == 1 and entries < 4:
                continue
            picture = images.paint()
            reduced = Image.fromarray(picture).quantize(entries, Image.Quantize.MEDIANCUT)
            palette = (bytes(reduced.getpalette("RGB")) + bytes(range(255)) * 4)[: 3 * entries]
            indices = np.minimum(np.asarray(reduced), entries - 1)
            alpha = bytes(i * 37 % 256 for i in range(transparent_entries))
            data = write_png(
                indices,
                Colour.PALETTE,
                depth,
                interlaced=entries in (3, 11, 201) and transparent_entries != 1,
                palette=palette,
                before_data=chunk(b"tRNS", alpha) if alpha else b"",
            )
            kind = "png-palette-trns" if alpha else "png-palette"
            images.save(f"{kind}_{depth}_{entries}-entries_{len(alpha)}-alpha.png", data)
    # Indices beyond the palette: libpng has black there, Pillow a grey ramp.
    indices = pictures.grey(images.paint()) >> 4
    data = write_png(indices, Colour.PALETTE, 8, palette=bytes(range(200, 230)))
    images.save("png-palette_8_beyond.png", data)


def png_colour(images: ImageSet) -> None:
    for depth, interlaced, number in itertools.product((8, 16), (False, True), (0, 1)):
        name = f"{depth}{'-interlaced' if interlaced else ''}_{number}.png"
        colours = images.paint()
        alpha = pictures.grey(images.paint(colours.shape[1::-1], pictures.gradient))[..., None]
        rgba = pictures.quantise(np.concatenate([colours, alpha], axis=2), depth)
        grey_alpha = pictures.quantise(
            np.concatenate([pictures.grey(colours)[..., None], alpha], axis=2), depth
        )
        rgb = pictures.quantise(images.paint(), depth)
        images.save(f"png-rgba_{name}", write_png(rgba, Colour.RGBA, depth, interlaced=interlaced))
        images.save(
            f"png-grey-alpha_{name}",
            write_png(grey_alpha, Colour.GREY_ALPHA, depth, interlaced=interlaced),
        )
        images.save(f"png-rgb_{name}", write_png(rgb, Colour.RGB, depth, interlaced=interlaced))
    for depth in (8, 16):
        rgb = pictures.quantise(images.paint(painter=pictures.shapes), depth)
        transparent = chunk(b"tRNS", struct.pack(">HHH", *(int(c) for c in rgb[0, 0])))
        images.save(
            f"png-rgb-trns_{depth}.png", write_png(rgb, Colour.RGB, depth, before_data=transparent)
        )
    rgba = np.dstack([images.paint((77, 60)), np.zeros((60, 77), np.uint8)])
    images.save("png-rgba_8_all-transparent.png", write_png(rgba, Colour.RGBA))


def png_chunks(images: ImageSet) -> None:
    gamma = chunk(b"gAMA", struct.pack(">I", 100000))
    icc = chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(icc_profile()))
    background = chunk(b"bKGD", struct.pack(">HHH", 200, 10, 10))
    significant = chunk(b"sBIT", bytes([5, 6, 5]))
    others = chunk(b"pHYs", struct.pack(">IIB", 2835, 2000, 1)) + chunk(b"tEXt", b"Comment\0text")
    for name, chunks in {
        "gamma": gamma,
        "gamma-srgb": chunk(b"sRGB", b"\1") + chunk(b"gAMA", struct.pack(">I", 45455)),
        "gamma-icc": gamma + icc,
        "sbit": significant,
    }.items():
        images.save(
            f"png-chunks_{name}.png", write_png(images.paint(), Colour.RGB, before_palette=chunks)
        )
    data = write_png(images.paint(), Colour.RGB, before_data=background + others)
    images.save("png-chunks_background.png", data)
    alpha = np.dstack([images.paint((50, 61)), pictures.grey(images.paint((50, 61)))])
    data = write_png(alpha, Colour.RGBA, before_palette=gamma, before_data=background)
    images.save("png-chunks_background-alpha.png", data)
    indices = pictures.grey(images.paint()) >> 4
    data = write_png(
        indices, Colour.PALETTE, 4, before_palette=gamma + icc, palette=bytes(range(0, 240, 5))
    )
    images.save("png-chunks_palette-icc.png", data)
    data = write_png(images.paint(), Colour.RGB, data_chunk_size=97, after_data=others)
    images.save("png-chunks_many-data.png", data)
    for filter_kind in range(5):
        data = write_png(images.paint(), Colour.RGB, filter_kind=filter_kind)
        images.save(f"png-filter_{filter_kind}.png", data)
    frames = [Image.fromarray(images.paint((60, 45))) for _ in range(2)]
    stream = io.BytesIO()
    frames[0].save(stream, "PNG", save_all=True, append_images=frames[1:])
    images.save("png-chunks_animated.png", stream.getvalue())


def png_sizes(images: ImageSet) -> None:
    for number, (width, height) in enumerate(EDGE_SIZES):
        data = write_png(images.paint((width, height)), Colour.RGB, interlaced=number % 3 == 2)
        images.save(f"png-size_{width}x{height}.png", data)
    for number, (width, height) in enumerate(LONG_SIZES):
        samples = pictures.grey(images.paint((width, height)))
        data = write_png(samples, Colour.GREY, interlaced=number % 2 == 1)
        images.save(f"png-aspect_{width}x{height}.png", data)


def png_contents(images: ImageSet) -> None:
    data = write_png(images.paint((90, 61), pictures.flat), Colour.RGB)
    images.save("png-flat_0.png", data)
    for number, level in enumerate((0, 255, 128)):
        samples = np.full((33, 40 + number), level, np.uint8)
        images.save(f"png-flat_grey-{level}.png", write_png(samples, Colour.GREY))
    images.save("png-noise_rgb.png", write_png(images.paint((61, 90), pictures.noise), Colour.RGB))
    bits = pictures.grey(images.paint((64, 64), pictures.noise))
    images.save("png-noise_bits.png", write_png(bits >> 7, Colour.GREY, 1))
    for number, size in enumerate([(200, 141), (99, 240)]):
        samples = pictures.grey(images.paint(size, pictures.text))
        data = write_png(pictures.quantise(samples, 4), Colour.GREY, 4)
        images.save(f"png-text_{number}.png", data)


def png_ties(images: ImageSet) -> None:
    """Pictures that put hash values on the median: symmetrical, periodic, mostly flat."""
    side = 64
    y, x = np.mgrid[0:side, 0:side]
    half = pictures.grey(images.paint((side // 2, side), pictures.clouds))
    corner = half[: side // 2]
    left_right = np.concatenate([half, half[:, ::-1]], axis=1)
    for name, samples in {
        "left-right": left_right,
        "top-bottom": left_right.T,
        "four-fold": np.block([[corner, corner[:, ::-1]], [corner[::-1], corner[::-1, ::-1]]]),
        "half": np.where(x < side // 2, 30, 220),
        "checkers-8": ((x // 8 + y // 8) % 2) * 255,
        "checkers-1": ((x + y) % 2) * 255,
        "stripes": (x // 16 % 2) * 255,
        "diagonal": (x + y) * 2,
        "ramp": x * 4,
        "dot": np.where((x == 20) & (y == 37), 255, 0),
        "square": np.where((abs(x - 31) < 12) & (abs(y - 31) < 12), 200, 90),
    }.items():
        images.save(f"png-ties_{name}.png", write_png(samples.astype(np.uint8), Colour.GREY))


def png_orientation(images: ImageSet) -> None:
    for orientation in (1, 3, 5, 6):
        picture = images.paint((61, 40 + orientation), pictures.scene)
        data = write_png(picture, Colour.RGB, before_data=chunk(b"eXIf", exif(orientation, ">")))
        images.save(f"png-orient_{orientation}.png", data)
    picture = images.paint((71, 50), pictures.scene)
    data = write_png(picture, Colour.RGB, interlaced=True, after_data=chunk(b"eXIf", exif(8)))
    images.save("png-orient_8-after-data.png", data)


# --- Large pictures and photographs -------------------------------------------------------------


def large(images: ImageSet) -> None:
    picture = images.paint((1600, 1200), pictures.smooth)
    images.save("jpeg-large_420.jpg", images.jpeg(picture, quality=85, optimise=1))
    picture = images.paint((2049, 1537), pictures.smooth)
    images.save("jpeg-large_progressive.jpg", images.jpeg(picture, quality=80, progressive=1))
    picture = pictures.grey(images.paint((2003, 1499), pictures.shapes))
    images.save("jpeg-large_grey.jpg", images.jpeg(picture, quality=75, optimise=1))
    picture = images.paint((6000, 4000), pictures.shapes)
    images.save("jpeg-large_6000x4000.jpg", images.jpeg(picture, quality=75, optimise=1))
    picture = images.paint((1920, 1081), pictures.shapes)
    images.save("png-large_rgb.png", write_png(picture, Colour.RGB, filter_kind=2))
    picture = images.paint((1601, 1300), pictures.text)
    samples = pictures.quantise(pictures.grey(picture), 1)
    images.save("png-large_text.png", write_png(samples, Colour.GREY, 1, filter_kind=0))
    picture = images.paint((6000, 4000), pictures.shapes)
    images.save("png-large_6000x4000.png", write_png(picture, Colour.RGB, filter_kind=2))


def photographs(images: ImageSet) -> None:
    """Crops and reductions of real photographs, and what catalogs hold of one photograph."""
    field = images.photo("seeding_by_Clements_Engelhardt.jpg")
    cat, cup, man = (images.photo(f"{name}.png") for name in ("chelsea", "coffee", "camera"))
    rocket = images.photo("rocket.jpg")
    lanczos, area = Image.Resampling.LANCZOS, Image.Resampling.BOX
    variants = {
        "field": field.resize((640, 360), lanczos),
        "field-small": field.resize((177, 99), area),
        "field-crop-1": field.crop((1500, 1000, 1801, 1203)),
        "field-crop-2": field.crop((3001, 1717, 3200, 1950)),
        "cat": cat,
        "cat-crop": cat.crop((101, 43, 330, 250)),
        "cup": cup.resize((401, 267), lanczos),
        "cup-mirrored": cup.resize((300, 200), lanczos).transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "man": man.resize((256, 256), lanczos),
        "rocket": rocket.resize((320, 213), area),
        "rocket-bright": rocket.resize((200, 133), area).point(
            lambda level: min(255, level * 3 // 2)
        ),
    }
    settings = itertools.cycle(
        [
            {"sampling": "2x2,1x1,1x1", "quality": 75},
            {"sampling": "2x1,1x1,1x1", "quality": 82, "progressive": 1},
            {"sampling": "1x1,1x1,1x1", "quality": 70, "optimise": 1},
            {"sampling": "1x2,1x1,1x1", "quality": 88},
        ]
    )
    for name, photo in variants.items():
        images.save(f"jpeg-photo_{name}.jpg", images.jpeg(np.asarray(photo), **next(settings)))
    for quality in (20, 92):
        data = images.jpeg(np.asarray(variants["cup"]), quality=quality)
        images.save(f"jpeg-photo_cup-q{quality}.jpg", data)
    man_grey = pictures.grey(np.asarray(variants["man"]))
    images.save("jpeg-photo_man-grey.jpg", images.jpeg(man_grey, quality=80))
    images.save(
        "jpeg-photo_cat-cmyk.jpg",
        images.jpeg(pictures.cmyk(np.asarray(cat)), space="ycck", quality=60),
    )
    for name in ("field-small", "rocket-bright", "cat-crop"):
        stream = io.BytesIO()
        variants[name].save(stream, "PNG", optimize=True)
        images.save(f"png-photo_{name}.png", stream.getvalue())
    stream = io.BytesIO()
    variants["cup"].quantize(64).save(stream, "PNG", optimize=True)
    images.save("png-photo_cup-64-colours.png", stream.getvalue())
    samples = np.asarray(variants["field-crop-2"])
    images.save(
        "png-photo_field-interlaced.png",
        write_png(samples, Colour.RGB, interlaced=True, filter_kind=4),
    )
    data = write_png(pictures.quantise(man_grey, 4), Colour.GREY, 4)
    images.save("png-photo_man-4-bit.png", data)


def build_encoder(folder: Path) -> Path:
    program = folder / "encode_jpeg"
    command = [
        "c++",
        "-std=c++20",
        "-O2",
        str(HERE / "encode_jpeg.cpp"),
        "-ljpeg",
        "-o",
        str(program),
    ]
    subprocess.run(command, check=True)
    return program


def make_jpeg_and_png(folder: Path, photos: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        images = ImageSet(folder, encoder=build_encoder(Path(scratch)), photos=photos)
        for make in (
            jpeg_sampling, jpeg_colour, jpeg_scans, jpeg_coding, jpeg_sizes, jpeg_contents,
            jpeg_orientation, jpeg_containers, png_grey, png_palette, png_colour, png_chunks,
            png_sizes, png_contents, png_ties, png_orientation, large, photographs,
        ):  # fmt: skip
            make(images)


# What makes a format's images, and where the seeds of their pictures begin.
OTHER_FORMATS = {
    "webp": (webp_images.make, 10000),
    "tiff": (tiff_images.make, 20000),
    "gif": (gif_images.make, 30000),
    "bmp": (bmp_images.make, 40000),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes the images of the exactness test.")
    parser.add_argument(
        "--photos", type=Path, help="folder of the source photographs; without it, no JPEG and PNG"
    )
    parser.add_argument("--out", type=Path, default=HERE.parent / "data" / "images")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    made = tuple(f"{name}-" for name in OTHER_FORMATS)
    if arguments.photos is not None:
        made += ("jpeg-", "png-")
    for path in arguments.out.iterdir():
        if path.name.startswith(made):
            path.unlink()
    if arguments.photos is not None:
        make_jpeg_and_png(arguments.out, arguments.photos)
    for make, seed in OTHER_FORMATS.values():
        make(ImageSet(arguments.out, sizes=SMALL_SIZES, seed=seed))
    files = list(arguments.out.iterdir())
    print(f"{len(files)} images, {sum(file.stat().st_size for file in files)} bytes")


if __name__ == "__main__":
    main()
