# An engine that dies, hangs, is missing, runs out of memory or speaks the protocol wrongly costs one
# call a clear ERROR; the next call works; there is never a wrong answer, and never a crash.

use strict;
use warnings;

use Config;
use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use VamhashTest;

plan skip_all => 'needs /proc' unless -r '/proc/self/stat';

my $dhash = q{SELECT dhash(img) FROM pictures WHERE name = 'right'};
my $join = q{SELECT string_agg(a || '-' || b, ' ' ORDER BY a, b) FROM
	similar_pairs('SELECT g, (g / 2)::bigint::phash64 FROM generate_series(1, 6) g', 0)};
my $joined = '2-3 4-5';

my $directory = private_library();
my $engine_file = "$directory/vamhash-engine";
my $good_engine = slurp_file($engine_file);
my $node = start_private_node('main', $directory);
picture_table($node);
create_hashes($node);

# Kills a session's idle engines; returns when they are dead, so that the next call must notice.
sub kill_engines
{
	my ($signal, $of) = @_;
	kill $signal, engines_of($of->pid);
	wait_for(sub { !grep { process_stat($_)->{state} ne 'Z' } engines_of($of->pid) })
	  or die 'an engine did not die';
	return;
}

my $session = VamhashTest::Session->new($node);
is($session->value("$dhash; $join"), "$right_dhash\n$joined", 'the engine works');

# Killed at random moments, idle or busy.
srand(7);
{
	my ($kills, $errors, $answers, $wrong) = (0, 0, 0, 0);
	while ($kills < 120)
	{
		$session->begin(
			join "\n",
			map { "SELECT 'd', dhash(img) FROM pictures WHERE name = 'right';
				   SELECT 'd', dhash(img) FROM pictures WHERE name = 'left';
				   SELECT 'j', string_agg(a || '-' || b, ' ' ORDER BY a, b) FROM
					similar_pairs('SELECT g, (g / 2)::bigint::phash64 FROM generate_series(1, 6) g', 0);
				   SELECT 'h', dhash(img) FROM pictures WHERE name = 'huge' AND $_ % 5 = 0;
				   SELECT 's', count(*) FROM similar_pairs('SELECT i, h FROM hashes LIMIT 20000', 0);" }
			  1 .. 10);
		until ($session->{err} =~ /end of statements/)
		{
			my @engines = engines_of($session->pid);
			$kills += kill((qw(KILL SEGV ABRT TERM))[ rand 4 ], $engines[ rand @engines ]) if @engines;
			usleep(rand 20_000);
			$session->{run}->pump_nb;
		}
		my ($out, $err) = $session->end;
		foreach (split /\n/, $err)
		{
			next unless /ERROR:/;
			if (/38000: the vamhash engine \((decode|compute)\) ended unexpectedly/) { $errors++ }
			else { $wrong++; diag $_ }
		}
		foreach (split /\n/, $out)
		{
			if (/^[dh]\|$right_dhash$|^d\|$left_dhash$|^j\|$joined$|^s\|0$/) { $answers++ }
			else { $wrong++; diag $_ }
		}
	}
	cmp_ok($errors, '>', 20, "$kills engines killed: $errors errors, $answers answers");
	cmp_ok($errors, '<=', $kills, 'at most one error for each');
	is($wrong, 0, 'no other error, no wrong answer');
	is($session->value("SELECT pg_backend_pid(); $dhash; $join"),
		join("\n", $session->pid, $right_dhash, $joined), 'the session goes on');
}

# How an engine ended is told.
foreach my $case (
	[ 'KILL', 'child process was terminated by signal 9: Killed' ],
	[ 'SEGV', 'child process was terminated by signal 11: Segmentation fault' ])
{
	my ($signal, $detail) = @$case;
	kill $signal, $session->begin_join;
	my (undef, $err) = $session->end;
	is( VamhashTest::Session::tidy($err),
		"38000: the vamhash engine (compute) ended unexpectedly\n"
		  . "DETAIL:  $detail\nHINT:  The next call starts a new one.\n",
		"SIG$signal while it works");
	is($session->value($join), $joined, 'the next call works');
	kill_engines($signal, $session);
	is($session->value("$dhash; $join"), "$right_dhash\n$joined", "SIG$signal while it waits");
}

# Stopped: the call waits, and can be cancelled.
foreach my $busy (0, 1)
{
	my ($engine) = $busy ? $session->begin_join : engines_of($session->pid, 'compute');
	kill 'STOP', $engine;
	if ($busy)
	{
		$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $session->pid . ')');
		my (undef, $err) = $session->end;
		like($err, qr/57014: canceling statement due to user request/, 'stopped while it works');
	}
	else
	{
		like($session->error("SET statement_timeout = 100; $join"),
			qr/^57014: canceling statement due to statement timeout/, 'stopped while it waits');
		$session->value('RESET statement_timeout');
	}
	ok(process_ended($engine), 'the stopped engine was killed');
	is($session->value($join), $joined, 'the next call works');
}

