-- Comparison in the order of the hexadecimal text, and what indexes, sorts, joins and aggregates need.

CREATE FUNCTION phash64_eq(phash64, phash64) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION phash64_eq(phash64, phash64) IS 'implementation of = operator';

CREATE FUNCTION phash64_ne(phash64, phash64) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION phash64_ne(phash64, phash64) IS 'implementation of <> operator';

CREATE FUNCTION phash64_lt(phash64, phash64) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION phash64_lt(phash64, phash64) IS 'implementation of < operator';

CREATE FUNCTION phash64_le(phash64, phash64) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION phash64_le(phash64, phash64) IS 'implementation of <= operator';

CREATE FUNCTION phash64_gt(phash64, phash64) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION phash64_gt(phash64, phash64) IS 'implementation of > operator';

CREATE FUNCTION phash64_ge(phash64, phash64) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION phash64_ge(phash64, phash64) IS 'implementation of >= operator';

CREATE OPERATOR = (
	LEFTARG = phash64, RIGHTARG = phash64, FUNCTION = phash64_eq,
	COMMUTATOR = =, NEGATOR = <>,
	RESTRICT = eqsel, JOIN = eqjoinsel,
	HASHES, MERGES
);
COMMENT ON OPERATOR = (phash64, phash64) IS 'equal';

CREATE OPERATOR <> (
	LEFTARG = phash64, RIGHTARG = phash64, FUNCTION = phash64_ne,
	COMMUTATOR = <>, NEGATOR = =,
	RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR <> (phash64, phash64) IS 'not equal';

CREATE OPERATOR < (
	LEFTARG = phash64, RIGHTARG = phash64, FUNCTION = phash64_lt,
	COMMUTATOR = >, NEGATOR = >=,
	RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR < (phash64, phash64) IS 'less than';

CREATE OPERATOR <= (
	LEFTARG = phash64, RIGHTARG = phash64, FUNCTION = phash64_le,
	COMMUTATOR = >=, NEGATOR = >,
	RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR <= (phash64, phash64) IS 'less than or equal';

CREATE OPERATOR > (
	LEFTARG = phash64, RIGHTARG = phash64, FUNCTION = phash64_gt,
	COMMUTATOR = <, NEGATOR = <=,
	RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR > (phash64, phash64) IS 'greater than';

CREATE OPERATOR >= (
	LEFTARG = phash64, RIGHTARG = phash64, FUNCTION = phash64_ge,
	COMMUTATOR = <=, NEGATOR = <,
	RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR >= (phash64, phash64) IS 'greater than or equal';

CREATE FUNCTION phash64_cmp(phash64, phash64) RETURNS integer
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION phash64_cmp(phash64, phash64) IS 'less-equal-greater';

CREATE FUNCTION phash64_sortsupport(internal) RETURNS void
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION phash64_sortsupport(internal) IS 'sort support';

CREATE OPERATOR CLASS phash64_ops DEFAULT FOR TYPE phash64 USING btree AS
	OPERATOR 1 <,
	OPERATOR 2 <=,
	OPERATOR 3 =,
	OPERATOR 4 >=,
	OPERATOR 5 >,
	FUNCTION 1 phash64_cmp(phash64, phash64),
	FUNCTION 2 phash64_sortsupport(internal),
	FUNCTION 4 pg_catalog.btequalimage(oid);
COMMENT ON OPERATOR CLASS phash64_ops USING btree IS 'hashes in the order of their hexadecimal text';
COMMENT ON OPERATOR FAMILY phash64_ops USING btree IS 'hashes in the order of their hexadecimal text';

CREATE FUNCTION phash64_hash(phash64) RETURNS integer
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION phash64_hash(phash64) IS 'hash';

CREATE FUNCTION phash64_hash_extended(phash64, bigint) RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION phash64_hash_extended(phash64, bigint) IS 'hash';

CREATE OPERATOR CLASS phash64_ops DEFAULT FOR TYPE phash64 USING hash AS
	OPERATOR 1 =,
	FUNCTION 1 phash64_hash(phash64),
	FUNCTION 2 phash64_hash_extended(phash64, bigint);
COMMENT ON OPERATOR CLASS phash64_ops USING hash IS 'equality of hashes';
COMMENT ON OPERATOR FAMILY phash64_ops USING hash IS 'equality of hashes';

CREATE FUNCTION phash64_smaller(phash64, phash64) RETURNS phash64
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION phash64_smaller(phash64, phash64) IS 'smaller of two';

CREATE FUNCTION phash64_larger(phash64, phash64) RETURNS phash64
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION phash64_larger(phash64, phash64) IS 'larger of two';

CREATE AGGREGATE min(phash64) (
	SFUNC = phash64_smaller, STYPE = phash64, COMBINEFUNC = phash64_smaller,
	SORTOP = <, PARALLEL = SAFE
);
COMMENT ON AGGREGATE min(phash64) IS 'minimum of all hashes';

CREATE AGGREGATE max(phash64) (
	SFUNC = phash64_larger, STYPE = phash64, COMBINEFUNC = phash64_larger,
	SORTOP = >, PARALLEL = SAFE
);
COMMENT ON AGGREGATE max(phash64) IS 'maximum of all hashes';

