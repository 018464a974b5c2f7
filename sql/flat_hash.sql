-- Which hashes say nothing of their picture?

-- All bits equal, but for two at most.
SELECT h, flat_hash(h) FROM unnest(ARRAY[
	'0000000000000000', 'ffffffffffffffff', '8000000000000000', '0000000000000001', '7fffffffffffffff',
	'8000000000000001', '7ffffffffffffffe', '8000000000000003', '7ffffffffffffffc',
	'0f0f0f0f0f0f0f0f', 'aaaaaaaaaaaaaaaa', 'ffffffff00000000']::phash64[]) h;
SELECT flat_hash(NULL) IS NULL AS unknown;

-- All hashes that are flat, made one by one, and their neighbours, which are not.
CREATE TABLE turned AS
SELECT bits, (ones # turned)::phash64 AS h
FROM (
	SELECT count(DISTINCT b) AS bits, bit_or(1::bigint << b) AS turned
	FROM generate_series(0, 63) x, generate_series(x, 63) y, generate_series(y, 63) z, unnest(ARRAY[x, y, z]) b
	GROUP BY x, y, z
	UNION ALL VALUES (0, 0)) t, (VALUES (0::bigint), (-1)) o (ones);
SELECT bits, flat_hash(h), count(DISTINCT h) FROM turned GROUP BY 1, 2 ORDER BY 1, 2;
-- Two of one side are 4 bits apart at most, so each two of them are a pair at a distance of 5.
SELECT max(a.h <~> b.h) AS furthest
FROM (SELECT DISTINCT h FROM turned WHERE bits <= 2 AND bit_count(h) < 32) a,
	(SELECT DISTINCT h FROM turned WHERE bits <= 2 AND bit_count(h) < 32) b;

-- A picture of one colour is flat to every hash. A ramp from left to right is flat to dhash, which
-- sees the same change everywhere; the others see its bright side.
SELECT name, flat_hash(dhash) AS dhash, flat_hash(ahash) AS ahash, flat_hash(whash) AS whash,
	flat_hash(phash) AS phash, flat_hash(whash16) AS whash16
FROM (VALUES
	('flat', '\x89504e470d0a1a0a0000000d4948445200000010000000080800000000d51d204b0000000f4944415478da636840030c03230000018740016c3a11e80000000049454e44ae426082'::bytea),
	('rise', '\x89504e470d0a1a0a0000000d4948445200000010000000080800000000d51d204b0000001d4944415478da6360105030700848286898b060c3810b0f3e300c8c000047693c019ae287db0000000049454e44ae426082'),
	('fall', '\x89504e470d0a1a0a0000000d4948445200000010000000080800000000d51d204b0000001d4944415478da63f8f0e0c2810d0b26341424043818280830300c8c00009b783c0110cf3d7c0000000049454e44ae426082')) i (name, img),
	image_hashes(img);

-- Photographs are not: dhash, ahash, phash and whash of a cat, a cup, a field, a man and a rocket.
SELECT count(*) AS hashes, count(*) FILTER (WHERE flat_hash(h)) AS flat
FROM unnest(ARRAY[
	'5414589aab6fa785', '82808e4b09a373e7', 'b15fe6465121175e', 'c2c08e4b09a377f7',
	'f3e96933160b1b36', '3f3fbfbb818081c3', 'bb8320376c0f3637', '3f7f3fbb818080c1',
	'f9d0a1e9c95a7643', 'ff7f797520000000', 'c3ca9d9d8aa4e86a', 'ffff7f7d20080200',
	'509a3c7fbc756cec', 'ffcf8f07071f1f1f', 'bff1c1c0434e8cbc', 'ffcf8f0107171606',
	'c0c0c0d0909090d1', '00002078f8fcfc7c', 'c0371bec1be51267', '000070fcfcfcfc7c']::phash64[]) h;
-- Nor are random hashes.
SELECT count(*) FILTER (WHERE flat_hash(('x' || substr(md5(i::text), 1, 16))::bit(64)::phash64)) AS flat
FROM generate_series(1, 100000) i;

-- Leaving them out is what it is for.
CREATE TABLE catalog AS
SELECT i AS id, CASE WHEN i % 10 = 0 THEN ((1::bigint << i % 64) | 1)::phash64
	ELSE ('x' || substr(md5((i / 2)::text), 1, 16))::bit(64)::phash64 END AS h
FROM generate_series(1, 1000) i;
SELECT count(*) FROM similar_pairs('SELECT id, h FROM catalog', 5);
SELECT count(*), max(distance) FROM similar_pairs('SELECT id, h FROM catalog WHERE NOT flat_hash(h)', 5);
-- It is immutable, so an index can do without them.
CREATE INDEX ON catalog (h) WHERE NOT flat_hash(h);
DROP TABLE catalog, turned;