# Not there, not executable, not an engine. An engine that runs is not affected.
my $lone = VamhashTest::Session->new($node);
$lone->value($dhash);
my $descriptors = lasting_descriptors($lone->pid);
unlink $engine_file;
is($lone->value($dhash), $right_dhash, 'an engine removed while it runs');
kill_engines('KILL', $lone);
like(
	$lone->error($dhash),
	qr/^38000: could not start the vamhash engine "\Q$engine_file\E": No such file or directory\nHINT:  /,
	'no engine');
# More often than a session may have descriptors: none is lost.
my (undef, $err) = $lone->query(join '', ("$dhash;\n") x 1000);
is(scalar(() = $err =~ /ERROR:  38000: could not start the vamhash engine/g),
	1000, 'no engine, 1000 times: the same error');
foreach my $case (
	[ 'not executable', $good_engine, 0644, qr/could not start the vamhash engine .*: Permission denied\n/ ],
	[ 'an empty file', '', 0755, qr/could not start the vamhash engine .*: Exec format error\n/ ],
	[ 'no program', "garbage\n", 0755, qr/could not start the vamhash engine .*: Exec format error\n/ ],
	[ 'a script whose interpreter is missing', "#!/nonexistent\n", 0755,
		qr/could not start the vamhash engine .*: No such file or directory\n/ ],
	[ 'one that ends', "#!/bin/sh\nexit 0\n", 0755,
		qr/ended unexpectedly\nDETAIL:  child process exited with exit code 0\n/ ],
	[ 'one that writes nonsense', "#!/bin/sh\ncat /proc/self/status >&3\n", 0755,
		qr/sent an invalid reply\nDETAIL:  bad magic number\n/, '08P01' ],
	[ 'one that writes half a header', "#!/bin/sh\nprintf 'VMH1....' >&3\n", 0755,
		qr/ended unexpectedly\nDETAIL:  child process exited with exit code 0\n/ ],
	[ 'one that closes its socket and stays', "#!/bin/sh\nexec 3>&-\nexec sleep 60\n", 0755,
		qr/ended unexpectedly\nDETAIL:  Its exit status is not known.\n/ ])
{
	my ($what, $content, $mode, $error, $sqlstate) = @$case;
	$sqlstate = '38000' unless defined $sqlstate;
	install_engine($directory, $content, $mode);
	like($lone->error($dhash), qr/^$sqlstate: the vamhash engine \(decode\) $error|^$sqlstate: $error/, $what);
	is(scalar(engines_of($lone->pid)), 0, "$what: no process left");
}
is(lasting_descriptors($lone->pid), $descriptors - 1,
	'no descriptor is left of those of engines');
# One that is killed at its start is started again, but not for ever.
mkdir "$directory/real";
chmod 0755, write_file("$directory/real/vamhash-engine", $good_engine);
foreach my $killed (2, 1000)
{
	install_engine($directory,
		"#!/bin/sh\necho >>$directory/starts\n[ \$(wc -l <$directory/starts) -gt $killed ] || kill -KILL \$\$\n"
		  . "exec $directory/real/vamhash-engine \"\$@\"\n");
	foreach my $case ([ 'decode', $dhash, $right_dhash ], [ 'compute', $join, $joined ])
	{
		my ($role, $sql, $answer) = @$case;
		unlink "$directory/starts";
		if ($killed == 2) { is($lone->value($sql), $answer, "$role: killed at its first two starts, it works") }
		else
		{
			like($lone->error($sql),
				qr/^38000: the vamhash engine \($role\) ended unexpectedly\nDETAIL:  child process was terminated by signal 9/,
				"$role: killed at every start, it is an error");
		}
		is(-s "$directory/starts", 3, 'after three starts');
	}
	is(scalar(engines_of($lone->pid)), $killed == 2 ? 2 : 0, 'no other process is left');
	kill_engines('KILL', $lone);
}
is(lasting_descriptors($lone->pid), $descriptors - 1, 'nor a descriptor');
install_engine($directory, $good_engine);
is($lone->value($dhash), $right_dhash, 'put back, it works');
$lone->quit;

