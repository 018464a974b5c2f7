#!/usr/bin/env python3
"""Draw what bench/join.sh printed: seconds against rows, both logarithmic, a line for each method.

    join_plot.py RESULTS DATA DISTANCE > FILE.svg
"""

import sys
from pathlib import Path

from log_plot import Kind, Point, draw

KINDS = {
    "popcount": Kind("SQL, bit_count", "#8c4a00", "#e3a15a"),
    "flat": Kind("FAISS flat", "#b42318", "#ff7b72"),
    "multihash": Kind("FAISS multi-hash", "#b0279a", "#ee8fe0"),
    "sql": Kind("similar_pairs by SQL", "#0550ae", "#79c0ff"),
    "engine": Kind("its engine alone", "#0a7d55", "#56d39b"),
    "scan": Kind("plain scan of the table", "#6e7781", "#9198a1"),
}


def read_results(path: Path, data: str, distance: str) -> dict[str, list[Point]]:
    """The measured points of each method, rows and seconds, in the order of the rows."""
    methods: dict[str, list[Point]] = {}
    columns: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = line.split()
        if fields[:2] == ["data", "t"]:
            columns = fields
        elif columns and len(fields) == len(columns) and fields[:2] == [data, distance]:
            row = dict(zip(columns, fields, strict=True))
            for method in KINDS:
                if row[method] != "-":
                    methods.setdefault(method, []).append((int(row["rows"]), float(row[method])))
    if not methods:
        sys.exit(f"join_plot.py: {path} has no {data} hashes at distance {distance}")
    return {method: sorted(points) for method, points in methods.items()}


def main() -> None:
    if len(sys.argv) != 4:
        sys.exit("usage: join_plot.py RESULTS DATA DISTANCE > FILE.svg")
    results, data, distance = sys.argv[1:]
    methods = read_results(Path(results), data, distance)
    title = f"Pairs within {distance} bits of {data} 64-bit hashes"
    print(draw(methods, KINDS, title, "rows", "seconds"))


if __name__ == "__main__":
    main()
