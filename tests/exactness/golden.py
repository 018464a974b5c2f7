#!/usr/bin/env python3
"""Writes or checks tests/data/golden.tsv: what every image of tests/data/images must hash to, and
truncated.tsv: what truncated ones must (truncations.py).

The hashes are ImageHash's on Pillow (whash16: VAM Tools' formula), each checked against
exact_hashes.py, which works without rounding. The two may differ only in bits whose value ties with
the median, where ImageHash emits the rounding noise of floating point; the exact hash has 0 there.

A line: file, option (`-`, or `orient`: EXIF orientation applied first; only for images that have
one), kind, format, width, height, five hashes as ImageHash gives them, and `ties`: `-`, or for each
hash with ties `name=exact/mask`: the exact hash, and which of its bits tie (set in the mask). The
first line counts the images, the lines, those with ties, and those where ImageHash is not exact.

truncated.tsv has as option the number of bytes that are left, with `orient` behind it where EXIF
orientation is applied, and `-` for size and hashes where there are none.
"""

import argparse
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import imagehash
import numpy as np
import pywt
from PIL import Image, ImageOps

import truncations
from exact_hashes import EXACT_HASHES, pack

DATA = Path(__file__).resolve().parent.parent / "data"
HASHES = list(EXACT_HASHES)
COLUMNS = ["file", "option", "kind", "format", "width", "height", *HASHES, "ties"]
ORIENTATION_TAG = 0x0112


def vam_whash16(image: Image.Image) -> int:
    """wHash of VAM Tools: lumina/analysis/perceptual_hash.py at 14b9ea8."""
    small = image.convert("L").resize((8, 8), Image.Resampling.LANCZOS)
    low, _ = pywt.dwt2(np.array(small, dtype=np.float32) / 255.0, "haar")
    return pack((low > np.median(low)).ravel().tolist())


REFERENCE_HASHES = {
    "dhash": lambda image: int(str(imagehash.dhash(image)), 16),
    "ahash": lambda image: int(str(imagehash.average_hash(image)), 16),
    "phash": lambda image: int(str(imagehash.phash(image)), 16),
    "whash": lambda image: int(str(imagehash.whash(image)), 16),
    "whash16": vam_whash16,
}


def high_byte(image: Image.Image) -> Image.Image:
    """16-bit grey by its high byte: Pillow would clip it at 255, which loses the picture."""
    return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))


def golden_line(name: str, option: str, image_format: str, image: Image.Image) -> dict[str, str]:
    line = {
        "file": name,
        "option": option,
        "kind": name.partition("_")[0],
        "format": image_format,
        "width": str(image.width),
        "height": str(image.height),
    }
    grey = image.convert("L")
    ties = []
    for hash_name in HASHES:
        reference = REFERENCE_HASHES[hash_name](image)
        exact, tied = EXACT_HASHES[hash_name](grey)
        if (reference ^ exact) & ~tied:
            raise SystemExit(
                f"{name} ({option}): {hash_name} of ImageHash is {reference:016x}, exactly it is "
                f"{exact:016x}, and only {tied:016x} are ties"
            )
        line[hash_name] = f"{reference:016x}"
        if tied:
            ties.append(f"{hash_name}={exact:016x}/{tied:016x}")
    line["ties"] = ";".join(ties) or "-"
    return line


def golden_lines(path: Path) -> list[dict[str, str]]:
    with Image.open(path) as image:
        image_format = {"MPO": "jpeg"}.get(image.format, image.format.lower())
        image.load()
        is_grey16 = path.name.startswith(("png-grey16_", "tiff-grey16_"))
        if is_grey16 != image.mode.startswith("I"):
            raise SystemExit(
                f"{path.name}: 16-bit grey belongs to the kinds named grey16, and only these"
            )
        pixels = high_byte(image) if is_grey16 else image
        lines = [golden_line(path.name, "-", image_format, pixels)]
        if image.getexif().get(ORIENTATION_TAG, 1) != 1:
            upright = ImageOps.exif_transpose(image)
            lines.append(golden_line(path.name, "orient", image_format, upright))
    return lines


def all_lines(images: Path) -> list[dict[str, str]]:
    return [line for path in sorted(images.iterdir()) for line in golden_lines(path)]


