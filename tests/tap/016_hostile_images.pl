# Images that mean harm: small files that claim, or truly hold, huge pictures; structures that loop;
# counts, lengths and offsets that lie. Each ends, long before anybody's patience does, as one clear
# error or, where the picture itself is sound, as its hash. None takes more memory than its picture
# may, or any at all before the lie is found; and the engine then hashes the next image as ever.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use ImageFiles;
use List::Util qw(max);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use VamhashTest;

plan skip_all => 'needs /proc' unless -r '/proc/self/stat';

# Enough that its end is the end of a hope: an image has 30 seconds.
my $node = start_node('main', "statement_timeout = '120s'");
my $session = VamhashTest::Session->new($node);
my $directory = PostgreSQL::Test::Utils::tempdir();
my $right = 'SELECT dhash(' . sql_bytea(rising_png()) . ')';

# A picture of one grey has no pixel brighter than its neighbour.
my $equal_dhash = '0' x 16;

# What an image comes to, by the word that the cases below use.
my %outcomes = (
	truncated => [ '22V01', 'image is truncated: \S' ],
	corrupt => [ '22V02', 'image is corrupt: \S' ],
	unsupported => [ '0A000', 'image cannot be read by this build: \S' ],
	'too large' => [ '54000', 'image is too large: \S' ],
	'too slow' => [ '54V01', 'took too long' ],
	'out of memory' => [ '53200', '(out of|nsufficient) memory' ]);

# The megabytes of memory that a process has held at most.
sub peak_megabytes
{
	my ($pid) = @_;
	my $status = eval { process_status($pid) } or return 0;
	return defined $status->{VmHWM} ? $status->{VmHWM} =~ s/ kB//r / 1024 : 0;
}

# Runs a statement; returns what it printed, and the most memory that its engine was seen to hold.
sub run_watched
{
	my ($sql, $engine) = @_;
	my $peak = 0;
	$session->begin($sql);
	until ($session->{err} =~ /end of statements/)
	{
		$peak = max($peak, peak_megabytes($engine));
		usleep(2_000);
		$session->{run}->pump_nb;
	}
	my ($out, $err) = $session->end;
	return ($out, VamhashTest::Session::tidy($err), max($peak, peak_megabytes($engine)));
}

# One image: its format, a name, the file, the outcome, and options. A JPEG is decoded fast, too.
sub hostile
{
	my ($format, $name, @others) = @_;
	hash_hostile($format, $name, 'exact', @others);
	hash_hostile($format, "$name, fast", 'fast', @others) if $format eq 'jpeg';
	return;
}

# The same in one mode of decoding. The outcome is a word from above, or a row of results. The options:
# `megabytes`: what the engine may take beyond the file's own, which is up to three times its size while
# it comes. `set`: settings. `timeout`: its milliseconds. `says`: what the error says, where another could
# hide it.
sub hash_hostile
{
	my ($format, $name, $decode, $file, $outcome, %of) = @_;
	my $path = write_file("$directory/image", $file);
	my %set = %{ $of{set} || {} };

	# An engine of its own, so that its peak is this image's. The old one is dead before the next call.
	kill 'KILL', engines_of($session->pid);
	wait_for(sub { !grep { process_stat($_)->{state} ne 'Z' } engines_of($session->pid) })
	  or die 'an engine did not die';
	$session->value(join '', map { "SET vamhash.$_ = '$set{$_}';" } sort keys %set);
	$session->value($right);
	my ($engine) = engines_of($session->pid);
	my $before = peak_megabytes($engine);

	$session->value("SET vamhash.image_timeout = $of{timeout}") if defined $of{timeout};
	my ($out, $err, $peak) = run_watched(
		"SELECT dhash, width || 'x' || height, format FROM image_hashes_file('$path', '$decode', true)",
		$engine);
	if (my $error = $outcomes{$outcome})
	{
		my ($sqlstate, $words) = @$error;
		like($err, qr/^$sqlstate: .*$words/, "$format: $name: $outcome") or diag $out;
		like($err, qr/$of{says}/, "$format: $name: the reason") if defined $of{says};
	}
	else
	{
		is("$out$err", "$outcome|$format", "$format: $name: a hash");
	}
	my $allowed = 3 * length($file) / 1048576 + ($of{megabytes} || 8);
	cmp_ok($peak - $before, '<', $allowed, "$format: $name: memory");
	$session->value(join '', map { "RESET vamhash.$_;" } 'image_timeout', sort keys %set);
	is($session->value($right), $right_dhash, "$format: $name: the next image is hashed");
	is_deeply([ engines_of($session->pid) ], [$engine], "$format: $name: by the same engine")
	  unless $outcome eq 'too slow' || %set;
	return;
}

