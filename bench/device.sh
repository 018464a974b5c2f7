#!/usr/bin/env bash
# Joins of distinct codes on a device, beside the CPU's join of the same codes, the plain join on the device,
# and what the device could do at most: seconds, the best of a few runs.
#
#   bench/device.sh --backend=cuda|opencl [--device=NUMBER] [--codes=1e5,1e6,1e7] [--distances=2,5,8,10]
#                   [--schemes=NUMBER] [--scheme=PARTS,BLOCKS,BITS] [--seconds=30] [--cpu-seconds=10]
#
# --codes takes up to 4e9, as far as the device's memory goes: what does not fit is said. The scheme is
# the planner's, as joins take it; --schemes tries as many of the cheapest by the measured limits instead,
# --scheme one of yours. A join on the device that takes longer than --seconds is given up; one on the CPU, or a plain one, that is expected to take longer than --cpu-seconds
# is not run: "-".
#
# The columns: kernel, the time in kernels, of it partition and compare; whole, from codes in the host's
# memory to pairs there, the device being open; floor, what the scheme's bytes and bit counts take by the
# measured limits (bench/device_join.cpp has the formula; PoCL's compiler does not reach its CPU's limits,
# so there it is none); cpu, the engine's join on all cores; plain, every code with every other, a
# work-item a code. Ends with an error if a count of pairs is not the CPU's.
#
# On a machine with a GPU and no PostgreSQL, tests/device/run.sh runs this and the device's tests.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake -S . -B build/bench -DVAMHASH_BENCH=ON >/dev/null
cmake --build build/bench --target device_join --parallel "$(nproc)" >/dev/null
sed -n 's/^model name[^:]*: /# /p' /proc/cpuinfo | head -n 1
echo "# $(nproc) processors; $(date -u +%Y-%m-%d)"
exec build/bench/bench/device_join "$@"
