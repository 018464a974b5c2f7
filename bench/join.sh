#!/usr/bin/env bash
# The pairs within a Hamming distance by every method, on the same hashes: seconds, the best of a few
# runs. All methods must find as many pairs, or the script fails.
#
#   bench/join.sh [ROWS ...]       default: 10000 100000 1000000 10000000, in ascending order
#   DATA='uniform planted skewed' DISTANCES='2 5 8 10' BUDGET=30 bench/join.sh ...
#
# Needs the extension installed, and scripts/install-deps.sh build bench demo. Without FAISS its columns
# stay empty. A method that would take longer than BUDGET seconds is not run: "-", as is one that was
# stopped there. bench/join_plot.py draws what this prints.
#
# The columns: scan, a plain scan of the table; sql, similar_pairs by SQL, reading the table and returning
# the pairs included; engine, its join alone; multihash and flat, FAISS (see bench/faiss_join.cpp);
# popcount, the SQL join by bit_count.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/private-cluster.sh
read -ra data_sets <<<"${DATA:-uniform planted skewed}"
read -ra distances <<<"${DISTANCES:-2 5 8 10}"
budget=${BUDGET:-30}
[ $# -gt 0 ] || set -- 10000 100000 1000000 10000000

folder=$(mktemp -d)
trap 'stop_cluster; rm -rf "$folder"' EXIT
chmod 755 "$folder"
cmake -S . -B build/bench -DVAMHASH_BENCH=ON >/dev/null
cmake --build build/bench --parallel "$(nproc)" >/dev/null
programs=build/bench/bench

# Prints the different dHashes of the demo's photographs and of their copies, but of those that are damaged.
hash_photographs() {
	/usr/bin/python3 demo/make_copies.py "$folder/photographs" /usr/share/backgrounds/mate/nature/*.jpg \
		>/dev/null
	find "$folder/photographs" -type f | sort | while read -r photograph; do
		{ build/bench/src/engine/vamhash-engine hash "$photograph" 2>/dev/null || true; } | cut -d ' ' -f 1
	done | awk '!seen[$0]++'
}

make_table() { # DATA ROWS
	"$programs/make_hashes" "$1" "$2" "$folder/hashes" "$folder/copy" <"$folder/photographs.txt"
	psql -X -q -v ON_ERROR_STOP=1 <<SQL
SET client_min_messages = warning;
DROP TABLE IF EXISTS images;
CREATE TABLE images (id bigint, dhash phash64);
\copy images FROM '$folder/copy' (FORMAT binary)
VACUUM ANALYZE images;
SQL
}

# Prints the milliseconds of each of some SELECTs of one number, run in one session, and the number.
time_sql() {
	local command statements=()
	for command in "$@"; do
		statements+=(-c "$command")
	done
	psql -X -q -At -v VERBOSITY=sqlstate -c "SET statement_timeout = '${budget}s'" -c '\timing on' \
		"${statements[@]}" 2>&1
}

# Runs a SELECT of one number: prints the best run's seconds and the number. What takes less than a second
# is run three times more, in a session of its own that has its engine from the first on. Prints "- -" if
# it was stopped at the budget or at the limit of temporary files.
run_sql() {
	local output
	output=$(time_sql "$1") || {
		case $output in
		*57014* | *53400*) echo '- -' && return ;;
		*) echo "$output" >&2 && return 1 ;;
		esac
	}
	if awk '/^Time:/ {exit $2 >= 1000}' <<<"$output"; then
		output=$(time_sql "$1" "$1" "$1")
	fi
	awk '/^Time:/ {if (best == "" || $2 < best) best = $2; next} {number = $1}
		END {printf "%.4f %s\n", best / 1000, number}' <<<"$output"
}

measure() { # METHOD DISTANCE
	case $1 in
	scan) run_sql 'SELECT count(id) + 0 * count(dhash) FROM images' ;;
	sql) run_sql "SELECT count(*) FROM similar_pairs('SELECT id, dhash FROM images', $2)" ;;
	popcount) run_sql "SELECT count(*) FROM images a JOIN images b ON a.id < b.id
		AND bit_count((a.dhash::bigint # b.dhash::bigint)::bit(64)) <= $2" ;;
	engine) "$programs/engine_join" "$folder/hashes" "$2" "$budget" ;;
	multihash | flat)
		if [ -x "$programs/faiss_join" ]; then
			"$programs/faiss_join" "$1" "$folder/hashes" "$2" "$budget"
		else
			echo '- -'
		fi
		;;
	esac
}

# How many times as long a method takes, at least, for ten times the rows. Equal hashes, of which the
# skewed data are made, have pairs as the square of the rows, whatever finds them.
growth() { # DATA METHOD
	case $1-$2 in
	*-scan) echo 10 ;;
	skewed-* | *-flat | *-popcount) echo 100 ;;
	*) echo 10 ;;
	esac
}

declare -A last_seconds last_rows
# Would the method's last time, grown to these rows, be over the budget?
over_budget() { # DATA METHOD DISTANCE ROWS
	local last=${last_seconds[$1 $2 $3]-0}
	[ "$last" != - ] || return 0
	awk -v last="$last" -v factor="$(growth "$1" "$2")" -v budget="$budget" \
		-v from="${last_rows[$1 $2 $3]-1}" -v to="$4" \
		'BEGIN {exit !(last * exp(log(factor) * log(to / from) / log(10)) > budget)}'
}

# Is there a method left to be measured with so many rows?
any_left() { # DATA ROWS
	local method distance
	for distance in "${distances[@]}"; do
		for method in sql engine multihash flat popcount; do
			over_budget "$1" "$method" "$distance" "$2" || return 0
		done
	done
	return 1
}

measure_row() { # DATA DISTANCE ROWS
	local pairs=- row seconds found method
	row=$(printf '%-8s %3d %9d' "$1" "$2" "$3")
	for method in scan sql engine multihash flat popcount; do
		seconds=- found=-
		if ! over_budget "$1" "$method" "$2" "$3"; then
			found=$(measure "$method" "$2") || exit 1
			read -r seconds found <<<"$found"
		fi
		last_seconds[$1 $method $2]=$seconds
		last_rows[$1 $method $2]=$3
		row+=$(printf ' %10s' "$seconds")
		if [ "$method" = scan ] || [ "$found" = - ]; then
			continue
		fi
		[ "$pairs" != - ] || pairs=$found
		if [ "$found" != "$pairs" ]; then
			echo "join.sh: $method finds $found pairs, not $pairs: $1 hashes, distance $2, $3 rows" >&2
			exit 1
		fi
	done
	printf '%s %12s\n' "$row" "$pairs"
}

# Groups never expand the pairs of equal hashes: heavy values should cost them nothing.
measure_groups() { # DATA ROWS
	local method seconds found
	for method in star connected; do
		read -r seconds found <<<"$(run_sql "SELECT count(*) FROM similar_groups(
			'SELECT id, dhash FROM images', 5, '$method')")"
		echo "# $1, $2 rows: $found rows in $method groups within 5: $seconds s"
	done
}

# A catalog such as VAM Tools': pairs by consensus of two hashes, and groups.
measure_catalog() {
	local pairs seconds
	bench/vam_catalog.py >"$folder/catalog"
	psql -X -q -v ON_ERROR_STOP=1 <<SQL
CREATE TABLE catalog (id text PRIMARY KEY, source_path text, dhash text, ahash text, whash text);
\copy catalog FROM '$folder/catalog'
VACUUM ANALYZE catalog;
SQL
	read -r seconds pairs <<<"$(run_sql "SELECT count(*) FROM similar_pairs(
		'SELECT id, dhash::phash64, ahash::phash64 FROM catalog', ARRAY[5, 5], NULL::text)")"
	echo "# catalog of 98932 rows: $pairs pairs within 5 by dhash and by ahash: $seconds s"
	if [ "$pairs" != "$(bench/vam_catalog.py --pairs)" ]; then
		echo "join.sh: the catalog has $(bench/vam_catalog.py --pairs) such pairs" >&2
		exit 1
	fi
	read -r seconds pairs <<<"$(run_sql "SELECT count(DISTINCT group_id) FROM similar_groups(
		'SELECT id, dhash::phash64 FROM catalog', 5, 'star', NULL::text)")"
	echo "# the same: $pairs star groups within 5 by dhash: $seconds s"
}

# A join's result may be as large as the pairs are many: what does not fit in the limit is skipped.
start_cluster "$folder/cluster" "shared_buffers = '1GB'" 'max_parallel_workers_per_gather = 0' \
	"temp_file_limit = '4GB'"
psql -X -q -c 'CREATE EXTENSION vamhash'
case " ${data_sets[*]} " in
*' skewed '*) hash_photographs >"$folder/photographs.txt" ;;
*) : >"$folder/photographs.txt" ;;
esac

sed -n 's/^model name[^:]*: /# /p' /proc/cpuinfo | head -n 1
echo "# $(nproc) processors; $(psql -X -At -c 'SHOW server_version')"
measure_catalog
printf '%-8s %3s %9s %10s %10s %10s %10s %10s %10s %12s\n' data t rows scan sql engine multihash flat \
	popcount pairs
for data in "${data_sets[@]}"; do
	for rows in "$@"; do
		any_left "$data" "$rows" || break
		make_table "$data" "$rows"
		for distance in "${distances[@]}"; do
			measure_row "$data" "$distance" "$rows"
		done
		measure_groups "$data" "$rows"
	done
done
