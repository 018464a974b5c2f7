# A decoder that has been taken over can do nothing to the server that started it, nor to its files;
# it can take neither the machine's memory nor its time. Where the kernel lacks a part of the
# sandbox, the server log says so. The engine here is one of the tests' own: its codec does what an
# "image" says (tests/unit/misdeeds.cpp), and its error tells how that went.

use strict;
use warnings;

use Config;
use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use POSIX ();
use Test::More;
use VamhashTest;

my $misbehaving = misbehaving_engine();
plan skip_all => 'needs /proc' unless -r '/proc/self/stat';

my $directory = private_library();
install_engine($directory, slurp_file($misbehaving));
my $node = start_private_node('main', $directory);

# What became of a misdeed: "22V02: done", or the error.
sub outcome
{
	my ($of, $command) = @_;
	return $of->error('SELECT dhash(' . misdeed($command) . ')') =~ s/\n\z//r;
}

my $right = 'SELECT dhash(' . sql_bytea(rising_png()) . ')';
my $session = VamhashTest::Session->new($node);
is($session->value($right), $right_dhash, 'the engine hashes');
unlike(slurp_file($node->logfile), qr/is not complete: it has none/, 'in a sandbox')
  or diag 'neither seccomp nor Landlock here';
my $complete = slurp_file($node->logfile) !~ /the vamhash engine \(decode\) is not complete/;

# What a decoder could do to this very server. Without a sandbox each succeeds: `hash` has none.
SKIP:
{
	skip 'the sandbox is not complete here', 36 unless $complete;
	my $data = $node->data_dir;
	my $socket = $node->host . '/.s.PGSQL.' . $node->port;
	my ($postmaster) = split /\n/, slurp_file("$data/postmaster.pid");
	my $backend = $session->pid;
	my $command_file = PostgreSQL::Test::Utils::tempdir() . '/command';
	foreach my $case (
		[ 'read a file of the server', "read $data/PG_VERSION" ],
		[ 'read the server\'s users', "read $data/global/pg_filenode.map" ],
		[ 'list its files', "list $data/base" ],
		[ 'write one', "open $data/pg_hba.conf" ],
		[ 'make one', "create $data/vamhash", "$data/vamhash" ],
		[ 'run a program', 'exec' ],
		[ 'fork', 'fork' ],
		[ 'connect to the server by its Unix socket', "unix $socket" ],
		[ 'make another socket', 'udp' ],
		[ 'trace the postmaster', "ptrace $postmaster" ],
		[ 'read the memory of its backend', "vm-read $backend ADDRESS" ],
		[ 'write to it', "open /proc/$backend/mem" ],
		[ 'send a signal to its backend', "kill $backend" ],
		[ 'send a signal to the postmaster', "kill $postmaster" ],
		[ 'send one by a descriptor\'s owner', "own $postmaster" ],
		[ 'change its limits', 'limit' ],
		[ 'change those of its backend', "limit-other $backend" ],
		[ 'attach to shared memory', 'shm' ])
	{
		my ($what, $command, $made) = @$case;
		my ($address) = slurp_file("/proc/$backend/maps") =~ /^([0-9a-f]+)/;
		$command =~ s/ADDRESS/hex $address/e;
		write_file($command_file, "MISBEHAVE\n$command");
		my $freely = '';
		IPC::Run::run([ $misbehaving, 'hash', $command_file ], '>&', \$freely);
		unlink $made if defined $made;
	  SKIP:
		{
			skip "refused to every process here: $what ($freely)", 2 unless $freely =~ /done$/m;
			pass("can, without a sandbox, $what");
			like(outcome($session, $command), qr/^22V02: (EPERM|EACCES|ENOSYS)$/, "cannot $what");
		}
	}
}
is($session->value($right), $right_dhash, 'the engine goes on hashing');

# The end of a decoder.
foreach my $case ([ 'crash', 11 ], [ 'abort', 6 ])
{
	my ($command, $signal) = @$case;
	like(
		outcome($session, $command),
		qr/^38000: the vamhash engine \(decode\) ended unexpectedly\nDETAIL:  child process was terminated by signal $signal:/,
		"a decoder that ends by $command");
	is($session->value($right), $right_dhash, 'the next call works');
}

