-- Groups for the contact sheet: every member is near its group's centre, and no image is in two
-- groups. The centre is the image to keep: the original where that is known, else the largest, the
-- one with the most neighbours, the first by name.
CREATE TABLE groups (
	id text PRIMARY KEY,
	centre text NOT NULL
);

DO $$
DECLARE
	image text;
BEGIN
	CREATE TEMP TABLE neighbours AS
	SELECT a AS id, b AS neighbour FROM pairs
	UNION ALL
	SELECT b, a FROM pairs;
	CREATE INDEX ON neighbours (id);
	ANALYZE neighbours;

	FOR image IN
		SELECT i.id
		FROM images i
			JOIN (SELECT id, count(*) AS degree FROM neighbours GROUP BY id) n USING (id)
			LEFT JOIN made m USING (id)
		ORDER BY m.kind = 'original' DESC NULLS LAST, i.width::bigint * i.height DESC,
			n.degree DESC, i.id
	LOOP
		CONTINUE WHEN EXISTS (SELECT FROM groups WHERE id = image);
		INSERT INTO groups
		SELECT neighbour, image
		FROM neighbours n
		WHERE n.id = image AND NOT EXISTS (SELECT FROM groups g WHERE g.id = n.neighbour);
		-- An image whose neighbours all went to other groups has none of its own.
		IF FOUND THEN
			INSERT INTO groups VALUES (image, image);
		END IF;
	END LOOP;
END
$$;