my $small = "${width}x${height}";
my $unharmed = "$right_dhash|$small";
my $turned = "$left_dhash|$small";

# EXIF data that lies, and whether the orientation that it gives first is that of a picture upside down.
my $upside_down = [ 0x112, 'S', [3] ];
my @exif = (
	[ 'a directory that is its own next and its own part',
		tiff_exif([ $upside_down, [ 0x8769, 'L', [ \'DIRECTORY' ] ] ], next => \'DIRECTORY'), 1 ],
	[ 'a directory outside', tiff_exif([$upside_down], directory => 0xFFFFFFF0), 0 ],
	[ 'a directory at the header', tiff_exif([$upside_down], directory => 0), 0 ],
	[ '65535 entries of which one is there', tiff_exif([$upside_down], entry_count => 65535), 1 ],
	[ 'a value outside', tiff_exif([ [ 0x112, 'S', [ 0xFFF0, 0xFFFF ], 0xFFFFFFFF ] ]), 0 ],
	[ 'no value', tiff_exif([ [ 0x112, 'S', [3], 0 ] ]), 0 ],
	[ 'an orientation that is none', tiff_exif([ [ 0x112, 'S', [9] ] ]), 0 ],
	[ 'four million values', tiff_exif([ [ 0x112, 'L', [ \'END' ], 1 << 22 ] ]), 0 ],
	[ 'its first word 5000 times', "Exif\0\0" x 5000 . tiff_exif([$upside_down]), 1 ],
	[ 'one byte', 'I', 0 ],
	[ 'nothing', '', 0 ]);

# PNG.
{
	my $mega = 1 << 20;
	my $pixels_of = sub { png_chunk('IDAT', zlib_zeros('', $_[0])) };

	hostile('png', '16 GB of pixels behind the picture', png_file(zeros_after => 16384 * $mega), $unharmed);
	hostile('png', 'a picture of 2^62 pixels',
		png_file(head => png_head(0x7FFFFFFF, 0x7FFFFFFF, 1, 0)), 'too large');
	hostile('png', 'a size beyond what the format allows',
		png_file(head => png_head(0xFFFFFFFF, 64, 1, 0)), 'corrupt');
	hostile('png', 'no height', png_file(head => png_head($width, 0, 8, 0)), 'corrupt');
	hostile('png', 'a row of two million pixels',
		png_file(head => png_head(2_000_000, 1, 1, 0)), 'too large');
	hostile('png', '249 million pixels of one bit',
		png_file(head => png_head(1_000_000, 249, 1, 0), data => $pixels_of->(125_001 * 249)),
		"$equal_dhash|1000000x249", megabytes => 400);
	hostile('png', '248 million pixels, of which few are there',
		png_file(head => png_head(15_750, 15_750, 16, 6), data => $pixels_of->(1000)),
		'truncated', megabytes => 20);
	hostile('png', 'the same, interlaced',
		png_file(head => png_head(15_750, 15_750, 16, 6, 1), data => $pixels_of->(1000)),
		'truncated', megabytes => 20);
	hostile('png', '2 GB of pixels',
		png_file(head => png_head(15_750, 15_750, 16, 6), data => $pixels_of->((1 + 8 * 15_750) * 15_750)),
		'too slow', timeout => 200, megabytes => 20);

	my $bomb = zlib_zeros('', 1024 * $mega);
	hostile('png', "1 GB of $_->[0]", png_file(before => png_chunk($_->[0], $_->[1] . $bomb)), $unharmed)
	  foreach [ 'iCCP', "icc\0\0" ], [ 'zTXt', "Comment\0\0" ], [ 'iTXt', "XML:com.adobe.xmp\0\1\0\0\0" ];
	hostile('png', 'a text that says 2 GB',
		png_file(before => png_chunk('tEXt', 'Comment', 0x7FFFFFFF)), 'truncated');
	hostile('png', 'a text that says 4 GB',
		png_file(before => png_chunk('tEXt', 'Comment', 0xFFFFFFFF)), 'corrupt');
	hostile('png', 'the same behind the picture',
		png_file(after => png_chunk('tEXt', 'Comment', 0x7FFFFFFF)), $unharmed);
	hostile('png', 'a text of 16 MB',
		png_file(before => png_chunk('tEXt', "Comment\0" . 'a' x (16 * $mega))), $unharmed);
	hostile('png', 'half a million chunks', png_file(before => png_chunk('tEXt', '') x 500_000), $unharmed);
	hostile('png', 'half a million empty pieces of data',
		png_file(before => png_chunk('IDAT', '') x 500_000), $unharmed);
	hostile('png', 'a palette that says 2 GB',
		png_file(head => png_head($width, $height, 8, 3), before => png_chunk('PLTE', 'abc', 0x7FFFFFFE)),
		'truncated');
	hostile('png', 'no palette', png_file(head => png_head($width, $height, 8, 3)), 'corrupt');
	hostile('png', "EXIF: $_->[0]",
		png_file(after => png_chunk('eXIf', $_->[1])), $_->[2] ? $turned : $unharmed)
	  foreach @exif;
	hostile('png', 'XMP of 16 MB that never says what it promises',
		png_file(after => png_chunk('iTXt', "XML:com.adobe.xmp\0\0\0\0\0" . 'tiff:Orientation=' x $mega)),
		$unharmed);
}

