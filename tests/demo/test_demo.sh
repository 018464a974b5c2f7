#!/usr/bin/env bash
# Runs scripts/demo.sh on a folder of small pictures whose pairs are known, and on the photographs
# of mate-backgrounds where they are installed, and reads what it wrote.
#
# Takes vamhash as it is installed; VAMHASH_DEMO_SKIP_BUILD= (empty) builds and installs it first.
set -uo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
demo=$here/../../scripts/demo.sh
export VAMHASH_DEMO_SKIP_BUILD=${VAMHASH_DEMO_SKIP_BUILD-1} PYTHONUTF8=1 PYTHONDONTWRITEBYTECODE=1

work=$(mktemp -d)
chmod 755 "$work"
trap 'rm -rf -- "$work"' EXIT
passed=0
failed=0

# is NAME GOT WANTED
is() {
	if [ "$2" = "$3" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'not ok: %s\n  got:    %s\n  wanted: %s\n' "$1" "$2" "$3"
	fi
}

# has NAME TEXT PATTERN
has() {
	if grep -Eq -- "$3" <<<"$2"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'not ok: %s: nothing matches %s in\n%s\n' "$1" "$3" "$2"
	fi
}

# refuses NAME STATUS PATTERN ARGUMENT ...: the demo says why in one line and exits with STATUS
refuses() {
	local name=$1 status=$2 pattern=$3 said
	shift 3
	said=$("$demo" "$@" 2>&1 >/dev/null)
	is "$name: exit status" $? "$status"
	is "$name: lines said" "$(wc -l <<<"$said")" 1
	has "$name" "$said" "$pattern"
}

value() {
	sed -n "s/^$1: //p" <<<"$page"
}

# A folder with two pairs.
pictures=$work/pictures
/usr/bin/python3 "$here/make_folder.py" "$pictures"
touch "$work/before"
said=$("$demo" "$pictures" --out "$work/out")
is 'folder: exit status' $? 0
is 'folder: the page comes last' "$(tail -n 1 <<<"$said")" "$work/out/contact-sheet.html"
has 'folder: what was hashed' "$said" '^ *8 rows: 6 ok, 1 truncated, 1 unsupported$'
has 'folder: a truncated file' "$said" '^ broken\.jpg +\| truncated +\| .*[a-z]'
has 'folder: a file that is no picture' "$said" '^ letter\.jpg +\| unsupported +\| .*[a-z]'
is 'folder: the pairs, with their distances at most 5' \
	"$(/usr/bin/python3 -c '
import csv, sys
for row in csv.DictReader(open(sys.argv[1], newline="")):
    print(row["a"], "=", row["b"], int(row["dhash"]) <= 5 and int(row["ahash"]) <= 5)' \
		"$work/out/pairs.csv")" \
	"<img src=x onerror=alert(1)> & it's.png = 雪山.jpg True
am See, früh.jpg = second folder/am \"See\" (1).JPEG True"
is 'folder: the server is gone' \
	"$(find /tmp -maxdepth 1 -name 'vamhash-server.*' -newer "$work/before")" ''
is 'folder: no copies are made' "$(cd "$work/out" && echo *)" 'contact-sheet.html pairs.csv'

page=$(/usr/bin/python3 "$here/read_page.py" "$work/out/contact-sheet.html")
is 'page: badly nested' "$(value 'badly nested')" 0
is 'page: groups' "$(value 'groups and lists')" 2
is 'page: cards' "$(value cards)" 4
is 'page: thumbnails' "$(value thumbnails)" 4
is 'page: pictures without a text' "$(value 'without alt')" 0
is 'page: loaded from elsewhere' "$(value 'loaded from elsewhere')" 0
has 'page: names as they are' "$(value text)" "<img src=x onerror=alert\(1\)> & it's\.png"
has 'page: files that failed' "$(value text)" 'broken\.jpg .* truncated .*letter\.jpg .* unsupported'
has 'page: counts' "$(value text)" 'images hashed 6 .*pairs found 2 .*groups 2 .*files not hashed 2 '

# What it refuses.
refuses 'an unknown option' 2 'unknown option --fast' --fast
refuses '--out without a folder' 2 '--out needs a folder' "$pictures" --out
refuses 'two folders' 2 'more than one folder' "$pictures" "$work"
refuses 'a folder that does not exist' 1 'no such folder: /nowhere' /nowhere
mkdir "$work/empty"
refuses 'a folder without images' 1 "no images .* under $work/empty" "$work/empty" --out "$work/out"
mkdir "$work/letters"
cp "$pictures/letter.jpg" "$work/letters"
refuses 'a folder without one good image' 1 'none could be hashed; the first says: .*[a-z]' \
	"$work/letters" --out "$work/out"
if [ "$(id -u)" -eq 0 ]; then
	chmod 700 "$pictures"
	refuses 'a folder that the server may not read' 1 'user postgres, who may not read' \
		"$pictures" --out "$work/out"
fi

# The photographs: whatever is found is a copy, and all copies are found that should be.
if compgen -G '/usr/share/backgrounds/mate/nature/*.jpg' >/dev/null; then
	said=$("$demo" --out "$work/photographs")
	is 'photographs: exit status' $? 0
	has 'photographs: nothing wrong' "$said" '; 0 pairs are of different photographs'
	for kind in PNG 'grey' 'half size' 'quarter size' 'quality 40' 'turned \(EXIF\), orient => true'; do
		has "photographs: $kind" "$said" "^ $kind +\| +([0-9]+) \| +\1 \|"
	done
	for kind in mirrored 'turned \(EXIF\)'; do
		has "photographs: $kind" "$said" "^ $kind +\| +[0-9]+ \| +0 \|"
	done
	page=$(/usr/bin/python3 "$here/read_page.py" "$work/photographs/contact-sheet.html")
	is 'photographs: badly nested' "$(value 'badly nested')" 0
	is 'photographs: a thumbnail a card' "$(value thumbnails)" "$(value cards)"
fi

echo "demo: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
