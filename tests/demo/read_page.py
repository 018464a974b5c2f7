#!/usr/bin/python3
"""Read a contact sheet with Python's own parser and print what is in it, as lines `name: value`."""

import sys
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "img"}


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.badly_nested = 0
        self.tags: dict[str, int] = {}
        self.thumbnails = 0
        self.without_alt = 0
        self.loaded = 0
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags[tag] = self.tags.get(tag, 0) + 1
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            source = attributes.get("src") or ""
            self.thumbnails += source.startswith("data:image/jpeg;base64,")
            self.loaded += not source.startswith("data:")
            self.without_alt += not attributes.get("alt")
        self.loaded += tag in ("script", "link", "iframe")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.badly_nested += 1

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)


def main() -> None:
    page = Page()
    page.feed(Path(sys.argv[1]).read_text(encoding="utf-8"))
    page.close()
    print(f"badly nested: {page.badly_nested + len(page.open)}")
    print(f"groups and lists: {page.tags.get('article', 0)}")
    print(f"cards: {page.tags.get('figure', 0)}")
    print(f"thumbnails: {page.thumbnails}")
    print(f"without alt: {page.without_alt}")
    print(f"loaded from elsewhere: {page.loaded}")
    print("text: " + " ".join(" ".join(page.text).split()))


if __name__ == "__main__":
    main()
