# Thousands of killed engines and cancelled calls, at random moments of every kind of call, cost the
# calls that they hit an error, and nothing else: no answer is wrong, nothing piles up, and the server
# never notices. Nor do images beyond number.
#
# How many, the environment says: VAMHASH_KILLS, VAMHASH_CANCELS, VAMHASH_IMAGES. The numbers in every
# test run are small ones; tests/endurance/endurance.sh has great ones. VAMHASH_SEED repeats a run, as
# far as moments can be repeated.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use ImageFiles;
use List::Util qw(max);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use VamhashTest;

plan skip_all => 'needs /proc' unless -r '/proc/self/stat';

my $kills_wanted = $ENV{VAMHASH_KILLS} || 200;
my $cancels_wanted = $ENV{VAMHASH_CANCELS} || 200;
my $images_wanted = $ENV{VAMHASH_IMAGES} || 2000;
my $seed = srand($ENV{VAMHASH_SEED} || time());

# Cancels asked for between two looks at everything, and kills.
my $disturbances_per_round = 40;

my $node = start_node('main', 'autovacuum = off');
my $started = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()');
my $directory = PostgreSQL::Test::Utils::tempdir();

# The pictures: every format, good and bad, and one large enough to be killed at.
{
	my %files = (
		png => rising_png(),
		falling => falling_png(),
		large => rising_png(1500, 1000),
		jpeg => rising_jpeg(),
		webp => webp_file(vp8l_rising()),
		gif => gif_file(),
		bmp => bmp_file(),
		tiff => tiff_file(
			[
				map { [ $_->[0], 'L', [ $_->[1] ] ] } [ 256, $width ], [ 257, $height ], [ 258, 8 ],
				[ 259, 1 ], [ 262, 1 ], [ 273, 8 ], [ 277, 1 ], [ 278, $height ],
				[ 279, $width * $height ]
			]),
		'cut png' => substr(rising_png(), 0, -100),
		'cut jpeg' => substr(rising_jpeg(), 0, -100),
		'bad jpeg' => rising_jpeg(jpeg_segment(0xDD, "\0\1")),
		'no image' => 'no image',
		'too large' => bmp_file(columns => 1 << 20, rows => 1 << 20));
	my $values = join ', ',
	  map { "('$_', " . sql_bytea($files{$_}) . ", '" . write_file("$directory/$_", $files{$_}) . "')" }
	  sort keys %files;
	$node->safe_psql(
		'postgres', qq{
		CREATE TABLE pictures (name text PRIMARY KEY, img bytea, path text);
		ALTER TABLE pictures ALTER img SET STORAGE EXTERNAL;
		INSERT INTO pictures VALUES $values;

		CREATE TABLE many AS SELECT i, img FROM generate_series(1, 100) i, pictures
		WHERE name IN ('png', 'falling', 'jpeg', 'bmp');
		ALTER TABLE many SET (parallel_workers = 2);

		SELECT setseed(0.5);
		CREATE TABLE hashes AS SELECT i::bigint, ((random() * 60)::bigint << 40
			| (random() * 4294967295)::bigint)::phash64 AS h FROM generate_series(1, 6000) i;
		ANALYZE;

		CREATE FUNCTION outcome(img bytea) RETURNS text LANGUAGE plpgsql AS \$\$
		BEGIN
			RETURN dhash(img);
		EXCEPTION WHEN OTHERS OR query_canceled THEN
			RETURN SQLSTATE || ': ' || SQLERRM;
		END \$\$;
		CREATE FUNCTION outcome_of_file(path text) RETURNS text LANGUAGE plpgsql AS \$\$
		BEGIN
			RETURN (SELECT format('%s %s %s %sx%s %s', dhash, ahash, phash, width, height, format)
				FROM image_hashes_file(path));
		EXCEPTION WHEN OTHERS OR query_canceled THEN
			RETURN SQLSTATE || ': ' || SQLERRM;
		END \$\$;
		CREATE FUNCTION outcome_of_pairs(query text, max_distance int) RETURNS text LANGUAGE plpgsql AS \$\$
		BEGIN
			RETURN (SELECT format('%s %s', count(*), sum(a * 3 + b * 7 + distance))
				FROM similar_pairs(query, max_distance));
		EXCEPTION WHEN OTHERS OR query_canceled THEN
			RETURN SQLSTATE || ': ' || SQLERRM;
		END \$\$});
}

