# vamhash_progress shows the running jobs of all sessions to all sessions, and only to those who may see
# them; a job is gone when its query is, however that ended. It needs no preloading, and never fails a
# query: one too many is not shown.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VamhashTest;

# As many as are shown: JOB_SLOTS in src/pg/progress.cpp.
my $slots = 128;

my $slow_join = q{SELECT count(*) FROM similar_pairs(
	'SELECT i, i::bigint::phash64 FROM generate_series(1, 1000000) i WHERE pg_sleep(0.01) IS NOT NULL', 0)};
my $join = q{SELECT string_agg(a || '-' || b, ' ' ORDER BY a, b) FROM
	similar_pairs('SELECT g, (g / 2)::bigint::phash64 FROM generate_series(1, 6) g', 0)};
my $joined = '2-3 4-5';

# So many similar_pairs inside one another, the innermost of which waits.
my $nested_join = q{
	CREATE FUNCTION nested_join(depth int) RETURNS bigint LANGUAGE plpgsql AS $$
	BEGIN
		IF depth = 0 THEN
			PERFORM pg_sleep(1000000);
		END IF;
		RETURN (SELECT count(*) FROM similar_pairs(
			format('SELECT 1, nested_join(%s)::phash64', depth - 1), 0));
	END $$};

# Waits until a query about the jobs is true.
sub shown
{
	my ($node, $condition, $what, $database) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($node->poll_query_until($database || 'postgres', "SELECT $condition FROM vamhash_progress"),
		$what);
}

# Ends a session's statement by cancel; checks that its job is gone when it has ended.
sub cancel
{
	my ($node, $session, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $session->pid . ')');
	my (undef, $error) = $session->end;
	like($error, qr/canceling statement due to user request/, "$what: cancelled");
	is( $node->safe_psql('postgres',
			'SELECT count(*) FROM vamhash_progress WHERE pid = ' . $session->pid),
		0,
		"$what: its job is gone");
	return;
}

