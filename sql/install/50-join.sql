/*
 * Pairs of rows within a Hamming distance.
 *
 * The query runs read-only with the caller's rights: its first column is the key, the others are
 * hashes. key_type is looked at for its type only: NULL::uuid gives keys of type uuid.
 */

CREATE FUNCTION similar_pairs(query text, max_distance integer)
RETURNS TABLE (a bigint, b bigint, distance integer)
AS 'MODULE_PATHNAME', 'vamhash_similar_pairs'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 100000 ROWS 10000;
COMMENT ON FUNCTION similar_pairs(text, integer) IS
	'all pairs of rows of a query (key, hash) within a Hamming distance of each other; keys are bigint';

CREATE FUNCTION similar_pairs(query text, max_distance integer, key_type anyelement)
RETURNS TABLE (a anyelement, b anyelement, distance integer)
AS 'MODULE_PATHNAME', 'vamhash_similar_pairs'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 100000 ROWS 10000;
COMMENT ON FUNCTION similar_pairs(text, integer, anyelement) IS
	'all pairs of rows of a query (key, hash) within a Hamming distance of each other; keys are of the last argument''s type';

CREATE FUNCTION similar_pairs(query text, max_distances integer[])
RETURNS TABLE (a bigint, b bigint, distances integer[])
AS 'MODULE_PATHNAME', 'vamhash_similar_pairs_consensus'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 100000 ROWS 10000;
COMMENT ON FUNCTION similar_pairs(text, integer[]) IS
	'all pairs of rows of a query (key, hash, ...) within every hash''s own Hamming distance of each other; keys are bigint';

CREATE FUNCTION similar_pairs(query text, max_distances integer[], key_type anyelement)
RETURNS TABLE (a anyelement, b anyelement, distances integer[])
AS 'MODULE_PATHNAME', 'vamhash_similar_pairs_consensus'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 100000 ROWS 10000;
COMMENT ON FUNCTION similar_pairs(text, integer[], anyelement) IS
	'all pairs of rows of a query (key, hash, ...) within every hash''s own Hamming distance of each other; keys are of the last argument''s type';
