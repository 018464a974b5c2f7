-- The running jobs of the cluster. Every session of every database with the extension sees them all.

CREATE FUNCTION vamhash_jobs(
	OUT pid integer, OUT role oid, OUT database oid, OUT kind text, OUT phase text,
	OUT done bigint, OUT total bigint, OUT phase_started timestamptz, OUT started timestamptz,
	OUT rows bigint, OUT candidates bigint, OUT pairs bigint, OUT estimated_pairs bigint,
	OUT bad bigint, OUT bytes bigint, OUT device text
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 10;
COMMENT ON FUNCTION vamhash_jobs() IS 'running jobs, for the view vamhash_progress';

CREATE VIEW vamhash_progress AS
SELECT j.pid, r.rolname AS role, d.datname AS database, j.kind, j.phase, j.done, j.total,
	j.bad,
	-- By the clock: now() stands still in a transaction that watches.
	j.done / nullif(extract(epoch FROM clock_timestamp() - j.phase_started), 0)::float8 AS per_second,
	j.bytes, j.device, j.started,
	j.rows, j.candidates, j.pairs, j.estimated_pairs
FROM vamhash_jobs() j
LEFT JOIN pg_catalog.pg_roles r ON r.oid = j.role
LEFT JOIN pg_catalog.pg_database d ON d.oid = j.database;
GRANT SELECT ON vamhash_progress TO PUBLIC;

COMMENT ON VIEW vamhash_progress IS
	'running jobs of all sessions; a number that does not apply or is not known is NULL, as is all but pid, role and database to who may not read that role''s statistics';
COMMENT ON COLUMN vamhash_progress.pid IS 'process ID of the backend that runs the job';
COMMENT ON COLUMN vamhash_progress.role IS 'role that its session belongs to';
COMMENT ON COLUMN vamhash_progress.database IS 'database that it is connected to';
COMMENT ON COLUMN vamhash_progress.kind IS 'function or procedure that runs it';
COMMENT ON COLUMN vamhash_progress.phase IS 'what it is doing';
COMMENT ON COLUMN vamhash_progress.done IS
	'how much of this phase is done: rows read, images hashed, tables or tiles compared';
COMMENT ON COLUMN vamhash_progress.total IS 'how much there is to do in this phase';
COMMENT ON COLUMN vamhash_progress.bad IS 'of the images that are done, those whose status is not ok';
COMMENT ON COLUMN vamhash_progress.per_second IS
	'done, divided by the seconds since this phase began: its mean speed up to this moment';
COMMENT ON COLUMN vamhash_progress.bytes IS 'bytes of images given to the engine';
COMMENT ON COLUMN vamhash_progress.device IS
	'device that computes: cpu, or its backend, number and name; NULL while nothing does, and while images are hashed by the CPU';
COMMENT ON COLUMN vamhash_progress.started IS 'when the job began';
COMMENT ON COLUMN vamhash_progress.rows IS
	'rows read so far; those with a NULL hash, which are left out, are not counted';
COMMENT ON COLUMN vamhash_progress.candidates IS 'pairs compared so far';
COMMENT ON COLUMN vamhash_progress.pairs IS 'pairs returned so far';
COMMENT ON COLUMN vamhash_progress.estimated_pairs IS 'pairs that are expected in all';
