# Whatever ends a call - a cancel, a timeout, a vanished client, an error of the query that feeds it,
# a rollback - the session goes on, the next answer is right, and no engine or descriptor is left.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VamhashTest;

plan skip_all => 'needs /proc' unless -r '/proc/self/stat';

# Few descriptors a process, so that lost ones are missed.
my $node = start_node('main', q{
	max_files_per_process = 200
	max_prepared_transactions = 1
	autovacuum_naptime = 1s
	autovacuum_vacuum_cost_delay = 0
	max_parallel_workers_per_gather = 0
});
picture_table($node);
create_hashes($node);

my $dhash = q{SELECT dhash(img) FROM pictures WHERE name = 'right'};
my $huge = q{SELECT dhash(img) FROM pictures WHERE name = 'huge'};
my $join = q{SELECT string_agg(a || '-' || b, ' ' ORDER BY a, b) FROM
	similar_pairs('SELECT g, (g / 2)::bigint::phash64 FROM generate_series(1, 6) g', 0)};
my $joined = '2-3 4-5';
my $timed_out = qr/^57014: canceling statement due to statement timeout$/;
my $cancelled = qr/^57014: canceling statement due to user request$/;

# After whatever came before: both kinds of call answer, and the session has one engine a role.
sub session_works
{
	my ($session, $after) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($session->value("$dhash; $join"), "$right_dhash\n$joined", "$after: the next calls answer");
	is_deeply(
		[ map { scalar engines_of($session->pid, $_) } 'decode', 'compute' ],
		[ 1, 1 ],
		"$after: one engine a role");
	return;
}

# A type of keys whose comparison takes so long that sorting a few is work for minutes.
$node->safe_psql(
	'postgres', q{
	CREATE TYPE slow_key AS (i int);
	CREATE FUNCTION slow_compare(slow_key, slow_key) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
	BEGIN
		PERFORM pg_sleep(0.01);
		RETURN btint4cmp($1.i, $2.i);
	END $$;
	CREATE FUNCTION slow_less(slow_key, slow_key) RETURNS boolean LANGUAGE sql IMMUTABLE
		AS 'SELECT slow_compare($1, $2) < 0';
	DO $$
	BEGIN
		FOR i IN 1 .. 5 LOOP
			EXECUTE format('CREATE OPERATOR %s (FUNCTION = slow_less, LEFTARG = slow_key,
				RIGHTARG = slow_key)', repeat('<', i));
		END LOOP;
	END $$;
	CREATE OPERATOR CLASS slow_ops DEFAULT FOR TYPE slow_key USING btree AS
		OPERATOR 1 <, OPERATOR 2 <<, OPERATOR 3 <<<, OPERATOR 4 <<<<, OPERATOR 5 <<<<<,
		FUNCTION 1 slow_compare(slow_key, slow_key)});

