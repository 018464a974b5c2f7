# Devices, as PostgreSQL's side sees them: what vamhash_devices() shows, what an engine is told to use,
# how many engines of the cluster hold one at once and when another one may, and what is said of it all
# in vamhash_stat and vamhash_progress. The device is imagined, and so is the engine: the tests of joins
# on devices are elsewhere.

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
plan skip_all => 'knows recvmsg() by its number on x86-64 and ARM' unless $Config{archname} =~ /^(x86_64|aarch64)/;

my $directory = private_library();
my $node = start_private_node('main', $directory, "restart_after_crash = on\nvamhash.max_gpu_engines = 1");
my $version = $node->safe_psql('postgres', 'SELECT vamhash_version()');

# The engine does what the file `behaviour` says, and writes what it was told, and when it asked for a
# device, into the file `told`. It finds no pairs. Rows are 8 bytes, of one hash.
install_engine($directory, <<"END" . <<'END');
#!$Config{perlpath}
use lib '$FindBin::RealBin/lib';
my \$version = '$version';
END
use strict;
use warnings;

use EngineEnd;
use POSIX ();

my ($home) = $0 =~ m{^(.*)/};
my $idle_seconds = $ARGV[2];
my $slot;    # descriptor, of an engine that holds a device
my $name = 'opencl 0: Imagined';

sub note
{
	open my $told, '>>', "$home/told" or exit 9;
	syswrite $told, "@_\n";
	close $told;
}

sub wait_for_file
{
	my ($file) = @_;
	select undef, undef, undef, 0.01 until -e "$home/$file";
}

# Asks for a device, if it has none; returns whether it has one then.
sub have_device
{
	my ($id) = @_;
	return 1 if defined $slot;
	give(frame($ASK_DEVICE, $id, ''));
	(my $granted, $slot) = take_grant();
	note($granted ? 'granted' : 'refused');
	exit 8 if $granted != defined $slot;
	return $granted;
}

# A join on the device, or on the CPU if there is none; %changes are of its report.
sub join_on_device
{
	my ($id, $rows, %changes) = @_;
	return joined($id, 0, @$rows, fallbacks => 1, fallback => 'all devices are taken')
	  unless have_device($id);
	return joined($id, 0, @$rows, device => $name, device_tables => 3, device_bytes => 4096,
		device_seconds => 1.5, holds_device => 1, %changes);
}

# What to do, given the id of the request and the rows for its report.
my %behaviours = (
	join => sub { join_on_device(@_) },
	'give back' => sub {
		my @report = join_on_device(@_, holds_device => 0);
		POSIX::close($slot) if defined $slot;
		undef $slot;
		return @report;
	},
	'work' => sub {
		my ($id, $rows) = @_;
		have_device($id) or exit 7;
		give(frame($PROGRESS, $id, progress(3, 1, 2, -1, $name)));
		wait_for_file('go');
		give(frame($PROGRESS, $id, progress(3, 1, 2, -1)));
		wait_for_file('go on');
		return join_on_device($id, $rows, fallbacks => 1, fallback => 'the device was lost');
	},
	'keep to the CPU' => sub { joined($_[0], 0, @{ $_[1] }) },
	'no device' => sub { frame($ERROR, $_[0], "no device can be used\nopencl: no platform", 106) },
	'a device that fails' => sub { have_device($_[0]); frame($ERROR, $_[0], "the device failed\nlost", 107) },
	'an error' => sub { have_device($_[0]); frame($ERROR, $_[0], 'bad', 101) },
	# Hostile.
	'ASK_DEVICE with words' => sub { frame($ASK_DEVICE, $_[0], 'x') },
	'ASK_DEVICE twice' => sub { have_device($_[0]); frame($ASK_DEVICE, $_[0], '') },
	'ASK_DEVICE, and on without an answer' => sub { frame($ASK_DEVICE, $_[0], ''), joined($_[0], 0, @{ $_[1] }) },
	'ASK_DEVICE after a pair' => sub { frame($RESULT, $_[0], pack('LLCx3', 0, 1, 0)), frame($ASK_DEVICE, $_[0], '') },
	'ASK_DEVICE with a device' => sub {
		my ($id, $rows) = @_;
		return defined $slot ? frame($ASK_DEVICE, $id, '') : join_on_device($id, $rows);
	},
	'a device that nobody granted' => sub { joined($_[0], 0, @{ $_[1] }, device => $name) },
	'a device held that nobody granted' => sub { joined($_[0], 0, @{ $_[1] }, holds_device => 1) },
	'a device held twice' => sub { join_on_device(@_, holds_device => 2) },
	'a device without end' => sub { join_on_device(@_, device => 'x' x 128) },
	'a device that is no text' => sub { join_on_device(@_, device => "\e[2J") },
	'a fallback that is no text' => sub { join_on_device(@_, fallback => "\n") },
	'a device of no time' => sub { join_on_device(@_, device_seconds => -1) },
	'ASK_DEVICE, then the end' => sub { give(frame($ASK_DEVICE, $_[0], '')); sleep 1; exit 3 },
	'ASK_DEVICE, then more' => sub { give(frame($ASK_DEVICE, $_[0], '')); sleep 1; frame($PROGRESS, $_[0], '') },
);

