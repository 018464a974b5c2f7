# Files of many images are opened by a process of their own, many at once. What may be read is what
# dhash_file() would read, with the same words for what may not. A file that takes long, or for ever,
# holds up what comes after it, but neither the opening of others nor a cancel; and the process may die,
# and say what it likes. The engine here is one of the tests' own, which opens files as their names say
# (tests/unit/misbehaving_open.cpp).

use strict;
use warnings;

use Config;
use FindBin;
use lib "$FindBin::RealBin/lib";

use File::Copy;
use POSIX ();
use Socket;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use VamhashTest;

my $misbehaving = misbehaving_engine();
plan skip_all => 'needs /proc' unless -r '/proc/self/stat';

my $directory = private_library();
install_engine($directory, slurp_file($misbehaving));
my $node = start_private_node('main', $directory);
my $session = VamhashTest::Session->new($node);

my $folder = PostgreSQL::Test::Utils::tempdir();
my $picture = write_file("$folder/picture.png", rising_png());

# An SQL array of paths.
sub array_of
{
	return 'ARRAY[' . join(', ', map { "'" . s/'/''/gr . "'" } @_) . ']::text[]';
}

# "status", "status message" or "ok dhash" of each of these files, a line each.
sub files_query
{
	my (@paths) = @_;
	return 'SELECT concat_ws(\' \', status, message, dhash) FROM hash_image_files(' . array_of(@paths) . ')';
}

sub files { return $session->value(files_query(@_)) }

sub counter
{
	my ($name) = @_;
	return $session->value("SELECT value FROM vamhash_stat WHERE name = '$name'");
}

# The process that opens.
sub opener_of { return (engines_of($_[0]->pid, 'open'))[0] }

# Where there is one.
$session->value("SELECT dhash_file('$picture'); SELECT * FROM hash_images(ARRAY[" . sql_bytea(rising_png()) . '])');
is(opener_of($session), undef, 'one file, or bytes, are opened without it');
is(files($picture), "ok $right_dhash", 'files');
my $opener = opener_of($session);
ok($opener, 'are opened by it');
is(files(($picture) x 2000), join("\n", ("ok $right_dhash") x 2000), 'more files than are open at once');
is(opener_of($session), $opener, 'by the same one');
is(scalar(grep { /^\// && !/^\/dev\/null$/ } values %{ descriptors($opener) }), 0, 'which closes them');
is(scalar(grep { ($_ || '') eq $picture } values %{ descriptors($session->pid) }), 0, 'as the backend does');

# What may be read: by whatever path and under whatever roots, as by dhash_file().
{
	my $data = $node->data_dir;
	my $root = "$folder/root";
	mkdir $_ or die "mkdir: $!" foreach $root, "$root/deep", "$folder/rooted", "$folder/out";
	write_file("$_/picture.png", rising_png()) foreach $root, "$root/deep", "$folder/rooted", "$folder/out";
	write_file("$data/inside.png", rising_png());
	symlink "$folder/out/picture.png", "$root/leads_out.png" or die "symlink: $!";
	symlink "$folder/out", "$root/out" or die "symlink: $!";
	symlink "$root/picture.png", "$folder/out/leads_in.png" or die "symlink: $!";
	symlink $root, "$folder/root_link" or die "symlink: $!";
	symlink "$root/loop", "$root/loop" or die "symlink: $!";
	foreach my $place ($root, "$folder/out")
	{
		POSIX::mkfifo("$place/fifo", 0600) or die "mkfifo: $!";
		socket(my $socket, PF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
		bind($socket, pack_sockaddr_un("$place/socket")) or die "bind: $!";
		write_file("$place/secret.png", rising_png());
		chmod 0, "$place/secret.png";
		open my $sparse, '>', "$place/sparse" or die "open: $!";
		truncate $sparse, 3_000_000_000;
		close $sparse;
	}
	# The longest path that there can be, and one that is longer.
	my $deep = $root;
	$deep .= '/' . 'd' x 200 while length $deep < 3800;
	mkpath($deep);
	my $longest = "$deep/" . 'l' x (4095 - 1 - length $deep);
	my $is_long = length($longest) - length($deep) - 1 <= 255;
	if ($is_long) { link "$root/picture.png", relative_name($longest) or die "link: $!" }
	my @paths = (
		"$root/picture.png", "$root/deep/picture.png", "$root/deep/../picture.png", "$root//picture.png",
		"$root/./deep/.././picture.png", "$folder/root_link/picture.png", "$folder/out/leads_in.png",
		"$folder/out/picture.png", "$folder/rooted/picture.png", "$root/../out/picture.png",
		"$root/leads_out.png", "$root/out/picture.png", "$data/inside.png", 'inside.png', './inside.png',
		'base/../inside.png', '../out/picture.png', '', '.', '/', $root, "$root/deep", "$root/deep/",
		"$root/picture.png/", "$root/picture.png/below", "$root/missing", "$folder/out/missing", 'missing',
		"$root/loop", '/dev/zero', '/dev/null', '/dev/tty', '/proc/self/environ', "/proc/$$/environ",
		(map { ("$root/$_", "$folder/out/$_") } 'fifo', 'socket', 'secret.png', 'sparse'),
		$longest, "${longest}l", "$root/" . 'n' x 300, 'r' x 5000, "$root/b\xc3\xa4r's \xe7\x86\x8a");
	$session->value(
		q{CREATE FUNCTION answer(path text) RETURNS text LANGUAGE plpgsql AS $$
		DECLARE
			detail text;
		BEGIN
			RETURN dhash_file(path);
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
			RETURN SQLERRM;
		END
		$$});
	foreach my $roots ('', $root, "$folder/root_link", "$folder/nowhere, $root/deep, $data", '/',
		"$folder/nowhere", '/dev, /proc')
	{
		$session->value("SET vamhash.image_roots = '$roots'");
		my $single = $session->value('SELECT answer(path) FROM unnest(' . array_of(@paths) . ') path');
		my $many = $session->value(
			q{SELECT coalesce(dhash::text, regexp_replace(message, '; "vamhash.max_image_bytes".*', ''))
			FROM hash_image_files(} . array_of(@paths) . ')');
		is($many, $single, "roots '$roots': as one by one");
		cmp_ok(scalar(() = $many =~ /^$right_dhash$/mg), '>', 3, 'some are read') if $roots =~ /root$|^$|^\/$/;
	}
	like($session->value("SET vamhash.image_roots = '$root'; " . files_query($longest)), qr/^ok $right_dhash$/,
		'the longest path')
	  if $is_long;

	# A link that is changed all the time leads outside never.
	write_file("$folder/out/other.png", falling_png());
	my $swapper = start_link_swapper("$root/swapped.png", "$root/picture.png", "$folder/out/other.png");
	wait_for(sub { -l "$root/swapped.png" });
	my $answers = $session->value("SELECT string_agg(DISTINCT concat_ws(' ', status, dhash), ', ')
		FROM hash_image_files(" . array_of(("$root/swapped.png") x 3000) . ')');
	kill 'KILL', $swapper;
	waitpid $swapper, 0;
	like($answers, qr/^(?:denied|denied, ok $right_dhash|ok $right_dhash)$/, 'a link that is changed all the time');

	# Where a root is may change in the middle of a call. Rows come until the first file is hashed. When it is
	# time to look where the root is again, there is one more, then the change, and the last one more than a
	# second later. Meanwhile nobody takes the answer of where the root was.
	$session->value(
		q{CREATE FUNCTION next_step(step int, change text) RETURNS int LANGUAGE plpgsql VOLATILE AS $$
		BEGIN
			IF step = 0 THEN
				PERFORM pg_sleep(0.02);
				RETURN count(*) FROM vamhash_progress WHERE pid = pg_backend_pid() AND done > 0;
			ELSIF step = 1 THEN
				PERFORM pg_sleep(1.1);
			ELSE
				EXECUTE change;
				PERFORM pg_sleep(1.5);
			END IF;
			RETURN step + 1;
		END
		$$});
	my $slowly = sub {
		my ($change) = @_;
		$change =~ s/'/''/g;
		return "SELECT concat_ws(' ', (array_agg(status ORDER BY key))[1], (array_agg(status ORDER BY key DESC))[1])
			FROM hash_query(\$q\$WITH RECURSIVE steps (i, step) AS (SELECT 1, 0 UNION ALL
				SELECT i + 1, next_step(step, '$change') FROM steps WHERE step < 3)
				SELECT i, '$root/picture.png' FROM steps\$q\$)";
	};
	symlink $root, "$folder/current" or die "symlink: $!";
	$session->value("SET vamhash.image_roots = '$folder/current'");
	is($session->value($slowly->('SELECT 1')), 'ok ok', 'a root that is a link');
	my $keeper = VamhashTest::Session->new($node);
	$keeper->value('SELECT pg_advisory_lock(1)');
	$session->begin($slowly->('SELECT pg_advisory_xact_lock(1)'));
	ok( $node->poll_query_until(
			'postgres', 'SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND pid = ' . $session->pid),
		'one file is hashed, and another one is asked for');
	symlink "$folder/out", "$folder/new" or die "symlink: $!";
	rename "$folder/new", "$folder/current" or die "rename: $!";
	$keeper->quit;
	is(($session->end)[0], 'ok denied', 'and leads elsewhere a second later');
	$session->value("SET vamhash.image_roots = '$root'");
	is($session->value($slowly->("SELECT set_config('vamhash.image_roots', '$folder/out', false)")),
		'ok denied', 'roots that the query changes');
	$session->value('RESET vamhash.image_roots');
}

# Makes a folder whose path is longer than mkdir takes by and by.
sub mkpath
{
	my ($path) = @_;
	my $made = '';
	foreach my $part (split /\//, $path)
	{
		$made .= "/$part" if $part ne '';
		mkdir $made or die "mkdir: $!" unless $made eq '' || -d $made;
	}
	return;
}

# A name for a file; all calls here take paths of 4095 bytes.
sub relative_name { return $_[0] }

# Files that take a while: the others are opened meanwhile.
link $picture, "$folder/SLOW-50-$_.png" or die "link: $!" foreach 1 .. 200;
{
	my @slow = map { "$folder/SLOW-50-$_.png" } 1 .. 200;
	my $seconds = seconds_of(sub { is(files(@slow), join("\n", ("ok $right_dhash") x 200), 'slow files') });
	cmp_ok($seconds, '<', 5, sprintf('of 10 s in all: %.1f s', $seconds));
	link $picture, "$folder/SLOW-1000.png";
	$seconds = seconds_of(
		sub {
			is(files("$folder/SLOW-1000.png", @slow[ 0 .. 40 ]),
				join("\n", ("ok $right_dhash") x 42), 'one that is slower');
		});
	cmp_ok($seconds, '<', 3, sprintf('of 3 s in all: %.1f s', $seconds));
}

# The process dies: others open what it had not.
{
	my ($kills, $killed) = (0, 0);
	$session->begin("SELECT string_agg(DISTINCT status || ' ' || dhash, ','), count(*), bool_and(key = n)
		FROM (SELECT row_number() OVER () AS n, f.* FROM hash_image_files("
		  . array_of(map { my $round = $_; map { "$folder/SLOW-50-$_.png" } 1 .. 200 } 1 .. 10) . ') f) f');
	until ($session->{err} =~ /end of statements/)
	{
		my $engine = opener_of($session);
		# On a busy machine the last one may not have ended yet.
		if ($kills < 8 && $engine && $engine != $killed && eval { process_status($engine)->{Threads} > 30 })
		{
			$kills += kill((qw(KILL SEGV TERM))[ rand 3 ], $engine);
			$killed = $engine;
		}
		usleep(70_000);
		$session->{run}->pump_nb;
	}
	my ($out, $err) = $session->end;
	is($err, '', "$kills processes that open killed: no error");
	is($out, "ok $right_dhash|2000|t", 'and no file is lost');
	cmp_ok($kills, '>', 2, 'they were killed on the way');
	is(counter('last_restarts'), $kills, 'as vamhash_stat tells');
}
is( $session->error(files_query(($picture) x 100, "$folder/CRASH", ($picture) x 100)),
	"38000: the vamhash engine (open) ended 4 times without an answer\n"
	  . "DETAIL:  child process was terminated by signal 6: Aborted\n",
	'a process that dies again and again');
is(files($picture), "ok $right_dhash", 'the next call works');

# A file that never gets open: a dead file server.
{
	my @paths = (($picture) x 3, "$folder/HANG", ($picture) x 500);
	my $open_here = sub {
		return scalar(grep { ($_ || '') eq $picture } values %{ descriptors($session->pid) });
	};
	my $hangs = sub {
		my $engine = opener_of($session);
		return $engine && $open_here->() > 40;
	};
	foreach my $end ('cancel', 'timeout', 'terminate')
	{
		my $fresh = VamhashTest::Session->new($node);
		$fresh->value(files_query($picture));
		($session, $fresh) = ($fresh, $session);
		$session->begin("SET statement_timeout = '@{[ $end eq 'timeout' ? 3 : 0 ]}s';" . files_query(@paths));
		ok(wait_for($hangs, 20), "$end: a file that hangs, and others that are open");
		cmp_ok($open_here->(), '<', 64, "$end: not all of them");
		my @engines = engines_of($session->pid);
		my $begun = time();
		my $err;
		if ($end eq 'terminate')
		{
			$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . $session->pid . ')');
			like($session->lost, qr/57P01/, 'terminate: the backend ends');
		}
		else
		{
			$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $session->pid . ')') if $end eq 'cancel';
			(undef, $err) = $session->end;
			like($err, qr/57014: canceling statement/, "$end: the call ends");
			is($open_here->(), 0, "$end: no file is left open");
			is($session->value("SET statement_timeout = 0; " . files_query($picture)),
				"ok $right_dhash", "$end: the next call works");
		}
		cmp_ok(time() - $begun, '<', 5, "$end: soon");
		ok(wait_for(sub { !grep { !process_ended($_) } @engines }, 20), "$end: its processes are gone");
		$session->quit unless $end eq 'terminate';
		$session = $fresh;
	}
	$session->value(q{SET vamhash.image_timeout = '500ms'});
	my $kills = counter('total_engine_kills');
	my @answers = split /\n/, files(@paths, "$folder/HANG2", $picture);
	is(scalar(grep { $_ eq "ok $right_dhash" } @answers), 504, 'with a limit of time, the others are read');
	is($answers[$_], 'timeout opening the file took too long; "vamhash.image_timeout" is 500 ms', "row $_")
	  foreach 3, 504;
	is(counter('total_engine_kills') - $kills, 2, 'a process for each was killed');
	$session->value('RESET vamhash.image_timeout');
}

# Few descriptors.
{
	my $poor = start_private_node('poor', $directory, 'max_files_per_process = 90');
	my $of_poor = VamhashTest::Session->new($poor);
	is($of_poor->value(files_query(($picture) x 500)), join("\n", ("ok $right_dhash") x 500),
		'a server of few descriptors');
	like($of_poor->error("SELECT count(*) FROM hash_query('SELECT i, ''$picture'' FROM generate_series(1, 500) i
			WHERE (SELECT count(*) FROM hash_image_files(ARRAY[''$picture''])) > 0 AND 1 / (400 - i) < 9')"),
		qr/^22012: division by zero/, 'an error in the middle');
	is(scalar(grep { ($_ || '') eq $picture } values %{ descriptors($of_poor->pid) }), 0, 'no file is left open');
	is($of_poor->value(files_query(($picture) x 500)), join("\n", ("ok $right_dhash") x 500), 'the next call works');
	$of_poor->quit;
	$poor->stop;
}

# A process that says what it likes: one that opens; to decode it is the engine of the tests' own.
my $perl = $Config{perlpath};
copy($misbehaving, "$directory/real") or die "could not copy $misbehaving: $!";
chmod 0755, "$directory/real";
my $hostile_engine = <<"END" . <<'END';
#!$perl
use lib '$FindBin::RealBin/lib';
exec '$directory/real', \@ARGV if \$ARGV[0] ne 'open';
END
use strict;
use warnings;

use EngineEnd;

my ($home) = $0 =~ m{^(.*)/};
sub record { return pack 'LL', @_ }

# What to do, given the id of the request and the number of the path.
my %behaviours = (
	honest => sub { give(frame($RESULT, $_[0], record($_[1], 2))) },
	'a path not sent' => sub { give(frame($RESULT, $_[0], record(7, 2))) },
	'no path' => sub { give(frame($RESULT, $_[0], record(0xffffffff, 2))) },
	twice => sub { give(frame($RESULT, $_[0], record($_[1], 2) x 2)) },
	'a file that did not come' => sub { give(frame($RESULT, $_[0], record($_[1], 0))) },
	'a part' => sub { give(frame($RESULT, $_[0], substr record($_[1], 2), 1)) },
	'an error that cannot be' => sub { give(frame($RESULT, $_[0], record($_[1], 4096))) },
	'DONE too early' => sub { give(done($_[0], 0)) },
	'another id' => sub { give(frame($RESULT, $_[0] + 1, record($_[1], 2))) },
	'a question' => sub { give(frame($ASK, $_[0], '')) },
	death => sub { exit 0 });

give(hello('0.1.0'));
while (1)
{
	my ($id, $results) = (0, 0);
	while (1)
	{
		my (undef, $length, $operation, undef, $of) = unpack 'LLSSL', take(16);
		my $payload = take($length);
		$id = $of;
		last if $operation == $END;
		next unless $operation == $PATH;
		open my $file, '<', "$home/behaviour" or exit 9;
		chomp(my $behaviour = <$file>);
		$behaviours{$behaviour}->($id, unpack 'L', $payload);
		$results += 8;
	}
	give(done($id, $results));
}
END
{
	install_engine($directory, $hostile_engine);
	my $hostile = VamhashTest::Session->new($node);
	my $call = files_query($picture);
	my $behave = sub { write_file("$directory/behaviour", "$_[0]\n") };

	foreach my $case (
		[ 'a path not sent', 'an answer about a path that was not sent' ],
		[ 'no path', 'an answer about a path that was not sent' ],
		[ 'twice', 'an answer about a path that was not sent' ],
		[ 'a file that did not come', 'an open file that did not come' ],
		[ 'a part', 'a part of an answer about a path' ],
		[ 'an error that cannot be', 'an error of opening a file that cannot be' ],
		[ 'DONE too early', 'DONE before END' ],
		[ 'another id', 'answer to another request' ],
		[ 'a question', 'unexpected operation' ])
	{
		my ($behaviour, $detail) = @$case;
		$behave->($behaviour);
		like($hostile->error($call),
			qr/^08P01: the vamhash engine \(open\) sent an invalid reply\nDETAIL:  $detail\n/, $behaviour);
		is(scalar(engines_of($hostile->pid)), 0, "$behaviour: it is stopped");
	}
	$behave->('honest');
	like($hostile->value($call), qr/^not_found could not open image file .*: No such file or directory$/,
		'an honest answer');
	$behave->('death');
	like($hostile->error($call), qr/^38000: the vamhash engine \(open\) ended 4 times without an answer\n/,
		'one that ends');
	$hostile->quit;
	install_engine($directory, slurp_file($misbehaving));
}
is(files($picture), "ok $right_dhash", 'the session goes on');
$opener = opener_of($session);
$session->quit;
ok(wait_for(sub { process_ended($opener) }, 20), 'the process ends with its session');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|terminating any other active|sandbox of the vamhash engine \(open\)/,
	'nothing else in the log');

done_testing();
