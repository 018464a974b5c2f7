"""The TIFFs of the exactness test."""

import io
import itertools

import numpy as np
from PIL import Image

import pictures
import tiff_writer as tiff
from bmp_images import reduced
from image_set import ImageSet
from tiff_writer import write_tiff


def by_pillow(image: Image.Image, compression: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "TIFF", compression=compression, **options)
    return stream.getvalue()


def colour_map(palette: np.ndarray, bits: int) -> np.ndarray:
    """16-bit colours for every index, with low bytes of their own."""
    high = palette.astype(np.uint32)
    colours = np.zeros((1 << bits, 3), np.uint32)
    colours[: len(palette)] = high * 256 + high * 7 % 256
    return colours


def greys(images: ImageSet) -> None:
    for bits, photometric, fill_order in itertools.product(
        (1, 2, 4, 8), (tiff.WHITE_IS_ZERO, tiff.BLACK_IS_ZERO), (1, 2)
    ):
        if (bits, photometric, fill_order) == (8, tiff.WHITE_IS_ZERO, 2):
            continue  # Pillow names the mode but cannot read it
        samples = pictures.quantise(pictures.grey(images.paint()), bits)
        data = write_tiff(
            samples, photometric, bits, fill_order=fill_order, order="<>"[fill_order - 1]
        )
        way = ("white-is-0", "black-is-0")[photometric]
        images.save(f"tiff-grey_{bits}_{way}_fill-{fill_order}.tif", data)
    for number, compression in enumerate((tiff.LZW, tiff.DEFLATE, tiff.PACK_BITS)):
        samples = pictures.quantise(pictures.grey(images.paint()), 1 << number)
        data = write_tiff(
            samples, number % 2, 1 << number, compression=compression, fill_order=2,
            rows_per_strip=7,
        )  # fmt: skip
        images.save(f"tiff-grey_{1 << number}_compressed-{compression}_fill-2.tif", data)
    samples = pictures.grey(images.paint())
    data = write_tiff(samples, 0, without=[tiff.PHOTOMETRIC])
    images.save("tiff-grey_8_no-photometric.tif", data)
    grey = pictures.grey(images.paint((41, 29)))
    alpha = pictures.grey(images.paint((41, 29), pictures.gradient))
    for compression in (tiff.NONE, tiff.LZW):
        data = write_tiff(
            np.dstack([grey, alpha]), tiff.BLACK_IS_ZERO, compression=compression, extra=[2]
        )
        images.save(f"tiff-grey-alpha_{compression}.tif", data)


def sixteen_bits(images: ImageSet) -> None:
    """Grey is by the high byte, as of PNG; of colours Pillow has the high byte itself."""
    for name, order in (("little-endian", "<"), ("big-endian", ">")):
        samples = pictures.quantise(pictures.grey(images.paint()), 16)
        data = write_tiff(samples, tiff.BLACK_IS_ZERO, 16, order=order)
        images.save(f"tiff-grey16_{name}.tif", data)
    samples = pictures.quantise(pictures.grey(images.paint()), 16)
    data = write_tiff(samples, tiff.BLACK_IS_ZERO, 16, compression=tiff.LZW, predictor=2)
    images.save("tiff-grey16_lzw.tif", data)
    for order, compression in itertools.product("<>", (tiff.NONE, tiff.DEFLATE)):
        name = f"{'little' if order == '<' else 'big'}-endian_{compression}.tif"
        rgb = pictures.quantise(images.paint((33, 31)), 16)
        data = write_tiff(rgb, tiff.RGB, 16, order=order, compression=compression)
        images.save(f"tiff-rgb16_{name}", data)
        cmyk = pictures.quantise(pictures.cmyk(images.paint((31, 33))), 16)
        data = write_tiff(cmyk, tiff.CMYK, 16, order=order, compression=compression)
        images.save(f"tiff-cmyk16_{name}", data)
    rgba = np.dstack([images.paint((33, 31)), pictures.grey(images.paint((33, 31)))])
    data = write_tiff(pictures.quantise(rgba, 16), tiff.RGB, 16, extra=[1])
    images.save("tiff-rgba16_premultiplied.tif", data)


def palettes(images: ImageSet) -> None:
    for (bits, entries), compression in itertools.product(
        ((1, 2), (2, 4), (4, 11), (8, 256)), (tiff.NONE, tiff.PACK_BITS)
    ):
        indices, palette = reduced(images.paint(), entries)
        data = write_tiff(
            indices, tiff.PALETTE, bits, compression=compression,
            colour_map=colour_map(palette, bits),
            fill_order=2 if bits == 4 and compression != tiff.NONE else 1,
        )  # fmt: skip
        images.save(f"tiff-palette_{bits}_{entries}-entries_{compression}.tif", data)
    indices, palette = reduced(images.paint((41, 29)), 64)
    alpha = pictures.grey(images.paint((41, 29), pictures.gradient))
    samples = np.dstack([indices, alpha])
    data = write_tiff(samples, tiff.PALETTE, colour_map=colour_map(palette, 8), extra=[2])
    images.save("tiff-palette_alpha.tif", data)