# JPEG.
{
	my $tables = jpeg_tables();
	my $all_ac = sub { jpeg_scan([1], 1, 63, 0, 0, equal_scan($_[0])) };
	my $all_dc = sub { jpeg_scan([1], 0, 0, 0, 0, equal_scan($_[0], dc => 1)) };

	hostile('jpeg', 'a picture of 4 billion pixels',
		jpeg_file($tables, jpeg_frame(0xC0, 65500, 65500, 1), jpeg_scan([1], 0, 63, 0, 0, '')), 'too large');
	# No end of image: it would be a picture that ends too early rather than a file that does.
	foreach my $kind ([ 'sequential', 0xC0, 20, 63 ], [ 'progressive', 0xC2, 40, 0 ],
		[ 'arithmetic', 0xC9, 20, 63 ])
	{
		my ($name, $marker, $megabytes, $last) = @$kind;
		my $file =
		  jpeg_file($tables, jpeg_frame($marker, 65500, 3800, 3), jpeg_scan([ 1 .. 3 ], 0, $last, 0, 0, ''));
		hostile('jpeg', "249 million pixels, of which none is there, $name", substr($file, 0, -2),
			'truncated', megabytes => $megabytes);
	}
	my @progressive = ($tables, jpeg_frame(0xC2, 8000, 6128, 1), $all_dc->(1000 * 766));
	hostile('jpeg', '49 million pixels in 400 kB',
		jpeg_file(@progressive), "$equal_dhash|8000x6128", megabytes => 130);
	hostile('jpeg', '49 million pixels, 500 times', jpeg_file(@progressive, ($all_ac->(1000 * 766)) x 499),
		'too slow', timeout => 300, megabytes => 130);
	hostile('jpeg', 'thousands of scans',
		jpeg_file($tables, jpeg_frame(0xC2, 64, 64, 1), $all_dc->(64), ($all_ac->(64)) x 5000),
		'corrupt', says => 'more than 500 scans');
	hostile('jpeg', '49 million pixels and too little memory',
		jpeg_file($tables, jpeg_frame(0xC2, 8000, 6128, 3),
			jpeg_scan([ 1 .. 3 ], 0, 0, 0, 0, equal_scan(100, dc => 1))),
		'out of memory', set => { image_memory_limit => '100MB' }, megabytes => 100);
	hostile('jpeg', 'no height',
		jpeg_file($tables, jpeg_frame(0xC0, 64, 0, 1), jpeg_scan([1], 0, 63, 0, 0, '')), 'corrupt');
	hostile('jpeg', 'two frames', rising_jpeg(jpeg_frame(0xC0, $width, $height, 1)), 'corrupt');
	hostile('jpeg', 'a restart that never comes', rising_jpeg(jpeg_segment(0xDD, "\0\1")), 'corrupt');
	hostile('jpeg', 'a comment shorter than its length', rising_jpeg(jpeg_segment(0xFE, '', 1)), $unharmed);
	hostile('jpeg', 'a table shorter than its length', rising_jpeg(jpeg_segment(0xC4, '', 1)), 'corrupt');
	hostile('jpeg', 'a segment longer than the file',
		rising_jpeg(jpeg_segment(0xE2, '', 65535)), 'truncated');
	hostile('jpeg', 'a Huffman table of more codes than there are',
		jpeg_file($tables, jpeg_segment(0xC4, pack 'C*', 0, 3, (0) x 15, 0, 1, 2),
			jpeg_frame(0xC0, 8, 8, 1), jpeg_scan([1], 0, 63, 0, 0, 'abc')), 'corrupt');
	hostile('jpeg', 'a million comments', rising_jpeg(jpeg_segment(0xFE, '') x 1_000_000), $unharmed);
	hostile('jpeg', 'half a million tables',
		rising_jpeg(jpeg_segment(0xC4, pack 'C*', 0, 1, (0) x 15, 0) x 500_000), $unharmed);
	hostile('jpeg', 'half a million images without a picture',
		"\xFF\xD8\xFF\xD9" x 500_000 . rising_jpeg(), $unharmed);
	hostile('jpeg', '16 MB between two segments', rising_jpeg("\xFF" x (1 << 24)), $unharmed);
	hostile('jpeg', '12 profiles of 4 GB',
		rising_jpeg(map { jpeg_segment(0xE2, "ICC_PROFILE\0\xFF\xFF" . "\xFF" x 60000) } 1 .. 12), $unharmed);
	hostile('jpeg', "EXIF: $_->[0]",
		rising_jpeg(jpeg_segment(0xE1, "Exif\0\0$_->[1]")), $_->[2] ? $turned : $unharmed)
	  foreach @exif;
	hostile('jpeg', 'EXIF in 200 parts',
		rising_jpeg(map { jpeg_segment(0xE1, "Exif\0\0" . 'I' x 60000) } 1 .. 200), $unharmed,
		megabytes => 20);
}

