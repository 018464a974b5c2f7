# Images on a device where one of the two engines is hostile, or unlucky: whatever it says or does not
# say, there is one clear ERROR or the right answer, no image is lost, none is blamed for what another
# one did, and the session goes on. The engines are of the tests' own, in the one role or in both; where
# only one is, the other one is the real engine, and no device is needed but for one test.

use strict;
use warnings;

use Config;
use FindBin;
use lib "$FindBin::RealBin/lib";

use File::Copy;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VamhashTest;

plan skip_all => 'needs /proc' unless -r '/proc/self/stat';
plan skip_all => 'knows recvmsg() by its number on x86-64 and ARM' unless $Config{archname} =~ /^(x86_64|aarch64)/;

my $directory = private_library();
my $node = start_private_node('main', $directory, "vamhash.gpu_min_images = 1\nvamhash.max_gpu_engines = 1");
my $version = $node->safe_psql('postgres', 'SELECT vamhash_version()');

# The real engine, with its plugins beside it, is in a folder of its own.
mkdir "$directory/real";
move("$directory/vamhash-engine", "$directory/real/vamhash-engine") or die "move: $!";
copy_device_plugins("$directory/real");

# In a role of which there is a file, decode or compute, the engine does what that says; in another one
# it is the real engine.
install_engine($directory, <<"END" . <<'END');
#!$Config{perlpath}
BEGIN
{
	(\$home) = \$0 =~ m{^(.*)/};
	exec "\$home/real/vamhash-engine", \@ARGV unless -e "\$home/\$ARGV[0]";
}
use lib '$FindBin::RealBin/lib';
my \$version = '$version';
END
use strict;
use warnings;

use EngineEnd;

our $home;
my $role = $ARGV[0];
open my $file, '<', "$home/$role" or exit 9;
chomp(my $behaviour = <$file>);
close $file;
my $id;

# Adds a line to a file that the test, or the other engine, reads.
sub note
{
	my ($name, $text) = @_;
	open my $notes, '>>', "$home/$name" or exit 9;
	syswrite $notes, "$text\n";
	close $notes;
	return;
}

# How many engines have come so far to where this is called.
sub lives
{
	note('lives', $$);
	open my $notes, '<', "$home/lives" or exit 9;
	return scalar(() = <$notes>);
}

sub pause { select undef, undef, undef, $_[0] }

# As long as the backend lives.
sub hang
{
	pause(0.1) while getppid == $ARGV[1];
	exit 0;
}

sub wait_for_file
{
	my ($name) = @_;
	pause(0.01) until -e "$home/$name";
	return;
}

# Says the same until the backend has enough of it.
sub repeat_for_ever
{
	my ($frames) = @_;
	give($frames) while 1;
	return;
}

# The next frame: operation and payload.
sub next_frame
{
	my (undef, $length, $operation, undef, $of) = unpack 'LLSSL', take(16);
	$id = $of;
	return ($operation, $length > 0 ? take($length) : '');
}

# compute.

my ($pictures, $batches, $results) = (0, 0, 0);
my $holds_device = 0;

# RESULT, which is counted for DONE.
sub result
{
	my ($payload) = @_;
	$results += length $payload;
	return frame($RESULT, $id, $payload);
}

sub ready
{
	my ($device, $reason, $memory, $no_jpeg_files) = @_;
	return pack('a128a200Qa192', defined $device ? $device : 'opencl 0: Imagined', defined $reason ? $reason : '',
		defined $memory ? $memory : 1 << 32, defined $no_jpeg_files ? $no_jpeg_files : '');
}

# Hashes of pictures, all with this status.
sub hashes
{
	my ($count, $status) = @_;
	return pack('Lx4Q5', $status, (9) x 5) x $count;
}

# The report of pictures.
sub pictures_done
{
	my (%changes) = @_;
	my %report = (
		bytes => $results, pictures => 0, device_bytes => 4096, seconds => 0.5, failures => 0,
		holds_device => $holds_device, failure => '', more => '', %changes);
	return frame($DONE, $id,
		pack('QQQQdLLa200', $report{bytes}, $report{pictures}, $batches, $report{device_bytes},
			$report{seconds}, $report{failures}, $report{holds_device}, $report{failure})
		  . $report{more});
}

# What it does, step by step; an honest one leaves every picture to the CPU.
my %compute = (
	begin => sub { frame($ASK_DEVICE, $id, '') },
	granted => sub { result(ready()) },
	arena => sub { '' },
	pictures => sub { result(hashes($_[0], 1)) },
	end => sub { pictures_done() });

sub hashed { result(hashes($_[0], 0)) }