# Memory.
{
	my $out_of_memory = qr/^53200: misbehaving image could not be decoded: out of memory\z/;

	is($session->value('SHOW vamhash.image_memory_limit'), '0', 'the default follows other settings');
	is(outcome($session, 'memory 600'), '22V02: done', 'by default there is enough');
	$session->value(q{SET vamhash.image_memory_limit = '100MB'});
	is(outcome($session, 'memory 50'), '22V02: done', 'memory within the limit');
	my @engines = engines_of($session->pid);
	like(outcome($session, 'memory 150'), $out_of_memory, 'and beyond it');
	is($session->value($right), $right_dhash, 'the next call works');
	is_deeply([ engines_of($session->pid) ], \@engines, 'in the same engine');
	$session->value(q{SET vamhash.image_memory_limit = '200MB'});
	is(outcome($session, 'memory 150'), '22V02: done', 'a limit that is raised is raised at once');
	is(scalar(engines_of($session->pid)), 1, 'by another engine');
	$session->value(q{SET vamhash.image_memory_limit = 0;
		SET vamhash.max_image_pixels = 1000000; SET vamhash.max_image_bytes = '1MB'});
	is(outcome($session, 'memory 200'), '22V02: done', 'the default for small images');
	like(outcome($session, 'memory 300'), $out_of_memory, 'is small');
	$session->value('RESET vamhash.max_image_pixels; RESET vamhash.max_image_bytes');
	is(outcome($session, 'memory 300'), '22V02: done', 'and for large ones large');
}

# Time.
{
	my $slow = 'SELECT dhash(' . misdeed('slow') . ')';
	my $file = write_file("$directory/slow", "MISBEHAVE\nslow");
	my $too_slow =
	  qr/^54V01: hashing the image took too long\nDETAIL:  "vamhash.image_timeout" is 150 ms.$/;

	is($session->value('SHOW vamhash.image_timeout'), '30s', 'the default');
	$session->value('SET vamhash.image_timeout = 150');
	my ($engine) = engines_of($session->pid);
	like($session->error($slow), $too_slow, 'an image that takes too long');
	ok(process_ended($engine), 'its engine is killed');
	is($session->value($right), $right_dhash, 'the next call works');
	like($session->error("SELECT * FROM image_hashes_file('$file')"),
		$too_slow, 'a file that takes too long');
	is( $session->value(
			qq{SELECT dhash(img) FROM (VALUES (1, @{[ misdeed('thread') ]}), (2, @{[ sql_bytea(rising_png()) ]}))
				AS pictures (i, img) WHERE i = 2}),
		$right_dhash, 'the next call works');
	is( $session->value(
			qq{DO \$\$ BEGIN
				PERFORM dhash(@{[ misdeed('slow') ]});
			EXCEPTION WHEN program_limit_exceeded THEN
				PERFORM set_config('test.caught', SQLSTATE, false);
			END \$\$;
			SELECT current_setting('test.caught')}),
		'54V01', 'PL/pgSQL catches it by its class');
	like($session->error("SET statement_timeout = 50; $slow"),
		qr/^57014: canceling statement due to statement timeout$/, 'a statement_timeout comes first');
	like($session->error("SET vamhash.image_timeout = 0; SET statement_timeout = 400; $slow"),
		qr/^57014: canceling statement due to statement timeout$/, 'no limit');
	$session->value('RESET statement_timeout; RESET vamhash.image_timeout');
	is($session->value($right), $right_dhash, 'the next call works');
}

# Both are the superuser's.
{
	$node->safe_psql('postgres', 'CREATE ROLE guest LOGIN');
	my $guest = VamhashTest::Session->new($node, user => 'guest');
	is($guest->value($right), $right_dhash, 'everybody may hash');
	foreach my $setting ('image_memory_limit', 'image_timeout')
	{
		like($guest->error("SET vamhash.$setting = 1000"),
			qr/^42501: permission denied to set parameter "vamhash.$setting"/, "$setting is not everybody's");
	}
	$guest->quit;
}

