#!/usr/bin/python3
"""Write the contact sheet: one HTML page, nothing outside it, from the JSON that sheet.sql gives."""

import argparse
import json
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path
from typing import Any

from thumbnail import thumbnail

STYLE = Path(__file__).with_name("contact_sheet.css")
# Nothing is loaded from anywhere, whatever a file is called.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

Card = dict[str, Any]
Thumbnails = dict[str, str | None]


def number(value: int) -> str:
    return f"{value:,}".replace(",", "\u202f")


def plural(count: int, noun: str) -> str:
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def size_text(count: int) -> str:
    if count < 1000:
        return plural(count, "byte")
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def rate_text(rate: float) -> str:
    return f"{rate:.1f}" if rate < 100 else number(round(rate))


def band(distance: int) -> str:
    """Name how alike two images with this distance look; the bands are VAM Tools'."""
    if distance <= 5:
        return "near"
    return "similar" if distance <= 10 else "far"


def badges(distances: dict[str, int] | None) -> str:
    """Show each hash's distance; the image that the others are compared with has none."""
    if distances is None:
        return '<span class="badge" title="the others are compared with this one">reference</span>'
    return "".join(
        f'<span class="badge {band(distance)}" title="{name} differs in {distance} of 64 bits">'
        f"{name} <b>{distance}</b></span>"
        for name, distance in distances.items()
    )


def hash_lines(card: Card) -> str:
    """Show the hashes; digits that differ from the image beside are marked."""
    lines = []
    for name, value in card["hashes"].items():
        digits = "".join(
            digit if digit == other else f"<mark>{digit}</mark>"
            for digit, other in zip(value, card["beside"][name], strict=True)
        )
        lines.append(f"<span>{name}</span> {digits}")
    return "\n".join(lines)


def figure(card: Card, thumbnails: Thumbnails) -> str:
    name = escape(card["name"])
    picture = thumbnails[card["path"]]
    facts = f"{card['width']} × {card['height']} · {card['format']} · {size_text(card['bytes'])}"
    shown = (
        f'<img src="{picture}" alt="{name}, {card["width"]} by {card["height"]} pixels">'
        if picture
        else '<span class="no-picture">no thumbnail</span>'
    )
    kind = f'<span class="kind">{escape(card["kind"])}</span>' if card["kind"] else ""
    oriented = (
        '<p class="facts">with <code>orient =&gt; true</code></p>\n'
        f'<p class="badges">{badges(card["oriented"])}</p>\n'
        if card["oriented"]
        else ""
    )
    return f"""<figure>
<a class="picture" href="{escape(Path(card["path"]).as_uri())}">{shown}{kind}</a>
<figcaption>
<p class="name" title="{escape(card["path"])}"><bdi>{name}</bdi></p>
<p class="facts">{escape(facts)}</p>
<p class="badges">{badges(card["distances"])}</p>
{oriented}<pre class="hashes">{hash_lines(card)}</pre>
</figcaption>
</figure>
"""


def figures(cards: Iterable[Card], thumbnails: Thumbnails) -> str:
    return f'<div class="cards">\n{"".join(figure(c, thumbnails) for c in cards)}</div>\n'


def head(sheet: dict[str, Any]) -> str:
    """Show the counts, and the SQL that gave them."""
    limit = sheet["max_distance"]
    tiles = [
        (number(sheet["images"] - sheet["bad"]), "images hashed"),
        (number(sheet["pairs"]), "pairs found"),
        (number(sheet["group_count"]), "groups"),
        (number(sheet["bad"]), "files not hashed"),
        (rate_text(sheet["images_per_second"]), "images hashed a second"),
    ]
    if sheet["copies_made"]:
        tiles.insert(2, (number(sheet["wrong_count"]), "pairs of different photographs"))
    shown = "".join(f"<div><dt>{k}</dt><dd>{escape(v)}</dd></div>" for v, k in tiles)
    return f"""<header>
<h1>Near-duplicate images</h1>
<p class="folder"><bdi>{escape(sheet["folder"])}</bdi></p>
<dl class="tiles">{shown}</dl>
<p>Two images are a pair when their dhash and their ahash both differ in at most {limit} of 64
bits. Found inside PostgreSQL {escape(sheet["postgres"])} by vamhash {escape(sheet["vamhash"])} on
{escape(sheet["made_on"])}:</p>
<pre class="sql">SELECT * FROM similar_pairs('SELECT id, dhash, ahash FROM images WHERE status = ''ok''',
                            ARRAY[{limit}, {limit}], NULL::text);</pre>
<p class="small">Hashed one file after another in one session, {sheet["megapixels"] or 0} megapixels
on average, decoding included. Hash digits that differ from the compared image's are
<mark>marked</mark>.</p>
</header>
"""


