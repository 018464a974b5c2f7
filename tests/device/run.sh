#!/usr/bin/env bash
# Tests and measures what runs on a device, on a machine that has one and its driver, but no PostgreSQL and no
# package sources: with what tests/device/pack.sh packed elsewhere. Ends with an error if anything failed.
#
#   tests/device/run.sh [--backend cuda|opencl] [--pack FOLDER] [--results FILE] [--seconds 540] [STAGE ...]
#
# First it tells what is there. Then the stages, in this order if none is named:
#   tests        the unit tests of what runs on a device
#   sanitizers   the small ones of them under compute-sanitizer's memcheck, racecheck, synccheck and initcheck
#   bench        bench/device_join of up to 10^7 codes
#   sql          joins and images in PostgreSQL, the device's answers against the CPU's
# and by name only:
#   bench-images bench/image_rates of JPEGs of 0.25, 2, 12 and 24 megapixels, in about 5 minutes
#   bench-large  of 10^8 and 10^9 codes
#   bench-try    several schemes for each join, which is what a planner for devices learns from
#
# All that is found goes into one file, line by line as it is found: FILE, or $OUT/device.txt where OUT is set,
# or build/device.txt. After --seconds nothing more is begun, and what runs is ended: a machine may be lent for a
# few minutes. As root, the server runs as nobody. CODES=1e5,1e6 are the codes of the benchmarks, ROWS=1000000 the
# rows of the joins in SQL. SIZES='0.25 2 12 24' THREADS=1,2,4 ROUNDS=3 SECONDS_EACH=1 are of bench-images, whose
# default is 1, 4 and all threads.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
backend=cuda pack=build/device-pack results=${OUT:-build}/device.txt limit=540
stages=()
usage() {
	sed -n '2,/^set /s/^# \{0,1\}//p' "$0"
	exit 2
}
while [ $# -gt 0 ]; do
	case $1 in
	--backend | --pack | --results | --seconds)
		[ $# -gt 1 ] || usage
		case $1 in
		--backend) backend=$2 ;;
		--pack) pack=$2 ;;
		--results) results=$2 ;;
		--seconds) limit=$2 ;;
		esac
		shift 2
		;;
	tests | sanitizers | bench | sql | bench-images | bench-large | bench-try)
		stages+=("$1")
		shift
		;;
	*) usage ;;
	esac
done
[ ${#stages[@]} -gt 0 ] || stages=(tests sanitizers bench sql)
mkdir -p "$(dirname "$results")" && : >"$results" || exit
results=$(realpath "$results")

passed=0 failed=0 skipped=0
say() { printf '%s\n' "$*" | tee -a "$results"; }
outcome() { # passed|FAILED|skipped NAME [NOTE]
	case $1 in
	passed) passed=$((passed + 1)) ;;
	FAILED) failed=$((failed + 1)) ;;
	skipped) skipped=$((skipped + 1)) ;;
	esac
	say "$1: $2${3:+ ($3)}"
}
begin() { say "" && say "== $1 (${SECONDS}s)"; }
finish() {
	say ""
	say "$passed passed, $failed failed, $skipped skipped (${SECONDS}s)"
	[ "$failed" -eq 0 ]
	exit
}

# Runs a command for at most so many seconds, and no longer than there are left; 124: it was ended.
bounded() { # SECONDS COMMAND ...
	local seconds=$1 left=$((limit - SECONDS))
	shift
	[ "$left" -gt 0 ] || return 124
	timeout -k 5 $((seconds < left ? seconds : left)) "$@"
}

# What a command that failed said last.
tail_of() { tail -n "${2:-30}" "$1" | sed 's/^/    /' | tee -a "$results"; }

# One check, by its exit status.
check() { # NAME SECONDS COMMAND ...
	local name=$1 seconds=$2 begun=$SECONDS status=0
	shift 2
	bounded "$seconds" "$@" >"$work/log" 2>&1 || status=$?
	case $status in
	0) outcome passed "$name" "$((SECONDS - begun)) s" ;;
	124 | 137) outcome FAILED "$name" "ended after $((SECONDS - begun)) s" && tail_of "$work/log" ;;
	*) outcome FAILED "$name" "status $status" && tail_of "$work/log" ;;
	esac
}

# --- The pack, unpacked where any user can read it.

