-- Hashes of a whole table's images, in batches that are committed.

CREATE PROCEDURE hash_catalog(catalog regclass, key_column name, source_column name, columns jsonb,
	root text DEFAULT NULL, condition text DEFAULT NULL, recompute boolean DEFAULT false,
	batch integer DEFAULT 1000, decode text DEFAULT 'exact', orient boolean DEFAULT false)
	AS 'MODULE_PATHNAME', 'vamhash_hash_catalog' LANGUAGE C;
COMMENT ON PROCEDURE hash_catalog(regclass, name, name, jsonb, text, text, boolean, integer, text, boolean) IS
	'fill columns of a table with the hashes of its images, batch by batch';