# A hostile engine: a program that says the first half of the protocol well and then does what the
# file `behaviour` says.
my $perl = $Config{perlpath};
my $hostile_engine = <<"END" . <<'END';
#!$perl
use lib '$FindBin::RealBin/lib';
END
use strict;
use warnings;

use EngineEnd;

my ($home) = $0 =~ m{^(.*)/};

# Rows that are similar to others, and members of groups: row, group, size, distance, diameter,
# is_center.
sub rows { return join '', map { pack('LL', $_, 0) } @_ }
sub member { return pack('LLLCCCx', @_) }

# The beginning of an answer with groups: rows 0, 1, 3, 4 and 5, for which it takes the ranks.
sub ask
{
	my ($id) = @_;
	give(frame($RESULT, $id, rows(0, 1, 3, 4, 5)), frame($ASK, $id, ''));
	my ($operation, $length);
	do
	{
		(undef, $length, $operation) = unpack 'LLS', take(16);
		take($length);
	} until ($operation == $END);
}

# An answer with these members.
sub groups
{
	my ($id, @members) = @_;
	ask($id);
	return frame($RESULT, $id, join '', @members), joined($id, 40 + 16 * @members);
}
sub hashes { my $size = shift; return pack('Q5LLa8', (0) x 5, $size, $size, @_) }
sub pair { return pack('LLCx3', @_) }

