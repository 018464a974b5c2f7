-- What this session has done: its last complete join or call on many images, and totals.

CREATE FUNCTION vamhash_counters(OUT name text, OUT value text) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 20;
COMMENT ON FUNCTION vamhash_counters() IS 'counters of this session, for the view vamhash_stat';

CREATE VIEW vamhash_stat AS SELECT c.name, c.value FROM vamhash_counters() c;
GRANT SELECT ON vamhash_stat TO PUBLIC;

COMMENT ON VIEW vamhash_stat IS
	'this session''s last complete join or call on many images, and its totals; parallel workers'' work is not counted';
COMMENT ON COLUMN vamhash_stat.name IS
	'last_...: of the last complete join or call on many images; total_...: since the session began; ..._sandbox: of the last engine of that role';
COMMENT ON COLUMN vamhash_stat.value IS 'text, a whole number, or seconds with six decimals';
