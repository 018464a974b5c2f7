-- The near-duplicates: pairs whose dhash and whose ahash both differ in at most :max_distance bits.
-- A pair that two different hashes agree on is rarely wrong.
CREATE TABLE pairs AS
SELECT p.a, p.b, p.distances[1] AS dhash, p.distances[2] AS ahash,
	x.phash <~> y.phash AS phash
FROM similar_pairs('SELECT id, dhash, ahash FROM images WHERE status = ''ok''',
		ARRAY[:max_distance, :max_distance], NULL::text) p
	JOIN images x ON x.id = p.a
	JOIN images y ON y.id = p.b;

-- What each hash reports when it is asked alone, to compare.
CREATE TABLE found AS
SELECT 'dhash and ahash' AS hash, a, b FROM pairs
UNION ALL
SELECT 'dhash', a, b
FROM similar_pairs('SELECT id, dhash FROM images WHERE status = ''ok''', :max_distance, NULL::text)
UNION ALL
SELECT 'ahash', a, b
FROM similar_pairs('SELECT id, ahash FROM images WHERE status = ''ok''', :max_distance, NULL::text)
UNION ALL
SELECT 'phash', a, b
FROM similar_pairs('SELECT id, phash FROM images WHERE status = ''ok''', :max_distance, NULL::text)
UNION ALL
SELECT 'whash', a, b
FROM similar_pairs('SELECT id, whash FROM images WHERE status = ''ok''', :max_distance, NULL::text);

-- Each copy beside the photograph that it was made from, whether they were found to be a pair or
-- not. Copies that are stored turned come a second time, hashed the way a viewer shows them.
CREATE TABLE copies AS
SELECT m.kind, m.id, m.photo,
	c.dhash <~> o.dhash AS dhash, c.ahash <~> o.ahash AS ahash, c.whash <~> o.whash AS whash,
	c.phash <~> o.phash AS phash,
	EXISTS (SELECT FROM pairs p
		WHERE (p.a, p.b) IN ((m.id, m.photo), (m.photo, m.id))) AS found
FROM made m
	JOIN images c ON c.id = m.id
	JOIN images o ON o.id = m.photo
WHERE m.id <> m.photo;

INSERT INTO copies
SELECT m.kind || ', orient => true', m.id, m.photo,
	h.dhash <~> o.dhash, h.ahash <~> o.ahash, h.whash <~> o.whash, h.phash <~> o.phash,
	h.dhash <~> o.dhash <= :max_distance AND h.ahash <~> o.ahash <= :max_distance
FROM made m
	JOIN images c ON c.id = m.id
	JOIN images o ON o.id = m.photo
	CROSS JOIN image_hashes_file(c.source_path, orient => true) h
WHERE m.kind = 'turned (EXIF)';