# What to do, given the id of the request.
my $hashes = hashes(9, 'png');
my $n = length $hashes;
my %behaviours = (
	honest => sub { frame($RESULT, $_[0], $hashes), done($_[0], $n) },
	'bad magic' => sub { pack('LLSSL', 1, 0, $DONE, 0, $_[0]) },
	'wrong id' => sub { frame($RESULT, $_[0] + 1, $hashes) },
	'too long' => sub { pack('LLSSL', $MAGIC, 1048577, $RESULT, 0, $_[0]) },
	'unknown operation' => sub { frame(99, $_[0], '') },
	'a request' => sub { frame($DATA, $_[0], $hashes) },
	'HELLO again' => sub { hello('0.1.0') },
	'error not UTF-8' => sub { frame($ERROR, $_[0], "caf\xe9", 2) },
	'error with a zero byte' => sub { frame($ERROR, $_[0], "a\0b", 2) },
	'error too long' => sub { frame($ERROR, $_[0], 'x' x 1001, 2) },
	'bytes after ERROR' => sub { frame($ERROR, $_[0], 'bad', 2), done($_[0] + 1, 0) },
	'error of no known kind' => sub { frame($ERROR, $_[0], "50 %s \xe2\x82\xac", 999) },
	'error without words' => sub { frame($ERROR, $_[0], '', 101) },
	'short result' => sub { frame($RESULT, $_[0], substr $hashes, 1) },
	'long result' => sub { frame($RESULT, $_[0], $hashes . "\0") },
	'no result' => sub { done($_[0], 0) },
	'two results' => sub { (frame($RESULT, $_[0], $hashes)) x 2, done($_[0], 2 * $n) },
	'DONE too short' => sub { frame($RESULT, $_[0], $hashes), frame($DONE, $_[0], '') },
	'DONE that does not match' => sub { frame($RESULT, $_[0], $hashes), done($_[0], $n + 1) },
	'bytes after DONE' => sub { frame($RESULT, $_[0], $hashes), done($_[0], $n), "\0" },
	'an image of no size' => sub { frame($RESULT, $_[0], hashes(0, 'png')) },
	'an image of negative size' => sub { frame($RESULT, $_[0], hashes(0x80000000, 'png')) },
	'no format' => sub { frame($RESULT, $_[0], hashes(9, '')) },
	'a format that is no word' => sub { frame($RESULT, $_[0], hashes(9, "p'\x80")) },
	'a format without end' => sub { frame($RESULT, $_[0], hashes(9, 'pngpngpn')) },
	'half a frame' => sub { substr frame($RESULT, $_[0], $hashes), 0, 40 },
	'never' => sub { sleep 1000 },
	'half a frame, then never' => sub { give(substr frame($RESULT, $_[0], $hashes), 0, 40); sleep 1000 },
	'an answer, then never' => sub { give(frame($RESULT, $_[0], $hashes), done($_[0], $n)); sleep 1000 },
	'empty results without end' => sub { give(frame($RESULT, $_[0], '') x 1000) while 1 },
	'a row that is not there' => sub { frame($RESULT, $_[0], pair(0, 6, 0)) },
	'a row with itself' => sub { frame($RESULT, $_[0], pair(3, 3, 0)) },
	'rows in the wrong order' => sub { frame($RESULT, $_[0], pair(4, 3, 0)) },
	'a row far away' => sub { frame($RESULT, $_[0], pair(0, 0xffffffff, 0)) },
	'a distance too great' => sub { frame($RESULT, $_[0], pair(0, 1, 4)) },
	'a part of a pair' => sub { frame($RESULT, $_[0], pair(0, 1, 0) . 'x') },
	'pairs, then an error' => sub { frame($RESULT, $_[0], pair(0, 1, 0)), frame($ERROR, $_[0], 'enough', 101) },
	'pairs without end' => sub { give(frame($RESULT, $_[0], pair(0, 1, 0) x 1000)) while 1 },
	'an honest join' => sub {
		frame($PROGRESS, $_[0], progress(1, 0, 0, -1)), frame($RESULT, $_[0], pair(0, 1, 0)),
		  frame($PROGRESS, $_[0], progress(3, 1, 2, 1)), joined($_[0], 12);
	},
	'ASK in a join of pairs' => sub { frame($ASK, $_[0], '') },
	'ASK for an image' => sub { frame($ASK, $_[0], '') },
	'PROGRESS for an image' => sub { frame($PROGRESS, $_[0], progress(1, 0, 0, -1)) },
	'PROGRESS too short' => sub { frame($PROGRESS, $_[0], substr progress(1, 0, 0, -1), 1) },
	'PROGRESS in no phase' => sub { frame($PROGRESS, $_[0], progress(0, 0, 0, -1)) },
	'PROGRESS in an unknown phase' => sub { frame($PROGRESS, $_[0], progress(5, 0, 0, -1)) },
	'PROGRESS beyond the end' => sub { frame($PROGRESS, $_[0], progress(3, 8, 7, -1)) },
	'PROGRESS to no number' => sub { frame($PROGRESS, $_[0], progress(3, 1, 7, 9**9**9 / 9**9**9)) },
	'PROGRESS on a device without end' =>
	  sub { frame($PROGRESS, $_[0], progress(3, 1, 7, -1, 'x' x 128)) },
	'PROGRESS on a device that is no text' =>
	  sub { frame($PROGRESS, $_[0], progress(3, 1, 7, -1, "\e[2J")) },
	'PROGRESS without end' => sub { give(frame($PROGRESS, $_[0], progress(3, 1, 7, 1e300)) x 100) while 1 },
	'PROGRESS after DONE' => sub { joined($_[0], 0), frame($PROGRESS, $_[0], progress(3, 1, 7, -1)) },
	'DONE without a report' => sub { done($_[0], 0) },
	'DONE with a longer report' => sub { joined($_[0], 0, more => 'x') },
	'a report of other rows' => sub { joined($_[0], 0, rows => 7) },
	'a report without end' => sub { joined($_[0], 0, scheme => 'x' x 96) },
	'a report that is no text' => sub { joined($_[0], 0, isa => "\xe9") },
	'a report of no time' => sub { joined($_[0], 0, seconds => 9**9**9 / 9**9**9) },
	'a report of time before' => sub { joined($_[0], 0, seconds => -1) },
	'too many pairs' => sub { frame($ERROR, $_[0], "so many\nmostly 00", 103) },
	'no memory' => sub { frame($ERROR, $_[0], 'so large', 104) },
	'no method' => sub { frame($ERROR, $_[0], 'what is that', 105) },
	'honest groups' => sub {
		groups($_[0], member(0, 1, 2, 0, 1, 1), member(3, 1, 2, 1, 1, 0),
			member(4, 2, 3, 1, 2, 0), member(5, 2, 3, 0, 2, 1), member(1, 2, 3, 1, 2, 0));
	},
	'no groups' => sub { joined($_[0], 0) },
	'groups without ASK' => sub { frame($RESULT, $_[0], rows(0, 1)), joined($_[0], 16) },
	'ASK about nothing' => sub { frame($ASK, $_[0], '') },
	'ASK about one row' => sub { frame($RESULT, $_[0], rows(2)), frame($ASK, $_[0], '') },
	'ASK with words' => sub { frame($RESULT, $_[0], rows(0, 1)), frame($ASK, $_[0], 'please') },
	'ASK, and on without an answer' => sub {
		frame($RESULT, $_[0], rows(0, 1)), frame($ASK, $_[0], ''),
		  frame($RESULT, $_[0], member(0, 1, 2, 0, 0, 1));
	},
	'ASK, then never' => sub { give(frame($RESULT, $_[0], rows(0, 1)), frame($ASK, $_[0], '')); sleep 1000 },
	'ASK again' => sub { ask($_[0]); frame($ASK, $_[0], '') },
	'a part of a row' => sub { frame($RESULT, $_[0], rows(0, 1) . 'x') },
	'rows in no order' => sub { frame($RESULT, $_[0], rows(1, 0)) },
	'a row twice' => sub { frame($RESULT, $_[0], rows(0, 0)) },
	'a row twice in two frames' => sub { frame($RESULT, $_[0], rows(0, 1)), frame($RESULT, $_[0], rows(1, 2)) },
	'a row beyond the last' => sub { frame($RESULT, $_[0], rows(0, 6)) },
	'a part of a member' => sub { groups($_[0], 'x') },
	'a member that was not asked about' =>
	  sub { groups($_[0], member(0, 1, 2, 0, 0, 1), member(2, 1, 2, 0, 0, 0)) },
	'a member beyond the last row' => sub { groups($_[0], member(0xffffffff, 1, 2, 0, 0, 1)) },
	'a member twice' => sub { groups($_[0], member(0, 1, 2, 0, 0, 1), member(0, 1, 2, 0, 0, 0)) },
	'a member of two groups' => sub {
		groups($_[0], member(0, 1, 2, 0, 0, 1), member(3, 1, 2, 0, 0, 0),
			member(4, 2, 2, 0, 0, 1), member(3, 2, 2, 0, 0, 0));
	},
	'members in no order' => sub { groups($_[0], member(3, 1, 2, 0, 0, 1), member(0, 1, 2, 0, 0, 0)) },
	'a group numbered 0' => sub { groups($_[0], member(0, 0, 2, 0, 0, 1)) },
	'groups with a gap' => sub { groups($_[0], member(0, 2, 2, 0, 0, 1)) },
	'groups in no order' => sub {
		groups($_[0], member(3, 1, 2, 0, 0, 1), member(4, 1, 2, 0, 0, 0),
			member(0, 2, 2, 0, 0, 1), member(5, 2, 2, 0, 0, 0));
	},
	'a group of one' => sub { groups($_[0], member(0, 1, 1, 0, 0, 1)) },
	'a group of more rows than there are' => sub { groups($_[0], member(0, 1, 6, 0, 0, 1)) },
	'a group that ends too early' => sub {
		groups($_[0], member(0, 1, 3, 0, 0, 1), member(3, 1, 3, 0, 0, 0), member(4, 2, 2, 0, 0, 1));
	},
	'a group that ends too late' => sub {
		groups($_[0], member(0, 1, 2, 0, 0, 1), member(3, 1, 2, 0, 0, 0), member(4, 1, 2, 0, 0, 0));
	},
	'a last group that does not end' => sub { groups($_[0], member(0, 1, 2, 0, 0, 1)) },
	'a size that changes' => sub { groups($_[0], member(0, 1, 2, 0, 0, 1), member(3, 1, 3, 0, 0, 0)) },
	'a diameter that changes' => sub { groups($_[0], member(0, 1, 2, 0, 1, 1), member(3, 1, 2, 0, 0, 0)) },
	'no centre' => sub { groups($_[0], member(0, 1, 2, 0, 0, 0), member(3, 1, 2, 0, 0, 0)) },
	'two centres' => sub { groups($_[0], member(0, 1, 2, 0, 0, 1), member(3, 1, 2, 0, 0, 1)) },
	'a centre of another kind' => sub { groups($_[0], member(0, 1, 2, 0, 0, 2)) },
	'a centre far from itself' => sub { groups($_[0], member(0, 1, 2, 1, 1, 1)) },
	'a member too far away' => sub { groups($_[0], member(0, 1, 2, 4, 4, 0)) },
	'a member beyond the diameter' => sub { groups($_[0], member(0, 1, 2, 2, 1, 0)) },
	'a diameter too great' => sub { groups($_[0], member(0, 1, 2, 0, 7, 1)) },
	'groups, then an error' => sub { ask($_[0]); frame($ERROR, $_[0], 'enough', 101) },
);

