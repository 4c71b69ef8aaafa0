#-------------------------------------------------------------------------
#
# IU/Receiver.pm
#	  An HTTP peer that behaves as badly as it is asked to, on 127.0.0.1.
#
#	  my $receiver = IU::Receiver->start;		# or start($port)
#	  my $url = $receiver->origin . '/hang';
#	  my @seen = $receiver->requests;		# hashes: line, headers, body
#	  my @posts = $receiver->arrived('/ok?a=b');	# those that were posted there
#
# The path says what happens to a request; the handlers are in %behaviour.
# Every connection is served by a process of its own, and is written to a file
# before anything is answered, so what a test asks for after an answer is there.
#
#-------------------------------------------------------------------------
package IU::Receiver;

use strict;
use warnings;

use File::Temp;
use IO::Socket::INET;
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER);

my %behaviour = (
	'/echo'      => \&echo,
	'/ok'        => sub { answer($_[0], '200 OK', "fine\n") },
	'/keep'      => sub { answer($_[0], '200 OK', "kept\n", 'Connection: keep-alive'); return 'keep' },
	'/stale'     => sub { answer($_[0], '200 OK', "kept\n", 'Connection: keep-alive') },
	'/gone'      => sub { answer($_[0], '410 Gone', '') },
	'/busy'      => sub { answer($_[0], '429 Too Many Requests', '', 'Retry-After: 17') },
	'/later'     => sub { answer($_[0], '503 Unavailable', '', 'Retry-After: Fri, 31 Dec 2100 23:59:59 GMT') },
	'/dated'     => sub { answer($_[0], '503 Unavailable', '', 'Retry-After: Fri, 31 Dec 1999 23:59:59 GMT',
			'Date: Fri, 31 Dec 1999 23:59:19 GMT') },
	'/past'      => sub { answer($_[0], '503 Unavailable', '', 'Retry-After: Fri, 31 Dec 1999 23:59:59 GMT') },
	'/nonsense'  => sub { answer($_[0], '503 Unavailable', '', 'Retry-After: soon') },
	'/redirect'  => sub { answer($_[0], '302 Found', '', 'Location: /echo') },
	'/to'        => \&elsewhere,
	'/binary'    => sub { answer($_[0], '200 OK', "a\0b\xff\xc3\xa9") },
	'/typed'     => sub { answer($_[0], '200 OK', '{}', "Content-Type: a\xff/\x01b") },
	'/gzip'      => sub { answer($_[0], '200 OK', 'not really', 'Content-Encoding: gzip') },
	'/interim'   => \&interim,
	'/flaky'     => \&flaky,
	'/close'     => sub { },
	'/hang'      => \&hang,
	'/half'      => sub { print { $_[0] } "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"; hang(@_) },
	'/reset'     => \&reset_halfway,
	'/reset-now' => sub { reset_connection($_[0]) },
	'/half-close' => sub { shutdown($_[0], 1); hang(@_) },
	'/status'    => \&told_status,
	'/endless'   => sub { chunks($_[0], 'x' x 65536) },
	'/drip'      => sub { chunks($_[0], 'x', 0.05) },
	'/slow-head' => sub { drip($_[0], "HTTP/1.1 200 OK\r\nX-Slow: ") },
	'/slow-line' => sub { drip($_[0], 'HTTP/1.1 200 O') },
	'/bad-chunk' => sub { as_it_is($_[0], 'Transfer-Encoding: chunked', "fffffffffffffffffff\r\nx") },
	'/bad-length' => sub { as_it_is($_[0], 'Content-Length: -5', 'x') },
	'/two-lengths' => sub { as_it_is($_[0], "Content-Length: 1\r\nContent-Length: 99", 'x') },
	'/more'      => sub { as_it_is($_[0], "Content-Length: 2\r\nConnection: close", 'ok and more') },
	'/bomb'      => \&bomb,
	'/long-line' => \&long_line,
	'/text'      => sub { answer($_[0], '500 Oops', "\0nul \xff\xfe\xc3( \xed\xa0\x80 \xf4\x90\x80\x80 ok \xc3\xa9") },
	'/short'     => sub { print { $_[0] } "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort" },
	'/garbage'   => sub { print { $_[0] } "\x00\x01\x02 this is not HTTP\r\n\r\n" },
	'/flood'     => \&flood,
	'/announced' => sub { print { $_[0] } "HTTP/1.1 200 OK\r\nContent-Length: 209715200\r\n\r\n"; hang(@_) },
	'/headers'   => \&endless_headers,
	'/interims'  => \&endless_interims,
	'/together'  => \&together,
);

