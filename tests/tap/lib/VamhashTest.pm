# What the TAP tests share: pictures whose hashes are known from first principles, psql sessions
# that report SQLSTATEs, and a view of the engine processes through /proc.
#
# An engine is known by its name and by its process group, which is its backend's pid even after
# the backend has gone; so engines of other servers on the machine are never mistaken for ours.
package VamhashTest;

use strict;
use warnings FATAL => 'all';

use Compress::Zlib;
use Exporter 'import';
use File::Copy;
use FindBin;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(
  $right_dhash $right_ahash $left_dhash $left_ahash
  grey_png rising_png falling_png huge_png
  sql_bytea write_file picture_table create_hashes $long_join
  start_node library_directory private_library start_private_node
  install_engine misbehaving_engine misdeed start_link_swapper
  copy_device_plugins usable_device
  engines_of stray_engines process_stat process_ended process_status descriptors lasting_descriptors
  wait_for seconds_of
);

# rising_png() is brighter to the right in every pixel: each of dhash's bits is 1, and ahash's are
# those of the right half. falling_png() is its mirror image.
our $right_dhash = 'ffffffffffffffff';
our $right_ahash = '0f0f0f0f0f0f0f0f';
our $left_dhash = '0000000000000000';
our $left_ahash = 'f0f0f0f0f0f0f0f0';

# A chunk of a PNG file.
sub chunk
{
	my ($type, $data) = @_;
	return pack('N', length $data) . $type . $data . pack('N', crc32($type . $data));
}

# A PNG file of 8-bit grey pixels: `$times` times the lines in @$lines, each a filter's number and the
# filtered pixels. Repetitions are not compressed again, so that a huge picture is made in no time.
sub png_of_lines
{
	my ($lines, $times) = @_;
	my $part = join '', @$lines;
	my ($deflate) = deflateInit(-WindowBits => -MAX_WBITS(), -Level => 1);
	my ($packed) = $deflate->deflate($part);
	my ($rest) = $deflate->flush(Z_FULL_FLUSH);
	my $adler = adler32('');
	$adler = adler32($part, $adler) for 1 .. $times;

	return
	    "\x89PNG\r\n\x1a\n"
	  . chunk('IHDR', pack('NNCCCCC', length($lines->[0]) - 1, @$lines * $times, 8, 0, 0, 0, 0))
	  . chunk('IDAT',
		"\x78\x01" . (($packed . $rest) x $times) . "\x03\x00" . pack('N', $adler))
	  . chunk('IEND', '');
}

# A PNG file of 8-bit grey pixels: the rows in @$rows, each a string of pixels.
sub grey_png
{
	my ($rows) = @_;
	return png_of_lines([ map { "\0$_" } @$rows ], 1);
}

# One row of pixels from black to white.
sub rising_row
{
	my ($width) = @_;
	return pack 'C*', map { int($_ * 255 / ($width - 1)) } 0 .. $width - 1;
}

# A picture that is brighter to the right.
sub rising_png
{
	my ($width, $height) = @_;
	return grey_png([ (rising_row($width || 90)) x ($height || 80) ]);
}

# A picture that is darker to the right.
sub falling_png
{
	return grey_png([ (scalar reverse rising_row(90)) x 80 ]);
}

# A picture of 240 million pixels, brighter to the right, for an engine that is to be busy. All rows
# are one: it follows from the filter Sub once and from the filter Paeth, the slowest, ever after.
sub huge_png
{
	my @row = unpack 'C*', rising_row(16000);
	my $differences = pack 'C*', map { $row[$_] - ($_ > 0 ? $row[ $_ - 1 ] : 0) } 0 .. $#row;
	return png_of_lines([ "\1$differences", ("\4" . "\0" x @row) x 99 ], 150);
}

# Bytes as an SQL literal.
sub sql_bytea
{
	my ($bytes) = @_;
	return "'\\x" . unpack('H*', $bytes) . "'::bytea";
}

# Keeps an engine computing for seconds, and gives few pairs: random hashes are seldom so near.
our $long_join = q{SELECT count(*) FROM similar_pairs('SELECT i, h FROM hashes', 12)};

# Makes a file with these bytes; returns its name.
sub write_file
{
	my ($name, $bytes) = @_;
	open my $file, '>:raw', $name or die "could not create $name: $!";
	print $file $bytes;
	close $file or die "could not write $name: $!";
	return $name;
}

