-- Filling a table with the hashes of its images, batch by batch. Several sessions at once, sessions that
-- are killed, and server files are in tests/tap/019_hash_catalog.pl.
\set SHOW_CONTEXT never
\set ON_ERROR_STOP 0
SET client_min_messages = notice;

-- Small grey PNGs: brighter to the right, darker to the right, a chequer of quadrants; the first half of
-- one, and what is no image.
CREATE TABLE pictures (name text PRIMARY KEY, image bytea);
INSERT INTO pictures VALUES
	('rise', '\x89504e470d0a1a0a0000000d4948445200000010000000080800000000d51d204b0000001d4944415478da6360105030700848286898b060c3810b0f3e300c8c000047693c019ae287db0000000049454e44ae426082'),
	('fall', '\x89504e470d0a1a0a0000000d4948445200000010000000080800000000d51d204b0000001d4944415478da63f8f0e0c2810d0b26341424043818280830300c8c00009b783c0110cf3d7c0000000049454e44ae426082'),
	('quadrants', '\x89504e470d0a1a0a0000000d49484452000000100000001008000000003a98a0bd000000164944415478da63608082ff50c0304002036d3f140000c0fd7f8151ea75ee0000000049454e44ae426082'),
	('letter', convert_to('Hello, I am text, not a photograph.', 'UTF8')),
	('none', NULL);

-- Everything that can be filled, into columns of their own types.
CREATE TABLE images (id int PRIMARY KEY, image bytea, dhash phash64, ahash phash64, whash phash64,
	phash phash64, whash16 phash64, width int, height int, format text, status text, note text);
INSERT INTO images (id, image) SELECT row_number() OVER (ORDER BY name), image FROM pictures;
CALL hash_catalog('images', 'id', 'image', '{"dhash": "dhash", "ahash": "ahash", "whash": "whash",
	"phash": "phash", "whash16": "whash16", "width": "width", "height": "height", "format": "format",
	"status": "status", "note": "message"}');
SELECT id, dhash, ahash, whash, phash, whash16, width, height, format, status, note FROM images ORDER BY id;
SELECT bool_and((i.dhash, i.ahash, i.whash, i.phash, i.whash16, i.width, i.height, i.format) = h) AS same
FROM images i, image_hashes(image) h WHERE status = 'ok';

-- What is hashed is not hashed again; what was bad is tried again.
UPDATE images SET ahash = 'feedfeedfeedfeed' WHERE status = 'ok';
CALL hash_catalog('images', 'id', 'image', '{"dhash": "dhash", "ahash": "ahash"}');
SELECT count(*) FROM images WHERE ahash = 'feedfeedfeedfeed';
-- But where one of the mapped hashes is missing, or when all is to be made anew.
UPDATE images SET dhash = NULL WHERE id = 1;
CALL hash_catalog('images', 'id', 'image', '{"dhash": "dhash", "ahash": "ahash"}', condition => 'image IS NOT NULL');
SELECT count(*) FROM images WHERE ahash = 'feedfeedfeedfeed';
CALL hash_catalog('images', 'id', 'image', '{"dhash": "dhash", "ahash": "ahash"}', recompute => true);
SELECT count(*) FROM images WHERE ahash = 'feedfeedfeedfeed';
-- Without a hash, any of the columns that are not the message; with the message alone, that.
UPDATE images SET width = NULL WHERE id = 1;
CALL hash_catalog('images', 'id', 'image', '{"width": "width", "status": "status", "note": "message"}');
SELECT count(*) AS without FROM images WHERE status = 'ok' AND width IS NULL;
CALL hash_catalog('images', 'id', 'image', '{"note": "message"}', condition => 'status <> ''ok''');

-- A bad image takes nothing away: its row keeps the hashes that it had.
UPDATE images SET image = 'no image' WHERE id = 1;
CALL hash_catalog('images', 'id', 'image', '{"dhash": "dhash", "width": "width", "status": "status", "note": "message"}',
	recompute => true, condition => 'id = 1');
SELECT dhash, width, status, note FROM images WHERE id = 1;

-- Into text, as VAM Tools has it, and whatever a hash can be assigned to; one hash into two columns.
CREATE TABLE texts (id text PRIMARY KEY, image bytea, dhash text, ahash varchar(16), whash char(16),
	number bigint, bits bit(64), bytes bytea, small smallint);
