# Many images in one request: whatever happens to an image is its row's status, and whatever happens to
# an engine loses no row. The engine here is one of the tests' own: its codec does what an "image" says
# (tests/unit/misdeeds.cpp).

use strict;
use warnings;

use Config;
use FindBin;
use lib "$FindBin::RealBin/lib";

use POSIX ();
use Socket;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use VamhashTest;

my $misbehaving = misbehaving_engine();
plan skip_all => 'needs /proc' unless -r '/proc/self/stat';

my $directory = private_library();
install_engine($directory, slurp_file($misbehaving));
my $node = start_private_node('main', $directory);

# Noise does not compress: a picture of so many bytes, more or less.
sub noise_png
{
	my ($side) = @_;
	return grey_png([ map { pack 'C*', map { int rand 256 } 1 .. $side } 1 .. $side ]);
}

srand(3);
my $right = sql_bytea(rising_png());
my $left = sql_bytea(falling_png());
my $noise = sql_bytea(noise_png(200));
$node->safe_psql(
	'postgres', qq{
	CREATE TABLE images (kind text PRIMARY KEY, img bytea);
	ALTER TABLE images ALTER img SET STORAGE EXTERNAL;
	INSERT INTO images VALUES ('right', $right), ('left', $left), ('noise', $noise)});
my $session = VamhashTest::Session->new($node);

# A query for hash_query: rows with right and left in turn, and others in the places of some.
sub rows_query
{
	my ($count, %others) = @_;
	my $others = join '', map { "WHEN $_ THEN $others{$_} " } sort keys %others;
	$others = "WHEN 0 THEN ''" if $others eq '';
	return "SELECT i, CASE i $others ELSE (SELECT img FROM images
		WHERE kind = CASE i % 2 WHEN 0 THEN 'right' ELSE 'left' END) END FROM generate_series(1, $count) i";
}

# What becomes of these rows: how many are right, and "key status message" of the others. Rows out of
# order, or hashes that are wrong, are told.
sub outcome
{
	my ($count, %others) = @_;
	return summary_of("hash_query(\$q\$@{[ rows_query($count, %others) ]}\$q\$)");
}

sub summary_of
{
	my ($rows) = @_;
	return qq{SELECT count(*) FILTER (WHERE status = 'ok' AND key = n
			AND dhash = CASE key % 2 WHEN 0 THEN '$right_dhash' ELSE '$left_dhash' END::phash64),
			string_agg(key || ' ' || status || ' ' || message, E'\n' ORDER BY n)
				FILTER (WHERE status <> 'ok' AND key = n),
			count(*)
		FROM (SELECT row_number() OVER () AS n, r.* FROM $rows r) r};
}

# A counter of the session.
sub counter
{
	my ($name) = @_;
	return $session->value("SELECT value FROM vamhash_stat WHERE name = '$name'");
}

is($session->value(outcome(100)), '100||100', 'images that are as they should be');

# Images that the engine dies of.
{
	my $failures = counter('total_engine_failures');
	is( $session->value(outcome(300, 150 => misdeed('crash'))),
		"299|150 crashed the engine process ended while it had the image alone: "
		  . "child process was terminated by signal 11: Segmentation fault|300",
		'an image that the engine dies of');
	is(counter('total_engine_failures') - $failures, 3,
		'the engine with all images, and two with that one alone');
	is(counter('last_restarts'), 3, 'as vamhash_stat tells');
	like(
		$session->value(outcome(1500, map { $_ => misdeed('abort') } 1, 2, 700, 1500)),
		qr/^1496\|1 crashed .* signal 6: Aborted\n2 crashed .*\n700 crashed .*\n1500 crashed .*\|1500$/,
		'several such, the first and the last among them');
	is($session->value(outcome(3)), '3||3', 'the session goes on');
}

