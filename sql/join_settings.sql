-- The settings of joins: limits refuse, methods never change an answer.
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

SELECT vamhash_version() IS NOT NULL AS loaded;
SELECT name, setting, unit, context, vartype, min_val, max_val, enumvals
FROM pg_settings WHERE name IN ('vamhash.join_method', 'vamhash.max_pairs', 'vamhash.memory_limit', 'vamhash.threads')
ORDER BY name;

-- 20 blank pictures, 6 of another kind, and 1000 others.
CREATE TABLE hashes AS
	SELECT i AS id, '0000000000000000'::phash64 AS h FROM generate_series(1, 20) i
	UNION ALL SELECT 20 + i, '00ff00ff00ff00ff' FROM generate_series(1, 6) i
	UNION ALL SELECT 26 + i, ('x' || md5(i::text))::bit(64)::bigint::phash64 FROM generate_series(1, 1000) i;

-- max_pairs: as many are given, not one more.
SELECT count(*) FROM similar_pairs('SELECT id, h FROM hashes', 0);
SET vamhash.max_pairs = 205;
SELECT count(*) FROM similar_pairs('SELECT id, h FROM hashes', 0);
SET vamhash.max_pairs = 204;
SELECT fault($f$SELECT * FROM similar_pairs('SELECT id, h FROM hashes', 0)$f$);
SELECT fault($f$SELECT * FROM similar_pairs('SELECT id, h, h FROM hashes', ARRAY[0, 0])$f$);
SELECT fault($f$SELECT * FROM similar_pairs_between('SELECT id, h FROM hashes WHERE id < 12', 'SELECT id, h FROM hashes', 0)$f$);
SELECT count(*) FROM similar_pairs('SELECT id, h FROM hashes WHERE id > 20', 0);
-- It is about pairs that are returned: groups are not limited.
SET vamhash.max_pairs = 1;
SELECT count(*), max(group_id) FROM similar_groups('SELECT id, h FROM hashes', 0);
-- A million equal rows would be half a billion pairs a thousand times over: the default stops that.
RESET vamhash.max_pairs;
SELECT fault($f$SELECT * FROM similar_pairs('SELECT i, ''0000000000000000''::phash64 FROM generate_series(1, 1000000) i', 3)$f$);
SELECT fault($f$SELECT * FROM similar_pairs_between('SELECT i, ''0000000000000000''::phash64 FROM generate_series(1, 100000) i',
	'SELECT i, ''0000000000000000''::phash64 FROM generate_series(1, 100000) i', 3)$f$);
-- 0 lifts it.
SET vamhash.max_pairs = 0;
SELECT count(*) FROM similar_pairs('SELECT id, h FROM hashes', 64);
RESET vamhash.max_pairs;
SELECT fault('SET vamhash.max_pairs = -1');

-- join_method: all of them give one answer.
CREATE TABLE many AS
	SELECT i AS id, ((('x' || md5((i / 3)::text))::bit(64)::bigint # (i % 3)::bigint))::phash64 AS h
	FROM generate_series(1, 20000) i;
CREATE FUNCTION answer() RETURNS TABLE (pairs bigint, pairs_hash bigint, between_pairs bigint, groups bigint, groups_hash bigint)
LANGUAGE sql AS $$
	SELECT p.*, b.*, g.* FROM
		(SELECT count(*), sum(hashint8(a * 30011 + b * 31 + distance)) FROM similar_pairs('SELECT id, h FROM many', 3)) p,
		(SELECT count(*) FROM similar_pairs_between('SELECT id, h FROM many WHERE id < 5000', 'SELECT id, h FROM many', 3)) b,
		(SELECT max(group_id), sum(hashint8(group_id * 30011 + key * 31 + distance)) FROM similar_groups('SELECT id, h FROM many', 3)) g
$$;
CREATE TABLE answers (method text, pairs bigint, pairs_hash bigint, between_pairs bigint, groups bigint, groups_hash bigint);
INSERT INTO answers SELECT 'auto', * FROM answer();
SET vamhash.join_method = 'blocks';
INSERT INTO answers SELECT 'blocks', * FROM answer();
SET vamhash.join_method = 'brute';
INSERT INTO answers SELECT 'brute', * FROM answer();
RESET vamhash.join_method;
SET vamhash.threads = 1;
INSERT INTO answers SELECT 'one thread', * FROM answer();
SET vamhash.threads = 3;
INSERT INTO answers SELECT 'three threads', * FROM answer();
RESET vamhash.threads;
-- FAISS where it is installed; elsewhere one clear error.
SET vamhash.join_method = 'faiss';
SELECT fault('INSERT INTO answers SELECT ''auto'', * FROM answer()') ~ '^no error$|^0A000: .*\n.*"vamhash.join_method" to auto' AS faiss;
RESET vamhash.join_method;
SELECT count(*) > 4 AS several, count(DISTINCT (pairs, pairs_hash, between_pairs, groups, groups_hash)) AS different FROM answers;
SELECT pairs, between_pairs, groups FROM answers WHERE method = 'one thread';
SELECT fault('SET vamhash.join_method = fast');

-- memory_limit: what the rows alone pass is refused; where it is only tight, the answer is the same.
SET vamhash.memory_limit = '256kB';
SELECT fault($f$SELECT * FROM similar_pairs('SELECT i, i::bigint::phash64 FROM generate_series(1, 100000) i', 0)$f$);
SELECT fault($f$SELECT * FROM similar_pairs_between('SELECT i, i::bigint::phash64 FROM generate_series(1, 20000) i',
	'SELECT i, i::bigint::phash64 FROM generate_series(1, 20000) i', 0)$f$);
SELECT fault($f$SELECT * FROM similar_groups('SELECT i, i::bigint::phash64 FROM generate_series(1, 100000) i', 0)$f$);
-- The engine goes on.
SELECT count(*) FROM similar_pairs('SELECT id, h FROM hashes', 0);
SET vamhash.memory_limit = '24MB';
SELECT count(*), sum(distance) FROM similar_pairs('SELECT i, (hashint8extended(i / 2, 1) # (i % 2))::phash64 FROM generate_series(1, 1000000) i', 1);
SELECT value::int > 1 AS several_passes FROM vamhash_stat WHERE name = 'last_passes';
RESET vamhash.memory_limit;
SELECT count(*), sum(distance) FROM similar_pairs('SELECT i, (hashint8extended(i / 2, 1) # (i % 2))::phash64 FROM generate_series(1, 1000000) i', 1);
CREATE ROLE regress_vamhash_user;
SET ROLE regress_vamhash_user;
SELECT fault($f$SET vamhash.memory_limit = '1GB'$f$);
SET vamhash.max_pairs = 1;
SET vamhash.join_method = 'brute';
RESET vamhash.max_pairs;
RESET vamhash.join_method;
RESET ROLE;
DROP ROLE regress_vamhash_user;
DROP TABLE hashes, many, answers;
DROP FUNCTION answer, fault;