# What to answer about devices.
my $cpu = device(backend => 'cpu', name => 'A CPU', capability => 'avx2', driver => '', free => ~0);
my %devices = (
	'no devices' => [],
	devices => [
		$cpu, device(),
		device(id => 1, name => 'No. 2', usable => 0, memory => 0, free => ~0, reason => 'too old'),
		device(backend => 'cuda', id => -1, name => '', usable => 0, memory => 0, free => ~0,
			capability => '', driver => '', reason => 'libcuda.so.1 is not here')
	],
	'a part of a device' => [ substr $cpu, 1 ],
	'a device of no backend' => [ device(backend => '') ],
	'a backend without end' => [ device(backend => 'openclcl') ],
	'a name that is no text' => [ device(name => "\xe9") ],
	'a name without end' => [ device(name => 'x' x 96) ],
	'a capability without end' => [ device(capability => 'x' x 48) ],
	'a driver without end' => [ device(driver => 'x' x 64) ],
	'a reason without end' => [ device(reason => 'x' x 200) ],
	'a device half usable' => [ device(usable => 2) ],
	'a usable device without a number' => [ device(id => -1) ],
	'a device numbered -2' => [ device(id => -2, usable => 0) ],
	'memory beyond all' => [ device(memory => ~0) ],
	'free memory beyond all' => [ device(free => ~0 - 1) ],
	'257 devices' => [ ($cpu) x 257 ],
);

# Reads the payload up to END; returns its length.
sub take_data
{
	my $bytes = 0;
	while (1)
	{
		my (undef, $length, $operation) = unpack 'LLS', take(16);
		take($length);
		return $bytes if $operation == $END;
		$bytes += $length;
	}
}

give(hello($version));
while (1)
{
	my $readable = '';
	vec($readable, 3, 1) = 1;
	exit 0 if $idle_seconds > 0 && !select $readable, undef, undef, $idle_seconds;
	my (undef, $length, $operation, undef, $id) = unpack 'LLSSL', take(16);
	my $params = take($length);
	my $rows = take_data() / 8;
	open my $file, '<', "$home/behaviour" or exit 9;
	my $behaviour = <$file>;
	close $file;
	if ($operation == $BEGIN_DEVICES)
	{
		my $records = join '', @{ $devices{$behaviour} || [$cpu] };
		give(frame($RESULT, $id, $records), done($id, length $records));
		next;
	}
	# JoinSettings, and of BEGIN_PAIRS the columns and sets.
	my ($memory, $min_rows, $use, $device_id, @backends) = unpack 'x24 QQLlCC', $params;
	my $sets = $operation == $BEGIN_PAIRS ? unpack('x60 L', $params) : 1;
	my $right_rows = $sets == 2 ? take_data() / 8 : 0;
	note("use $use of @backends: $device_id, $memory bytes, from $min_rows rows");
	give($behaviours{$behaviour}->($id, [ rows => $rows, right_rows => $right_rows ]));
}
END

sub behave
{
	my ($behaviour) = @_;
	unlink map { "$directory/$_" } 'told', 'go', 'go on';
	write_file("$directory/behaviour", $behaviour);
	return;
}

# What the engines were told, and whether they got what they asked for, since behave().
sub told
{
	return -e "$directory/told" ? slurp_file("$directory/told") =~ s/\n\z//r : '';
}