def kinds_table(sheet: dict[str, Any]) -> str:
    """Show which kinds of copies were found, and how far each kind is from its photograph."""
    if not sheet["kinds"]:
        return ""
    rows = "".join(
        f"""<tr><th scope="row">{escape(k["kind"])}</th>
<td class="{"all" if k["found"] == k["copies"] else "some" if k["found"] else "none"}">
{k["found"]} of {k["copies"]}</td>
<td>{k["dhash"]}</td><td>{k["ahash"]}</td><td>{k["phash"]}</td><td>{k["whash"]}</td></tr>
"""
        for k in sheet["kinds"]
    )
    return f"""<section>
<h2>Copies made, and found</h2>
<p>The demonstration made these copies of each photograph itself, so it knows what is to be found.
A mirrored picture is another picture to these hashes. One that is stored turned, with an EXIF
orientation that says so, is found when it is hashed with <code>orient =&gt; true</code>.</p>
<div class="wide"><table>
<thead><tr><th scope="col" rowspan="2">kind of copy</th><th scope="col" rowspan="2">found</th>
<th scope="colgroup" colspan="4">distance to the photograph, least to greatest</th></tr>
<tr><th scope="col">dhash</th><th scope="col">ahash</th><th scope="col">phash</th>
<th scope="col">whash</th></tr></thead>
<tbody>
{rows}</tbody></table></div>
</section>
"""


def groups_section(sheet: dict[str, Any], thumbnails: Thumbnails) -> str:
    groups = sheet["groups"] or []
    parts = ["<section>\n<h2>Groups of near-duplicates</h2>\n"]
    if not sheet["group_count"]:
        parts.append("<p>None: no two images are a pair.</p>\n")
    elif len(groups) < sheet["group_count"]:
        parts.append(
            f'<p class="limit">The {plural(len(groups), "largest group")} of '
            f"{number(sheet['group_count'])} are shown; all pairs are in pairs.csv.</p>\n"
        )
    for group in groups:
        cards, size = group["cards"], group["size"]
        parts.append(
            f'<article>\n<h3><bdi>{escape(cards[0]["name"])}</bdi> '
            f'<small>and {plural(size - 1, "near-duplicate")}</small></h3>\n'
        )
        parts.append(figures(cards, thumbnails))
        if size > len(cards):
            parts.append(f'<p class="limit">{number(size - len(cards))} more are not shown.</p>\n')
        parts.append("</article>\n")
    parts.append("</section>\n")
    return "".join(parts)


def missed_section(sheet: dict[str, Any], thumbnails: Thumbnails) -> str:
    if not sheet["missed"]:
        return ""
    parts = [
        "<section>\n<h2>Copies that were not found</h2>\n"
        "<p>Each is compared with the photograph that it was made from. The thumbnails are turned as "
        "their EXIF orientation says, the hashed pixels are not.</p>\n"
    ]
    for missed in sheet["missed"]:
        parts.append(
            f"<article>\n<h3>{escape(missed['kind'])} "
            f"<small>{plural(len(missed['cards']), 'copy').replace('copys', 'copies')}</small></h3>\n"
        )
        parts.append(figures(missed["cards"], thumbnails) + "</article>\n")
    return "".join(parts) + "</section>\n"


def wrong_section(sheet: dict[str, Any], thumbnails: Thumbnails) -> str:
    if not sheet["wrong"]:
        return ""
    parts = ["<section>\n<h2>Pairs of different photographs</h2>\n"]
    if sheet["wrong_count"] > len(sheet["wrong"]):
        parts.append(f'<p class="limit">The first {len(sheet["wrong"])} are shown.</p>\n')
    parts.append('<div class="couples">\n')
    for pair in sheet["wrong"]:
        parts.append(f"<article>\n{figures(pair, thumbnails)}</article>\n")
    return "".join(parts) + "</div>\n</section>\n"


def failed_section(sheet: dict[str, Any]) -> str:
    failed = sheet["failed"]
    if not failed:
        return ""
    rows = "".join(
        f'<tr><th scope="row"><bdi>{escape(f["id"])}</bdi></th><td>{size_text(f["size_bytes"])}</td>'
        f'<td><span class="badge far">{escape(f["status"])}</span></td>'
        f"<td>{escape(f['message'] or '')}</td></tr>\n"
        for f in failed
    )
    limit = (
        f'<p class="limit">The first {len(failed)} of {number(sheet["bad"])} are shown.</p>\n'
        if len(failed) < sheet["bad"]
        else ""
    )
    return f"""<section>
<h2>Files that could not be hashed</h2>
{limit}<div class="wide"><table class="failed">
<thead><tr><th scope="col">file</th><th scope="col">size</th><th scope="col">status</th>
<th scope="col">message</th></tr></thead>
<tbody>
{rows}</tbody></table></div>
</section>
"""


def paths_shown(sheet: dict[str, Any]) -> list[str]:
    cards = [c for part in ("groups", "missed") for g in sheet[part] or [] for c in g["cards"]]
    cards += [card for pair in sheet["wrong"] or [] for card in pair]
    return list({card["path"]: None for card in cards})


def page(sheet: dict[str, Any]) -> str:
    paths = paths_shown(sheet)
    with ThreadPoolExecutor() as threads:
        thumbnails = dict(zip(paths, threads.map(lambda p: thumbnail(Path(p)), paths), strict=True))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Near-duplicate images</title>
<style>
{STYLE.read_text(encoding="utf-8")}</style>
</head>
<body>
<main>
{head(sheet)}{kinds_table(sheet)}{groups_section(sheet, thumbnails)}\
{wrong_section(sheet, thumbnails)}{missed_section(sheet, thumbnails)}{failed_section(sheet)}</main>
</body>
</html>
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path, help="the HTML file to write; the JSON is read from stdin")
    arguments = parser.parse_args()
    arguments.page.write_text(page(json.load(sys.stdin)), encoding="utf-8")


if __name__ == "__main__":
    main()
