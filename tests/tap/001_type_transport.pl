# Hashes leave a server and arrive at another one unchanged: COPY, dump and restore, logical
# replication.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = PostgreSQL::Test::Cluster->new('source');
$source->init(allows_streaming => 'logical');
$source->start;
my $target = PostgreSQL::Test::Cluster->new('target');
$target->init;
$target->start;

# Every bit pattern matters: the smallest and largest hash, the sign bit of bigint, NULL, many others.
$source->safe_psql(
	'postgres', q{
	CREATE EXTENSION vamhash;
	CREATE TABLE photo (h phash64 PRIMARY KEY, near phash64[], other phash64);
	INSERT INTO photo VALUES
		('0000000000000000', '{}', NULL),
		('7fffffffffffffff', '{8000000000000000,NULL}', '8000000000000000'),
		('8000000000000000', NULL, 'ffffffffffffffff');
	INSERT INTO photo
	SELECT h, ARRAY[h, '0000000000000001'], CASE WHEN i % 3 > 0 THEN h END
	FROM (SELECT i, ('x' || substr(md5(i::text), 1, 16))::bit(64)::phash64 AS h
		FROM generate_series(1, 5000) i) s;
	CREATE INDEX photo_other ON photo USING hash (other);
});

my $contents = q{SELECT count(*), md5(string_agg(photo::text, ',' ORDER BY h)) FROM photo};
my $expected = $source->safe_psql('postgres', $contents);
like($expected, qr/^5003\|/, 'the source has its hashes');

# COPY in each of its formats.
my $directory = PostgreSQL::Test::Utils::tempdir;
$target->safe_psql('postgres', 'CREATE EXTENSION vamhash');
foreach my $format ('text', 'csv', 'binary')
{
	my $file = "$directory/photo.$format";

	$source->safe_psql('postgres', "COPY photo TO '$file' (FORMAT $format)");
	$target->safe_psql(
		'postgres', qq{
		DROP TABLE IF EXISTS photo;
		CREATE TABLE photo (h phash64 PRIMARY KEY, near phash64[], other phash64);
		COPY photo FROM '$file' (FORMAT $format)});
	is($target->safe_psql('postgres', $contents), $expected, "COPY as $format");
}

# A binary file is checked: 4 bytes are no hash, and bigint's 8 bytes are one.
$source->safe_psql('postgres', "COPY (SELECT 1::int) TO '$directory/int' (FORMAT binary)");
$source->safe_psql('postgres', "COPY (SELECT (-1)::bigint) TO '$directory/bigint' (FORMAT binary)");
$target->safe_psql('postgres', 'CREATE TABLE one (h phash64)');
my ($status, $output, $error) =
  $target->psql('postgres', "COPY one FROM '$directory/int' (FORMAT binary)");
isnt($status, 0, 'a binary value of 4 bytes is refused');
like($error, qr/insufficient data left in message/, 'and the error says so');
$target->safe_psql('postgres', "COPY one FROM '$directory/bigint' (FORMAT binary)");
is($target->safe_psql('postgres', 'SELECT h FROM one'),
	'ffffffffffffffff', 'binary bigint is read as the same bits');
($status, $output, $error) = $target->psql('postgres', "COPY one FROM PROGRAM 'echo 3c3e'");
like($error, qr/invalid input syntax for type phash64: "3c3e"/, 'a bad line of text is refused');
like($error, qr/COPY one, line 1, column h/, 'and its place is named');

# Dump and restore: the dump creates the extension, not its parts.
my $dump = "$directory/photo.sql";
$source->command_ok([ 'pg_dump', '--file', $dump, 'postgres' ], 'pg_dump as SQL');
my $sql = slurp_file($dump);
like($sql, qr/CREATE EXTENSION IF NOT EXISTS vamhash/, 'the dump creates the extension');
unlike($sql, qr/CREATE (TYPE|OPERATOR|CAST)/, 'the dump leaves its members to it');
$target->safe_psql('postgres', 'CREATE DATABASE restored');
$target->command_ok(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '--dbname', 'restored', '--file', $dump ], 'restore by psql');
is($target->safe_psql('restored', $contents), $expected, 'dump and restore as SQL');
is( $target->safe_psql(
		'restored', q{SELECT string_agg(indexdef, '; ' ORDER BY indexname) FROM pg_indexes WHERE tablename = 'photo'}),
	'CREATE INDEX photo_other ON public.photo USING hash (other); '
	  . 'CREATE UNIQUE INDEX photo_pkey ON public.photo USING btree (h)',
	'with its indexes');

$dump = "$directory/photo.dump";
$source->command_ok([ 'pg_dump', '--format', 'custom', '--file', $dump, 'postgres' ], 'pg_dump as archive');
$target->safe_psql('postgres', 'CREATE DATABASE archived');
$target->command_ok([ 'pg_restore', '--exit-on-error', '--dbname', 'archived', $dump ], 'pg_restore');
is($target->safe_psql('archived', $contents), $expected, 'dump and restore as archive');

# Logical replication, in text and in binary: the first copy, then changes found by their hash.
$source->safe_psql('postgres', 'CREATE PUBLICATION photos FOR TABLE photo');
my $connection = $source->connstr . ' dbname=postgres';
foreach my $binary ('off', 'on')
{
	my $name = "photos_$binary";

	$target->safe_psql('postgres', 'TRUNCATE photo');
	$target->safe_psql('postgres',
		"CREATE SUBSCRIPTION $name CONNECTION '$connection' PUBLICATION photos WITH (binary = $binary)");
	$target->poll_query_until('postgres',
		q{SELECT count(*) = 0 FROM pg_subscription_rel WHERE srsubstate NOT IN ('r', 's')})
	  or die 'the first copy did not end';
	is($target->safe_psql('postgres', $contents),
		$source->safe_psql('postgres', $contents), "replicated, binary $binary: first copy");

	$source->safe_psql(
		'postgres', q{
		UPDATE photo SET other = h, near = near || h WHERE h > '8000000000000000';
		DELETE FROM photo WHERE h BETWEEN '4000000000000000' AND '5000000000000000';
		INSERT INTO photo VALUES ('4000000000000001', '{ffffffffffffffff}', NULL);
		UPDATE photo SET h = 'fffffffffffffffe' WHERE h = 'ffffffffffffffff';
	});
	$source->wait_for_catchup($name);
	is($target->safe_psql('postgres', $contents),
		$source->safe_psql('postgres', $contents), "replicated, binary $binary: changes");
	$target->safe_psql('postgres', "DROP SUBSCRIPTION $name");
}

$target->stop;
$source->stop;
done_testing();
