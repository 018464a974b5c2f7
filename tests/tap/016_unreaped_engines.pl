# Killed engines that do not end: the kernel may hold them, in a driver or for a dead file server; here
# a tracer does. The session goes on without waiting for them, but where they become many it starts no
# others, says why, and works again when they have ended.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use POSIX ();
use Test::More;
use VamhashTest;

# By architecture: the number of ptrace.
my $ptrace = { x86_64 => 101, aarch64 => 117 }->{ (POSIX::uname())[4] };
plan skip_all => 'system calls of this architecture' unless $ptrace;
plan skip_all => 'needs /proc' unless -r '/proc/self/stat';
my $seize = 0x4206;
my $wait_for_all = 0x40000000;

my $node = start_node('main');
picture_table($node);
my $dhash = q{SELECT dhash(img) FROM pictures WHERE name = 'right'};
my $session = VamhashTest::Session->new($node);
my $at_most = 8;

my @traced;
foreach my $number (1 .. $at_most)
{
	my $engine = $session->begin_hash;
	my $is_traced = syscall($ptrace, $seize, $engine, 0, 0) == 0;
	$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $session->pid . ')') if $is_traced;
	my (undef, $err) = $session->end;
	plan skip_all => 'no permission to trace a process' unless $is_traced;
	like($err, qr/57014: canceling statement due to user request/, "engine $number is killed");
	push @traced, $engine;
	is(scalar(grep { process_stat($_) && process_stat($_)->{state} eq 'Z' } @traced),
		$number, "$number killed engines are left");
	is($session->value($dhash), $right_dhash, 'the next call works') if $number < $at_most;
}

my $refused = qr/^38000: $at_most killed vamhash engines of this session have not ended$/m;
like($session->error($dhash), $refused, 'with so many left no other is started');
is(scalar(engines_of($session->pid)), $at_most, 'none is there but they');
like($session->error('SELECT * FROM similar_pairs($$SELECT 1, 2::phash64$$, 0)'), $refused, 'for no call');
{
	my $other = VamhashTest::Session->new($node);
	is($other->value($dhash), $right_dhash, 'another session does not mind');
	$other->quit;
}

# One ends.
waitpid shift @traced, $wait_for_all;
is($session->value($dhash), $right_dhash, 'when one has ended the next call works');
is(scalar(engines_of($session->pid)), $at_most, 'it was reaped, and another started');

# A session that ends gives the others some seconds, not more.
my $pid = $session->pid;
my $seconds = seconds_of(sub { $session->quit; wait_for(sub { !process_stat($pid) }) });
cmp_ok($seconds, '<', 20, 'the end of the session does not wait for them');
waitpid $_, $wait_for_all foreach @traced;
ok(wait_for(sub { !stray_engines($node) }, 30), 'they end in the end');

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|server process .* was terminated/, 'no crash in the log');

done_testing();
