#!/usr/bin/env bash
# One long call of hash_query: the memory of the backend and of its engine while it runs, and how long a
# cancel takes at random moments of it.
#
#   bench/bulk_long.sh [IMAGES] [CANCELS]      default: 100000 50
#
# Needs the extension installed. The images are those of tests/data/images, all formats, over and over.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/private-cluster.sh
images=${1:-100000}
cancels=${2:-50}

folder=$(mktemp -d)
trap 'stop_cluster; rm -rf "$folder"' EXIT
chmod 755 "$folder"
cp -r tests/data/images "$folder/images"
chmod -R a+rX "$folder/images"
start_cluster "$folder/cluster"

sql() {
	psql -X -q -At -v ON_ERROR_STOP=1 postgres "$@"
}

sql <<SQL
CREATE EXTENSION vamhash;
CREATE TABLE files AS
	SELECT row_number() OVER () - 1 AS number, '$folder/images/' || name AS path
	FROM pg_ls_dir('$folder/images') AS name;
CREATE VIEW many AS
	SELECT i AS key, path
	FROM generate_series(1, $images) AS i JOIN files ON number = i % (SELECT count(*) FROM files);
SQL
# The rows go into a tuplestore, which spills to disk past work_mem.
call="SELECT count(*), count(dhash) FROM hash_query('SELECT key, path FROM many', NULL::bigint)"

# Prints what a field of /proc says of a process, in kB.
memory_of() { # PID FIELD
	sed -n "s/^$2:[[:space:]]*\([0-9]*\) kB/\1/p" "/proc/$1/status" 2>/dev/null || true
}

echo "# $(lscpu | sed -n 's/^Model name: *//p' | head -n 1), $(nproc) processors; load $(cut -d ' ' -f 1 /proc/loadavg)"
echo "images done    backend RssAnon kB    engine VmRSS kB"
begin=$EPOCHREALTIME
sql -c "$call" >"$folder/answer" &
client=$!
while kill -0 "$client" 2>/dev/null; do
	sleep 2
	IFS='|' read -r backend done_images <<<"$(sql -c 'SELECT pid, done FROM vamhash_progress' | head -n 1)"
	[ -n "$backend" ] || continue
	engine=$(pgrep -P "$backend" -f 'vamhash-engine decode' | head -n 1 || true)
	[ -n "$engine" ] || continue
	printf '%11s %22s %18s\n' "$done_images" "$(memory_of "$backend" RssAnon)" "$(memory_of "$engine" VmRSS)"
done
wait "$client"
echo "$images images in $(bc <<<"$EPOCHREALTIME - $begin") s; rows and hashes: $(cat "$folder/answer")"

echo "cancels, milliseconds from pg_cancel_backend to the error at the client:"
for ((i = 0; i < cancels; i++)); do
	sql -c "$call" >/dev/null 2>&1 &
	client=$!
	until backend=$(sql -c 'SELECT pid FROM vamhash_progress WHERE done > 0') && [ -n "$backend" ]; do
		sleep 0.05
	done
	sleep "0.$((RANDOM % 900 + 100))"
	begin=$EPOCHREALTIME
	# The canceller's own connection is a part of the time, some milliseconds.
	sql -c "SELECT pg_cancel_backend($backend)" >/dev/null
	wait "$client" && echo "a call ended before its cancel" >&2
	bc <<<"($EPOCHREALTIME - $begin) * 1000 / 1" 2>/dev/null
done | sort -n | awk '{ ms[NR] = $1 } END { printf "  %d cancels: median %d, max %d\n", NR, ms[int((NR + 1) / 2)], ms[NR] }'
