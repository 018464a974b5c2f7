-- Groups of similar rows: what their definitions say, whatever the order of the rows.
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

-- A chain, each row one bit from the next, and two rows far away that are alike.
CREATE TABLE hashes (id bigint, h phash64);
INSERT INTO hashes VALUES
	(1, '0000000000000000'),
	(2, '0000000000000001'),
	(3, '0000000000000003'),
	(4, '0000000000000007'),
	(5, '000000000000000f'),
	(8, 'ffffffffffffffff'),
	(7, 'ffffffffffffffff'),
	(6, '00000000ffffffff'),
	(9, NULL);

-- star: 2, 3 and 4 have two neighbours each, 2 is the smallest; then 4 takes 5.
SELECT * FROM similar_groups('SELECT id, h FROM hashes', 1);
SELECT * FROM similar_groups('SELECT id, h FROM hashes', 1, 'star');
-- complete: 2 takes 1, and 3 is too far from 1.
SELECT * FROM similar_groups('SELECT id, h FROM hashes', 1, 'complete');
-- connected: the whole chain; its centre is the smallest of those with most neighbours.
SELECT * FROM similar_groups('SELECT id, h FROM hashes', 1, 'connected');
-- Identical ones only, and everything.
SELECT * FROM similar_groups('SELECT id, h FROM hashes', 0);
SELECT * FROM similar_groups('SELECT id, h FROM hashes', 64, 'complete');

-- Keys of any type that has an order; it decides, not the order of the rows.
SELECT * FROM similar_groups('SELECT chr(106 - id::int), h FROM hashes', 1, 'star', NULL::text);
SELECT * FROM similar_groups('SELECT chr(106 - id::int), h FROM hashes ORDER BY h DESC', 1, 'star', NULL::text);
SELECT * FROM similar_groups('SELECT md5(id::text)::uuid, h FROM hashes', 0, 'connected', NULL::uuid);
SELECT * FROM similar_groups('SELECT -id / 2.0, h FROM hashes', 0, 'complete', NULL::numeric);
SELECT pg_typeof(key), * FROM similar_groups('SELECT id::smallint, h FROM hashes', 0);
SELECT * FROM similar_groups('SELECT ARRAY[id, 0], h FROM hashes', 0, 'star', NULL::bigint[]);

-- A key whose rows all have one hash counts once; alone it is similar to nothing.
SELECT * FROM similar_groups('SELECT id, h FROM hashes UNION ALL SELECT id, h FROM hashes', 0);
SELECT * FROM similar_groups('SELECT 1, h FROM hashes WHERE id = 1 UNION ALL SELECT 1, h FROM hashes WHERE id = 1', 5);
-- With different ones it has no place; that is an error where both are similar to others.
SELECT fault($f$SELECT * FROM similar_groups('SELECT id / 2, h FROM hashes', 1)$f$);
SELECT fault($f$SELECT * FROM similar_groups('SELECT chr(64 + id::int / 2), h FROM hashes', 1, 'connected', NULL::text)$f$);
SELECT fault($f$SELECT * FROM similar_groups('SELECT CASE id WHEN 6 THEN 1 ELSE id END, h FROM hashes', 1)$f$);

-- The definitions, taken at their word. Rows of table `entry` (key, h), each key once.
CREATE TABLE entry (key text, h phash64);
CREATE FUNCTION oracle(t int, method text)
RETURNS TABLE (group_id bigint, key text, is_center boolean, distance int, group_size bigint, diameter int)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	centre record;
	candidate record;
