# Image files written field by field, so that any field can lie. Each format has a function that makes
# a file, and where that takes an encoder, one that makes its data: of a picture that is brighter to
# the right, or of any number of equal pixels in as few bytes as the format allows.
package ImageFiles;

use strict;
use warnings FATAL => 'all';

use Compress::Zlib;
use Exporter 'import';

our @EXPORT = qw(
  $width $height rising_pixels
  zlib_zeros
  png_file png_chunk png_head
  jpeg_file jpeg_segment jpeg_frame jpeg_scan jpeg_tables rising_jpeg equal_scan
  webp_file webp_chunk vp8l_equal vp8l_rising vp8x
  tiff_file tiff_exif packbits_zeros lzw_zeros
  gif_file gif_frame gif_codes gif_zeros
  bmp_file
);

# The size of the small pictures: whole blocks for JPEG, and nine columns of them for dhash.
our ($width, $height) = (72, 64);

# The pixels, a byte each, of a small picture that is brighter to the right.
sub rising_pixels
{
	return join('', map { chr(16 + 3 * $_) } 0 .. $width - 1) x $height;
}

# A zlib stream of some bytes and then any number of zeros, in a thousandth of the room.
sub zlib_zeros
{
	my ($head, $zeros) = @_;
	my $part_size = 1 << 20;
	my ($deflate) = deflateInit(-WindowBits => -MAX_WBITS(), -Level => 9);
	my $pack = sub {
		my ($packed) = $deflate->deflate($_[0]);
		my ($rest) = $deflate->flush(Z_FULL_FLUSH);
		return $packed . $rest;
	};
	my $packed = $pack->($head);
	$packed .= $pack->("\0" x $part_size) x int($zeros / $part_size) if $zeros >= $part_size;
	$packed .= $pack->("\0" x ($zeros % $part_size));
	# Of zeros, Adler-32's first sum stays as it is, and the second grows by the first.
	my $adler = adler32($head);
	my $first = $adler & 0xFFFF;
	my $second = (($adler >> 16) + $zeros % 65521 * $first) % 65521;
	return "\x78\x01$packed\x03\x00" . pack('N', $second << 16 | $first);
}

# A string of bits, '0' and '1', of a number: the most significant first.
sub bits
{
	my ($value, $count) = @_;
	return $count == 0 ? '' : substr unpack('B32', pack 'N', $value), -$count;
}

# PNG.

# A chunk; its length may lie.
sub png_chunk
{
	my ($type, $data, $length) = @_;
	$length = length $data unless defined $length;
	return pack('N', $length) . $type . $data . pack('N', crc32($type . $data));
}

sub png_head
{
	my ($columns, $rows, $depth, $color_type, $interlaced) = @_;
	return png_chunk('IHDR', pack 'NNCCCCC', $columns, $rows, $depth, $color_type, 0, 0, $interlaced || 0);
}

# A file; by default the small picture, with other chunks before and after its data.
sub png_file
{
	my (%of) = @_;
	my $lines = join '', map { "\0$_" } unpack "(a$width)*", rising_pixels();
	return
	    "\x89PNG\r\n\x1a\n"
	  . (defined $of{head} ? $of{head} : png_head($width, $height, 8, 0))
	  . ($of{before} || '')
	  . (defined $of{data} ? $of{data} : png_chunk('IDAT', zlib_zeros($lines, $of{zeros_after} || 0)))
	  . ($of{after} || '')
	  . png_chunk('IEND', '');
}

# JPEG.

# A marker and its segment; the length may lie.
sub jpeg_segment
{
	my ($marker, $data, $length) = @_;
	$length = 2 + length $data unless defined $length;
	return pack('CCn', 0xFF, $marker, $length) . $data;
}

# The head of a frame whose components have one quantisation table and are not subsampled.
sub jpeg_frame
{
	my ($marker, $columns, $rows, $components) = @_;
	return jpeg_segment($marker, pack 'CnnC(CCC)*', 8, $rows, $columns, $components,
		map { ($_, 0x11, 0) } 1 .. $components);
}

