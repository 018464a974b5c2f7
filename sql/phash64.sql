-- The type phash64: 64 bits, written as 16 hexadecimal digits.

-- Either case is read, lower case is written.
SELECT '3c3e1e1e0f0f0703'::phash64, 'FFEEDDCCBBAA9988'::phash64, 'aAbBcCdDeEfF0123'::phash64;
SELECT '0000000000000000'::phash64 AS first, 'ffffffffffffffff'::phash64 AS last;

-- Nothing else is a hash.
DO $$
DECLARE
	input text;
	state text;
	message text;
	detail text;
BEGIN
	FOREACH input IN ARRAY ARRAY['', '3c3e', '3c3e1e1e0f0f070', '3c3e1e1e0f0f07030', '3c3e1e1e0f0f070g',
		' 3c3e1e1e0f0f0703', '3c3e1e1e0f0f0703 ', '0x3c3e1e1e0f0f0703', '3c3e-1e1e-0f0f-0703', 'a perceptual hash']
	LOOP
		BEGIN
			PERFORM input::phash64;
			RAISE WARNING 'accepted %', input;
		EXCEPTION WHEN invalid_text_representation THEN
			GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
				detail = PG_EXCEPTION_DETAIL;
			RAISE INFO '%: %', state, message USING DETAIL = detail;
		END;
	END LOOP;
END $$;

-- From PostgreSQL 16 on, bad input can be asked about instead of being an error.
SELECT CASE WHEN soft THEN $$pg_input_is_valid('3c3e1e1e0f0f0703', 'phash64')$$ ELSE 'true' END AS good_is_valid,
	CASE WHEN soft THEN $$pg_input_is_valid('3c3e', 'phash64')$$ ELSE 'false' END AS bad_is_valid
FROM (SELECT current_setting('server_version_num')::int >= 160000 AS soft) v \gset
SELECT :good_is_valid AS good, :bad_is_valid AS bad;

-- It takes 8 bytes, as bigint does, and is passed by value where bigint is.
SELECT h.typlen, h.typbyval = i.typbyval AS by_value_like_bigint, h.typalign = i.typalign AS aligned_like_bigint,
	h.typstorage, pg_column_size('3c3e1e1e0f0f0703'::phash64)
FROM pg_type h, pg_type i WHERE h.oid = 'phash64'::regtype AND i.oid = 'bigint'::regtype;

-- The binary form is the 8 bytes in the order of the digits.
SELECT phash64_send('0123456789abcdef');

-- Casts keep every bit in its place. bigint: the first bit is the sign.
SELECT '0123456789abcdef'::phash64::bigint, 81985529216486895::phash64;
SELECT '8000000000000000'::phash64::bigint AS smallest, (-1)::bigint::phash64 AS all_bits;
-- bit(64): what bit arithmetic in SQL works with.
SELECT '8000000000000001'::phash64::bit(64);
SELECT (B'1' || repeat('0', 62)::varbit || B'1')::bit(64)::phash64;
-- bytea: 8 bytes.
SELECT '0123456789abcdef'::phash64::bytea, '\x0123456789abcdef'::bytea::phash64;
-- text, as every type.
SELECT '0123456789abcdef'::phash64::text, upper('0123456789abcdef')::phash64;
-- There and back.
CREATE TABLE hashes AS
SELECT i, ('x' || substr(md5(i::text), 1, 16))::bit(64)::phash64 AS h FROM generate_series(1, 1000) i;
SELECT count(*),
	count(*) FILTER (WHERE h::bigint::phash64 = h) AS bigint,
	count(*) FILTER (WHERE h::bit(64)::phash64 = h) AS bit,
	count(*) FILTER (WHERE h::bytea::phash64 = h) AS bytea,
	count(*) FILTER (WHERE h::text::phash64 = h) AS text,
	count(*) FILTER (WHERE h::text = substr(md5(i::text), 1, 16)) AS as_hexadecimal_text
FROM hashes;
SELECT NULL::phash64 AS h, NULL::phash64::bigint AS b, NULL::bytea::phash64 AS y;

-- A value of another size is no hash; a hash is not cut.
DO $$
DECLARE
	query text;
	state text;
	message text;
	hint text;
BEGIN
	FOREACH query IN ARRAY ARRAY[
		$q$SELECT B'101'::phash64$q$,
		$q$SELECT B''::phash64$q$,
		$q$SELECT repeat('1', 65)::bit(65)::phash64$q$,
		$q$SELECT '0123456789abcdef'::phash64::bit(32)$q$,
		$q$SELECT '0123456789abcdef'::phash64::bit$q$,
		$q$SELECT '\x'::bytea::phash64$q$,
		$q$SELECT '\x0123456789abcd'::bytea::phash64$q$,
		$q$SELECT '\x0123456789abcdef00'::bytea::phash64$q$]
	LOOP
		BEGIN
			EXECUTE query;
			RAISE WARNING 'accepted %', query;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
				hint = PG_EXCEPTION_HINT;
			RAISE INFO '%', query USING DETAIL = state || ': ' || message || coalesce('. ' || nullif(hint, ''), '');
		END;
	END LOOP;
END $$;

-- No cast is implicit, so a hash and something else are not compared by surprise ...
SELECT * FROM hashes WHERE h = 5;
SELECT * FROM hashes WHERE h = 81985529216486895;
SELECT * FROM hashes WHERE h = 'c4ca4238a0b92382'::text;
SELECT * FROM hashes WHERE h = B'1';
SELECT * FROM hashes WHERE h = '\x00'::bytea;
-- ... while a literal without a type is a hash,
SELECT * FROM hashes WHERE h = 'C4CA4238A0B92382';
-- and a cast says which comparison is meant.
SELECT * FROM hashes WHERE h = 'c4ca4238a0b92382'::text::phash64;

-- Columns of the other types can be filled with hashes and the other way round; text must be cast.
CREATE TABLE other (b bigint, v bit(64), y bytea, t text);
INSERT INTO other SELECT h, h, h, h FROM hashes WHERE i = 1;
SELECT * FROM other;
CREATE TABLE back (h phash64);
INSERT INTO back SELECT b FROM other;
INSERT INTO back SELECT v FROM other;
INSERT INTO back SELECT y FROM other;
INSERT INTO back SELECT t FROM other;
INSERT INTO back SELECT t::phash64 FROM other;
SELECT DISTINCT h, count(*) OVER () FROM back;
-- A whole column moves over in place; to and from bigint without rewriting the table.
SELECT pg_relation_filenode('other') AS before \gset
ALTER TABLE other ALTER b TYPE phash64;
SELECT pg_relation_filenode('other') = :before AS not_rewritten, b FROM other;
ALTER TABLE other ALTER t TYPE phash64 USING t::phash64;
SELECT b = t AS same FROM other;

-- Arrays, JSON and domains work as for any type.
SELECT ARRAY['0000000000000000', 'ffffffffffffffff']::phash64[], array_agg(h ORDER BY h) FROM hashes WHERE i < 3;
SELECT to_jsonb(h) FROM hashes WHERE i = 1;
CREATE DOMAIN photo_hash AS phash64 CHECK (VALUE <> '0000000000000000');
SELECT 'ff00ff00ff00ff00'::photo_hash;
SELECT '0000000000000000'::photo_hash;

DROP DOMAIN photo_hash;
DROP TABLE hashes, other, back;