# Timeout and cancel in every phase of a call.
{
	my $session = VamhashTest::Session->new($node);
	is($session->value($huge), $right_dhash, 'a huge picture is hashed');

	foreach my $case (
		[ 'decoding', $huge ],
		[ 'computing', $long_join ],
		[
			'receiving pairs',
			q{SET vamhash.max_pairs = 0; SELECT count(*) FROM similar_pairs('SELECT i, h FROM hashes', 64)}
		],
		[
			'grouping',
			q{SELECT count(*) FROM similar_groups('SELECT i, h FROM hashes', 12, 'connected')}
		],
		[
			'ranking keys',
			q{SELECT count(*) FROM similar_groups('SELECT row(i)::slow_key, (i % 2)::bigint::phash64
				FROM generate_series(1, 1000) i', 0, 'star', NULL::slow_key)}
		],
		[
			'reading the query',
			q{SELECT count(*) FROM similar_pairs(
				'SELECT i, h FROM hashes WHERE pg_sleep(0.0001) IS NOT NULL', 3)}
		],
		[
			'sending',
			q{SELECT count(*) FROM similar_pairs(
				'SELECT i, i::bigint::phash64 FROM generate_series(1, 100000000) i', 0)}
		])
	{
		my ($phase, $sql) = @$case;
		my $error;
		my $seconds = seconds_of(
			sub { $error = $session->error("SET statement_timeout = 100; $sql") });
		like($error, $timed_out, "$phase: statement_timeout");
		cmp_ok($seconds, '<', 1.5, "$phase: the call ends in time");
		$session->value('RESET statement_timeout');
		session_works($session, $phase);
	}

	foreach my $busy ('begin_hash', 'begin_join')
	{
		my $engine = $session->$busy;
		my $error;
		my $seconds = seconds_of(
			sub {
				$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $session->pid . ')');
				(undef, $error) = $session->end;
			});
		like(VamhashTest::Session::tidy($error), $cancelled, "$busy: pg_cancel_backend()");
		cmp_ok($seconds, '<', 1, "$busy: the call ends in time");
		ok(process_ended($engine), "$busy: its engine was killed");
		session_works($session, $busy);
	}

	# Nothing piles up.
	my $before = lasting_descriptors($session->pid);
	my ($out, $err) = $session->query(
		join "\n", 'SET statement_timeout = 4;',
		map { "$huge; SELECT count(*) FROM similar_pairs('SELECT i, h FROM hashes', 12);" } 1 .. 100);
	my $timeouts = () = $err =~ /57014: canceling statement due to statement timeout/g;
	is($timeouts, 200, '200 timeouts in a row');
	$session->value('RESET statement_timeout');
	session_works($session, 'afterwards');
	is(lasting_descriptors($session->pid), $before, 'afterwards: as many descriptors open as before');
	$session->quit;
	ok(wait_for(sub { !engines_of($session->pid) }, 2), 'no engine is left');
}

# The client vanishes.
foreach my $busy ('begin_hash', 'begin_join')
{
	my $session = VamhashTest::Session->new($node);
	$session->value("SET client_connection_check_interval = '50ms'");
	$session->$busy;
	$session->vanish;
	ok( wait_for(sub { !process_stat($session->pid) && !engines_of($session->pid) }, 2),
		"$busy: a vanished client is noticed, its engines end");
}

# Errors caught by a savepoint or an exception block.
my $session = VamhashTest::Session->new($node);
session_works($session, 'a new session');
my $engines = [ engines_of($session->pid) ];
like($session->error(q{SELECT dhash('no image')}), qr/^0A000: /, 'bytes that are no image');
is_deeply([ engines_of($session->pid) ], $engines, 'cost no engine');

is( $session->value(
		qq{BEGIN; SAVEPOINT one;
		\\set ON_ERROR_ROLLBACK on
		$dhash}),
	$right_dhash,
	'in a subtransaction');
like($session->error(q{SELECT dhash('no image')}), qr/^0A000: /, 'an error in a savepoint');
is($session->value("$dhash; $join"), "$right_dhash\n$joined", 'costs only the savepoint');
like($session->error("SET LOCAL statement_timeout = 100; $huge"),
	$timed_out, 'a timeout in a savepoint');
$session->value('SET LOCAL statement_timeout = 0');
session_works($session, 'in the same transaction');
is($session->value("ROLLBACK TO one; $join; COMMIT"), $joined, 'and after ROLLBACK TO');
$session->value('\set ON_ERROR_ROLLBACK off');
session_works($session, 'after the transaction');

$session->value(
	q{
	CREATE FUNCTION dhash_or_null(img bytea) RETURNS phash64 LANGUAGE plpgsql AS $$
	BEGIN
		RETURN dhash(img);
	EXCEPTION WHEN feature_not_supported THEN
		RETURN NULL;
	END $$;
	CREATE FUNCTION pairs_or_error(query text) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		result text;
	BEGIN
		SELECT string_agg(a || '-' || b, ' ' ORDER BY a, b) INTO result FROM similar_pairs(query, 0);
		RETURN result;
	EXCEPTION WHEN OTHERS THEN
		RETURN SQLSTATE;
	END $$;
	CREATE FUNCTION nested_pairs(depth int) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		result text;
	BEGIN
		SELECT string_agg(a || '-' || b, ' ' ORDER BY a, b) INTO result
		FROM similar_pairs(format('SELECT g, (g / 2)::bigint::phash64 FROM generate_series(1, 6) g
			WHERE g < 6 OR %s = 0 OR nested_pairs(%s - 1) = ''2-3 4-5''', depth, depth), 0);
		RETURN result;
	END $$});
is( $session->value(
		q{SELECT string_agg(coalesce(dhash_or_null(img)::text, 'null'), ' ' ORDER BY name) FROM
			(SELECT name, img FROM pictures WHERE name <> 'huge'
			 UNION ALL VALUES ('m', 'no image'::bytea)) p}),
	"$left_dhash null $right_dhash",
	'an exception block around each call');

# A query that fails half-way, before and after hashes were sent.
foreach my $row (5, 100_000)
{
	my $query = "SELECT i, (i / ($row - i))::bigint::phash64 FROM generate_series(1, 200000) i";
	like($session->error("SELECT count(*) FROM similar_pairs('$query', 0)"),
		qr/^22012: division by zero/, "a query that fails at row $row");
	session_works($session, 'after a query that fails');
	is($session->value("SELECT pairs_or_error('$query')"), '22012', 'the same, caught');
	session_works($session, 'after that');
}

is( $session->value(
		q{SELECT count(*) FROM generate_series(1, 100) i
		WHERE pairs_or_error(format('SELECT %s, (1 / 0)::bigint::phash64', i)) = '22012'}),
	100,
	'a hundred caught errors in one transaction');
session_works($session, 'after these');

# The query itself calls vamhash; errors inside it do not touch the call around it.
is( $session->value(
		q{SELECT string_agg(format('%s-%s', a, b), ' ' ORDER BY a, b) FROM similar_pairs($query$
			SELECT a * 100 + row_number() OVER (ORDER BY a, name), dhash(img)
			FROM pictures, similar_pairs('SELECT g, (g / 2)::bigint::phash64
				FROM generate_series(1, 6) g', 0)
			WHERE name <> 'huge' $query$, 0)}),
	'201-403 202-404',
	'a query that calls similar_pairs() and dhash()');
is($session->value('SELECT nested_pairs(5)'), $joined, 'six calls one inside the other');
session_works($session, 'afterwards');
like(
	$session->error('SELECT nested_pairs(1000)'),
	qr/^54000: calls of vamhash functions are nested too deeply\nDETAIL:  A session has at most 32 engine processes\.$/,
	'a recursion without end');
session_works($session, 'afterwards');
is( $session->value(
		q{SELECT string_agg(format('%s-%s', a, b), ' ' ORDER BY a, b) FROM similar_pairs($query$
			SELECT g, (g / 2)::bigint::phash64 FROM generate_series(1, 6) g
			WHERE pairs_or_error('SELECT i, (i / (3 - i))::bigint::phash64
				FROM generate_series(1, 5) i') = '22012'
			AND dhash_or_null('no image') IS NULL $query$, 0)}),
	$joined,
	'a query that catches errors of calls inside it');
session_works($session, 'afterwards');

# Cursors.
is( $session->value(
		qq{BEGIN;
		DECLARE pairs CURSOR FOR SELECT a FROM similar_pairs(
			'SELECT g, (g / 2)::bigint::phash64 FROM generate_series(1, 6) g', 0) ORDER BY a;
		DECLARE pictures CURSOR FOR SELECT dhash(img) FROM pictures WHERE name <> 'huge' ORDER BY name;
		FETCH pairs; FETCH pictures; $join; $dhash; FETCH pictures; FETCH pairs; COMMIT}),
	"2\n$left_dhash\n$joined\n$right_dhash\n$right_dhash\n4",
	'two cursors and calls between');
is( $session->value(
		q{BEGIN;
		DECLARE held CURSOR WITH HOLD FOR SELECT a FROM similar_pairs(
			'SELECT g, (g / 2)::bigint::phash64 FROM generate_series(1, 6) g', 0) ORDER BY a;
		COMMIT; FETCH ALL held}),
	"2\n4",
	'a cursor that runs at COMMIT');
$session->value('BEGIN; DECLARE open CURSOR FOR SELECT dhash(img) FROM pictures; FETCH open');
$session->value('ROLLBACK');
session_works($session, 'after a cursor left open');

# COMMIT and ROLLBACK in a procedure, between calls and between the pairs of one call.
is( $session->value(
		q{CREATE TABLE seen (what text);
		DO $$
		DECLARE
			pair record;
		BEGIN
			FOR i IN 1 .. 3 LOOP
				INSERT INTO seen SELECT dhash(img) FROM pictures WHERE name = 'right';
				IF i = 2 THEN ROLLBACK; ELSE COMMIT; END IF;
			END LOOP;
			FOR pair IN SELECT * FROM similar_pairs(
				'SELECT g, (g / 2)::bigint::phash64 FROM generate_series(1, 6) g', 0) ORDER BY a LOOP
				INSERT INTO seen VALUES (pair.a);
				COMMIT;
			END LOOP;
		END $$;
		SELECT string_agg(what, ' ') FROM seen}),
	"$right_dhash $right_dhash 2 4",
	'COMMIT and ROLLBACK in a procedure');
is( $session->value(
		"BEGIN; $dhash; $join; PREPARE TRANSACTION 'one'; COMMIT PREPARED 'one'"),
	"$right_dhash\n$joined", 'PREPARE TRANSACTION');
session_works($session, 'after procedures');

# Parallel workers have engines of their own, which end with them.
$session->value(
	q{
	CREATE TABLE many AS SELECT i, CASE i % 2 WHEN 0 THEN l.img ELSE r.img END AS img
	FROM generate_series(1, 1000) i, pictures l, pictures r WHERE l.name = 'left' AND r.name = 'right';
	ALTER TABLE many SET (parallel_workers = 3);
	ANALYZE many;
	SET parallel_setup_cost = 0;
	SET parallel_tuple_cost = 0;
	SET min_parallel_table_scan_size = 0});
my $many = 'SELECT count(*), dhash(img) FROM many GROUP BY 2 ORDER BY 2';
my $counts = "500|$left_dhash\n500|$right_dhash";
is($session->value($many), $counts, 'many pictures, one process');
$session->value('SET max_parallel_workers_per_gather = 3');
like($session->value("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) $many"),
	qr/Workers Launched: [1-3]/, 'parallel workers hash');
is($session->value($many), $counts, 'many pictures, several processes');
is( $session->value(
		q{SELECT count(*) FROM similar_pairs(
			'SELECT i, dhash(img) FROM many', 0)}),
	1000 * 998 / 4,
	'a join fed by parallel workers');
like(
	$session->error(
		q{UPDATE many SET img = 'no image' WHERE i = 900; SELECT count(dhash(img)) FROM many}),
	qr/^0A000: /,
	'an error in a worker');
$session->value('DELETE FROM many WHERE i = 900');
like($session->error(qq{SET statement_timeout = 20;
		SELECT count(dhash(img)) FROM many, generate_series(1, 100)}), $timed_out, 'a timeout of workers');
$session->value('SET statement_timeout = 0');
my $force = $node->safe_psql('postgres',
	q{SELECT name FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query')
	  ORDER BY 1 LIMIT 1});
is($session->value("SET $force = on; $dhash; $join; RESET $force"),
	"$right_dhash\n$joined", "$force");
session_works($session, 'after parallel queries');
ok( wait_for(
		sub {
			my %mine = map { $_ => 1 } engines_of($session->pid);
			return !grep { !$mine{$_} } stray_engines($node);
		}, 2),
	'no worker has left an engine');

# An index on a hash: built by parallel workers, analyzed by autovacuum.
$session->value('CREATE INDEX ON many (dhash(img))');
# In a session that ends, for its statistics to be seen soon.
$node->safe_psql(
	'postgres', q{
	INSERT INTO many
	SELECT i, m.img FROM generate_series(2001, 3000) i, (SELECT img FROM many WHERE i = 1) m});
is( $session->value(
		qq{SET enable_seqscan = off;
		SELECT count(*) FROM many WHERE dhash(img) = '$left_dhash';
		RESET enable_seqscan}),
	499,
	'an index on dhash()');
ok( $node->poll_query_until('postgres',
		qq{SELECT most_common_vals::text = '{$right_dhash,$left_dhash}'
		FROM pg_stats WHERE tablename = 'many_dhash_idx'}),
	'autovacuum analyzes it');

$session->quit;
ok(wait_for(sub { !stray_engines($node) }, 3), 'no engine is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|was terminated by signal/, 'no crash in the log');

done_testing();