my $pairs = q{SELECT count(*) FROM similar_pairs('SELECT i, 0::bigint::phash64 FROM generate_series(1, 6) i', 0)};
my $devices = q{SELECT * FROM vamhash_devices()};
my $device_stat = q{SELECT string_agg(name || ' ' || value, ', ') FROM vamhash_stat
	WHERE name ~ 'last_device|fallback|device_joins'};

sub new_session
{
	my ($settings) = @_;
	my $session = VamhashTest::Session->new($node);
	$session->value("SET vamhash.gpu = $settings") if defined $settings;
	return $session;
}

# The session's engine: there is one, for joins.
sub engine_of
{
	my ($session) = @_;
	my ($engine) = engines_of($session->pid);
	return $engine;
}

# Waits until vamhash_progress tells this of a session.
sub shown
{
	my ($session, $condition, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(
		$node->poll_query_until(
			'postgres', "SELECT count(*) = 1 AND bool_and($condition) FROM vamhash_progress WHERE pid = " . $session->pid),
		$what);
}

# What there is.
behave('devices');
my $session = new_session();
is( $session->value($devices), <<'END' =~ s/\n\z//r, 'vamhash_devices(): what is not known is NULL');
cpu|0|A CPU|1073741824||avx2||t|
opencl|0|Imagined|1073741824|536870912|3.0|1.2.3|t|
opencl|1|No. 2|||3.0|1.2.3|f|too old
cuda|||||||f|libcuda.so.1 is not here
END

# What an engine is told of the settings: DeviceSettings (src/protocol/frame.h).
$session = new_session();
foreach my $case (
	[ '', 'use 1 of 1 2: -1, 0 bytes, from 100000 rows' ],
	[ 'vamhash.gpu = off', 'use 0 of 1 2: -1, 0 bytes, from 100000 rows' ],
	[ 'vamhash.gpu = on', 'use 2 of 1 2: -1, 0 bytes, from 100000 rows' ],
	[ 'vamhash.backends = OpenCL', 'use 1 of 2 0: -1, 0 bytes, from 100000 rows' ],
	[ 'vamhash.backends = opencl, cuda', 'use 1 of 2 1: -1, 0 bytes, from 100000 rows' ],
	[ 'vamhash.device_id = 3', 'use 1 of 1 2: 3, 0 bytes, from 100000 rows' ],
	[ 'vamhash.gpu_min_rows = 0', 'use 1 of 1 2: -1, 0 bytes, from 0 rows' ],
	[ q{vamhash.gpu_memory_limit = '8GB'}, 'use 1 of 1 2: -1, 8589934592 bytes, from 100000 rows' ])
{
	my ($setting, $expected) = @$case;
	behave('keep to the CPU');
	$session->value(($setting eq '' ? '' : "SET $setting; ") . "$pairs; RESET ALL");
	is(told(), $expected, $setting eq '' ? 'the settings, as they are told' : "told: $setting");
}
is($session->value($device_stat), 'last_device cpu, total_device_joins 0, total_fallbacks 0', 'by the CPU');

# A device is granted, once for the engine's life, and to every kind of join.
my $between = q{SELECT count(*) FROM similar_pairs_between(
	'SELECT i, 0::bigint::phash64 FROM generate_series(1, 6) i', 'SELECT i, 0::bigint::phash64 FROM generate_series(1, 4) i', 0)};
my $groups = q{SELECT count(*) FROM similar_groups('SELECT i, 0::bigint::phash64 FROM generate_series(1, 6) i', 0)};
foreach my $join ($pairs, $between, $groups)
{
	my $of_this = new_session();
	behave('join');
	is($of_this->value("$join; $join"), "0\n0", 'a join on a device: ' . $join =~ s/.*(similar_\w+).*/$1/sr);
	like(told(), qr/^use .*\ngranted\nuse .*rows$/, 'asked once');
	is( $of_this->value($device_stat),
		'last_device opencl 0: Imagined, last_device_tables 3, last_device_bytes 4096, '
		  . 'last_device_seconds 1.500000, total_device_joins 2, total_fallbacks 0',
		'told of in vamhash_stat');
	$of_this->quit;
}

# One session holds the only device: another one does without it.
my $holder = new_session();
behave('join');
$holder->value($pairs);
my $other = new_session();
foreach my $try (1, 2)
{
	behave('join');
	is($other->value($pairs), 0, 'a join without a device');
	like(told(), qr/\nrefused$/, "asked in vain, $try");
}
is( $other->value($device_stat),
	'last_device cpu, last_fallback all devices are taken, total_device_joins 0, total_fallbacks 2',
	'fallbacks are told of and counted');

# Neither the end of a transaction, nor what frees a session's locks, frees a device that its engine holds.
foreach my $end ('BEGIN; ROLLBACK', 'SELECT pg_advisory_unlock_all()', 'DISCARD ALL', 'SELECT 1 / 0')
{
	$holder->query($end);
	behave('join');
	$other->value($pairs);
	like(told(), qr/\nrefused$/, "still held after $end");
}

# Where a device must be used, the other one waits: for whatever ends the engine that holds it.
sub begin_waiting
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	behave('join');
	$other->begin("SET vamhash.gpu = on; $pairs");
	shown($other, q{phase = 'waiting for a device' AND device IS NULL}, "$what: one waits");
	unlike(told(), qr/granted|refused/, "$what: it has no answer yet");
	return;
}

sub end_waiting
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $answer = join '', $other->end;
	is($answer, 0, "$what: it has a device then");
	like(told(), qr/\ngranted$/, "$what: granted");
	# Let the holder have it again.
	kill 'KILL', engine_of($other);
	$holder = new_session() unless defined $holder;
	behave('join');
	$holder->value("SET vamhash.gpu = on; $pairs");
	return;
}