open my $file, '<', "$home/behaviour" or exit 9;
my $behaviour = <$file>;
close $file;
sleep 1000 if $behaviour eq 'no HELLO';
give(
	hello($behaviour eq 'another version' ? '0.0.1' : '0.1.0'),
	$behaviour eq 'an answer before the question' ? (frame($RESULT, 1, $hashes), done(1, $n)) : ());
sleep 1000 if $behaviour eq 'deaf';
while (1)
{
	my ($operation, $id);
	do
	{
		(undef, my $length, $operation, undef, $id) = unpack 'LLSSL', take(16);
		take($length);
	} until ($operation == $END);
	give($behaviours{$behaviour}->($id));
	exit 0 if $behaviour eq 'half a frame';
}
END
my $version = $session->value('SELECT vamhash_version()');
$hostile_engine =~ s/0\.1\.0/$version/g;

# The error of the next call with a hostile engine; then it is replaced by the good one, and the call
# after that must work.
sub hostile
{
	my ($behaviour, $expected, $sql) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	write_file("$directory/behaviour", $behaviour);
	install_engine($directory, $hostile_engine);
	my $hostile = VamhashTest::Session->new($node);
	$hostile->value('SET statement_timeout = 300') if $expected =~ /57014/;
	like($hostile->error($sql || $dhash), $expected, "hostile engine: $behaviour");
	$hostile->value('RESET statement_timeout');
	install_engine($directory, $good_engine);
	# An engine that reported an error properly was kept.
	kill_engines('KILL', $hostile);
	is($hostile->value("$dhash; $join"), "$right_dhash\n$joined", 'the next call works');
	$hostile->quit;
	return;
}

