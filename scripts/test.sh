#!/usr/bin/env bash
# Runs every test: installs what they need, builds, installs the extension, and on servers of its own
# runs them all. The last line counts them. The ARM kernels have a script of their own, test-arm64.sh:
# emulated, they take minutes.
#
#   scripts/test.sh              as root or with sudo; Debian 12 or later, Ubuntu 24.04 or later
#   scripts/test.sh --sanitize   instead, the unit tests under the sanitizers, and the static analyzer
#
# The sanitizers are AddressSanitizer with UndefinedBehaviorSanitizer, then ThreadSanitizer. Tests of
# many rows or many damaged images are left to the plain run, or made smaller (tests/unit/test_size.h).
set -uo pipefail
cd "$(dirname "$0")/.."
top=$PWD

sanitize=
case "$*" in
'') ;;
--sanitize) sanitize=1 ;;
*)
	sed -n '2,10s/^# \{0,1\}//p' "$0"
	exit 2
	;;
esac

passed=0 failed=0 skipped=0
work=$(mktemp -d "${TMPDIR:-/tmp}/vamhash-test.XXXXXX")
chmod 755 "$work"
. scripts/private-cluster.sh
trap 'stop_cluster; rm -rf "$work"' EXIT

begin() { printf '\n== %s (%ds)\n' "$1" "$SECONDS"; }
count() { passed=$((passed + $1)) failed=$((failed + $2)); }

# Counts one check, from its exit status; 77 says that it could not be made here.
check() {
	local name=$1 status=0
	shift
	"$@" || status=$?
	case $status in
	0) count 1 0 ;;
	77) skipped=$((skipped + 1)) && echo "skipped: $name" ;;
	*) count 0 1 && echo "FAILED: $name" ;;
	esac
}

# What everything else stands on: without it there is nothing to test.
require() {
	"$@" || {
		echo "FAILED: $*"
		echo "$passed passed, $((failed + 1)) failed"
		exit 1
	}
}

# Builds the engine's part in a folder, with options of CMake.
build_tests() {
	local folder=$1
	shift
	require cmake -S . -B "$folder" -DVAMHASH_TESTS=ON "$@" >"$work/cmake.log"
	require cmake --build "$folder" --parallel "$(nproc)"
}

# Runs and counts the unit tests of a folder, with options of ctest.
unit_tests() {
	local folder=$1 tally bad all left_out
	shift
	ctest --test-dir "$folder" --parallel "$(nproc)" --output-on-failure "$@" | tee "$work/ctest.log" |
		grep -vE '^ *[0-9]+/[0-9]+ Test .* Passed|^ *Start '
	tally=$(sed -n 's/.*, \([0-9]*\) tests failed out of \([0-9]*\).*/\1 \2/p' "$work/ctest.log")
	read -r bad all <<<"${tally:-1 1}"
	left_out=$(grep -c '\*\*\*Skipped' "$work/ctest.log")
	skipped=$((skipped + left_out))
	count $((all - bad - left_out)) "$bad"
}

# The unit tests in a build with sanitizers, with devices or without. A report ends the test that causes it.
sanitized_tests() {
	local name=$1 sanitizers=$2 devices=$3
	shift 3
	begin "build with -fsanitize=$sanitizers"
	# FAISS and its OpenMP are built without, and so would be reported.
	build_tests "build/sanitize-$name" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
		-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -DVAMHASH_FAISS=OFF -DVAMHASH_OPENCL="$devices" \
		-DVAMHASH_CUDA=OFF -DVAMHASH_SANITIZE="$sanitizers"
	begin "unit tests with -fsanitize=$sanitizers"
	VAMHASH_TEST_SMALL=1 unit_tests "build/sanitize-$name" "$@"
}

finish() {
	printf '\n(%ds)\n' "$SECONDS"
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ]
	exit
}

