-- Pairs of a row of one query and a row of another: the same as the join of both says.
\set SHOW_CONTEXT never
\pset format unaligned

-- What a statement's error is: SQLSTATE, message, detail, hint.
CREATE FUNCTION fault(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(E'\n', SQLSTATE || ': ' || message, NULLIF('  ' || detail, '  '), NULLIF('  ' || hint, '  '));
END
$$;

CREATE TABLE catalog (id bigint, h phash64, g phash64);
INSERT INTO catalog VALUES
	(1, '0000000000000000', 'ff00000000000000'),
	(2, '0000000000000003', 'ff00000000000000'),
	(3, 'ffffffffffffffff', 'ff000000000000ff'),
	(4, NULL, 'ff00000000000000'),
	(5, '8000000000000000', NULL);
CREATE TABLE upload (id bigint, h phash64, g phash64);
INSERT INTO upload VALUES
	(7, '0000000000000001', 'ff00000000000001'),
	(1, '0000000000000000', '00ffffffffffffff'),
	(9, 'ffffffffffffff00', NULL),
	(10, NULL, NULL);

-- a is of the left query, b of the right one.
SELECT * FROM similar_pairs_between('SELECT id, h FROM upload', 'SELECT id, h FROM catalog', 0);
SELECT * FROM similar_pairs_between('SELECT id, h FROM upload', 'SELECT id, h FROM catalog', 1) ORDER BY a, b;
SELECT * FROM similar_pairs_between('SELECT id, h FROM catalog', 'SELECT id, h FROM upload', 1) ORDER BY a, b;
SELECT * FROM similar_pairs_between('SELECT id, h FROM upload', 'SELECT id, h FROM catalog', 64) ORDER BY a, b;

-- Keys are not compared: an equal key, as 1 above, is a pair like any other. So where the left rows
-- are also among the right ones, each meets itself, and two of them meet twice ...
SELECT * FROM similar_pairs_between('SELECT id, h FROM catalog WHERE id < 3', 'SELECT id, h FROM catalog', 2)
ORDER BY a, b;
-- ... unless the right query leaves them out; then similar_pairs() finds those among themselves.
SELECT * FROM similar_pairs_between('SELECT id, h FROM catalog WHERE id < 3',
	'SELECT id, h FROM catalog WHERE id >= 3', 2);

-- Consensus: within each hash's own distance; a row with a NULL hash is left out.
SELECT * FROM similar_pairs_between('SELECT id, h, g FROM upload', 'SELECT id, h, g FROM catalog', ARRAY[1, 64]) ORDER BY a, b;
SELECT * FROM similar_pairs_between('SELECT id, h, g FROM upload', 'SELECT id, h, g FROM catalog', ARRAY[64, 1]) ORDER BY a, b;

-- Keys of any type, even of one without an order.
SELECT * FROM similar_pairs_between('SELECT chr(96 + id::int), h FROM upload', 'SELECT id || ''!'', h FROM catalog', 0, NULL::text);
SELECT * FROM similar_pairs_between('SELECT id, h, g FROM upload', 'SELECT -id, h, g FROM catalog', ARRAY[1, 64], NULL::numeric) ORDER BY a, b;
SELECT * FROM similar_pairs_between('SELECT point(id, 0), h FROM upload', 'SELECT point(0, id), h FROM catalog', 0, NULL::point);
SELECT pg_typeof(a), * FROM similar_pairs_between('SELECT id::smallint, h FROM upload', 'SELECT id::int, h FROM catalog', 0);

-- Against brute force in SQL, on data with planted near-duplicates.
CREATE TABLE many AS
	SELECT i AS id,
		((('x' || md5((i / 3)::text))::bit(64)::bigint # (i % 3)::bigint))::phash64 AS h,
		((('x' || md5((i / 7)::text || 'g'))::bit(64)::bigint # (1::bigint << (i % 7))))::phash64 AS g
	FROM generate_series(1, 3000) i;
CREATE TABLE few AS
	SELECT -id AS id, (h::bigint # 4)::phash64 AS h, g FROM many WHERE id % 6 = 0;
SELECT t, (SELECT count(*) FROM (
		(SELECT * FROM similar_pairs_between('SELECT id, h FROM few', 'SELECT id, h FROM many', t)
		 EXCEPT SELECT a.id, b.id, a.h <~> b.h FROM few a JOIN many b ON (a.h <~> b.h) <= t)
		UNION ALL
		(SELECT a.id, b.id, a.h <~> b.h FROM few a JOIN many b ON (a.h <~> b.h) <= t
		 EXCEPT SELECT * FROM similar_pairs_between('SELECT id, h FROM few', 'SELECT id, h FROM many', t))) d) AS differences,
	(SELECT count(*) FROM similar_pairs_between('SELECT id, h FROM few', 'SELECT id, h FROM many', t)) AS pairs,
	(SELECT count(*) FROM similar_pairs_between('SELECT id, h FROM many', 'SELECT id, h FROM few', t)) AS the_other_way
FROM unnest(ARRAY[0, 1, 2, 3, 12]) t;
SELECT count(*) AS pairs, count(DISTINCT (a, b)) AS distinct_pairs,
	bool_and(distances = ARRAY[x.h <~> y.h, x.g <~> y.g]) AS distances_right,
	(SELECT count(*) FROM few a JOIN many b ON (a.h <~> b.h) <= 2 AND (a.g <~> b.g) <= 2) AS expected
FROM similar_pairs_between('SELECT id, h, g FROM few', 'SELECT id, h, g FROM many', ARRAY[2, 2]) p
	JOIN few x ON x.id = p.a JOIN many y ON y.id = p.b;
-- Of a set and itself it has each pair both ways, and each row with itself.
SELECT (SELECT count(*) FROM similar_pairs_between('SELECT id, h FROM many', 'SELECT id, h FROM many', 2)) =
	(SELECT 2 * count(*) FROM similar_pairs('SELECT id, h FROM many', 2)) + (SELECT count(*) FROM many) AS both_ways;

-- Keys that do not fit in work_mem go to temporary files.
SET work_mem = '64kB';
SELECT count(*), bool_and(x.h <~> y.h = distance) AS right
FROM similar_pairs_between('SELECT repeat(id::text, 20), h FROM many', 'SELECT repeat(id::text, 21), h FROM many', 2, NULL::text) p
	JOIN many x ON repeat(x.id::text, 20) = p.a JOIN many y ON repeat(y.id::text, 21) = p.b;
SELECT count(*), bool_and(x.h <~> y.h = distance) AS right
FROM similar_pairs_between('SELECT id, h FROM many UNION ALL SELECT id, h FROM many UNION ALL SELECT id, h FROM many',
		'SELECT id, h FROM few', 3) p
	JOIN many x ON x.id = p.a JOIN few y ON y.id = p.b;
RESET work_mem;

-- Few rows, or none, on either side.
SELECT * FROM similar_pairs_between('SELECT id, h FROM upload WHERE false', 'SELECT id, h FROM catalog', 64);
SELECT * FROM similar_pairs_between('SELECT id, h FROM upload', 'SELECT id, h FROM catalog WHERE false', 64);
SELECT * FROM similar_pairs_between('SELECT id, h FROM upload WHERE false', 'SELECT id, h FROM catalog WHERE false', 64);
SELECT * FROM similar_pairs_between('SELECT id, h FROM upload WHERE h IS NULL', 'SELECT id, h FROM catalog WHERE h IS NULL', 64);
SELECT * FROM similar_pairs_between('SELECT id, h FROM upload WHERE id = 7', 'SELECT id, h FROM catalog WHERE id = 1', 1);
SELECT count(*) FROM similar_pairs_between(NULL, 'SELECT id, h FROM catalog', 5);
SELECT count(*) FROM similar_pairs_between('SELECT id, h FROM upload', NULL, 5);
SELECT count(*) FROM similar_pairs_between('SELECT id, h FROM upload', 'SELECT id, h FROM catalog', NULL::int, NULL::text);
SELECT count(*) FROM similar_pairs_between('SELECT id, h FROM upload', NULL, ARRAY[1], NULL::text);

-- A query may itself look for pairs.
SELECT * FROM similar_pairs_between(
	$$SELECT DISTINCT a, '0000000000000000'::phash64 FROM similar_pairs_between('SELECT id, h FROM upload', 'SELECT id, h FROM catalog', 1)$$,
	$$SELECT DISTINCT b, '0000000000000001'::phash64 FROM similar_pairs('SELECT id, h FROM catalog', 2)$$, 1) ORDER BY a, b;

\pset tuples_only
-- Wrong arguments and wrong queries: one clear error each.
SELECT fault($f$SELECT * FROM similar_pairs_between('SELECT id, h FROM upload', 'SELECT id, h FROM catalog', 65)$f$);
SELECT fault($f$SELECT * FROM similar_pairs_between('SELECT id, h FROM upload', 'SELECT id, h FROM catalog', ARRAY[5, -1])$f$);
SELECT fault($f$SELECT * FROM similar_pairs_between('SELECT id, h FROM upload', 'SELECT id, h FROM catalog', ARRAY[5, 5])$f$);
SELECT fault($f$SELECT * FROM similar_pairs_between('SELECT id, h, g FROM upload', 'SELECT id, h FROM catalog', ARRAY[5, 5])$f$);
SELECT fault($f$SELECT * FROM similar_pairs_between('SELECT id, h FROM upload', 'SELECT id, h::text FROM catalog', 5)$f$);
SELECT fault($f$SELECT * FROM similar_pairs_between('SELECT id, h FROM upload', 'SELECT id::text, h FROM catalog', 5)$f$);
SELECT fault($f$SELECT * FROM similar_pairs_between('SELECT id, h FROM upload', 'SELECT NULL::bigint, h FROM catalog', 5)$f$);
SELECT fault($f$SELECT * FROM similar_pairs_between('SELECT id, h FROM upload', '', 5)$f$);
SELECT fault($f$SELECT * FROM similar_pairs_between('SELECT id, h FROM upload', 'DELETE FROM catalog RETURNING id, h', 5)$f$);
SELECT fault($f$SELECT * FROM similar_pairs_between('SELECT id, h FROM upload', 'SELECT 1 / (3000 - id), h FROM many', 5)$f$);
SELECT count(*) FROM catalog;
-- After these the session's next call works.
SELECT * FROM similar_pairs_between('SELECT id, h FROM upload', 'SELECT id, h FROM catalog', 0);

DROP TABLE catalog, upload, many, few;
DROP FUNCTION fault;