INSERT INTO texts (id, image) SELECT name, image FROM pictures WHERE name IN ('rise', 'quadrants');
CALL hash_catalog('texts', 'id', 'image', '{"dhash": "dhash", "ahash": "ahash", "whash": "whash16",
	"number": "ahash", "bits": "ahash", "bytes": "ahash", "small": "width"}');
SELECT id, dhash, ahash, whash, number, bits, bytes, small FROM texts ORDER BY id;
DROP TABLE texts;

-- Options of the decoder: they are looked at.
CALL hash_catalog('images', 'id', 'image', '{"dhash": "dhash"}', decode => 'fast', orient => true,
	recompute => true, condition => 'id = 5');

-- Batches: each is a transaction. Keys of any type with an order; keys that several rows have.
CREATE TABLE many (part int, key uuid NOT NULL, image bytea, dhash phash64, written xid8) PARTITION BY LIST (part);
CREATE TABLE many_0 PARTITION OF many FOR VALUES IN (0);
CREATE TABLE many_1 (image bytea, written xid8, key uuid NOT NULL, dhash phash64, part int);
ALTER TABLE many ATTACH PARTITION many_1 FOR VALUES IN (1);
CREATE FUNCTION note_transaction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.written := pg_current_xact_id();
	RETURN NEW;
END
$$;
CREATE TRIGGER note BEFORE UPDATE ON many FOR EACH ROW EXECUTE FUNCTION note_transaction();
INSERT INTO many (part, key, image)
SELECT i % 2, md5((i / 3)::text)::uuid, p.image
FROM generate_series(0, 99) i JOIN pictures p ON p.name = CASE WHEN i % 3 = 0 THEN 'rise' ELSE 'fall' END;
CALL hash_catalog('many', 'key', 'image', '{"dhash": "dhash"}', batch => 7);
SELECT count(*), count(DISTINCT written) AS transactions, bool_and(m.dhash = dhash(m.image)) AS right FROM many m;
-- All rows of one key are in one batch, which is so much larger: 9 rows, where one key has only one row 7,
-- and the rest.
SELECT size, count(*) FROM (SELECT count(*) AS size FROM many GROUP BY written) w GROUP BY 1 ORDER BY 1;
SELECT count(*) AS keys_in_two_batches FROM (SELECT FROM many GROUP BY key HAVING count(DISTINCT written) > 1) k;
DROP TABLE many;
-- A table and those that inherit from it, as UPDATE has it.
CREATE TABLE parent (key numeric, image bytea, dhash phash64);
CREATE TABLE child (more text) INHERITS (parent);
INSERT INTO parent SELECT 0.5, image FROM pictures WHERE name = 'rise';
INSERT INTO child SELECT 0.25, image FROM pictures WHERE name = 'fall';
CALL hash_catalog('parent', 'key', 'image', '{"dhash": "dhash"}', batch => 1);
SELECT tableoid::regclass, key, dhash FROM parent ORDER BY key;
-- Rows without a key have no place in the order.
INSERT INTO parent SELECT NULL, image FROM pictures WHERE name = 'rise';
CALL hash_catalog('parent', 'key', 'image', '{"dhash": "dhash"}');
CALL hash_catalog('parent', 'key', 'image', '{"dhash": "dhash"}', condition => 'key IS NOT NULL -- all but those');
DROP TABLE parent CASCADE;

