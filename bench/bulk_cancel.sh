#!/usr/bin/env bash
# How long a cancel of a call on many images takes, at random moments of it: milliseconds until the client
# has the error, and until it may send the next statement; the least, median, 90 %, 99 %, the most.
#
#   bench/bulk_cancel.sh [CANCELS]                     default: 100 for each kind of images
#   KINDS='small large bytea slow hanging' LIBRARY=FOLDER NICE=-5 bench/bulk_cancel.sh
#
# The kinds: files of 400x300, files of 12 megapixels, the same as bytea; small ones that take 20 ms to open,
# and ones that take 10 minutes. LIBRARY as in bench/bulk_slow.sh; NICE is the server's and the client's.
# Needs the extension installed, and the packages and PyPI as bench/bulk.sh does.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/private-cluster.sh
. bench/slow_files.sh
cancels=${1:-100}
read -ra kinds <<<"${KINDS:-small large bytea slow hanging}"
[ -z "${NICE:-}" ] || renice -n "$NICE" -p $$ >/dev/null

folder=$(mktemp -d)
trap 'stop_cluster; rm -rf "$folder"' EXIT
chmod 755 "$folder"
tests/exactness/setup_venv.sh build/venv
python=build/venv/bin/python
"$python" -m pip install --quiet --disable-pip-version-check --only-binary :all: 'psycopg[binary]==3.3.*'
photos=(/usr/share/backgrounds/mate/nature/*.jpg)
mkdir -p "$folder/images/small" "$folder/images/large"
"$python" bench/make_images.py "$folder/images/small" 100 400 300 "${photos[@]}"
"$python" bench/make_images.py "$folder/images/large" 12 4000 3000 "${photos[@]}"
start_slow_cluster "$folder/slow" "$folder/images/"

# A statement that hashes an image, over and over.
statement() { # VALUE
	echo "SELECT count(*) FROM hash_query('SELECT i, $1 FROM generate_series(1, 1000000) i', NULL::int)"
}
path() { # KIND FILES
	echo "''$folder/images/$1/'' || to_char(i % $2, ''FM000000'') || ''.jpg''"
}

echo "# $(lscpu | sed -n 's/^Model name: *//p' | head -n 1), $(nproc) processors; nice ${NICE:-0}"
printf '%-8s %4s %39s   %39s\n' images n 'until the error: 0 50 90 99 100 %' 'until the next statement'
for kind in "${kinds[@]}"; do
	open_ms=0
	case $kind in
	small | slow | hanging) value=$(path small 100) ;;
	large | bytea) value=$(path large 12) ;;
	esac
	case $kind in
	slow) open_ms=20 ;;
	hanging)
		# All but the first: a session has a row before it hangs.
		open_ms=600000
		value="CASE i WHEN 1 THEN ''/usr/share/backgrounds/mate/nature/Wood.jpg'' ELSE $value END"
		;;
	bytea) value="pg_read_binary_file($value)" ;;
	esac
	slow_files "$open_ms" 0 "${LIBRARY:-}"
	printf '%-8s ' "$kind"
	"$python" bench/bulk_cancel.py "$cancels" "$(statement "$value")"
done
