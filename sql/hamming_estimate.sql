-- hamming_within tells the planner how many rows to expect. Estimates are compared with the truth
-- within a factor, never to the digit.

-- What the planner expects of a query.
CREATE FUNCTION expected_rows(query text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
	RETURN plan -> 0 -> 'Plan' ->> 'Plan Rows';
END $$;
-- Compares that with the rows there are.
CREATE FUNCTION within_factor(factor float8, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	expected float8 := greatest(expected_rows(query), 1);
	counted float8;
BEGIN
	EXECUTE 'SELECT greatest(count(*), 1) FROM (' || query || ') q' INTO counted;
	IF expected / counted BETWEEN 1 / factor AND factor THEN
		RETURN 'good';
	END IF;
	RETURN format('expected %s, counted %s', expected, counted);
END $$;

-- Photographs' hashes have fewer independent bits than 64: here 15 bits repeat others.
CREATE FUNCTION photo_hash(seed int) RETURNS phash64 LANGUAGE sql IMMUTABLE AS $$
	SELECT ((bits & ~32767::bigint) | ((bits >> 49) & 32767))::phash64
	FROM (SELECT ('x' || substr(md5(seed::text), 1, 16))::bit(64)::bigint AS bits) b
$$;
-- A catalog: blank images of two kinds, a placeholder, NULLs; all others there twice.
CREATE TABLE photo (id int PRIMARY KEY, h phash64);
INSERT INTO photo
SELECT i, CASE WHEN i <= 300 THEN '0000000000000000' WHEN i <= 450 THEN '0000000000000001'
	WHEN i <= 500 THEN 'ffffffffffff0000' WHEN i <= 550 THEN NULL ELSE photo_hash(i / 2) END
FROM generate_series(1, 2501) i;
ANALYZE photo;

-- One hash against a column: the common values are known one by one.
SELECT k, within_factor(1.1, format('SELECT FROM photo WHERE hamming_within(h, ''0000000000000000'', %s)', k))
FROM unnest(ARRAY[0, 1, 8]) k;
SELECT within_factor(1.1, 'SELECT FROM photo WHERE hamming_within(''ffffffffffff0001'', h, 1)');
SELECT within_factor(1.1, 'SELECT FROM photo WHERE NOT hamming_within(h, ''0000000000000000'', 8)');
-- Any other value has its duplicates, and few neighbours.
SELECT k, within_factor(2, format('SELECT FROM photo WHERE hamming_within(h, %L, %s)', photo_hash(1000), k))
FROM unnest(ARRAY[0, 4, 8]) k;
-- Wide thresholds: the sample has seen them.
SELECT k, within_factor(2, format('SELECT FROM photo WHERE hamming_within(h, %L, %s)', photo_hash(1000), k))
FROM unnest(ARRAY[24, 32, 40, 64]) k;
-- NULL matches nothing.
SELECT expected_rows('SELECT FROM photo WHERE hamming_within(h, NULL, 8)') <= 1 AS none;

-- A join of a table with itself: mostly blanks with blanks.
SELECT k, within_factor(1.2, format('SELECT FROM photo a JOIN photo b ON hamming_within(a.h, b.h, %s)', k))
FROM unnest(ARRAY[0, 1, 8]) k;
-- Two columns without them: the model's word, from one pair in ten thousand to one in ten.
CREATE TABLE plain AS SELECT i AS id, photo_hash(i) AS h, photo_hash(-i) AS g FROM generate_series(1, 2000) i;
ANALYZE plain;
SELECT k, within_factor(3, format('SELECT FROM plain a JOIN plain b ON hamming_within(a.h, b.g, %s)', k))
FROM unnest(ARRAY[16, 20, 26]) k;
SELECT within_factor(2, 'SELECT FROM plain WHERE hamming_within(h, g, 26)');
-- Hashes with 64 fair bits have fewer neighbours, and the statistics show it.
CREATE TABLE fair AS
SELECT i AS id, ('x' || substr(md5(i::text), 1, 16))::bit(64)::phash64 AS h FROM generate_series(1, 2000) i;
ANALYZE fair;
SELECT k, within_factor(3, format('SELECT FROM fair a JOIN fair b ON hamming_within(a.h, b.h, %s)', k))
FROM unnest(ARRAY[16, 20, 26]) k;
-- A bigint column that holds hashes has the same statistics.
CREATE TABLE numbered AS SELECT id, h::bigint AS b FROM photo;
ANALYZE numbered;
SELECT within_factor(1.1, 'SELECT FROM numbered WHERE hamming_within(b::phash64, ''0000000000000000'', 1)');

-- Has it a match? EXISTS, NOT EXISTS and outer joins.
SELECT within_factor(1.2, 'SELECT FROM photo a WHERE EXISTS (SELECT FROM photo b WHERE hamming_within(a.h, b.h, 4))');
SELECT within_factor(1.2, 'SELECT FROM photo a WHERE EXISTS (SELECT FROM fair b WHERE hamming_within(a.h, b.h, 32))');
SELECT within_factor(3, 'SELECT FROM plain a WHERE NOT EXISTS (SELECT FROM fair b WHERE hamming_within(b.h, a.h, 1))');
SELECT within_factor(3, 'SELECT FROM photo a WHERE NOT EXISTS (SELECT FROM plain b WHERE hamming_within(a.h, b.g, 1))');
SELECT within_factor(2, 'SELECT FROM photo a LEFT JOIN plain b ON hamming_within(a.h, b.h, 1)');

-- A parameter is taken for one of the column's own hashes: perhaps a blank, more likely not.
SET plan_cache_mode = force_generic_plan;
PREPARE near(phash64, int) AS SELECT FROM photo WHERE hamming_within(h, $1, $2);
SELECT expected_rows('EXECUTE near(''0000000000000000'', 8)') BETWEEN 50 AND 200 AS in_between;
DEALLOCATE near;
RESET plan_cache_mode;
-- So are the rows of a CTE,
SELECT within_factor(3, 'WITH few AS MATERIALIZED (SELECT h FROM photo LIMIT 2000) SELECT FROM few JOIN photo ON hamming_within(few.h, photo.h, 1)');
-- and a table that was never analysed has dHashes.
CREATE TABLE unknown (h phash64) WITH (autovacuum_enabled = off);
INSERT INTO unknown SELECT h FROM plain;
SELECT expected_rows('SELECT FROM unknown WHERE hamming_within(h, ''0000000000000000'', 8)') < 100 AS few,
	expected_rows('SELECT FROM unknown WHERE hamming_within(h, ''0000000000000000'', 64)') > 1000 AS all;

-- A role that may not read the column is not told its common values by the planner.
CREATE ROLE regress_vamhash_reader;
CREATE VIEW odd AS SELECT * FROM photo WHERE id % 2 = 1;
ALTER VIEW odd SET (security_barrier);
GRANT SELECT ON odd TO regress_vamhash_reader;
SET ROLE regress_vamhash_reader;
SELECT expected_rows('SELECT FROM odd WHERE hamming_within(h, ''0000000000000000'', 4)') < 10 AS learns_nothing;
RESET ROLE;

DROP VIEW odd;
DROP ROLE regress_vamhash_reader;
DROP TABLE photo, plain, fair, numbered, unknown;
DROP FUNCTION expected_rows, within_factor, photo_hash;