write_file("$directory/behaviour", 'honest');
install_engine($directory, $hostile_engine);
{
	my $hostile = VamhashTest::Session->new($node);
	is($hostile->value($dhash), '0' x 16, 'the hostile engine can speak the protocol');
	my $six = 'SELECT (ARRAY[1, 8, 3, 4, 5, 6])[i], h FROM hashes WHERE i <= 6';
	foreach my $case (
		[ 'an honest join', "SELECT * FROM similar_pairs('$six', 3)", '1|8|0' ],
		[
			'honest groups',
			"SELECT * FROM similar_groups('$six', 3)",
			"1|1|t|0|2|1\n1|4|f|1|2|1\n2|5|f|1|3|2\n2|6|t|0|3|2\n2|8|f|1|3|2"
		],
		[ 'no groups', "SELECT * FROM similar_groups('$six', 3)", '' ])
	{
		my ($behaviour, $sql, $answer) = @$case;
		write_file("$directory/behaviour", $behaviour);
		kill_engines('KILL', $hostile);
		is($hostile->value($sql), $answer, "it can speak it: $behaviour");
	}
	$hostile->quit;
}

my $violation = sub {
	my ($what) = @_;
	my $hint = 'The engine was stopped; the next call starts a new one.';
	return
	  qr/^08P01: the vamhash engine \((decode|compute)\) sent an invalid reply\nDETAIL:  $what\nHINT:  $hint$/;
};
hostile('bad magic', $violation->('bad magic number'));
hostile('wrong id', $violation->('answer to another request'));
hostile('too long', $violation->('a frame is too long'));
hostile('unknown operation', $violation->('unexpected operation'));
hostile('a request', $violation->('unexpected operation'));
hostile('HELLO again', $violation->('answer to another request'));
hostile('an answer before the question', $violation->('bytes after HELLO'));
hostile('error not UTF-8', $violation->('an error message is not UTF-8'));
hostile('error with a zero byte', $violation->('an error message is not UTF-8'));
hostile('error too long', $violation->('an error message is too long'));
hostile('bytes after ERROR', $violation->('bytes after ERROR'));
hostile('error of no known kind', qr/^38000: 50 %s €$/);
hostile('error without words', qr/^38000: /);
hostile('short result', $violation->('expected the hashes of one image'));
hostile('long result', $violation->('expected the hashes of one image'));
hostile('two results', $violation->('expected DONE after the hashes of one image'));
hostile('DONE too short', $violation->('DONE has a wrong length'));
hostile('DONE that does not match', $violation->('DONE does not match the results'));
hostile('bytes after DONE', $violation->('bytes after DONE'));
hostile('an image of no size', $violation->('an image without size or format'));
hostile('an image of negative size', $violation->('an image without size or format'));
hostile('no format', $violation->('an image without size or format'));
hostile('a format that is no word', $violation->('an image format that is not a word'));
hostile('a format without end', $violation->('an image format that does not end'));
hostile('no result', $violation->('expected the hashes of one image'));
hostile('half a frame', qr/^38000: the vamhash engine \(decode\) ended unexpectedly\n/);
hostile('another version',
	qr/^38000: the installed vamhash engine is not of this version\nDETAIL:  The library is version \Q$version\E\.\n/);

my $timed_out = qr/^57014: canceling statement due to statement timeout$/;
hostile('no HELLO', $timed_out);
hostile('never', $timed_out);
hostile('half a frame, then never', $timed_out);
hostile('deaf', $timed_out, q{SELECT dhash(repeat('no image ', 1000000)::bytea)});

