-- The devices that joins and the hashing of many images may use.

CREATE FUNCTION vamhash_devices()
RETURNS TABLE (backend text, device_id integer, name text, memory_bytes bigint, free_bytes bigint,
	capability text, driver text, usable boolean, reason text)
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 100000 ROWS 4;
COMMENT ON FUNCTION vamhash_devices() IS
	'the CPU, and the devices of each backend (cuda, opencl), numbered from 0, whether they are usable and, if not, why; a backend without a device has a row that says why; what is not known is NULL';
