-- A catalog of images like VAM Tools', with one hash more and two columns for what went wrong.
CREATE EXTENSION vamhash;

CREATE TABLE images (
	id text PRIMARY KEY,
	source_path text NOT NULL,
	file_type text,
	size_bytes bigint,
	width integer,
	height integer,
	dhash phash64,
	ahash phash64,
	whash phash64,
	phash phash64,
	status text,
	message text
);

-- What each image of the demonstration's own is: the truth that the pairs are held against.
-- Empty for a folder of one's own.
CREATE TABLE made (
	id text PRIMARY KEY,
	photo text NOT NULL,
	kind text NOT NULL
);

-- One row: how many images were hashed, and how long the whole of it took.
CREATE TABLE hashing (
	images bigint,
	seconds double precision
);
