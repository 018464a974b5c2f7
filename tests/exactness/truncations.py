"""What truncated images must hash to: images of tests/data cut off at many places.

The hashes are ImageHash's on Pillow with LOAD_TRUNCATED_IMAGES, as VAM Tools sets it. Where Pillow
loads nothing, or of the picture nothing is there (it then gives one colour, or makes a first block of
nothing), a line has `-`: vamhash says that the image is truncated and gives no hash.

Not compared is where vamhash differs by intent: JPEGs that end in a segment between two scans,
those in arithmetic coding, PNGs that end in a chunk behind the picture or in a chunk's head, TIFFs
that end in their directory.
"""

import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile

import pictures
import tiff_writer as tiff
from bmp_images import reduced
from image_set import ImageSet
from tiff_images import colour_map
from tiff_writer import write_tiff

# Every one of these is cut at the same places, by the share of the file.
WHOLE_IMAGES = [
    "bmp-fields_565.bmp", "bmp-fields_bgra.bmp", "bmp-grey_1-black-white.bmp",
    "bmp-grey_1-white-black.bmp", "bmp-grey_8.bmp", "bmp-grey_8-top-down.bmp",
    "bmp-palette_1_2-entries_header-12.bmp", "bmp-palette_4_16-entries_header-40.bmp",
    "bmp-palette_8_201-entries_header-64.bmp", "bmp-rgb_16.bmp", "bmp-rgb_24.bmp",
    "bmp-rgb_24-top-down.bmp", "bmp-rle_4_16-entries_runs.bmp", "bmp-rle_8_256-entries_literals.bmp",
    "gif-coding_clear-often.gif", "gif-coding_small-blocks.gif", "gif-frame_corner.gif",
    "gif-frame_inside-transparent.gif", "gif-frame_local.gif", "gif-grey_ramp.gif",
    "gif-palette_16-interlaced.gif", "gif-palette_256.gif", "gif-palette_256-interlaced.gif",
    "jpeg-cmyk_adobe.jpg", "jpeg-cmyk_plain.jpg", "jpeg-cmyk_progressive.jpg",
    "jpeg-container_mpo.jpg", "jpeg-grey_0_1x1.jpg", "jpeg-grey_3_3x1.jpg", "jpeg-large_420.jpg",
    "jpeg-large_progressive.jpg", "jpeg-noise_0.jpg", "jpeg-optimised_q85.jpg",
    "jpeg-photo_cat-cmyk.jpg", "jpeg-photo_cat.jpg", "jpeg-photo_cup-q92.jpg",
    "jpeg-photo_field.jpg", "jpeg-photo_man-grey.jpg", "jpeg-photo_rocket.jpg",
    "jpeg-progressive_default.jpg", "jpeg-progressive_grey.jpg", "jpeg-progressive_refined.jpg",
    "jpeg-progressive_restart.jpg", "jpeg-restart_1.jpg", "jpeg-restart_7.jpg",
    "jpeg-rgb_adobe.jpg", "jpeg-sampling_420_113x150_q60.jpg", "jpeg-sampling_422_131x97_q90.jpg",
    "jpeg-sampling_440_33x31_q97.jpg", "jpeg-sampling_444_101x67_q75.jpg",
    "jpeg-separate_420.jpg", "jpeg-separate_444.jpg", "jpeg-text_0.jpg", "jpeg-ycck_420.jpg",
    "png-chunks_many-data.png", "png-filter_4.png", "png-grey_1_0.png", "png-grey_2-interlaced_0.png",
    "png-grey-alpha_8_0.png", "png-large_rgb.png", "png-noise_bits.png",
    "png-palette_4_16-entries_0-alpha.png", "png-palette_8_201-entries_0-alpha.png",
    "png-photo_cup-64-colours.png", "png-photo_field-interlaced.png", "png-photo_field-small.png",
    "png-photo_man-4-bit.png", "png-rgb_16_0.png", "png-rgb_8-interlaced_1.png", "png-rgb_8_1.png",
    "png-rgba_8_1.png",
    "tiff-rgb_5.tif", "tiff-rgb_8.tif",
    "webp-lossless_effort-75.webp", "webp-lossy_q75.webp",
]  # fmt: skip
SHARES = (10, 30, 50, 75, 90, 97)  # percent


def orientations(images: Path) -> list[str]:
    """Images of which the hash upright is compared, too."""
    return sorted(path.name for path in images.glob("*-orient_*") if "_6." in path.name)


