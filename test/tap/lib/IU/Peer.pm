# IU::Peer: a stand-in of test/peers of a test's own.
#
#   my $receiver = IU::Peer->start('receiver');            # qdrant, directus
#   $receiver->fault({ path => '/x', status => 503, times => 2 });
#   my @arrived = $receiver->requests('/x');               # hashes, see server.js
# It ends with the object, and with the test, however that ends.
package IU::Peer;

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use HTTP::Tiny;
use IPC::Open2 qw(open2);
use JSON::PP qw(decode_json encode_json);

my $peers = abs_path(dirname(__FILE__) . '/../../../peers');

sub start
{
	my ($class, $name, @arguments) = @_;
	my $pid = open2(my $out, my $in, 'node', "$peers/$name.js", '--until-stdin-closes', @arguments);
	my $url = <$out> // die "the stand-in $name did not start\n";
	chomp $url;
	return bless { pid => $pid, in => $in, out => $out, url => $url }, $class;
}

sub url { return $_[0]{url} }

# host:port, as in an origin
sub address { return $_[0]{url} =~ s{^http://}{}r }

sub port { return $_[0]{url} =~ s{.*:}{}r }

# call($method, $path, $value, $headers): the decoded answer. $value is sent as JSON.
sub call
{
	my ($self, $method, $path, $value, $headers) = @_;
	my %options = (headers => { 'content-type' => 'application/json', %{ $headers // {} } });
	$options{content} = encode_json($value) if defined $value;
	my $answer = HTTP::Tiny->new(timeout => 180)->request($method, "$self->{url}$path", \%options);
	die "$method $path: $answer->{status} $answer->{content}\n" unless $answer->{success};
	return $answer->{content} eq '' ? undef : decode_json($answer->{content});
}

sub requests
{
	my ($self, $path) = @_;
	return @{ $self->call('GET', '/_control/requests' . (defined $path ? "?path=$path" : '')) };
}

sub forget { return $_[0]->call('DELETE', '/_control/requests') }
sub fault { return $_[0]->call('POST', '/_control/fault', $_[1]) }
sub heal { return $_[0]->call('DELETE', '/_control/fault') }

# control('secret', {...}) on a receiver, control('data', {...}) on directus
sub control { return $_[0]->call('POST', "/_control/$_[1]", $_[2]) }

sub stop
{
	my ($self) = @_;
	return unless $self->{in};
	close delete $self->{in};
	waitpid $self->{pid}, 0;
	return;
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $@);
	$self->stop;
	return;
}

1;
