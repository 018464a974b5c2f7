#!/usr/bin/env bash
# Tests the join's kernels for 64-bit ARM on another processor: cross-compiles src/simd and src/join
# with their unit tests, and runs those in QEMU's user mode.
#
#   scripts/test-arm64.sh [all]  as root or with sudo; Debian 12 or later, Ubuntu 24.04 or later
#
# With `all`, also the tests that take the emulator minutes. Exits with 77 where none can be run.
set -euo pipefail
cd "$(dirname "$0")/.."

# The kernels themselves have tests of their own; in these their callers meet many rows.
left_out='BlockJoin\.(EveryThreshold|LargeThresholds|HotBuckets|MoreRows|HundredThousand)|EveryPairIsEmittedOnce'
case ${1:-} in
'') ;;
all) left_out='^$' ;;
*)
	sed -n '2,7s/^# \{0,1\}//p' "$0"
	exit 2
	;;
esac

if [ "$(uname -m)" = aarch64 ]; then
	echo "skipped: this is 64-bit ARM, where scripts/test.sh runs the same tests"
	exit 77
fi
scripts/install-deps.sh arm64 || exit 77
compiler=$(command -v aarch64-linux-gnu-g++) || exit 77
# Some releases name the static emulator without the suffix.
emulator=$(command -v qemu-aarch64-static || command -v qemu-aarch64) || exit 77
libraries=$(dirname "$("$compiler" -print-file-name=ld-linux-aarch64.so.1)")/..

build=$PWD/build/arm64
for_arm=(
	-DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_BUILD_TYPE=Release
	-DCMAKE_CXX_COMPILER="$compiler" "-DCMAKE_CROSSCOMPILING_EMULATOR=$emulator;-L;$libraries"
	-DCMAKE_PREFIX_PATH="$build/installed"
)

# Prints a command's output only if it fails.
quietly() {
	"$@" >"$build/log" 2>&1 || {
		cat "$build/log"
		return 1
	}
}

mkdir -p "$build"
quietly cmake -S /usr/src/googletest -B "$build/googletest" "${for_arm[@]}" -DBUILD_GMOCK=OFF \
	-DCMAKE_INSTALL_PREFIX="$build/installed"
quietly cmake --build "$build/googletest" --parallel "$(nproc)" --target install
quietly cmake -S . -B "$build/vamhash" "${for_arm[@]}" -DVAMHASH_JOIN_ONLY=ON \
	-DVAMHASH_TESTS=ON -DVAMHASH_WERROR=ON
quietly cmake --build "$build/vamhash" --parallel "$(nproc)"
ctest --test-dir "$build/vamhash" --parallel "$(nproc)" --output-on-failure --no-tests=error \
	--exclude-regex "$left_out"