# Creates the table pictures(name, img): right and left, small, and huge, which keeps an engine busy
# for a good part of a second. pictures.img is not compressed, so that reading it is quick.
sub picture_table
{
	my ($node) = @_;
	my $huge = write_file(PostgreSQL::Test::Utils::tempdir() . '/huge.png',
		huge_png());
	my $right = sql_bytea(rising_png());
	my $left = sql_bytea(falling_png());
	$node->safe_psql(
		'postgres', qq{
		CREATE TABLE pictures (name text PRIMARY KEY, img bytea);
		ALTER TABLE pictures ALTER img SET STORAGE EXTERNAL;
		INSERT INTO pictures VALUES ('right', $right), ('left', $left),
			('huge', pg_read_binary_file('$huge'))});
	return;
}

# Creates the table hashes(i, h) of 400,000 random hashes.
sub create_hashes
{
	my ($node) = @_;
	$node->safe_psql(
		'postgres', q{
		SELECT setseed(0.5);
		CREATE TABLE hashes AS
		SELECT i::bigint, ((random() * 4294967295)::bigint << 32
			| (random() * 4294967295)::bigint)::phash64 AS h
		FROM generate_series(1, 400000) i});
	return;
}

# A started server.
sub start_server
{
	my ($name, $settings) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	$node->append_conf('postgresql.conf', "fsync = off\n" . ($settings || ''));
	$node->start;
	return $node;
}

# A started server with the extension in it.
sub start_node
{
	my ($name, $settings) = @_;
	my $node = start_server($name, $settings);
	$node->safe_psql('postgres', 'CREATE EXTENSION vamhash');
	return $node;
}

# The directory that vamhash.so and its engine are installed in.
sub library_directory
{
	my ($directory) = PostgreSQL::Test::Utils::run_command([ 'pg_config', '--pkglibdir' ]);
	return $directory;
}

# A copy of the library and its engine in a directory of the test's own, in which the engine can be
# replaced without harm to the installed one.
sub private_library
{
	my $directory = PostgreSQL::Test::Utils::tempdir();
	foreach my $file ('vamhash.so', 'vamhash-engine')
	{
		copy(library_directory() . "/$file", "$directory/$file")
		  or die "could not copy $file: $!";
		chmod 0755, "$directory/$file";
	}
	return $directory;
}

# A started server with the extension's objects in it, of a private library.
sub start_private_node
{
	my ($name, $directory, $settings) = @_;
	my $node = start_server($name, $settings);
	create_in_private_library($node, $directory);
	return $node;
}

# Puts a program in the place of a private library's engine.
sub install_engine
{
	my ($directory, $program, $mode) = @_;
	my $engine = "$directory/vamhash-engine";
	unlink $engine;
	write_file($engine, $program);
	chmod defined $mode ? $mode : 0755, $engine;
	return;
}

# The file of the engine that does what it is told to (tests/unit/misbehaving_*.cpp); without it, the
# test is skipped.
sub misbehaving_engine
{
	my ($file) = grep { -x } grep { defined } $ENV{VAMHASH_MISBEHAVING_ENGINE},
	  map { "$FindBin::RealBin/${_}vamhash-engine-misbehaving" } '', '../../build/test/tests/unit/';
	plan skip_all => 'needs vamhash-engine-misbehaving, built with the unit tests' unless defined $file;
	return $file;
}

# An image that tells that engine's codec what to do, as an SQL literal.
sub misdeed
{
	my ($command) = @_;
	return sql_bytea("MISBEHAVE\n$command");
}

# Makes a link lead to one of these files after another, without end. Returns the process that does so.
sub start_link_swapper
{
	my ($link, @targets) = @_;
	my $swapper = fork();
	die "fork: $!" unless defined $swapper;
	return $swapper if $swapper != 0;
	for (;;)
	{
		foreach my $target (@targets)
		{
			unlink "$link.new";
			symlink $target, "$link.new";
			rename "$link.new", $link;
		}
		POSIX::_exit(0) if getppid() == 1;
	}
}

# Puts the plugins for devices, as far as they are installed, beside a private library.
sub copy_device_plugins
{
	my ($directory) = @_;
	foreach my $plugin (glob library_directory() . '/vamhash_{opencl,cuda}.so')
	{
		copy($plugin, $directory) if -e $plugin;
	}
	return;
}

# The first device that can be used, as vamhash_stat names it; undef where there is none.
sub usable_device
{
	my ($node) = @_;
	my ($device) = split /\n/,
	  $node->safe_psql('postgres',
		q{SELECT backend || ' ' || device_id || ': ' || name FROM vamhash_devices() WHERE usable AND backend <> 'cpu'});
	return $device;
}

