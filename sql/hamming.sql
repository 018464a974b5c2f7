-- Hamming distance: in how many bits do two hashes differ?

SELECT hamming_distance('0000000000000000', 'ffffffffffffffff') AS opposite,
	hamming_distance('ff00ff00ff00ff00', 'ff00ff00ff00ff00') AS same,
	hamming_distance('8000000000000000', '0000000000000001') AS first_and_last;
SELECT 'f0f0f0f0f0f0f0f0'::phash64 <~> 'f0f0f0f0f0f0f0f1' AS distance;
SELECT pg_typeof('f0f0f0f0f0f0f0f0'::phash64 <~> 'f0f0f0f0f0f0f0f1');
SELECT hamming_distance(NULL, '0000000000000000') IS NULL AS unknown,
	hamming_within('0000000000000000', '0000000000000000', NULL) IS NULL AS unknown;
SELECT bit_count('0000000000000000'::phash64), bit_count('ffffffffffffffff'::phash64), bit_count('8000000000000001'::phash64);
-- bit_count gives the type that PostgreSQL's own gives.
SELECT pg_typeof(bit_count('0000000000000000'::phash64)) = pg_typeof(bit_count(B'0')) AS like_core;

-- PostgreSQL's bit strings give the independent answer; the distance is symmetric.
CREATE TABLE pair AS
SELECT ('x' || substr(md5(i::text), 1, 16))::bit(64)::phash64 AS a,
	('x' || substr(md5(i::text), 1 + i % 17, 16))::bit(64)::phash64 AS b
FROM generate_series(1, 5000) i;
SELECT count(*) AS pairs,
	count(*) FILTER (WHERE a <~> b = bit_count(a::bit(64) # b::bit(64))) AS as_bit_strings,
	count(*) FILTER (WHERE a <~> b = b <~> a) AS symmetric,
	count(*) FILTER (WHERE hamming_distance(a, b) = a <~> b) AS operator,
	count(*) FILTER (WHERE bit_count(a) = a <~> '0000000000000000') AS bit_count
FROM pair;

-- hamming_within says the same as comparing the distance, for every threshold there is.
SELECT count(*) AS checks, count(*) FILTER (WHERE hamming_within(a, b, k) = (a <~> b <= k)) AS agree
FROM (SELECT * FROM pair LIMIT 200) p, generate_series(0, 64) k;
SELECT hamming_within('0000000000000000', '00000000000000ff', max_distance => 8) AS eight,
	hamming_within('0000000000000000', '00000000000000ff', max_distance => 7) AS seven;
-- No other threshold has a meaning.
\set VERBOSITY sqlstate
SELECT hamming_within('0000000000000000', '0000000000000000', -1);
\set VERBOSITY default
SELECT hamming_within('0000000000000000', '0000000000000000', -1);
SELECT hamming_within('0000000000000000', '0000000000000000', 65);
SELECT count(*) FROM pair WHERE hamming_within(a, b, -2147483648);
PREPARE within(int) AS SELECT count(*) FROM pair WHERE hamming_within(a, b, $1);
EXECUTE within(64);
EXECUTE within(NULL);
EXECUTE within(100);
DEALLOCATE within;

-- Distance 0 is equality: the planner uses what it has for that.
CREATE INDEX pair_a ON pair (a);
ANALYZE pair;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT * FROM pair WHERE hamming_within('c4ca4238a0b92382', a, 0);
SELECT a <~> 'c4ca4238a0b92382' AS distance FROM pair WHERE hamming_within('c4ca4238a0b92382', a, 0);
RESET enable_seqscan;
RESET enable_bitmapscan;
SET enable_mergejoin = off;
EXPLAIN (COSTS OFF) SELECT * FROM pair x JOIN pair y ON hamming_within(x.a, y.b, 0);
RESET enable_mergejoin;

-- The nearest hashes of one, the plain way.
SELECT a, a <~> 'c4ca4238a0b92382' AS distance FROM pair ORDER BY distance, a LIMIT 3;

-- Parallel workers and the just-in-time compiler give the same answer.
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET jit_above_cost = 0;
SET jit_inline_above_cost = 0;
SET jit_optimize_above_cost = 0;
SELECT count(*) = (SELECT count(*) FROM pair WHERE bit_count(a::bit(64) # b::bit(64)) <= 28) AS same
FROM pair WHERE hamming_within(a, b, 28);
RESET ALL;
DROP TABLE pair;
