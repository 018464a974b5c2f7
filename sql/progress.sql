-- What a session sees of running jobs; what other sessions see is in tests/tap/014_progress.pl.

-- Nothing runs.
SELECT * FROM vamhash_progress;

-- A query that feeds a join sees the join that it feeds, and the row before it taken. What is not
-- known yet is NULL.
CREATE FUNCTION seen(OUT jobs text) LANGUAGE sql VOLATILE AS $$
	SELECT string_agg(format('%s, %s: %s of %s; %s rows, %s pairs', kind, phase, done,
		coalesce(total::text, 'unknown'), rows, coalesce(pairs::text, 'unknown')), E'\n' ORDER BY started)
	FROM vamhash_progress WHERE pid = pg_backend_pid()
$$;
SELECT a, b FROM similar_pairs('SELECT seen(), 0::bigint::phash64 FROM generate_series(1, 3)', 0, NULL::text)
ORDER BY a, b;
CREATE FUNCTION seen(i int) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
	SELECT to_jsonb(p) || jsonb_build_object('i', i) FROM vamhash_progress p WHERE pid = pg_backend_pid()
$$;
SELECT p.role = session_user AS role, database = current_database() AS database, bad, bytes, device,
	candidates, estimated_pairs, per_second > 0 AS per_second, started <= clock_timestamp() AS started
FROM similar_pairs('SELECT seen(i), 0::bigint::phash64 FROM generate_series(1, 3) i', 0, NULL::jsonb),
	jsonb_populate_record(NULL::vamhash_progress, b) p
WHERE (a->>'i', b->>'i') = ('2', '3');
-- A row with a NULL hash is not counted.
SELECT b FROM similar_pairs($$
	SELECT i || '. ' || seen(), CASE i WHEN 2 THEN NULL ELSE 0 END::bigint::phash64 FROM generate_series(1, 3) i$$,
	0, NULL::text);

-- Jobs inside one another.
SELECT b FROM similar_pairs($$
	SELECT i || E'. When the inner one read:\n' || b || E'\nand when it was done:\n' || seen(), 0::bigint::phash64
	FROM similar_pairs('SELECT i || E''.\n'' || seen(), 0::bigint::phash64 FROM generate_series(1, 2) i', 0, NULL::text),
		generate_series(1, 2) i$$,
	0, NULL::text);
-- None is left behind, by an error neither, whether or not it is caught.
SELECT * FROM similar_pairs('SELECT 1 / (3 - i), 0::bigint::phash64 FROM generate_series(1, 5) i', 0);
SELECT * FROM vamhash_progress;
DO $$
BEGIN
	PERFORM * FROM similar_pairs($q$
		SELECT 1, 0::bigint::phash64
		UNION ALL SELECT a, 0::bigint::phash64
		FROM similar_pairs('SELECT 1 / (3 - i), 0::bigint::phash64 FROM generate_series(1, 5) i', 0)$q$, 0);
EXCEPTION WHEN OTHERS THEN
	RAISE NOTICE '%, % jobs', SQLERRM, (SELECT count(*) FROM vamhash_progress);
END
$$;
-- A call that fails inside one that goes on takes only its own job with it.
CREATE FUNCTION seen_after_error() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM * FROM similar_pairs('SELECT 1 / 0, 0::bigint::phash64', 0);
	RETURN 'no error';
EXCEPTION WHEN division_by_zero THEN
	RETURN seen();
END
$$;
SELECT b FROM similar_pairs('SELECT i || ''. '' || seen_after_error(), 0::bigint::phash64 FROM generate_series(1, 2) i', 0, NULL::text);
SELECT * FROM vamhash_progress;
DROP FUNCTION seen(), seen(int), seen_after_error;
