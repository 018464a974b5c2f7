-- Pairs of rows within a Hamming distance, found by the engine: the same as the join says.
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

CREATE TABLE hashes (id bigint, h phash64, g phash64);
INSERT INTO hashes VALUES
	(1, '0000000000000000', 'ff00000000000000'),
	(2, '0000000000000001', 'ff00000000000000'),
	(3, '0000000000000003', 'ff000000000000ff'),
	(4, 'ffffffffffffffff', 'ff00000000000000'),
	(5, '0000000000000000', '00ffffffffffffff'),
	(6, NULL, 'ff00000000000000'),
	(7, '8000000000000000', NULL);

SELECT * FROM similar_pairs('SELECT id, h FROM hashes', 0) ORDER BY a, b;
SELECT * FROM similar_pairs('SELECT id, h FROM hashes', 1) ORDER BY a, b;
SELECT count(*) FROM similar_pairs('SELECT id, h FROM hashes', 64);

-- Consensus: within each hash's own distance; a row with a NULL hash is left out.
SELECT * FROM similar_pairs('SELECT id, h, g FROM hashes', ARRAY[2, 8]) ORDER BY a, b;

-- Keys of any type that has an order; the smaller key comes first whatever the rows' order.
SELECT * FROM similar_pairs('SELECT chr(96 + id::int), h FROM hashes ORDER BY id DESC', 1, NULL::text) ORDER BY a, b;
SELECT * FROM similar_pairs('SELECT md5(id::text)::uuid, h FROM hashes', 0, NULL::uuid);
SELECT * FROM similar_pairs('SELECT (id - 100) * 1.5, h FROM hashes', 0, NULL::numeric);
SELECT * FROM similar_pairs('SELECT ARRAY[id, 0], h FROM hashes', 0, NULL::bigint[]);
SELECT * FROM similar_pairs('SELECT chr(96 + id::int), h, g FROM hashes', ARRAY[2, 8], NULL::text) ORDER BY a, b;
-- A key column is brought to the key type as by assignment.
SELECT pg_typeof(a), * FROM similar_pairs('SELECT id::smallint, h FROM hashes', 0);
SELECT pg_typeof(a), * FROM similar_pairs('SELECT id, h FROM hashes', 0, NULL::text);
SELECT pg_typeof(a), * FROM similar_pairs('SELECT chr(96 + id::int)::varchar, h FROM hashes', 0, NULL::text);
CREATE DOMAIN small_key AS bigint CHECK (VALUE < 5);
SELECT * FROM similar_pairs('SELECT id, h FROM hashes WHERE id < 4', 0, NULL::small_key);
SELECT fault($f$SELECT * FROM similar_pairs('SELECT id, h FROM hashes', 0, NULL::small_key)$f$);

-- Two rows with one key are no pair.
SELECT * FROM similar_pairs('SELECT id % 4, h FROM hashes', 0);