# Cancelled while it waits.
begin_waiting('cancelled');
my $waiting = engine_of($other);
$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $other->pid . ')');
like(($other->end)[1], qr/57014: canceling statement due to user request/, 'cancelled while it waits');
ok(process_ended($waiting), 'its engine is gone');
behave('join');
like($other->error("SET statement_timeout = 200; $pairs"), qr/^57014: canceling statement due to statement timeout/,
	'a timeout while it waits');
$other->value('RESET statement_timeout');
# Nothing is left over that would take a device away.
ok(wait_for(sub { !engines_of($other->pid) }, 5), 'no engine of it is left');

begin_waiting('engine killed');
kill 'KILL', engine_of($holder);
end_waiting('engine killed');

begin_waiting('session ended');
$holder->quit;
undef $holder;
end_waiting('session ended');

begin_waiting('session terminated');
$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . $holder->pid . ')');
$holder->lost;
undef $holder;
end_waiting('session terminated');

begin_waiting('client vanished');
$holder->vanish;
undef $holder;
end_waiting('client vanished');

# Its backend sleeps in the client's wait, and does not know yet that its engine has ended.
$holder->quit;
$holder = new_session();
behave('join');
$holder->value("SET vamhash.engine_idle_timeout = '4s'; SET vamhash.gpu = on; $pairs");
my $sleeping = engine_of($holder);
begin_waiting('idle timeout');
end_waiting('idle timeout');
isnt(engine_of($holder), $sleeping, 'idle timeout: the engine that was idle is gone');
$holder->quit;
$holder = new_session('on');
behave('join');
$holder->value($pairs);

# The engine gives its device back, and lives.
behave('give back');
my $engine = engine_of($holder);
$holder->value($pairs);
behave('join');
$other->value("SET vamhash.gpu = auto; $pairs");
like(told(), qr/\ngranted$/, 'a device given back is the next one\'s');
is(engine_of($holder), $engine, 'by an engine that lives');
kill 'KILL', engine_of($other);

# An engine that ends, or speaks, while it is its backend's turn.
behave('join');
$holder->value($pairs);
foreach my $case (
	[ 'the end', qr/^38000: .* ended unexpectedly\nDETAIL:  child process exited with exit code 3\n/ ],
	[ 'more', qr/^08P01: .*\nDETAIL:  bytes after ASK_DEVICE\n/ ])
{
	my ($what, $expected) = @$case;
	behave("ASK_DEVICE, then $what");
	like($other->error("SET vamhash.gpu = on; $pairs"), $expected, "waiting, then $what");
}
behave('join');
$other->begin($pairs);
shown($other, q{phase = 'waiting for a device'}, 'one waits');
kill 'KILL', engine_of($other);
like(($other->end)[1], qr/38000: the vamhash engine \(compute\) ended unexpectedly/, 'its engine is killed');
$other->value('SET vamhash.gpu = auto');