# Whether this build reads a format: a library may be missing.
sub can_read
{
	my ($file) = @_;
	return $session->error('SELECT dhash(' . sql_bytea($file) . ')') !~ /it was made without/;
}

# WebP.
SKIP:
{
	skip 'WebP is not built in', 1 unless can_read(webp_file(vp8l_rising()));
	my $lossy = sub {
		my ($columns, $rows, $modes, $data) = @_;
		my $tag = substr pack('V', 1 << 4 | length($modes) << 5), 0, 3;
		return webp_chunk('VP8 ', "$tag\x9D\x01\x2A" . pack('vv', $columns, $rows) . $modes . $data);
	};
	my $frame = sub {
		my ($left, $top, $columns, $rows, $data) = @_;
		my @numbers = ($left / 2, $top / 2, $columns - 1, $rows - 1, 0);
		return webp_chunk('ANMF', join('', map { substr pack('V', $_), 0, 3 } @numbers) . "\0" . $data);
	};
	my $first = $frame->(0, 0, $width, $height, vp8l_rising());

	hostile('webp', 'a canvas of 2^48 pixels',
		webp_file(vp8x(2, 1 << 24, 1 << 24), $first), 'too large');
	hostile('webp', 'lossless, 268 million pixels in 40 bytes',
		webp_file(vp8l_equal(16384, 16384)), 'too large');
	hostile('webp', 'lossless, 32 million pixels in 40 bytes',
		webp_file(vp8l_equal(8000, 4000)), "$equal_dhash|8000x4000", megabytes => 260);
	hostile('webp', 'the same and too little memory',
		webp_file(vp8l_equal(8000, 4000)), 'out of memory', set => { image_memory_limit => '100MB' },
		megabytes => 100);
	hostile('webp', 'lossless, cut off in its head',
		substr(webp_file(vp8l_equal(16383, 15000)), 0, 26), 'truncated');
	hostile('webp', 'lossless, 245 million pixels of which few are there',
		webp_file(vp8l_rising() =~ s{^(.{9}).{4}}{$1 . pack 'V', 16382 | 14999 << 14}ser), 'corrupt',
		megabytes => 20);
	hostile('webp', 'lossy, 245 million pixels of which none is there',
		webp_file($lossy->(16383, 14999, "\0" x 20, '')), 'truncated', megabytes => 40);
	hostile('webp', 'lossy, 16 million pixels in zeros',
		webp_file($lossy->(4096, 4096, "\0" x 400_000, "\0" x 2_000_000)), "$equal_dhash|4096x4096",
		megabytes => 60);
	hostile('webp', 'a chunk longer than the file',
		webp_file(vp8x(8, $width, $height), webp_chunk('EXIF', '', 0xFFFFFFFF), vp8l_rising()), 'corrupt');
	hostile('webp', 'half a million chunks',
		webp_file(vp8x(8, $width, $height), webp_chunk('junk', '') x 500_000, vp8l_rising()), $unharmed);
	hostile('webp', 'half a million frames',
		webp_file(vp8x(2, $width, $height), $first, $frame->(0, 0, 1, 1, vp8l_equal(1, 1)) x 500_000),
		$unharmed);
	hostile('webp', 'a frame that lies outside',
		webp_file(vp8x(2, $width, $height), $frame->(1 << 20, 0, $width, $height, vp8l_rising())), 'corrupt');
	hostile('webp', 'a frame in a frame',
		webp_file(vp8x(2, $width, $height), $frame->(0, 0, $width, $height, $first)),
		'corrupt');
	hostile('webp', "EXIF: $_->[0]",
		webp_file(vp8x(8, $width, $height), vp8l_rising(), webp_chunk('EXIF', $_->[1])),
		$_->[2] ? $turned : $unharmed)
	  foreach @exif;
}