# The head of a scan and its data.
sub jpeg_scan
{
	my ($components, $first, $last, $high, $low, $data) = @_;
	return jpeg_segment(0xDA,
		pack 'C*', scalar @$components, (map { ($_, 0) } @$components), $first, $last, $high << 4 | $low)
	  . $data;
}

# The tables. DC: twelve codes of 4 bits, for values of 0 to 11 bits. AC: fifteen codes of 4 bits, which
# end 1, 2, 4, ... 16384 blocks (only the first of them in a sequential frame).
sub jpeg_tables
{
	return
	    jpeg_segment(0xDB, "\0" . chr(8) x 64)
	  . jpeg_segment(0xC4, pack 'C*', 0x00, 0, 0, 0, 12, (0) x 12, 0 .. 11)
	  . jpeg_segment(0xC4, pack 'C*', 0x10, 0, 0, 0, 15, (0) x 12, map { $_ << 4 } 0 .. 14);
}

# Bits as a scan's data: filled up with ones, and no byte that looks like a marker.
sub entropy_coded
{
	my ($bits) = @_;
	$bits .= '1' x (-length($bits) % 8);
	return pack('B*', $bits) =~ s/\xFF/\xFF\0/gr;
}

# The data of a sequential scan of the small picture: blocks of one grey each.
sub rising_scan
{
	my $bits = '';
	my $last = 0;
	foreach my $block (0 .. $width * $height / 64 - 1)
	{
		my $dc = 16 + 28 * ($block % ($width / 8)) - 128;
		my $change = $dc - $last;
		my $size = $change == 0 ? 0 : 1 + int(log(abs $change) / log 2);
		$bits .= bits($size, 4) . bits($change < 0 ? $change + (1 << $size) - 1 : $change, $size) . '0000';
		$last = $dc;
	}
	return entropy_coded($bits);
}

# The data of a scan in which nothing happens in any of so many blocks: their AC coefficients are 0, or
# stay so, or, with `dc`, their DC coefficients are.
sub equal_scan
{
	my ($blocks, %of) = @_;
	return entropy_coded('0000' x $blocks) if $of{dc};
	my $bits = (bits(14, 4) . '0' x 14) x ($blocks >> 14);
	$bits .= join '', map { $blocks & 1 << $_ ? bits($_, 4) . '0' x $_ : () } reverse 0 .. 13;
	return entropy_coded($bits);
}

# A file of these segments and scans.
sub jpeg_file
{
	return join '', "\xFF\xD8", @_, "\xFF\xD9";
}

# The small picture, with other segments before it.
sub rising_jpeg
{
	return jpeg_file(@_, jpeg_tables(), jpeg_frame(0xC0, $width, $height, 1),
		jpeg_scan([1], 0, 63, 0, 0, rising_scan()));
}

# WebP.

# A chunk; its length may lie.
sub webp_chunk
{
	my ($type, $data, $length) = @_;
	return $type . pack('V', defined $length ? $length : length $data) . $data . "\0" x (length($data) % 2);
}

sub webp_file
{
	my $chunks = join '', 'WEBP', @_;
	return webp_chunk('RIFF', $chunks);
}

# An extended head; flags: 2 animation, 4 XMP, 8 EXIF.
sub vp8x
{
	my ($flags, $columns, $rows) = @_;
	return webp_chunk('VP8X',
		pack 'V a3 a3', $flags, map { substr pack('V', $_ - 1), 0, 3 } $columns, $rows);
}

# The bits of a number for VP8L, the least significant first.
sub bits_reversed
{
	my ($value, $count) = @_;
	return scalar reverse bits($value, $count);
}

