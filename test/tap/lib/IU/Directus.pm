#-------------------------------------------------------------------------
#
# IU/Directus.pm
#	  Questions to a Directus, the real one or the stand-in, by its own API.
#
#	  my $directus = IU::Directus->new($ENV{DIRECTUS_URL}, $ENV{DIRECTUS_TOKEN});
#	  my $data = $directus->call('GET', '/items/x');		# what stands under "data"; dies of a refusal
#	  my $answer = $directus->request('GET', '/items/x');	# { status, headers, content }, whatever it is
#	  my $line = $directus->raw('GET', '/items/x');			# "200 {...}"
#
# IU::Directus::is_since(12) says whether this is one of that major version or a
# later one; the stand-in answers as 12.4.0 does.
#
# request and call take a value last, which is sent as JSON; a string is sent as
# it is. Without a token nobody is said to ask.
#
#-------------------------------------------------------------------------
package IU::Directus;

use strict;
use warnings;

use HTTP::Tiny;
use JSON::PP qw(decode_json encode_json);
use PostgreSQL::Test::Utils ();

sub is_since
{
	my ($major) = @_;
	return ($ENV{DIRECTUS_VERSION} // 12) =~ s/\..*//r >= $major;
}

sub new
{
	my ($class, $url, $token) = @_;
	return bless { url => $url, token => $token }, $class;
}

sub request
{
	my ($self, $method, $path, $value) = @_;
	my %headers = ('content-type' => 'application/json');
	my %options = (headers => \%headers);

	$headers{authorization} = "Bearer $self->{token}" if defined $self->{token};
	$options{content} = ref $value ? encode_json($value) : $value if defined $value;
	my $client = HTTP::Tiny->new(timeout => $PostgreSQL::Test::Utils::timeout_default);
	return $client->request($method, "$self->{url}$path", \%options);
}

sub raw
{
	my ($self, @request) = @_;
	my $answer = $self->request(@request);
	return "$answer->{status} $answer->{content}";
}

sub call
{
	my ($self, $method, $path, $value) = @_;
	my $answer = $self->request($method, $path, $value);
	die "$method $path: $answer->{status} $answer->{content}\n" unless $answer->{success};
	return $answer->{content} eq '' ? undef : decode_json($answer->{content})->{data};
}

1;
