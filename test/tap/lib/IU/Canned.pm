#-------------------------------------------------------------------------
#
# IU/Canned.pm
#	  An HTTP server on loopback that answers as a function says and writes
#	  down what it was asked.
#
#	  my $peer = IU::Canned->start(sub { my ($request) = @_; ... }, \%reason);
#	  my @seen = $peer->requests;		# hashes: method, path, body, authorization, api-key
#
# The function gives a hash: status, body, type (application/json), headers,
# delay (seconds), hang (never answer), cut (close within the body), stall (stop
# within the body, and stay), reset (no answer but a reset). Of a request it is
# also told the number on its connection: nth. One process serves all
# connections, which stay open for a second, or as long as keep => seconds says.
#
#-------------------------------------------------------------------------
package IU::Canned;

use strict;
use warnings;

use File::Temp;
use IO::Select;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(time);

sub start
{
	my ($class, $answer, $reason, %how) = @_;
	my $socket = IO::Socket::INET->new(Listen => 128, LocalAddr => '127.0.0.1', Proto => 'tcp') or die "cannot listen: $!";
	my $self = bless { port => $socket->sockport, log => File::Temp->new, owner => $$ }, $class;

	$self->{pid} = fork() // die "cannot fork: $!";
	if ($self->{pid} == 0)
	{
		$SIG{$_} = 'DEFAULT' for qw(TERM INT);
		$SIG{PIPE} = 'IGNORE';
		open my $log, '>>', $self->{log}->filename or die;
		$log->autoflush(1);
		serve($socket, $log, $answer, $reason, $how{keep} // 1);
	}
	close $socket;
	return $self;
}

sub DESTROY
{
	my ($self) = @_;
	return unless $self->{owner} == $$;
	local $?;
	kill 'TERM', $self->{pid};
	waitpid $self->{pid}, 0;
}

sub url { return 'http://127.0.0.1:' . $_[0]{port} }

sub lines
{
	my ($self, $kind) = @_;
	open my $log, '<', $self->{log}->filename or die;
	return grep { $_->[0] eq $kind } map { chomp; [ split /\t/, $_, -1 ] } <$log>;
}

sub requests
{
	my ($self) = @_;
	return map { my %h; @h{qw(method path body authorization api-key open)} = @$_[ 1 .. 6 ]; \%h } lines($self, 'request');
}

sub connections { return scalar(my @all = lines($_[0], 'connection')) }

# The most requests that were waiting for their answers at one time.
sub most_at_once
{
	my ($self, $from) = @_;
	my @all = $self->requests;
	my $most = 0;
	foreach my $request (@all[ ($from // 0) .. $#all ])
	{
		$most = $request->{open} if $request->{open} > $most;
	}
	return $most;
}

# The same while the code runs.
sub since
{
	my ($self, $code) = @_;
	my $from = () = $self->requests;
	$code->();
	return $self->most_at_once($from);
}

sub serve
{
	my ($listener, $log, $answer, $reason, $keep) = @_;
	my $select = IO::Select->new($listener);
	my %connection;		# by file number: socket, input, answer and when it is due, idle since

	my $close = sub {
		my ($c) = @_;
		$select->remove($c->{socket});
		delete $connection{ fileno $c->{socket} };
		close $c->{socket};
	};
	while (1)
	{
		my @due = sort { $a <=> $b } map { $_->{due} // $_->{idle} + $keep } values %connection;
		my $wait = @due ? $due[0] - time : undef;
		$wait = 0 if defined $wait && $wait < 0;
		foreach my $socket ($select->can_read($wait))
		{
			if ($socket == $listener)
			{
				my $new = $listener->accept or next;
				print $log "connection\n";
				$select->add($new);
				$connection{ fileno $new } = { socket => $new, input => '', idle => time };
				next;
			}
			my $c = $connection{ fileno $socket };
			sysread($socket, $c->{input}, 65536, length $c->{input}) ? take_request($c, \%connection, $log, $answer) : $close->($c);
		}
		foreach my $c (values %connection)
		{
			if (!defined $c->{due}) { $close->($c) if time >= $c->{idle} + $keep; next }
			next if $c->{due} > time;
			my $reply = delete $c->{reply};
			delete $c->{due};
			$c->{idle} = time;
			if ($reply->{reset})
			{
				setsockopt $c->{socket}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
				$close->($c);
				next;
			}
			my $text = text_of($reply, $reason);
			syswrite $c->{socket}, $reply->{cut} || $reply->{stall} ? substr($text, 0, -10) : $text;
			$close->($c) if $reply->{cut};
			$c->{idle} = time + 3600 if $reply->{stall};
		}
	}
}

# A whole request in the input becomes an answer that is due some time.
sub take_request
{
	my ($c, $connections, $log, $answer) = @_;
	return unless $c->{input} =~ /^(.*?)\r\n\r\n/s;
	my ($head, $from) = ($1, $+[0]);
	my ($length) = $head =~ /^content-length: *(\d+)/mi;
	return if length($c->{input}) < $from + ($length // 0);

	my %request = (body => substr($c->{input}, $from, $length // 0), nth => ++$c->{requests});
	substr($c->{input}, 0, $from + ($length // 0)) = '';
	@request{qw(method path)} = $head =~ /^(\S+) (\S+) HTTP/;
	foreach my $name ('authorization', 'api-key')
	{
		($request{$name}) = $head =~ /^\Q$name\E: *([^\r\n]*)/mi;
		$request{$name} //= '';
	}
	$c->{reply} = $answer->(\%request);
	$c->{due} = time + ($c->{reply}{hang} ? 3600 : $c->{reply}{delay} // 0);
	my $open = grep { defined $_->{due} } values %$connections;
	print $log join("\t", 'request', @request{qw(method path body authorization api-key)}, $open), "\n";
}

sub text_of
{
	my ($reply, $reason) = @_;
	return join("\r\n",
		"HTTP/1.1 $reply->{status} $reason->{ $reply->{status} }",
		'Content-Type: ' . ($reply->{type} // 'application/json; charset=utf-8'),
		'Content-Length: ' . length($reply->{body}),
		@{ $reply->{headers} // [] }, '', $reply->{body});
}

1;
