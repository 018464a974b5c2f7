/*
 * Pairs of rows within a Hamming distance, and groups of them.
 *
 * A query runs read-only with the caller's rights: its first column is the key, the others are
 * hashes. key_type is looked at for its type only: NULL::uuid gives keys of type uuid. ROWS are
 * what a catalog of some 100,000 pictures gives.
 */

CREATE FUNCTION similar_pairs(query text, max_distance integer)
RETURNS TABLE (a bigint, b bigint, distance integer)
AS 'MODULE_PATHNAME', 'vamhash_similar_pairs'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 100000 ROWS 10000;
COMMENT ON FUNCTION similar_pairs(text, integer) IS
	'all pairs of rows of a query (key, hash) within a Hamming distance (0 to 64 bits) of each other, the smaller key in a; keys are bigint; more than vamhash.max_pairs pairs are an error';

CREATE FUNCTION similar_pairs(query text, max_distance integer, key_type anyelement)
RETURNS TABLE (a anyelement, b anyelement, distance integer)
AS 'MODULE_PATHNAME', 'vamhash_similar_pairs'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 100000 ROWS 10000;
COMMENT ON FUNCTION similar_pairs(text, integer, anyelement) IS
	'all pairs of rows of a query (key, hash) within a Hamming distance (0 to 64 bits) of each other, the smaller key in a; keys are of the last argument''s type; more than vamhash.max_pairs pairs are an error';

CREATE FUNCTION similar_pairs(query text, max_distances integer[])
RETURNS TABLE (a bigint, b bigint, distances integer[])
AS 'MODULE_PATHNAME', 'vamhash_similar_pairs_consensus'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 100000 ROWS 10000;
COMMENT ON FUNCTION similar_pairs(text, integer[]) IS
	'all pairs of rows of a query (key, hash, ...) within every hash''s own Hamming distance (0 to 64 bits) of each other, the smaller key in a; keys are bigint; more than vamhash.max_pairs pairs are an error';

CREATE FUNCTION similar_pairs(query text, max_distances integer[], key_type anyelement)
RETURNS TABLE (a anyelement, b anyelement, distances integer[])
AS 'MODULE_PATHNAME', 'vamhash_similar_pairs_consensus'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 100000 ROWS 10000;
COMMENT ON FUNCTION similar_pairs(text, integer[], anyelement) IS
	'all pairs of rows of a query (key, hash, ...) within every hash''s own Hamming distance (0 to 64 bits) of each other, the smaller key in a; keys are of the last argument''s type; more than vamhash.max_pairs pairs are an error';

CREATE FUNCTION similar_pairs_between(left_query text, right_query text, max_distance integer)
RETURNS TABLE (a bigint, b bigint, distance integer)
AS 'MODULE_PATHNAME', 'vamhash_similar_pairs_between'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 100000 ROWS 10000;
COMMENT ON FUNCTION similar_pairs_between(text, text, integer) IS
	'all pairs of a row of the left query (key, hash), in a, and one of the right query, in b, within a Hamming distance (0 to 64 bits), whatever their keys; keys are bigint; more than vamhash.max_pairs pairs are an error';

CREATE FUNCTION similar_pairs_between(left_query text, right_query text, max_distance integer,
	key_type anyelement)
RETURNS TABLE (a anyelement, b anyelement, distance integer)
AS 'MODULE_PATHNAME', 'vamhash_similar_pairs_between'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 100000 ROWS 10000;
COMMENT ON FUNCTION similar_pairs_between(text, text, integer, anyelement) IS
	'all pairs of a row of the left query (key, hash), in a, and one of the right query, in b, within a Hamming distance (0 to 64 bits), whatever their keys; keys are of the last argument''s type; more than vamhash.max_pairs pairs are an error';

CREATE FUNCTION similar_pairs_between(left_query text, right_query text, max_distances integer[])
RETURNS TABLE (a bigint, b bigint, distances integer[])
AS 'MODULE_PATHNAME', 'vamhash_similar_pairs_between_consensus'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 100000 ROWS 10000;
COMMENT ON FUNCTION similar_pairs_between(text, text, integer[]) IS
	'all pairs of a row of the left query (key, hash, ...), in a, and one of the right query, in b, within every hash''s own Hamming distance (0 to 64 bits), whatever their keys; keys are bigint; more than vamhash.max_pairs pairs are an error';

CREATE FUNCTION similar_pairs_between(left_query text, right_query text, max_distances integer[],
	key_type anyelement)
RETURNS TABLE (a anyelement, b anyelement, distances integer[])
AS 'MODULE_PATHNAME', 'vamhash_similar_pairs_between_consensus'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 100000 ROWS 10000;
COMMENT ON FUNCTION similar_pairs_between(text, text, integer[], anyelement) IS
	'all pairs of a row of the left query (key, hash, ...), in a, and one of the right query, in b, within every hash''s own Hamming distance (0 to 64 bits), whatever their keys; keys are of the last argument''s type; more than vamhash.max_pairs pairs are an error';

CREATE FUNCTION similar_groups(query text, max_distance integer, method text DEFAULT 'star')
RETURNS TABLE (group_id bigint, key bigint, is_center boolean, distance integer,
	group_size bigint, diameter integer)
AS 'MODULE_PATHNAME', 'vamhash_similar_groups'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 100000 ROWS 10000;
COMMENT ON FUNCTION similar_groups(text, integer, text) IS
	'groups of two or more rows of a query (key, hash), each row in one at most, in the order of groups and keys: star (each within max_distance, 0 to 64 bits, of the centre), complete (of every other), connected (of another); distance is to the centre, diameter the greatest in the group; keys are bigint; a key with different hashes is an error';

CREATE FUNCTION similar_groups(query text, max_distance integer, method text, key_type anyelement)
RETURNS TABLE (group_id bigint, key anyelement, is_center boolean, distance integer,
	group_size bigint, diameter integer)
AS 'MODULE_PATHNAME', 'vamhash_similar_groups'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 100000 ROWS 10000;
COMMENT ON FUNCTION similar_groups(text, integer, text, anyelement) IS
	'groups of two or more rows of a query (key, hash), each row in one at most, in the order of groups and keys: star (each within max_distance, 0 to 64 bits, of the centre), complete (of every other), connected (of another); distance is to the centre, diameter the greatest in the group; keys are of the last argument''s type; a key with different hashes is an error';
