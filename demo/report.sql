-- What was found, as text.
\pset footer off

SELECT EXISTS (SELECT FROM made) AS copies_made \gset

\echo
SELECT count(*) > 0 AS some_failed, format('Files that could not be hashed: %s%s', count(*),
	CASE WHEN count(*) > 20 THEN '; the first 20' ELSE '' END) AS failed_title
FROM images WHERE status <> 'ok' \gset
\if :some_failed
\pset title :failed_title
SELECT id AS file, status, message FROM images WHERE status <> 'ok' ORDER BY id LIMIT 20;
\endif

SELECT format('Pairs with dhash and ahash within %s of 64 bits: %s%s', :max_distance, count(*),
	CASE WHEN count(*) > 16 THEN '; the 16 least alike' ELSE '' END) AS pairs_title
FROM pairs \gset
\pset title :pairs_title
SELECT a, b, dhash, ahash, phash
FROM pairs
ORDER BY dhash + ahash DESC, a, b
LIMIT 16;

\if :copies_made
\pset title 'Copies found beside their photograph, by kind'
SELECT kind, count(*) AS copies, count(*) FILTER (WHERE found) AS "dhash and ahash",
	count(*) FILTER (WHERE dhash <= :max_distance) AS dhash,
	count(*) FILTER (WHERE ahash <= :max_distance) AS ahash,
	count(*) FILTER (WHERE phash <= :max_distance) AS phash,
	count(*) FILTER (WHERE whash <= :max_distance) AS whash
FROM copies
GROUP BY kind
ORDER BY 3 DESC, kind;

\pset title 'Pairs that each hash reports'
SELECT hash, count(*) AS pairs,
	count(*) FILTER (WHERE x.photo = y.photo) AS "of one photograph",
	count(*) FILTER (WHERE x.photo <> y.photo) AS "of different photographs"
FROM found f
	JOIN made x ON x.id = f.a
	JOIN made y ON y.id = f.b
GROUP BY hash
ORDER BY hash = 'dhash and ahash' DESC, hash;
\else
\pset title 'Pairs that each hash reports'
SELECT hash, count(*) AS pairs
FROM found
GROUP BY hash
ORDER BY hash = 'dhash and ahash' DESC, hash;
\endif
\pset title

\pset tuples_only on
\pset format unaligned
\if :copies_made
SELECT format('%s of the %s copies were found beside their photograph; %s pairs are of different photographs.',
	count(*) FILTER (WHERE found), count(*),
	(SELECT count(*)
	 FROM pairs p JOIN made x ON x.id = p.a JOIN made y ON y.id = p.b
	 WHERE x.photo <> y.photo))
FROM copies
WHERE kind NOT LIKE '%, orient => true';
\echo 'A mirrored picture is another picture to these hashes. One that is stored turned is found when'
\echo 'it is hashed as its EXIF orientation says, with orient => true.'
\endif
SELECT format('Hashed %s of %s files, %s MB, %s megapixels on average, by one CALL of hash_catalog: %s s, %s images/s.',
	h.images, count(*), round(sum(i.size_bytes) / 1e6, 1),
	round(avg(i.width::numeric * i.height) / 1e6, 2),
	round(h.seconds::numeric, 2), round((h.images / h.seconds)::numeric, 1))
FROM hashing h, images i
GROUP BY h.images, h.seconds;
\echo