BEGIN
	DROP TABLE IF EXISTS neighbour, member;
	CREATE TEMP TABLE neighbour AS
		SELECT a.key AS a, b.key AS b, bit_count((a.h::bigint # b.h::bigint)::bit(64))::int AS d
		FROM entry a JOIN entry b ON a.key <> b.key AND bit_count((a.h::bigint # b.h::bigint)::bit(64)) <= t;
	CREATE TEMP TABLE member (centre text, key text);
	FOR centre IN SELECT a AS key FROM neighbour GROUP BY a ORDER BY count(*) DESC, a LOOP
		CONTINUE WHEN EXISTS (SELECT FROM member WHERE key = centre.key);
		IF method = 'connected' THEN
			INSERT INTO member
				WITH RECURSIVE reached AS (
					SELECT centre.key AS key UNION SELECT b FROM reached JOIN neighbour ON a = reached.key)
				SELECT centre.key, key FROM reached;
			CONTINUE;
		END IF;
		FOR candidate IN
			SELECT b AS key FROM neighbour WHERE a = centre.key AND b NOT IN (SELECT key FROM member) ORDER BY d, b LOOP
			INSERT INTO member SELECT centre.key, candidate.key
				WHERE method = 'star' OR NOT EXISTS (
					SELECT FROM member m WHERE m.centre = centre.key AND NOT EXISTS (
						SELECT FROM neighbour WHERE a = m.key AND b = candidate.key));
		END LOOP;
		INSERT INTO member SELECT centre.key, centre.key FROM member WHERE centre = centre.key HAVING count(*) > 0;
	END LOOP;
	RETURN QUERY
		SELECT dense_rank() OVER (ORDER BY g.least), m.key, m.key = m.centre,
			bit_count((x.h::bigint # c.h::bigint)::bit(64))::int, g.size, g.diameter
		FROM member m JOIN entry x ON x.key = m.key JOIN entry c ON c.key = m.centre,
			LATERAL (
				SELECT min(n.key) AS least, count(DISTINCT n.key) AS size,
					max(bit_count((y.h::bigint # z.h::bigint)::bit(64)))::int AS diameter
				FROM member n JOIN entry y ON y.key = n.key
					JOIN member o ON o.centre = n.centre JOIN entry z ON z.key = o.key
				WHERE n.centre = m.centre) g;
END
$$;

-- On random sets, dense enough for ties of every kind; rows in random order, some of them twice.
SET client_min_messages = warning;
CREATE FUNCTION compare(t int, method text) RETURNS bigint LANGUAGE sql AS $$
	WITH answer AS (
		SELECT * FROM similar_groups(
			'SELECT key, h FROM (SELECT key, h FROM entry UNION ALL SELECT key, h FROM entry WHERE key < ''k2'') e ORDER BY random()',
			t, method, NULL::text) WITH ORDINALITY AS g (group_id, key, is_center, distance, group_size, diameter, place)),
	expected AS (
		SELECT o.*, row_number() OVER (ORDER BY group_id, key) AS place FROM oracle(t, method) o)
	SELECT count(*) FROM ((TABLE answer EXCEPT TABLE expected) UNION ALL (TABLE expected EXCEPT TABLE answer)) d
$$;
SELECT setseed(0.25);
DO $$
DECLARE
	wrong text;
BEGIN
	FOR round IN 1 .. 5 LOOP
		TRUNCATE entry;
		INSERT INTO entry SELECT 'k' || i, (floor(random() * 256)::bigint << 4 * round)::phash64
		FROM generate_series(1, 10 + 10 * round) i;
		SELECT string_agg(format('%s %s', method, t), ', ') INTO wrong
		FROM unnest(ARRAY['star', 'complete', 'connected']) method, unnest(ARRAY[0, 1, 2, 3, 8]) t
		WHERE compare(t, method) <> 0;
		IF wrong IS NOT NULL THEN
			RAISE EXCEPTION 'round %: wrong groups: %', round, wrong;
		END IF;
	END LOOP;
END
$$;
-- The comparison does find differences, here with another distance.
SELECT (SELECT count(*) FROM oracle(1, 'star')) > 0 AS there_are_groups,
	(SELECT count(*) FROM (
		SELECT * FROM oracle(1, 'star') EXCEPT
		SELECT * FROM similar_groups('SELECT key, h FROM entry', 2, 'star', NULL::text)) d) > 0 AS differences;

-- Many rows: what holds for all groups, against the pairs that similar_pairs() finds.
CREATE TABLE many AS
	SELECT i AS id, ((('x' || md5((i / 5)::text))::bit(64)::bigint # (1::bigint << (i % 5)))
		# (CASE i % 11 WHEN 0 THEN 512 ELSE 0 END))::phash64 AS h
	FROM generate_series(1, 9000) i WHERE i % 7 <> 0;
CREATE TABLE pair AS SELECT * FROM similar_pairs('SELECT id, h FROM many', 2);
CREATE TABLE grouped AS
	SELECT method, g.* FROM unnest(ARRAY['star', 'complete', 'connected']) method,
		similar_groups('SELECT id, h FROM many', 2, method) WITH ORDINALITY AS g;
SELECT method, count(*) > 5000 AS many, count(DISTINCT key) = count(*) AS each_once,
	count(DISTINCT group_id) = max(group_id) AS dense,
	count(*) FILTER (WHERE is_center) = max(group_id) AS one_centre_each,
	max(diameter) AS diameter
FROM grouped GROUP BY method ORDER BY method;
ANALYZE many, pair, grouped;
-- Every group: its size, its distances to the centre, its diameter, and its place.
SELECT method, count(*) > 1000 AS many, bool_and(size_right) AS sizes,
	bool_and(ordered) AS ordered
FROM (
	SELECT method, group_id, count(*) = ALL (array_agg(group_size)) AS size_right,
		min(key) > coalesce(lag(min(key)) OVER w, 0)
			AND array_agg(key ORDER BY ordinality) = array_agg(key ORDER BY key)
			AND min(ordinality) = coalesce(lag(max(ordinality)) OVER w, 0) + 1 AS ordered
	FROM grouped GROUP BY method, group_id WINDOW w AS (PARTITION BY method ORDER BY group_id)) g
GROUP BY method ORDER BY method;
SELECT method, bool_and(diameter = greatest_distance) AS diameters, bool_and(distances_right) AS distances
FROM (
	SELECT x.method, x.group_id, max(a.h <~> b.h) AS greatest_distance, max(x.diameter) AS diameter,
		bool_and(x.distance = (a.h <~> b.h)) FILTER (WHERE y.is_center) AS distances_right
	FROM grouped x JOIN grouped y USING (method, group_id) JOIN many a ON a.id = x.key JOIN many b ON b.id = y.key
	GROUP BY 1, 2) d
GROUP BY method ORDER BY method;
-- star: two centres are never neighbours. connected: no pair crosses groups, and none is left out.
SELECT count(*) FROM pair p JOIN grouped x ON x.key = p.a JOIN grouped y ON y.key = p.b
WHERE x.method = 'star' AND y.method = 'star' AND x.is_center AND y.is_center;
SELECT count(*) FROM pair p LEFT JOIN grouped x ON x.method = 'connected' AND x.key = p.a
	LEFT JOIN grouped y ON y.method = 'connected' AND y.key = p.b
WHERE x.group_id IS DISTINCT FROM y.group_id OR x.group_id IS NULL;

-- Keys that do not fit in work_mem: the store's and the sort's go to files.
SET work_mem = '64kB';
SELECT count(*) FROM (
	SELECT method, group_id, key, is_center, distance, group_size, diameter FROM grouped
	EXCEPT SELECT method, g.group_id, rtrim(g.key, '-')::bigint, g.is_center, g.distance, g.group_size, g.diameter
	FROM unnest(ARRAY['star', 'complete', 'connected']) method,
		similar_groups('SELECT rpad(lpad(id::text, 6, ''0''), 100, ''-''), h FROM many', 2, method, NULL::text) g) d;
SELECT count(*) FROM (
	SELECT group_id, key, is_center, distance, group_size, diameter FROM grouped WHERE method = 'star'
	EXCEPT SELECT * FROM similar_groups('SELECT id, h FROM many ORDER BY md5(id::text)', 2)) d;
RESET work_mem;

-- A million rows that are all equal are one group, at once.
SELECT count(*), min(key), max(key), min(key) FILTER (WHERE is_center) AS centre, min(group_size), max(diameter)
FROM similar_groups('SELECT i, ''0000000000000000''::phash64 FROM generate_series(1, 1000000) i', 5);

-- Few rows, or none.
SELECT * FROM similar_groups('SELECT id, h FROM hashes WHERE false', 5);
SELECT * FROM similar_groups('SELECT id, h FROM hashes WHERE id = 1', 64);
SELECT * FROM similar_groups('SELECT id, h FROM hashes WHERE h IS NULL', 64);
SELECT * FROM similar_groups('SELECT id, h FROM hashes WHERE id IN (1, 8)', 63);
SELECT count(*) FROM similar_groups(NULL, 5);
SELECT count(*) FROM similar_groups('SELECT id, h FROM hashes', NULL);
SELECT count(*) FROM similar_groups('SELECT id, h FROM hashes', 5, NULL);
SELECT count(*) FROM similar_groups('SELECT id, h FROM hashes', 5, NULL, NULL::text);

-- A query may itself look for groups and pairs.
SELECT * FROM similar_groups($$
	SELECT DISTINCT a, h FROM similar_pairs('SELECT id, h FROM hashes', 1) JOIN hashes ON id = a
	WHERE a IN (SELECT key FROM similar_groups('SELECT id, h FROM hashes', 1, 'connected') WHERE group_id = 1)$$, 1);

\pset tuples_only
-- Wrong arguments and wrong queries: one clear error each.
SELECT fault($f$SELECT * FROM similar_groups('SELECT id, h FROM hashes', -1)$f$);
SELECT fault($f$SELECT * FROM similar_groups('SELECT id, h FROM hashes', 65)$f$);
SELECT fault($f$SELECT * FROM similar_groups('SELECT id, h FROM hashes', 5, 'stars')$f$);
SELECT fault($f$SELECT * FROM similar_groups('SELECT id, h FROM hashes', 5, '')$f$);
SELECT fault($f$SELECT * FROM similar_groups('SELECT id, h, h FROM hashes', 5)$f$);
SELECT fault($f$SELECT * FROM similar_groups('SELECT id, h::text FROM hashes', 5)$f$);
SELECT fault($f$SELECT * FROM similar_groups('SELECT id::text, h FROM hashes', 5)$f$);
SELECT fault($f$SELECT * FROM similar_groups('SELECT point(id, 0), h FROM hashes', 5, 'star', NULL::point)$f$);
SELECT fault($f$SELECT * FROM similar_groups('SELECT NULL::bigint, h FROM hashes', 5)$f$);
SELECT fault($f$SELECT * FROM similar_groups('DELETE FROM hashes RETURNING id, h', 5)$f$);
SELECT fault($f$SELECT * FROM similar_groups('SELECT id / (8000 - id), h FROM many', 5)$f$);
SELECT count(*) FROM hashes;
-- After these the session's next call works.
SELECT * FROM similar_groups('SELECT id, h FROM hashes', 0);

-- The caller's rights are what counts.
CREATE ROLE regress_vamhash_user;
SET ROLE regress_vamhash_user;
SELECT fault($f$SELECT * FROM similar_groups('SELECT id, h FROM hashes', 5)$f$);
RESET ROLE;
DROP ROLE regress_vamhash_user;
DROP TABLE hashes, entry, many, pair, grouped, neighbour, member;
DROP FUNCTION compare, oracle, fault;