# By architecture: the numbers of ptrace, prctl, seccomp and landlock_create_ruleset.
my %numbers = (x86_64 => [ 101, 157, 317, 444 ], aarch64 => [ 117, 167, 277, 444 ]);
my $calls = $numbers{ (POSIX::uname())[4] };

# A killed engine that cannot be reaped at once, here because it is being traced, keeps nobody
# waiting. It is reaped when it can be.
SKIP:
{
	skip 'system calls of this architecture', 5 unless $calls;
	my $seize = 0x4206;
	my $wait_for_all = 0x40000000;
	$session->value('SET vamhash.image_timeout = 400');
	$session->begin('SELECT dhash(' . misdeed('slow') . ')');
	my $engine;
	wait_for(sub { ($engine) = engines_of($session->pid) }) or die 'no engine';
	my $traced = syscall($calls->[0], $seize, $engine, 0, 0) == 0;
	my (undef, $err) = $session->end;
	skip 'no permission to trace a process', 5 unless $traced;
	like($err, qr/54V01/, 'an engine is killed');
	is($session->value($right), $right_dhash, 'the next call works');
	is(process_stat($engine)->{state}, 'Z', 'while the killed engine is not reaped');
	waitpid $engine, $wait_for_all;
	is(process_stat($engine)->{state}, 'Z', 'nor by the end of the tracing');
	outcome($session, 'slow');
	ok(!process_stat($engine), 'but by the next that is killed');
	$session->value('RESET vamhash.image_timeout');
}

# Kernels, or containers, without a part of the sandbox: a program that takes system calls away from
# itself and then becomes the engine.
SKIP:
{
	skip 'system calls of this architecture', 8 unless $calls;
	my (undef, $prctl, $seccomp, $landlock) = @$calls;
	mkdir "$directory/real";
	install_engine("$directory/real", slurp_file($misbehaving));
	my $log_position = 0;
	foreach my $case (
		[ 'without Landlock', [$landlock], 'seccomp', 'EPERM' ],
		[ 'without seccomp', [$seccomp], 'landlock', 'EACCES' ],
		[ 'without both', [ $landlock, $seccomp ], 'none', 'done' ])
	{
		my ($what, $denied, $has, $outcome) = @$case;
		my $numbers = join ', ', @$denied;
		install_engine($directory, <<"END");
#!$Config{perlpath}
use strict;
use warnings;
syscall($prctl, 38, 1, 0, 0, 0) == 0 or exit 9; # PR_SET_NO_NEW_PRIVS
foreach my \$call ($numbers)
{
	# Load the call's number; if it is this, fail with ENOSYS; otherwise go on.
	my \$program = pack 'SCCL' x 4, 0x20, 0, 0, 0, 0x15, 0, 1, \$call, 6, 0, 0, 0x50026, 6, 0, 0, 0x7fff0000;
	syscall($prctl, 22, 2, pack('S x6 P', 4, \$program), 0, 0) == 0 or exit 9; # PR_SET_SECCOMP
}
exec '$directory/real/vamhash-engine', \@ARGV or exit 9;
END
		$log_position = -s $node->logfile;
		my $poor = VamhashTest::Session->new($node);
		is($poor->value($right), $right_dhash, "$what: hashes");
		is(outcome($poor, 'read ' . $node->data_dir . '/PG_VERSION'), "22V02: $outcome", "$what: a file of the server");
		kill 'KILL', engines_of($poor->pid);
		wait_for(sub { !grep { process_stat($_)->{state} ne 'Z' } engines_of($poor->pid) });
		is($poor->value($right), $right_dhash, "$what: another engine");
		my $log = slurp_file($node->logfile, $log_position);
		my @told = $log =~ /LOG:  the sandbox of the vamhash engine \(decode\) is not complete: it has (.*)/g;
		is_deeply(\@told, [$has], "$what: the server log says so once a session");
		$poor->quit;
	}
}

$session->quit;
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|terminating any other active/, 'no crash in the log');

done_testing();
