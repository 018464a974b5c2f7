-- Hashes of many images: a row for each, in order, with a status instead of an error.
-- (Files, cancel, engines that die and memory are tested in tests/tap/018_bulk.pl.)
\set SHOW_CONTEXT never

-- Small grey PNGs: brighter to the right, darker to the right, one grey; and what is none.
CREATE TABLE pictures (id int PRIMARY KEY, name text, image bytea);
INSERT INTO pictures VALUES
	(1, 'rise', '\x89504e470d0a1a0a0000000d4948445200000010000000080800000000d51d204b0000001d4944415478da6360105030700848286898b060c3810b0f3e300c8c000047693c019ae287db0000000049454e44ae426082'),
	(2, 'fall', '\x89504e470d0a1a0a0000000d4948445200000010000000080800000000d51d204b0000001d4944415478da63f8f0e0c2810d0b26341424043818280830300c8c00009b783c0110cf3d7c0000000049454e44ae426082'),
	(3, 'flat', '\x89504e470d0a1a0a0000000d4948445200000010000000080800000000d51d204b0000000f4944415478da636840030c03230000018740016c3a11e80000000049454e44ae426082'),
	(4, 'none', NULL),
	(5, 'empty', ''),
	(6, 'text', 'Hello, I am text, not a photograph.');