# TIFF.
my %tiff_tags = (
	256 => [ 'L', [$width] ],
	257 => [ 'L', [$height] ],
	258 => [ 'S', [8] ],
	259 => [ 'S', [1] ],
	262 => [ 'S', [1] ],
	273 => [ 'L', [ \'DATA' ] ],
	277 => [ 'S', [1] ],
	278 => [ 'L', [$height] ],
	279 => [ 'L', [ $width * $height ] ]);

# The small picture, or other data, with some tags changed, added, or (undef) left out.
sub tiff
{
	my ($tags, %of) = @_;
	my %all = (%tiff_tags, %$tags);
	return tiff_file([ map { [ $_, @{ $all{$_} } ] } grep { defined $all{$_} } keys %all ], %of);
}

# The tags of a picture of equal pixels in one strip.
sub strip
{
	my ($columns, $rows, $compression, $data, %tags) = @_;
	return tiff(
		{
			256 => [ 'L', [$columns] ], 257 => [ 'L', [$rows] ], 278 => [ 'L', [$rows] ],
			259 => [ 'S', [$compression] ], 279 => [ 'L', [ length $data ] ], %tags
		},
		data => $data);
}

# Tags of tiles in place of those of strips.
sub tiles
{
	my ($columns, $rows, %tags) = @_;
	return (
		273 => undef, 278 => undef, 279 => undef,
		322 => [ 'L', [$columns] ], 323 => [ 'L', [$rows] ],
		324 => [ 'L', [ \'DATA' ] ], 325 => [ 'L', [ $width * $height ] ], %tags);
}

