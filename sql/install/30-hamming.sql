-- Hamming distance: the number of bits in which two hashes differ.

CREATE FUNCTION hamming_distance(phash64, phash64) RETURNS integer
	AS 'MODULE_PATHNAME', 'phash64_hamming_distance'
	LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION hamming_distance(phash64, phash64) IS
	'number of bits in which two hashes differ, 0 to 64';

CREATE OPERATOR <~> (
	LEFTARG = phash64, RIGHTARG = phash64, FUNCTION = hamming_distance, COMMUTATOR = <~>
);
COMMENT ON OPERATOR <~> (phash64, phash64) IS 'Hamming distance';

CREATE FUNCTION bit_count(phash64) RETURNS bigint
	AS 'MODULE_PATHNAME', 'phash64_bit_count'
	LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION bit_count(phash64) IS 'number of set bits';

CREATE FUNCTION phash64_hamming_within_support(internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION phash64_hamming_within_support(internal) IS
	'planner support for hamming_within';

CREATE FUNCTION hamming_within(a phash64, b phash64, max_distance integer) RETURNS boolean
	AS 'MODULE_PATHNAME', 'phash64_hamming_within'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	SUPPORT phash64_hamming_within_support;
COMMENT ON FUNCTION hamming_within(phash64, phash64, integer) IS
	'do two hashes differ in at most max_distance bits?';

