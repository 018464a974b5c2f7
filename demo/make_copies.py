#!/usr/bin/python3
"""Make a folder of photographs and of copies such as collections gather: smaller, recompressed,
cropped, retouched, turned. Prints CSV rows that say what each file is: id, photo, kind.
"""

import argparse
import csv
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image, ImageEnhance, ImageOps

ORIENTATION = 0x0112  # the EXIF tag
TURN_CLOCKWISE = 6  # its value for "turn by 90 degrees clockwise to show"


def scaled(photo: Image.Image, factor: float) -> Image.Image:
    width, height = (max(1, round(side * factor)) for side in photo.size)
    return photo.resize((width, height), Image.Resampling.LANCZOS)


def cropped(photo: Image.Image, fraction: float) -> Image.Image:
    """Cut a fraction of each side's length away, half of it at either end."""
    left, top = (round(side * fraction / 2) for side in photo.size)
    return photo.crop((left, top, photo.width - left, photo.height - top))


def save_jpeg(image: Image.Image, path: Path) -> None:
    image.save(path, quality=90)


def save_turned(photo: Image.Image, path: Path) -> None:
    """Store the pixels turned, as a camera held upright does, with the tag that turns them back."""
    exif = Image.Exif()
    exif[ORIENTATION] = TURN_CLOCKWISE
    photo.transpose(Image.Transpose.ROTATE_90).save(path, quality=90, exif=exif)


# Kind, what is added to the photograph's name, and how such a copy is written.
COPIES: list[tuple[str, str, Callable[[Image.Image, Path], object]]] = [
    ("half size", "_half.jpg", lambda photo, path: save_jpeg(scaled(photo, 1 / 2), path)),
    ("quarter size", "_quarter.jpg", lambda photo, path: save_jpeg(scaled(photo, 1 / 4), path)),
    ("quality 40", "_q40.jpg", lambda photo, path: photo.save(path, quality=40)),
    ("cropped 2.5 %", "_cropped.jpg", lambda photo, path: save_jpeg(cropped(photo, 0.025), path)),
    (
        "brighter 15 %",
        "_brighter.jpg",
        lambda photo, path: save_jpeg(ImageEnhance.Brightness(photo).enhance(1.15), path),
    ),
    ("grey", "_grey.jpg", lambda photo, path: save_jpeg(photo.convert("L"), path)),
    # The lowest compression level: the demo should not spend its time in zlib.
    ("PNG", "_png.png", lambda photo, path: photo.save(path, compress_level=1)),
    ("mirrored", "_mirrored.jpg", lambda photo, path: save_jpeg(ImageOps.mirror(photo), path)),
    ("turned (EXIF)", "_turned.jpg", save_turned),
]


def copy_photo(source: Path, folder: Path) -> list[tuple[str, str, str]]:
    """Write a photograph and its copies into a folder; give their rows id, photo, kind."""
    name = source.name
    shutil.copyfile(source, folder / name)
    made = [(name, name, "original")]
    with Image.open(source) as image:
        photo = image.convert("RGB")
    for kind, suffix, write in COPIES:
        copy = folder / (source.stem + suffix)
        write(photo, copy)
        made.append((copy.name, name, kind))
    return made


def break_files(source: Path, folder: Path) -> list[tuple[str, str, str]]:
    """Write two files that cannot be hashed, as every large collection has some."""
    truncated = folder / (source.stem + "_truncated.jpg")
    data = source.read_bytes()
    truncated.write_bytes(data[: len(data) // 2])
    web_page = folder / "not_an_image.jpg"
    web_page.write_text("<!DOCTYPE html><title>404 Not Found</title>\n")
    return [(path.name, path.name, "broken") for path in (truncated, web_page)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where to put them; made if need be")
    parser.add_argument("photo", type=Path, nargs="+")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)

    rows = csv.writer(sys.stdout, lineterminator="\n")
    # Pillow leaves Python's lock while it works on pixels, so threads are enough.
    with ThreadPoolExecutor() as threads:
        for made in threads.map(lambda photo: copy_photo(photo, folder), arguments.photo):
            rows.writerows(made)
    rows.writerows(break_files(arguments.photo[0], folder))


if __name__ == "__main__":
    main()