SKIP:
{
	skip 'TIFF is not built in', 1 unless can_read(tiff({}));
	my $mega = 1 << 20;
	my @size = (256 => [ 'L', [15_800] ], 257 => [ 'L', [15_800] ]);

	# Directories.
	hostile('tiff', 'a directory that is its own next', tiff({}, next => \'DIRECTORY'), $unharmed);
	hostile('tiff', 'a directory that is its own part',
		tiff({ 330 => [ 'L', [ \'DIRECTORY' ] ], 34665 => [ 'L', [ \'DIRECTORY' ] ] }), $unharmed);
	hostile('tiff', 'a directory outside', tiff({}, directory => 0xFFFFFFF0), 'truncated');
	hostile('tiff', 'a next directory outside', tiff({}, next => 0xFFFFFFF0), $unharmed);
	hostile('tiff', 'a directory in the middle of the data', tiff({}, directory => 9), 'corrupt');
	hostile('tiff', 'more tags than there are', tiff({}, entry_count => 400), 'truncated');
	hostile('tiff', '65535 tags', tiff({}, entry_count => 65535), 'corrupt');
	hostile('tiff', '500 unknown tags', tiff({ map { ($_ => [ 'L', [1] ]) } 50_001 .. 50_500 }), $unharmed);
	hostile('tiff', 'a tag of 4 billion values', tiff({ 273 => [ 'L', [8], 0xFFFFFFFF ] }), 'corrupt');
	hostile('tiff', 'a text of 2 GB', tiff({ 270 => [ 'C', [1], 0x7FFFFFFF ] }), $unharmed);
	hostile('tiff', 'an orientation that is none', tiff({ 274 => [ 'S', [9] ] }), $unharmed);
	hostile('tiff', 'a directory upside down that is its own next',
		tiff({ 274 => [ 'S', [3] ] }, next => \'DIRECTORY'), $turned);

	# Sizes.
	hostile('tiff', 'a picture of 2^64 pixels',
		tiff({ 256 => [ 'L', [0xFFFFFFFF] ], 257 => [ 'L', [0xFFFFFFFF] ] }), 'corrupt');
	hostile('tiff', 'a picture of 2^48 pixels',
		tiff({ 256 => [ 'L', [ 1 << 24 ] ], 257 => [ 'L', [ 1 << 24 ] ] }), 'too large');
	hostile('tiff', 'no width', tiff({ 256 => [ 'L', [0] ] }), 'corrupt');
	hostile('tiff', '250 million pixels of which few are there',
		tiff({ @size, 279 => [ 'L', [ 15_800 * 15_800 ] ] }), 'truncated', megabytes => 20);
	hostile('tiff', 'the same in a strip that knows', tiff({@size}), 'corrupt', megabytes => 20);
	hostile('tiff', '65535 bits a sample', tiff({ 258 => [ 'S', [65535] ] }), 'unsupported');
	hostile('tiff', '65535 samples a pixel', tiff({ 277 => [ 'S', [65535] ] }), 'unsupported');

	# Strips.
	hostile('tiff', 'a strip that says 4 GB', tiff({ 279 => [ 'L', [0xFFFFFFFF] ] }), $unharmed);
	hostile('tiff', 'a strip of no bytes', tiff({ 279 => [ 'L', [0] ] }), $unharmed);
	hostile('tiff', 'a strip outside', tiff({ 273 => [ 'L', [0xFFFFFF00] ] }), 'truncated');
	hostile('tiff', 'fewer strips than rows need', tiff({ 278 => [ 'L', [1] ] }), 'corrupt');
	hostile('tiff', 'strips of no rows', tiff({ 278 => [ 'L', [0] ] }), 'corrupt');
	hostile('tiff', 'a hundred thousand strips of which one is there',
		tiff({ 257 => [ 'L', [100_000] ], 278 => [ 'L', [1] ] }), 'corrupt', megabytes => 40);
	hostile('tiff', 'no strips', tiff({ 273 => undef }), 'corrupt');

	# Compression.
	my %wide = (
		258 => [ 'S', [ (16) x 16 ] ], 262 => [ 'S', [2] ], 277 => [ 'S', [16] ],
		338 => [ 'S', [ (0) x 13 ] ]);
	my @deflated = map { zlib_zeros(rising_pixels(), $_ * $mega) } 40, 2048;
	my @behind = map { tiff({ 259 => [ 'S', [8] ], 279 => [ 'L', [ length $_ ] ] }, data => $_) } @deflated;
	hostile('tiff', '40 MB behind the picture, Deflate', $behind[0], $unharmed);
	hostile('tiff', '2 GB, which nobody can have meant', $behind[1], 'corrupt');
	hostile('tiff', '240 million pixels of one bit, Deflate',
		strip(16_000, 15_000, 8, zlib_zeros('', 2_000 * 15_000), 258 => [ 'S', [1] ]),
		"$equal_dhash|16000x15000", megabytes => 20);
	hostile('tiff', '8 GB of pixels, Deflate',
		strip(15_800, 15_800, 8, zlib_zeros('', 2048 * $mega), %wide),
		
		'too slow', timeout => 200, megabytes => 20);
	hostile('tiff', '48 million pixels, LZW',
		strip(8000, 6000, 5, lzw_zeros(8000 * 6000, msb => 1)), "$equal_dhash|8000x6000", megabytes => 10);
	hostile('tiff', '48 million pixels, PackBits',
		strip(8000, 6000, 32773, packbits_zeros(8000 * 6000)), "$equal_dhash|8000x6000", megabytes => 60);
	hostile('tiff', '250 million pixels of which few are there, PackBits',
		strip(15_800, 15_800, 32773, packbits_zeros(8000)), 'corrupt', megabytes => 20);
	hostile('tiff', '8 GB of which few bytes are there, PackBits',
		strip(15_800, 15_800, 32773, packbits_zeros(8000), %wide),
		
		'out of memory');
	hostile('tiff', '250 million pixels that libtiff wants to hold at once, PixarLog',
		strip(15_800, 15_800, 32909, zlib_zeros('', 8000)), 'too large', megabytes => 20);
	hostile('tiff', 'a compression that is none',
		strip($width, $height, 60000, rising_pixels()), 'unsupported');
	hostile('tiff', "zeros as $_->[0]",
		strip($width, $height, $_->[1], "\0" x 5000, %{ $_->[3] || {} }), $_->[2])
	  foreach [ 'LZW', 5, 'corrupt' ], [ 'Deflate', 8, 'corrupt' ], [ 'JPEG', 7, 'corrupt' ],
	  [ 'fax', 4, 'corrupt', { 258 => [ 'S', [1] ] } ];

	# Tiles.
	hostile('tiff', 'tiles of no size', tiff({ tiles(0, 0) }), 'corrupt');
	hostile('tiff', 'tiles of 2^64 pixels', tiff({ tiles(0xFFFFFFF0, 0xFFFFFFF0) }), 'corrupt');
	hostile('tiff', 'tiles of 2^48 pixels', tiff({ tiles(1 << 24, 1 << 24) }), 'too large');
	hostile('tiff', 'a tile of 240 million pixels of which few are there',
		tiff({ tiles(16_000, 15_000, 325 => [ 'L', [ 16_000 * 15_000 ] ]) }), 'truncated', megabytes => 20);
	hostile('tiff', 'a million tiles of which one is there',
		tiff({ 256 => [ 'L', [16_000] ], 257 => [ 'L', [15_000] ], tiles(16, 16) }), 'corrupt',
		megabytes => 40);
	hostile('tiff', 'no tiles', tiff({ tiles(16, 16), 324 => undef }), 'corrupt');
	hostile('tiff', 'a tile outside', tiff({ tiles(80, 64, 324 => [ 'L', [0xFFFFFF00] ]) }), 'truncated');

	# Palettes.
	my %palette = (262 => [ 'S', [3] ]);
	hostile('tiff', 'no palette', tiff({%palette}), 'corrupt');
	hostile('tiff', 'a palette of three numbers', tiff({ %palette, 320 => [ 'S', [ 1, 2, 3 ] ] }), 'corrupt');
	hostile('tiff', 'a palette of 4 billion',
		tiff({ %palette, 320 => [ 'S', [ 1, 2 ], 0xFFFFFFFF ] }), 'corrupt');
	hostile('tiff', 'a palette outside', tiff({ %palette, 320 => [ 'L', [0xFFFFFF00], 768 ] }), 'corrupt');

	# A JPEG picture inside.
	my $scans = jpeg_scan([1], 1, 63, 0, 0, equal_scan(64)) x 2000;
	my $jpeg = jpeg_file(jpeg_tables(), jpeg_frame(0xC2, 64, 64, 1), $scans);
	hostile('tiff', 'thousands of scans, JPEG', strip(64, 64, 7, $jpeg), 'corrupt');
	hostile('tiff', 'a JPEG picture of another size',
		strip(64, 64, 7, jpeg_file(jpeg_tables(), jpeg_frame(0xC0, 65000, 65000, 1))), 'corrupt');
}