# Creates the extension's objects with a private copy of its library, in a database without the
# extension.
sub create_in_private_library
{
	my ($node, $directory) = @_;
	my ($share) = PostgreSQL::Test::Utils::run_command([ 'pg_config', '--sharedir' ]);
	my $control = slurp_file("$share/extension/vamhash.control");
	my ($version) = $control =~ /^default_version *= *'(.*)'/m
	  or die 'no version in vamhash.control';
	my $script = slurp_file("$share/extension/vamhash--$version.sql");
	$script =~ s/^\\echo.*\n//mg;
	$script =~ s/MODULE_PATHNAME/$directory\/vamhash/g;
	$script =~ s/\@extschema\@/public/g;
	$node->safe_psql('postgres', $script);
	return;
}

# The fields of /proc/PID/stat that matter here; undef when there is no such process.
sub process_stat
{
	my ($pid) = @_;
	open my $file, '<', "/proc/$pid/stat" or return undef;
	my $line = <$file>;
	close $file;
	return undef unless defined $line && $line =~ /^\d+ \((.*)\) (.*)$/s;
	my ($name, @fields) = ($1, split / /, $2);
	return {
		name => $name,
		state => $fields[0],
		parent => $fields[1],
		group => $fields[2],
		time => $fields[11] + $fields[12],
		exit_code => int $fields[49],
	};
}

# Has a process ended? On a busy machine its backend may have been too early to reap it.
sub process_ended
{
	my ($pid) = @_;
	my $stat = process_stat($pid);
	return !$stat || $stat->{state} eq 'Z';
}

# The processor time that a process has used, in hundredths of a second.
sub process_time
{
	my ($pid) = @_;
	my $stat = process_stat($pid);
	return $stat ? $stat->{time} : 0;
}

# The fields of /proc/PID/status by name.
sub process_status
{
	my ($pid) = @_;
	return { map { /^(\w+):\s*(.*)$/ ? ($1 => $2) : () }
		  split /\n/, slurp_file("/proc/$pid/status") };
}

# What a process's descriptors are: number => target.
sub descriptors
{
	my ($pid) = @_;
	opendir my $directory, "/proc/$pid/fd" or die "could not open /proc/$pid/fd: $!";
	my %open = map { $_ => readlink("/proc/$pid/fd/$_") } grep { /^\d+$/ } readdir $directory;
	closedir $directory;
	return \%open;
}

# How many descriptors a backend has that are no files of tables: those it opens and closes as it likes,
# and has to when others change or clean up a catalog, as autovacuum does.
sub lasting_descriptors
{
	my ($pid) = @_;
	return scalar grep { !m{/(?:base|global|pg_wal|pg_xact)/} } grep { defined } values %{ descriptors($pid) };
}

# All processes called vamhash-engine: pid => stat. Dead ones that their backend has not reaped are
# among them, those that only wait for the machine's init to reap them are not.
sub all_engines
{
	opendir my $directory, '/proc' or die "could not open /proc: $!";
	my %engines;
	foreach my $pid (grep { /^\d+$/ } readdir $directory)
	{
		my $stat = process_stat($pid);
		next unless $stat && $stat->{name} eq 'vamhash-engine';
		next if $stat->{state} eq 'Z' && $stat->{parent} != $stat->{group};
		$engines{$pid} = $stat;
	}
	closedir $directory;
	return \%engines;
}

# The pids of a backend's engines, whether or not the backend still lives. $role, where given, is
# decode, compute or open.
sub engines_of
{
	my ($backend, $role) = @_;
	my $engines = all_engines();
	my @pids = sort { $a <=> $b } grep { $engines->{$_}->{group} == $backend } keys %$engines;
	return @pids unless defined $role;
	return grep {
		open my $file, '<', "/proc/$_/cmdline" or return;
		my (undef, $its_role) = split /\0/, join('', <$file>);
		defined $its_role && $its_role eq $role;
	} @pids;
}

# The pids of engines that no backend of this server owns but that may be its orphans: their group's
# leader has gone. With them, those of its living backends.
sub stray_engines
{
	my ($node) = @_;
	my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
	my $engines = all_engines();
	return grep {
		my $leader = process_stat($engines->{$_}->{group});
		!$leader || $leader->{parent} == $postmaster;
	} keys %$engines;
}

# Waits until a condition holds; false if it does not within so many seconds.
sub wait_for
{
	my ($condition, $seconds) = @_;
	my $end = time() + (defined $seconds ? $seconds : $PostgreSQL::Test::Utils::timeout_default);
	until ($condition->())
	{
		return 0 if time() > $end;
		usleep(5_000);
	}
	return 1;
}

