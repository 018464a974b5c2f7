#!/usr/bin/env bash
# What it costs to call the engine by SQL: a session's first call, which starts it, and a warm call with
# 100 KB of image. The image is a tiny JPEG with 100 KB of comments: hashing it takes next to nothing,
# and that is measured beside it, in a process without PostgreSQL.
#
#   bench/engine_call.sh     needs the extension installed, scripts/install-deps.sh build bench
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/private-cluster.sh
folder=$(mktemp -d)
trap 'stop_cluster; rm -rf "$folder"' EXIT
chmod 755 "$folder"
cmake -S . -B build/bench -DVAMHASH_BENCH=ON >/dev/null
cmake --build build/bench --target image_bench --parallel "$(nproc)" >/dev/null
start_cluster "$folder/cluster"

python3 - "$folder" <<'PYTHON'
import sys
from pathlib import Path

image = Path("tests/data/images/jpeg-size_8x8.jpg").read_bytes()
comment = b"\xff\xfe" + (50_000).to_bytes(2, "big") + bytes(49_998)
image = image[:2] + comment * 2 + image[2:]
folder = Path(sys.argv[1])
(folder / "image.jpg").write_bytes(image)
(folder / "image.sql").write_text(
    "CREATE TABLE picture (image bytea);\n"
    f"INSERT INTO picture VALUES ('\\x{image.hex()}');\n"
)
PYTHON
psql -X -q -v ON_ERROR_STOP=1 -c 'CREATE EXTENSION vamhash' -f "$folder/image.sql"

grep -m1 'model name' /proc/cpuinfo || true
echo 'start of decode, first call of a session, milliseconds (11 sessions):'
for _ in 1 2 3 4 5 6 7 8 9 10 11; do
	psql -X -q -At <<'SQL'
SELECT vamhash_version() \g /dev/null
SELECT clock_timestamp() AS begin \gset
SELECT image_hashes(image) FROM picture \g /dev/null
SELECT round(extract(epoch FROM clock_timestamp() - :'begin')::numeric * 1000, 2);
SQL
done | sort -n | awk '{v[NR] = $1} END {print "  min " v[1] "  median " v[int((NR + 1) / 2)] "  max " v[NR]}'

echo "a warm call with 100 KB, microseconds (11 runs of 2000 calls):"
for _ in 1 2 3 4 5 6 7 8 9 10 11; do
	psql -X -q -At <<'SQL'
SELECT image_hashes(image) FROM picture \g /dev/null
DO $$
DECLARE
	image bytea;
	begun timestamptz;
	engine float8;
BEGIN
	SELECT p.image || '' INTO image FROM picture p; -- detoasted and decompressed once
	begun := clock_timestamp();
	FOR i IN 1 .. 2000 LOOP
		PERFORM image_hashes(image);
	END LOOP;
	engine := extract(epoch FROM clock_timestamp() - begun) * 1e6 / 2000;
	PERFORM set_config('bench.call', round(engine::numeric, 1)::text, false);
END
$$;
SELECT current_setting('bench.call');
SQL
done | sort -n | awk '{v[NR] = $1} END {print "  min " v[1] "  median " v[int((NR + 1) / 2)] "  max " v[NR]}'
echo 'the same image hashed without PostgreSQL, milliseconds:'
build/bench/bench/image_bench "$folder/image.jpg" | awk 'NR == 2 {print "  " $4}'