# Camera RAW, as a DNG.
sub dng
{
	my ($tags, %of) = @_;
	my %all = (
		262 => [ 'S', [32803] ], 271 => [ 'C', [ unpack 'C*', "Vamhash\0" ] ],
		272 => [ 'C', [ unpack 'C*', "Two\0" ] ], 33421 => [ 'S', [ 2, 2 ] ],
		33422 => [ 'C', [ 0, 1, 1, 2 ] ], 50706 => [ 'C', [ 1, 4, 0, 0 ] ], %$tags);
	return tiff(\%all, %of);
}

SKIP:
{
	skip 'camera RAW is not built in', 1 unless can_read(dng({}));
	my @size = (256 => [ 'L', [60_000] ], 257 => [ 'L', [60_000] ]);

	# LibRaw's own libraries come with the first image.
	my @library = (megabytes => 40);
	hostile('raw', 'a sensor of 3.6 billion pixels', dng({@size}), 'too large', @library);
	hostile('raw', '240 megapixels in a kilobyte',
		dng({ 256 => [ 'L', [15_000] ], 257 => [ 'L', [16_000] ] }), 'truncated', megabytes => 700);
	hostile('raw', 'samples outside', dng({ 273 => [ 'L', [0xFFFFFFF0] ] }), 'truncated', @library);
	hostile('raw', '4 billion strips', dng({ 273 => [ 'L', [8], 0xFFFFFFFF ] }), 'truncated', @library);
	hostile('raw', 'filters outside',
		dng({ 33422 => [ 'C', [ 0, 1, 1, 2 ], 0x7FFFFFFF ] }), 'corrupt', @library);
	hostile('raw', 'no filters at all', dng({ 33422 => [ 'C', [ 0, 1, 1, 2 ], 0 ] }), 'corrupt', @library);
	my @loop = (330 => [ 'L', [ \'DIRECTORY' ] ], 34665 => [ 'L', [ \'DIRECTORY' ] ]);
	hostile('raw', 'samples outside, in a directory that is its own next and part',
		dng({ 273 => [ 'L', [0xFFFFFFF0] ], @loop }, next => \'DIRECTORY'), 'truncated', @library);
}

