# An engine's end of the protocol (src/protocol/frame.h), for engines of the tests' own: a script that
# uses this module is put in the place of vamhash-engine. Such an engine ends when its backend closes
# the socket.
package EngineEnd;

use strict;
use warnings FATAL => 'all';

use Config;
use Exporter 'import';

our @EXPORT = qw(
  $MAGIC $HELLO $BEGIN_PAIRS $DATA $END $RESULT $DONE $ERROR $BEGIN_GROUPS $ASK $PROGRESS
  $IMAGE $BEGIN_DEVICES $ASK_DEVICE $PATH $BEGIN_PICTURES $ARENA $FREE_PART $BATCH $PICTURES
  take take_grant give frame hello done joined progress device
);

our $MAGIC = 0x31484d56;
our ($HELLO, $BEGIN_PAIRS, $DATA, $END, $RESULT, $DONE, $ERROR, $BEGIN_GROUPS, $ASK, $PROGRESS) =
  (1, 3, 4, 5, 6, 7, 8, 9, 10, 11);
our ($IMAGE, $BEGIN_DEVICES, $ASK_DEVICE, $PATH) = (13, 14, 15, 17);
our ($BEGIN_PICTURES, $ARENA, $FREE_PART, $BATCH, $PICTURES) = (18, 19, 20, 21, 22);

open my $socket, '+<&=', 3 or exit 9;

# Takes so many bytes of what the backend sends.
sub take
{
	my ($length) = @_;
	my $bytes = '';
	while (length $bytes < $length)
	{
		sysread($socket, $bytes, $length - length $bytes, length $bytes) or exit 0;
	}
	return $bytes;
}

# Takes the answer to ASK_DEVICE; returns whether a device was granted, and the number of the
# descriptor that came with it, or undef. Perl itself has no recvmsg().
sub take_grant
{
	my $recvmsg = $Config{archname} =~ /^x86_64/ ? 47 : 212;
	my $header = "\0" x 16;
	my $control = "\0" x 24;
	my $piece = pack 'PQ', $header, length $header;
	my $message = pack 'QQPQPQQ', 0, 0, $piece, 1, $control, length $control, 0;
	syscall($recvmsg, fileno $socket, $message, 0) == length $header or exit 0;
	my (undef, $length, $operation) = unpack 'LLS', $header;
	exit 8 unless $operation == $DATA && $length == 8;
	my ($granted) = unpack 'L', take($length);
	(undef, undef, $operation) = unpack 'LLS', take(16);
	exit 8 unless $operation == $END;
	my ($control_length) = unpack 'x40Q', $message;
	return ($granted, $control_length == 0 ? undef : unpack 'x16l', $control);
}

# Everything is written at once, so that what follows a frame comes with it.
sub give
{
	my $bytes = join '', @_;
	while (length $bytes)
	{
		my $written = syswrite $socket, $bytes or exit 0;
		substr $bytes, 0, $written, '';
	}
	return;
}

sub frame
{
	my ($operation, $id, $payload, $status) = @_;
	return pack('LLSSL', $MAGIC, length $payload, $operation, $status || 0, $id) . $payload;
}

# HELLO of an engine of this version, in a whole sandbox.
sub hello
{
	my ($version) = @_;
	return frame($HELLO, 0, pack('La24L', 7, $version, 3));
}

# The end of a request with so many bytes of results.
sub done
{
	my ($id, $bytes) = @_;
	return frame($DONE, $id, pack('Q', $bytes));
}

# The end of a join: after the bytes of results, its report. %changes are of the latter.
sub joined
{
	my ($id, $bytes, %changes) = @_;
	my %report = (
		rows => 6, right_rows => 0, seconds => 0, isa => 'avx2', scheme => '2 parts',
		device_bytes => 0, device_seconds => 0, device_tables => 0, fallbacks => 0, holds_device => 0,
		device => '', fallback => '', more => '', %changes);
	my @numbers = @report{qw(device_bytes device_seconds device_tables fallbacks holds_device)};
	return frame($DONE, $id,
		pack('Q10d4La12a96', $bytes, $report{rows}, $report{right_rows}, (0) x 7, (0) x 3,
			$report{seconds}, 1, $report{isa}, $report{scheme})
		  . pack('QdL3x4a128a200', @numbers, $report{device}, $report{fallback})
		  . $report{more});
}

# The payload of PROGRESS: phase, done, total, estimated pairs, device.
sub progress
{
	my ($phase, $done, $total, $estimated, $device) = @_;
	return pack('LLQ4da128', $phase, 0, $done, $total, 0, 0, $estimated, defined $device ? $device : '');
}

# A record of a device; by default an imagined one.
sub device
{
	my (%changes) = @_;
	my %of = (
		backend => 'opencl', id => 0, usable => 1, memory => 1 << 30, free => 1 << 29,
		name => 'Imagined', capability => '3.0', driver => '1.2.3', reason => '', %changes);
	return pack('a8lLQQa96a48a64a200',
		@of{qw(backend id usable memory free name capability driver reason)});
}

1;
