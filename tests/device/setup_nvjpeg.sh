#!/bin/sh
# Gets nvJPEG, NVIDIA's Python package of that name, for the nvcc that is there: setup_nvjpeg.sh DIR.
# Its header comes to DIR/include, for CMake's VAMHASH_NVJPEG_INCLUDE, and the library to DIR/lib.
# Does nothing when DIR already has them. Exits 77 (skip) when there is no nvcc, or no package.
set -u

if [ $# -ne 1 ]; then
	echo "usage: setup_nvjpeg.sh DIR" >&2
	exit 2
fi
dir=$1

skip() {
	echo "setup_nvjpeg.sh: $1; nvJPEG is left out" >&2
	exit 77
}

nvcc=/usr/local/cuda/bin/nvcc # where CMake looks first
[ -x "$nvcc" ] || nvcc=$(command -v nvcc) || skip 'there is no nvcc'
release=$("$nvcc" --version | sed -n 's/.*release \([0-9]*\)\..*/\1/p')
! grep -qs "NVJPEG_VER_MAJOR $release\$" "$dir/include/nvjpeg.h" || exit 0
case $release in
12) package=nvidia-nvjpeg-cu12 ;;
13) package='nvidia-nvjpeg==13.*' ;;
*) skip "no package is known for CUDA $release" ;;
esac

rm -rf "$dir"
mkdir -p "$dir"
"${PYTHON:-python3}" -m venv --clear "$dir/venv" >&2 || skip 'python3 cannot make a virtual environment'
"$dir/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
	"$package" >&2 || skip "pip cannot install $package (no network, or no wheel for this machine)"
header=$(find "$dir/venv" -name nvjpeg.h)
[ -n "$header" ] || skip "$package has no nvjpeg.h"
mkdir -p "$dir/lib" "$dir/include"
cp "$(dirname "$header")"/../lib/libnvjpeg.so.* "$dir/lib/"
cp "$header" "$dir/include/"
rm -r "$dir/venv"
