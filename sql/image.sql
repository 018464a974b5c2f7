-- Hashes of one image: what they say, and what is answered to bytes that are no image.
-- (That they equal ImageHash's on hundreds of images is tested in tests/unit/exactness_test.cpp.)
\set SHOW_CONTEXT never
\pset tuples_only
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

-- Small grey PNGs: brighter to the right, darker to the right, one grey, and a chequer of quadrants.
CREATE TABLE pictures (name text PRIMARY KEY, image bytea);
INSERT INTO pictures VALUES
	('rise', '\x89504e470d0a1a0a0000000d4948445200000010000000080800000000d51d204b0000001d4944415478da6360105030700848286898b060c3810b0f3e300c8c000047693c019ae287db0000000049454e44ae426082'),
	('fall', '\x89504e470d0a1a0a0000000d4948445200000010000000080800000000d51d204b0000001d4944415478da63f8f0e0c2810d0b26341424043818280830300c8c00009b783c0110cf3d7c0000000049454e44ae426082'),
	('flat', '\x89504e470d0a1a0a0000000d4948445200000010000000080800000000d51d204b0000000f4944415478da636840030c03230000018740016c3a11e80000000049454e44ae426082'),
	('quadrants', '\x89504e470d0a1a0a0000000d49484452000000100000001008000000003a98a0bd000000164944415478da63608082ff50c0304002036d3f140000c0fd7f8151ea75ee0000000049454e44ae426082');

-- dhash: a bit where the right neighbour is brighter.
SELECT name, dhash(image), ahash(image), whash(image), phash(image), whash16(image)
FROM pictures ORDER BY name;

-- All of them from one decode are the same ones.
SELECT name, h.* FROM pictures, image_hashes(image) h ORDER BY name;
SELECT bool_and((h.dhash, h.ahash, h.whash, h.phash, h.whash16)
	= (dhash(image), ahash(image), whash(image), phash(image), whash16(image))) AS same
FROM pictures, image_hashes(image) h;

-- Fast decoding changes JPEGs only.
SELECT bool_and(dhash(image, decode => 'fast') = dhash(image)) AS same FROM pictures;

-- Orientation: a PNG without EXIF is upright.
SELECT bool_and(dhash(image, orient => true) = dhash(image)) AS same FROM pictures;

-- NULL in, NULL out.
SELECT dhash(NULL) IS NULL AS dhash, dhash('\x00', NULL) IS NULL AS decode, (image_hashes(NULL)).dhash IS NULL AS row;

-- Not images. The SQLSTATE says what is wrong: 0A000 cannot be read, 22V01 truncated, 22V02 corrupt,
-- 54000 too large.
SELECT fault($$SELECT dhash('')$$);
SELECT fault($$SELECT dhash('\x00')$$);
SELECT fault($$SELECT dhash(convert_to('Hello, I am text, not a photograph.', 'UTF8'))$$);
SELECT fault($$SELECT dhash(substr(image, 1, 30)) FROM pictures WHERE name = 'rise'$$);
SELECT fault($$SELECT dhash(substr(image, 1, 60)) FROM pictures WHERE name = 'rise'$$);
SELECT fault($$SELECT dhash(set_byte(image, 50, get_byte(image, 50) # 255)) FROM pictures WHERE name = 'rise'$$);
-- Dimensions that lie: 65535 x 65535 pixels in 86 bytes, with a matching CRC.
SELECT fault($$SELECT dhash(overlay(image PLACING '\x0000ffff0000ffff0800000000936e868c' FROM 17)) FROM pictures WHERE name = 'rise'$$);
-- Bytes over the limit, pixels over the limit.
SET vamhash.max_image_bytes = 80;
SELECT fault($$SELECT dhash(image) FROM pictures WHERE name = 'rise'$$);
RESET vamhash.max_image_bytes;
SET vamhash.max_image_pixels = 127;
SELECT fault($$SELECT dhash(image) FROM pictures WHERE name = 'rise'$$);
RESET vamhash.max_image_pixels;
SELECT fault($$SELECT dhash(image, decode => 'Fast') FROM pictures$$);

-- Each error is one error; the session goes on, and a handler can tell them apart.
DO $$
DECLARE
	bad bytea;
BEGIN
	FOREACH bad IN ARRAY ARRAY[''::bytea, '\x00', '\xffd8ffe000104a46'] LOOP
		BEGIN
			PERFORM dhash(bad);
		EXCEPTION
			WHEN SQLSTATE '22V01' THEN RAISE NOTICE 'truncated';
			WHEN feature_not_supported THEN RAISE NOTICE 'unsupported';
		END;
	END LOOP;
END
$$;
SELECT dhash(image) FROM pictures WHERE name = 'rise';

-- Only a superuser may raise the limits.
CREATE ROLE regress_vamhash_user;
SET ROLE regress_vamhash_user;
SELECT fault($$SET vamhash.max_image_bytes = '1GB'$$);
SELECT fault($$SELECT dhash_file('/etc/passwd')$$);
RESET ROLE;
DROP ROLE regress_vamhash_user;

-- An index on the hash of an image: the functions on bytes are honestly immutable.
CREATE INDEX ON pictures (dhash(image));
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT name FROM pictures WHERE dhash(image) = 'ffffffffffffffff';
SELECT name FROM pictures WHERE dhash(image) = 'ffffffffffffffff';
DROP TABLE pictures;
DROP FUNCTION fault;
