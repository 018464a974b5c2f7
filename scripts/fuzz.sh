#!/usr/bin/env bash
# Fuzzes what meets hostile bytes: the codecs, the metadata, the protocol from both ends, the resampler
# and the joins (tests/fuzz). Installs what that needs, builds it with sanitizers, and shares the
# minutes out to the targets. What was learnt is kept in build/fuzz and taken up by the next run.
#
#   scripts/fuzz.sh MINUTES [TARGET...]      as root or with sudo, where packages are missing
#
# Without targets, all of them. JOBS is the number of targets that run at a time (default: the number of
# cores). Exits with 1 when anything was found, and says how to see it again.
set -uo pipefail
cd "$(dirname "$0")/.."
build=$PWD/build/fuzz
programs=$build/tests/fuzz

usage() {
	sed -n '2,9s/^# \{0,1\}//p' "$0"
	exit 2
}

[[ ${1:-} =~ ^[1-9][0-9]*$ ]] || usage
minutes=$1
shift
jobs=${JOBS:-$(nproc)}

scripts/install-deps.sh build fuzz || exit
# The first compiler that has a libFuzzer.
compiler=
for candidate in "${CXX:-}" clang++ $(compgen -c clang++- | sort -ruV); do
	if [ -n "$candidate" ] && echo 'extern "C" int LLVMFuzzerTestOneInput() { return 0; }' |
		"$candidate" -fsanitize=fuzzer -x c++ - -o /dev/null 2>/dev/null; then
		compiler=$(command -v "$candidate") # a bare name makes CMake begin anew each time
		break
	fi
done
[ -n "$compiler" ] || {
	echo "$0: no clang with libFuzzer is installed" >&2
	exit 1
}
mkdir -p "$build"
{
	cmake -S . -B "$build" -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
		-DVAMHASH_FUZZ=ON -DVAMHASH_FAISS=OFF -DVAMHASH_OPENCL=OFF \
		-DVAMHASH_CUDA=OFF &&
		cmake --build "$build" --parallel "$(nproc)"
} >"$build/build.log" 2>&1 || {
	cat "$build/build.log"
	exit 1
}

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
	for program in "$programs"/fuzz_*; do
		targets+=("${program##*/fuzz_}")
	done
fi
for target in "${targets[@]}"; do
	[ -x "$programs/fuzz_$target" ] || {
		echo "$0: no target $target" >&2
		exit 2
	}
done
at_a_time=$((jobs < ${#targets[@]} ? jobs : ${#targets[@]}))
export seconds=$((minutes * 60 * at_a_time / ${#targets[@]}))
[ "$seconds" -gt 0 ] || seconds=1

# Fuzzes one target; prints a line of what it did, and appends it to build/fuzz/runs.tsv.
fuzz_target() {
	local target=$1 TIMEFORMAT='%U %S' log dictionary=() status=0 used
	local corpus=$build/corpus/$target findings=$build/findings/$target
	local regressions=tests/fuzz/regressions/$target
	log=$build/log/$target.log
	mkdir -p "$corpus" "$findings" "$build/log"
	if [ -f "tests/fuzz/dictionaries/$target.dict" ]; then
		dictionary=("-dict=tests/fuzz/dictionaries/$target.dict")
	fi
	[ -d "$regressions" ] || regressions=
	# The greatest single allocation is libtiff's, which tiff_file.cpp bounds by 256 MB and a little.
	used=$({ time "$programs/fuzz_$target" -max_total_time="$seconds" -timeout="${TIMEOUT:-10}" \
		-rss_limit_mb=2048 -malloc_limit_mb=300 -print_final_stats=1 -verbosity=1 \
		-artifact_prefix="$findings/" "${dictionary[@]}" \
		"$corpus" "$programs/seeds/$target" $regressions >"$log" 2>&1; } 2>&1) || status=$?
	printf '%s\t%s\t%s s CPU\t%s runs\tcov %s\tcorpus %s\t%s\n' "$(date +%FT%T)" "$target" \
		"$(echo "$used" | tail -n 1 | awk '{ printf "%.0f", $1 + $2 }')" \
		"$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
		"$(sed -n 's/.* cov: \([0-9]*\) ft: .*/\1/p' "$log" | tail -n 1)" \
		"$(find "$corpus" -type f | wc -l)" \
		"$([ $status -eq 0 ] && echo ok || echo FOUND)" | tee -a "$build/runs.tsv"
	[ $status -eq 0 ] || {
		tail -n 60 "$log"
		return 1
	}
}
export -f fuzz_target
export build programs

echo "${#targets[@]} targets, $at_a_time at a time, $seconds seconds each"
printf '%s\n' "${targets[@]}" | xargs -P "$at_a_time" -I{} bash -c 'fuzz_target "{}"' && {
	echo "nothing was found"
	exit 0
}

echo
echo "Found, with the command that shows each again:"
for target in "${targets[@]}"; do
	for file in "$build/findings/$target"/*; do
		[ ! -f "$file" ] || echo "    $programs/fuzz_$target $file"
	done
done
echo "Once mended, keep the input (made smaller by -minimize_crash=1) in tests/fuzz/regressions/TARGET:"
echo "the unit tests run it from then on."
exit 1
