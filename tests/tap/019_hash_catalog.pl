# hash_catalog() on a catalog of server files such as VAM Tools': what it fills and reports; by several
# sessions at once; with rows that are locked, changed or deleted meanwhile; with engines, sessions and a
# server that are killed. What is committed stays, nothing is done twice, and the next call finishes it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use VamhashTest;

plan skip_all => 'needs /proc' unless -r '/proc/self/stat';

my $node = start_node('main', "deadlock_timeout = 100ms\nrestart_after_crash = on\n");
my $folder = PostgreSQL::Test::Utils::tempdir();
my $session = VamhashTest::Session->new($node);

# Runs hash_catalog(); returns its summary.
sub hash_catalog
{
	my ($arguments, $of) = @_;
	my (undef, $err) = ($of || $session)->query("CALL hash_catalog($arguments)");
	return VamhashTest::Session::tidy($err) =~ s/^psql:\S+ NOTICE: +00000: hash_catalog: //r;
}

# VAM Tools' own table. Two pictures by turns, and some files that are none.
write_file("$folder/right.png", rising_png());
write_file("$folder/left.png", falling_png());
write_file("$folder/letter.jpg", "no image\n");
write_file("$folder/half.png", substr rising_png(), 0, 100);
mkdir "$folder/folder.jpg" or die "mkdir: $!";
$session->value(
	q{CREATE TABLE images (id TEXT PRIMARY KEY, catalog_id UUID, source_path TEXT NOT NULL, file_type TEXT,
		checksum TEXT, size_bytes BIGINT, dates JSONB, metadata JSONB, dhash TEXT, ahash TEXT, whash TEXT,
		quality_score INT, status TEXT DEFAULT 'pending', processing_flags JSONB, burst_id TEXT,
		UNIQUE (catalog_id, checksum));
	CREATE INDEX ON images (dhash)});
my $paths = join ', ', map { "('$_')" } 'right.png', "$folder/left.png", 'letter.jpg', 'half.png',
  'missing.jpg', 'folder.jpg', 'folder.jpg/../right.png';