def jpeg_segments(data: bytes) -> list[tuple[int, int]]:
    """Where each marker segment begins and ends; a segment's coded data follow it."""
    segments, at = [], 2
    while at + 4 <= len(data):
        marker = data[at + 1]
        if data[at] != 0xFF or marker in (0, 0xFF) or 0xD0 <= marker <= 0xD9:
            at += 1
            continue
        end = at + 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
        segments.append((at, end))
        at = end
    return segments


def first_scan(data: bytes) -> int:
    """Where a JPEG's first coded data begin, or would."""
    return min((end for at, end in jpeg_segments(data) if data[at + 1] == 0xDA), default=len(data))


def cuts_of(name: str, data: bytes) -> list[int]:
    """How many bytes are left, by the shares and at the places that are special to a format."""
    cuts = {len(data) * share // 100 for share in SHARES}
    cuts |= {30}
    if not name.startswith("tiff-") or name.startswith("tiff-front"):
        cuts |= {len(data) - 1, len(data) - 2, len(data) - 5}
    if name.startswith("jpeg-"):
        segments = jpeg_segments(data)
        first = first_scan(data)
        cuts |= {first + 40}
        for begin, end in segments:
            if data[begin + 1] == 0xDA:
                cuts |= {end, end + 1, end + 9}
        # Before and after segments between scans, but not in them.
        for begin, end in segments:
            cuts = {begin if begin < cut < end and cut > first else cut for cut in cuts}
    if name.startswith("png-"):
        begin, last = data.index(b"IDAT"), data.rindex(b"IDAT")
        end = last + 4 + struct.unpack(">I", data[last - 4 : last])[0]
        # Not in chunks behind the picture.
        cuts = {cut for cut in cuts if cut < end}
        cuts |= {begin, begin + 4, begin + 7, begin + 30, last - 4, end - 6, end - 3, end, end + 3}
    return sorted(cut for cut in cuts if 0 < cut < len(data))


def uncompressed_tiffs(images: ImageSet) -> None:
    """TIFFs whose directory is before the pixels, as Pillow writes them: only such can be cut."""
    colours = images.paint((64, 48))
    grey = pictures.grey(images.paint((57, 35)))
    indices, palette = reduced(images.paint((41, 29)), 16)
    strips = {"rows_per_strip": 9, "directory_first": True}
    files = {
        "grey-1": write_tiff(grey >> 7, tiff.BLACK_IS_ZERO, 1, directory_first=True),
        "grey-4-white-is-0": write_tiff(grey >> 4, tiff.WHITE_IS_ZERO, 4, **strips),
        "grey-8-white-is-0": write_tiff(grey, tiff.WHITE_IS_ZERO, **strips),
        "palette-4": write_tiff(
            indices, tiff.PALETTE, 4, colour_map=colour_map(palette, 4), directory_first=True
        ),
        "rgb": write_tiff(colours, tiff.RGB, directory_first=True),
        "rgb-strips": write_tiff(colours, tiff.RGB, order=">", **strips),
        "rgb-planes": write_tiff(colours, tiff.RGB, planar=True, **strips),
        "rgb-tiles": write_tiff(colours, tiff.RGB, tile=(48, 32), directory_first=True),
        "cmyk": write_tiff(pictures.cmyk(colours), tiff.CMYK, directory_first=True),
        "big": write_tiff(grey, tiff.BLACK_IS_ZERO, big=True, **strips),
        "lzw": write_tiff(grey, tiff.BLACK_IS_ZERO, compression=tiff.LZW, **strips),
    }
    for name, data in files.items():
        images.save(f"tiff-front_{name}.tif", data)


def make_base_images(folder: Path) -> None:
    """Makes the images that are there only to be cut."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    uncompressed_tiffs(ImageSet(folder, seed=50000))


def load_truncated(data: bytes) -> Image.Image | None:
    """As Pillow loads it; nothing where it fails or where of the picture nothing is there."""
    if data.startswith(b"\xff\xd8") and first_scan(data) >= len(data):
        return None
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (OSError, SyntaxError, ValueError):
        return None
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False
    samples = np.asarray(image.convert("L"))
    return None if samples.min() == samples.max() else image


def truncations(data: Path) -> list[tuple[Path, str, int, bytes]]:
    """File, option, bytes left, and these bytes, of every line."""
    paths = [(data / "images" / name, "-") for name in WHOLE_IMAGES]
    paths += [(data / "images" / name, "orient") for name in orientations(data / "images")]
    paths += [(path, "-") for path in sorted((data / "cut").iterdir())]
    lines = []
    for path, option in paths:
        whole = path.read_bytes()
        lines += [(path, option, cut, whole[:cut]) for cut in cuts_of(path.name, whole)]
    return lines