# A join inside a join: the inner one's engine is idle then, and the outer one need not wait for it.
$holder->quit;
foreach my $use ('auto', 'on')
{
	my $nested = new_session($use);
	behave('join');
	is( $nested->value(q{SELECT count(*) FROM similar_pairs($$SELECT count(*), 0::bigint::phash64 FROM
			similar_pairs('SELECT 1, 0::bigint::phash64', 0)$$, 0)}),
		0, "$use: a join inside a join");
	like(told(), qr/^use .*\ngranted\nuse .*\ngranted$/, "$use: both have a device");
	$nested->quit;
}

# A crash of the holder's backend restarts the server; no device is lost.
$holder = new_session('on');
behave('join');
$holder->value($pairs);
$engine = engine_of($holder);
kill 'KILL', $holder->pid;
$holder->lost;
$other->lost;
$session->lost;
$node->poll_query_until('postgres', 'SELECT true');
ok(wait_for(sub { process_ended($engine) }, 10),
	'the engine ends with a backend that was killed');
$holder = new_session('on');
behave('join');
is($holder->value("SET statement_timeout = '30s'; $pairs"), 0, 'after a crash there is a device');
$holder->quit;

# More devices: as many engines as may.
$node->append_conf('postgresql.conf', 'vamhash.max_gpu_engines = 2');
$node->reload;
my @sessions = map { new_session() } 1 .. 3;
$_->value(q{SELECT vamhash_version()}) foreach @sessions;
ok(wait_for(sub { $sessions[0]->value('SHOW vamhash.max_gpu_engines') == 2 }, 10), 'two may');
foreach my $case ([ 0, 'granted' ], [ 1, 'granted' ], [ 2, 'refused' ])
{
	my ($number, $expected) = @$case;
	behave('join');
	$sessions[$number]->value($pairs);
	like(told(), qr/\n$expected$/, "session $number: $expected");
}
$engine = engine_of($sessions[0]);
kill 'KILL', $engine;
wait_for(sub { process_ended($engine) }, 10);
behave('join');
$sessions[2]->value($pairs);
like(told(), qr/\ngranted$/, 'the first of two ends: granted');
$_->quit foreach @sessions;

# None at all.
$node->append_conf('postgresql.conf', 'vamhash.max_gpu_engines = 0');
$node->reload;
$session = new_session();
ok( wait_for(sub { $session->value('SELECT vamhash_version(); SHOW vamhash.max_gpu_engines') =~ /\n0$/ }, 10),
	'none may');
behave('keep to the CPU');
$session->value("SET vamhash.gpu_min_rows = 6; $pairs");
like(told(), qr/^use 0 /, 'auto: the engine is told to use none');
is( $session->value($device_stat),
	'last_device cpu, last_fallback "vamhash.max_gpu_engines" is 0, total_device_joins 0, total_fallbacks 0',
	'auto: why');
$session->value("SET vamhash.gpu_min_rows = 7; $pairs");
is( $session->value($device_stat),
	'last_device cpu, total_device_joins 0, total_fallbacks 0', 'auto: few rows would not have used one');
is( $session->error("SET vamhash.gpu = on; $pairs"),
	qq{55000: a device must be used, and none may be\nDETAIL:  "vamhash.gpu" is on, "vamhash.max_gpu_engines" is 0.\n}
	  . qq{HINT:  With "vamhash.gpu" set to auto, the CPU does the work.\n},
	'on: an error');
behave('devices');
is($session->value('SELECT count(*) FROM vamhash_devices()'), 4, 'they are shown all the same');
$session->quit;
$node->append_conf('postgresql.conf', 'vamhash.max_gpu_engines = 4');
$node->reload;

# What vamhash_progress tells.
$session = new_session();
behave('work');
$session->begin($pairs);
shown($session, q{phase = 'comparing' AND device = 'opencl 0: Imagined'}, 'a device that computes is shown');
write_file("$directory/go", '');
shown($session, q{phase = 'comparing' AND device = 'cpu'}, 'the CPU that takes over is shown');
write_file("$directory/go on", '');
is(join('', $session->end), 0, 'the join ends');
is( $session->value($device_stat),
	'last_device opencl 0: Imagined, last_device_tables 3, last_device_bytes 4096, '
	  . 'last_device_seconds 1.500000, last_fallback the device was lost, '
	  . 'total_device_joins 1, total_fallbacks 1',
	'and vamhash_stat tells of both');
