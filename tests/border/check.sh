#!/usr/bin/env bash
# Shows that the compiler keeps the border: no header of the engine compiles beside postgres.h.
set -euo pipefail
cd "$(dirname "$0")/../.."
includes=$("${PG_CONFIG:-pg_config}" --includedir-server)
for header in $(cd src && ls */*.h | grep -v '^pg/'); do
	# The protocol is the one thing that both sides share.
	[[ $header != protocol/* ]] || continue
	# Kernels' tables of function pointers take plain numbers only, but stay on their side too.
	if printf 'extern "C" {\n#include "postgres.h"\n}\n#include "%s"\n' "$header" |
		"${CXX:-g++}" -std=c++20 -w -fsyntax-only -Isrc -I"$includes" -x c++ - 2>/dev/null; then
		echo "src/$header compiles beside postgres.h"
		exit 1
	fi
	if ! printf '#include "%s"\n' "$header" |
		"${CXX:-g++}" -std=c++20 -w -fsyntax-only -Isrc -x c++ -; then
		echo "src/$header does not compile by itself"
		exit 1
	fi
done
if grep -rlE '#include "(postgres|fmgr)\.h"' src --include='*' | grep -v '^src/pg/postgres\.hpp$'; then
	echo "postgres.h is included elsewhere than in src/pg/postgres.hpp"
	exit 1
fi
