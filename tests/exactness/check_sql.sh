#!/usr/bin/env bash
# Hashes the golden images by SQL, from files and from bytes, one by one and many at once, and compares
# with golden.tsv, and with plugin_golden.tsv but for two bits of each hash.
#   check_sql.sh FOLDER      a folder to be made, that the server's user can read; PGHOST etc. set
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$1
mkdir -p "$folder"
cp tests/data/images/* tests/data/plugin_images/* "$folder/"
chmod -R a+rX "$folder"
# Not the pictures that libjpeg-turbo decodes differently before 3.0.1 (see exactness_test.cpp): SQL
# does not tell which one the engine has.
grep -vE '^#|	jpeg-partial-edge	' tests/data/golden.tsv >"$folder.tsv"
# Not the formats that this build has no library for.
grep -v '^#' tests/data/plugin_golden.tsv >"$folder-plugins.tsv"
engine=$("${PG_CONFIG:-pg_config}" --pkglibdir)/vamhash-engine
for example in heic-grey.heic avif-grey.avif raw-levels.dng; do
	if { "$engine" hash "$folder/$example" 2>&1 || true; } | grep -q "made without"; then
		sed -i "/\.${example##*.}\t/d" "$folder-plugins.tsv"
	fi
done
createdb golden

psql -d golden -X -q -v ON_ERROR_STOP=1 -v folder="$folder" <<SQL
CREATE EXTENSION vamhash;
CREATE TABLE golden (file text, option text, kind text, format text, width int, height int,
	dhash phash64, ahash phash64, phash phash64, whash phash64, whash16 phash64, ties text);
\copy golden FROM '$folder.tsv' WITH (FORMAT csv, HEADER, DELIMITER E'\t')
-- Where bits tie with a median, the exact hash is named beside ImageHash's.
UPDATE golden SET
	phash = coalesce(substring(ties FROM '(?:^|;)phash=([0-9a-f]{16})')::phash64, phash),
	whash = coalesce(substring(ties FROM '(?:^|;)whash=([0-9a-f]{16})')::phash64, whash),
	whash16 = coalesce(substring(ties FROM '(?:^|;)whash16=([0-9a-f]{16})')::phash64, whash16);
CREATE TABLE bulk AS
	SELECT source, option, q.key AS file, dhash, ahash, whash, phash, whash16, width, height, q.format
	FROM (VALUES ('files, in bulk', '%L || file'), ('bytes, in bulk', 'pg_read_binary_file(%L || file)')) s (source, image),
		(SELECT DISTINCT option FROM golden) o,
		hash_query(format('SELECT file, ' || image || ' FROM golden WHERE option = %L', :'folder' || '/', option),
			NULL::text, orient => option = 'orient') q;
CREATE VIEW differing AS
	SELECT source, file, option FROM golden g,
		LATERAL (
			SELECT 'file' AS source, f.*
			FROM image_hashes_file(:'folder' || '/' || file, orient => option = 'orient') f
			UNION ALL
			SELECT 'bytes', b.*
			FROM image_hashes(pg_read_binary_file(:'folder' || '/' || file), orient => option = 'orient') b
			UNION ALL
			SELECT source, dhash, ahash, whash, phash, whash16, width, height, b.format
			FROM bulk b WHERE (b.file, b.option) = (g.file, g.option)
		) h
	WHERE (h.dhash, h.ahash, h.phash, h.whash, h.whash16, h.width, h.height, h.format)
		IS DISTINCT FROM (g.dhash, g.ahash, g.phash, g.whash, g.whash16, g.width, g.height, g.format);

CREATE TABLE plugin_golden (file text, format text, width int, height int,
	dhash phash64, ahash phash64, phash phash64, whash phash64, whash16 phash64);
\copy plugin_golden FROM '$folder-plugins.tsv' WITH (FORMAT csv, HEADER, DELIMITER E'\t')
CREATE TABLE plugin_bulk AS
	SELECT q.* FROM hash_query(format('SELECT file, %L || file FROM plugin_golden', :'folder' || '/'), NULL::text) q;
CREATE VIEW plugin_differing AS
	SELECT source, file
	FROM plugin_golden g,
		LATERAL (
			SELECT 'files, in bulk' AS source, dhash, ahash, whash, phash, whash16, width, height, b.format
			FROM plugin_bulk b WHERE b.key = g.file
			UNION ALL
			SELECT 'file', f.* FROM image_hashes_file(:'folder' || '/' || file) f
			UNION ALL
			SELECT 'bytes', b.* FROM image_hashes(pg_read_binary_file(:'folder' || '/' || file)) b
		) h
	WHERE (h.width, h.height, h.format) IS DISTINCT FROM (g.width, g.height, g.format)
		OR greatest(h.dhash <~> g.dhash, h.ahash <~> g.ahash, h.phash <~> g.phash,
			h.whash <~> g.whash, h.whash16 <~> g.whash16) > 2;
SQL
psql -d golden -X -c 'TABLE differing' -c 'TABLE plugin_differing' -P footer=off -t
lines=$(psql -d golden -X -At -c 'SELECT count(*) FROM golden')
wrong=$(psql -d golden -X -At -c 'SELECT count(*) FROM differing')
bulk=$(psql -d golden -X -At -c 'SELECT count(*) FROM bulk')
plugin_lines=$(psql -d golden -X -At -c 'SELECT count(*) FROM plugin_golden')
plugin_wrong=$(psql -d golden -X -At -c 'SELECT count(*) FROM plugin_differing')
echo "$lines golden lines hashed by SQL, from files and from bytes, and again in bulk; $wrong differ"
echo "$plugin_lines lines of HEIC, AVIF and RAW; $plugin_wrong differ in more than two bits"
[ "$lines" -gt 200 ] && [ "$wrong" -eq 0 ] && [ "$bulk" -eq $((2 * lines)) ] && [ "$plugin_wrong" -eq 0 ]