my $pairs = q{SELECT count(*) FROM similar_pairs('SELECT i, h FROM hashes LIMIT 6', 3)};
hostile('a row that is not there', $violation->('a pair of rows that are not there'), $pairs);
hostile('a row with itself', $violation->('a pair of rows that are not there'), $pairs);
hostile('rows in the wrong order', $violation->('a pair of rows that are not there'), $pairs);
hostile('a row far away', $violation->('a pair of rows that are not there'), $pairs);
hostile('a distance too great', $violation->('a pair beyond the distance asked for'), $pairs);
hostile('a part of a pair', $violation->('a part of a pair'), $pairs);
hostile('pairs, then an error', qr/^38000: enough$/, $pairs);
hostile('pairs without end', $violation->('more pairs than there are'), $pairs);
hostile('empty results without end', $timed_out, $pairs);

# Frames that only joins have.
hostile('ASK in a join of pairs', $violation->('unexpected operation'), $pairs);
hostile('ASK for an image', $violation->('expected the hashes of one image'));
hostile('PROGRESS for an image', $violation->('expected the hashes of one image'));
hostile('PROGRESS too short', $violation->('PROGRESS has a wrong length'), $pairs);
hostile("PROGRESS $_", $violation->('PROGRESS that cannot be'), $pairs)
  foreach 'in no phase', 'in an unknown phase', 'beyond the end', 'to no number',
  'on a device without end', 'on a device that is no text';
hostile('PROGRESS without end', $timed_out, $pairs);
hostile('PROGRESS after DONE', $violation->('bytes after DONE'), $pairs);
hostile("DONE $_", $violation->('DONE has a wrong length'), $pairs)
  foreach 'without a report', 'with a longer report';
hostile('a report of other rows', $violation->('a report of other rows'), $pairs);
hostile("a report $_", $violation->('a report that cannot be'), $pairs)
  foreach 'without end', 'that is no text', 'of no time', 'of time before';
hostile('too many pairs',
	qr/^53400: so many\nDETAIL:  "vamhash.max_pairs" is 100000000. mostly 00\nHINT:  .* raise "vamhash.max_pairs"\.$/,
	$pairs);
hostile('no memory', qr/^53200: so large\nHINT:  .*"vamhash.memory_limit"\.$/, $pairs);
hostile('no method', qr/^0A000: what is that\nHINT:  .*"vamhash.join_method" to auto\.$/, $pairs);

# Groups. Keys are such that rows 0 and 3, and 4, 5 and 1 are in order.
my $groups = q{SELECT group_id, key FROM similar_groups(
	'SELECT (ARRAY[1, 8, 3, 4, 5, 6])[i], h FROM hashes WHERE i <= 6', 3)};
hostile('groups without ASK', $violation->('DONE without ASK'), $groups);
hostile("ASK about $_", $violation->('ASK about no rows'), $groups) foreach 'nothing', 'one row';
hostile('ASK with words', $violation->('ASK has a wrong length'), $groups);
hostile('ASK, and on without an answer', $violation->('bytes after ASK'), $groups);
hostile('ASK, then never', $timed_out, $groups);
hostile('ASK again', $violation->('unexpected operation'), $groups);
hostile('a part of a row', $violation->('a part of a row'), $groups);
hostile("$_", $violation->('rows that are not there, or not in order'), $groups)
  foreach 'rows in no order', 'a row twice', 'a row twice in two frames', 'a row beyond the last';
hostile('a part of a member', $violation->('a part of a member'), $groups);
hostile("a member $_", $violation->('a member that is not there, or in two groups'), $groups)
  foreach 'that was not asked about', 'beyond the last row', 'twice', 'of two groups';
hostile($_, $violation->('members that are not in order'), $groups)
  foreach 'members in no order', 'a group numbered 0';
hostile($_, $violation->('groups that are not in order'), $groups)
  foreach 'groups with a gap', 'groups in no order';
hostile("a group of $_", $violation->('a group of a size that cannot be'), $groups)
  foreach 'one', 'more rows than there are';
hostile($_, $violation->('a group that is not whole'), $groups)
  foreach 'a group that ends too early', 'a group that ends too late',
  'a last group that does not end', 'no centre';
hostile("a $_ that changes", $violation->('members of one group that contradict each other'), $groups)
  foreach 'size', 'diameter';
hostile('two centres', $violation->('a group of two centres'), $groups);
hostile("a centre $_", $violation->('a centre that is none'), $groups)
  foreach 'of another kind', 'far from itself';
hostile($_, $violation->('a member beyond the distance asked for'), $groups)
  foreach 'a member too far away', 'a member beyond the diameter', 'a diameter too great';
hostile('groups, then an error', qr/^38000: enough$/, $groups);

