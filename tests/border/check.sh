#!/usr/bin/env bash
# Shows that the compiler keeps the border: no header of the engine compiles beside postgres.h.
set -euo pipefail
cd "$(dirname "$0")/../.."
includes=$("${PG_CONFIG:-pg_config}" --includedir-server)
export includes

check_header() {
	# That it is refused, its #error says before anything is compiled.
	if printf 'extern "C" {\n#include "postgres.h"\n}\n#include "%s"\n' "$1" |
		"${CXX:-g++}" -std=c++20 -w -E -Isrc -I"$includes" -x c++ - >/dev/null 2>&1; then
		echo "src/$1 compiles beside postgres.h"
		return 1
	fi
	if ! printf '#include "%s"\n' "$1" | "${CXX:-g++}" -std=c++20 -w -fsyntax-only -Isrc -x c++ -; then
		echo "src/$1 does not compile by itself"
		return 1
	fi
}
export -f check_header

# The protocol is the one thing that both sides share.
(cd src && ls */*.h) | grep -vE '^(pg|protocol)/' |
	xargs -P "$(nproc)" -I{} bash -c 'check_header {}'
if grep -rlE '#include "(postgres|fmgr)\.h"' src --include='*' | grep -v '^src/pg/postgres\.hpp$'; then
	echo "postgres.h is included elsewhere than in src/pg/postgres.hpp"
	exit 1
fi
