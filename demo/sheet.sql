-- The contact sheet's content as one JSON document. At most :shown images are put on the page, and
-- at most 24 of one group: a page of thumbnails should still open.

CREATE FUNCTION card(image images, beside images, kind text, oriented json DEFAULT NULL) RETURNS json
RETURN json_build_object(
	'name', image.id, 'path', image.source_path, 'format', image.file_type,
	'bytes', image.size_bytes, 'width', image.width, 'height', image.height,
	'kind', kind, 'oriented', oriented,
	'hashes', json_build_object('dhash', image.dhash, 'ahash', image.ahash, 'phash', image.phash),
	'beside', json_build_object('dhash', beside.dhash, 'ahash', beside.ahash, 'phash', beside.phash),
	'distances', CASE WHEN image.id <> beside.id THEN json_build_object(
		'dhash', image.dhash <~> beside.dhash,
		'ahash', image.ahash <~> beside.ahash,
		'phash', image.phash <~> beside.phash) END);

WITH member AS (
	SELECT g.centre, count(*) OVER (PARTITION BY g.centre) AS size,
		row_number() OVER (PARTITION BY g.centre ORDER BY g.id <> g.centre,
			(i.dhash <~> c.dhash) + (i.ahash <~> c.ahash), g.id) AS place,
		card(i, c, m.kind) AS card
	FROM groups g
		JOIN images i USING (id)
		JOIN images c ON c.id = g.centre
		LEFT JOIN made m ON m.id = g.id
), page_group AS (
	SELECT centre, size, json_agg(card ORDER BY place) AS cards,
		sum(least(size, 24)) OVER (ORDER BY size DESC, centre) AS shown
	FROM member
	WHERE place <= 24
	GROUP BY centre, size
), missed AS (
	SELECT c.kind, json_agg(card(i, o, NULL,
		(SELECT json_build_object('dhash', t.dhash, 'ahash', t.ahash, 'phash', t.phash)
		 FROM copies t
		 WHERE t.id = c.id AND t.kind = c.kind || ', orient => true')) ORDER BY c.id) AS cards
	FROM copies c
		JOIN images i ON i.id = c.id
		JOIN images o ON o.id = c.photo
	WHERE NOT c.found AND c.dhash IS NOT NULL AND c.kind NOT LIKE '%, orient => true'
	GROUP BY c.kind
), wrong AS (
	SELECT p.a, p.b, card(i, i, x.kind) AS left_card, card(j, i, y.kind) AS right_card
	FROM pairs p
		JOIN made x ON x.id = p.a
		JOIN made y ON y.id = p.b
		JOIN images i ON i.id = p.a
		JOIN images j ON j.id = p.b
	WHERE x.photo <> y.photo
)
SELECT json_build_object(
	'folder', :'folder',
	'vamhash', vamhash_version(),
	'postgres', split_part(current_setting('server_version'), ' ', 1),
	'made_on', to_char(now(), 'YYYY-MM-DD HH24:MI TZ'),
	'max_distance', :max_distance,
	'images', (SELECT count(*) FROM images),
	'bad', (SELECT count(*) FROM images WHERE status <> 'ok'),
	'pairs', (SELECT count(*) FROM pairs),
	'images_per_second', (SELECT round((images / seconds)::numeric, 1) FROM hashing),
	'megapixels', (SELECT round(avg(width::numeric * height) / 1e6, 2) FROM images),
	'copies_made', EXISTS (SELECT FROM made),
	'kinds', (SELECT json_agg(k ORDER BY k.found DESC, k.kind)
		FROM (SELECT kind, count(*) AS copies, count(*) FILTER (WHERE found) AS found,
				concat_ws(' – ', min(dhash), nullif(max(dhash), min(dhash))) AS dhash,
				concat_ws(' – ', min(ahash), nullif(max(ahash), min(ahash))) AS ahash,
				concat_ws(' – ', min(phash), nullif(max(phash), min(phash))) AS phash,
				concat_ws(' – ', min(whash), nullif(max(whash), min(whash))) AS whash
			FROM copies GROUP BY kind) k),
	'group_count', (SELECT count(DISTINCT centre) FROM groups),
	'groups', (SELECT json_agg(json_build_object('size', size, 'cards', cards)
			ORDER BY size DESC, centre)
		FROM page_group
		WHERE shown <= :shown),
	'missed', (SELECT json_agg(json_build_object('kind', kind, 'cards', cards) ORDER BY kind)
		FROM missed),
	'wrong_count', (SELECT count(*) FROM wrong),
	'wrong', (SELECT json_agg(json_build_array(left_card, right_card) ORDER BY a, b)
		FROM (SELECT * FROM wrong ORDER BY a, b LIMIT 20) w),
	'failed', (SELECT json_agg(f ORDER BY f.id)
		FROM (SELECT id, size_bytes, status, message FROM images WHERE status <> 'ok'
			ORDER BY id LIMIT 200) f));
