#!/usr/bin/env bash
# Runs clang-tidy over the engine's sources: check-tidy.sh BUILD_FOLDER (one with unit tests).
# src/pg is left to the compilers: its macros are PostgreSQL's.
set -euo pipefail
cd "$(dirname "$0")/.."
find src -name '*.cpp' -not -path 'src/pg/*' -print0 |
	xargs -0 -n 4 -P "$(nproc)" clang-tidy -p "${1:-build/test}" --quiet \
		--extra-arg=-Wno-unknown-warning-option 2>/dev/null
