#!/usr/bin/env python3
"""Write a made catalog of the shape of VAM Tools' table images, tab-separated, for COPY.

Columns: id, source_path, dhash, ahash, whash, all text. It has what was counted in one real catalog:
98,932 rows, 78.29 % distinct dhashes, 71.48 % distinct ahashes, 116 rows whose hashes are all zero and
118 with another pair of hashes. Of the pairs whose hashes are not the same, 8,806 are within 5 by
dhash, 66,873 by ahash and 7,932 by both. Pairs of the same hashes come on top: distinct values so few
make at least 21,478 of them. The other hashes are uniform, which those of photographs are not.

    vam_catalog.py > FILE       the catalog
    vam_catalog.py --pairs      how many pairs are within 5 by dhash and by ahash
"""

import random
import sys
import uuid

ROWS = 98_932
DISTINCT_DHASHES = 77_454
DISTINCT_AHASHES = 70_717
BLANKS = (116, 118)  # rows of two pictures without content
NEAR_BOTH = 7_932  # pairs within 5, not of the same hashes
NEAR_DHASH = 8_806
NEAR_AHASH = 66_873
THRESHOLD = 5
# Rows whose ahashes alone are all within the threshold, as a series of alike scenes has them.
SERIES = 11

SAME_BLANK = sum(n * (n - 1) // 2 for n in BLANKS)
# Pairs of copies: each takes one from the distinct values.
SAME_BOTH = ROWS - DISTINCT_DHASHES - sum(n - 1 for n in BLANKS)
SAME_AHASH = ROWS - DISTINCT_AHASHES - sum(n - 1 for n in BLANKS) - SAME_BOTH

Row = tuple[int, int]  # dhash, ahash


def near(rng: random.Random, code: int, most: int = THRESHOLD) -> int:
    """A hash with 1 to `most` other bits."""
    for bit in rng.sample(range(64), rng.randint(1, most)):
        code ^= 1 << bit
    return code


def series(rng: random.Random, pairs: int) -> list[Row]:
    """Rows with `pairs` pairs of different ahashes within the threshold and no dhashes near."""
    rows: list[Row] = []
    while pairs > 0:
        size = next(n for n in range(SERIES, 1, -1) if n * (n - 1) // 2 <= pairs)
        pairs -= size * (size - 1) // 2
        base = rng.getrandbits(64)
        # Two bits from the base are at most four from one another.
        ahashes: set[int] = set()
        while len(ahashes) < size:
            ahashes.add(near(rng, base, 2))
        rows += [(rng.getrandbits(64), ahash) for ahash in sorted(ahashes)]
    return rows


def catalog(rng: random.Random) -> list[Row]:
    rows: list[Row] = [(0, 0)] * BLANKS[0]
    rows += [(rng.getrandbits(64), rng.getrandbits(64))] * BLANKS[1]
    for _ in range(SAME_BOTH):
        rows += [(rng.getrandbits(64), rng.getrandbits(64))] * 2
    for _ in range(SAME_AHASH):
        ahash = rng.getrandbits(64)
        rows += [(rng.getrandbits(64), ahash), (rng.getrandbits(64), ahash)]
    for _ in range(NEAR_BOTH):
        dhash, ahash = rng.getrandbits(64), rng.getrandbits(64)
        rows += [(dhash, ahash), (near(rng, dhash), near(rng, ahash))]
    for _ in range(NEAR_DHASH - NEAR_BOTH):
        dhash = rng.getrandbits(64)
        rows += [(dhash, rng.getrandbits(64)), (near(rng, dhash), rng.getrandbits(64))]
    rows += series(rng, NEAR_AHASH - NEAR_BOTH)
    rows += [(rng.getrandbits(64), rng.getrandbits(64)) for _ in range(ROWS - len(rows))]
    rng.shuffle(rows)
    return rows


def whash16(rng: random.Random) -> int:
    """VAM Tools' whash: eight of 16 bits, then twelve zero digits."""
    return sum(1 << bit for bit in rng.sample(range(48, 64), 8))


def main() -> None:
    if sys.argv[1:] == ["--pairs"]:
        print(SAME_BLANK + SAME_BOTH + NEAR_BOTH)
        return
    rng = random.Random(98_932)
    for number, (dhash, ahash) in enumerate(catalog(rng)):
        key = uuid.UUID(int=rng.getrandbits(128), version=4)
        path = f"/photos/{2000 + number % 25}/{number:06}.jpg"
        print(key, path, f"{dhash:016x}", f"{ahash:016x}", f"{whash16(rng):016x}", sep="\t")


if __name__ == "__main__":
    main()