$session->value("INSERT INTO images (id, catalog_id, source_path, checksum)
	SELECT gen_random_uuid(), '00000000-0000-0000-0000-000000000001', path, md5(path)
	FROM (VALUES $paths) v (path)");
my $vam_columns = q{'{"dhash": "dhash", "ahash": "ahash", "whash": "whash16", "status": "status",
	"file_type": "format", "burst_id": "message"}'};
is( hash_catalog("'images', 'id', 'source_path', $vam_columns, root => '$folder'"),
	"7 rows: 3 ok, 1 truncated, 1 unsupported, 1 not_found, 1 unreadable\n",
	'a catalog of VAM Tools: the summary');
is( $session->value(q{SELECT source_path, dhash, ahash, whash = whash16_file(} . "'$folder/right.png'" . q{)::text,
		whash ~ '^[0-9a-f]{4}0{12}$', status, file_type, burst_id
		FROM images WHERE source_path ~ 'right' ORDER BY 1}),
	"folder.jpg/../right.png|$right_dhash|$right_ahash|t|t|ok|png|\n"
	  . "right.png|$right_dhash|$right_ahash|t|t|ok|png|",
	'relative paths are under root');
is( $session->value(q{SELECT dhash, ahash, status FROM images WHERE source_path ~ 'left'}),
	"$left_dhash|$left_ahash|ok", 'an absolute path is what it is');
is( $session->value("SELECT source_path, status, dhash IS NULL, replace(burst_id, '$folder', '')
		FROM images WHERE status NOT IN ('ok', 'truncated') ORDER BY 1"),
	"folder.jpg|unreadable|t|\"/folder.jpg\" is a directory\n"
	  . "letter.jpg|unsupported|t|not a recognised image format\n"
	  . 'missing.jpg|not_found|t|could not open image file "/missing.jpg": No such file or directory',
	'bad files: their status and message');
is( hash_catalog("'images', 'id', 'source_path', '{\"whash\": \"whash\"}', root => '$folder',
		recompute => true, condition => 'dhash IS NOT NULL AND status = ''ok'''"),
	"3 rows: 3 ok\n", 'another hash instead');
is( $session->value("SELECT bool_and(whash::phash64 = whash_file('$folder/' || replace(source_path, '$folder/', '')))
		FROM images WHERE status = 'ok'"), 't', 'it is whash');
# Confined to a folder: what a path in the table says is not believed.
$session->value("SET vamhash.image_roots = '$folder'; INSERT INTO images (id, source_path) VALUES
	('out', '/etc/passwd'), ('up', '../../../../../../../../../../etc/passwd')");
is( hash_catalog("'images', 'id', 'source_path', $vam_columns, root => '$folder', condition => 'id IN (''out'', ''up'')'"),
	"2 rows: 2 denied\n", 'files outside of vamhash.image_roots');
like($session->value("SELECT string_agg(burst_id, '; ' ORDER BY id) FROM images WHERE status = 'denied'"),
	qr/^image file "\/etc\/passwd" is not under "vamhash.image_roots"; image file "\Q$folder\E\/\.\.\/.*" is not under "vamhash.image_roots"$/,
	'they say why');
$session->value('RESET vamhash.image_roots; DROP TABLE images');

# A catalog of many images, with a log of what was written. The log is written with the hash, so that a
# row that were hashed twice would be in it twice.
$session->value(
	q{CREATE TABLE photos (id bigint PRIMARY KEY, path text NOT NULL, dhash phash64, status text, message text);
	CREATE TABLE written (id bigint, pid int DEFAULT pg_backend_pid());
	CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM pg_sleep(current_setting('test.delay', true)::float8);
		INSERT INTO written (id) VALUES (NEW.id);
		RETURN NEW;
	END
	$$;
	CREATE TRIGGER note BEFORE UPDATE OF dhash ON photos FOR EACH ROW EXECUTE FUNCTION note()});
my $rows = 1000;
my $batch = 20;
my $photos = q{'photos', 'id', 'path', '{"dhash": "dhash", "status": "status", "message": "message"}', batch => } . $batch;

sub fill_photos
{
	$session->value(
		"TRUNCATE photos, written;
		INSERT INTO photos (id, path)
		SELECT i, CASE i % 2 WHEN 0 THEN '$folder/left.png' ELSE '$folder/right.png' END
		FROM generate_series(1, $rows) i;
		ANALYZE photos");
	return;
}

# All rows must have their own hash, and each must have been written once.
sub is_complete
{
	my ($what, $expected) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is( $session->value(
			"SELECT count(*), count(*) FILTER (WHERE dhash = CASE path WHEN '$folder/left.png'
				THEN '$left_dhash' ELSE '$right_dhash' END::phash64) FROM photos"),
		defined $expected ? "$expected|$expected" : "$rows|$rows",
		"$what: all rows have their hash");
	is($session->value('SELECT count(*) FROM (SELECT FROM written GROUP BY id HAVING count(*) > 1) w'),
		0, "$what: none was written twice");
	return;
}

# A call in another session, of which each row takes so many seconds to write.
sub begin_slow_call
{
	my ($delay, $arguments) = @_;
	my $caller = VamhashTest::Session->new($node);
	$caller->begin("SET test.delay = $delay; CALL hash_catalog(" . ($arguments || $photos) . ')');
	return $caller;
}

# Waits until so many rows are committed.
sub wait_for_rows
{
	my ($count) = @_;
	return $node->poll_query_until('postgres', "SELECT count(dhash) >= $count FROM photos");
}

# One session, two, and four, which all begin at the same moment.
foreach my $sessions (1, 2, 4)
{
	fill_photos();
	my @callers = map { VamhashTest::Session->new($node) } 1 .. $sessions;
	$session->value('BEGIN; LOCK TABLE photos');
	$_->begin("CALL hash_catalog($photos)") foreach @callers;
	$node->poll_query_until('postgres',
		"SELECT count(*) = $sessions FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
	$session->value('COMMIT');
	my @said = map { ($_->end)[1] } @callers;
	is(scalar(grep { /hash_catalog: \d+ rows/ && !/ERROR/ } @said), $sessions, "$sessions sessions: no error")
	  or diag @said;
	is_complete("$sessions sessions");
	my @images = map { $_->value("SELECT value FROM vamhash_stat WHERE name = 'total_images'") } @callers;
	is(eval { join '+', @images } && eval join('+', @images), $rows, "$sessions sessions: no image is hashed twice (@images)");
	cmp_ok(scalar(grep { $_ > 0 } @images), '>', $sessions > 1 ? 1 : 0, "$sessions sessions: they share the work");
	$_->quit foreach @callers;
}

# While it runs: its job, which lives over the commits.
fill_photos();
$session->value("INSERT INTO photos VALUES (0, '$folder/letter.jpg')");
my $caller = begin_slow_call(0.002);
wait_for_rows(2 * $batch);
my $progress = "SELECT kind, phase, done BETWEEN $batch AND total, total, bad, bytes > 1000, per_second > 0
	FROM vamhash_progress WHERE pid = " . $caller->pid;
is($session->value($progress), 'hash_catalog|hashing|t|' . ($rows + 1) . '|1|t|t', 'its job is shown');
ok($node->poll_query_until('postgres', "SELECT done > 5 * $batch FROM vamhash_progress"), 'it goes on');

# A cancel ends it; what was committed stays, by whole batches.
$session->value('SELECT pg_cancel_backend(' . $caller->pid . ')');
like(($caller->end)[1], qr/canceling statement due to user request/, 'cancelled');
is($session->value('SELECT count(*) FROM vamhash_progress'), 0, 'its job is gone');
my $done = $session->value('SELECT count(*) FROM photos WHERE status IS NOT NULL');
cmp_ok($done, '>=', 2 * $batch, "$done rows are committed");
is($done % $batch, 0, 'whole batches');
is(hash_catalog($photos), ($rows + 2 - $done) . ' rows: ' . ($rows + 1 - $done) . " ok, 1 unsupported\n",
	'the next call does the rest, and tries the bad one again');
$session->value('DELETE FROM photos WHERE id = 0');
is_complete('cancelled');
like($caller->value("SELECT dhash_file('$folder/right.png')"), qr/^$right_dhash$/, 'the session goes on');
$caller->quit;

# Engines that are killed cost nothing.
fill_photos();
$caller = VamhashTest::Session->new($node);
my $kills = 0;
$caller->begin("SET test.delay = 0.0005; CALL hash_catalog($photos)");
until ($caller->{err} =~ /end of statements/)
{
	$kills += kill 'KILL', engines_of($caller->pid, 'decode');
	usleep(200_000);
	$caller->{run}->pump_nb;
}
like(($caller->end)[1], qr/hash_catalog: $rows rows: $rows ok$/m, "$kills engines killed");
cmp_ok($kills, '>', 1, 'engines were there to be killed');
is_complete('engines killed');
$caller->quit;

# A session that is terminated, one whose client vanishes, a backend that is killed, with which all
# others are lost while the server recovers, and a server that crashes.
foreach my $end ('terminated', 'vanished', 'killed', 'crashed')
{
	fill_photos();
	$caller = begin_slow_call(0.002);
	wait_for_rows(2 * $batch);
	if ($end eq 'terminated')
	{
		$session->value('SELECT pg_terminate_backend(' . $caller->pid . ')');
		like($caller->lost, qr/57P01|terminating connection/, $end);
	}
	elsif ($end eq 'vanished')
	{
		# The server notices when it has something to say; then it ends as if terminated.
		$caller->vanish;
		$session->value('SELECT pg_terminate_backend(' . $caller->pid . ')');
	}
	elsif ($end eq 'killed')
	{
		kill 'KILL', $caller->pid;
		ok(wait_for(sub { slurp_file($node->logfile) =~ /was terminated by signal 9/ }),
			"$end: the server has noticed");
		$_->vanish foreach $caller, $session;
		ok($node->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()'), "$end: it is back");
		$session = VamhashTest::Session->new($node);
	}
	else
	{
		$node->stop('immediate');
		$caller->vanish;
		$node->start;
		$session->vanish;
		$session = VamhashTest::Session->new($node);
	}
	ok( $node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM vamhash_progress'),
		"$end: its job is gone");
	ok(wait_for(sub { !engines_of($caller->pid) }), "$end: its engine is gone");
	$done = $session->value('SELECT count(dhash) FROM photos');
	cmp_ok($done, '>=', 2 * $batch, "$end: $done rows are committed");
	is($done % $batch, 0, "$end: whole batches");
	is(hash_catalog($photos), ($rows - $done) . ' rows: ' . ($rows - $done) . " ok\n",
		"$end: the next call does the rest");
	is_complete($end);
}

# A row that somebody has locked is left to him.
fill_photos();
my $holder = VamhashTest::Session->new($node);
$holder->value('BEGIN; SELECT FROM photos WHERE id IN (1, 77) FOR UPDATE');
is(hash_catalog($photos), ($rows - 2) . ' rows: ' . ($rows - 2) . " ok; 2 skipped: locked by others, or changed meanwhile\n",
	'locked rows are left out');
$holder->value('ROLLBACK');
is(hash_catalog($photos), "2 rows: 2 ok\n", 'the next call takes them');
is_complete('locked rows');

# Rows that are changed, deleted and added meanwhile, their keys too.
fill_photos();
$caller = begin_slow_call(0.001);
wait_for_rows(2 * $batch);
$holder->value(
	"UPDATE photos SET path = '$folder/right.png' WHERE id BETWEEN 700 AND 709;
	UPDATE photos SET id = id + 10000 WHERE id BETWEEN 800 AND 810;
	UPDATE photos SET id = -id WHERE id = 900;
	DELETE FROM photos WHERE id BETWEEN 951 AND 1000;
	INSERT INTO photos (id, path) SELECT i, '$folder/left.png' FROM generate_series(20001, 20100) i");
like(($caller->end)[1], qr/hash_catalog: \d+ rows: \d+ ok; \d+ skipped: locked by others, or changed meanwhile$/m, 'changed meanwhile');
# What moved behind those done, and what was not there when its batch's keys were read, is for the next call.
like(hash_catalog($photos), qr/^\d+ rows?: \d+ ok$/, 'and the rest');
is_complete('changed meanwhile', $rows + 50);
$caller->quit;

# A table that changes under it.
foreach my $case (
	[ 'ALTER TABLE photos DROP COLUMN message', qr/42703: column "message" of relation "photos" does not exist/ ],
	[ 'ALTER TABLE photos RENAME id TO number', qr/42703: column "id" does not exist/ ],
	[ 'DROP TABLE photos', qr/42P01: relation (with OID \d+|"public.photos") does not exist/ ])
{
	my ($change, $error) = @$case;
	fill_photos();
	$caller = begin_slow_call(0.002);
	wait_for_rows($batch);
	$holder->value($change);
	like(($caller->end)[1], $error, "$change: a clear error");
	is($session->value('SELECT count(*) FROM vamhash_progress'), 0, "$change: no job is left");
	$session->value('ALTER TABLE photos ADD COLUMN message text') if $change =~ /COLUMN/;
	$session->value('ALTER TABLE photos RENAME number TO id') if $change =~ /RENAME/;
	$caller->quit;
}

$_->quit foreach $holder, $session;
$node->stop;
my @deaths = slurp_file($node->logfile) =~ /^.*(?:PANIC|TRAP|deadlock detected|terminated by signal).*$/gm;
is(scalar(@deaths), 1, 'one backend was killed, and nothing worse is in the log') or diag @deaths;

done_testing();
