/*
 * Hashes of many images: a row an image, in order. A bad image is a row with a status, never an error.
 *
 * They use all of vamhash.threads, so a parallel worker for each of several would be in one another's
 * way: PARALLEL RESTRICTED. What becomes of an image depends on settings (its time, its memory), so
 * none is IMMUTABLE. A ROWS of 10000 is a guess as good as any for hash_query().
 */

CREATE FUNCTION hash_images(images bytea[], decode text DEFAULT 'exact', orient boolean DEFAULT false)
RETURNS TABLE (key bigint, dhash phash64, ahash phash64, whash phash64, phash phash64, whash16 phash64,
	width integer, height integer, format text, status text, message text)
AS 'MODULE_PATHNAME', 'vamhash_hash_images'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 1000000 ROWS 100;
COMMENT ON FUNCTION hash_images(bytea[], text, boolean) IS
	'all hashes of each image of an array, whose index (from 1) is the key, on all cores; status says what is wrong with an image: ok, truncated, corrupt, unsupported, too_large, timeout, out_of_memory, crashed, no_image';

CREATE FUNCTION hash_image_files(paths text[], decode text DEFAULT 'exact', orient boolean DEFAULT false)
RETURNS TABLE (key bigint, dhash phash64, ahash phash64, whash phash64, phash phash64, whash16 phash64,
	width integer, height integer, format text, status text, message text)
AS 'MODULE_PATHNAME', 'vamhash_hash_image_files'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 1000000 ROWS 100;
REVOKE EXECUTE ON FUNCTION hash_image_files(text[], text, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hash_image_files(text[], text, boolean) TO pg_read_server_files;
COMMENT ON FUNCTION hash_image_files(text[], text, boolean) IS
	'hash_images() of image files on the server; status may also be: not_found, denied, unreadable';

CREATE FUNCTION hash_query(query text)
RETURNS TABLE (key bigint, dhash phash64, ahash phash64, whash phash64, phash phash64, whash16 phash64,
	width integer, height integer, format text, status text, message text)
AS 'MODULE_PATHNAME', 'vamhash_hash_query'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 1000000 ROWS 10000;
COMMENT ON FUNCTION hash_query(text) IS
	'all hashes of the images of a query''s rows (key, image), on all cores while the query runs; an image is a bytea, or the text path of a file on the server, for members of pg_read_server_files; keys are bigint; status as of hash_images() and hash_image_files()';

CREATE FUNCTION hash_query(query text, key_type anyelement, decode text DEFAULT 'exact',
	orient boolean DEFAULT false)
RETURNS TABLE (key anyelement, dhash phash64, ahash phash64, whash phash64, phash phash64, whash16 phash64,
	width integer, height integer, format text, status text, message text)
AS 'MODULE_PATHNAME', 'vamhash_hash_query'
LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 1000000 ROWS 10000;
COMMENT ON FUNCTION hash_query(text, anyelement, text, boolean) IS
	'all hashes of the images of a query''s rows (key, image), on all cores while the query runs; an image is a bytea, or the text path of a file on the server, for members of pg_read_server_files; keys are of the second argument''s type; status as of hash_images() and hash_image_files()';
