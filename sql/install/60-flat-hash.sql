-- Hashes of pictures in which nothing changes: they are near one another whatever they show.

CREATE FUNCTION flat_hash(phash64) RETURNS boolean
	AS 'MODULE_PATHNAME', 'phash64_flat_hash'
	LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION flat_hash(phash64) IS
	'does a hash say nothing of its picture? True if at most 2 of its bits are set, or at most 2 are not';
