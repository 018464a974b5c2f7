# An engine is a good child of its backend: it inherits nothing, survives and spreads no signal, ends
# with its backend, is always reaped, and writes nowhere. One section for each thing that a process
# beside a backend could do to a cluster.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket;
use Test::More;
use VamhashTest;

plan skip_all => 'needs /proc' unless -r '/proc/self/stat';

my $node = start_node('main');
picture_table($node);
create_hashes($node);

my $dhash = q{SELECT dhash(img) FROM pictures WHERE name = 'right'};
my $join = q{SELECT string_agg(a || '-' || b, ' ' ORDER BY a, b) FROM
	similar_pairs('SELECT g, (g / 2)::bigint::phash64 FROM generate_series(1, 6) g', 0)};
my $joined = '2-3 4-5';

# 1. Descriptors.
{
	$node->safe_psql('postgres',
		join ';', map { "CREATE TABLE open$_ AS SELECT $_ AS i; CREATE INDEX ON open$_ (i)" } 1 .. 40);
	my $session = VamhashTest::Session->new($node);
	$session->value("SELECT sum(i) FROM open$_") foreach 1 .. 40;
	my $inherited = grep { /base\/\d+\/\d+/ } values %{ descriptors($session->pid) };
	cmp_ok($inherited, '>', 20, 'the backend has data files open');

	is($session->value($dhash), $right_dhash, 'a picture is hashed');
	is($session->value($join), $joined, 'hashes are joined');
	foreach my $role ('decode', 'compute')
	{
		my @engines = engines_of($session->pid, $role);
		is(scalar @engines, 1, "the backend has one engine of role $role");
		my $open = descriptors($engines[0]);
		like(delete $open->{3}, qr/^socket:/, "$role: descriptor 3 is a socket");
		is_deeply($open, { 0 => '/dev/null', 1 => '/dev/null', 2 => '/dev/null' },
			"$role: the other descriptors are /dev/null, and nothing else is open");
	}
	$session->quit;
}