def colours(images: ImageSet) -> None:
    def rgba() -> np.ndarray:
        picture = images.paint((41, 29))
        alpha = pictures.grey(images.paint((41, 29), pictures.gradient)).copy()
        alpha[:6] = 0
        return np.dstack([picture, alpha])

    for compression in (tiff.NONE, tiff.LZW, tiff.DEFLATE, tiff.OLD_DEFLATE, tiff.PACK_BITS):
        data = write_tiff(images.paint(), tiff.RGB, compression=compression, rows_per_strip=9)
        images.save(f"tiff-rgb_{compression}.tif", data)
        if compression in (tiff.LZW, tiff.DEFLATE):
            data = write_tiff(images.paint(), tiff.RGB, compression=compression, predictor=2)
            images.save(f"tiff-rgb_{compression}_predictor.tif", data)
        data = write_tiff(
            images.paint(), tiff.RGB, compression=compression, planar=True, rows_per_strip=10
        )
        images.save(f"tiff-rgb_{compression}_planes.tif", data)
    images.save("tiff-rgb_fill-2.tif", write_tiff(images.paint(), tiff.RGB, fill_order=2))
    data = write_tiff(images.paint(), tiff.RGB, compression=tiff.LZW, big=True)
    images.save("tiff-rgb_big-tiff.tif", data)
    images.save("tiff-rgb_big-tiff-raw.tif", write_tiff(images.paint(), tiff.RGB, big=True))
    for name, extra in (
        ("unspecified", [0]), ("premultiplied", [1]), ("alpha", [2]), ("unnamed", []),
    ):  # fmt: skip
        for compression in (tiff.NONE, tiff.DEFLATE):
            data = write_tiff(rgba(), tiff.RGB, compression=compression, extra=extra)
            images.save(f"tiff-rgba_{name}_{compression}.tif", data)
    more = np.dstack([rgba(), rgba()[..., :1]])
    images.save("tiff-rgba_more.tif", write_tiff(more, tiff.RGB, extra=[1, 0]))
    for compression in (tiff.NONE, tiff.DEFLATE):
        data = write_tiff(rgba(), tiff.RGB, compression=compression, extra=[2], planar=True)
        images.save(f"tiff-rgba_planes_{compression}.tif", data)
    data = write_tiff(rgba(), tiff.RGB, compression=tiff.DEFLATE, extra=[1], planar=True)
    images.save("tiff-rgba_premultiplied-planes.tif", data)
    for compression, planar in itertools.product((tiff.NONE, tiff.LZW), (False, True)):
        data = write_tiff(
            pictures.cmyk(images.paint()), tiff.CMYK, compression=compression, planar=planar
        )
        images.save(f"tiff-cmyk_{compression}{'_planes' if planar else ''}.tif", data)
    more = np.dstack([pictures.cmyk(images.paint((41, 29))), rgba()[..., 3]])
    images.save("tiff-cmyk_extra.tif", write_tiff(more, tiff.CMYK, extra=[0]))


