# Images hashed on a device, by SQL: PoCL's CPU, or a GPU where the machine has one. Their hashes are the
# CPU's, and whatever happens to a device or an engine loses no image. The engine here is one of the tests'
# own: it uses any device by itself, and the sizes of some pictures say what becomes of them
# (tests/unit/misbehaving_device.cpp).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use VamhashTest;

my $misbehaving = misbehaving_engine();
plan skip_all => 'needs /proc' unless -r '/proc/self/stat';
plan skip_all => 'built without a backend for devices'
  unless grep { -e VamhashTest::library_directory() . "/vamhash_$_.so" } 'opencl', 'cuda';

my $directory = private_library();
copy_device_plugins($directory);
install_engine($directory, slurp_file($misbehaving));
my $node = start_private_node('main', $directory, "vamhash.max_gpu_engines = 1\nvamhash.threads = 2");
my $device = usable_device($node);
plan skip_all => 'no device is usable, not even PoCL\'s' unless defined $device;

my $session = VamhashTest::Session->new($node);

# What vamhash_stat tells the session.
sub counter
{
	my ($name) = @_;
	return $session->value("SELECT value FROM vamhash_stat WHERE name = '$name'");
}

# A grey picture of noise, of such a size.
sub noise
{
	my ($width, $height) = @_;
	return grey_png([ map { pack 'C*', map { int rand 256 } 1 .. $width } 1 .. $height ]);
}

# The image set of the exactness tests, if it is there, and what others there are.
srand 7;
my $folder = PostgreSQL::Test::Utils::tempdir();
my ($set) = grep { -d } map { "$FindBin::RealBin/$_" } '../data/images', 'images';
my @set = defined $set ? grep { -f } glob "$set/*.jpg $set/jpeg-*" : ();
my $number = 0;
$session->value('CREATE TABLE images (i int PRIMARY KEY, kind text, path text, img bytea)');
sub add_image
{
	my ($kind, $bytes) = @_;
	my $path = sprintf '%s/%04d', $folder, ++$number;
	write_file($path, $bytes);
	$session->value("INSERT INTO images VALUES ($number, '$kind', '$path', @{[ sql_bytea($bytes) ]})");
	return;
}
add_image('good', slurp_file($_)) foreach splice @set, 0, 40;
add_image('good', rising_png());
add_image('good', noise($_, 100 - $_)) foreach 1, 9, 50, 66, 99;
add_image('bad', 'no image');
add_image('bad', '');
add_image('bad', substr(noise(200, 200), 0, 20_000)); # truncated, with what is there
add_image('bad', substr slurp_file("$folder/0001"), 0, 2000) if $number > 40;
my $images = $number;
my $bad = $session->value(q{SELECT count(*) FROM images WHERE kind = 'bad'});

# Every bulk function, by its rows without the key.
my %calls = (
	'hash_images' => q{hash_images((SELECT array_agg(img ORDER BY i) FROM images), %s)},
	'hash_image_files' => q{hash_image_files((SELECT array_agg(path ORDER BY i) FROM images), %s)},
	'hash_query of bytes' => q{hash_query('SELECT i, img FROM images ORDER BY i', NULL::int, %s)},
	'hash_query of files' => q{hash_query('SELECT i, path FROM images ORDER BY i', NULL::int, %s)});
my %options = (
	exact => q{decode => 'exact', orient => false},
	fast => q{decode => 'fast', orient => false},
	upright => q{decode => 'exact', orient => true});
foreach my $name (sort keys %calls)
{
	foreach my $option (sort keys %options)
	{
		my $call = 'SELECT h FROM ' . sprintf($calls{$name}, $options{$option}) . ' h';
		$session->value('SET vamhash.gpu = off');
		my $expected = $session->value($call);
		is(counter('last_device'), 'cpu', "$name, $option: on the CPU");
		foreach my $batch (0, 1, 7)
		{
			next if $batch > 0 && $option ne 'exact';
			$session->value("SET vamhash.gpu = on; SET vamhash.batch_size = $batch");
			is($session->value($call), $expected, "$name, $option: the same on a device, batches of $batch");
			is(counter('last_device'), $device, "$name, $option: and a device it was");
			# But for what nothing is there of, and JPEGs that are the CPU's.
			cmp_ok(counter('last_device_images'), '>=', $images - $bad, "$name, $option: all images");
		}
		$session->value('RESET vamhash.batch_size');
	}
}
is(counter('total_fallbacks'), 0, 'without any failure');
cmp_ok(counter('last_device_batches'), '>', 0, 'batches are counted');
cmp_ok(counter('last_device_bytes'), '>', 0, 'and the memory');