my %hostile_compute = (
	honest => {},
	'no HELLO' => {},
	'a fake' => { pictures => \&hashed, end => sub { pictures_done(pictures => $pictures) } },
	'READY is too short' => { granted => sub { result(substr ready(), 1) } },
	'READY is too long' => { granted => sub { result(ready() . "\0") } },
	'READY is empty' => { granted => sub { result('') } },
	'a device that is no text' => { granted => sub { result(ready("\e[2J")) } },
	'a device without end' => { granted => sub { result(ready('x' x 128)) } },
	'a reason that is no text' => { granted => sub { result(ready('', "\xe9")) } },
	'a reason without end' => { granted => sub { result(ready('', 'x' x 200)) } },
	'no decoder, in no text' => { granted => sub { result(ready(undef, undef, undef, "\a")) } },
	'no decoder without end' => { granted => sub { result(ready(undef, undef, undef, 'x' x 192)) } },
	'no memory' => { granted => sub { result(ready(undef, undef, 0)) } },
	'memory beyond all' => { granted => sub { result(ready(undef, undef, ~0)) } },
	'no device' => { granted => sub { result(ready('', 'there is none')) } },
	'ASK_DEVICE with words' => { begin => sub { frame($ASK_DEVICE, $id, 'x') } },
	'ASK_DEVICE twice' => { granted => sub { frame($ASK_DEVICE, $id, '') } },
	'ASK_DEVICE after READY' => { arena => sub { frame($ASK_DEVICE, $id, '') } },
	'DONE for READY' => { begin => sub { pictures_done() } },
	'hashes before any pictures' => { granted => sub { result(ready()) . result(hashes(1, 0)) } },
	'hashes for the arena' => { arena => sub { result(hashes(1, 0)) } },
	'more hashes than pictures' => { pictures => sub { result(hashes($_[0] + 1, 0)) } },
	'a part of a hash' => { pictures => sub { result(substr hashes($_[0], 0), 1) } },
	'a status that is none' => { pictures => sub { result(hashes($_[0], 4)) } },
	'a status beyond all' => { pictures => sub { result(hashes($_[0], 0xffffffff)) } },
	'failed' => { pictures => sub { result(hashes($_[0], 2)) } },
	'impossible' => { pictures => sub { result(hashes($_[0], 3)) } },
	'DONE before END' => { pictures => sub { pictures_done() } },
	'DONE of other bytes' => { pictures => sub { pictures_done(bytes => 1) } },
	'DONE with hashes left' => { end => sub { result(hashes(1, 0)) . pictures_done() } },
	'PROGRESS' => { arena => sub { frame($PROGRESS, $id, progress(3, 1, 2, -1)) } },
	'a question' => { arena => sub { frame($ASK, $id, '') } },
	'BATCH' => { arena => sub { frame($BATCH, $id, pack('LL', 0, 1)) } },
	'a frame that is too long' => { pictures => sub { result(hashes(200, 0)) } },
	'a frame of gigabytes' => { pictures => sub { pack('LLSSL', $MAGIC, 0xffffffff, $RESULT, 0, $id) } },
	'another id' => { arena => sub { frame($RESULT, $id + 1, '') } },
	'no frame' => { arena => sub { 'x' x 100 } },
	'a report of a wrong length' => { end => sub { pictures_done(more => 'x') } },
	'a report of too many pictures' => { end => sub { pictures_done(pictures => $pictures + 1) } },
	'a report of no time' => { end => sub { pictures_done(seconds => -1) } },
	'a report of time that is none' => { end => sub { pictures_done(seconds => 'nan') } },
	'a device held twice' => { end => sub { pictures_done(holds_device => 2) } },
	'two failures' => { end => sub { pictures_done(failures => 2) } },
	'a failure that is no text' => { end => sub { pictures_done(failure => "\n") } },
	'a failure without end' => { end => sub { pictures_done(failure => 'x' x 200) } },
	'a device held that nobody granted' =>
	  { begin => sub { result(ready()) }, end => sub { pictures_done(holds_device => 1) } },
	'a flood of nothing before READY' => { begin => sub { repeat_for_ever(frame($RESULT, $id, '')) } },
	'a flood of nothing' => { arena => sub { repeat_for_ever(frame($RESULT, $id, '')) } },
	'slow to begin' => { begin => sub { pause(1.5); frame($ASK_DEVICE, $id, '') } },
	'slow to hash' => { pictures => sub { pause(1.5); result(hashes($_[0], 1)) } },
	'later' => { pictures => sub { wait_for_file('go'); result(hashes($_[0], 1)) } },
	'impossible later' => { pictures => sub { wait_for_file('go'); result(hashes($_[0], 3)) } });
