#!/usr/bin/env bash
# Shows vamhash at work: builds and installs it, starts a PostgreSQL server of its own, catalogues
# a folder of photographs, hashes them, finds the near-duplicates and writes a contact sheet.
#
#   scripts/demo.sh [FOLDER] [--out FOLDER]
#
# FOLDER holds images (jpg, jpeg, png; folders inside it too); it is only read. Without one, the
# photographs of Debian's package mate-backgrounds are taken, with copies of them made in --out.
# --out takes the contact sheet, the pairs and those copies (default: a new folder in TMPDIR).
#
# As root or with sudo, on Debian 12 or later or Ubuntu 24.04 or later. What is installed already
# is not installed again. VAMHASH_DEMO_SKIP_BUILD=1 takes packages and vamhash as they are.
set -euo pipefail

started=${EPOCHREALTIME/[.,]/}
top=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# The system's Python: the one that Debian's python3-pil belongs to.
python=/usr/bin/python3
export PYTHONUTF8=1 PYTHONDONTWRITEBYTECODE=1 PGCLIENTENCODING=UTF8
# A pair's hashes differ in at most so many of their 64 bits; VAM Tools' own threshold.
max_distance=5
# So many images on the contact sheet are some 8 MB, which a browser opens at once.
shown_images=600
most_photos=25
photos=/usr/share/backgrounds/mate/nature # mate-backgrounds' other folders are paintings and drawings

die() {
	echo "demo.sh: $1" >&2
	exit "${2:-1}"
}

step() {
	local ms=$(((${EPOCHREALTIME/[.,]/} - started) / 1000))
	printf '[%3d.%d s] %s\n' $((ms / 1000)) $((ms % 1000 / 100)) "$*"
}

# Runs a command with its output in build.log, of which the end is shown if it fails.
logged() {
	"$@" >>"$out/build.log" 2>&1 </dev/null || {
		tail -n 20 "$out/build.log" >&2
		die "failed: $* (all of its output: $out/build.log)"
	}
}

sql() {
	"$pg_bindir/psql" -X -q -v ON_ERROR_STOP=1 -v max_distance=$max_distance -P pager=off "$@"
}

cleanup() {
	if [ -n "$work" ]; then
		[ "$(type -t stop_cluster)" != function ] || stop_cluster || true
		rm -rf -- "$work"
	fi
	# An output folder of our own is not left behind empty.
	[ -z "$new_out" ] || rmdir --ignore-fail-on-non-empty -- "$new_out"
}

folder='' out='' new_out='' work=''
while [ $# -gt 0 ]; do
	case $1 in
	-h | --help)
		sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
		exit
		;;
	--out)
		[ -n "${2-}" ] || die "--out needs a folder" 2
		out=$2
		shift
		;;
	-*) die "unknown option $1 (usage: demo.sh [FOLDER] [--out FOLDER])" 2 ;;
	*)
		[ -z "$folder" ] || die "more than one folder (usage: demo.sh [FOLDER] [--out FOLDER])" 2
		[ -d "$1" ] || die "no such folder: $1"
		[[ -r $1 && -x $1 ]] || die "may not read the folder $1"
		folder=$(realpath -- "$1")
		;;
	esac
	shift
done

trap cleanup EXIT
if [ -z "$out" ]; then
	out=$(mktemp -d "${TMPDIR:-/tmp}/vamhash-demo.XXXXXX")
	new_out=$out
	chmod 755 "$out" # the server, another user where we are root, reads the copies
else
	mkdir -p -- "$out" || die "could not make the folder $out"
fi
out=$(realpath -- "$out")

if [ -z "${VAMHASH_DEMO_SKIP_BUILD-}" ]; then
	as_root=()
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null || die "needs root or sudo to install vamhash"
		as_root=(sudo)
	fi
	step "packages"
	logged "$top/scripts/install-deps.sh" build demo
	pg_config=${PG_CONFIG:-pg_config} # told to make, because sudo keeps no environment
	step "building vamhash"
	logged make -C "$top" -j"$(nproc)" PG_CONFIG="$pg_config"
	step "installing vamhash"
	logged "${as_root[@]}" make -C "$top" install PG_CONFIG="$pg_config"
fi

# In /tmp whatever TMPDIR says: a socket's path has to be shorter than 108 bytes.
work=$(mktemp -d /tmp/vamhash-server.XXXXXX)
chmod 711 "$work"

made=$work/made.csv
: >"$made"
if [ -z "$folder" ]; then
	sources=("$photos"/*.jpg)
	[ -f "${sources[0]}" ] || die "no photographs in $photos (package mate-backgrounds)"
	sources=("${sources[@]:0:$most_photos}")
	folder=$out/photographs
	step "making copies of ${#sources[@]} photographs of mate-backgrounds"
	"$python" "$top/demo/make_copies.py" "$folder" "${sources[@]}" >"$made"
fi
"$python" "$top/demo/find_images.py" "$folder" >"$work/images.csv"

step "starting a PostgreSQL server"
# shellcheck source=scripts/private-cluster.sh
. "$top/scripts/private-cluster.sh"
if ! (cd / && as_server_user test -r "$folder" -a -x "$folder"); then
	die "the server runs as the user postgres, who may not read $folder;\
 run this as yourself instead of root, or copy the images to where everyone may read them"
fi
start_cluster "$work/cluster"
export PGDATABASE=postgres
sql -f "$top/demo/catalog.sql"
# pstdin, not stdin: psql's own input and not the command's.
sql -c '\copy images (id, source_path, size_bytes) FROM pstdin (FORMAT csv)' <"$work/images.csv"
sql -c '\copy made FROM pstdin (FORMAT csv)' <"$made"

step "hashing $(sql -Atc 'SELECT count(*) FROM images') images"
# Prints every second how far another session's hash_catalog is, as long as a process runs.
show_hashing() {
	while kill -0 "$1" 2>/dev/null; do
		sql -Atc "SELECT format('          hashed %s of %s, %s images/s', done, total, round(per_second))
			FROM vamhash_progress WHERE kind = 'hash_catalog' AND done > 0"
		timeout 1 tail --pid="$1" -s 0.1 -f /dev/null || true
	done
}

# psql puts the script's name and line before what the server says.
sql -f "$top/demo/hash.sql" 2>&1 | sed 's/^.*NOTICE:  hash_catalog: /          /' &
hashing=$!
show_hashing $hashing
wait $hashing
[ "$(sql -Atc "SELECT count(*) FROM images WHERE status = 'ok'")" -gt 0 ] ||
	die "none could be hashed; the first says: $(sql -Atc 'SELECT message FROM images ORDER BY id LIMIT 1')"

step "finding pairs"
sql -f "$top/demo/pairs.sql"
sql -f "$top/demo/report.sql"
sql --csv -c 'SELECT * FROM pairs ORDER BY a, b' >"$out/pairs.csv"

step "writing the contact sheet"
sql -f "$top/demo/groups.sql"
page=$out/contact-sheet.html
sql -At -v shown=$shown_images -v folder="$folder" -f "$top/demo/sheet.sql" |
	"$python" "$top/demo/contact_sheet.py" "$page"

step "done; the contact sheet, to be opened in a browser:"
echo "$page"