def tiles(images: ImageSet) -> None:
    for number, (compression, planar) in enumerate(
        itertools.product((tiff.NONE, tiff.LZW, tiff.DEFLATE), (False, True))
    ):
        size = ((16, 16), (32, 16), (64, 48))[number // 2]
        data = write_tiff(
            images.paint(), tiff.RGB, compression=compression, planar=planar, tile=size
        )
        images.save(f"tiff-tiles_rgb_{compression}{'_planes' if planar else ''}.tif", data)
    for bits in (1, 4, 8):
        samples = pictures.quantise(pictures.grey(images.paint((70, 45))), bits)
        data = write_tiff(
            samples, tiff.BLACK_IS_ZERO, bits, compression=tiff.DEFLATE, tile=(16, 32)
        )
        images.save(f"tiff-tiles_grey_{bits}.tif", data)
    indices, palette = reduced(images.paint((70, 45)), 200)
    data = write_tiff(
        indices, tiff.PALETTE, compression=tiff.PACK_BITS, tile=(48, 16),
        colour_map=colour_map(palette, 8),
    )  # fmt: skip
    images.save("tiff-tiles_palette.tif", data)


def jpegs(images: ImageSet) -> None:
    for number, (name, picture) in enumerate(
        {
            "rgb": Image.fromarray(images.paint()),
            "rgb-q95": Image.fromarray(images.paint()),
            "grey": Image.fromarray(pictures.grey(images.paint())),
            "cmyk": Image.fromarray(pictures.cmyk(images.paint()), "CMYK"),
        }.items()
    ):
        data = by_pillow(picture, "jpeg", quality=95 if name.endswith("95") else 75)
        images.save(f"tiff-jpeg_{name}_{number}.tif", data)

    def whole_jpeg(subsampling: int) -> object:
        def encode(block: np.ndarray) -> bytes:
            stream = io.BytesIO()
            Image.fromarray(block.astype(np.uint8)).save(
                stream, "JPEG", quality=80, subsampling=subsampling
            )
            return stream.getvalue()

        return encode

    for name, subsampling, factors in (("444", 0, [1, 1]), ("422", 1, [2, 1]), ("420", 2, [2, 2])):
        for tile in (None, (32, 32)):
            data = write_tiff(
                images.paint(), tiff.YCBCR, compression=tiff.JPEG, encode=whole_jpeg(subsampling),
                tile=tile, rows_per_strip=16, tags={tiff.SUBSAMPLING: factors},
            )  # fmt: skip
            images.save(f"tiff-jpeg_{name}_{'strips' if tile is None else 'tiles'}.tif", data)
    for factors in ([1, 1], [2, 2]):
        data = write_tiff(
            images.paint((48, 32)), tiff.YCBCR, compression=tiff.DEFLATE,
            encode=lambda block: tiff.COMPRESS[tiff.DEFLATE](ycbcr_units(block, factors)),
            rows_per_strip=16, tags={tiff.SUBSAMPLING: factors},
        )  # fmt: skip
        images.save(f"tiff-ycbcr_{factors[0]}{factors[1]}.tif", data)


def ycbcr_units(block: np.ndarray, factors: list[int]) -> bytes:
    """Subsampled YCbCr as TIFF stores it: the luma of a unit's pixels, then its chroma."""
    ycbcr = np.asarray(Image.fromarray(block.astype(np.uint8)).convert("YCbCr"))
    across, down = factors
    return b"".join(
        ycbcr[y : y + down, x : x + across, 0].tobytes() + ycbcr[y, x, 1:].tobytes()
        for y in range(0, block.shape[0], down)
        for x in range(0, block.shape[1], across)
    )


def faxes(images: ImageSet) -> None:
    for compression, size in itertools.product(
        ("tiff_ccitt", "group3", "group4", "packbits", "tiff_lzw"), ((99, 70), (64, 33))
    ):
        bits = pictures.grey(images.paint(size, pictures.text)) > 127
        data = by_pillow(Image.fromarray(bits), compression)
        images.save(f"tiff-fax_{compression}_{size[0]}x{size[1]}.tif", data)
    bits = pictures.grey(images.paint((99, 70), pictures.text)) > 127
    data = by_pillow(Image.fromarray(bits), "group4", tiffinfo={266: 2})
    images.save("tiff-fax_group4_fill-2.tif", data)
    bits = pictures.grey(images.paint((61, 40), pictures.shapes)) > 127
    data = by_pillow(Image.fromarray(bits), "group3", tiffinfo={262: 0})
    images.save("tiff-fax_group3_white-is-0.tif", data)


def orientations(images: ImageSet) -> None:
    for orientation in range(1, 9):
        data = write_tiff(
            images.paint((33, 31 + orientation), pictures.scene), tiff.RGB,
            compression=(tiff.NONE, tiff.DEFLATE)[orientation % 2], rows_per_strip=10,
            tags={tiff.ORIENTATION: orientation},
        )  # fmt: skip
        images.save(f"tiff-orient_{orientation}.tif", data)
    packet = b'<x tiff:Orientation="6"/>'
    for name, tags in (
        ("xmp", {tiff.XMP: packet}), ("both", {tiff.XMP: packet, tiff.ORIENTATION: 3}),
    ):  # fmt: skip
        data = write_tiff(images.paint((41, 29), pictures.scene), tiff.RGB, tags=tags)
        images.save(f"tiff-orient_{name}.tif", data)


def pages_and_sizes(images: ImageSet) -> None:
    pages = [Image.fromarray(images.paint((40, 30))) for _ in range(3)]
    data = by_pillow(pages[0], "tiff_lzw", save_all=True, append_images=pages[1:])
    images.save("tiff-pages_3.tif", data)
    for width, height in ((1, 1), (2, 3), (1, 19), (23, 1), (300, 2), (3, 400)):
        data = write_tiff(images.paint((width, height)), tiff.RGB, compression=tiff.LZW)
        images.save(f"tiff-size_{width}x{height}.tif", data)


def make(images: ImageSet) -> None:
    for part in (
        greys, sixteen_bits, palettes, colours, tiles, jpegs, faxes, orientations, pages_and_sizes,
    ):  # fmt: skip
        part(images)
