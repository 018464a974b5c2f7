-- Hashes the images that have no hashes yet, all at once on all processors. A file that cannot be hashed
-- gets a status and a message in its row and never stops the run.
CALL hash_catalog('images', 'id', 'source_path', '{
	"dhash": "dhash", "ahash": "ahash", "whash": "whash", "phash": "phash",
	"width": "width", "height": "height", "file_type": "format",
	"status": "status", "message": "message"}');

INSERT INTO hashing
SELECT count(*) FILTER (WHERE status = 'ok'),
	(SELECT value::float8 FROM vamhash_stat WHERE name = 'last_seconds')
FROM images;
