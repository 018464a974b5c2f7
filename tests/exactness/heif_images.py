"""The HEICs and AVIFs of the exactness test."""

import io

import numpy as np
import pillow_heif
from PIL import Image

import pictures
from heif_writer import Item, cropped, grid, mirrored, primary_item, rotated, write_heif
from image_set import ImageSet
from tiff_writer import exif

HEIC = {"brand": b"heic", "compatible": (b"mif1", b"heic")}
AVIF = {"brand": b"avif", "compatible": (b"avif", b"mif1", b"miaf")}


def heic(picture: np.ndarray, *, bits: int = 8, **options: object) -> bytes:
    """Encodes grey, RGB or RGBA; more than 8 bits from samples of 16."""
    channels = 1 if picture.ndim == 2 else picture.shape[2]
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    if bits > 8:
        mode = {1: "I;16L", 3: "RGB;16", 4: "RGBA;16"}[channels]
    pillow_heif.options.SAVE_HDR_TO_12_BIT = bits == 12
    stream = io.BytesIO()
    file = pillow_heif.from_bytes(mode, picture.shape[1::-1], picture.tobytes())
    file.save(stream, **options)
    return stream.getvalue()


def avif(picture: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "AVIF", max_threads=1, **options)
    return stream.getvalue()


def with_alpha(images: ImageSet, picture: np.ndarray) -> np.ndarray:
    return np.dstack([picture, pictures.grey(images.paint(picture.shape[1::-1], pictures.gradient))])


def wide(picture: np.ndarray) -> np.ndarray:
    """Samples of 16 bits with a low byte of their own."""
    return pictures.quantise(picture, 16).astype(np.uint16)


def heic_codings(images: ImageSet) -> None:
    for chroma in (420, 422, 444):
        for quality in (40, 90):
            data = heic(images.paint(), quality=quality, chroma=chroma)
            images.save(f"heic-lossy_{chroma}_q{quality}.heic", data)
    images.save("heic-lossy_text.heic", heic(images.paint((150, 90), pictures.text), quality=70))
    images.save("heic-size_16x17.heic", heic(images.paint((16, 17)), quality=80))
    images.save("heic-size_200x9.heic", heic(images.paint((200, 9)), quality=80))
    images.save("heic-grey.heic", heic(pictures.grey(images.paint()), quality=80))
    images.save("heic-alpha.heic", heic(with_alpha(images, images.paint()), quality=80))
    for bits in (10, 12):
        data = heic(wide(images.paint()), bits=bits, quality=80)
        images.save(f"heic-{bits}-bit.heic", data)


def lossless(images: ImageSet) -> None:
    """Of a picture that heif_test.cpp knows: there, what is decoded is compared pixel by pixel."""
    y, x = np.mgrid[0:44, 0:60]
    picture = np.dstack([x * 4 + y, 255 - x * 2 - y * 3 % 90, x * y % 251]) % 256
    data = heic(picture.astype(np.uint8), quality=-1, chroma=444, matrix_coefficients=0)
    images.save("heic-lossless.heic", data)
    data = avif(picture.astype(np.uint8), quality=100, subsampling="4:4:4")
    images.save("avif-lossless.avif", data)


def coded(images: ImageSet, coding: str, size: tuple[int, int], chroma: str = "420") -> Item:
    picture = images.paint(size, pictures.scene)
    if coding == "heic":
        return primary_item(heic(picture, quality=75, chroma=int(chroma)))
    return primary_item(avif(picture, quality=75, subsampling=":".join(chroma)))


def containers(images: ImageSet, coding: str) -> None:
    """What only a file's boxes say; decoded, it is the same for both codings."""
    brands = HEIC if coding == "heic" else AVIF

    def save(name: str, items: list[Item], **options: object) -> None:
        options = brands | options
        images.save(f"{coding}-{name}.{coding}", write_heif(items, **options))

    # Not subsampled: heif_test.cpp expects the same pixels, however the picture is turned.
    picture = coded(images, coding, (96, 64), "444")
    for quarters in (1, 2, 3):
        save(f"turned_{quarters}", [rotated(picture, quarters)])
    for axis in (0, 1):
        save(f"mirrored_{axis}", [mirrored(picture, axis)])
    save("mirrored_rotated", [mirrored(rotated(picture, 1), 0)])
    for orientation in (3, 6):  # not to be applied, whatever there is besides
        item = rotated(picture, 3) if orientation == 3 else picture
        data = bytes(4) + exif(orientation)
        save(f"exif_{orientation}", [item], references=[(b"cdsc", 1, [0])], more_items=[(b"Exif", data)])
    general = [b"mif1", b"avif" if coding == "avif" else b"heic", b"miaf"]
    save("brand_mif1", [picture], brand=b"mif1", compatible=general)
    tiles = [coded(images, coding, (64, 64)) for _ in range(6)]
    six = [(b"dimg", 6, range(6))]
    save("grid_3x2", [*tiles, grid(tiles, 3, (170, 110))], primary=6, references=six)
    turned = rotated(grid(tiles, 2, (128, 192)), 1)
    save("grid_turned", [*tiles, turned], primary=6, references=six)
    other = coded(images, coding, (48, 48))
    save("second_primary", [other, picture], primary=1)


def avif_codings(images: ImageSet) -> None:
    for subsampling in ("4:2:0", "4:2:2", "4:4:4"):
        data = avif(images.paint(), quality=60, subsampling=subsampling)
        images.save(f"avif-lossy_{subsampling.replace(':', '')}.avif", data)
    images.save("avif-grey.avif", avif(pictures.grey(images.paint()), quality=70, subsampling="4:0:0"))
    images.save("avif-alpha.avif", avif(with_alpha(images, images.paint()), quality=70))
    images.save("avif-size_17x200.avif", avif(images.paint((17, 200)), quality=70))
    frames = [Image.fromarray(images.paint((60, 44))) for _ in range(3)]
    stream = io.BytesIO()
    frames[0].save(stream, "AVIF", save_all=True, append_images=frames[1:], quality=70, max_threads=1)
    images.save("avif-sequence.avif", stream.getvalue())


def make(images: ImageSet) -> None:
    heic_codings(images)
    avif_codings(images)
    lossless(images)
    containers(images, "heic")
    images.save(
        "heic-cropped.heic",
        write_heif([cropped(coded(images, "heic", (96, 64)), (60, 40), (-6, 4))], **HEIC),
    )
    containers(images, "avif")