# Images that take too long.
{
	$session->value(q{SET vamhash.image_timeout = '300ms'});
	my $kills = counter('total_engine_kills');
	my $timeout = 'timeout hashing the image took too long; "vamhash.image_timeout" is 300 ms';
	is( $session->value(outcome(300, 1 => misdeed('slow'), 150 => misdeed('slow'), 300 => misdeed('slow'))),
		"297|1 $timeout\n150 $timeout\n300 $timeout|300",
		'images that take for ever');
	is(counter('total_engine_kills') - $kills, 3, 'an engine for each was killed');
	# Not what waits for its turn, nor the time that the query takes.
	is( $session->value(
			summary_of("hash_query('SELECT i, img FROM generate_series(2, 8, 2) i,
				LATERAL (SELECT pg_sleep(0.15 * i / i)) s, images WHERE kind = ''right''')")),
		'0||4', 'a query that takes longer than an image may')
	  ;
	is( $session->value(
			"SELECT string_agg(status, ' ') FROM hash_query('SELECT i, img FROM generate_series(1, 4) i,
				LATERAL (SELECT pg_sleep(0.15 * i / i)) s, images WHERE kind = ''right''')"),
		'ok ok ok ok', 'each of its images is hashed');
	$session->value('RESET vamhash.image_timeout');
}

# Images larger than all that is kept of others: in many frames, with others before and after them.
my $large = write_file(PostgreSQL::Test::Utils::tempdir() . '/large.png', rising_png() . "\0" x 70_000_000);
{
	my @others = map { $_ => "pg_read_binary_file('$large')" } 4, 10, 12;
	is($session->value(outcome(20, @others)), '20||20', 'images of 70 MB');
}

# Memory: what does not fit together is hashed one by one, and only what does not fit alone is refused.
SKIP:
{
	skip 'a sanitizer keeps memory of its own', 4 if $ENV{VAMHASH_SANITIZED};
	$session->value(q{SET vamhash.image_memory_limit = '120MB'; SET vamhash.threads = 4});
	is( $session->value("SELECT string_agg(status || ' ' || message, ', ') FROM hash_images(ARRAY["
			  . join(', ', map { misdeed("memory $_") } (70) x 8) . '])'),
		join(', ', ('corrupt done') x 8),
		'eight images that fit in the memory one at a time');
	is( $session->value(outcome(40, 20 => misdeed('memory 200'))),
		'39|20 out_of_memory out of memory|40',
		'an image that does not');
	is(counter('last_restarts'), 0, 'no engine dies of it');
	$session->value(q{SET vamhash.image_memory_limit = '50MB'});
	is( $session->value(outcome(20, 10 => "pg_read_binary_file('$large')")),
		'19|10 out_of_memory out of memory|20',
		'an image whose bytes alone do not');
	$session->value('RESET vamhash.image_memory_limit; RESET vamhash.threads');
}

# Engines that somebody kills: nothing is lost. They are killed in the middle of a request, which is
# when they have more threads than one.
{
	my $kills = 0;
	$session->begin(
		"SELECT count(*), count(*) FILTER (WHERE status = 'ok'), count(DISTINCT dhash),
			bool_and(key = n) FROM (SELECT row_number() OVER () AS n, h.* FROM hash_query(
			'SELECT i, img FROM generate_series(1, 3000) i, images WHERE kind = ''noise''') h) h");
	until ($session->{err} =~ /end of statements/)
	{
		my ($engine) = engines_of($session->pid, 'decode');
		my $status = eval { process_status($engine) } if defined $engine;
		$kills += kill((qw(KILL SEGV TERM))[ rand 3 ], $engine)
		  if $kills < 12 && $status && ($status->{Threads} || 0) > 1;
		usleep(60_000);
		$session->{run}->pump_nb;
	}
	my ($out, $err) = $session->end;
	is($err, '', "$kills engines killed: no error");
	is($out, '3000|3000|1|t', 'and no row is lost');
	cmp_ok($kills, '>', 2, 'they were killed on the way');
}

# Cancelled: at once, and with the engine.
{
	$session->begin(outcome(100, map { $_ => misdeed('slow') } 50, 51));
	ok( wait_for(
			sub {
				my ($engine) = engines_of($session->pid, 'decode');
				return $engine && (process_status($engine)->{Threads} || 0) > 1;
			}),
		'a call that takes for ever');
	my ($engine) = engines_of($session->pid, 'decode');
	$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $session->pid . ')');
	my (undef, $err) = $session->end;
	like($err, qr/57014: canceling statement due to user request/, 'is cancelled');
	ok(wait_for(sub { process_ended($engine) }), 'and its engine ends');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM vamhash_progress'), '0', 'and its job');
	is($session->value(outcome(3)), '3||3', 'the session goes on');
}

# Memory does not grow with the images, of which those beyond the first 60 MB take 120 MB: only what
# is under way at once, up to 48 MB, may be more in one run than in the other. The rows go to a file.
SKIP:
{
	skip 'a sanitizer keeps memory of its own', 4 if $ENV{VAMHASH_SANITIZED};
	my %peak;
	foreach my $count (1500, 4500)
	{
		my $fresh = VamhashTest::Session->new($node);
		my $plan = $fresh->value(
			"SET work_mem = '64kB'; SET vamhash.threads = 2; EXPLAIN (ANALYZE, BUFFERS, COSTS off, TIMING off, SUMMARY off)
			SELECT * FROM hash_query('SELECT i, img FROM generate_series(1, $count) i, images WHERE kind = ''noise''')");
		# 18 writes rows with two decimals.
		like($plan, qr/rows=$count(?:\.00)? .*temp read=\d+ written=\d+/s, "$count rows that go to a file");
		$peak{$count} = [ map { process_status($_)->{VmHWM} =~ /(\d+)/ } $fresh->pid,
			engines_of($fresh->pid, 'decode') ];
		$fresh->quit;
	}
	foreach my $which (0, 1)
	{
		my ($few, $many) = map { $peak{$_}->[$which] / 1024 } 1500, 4500;
		cmp_ok($many - $few, '<', 64,
			sprintf('%s: %.0f MB after 1,500 images, %.0f MB after 4,500', (qw(backend engine))[$which], $few, $many));
	}
}

# Files.
my $folder = PostgreSQL::Test::Utils::tempdir();
my $picture = write_file("$folder/picture.png", rising_png());
my $other = write_file("$folder/other.png", falling_png());

# "status" or "status message" of each of these files, a line each.
sub files
{
	my (@paths) = @_;
	return $session->value("SELECT concat_ws(' ', status, message) FROM hash_image_files(ARRAY["
		  . join(', ', map { "'$_'" } @paths) . "])");
}

{
	files($picture); # for the engines to be there
	my $before = lasting_descriptors($session->pid);
	POSIX::mkfifo("$folder/fifo", 0600) or die "mkfifo: $!";
	socket(my $socket, PF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
	bind($socket, pack_sockaddr_un("$folder/socket")) or die "bind: $!";
	symlink "$folder/loop", "$folder/loop";
	write_file("$folder/secret.png", rising_png());
	chmod 0, "$folder/secret.png";
	write_file("$folder/empty", '');
	write_file("$folder/text", "no image\n");
	open my $sparse, '>', "$folder/sparse" or die "open: $!";
	truncate $sparse, 3_000_000_000;
	close $sparse;
	is( files(
			$picture, "$folder/missing", "$picture/below", $folder, "$folder/fifo", "$folder/socket",
			"$folder/loop", '/dev/zero', "$folder/secret.png", "$folder/empty", "$folder/text",
			"$folder/sparse", '/proc/self/status', $other),
		join("\n",
			'ok',
			"not_found could not open image file \"$folder/missing\": No such file or directory",
			"not_found could not open image file \"$picture/below\": Not a directory",
			"unreadable \"$folder\" is a directory",
			"unreadable \"$folder/fifo\" is not a regular file",
			"unreadable \"$folder/socket\" is a socket",
			"not_found could not open image file \"$folder/loop\": Too many levels of symbolic links",
			'unreadable "/dev/zero" is not a regular file',
			"denied could not open image file \"$folder/secret.png\": Permission denied",
			'truncated image is empty',
			'unsupported not a recognised image format',
			'too_large image is too large: 3000000000 bytes; "vamhash.max_image_bytes" is 536870912',
			'unreadable image file "/proc/self/status" changed while it was read',
			'ok'),
		'files of all kinds');
	is(lasting_descriptors($session->pid), $before, 'no descriptor stays open');

	# Relative paths, and any letters, as for one file.
	write_file($node->data_dir . '/inside.png', falling_png());
	write_file("$folder/b\xc3\xa4ren's \xe7\x86\x8a.png", rising_png());
	is( $session->value(
			"SELECT string_agg(dhash::text, ' ') FROM hash_image_files(ARRAY['inside.png', '$folder/b\xc3\xa4ren''s \xe7\x86\x8a.png'])"),
		"$left_dhash $right_dhash", 'a relative path, and letters beyond ASCII');
}

# More files than are open at once, by a query; some of them the engine dies of.
{
	my $crash = write_file("$folder/crash", "MISBEHAVE\ncrash");
	my $query = sub {
		my ($crashing) = @_;
		return summary_of("hash_query(\$q\$SELECT i, CASE WHEN i = ANY('$crashing') THEN '$crash'
			WHEN i % 2 = 0 THEN '$picture' ELSE '$other' END FROM generate_series(1, 1500) i\$q\$)");
	};
	is($session->value($query->('{}')), '1500||1500', 'more files than are open at once');
	my ($engine) = engines_of($session->pid, 'decode');
	is(scalar(keys %{ descriptors($engine) }), 4, 'the engine closes them');
	like($session->value($query->('{1, 800}')),
		qr/^1498\|1 crashed .*\n800 crashed .*\|1500$/, 'files that the engine dies of');
}

# A file that gets shorter while the engine has it open. It is not read before the one before it, which
# takes all the room that there is for reading ahead, is hashed.
{
	my $first = write_file("$folder/first.png", huge_png() . "\0" x 60_000_000);
	my $second = write_file("$folder/second.png", noise_png(400));
	$session->begin("SET vamhash.threads = 1; SELECT concat_ws(' ', status, message)
		FROM hash_image_files(ARRAY['$first', '$second', '$picture'])");
	ok( wait_for(
			sub {
				my ($engine) = engines_of($session->pid, 'decode');
				return $engine && grep { ($_ || '') eq $second } values %{ descriptors($engine) };
			}),
		'an engine with a file that it does not read yet');
	truncate $second, 1000;
	my ($out) = $session->end;
	is($out, "ok\nunreadable image file \"$second\" changed while it was read\nok",
		'a file that gets shorter');
	$session->value('RESET vamhash.threads');
}

# Who may: the right is looked at when the call begins.
{
	$node->safe_psql('postgres', 'CREATE ROLE member LOGIN; GRANT pg_read_server_files TO member');
	my $member = VamhashTest::Session->new($node, user => 'member');
	is($member->value("SELECT dhash FROM hash_image_files(ARRAY['$picture'])"), $right_dhash,
		'a member of pg_read_server_files');
	$node->safe_psql('postgres', 'REVOKE pg_read_server_files FROM member');
	like($member->error("SELECT * FROM hash_image_files(ARRAY['$picture'])"),
		qr/^42501: permission denied for function hash_image_files/, 'no longer a member');
	like($member->error("SELECT * FROM hash_query('SELECT 1, ''$folder/missing''')"),
		qr/^42501: permission denied to read server files\n/, 'hash_query refuses files, too');
	$member->quit;
}

# A hostile engine: a program that begins well and then does what the file `behaviour` says.
my $perl = $Config{perlpath};
my $hostile_engine = <<"END" . <<'END';
#!$perl
use lib '$FindBin::RealBin/lib';
END
use strict;
use warnings;

use EngineEnd;

my ($home) = $0 =~ m{^(.*)/};

# A record: number, status, hashed, message.
sub record
{
	my ($number, $status, $hashed, $message, $length, $size) = @_;
	$size = 9 unless defined $size;
	return pack('LSCxLx4Q5LLa8x32', $number, $status, $hashed, defined $length ? $length : length $message,
		(7) x 5, $size, 9, 'png')
	  . $message . "\0" x (-length($message) % 8);
}

sub images_done { return frame($DONE, $_[0], pack('QQddLL', $_[1], 2, 0, 0, 1, 0)) }

my $good = record(1, 0, 1, '');
my %behaviours = (
	honest => sub { give(frame($RESULT, $_[0], $good . record(0, 2, 0, 'bad'))) },
	'of an image not sent' => sub { give(frame($RESULT, $_[0], record(2, 0, 1, ''))) },
	'of an image long ago' => sub { give(frame($RESULT, $_[0], record(0xffffffff, 0, 1, ''))) },
	'twice' => sub { give(frame($RESULT, $_[0], $good . $good)) },
	'a status that is none' => sub { give(frame($RESULT, $_[0], record(1, 9, 0, 'what'))) },
	'a status of the backend' => sub { give(frame($RESULT, $_[0], record(1, 7, 0, 'late'))) },
	'an unreadable file' => sub { give(frame($RESULT, $_[0], record(1, 8, 0, 'which'))) },
	'fine without hashes' => sub { give(frame($RESULT, $_[0], record(1, 0, 0, ''))) },
	'fine but a message' => sub { give(frame($RESULT, $_[0], record(1, 0, 1, 'but'))) },
	'corrupt with hashes' => sub { give(frame($RESULT, $_[0], record(1, 2, 1, 'bad'))) },
	'half hashed' => sub { give(frame($RESULT, $_[0], record(1, 0, 2, ''))) },
	'of no size' => sub { give(frame($RESULT, $_[0], record(1, 0, 1, '', 0, 0))) },
	'a message that is no text' => sub { give(frame($RESULT, $_[0], record(1, 2, 0, "\xe9"))) },
	'a message that is too long' => sub { give(frame($RESULT, $_[0], record(1, 2, 0, 'x' x 500))) },
	'a message beyond the frame' => sub { give(frame($RESULT, $_[0], record(1, 2, 0, 'x', 100))) },
	'a message of gigabytes' => sub { give(frame($RESULT, $_[0], record(1, 2, 0, 'x', 0xffffffff))) },
	'a part of a record' => sub { give(frame($RESULT, $_[0], substr $good, 1)) },
	'a frame too long' => sub { give(frame($RESULT, $_[0], $good x 200)) },
	'another id' => sub { give(frame($RESULT, $_[0] + 1, $good)) },
	'DONE too early' => sub { give(images_done($_[0], 0)) },
	'a question' => sub { give(frame($ASK, $_[0], '')) },
	death => sub { exit 0 },
	nothing => sub { });

give(hello('0.1.0'));
while (1)
{
	my ($id, $seen) = (0, 0);
	while (1)
	{
		my (undef, $length, $operation, undef, $of) = unpack 'LLSSL', take(16);
		take($length);
		$id = $of;
		last if $operation == $END;
		next unless $operation == $IMAGE;
		open my $file, '<', "$home/behaviour" or exit 9;
		chomp(my $behaviour = <$file>);
		$behaviours{$behaviour}->($id) if ++$seen == 2 || $behaviour eq 'death';
	}
	give(images_done($id, length($good) + length record(0, 2, 0, 'bad')));
}
END

{
	install_engine($directory, $hostile_engine);
	my $hostile = VamhashTest::Session->new($node);
	my $call = "SELECT string_agg(concat_ws(' ', key, status, message), ', ') FROM hash_images(ARRAY['a'::bytea, 'b'])";
	my $behave = sub { write_file("$directory/behaviour", "$_[0]\n") };

	foreach my $case (
		[ 'of an image not sent', 'an answer about an image that was not sent' ],
		[ 'of an image long ago', 'an answer about an image that was not sent' ],
		[ 'twice', 'an answer about an image that was not sent' ],
		[ 'a status that is none', 'an image\'s status that cannot be' ],
		[ 'a status of the backend', 'an image\'s status that cannot be' ],
		[ 'an unreadable file', 'an image\'s status that cannot be' ],
		[ 'fine without hashes', 'an image\'s status that cannot be' ],
		[ 'fine but a message', 'an image\'s status that cannot be' ],
		[ 'corrupt with hashes', 'an image\'s status that cannot be' ],
		[ 'half hashed', 'an image\'s status that cannot be' ],
		[ 'of no size', 'an image without size or format' ],
		[ 'a message that is no text', 'a message that is not text' ],
		[ 'a message that is too long', 'a part of an image\'s record' ],
		[ 'a message beyond the frame', 'a part of an image\'s record' ],
		[ 'a message of gigabytes', 'a part of an image\'s record' ],
		[ 'a part of a record', 'a part of an image\'s record' ],
		[ 'a frame too long', 'a frame is too long' ],
		[ 'another id', 'answer to another request' ],
		[ 'DONE too early', 'DONE does not match the results|DONE before END|bytes after DONE' ],
		[ 'a question', 'unexpected operation' ])
	{
		my ($behaviour, $detail) = @$case;
		$behave->($behaviour);
		like($hostile->error($call),
			qr/^08P01: the vamhash engine \(decode\) sent an invalid reply\nDETAIL:  (?:$detail)\n/, $behaviour);
		is(scalar(engines_of($hostile->pid)), 0, "$behaviour: the engine is stopped");
	}
	$hostile->value(q{SET vamhash.image_timeout = '200ms'});
	$behave->('nothing');
	like(
		$hostile->value($call),
		qr/^1 timeout .*, 2 timeout /,
		'an engine that never answers');
	$behave->('honest');
	is($hostile->value($call), '1 corrupt bad, 2 ok', 'an honest answer, in another order');
	$hostile->value('RESET vamhash.image_timeout');
	$behave->('death');
	like(
		$hostile->value($call),
		qr/^1 crashed .* exit code 0, 2 crashed .* exit code 0$/,
		'an engine that ends with every image');
	is( $hostile->error(outcome(60)),
		"38000: the vamhash engine (decode) ended 101 times without an answer\n"
		  . "DETAIL:  child process exited with exit code 0\n",
		'but not with any number of them');
	$hostile->quit;
	install_engine($directory, "#!/bin/sh\nexit 0\n");
	my $fresh = VamhashTest::Session->new($node);
	like($fresh->error(outcome(3)), qr/^38000: the vamhash engine \(decode\) ended unexpectedly\n/,
		'an engine that does not begin');
	$fresh->quit;
	install_engine($directory, slurp_file($misbehaving));
}
is($session->value(outcome(3)), '3||3', 'the session goes on');
$session->quit;
$node->stop;

done_testing();
