#!/usr/bin/env bash
# Runs clang-tidy over the engine's sources: check-tidy.sh BUILD_FOLDER [CHECKS] (a folder with unit
# tests). Without CHECKS, all but the static analyzer, which takes as long as all others together.
# src/pg is left to the compilers: its macros are PostgreSQL's. Sources for another processor are not
# in the folder.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/test}
checks=${2:--clang-analyzer-*}
sed -n 's/^ *"file": "\(.*\)",\{0,1\}$/\1/p' "$build/compile_commands.json" | grep "^$PWD/src/" |
	tr '\n' '\0' |
	xargs -0 -n 4 -P "$(nproc)" clang-tidy -p "$build" --quiet --checks="$checks" \
		--extra-arg=-Wno-unknown-warning-option 2>/dev/null
