# dhash_file() and its kin read files of the server: for members of pg_read_server_files only, regular
# files only, and with an error that says what is wrong with any other.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use POSIX ();
use Socket;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VamhashTest;

my $node = start_node('main');
$node->safe_psql(
	'postgres', q{
	CREATE ROLE nobody LOGIN;
	CREATE ROLE granted LOGIN;
	CREATE ROLE member LOGIN;
	GRANT pg_read_server_files TO member;
	GRANT EXECUTE ON FUNCTION dhash_file, ahash_file, whash_file, phash_file, whash16_file,
		image_hashes_file TO granted});

my $folder = PostgreSQL::Test::Utils::tempdir();
my $picture = write_file("$folder/picture.png", rising_png());

# The names of the six functions, and what each says of the picture.
my %expected = (
	dhash_file => $right_dhash,
	ahash_file => $right_ahash,
	whash_file => $right_ahash,
	image_hashes_file => qr/^\($right_dhash,$right_ahash,$right_ahash,[0-9a-f]{16},[0-9a-f]{16},90,80,png\)$/,
	phash_file => qr/^[0-9a-f]{16}$/,
	whash16_file => qr/^[0-9a-f]{4}000000000000$/);

# Who may.
my $nobody = VamhashTest::Session->new($node, user => 'nobody');
my $granted = VamhashTest::Session->new($node, user => 'granted');
my $member = VamhashTest::Session->new($node, user => 'member');
foreach my $function (sort keys %expected)
{
	like($nobody->error("SELECT $function('$picture')"),
		qr/^42501: permission denied for function $function$/, "$function: without EXECUTE");
	like(
		$granted->error("SELECT $function('$picture')"),
		qr/^42501: permission denied to read server files\nDETAIL:  Only members of role pg_read_server_files /,
		"$function: with EXECUTE, but no member of pg_read_server_files");
	like($member->value("SELECT $function('$picture')"), qr/^$expected{$function}$/,
		"$function: a member");
	(my $of_bytes = $function) =~ s/_file$//;
	is($member->value("SELECT $function('$picture') = $of_bytes(" . sql_bytea(rising_png()) . ')'),
		't', "$function: as $of_bytes() of its bytes");
	is($member->value("SELECT $function(NULL) IS NULL, $function('$picture', NULL) IS NULL,
			$function('$picture', 'exact', NULL) IS NULL"),
		't|t|t', "$function: null arguments");
}
# Refused before anything is said about the file.
like($granted->error("SELECT dhash_file('$folder/missing')"), qr/^42501: /,
	'who may not read learns nothing of a file');
$node->safe_psql('postgres', 'REVOKE pg_read_server_files FROM member');
like($member->error("SELECT dhash_file('$picture')"), qr/^42501: /, 'no longer a member');
$_->quit foreach $nobody, $granted, $member;

# What is read.
my $session = VamhashTest::Session->new($node);
my $data = $node->data_dir;

sub file_is
{
	my ($path, $dhash, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($session->value("SELECT dhash_file('$path')"), $dhash, $what);
	return;
}

# The call must fail so, and wait for nothing; then others must work, however long they take.
sub file_fails
{
	my ($path, $error, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like($session->error("SET statement_timeout = '20s'; SELECT dhash_file('$path')"), $error, $what);
	$session->value('RESET statement_timeout');
	file_is($picture, $right_dhash, "$what: the next call works");
	return;
}

write_file("$data/inside.png", falling_png());
file_is('inside.png', $left_dhash, 'a relative path is in the data directory');
file_is('./base/../inside.png', $left_dhash, 'a relative path with dots');
file_is(write_file("$folder/with space''s.png" =~ s/''/'/r, falling_png()) =~ s/'/''/gr,
	$left_dhash, 'a path with a space and a quote');
file_is(write_file("$folder/b\xc3\xa4ren \xe7\x86\x8a.png", falling_png()),
	$left_dhash, 'a path with letters beyond ASCII');
file_is(write_file("$folder/picture.jpg", falling_png()),
	$left_dhash, 'the format is known by the content, not by the name');
symlink $picture, "$folder/link" or die "symlink: $!";
file_is("$folder/link", $right_dhash, 'a symbolic link is followed');

file_fails("$folder/missing",
	qr/^58P01: could not open image file "\Q$folder\E\/missing": No such file or directory$/,
	'a missing file');
file_fails('', qr/^58P01: could not open image file "": No such file or directory$/, 'an empty path');
file_fails($folder, qr/^42809: "\Q$folder\E" is a directory$/, 'a directory');
file_fails('/dev/zero', qr/^42809: "\/dev\/zero" is not a regular file$/, 'a device');
POSIX::mkfifo("$folder/fifo", 0600) or die "mkfifo: $!";
file_fails("$folder/fifo", qr/^42809: "\Q$folder\E\/fifo" is not a regular file$/, 'a FIFO');
socket(my $socket, PF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
bind($socket, pack_sockaddr_un("$folder/socket")) or die "bind: $!";
file_fails("$folder/socket", qr/^42809: "\Q$folder\E\/socket" is a socket$/, 'a socket');
symlink "$folder/fifo", "$folder/fifo_link";
file_fails("$folder/fifo_link", qr/^42809: /, 'a symbolic link to a FIFO');
symlink "$folder/loop", "$folder/loop";
file_fails("$folder/loop", qr/^XX000: could not open image file .*: Too many levels of symbolic links$/,
	'a symbolic link to itself');
write_file("$folder/secret.png", rising_png());
chmod 0, "$folder/secret.png";
file_fails("$folder/secret.png",
	qr/^42501: could not open image file "\Q$folder\E\/secret\.png": Permission denied$/,
	'a file that the server may not read');
file_fails(write_file("$folder/empty", ''), qr/^22V01: image is empty$/, 'an empty file');
file_fails(write_file("$folder/text", "no image\n"), qr/^0A000: /, 'a file that is no image');
file_fails(write_file("$folder/half.png", substr rising_png(), 0, 100),
	qr/^22V01: /, 'a file that ends too early');
file_fails('/proc/self/status', qr/^55000: image file "\/proc\/self\/status" changed while it was read$/,
	'a file that is longer than its size says');

# Where it may lie: what counts is where the file is, not how it is called.
my $root = "$folder/root";
mkdir $_ or die "mkdir: $!" foreach $root, "$root/deep", "$folder/root2", "$folder/rooted", "$folder/out";
write_file("$_/picture.png", rising_png())
  foreach $root, "$root/deep", "$folder/root2", "$folder/rooted", "$folder/out";
symlink "$folder/out/picture.png", "$root/leads_out.png" or die "symlink: $!";
symlink "$folder/out", "$root/out" or die "symlink: $!";
symlink "$root/picture.png", "$folder/out/leads_in.png" or die "symlink: $!";
symlink $root, "$folder/root_link" or die "symlink: $!";
POSIX::mkfifo("$folder/out/fifo", 0600) or die "mkfifo: $!";

sub outside
{
	my ($path, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is( $session->error("SELECT dhash_file('$path')"),
		"42501: image file \"$path\" is not under \"vamhash.image_roots\"\n",
		"roots: $what");
	return;
}

$session->value("SET vamhash.image_roots = '$root'");
file_is("$root/picture.png", $right_dhash, 'roots: a file in the root');
file_is("$root/deep/picture.png", $right_dhash, 'roots: in a folder in it');
file_is("$root/deep/../picture.png", $right_dhash, 'roots: with dots that stay inside');
file_is("$folder/out/leads_in.png", $right_dhash, 'roots: by a link that leads in');
file_is("$folder/root_link/picture.png", $right_dhash, 'roots: by a link to the root');
outside("$folder/out/picture.png", 'another folder');
outside("$folder/rooted/picture.png", 'a folder whose name begins alike');
outside("$root/../out/picture.png", 'dots that lead out');
outside("$root/leads_out.png", 'a link that leads out');
outside("$root/out/picture.png", 'by a folder that is a link');
outside("$data/inside.png", 'the data directory');
outside('inside.png', 'a relative path');
outside($root =~ s/root$//r, 'a folder above it');
# It is not told what is there outside, or whether anything is.
outside("$folder/out/fifo", 'a FIFO');
outside("$folder/out/missing", 'a file that does not exist');
outside("$root/../out/missing", 'dots that lead to none');
outside('/dev/zero', 'a device');
like($session->error("SELECT dhash_file('$root/missing')"),
	qr/^58P01: could not open image file .*: No such file or directory$/, 'roots: a missing file inside');
like($session->error("SELECT dhash_file('$folder/root_link/missing')"),
	qr/^42501: /, 'roots: a missing file by a link to the root');
like($session->error("SELECT dhash_file('$root/deep')"), qr/^42809: .* is a directory$/,
	'roots: a directory inside');

$session->value("SET vamhash.image_roots = '$folder/root_link'");
file_is("$root/picture.png", $right_dhash, 'roots: the root is a link');
like($session->error("SELECT dhash_file('$root/missing')"), qr/^58P01: /,
	'roots: a missing file where that link leads');
outside("$folder/out/picture.png", 'another folder than where the link leads');
$session->value("SET vamhash.image_roots = '$folder/nowhere, $folder/root2/, \"$root/deep\"'");
file_is("$folder/root2/picture.png", $right_dhash, 'roots: one of several');
file_is("$root/deep/picture.png", $right_dhash, 'roots: the last of several');
outside("$root/picture.png", 'none of several');
$session->value("SET vamhash.image_roots = '/'");
file_is("$folder/out/picture.png", $right_dhash, 'roots: everything');
$session->value("SET vamhash.image_roots = '$folder/nowhere'");
outside($picture, 'a root that does not exist');

# Many images in one request are held to it, too.
$session->value("SET vamhash.image_roots = '$root'");
is( $session->value("SELECT string_agg(status, ' ' ORDER BY key) FROM hash_image_files(ARRAY[
		'$root/picture.png', '$root/leads_out.png', '$folder/out/picture.png', '$folder/out/missing',
		'$root/missing', '$root/deep'])"),
	'ok denied denied denied not_found unreadable', 'roots: many files');

# A link that is changed all the time leads outside never.
write_file("$folder/out/other.png", falling_png());
my $swapper = start_link_swapper("$root/swapped.png", "$root/picture.png", "$folder/out/other.png");
$session->value(
	q{CREATE FUNCTION answer(path text) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		RETURN dhash_file(path);
	EXCEPTION WHEN OTHERS THEN
		RETURN regexp_replace(SQLERRM, '"/.*/', '"');
	END
	$$});
# For as long as it takes to have seen it lead to both sides.
wait_for(sub { -l "$root/swapped.png" });
my %answers;
wait_for(
	sub
	{
		$answers{$_} = 1 foreach split /\n/, $session->value("SELECT DISTINCT answer(path)
			FROM (SELECT '$root/swapped.png' AS path FROM generate_series(1, 2000)) a");
		return keys %answers > 1;
	});
kill 'KILL', $swapper;
waitpid $swapper, 0;
is(join("\n", sort keys %answers),
	"$right_dhash\nimage file \"swapped.png\" is not under \"vamhash.image_roots\"",
	'roots: a link that is changed all the time');

like($session->error("SET vamhash.image_roots = 'photos'"),
	qr/^22023: invalid value for parameter "vamhash.image_roots": "photos"\nDETAIL:  "photos" is not an absolute path\.$/,
	'roots: a relative path');
like($session->error("SET vamhash.image_roots = '$root, '"), qr/^22023: .*\nDETAIL:  List syntax is invalid\.$/,
	'roots: no list');
$session->value('RESET vamhash.image_roots');
file_is("$folder/out/picture.png", $right_dhash, 'roots: none');
$node->safe_psql('postgres', 'GRANT pg_read_server_files TO member');
$member = VamhashTest::Session->new($node, user => 'member');
$member->value('SELECT vamhash_version()');
like($member->error("SET vamhash.image_roots = ''"), qr/^42501: permission denied to set parameter/,
	'roots: for superusers to set');
$member->quit;

# How much is read.
my $size = -s $picture;
is( $session->value("SET vamhash.max_image_bytes = $size; SELECT dhash_file('$picture')"),
	$right_dhash, 'a file of vamhash.max_image_bytes');
$size--;
like(
	$session->error("SET vamhash.max_image_bytes = $size; SELECT dhash_file('$picture')"),
	qr/^54000: image is too large: @{[ $size + 1 ]} bytes\nDETAIL:  "vamhash.max_image_bytes" is $size\.$/,
	'a file of one byte more');
like($session->error('SELECT dhash(' . sql_bytea(rising_png()) . ')'),
	qr/^54000: image is too large: /, 'a bytea of one byte more');
$session->value('RESET vamhash.max_image_bytes');
open my $sparse, '>', "$folder/sparse" or die "open: $!";
truncate $sparse, 3_000_000_000;
close $sparse;
file_fails("$folder/sparse", qr/^54000: image is too large: 3000000000 bytes$/m,
	'a file of gigabytes is not read');
is( $session->value("SET vamhash.max_image_pixels = 7200; SELECT dhash_file('$picture')"),
	$right_dhash, 'a picture of vamhash.max_image_pixels');
like($session->error("SET vamhash.max_image_pixels = 7199; SELECT dhash_file('$picture')"),
	qr/^54000: /, 'a picture of one pixel more');
$session->value('RESET vamhash.max_image_pixels');

# A picture of several DATA frames.
my @noise = map { pack 'C*', map { int rand 256 } 1 .. 2000 } 1 .. 1000;
file_is(write_file("$folder/large.png", grey_png(\@noise)),
	$session->value("SELECT dhash(pg_read_binary_file('$folder/large.png'))"), 'a file of 2 MB');

# Nothing stays open, after 200 errors of each kind.
SKIP:
{
	skip 'needs /proc', 1 unless -r '/proc/self/stat';
	my $before = lasting_descriptors($session->pid);
	$session->query(
		join '', map { "SELECT dhash_file('$_');\n" }
		  ("$folder/text", "$folder/half.png", $folder, "$folder/fifo", $picture) x 200);
	is(lasting_descriptors($session->pid), $before, 'no descriptor is left open');
}
$session->quit;
$node->stop;

done_testing();