work=$(mktemp -d "${TMPDIR:-/tmp}/vamhash-device.XXXXXX")
chmod 755 "$work"
pg_data=$work/server
as_server_user=()
pg=(env "LD_LIBRARY_PATH=$work/pack/lib:$work/pack/spare")
# shellcheck disable=SC2317 # by trap
clean_up() {
	if [ -f "$pg_data/data/postmaster.pid" ]; then
		"${as_server_user[@]}" "${pg[@]}" "$pg_bindir/pg_ctl" -D "$pg_data/data" -m immediate -s stop
	fi
	rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 143' TERM INT

mkdir "$work/pack"
if ! tar -C "$work/pack" --no-same-owner -xzf "$pack/device-pack.tar.gz" 2>"$work/log"; then
	outcome FAILED "unpacking $pack/device-pack.tar.gz; tests/device/pack.sh makes it" && tail_of "$work/log"
	finish
fi
bin=$work/pack/bin
pg_bindir=$(dirname "$(find "$work/pack/pg" -path '*/bin/postgres')")
known_libraries=$(/sbin/ldconfig -p 2>/dev/null)
grep -q 'libstdc++\.so\.6 ' <<<"$known_libraries" || cp "$work"/pack/spare/* "$work/pack/lib/"

# A driver that only LD_LIBRARY_PATH would find: the engine gets no environment.
library_folder() { # LIBRARY
	local folder folders
	IFS=: read -ra folders <<<"${LD_LIBRARY_PATH:-}:/usr/local/nvidia/lib64:/usr/local/nvidia/lib:/usr/lib/wsl/lib"
	for folder in "${folders[@]}"; do
		if [ -n "$folder" ] && [ -e "$folder/$1" ]; then
			echo "$folder" && return
		fi
	done
	return 1
}
if ! grep -q 'libcuda\.so\.1 ' <<<"$known_libraries" && driver=$(library_folder libcuda.so.1); then
	ln -s "$driver" "$work/pack/driver"
fi
# NVIDIA's OpenCL, where nobody has told the loader of it.
if ! compgen -G '/etc/OpenCL/vendors/*.icd' >/dev/null && [ -z "${OCL_ICD_VENDORS:-}" ]; then
	if grep -q 'libnvidia-opencl\.so\.1 ' <<<"$known_libraries"; then
		export OCL_ICD_VENDORS=libnvidia-opencl.so.1
	elif driver=$(library_folder libnvidia-opencl.so.1); then
		export OCL_ICD_VENDORS=$driver/libnvidia-opencl.so.1
	fi
fi
export PATH=$PATH:/usr/local/cuda/bin VAMHASH_TEST_BACKEND=$backend VAMHASH_TEST_DATA=$work/pack/data

# --- The stages.

show_device() {
	begin 'the device'
	say "$(date -u '+%Y-%m-%d %H:%M UTC'), backend $backend"
	say "$(uname -srm); $(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release); $(getconf GNU_LIBC_VERSION)"
	say "$(nproc) processors; $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
	if command -v nvidia-smi >/dev/null; then
		say "$(nvidia-smi --query-gpu=name,driver_version,memory.total,memory.used,clocks.sm,clocks.max.sm,pstate \
			--format=csv,noheader 2>&1)"
	fi
	! command -v nvcc >/dev/null || say "$(nvcc --version | tail -n 1)"
	check "the backend $backend has a device" 60 "$bin/device_join_test" --gtest_filter='*HasADeviceToTest'
	[ "$failed" -eq 0 ] || finish
}

# Counts the outcome of every test of GoogleTest in a log.
count_tests() { # PROGRAM STATUS
	local line name
	while read -r line; do
		name=${line#*] }
		case $line in
		'[       OK ]'*) outcome passed "$1: $name" ;;
		'[  SKIPPED ]'*) outcome skipped "$1: $name" ;;
		'[  FAILED  ]'*) outcome FAILED "$1: $name" ;;
		esac
	done < <(grep -E '^\[       OK \] |^\[  (SKIPPED|FAILED)  ?\] .* \([0-9]+ ms\)$' "$work/log")
	if [ "$2" -ne 0 ]; then
		grep -q '^\[  FAILED  \]' "$work/log" || outcome FAILED "$1" "status $2"
		tail_of "$work/log" 60
	fi
}

stage_tests() {
	local program status
	begin 'unit tests'
	for program in "$bin"/*_test; do
		status=0
		bounded 240 "$program" >"$work/log" 2>&1 || status=$?
		count_tests "$(basename "$program")" "$status"
		# What a vendor's decoder does to hashes is for the results, too.
		grep ': pictures by bits moved' "$work/log" | tee -a "$results"
	done
}

stage_sanitizers() {
	local tool program filter
	declare -A small=(
		[device_join_test]='*AtTheBordersOfTiles:*LongAndShortBuckets*:*FindsNoRoom:*TwoSets:*NoCodes'
		[device_hasher_test]='DeviceHasherTest.HashesSmallPictures:*OfMixedSizes:*FromPinnedMemory'
		[device_jpeg_test]='*TurnsPicturesUpright:*BearsAnyBytes'
		[device_jpeg_file_test]='*HashesTheLumaOfFiles:*AllOrientationsAndSizes:*NotAsItIsSaid'
	)
	begin 'compute-sanitizer'
	if [ "$backend" != cuda ] || ! command -v compute-sanitizer >/dev/null; then
		outcome skipped 'compute-sanitizer' 'for the backend cuda, where it is installed'
		return
	fi
	for program in device_join_test device_hasher_test device_jpeg_test device_jpeg_file_test; do
		for tool in memcheck racecheck synccheck initcheck; do
			filter=${small[$program]}
			# The samples of a file that is refused are never written, and read for nothing.
			[ "$tool" != initcheck ] || filter=${filter%:\*AllOrientations*}
			check "$tool of $program" 60 compute-sanitizer --tool "$tool" --error-exitcode 9 --print-limit 20 \
				"$bin/$program" --gtest_filter="$filter"
		done
	done
}

# Runs the benchmark; its table belongs to the results.
bench() { # NAME SECONDS ARGUMENT ...
	local name=$1 seconds=$2 status=0
	shift 2
	begin "bench/device_join $*"
	bounded "$seconds" stdbuf -oL "$work/pack/bench/device_join" --backend="$backend" "$@" 2>&1 |
		tee -a "$results" || status=$?
	case $status in
	0) outcome passed "$name" ;;
	124 | 137) outcome FAILED "$name" 'ended' ;;
	*) outcome FAILED "$name" "status $status" ;;
	esac
}

# Makes as many JPEGs as all threads take to have different ones, at least 8.
make_jpegs() { # FOLDER WIDTH HEIGHT
	local count=$(($(nproc) > 8 ? $(nproc) : 8))
	mkdir -p "$1" && bounded 60 "$work/pack/bench/make_jpegs" "$1" "$count" "$2" "$3" >"$work/log" 2>&1
}

stage_bench_images() {
	local size status threads
	threads=${THREADS:-$(printf '1\n4\n%d\n' "$(nproc)" | awk -v most="$(nproc)" '$1 <= most' | uniq | paste -sd ,)}
	begin 'bench/image_rates'
	for size in ${SIZES:-0.25 2 12 24}; do
		status=0
		case $size in
		0.25) make_jpegs "$work/jpegs" 576 432 ;;
		2) make_jpegs "$work/jpegs" 1632 1224 ;;
		12) make_jpegs "$work/jpegs" 4000 3000 ;;
		24) make_jpegs "$work/jpegs" 5656 4242 ;;
		*) false ;;
		esac || {
			outcome FAILED "$size megapixels: making them" && tail_of "$work/log"
			continue
		}
		bounded 150 stdbuf -oL "$work/pack/bench/image_rates" --backend="$backend" --threads="$threads" \
			--rounds="${ROUNDS:-3}" --seconds="${SECONDS_EACH:-1}" made "$work"/jpegs/*.jpg 2>&1 |
			tee -a "$results" || status=$?
		case $status in
		0) outcome passed "$size megapixels" ;;
		124 | 137) outcome FAILED "$size megapixels" 'ended' ;;
		*) outcome FAILED "$size megapixels" "status $status" ;;
		esac
		rm -r "$work/jpegs"
	done
}

start_server() {
	if [ "$(id -u)" -eq 0 ]; then
		as_server_user=(setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups)
	fi
	mkdir -p "$pg_data" && chmod 700 "$pg_data" || return
	[ "$(id -u)" -ne 0 ] || chown nobody "$pg_data" || return
	cd / || return # where any user may be
	HOME=$pg_data "${as_server_user[@]}" "${pg[@]}" "$pg_bindir/initdb" -D "$pg_data/data" -U postgres -A trust \
		-E UTF8 --locale=C --no-sync >"$work/log" 2>&1 || return
	printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$pg_data'" 'fsync = off' \
		"shared_buffers = '256MB'" 'max_parallel_workers_per_gather = 0' |
		"${as_server_user[@]}" tee -a "$pg_data/data/postgresql.conf" >/dev/null || return
	HOME=$pg_data "${as_server_user[@]}" "${pg[@]}" "$pg_bindir/pg_ctl" -D "$pg_data/data" \
		-l "$pg_data/server.log" -w -s start >>"$work/log" 2>&1 || {
		cat "$pg_data/server.log" >>"$work/log"
		return 1
	}
	export PGHOST=$pg_data PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
}

sql() { bounded 120 "${as_server_user[@]}" "${pg[@]}" "$pg_bindir/psql" -X -q -At -v ON_ERROR_STOP=1 "$@"; }

# The milliseconds and the answer of a query, the second time that a session runs it: the first starts the
# engine and takes the device.
timed_answer() { # SETTING QUERY
	sql -c "SET vamhash.gpu = $1" -c "SET vamhash.backends = $backend" -c "$2" -c '\timing on' -c "$2" \
		-c '\timing off' -c "SELECT value FROM vamhash_stat WHERE name = 'last_device'" 2>&1
}

milliseconds() { sed -n 's/^Time: \([0-9.]*\).*/\1/p' <<<"$1"; }

# The same call by the CPU and on the device. What either prints: the answer, twice, the time, the device.
compare_answers() { # NAME QUERY
	local by_cpu by_device used answer
	if ! by_cpu=$(timed_answer off "$2"); then
		outcome FAILED "$1" "CPU: $by_cpu"
		return
	fi
	if ! by_device=$(timed_answer on "$2"); then
		outcome FAILED "$1" "$by_device"
		return
	fi
	used=$(tail -n 1 <<<"$by_device")
	answer=$(head -n 1 <<<"$by_device")
	if [ "$(head -n 1 <<<"$by_cpu")" != "$answer" ]; then
		outcome FAILED "$1" "CPU: $(head -n 1 <<<"$by_cpu"), device: $answer"
	elif [[ $used != "$backend "* ]]; then
		outcome FAILED "$1" "it ran on: $used"
	else
		outcome passed "$1" "${answer%%|*} rows; CPU $(milliseconds "$by_cpu") ms, $used $(milliseconds "$by_device") ms"
	fi
}

# The hashes of all files of a folder, exact and fast.
compare_images() { # NAME FOLDER
	local decode
	for decode in exact fast; do
		compare_answers "$1, $decode" "SELECT count(*), md5(string_agg((h)::text, ' ' ORDER BY key))
			FROM (SELECT array_agg('$2/' || name ORDER BY name COLLATE \"C\") AS paths FROM pg_ls_dir('$2') name) files,
			hash_image_files(paths, '$decode') h"
	done
}

# How many bits nvJPEG moves from the exact hashes, at most.
move_bits() { # NAME FOLDER
	local moved
	moved=$(sql -c 'SET vamhash.gpu = on' -c "SET vamhash.backends = $backend" -c 'SET vamhash.nvjpeg = on' -c "
		WITH files AS MATERIALIZED (SELECT array_agg('$2/' || name) AS paths FROM pg_ls_dir('$2') name),
			exact AS MATERIALIZED (SELECT h.* FROM files, hash_image_files(paths, 'exact') h),
			fast AS MATERIALIZED (SELECT h.* FROM files, hash_image_files(paths, 'fast') h)
		SELECT count(*), max(e.dhash <~> f.dhash), max(e.ahash <~> f.ahash), max(e.whash <~> f.whash),
			max(e.phash <~> f.phash), max(e.whash16 <~> f.whash16)
		FROM exact e JOIN fast f USING (key)" 2>&1)
	case $moved in
	*WARNING:*) outcome skipped "$1, by nvJPEG" "$(sed -n 's/^DETAIL:  //p' <<<"$moved")" ;;
	[1-9]*\|*) outcome passed "$1, by nvJPEG" "images, and bits moved in dhash, ahash, whash, phash, whash16: $moved" ;;
	*) outcome FAILED "$1, by nvJPEG" "$moved" ;;
	esac
}

stage_sql() {
	local rows=${ROWS:-1000000} images distance
	begin "SQL: joins of $rows rows"
	start_server || {
		outcome FAILED 'the server starts' && tail_of "$work/log"
		return
	}
	sql -c 'CREATE EXTENSION vamhash' >"$work/log" 2>&1 || {
		outcome FAILED 'CREATE EXTENSION vamhash' && tail_of "$work/log"
		return
	}
	outcome passed 'CREATE EXTENSION vamhash' "$(sql -c 'SELECT vamhash_version()'), $(sql -c 'SHOW server_version')"
	say "$(sql -F ', ' -c "SELECT backend, device_id, name, pg_size_pretty(memory_bytes), pg_size_pretty(free_bytes),
		capability, driver, usable, reason FROM vamhash_devices()")"
	[ "$(sql -c "SELECT count(*) > 0 FROM vamhash_devices() WHERE backend = '$backend' AND usable")" = t ] || {
		outcome FAILED "vamhash_devices() has a usable one of $backend"
		return
	}
	outcome passed "vamhash_devices() has a usable one of $backend"
	# One row in twenty is near an earlier one: it differs in up to eight bits.
	sql >"$work/log" 2>&1 <<SQL || {
CREATE TABLE images AS
SELECT i AS id, (bits # CASE WHEN i % 20 = 0 THEN
	(1::bigint << i / 20 % 64) | (255::bigint << i % 56) & i * 2654435761::bigint ELSE 0 END)::phash64 AS h
FROM (SELECT i, ('x' || substr(md5((CASE WHEN i % 20 = 0 THEN i - 1 ELSE i END)::text), 1, 16))::bit(64)::bigint AS bits
	FROM generate_series(1, $rows) i) made;
VACUUM ANALYZE images;
SQL
		outcome FAILED 'the table' && tail_of "$work/log"
		return
	}
	images='SELECT id, h FROM images'
	for distance in 2 5 8; do
		compare_answers "similar_pairs within $distance" "SELECT count(*), bit_xor(hashint8extended(a, b * 64 + distance))
			FROM similar_pairs('$images', $distance)"
	done
	compare_answers 'similar_pairs_between within 5' "SELECT count(*), bit_xor(hashint8extended(a, b * 64 + distance))
		FROM similar_pairs_between('$images WHERE id % 3 = 0', '$images WHERE id % 3 <> 0', 5)"
	compare_answers 'similar_groups within 5' "SELECT count(*), bit_xor(hashint8extended(key, group_id * 64 + distance))
		FROM similar_groups('$images', 5)"
	compare_answers 'similar_pairs of few rows, within 20' "SELECT count(*), bit_xor(hashint8extended(a, b * 64 + distance))
		FROM similar_pairs('$images WHERE id < 2000', 20)"
	begin 'SQL: images'
	compare_images 'the images of the tests' "$work/pack/data/images"
	if make_jpegs "$work/jpegs" 1632 1224; then
		compare_images 'images of 2 megapixels' "$work/jpegs"
		move_bits 'images of 2 megapixels' "$work/jpegs"
		rm -r "$work/jpegs"
	else
		outcome FAILED 'making images' && tail_of "$work/log"
	fi
}

show_device
for stage in "${stages[@]}"; do
	if [ "$SECONDS" -ge "$limit" ]; then
		outcome FAILED "$stage" "no time left of $limit s"
		continue
	fi
	case $stage in
	tests) stage_tests ;;
	sanitizers) stage_sanitizers ;;
	bench) bench "$stage" 240 --codes="${CODES:-1e5,1e6,1e7}" --seconds=10 --cpu-seconds=3 ;;
	sql) stage_sql ;;
	bench-images) stage_bench_images ;;
	bench-large) bench "$stage" 500 --codes="${CODES:-1e8,1e9}" --seconds=40 --cpu-seconds=1 ;;
	bench-try) bench "$stage" 500 --codes="${CODES:-1e5,1e6,1e7}" --schemes=12 --seconds=5 --cpu-seconds=0 ;;
	esac
done
finish
