/*
 * Hashes of one image.
 *
 * On bytes these are immutable: a hash depends on the bytes and the arguments alone. On server files
 * they are volatile, and for members of pg_read_server_files only. A COST of 10000 is about what
 * decoding a small photograph takes beside an operator; it is the number that makes the planner
 * evaluate every cheaper condition first and consider parallel workers.
 */

CREATE FUNCTION dhash(image bytea, decode text DEFAULT 'exact', orient boolean DEFAULT false)
RETURNS phash64
AS 'MODULE_PATHNAME', 'vamhash_dhash'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000;
COMMENT ON FUNCTION dhash(bytea, text, boolean) IS
	'difference hash: each bit says whether a pixel of the 9x8 reduction is brighter than its left neighbour';

CREATE FUNCTION dhash_file(path text, decode text DEFAULT 'exact', orient boolean DEFAULT false)
RETURNS phash64
AS 'MODULE_PATHNAME', 'vamhash_dhash_file'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE COST 10000;
REVOKE EXECUTE ON FUNCTION dhash_file(text, text, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dhash_file(text, text, boolean) TO pg_read_server_files;
COMMENT ON FUNCTION dhash_file(text, text, boolean) IS
	'dhash() of an image file on the server';

CREATE FUNCTION ahash(image bytea, decode text DEFAULT 'exact', orient boolean DEFAULT false)
RETURNS phash64
AS 'MODULE_PATHNAME', 'vamhash_ahash'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000;
COMMENT ON FUNCTION ahash(bytea, text, boolean) IS
	'average hash: each bit says whether a pixel of the 8x8 reduction is brighter than their mean';

CREATE FUNCTION ahash_file(path text, decode text DEFAULT 'exact', orient boolean DEFAULT false)
RETURNS phash64
AS 'MODULE_PATHNAME', 'vamhash_ahash_file'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE COST 10000;
REVOKE EXECUTE ON FUNCTION ahash_file(text, text, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ahash_file(text, text, boolean) TO pg_read_server_files;
COMMENT ON FUNCTION ahash_file(text, text, boolean) IS
	'ahash() of an image file on the server';

CREATE FUNCTION whash(image bytea, decode text DEFAULT 'exact', orient boolean DEFAULT false)
RETURNS phash64
AS 'MODULE_PATHNAME', 'vamhash_whash'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000;
COMMENT ON FUNCTION whash(bytea, text, boolean) IS
	'wavelet hash (Haar): each bit says whether an eighth-by-eighth block of the image is brighter than the median block';

CREATE FUNCTION whash_file(path text, decode text DEFAULT 'exact', orient boolean DEFAULT false)
RETURNS phash64
AS 'MODULE_PATHNAME', 'vamhash_whash_file'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE COST 10000;
REVOKE EXECUTE ON FUNCTION whash_file(text, text, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whash_file(text, text, boolean) TO pg_read_server_files;
COMMENT ON FUNCTION whash_file(text, text, boolean) IS
	'whash() of an image file on the server';

CREATE FUNCTION phash(image bytea, decode text DEFAULT 'exact', orient boolean DEFAULT false)
RETURNS phash64
AS 'MODULE_PATHNAME', 'vamhash_phash'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000;
COMMENT ON FUNCTION phash(bytea, text, boolean) IS
	'perceptual hash: each bit says whether a low frequency of the 32x32 reduction''s DCT exceeds their median';

CREATE FUNCTION phash_file(path text, decode text DEFAULT 'exact', orient boolean DEFAULT false)
RETURNS phash64
AS 'MODULE_PATHNAME', 'vamhash_phash_file'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE COST 10000;
REVOKE EXECUTE ON FUNCTION phash_file(text, text, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION phash_file(text, text, boolean) TO pg_read_server_files;
COMMENT ON FUNCTION phash_file(text, text, boolean) IS
	'phash() of an image file on the server';

CREATE FUNCTION whash16(image bytea, decode text DEFAULT 'exact', orient boolean DEFAULT false)
RETURNS phash64
AS 'MODULE_PATHNAME', 'vamhash_whash16'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000;
COMMENT ON FUNCTION whash16(bytea, text, boolean) IS
	'16-bit wavelet hash of VAM Tools, twelve trailing zero digits, for catalogs that already store it; not for new work';

CREATE FUNCTION whash16_file(path text, decode text DEFAULT 'exact', orient boolean DEFAULT false)
RETURNS phash64
AS 'MODULE_PATHNAME', 'vamhash_whash16_file'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE COST 10000;
REVOKE EXECUTE ON FUNCTION whash16_file(text, text, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whash16_file(text, text, boolean) TO pg_read_server_files;
COMMENT ON FUNCTION whash16_file(text, text, boolean) IS
	'whash16() of an image file on the server';

-- Use it in FROM: "FROM images, image_hashes(img) h". "(image_hashes(img)).*" decodes once a column.
CREATE FUNCTION image_hashes(image bytea, decode text DEFAULT 'exact', orient boolean DEFAULT false,
	OUT dhash phash64, OUT ahash phash64, OUT whash phash64, OUT phash phash64,
	OUT whash16 phash64, OUT width integer, OUT height integer, OUT format text)
AS 'MODULE_PATHNAME', 'vamhash_image_hashes'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20000;
COMMENT ON FUNCTION image_hashes(bytea, text, boolean) IS
	'all hashes of an image from one decode, with its width and height in pixels and its format';

CREATE FUNCTION image_hashes_file(path text, decode text DEFAULT 'exact', orient boolean DEFAULT false,
	OUT dhash phash64, OUT ahash phash64, OUT whash phash64, OUT phash phash64,
	OUT whash16 phash64, OUT width integer, OUT height integer, OUT format text)
AS 'MODULE_PATHNAME', 'vamhash_image_hashes_file'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE COST 20000;
REVOKE EXECUTE ON FUNCTION image_hashes_file(text, text, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION image_hashes_file(text, text, boolean) TO pg_read_server_files;
COMMENT ON FUNCTION image_hashes_file(text, text, boolean) IS
	'image_hashes() of an image file on the server';
