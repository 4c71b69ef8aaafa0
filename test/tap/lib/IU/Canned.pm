#-------------------------------------------------------------------------
#
# IU/Canned.pm
#	  An HTTP server on loopback that answers as a function says and writes
#	  down what it was asked.
#
#	  my $peer = IU::Canned->start(sub { my ($request) = @_; ... });	# keep => 60
#	  my @seen = $peer->requests;		# hashes: method, path, body, authorization, api-key, timeout
#	  my ($result, @asked) = $peer->asked(sub { ... });	# what it gives, and the requests meanwhile
#
# The function gives a hash: status, body, type (application/json), headers, and
#	  delay			seconds until it is answered
#	  together, group	the first so many requests of the group are answered when
#					all of them wait, see GIVE_UP
#	  hang			never answered
#	  cut			closed within the body
#	  stall			stopped within the body, and kept
#	  reset			no answer but a reset
# Of a request it is also told the number on its connection: nth, and the seconds
# that "timeout" at the end of its path gave: timeout. The path is without them. One process
# serves all connections, which stay open for a second, or as long as
# keep => seconds says; with impatient => 1 one on which no whole request came by
# then is closed with an empty 408. IU::Answers has what Qdrant and Directus answer.
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

# Those of a "together" that is not complete are answered all the same after so
# many seconds: who asks for one after the other fails a test, and hangs none.
use constant GIVE_UP => 30;

my %reason = (
	200 => 'OK', 202 => 'Accepted', 302 => 'Found', 400 => 'Bad Request', 401 => 'Unauthorized', 403 => 'Forbidden',
	404 => 'Not Found', 408 => 'Request Timeout', 413 => 'Content Too Large', 429 => 'Too Many Requests',
	431 => 'Request Header Fields Too Large', 500 => 'Internal Server Error', 502 => 'Bad Gateway',
	503 => 'Service Unavailable');

sub start
{
	my ($class, $answer, %how) = @_;
	my $socket = IO::Socket::INET->new(Listen => 128, LocalAddr => '127.0.0.1', Proto => 'tcp')
		  or die "cannot listen: $!";
	my $self = bless { port => $socket->sockport, log => File::Temp->new, owner => $$ }, $class;

	$self->{pid} = fork() // die "cannot fork: $!";
	if ($self->{pid} == 0)
	{
		$SIG{$_} = 'DEFAULT' for qw(TERM INT);
		$SIG{PIPE} = 'IGNORE';
		open my $log, '>>', $self->{log}->filename or die;
		$log->autoflush(1);
		serve($socket, $log, $answer, $how{keep} // 1, $how{impatient});
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
	my @names = qw(method path body authorization api-key open timeout);
	return map { my %h; @h{@names} = @$_[ 1 .. 7 ]; \%h } lines($self, 'request');
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

# What the code gives, in scalar context, and the requests that came meanwhile.
sub asked
{
	my ($self, $code) = @_;
	my $from = () = $self->requests;
	my $result = $code->();
	my @all = $self->requests;
	return ($result, @all[ $from .. $#all ]);
}

# The most at one time while the code runs.
sub since
{
	my ($self, $code) = @_;
	my $from = () = $self->requests;
	$code->();
	return $self->most_at_once($from);
}

sub serve
{
	my ($listener, $log, $answer, $keep, $impatient) = @_;
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
			my $more = sysread($socket, $c->{input}, 65536, length $c->{input});
			$more ? take_request($c, \%connection, $log, $answer) : $close->($c);
		}
		foreach my $c (values %connection)
		{
			if (!defined $c->{due})
			{
				next if time < $c->{idle} + $keep;
				if ($impatient && (!$c->{requests} || $c->{input} ne ''))
				{
					syswrite $c->{socket}, text_of({ status => 408, body => '', headers => ['Connection: close'] });
					print $log "gave up\n";
				}
				$close->($c);
				next;
			}
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
			my $text = text_of($reply);
			syswrite $c->{socket}, $reply->{cut} || $reply->{stall} ? substr($text, 0, -10) : $text;
			$close->($c) if $reply->{cut};
			$c->{idle} = time + 3600 if $reply->{stall};
		}
	}
}

my %complete;			# groups of requests that were answered together

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
	($request{timeout}) = $request{path} =~ s/\?timeout=(\d+)$// ? $1 : $request{path} =~ s/&timeout=(\d+)$// ? $1 : '';
	foreach my $name ('authorization', 'api-key')
	{
		($request{$name}) = $head =~ /^\Q$name\E: *([^\r\n]*)/mi;
		$request{$name} //= '';
	}
	$c->{reply} = $answer->(\%request);
	my $group = $c->{reply}{group};
	my $waits = defined $group && !$complete{$group};
	$c->{due} = time + ($c->{reply}{hang} ? 3600 : $waits ? GIVE_UP : $c->{reply}{delay} // 0);
	my @waiting = grep { $_->{due} && defined $group && ($_->{reply}{group} // '') eq $group } values %$connections;
	if ($waits && @waiting >= $c->{reply}{together})
	{
		$complete{$group} = 1;
		$_->{due} = time + ($_->{reply}{delay} // 0) foreach @waiting;
	}
	my $open = grep { defined $_->{due} } values %$connections;
	print $log join("\t", 'request', @request{qw(method path body authorization api-key)}, $open,
		$request{timeout}), "\n";
}

sub text_of
{
	my ($reply) = @_;
	return join("\r\n",
		"HTTP/1.1 $reply->{status} $reason{ $reply->{status} }",
		'Content-Type: ' . ($reply->{type} // 'application/json; charset=utf-8'),
		'Content-Length: ' . length($reply->{body}),
		@{ $reply->{headers} // [] }, '', $reply->{body});
}

1;