-- Names are quoted, operators do not depend on the search path.
CREATE SCHEMA "My ""Photos""";
CREATE TABLE "My ""Photos"""."select" ("a key" text COLLATE "C" PRIMARY KEY, "the "";image" bytea, "d'hash" phash64, k text);
INSERT INTO "My ""Photos"""."select" SELECT name, image FROM pictures WHERE name IN ('rise', 'fall', 'quadrants');
CREATE FUNCTION "My ""Photos""".no(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';
CREATE OPERATOR "My ""Photos""".> (LEFTARG = text, RIGHTARG = text, FUNCTION = "My ""Photos""".no);
CREATE OPERATOR "My ""Photos""".<= (LEFTARG = text, RIGHTARG = text, FUNCTION = "My ""Photos""".no);
SET search_path = "My ""Photos""", pg_catalog, public;
CALL hash_catalog('"select"', 'a key', 'the ";image', '{"d''hash": "dhash"}', batch => 1, condition => 'k IS NULL');
RESET search_path;
SELECT "a key", "d'hash" FROM "My ""Photos"""."select" ORDER BY 1;
DROP SCHEMA "My ""Photos""" CASCADE;

-- The level of isolation is the procedure's own.
SET default_transaction_isolation = 'serializable';
CREATE TABLE levels (id int, image bytea, dhash phash64, level text);
CREATE FUNCTION note_level() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.level := current_setting('transaction_isolation');
	RETURN NEW;
END
$$;
CREATE TRIGGER note BEFORE UPDATE ON levels FOR EACH ROW EXECUTE FUNCTION note_level();
INSERT INTO levels SELECT i, image FROM pictures, generate_series(1, 3) i WHERE name = 'rise';
CALL hash_catalog('levels', 'id', 'image', '{"dhash": "dhash"}', batch => 1);
RESET default_transaction_isolation;
SELECT level, count(*) FROM levels GROUP BY 1;
DROP TABLE levels;

-- It commits, so it must be alone.
BEGIN;
CALL hash_catalog('images', 'id', 'image', '{"dhash": "dhash"}');
ROLLBACK;
DO $$
BEGIN
	CALL hash_catalog('images', 'id', 'image', '{"dhash": "dhash"}');
EXCEPTION WHEN division_by_zero THEN
	NULL;
END
$$;
SET work_mem = '8MB' \; CALL hash_catalog('images', 'id', 'image', '{"dhash": "dhash"}');
CREATE FUNCTION call_it() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	CALL hash_catalog('images', 'id', 'image', '{"dhash": "dhash"}');
END
$$;
SELECT call_it();
-- A procedure may call it.
DO $$
BEGIN
	CALL hash_catalog('images', 'id', 'image', '{"dhash": "dhash"}', condition => 'id < 3');
END
$$;

-- What it refuses, before anything is done.
\set VERBOSITY default
CREATE VIEW shown AS SELECT id, image, dhash FROM images;
CREATE TABLE odd (id int PRIMARY KEY, point point, numbers int[], image bytea, path text, dhash phash64, number int,
	double bigint GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO odd (id, image) SELECT 1, image FROM pictures WHERE name = 'rise';
CALL hash_catalog('shown', 'id', 'image', '{"dhash": "dhash"}');
CALL hash_catalog('nothing', 'id', 'image', '{"dhash": "dhash"}');
CALL hash_catalog('pictures_pkey', 'id', 'image', '{"dhash": "dhash"}');
CALL hash_catalog('odd', 'key', 'image', '{"dhash": "dhash"}');
CALL hash_catalog('odd', 'id', 'picture', '{"dhash": "dhash"}');
CALL hash_catalog('odd', 'id', 'image', '{"hash": "dhash"}');
CALL hash_catalog('odd', 'id', 'image', '{"ctid": "dhash"}');
CALL hash_catalog('odd', 'point', 'image', '{"dhash": "dhash"}');
CALL hash_catalog('odd', 'numbers', 'image', '{"dhash": "dhash"}');
CALL hash_catalog('odd', 'id', 'number', '{"dhash": "dhash"}');
CALL hash_catalog('odd', 'id', 'image', '{"dhash": "md5"}');
CALL hash_catalog('odd', 'id', 'image', '{"dhash": "DHASH"}');
CALL hash_catalog('odd', 'id', 'image', '{"dhash": 1}');
CALL hash_catalog('odd', 'id', 'image', '{"dhash": {"dhash": "dhash"}}');
CALL hash_catalog('odd', 'id', 'image', '{}');
CALL hash_catalog('odd', 'id', 'image', '["dhash"]');
CALL hash_catalog('odd', 'id', 'image', '"dhash"');
CALL hash_catalog('odd', 'id', 'image', '{"id": "width"}');
CALL hash_catalog('odd', 'id', 'image', '{"dhash": "dhash", "image": "message"}');
CALL hash_catalog('odd', 'id', 'image', '{"double": "width"}');
CALL hash_catalog('odd', 'id', 'image', '{"dhash": "dhash"}', batch => 0);
CALL hash_catalog('odd', 'id', 'image', '{"dhash": "dhash"}', decode => 'quick');
CALL hash_catalog('odd', 'id', 'path', '{"dhash": "dhash"}', root => 'photos');
\set VERBOSITY terse
CALL hash_catalog('odd', 'id', 'image', '{"number": "dhash"}');
CALL hash_catalog('odd', 'id', 'image', '{"dhash": "dhash"}', condition => 'id >');
CALL hash_catalog('odd', 'id', 'image', '{"dhash": "dhash"}', condition => 'id + 1');
CALL hash_catalog('odd', 'id', 'image', '{"dhash": "dhash"}', condition => 'missing');
\set VERBOSITY default
CALL hash_catalog(NULL, 'id', 'image', '{"dhash": "dhash"}');
CALL hash_catalog('odd', 'id', 'image', NULL);
CALL hash_catalog('odd', 'id', 'image', '{"dhash": "dhash"}', recompute => NULL);
SELECT dhash IS NULL AS untouched FROM odd;
SET default_transaction_read_only = on;
CALL hash_catalog('odd', 'id', 'image', '{"dhash": "dhash"}');
RESET default_transaction_read_only;

-- The caller's rights: on the table, on its columns, by its row security; and to read server files.
CREATE ROLE regress_vamhash_hasher;
GRANT SELECT ON odd TO regress_vamhash_hasher;
SET ROLE regress_vamhash_hasher;
CALL hash_catalog('odd', 'id', 'image', '{"dhash": "dhash"}');
CALL hash_catalog('odd', 'id', 'path', '{"dhash": "dhash"}');
RESET ROLE;
GRANT UPDATE (number) ON odd TO regress_vamhash_hasher;
SET ROLE regress_vamhash_hasher;
CALL hash_catalog('odd', 'id', 'image', '{"dhash": "dhash"}');
RESET ROLE;
REVOKE SELECT ON odd FROM regress_vamhash_hasher;
GRANT UPDATE (dhash), SELECT (id, image, dhash, ctid, tableoid) ON odd TO regress_vamhash_hasher;
INSERT INTO odd (id, image) SELECT 2, image FROM pictures WHERE name = 'fall';
ALTER TABLE odd ENABLE ROW LEVEL SECURITY;
CREATE POLICY small ON odd USING (id < 2);
SET ROLE regress_vamhash_hasher;
CALL hash_catalog('odd', 'id', 'image', '{"dhash": "dhash"}');
RESET ROLE;
SELECT id, dhash FROM odd ORDER BY id;

-- What a trigger does to it: an error ends the run, and what was committed stays.
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'row % is refused', NEW.id;
END
$$;
ALTER TABLE odd DISABLE ROW LEVEL SECURITY;
TRUNCATE odd;
INSERT INTO odd (id, image) SELECT i, image FROM pictures, generate_series(1, 10) i WHERE name = 'rise';
CREATE TRIGGER refuse BEFORE UPDATE ON odd FOR EACH ROW WHEN (NEW.id = 8) EXECUTE FUNCTION refuse();
CALL hash_catalog('odd', 'id', 'image', '{"dhash": "dhash"}', batch => 3);
SELECT count(dhash) FROM odd;
SELECT * FROM vamhash_progress;
DROP TRIGGER refuse ON odd;
CALL hash_catalog('odd', 'id', 'image', '{"dhash": "dhash"}', batch => 3);

-- Seen by the trigger: its job, which lives over the commits; and what is told of the last work.
CREATE TABLE seen (jobs text);
CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO seen
	SELECT format('%s, %s: %s of %s', kind, phase, done > 0, total)
	FROM vamhash_progress WHERE pid = pg_backend_pid();
	RETURN NULL;
END
$$;
CREATE TRIGGER look AFTER UPDATE ON odd FOR EACH STATEMENT EXECUTE FUNCTION look();
CALL hash_catalog('odd', 'id', 'image', '{"dhash": "dhash"}', batch => 3, recompute => true);
SELECT jobs, count(*) FROM seen GROUP BY 1;
SELECT * FROM vamhash_progress;
SELECT name, value FROM vamhash_stat WHERE name IN ('last_kind', 'last_images', 'last_bad') ORDER BY name;

DROP TABLE odd, seen, pictures, images CASCADE;
DROP FUNCTION note_transaction, note_level, call_it, refuse, look;
DROP ROLE regress_vamhash_hasher;
