#!/usr/bin/env bash
# The endurance test with numbers that take long: engines killed, calls cancelled, images hashed. It
# prints what it found, the growth of memory included.
#
#   tests/endurance/endurance.sh [KILLS [CANCELS [IMAGES]]]      10000 10000 100000 by default
#
# For what is installed by "make install"; PG_CONFIG picks the server, VAMHASH_SEED repeats a run.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d "${TMPDIR:-/tmp}/vamhash-endurance.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
. scripts/private-cluster.sh

cp -r tests/tap "$work/tap"
mkdir -p "$work/tap_check/log"
[ "$(id -u)" -ne 0 ] || chown -R postgres: "$work/tap" "$work/tap_check"
pgxs=$(dirname "$("${PG_CONFIG:-pg_config}" --pgxs)")
unset PGHOST PGPORT PGUSER
cd "$work/tap"
as_server_user env PATH="$pg_bindir:$PATH" PG_REGRESS="$pgxs/../test/regress/pg_regress" \
	TESTDIR="$work/tap_check" TESTDATADIR="$work/tap_check" TESTLOGDIR="$work/tap_check/log" \
	VAMHASH_KILLS="${1:-10000}" VAMHASH_CANCELS="${2:-10000}" VAMHASH_IMAGES="${3:-100000}" \
	${VAMHASH_SEED:+VAMHASH_SEED="$VAMHASH_SEED"} \
	prove -v -I "$pgxs/../test/perl" -I lib ./017_endurance.pl