-- Against brute force in SQL, on data with planted near-duplicates.
CREATE TABLE many AS
	SELECT i AS id,
		((('x' || md5((i / 3)::text))::bit(64)::bigint # (i % 3)::bigint))::phash64 AS h,
		((('x' || md5((i / 7)::text || 'g'))::bit(64)::bigint # (1::bigint << (i % 7))))::phash64 AS g
	FROM generate_series(1, 3000) i;
SELECT t, (SELECT count(*) FROM (
		(SELECT * FROM similar_pairs('SELECT id, h FROM many', t)
		 EXCEPT SELECT a.id, b.id, a.h <~> b.h FROM many a JOIN many b ON a.id < b.id AND (a.h <~> b.h) <= t)
		UNION ALL
		(SELECT a.id, b.id, a.h <~> b.h FROM many a JOIN many b ON a.id < b.id AND (a.h <~> b.h) <= t
		 EXCEPT SELECT * FROM similar_pairs('SELECT id, h FROM many', t))) d) AS differences,
	(SELECT count(*) FROM similar_pairs('SELECT id, h FROM many', t)) AS pairs
FROM unnest(ARRAY[0, 1, 2, 12]) t;
SELECT count(*) AS pairs, count(DISTINCT (a, b)) AS distinct_pairs,
	bool_and(distances = ARRAY[x.h <~> y.h, x.g <~> y.g]) AS distances_right,
	(SELECT count(*) FROM many a JOIN many b ON a.id < b.id AND (a.h <~> b.h) <= 2 AND (a.g <~> b.g) <= 2) AS expected
FROM similar_pairs('SELECT id, h, g FROM many', ARRAY[2, 2]) p
	JOIN many x ON x.id = p.a JOIN many y ON y.id = p.b;

-- Keys of every kind, in memory and, beyond work_mem, in temporary files, whence they are read in several
-- batches: bigint, which is passed by value, narrow and then wide; text, short and long; uuid and interval, of fixed length.
CREATE TABLE keyed AS
	SELECT i AS id, ((('x' || md5((i / 4)::text))::bit(64)::bigint # (i % 4)::bigint))::phash64 AS h,
		CASE WHEN i NOT BETWEEN 9000 AND 15000 THEN i ELSE 1000000000000 - 7 * i END AS big, repeat(md5(i::text), (1 + i % 7)::int) AS label,
		md5(i::text)::uuid AS code, make_interval(secs => i) AS span
	FROM generate_series(1::bigint, 20000) i;
CREATE FUNCTION wrong_pairs(key_column text, key_type anyelement, OUT pairs bigint, OUT wrong bigint)
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format($f$
		WITH found AS (SELECT * FROM similar_pairs('SELECT %1$I, h FROM keyed', 2, NULL::%2$s)),
			expected AS (
				SELECT least(a.%1$I, b.%1$I), greatest(a.%1$I, b.%1$I), a.h <~> b.h
				FROM keyed a JOIN keyed b ON a.id / 4 = b.id / 4 AND a.id < b.id)
		SELECT (SELECT count(*) FROM found), (SELECT count(*) FROM (
			(SELECT * FROM found EXCEPT ALL SELECT * FROM expected)
			UNION ALL (SELECT * FROM expected EXCEPT ALL SELECT * FROM found)) d)$f$,
		key_column, pg_typeof(key_type)) INTO pairs, wrong;
END
$$;
SET work_mem = '64MB';
SELECT 'bigint' AS key, * FROM wrong_pairs('big', NULL::bigint)
UNION ALL SELECT 'text', * FROM wrong_pairs('label', NULL::text)
UNION ALL SELECT 'uuid', * FROM wrong_pairs('code', NULL::uuid)
UNION ALL SELECT 'interval', * FROM wrong_pairs('span', NULL::interval);
SET work_mem = '64kB';
SELECT 'bigint' AS key, * FROM wrong_pairs('big', NULL::bigint)
UNION ALL SELECT 'text', * FROM wrong_pairs('label', NULL::text)
UNION ALL SELECT 'uuid', * FROM wrong_pairs('code', NULL::uuid)
UNION ALL SELECT 'interval', * FROM wrong_pairs('span', NULL::interval);
SELECT count(*), bool_and(a < b) FROM similar_pairs('SELECT id, h FROM many', 64) WHERE distance < 10;
RESET work_mem;
DROP FUNCTION wrong_pairs;
DROP TABLE keyed;

-- Few rows, or none.
SELECT * FROM similar_pairs('SELECT id, h FROM hashes WHERE false', 5);
SELECT * FROM similar_pairs('SELECT id, h FROM hashes WHERE id = 1', 5);
SELECT * FROM similar_pairs('SELECT id, h FROM hashes WHERE h IS NULL', 5);
SELECT count(*) FROM similar_pairs(NULL, 5);
SELECT count(*) FROM similar_pairs('SELECT id, h FROM hashes', NULL::int);
SELECT count(*) FROM similar_pairs('SELECT id, h FROM hashes', NULL::int, NULL::text);

-- A query may itself look for pairs, or hash images.
SELECT * FROM similar_pairs($$
	SELECT DISTINCT a, '0000000000000000'::phash64 FROM similar_pairs('SELECT id, h FROM hashes', 1)
	WHERE dhash('\x89504e470d0a1a0a0000000d4948445200000010000000080800000000d51d204b0000000f4944415478da636840030c03230000018740016c3a11e80000000049454e44ae426082')
		= '0000000000000000'$$, 0) ORDER BY a, b;

\pset tuples_only
-- Wrong arguments and wrong queries: one clear error each.
SELECT fault($f$SELECT * FROM similar_pairs('SELECT id, h FROM hashes', -1)$f$);
SELECT fault($f$SELECT * FROM similar_pairs('SELECT id, h FROM hashes', 65)$f$);
SELECT fault($f$SELECT * FROM similar_pairs('SELECT id, h FROM hashes', ARRAY[5, 65])$f$);
SELECT fault($f$SELECT * FROM similar_pairs('SELECT id, h FROM hashes', ARRAY[5, NULL])$f$);
SELECT fault($f$SELECT * FROM similar_pairs('SELECT id, h FROM hashes', ARRAY[]::int[])$f$);
SELECT fault($f$SELECT * FROM similar_pairs('SELECT id, h FROM hashes', ARRAY[[1, 2], [3, 4]])$f$);
SELECT fault($f$SELECT * FROM similar_pairs('SELECT id, h FROM hashes', ARRAY[1, 2, 3, 4, 5, 6, 7, 8, 9])$f$);
SELECT fault($f$SELECT * FROM similar_pairs('SELECT id FROM hashes', 5)$f$);
SELECT fault($f$SELECT * FROM similar_pairs('SELECT id, h, g FROM hashes', 5)$f$);
SELECT fault($f$SELECT * FROM similar_pairs('SELECT id, h FROM hashes', ARRAY[5, 5])$f$);
SELECT fault($f$SELECT * FROM similar_pairs('SELECT id, h::text AS dhash FROM hashes', 5)$f$);
SELECT fault($f$SELECT * FROM similar_pairs('SELECT chr(96 + id::int), h FROM hashes', 5)$f$);
SELECT fault($f$SELECT * FROM similar_pairs('SELECT point(id, 0), h FROM hashes', 5, NULL::point)$f$);
SELECT fault($f$SELECT * FROM similar_pairs('SELECT NULL::bigint, h FROM hashes', 5)$f$);
SELECT fault($f$SELECT * FROM similar_pairs('', 5)$f$);
SELECT fault($f$SELECT * FROM similar_pairs('SELECT 1; SELECT 2', 5)$f$);
SELECT fault($f$SELECT * FROM similar_pairs('SELEC id, h FROM hashes', 5)$f$);
SELECT fault($f$SELECT * FROM similar_pairs('SELECT id, h FROM no_such_table', 5)$f$);
SELECT fault($f$SELECT * FROM similar_pairs('DELETE FROM hashes RETURNING id, h', 5)$f$);
SELECT fault($f$SELECT * FROM similar_pairs('CREATE TABLE x AS SELECT 1', 5)$f$);
SELECT fault($f$SELECT * FROM similar_pairs('BEGIN', 5)$f$);
SELECT fault($f$SELECT * FROM similar_pairs('SELECT 1 / (3000 - id), h FROM many', 5)$f$);
SELECT count(*) FROM hashes;

-- The caller's rights are what counts.
CREATE ROLE regress_vamhash_user;
SET ROLE regress_vamhash_user;
SELECT fault($f$SELECT * FROM similar_pairs('SELECT id, h FROM hashes', 5)$f$);
RESET ROLE;
DROP ROLE regress_vamhash_user;
DROP TABLE hashes, many;
DROP DOMAIN small_key;
DROP FUNCTION fault;
