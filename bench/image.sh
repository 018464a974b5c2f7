#!/usr/bin/env bash
# Hashing one image on one core, beside the decode that it cannot do without and beside ImageHash:
# photographs of mate-backgrounds at 2, 6 and 12 megapixels (JPEG quality 90, 4:2:0).
#
#   bench/image.sh           needs scripts/install-deps.sh build bench demo, and PyPI for ImageHash
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cmake -S . -B build/bench -DVAMHASH_BENCH=ON >/dev/null
cmake --build build/bench --target image_bench --parallel "$(nproc)" >/dev/null
tests/exactness/setup_venv.sh build/venv

build/venv/bin/python - "$folder" <<'PYTHON'
import sys
from pathlib import Path
from PIL import Image

for name in ("TwoWings", "Wood", "Blinds"):
    photo = Image.open(f"/usr/share/backgrounds/mate/nature/{name}.jpg").convert("RGB")
    for megapixels, size in ((2, (1632, 1224)), (6, (2832, 2128)), (12, (4000, 3000))):
        photo.resize(size, Image.Resampling.LANCZOS).save(
            Path(sys.argv[1]) / f"{name}-{megapixels}MP.jpg", quality=90, subsampling="4:2:0"
        )
PYTHON

grep -m1 'model name' /proc/cpuinfo || true
dpkg-query -W -f 'libjpeg-turbo ${Version}\n' libjpeg62-turbo 2>/dev/null || true
taskset -c 0 build/bench/bench/image_bench "$folder"/*.jpg

echo
taskset -c 0 build/venv/bin/python - "$folder"/*.jpg <<'PYTHON'
import statistics
import sys
import time
from pathlib import Path

import imagehash
from PIL import Image


def milliseconds(work) -> float:
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1e3


def decode(path):
    Image.open(path).load()


def three_hashes(path):
    """dhash, average_hash and whash as VAM Tools does: each opens the file."""
    for compute in (imagehash.dhash, imagehash.average_hash, imagehash.whash):
        compute(Image.open(path))


print(f"{'Pillow and ImageHash':32} {'decode ms':>11} {'3 hashes ms':>11} {'ratio':>7}")
for path in sys.argv[1:]:
    decodes = [milliseconds(lambda: decode(path)) for _ in range(5)]
    hashes = [milliseconds(lambda: three_hashes(path)) for _ in range(5)]
    print(
        f"{Path(path).name:32} {statistics.median(decodes):11.2f} {statistics.median(hashes):11.2f}"
        f" {statistics.median(hashes) / statistics.median(decodes):7.2f}"
    )
PYTHON
