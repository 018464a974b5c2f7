#!/usr/bin/env python3
"""Draw what bench/images.sh printed: images per second against megapixels, both logarithmic, a line for
each method. Of several runs the best counts.

    image_plot.py [--threads N] RESULTS photo|made [METHOD ...] > FILE.svg     default: the most threads
"""

import argparse
import sys
from pathlib import Path

from log_plot import Kind, Point, draw

KINDS = {
    "fast": Kind("fast", "#0550ae", "#79c0ff"),
    "exact": Kind("exact", "#0a7d55", "#56d39b"),
    "device": Kind("exact on a device", "#b0279a", "#ee8fe0"),
    "device-auto": Kind("the same, auto", "#7a3ea8", "#c79bf2"),
    "device-fast": Kind("fast on a device", "#8c4a00", "#e3a15a"),
    "nvjpeg": Kind("fast by nvJPEG", "#9a6700", "#d4a72c"),
    "entropy": Kind("to coefficients alone", "#57606a", "#b1bac4"),
    "decode": Kind("libjpeg-turbo alone", "#8c959f", "#848d97"),
    "imagehash": Kind("ImageHash on Pillow", "#b42318", "#ff7b72"),
}


def read_rows(path: Path, images: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    columns: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = line.split()
        if fields[:3] == ["images", "Mpixel", "method"]:
            columns = fields
        elif len(fields) == len(columns) and fields and fields[0] == images:
            rows.append(dict(zip(columns, fields, strict=True)))
    if not rows:
        sys.exit(f"image_plot.py: {path} has no images called {images}")
    return rows


def points_of(
    rows: list[dict[str, str]], threads: int, wanted: list[str]
) -> dict[str, list[Point]]:
    """Each method's megapixels and images per second."""
    points: dict[str, list[Point]] = {}
    for method in wanted:
        best: dict[float, float] = {}
        for row in rows:
            if row["method"] == method and int(row["threads"]) == threads:
                megapixels = float(row["Mpixel"])
                best[megapixels] = max(float(row["best"]), best.get(megapixels, 0))
        if best:
            points[method] = sorted(best.items())
    return points


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int)
    parser.add_argument("results", type=Path)
    parser.add_argument("images")
    parser.add_argument("methods", nargs="*", metavar="method", default=list(KINDS))
    arguments = parser.parse_args()
    if not set(arguments.methods) <= KINDS.keys():
        parser.error(f"methods are {', '.join(KINDS)}")
    rows = read_rows(arguments.results, arguments.images)
    threads = arguments.threads or max(int(row["threads"]) for row in rows)
    points = points_of(rows, threads, arguments.methods)
    if not points:
        parser.error(f"{arguments.results} has none of that on {threads} threads")
    title = f"JPEGs hashed a second on {threads} thread{'s' if threads > 1 else ''}"
    print(draw(points, KINDS, title, "megapixels", "images a second"))


if __name__ == "__main__":
    main()