# GIF.
SKIP:
{
	skip 'GIF is not built in', 1 unless can_read(gif_file());
	my $frame_of = sub { gif_frame(0, 0, $_[0], $_[1], 0, 8, $_[2]) };
	my $clear = 256;
	my $codes = sub { pack 'b*', join '', map { scalar reverse sprintf '%09b', $_ } @_ };

	hostile('gif', 'a screen of 4 billion pixels', gif_file(columns => 65535, rows => 65535), 'too large');
	hostile('gif', 'a screen of 240 million pixels',
		gif_file(columns => 16_000, rows => 15_000, frame => $frame_of->(1, 1, gif_codes("\0"))),
		"$equal_dhash|16000x15000", megabytes => 20);
	hostile('gif', 'a frame far outside',
		gif_file(frame => gif_frame(65535, 65535, 65535, 65535, 0, 8, gif_codes("\0"))), 'too large');
	hostile('gif', '48 million pixels',
		gif_file(columns => 8000, rows => 6000, frame => $frame_of->(8000, 6000, gif_zeros(8000 * 6000))),
		"$equal_dhash|8000x6000", megabytes => 10);
	hostile('gif', "249 million pixels of which none is there, $_->[0]",
		gif_file(columns => 65500, rows => 3800, frame => gif_frame(0, 0, 65500, 3800, $_->[1], 8, undef)),
		'truncated', megabytes => 20)
	  foreach [ 'in order', 0 ], [ 'interlaced', 0x40 ];
	hostile('gif', 'no width', gif_file(frame => $frame_of->(0, 64, gif_codes("\0"))), 'corrupt');
	hostile('gif', 'a million frames',
		gif_file(after => gif_frame(0, 0, 1, 1, 0, 8, gif_codes("\0")) x 1_000_000), $unharmed);
	hostile('gif', 'a million extensions', gif_file(before => "!\xFE\0" x 1_000_000), $unharmed);
	hostile('gif', 'an extension of 16 MB',
		gif_file(before => "!\xFE" . "\1a" x (1 << 23) . "\0"), $unharmed);
	hostile('gif', 'an extension without end', gif_file(frame => "!\xFE" . "\1a" x (1 << 20)), 'truncated');
	hostile('gif', '16 MB that are no block', gif_file(frame => "\1" x (1 << 24)), 'corrupt');
	hostile('gif', 'codes that are not defined yet',
		gif_file(frame => $frame_of->($width, $height, $codes->($clear, 0, 400, 401, 402, (500) x 4000))),
		'corrupt');
	hostile('gif', 'a code that is its own beginning',
		gif_file(frame => $frame_of->($width, $height, $codes->($clear, (258) x 200, $clear, (258) x 200))),
		'corrupt');
	hostile('gif', 'nothing but resets',
		gif_file(frame => $frame_of->($width, $height, pack('b*', '000000001' x 1_000_000))), 'corrupt');
	hostile('gif', 'first codes of 13 bits',
		gif_file(frame => gif_frame(0, 0, $width, $height, 0, 13, gif_codes("\0"))), 'corrupt');
}

# BMP.
{
	my $offsets = sub { "\0\2\xFF\xFF" x $_[0] };

	hostile('bmp', 'a picture of 2^62 pixels',
		bmp_file(columns => 0x7FFFFFFF, rows => 0x7FFFFFFF), 'too large');
	hostile('bmp', 'the most negative height', bmp_file(rows => -0x80000000), 'too large');
	hostile('bmp', 'a negative width', bmp_file(columns => -$width), 'too large');
	hostile('bmp', 'no height', bmp_file(rows => 0), 'corrupt');
	hostile('bmp', '250 million pixels of which few are there',
		bmp_file(columns => 15_800, rows => 15_800), 'truncated');
	hostile('bmp', 'pixels outside', bmp_file(pixels_at => 0xFFFFFFF0), 'truncated');
	hostile('bmp', 'a palette of 4 billion', bmp_file(colors => 0xFFFFFFFF), $unharmed);
	hostile('bmp', 'a palette beyond the end',
		bmp_file(palette => '', pixels => '', pixels_at => 54), 'truncated');
	hostile('bmp', 'a header of 248 bytes', bmp_file(header_size => 248), 'unsupported');
	hostile('bmp', 'bit fields of nothing',
		bmp_file(bits => 16, compression => 3, palette => '', pixels_at => 66), 'unsupported');
	hostile('bmp', '48 million pixels in offsets',
		bmp_file(columns => 8000, rows => 6000, bits => 8, compression => 1, pixels => $offsets->(30)),
		"$equal_dhash|8000x6000", megabytes => 60);
	hostile('bmp', '250 million pixels of which none is there, in runs',
		bmp_file(columns => 15_800, rows => 15_800, compression => 1, pixels => ''), 'truncated');
	hostile('bmp', 'nothing but ends of lines',
		bmp_file(compression => 1, pixels => "\0\0" x (1 << 22)), 'truncated');
	hostile('bmp', 'nothing but empty offsets',
		bmp_file(compression => 1, pixels => "\0\2\0\0" x (1 << 22)), 'truncated');
	hostile('bmp', 'pixels that are not there',
		bmp_file(compression => 1, pixels => "\0\xFF" . 'a' x 20), 'truncated');
	hostile('bmp', 'one run after the other in one row',
		bmp_file(compression => 1, pixels => "\xFF\1" x (1 << 22)), 'truncated');
}

$session->quit;
ok(wait_for(sub { !stray_engines($node) }, 3), 'no engine is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|was terminated by signal/, 'no crash in the log');

done_testing();
