"""The BMPs of the exactness test."""

import numpy as np
from PIL import Image

import pictures
from bmp_writer import (
    BIT_FIELDS, CORE_HEADER, RLE4, RLE8, masked_rows, packed_rows, run_length_rows, write_bmp,
)  # fmt: skip
from image_set import ImageSet

RGB24 = (0xFF0000, 0xFF00, 0xFF)
RGB555 = (0x7C00, 0x3E0, 0x1F)
RGB565 = (0xF800, 0x7E0, 0x1F)


def reduced(picture: np.ndarray, entries: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices and palette."""
    image = Image.fromarray(picture).quantize(entries, Image.Quantize.MEDIANCUT)
    palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    filled = np.zeros((entries, 3), np.uint8)
    filled[: len(palette)] = palette[:entries]
    return np.asarray(image), filled


def palettes(images: ImageSet) -> None:
    for bits, entries in ((1, 2), (4, 16), (4, 11), (8, 256), (8, 201), (8, 5)):
        for header_size in (CORE_HEADER, 40, 64, 124):
            if header_size == CORE_HEADER and entries < 1 << bits:
                continue
            indices, palette = reduced(images.paint(), entries)
            height, width = indices.shape
            data = write_bmp(
                packed_rows(indices, bits),
                width,
                bits,
                header_size=header_size,
                palette=palette,
                colours=entries if entries < 1 << bits else 0,
                top_down=header_size == 64,
                gap=6 if header_size == 124 else 0,
            )
            images.save(f"bmp-palette_{bits}_{entries}-entries_header-{header_size}.bmp", data)


def greys(images: ImageSet) -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    for top_down in (False, True):
        picture = pictures.grey(images.paint())
        rows = packed_rows(picture, 8)
        data = write_bmp(rows, picture.shape[1], 8, palette=ramp, top_down=top_down)
        images.save(f"bmp-grey_8{'-top-down' if top_down else ''}.bmp", data)
    # A ramp that ends before the greys do: Pillow ignores it, so that they are greys all the same.
    picture = pictures.grey(images.paint())
    data = write_bmp(packed_rows(picture, 8), picture.shape[1], 8, palette=ramp[:100], colours=100)
    images.save("bmp-grey_8-short-ramp.bmp", data)
    for name, palette in (("black-white", ramp[[0, 255]]), ("white-black", ramp[[255, 0]])):
        picture = pictures.grey(images.paint())
        data = write_bmp(packed_rows(picture >> 7, 1), picture.shape[1], 1, palette=palette)
        images.save(f"bmp-grey_1-{name}.bmp", data)


def colours(images: ImageSet) -> None:
    for bits, masks in ((16, RGB555), (24, RGB24), (32, RGB24)):
        for top_down in (False, True):
            picture = images.paint()
            rows = masked_rows(picture, bits, masks)
            data = write_bmp(rows, picture.shape[1], bits, top_down=top_down)
            images.save(f"bmp-rgb_{bits}{'-top-down' if top_down else ''}.bmp", data)
    picture = images.paint()
    data = write_bmp(masked_rows(picture, 24, RGB24), picture.shape[1], 24, header_size=CORE_HEADER)
    images.save("bmp-rgb_24-header-12.bmp", data)
    fields = {
        "565": (16, RGB565),
        "555": (16, RGB555),
        "24": (24, RGB24),
        "bgrx": (32, (*RGB24, 0)),
        "xbgr": (32, (0xFF000000, 0xFF0000, 0xFF00, 0)),
        "bgxr": (32, (0xFF000000, 0xFF00, 0xFF, 0)),
        "abgr": (32, (0xFF000000, 0xFF0000, 0xFF00, 0xFF)),
        "rgba": (32, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)),
        "bgra": (32, (*RGB24, 0xFF000000)),
    }
    for number, (name, (bits, masks)) in enumerate(fields.items()):
        rgb = images.paint()
        alpha = pictures.grey(images.paint(rgb.shape[1::-1], pictures.gradient))[..., None]
        rows = masked_rows(np.concatenate([rgb, alpha], axis=2), bits, masks)
        header_size = (56, 108, 124)[number % 3] if len(masks) == 4 else (40, 52)[number % 2]
        data = write_bmp(
            rows, rgb.shape[1], bits, header_size=header_size, compression=BIT_FIELDS, masks=masks
        )
        images.save(f"bmp-fields_{name}.bmp", data)
    rgb = images.paint()
    rows = masked_rows(rgb, 32, RGB24)
    data = write_bmp(
        rows, rgb.shape[1], 32, header_size=108, compression=BIT_FIELDS, masks=(0, 0, 0, 0)
    )
    images.save("bmp-fields_none.bmp", data)


def runs(images: ImageSet) -> None:
    for bits, compression, entries in ((4, RLE4, 16), (8, RLE8, 64), (8, RLE8, 256)):
        for literals in (False, True):
            indices, palette = reduced(images.paint(painter=pictures.shapes), entries)
            data = write_bmp(
                run_length_rows(indices, bits, literals),
                indices.shape[1],
                bits,
                compression=compression,
                palette=palette,
                colours=entries,
                top_down=entries == 64,
                end=b"\0\1",
            )
            kind = "literals" if literals else "runs"
            images.save(f"bmp-rle_{bits}_{entries}-entries_{kind}.bmp", data)


def sizes(images: ImageSet) -> None:
    for width, height in ((1, 1), (2, 3), (1, 19), (23, 1), (8, 9), (31, 33), (300, 2), (3, 400)):
        picture = images.paint((width, height))
        data = write_bmp(masked_rows(picture, 24, RGB24), width, 24)
        images.save(f"bmp-size_{width}x{height}.bmp", data)
    picture = pictures.grey(images.paint((99, 140), pictures.text))
    palette = np.array([[0, 0, 0], [250, 240, 230]], np.uint8)
    images.save("bmp-text_1.bmp", write_bmp(packed_rows(picture >> 7, 1), 99, 1, palette=palette))


def make(images: ImageSet) -> None:
    for part in (palettes, greys, colours, runs, sizes):
        part(images)
