-- Hashes the images that have no status yet, one file after another. A file that cannot be hashed
-- gets a status and a message in its row and never stops the run.
CREATE PROCEDURE hash_new_images()
LANGUAGE plpgsql AS $$
DECLARE
	started timestamptz := clock_timestamp();
	total bigint := (SELECT count(*) FROM images WHERE status IS NULL);
	-- About twenty lines of progress, each for twenty images or more.
	step bigint := greatest(20, total / 20);
	done bigint := 0;
	image record;
BEGIN
	FOR image IN SELECT id, source_path FROM images WHERE status IS NULL ORDER BY id LOOP
		BEGIN
			UPDATE images
			SET dhash = h.dhash, ahash = h.ahash, whash = h.whash, phash = h.phash,
				width = h.width, height = h.height, file_type = h.format, status = 'ok'
			FROM image_hashes_file(image.source_path) h
			WHERE id = image.id;
		EXCEPTION WHEN OTHERS THEN
			UPDATE images
			SET status = CASE SQLSTATE
					WHEN '22V01' THEN 'truncated'
					WHEN '22V02' THEN 'corrupt'
					WHEN '0A000' THEN 'unsupported'
					WHEN '54000' THEN 'too_large'
					WHEN '58P01' THEN 'not_found'
					WHEN '42501' THEN 'denied'
					ELSE 'failed'
				END,
				message = SQLERRM
			WHERE id = image.id;
		END;
		done := done + 1;
		IF done % step = 0 OR done = total THEN
			RAISE INFO 'hashed % of %', done, total;
		END IF;
	END LOOP;
	INSERT INTO hashing
	SELECT count(*), extract(epoch FROM clock_timestamp() - started) FROM images WHERE status = 'ok';
END
$$;

CALL hash_new_images();
