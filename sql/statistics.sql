-- What a session has done: its last complete join, and totals.

SELECT * FROM vamhash_stat;
CREATE TEMP TABLE hashes AS SELECT i::bigint AS id, (i / 3)::bigint::phash64 AS h FROM generate_series(1, 999) i;
SELECT count(*) FROM similar_pairs('SELECT id, h FROM hashes', 0);
SELECT name, CASE
		WHEN name LIKE '%seconds%' THEN regexp_replace(value, '^\d+\.\d{6}$', 'seconds')
		WHEN name = 'last_memory_bytes' THEN (value::bigint > 1000000)::text
		WHEN name = 'last_instructions' THEN (value IN ('scalar', 'avx2', 'avx512', 'neon'))::text
		WHEN name ~ 'sandbox' THEN (value ~ '^(none|seccomp|landlock|seccomp, landlock)$')::text
		ELSE value END AS value
FROM vamhash_stat;
SELECT sum(value::float8) FILTER (WHERE name LIKE 'last_seconds%') > 0 AS took_time FROM vamhash_stat;

-- A join that fails is not the last one, nor counted; the engine that waited for its rows is killed.
SELECT * FROM similar_pairs('SELECT 1 / (3 - i), 0::bigint::phash64 FROM generate_series(1, 5) i', 0);
SELECT * FROM vamhash_stat WHERE name ~ 'last_rows|joins|rows|kills';

-- Two rows with one key are no pair: what is counted is what was returned.
SELECT count(*) FROM similar_pairs('SELECT id / 500, h FROM hashes', 0);

-- Images, and those that are none or too large.
SELECT dhash('\x89504e470d0a1a0a0000000d4948445200000010000000080800000000d51d204b0000000f4944415478da636840030c03230000018740016c3a11e80000000049454e44ae426082');
SELECT dhash('no image');
SET vamhash.max_image_bytes = 4;
SELECT dhash('no image');
RESET vamhash.max_image_bytes;
SELECT * FROM vamhash_stat WHERE name !~ 'seconds|memory|instructions|sandbox';
SELECT name FROM vamhash_stat WHERE name ~ 'sandbox';

-- A join inside a join counts too; the one around it is the last to be complete.
SELECT count(*) FROM similar_pairs($$
	SELECT a, 0::bigint::phash64 FROM similar_pairs('SELECT id, h FROM hashes WHERE id < 9', 0)$$, 0);
SELECT * FROM vamhash_stat WHERE name ~ 'joins|rows|pairs|starts';
DROP TABLE hashes;