foreach my $step (keys %compute)
{
	$hostile_compute{"death: $step"} = { $step => sub { exit 3 } };
	$hostile_compute{"silence: $step"} = { $step => sub { '' } };
}
$hostile_compute{'death: some hashes'} = { pictures => sub { give(result(hashes(1, 1))); exit 3 } };
$hostile_compute{'silence: a part of a frame'} = { pictures => sub { substr result(hashes($_[0], 1)), 0, 30 } };

sub compute
{
	my %steps = (%compute, %{ $hostile_compute{$behaviour} || exit 7 });
	note('ready', 'never') if $behaviour eq 'no HELLO';
	exit 3 if $behaviour eq 'no HELLO';
	give(hello($version));
	while (1)
	{
		my ($operation, $payload) = next_frame();
		if ($operation == $BEGIN_PICTURES)
		{
			($results, $pictures, $batches) = (0, 0, 0);
			note('acted', 'begin') unless $behaviour eq 'honest';
			unless ($holds_device)
			{
				my $said = $steps{begin}->();
				give($said);
				next unless $said eq frame($ASK_DEVICE, $id, '');
				($holds_device) = take_grant();
			}
			give($holds_device ? $steps{granted}->() : result(ready('', 'others have it')));
			note('ready', $behaviour);
		}
		elsif ($operation == $ARENA) { give($steps{arena}->()) }
		elsif ($operation == $PICTURES)
		{
			my (undef, $count) = unpack 'LL', $payload;
			$pictures += $count;
			$batches++;
			give($steps{pictures}->($count));
		}
		elsif ($operation == $END) { give($steps{end}->()) }
		else { exit 8 }
	}
}

# decode.

# A record: number, and what differs from an image that is fine, with hashes that are made up.
sub record
{
	my ($number, %changes) = @_;
	my %of = (status => 0, hashed => 1, part => 0, message => '', offset => 0, width => 9, height => 9, %changes);
	return pack('LSCCLx4Q5LLa8QLLx16', $number, $of{status}, $of{hashed}, $of{part}, length $of{message}, (7) x 5, 9, 9,
		'png', @of{qw(offset width height)})
	  . $of{message} . "\0" x (-length($of{message}) % 8);
}