# A catalog, whose batches share one arena.
my $all = 'SELECT md5(string_agg(concat_ws(\',\', i, d, a, w, p, s), E\'\n\' ORDER BY i)) FROM catalog';
$session->value('CREATE TABLE catalog AS SELECT i, img, NULL::phash64 AS d, NULL::phash64 AS a,
	NULL::phash64 AS w, NULL::phash64 AS p, NULL::text AS s FROM images; ALTER TABLE catalog ADD PRIMARY KEY (i)');
my $columns = q{'{"d": "dhash", "a": "ahash", "w": "whash", "p": "phash", "s": "status"}'};
my %catalog;
foreach my $gpu ('off', 'on', 'auto')
{
	$session->query("SET vamhash.gpu = $gpu; UPDATE catalog SET d = NULL, a = NULL, w = NULL, p = NULL, s = NULL");
	$session->query("CALL hash_catalog('catalog', 'i', 'img', $columns, batch => 20)");
	$catalog{$gpu} = $session->value($all);
	# With auto, such small batches may be done before the device has its first picture.
	cmp_ok(counter('last_device_images'), '>=', $images - $bad, 'a catalog, on: on the device') if $gpu eq 'on';
}
is($session->value(q{SELECT count(*) > 0 AND bool_and((s = 'ok') <= (d IS NOT NULL)) FROM catalog WHERE s IS NOT NULL}),
	't', 'a catalog that was filled');
is($catalog{on}, $catalog{off}, 'a catalog, on: the same');
is($catalog{auto}, $catalog{off}, 'a catalog, auto: the same');

# Fast decoding by the device's own decoder of JPEG files, which here is libjpeg: of a grey file it gives the
# exact pixels. What it does not take is the CPU's.
SKIP:
{
	skip 'the image set is not there', 17 unless defined $set;
	my $grey = slurp_file("$set/jpeg-large_grey.jpg");
	my $damaged = $grey;
	substr($damaged, length($damaged) / 2, 40) = "\x55" x 40;
	my %files = (grey => $grey, colours => slurp_file("$set/jpeg-large_420.jpg"), damaged => $damaged,
		progressive => slurp_file("$set/jpeg-large_progressive.jpg"), picture => noise(300, 200));
	my %hashes;
	foreach my $case ([ 'exact', 'off', 'off' ], [ 'fast', 'off', 'off' ], [ 'fast', 'off', 'on' ], [ 'fast', 'on', 'off' ],
		[ 'fast', 'on', 'on' ], [ 'exact', 'on', 'on' ])
	{
		my ($decode, $gpu, $nvjpeg) = @$case;
		$session->value("SET vamhash.gpu = $gpu; SET vamhash.nvjpeg = $nvjpeg");
		foreach my $kind (sort keys %files)
		{
			$hashes{"@$case"}{$kind} = $session->value(
				"SELECT h FROM hash_images(ARRAY[@{[ sql_bytea($files{$kind}) ]}], decode => '$decode') h");
			$hashes{"@$case left"}{$kind} = counter('last_device_left') if $gpu eq 'on';
		}
	}
	is_deeply($hashes{$_}, $hashes{'fast off off'}, "$_: as fast by the CPU") foreach 'fast off on', 'fast on off';
	is_deeply($hashes{'exact on on'}, $hashes{'exact off off'}, 'vamhash.nvjpeg leaves exact decoding as it is');
	isnt($hashes{'fast off off'}{grey}, $hashes{'exact off off'}{grey}, 'fast decoding moves bits');
	is($hashes{'fast on on'}{grey}, $hashes{'exact off off'}{grey}, 'but for those of a file that the device decodes');
	isnt($hashes{'fast on on'}{colours}, $hashes{'fast off off'}{colours}, 'in colours, too');
	is($hashes{'fast on on'}{$_}, $hashes{'fast off off'}{$_}, "$_: as fast by the CPU") foreach 'damaged', 'progressive', 'picture';
	like($hashes{'fast on on'}{damaged}, qr/corrupt/, 'and damage is told');
	is($hashes{'fast on on left'}{$_}, $_ eq 'damaged' ? 1 : 0, "$_: left to the CPU or not") foreach sort keys %files;
	# A call is made as it was begun.
	foreach my $before ('off', 'on')
	{
		my $after = $before eq 'on' ? 'off' : 'on';
		$session->value("SET vamhash.nvjpeg = $before");
		is( $session->value("SELECT status, dhash, ahash, whash, phash FROM hash_query(
				\$q\$SELECT 1, img FROM (SELECT set_config('vamhash.nvjpeg', '$after', false)) s,
					(SELECT @{[ sql_bytea($files{grey}) ]} AS img) v\$q\$, NULL::int, decode => 'fast')"),
			$session->value("SET vamhash.nvjpeg = $before; SELECT status, dhash, ahash, whash, phash
				FROM hash_images(ARRAY[@{[ sql_bytea($files{grey}) ]}], decode => 'fast')"),
			"vamhash.nvjpeg is $before, and $after in the middle of a call");
	}
	$session->value('RESET vamhash.nvjpeg');
}

# Few images open no device.
$session->quit;
$session = VamhashTest::Session->new($node);
$session->value('SET vamhash.gpu = auto');
$session->value('SELECT count(*) FROM hash_images((SELECT array_agg(img) FROM images WHERE i < 10))');
is(counter('last_device'), 'cpu', 'nine images are the CPU\'s');
is(scalar(engines_of($session->pid, 'compute')), 0, 'and nobody looked for a device');
my $small = q{SELECT count(*) FILTER (WHERE status = 'ok') FROM hash_images((SELECT array_agg(img) FROM images WHERE i < 3))};
is($session->value("SET vamhash.gpu = on; $small"), 2, 'unless there must be one');
is(counter('last_device_images'), 2, 'for each image');
is($session->value('SELECT count(*) FROM hash_images(ARRAY[]::bytea[])'), 0, 'no images');
is($session->value('SELECT count(*) FROM hash_images(ARRAY[NULL]::bytea[])'), 1, 'no image');

# What becomes of many images, among which are those of bad luck: how many are right, and which are not.
$session->value('SET vamhash.gpu = off');
my %luck = (fails => noise(66, 61), ends => noise(66, 62), hangs => noise(66, 63), left => noise(66, 64),
	large => noise(400, 400));
$session->value('CREATE TABLE luck (kind text, img bytea, dhash phash64)');
$session->value("INSERT INTO luck SELECT '$_', img, dhash(img) FROM (VALUES (@{[ sql_bytea($luck{$_}) ]})) v (img)")
  foreach keys %luck;
$session->value(q{INSERT INTO luck SELECT 'good', img, dhash(img) FROM images WHERE i = 41 OR i = 1 ORDER BY i LIMIT 1});
sub outcome
{
	my ($count, %others) = @_;
	my $kind = join ' ', map { "WHEN $_ THEN '$others{$_}'" } sort keys %others;
	$kind = %others ? "CASE i $kind ELSE 'good' END" : q{'good'};
	return qq{SELECT count(*) FILTER (WHERE h.status = 'ok' AND h.dhash = l.dhash AND key = n), count(*)
		FROM (SELECT row_number() OVER () AS n, r.* FROM hash_query(
			\$q\$SELECT i, img FROM generate_series(1, $count) i JOIN luck ON kind = $kind ORDER BY i\$q\$) r) h
		JOIN luck l ON l.kind = @{[ $kind =~ s/CASE i /CASE key /r ]}};
}

$session->value('SET vamhash.gpu = on');
is($session->value(outcome(300)), '300|300', 'many images');
is(counter('last_device_images'), 300, 'all of them by the device');
is($session->value(outcome(300, 100 => 'left', 101 => 'left')), '300|300', 'pictures that are left to the CPU');
is(counter('last_device_images'), 298, 'but for these');
is(counter('last_device_left'), 2, 'which are counted');
like($session->error(outcome(300, 150 => 'fails')), qr/^58000: the device failed\nDETAIL:  a picture of bad luck\n/,
	'a device that fails, and must not');
like($session->error(outcome(300, 150 => 'ends')),
	qr/^38000: the vamhash engine \(compute\) ended unexpectedly\nDETAIL:  .*signal 9/, 'an engine that ends');
is($session->value(outcome(300)), '300|300', 'the session goes on');

# The same where the CPU may take over. It begins, and goes on while the device is opened. A call that is
# short has none opened, but uses one that is open.
$session->quit;
$session = VamhashTest::Session->new($node);
$session->value('SET vamhash.gpu = auto');
ok( wait_for(
		sub {
			is($session->value(outcome(2000, map { $_ => 'large' } 1 .. 2000)), '2000|2000', 'a call that takes a while');
			return counter('last_device_images');
		}),
	'has a device opened, once no other session has it');
# It is open already, but the CPU may be done with these before it has its first.
ok( wait_for(
		sub {
			is($session->value(outcome(500)), '500|500', 'many images, by the device and the CPU');
			return counter('last_device_images') > 0;
		}),
	'some of them by the device');
my @often = map { 20 * $_ } 10 .. 100; # what the CPU gets of these does no harm
foreach my $kind ('fails', 'ends')
{
	my $before = counter('total_fallbacks');
	is($session->value(outcome(2000, map { $_ => $kind } @often)), '2000|2000', "a device that $kind loses nothing");
	is(counter('total_fallbacks') - $before, 1, 'and is counted');
	like(counter('last_fallback'), $kind eq 'fails' ? qr/^a picture of bad luck$/ : qr/signal 9/, 'with the reason');
	$session->quit;
	$session = VamhashTest::Session->new($node);
	# For a device to be there.
	$session->value('SET vamhash.gpu = on; ' . outcome(20));
	$session->value('SET vamhash.gpu = auto');
}
is($session->value(outcome(500, map { $_ => 'left' } 100 .. 140)), '500|500', 'pictures that are left');

# A device that hangs is cancelled as everything else, with both engines.
$session->begin(outcome(2000, map { $_ => 'hangs' } @often));
ok( $node->poll_query_until(
		'postgres', qq{SELECT count(*) = 1 FROM vamhash_progress WHERE device = '$device'}),
	'vamhash_progress names the device');
usleep(500_000);
my @engines = map { engines_of($session->pid, $_) } 'decode', 'compute';
is(scalar @engines, 2, 'two engines');
$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $session->pid . ')');
my (undef, $err) = $session->end;
like($err, qr/57014: canceling statement due to user request/, 'cancelled');
ok(wait_for(sub { !grep { !process_ended($_) } @engines }, 10), 'and both end');

# Killed on the way: either engine, any number of times.
foreach my $case ([ 'compute', 'auto' ], [ 'decode', 'auto' ], [ 'decode', 'on' ])
{
	my ($role, $gpu) = @$case;
	my $kills = 0;
	$session->value("SET vamhash.gpu = $gpu");
	my $answer = '2500|2500';
	# A call may end between two looks for an engine.
	for (my $calls = 0; $kills == 0 && $calls < 20 && $answer eq '2500|2500'; $calls++)
	{
		$session->value(outcome(50));
		$session->begin(outcome(2500));
		until ($session->{err} =~ /end of statements/)
		{
			my ($engine) = engines_of($session->pid, $role);
			my $killed = $kills < 6 && defined $engine && kill('KILL', $engine);
			$kills++ if $killed;
			usleep($killed ? 150_000 : 5_000);
			$session->{run}->pump_nb;
		}
		$answer = join '', reverse $session->end;
	}
	is($answer, '2500|2500', "$kills engines ($role) killed, $gpu: no image is lost");
	cmp_ok($kills, '>', 0, 'they were killed on the way');
}

# One device for two sessions: one waits for the other's, or does without.
$session->value('SET vamhash.gpu = on; ' . outcome(20));
my $other = VamhashTest::Session->new($node);
is($other->value('SET vamhash.gpu = auto; ' . outcome(100)), '100|100', 'the CPU, where another session has the device');
$other->begin('SET vamhash.gpu = on; ' . outcome(20));
ok( $node->poll_query_until(
		'postgres', q{SELECT count(*) = 1 FROM vamhash_progress WHERE phase = 'waiting for a device'}),
	'or it waits');
$session->quit;
is(join('', $other->end), '20|20', 'and has it then');

# A query whose rows come of a join on a device, whose images go to another engine's.
is( $other->value(q{SET vamhash.gpu = auto; SELECT count(*) FROM hash_query('SELECT l.a, (SELECT img FROM images WHERE i = 1)
		FROM similar_pairs(''SELECT i, i::bigint::phash64 FROM generate_series(1, 40) i'', 1) l')}),
	$other->value(q{SELECT count(*) FROM similar_pairs('SELECT i, i::bigint::phash64 FROM generate_series(1, 40) i', 1)}),
	'images that a join finds');
$other->quit;

# The engine as it is installed, whose devices may have no such decoder.
install_engine($directory, slurp_file(library_directory() . '/vamhash-engine'));
SKIP:
{
	skip 'a device of CUDA may have nvJPEG', 3 if $device =~ /^cuda/;
	$session = VamhashTest::Session->new($node);
	my $fast = q{SELECT count(*) FILTER (WHERE status = 'ok') FROM hash_images((SELECT array_agg(img) FROM images WHERE i < 3), decode => 'fast')};
	$session->begin("SET vamhash.gpu = on; SET vamhash.nvjpeg = on; $fast");
	my ($answer, $said) = $session->end;
	is($answer, '2', 'without nvJPEG the CPU decodes');
	like($said, qr/WARNING:  01000: JPEGs are decoded by the CPU, not by nvJPEG\nDETAIL:  opencl .*: the backend opencl has no decoder of JPEGs\.\n/m,
		'which is told');
	$session->begin($fast);
	(undef, $said) = $session->end;
	unlike($said, qr/WARNING/, 'once in a session');
	$session->quit;
}

ok(wait_for(sub { !stray_engines($node) }, 3), 'no engine is left');
$node->stop;
done_testing();
