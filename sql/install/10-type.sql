-- The type phash64: 64 bits by value, written as 16 hexadecimal digits.

CREATE TYPE phash64;

CREATE FUNCTION phash64_in(cstring) RETURNS phash64
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION phash64_in(cstring) IS 'I/O';

CREATE FUNCTION phash64_out(phash64) RETURNS cstring
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION phash64_out(phash64) IS 'I/O';

CREATE FUNCTION phash64_recv(internal) RETURNS phash64
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION phash64_recv(internal) IS 'I/O';

CREATE FUNCTION phash64_send(phash64) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION phash64_send(phash64) IS 'I/O';

CREATE TYPE phash64 (
	INPUT = phash64_in,
	OUTPUT = phash64_out,
	RECEIVE = phash64_recv,
	SEND = phash64_send,
	LIKE = pg_catalog.int8
);
COMMENT ON TYPE phash64 IS 'perceptual hash of an image: 64 bits, written as 16 hexadecimal digits';

-- Casts keep every bit in its place. None is implicit: a hash is compared with hashes only. To and
-- from text there is the conversion that every type has.

CREATE FUNCTION phash64(bit) RETURNS phash64
	AS 'MODULE_PATHNAME', 'phash64_from_bit' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION phash64(bit) IS 'convert bit(64) to phash64';

CREATE FUNCTION "bit"(phash64, integer) RETURNS bit
	AS 'MODULE_PATHNAME', 'phash64_to_bit' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION "bit"(phash64, integer) IS 'convert phash64 to bit(64)';

CREATE FUNCTION phash64(bytea) RETURNS phash64
	AS 'MODULE_PATHNAME', 'phash64_from_bytea' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION phash64(bytea) IS 'convert 8 bytes to phash64';

CREATE FUNCTION bytea(phash64) RETURNS bytea
	AS 'MODULE_PATHNAME', 'phash64_to_bytea' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bytea(phash64) IS 'convert phash64 to its 8 bytes';

CREATE CAST (phash64 AS bigint) WITHOUT FUNCTION AS ASSIGNMENT;
COMMENT ON CAST (phash64 AS bigint) IS 'same bits; half of all hashes become negative';

CREATE CAST (bigint AS phash64) WITHOUT FUNCTION AS ASSIGNMENT;
COMMENT ON CAST (bigint AS phash64) IS 'same bits';

CREATE CAST (phash64 AS bit) WITH FUNCTION "bit"(phash64, integer) AS ASSIGNMENT;
COMMENT ON CAST (phash64 AS bit) IS 'to bit(64); any other length is an error';

CREATE CAST (bit AS phash64) WITH FUNCTION phash64(bit) AS ASSIGNMENT;
COMMENT ON CAST (bit AS phash64) IS 'from bit(64); any other length is an error';

CREATE CAST (phash64 AS bytea) WITH FUNCTION bytea(phash64) AS ASSIGNMENT;
COMMENT ON CAST (phash64 AS bytea) IS 'to 8 bytes, the first bit first';

CREATE CAST (bytea AS phash64) WITH FUNCTION phash64(bytea) AS ASSIGNMENT;
COMMENT ON CAST (bytea AS phash64) IS 'from 8 bytes, the first bit first';