sub placed { return record($_[0], hashed => 2, @_[ 1 .. $#_ ]) }

sub batch { return frame($BATCH, $id, pack('LL', @_)) }

sub images_done { return frame($DONE, $id, pack('QQddLL', $results, 2, 0, 0, 1, 0)) }

# What it does with an image, given its number and whether it may be placed; an honest one, with hashes
# that are made up, places what may be, each in a batch of its own.
my %hostile_decode = (
	honest => sub { $_[1] ? (result(placed($_[0])), batch(0, 1)) : result(record($_[0])) },
	'placed always' => sub { (result(placed($_[0])), batch(0, 1)) },
	'placed in part 3' => sub { result(placed($_[0], part => 3)) },
	'placed in part 255' => sub { result(placed($_[0], part => 255)) },
	'placed and corrupt' => sub { result(placed($_[0], status => 2)) },
	'placed of no size' => sub { result(placed($_[0]) =~ s/\x09\0\0\0\x09\0\0\0png/\0\0\0\0\0\0\0\0png/r) },
	'placed with 3' => sub { result(placed($_[0], hashed => 3)) },
	'placed twice' => sub { result(placed($_[0]) x 2) },
	'placed, then hashed' => sub { result(placed($_[0]) . record($_[0])) },
	'a batch of nothing' => sub { batch(0, 0) },
	'a batch of a picture that is not there' => sub { batch(1, 1) },
	'a batch of two' => sub { (result(placed($_[0])), batch(0, 2)) },
	'a batch of another part' => sub { (result(placed($_[0])), batch(1, 1)) },
	'a batch of no part' => sub { batch(3, 1) },
	'a batch of a part beyond all' => sub { batch(0xffffffff, 1) },
	'a batch twice' => sub { (result(placed($_[0])), batch(0, 1), batch(0, 1)) },
	'a batch of a wrong length' => sub { (result(placed($_[0])), frame($BATCH, $id, pack('L', 0))) },
	'beyond the part' => sub { (result(placed($_[0], width => 900_000, height => 900_000)), batch(0, 1)) },
	'at no place' => sub { (result(placed($_[0], offset => 1)), batch(0, 1)) },
	'a flood of nothing' => sub { repeat_for_ever(result('')) },
	'one, and no more' => sub { give(result(record($_[0]))); exit 4 });

# The next image: its number, and whether it may be placed. Its bytes are left where they are if they
# are more than a frame's.
sub next_image
{
	while (1)
	{
		my (undef, $length, $operation, undef, $of) = unpack 'LLSSL', take(16);
		$id = $of;
		if ($operation == $IMAGE)
		{
			my ($number, $flags, $bytes) = unpack 'LLQ', take(16);
			take($length - 16) if $bytes < 1 << 20;
			return ($number, ($flags & 2) != 0, $bytes);
		}
		take($length) if $length > 0;
		return if $operation == $END;
		note('told', $operation == $ARENA ? 'ARENA' : $operation == $FREE_PART ? 'FREE_PART' : $operation);
	}
}

# Takes what next_image() has left of an image of so many bytes: the frame that is begun, then DATA.
sub take_rest
{
	my ($left) = @_;
	my $in_frame = (1 << 20) - 16;
	while ($left > 0)
	{
		my $part = $left < $in_frame ? $left : $in_frame;
		take($part);
		$left -= $part;
		(undef, $in_frame) = unpack 'LL', take(16) if $left > 0;
	}
	return;
}

# Answers all images that come, and the end.
sub answer_all
{
	my (@numbers) = @_;
	give(map { result(record($_)) } @numbers);
	while (my ($number) = next_image())
	{
		give(result(record($number)));
	}
	give(images_done());
	return;
}

# Engines with bad luck, each a sequence of several lives.
my %unlucky = (
	# The first image is left by the device and sent again, so large that it does not go at once: then
	# the engine ends.
	'dies while an image is sent again' => sub {
		take_rest((next_image())[2]);
		give(result(placed(0)));
		next_image() for 1 .. 9;
		give(batch(0, 1));
		my ($number) = next_image();
		exit 7 if $number != 0;
		pause(0.3);
		unlink "$home/decode";
		exit 4;
	},
	# The first image is left, and to be sent again, while the second one is alone in the engine. Then
	# that ends, and another one ends of the first image.
	'dies of each image alone' => sub {
		my $life = lives();
		my ($number) = next_image();
		answer_all($number) if $life > 3;
		return if $life > 3;
		if ($life == 1) { give(result(placed(0)), batch(0, 1)); next_image() for 1, 2 }
		else { exit 7 if $number != ($life == 2 ? 1 : 0) }
		note('go', '') if $life == 2;
		pause(0.5);
		exit 4;
	},
	# The first image is sent again behind the second one, which takes for ever.
	'hangs in the second image' => sub {
		if (lives() > 1) { answer_all((next_image())[0]); return }
		next_image();
		give(result(placed(0)), batch(0, 1));
		next_image();
		note('go', '');
		hang();
	},
	# The first image waits to be sent again while the second one, which takes for ever, is alone.
	'hangs in the second image alone' => sub {
		my $life = lives();
		if ($life > 2) { answer_all((next_image())[0]); return }
		next_image();
		if ($life == 1) { give(result(placed(0)), batch(0, 1)); next_image() for 1, 2; exit 4 }
		note('go', '');
		hang();
	},
	# The first image's picture is not there, which is found out when another engine has the second image.
	'dies before it is found out' => sub {
		if (lives() > 1)
		{
			my ($number) = next_image();
			note('go', '');
			pause(0.5);
			answer_all($number);
			return;
		}
		next_image();
		give(result(placed(0)), batch(0, 1));
		next_image();
		exit 4;
	},
	# The second image goes slowly; meanwhile the part with the first one becomes free, for which the
	# second one waits.
	'waits for a part' => sub {
		next_image();
		give(result(placed(0)), batch(0, 1));
		my ($number, undef, $bytes) = next_image();
		pause(0.5);
		take_rest($bytes);
		my (undef, $length, $operation) = unpack 'LLS', take(16);
		take($length) if $length > 0;
		note('told', $operation == $FREE_PART ? 'FREE_PART' : $operation);
		answer_all($number);
	},
	# The device leaves some images when as many files as may be are under way, and so many are open
	# ahead of them as may be: a number of images after which there is no room for another one.
	'has all files' => sub {
		my @numbers = map { (next_image())[0] } 1 .. 256;
		give((map { result(placed($_)) } @numbers[ 0 .. 15 ]), batch(0, 16));
		push @numbers, map { (next_image())[0] } 1 .. 16;
		note('go', '');
		pause(0.5);
		answer_all(@numbers[ 16 .. $#numbers ]);
	});

sub decode
{
	give(hello($version));
	while (1)
	{
		next_frame();
		$results = 0;
		give(batch(0, 1)) if $behaviour eq 'a batch at once';
		if (my $unlucky = $unlucky{$behaviour})
		{
			$unlucky->();
			next;
		}
		my $act = $hostile_decode{ $behaviour eq 'a batch at once' ? 'honest' : $behaviour } || exit 7;
		while (my ($number, $may_be_placed) = next_image())
		{
			give($act->($number, $may_be_placed));
		}
		give(images_done());
	}
}

$role eq 'compute' ? compute() : decode();
END

# Says what the engines are to do; a role without a behaviour has the real one.
sub behave
{
	my (%behaviours) = @_;
	unlink map { "$directory/$_" } qw(decode compute lives told ready acted go);
	write_file("$directory/$_", "$behaviours{$_}\n") foreach keys %behaviours;
	return;
}

# What an engine wrote into a file.
sub noted
{
	my ($name) = @_;
	return -e "$directory/$name" ? slurp_file("$directory/$name") =~ s/\n\z//r : '';
}

my $right = sql_bytea(rising_png());
my $left = sql_bytea(falling_png());
$node->safe_psql(
	'postgres', qq{
	CREATE TABLE images (kind text PRIMARY KEY, img bytea);
	ALTER TABLE images ALTER img SET STORAGE EXTERNAL;
	INSERT INTO images VALUES ('right', $right), ('left', $left);
	INSERT INTO images SELECT 'large', img || decode(repeat('00', 3000000), 'hex') FROM images WHERE kind = 'right';
	INSERT INTO images SELECT 'huge', img || decode(repeat('00', 30000000), 'hex') FROM images WHERE kind = 'right';
	CREATE FUNCTION is_there_soon(file text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS \$\$
	BEGIN
		PERFORM pg_sleep(0.02);
		RETURN (pg_stat_file(file, true)).size IS NOT NULL;
	END \$\$;
	-- Are all images as they should be: right and left in turn? If not, what they are.
	CREATE FUNCTION outcome(query text) RETURNS text LANGUAGE sql AS \$\$
		SELECT CASE WHEN count(*) >= 20 AND bool_and(status = 'ok' AND key = n
				AND dhash = CASE key % 2 WHEN 0 THEN '$right_dhash' ELSE '$left_dhash' END::phash64) THEN 'right'
			ELSE count(*) || ' ' || string_agg(concat_ws(' ', key, status, message, dhash), ', ' ORDER BY n) END
		FROM (SELECT row_number() OVER () AS n, h.* FROM hash_query(query) h) h \$\$});

my $rows = q{SELECT i, img FROM generate_series(1, 20) i JOIN images ON kind = CASE i % 2 WHEN 0 THEN 'right' ELSE 'left' END ORDER BY i};
my $call = "SELECT outcome(\$q\$$rows\$q\$)";

# The same, but as many images as come until an engine has written this file, and 20 more.
sub call_after
{
	my ($file) = @_;
	return "SELECT outcome(\$q\$WITH RECURSIVE numbers (i, last) AS (SELECT 1, NULL::int UNION ALL
		SELECT i + 1, CASE WHEN last IS NULL AND is_there_soon('$directory/$file') THEN i + 20 ELSE last END
		FROM numbers WHERE i < coalesce(last, 500)) SELECT i, (SELECT img FROM images
			WHERE kind = CASE i % 2 WHEN 0 THEN 'right' ELSE 'left' END) FROM numbers\$q\$)";
}

sub new_session
{
	my ($settings) = @_;
	my $session = VamhashTest::Session->new($node);
	$session->value("SET $_") foreach 'statement_timeout = 60000', split /; */, $settings;
	return $session;
}

# "status" of each image of these kinds, in order.
sub statuses
{
	my ($session, @kinds) = @_;
	my ($out, $err) = $session->query(
		"SELECT string_agg(status, ' ') FROM hash_query(\$q\$SELECT i, img FROM unnest('{@{[ join ',', @kinds ]}}'::text[])
			WITH ORDINALITY k (kind, i) JOIN images USING (kind) ORDER BY i\$q\$)");
	return $err eq '' ? $out : VamhashTest::Session::tidy($err);
}


# compute breaks the protocol: an ERROR, whether or not a device must be used, and then all is well.
sub hostile_compute
{
	my ($behaviour, $detail, %options) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $role = $options{role} || 'compute';
	foreach my $use ($options{only} || ('on', 'auto'))
	{
		behave(compute => $behaviour);
		my $session = new_session("vamhash.gpu = $use");
		my $file = $behaviour =~ /nobody granted|ASK_DEVICE with words|DONE for/ ? 'acted' : 'ready';
		like($session->error($use eq 'on' ? $call : call_after($file)),
			qr/\A08P01: the vamhash engine \($role\) sent an invalid reply\nDETAIL:  (?:$detail)\n.*\n\z/,
			"compute, $use: $behaviour");
		is(scalar(engines_of($session->pid, $role)), 0, 'it is stopped');
		behave();
		is($session->value("SET vamhash.gpu = off; $call"), 'right', 'the session goes on');
		$session->quit;
	}
	return;
}

hostile_compute($_, 'a device of a wrong length') foreach 'READY is too short', 'READY is too long', 'READY is empty';
hostile_compute($_, 'a device that cannot be')
  foreach 'a device that is no text', 'a device without end', 'a reason that is no text', 'a reason without end',
  'no decoder, in no text', 'no decoder without end';
hostile_compute('ASK_DEVICE with words', 'ASK_DEVICE has a wrong length');
hostile_compute($_, 'ASK_DEVICE too late, or twice') foreach 'ASK_DEVICE twice', 'ASK_DEVICE after READY';
hostile_compute($_, 'DONE before END|bytes after DONE') foreach 'DONE for READY', 'DONE before END', 'BATCH';
hostile_compute($_, 'hashes of more pictures than it was given')
  foreach 'hashes before any pictures', 'hashes for the arena', 'more hashes than pictures';
hostile_compute('a part of a hash', 'a part of a picture\'s hashes');
hostile_compute($_, 'a picture\'s status that cannot be') foreach 'a status that is none', 'a status beyond all';
hostile_compute('DONE of other bytes', 'DONE does not match the results');
hostile_compute('DONE with hashes left', 'expected DONE after the last answer');
hostile_compute($_, 'unexpected operation|PROGRESS has a wrong length') foreach 'PROGRESS', 'a question';
hostile_compute($_, 'a frame is too long') foreach 'a frame that is too long', 'a frame of gigabytes';
hostile_compute('another id', 'answer to another request');
hostile_compute('no frame', 'bad magic number');
hostile_compute('a report of a wrong length', 'DONE has a wrong length');
hostile_compute($_, 'a report that cannot be')
  foreach 'a report of too many pictures', 'a report of no time', 'a report of time that is none', 'a device held twice',
  'two failures',
  'a failure that is no text', 'a failure without end';
hostile_compute('a device held that nobody granted', 'a report of a device that was not granted', only => 'on');
# It decides whether a picture is there, and so can have the other one blamed.
hostile_compute('impossible', 'a picture that is not there', role => 'decode');
# What it may say only where the CPU may take over.
hostile_compute('no device', 'no device, where one must be used', only => 'on');
hostile_compute('failed', 'a device that failed without an ERROR', only => 'on');
foreach my $behaviour ('no device', 'failed', 'honest', 'no memory', 'memory beyond all')
{
	behave(compute => $behaviour);
	my $session = new_session('vamhash.gpu = auto');
	is($session->value(call_after('ready')), 'right', "compute, auto: $behaviour: by the CPU");
	$session->quit;
}

# compute ends.
foreach my $step (qw(begin granted arena pictures end), 'some hashes')
{
	behave(compute => "death: $step");
	my $session = new_session('vamhash.gpu = on');
	if ($step eq 'end') { is($session->value($call), 'right', "compute, on: death: $step: nothing is lost") }
	else
	{
		is( $session->error($call),
			"38000: the vamhash engine (compute) ended unexpectedly\nDETAIL:  child process exited with exit code 3\n"
			  . ($step eq 'end' ? '' : qq{HINT:  With "vamhash.gpu" set to auto, the CPU takes over.\n}),
			"compute, on: death: $step");
	}
	behave(compute => "death: $step");
	is( $session->value('SET vamhash.gpu = auto; ' . call_after($step =~ /^(begin|granted)$/ ? 'acted' : 'ready')),
		'right', 'auto: the CPU takes over');
	like(
		$session->value(q{SELECT value FROM vamhash_stat WHERE name = 'last_fallback'}),
		$step eq 'end' ? qr/^$/ : qr/^the engine process ended: .* exit code 3$/,
		'and says why');
	behave();
	is($session->value("SET vamhash.gpu = off; $call"), 'right', 'the session goes on');
	$session->quit;
}

# It does not even begin.
{
	behave(compute => 'no HELLO');
	my $session = new_session('vamhash.gpu = on');
	like($session->error($call), qr/^38000: the vamhash engine \(compute\) ended unexpectedly\n/, 'compute, on: does not begin');
	behave(compute => 'no HELLO');
	is($session->value('SET vamhash.gpu = auto; ' . call_after('ready')), 'right', 'auto: the CPU does the work');
	is($session->value(q{SELECT value FROM vamhash_stat WHERE name = 'last_fallback'}),
		'the vamhash engine (compute) ended unexpectedly', 'and says why');
	is($session->value("$call; $call"), "right\nright", 'the session goes on');
	$session->quit;
}

# compute says nothing, or does not stop: a cancel is heard all the same.
foreach my $behaviour ((map { "silence: $_" } qw(begin granted pictures end), 'a part of a frame'),
	'a flood of nothing before READY', 'a flood of nothing')
{
	behave(compute => $behaviour);
	my $session = new_session('vamhash.gpu = on; statement_timeout = 1500');
	my $error;
	my $seconds = seconds_of(sub { $error = $session->error($call) });
	like($error, $behaviour eq 'a flood of nothing before READY' ? qr/^08P01/ : qr/^57014: canceling statement due to statement timeout$/,
		"compute: $behaviour: cancelled");
	cmp_ok($seconds, '<', 15, 'soon');
	ok(wait_for(sub { !engines_of($session->pid, 'compute') }, 5), 'with its engine');
	behave();
	is($session->value("SET vamhash.gpu = off; $call"), 'right', 'the session goes on');
	$session->quit;
}

# decode breaks the protocol.
sub hostile_decode
{
	my ($behaviour, $detail, $use) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	behave(decode => $behaviour, compute => 'honest');
	my $session = new_session('vamhash.gpu = ' . ($use || 'on'));
	like($session->error($call),
		qr/\A08P01: the vamhash engine \(decode\) sent an invalid reply\nDETAIL:  (?:$detail)\n.*\n\z/, "decode: $behaviour");
	is(scalar(engines_of($session->pid)), 0, 'it is stopped, and so is the other one');
	behave();
	is($session->value("SET vamhash.gpu = off; $call"), 'right', 'the session goes on');
	$session->quit;
	return;
}

my $bad_status = 'an image\'s status that cannot be';
hostile_decode('placed always', $bad_status, 'off');
hostile_decode('placed always', $bad_status);
hostile_decode($_, $bad_status) foreach 'placed in part 3', 'placed in part 255', 'placed and corrupt', 'placed with 3';
hostile_decode('placed of no size', 'an image without size or format');
hostile_decode($_, 'an answer about an image that was not sent') foreach 'placed twice', 'placed, then hashed';
hostile_decode($_, 'a batch of other pictures than were placed')
  foreach 'a batch of nothing', 'a batch of a picture that is not there', 'a batch of two', 'a batch of another part',
  'a batch twice', 'a batch at once';
hostile_decode($_, 'a part of the arena that there is not') foreach 'a batch of no part', 'a batch of a part beyond all';
hostile_decode('a batch of a wrong length', 'BATCH has a wrong length');
hostile_decode('a batch at once', 'a batch where there is no device', 'off');
foreach my $use ('on', 'off')
{
	behave(decode => 'a flood of nothing', compute => 'honest');
	my $session = new_session("vamhash.gpu = $use; statement_timeout = 1500; vamhash.image_timeout = 0");
	like($session->error($call), qr/^57014: canceling statement due to statement timeout$/, "decode: a flood of nothing, $use");
	$session->quit;
}

# A picture that is not there is found by the real compute.
SKIP:
{
	behave();
	my $session = new_session('vamhash.gpu = on');
	my ($out, $err) = $session->query($call);
	skip 'there is no device, not even PoCL\'s', 4 if $err =~ /no device can be used/;
	is($out, 'right', 'both real engines');
	$session->quit;
	foreach my $behaviour ('beyond the part', 'at no place')
	{
		behave(decode => $behaviour);
		$session = new_session('vamhash.gpu = on');
		like($session->error($call),
			qr/\A08P01: the vamhash engine \(decode\) sent an invalid reply\nDETAIL:  a picture that is not there\n/,
			"decode: a picture $behaviour");
		$session->quit;
	}
	pass('and nothing else');
}

# Bad luck. Images that the device leaves are sent again, out of order: none is lost by that, and none
# gets the blame that is another one's.
{
	my $session = new_session('vamhash.gpu = on; vamhash.image_timeout = 5000');
	behave(compute => 'honest', decode => 'dies while an image is sent again');
	is(statuses($session, 'large', ('right') x 9), join(' ', ('ok') x 10),
		'an engine that ends while an image is sent to it again');
	$session->quit;

	$session = new_session('vamhash.gpu = on; vamhash.image_timeout = 5000');
	behave(compute => 'later', decode => 'dies of each image alone');
	is(statuses($session, 'right', 'left', 'right'), 'ok ok ok', 'an image is blamed only for engines in which it was alone');
	is(() = noted('lives') =~ /\d+/g, 4, 'of which there were four');
	$session->quit;

	foreach my $case ([ 'hangs in the second image', 2 ], [ 'hangs in the second image alone', 3 ])
	{
		my ($behaviour, $images) = @$case;
		$session = new_session('vamhash.gpu = on; vamhash.image_timeout = 1000');
		behave(compute => 'later', decode => $behaviour);
		is(statuses($session, ('right') x $images), join(' ', 'ok', 'timeout', ('ok') x ($images - 2)),
			"an engine that $behaviour");
		$session->quit;
	}

	$session = new_session('vamhash.gpu = on; vamhash.image_timeout = 5000');
	behave(compute => 'impossible later', decode => 'dies before it is found out');
	is(statuses($session, 'right', 'right'), 'ok ok', 'an engine is not blamed for a picture of an earlier one');
	$session->quit;

	$session = new_session('vamhash.gpu = on; vamhash.image_timeout = 5000');
	behave(compute => 'a fake', decode => 'waits for a part');
	is(statuses($session, 'right', 'large'), 'ok ok', 'a part is freed though no image is left to be sent');
	is(noted('told'), "ARENA\nFREE_PART", 'and the engine told');
	$session->quit;

	my $file = write_file("$directory/picture.png", rising_png());
	$session = new_session('vamhash.gpu = on; vamhash.image_timeout = 5000');
	behave(compute => 'later', decode => 'has all files');
	is( $session->value("SELECT string_agg(DISTINCT status, ' '), count(*) FROM hash_image_files(ARRAY(
			SELECT '$file' FROM generate_series(1, 700)))"),
		'ok|700', 'a file is sent again though as many as may be are open');
	$session->quit;

	$session = new_session('vamhash.gpu = off');
	behave(decode => 'one, and no more');
	is( $session->value(q{SELECT string_agg(DISTINCT status, ' '), count(*) FROM hash_query(
			'SELECT i, img FROM generate_series(1, 120) i, images WHERE kind = ''right''')}),
		'ok|120', 'any number of engines may end, if each answers an image');
	$session->quit;
}

# A device may take longer than an image.
{
	my $session = new_session('vamhash.gpu = on; vamhash.image_timeout = 500');
	behave(compute => 'slow to begin');
	is($session->value($call), 'right', 'a device that takes long to begin is not the images\' fault');
	behave(compute => 'slow to hash');
	is($session->value("SET vamhash.threads = 1; $call"), 'right', 'nor is one that takes long to hash');
	is(statuses($session, 'huge', 'huge'), 'ok ok', 'nor for images that are put meanwhile');
	$session->quit;
}

# A call inside another one that has the only device: it cannot wait for that.
{
	my $nested = q{SELECT count(*), count(*) FILTER (WHERE status = 'ok') FROM hash_query($q$
		SELECT i, (SELECT img FROM images WHERE kind = (SELECT min(i.kind) FROM images i, hash_images(ARRAY[img]) h
			WHERE i.kind IN ('right', 'left') AND h.status = 'ok' AND n.i IS NOT NULL))
		FROM generate_series(1, 5) n (i)$q$)};
	my $session = new_session('vamhash.gpu = on; statement_timeout = 10000');
	behave(compute => 'honest');
	like(
		$session->error($nested),
		qr/^55000: no device is free for a call inside one that has a device\n/,
		'a call inside another one, on: an ERROR');
	is($session->value("SET vamhash.gpu = auto; $nested"), '5|5', 'auto: the CPU');
	$session->quit;
}

# An arena that served several batches is kept mapped by its engines, which may be idle for long; its memory is
# not.
{
	my $session = new_session('vamhash.gpu = on');
	behave(compute => 'honest');
	my $wide = sql_bytea(rising_png(2000, 1000));
	$session->query("CREATE TABLE catalog (i int PRIMARY KEY, img bytea, d phash64);
		INSERT INTO catalog SELECT i, $wide FROM generate_series(1, 4) i;
		CALL hash_catalog('catalog', 'i', 'img', '{\"d\": \"dhash\"}', batch => 2)");
	is($session->value("SELECT count(*) FROM catalog WHERE d = '$right_dhash'"), 4, 'a catalog in two batches');
	my ($engine) = engines_of($session->pid, 'decode');
	ok((grep { ($_ || '') =~ /vamhash pictures/ } split /\n/, slurp_file("/proc/$engine/maps")), 'its arena is still mapped');
	is(process_status($engine)->{RssShmem}, '0 kB', 'and takes no memory');
	$session->quit;
}

ok(wait_for(sub { !stray_engines($node) }, 5), 'no engine is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'nothing worse in the log');

done_testing();
