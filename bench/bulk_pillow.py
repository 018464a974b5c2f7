#!/usr/bin/env python3
"""Fill a catalog's hashes as a Python program does: Pillow, ImageHash, a process for each processor, and
psycopg. bench/bulk.sh runs it beside hash_catalog.

    bulk_pillow.py once|each TABLE       prints seconds, and how many images had hashes

The table has the columns id, source_path, dhash, ahash, whash; the connection is libpq's default.
With `once`, a file is decoded once for its three hashes; with `each`, it is opened and decoded for each
of them, as VAM Tools does.
"""

import itertools
import multiprocessing
import sys
import time
from collections.abc import Iterator

import imagehash
import psycopg
from PIL import Image, UnidentifiedImageError
from psycopg import sql

BATCH = 1000
HASHES = (imagehash.dhash, imagehash.average_hash, imagehash.whash)

Row = tuple[str, str, str, str]  # dhash, ahash, whash, id


def hash_once(job: tuple[str, str]) -> Row | None:
    key, path = job
    try:
        with Image.open(path) as image:
            # What all three begin with; after it, they do not decode again.
            grey = image.convert("L")
        dhash, ahash, whash = (str(compute(grey)) for compute in HASHES)
    except (OSError, UnidentifiedImageError):
        return None
    return dhash, ahash, whash, key


def hash_each(job: tuple[str, str]) -> Row | None:
    key, path = job
    try:
        dhash, ahash, whash = (str(compute(Image.open(path))) for compute in HASHES)
    except (OSError, UnidentifiedImageError):
        return None
    return dhash, ahash, whash, key


def batches(rows: Iterator[Row | None]) -> Iterator[list[Row]]:
    while batch := list(itertools.islice(rows, BATCH)):
        yield [row for row in batch if row is not None]


def main() -> None:
    compute = {"once": hash_once, "each": hash_each}[sys.argv[1]]
    table = sql.Identifier(sys.argv[2])
    begin = time.perf_counter()
    hashed = 0
    with psycopg.connect() as connection, multiprocessing.Pool() as pool:
        missing = connection.execute(
            sql.SQL("SELECT id, source_path FROM {} WHERE dhash IS NULL").format(table)
        ).fetchall()
        update = sql.SQL("UPDATE {} SET dhash = %s, ahash = %s, whash = %s WHERE id = %s")
        for batch in batches(pool.imap(compute, missing, chunksize=8)):
            with connection.cursor() as cursor:
                cursor.executemany(update.format(table), batch)
            connection.commit()
            hashed += len(batch)
    print(f"{time.perf_counter() - begin:.4f} {hashed}")


if __name__ == "__main__":
    main()