# Uses up the shared memory that PostgreSQL has to spare: locks beyond those it planned for take it.
sub exhaust_shared_memory
{
	my ($node) = @_;
	my ($status, undef, $error) =
	  $node->psql('postgres', 'SELECT count(pg_advisory_lock(i)) FROM generate_series(1, 10000000) i');
	# Until its locks are free again, nobody else may get the few that a session needs.
	return $status != 0
	  && $error =~ /out of shared memory/
	  && $node->poll_query_until('postgres',
		q{SELECT NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory')});
}

foreach my $preload (0, 1)
{
	my $mode = $preload ? 'preloaded' : 'not preloaded';
	my $settings = "restart_after_crash = on\nmax_connections = 30\nmax_locks_per_transaction = 10\n"
	  . ($preload ? "shared_preload_libraries = 'vamhash'\n" : '');
	my $node = start_node("preload$preload", $settings);
	create_hashes($node);
	$node->safe_psql(
		'postgres', q{
		CREATE ROLE alice LOGIN;
		CREATE ROLE bob LOGIN;
		CREATE ROLE friend LOGIN;
		CREATE ROLE monitor LOGIN;
		GRANT alice TO friend;
		GRANT pg_read_all_stats TO monitor;
		CREATE DATABASE other});
	$node->safe_psql('postgres', $nested_join);
	$node->safe_psql('other', 'CREATE EXTENSION vamhash');

	# One session's job, seen by others.
	my $alice = VamhashTest::Session->new($node, user => 'alice');
	my $pid = $alice->pid;
	$alice->begin($slow_join);
	shown($node, "count(*) = 1 AND min(done) > 1", "$mode: a running join is shown");
	my $row = "SELECT pid, role, database, kind, phase, done = rows, total, bad, per_second > 0, bytes,
		device, started BETWEEN backend_start AND clock_timestamp(), candidates, pairs, estimated_pairs
		FROM vamhash_progress JOIN pg_stat_activity USING (pid)";
	my $all = "$pid|alice|postgres|similar_pairs|reading rows|t|||t|||t|||";
	is($node->safe_psql('postgres', $row), $all, "$mode: to a superuser");
	is($node->safe_psql('other', $row), $all, "$mode: in another database");
	foreach my $role ('alice', 'friend', 'monitor')
	{
		my $connection = $node->connstr('postgres') . " user=$role";
		is( $node->safe_psql('postgres', 'SELECT pid, role, database, kind, phase, done > 0, rows > 0,
				per_second > 0, started < clock_timestamp() FROM vamhash_progress', connstr => $connection),
			"$pid|alice|postgres|similar_pairs|reading rows|t|t|t|t",
			"$mode: to $role");
	}
	is( $node->safe_psql('postgres', 'SELECT * FROM vamhash_progress',
			connstr => $node->connstr('postgres') . ' user=bob'),
		"$pid|alice|postgres" . '|' x 13,
		"$mode: to bob only whose it is");
	my $before = $node->safe_psql('postgres', 'SELECT done FROM vamhash_progress');
	shown($node, "min(done) > $before", "$mode: it goes on");

	# Another database's.
	my $other = VamhashTest::Session->new($node);
	$other->value('\c other');
	$other->begin($slow_join);
	shown($node, "string_agg(role || ' ' || database, ', ' ORDER BY started) = 'alice postgres, '
		|| current_user || ' other'", "$mode: jobs of two databases");
	$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM vamhash_progress
		WHERE database = 'other'});
	like(($other->end)[1], qr/canceling statement/, "$mode: cancelled by its pid in the view");
	cancel($node, $alice, $mode);
	$other->quit;

	# The phases of a join.
	my $session = VamhashTest::Session->new($node);
	# Of some seconds even on a fast machine: on one thread, each row with each.
	$session->begin("SET vamhash.gpu = off; SET vamhash.threads = 1; SET vamhash.join_method = brute; $long_join");
	shown($node, "min(phase) = 'comparing'", "$mode: a join that computes");
	is($node->safe_psql('postgres', 'SELECT rows, total > 0, done <= total, device FROM vamhash_progress'),
		'400000|t|t|cpu', "$mode: has read its rows");
	cancel($node, $session, "$mode: computing");
	$session->begin(q{SET vamhash.max_pairs = 0;
		SELECT count(*) FROM similar_pairs('SELECT i, h FROM hashes', 64)});
	shown($node, "min(phase) = 'comparing' AND min(pairs) > 100000", "$mode: a join that returns pairs");
	cancel($node, $session, "$mode: returning");
	is($session->value("RESET ALL; SET statement_timeout = '1min'; $join"),
		$joined, "$mode: the session works");

	# Engines that are stopped, and one that dies, are counted in the session that they worked for.
	my $counted = q{SELECT string_agg(value, ' ') FROM vamhash_stat WHERE name ~ 'total_joins|engine'};
	is($session->value($counted), '1 3 2 0', "$mode: one join complete, three engines, two stopped");
	kill 'KILL', $session->begin_join;
	like(($session->end)[1], qr/ended unexpectedly/, "$mode: an engine dies");
	shown($node, 'count(*) = 0', "$mode: its job is gone");
	is($session->value("$join; $counted"), "$joined\n2 4 2 1", "$mode: and is counted");

	# Jobs inside one another: a row each, the outermost began first.
	$session->begin('SELECT nested_join(3)');
	shown($node, "count(*) = 3 AND count(DISTINCT pid) = 1 AND max(done) = 0", "$mode: three joins, nested");
	cancel($node, $session, "$mode: nested");

	# A session that is terminated, and one whose client vanishes.
	$alice->begin($slow_join);
	shown($node, 'count(*) = 1', "$mode: a join");
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	like($alice->lost, qr/57P01|terminating connection/, "$mode: terminated");
	shown($node, 'count(*) = 0', "$mode: its job is gone");
	my $vanishing = VamhashTest::Session->new($node);
	$vanishing->value("SET client_connection_check_interval = '50ms'");
	$vanishing->begin($slow_join);
	shown($node, 'count(*) = 1', "$mode: a join");
	$vanishing->vanish;
	shown($node, 'count(*) = 0', "$mode: its job is gone with its client");

	# More jobs than are shown.
	my @many = map { VamhashTest::Session->new($node) } 1 .. 5;
	$_->begin('SELECT nested_join(30)') foreach @many;
	ok( $node->poll_query_until(
			'postgres', q{SELECT count(*) = 5 FROM pg_stat_activity WHERE wait_event = 'PgSleep'}),
		"$mode: 150 jobs run");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM vamhash_progress'),
		$slots, "$mode: as many are shown as there is room for");
	is($session->value($join), $joined, "$mode: one more works all the same");
	cancel($node, pop @many, "$mode: one of them");
	$session->begin($slow_join);
	shown($node, "bool_or(pid = @{[ $session->pid ]} AND done > 0)", "$mode: makes room for another");
	cancel($node, $_, "$mode: many") foreach $session, @many;
	is($node->safe_psql('postgres', 'SELECT count(*) FROM vamhash_progress'),
		0, "$mode: none is left");
	$_->quit foreach @many;

	# A crash: all shared memory is new.
	$session->begin($slow_join);
	shown($node, 'count(*) = 1', "$mode: a join");
	kill 'KILL', $session->pid;
	$session->lost;
	shown($node, 'count(*) = 0', "$mode: the server comes back from a crash");
	$session = VamhashTest::Session->new($node);
	$session->begin($slow_join);
	shown($node, 'count(*) = 1 AND min(done) > 0', "$mode: and shows jobs again");
	cancel($node, $session, "$mode: after a crash");
	$session->quit;

	# No shared memory left: from PostgreSQL 17 on, it is made when it is needed, and before, only a
	# server that preloads the library has it for sure.
	$node->restart;
	ok(exhaust_shared_memory($node), "$mode: the shared memory is used up");
	$session = VamhashTest::Session->new($node);
	is($session->value($join), $joined, "$mode: a join without shared memory to spare");
	my $is_shown = $preload || $session->value('SHOW server_version_num') >= 170000;
	is( $session->value(q{SELECT b FROM similar_pairs('SELECT count(*) + i, 0::bigint::phash64
			FROM vamhash_progress, generate_series(1, 2) i GROUP BY i', 0)}) ne '',
		$is_shown ? 1 : '',
		$mode . ($is_shown ? ': is shown' : ': is not shown'));
	is($session->value($join), $joined, "$mode: the session works");
	$session->quit;
	$node->stop;
	my $log = slurp_file($node->logfile);
	is( scalar(() = $log =~ /LOG:  vamhash_progress does not show the jobs of this session: /g),
		$is_shown ? 0 : 1,
		$mode . ($is_shown ? ': nothing to log' : ': the log says once why'));
	unlike($log, qr/PANIC|TRAP/, "$mode: nothing worse in the log");
}

done_testing();
