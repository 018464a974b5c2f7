#!/usr/bin/env bash
# Packs what tests/device/run.sh needs on a machine that has a GPU and its driver, but no PostgreSQL and no
# package sources: a PostgreSQL with the extension in it, the engine with its device backends, the device's
# tests and their images, the benchmarks, and the libraries of all these.
#
#   tests/device/pack.sh [FOLDER]      default: build/device-pack, which gets device-pack.tar.gz
#
# Needs scripts/install-deps.sh build test bench, and nvcc for the backend cuda. The other machine is of the
# same processor family, with a C library no older than this machine's (Debian 12: 2.36), which is not packed.
# The plugins of libheif, LibRaw and FAISS are left out: nothing of theirs runs on a device. nvJPEG comes from
# NVIDIA's Python package, where that can be had.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${1:-build/device-pack}
most_bytes=$((48 << 20))
pg_config=${PG_CONFIG:-pg_config}

stage=$(mktemp -d "${TMPDIR:-/tmp}/vamhash-pack.XXXXXX")
trap 'rm -rf "$stage"' EXIT
build=build/device

# The programs find the libraries by their own path: the server starts the engine without an environment.
# The place is of the old kind (RPATH), which holds for the libraries' libraries, too. In the folder driver,
# run.sh may put a driver that the system's linker does not find.
on_devices='#include "(device/|join/device_|hash/device_|engine/device_|engine/pictures_job|tested_devices)'
mapfile -t tests < <(grep -lE "$on_devices" tests/unit/*_test.cpp |
	xargs -n 1 basename | sed 's/\.cpp$//')
nvjpeg=()
if tests/device/setup_nvjpeg.sh build/nvjpeg; then
	nvjpeg=("-DVAMHASH_NVJPEG_INCLUDE=$PWD/build/nvjpeg/include")
	mkdir "$stage/lib"
	cp -L build/nvjpeg/lib/libnvjpeg.so.* "$stage/lib/"
fi
# shellcheck disable=SC2016 # $ORIGIN is the linker's
cmake -S . -B "$build" "${nvjpeg[@]}" -DVAMHASH_TESTS=ON -DVAMHASH_BENCH=ON -DVAMHASH_FAISS=OFF \
	-DCMAKE_BUILD_RPATH='$ORIGIN/../lib;$ORIGIN/../driver' \
	-DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags \
	-DCMAKE_MODULE_LINKER_FLAGS=-Wl,--disable-new-dtags >/dev/null
cmake --build "$build" --parallel "$(nproc)" --target vamhash-engine device_join image_rates make_jpegs \
	"${tests[@]}" >/dev/null

# bin: the engine, its backends and the tests; bench: the benchmarks and backends of their own; data: what tests
# find by VAMHASH_TEST_DATA.
chmod 755 "$stage"
mkdir -p "$stage/bin" "$stage/bench" "$stage/lib" "$stage/spare" "$stage/data"
cp "$build/src/engine/vamhash-engine" "$stage/bin/"
cp "${tests[@]/#/$build/tests/unit/}" "$stage/bin/"
cp "$build"/bench/{device_join,image_rates,make_jpegs} "$stage/bench/"
cp -r tests/data/{golden.tsv,images} "$stage/data/"
for backend in cuda opencl; do
	if [ -f "$build/src/engine/vamhash_$backend.so" ]; then
		cp "$build/src/engine/vamhash_$backend.so" "$stage/bin/"
		cp "$build/bench/vamhash_$backend.so" "$stage/bench/"
	else
		echo "pack.sh: the backend $backend is not built here, and left out" >&2
	fi
done

# pg: what initdb, a server and psql need, in the folders that this PostgreSQL has them in. Its programs find
# these by their places relative to each other.
bindir=$("$pg_config" --bindir)
sharedir=$("$pg_config" --sharedir)
pkglibdir=$("$pg_config" --pkglibdir)
make -s ENGINE_BUILD="$build" DESTDIR="$stage/pg" install >/dev/null
rm -r "$stage/pg$pkglibdir/bitcode"
rm -f "$stage/pg$pkglibdir"/vamhash[-_]*
ln -sr "$stage/bin/vamhash-engine" "$stage/pg$pkglibdir/vamhash-engine"
mkdir -p "$stage/pg$bindir"
cp "$bindir"/{initdb,pg_ctl,postgres,psql} "$stage/pg$bindir/"
cp "$pkglibdir"/{plpgsql,dict_snowball}.so "$stage/pg$pkglibdir/"
cp -r "$sharedir"/{postgres.bki,*.sql,*.txt,*.sample,timezonesets,tsearch_data} "$stage/pg$sharedir/"
cp "$sharedir"/extension/plpgsql* "$stage/pg$sharedir/extension/"

files() { find "$stage" -type f \( -perm -u+x -o -name '*.so*' \) "$@"; }

# lib: what the system's linker would look for elsewhere, but for the C library. That of C++ is in spare:
# the machine's own is as new or newer, if it has one.
c_library='^[[:space:]]*(/[^ ]*/)?(ld-linux|linux-vdso|lib(c|m|dl|rt|pthread|resolv|util)\.so)'
files -print0 | xargs -0 -n 1 ldd 2>/dev/null | sed -n 's/^\t\([^ ]*\) => \(\/[^ ]*\) .*/\1 \2/p' | sort -u |
	while read -r name path; do
		if grep -qE "$c_library" <<<"$name"; then
			continue
		fi
		case $name in
		libstdc++.so.6 | libgcc_s.so.1) cp -L "$path" "$stage/spare/$name" ;;
		*) cp -L "$path" "$stage/lib/$name" ;;
		esac
	done
files -exec strip --strip-unneeded {} +

# Nothing may be missing, or found outside.
unresolved=$(files -print0 | xargs -0 -n 1 env -i LD_LIBRARY_PATH="$stage/lib:$stage/spare" ldd |
	grep -vE "$c_library|=> $stage/|statically linked" || true)
if [ -n "$unresolved" ]; then
	printf 'pack.sh: found elsewhere, or not at all:\n%s\n' "$unresolved" >&2
	exit 1
fi

mkdir -p "$folder"
archive=$folder/device-pack.tar.gz
tar -C "$stage" -c . | gzip -9 >"$archive"
printf 'unpacked: %s MB\n' "$(du -sm "$stage" | cut -f 1)"
(cd "$stage" && du -sm ./* | sed 's/^/  /')
echo "$archive: $(($(stat -c %s "$archive") >> 10)) KB"
if [ "$(stat -c %s "$archive")" -gt "$most_bytes" ]; then
	echo "pack.sh: that is more than $((most_bytes >> 20)) MB" >&2
	exit 1
fi
