#!/bin/sh
# Makes a Python environment with the packages of requirements.txt: setup_venv.sh DIR.
# Does nothing when DIR already has them. Exits 77 (skip) when the packages cannot be had.
set -u

if [ $# -ne 1 ]; then
	echo "usage: setup_venv.sh DIR" >&2
	exit 2
fi
dir=$1
requirements=$(dirname "$0")/requirements.txt

if [ -x "$dir/bin/python" ] && cmp -s "$requirements" "$dir/installed.txt"; then
	exit 0
fi

skip() {
	echo "setup_venv.sh: $1; the comparison with ImageHash is skipped" >&2
	exit 77
}

python=${PYTHON:-python3}
"$python" -m venv --clear "$dir" >&2 || skip "$python cannot make a virtual environment in $dir"
"$dir/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
	-r "$requirements" >&2 || skip "pip cannot install $requirements (no network, or no wheels for this Python)"
cp "$requirements" "$dir/installed.txt"