$session->quit;

# Faults.
$session = new_session('on');
behave('no device');
is( $session->error($pairs),
	"55000: no device can be used\nDETAIL:  opencl: no platform\nHINT:  vamhash_devices() shows what there is. "
	  . qq{With "vamhash.gpu" set to auto, the CPU does the work.\n},
	'no device');
$engine = engine_of($session);
ok($engine, 'the engine goes on');
behave('a device that fails');
is( $session->error($pairs),
	"58000: the device failed\nDETAIL:  lost\nHINT:  The engine was stopped; the next call starts a new one. "
	  . qq{With "vamhash.gpu" set to auto, the CPU takes over.\n},
	'a device that fails');
is_deeply([ engines_of($session->pid) ], [], 'the engine is gone');
behave('join');
is($session->value($pairs), 0, 'the next call has another one');
like(told(), qr/\ngranted$/, 'with a device');
# After an error nobody knows whether the engine has its device still; it may ask again.
$session->quit;
$session = new_session();
behave('an error');
like($session->error($pairs), qr/^38000: bad$/, 'an error of an engine that holds a device');
behave('join');
is($session->value("$pairs; $pairs"), "0\n0", 'it goes on');
$session->quit;

# Hostile engines.
sub hostile
{
	my ($behaviour, $detail, $sql) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $hostile = new_session();
	behave($behaviour);
	$hostile->value($pairs) if $behaviour eq 'ASK_DEVICE with a device';
	is( $hostile->error($sql || $pairs),
		"08P01: the vamhash engine (compute) sent an invalid reply\nDETAIL:  $detail\n"
		  . "HINT:  The engine was stopped; the next call starts a new one.\n",
		"hostile engine: $behaviour");
	is_deeply([ engines_of($hostile->pid) ], [], 'it was stopped');
	$hostile->quit;
	return;
}
hostile('ASK_DEVICE with words', 'ASK_DEVICE has a wrong length');
hostile('ASK_DEVICE twice', 'ASK_DEVICE too late, or twice');
hostile('ASK_DEVICE after a pair', 'ASK_DEVICE too late, or twice');
hostile('ASK_DEVICE, and on without an answer', 'bytes after ASK_DEVICE');
hostile('ASK_DEVICE with a device', 'ASK_DEVICE of an engine that holds a device');
hostile('ASK_DEVICE twice', 'ASK_DEVICE where no device may be used', "SET vamhash.gpu = off; $pairs");
hostile($_, 'a report of a device that was not granted')
  foreach 'a device that nobody granted', 'a device held that nobody granted';
hostile($_, 'a report that cannot be')
  foreach 'a device held twice', 'a device without end', 'a device that is no text', 'a fallback that is no text',
  'a device of no time';
hostile('a part of a device', 'a part of a device', $devices);
hostile($_, 'a device that cannot be', $devices)
  foreach 'a device of no backend', 'a backend without end', 'a name that is no text', 'a name without end',
  'a capability without end', 'a driver without end', 'a reason without end', 'a device half usable',
  'a usable device without a number', 'a device numbered -2', 'memory beyond all', 'free memory beyond all';
hostile('257 devices', 'more devices than there can be', $devices);
$session = new_session();
behave('no devices');
is($session->value($devices), '', 'an engine that knows no device');

# Where devices cannot be counted, none is used.
my $slots = $node->data_dir . '/pg_stat_tmp/vamhash_device_slots';
ok(-f $slots && -z $slots, 'the file that devices are counted by');
unlink $slots;
mkdir $slots;
behave('join');
is($session->value($pairs), 0, 'auto, and devices cannot be counted: a join by the CPU');
like(told(), qr/\nrefused$/, 'refused');
like(slurp_file($node->logfile), qr/LOG:  could not count the engines that hold a device in ".*": Is a directory/,
	'the log says why');
like($session->error("SET vamhash.gpu = on; $pairs"),
	qr/^42809: could not count the engines that hold a device in ".*": Is a directory$/, 'on: an error');
rmdir $slots;
is($session->value($pairs), 0, 'put right, it works');
like(told(), qr/\ngranted$/, 'on a device');
$session->quit;

ok(wait_for(sub { !stray_engines($node) }, 3), 'no engine is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP/, 'nothing worse in the log');

done_testing();
