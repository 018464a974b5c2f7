#!/usr/bin/env bash
# Checks that every C++ file is as clang-format leaves it; --fix formats them instead.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=(--dry-run -Werror)
[ "${1:-}" != --fix ] || mode=(-i)
find src tests bench -name '*.cpp' -o -name '*.h' -o -name '*.hpp' |
	xargs clang-format "${mode[@]}"
