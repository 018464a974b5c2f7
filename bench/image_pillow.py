#!/usr/bin/env python3
"""Images per second of ImageHash on Pillow, in the table of image_rates: bench/images.sh runs it.

    image_pillow.py THREADS[,...] ROUNDS SECONDS NAME FILE.jpg ...

A file is opened and decoded once for its four hashes: dhash, average_hash, phash and whash. In the
place of threads there are processes.
"""

import itertools
import multiprocessing
import statistics
import sys
import time
from multiprocessing.pool import Pool

import imagehash
from PIL import Image

HASHES = (imagehash.dhash, imagehash.average_hash, imagehash.phash, imagehash.whash)
OTHER_COLUMNS = (7, 7, 7, 7, 7, 8, 6, 7, 6, 7, 9, 5)  # widths


def hash_file(path: str) -> list[str]:
    with Image.open(path) as image:
        # What all begin with; after it, they do not decode again.
        grey = image.convert("L")
    return [str(compute(grey)) for compute in HASHES]


def measure(pool: Pool, processes: int, paths: list[str], seconds: float) -> float:
    """Images per second."""
    files = itertools.cycle(paths)
    begin = time.perf_counter()
    done = 0
    while time.perf_counter() - begin < seconds:
        done += len(pool.map(hash_file, itertools.islice(files, 2 * processes), chunksize=1))
    return done / (time.perf_counter() - begin)


def main() -> None:
    threads = [int(number) for number in sys.argv[1].split(",")]
    rounds, seconds = int(sys.argv[2]), float(sys.argv[3])
    name, paths = sys.argv[4], sys.argv[5:]
    pixels = [width * height for width, height in (Image.open(path).size for path in paths)]
    megapixels = statistics.mean(pixels) / 1e6
    for processes in threads:
        with multiprocessing.Pool(processes) as pool:
            pool.map(hash_file, paths[:processes])  # imports and the like
            rates = [measure(pool, processes, paths, seconds) for _ in range(rounds)]
        row = f"{name:8} {megapixels:6.2f} {'imagehash':11} {processes:7}"
        row += f" {max(rates):9.2f} {statistics.median(rates):9.2f}"
        print(row + "".join(f" {'-':>{width}}" for width in OTHER_COLUMNS), flush=True)


if __name__ == "__main__":
    main()