def truncated_lines(data: Path) -> list[dict[str, str]]:
    lines = []
    for path, option, size, left in truncations.truncations(data):
        image = truncations.load_truncated(left)
        name = str(path.relative_to(data))
        option = f"{size} orient" if option == "orient" else str(size)
        if image is None:
            line = dict.fromkeys(COLUMNS, "-") | {"file": name, "option": option}
            line |= {"kind": path.name.partition("_")[0], "format": path.name.partition("-")[0]}
            lines.append(line)
            continue
        if option.endswith("orient"):
            image = ImageOps.exif_transpose(image)
        line = golden_line(path.name, option, path.name.partition("-")[0], image)
        lines.append(line | {"file": name})
    return lines


def parse_ties(line: dict[str, str]) -> dict[str, tuple[int, int]]:
    """The exact value and the mask of tied bits of each hash of a line that has ties."""
    if line["ties"] == "-":
        return {}
    fields = (field.partition("=") for field in line["ties"].split(";"))
    values = ((name, value.partition("/")) for name, _, value in fields)
    return {name: (int(exact, 16), int(mask, 16)) for name, (exact, _, mask) in values}


def has_noise(line: dict[str, str]) -> bool:
    """Whether ImageHash set a bit that only ties."""
    return any(int(line[name], 16) != exact for name, (exact, _) in parse_ties(line).items())


def write(path: Path, lines: list[dict[str, str]]) -> None:
    images = len({line["file"] for line in lines})
    tied = sum(line["ties"] != "-" for line in lines)
    noisy = sum(map(has_noise, lines))
    summary = f"{images} images, {len(lines)} lines, {tied} with ties, {noisy} with noise"
    rows = ["# " + summary, "\t".join(COLUMNS)]
    rows += ["\t".join(line[column] for column in COLUMNS) for line in lines]
    path.write_text("\n".join(rows) + "\n")
    print(summary)


def read(path: Path) -> list[dict[str, str]]:
    rows = [row for row in path.read_text().splitlines() if not row.startswith("#")]
    columns = rows[0].split("\t")
    return [dict(zip(columns, row.split("\t"), strict=True)) for row in rows[1:]]


def number(digits: str) -> int:
    """A hash; none is like no hash."""
    return -1 if digits == "-" else int(digits, 16)


def differences(committed: list[dict[str, str]], computed: list[dict[str, str]]) -> list[str]:
    """What contradicts the committed file; the noise in tied bits may vary with the machine."""
    found = []
    by_key = {(line["file"], line["option"]): line for line in computed}
    for line in committed:
        key = line["file"], line["option"]
        now = by_key.pop(key, None)
        if now is None:
            found.append(f"{key}: in the file only")
            continue
        ties = parse_ties(now)
        for column in COLUMNS:
            if column in HASHES:
                tied = ties.get(column, (0, 0))[1]
                same = (number(line[column]) | tied) == (number(now[column]) | tied)
            else:
                same = line[column] == now[column]
            if not same:
                found.append(f"{key}: {column} is {line[column]}, computed {now[column]}")
    return found + [f"{key}: not in the file" for key in by_key]


def require_pinned_versions() -> None:
    requirements = Path(__file__).with_name("requirements.txt").read_text().splitlines()
    for requirement in requirements:
        name, pinned, wanted = requirement.partition("==")
        if pinned and version(name) != wanted:
            print(f"golden.py: {name} is {version(name)}, not {wanted}", file=sys.stderr)
            raise SystemExit(77)


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes or checks golden.tsv.")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of images and hashes")
    arguments = parser.parse_args()
    require_pinned_versions()
    warnings.filterwarnings("ignore", "Palette images with Transparency")
    data = arguments.data
    if not arguments.check:
        truncations.make_base_images(data / "cut")
    found = []
    for golden, lines in (
        (data / "golden.tsv", all_lines(data / "images")),
        (data / "truncated.tsv", truncated_lines(data)),
    ):
        if arguments.check:
            found += [f"{golden.name}: {line}" for line in differences(read(golden), lines)]
        else:
            write(golden, lines)
    if arguments.check:
        print(*found, f"{len(found)} differences", sep="\n")
        raise SystemExit(1 if found else 0)


if __name__ == "__main__":
    main()