# Lossless data: a size, the transform that adds green to red and blue, the prefix code of green, codes
# of one symbol (and so of no bits) for all else, and the pixels.
sub vp8l
{
	my ($columns, $rows, $green, $pixels) = @_;
	my $one_symbol = '1' . '0' . '0' . '0';
	my $opaque = '1' . '0' . '1' . bits_reversed(255, 8);
	return webp_chunk('VP8L',
		"\x2F" . pack 'b*',
		bits_reversed($columns - 1, 14) . bits_reversed($rows - 1, 14) . '0' . '000'
		  . '1' . bits_reversed(2, 2) . '0'
		  . '0' . '0'
		  . $green . $one_symbol x 2 . $opaque . $one_symbol
		  . $pixels);
}

# Any number of equal pixels, in no bits at all.
sub vp8l_equal
{
	my ($columns, $rows) = @_;
	return vp8l($columns, $rows, '1' . '0' . '1' . bits_reversed(77, 8), '');
}

# The small picture. The code of green: 256 symbols of 8 bits, as a code of lengths says that has one
# symbol, 8, itself.
sub vp8l_rising
{
	my $lengths = '0' . bits_reversed(12 - 4, 4) . '000' x 11 . bits_reversed(1, 3);
	my $green = $lengths . '1' . bits_reversed(3, 3) . bits_reversed(256 - 2, 8);
	return vp8l($width, $height, $green, unpack 'B*', rising_pixels());
}

# TIFF.

our %type_codes = (C => 1, S => 3, L => 4, Q => 16);

# A little-endian file of `data` at byte 8, and of one directory, of [tag, type, values, count]: types
# are C (byte), S (16 bits), L (32 bits), Q (64 bits); the count may lie. A value may be a reference to
# the word DIRECTORY, DATA or END for their offsets. `next` is the offset of the next directory.
sub tiff_file
{
	my ($entries, %of) = @_;
	my $data = defined $of{data} ? $of{data} : rising_pixels();
	$data .= "\0" x (length($data) % 2);
	my $directory = 8 + length $data;
	my $values_at = $directory + 2 + 12 * @$entries + 4;
	my $end = $values_at;
	foreach my $entry (@$entries)
	{
		my $size = length tiff_values($entry, {});
		$end += $size if $size > 4;
	}
	my $offsets = { DATA => 8, DIRECTORY => $directory, END => $end };
	my $file = "II*\0" . pack('V', defined $of{directory} ? $of{directory} : $directory) . $data;
	my ($directory_bytes, $values) = ('', '');
	foreach my $entry (sort { $a->[0] <=> $b->[0] } @$entries)
	{
		my ($tag, $type, $numbers, $count) = @$entry;
		my $packed = tiff_values($entry, $offsets);
		$directory_bytes .= pack('vvV', $tag, $type_codes{$type}, defined $count ? $count : scalar @$numbers);
		$directory_bytes .=
		  length $packed > 4 ? pack('V', $values_at + length $values) : substr "$packed\0\0\0\0", 0, 4;
		$values .= $packed if length $packed > 4;
	}
	my $next = defined $of{next} ? $of{next} : 0;
	$next = $offsets->{$$next} if ref $next;
	return $file
	  . pack('v', defined $of{entry_count} ? $of{entry_count} : scalar @$entries)
	  . $directory_bytes
	  . pack('V', $next)
	  . $values;
}

# An entry's values as the file has them.
sub tiff_values
{
	my ($entry, $offsets) = @_;
	my (undef, $type, $numbers) = @$entry;
	my %formats = (C => 'C*', S => 'v*', L => 'V*', Q => 'Q<*');
	return pack $formats{$type}, map { ref $_ ? $offsets->{$$_} || 0 : $_ } @$numbers;
}

# EXIF data of these entries: a TIFF file without a picture.
sub tiff_exif
{
	my ($entries, %of) = @_;
	return tiff_file($entries, data => '', %of);
}

# PackBits of zeros: 128 in two bytes.
sub packbits_zeros
{
	my ($count) = @_;
	return "\x81\0" x int($count / 128) . ($count % 128 > 0 ? "\x81\0" : '');
}

