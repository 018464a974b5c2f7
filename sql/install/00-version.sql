-- Which build of the library answers.

CREATE FUNCTION vamhash_version() RETURNS text
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vamhash_version() IS 'version of the loaded vamhash library';