# Runs something; returns how many seconds that took.
sub seconds_of
{
	my ($action) = @_;
	my $begin = time();
	$action->();
	return time() - $begin;
}

package VamhashTest::Session;

use strict;
use warnings FATAL => 'all';

use IPC::Run;
use PostgreSQL::Test::Utils;

# A psql session. Errors are told with their SQLSTATE.
sub new
{
	my ($class, $node, %options) = @_;
	my $self = bless { in => '', out => '', err => '', count => 0 }, $class;
	$self->{timer} = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);
	my $connection = $node->connstr('postgres');
	$connection .= " user=$options{user}" if defined $options{user};
	$self->{run} = IPC::Run::start(
		[ $node->installed_command('psql'), '-XAtq', '-d', $connection, '-f', '-' ],
		'<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err}, $self->{timer});
	$self->query("\\set VERBOSITY verbose\n\\set SHOW_CONTEXT never");
	$self->{pid} = $self->value('SELECT pg_backend_pid()');
	return $self;
}

# The backend's pid.
sub pid
{
	my ($self) = @_;
	return $self->{pid};
}

# Begins $long_join; returns its engine's pid once that computes.
sub begin_join
{
	my ($self) = @_;
	$self->begin($VamhashTest::long_join);
	my $engine;
	VamhashTest::wait_for(
		sub {
			($engine) = VamhashTest::engines_of($self->pid, 'compute');
			return $engine && VamhashTest::process_time($engine) > 5;
		}) or die 'the join did not begin';
	return $engine;
}

# Begins to hash the picture huge; returns its engine's pid once that decodes.
sub begin_hash
{
	my ($self) = @_;
	my ($engine) = VamhashTest::engines_of($self->pid, 'decode');
	my $before = $engine ? VamhashTest::process_time($engine) : 0;
	$self->begin(q{SELECT dhash(img) FROM pictures WHERE name = 'huge'});
	VamhashTest::wait_for(
		sub {
			($engine) = VamhashTest::engines_of($self->pid, 'decode');
			return $engine && VamhashTest::process_time($engine) > $before + 2;
		}) or die 'the decoding did not begin';
	return $engine;
}

# Sends statements without waiting for their end.
sub begin
{
	my ($self, $sql) = @_;
	my $mark = 'end of statements ' . ++$self->{count};
	$self->{in} .= "$sql\n;\n\\echo '$mark'\n\\warn '$mark'\n";
	$self->{timer}->start($PostgreSQL::Test::Utils::timeout_default);
	$self->{run}->pump_nb;
	return;
}

# Waits for the end of what begin() sent; returns what was printed: results, and errors.
sub end
{
	my ($self) = @_;
	my $mark = "end of statements $self->{count}\n";
	$self->{run}->pump
	  until $self->{out} =~ /\Q$mark\E\z/ && $self->{err} =~ /\Q$mark\E\z/;
	my ($out, $err) = ($self->{out}, $self->{err});
	$self->{out} = '';
	$self->{err} = '';
	s/\n?\Q$mark\E\z// foreach $out, $err;
	return ($out, $err);
}

# Runs statements; returns what was printed: results, and errors.
sub query
{
	my ($self, $sql) = @_;
	$self->begin($sql);
	return $self->end;
}

# Runs statements that must not fail; returns their results.
sub value
{
	my ($self, $sql) = @_;
	my ($out, $err) = $self->query($sql);
	die "unexpected: $err\nin: " . substr($sql, 0, 500) if $err ne '';
	return $out;
}

# Runs a statement that must fail; returns its error as "SQLSTATE: message" with its DETAIL and HINT.
sub error
{
	my ($self, $sql) = @_;
	my ($out, $err) = $self->query($sql);
	return tidy($err);
}

# Cuts the file name, the word ERROR and the place in the source off psql's error messages.
sub tidy
{
	my ($err) = @_;
	$err =~ s/^psql:\S+ (ERROR|FATAL): +//mg;
	$err =~ s/^LOCATION: .*\n?//mg;
	return $err;
}

# Ends the session as a client does.
sub quit
{
	my ($self) = @_;
	$self->{in} .= "\\q\n";
	$self->{run}->finish;
	return;
}

# Ends the client at once, without a word to the server.
sub vanish
{
	my ($self) = @_;
	$self->{run}->signal('KILL');
	eval { $self->{run}->finish };
	return;
}

# Waits for psql to end because its server did, and for no other reason.
sub lost
{
	my ($self) = @_;
	eval { $self->{run}->finish };
	return tidy($self->{err});
}

1;
