#!/usr/bin/env bash
# similar_pairs by SQL, reading the table and returning the pairs included, beside a plain scan of the
# same two columns, and at 10,000 rows beside the SQL join that it replaces. Uniform hashes with 5 %
# near-duplicates planted; seconds, the better of two runs.
#
#   bench/similar_pairs.sh [ROWS ...]     default: 100000 1000000; needs the extension installed
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/private-cluster.sh
folder=$(mktemp -d)
trap 'stop_cluster; rm -rf "$folder"' EXIT
chmod 755 "$folder"
start_cluster "$folder/cluster" "shared_buffers = '1GB'" 'max_parallel_workers_per_gather = 0'
psql -X -q -c 'CREATE EXTENSION vamhash'

# seconds SQL: the better of two runs, of a client that connects once
seconds() {
	psql -X -q -At -c '\timing on' -c "$1" -c "$1" | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' |
		sort -n | awk 'NR == 1 {printf "%.3f", $1 / 1000}'
}

make_table() {
	psql -X -q <<SQL
SET client_min_messages = warning;
DROP TABLE IF EXISTS images;
CREATE TABLE images AS
	SELECT i AS id, (CASE WHEN i % 20 = 0
		-- a near-duplicate of the row before, three bits away
		THEN ('x' || md5((i - 1)::text))::bit(64)::bigint # (2::bigint ^ (i % 60))::bigint # 5
		ELSE ('x' || md5(i::text))::bit(64)::bigint END)::phash64 AS dhash
	FROM generate_series(1::bigint, $1) i;
VACUUM ANALYZE images;
SQL
}

grep -m1 'model name' /proc/cpuinfo || true
echo "$(nproc) processors"
make_table 10000
echo "10000 rows: SELECT ... bit_count(a # b) <= 5: $(seconds "SELECT count(*) FROM images a JOIN images b ON a.id < b.id
	AND bit_count((a.dhash::bigint # b.dhash::bigint)::bit(64)) <= 5") s, similar_pairs: $(seconds \
	"SELECT count(*) FROM similar_pairs('SELECT id, dhash FROM images', 5)") s"
printf '%10s %9s %9s %9s %9s %9s\n' rows scan t=2 t=5 t=8 t=10
[ $# -gt 0 ] || set -- 100000 1000000
for n in "$@"; do
	make_table "$n"
	printf '%10d %9s' "$n" "$(seconds 'SELECT count(id), count(dhash) FROM images')"
	for t in 2 5 8 10; do
		printf ' %9s' "$(seconds "SELECT count(*) FROM similar_pairs('SELECT id, dhash FROM images', $t)")"
	done
	echo
done