sub start
{
	my ($class, $port) = @_;
	my $socket = IO::Socket::INET->new(
		Listen => 64, LocalAddr => '127.0.0.1', LocalPort => $port // 0, ReuseAddr => 1, Proto => 'tcp')
	  or die "cannot listen: $!";
	my $log = File::Temp->new;
	my $self = bless { port => $socket->sockport, log => $log, owner => $$ }, $class;

	$self->{pid} = fork() // die "cannot fork: $!";
	if ($self->{pid} == 0)
	{
		setpgrp(0, 0);
		$SIG{CHLD} = 'IGNORE';
		$SIG{PIPE} = 'IGNORE';
		$SIG{TERM} = 'DEFAULT';
		listen_forever($socket, $log->filename);
	}
	setpgrp($self->{pid}, $self->{pid});
	close $socket;
	return $self;
}

sub origin { return 'http://127.0.0.1:' . $_[0]{port} }
sub port { return $_[0]{port} }

# Connections so far, whether or not a request came.
sub connections
{
	my ($self) = @_;
	return scalar grep { $_ eq "connection\n" } $self->lines;
}

sub requests
{
	my ($self) = @_;
	my @requests;

	foreach my $line (grep { /^request / } $self->lines)
	{
		my ($head, $body) = map { pack('H*', $_) } $line =~ /^request (\w*) (\w*)$/;
		my ($first, @headers) = split(/\r\n/, $head);
		push @requests, { line => $first, body => $body,
			headers => { map { /^([^:]+):\s*(.*)$/ ? (lc $1 => $2) : () } @headers } };
	}
	return @requests;
}

# The requests of a path, its query included.
sub arrived
{
	my ($self, $path) = @_;
	return grep { $_->{line} =~ m{^POST \Q$path\E } } $self->requests;
}

sub lines
{
	my ($self) = @_;
	open(my $file, '<', $self->{log}->filename) or die $!;
	return <$file>;
}

sub stop
{
	my ($self) = @_;
	return unless $self->{pid} && $self->{owner} == $$;
	kill('TERM', -$self->{pid});
	waitpid($self->{pid}, 0);
	delete $self->{pid};
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $@, $!);
	$self->stop;
}

# ---------- in the receiver's own processes ----------

sub listen_forever
{
	my ($socket, $log) = @_;

	while (1)
	{
		my $peer = $socket->accept or next;
		note($log, "connection\n");
		my $pid = fork() // POSIX::_exit(1);
		if ($pid == 0)
		{
			close $socket;
			srand;	# not what the parent would draw
			serve($peer, $log);
			POSIX::_exit(0);
		}
		close $peer;
	}
}

sub note
{
	my ($log, $line) = @_;
	open(my $file, '>>', $log) or POSIX::_exit(1);
	syswrite($file, $line);
	close $file;
}