# The calls. Where an outcome is caught it stands at the end of its line.
my $some = 'SELECT i, h FROM hashes';
my %calls = (
	(map { ("bytes of $_" => "SELECT dhash(img) FROM pictures WHERE name = '$_'") }
		  'png', 'large', 'jpeg', 'tiff', 'cut png', 'bad jpeg'),
	(map { ("file of $_" => "SELECT h.* FROM pictures, image_hashes_file(path) h WHERE name = '$_'") }
		  'png', 'large', 'webp', 'gif', 'cut jpeg', 'no image'),
	'caught, bytes' => 'SELECT name, outcome(img) FROM pictures ORDER BY name',
	'caught, files' => 'SELECT name, outcome_of_file(path) FROM pictures ORDER BY name',
	'caught, pairs' => "SELECT 'near', outcome_of_pairs('$some', 4) UNION ALL
		SELECT 'equal', outcome_of_pairs('$some', 0)",
	'pairs' => "SELECT count(*), sum(a * 3 + b * 7 + distance) FROM similar_pairs('$some', 3)",
	'few pairs' => q{SELECT string_agg(a || '-' || b, ' ' ORDER BY a, b) FROM
		similar_pairs('SELECT g, (g / 2)::bigint::phash64 FROM generate_series(1, 6) g', 0)},
	'pairs between' => "SELECT count(*), sum(a * 3 + b * 7 + distance) FROM
		similar_pairs_between('$some WHERE i <= 2000', '$some WHERE i > 2000', 4)",
	(map { ("groups, $_" => "SELECT count(*), sum(group_id * 3 + key * 7 + distance + diameter) FROM
		similar_groups('$some', 3, '$_')") } 'star', 'complete', 'connected'),
	'hashes in a join' => q{SELECT count(*), sum(a * 3 + b * 7) FROM similar_pairs($$
		SELECT row_number() OVER (ORDER BY name), dhash(img) FROM pictures
		WHERE name IN ('png', 'falling', 'jpeg', 'bmp') $$, 0)},
	'a join in a join' => q{SELECT count(*), sum(a * 3 + b * 7) FROM similar_pairs($$
		SELECT b, (b / 2)::phash64 FROM similar_pairs('SELECT g, (g / 2)::bigint::phash64
			FROM generate_series(1, 600) g', 0)$$, 1)},
	'a savepoint' => q{BEGIN; SAVEPOINT one; SELECT dhash('no image'); ROLLBACK TO one;
		SELECT dhash(img) FROM pictures WHERE name = 'png'; COMMIT; ROLLBACK; ROLLBACK});
my %parallel_calls = (
	'workers' => 'SELECT count(*), dhash(img) FROM many GROUP BY 2 ORDER BY 2',
	'workers in a join' => q{SELECT count(*), sum(a * 3 + b * 7) FROM
		similar_pairs('SELECT i, dhash(img) FROM many WHERE i <= 40', 2)},
	'bytes of jpeg' => $calls{'bytes of jpeg'});

# What a call that was hit may say.
my $cancelled = qr/57014: canceling statement due to (?:user request|statement timeout)/;
my $killed = qr/38000: the vamhash engine \((?:decode|compute)\) ended unexpectedly/;
my $hit = qr/$cancelled|$killed/;
# And what the rest of a transaction may say then.
my $in_savepoint = qr/25P02: |25P01: |3B001: /;

# Sends calls, [name, statements] each, with the name on output and error output before each.
sub begin_calls
{
	my ($session, @sent) = @_;
	$session->begin(join '', map { "\\echo \@$_->[0]\n\\warn \@$_->[0]\n$_->[1];\n" } @sent);
	$session->{sent} = [ map { $_->[0] } @sent ];
	return;
}

# What one kind of output has for each of the calls that were sent.
sub split_by_call
{
	my ($text) = @_;
	my (undef, @parts) = split /^@.*\n?/m, $text;
	chomp @parts;
	return @parts;
}

# Waits for the calls that were sent; returns [name, output, errors] of each.
sub end_calls
{
	my ($session) = @_;
	my ($out, $err) = $session->end;
	my @outs = split_by_call($out);
	my @errs = split_by_call(VamhashTest::Session::tidy($err));
	return map {
		my ($out_of, $err_of) = map { defined $_ ? $_ : '' } $outs[$_], $errs[$_];
		[ $session->{sent}->[$_], $out_of, join(' / ', grep { /^[0-9A-Z]{5}: / } split /\n/, $err_of) ]
	} 0 .. $#{ $session->{sent} };
}

# Runs calls undisturbed; returns what each comes to: name => [output, error].
sub undisturbed
{
	my ($session, $these) = @_;
	begin_calls($session, map { [ $_, $these->{$_} ] } sort keys %$these);
	return { map { ($_->[0] => [ @$_[ 1, 2 ] ]) } end_calls($session) };
}

my %count = (answers => 0, 'errors of kills' => 0, 'errors of cancels' => 0);
my @wrong;

# Takes a call's outcome to the counts: it is as expected, or the call was hit.
sub count_outcome
{
	my ($expected, $name, $out, $err) = @_;
	my ($right_out, $right_err) = @{ $expected->{$name} };
	if ($out eq $right_out && $err eq $right_err)
	{
		$count{answers}++;
		return;
	}
	my @lines = split /\n/, $out;
	my @right = split /\n/, $right_out;
	my $count_hit = sub { $count{ $_[0] =~ /57014/ ? 'errors of cancels' : 'errors of kills' }++ };
	if ($name eq 'a savepoint')
	{
		my $unexpected = grep { !/^(?:$hit|$in_savepoint|0A000)/ } split m{ / }, $err;
		push @wrong, "$name: $out: $err" if $unexpected || ($out ne '' && $out ne $right_out);
		$count_hit->($err) if $err =~ $hit;
		return;
	}
	# A cancel that comes when the answer has been sent, and the server is not yet idle, follows it.
	if ($err =~ /^$hit/ && ($out eq '' || ($out eq $right_out && $err =~ /^57014/)))
	{
		$count_hit->($err);
		return;
	}
	if ($err ne '' || @lines != @right)
	{
		push @wrong, "$name: $out: $err";
		return;
	}
	foreach my $i (0 .. $#lines)
	{
		if ($lines[$i] eq $right[$i]) { $count{answers}++ }
		elsif ($lines[$i] =~ /\|$hit/) { $count_hit->($lines[$i]) }
		else { push @wrong, "$name: $lines[$i]" }
	}
	return;
}

# A backend's memory: kB in use of its own, and bytes of its memory contexts.
sub backend_memory
{
	my ($session) = @_;
	my $contexts = $session->value('SELECT sum(total_bytes) FROM pg_backend_memory_contexts');
	return [ process_status($session->pid)->{RssAnon} =~ s/ kB//r, $contexts ];
}

# By how much a row of numbers grows: the most of its last quarter over the most of its first.
sub growth
{
	my (@numbers) = @_;
	my $quarter = max(1, int(@numbers / 4));
	return max(@numbers[ -$quarter .. -1 ]) - max(@numbers[ 0 .. $quarter - 1 ]);
}

# Ends a session that may have been idle for longer than a psql may run here.
sub quit
{
	my ($session) = @_;
	$session->value('SELECT 1');
	$session->quit;
	return;
}

# Tests that a backend's memory, looked at again and again, grows by less than so many kB of its own and
# bytes of contexts.
sub is_flat
{
	my ($whose, $memory, @bounds) = @_;
	foreach my $kind (0, 1)
	{
		my @series = map { $_->[$kind] } @$memory;
		my $what = ('kB of its own', 'bytes of memory contexts')[$kind];
		cmp_ok(growth(@series), '<', $bounds[$kind], "$whose: $what from $series[0] to $series[-1]");
	}
	return;
}

my @sessions = map { VamhashTest::Session->new($node) } 1 .. 3;
my $parallel = $sessions[2];
$parallel->value('SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0;
	SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0');
foreach my $session (@sessions)
{
	$session->{calls} = $session == $parallel ? \%parallel_calls : \%calls;
	$session->{expected} = { %{ undisturbed($session, $session->{calls}) }, timeout => [ '', '' ] };
}

# Before anything is disturbed: what is known from first principles.
{
	my $expected = $sessions[0]->{expected};
	is_deeply($sessions[1]->{expected}, $expected, 'two sessions agree');
	is($expected->{"bytes of $_"}->[0], $right_dhash, "bytes of $_") foreach 'png', 'jpeg', 'large';
	like($expected->{'bytes of cut png'}->[1], qr/^22V01: /, 'a picture that is cut off');
	is($expected->{'few pairs'}->[0], '2-3 4-5', 'pairs');
	is($parallel->{expected}->{workers}->[0], "100|$left_dhash\n300|$right_dhash", 'a parallel query');
	like($parallel->value("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) $parallel_calls{workers}"),
		qr/Workers Launched: [12]/, 'with workers');
}

# Runs some of a session's calls, now and then under a timeout of a few milliseconds.
sub begin_batch
{
	my ($session) = @_;
	my @names = sort keys %{ $session->{calls} };
	begin_calls(
		$session,
		map {
			my $name = $names[ rand @names ];
			my $timeout = rand() < 0.2 ? 1 + int rand 20 : 0;
			([ 'timeout', "SET statement_timeout = $timeout" ], [ $name, $session->{calls}->{$name} ])
		} 1 .. ($session == $parallel ? 4 : 12));
	return;
}

# Kills one of the server's engines that live; returns how many that was. One that is dying already
# does not count.
my $last_killed = 0;
my @killed;
sub kill_one
{
	my @engines = grep {
		my $stat = process_stat($_);
		$_ != $last_killed && $stat && $stat->{state} ne 'Z'
	} stray_engines($node);
	return 0 unless @engines;
	$last_killed = $engines[ rand @engines ];
	push @killed, $last_killed;
	return kill 'KILL', $last_killed;
}

# After a round: every call answers, and nothing is there that was not there before. An engine that was
# idle when it was killed must have ended, for the next call to see that; on a busy machine that may take
# longer than the round.
my %faults;
sub look
{
	wait_for(sub { !grep { !process_ended($_) } @killed }) or die 'an engine did not die';
	@killed = ();
	foreach my $session (@sessions)
	{
		$session->query('ROLLBACK; RESET statement_timeout');
		my $now = undisturbed($session, $session->{calls});
		foreach my $name (sort keys %$now)
		{
			my $is = join ': ', @{ $now->{$name} };
			push @wrong, "undisturbed: $name: $is" if $is ne join ': ', @{ $session->{expected}->{$name} };
		}
		foreach my $role ('decode', 'compute')
		{
			# Nor may one that its backend has killed have ended yet.
			my $engines;
			wait_for(sub { ($engines = () = engines_of($session->pid, $role)) == 1 }, 20)
			  or $faults{"$engines engines of role $role"}++;
		}
		my $open = lasting_descriptors($session->pid);
		$session->{descriptors} = $open unless defined $session->{descriptors};
		$faults{"$open descriptors in place of $session->{descriptors}"}++
		  if $open != $session->{descriptors};
		push @{ $session->{memory} }, backend_memory($session);
	}
	my %known = map { ($_ => 1) } map { engines_of($_->pid) } @sessions;
	$faults{'an engine that no session has'}++
	  unless wait_for(sub { !grep { !$known{$_} } stray_engines($node) }, 20);
	return;
}

# 1. Kills and cancels.
{
	my $canceller = VamhashTest::Session->new($node);
	my $pids = join ', ', map { $_->pid } @sessions;
	my ($kills, $rounds) = (0, 0);
	look();
	until ($kills >= $kills_wanted && $count{'errors of cancels'} >= $cancels_wanted)
	{
		last if @wrong > 20 || %faults;
		# Sleeps of nearly nothing hit starts of engines, longer ones the midst of joins.
		my $sleep = (0.002, 0.006, 0.012)[ rand 3 ];
		my $cancelling = $count{'errors of cancels'} < $cancels_wanted;
		$canceller->begin("DO \$\$ DECLARE pids int[] := ARRAY[$pids]; BEGIN
				FOR i IN 1 .. $disturbances_per_round LOOP
					PERFORM pg_cancel_backend(pids[1 + i % 3]), pg_sleep(random() * $sleep);
				END LOOP;
			END \$\$") if $cancelling;
		my $round_kills = 0;
		my @running = @sessions;
		begin_batch($_) foreach @running;
		while (@running)
		{
			if ($kills < $kills_wanted && $round_kills < $disturbances_per_round)
			{
				my $killed = kill_one();
				$kills += $killed;
				$round_kills += $killed;
			}
			usleep(rand 3_000);
			$canceller->{run}->pump_nb if $cancelling;
			foreach my $session (@running)
			{
				$session->{run}->pump_nb;
				next unless $session->{err} =~ /end of statements/;
				count_outcome($session->{expected}, @$_) foreach end_calls($session);
				my $enough = (!$cancelling || $canceller->{err} =~ /end of statements/)
				  && ($kills >= $kills_wanted || $round_kills >= $disturbances_per_round);
				if ($enough) { $session->{over} = 1 }
				else { begin_batch($session) }
			}
			@running = grep { !delete $_->{over} } @running;
		}
		$canceller->end if $cancelling;
		look();
		$rounds++;
	}
	quit($canceller);
	my $tally = join ', ', map { "$count{$_} $_" } sort keys %count;
	cmp_ok($kills, '>=', $kills_wanted, "$kills engines killed in $rounds rounds (seed $seed): $tally");
	cmp_ok($count{'errors of cancels'}, '>=', $cancels_wanted, 'calls cancelled');
	cmp_ok($count{'errors of kills'}, '<=', $kills, 'at most one error for each kill');
	cmp_ok($count{answers}, '>', $count{'errors of kills'}, 'more answers than errors');
	is(join("\n", @wrong), '', 'no wrong answer, no other error');
	is(join(', ', %faults), '', 'no engine and no descriptor too many');
	foreach my $i (0 .. $#sessions)
	{
		is_flat("session $i", $sessions[$i]->{memory}, 8 << 10, 1 << 20);
	}
	is($sessions[0]->value('SELECT count(*) FROM vamhash_progress'), 0, 'no job is left in vamhash_progress');
}

# 2. Images, and some joins, undisturbed.
{
	my $session = $sessions[0];
	my @engines = engines_of($session->pid);
	my $rounds = max(8, int($images_wanted / 2500));
	my $per_picture = 1 + int($images_wanted / $rounds / 13 / 2);
	my $total = 'SELECT sum(value::bigint) FROM vamhash_stat WHERE name IN';
	my $total_starts = "$total ('total_engine_starts')";
	my $starts = $session->value($total_starts);
	my $images = "$total ('total_images', 'total_image_errors')";
	my $before = $session->value($images);
	my ($wrong, @backend, %engine) = (0);
	foreach my $round (1 .. $rounds)
	{
		# Of each picture the bytes and the file, as a query and in subtransactions.
		foreach my $outcome ('outcome(img)', 'outcome_of_file(path)')
		{
			my $rows = $session->value("SELECT name, what, count(*) FROM
				(SELECT name, $outcome AS what FROM pictures, generate_series(1, $per_picture) OFFSET 0) p
				GROUP BY 1, 2 ORDER BY 1");
			my $right = $session->{expected}->{ $outcome =~ /img/ ? 'caught, bytes' : 'caught, files' }->[0];
			$wrong++ if $rows ne $right =~ s/$/|$per_picture/mgr;
		}
		foreach my $name ('pairs', 'groups, star', 'pairs between')
		{
			$wrong++ if $session->value($calls{$name}) ne $session->{expected}->{$name}->[0];
		}
		push @backend, backend_memory($session);
		push @{ $engine{$_} }, process_status($_)->{RssAnon} =~ s/ kB//r foreach @engines;
	}
	my $hashed = $session->value($images) - $before;
	cmp_ok($hashed, '>=', $images_wanted, "$hashed images");
	is($wrong, 0, 'every answer is right');
	is($session->value($total_starts), $starts, 'no engine was started');
	is_deeply([ engines_of($session->pid) ], \@engines, 'by the same engines');
	foreach my $pid (@engines)
	{
		my @series = @{ $engine{$pid} };
		cmp_ok(growth(@series), '<', 2048, "kB of an engine from $series[0] to $series[-1]");
	}
	is_flat('the backend', \@backend, 2048, 1 << 18);
}

# The server has noticed nothing.
quit($_) foreach @sessions;
ok(wait_for(sub { !stray_engines($node) }, 20), 'no engine is left');
is($node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()'), $started, 'the server never restarted');
is($node->safe_psql('postgres', 'SELECT count(*) FROM vamhash_progress'), 0, 'no job is left');
$node->stop;
unlike(slurp_file($node->logfile),
	qr/PANIC|server process .* was terminated|terminating any other active|reinitializing/,
	'no crash in the log');

done_testing();
