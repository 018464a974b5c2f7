#!/usr/bin/env bash
# Hashing a catalog's image files, on all processors: images per second, the best of a few runs that take
# turns. All methods must find as many good images, or the script fails.
#
#   bench/bulk.sh [SMALL] [LARGE]      how many images of 400x300 and of 12 megapixels; default: 10000 40
#   DATA='small demo large' METHODS='engine query catalog single once each' ROUNDS=3 bench/bulk.sh
#
# Needs the extension installed, scripts/install-deps.sh build bench demo, and PyPI for Pillow, ImageHash
# and psycopg.
#
# The columns: engine, the engine's code alone on as many threads; query, hash_query to a count; catalog,
# hash_catalog, which writes dhash, ahash and whash into the table; catalog/engine, of these runs; single,
# image_hashes_file for one row after another; once and each, bench/bulk_pillow.py into the same table.
# Then the memory: of the backend what it has of its own (RssAnon), of the decoding engine its peak.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/private-cluster.sh
small=${1:-10000}
large=${2:-40}
rounds=${ROUNDS:-3}
read -ra data_sets <<<"${DATA:-small demo large}"
read -ra methods <<<"${METHODS:-engine query catalog single once each}"
processors=$(nproc)

folder=$(mktemp -d)
trap 'stop_cluster; rm -rf "$folder"' EXIT
chmod 755 "$folder"
cmake -S . -B build/bench -DVAMHASH_BENCH=ON >/dev/null
cmake --build build/bench --target engine_images --parallel "$processors" >/dev/null
tests/exactness/setup_venv.sh build/venv
python=build/venv/bin/python
"$python" -m pip install --quiet --disable-pip-version-check --only-binary :all: 'psycopg[binary]==3.3.*'

