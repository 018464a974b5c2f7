#!/usr/bin/env bash
# Hashing files that a file server has, which answers late but many at once: images per second of hash_query
# over JPEGs of 400x300, by how many milliseconds each open, and each read, takes longer; and the processors'
# time for an image, of backend and engines, which a busy machine changes less.
#
#   bench/bulk_slow.sh [IMAGES]                        default: 4000
#   DELAYS='0/0 5/0 20/0 5/5' ROUNDS=5 DECODE=exact LIBRARIES='before=FOLDER after=' bench/bulk_slow.sh
#
# Needs the extension installed, and the packages and PyPI as bench/bulk.sh does. LIBRARIES compares builds,
# which take turns: a name, and the folder with vamhash.so and vamhash-engine; empty, the installed ones.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/private-cluster.sh
. bench/slow_files.sh
images=${1:-4000}
rounds=${ROUNDS:-5}
decode=${DECODE:-exact}
read -ra delays <<<"${DELAYS:-0/0 5/0 20/0 5/5}"
read -ra libraries <<<"${LIBRARIES:-installed=}"

folder=$(mktemp -d)
trap 'stop_cluster; rm -rf "$folder"' EXIT
chmod 755 "$folder"
tests/exactness/setup_venv.sh build/venv
mkdir "$folder/images"
build/venv/bin/python bench/make_images.py "$folder/images" "$images" 400 300 /usr/share/backgrounds/mate/nature/*.jpg
start_slow_cluster "$folder/slow" "$folder/images"

call="SELECT count(*), count(dhash) FROM hash_query(
	'SELECT i, ''$folder/images/'' || to_char(i, ''FM000000'') || ''.jpg'' FROM generate_series(0, $((images - 1))) i',
	NULL::int, '$decode')"

# Prints the seconds of a call in a session that has its engines, and those of processors that the session
# and its engines used.
measure() {
	psql -X -q -At -v ON_ERROR_STOP=1 2>&1 <<SQL | awk -v tick="$(getconf CLK_TCK)" '
		/^Time:/ {took = $2 / 1000} /^used/ {used = $2 - used}
		/\|/ && $0 != "'"$images|$images"'" {exit 1} END {print took, used / tick}'
DO \$\$ BEGIN PERFORM * FROM hash_image_files(ARRAY['$folder/images/000000.jpg']); END \$\$;
SELECT pg_backend_pid() AS backend \gset
\setenv BACKEND :backend
\! cat /proc/[0-9]*/stat 2>/dev/null | awk -v b=\$BACKEND '\$5 == b {t += \$14 + \$15} END {print "used", t}'
\timing on
$call;
\timing off
\! cat /proc/[0-9]*/stat 2>/dev/null | awk -v b=\$BACKEND '\$5 == b {t += \$14 + \$15} END {print "used", t}'
SQL
}

# The median and the best of some numbers, by an option of sort; and all of them.
spread() { # -n|-rn NUMBER...
	printf '%s\n' "${@:2}" | sort "$1" | awk -v all="${*:2}" '{v[NR] = $1} END {printf "%9s %9s   %s", v[int((NR + 1) / 2)], v[NR], all}'
}

echo "# $(lscpu | sed -n 's/^Model name: *//p' | head -n 1), $(nproc) processors; $images images, $decode"
printf '%-9s %-9s %9s %9s   %s\n' open/read library median best 'of each round'
for delay in "${delays[@]}"; do
	declare -A rates=() costs=()
	for ((round = 0; round < rounds; round++)); do
		for library in "${libraries[@]}"; do
			slow_files "${delay%/*}" "${delay#*/}" "${library#*=}"
			read -r took used <<<"$(measure)"
			rates[$library]+=$(awk -v n="$images" -v s="$took" 'BEGIN {printf " %.0f", n / s}')
			costs[$library]+=$(awk -v n="$images" -v s="$used" 'BEGIN {printf " %.1f", s / n * 1e6}')
		done
	done
	for library in "${libraries[@]}"; do
		# shellcheck disable=SC2086 # each number is a word
		printf '%-9s %-9s %s images/s, load %s\n' "$delay" "${library%%=*}" "$(spread -n ${rates[$library]})" \
			"$(cut -d' ' -f1 /proc/loadavg)"
		# shellcheck disable=SC2086
		printf '%-9s %-9s %s us of processor an image\n' "$delay" "${library%%=*}" "$(spread -rn ${costs[$library]})"
	done
	unset rates costs
done