# 2. Signals.
{
	my $session = VamhashTest::Session->new($node);
	$session->value("$dhash; $join");
	my @engines = engines_of($session->pid);
	is(scalar @engines, 2, 'two engines');
	foreach my $engine (@engines)
	{
		like(process_status($engine)->{SigBlk}, qr/^0+$/, 'no signal is blocked in the engine');
		kill 'INT', $engine;
	}
	is($session->value($dhash), $right_dhash, 'SIGINT does not end the engine');
	is_deeply([ engines_of($session->pid) ], \@engines, 'nor is it replaced');

	foreach my $signal ('TERM', 'QUIT')
	{
		$session->value($dhash);
		my ($engine) = engines_of($session->pid, 'decode');
		kill $signal, $engine;
		# Nobody has reaped it yet: its exit status can be seen.
		ok(wait_for(sub { process_stat($engine)->{state} eq 'Z' }), "SIG$signal ends an engine");
		is(process_stat($engine)->{exit_code}, 0, "SIG$signal: exit status 0");
		is($session->value($dhash), $right_dhash, "SIG$signal: the next call does not notice");
		ok(!process_stat($engine), "SIG$signal: and has reaped the old one");
	}

	my $engine = $session->begin_join;
	kill 'TERM', $engine;
	my ($out, $err) = $session->end;
	is($out, '', 'an engine that is ended while it works gives no answer');
	like(
		VamhashTest::Session::tidy($err),
		qr/^38000: the vamhash engine \(compute\) ended unexpectedly\nDETAIL:  child process exited with exit code 0\n/,
		'but an error that says how it ended');
	is($session->value($join), $joined, 'the next call works');

	# Timeouts in quick succession: they are sent to the process group, the engine included.
	my $timeouts = 0;
	my $wrong = 0;
	foreach my $round (1 .. 30)
	{
		my $sql = join '', map {
			my $ms = 1 + ($round * 7 + $_) % 9;
			"SET statement_timeout = $ms;
			 SELECT dhash(img) FROM pictures WHERE name = 'huge';
			 SELECT dhash(img) FROM pictures WHERE name = 'right';
			 SELECT count(*) FROM similar_pairs('SELECT i, h FROM hashes LIMIT 20000', 0);\n"
		} 1 .. 5;
		($out, $err) = $session->query($sql);
		my $statements = 0;
		foreach (split /\n/, $err)
		{
			next unless /ERROR:/;
			if (/57014: canceling statement due to statement timeout/) { $timeouts++ }
			else { $wrong++; diag $_ }
		}
		foreach (split /\n/, $out)
		{
			unless ($_ eq $right_dhash || $_ eq '0') { $wrong++; diag $_ }
		}
	}
	$session->value('RESET statement_timeout');
	cmp_ok($timeouts, '>', 200, "$timeouts timeouts");
	is($wrong, 0, 'timeouts: no other error, no wrong answer');

	# Cancels at random moments, from another session.
	my $other = VamhashTest::Session->new($node);
	my $pid = $session->pid;
	$other->begin("DO \$\$ BEGIN
			FOR i IN 1 .. 1500 LOOP
				PERFORM pg_cancel_backend($pid), pg_sleep(random() * 0.003);
			END LOOP;
		END \$\$; SELECT 'over'");
	my ($cancels, $answers) = (0, 0);
	$wrong = 0;
	until ($other->{out} =~ /over/)
	{
		($out, $err) = $session->query(
			join "\n",
			map { "SELECT 'd', dhash(img) FROM pictures WHERE name = 'right';
				   SELECT 'j', string_agg(a || '-' || b, ' ' ORDER BY a, b) FROM
					similar_pairs('SELECT g, (g / 2)::bigint::phash64 FROM generate_series(1, 6) g', 0);
				   SELECT 'd', dhash(img) FROM pictures WHERE name = 'left';" } 1 .. 20);
		foreach (split /\n/, $err)
		{
			next unless /ERROR:/;
			if (/57014: canceling statement due to user request/) { $cancels++ }
			else { $wrong++; diag $_ }
		}
		foreach (split /\n/, $out)
		{
			if ($_ eq "d|$right_dhash" || $_ eq "d|$left_dhash" || $_ eq "j|$joined") { $answers++ }
			else { $wrong++; diag $_ }
		}
		$other->{run}->pump_nb;
	}
	$other->end;
	$other->quit;
	cmp_ok($cancels, '>', 200, "$cancels calls cancelled, $answers answered");
	is($wrong, 0, 'cancels: no other error, no wrong answer');
	is($session->value($dhash), $right_dhash, 'the session goes on');
	cmp_ok(scalar(engines_of($pid)), '<=', 2, 'with one engine a role at most');
	$session->quit;
	ok(wait_for(sub { !engines_of($pid) }, 2), 'and leaves none behind');
}

# 3. The backend's death.
{
	my $crash = start_node('crash', 'restart_after_crash = on');
	create_hashes($crash);
	my $session = VamhashTest::Session->new($crash);
	$session->value(q{SELECT dhash(} . sql_bytea(rising_png()) . ')');
	my $engine = $session->begin_join;
	is(scalar(engines_of($session->pid)), 2, 'one engine idle, one busy');
	kill 'KILL', $session->pid;
	ok( wait_for(sub { !engines_of($session->pid) }, 1),
		'SIGKILL of the backend: its engines are gone within a second');
	$session->lost;
	ok( $crash->poll_query_until('postgres', q{SELECT 'ffffffffffffffff' = dhash(}
			  . sql_bytea(rising_png()) . ')'),
		'the server has recovered and hashes');
	$crash->stop;

	# An engine whose backend died before the engine could ask for a signal at its death.
	foreach my $case ([ 'the parent', $$, 1 ], [ 'not the parent', getppid(), 0 ])
	{
		my ($whose, $backend, $serves) = @$case;
		socketpair(my $mine, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die "socketpair: $!";
		my $pid = fork;
		die "fork: $!" unless defined $pid;
		if ($pid == 0)
		{
			POSIX::dup2(fileno($theirs), 3) unless fileno($theirs) == 3;
			fcntl($theirs, Fcntl::F_SETFD(), 0) if fileno($theirs) == 3;
			{ exec library_directory() . '/vamhash-engine', 'decode', $backend, 0 };
			POSIX::_exit(127);
		}
		close $theirs;
		my $hello = '';
		# The test modules of 17 may handle SIGCHLD, which would interrupt this.
		local $SIG{CHLD} = 'DEFAULT';
		my $got = sysread $mine, $hello, 48;
		is($got, $serves ? 48 : 0,
			"the backend it was started for is $whose: " . ($serves ? 'it says hello' : 'it ends'));
		close $mine;
		waitpid $pid, 0;
		is($?, 0, "$whose: exit status 0 at the end of its socket");
	}
}

# 4. Nothing is left: not of a session's end, nor of a server's.
{
	my $session = VamhashTest::Session->new($node);
	$session->value("$dhash; $join");
	my $pid = $session->pid;
	is(scalar(engines_of($pid)), 2, 'a session has two engines');
	$session->quit;
	ok(wait_for(sub { !engines_of($pid) }, 2), 'they end with the session');

	# The engine, which is sent the signal too, ends before its backend; that is not the reason told.
	foreach (1 .. 5)
	{
		$session = VamhashTest::Session->new($node);
		$session->begin_join;
		$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . $session->pid . ')');
		ok(wait_for(sub { !engines_of($session->pid) }, 2), 'pg_terminate_backend() during a call');
		like(
			$session->lost,
			qr/^57P01: terminating connection due to administrator command\n/,
			'the session was told that and nothing else');
	}

	foreach my $mode ('fast', 'immediate')
	{
		my $busy = VamhashTest::Session->new($node);
		$busy->begin_join;
		my $idle = VamhashTest::Session->new($node);
		$idle->value($dhash);
		my $seconds = seconds_of(sub { $node->stop($mode) });
		cmp_ok($seconds, '<', 5, "stop $mode does not wait for a busy engine");
		ok( wait_for(sub { !engines_of($busy->pid) && !engines_of($idle->pid) }, 2),
			"stop $mode leaves no engine");
		$busy->lost;
		$idle->lost;
		$node->start;
	}
}

# 4, in a container: where the postmaster is process 1, an orphan that dies by a signal is to it a
# crashed backend, for which it restarts the server.
SKIP:
{
	my @unshare = ('unshare', '--pid', '--fork', '--kill-child', '--mount-proc');
	my $may = sub {
		my $all = '';
		return eval { IPC::Run::run([ @unshare, @_, 'true' ], '>&', \$all) };
	};
	if (!$may->())
	{
		push @unshare, '--user', '--map-current-user';
		skip 'no permission to unshare a pid namespace', 8 unless $may->();
	}

	my $container = PostgreSQL::Test::Cluster->new('container');
	$container->init;
	$container->append_conf('postgresql.conf', "fsync = off\nrestart_after_crash = on");
	my $log = '';
	# Not pg_ctl: it would look for the postmaster at pid 1 here.
	my $server = IPC::Run::start(
		[ @unshare, 'postgres', '-D', $container->data_dir ],
		'<', '/dev/null', '>&', \$log, IPC::Run::timeout(120));
	my $restarts = sub {
		$server->pump_nb;
		return scalar(() = $log =~ /all server processes terminated; reinitializing/g);
	};
	ok($container->poll_query_until('postgres', 'SELECT true'), 'a postmaster as process 1');
	like(slurp_file($container->data_dir . '/postmaster.pid'), qr/^1\n/, 'is process 1');
	$container->safe_psql('postgres', 'CREATE EXTENSION vamhash');
	create_hashes($container);

	# Pids in the container are not those seen here, so its sessions look for themselves.
	my $computing = q{SELECT count(*) > 0 FROM pg_stat_activity
		WHERE query LIKE 'SELECT count%similar_pairs%' AND wait_event_type = 'Extension'};
	my $session = VamhashTest::Session->new($container);
	my $witness = VamhashTest::Session->new($container);
	$session->begin($long_join);
	ok($container->poll_query_until('postgres', $computing), 'an engine is busy');
	$witness->value('SELECT pg_terminate_backend(' . $session->pid . ')');
	$session->lost;
	ok( $container->poll_query_until('postgres',
			'SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = ' . $session->pid),
		'its backend is terminated');

	$session = VamhashTest::Session->new($container);
	$session->begin($long_join);
	$container->poll_query_until('postgres', $computing);
	$witness->value(q{COPY (SELECT 1) TO PROGRAM 'pkill -KILL -x vamhash-engine'});
	my (undef, $err) = $session->end;
	like($err, qr/38000: the vamhash engine \(compute\) ended unexpectedly/, 'an engine is killed');
	$session->quit;
	is($witness->value('SELECT 1'), '1', 'another session goes on');
	is($restarts->(), 0, 'the server did not restart');

	# The control: this does look like a crash to it.
	$witness->begin(
		q{COPY (SELECT 1) TO PROGRAM 'sh -c "sleep 0.2; kill -KILL \$\$" >/dev/null 2>&1 & cat'});
	ok(wait_for(sub { $restarts->() > 0 }), 'whereas for an orphan killed by a signal it does');
	$witness->lost;
	# unshare passes SIGKILL on to process 1, which ends all the others.
	$server->signal('KILL');
	eval { $server->finish };
}

# 5. Output.
{
	my $directory = private_library();
	install_engine($directory,
		"#!/bin/sh\necho written to output\necho written to the error output >&2\nexit 3\n");
	my $private = start_private_node('private', $directory);
	my $session = VamhashTest::Session->new($private);
	like(
		$session->error('SELECT dhash(' . sql_bytea(rising_png()) . ')'),
		qr/^38000: the vamhash engine \(decode\) ended unexpectedly\nDETAIL:  child process exited with exit code 3\n/,
		'an engine that writes and ends');
	$session->quit;
	$private->stop;
	unlike(slurp_file($private->logfile), qr/written to/, 'writes nothing into the server log');
}

# 6. Environment and limits.
{
	my $session = VamhashTest::Session->new($node);
	$session->value("$dhash; $join");
	foreach my $role ('decode', 'compute')
	{
		my ($engine) = engines_of($session->pid, $role);
		is_deeply(
			[ sort split /\0/, slurp_file("/proc/$engine/environ") ],
			[ 'LC_ALL=C', 'PATH=/usr/bin:/bin' ],
			"$role: nothing of the server's environment");
		is(readlink("/proc/$engine/cwd"), '/', "$role: working directory");
		is(slurp_file("/proc/$engine/oom_score_adj") + 0,
			500, "$role: the kernel ends it before the backend when memory runs out");
		like(slurp_file("/proc/$engine/limits"), qr/^Max core file size +0 +0 /m,
			"$role: dumps no core");
		is(process_status($engine)->{NoNewPrivs}, '1', "$role: cannot gain privileges");
	}
	$session->quit;
}

$node->stop;
is_deeply([ grep { /vamhash/ && /PANIC|server process .* was terminated/ }
		  split /\n/, slurp_file($node->logfile) ],
	[], 'no crash in the log');

done_testing();