# The end of a backend ends even an engine that neither reads, nor answers, nor takes a signal.
{
	write_file("$directory/behaviour", 'never');
	install_engine($directory, $hostile_engine);
	my $hostile = VamhashTest::Session->new($node);
	$hostile->begin($dhash);
	wait_for(sub { engines_of($hostile->pid) }) or die 'no engine was started';
	$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . $hostile->pid . ')');
	like($hostile->lost, qr/^57P01: /, 'pg_terminate_backend() while a hostile engine does not answer');
	ok(wait_for(sub { !engines_of($hostile->pid) }, 2), 'it does not outlive its backend');

	write_file("$directory/behaviour", 'an answer, then never');
	$hostile = VamhashTest::Session->new($node);
	is($hostile->value($dhash), '0' x 16, 'a hostile engine that answers once');
	$hostile->quit;
	ok(wait_for(sub { !engines_of($hostile->pid) }, 2), 'nor does an idle one');
	install_engine($directory, $good_engine);
}

# Idle engines end.
{
	my $idle = VamhashTest::Session->new($node);
	$idle->value(q{SET vamhash.engine_idle_timeout = '2s'});
	is($idle->value($dhash), $right_dhash, 'an engine with an idle timeout');
	my ($engine) = engines_of($idle->pid, 'decode');
	is($idle->value("$dhash; SELECT pg_sleep(0.5); $dhash"), "$right_dhash\n\n$right_dhash", 'is used again');
	is_deeply([ engines_of($idle->pid) ], [$engine], 'while it lives');
	ok( wait_for(sub { process_stat($engine)->{state} eq 'Z' }, 5), 'and ends when it is not');
	is(process_stat($engine)->{exit_code}, 0, 'with exit status 0');
	is($idle->value($dhash), $right_dhash, 'the next call works');
	ok(!process_stat($engine), 'and reaps it');

	$idle->value(q{SET vamhash.engine_idle_timeout = '1s'});
	kill_engines('KILL', $idle);
	$idle->value($dhash);
	($engine) = engines_of($idle->pid);
	is($idle->value($dhash), $right_dhash, 'with the shortest timeout');
	is_deeply([ engines_of($idle->pid) ], [$engine], 'an engine is used again, too');
	my $wrong = 0;
	foreach my $milliseconds (450, 520, 900, 990, 1010, 1200)
	{
		usleep(1000 * $milliseconds);
		$wrong++ unless $idle->value($dhash) eq $right_dhash;
	}
	is($wrong, 0, 'calls about the time at which it ends');
	$idle->quit;
}

# Out of memory: an engine whose address space is limited.
SKIP:
{
	skip 'no prlimit', 8 unless eval { IPC::Run::run([ 'prlimit', '--version' ], '>', \my $out) };
	foreach my $spare (0, 4096)
	{
		my %too_much = (
			decode => [ q{SELECT dhash(repeat('no image ', 5000000)::bytea)}, $dhash, $right_dhash ],
			compute => [
				q{SELECT count(*) FROM similar_pairs(
					'SELECT i, i::bigint::phash64 FROM generate_series(1, 3000000) i', 0)},
				$join, $joined
			]);
		foreach my $role (sort keys %too_much)
		{
			my ($sql, $small, $answer) = @{ $too_much{$role} };
			my $poor = VamhashTest::Session->new($node);
			is($poor->value($small), $answer, "$role: works");
			my ($engine) = engines_of($poor->pid, $role);
			my ($size) = process_status($engine)->{VmSize} =~ /(\d+)/;
			my ($limit) = slurp_file("/proc/$engine/limits") =~ /^Max address space +(\w+)/m;
			system_or_bail('prlimit', "--pid=$engine", '--as=' . ($size + $spare) * 1024 . ':');
			like($poor->error($sql), qr/^53200: out of memory$/,
				"$role: out of memory, $spare kB spare");
			system_or_bail('prlimit', "--pid=$engine", "--as=$limit:");
			is($poor->value($small), $answer, "$role: the next call works");
			is_deeply([ engines_of($poor->pid, $role) ], [$engine], "$role: in the same engine");
			$poor->quit;
		}
	}
}

# Many sessions.
{
	my $file = write_file("$directory/script.sql", "$dhash;\n" . ($join =~ s/\n/ /gr) . ";\n");
	$node->command_ok(
		[ 'pgbench', '-n', '-C', '-c', 4, '-j', 2, '-t', 50, '-f', $file, 'postgres' ],
		'200 sessions');
	$session->quit;
	ok(wait_for(sub { !stray_engines($node) }, 3), 'leave no engine');
}

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|terminating any other active/, 'no crash in the log');

done_testing();