INSERT INTO pictures SELECT 7, 'cut', substr(image, 1, 30) FROM pictures WHERE name = 'rise';
INSERT INTO pictures SELECT 8, 'damaged', set_byte(image, 50, get_byte(image, 50) # 255)
	FROM pictures WHERE name = 'rise';
INSERT INTO pictures SELECT 9, 'huge', overlay(image PLACING '\x0000ffff0000ffff0800000000936e868c' FROM 17)
	FROM pictures WHERE name = 'rise';

-- Of an array: the key is the index.
SELECT * FROM hash_images((SELECT array_agg(image ORDER BY id) FROM pictures));
-- Each of the elements of an array of more dimensions, in order; none of an empty one, none of NULL.
SELECT key, dhash, status FROM hash_images((SELECT ARRAY[ARRAY[a.image, b.image], ARRAY[NULL, a.image]]
	FROM pictures a, pictures b WHERE (a.name, b.name) = ('rise', 'fall')));
SELECT key, dhash, status FROM hash_images((SELECT ('[5:6]={"' || replace(a.image::text, '\', '\\') || '",""}')::bytea[]
	FROM pictures a WHERE name = 'rise'));
SELECT count(*) FROM hash_images('{}');
SELECT count(*) FROM hash_images(NULL);
SELECT count(*) FROM hash_images(ARRAY['x'::bytea], NULL);
SELECT count(*) FROM hash_images(ARRAY['x'::bytea], 'exact', NULL);

-- Of a query, whose first column is the key. Without a type of keys they are bigint.
SELECT key, dhash, status FROM hash_query('SELECT id, image FROM pictures ORDER BY id');
SELECT * FROM hash_query('SELECT name, image FROM pictures ORDER BY id DESC', NULL::text);
-- The hashes are those of the functions on one image.
SELECT count(*) AS images, bool_and((h.dhash, h.ahash, h.whash, h.phash, h.whash16, h.width, h.height, h.format)
	= (i.dhash, i.ahash, i.whash, i.phash, i.whash16, i.width, i.height, i.format)) AS same
FROM hash_query('SELECT id, image FROM pictures', 0, decode => 'fast', orient => true) h
JOIN pictures p ON p.id = h.key, image_hashes(p.image, 'fast', true) i
WHERE h.status = 'ok';
-- Keys are brought to their type as by assignment; those by reference outlive their row.
SELECT key, status FROM hash_query('SELECT ARRAY[name, id::text], image FROM pictures WHERE id < 4 ORDER BY id', NULL::text[]);
SELECT key, status FROM hash_query('SELECT id, image FROM pictures WHERE id < 3 ORDER BY id', NULL::numeric);
SELECT key, status FROM hash_query('SELECT md5(name)::uuid, image FROM pictures WHERE id < 3 ORDER BY id', NULL::uuid);
SELECT length(key), status FROM hash_query('SELECT repeat(name, 100000), image FROM pictures WHERE id < 3 ORDER BY id', NULL::text);
-- A domain over bytea is bytea.
CREATE DOMAIN photo AS bytea;
SELECT key, dhash FROM hash_query('SELECT 1, image::photo FROM pictures WHERE id = 1');

-- As of a strict function.
SELECT count(*) FROM hash_query(NULL);
SELECT count(*) FROM hash_query(NULL, 0);
SELECT count(*) FROM hash_query('SELECT 1, ''x''::bytea', 0, NULL);
SELECT count(*) FROM hash_query('SELECT 1, ''x''::bytea', 0, 'exact', NULL);

-- More rows than are under way at once, some of them bad, in order.
SELECT count(*), count(*) FILTER (WHERE h.status = 'ok'), bool_and(h.key = n) AS in_order,
	bool_and(h.dhash IS NOT DISTINCT FROM CASE p.id WHEN 1 THEN dhash(p.image) WHEN 2 THEN dhash(p.image)
		WHEN 3 THEN dhash(p.image) END) AS right
FROM (SELECT row_number() OVER () AS n, q.* FROM hash_query($$
		SELECT i, image FROM generate_series(1, 5000) i JOIN pictures ON id = i % 9 + 1 ORDER BY i$$) q) h
	JOIN pictures p ON p.id = h.key % 9 + 1;

-- A query that hashes images itself, one by one and many at once.
SELECT * FROM hash_query($$
	SELECT format('%s %s', dhash(image), (SELECT count(*) FROM hash_images(ARRAY[image, image]) WHERE status = 'ok')),
		image FROM pictures, generate_series(1, 2) WHERE id < 3 ORDER BY id$$, NULL::text);
-- A query that fails inside, and goes on.
CREATE FUNCTION dhash_or_null(image bytea) RETURNS phash64 LANGUAGE plpgsql AS $$
BEGIN
	PERFORM * FROM hash_query('SELECT 1 / 0, ''x''::bytea');
	RETURN dhash(image);
EXCEPTION WHEN division_by_zero THEN
	BEGIN
		RETURN dhash(image);
	EXCEPTION WHEN feature_not_supported THEN
		RETURN NULL;
	END;
END
$$;
SELECT key, dhash, status FROM hash_query($$
	SELECT coalesce(dhash_or_null(image)::text, 'null'), image FROM pictures WHERE id IN (1, 2, 6) ORDER BY id$$, NULL::text);

-- What is bigger than allowed, by bytes and by pixels.
SET vamhash.max_image_bytes = 80;
SELECT key, status, message FROM hash_query('SELECT id, image FROM pictures WHERE id IN (1, 3) ORDER BY id');
RESET vamhash.max_image_bytes;
SET vamhash.max_image_pixels = 127;
SELECT key, status, message FROM hash_query('SELECT id, image FROM pictures WHERE id IN (1, 3) ORDER BY id');
RESET vamhash.max_image_pixels;

-- One thread gives the same as all.
SET vamhash.threads = 1;
SELECT key, dhash, status FROM hash_query('SELECT id, image FROM pictures WHERE id < 4 ORDER BY id');
SELECT value FROM vamhash_stat WHERE name = 'last_threads';
RESET vamhash.threads;

-- What a query must be.
SELECT * FROM hash_query('SELECT 1');
SELECT * FROM hash_query('SELECT 1, image, 2 FROM pictures');
SELECT * FROM hash_query('SELECT id, id FROM pictures');
SELECT * FROM hash_query('SELECT name, image FROM pictures', NULL::point);
SELECT * FROM hash_query('DELETE FROM pictures RETURNING id, image');
SELECT * FROM hash_query('SELECT 1, image FROM pictures; SELECT 1, image FROM pictures');
SELECT * FROM hash_query('VACUUM');
SELECT * FROM hash_query('SELECT NULL::int, image FROM pictures');
SELECT * FROM hash_query('SELECT 1 / (4 - id), image FROM pictures ORDER BY id');
SELECT * FROM hash_query('SELECT id, image FROM pictures', 0, 'quick');
SELECT * FROM hash_images(ARRAY['x'::bytea], 'quick');

-- Server files are for members of pg_read_server_files.
CREATE ROLE regress_vamhash_nobody;
SET ROLE regress_vamhash_nobody;
SELECT * FROM hash_image_files(ARRAY['/nonexistent']);
SELECT * FROM hash_query('SELECT 1, ''/nonexistent''::text');
SELECT status FROM hash_query('SELECT 1, ''x''::bytea');
RESET ROLE;
DROP ROLE regress_vamhash_nobody;
SELECT status, message FROM hash_image_files(ARRAY['/nonexistent/picture.jpg', '', NULL, '/']);
SELECT key, status, message FROM hash_query('SELECT 1, ''/nonexistent/picture.jpg''::varchar');

-- What is seen of it while it runs: done, of how many, bad, bytes.
CREATE FUNCTION seen() RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT string_agg(format('%s, %s: %s of %s, %s bad, bytes: %s', kind, phase, done >= 0,
		coalesce(total::text, 'unknown'), bad, bytes >= 0), E'\n' ORDER BY started)
	FROM vamhash_progress WHERE pid = pg_backend_pid()
$$;
SELECT key, status FROM hash_query('SELECT seen(), image FROM pictures WHERE id = 1', NULL::text);
SELECT * FROM vamhash_progress;
-- And afterwards.
SELECT count(*) FROM hash_images((SELECT array_agg(image) FROM pictures));
SELECT name, CASE WHEN name ~ 'seconds|threads' THEN (value::float8 >= 0)::text ELSE value END AS value
FROM vamhash_stat WHERE name ~ '^last_';
DROP FUNCTION seen, dhash_or_null;
DROP DOMAIN photo;
DROP TABLE pictures;
