-- Devices: what there is, and the settings that say which of it joins use. What is here holds on every
-- machine, with or without a GPU; that devices give the CPU's answers is tested where there are some.
\set SHOW_CONTEXT never
\pset format unaligned

SELECT vamhash_version() IS NOT NULL AS loaded;
SELECT name, setting, unit, context, vartype, min_val, max_val, enumvals
FROM pg_settings
WHERE name IN ('vamhash.gpu', 'vamhash.backends', 'vamhash.device_id', 'vamhash.gpu_min_rows',
	'vamhash.gpu_memory_limit', 'vamhash.max_gpu_engines', 'vamhash.gpu_min_images', 'vamhash.batch_size',
	'vamhash.nvjpeg')
ORDER BY name;

-- The CPU is the first, and always there. What is not known of it is NULL.
SELECT backend, device_id, name <> '' AS name, memory_bytes > 100e6 AS memory_bytes, free_bytes,
	capability IN ('scalar', 'avx2', 'avx512', 'neon') AS capability, driver, usable, reason
FROM vamhash_devices() LIMIT 1;
SELECT count(*) FROM vamhash_devices() WHERE backend = 'cpu';
-- Of the others, each backend's are numbered from 0; one that is not usable says why.
SELECT count(*) FROM vamhash_devices()
WHERE backend NOT IN ('cpu', 'cuda', 'opencl')
	OR NOT usable AND reason IS NULL
	OR usable AND (device_id IS NULL OR name IS NULL)
	OR device_id < 0 OR memory_bytes <= 0 OR free_bytes > memory_bytes;
SELECT backend, device_id FROM vamhash_devices() WHERE device_id IS NOT NULL
GROUP BY backend, device_id HAVING count(*) > 1;
-- It says what is there at the moment, and a parallel worker would have to start an engine of its own.
SELECT provolatile, proparallel, proretset FROM pg_proc WHERE proname = 'vamhash_devices';
-- So do all functions that may use a device.
SELECT DISTINCT proparallel FROM pg_proc WHERE proname ~ '^similar_(pairs|groups)';

-- The list of backends: in order of preference, each once, at least one.
SET vamhash.backends = opencl;
SHOW vamhash.backends;
SET vamhash.backends = opencl, cuda;
SHOW vamhash.backends;
SET vamhash.backends = 'OpenCL , CUDA';
SHOW vamhash.backends;
SET vamhash.backends = '';
SET vamhash.backends = metal;
SET vamhash.backends = cuda, opencl, cuda;
SET vamhash.backends = 'cuda,,opencl';
SHOW vamhash.backends;
RESET vamhash.backends;
SHOW vamhash.backends;

SET vamhash.gpu = always;
SET vamhash.gpu = true;
SHOW vamhash.gpu;
RESET vamhash.gpu;
SET vamhash.device_id = -2;
SET vamhash.gpu_min_rows = -1;
-- (The range is worded with units from 17 on.)
\set VERBOSITY sqlstate
SET vamhash.gpu_memory_limit = -1;
\set VERBOSITY default
SET vamhash.gpu_memory_limit = '8GB';
SHOW vamhash.gpu_memory_limit;
RESET vamhash.gpu_memory_limit;
-- How many engines may hold a device is the cluster's to say, not a session's.
SET vamhash.max_gpu_engines = 100;

-- Who may set what.
CREATE ROLE regress_vamhash_user;
SET ROLE regress_vamhash_user;
SET vamhash.gpu = off;
SET vamhash.backends = cuda;
SET vamhash.device_id = 1;
SET vamhash.gpu_min_rows = 0;
SET vamhash.gpu_memory_limit = '8GB';
SELECT count(*) > 0 AS shown FROM vamhash_devices();
RESET ROLE;
DROP ROLE regress_vamhash_user;
RESET ALL;

-- Off, no device is used, however many rows there are. No one took over from a device, then.
SET vamhash.gpu = off;
SET vamhash.gpu_min_rows = 0;
SELECT count(*) FROM similar_pairs('SELECT i, (i / 3)::bigint::phash64 FROM generate_series(1, 999) i', 0);
SELECT * FROM vamhash_stat WHERE name ~ 'last_device|fallback|device_joins';
-- On auto, few rows are not worth one.
SET vamhash.gpu = auto;
SET vamhash.gpu_min_rows = 1000;
SELECT count(*) FROM similar_pairs('SELECT i, (i / 3)::bigint::phash64 FROM generate_series(1, 999) i', 0);
SELECT max(group_id) FROM similar_groups('SELECT i, (i / 3)::bigint::phash64 FROM generate_series(1, 999) i', 0);
SELECT * FROM vamhash_stat WHERE name ~ 'last_device|fallback|device_joins';

-- On, it must be a device, of few rows, too. Why there is none differs from machine to machine.
\set VERBOSITY terse
SET vamhash.gpu = on;
SET vamhash.device_id = 1023;
SELECT count(*) FROM similar_pairs('SELECT 1, 0::bigint::phash64', 5);
SELECT count(*) FROM similar_groups('SELECT 1, 0::bigint::phash64', 5);
\set VERBOSITY default
RESET vamhash.device_id;
RESET vamhash.gpu;
SELECT count(*) FROM similar_pairs('SELECT i, i::bigint::phash64 FROM generate_series(1, 2) i', 5);