# LZW of zeros, as TIFF (`msb`: the most significant bit first, codes grow one code early) or GIF has it.
# Each code stands for one zero more than the one before, until the table is full and begins anew.
sub lzw_zeros
{
	my ($count, %of) = @_;
	my $early = $of{msb} ? 1 : 0;
	my $code_bits = $of{msb} ? \&bits : \&bits_reversed;
	my $last = 3836; # codes between two resets: the table is not quite full
	my $width_of = sub {
		my ($k) = @_;
		return $k <= 255 - $early ? 9 : $k <= 767 - $early ? 10 : $k <= 1791 - $early ? 11 : 12;
	};
	my $round = join '', map { $code_bits->($_ == 1 ? 0 : 256 + $_, $width_of->($_)) } 1 .. $last;
	$round .= $code_bits->(256, 12);
	my $rounds = 1 + int($count / ($last * ($last + 1) / 2));
	my $begin = $code_bits->(256, 9);
	my $format = $of{msb} ? 'B*' : 'b*';
	# In pieces of whole bytes, for the sake of memory.
	my $piece = $round x 8;
	my $all = '';
	my $pending = $begin;
	foreach (1 .. int($rounds / 8) + 1)
	{
		$pending .= $piece;
		my $whole = length($pending) - length($pending) % 8;
		$all .= pack $format, substr $pending, 0, $whole, '';
	}
	return $all . pack $format, $pending;
}

# GIF.

# Data in sub-blocks, with their end.
sub gif_blocks
{
	my ($data) = @_;
	return join('', map { chr(length) . $_ } unpack '(a255)*', $data) . "\0";
}

# A frame: its place, the size of its first codes, its data. Without data, not even their end is there.
sub gif_frame
{
	my ($left, $top, $columns, $rows, $flags, $code_bits, $data) = @_;
	return
	    ','
	  . pack('vvvvC', $left, $top, $columns, $rows, $flags)
	  . chr($code_bits)
	  . (defined $data ? gif_blocks($data) : '');
}

# Bytes as codes of 9 bits: the table is begun anew before they would grow.
sub gif_codes
{
	my ($bytes) = @_;
	my $codes = join '', map { bits_reversed(256, 9) . join '', map { bits_reversed($_, 9) } unpack 'C*', $_ }
	  unpack '(a250)*', $bytes;
	return pack 'b*', $codes . bits_reversed(257, 9);
}

# Any number of zeros.
sub gif_zeros
{
	my ($count) = @_;
	return lzw_zeros($count, msb => 0);
}

# A file: the screen, with a ramp of greys as its palette, and blocks; by default the small picture.
sub gif_file
{
	my (%of) = @_;
	my $frame = gif_frame(0, 0, $width, $height, 0, 8, gif_codes(rising_pixels()));
	return
	    'GIF89a'
	  . pack('vvCCC', $of{columns} || $width, $of{rows} || $height, 0xF7, 0, 0)
	  . join('', map { chr($_) x 3 } 0 .. 255)
	  . ($of{before} || '')
	  . (defined $of{frame} ? $of{frame} : $frame)
	  . ($of{after} || '') . ';';
}

# BMP.

# A file; by default the small picture from its top row on, with a ramp of greys as its palette.
sub bmp_file
{
	my (%of) = @_;
	my %field = (
		columns => $width, rows => -$height, bits => 8, compression => 0, header_size => 40,
		colors => 256, pixels_at => 14 + 40 + 1024, %of);
	my $pixels = defined $of{pixels} ? $of{pixels} : rising_pixels();
	my $palette = join '', map { chr($_) x 3 . "\0" } 0 .. 255;
	return
	    'BM'
	  . pack('VVV', 0, 0, $field{pixels_at})
	  . pack('VVVvvVVVVVV',
		$field{header_size}, $field{columns} & 0xFFFFFFFF, $field{rows} & 0xFFFFFFFF,
		1, $field{bits}, $field{compression}, 0, 0, 0, $field{colors}, 0)
	  . (defined $of{palette} ? $of{palette} : $palette)
	  . $pixels;
}

1;
