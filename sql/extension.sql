-- The extension as a whole: what a DBA checks after CREATE EXTENSION.
SELECT extname, extrelocatable FROM pg_extension WHERE extname = 'vamhash';
SELECT vamhash_version() = extversion AS library_and_sql_agree
FROM pg_extension WHERE extname = 'vamhash';

-- Everything the extension made, to be judged by the checks below.
CREATE TEMP VIEW member AS
SELECT classid, objid, pg_describe_object(classid, objid, 0) AS object
FROM pg_depend
WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'vamhash');

-- Every object says what it is for, except what comes with another: the types of arrays and, from 17 on,
-- of the views' rows.
SELECT object FROM member
WHERE obj_description(objid, classid::regclass::text) IS NULL
	AND object !~ '^type .*\[\]$'
	AND NOT (classid = 'pg_type'::regclass AND objid IN (SELECT reltype FROM pg_class WHERE relkind = 'v'))
ORDER BY object;

-- So does every column of its views, which everyone may read.
SELECT objid::regclass AS view, count(*) AS columns, count(col_description(objid, attnum)) AS described,
	has_table_privilege('public', objid, 'SELECT') AS for_all
FROM member JOIN pg_attribute ON attrelid = objid AND attnum > 0
WHERE classid = 'pg_class'::regclass
GROUP BY objid
ORDER BY objid::regclass::text COLLATE "C";

-- Every function in C is strict and can run in a parallel query, unless it says why not.
SELECT p.oid::regprocedure AS function, proisstrict, proparallel
FROM pg_proc p JOIN member ON objid = p.oid AND classid = 'pg_proc'::regclass
JOIN pg_language l ON l.oid = prolang AND lanname = 'c'
WHERE pronargs > 0 AND prokind = 'f' AND NOT proretset AND (NOT proisstrict OR proparallel = 'u')
ORDER BY 1;

-- Every operator has its estimators where it is a predicate, and its commutator.
SELECT o.oid::regoperator AS operator, oprcom <> 0 AS commutes,
	nullif(oprnegate, 0)::regoperator AS negator, oprrest, oprjoin, oprcanmerge, oprcanhash
FROM pg_operator o JOIN member ON objid = o.oid AND classid = 'pg_operator'::regclass
ORDER BY oprname COLLATE "C";
SELECT o.oid::regoperator AS commutator_or_negator_does_not_point_back
FROM pg_operator o JOIN member ON objid = o.oid AND classid = 'pg_operator'::regclass
LEFT JOIN pg_operator c ON c.oid = o.oprcom
LEFT JOIN pg_operator n ON n.oid = o.oprnegate
WHERE c.oprcom IS DISTINCT FROM o.oid OR n.oprnegate <> o.oid
ORDER BY 1;

-- Commuting and negating operators are as leakproof and as costly as each other.
SELECT o.oid::regoperator AS operator
FROM pg_operator o JOIN member ON objid = o.oid AND classid = 'pg_operator'::regclass
JOIN pg_proc f ON f.oid = o.oprcode
JOIN pg_operator r ON r.oid IN (o.oprcom, o.oprnegate)
JOIN pg_proc g ON g.oid = r.oprcode
WHERE (f.proleakproof, f.procost, f.provolatile) <> (g.proleakproof, g.procost, g.provolatile);

-- The access methods accept the operator classes.
SELECT amname, opcname, opcdefault, amvalidate(opc.oid)
FROM pg_opclass opc JOIN pg_am am ON am.oid = opcmethod
JOIN member ON objid = opc.oid AND classid = 'pg_opclass'::regclass
ORDER BY amname, opcname;

-- No cast is implicit: a hash never turns into something else behind the user's back.
SELECT pg_describe_object(classid, objid, 0) AS cast, castcontext, castmethod
FROM pg_cast c JOIN member ON objid = c.oid AND classid = 'pg_cast'::regclass
ORDER BY 1;

-- It moves to another schema and goes without a trace.
CREATE SCHEMA images;
ALTER EXTENSION vamhash SET SCHEMA images;
SELECT images.hamming_distance('00000000000000ff', '0000000000000000');
ALTER EXTENSION vamhash SET SCHEMA public;
DROP EXTENSION vamhash;
SELECT to_regtype('phash64') IS NULL AS gone;
CREATE EXTENSION vamhash;
DROP SCHEMA images;
