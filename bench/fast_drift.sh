#!/usr/bin/env bash
# How many bits `decode => 'fast'` changes in the hashes of photographs that Debian's packages hold.
#
#   bench/fast_drift.sh      needs scripts/install-deps.sh build, Debian's archive, and PyPI for Pillow
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"

cmake -S . -B build/bench >/dev/null
cmake --build build/bench --target vamhash-engine --parallel "$(nproc)" >/dev/null
tests/exactness/setup_venv.sh build/venv

# Not the drawings among them.
drawings='Fossa|Infinite-Sea|Painting-Colors|umang|/Autumn/'
for package in mate-backgrounds lomiri-wallpapers-16.04 lomiri-wallpapers-20.04 \
	plasma-workspace-wallpapers python3-skimage gcompris-qt-data; do
	(cd "$folder" && apt-get -q download "$package" && dpkg-deb -x "$package"_*.deb "$package")
done
mkdir "$folder/photographs"
find "$folder" -path '*/mate/nature/*.jpg' -o -path '*/lomiri-*/*.jpg' -o -name 2560x1600.jpg \
	-o -path '*/skimage/data/r*.jpg' -o -path '*/skimage/data/hubble_deep_field.jpg' |
	grep -vE "$drawings" | while read -r photograph; do
	cp "$photograph" "$folder/photographs/$(echo "${photograph#"$folder"}" | tr / -)"
done

# GCompris keeps WebPs as they are in bundles; its photographs are the opaque ones of these.
build/venv/bin/python - "$folder" <<'PYTHON'
import io
import re
import struct
import sys
from pathlib import Path

from PIL import Image

folder = Path(sys.argv[1])
seen = set()
for name in (
    "categorization", "clickgame", "erase", "explore_farm_animals", "explore_monuments",
    "explore_world_animals", "explore_world_music",
):  # fmt: skip
    bundle = (folder / f"gcompris-qt-data/usr/share/gcompris-qt/rcc/{name}.rcc").read_bytes()
    for number, head in enumerate(re.finditer(rb"RIFF(....)WEBP", bundle, re.DOTALL)):
        size = struct.unpack("<I", head[1])[0] + 8
        data = bundle[head.start() : head.start() + size]
        image = Image.open(io.BytesIO(data))
        if image.mode == "RGB" and min(image.size) >= 256 and data not in seen:
            seen.add(data)
            (folder / "photographs" / f"{name}-{number}.webp").write_bytes(data)
PYTHON

dpkg-query -W -f 'libjpeg-turbo ${Version}\n' libjpeg62-turbo 2>/dev/null || true
build/venv/bin/python bench/fast_drift.py --engine build/bench/src/engine/vamhash-engine \
	"$folder/photographs"
