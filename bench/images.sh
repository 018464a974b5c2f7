#!/usr/bin/env bash
# Hashing JPEGs of four sizes on the CPU, by 1 to all threads, and on a device: images per second, beside
# ImageHash on Pillow and beside what the CPU cannot do without: libjpeg-turbo's decode, and for a device the
# decoding to coefficients.
#
#   bench/images.sh [--backend=auto|cuda|opencl|none] [--device=NUMBER]
#   DATA='photo made' SIZES='0.25 2 12 24' THREADS=1,2,4 ROUNDS=3 SECONDS_EACH=1 bench/images.sh
#
# photo: cut out of photographs of mate-backgrounds, which are enlarged beyond 4 megapixels and then smoother
# than those of a camera; made: made with a photograph's spectrum and noise (bench/make_jpegs.cpp). JPEG quality
# 90, 4:2:0. What the methods and columns are: bench/image_rates.cpp. Each image's hashes are checked.
#
# Needs scripts/install-deps.sh build bench; for photographs and ImageHash also demo and PyPI, without which they
# are left out. The tables go to build/bench/images.tsv and image_batches.tsv, too; bench/image_plot.py draws them.
set -euo pipefail
cd "$(dirname "$0")/.."
read -ra data <<<"${DATA:-photo made}"
read -ra sizes <<<"${SIZES:-0.25 2 12 24}"
rounds=${ROUNDS:-3}
seconds=${SECONDS_EACH:-1}

# 1, 2, 4 and so on, and all.
all_threads() {
	local threads
	for ((threads = 1; threads < $(nproc); threads *= 2)); do
		printf '%d,' "$threads"
	done
	nproc
}
threads=${THREADS:-$(all_threads)}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cmake -S . -B build/bench -DVAMHASH_BENCH=ON >/dev/null
cmake --build build/bench --target image_rates make_jpegs --parallel "$(nproc)" >/dev/null
python=
if tests/exactness/setup_venv.sh build/venv; then
	python=build/venv/bin/python
fi

# Makes as many files as it takes for all threads to have different ones, at least 8.
make_images() { # KIND WIDTH HEIGHT
	local count=$(($(nproc) > 8 ? $(nproc) : 8))
	mkdir "$folder/images"
	case $1 in
	photo) "$python" bench/make_images.py "$folder/images" "$count" "$2" "$3" /usr/share/backgrounds/mate/nature/*.jpg ;;
	made) build/bench/bench/make_jpegs "$folder/images" "$count" "$2" "$3" ;;
	esac
}

measure() { # KIND; ARGUMENTS of image_rates
	local kind=$1
	shift
	echo "# load $(cut -d ' ' -f 1 /proc/loadavg)"
	build/bench/bench/image_rates "$@" --threads="$threads" --rounds="$rounds" --seconds="$seconds" \
		"$kind" "$folder"/images/*.jpg
	if [ -n "$python" ]; then
		"$python" bench/image_pillow.py "$threads" "$rounds" "$seconds" "$kind" "$folder"/images/*.jpg
	fi
}

sed -n 's/^model name[^:]*: /# /p' /proc/cpuinfo | head -n 1
echo "# $(nproc) processors; $(date -u +%Y-%m-%d)"
dpkg-query -W -f '# libjpeg-turbo ${Version}\n' libjpeg62-turbo 2>/dev/null || true
for kind in "${data[@]}"; do
	if [ "$kind" = photo ] && { [ -z "$python" ] || ! compgen -G '/usr/share/backgrounds/mate/nature/*.jpg' >/dev/null; }; then
		echo '# no photographs, or no Pillow to cut them'
		continue
	fi
	for size in "${sizes[@]}"; do
		case $size in
		0.25) make_images "$kind" 576 432 ;;
		2) make_images "$kind" 1632 1224 ;;
		12) make_images "$kind" 4000 3000 ;;
		24) make_images "$kind" 5656 4242 ;;
		*) echo "images.sh: no such size: $size" >&2 && exit 2 ;;
		esac
		measure "$kind" "$@"
		rm -r "$folder/images"
	done
done | tee "$folder/tables"
for columns in 18 14; do # rates, batches
	awk -v OFS='\t' -v columns=$columns '!/^#/ && NF == columns && !($1 == "images" && seen++) {$1 = $1; print}' \
		"$folder/tables" >"$([ $columns -eq 18 ] && echo build/bench/images.tsv || echo build/bench/image_batches.tsv)"
done
