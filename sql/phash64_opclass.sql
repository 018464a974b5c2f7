-- Order and equality of hashes: operators, indexes, joins, aggregates.

-- Hashes are in the order of their text, which is that of unsigned numbers; bigint's differs.
SELECT h FROM unnest(ARRAY['8000000000000000', '7fffffffffffffff', 'ffffffffffffffff', '0000000000000000',
	'0000000000000001']::phash64[]) h ORDER BY h;
SELECT h FROM unnest(ARRAY['8000000000000000', '7fffffffffffffff']::phash64[]) h ORDER BY h::bigint;
SELECT a, b, a < b AS lt, a <= b AS le, a = b AS eq, a <> b AS ne, a >= b AS ge, a > b AS gt, phash64_cmp(a, b)
FROM (VALUES ('7fffffffffffffff'::phash64, '8000000000000000'::phash64), ('ffffffffffffffff', '0000000000000000'),
	('00000000000000ab', '00000000000000AB')) v (a, b);

CREATE TABLE photo (id int PRIMARY KEY, h phash64);
INSERT INTO photo
SELECT i, CASE WHEN i % 10 > 0 THEN ('x' || substr(md5((i % 4000)::text), 1, 16))::bit(64)::phash64 END
FROM generate_series(1, 10000) i;

-- Sorting agrees with sorting the text, NULLs last, in memory and on disk.
SELECT array_agg(id ORDER BY h, id) = array_agg(id ORDER BY h::text COLLATE "C", id) AS ascending,
	array_agg(id ORDER BY h DESC, id) = array_agg(id ORDER BY h::text COLLATE "C" DESC, id) AS descending
FROM photo;
SET work_mem = '64kB';
SELECT array_agg(id ORDER BY h, id) = array_agg(id ORDER BY h::text COLLATE "C", id) AS on_disk FROM photo;
RESET work_mem;

-- min and max, and by index.
SELECT min(h), max(h), min(h)::text = min(h::text COLLATE "C") AS as_text FROM photo;
SELECT min(h), max(h) FROM photo WHERE false;

-- A btree serves equality, ranges and order.
CREATE INDEX photo_h ON photo (h);
ANALYZE photo;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM photo WHERE h = 'c4ca4238a0b92382';
SELECT id FROM photo WHERE h = 'c4ca4238a0b92382' ORDER BY id;
SELECT count(*) = (SELECT count(*) FROM photo WHERE h::text COLLATE "C" BETWEEN '7' AND '9') AS range_by_index
FROM photo WHERE h >= '7000000000000000' AND h <= '9000000000000000';
SELECT count(*) FROM photo WHERE h IN ('c4ca4238a0b92382', 'c81e728d9d4c2f63', '0000000000000000');
CREATE FUNCTION plan_has(query text, node text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	plan text;
BEGIN
	EXECUTE 'EXPLAIN (COSTS OFF, FORMAT JSON) ' || query INTO plan;
	RETURN strpos(plan, node) > 0;
END $$;
SELECT plan_has('SELECT max(h) FROM photo', '"Scan Direction": "Backward"') AS max_by_index;
EXPLAIN (COSTS OFF) SELECT h FROM photo ORDER BY h LIMIT 3;
SELECT h FROM photo ORDER BY h LIMIT 3;
SELECT h FROM photo ORDER BY h DESC NULLS LAST LIMIT 3;
-- Equal hashes share their space in the index.
CREATE TABLE blank AS SELECT 'ffffffffffffffff'::phash64 AS h FROM generate_series(1, 50000);
CREATE INDEX blank_h ON blank (h);
CREATE INDEX blank_h_plain ON blank (h) WITH (deduplicate_items = off);
SELECT pg_relation_size('blank_h') * 2 < pg_relation_size('blank_h_plain') AS deduplicated;
DROP TABLE blank;
-- Uniqueness.
CREATE UNIQUE INDEX photo_unique ON photo (h) WHERE id < 4000;
INSERT INTO photo VALUES (0, 'C4CA4238A0B92382');
DROP INDEX photo_unique, photo_h;

-- A hash index serves equality.
CREATE INDEX photo_h ON photo USING hash (h);
EXPLAIN (COSTS OFF) SELECT id FROM photo WHERE h = 'c4ca4238a0b92382';
SELECT id FROM photo WHERE h = 'c4ca4238a0b92382' ORDER BY id;
DROP INDEX photo_h;
RESET enable_seqscan;
RESET enable_bitmapscan;

-- Every way to join and to group gives one answer.
CREATE FUNCTION duplicates(OUT pairs bigint, OUT groups bigint, OUT joined_by text) LANGUAGE plpgsql AS $$
DECLARE
	query text := 'SELECT count(*) FROM photo a JOIN photo b ON a.h = b.h AND a.id < b.id';
	line text;
BEGIN
	EXECUTE query INTO pairs;
	SELECT count(*) INTO groups FROM (SELECT h FROM photo WHERE h IS NOT NULL GROUP BY h HAVING count(*) > 1) g;
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query
	LOOP
		joined_by := coalesce(joined_by, substring(line FROM 'Hash Join|Merge Join|Nested Loop'));
	END LOOP;
END $$;
SET max_parallel_workers_per_gather = 0;
SELECT * FROM duplicates();
SET enable_hashjoin = off;
SET enable_hashagg = off;
SELECT * FROM duplicates();
RESET enable_hashjoin;
RESET enable_hashagg;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SELECT min(h), max(h), count(DISTINCT h) FROM photo;
SELECT pairs, groups FROM duplicates();
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;

-- The two hash functions agree as hash partitioning needs it, and a seed matters.
SELECT count(*) AS values,
	count(*) FILTER (WHERE phash64_hash(h) & 4294967295 = phash64_hash_extended(h, 0) & 4294967295) AS agree,
	count(*) FILTER (WHERE phash64_hash_extended(h, 0) = phash64_hash_extended(h, 1)) AS seedless
FROM (SELECT DISTINCT h FROM photo WHERE h IS NOT NULL) d;
CREATE TABLE part (h phash64) PARTITION BY HASH (h);
CREATE TABLE part0 PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE part1 PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO part SELECT DISTINCT h FROM photo WHERE h IS NOT NULL;
SELECT (SELECT count(*) FROM part0) BETWEEN 1600 AND 2000 AS half FROM part LIMIT 1;
CREATE TABLE range_part (h phash64) PARTITION BY RANGE (h);
CREATE TABLE range_low PARTITION OF range_part FOR VALUES FROM (MINVALUE) TO ('8000000000000000');
CREATE TABLE range_high PARTITION OF range_part FOR VALUES FROM ('8000000000000000') TO (MAXVALUE);
INSERT INTO range_part VALUES ('7fffffffffffffff'), ('8000000000000000');
SELECT tableoid::regclass, h FROM range_part ORDER BY h;

DROP FUNCTION duplicates, plan_has;
DROP TABLE photo, part, range_part;
