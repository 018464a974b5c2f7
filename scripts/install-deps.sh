#!/usr/bin/env bash
# Installs what vamhash needs from Debian's (12 or later) or Ubuntu's (24.04 or later) packages.
# The one place that names packages.
#
#   scripts/install-deps.sh [build] [faiss] [opencl] [test] [fuzz] [bench] [demo] [arm64]
#
# The default is build. faiss is what the join method of that name is built with, opencl what the
# device backend of that name is; without them, everything else is built.
set -euo pipefail

build=(build-essential cmake pkg-config postgresql postgresql-server-dev-all libjpeg-dev libpng-dev
	libwebp-dev libtiff-dev libgif-dev libheif-dev libraw-dev libseccomp-dev)
# Its static library, which is linked, needs LAPACK.
faiss=(libfaiss-dev liblapack-dev)
opencl=(ocl-icd-opencl-dev opencl-headers)
# PoCL is OpenCL on the CPU: the device code's tests need no GPU.
# IPC::Run is what PostgreSQL's Perl test modules need; the venv holds the pinned ImageHash;
# clang finds OpenMP's header in libomp-dev.
test=("${faiss[@]}" "${opencl[@]}" pocl-opencl-icd libomp-dev libgtest-dev libipc-run-perl python3-venv clang clang-format clang-tidy)
# libFuzzer comes with clang's run-time libraries; Python makes what fuzzing starts from.
fuzz=(clang libclang-rt-dev python3)
bench=(libbenchmark-dev "${faiss[@]}")
# Pillow makes the copies and thumbnails; the photographs are mate-backgrounds' own.
demo=(python3-pil mate-backgrounds)
# To compile for 64-bit ARM and run that on another processor.
arm64=(cmake g++-aarch64-linux-gnu googletest qemu-user-static)

wanted=()
for group in "${@:-build}"; do
	case $group in
	build | faiss | opencl | test | fuzz | bench | demo | arm64)
		declare -n packages=$group
		wanted+=("${packages[@]}")
		;;
	*)
		echo "usage: $0 [build] [faiss] [opencl] [test] [fuzz] [bench] [demo] [arm64]" >&2
		exit 2
		;;
	esac
done

missing=()
for package in "${wanted[@]}"; do
	# Virtual packages (libjpeg-dev on some releases) are asked for by what provides them.
	dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q 'install ok installed' ||
		missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "$0: no apt-get here; install the counterparts of: ${missing[*]}" >&2
	exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || {
		echo "$0: needs root or sudo to install: ${missing[*]}" >&2
		exit 1
	}
	as_root=(sudo)
fi
echo "installing: ${missing[*]}"
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
