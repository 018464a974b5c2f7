#!/usr/bin/env python3
"""Makes tests/data/plugin_images, and writes or checks tests/data/plugin_golden.tsv: the HEIC, AVIF
and RAW images, and what they hash to.

Their pixels are made by libheif and LibRaw, whose versions round and interpolate colours differently,
and Pillow's own are others than Debian's. So these hashes are not bound to the bit: the tests allow
two bits a hash. The hashes are ImageHash's on Pillow with pillow_heif (HEIC), on Pillow's own decoder
(AVIF), and on rawpy with VAM Tools' parameters (RAW); bits that tie with a median are 0, as
exact_hashes.py has them.

A line: file, format, width, height, five hashes. The first line names the libraries' versions.
"""

import argparse
import warnings
from pathlib import Path

import pillow_heif
import rawpy
from PIL import Image, ImageOps, features

import heif_images
import raw_images
from exact_hashes import EXACT_HASHES
from golden import DATA, HASHES, REFERENCE_HASHES, require_pinned_versions
from image_set import ImageSet

COLUMNS = ["file", "format", "width", "height", *HASHES]
TOLERATED_BITS = 2
SIZES = [(96, 64), (75, 101), (121, 80), (64, 90)]


def versions() -> str:
    return (
        f"# libheif {pillow_heif.libheif_version()}, libavif {features.version_module('avif')}, "
        f"LibRaw {'.'.join(map(str, rawpy.libraw_version))}; {TOLERATED_BITS} bits are tolerated"
    )


def decoded(path: Path) -> tuple[str, Image.Image, tuple[int, int]]:
    """The format, the picture that is hashed, and the size that is told."""
    if path.suffix == ".dng":
        with rawpy.imread(str(path)) as raw:
            size = (raw.sizes.width, raw.sizes.height)
            turned = raw.sizes.flip & 4
            pixels = raw.postprocess(
                half_size=True, use_camera_wb=True, no_auto_bright=True, output_bps=8
            )
        return "raw", Image.fromarray(pixels), size[::-1] if turned else size
    # Pillow gives AVIFs as stored, with what their boxes say of them as EXIF orientation.
    image_format = path.suffix[1:]
    opened = Image.open(path, formats=["AVIF" if image_format == "avif" else "HEIF"])
    image = ImageOps.exif_transpose(opened)
    return image_format, image, image.size


def golden_line(path: Path) -> str:
    image_format, image, (width, height) = decoded(path)
    hashes = []
    for name in HASHES:
        exact, tied = EXACT_HASHES[name](image.convert("L"))
        if (REFERENCE_HASHES[name](image) ^ exact) & ~tied:
            raise SystemExit(f"{path.name}: {name} of ImageHash is not exact")
        hashes.append(f"{exact:016x}")
    return "\t".join([path.name, image_format, str(width), str(height), *hashes])


def make(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    heif_images.make(ImageSet(folder, sizes=SIZES, seed=50000))
    raw_images.make(ImageSet(folder, sizes=SIZES, seed=60000))


def differences(committed: list[str], computed: list[str]) -> list[str]:
    if [line.split("\t")[:4] for line in committed] != [line.split("\t")[:4] for line in computed]:
        return ["the files, formats or sizes are not those of plugin_golden.tsv"]
    found = []
    for old, new in zip(committed, computed, strict=True):
        for name, a, b in zip(HASHES, old.split("\t")[4:], new.split("\t")[4:], strict=True):
            if (int(a, 16) ^ int(b, 16)).bit_count() > TOLERATED_BITS:
                found.append(f"{old.split()[0]}: {name} is {a}, computed {b}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes or checks plugin_golden.tsv.")
    parser.add_argument("--make", action="store_true", help="make the images, too")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    arguments = parser.parse_args()
    require_pinned_versions()
    warnings.filterwarnings("ignore", message="Image was not")
    pillow_heif.register_heif_opener()
    images, golden = DATA / "plugin_images", DATA / "plugin_golden.tsv"
    if arguments.make:
        make(images)
    lines = [golden_line(path) for path in sorted(images.iterdir())]
    if not arguments.check:
        golden.write_text("\n".join([versions(), "\t".join(COLUMNS), *lines]) + "\n")
        print(f"{len(lines)} images, {sum(path.stat().st_size for path in images.iterdir())} bytes")
        return
    found = differences(golden.read_text().splitlines()[2:], lines)
    print(*found, f"{len(lines)} lines checked, {len(found)} differences", sep="\n")
    raise SystemExit(1 if found or not lines else 0)


if __name__ == "__main__":
    main()
