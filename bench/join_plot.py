#!/usr/bin/env python3
"""Draw what bench/join.sh printed: seconds against rows, both logarithmic, a line for each method.

    join_plot.py RESULTS DATA DISTANCE > FILE.svg

The SVG takes its colours from what shows it, light or dark.
"""

import math
import sys
from pathlib import Path

LABELS = {
    "popcount": "SQL, bit_count",
    "flat": "FAISS flat",
    "multihash": "FAISS multi-hash",
    "sql": "similar_pairs by SQL",
    "engine": "its engine alone",
    "scan": "plain scan of the table",
}
WIDTH, HEIGHT = 720, 440
LEFT, RIGHT, TOP, BOTTOM = 70, 170, 50, 50  # margins
LINE_HEIGHT = 16

# Colours that differ in lightness too, for eyes and for paper.
STYLE = """
svg { --ink: #24292f; --grid: #d0d7de; --popcount: #8c4a00; --flat: #b42318; --multihash: #b0279a;
  --sql: #0550ae; --engine: #0a7d55; --scan: #6e7781; font: 13px sans-serif; }
@media (prefers-color-scheme: dark) { svg { --ink: #e6edf3; --grid: #30363d; --popcount: #e3a15a;
  --flat: #ff7b72; --multihash: #ee8fe0; --sql: #79c0ff; --engine: #56d39b; --scan: #9198a1; } }
text { fill: var(--ink); }
.grid { stroke: var(--grid); }
.line { fill: none; stroke-width: 2.2; }
"""

Point = tuple[int, float]  # rows, seconds


def read_results(path: Path, data: str, distance: str) -> dict[str, list[Point]]:
    """The measured points of each method, in the order of the rows."""
    methods: dict[str, list[Point]] = {}
    columns: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = line.split()
        if fields[:2] == ["data", "t"]:
            columns = fields
        elif columns and len(fields) == len(columns) and fields[:2] == [data, distance]:
            row = dict(zip(columns, fields, strict=True))
            for method in LABELS:
                if row[method] != "-":
                    methods.setdefault(method, []).append((int(row["rows"]), float(row[method])))
    if not methods:
        sys.exit(f"join_plot.py: {path} has no {data} hashes at distance {distance}")
    return {method: sorted(points) for method, points in methods.items()}


class Scale:
    """Maps a logarithmic axis, of whole decades, to pixels."""

    def __init__(self, values: list[float], begin: float, end: float) -> None:
        self.first = math.floor(math.log10(min(values)))
        self.last = max(math.ceil(math.log10(max(values))), self.first + 1)
        self.begin, self.end = begin, end

    def __call__(self, value: float) -> float:
        share = (math.log10(value) - self.first) / (self.last - self.first)
        return round(self.begin + share * (self.end - self.begin), 1)

    def decades(self) -> list[int]:
        return list(range(self.first, self.last + 1))


def power(exponent: int) -> str:
    if -3 <= exponent <= 2:
        return f"{10.0**exponent:g}"
    return f'10<tspan dy="-5" font-size="10">{exponent}</tspan>'


def axes(x: Scale, y: Scale) -> list[str]:
    out = []
    for decade in x.decades():
        at = x(10.0**decade)
        out.append(f'<path class="grid" d="M{at} {y.begin}V{y.end}"/>')
        out.append(f'<text x="{at}" y="{y.begin + 18}" text-anchor="middle">{power(decade)}</text>')
    for decade in y.decades():
        at = y(10.0**decade)
        out.append(f'<path class="grid" d="M{x.begin} {at}H{x.end}"/>')
        out.append(f'<text x="{x.begin - 8}" y="{at + 4}" text-anchor="end">{power(decade)}</text>')
    middle = (x.begin + x.end) / 2
    out.append(f'<text x="{middle}" y="{HEIGHT - 10}" text-anchor="middle">rows</text>')
    out.append(f'<text x="{x.begin - 8}" y="{TOP - 12}" text-anchor="end">seconds</text>')
    return out


def label_places(ends: dict[str, tuple[float, float]]) -> dict[str, float]:
    """Where labels stand beside the ends of lines: a line of text apart from any other there."""
    places: dict[str, float] = {}
    last: dict[float, float] = {}
    for method, (x, y) in sorted(ends.items(), key=lambda item: item[1][1]):
        last[x] = places[method] = max(y, last.get(x, -math.inf) + LINE_HEIGHT)
    return places


def draw(methods: dict[str, list[Point]], title: str) -> str:
    points = [point for line in methods.values() for point in line]
    x = Scale([rows for rows, _ in points], LEFT, WIDTH - RIGHT)
    y = Scale([seconds for _, seconds in points], HEIGHT - BOTTOM, TOP)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{title}</title>",
        f"<style>{STYLE}</style>",
        f'<text x="{LEFT}" y="18" font-weight="bold">{title}</text>',
        *axes(x, y),
    ]
    ends = {method: (x(line[-1][0]), y(line[-1][1])) for method, line in methods.items()}
    places = label_places(ends)
    for method, line in methods.items():
        colour = f"var(--{method})"
        path = "L".join(f"{x(rows)} {y(seconds)}" for rows, seconds in line)
        out.append(f'<path class="line" style="stroke: {colour}" d="M{path}"/>')
        out += [
            f'<circle cx="{x(rows)}" cy="{y(seconds)}" r="3.5" style="fill: {colour}"/>'
            for rows, seconds in line
        ]
        out.append(
            f'<text x="{ends[method][0] + 10}" y="{places[method] + 4}" style="fill: {colour}">'
            f"{LABELS[method]}</text>"
        )
    return "\n".join([*out, "</svg>"])


def main() -> None:
    if len(sys.argv) != 4:
        sys.exit("usage: join_plot.py RESULTS DATA DISTANCE > FILE.svg")
    results, data, distance = sys.argv[1:]
    methods = read_results(Path(results), data, distance)
    print(draw(methods, f"Pairs within {distance} bits of {data} 64-bit hashes"))


if __name__ == "__main__":
    main()
