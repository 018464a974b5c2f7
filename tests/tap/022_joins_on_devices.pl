# Joins on a device, by SQL: PoCL's CPU, or a GPU where the machine has one. Their answers are the CPU's;
# without a device, with one that cannot be had, and when its engine is killed, there is the right answer
# or one error.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use File::Copy;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VamhashTest;

plan skip_all => 'needs /proc' unless -r '/proc/self/stat';
plan skip_all => 'built without a backend for devices'
  unless grep { -e VamhashTest::library_directory() . "/vamhash_$_.so" } 'opencl', 'cuda';

# A private library, whose plugins can be taken away.
my $directory = private_library();
copy_device_plugins($directory);
my $node = start_private_node('main', $directory, 'vamhash.max_gpu_engines = 1');
my $device = usable_device($node);
plan skip_all => 'no device is usable, not even PoCL\'s' unless defined $device;

# Some hashes are near others, some equal, and some share most of their bits.
$node->safe_psql(
	'postgres', q{
	SELECT setseed(0.25);
	CREATE TABLE hashes AS
	SELECT i,
		CASE i % 7 WHEN 0 THEN (i / 70)::bigint::phash64
			ELSE (hashint8extended(i / 3, 0) # (1::bigint << (random() * 60)::int))::phash64 END AS h,
		(hashint8extended(i / 5, 1) # (1::bigint << (random() * 60)::int))::phash64 AS other
	FROM generate_series(1::bigint, 15000) i});

my $answer_of = 'SELECT count(*), md5(string_agg(j::text, E\'\n\' ORDER BY j::text)) FROM %s j';
my %joins = (
	'similar_pairs, near' => q{similar_pairs('SELECT i, h FROM hashes', 3)},
	'similar_pairs, far' => q{similar_pairs('SELECT i, h FROM hashes WHERE i < 8000', 16)},
	'similar_pairs of two hashes' => q{similar_pairs('SELECT i, h, other FROM hashes', ARRAY[6, 20])},
	'similar_pairs_between' => q{similar_pairs_between('SELECT i, h FROM hashes WHERE i % 10 = 0',
		'SELECT i, h FROM hashes WHERE i % 10 <> 0', 5)},
	'star groups' => q{similar_groups('SELECT i, h FROM hashes', 4)},
	'complete groups' => q{similar_groups('SELECT i, h FROM hashes', 4, 'complete')},
	'connected groups' => q{similar_groups('SELECT i, h FROM hashes', 4, 'connected')});

my $by_device = q{SELECT value FROM vamhash_stat WHERE name = 'last_device'};
my $session = VamhashTest::Session->new($node);
my %expected;
foreach my $name (sort keys %joins)
{
	my $join = sprintf $answer_of, $joins{$name};
	$session->value('SET vamhash.gpu = off');
	$expected{$name} = $session->value($join);
	is($session->value($by_device), 'cpu', "$name: on the CPU");
	foreach my $settings ('vamhash.threads = 0', q{vamhash.gpu_memory_limit = '2MB'; SET vamhash.join_method = 'blocks'})
	{
		$session->value("SET vamhash.gpu = on; SET $settings");
		is($session->value($join), $expected{$name}, "$name: the same on a device ($settings)");
		is($session->value($by_device), $device, "$name: and a device it was");
		$session->value('RESET ALL');
	}
}
my $join = sprintf $answer_of, $joins{'similar_pairs, near'};
my $near = $expected{'similar_pairs, near'};
$session->value('SET vamhash.gpu = on');
is($session->value(q{SELECT count(*) FROM similar_pairs('SELECT i, h FROM hashes LIMIT 0', 3)}), 0, 'no rows');

# The device stays with the engine: with one slot, another session waits for it, or does without.
my $other = VamhashTest::Session->new($node);
$other->begin("SET vamhash.gpu = on; $join");
ok( $node->poll_query_until(
		'postgres', q{SELECT count(*) = 1 FROM vamhash_progress WHERE phase = 'waiting for a device'}),
	'one waits for the device of another');
$session->quit;
is(join('', $other->end), $near, 'and has it then');

# An engine that is killed while it computes.
$session = VamhashTest::Session->new($node);
my ($engine) = engines_of($other->pid, 'compute');
$other->begin(q{SELECT count(*) FROM similar_pairs('SELECT i, h FROM hashes', 24)});
ok(wait_for(sub { VamhashTest::process_time($engine) > 20 }), 'an engine computes');
kill 'KILL', $engine;
like(join('', $other->end), qr/vamhash-engine.*killed|signal 9/s, 'killed');
is($other->value($join), $near, 'the next call has a device again');
$other->quit;

# Cancel.
$session->begin(q{SET vamhash.gpu = on; SELECT count(*) FROM similar_pairs('SELECT i, h FROM hashes', 24)});
ok( $node->poll_query_until(
		'postgres', q{SELECT count(*) = 1 FROM vamhash_progress WHERE phase = 'comparing' AND device <> 'cpu'}),
	'vamhash_progress names the device');
$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $session->pid . ')');
like(join('', $session->end), qr/57014/, 'cancelled');
is($session->value($join), $near, 'and again');
$session->quit;

# What cannot be used: the reason is told, and auto goes on by the CPU.
sub without_device
{
	my ($settings, $reason, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $session = VamhashTest::Session->new($node);
	$session->value("SET vamhash.gpu_min_rows = 0; SET $settings; SET vamhash.gpu = on");
	my $error = $session->error($join);
	like($error, qr/^55000: +no device can be used\nDETAIL: .*$reason/, "$what: an error where one is required");
	is($session->value('SELECT 1'), 1, "$what: the session goes on");
	$session->value('SET vamhash.gpu = auto');
	is($session->value($join), $near, "$what: the CPU otherwise");
	$session->quit;
	return;
}

without_device(q{vamhash.device_id = 77}, 'no device 77', 'a number that no device has');
if ($device =~ /^opencl/)
{
	my $backends = q{vamhash.backends = 'opencl'};
	write_file("$directory/vamhash_opencl.so", 'nothing of use');
	without_device($backends, 'opencl: .*vamhash_opencl.so', 'a plugin that is none');
	copy("$directory/vamhash.so", "$directory/vamhash_opencl.so");
	without_device($backends, 'opencl: .*vamhash_opencl.so', 'a library that is another one');
	unlink "$directory/vamhash_opencl.so";
	without_device($backends, 'opencl: .*vamhash_opencl.so', 'a plugin that is missing');
}

ok(wait_for(sub { !stray_engines($node) }, 3), 'no engine is left');
$node->stop;
done_testing();
