# IU::Sink: a webhook receiver for many deliveries, which remembers of each its
# id, a digest of its body, and when it came, by the clock that nobody sets.
#
#   my $sink = IU::Sink->start;
#   $sink->hold('/hook', 400);               # what comes after 400 waits for heal
#   $sink->wait_for('/hook', 400);
#   my @arrived = $sink->arrived('/hook');   # [webhook-id, digest, seconds], in order
#   my $open = $sink->connections;
package IU::Sink;

use strict;
use warnings;
use parent 'IU::Peer';
use File::Temp;
use JSON::PP;
use IU::Wait ();

sub start
{
	my ($class) = @_;
	my $log = File::Temp->new;
	my $self = $class->SUPER::start('receiver', '--log', $log->filename);
	open($self->{lines}, '<', $log->filename) or die "the receiver's log: $!";
	@$self{ 'log', 'arrived' } = ($log, {});
	return $self;
}

# Reads what was appended since the last time.
sub _read
{
	my ($self) = @_;
	my $file = $self->{lines};
	local $/;
	seek($file, 0, 1);
	my $text = ($self->{rest} // '') . (<$file> // '');
	($text, $self->{rest}) = $text =~ /^(.*\n|)(.*)$/s;
	foreach my $line (split /\n/, $text)
	{
		my ($path, @entry) = split / /, $line;
		push @{ $self->{arrived}{$path} }, \@entry;
	}
	return;
}

sub arrived
{
	my ($self, $path) = @_;
	$self->_read;
	return @{ $self->{arrived}{$path} // [] };
}

sub count
{
	my ($self, $path) = @_;
	$self->_read;
	return scalar @{ $self->{arrived}{$path} // [] };
}

# Whether so many have arrived within the time that a test has, and which is not
# taken twice.
sub wait_for
{
	my ($self, $path, $count) = @_;
	return $self->count($path) >= $count if $self->{hopeless};
	$self->{hopeless} = !IU::Wait::wait_for(sub { $self->count($path) >= $count });
	return !$self->{hopeless};
}

sub hold { return $_[0]->fault({ path => $_[1], hold => JSON::PP::true, after => $_[2] // 0 }) }
sub slow { return $_[0]->fault({ path => $_[1], delay_ms => $_[2] }) }
sub connections { return $_[0]->call('GET', '/_control/connections')->{open} }

1;