# Cuts pictures out of the photographs.
make_images() { # FOLDER COUNT WIDTH HEIGHT
	mkdir "$1"
	"$python" bench/make_images.py "$@" /usr/share/backgrounds/mate/nature/*.jpg
}

sql() {
	psql -X -q -At -v ON_ERROR_STOP=1 "$@"
}

# Makes the table anew: nothing hashed, nothing bloated.
make_table() {
	sql <<SQL
SET client_min_messages = warning;
DROP TABLE IF EXISTS images;
CREATE TABLE images (id text PRIMARY KEY, source_path text NOT NULL, dhash text, ahash text, whash text);
\copy images (id, source_path) FROM '$folder/list.csv' (FORMAT csv)
VACUUM ANALYZE images;
SQL
}

# Prints the seconds of a statement, and the number that another one returns after it.
time_sql() {
	sql -c '\timing on' -c "$1" -c '\timing off' -c "$2" 2>&1 |
		awk '/^Time:/ {seconds = $2 / 1000} /^[0-9]+$/ {number = $1} END {printf "%.4f %s\n", seconds, number}'
}

hashed='SELECT count(dhash) FROM images'
measure() { # METHOD DECODE
	case $1 in
	engine) build/bench/bench/engine_images "$2" "$processors" <"$folder/list" ;;
	query)
		time_sql "SELECT count(dhash) FROM hash_query('SELECT id, source_path FROM images', NULL::text, '$2')" \
			"SELECT value::int - (SELECT value::int FROM vamhash_stat WHERE name = 'last_bad')
			FROM vamhash_stat WHERE name = 'last_images'"
		;;
	catalog)
		make_table
		time_sql "CALL hash_catalog('images', 'id', 'source_path',
			'{\"dhash\": \"dhash\", \"ahash\": \"ahash\", \"whash\": \"whash\"}', decode => '$2')" "$hashed"
		;;
	single)
		make_table
		sql -f - <<SQL >/dev/null
CREATE OR REPLACE FUNCTION hashes(path text) RETURNS phash64 LANGUAGE plpgsql AS \$\$
BEGIN
	RETURN (SELECT h.dhash FROM image_hashes_file(path, '$2') h);
EXCEPTION WHEN OTHERS THEN
	RETURN NULL;
END
\$\$;
SQL
		time_sql 'UPDATE images SET dhash = hashes(source_path)' "$hashed"
		;;
	once | each)
		if [ "$2" = fast ]; then
			echo '- -'
			return
		fi
		make_table
		"$python" bench/bulk_pillow.py "$1" images
		;;
	esac
}

# Measures all methods by turns, keeps the best of each, and prints a row.
measure_row() { # NAME DECODE
	local round method seconds found good='' row images
	declare -A best=()
	make_table
	for ((round = 1; round <= rounds; round++)); do
		for method in "${methods[@]}"; do
			# The slow ones once.
			[ "$round" -eq 1 ] || [[ $method =~ ^(engine|query|catalog)$ ]] || continue
			read -r seconds found <<<"$(measure "$method" "$2")"
			if [ "$found" != - ] && [ "$found" != "${good:=$found}" ]; then
				echo "bulk.sh: $method finds $found good images, not $good: $1, $2" >&2
				exit 1
			fi
			if [ "$seconds" != - ] && awk -v a="$seconds" -v b="${best[$method]:-1e9}" 'BEGIN {exit !(a < b)}'; then
				best[$method]=$seconds
			fi
		done
	done
	images=$(wc -l <"$folder/list")
	row=$(printf '%-12s %-5s %6d' "$1" "$2" "$images")
	for method in engine query catalog single once each; do
		row+=$(awk -v images="$images" -v seconds="${best[$method]:-0}" \
			'BEGIN {printf " %9s", (seconds > 0) ? sprintf("%.1f", images / seconds) : "-"}')
	done
	awk -v row="$row" -v a="${best[engine]:-0}" -v b="${best[catalog]:-1}" \
		'BEGIN {printf "%s %7.1f %%\n", row, 100 * a / b}'
}

# Prints what a session that has hashed all images twice holds, and its engine's peak, in MB.
measure_memory() { # NAME
	make_table
	sql <<SQL | paste -sd' ' | sed "s/^/# $1: /"
SET client_min_messages = warning;
CALL hash_catalog('images', 'id', 'source_path', '{"dhash": "dhash"}');
CALL hash_catalog('images', 'id', 'source_path', '{"dhash": "dhash"}', recompute => true);
SELECT pg_backend_pid() AS backend \gset
\setenv BACKEND :backend
\! awk '/^RssAnon/ {print "backend", int(\$2 / 1024), "MB,"}' /proc/\$BACKEND/status
\! awk '/^VmHWM/ {print "decode", int(\$2 / 1024), "MB"}' /proc/\$(pgrep -g \$BACKEND -f 'vamhash-engine decode')/status
SQL
}

start_cluster "$folder/cluster" "shared_buffers = '256MB'"
sql -c 'CREATE EXTENSION vamhash'
for data in "${data_sets[@]}"; do
	case $data in
	small) make_images "$folder/small" "$small" 400 300 ;;
	large) make_images "$folder/large" "$large" 4000 3000 ;;
	demo) "$python" demo/make_copies.py "$folder/demo" /usr/share/backgrounds/mate/nature/*.jpg >/dev/null ;;
	esac
done

sed -n 's/^model name[^:]*: /# /p' /proc/cpuinfo | head -n 1
echo "# $processors processors; $(sql -c 'SHOW server_version'); load $(cut -d' ' -f1 /proc/loadavg)"
printf '%-12s %-5s %6s %9s %9s %9s %9s %9s %9s %9s\n' data mode images engine query catalog single once each \
	'cat./eng.'
memory=
for data in "${data_sets[@]}"; do
	# Of a truncated file some methods give a hash, and some an error.
	find "$folder/$data" -type f ! -name '*_truncated.jpg' | sort >"$folder/list"
	awk '{printf "%d,%s\n", NR, $0}' "$folder/list" >"$folder/list.csv"
	for decode in exact fast; do
		measure_row "$data" "$decode"
	done
	memory+=$(measure_memory "$data")$'\n'
done
printf '%s' "$memory"