begin 'packages'
if [ -n "$sanitize" ]; then
	require scripts/install-deps.sh build test
	# Joins of 100,000 rows and more, by every method: minutes each.
	too_long='EveryThresholdJoin|AMillionEqualRows'
	sanitized_tests address address,undefined ON --exclude-regex "$too_long"
	begin 'static analyzer'
	check 'clang static analyzer' scripts/check-tidy.sh build/sanitize-address '-*,clang-analyzer-*'
	# Drivers have threads of their own, which would be reported.
	sanitized_tests thread thread OFF --exclude-regex "$too_long"
	finish
fi
require scripts/install-deps.sh build test bench demo
pg_bindir=$("${PG_CONFIG:-pg_config}" --bindir)

begin 'build and install'
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
# The engine that is installed is the one that was built with the unit tests.
nvjpeg=()
if tests/device/setup_nvjpeg.sh build/nvjpeg; then
	nvjpeg=("-DVAMHASH_NVJPEG_INCLUDE=$top/build/nvjpeg/include")
fi
build_tests build/test -DVAMHASH_WERROR=ON -DVAMHASH_BENCH=ON "${nvjpeg[@]}"
require make -s -j"$(nproc)" WERROR=-Werror ENGINE_BUILD=build/test all
require "${as_root[@]}" make -s WERROR=-Werror ENGINE_BUILD=build/test install

begin 'style and borders'
check 'clang-format' scripts/check-format.sh
check 'clang-tidy' scripts/check-tidy.sh build/test
check 'postgres.h stays in src/pg' tests/border/check.sh

begin 'unit tests'
unit_tests build/test

begin 'the golden hashes are ImageHash'"'"'s'
check 'golden hashes regenerate' bash -c '
	tests/exactness/setup_venv.sh build/venv || exit $?
	build/venv/bin/python tests/exactness/golden.py --check &&
		build/venv/bin/python tests/exactness/plugin_golden.py --check'

begin 'SQL tests'
start_cluster "$work/cluster"
make -s installcheck | tee "$work/regress.log"
count "$(grep -cE '^(test .*\.\.\. ok|ok [0-9]+)' "$work/regress.log")" \
	"$(grep -cE '^(test .*\.\.\. FAILED|not ok [0-9]+)' "$work/regress.log")"
grep -qE '^(test .*\.\.\. |(not )?ok [0-9]+)' "$work/regress.log" || count 0 1
[ ! -s regression.diffs ] || cat regression.diffs
check 'hashes of the golden images by SQL' tests/exactness/check_sql.sh "$work/golden"
stop_cluster

begin 'servers: transport, processes, cancel, faults, files'
cp -r tests/tap "$work/tap"
cp -r tests/data/images "$work/tap/images"
require cp build/test/tests/unit/vamhash-engine-misbehaving "$work/tap/"
mkdir -p "$work/tap_check/log"
[ "$(id -u)" -ne 0 ] || chown -R postgres: "$work/tap" "$work/tap_check"
pgxs=$(dirname "$("${PG_CONFIG:-pg_config}" --pgxs)")
(
	cd "$work/tap" || exit 1
	unset PGHOST PGPORT PGUSER
	as_server_user env PATH="$pg_bindir:$PATH" PG_REGRESS="$pgxs/../test/regress/pg_regress" \
		TESTDIR="$work/tap_check" TESTDATADIR="$work/tap_check" TESTLOGDIR="$work/tap_check/log" \
		prove -I "$pgxs/../test/perl" -I lib ./*.pl
) | tee "$work/prove.log"
tests=$(sed -n 's/.*Tests=\([0-9]*\).*/\1/p' "$work/prove.log")
bad=$(sed -n 's/.*Failed: \([0-9]*\)).*/\1/p' "$work/prove.log" | paste -sd+ | bc)
grep -q '^Result: PASS' "$work/prove.log" || bad=$((${bad:-0} > 0 ? bad : 1))
count $((${tests:-0} - ${bad:-0})) "${bad:-0}"

begin 'the demo'
VAMHASH_DEMO_SKIP_BUILD=1 tests/demo/test_demo.sh | tee "$work/demo.log"
read -r good bad <<<"$(sed -n 's/^demo: \([0-9]*\) passed, \([0-9]*\) failed.*/\1 \2/p' "$work/demo.log")"
count "${good:-0}" "${bad:-1}"

finish
