#!/usr/bin/env python3
"""How many bits `decode => 'fast'` changes in the hashes of the pictures in folders.

    bench/fast_drift.py [--engine ENGINE] FOLDER...

JPEGs as they are found are counted together. So are, apart from them and by their longer side, the
JPEGs that Pillow makes of all pictures (JPEG and WebP): reduced, of several qualities and
subsamplings. Pictures whose shorter side is under 128 pixels are left out, as they are not scaled.
Needs Pillow; fast_drift.sh gets pictures.
"""

import argparse
import itertools
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

JPEGS = (".jpg", ".jpeg")
COLUMNS = ("dhash", "ahash", "whash", "phash", "whash16")  # as the engine prints them
MIN_SIDE = 128
VARIANTS = (  # longer side, quality, subsampling, progressive
    (2048, 90, "4:2:0", False),
    (2048, 60, "4:2:0", True),
    (1024, 90, "4:4:4", False),
    (1024, 75, "4:2:0", False),
    (512, 85, "4:2:2", False),
    (320, 80, "4:2:0", False),
)


def hashes(engine: Path, paths: list[Path], *options: str) -> dict[str, list[int]]:
    """Of each file that has them; the engine says on its standard error what is wrong with others."""
    found = {}
    for begin in range(0, len(paths), 100):
        names = [str(path) for path in paths[begin : begin + 100]]
        command = [str(engine), "hash", *options, *names]
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout
        for line in output.splitlines():
            fields = line.split(" ", 8)
            found[fields[8]] = [int(digits, 16) for digits in fields[:5]]
    return found


def changed_bits(engine: Path, paths: list[Path]) -> dict[str, list[int]]:
    exact, fast = hashes(engine, paths), hashes(engine, paths, "--fast")
    if exact.keys() != fast.keys():
        raise SystemExit(f"hashed only one way: {exact.keys() ^ fast.keys()}")
    return {
        name: [(exact[path][i] ^ fast[path][i]).bit_count() for path in exact]
        for i, name in enumerate(COLUMNS)
    }


def pictures(folders: Iterable[Path], suffixes: tuple[str, ...]) -> list[Path]:
    found = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in suffixes:
                with Image.open(path) as image:
                    if min(image.size) >= MIN_SIDE:
                        found.append(path)
    return found


def make_variants(path: Path, number: int, folder: Path) -> Iterable[tuple[str, Path]]:
    with Image.open(path) as stored:
        image = stored.convert("RGB")
    for side, quality, subsampling, progressive in VARIANTS:
        scale = side / max(image.size)
        size = tuple(round(length * scale) for length in image.size)
        if scale > 1 or min(size) < MIN_SIDE:
            continue
        name = f"reduced to {side}"
        file = folder / f"{number}-{side}-{quality}.jpg"
        image.resize(size, Image.Resampling.LANCZOS).save(
            file, quality=quality, subsampling=subsampling, progressive=progressive
        )
        yield name, file


def print_table(groups: dict[str, list[Path]], engine: Path) -> None:
    print(f"{'JPEGs':24} {'hash':7} {'mean':>5}    0 bits      1      2    3-5     6+  most")
    for group, paths in groups.items():
        for name, bits in changed_bits(engine, paths).items():
            counts = Counter(bits)

            def share(first: int, last: int, counts: Counter = counts) -> str:
                part = sum(counts[n] for n in range(first, last + 1)) / counts.total()
                return f"{part:.1%}"

            print(
                f"{f'{group} ({len(bits)})':24} {name:7} {sum(bits) / len(bits):5.2f}"
                f"    {share(0, 0):>6} {share(1, 1):>6} {share(2, 2):>6} {share(3, 5):>6}"
                f" {share(6, 64):>6} {max(bits):5}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description="Counts the bits that decode => 'fast' changes.")
    parser.add_argument("--engine", type=Path, default=Path("build/test/src/engine/vamhash-engine"))
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    arguments = parser.parse_args()
    Image.MAX_IMAGE_PIXELS = None
    found = pictures(arguments.folders, JPEGS)
    sources = pictures(arguments.folders, (*JPEGS, ".webp"))
    print(f"{len(sources)} pictures, of which {len(found)} are JPEGs")
    with tempfile.TemporaryDirectory() as scratch:
        made: dict[str, list[Path]] = {}
        for number, path in enumerate(sources):
            for name, file in make_variants(path, number, Path(scratch)):
                made.setdefault(name, []).append(file)
        everything = [*found, *itertools.chain.from_iterable(made.values())]
        print_table({"as found": found, **made, "all": everything}, arguments.engine)


if __name__ == "__main__":
    main()
