"""Draws lines on logarithmic axes, as an SVG that takes its colours from what shows it, light or dark."""

import math
from typing import NamedTuple

WIDTH, HEIGHT = 720, 440
LEFT, RIGHT, TOP, BOTTOM = 70, 170, 50, 50  # margins
LINE_HEIGHT = 16

Point = tuple[float, float]


class Kind(NamedTuple):
    """What a line shows. Colours differ in lightness too, for eyes and for paper."""

    label: str
    light: str
    dark: str


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


def axes(x: Scale, y: Scale, x_label: str, y_label: str) -> list[str]:
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
    out.append(f'<text x="{middle}" y="{HEIGHT - 10}" text-anchor="middle">{x_label}</text>')
    anchor = "end" if len(y_label) < 10 else "middle"  # a long one goes on over the grid
    out.append(f'<text x="{x.begin - 8}" y="{TOP - 12}" text-anchor="{anchor}">{y_label}</text>')
    return out


def style(kinds: dict[str, Kind]) -> str:
    light = "; ".join(f"--{name}: {kind.light}" for name, kind in kinds.items())
    dark = "; ".join(f"--{name}: {kind.dark}" for name, kind in kinds.items())
    return f"""
svg {{ --ink: #24292f; --grid: #d0d7de; {light}; font: 13px sans-serif; }}
@media (prefers-color-scheme: dark) {{ svg {{ --ink: #e6edf3; --grid: #30363d; {dark}; }} }}
text {{ fill: var(--ink); }}
.grid {{ stroke: var(--grid); }}
.line {{ fill: none; stroke-width: 2.2; }}
"""


def label_places(ends: dict[str, tuple[float, float]]) -> dict[str, float]:
    """Where labels stand beside the ends of lines: a line of text apart from any other there."""
    places: dict[str, float] = {}
    last: dict[float, float] = {}
    for name, (x, y) in sorted(ends.items(), key=lambda item: item[1][1]):
        last[x] = places[name] = max(y, last.get(x, -math.inf) + LINE_HEIGHT)
    return places


def draw(
    lines: dict[str, list[Point]], kinds: dict[str, Kind], title: str, x_label: str, y_label: str
) -> str:
    points = [point for line in lines.values() for point in line]
    x = Scale([at for at, _ in points], LEFT, WIDTH - RIGHT)
    y = Scale([value for _, value in points], HEIGHT - BOTTOM, TOP)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{title}</title>",
        f"<style>{style(kinds)}</style>",
        f'<text x="{LEFT}" y="18" font-weight="bold">{title}</text>',
        *axes(x, y, x_label, y_label),
    ]
    ends = {name: (x(line[-1][0]), y(line[-1][1])) for name, line in lines.items()}
    places = label_places(ends)
    for name, line in lines.items():
        colour = f"var(--{name})"
        path = "L".join(f"{x(at)} {y(value)}" for at, value in line)
        out.append(f'<path class="line" style="stroke: {colour}" d="M{path}"/>')
        out += [
            f'<circle cx="{x(at)}" cy="{y(value)}" r="3.5" style="fill: {colour}"/>'
            for at, value in line
        ]
        out.append(
            f'<text x="{ends[name][0] + 10}" y="{places[name] + 4}" style="fill: {colour}">'
            f"{kinds[name].label}</text>"
        )
    return "\n".join([*out, "</svg>"])
