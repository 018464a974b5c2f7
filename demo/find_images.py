#!/usr/bin/python3
"""List the images under a folder as CSV rows: id, source_path, size_bytes.

The id is the path inside the folder. Which files are images is decided by their names here;
what is really in them is for vamhash to say.
"""

import argparse
import csv
import os
import sys
from collections.abc import Iterator
from pathlib import Path

EXTENSIONS = {".jpg", ".jpeg", ".png"}


def image_files(folder: Path) -> Iterator[Path]:
    """Yield the regular files under a folder that are named like images, in order of name."""
    # A folder that may not be read is told of, and passed over.
    for parent, folders, names in os.walk(folder, onerror=lambda e: print(e, file=sys.stderr)):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if path.suffix.lower() in EXTENSIONS and path.is_file():
                yield path


def is_utf8(path: Path) -> bool:
    """Say whether a path can be text in a UTF-8 database; a name on disk may be any bytes."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder

    rows = csv.writer(sys.stdout, lineterminator="\n")
    found = skipped = 0
    for path in image_files(folder):
        if is_utf8(path):
            found += 1
            rows.writerow([path.relative_to(folder), path, path.stat().st_size])
        else:
            skipped += 1
    if skipped:
        print(f"{skipped} files left out: their names are not UTF-8", file=sys.stderr)
    if not found:
        sys.exit(f"no images (jpg, jpeg, png) under {folder}")


if __name__ == "__main__":
    main()