sub serve
{
	my ($peer, $log) = @_;
	my $keep = 'keep';

	binmode $peer;
	$peer->autoflush(1);
	while ($keep)
	{
		my ($head, $body) = read_request($peer) or return;
		note($log, 'request ' . unpack('H*', $head) . ' ' . unpack('H*', $body) . "\n");
		my ($path) = $head =~ m{^\S+ ([^ ?]+)};
		my $handler = $behaviour{ $path // '' }
		  // sub { answer($_[0], '404 Not Found', '') };
		my $result = $handler->($peer, $head, $body, $log);
		$keep = defined $result && $result eq 'keep';
	}
	shutdown($peer, 1);
}

sub read_request
{
	my ($peer) = @_;
	my ($head, $body) = ('', '');

	while ($head !~ /\r\n\r\n$/)
	{
		my $line = <$peer>;
		return unless defined $line;
		$head .= $line;
	}
	if ($head =~ /^content-length:\s*(\d+)/mi && $1 > 0)
	{
		return unless read($peer, $body, $1) == $1;
	}
	return ($head, $body);
}

sub answer
{
	my ($peer, $status, $body, @headers) = @_;

	push @headers, 'Connection: close' unless grep { /^connection:/i } @headers;
	print $peer join("\r\n", "HTTP/1.1 $status", 'Content-Length: ' . length($body), @headers, '', $body);
	return '';
}

# What came, as it came.
sub echo
{
	my ($peer, $head, $body) = @_;
	return answer($peer, '200 OK', $head . $body, 'Content-Type: text/plain');
}

# A head that need not fit its body.
sub as_it_is
{
	my ($peer, $headers, $body) = @_;
	print $peer "HTTP/1.1 200 OK\r\n$headers\r\n\r\n$body";
	return '';
}

# The status and the place that the query says: /to?302,http://there/
sub elsewhere
{
	my ($peer, $head) = @_;
	my ($status, $to) = $head =~ m{^\S+ \S+\?(\d+),(\S*)};
	return answer($peer, "$status Elsewhere", '', "Location: $to");
}

# The status that the query says: /status?503
sub told_status
{
	my ($peer, $head) = @_;
	my ($status) = $head =~ m{^\S+ \S+\?(\d+)};
	return answer($peer, "$status Told", "told\n", 'Retry-After: 7200');
}

sub interim
{
	my ($peer) = @_;
	print $peer "HTTP/1.1 103 Early Hints\r\nRetry-After: 5\r\n\r\n";
	return answer($peer, '200 OK', 'x');
}

# What would be much larger unpacked.
sub bomb
{
	my ($peer) = @_;
	return answer($peer, '200 OK', pack('H*', '1f8b08000000000002ff') . "\0" x 60000, 'Content-Encoding: gzip');
}

# A header line without end.
sub long_line
{
	my ($peer) = @_;
	my $piece = 'y' x 65536;
	print $peer "HTTP/1.1 200 OK\r\nX-Long: ";
	1 while print $peer $piece;
	return '';
}

# Sometimes it works.
sub flaky
{
	my ($peer) = @_;
	my $fate = rand;
	return if $fate < 0.1;
	answer($peer, $fate < 0.3 ? '500 Broken' : '200 OK', '', 'Connection: keep-alive');
	return 'keep';
}

# Until the other side goes away.
sub hang
{
	my ($peer) = @_;
	1 while sysread($peer, my $ignored, 1024);
	return '';
}

sub reset_halfway
{
	my ($peer) = @_;
	print $peer "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it";
	reset_connection($peer);
}

sub reset_connection
{
	my ($peer) = @_;
	setsockopt($peer, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
	close $peer;
	POSIX::_exit(0);
}

# 200 MB of unknown length.
sub flood
{
	my ($peer) = @_;
	my $piece = 'x' x 65536;

	print $peer "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" or return '';
	foreach (1 .. 3200)
	{
		print $peer $piece or return '';
	}
	return '';
}

# A piece at a time, each as a chunk, for ever.
sub chunks
{
	my ($peer, $piece, $pause) = @_;
	my $chunk = sprintf("%x\r\n%s\r\n", length $piece, $piece);

	print $peer "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" or return '';
	select(undef, undef, undef, $pause // 0) while print $peer $chunk;
	return '';
}

# This, then a byte now and then, for ever.
sub drip
{
	my ($peer, $start) = @_;
	print $peer $start if $start ne '';
	select(undef, undef, undef, 0.05) while print $peer 'H';
	return '';
}

# 3 MB, of which the last byte comes when so many have all but that.
sub together
{
	my ($peer, $head, $body, $log) = @_;
	my ($count) = $head =~ /^\S+ \S+\?(\d+)/;
	my $length = 3 * 1024 * 1024;

	print $peer "HTTP/1.1 200 OK\r\nContent-Length: $length\r\nConnection: close\r\n\r\n", 'x' x ($length - 1);
	note($log, "together\n");
	while (1)
	{
		open(my $file, '<', $log) or return '';
		last if $count <= grep { $_ eq "together\n" } <$file>;
		select(undef, undef, undef, 0.05);
	}
	print $peer 'x';
	return '';
}

sub endless_headers
{
	my ($peer) = @_;
	print $peer "HTTP/1.1 200 OK\r\n" or return '';
	1 while print $peer 'X-Filler: ' . ('y' x 1000) . "\r\n";
	return '';
}

sub endless_interims
{
	my ($peer) = @_;
	1 while print $peer "HTTP/1.1 103 Early Hints\r\nX-Filler: y\r\n\r\n";
	return '';
}

1;
