# IU::Qdrant: a Qdrant of a test's own collections, seen through a recorder, so
# that the test knows what it was asked; a real one (QDRANT_URL, QDRANT_API_KEY)
# or the stand-in, which is loaded in the same way.
#
#   my $qdrant = IU::Qdrant->start;             # url, key, prefix
#   my $name = $qdrant->create('pieces', { vectors => { size => 2, distance => 'Dot' } });
#   $qdrant->load($name, '{"id":1,"vector":[0,1],"payload":{}}', ...);   # points as JSON
#   my ($result, @requests) = $qdrant->asked(sub { ... });   # "POST /path {body}", without its timeout
#   my @problems = $qdrant->wire_problems;      # of all that went through; undef: no npm
# What it made is dropped when the test ends.
package IU::Qdrant;

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use HTTP::Tiny;
use IPC::Run;
use IU::Peer;
use JSON::PP qw(decode_json encode_json);

my $peers = abs_path(dirname(__FILE__) . '/../../../peers');
my @all;

sub start
{
	my ($class, %options) = @_;
	my $peer = $ENV{QDRANT_URL} && !$options{own} ? undef : IU::Peer->start('qdrant', @{ $options{own} // [] });
	my $key = $peer ? $options{key} : $ENV{QDRANT_API_KEY};
	my $self = bless {
		peer => $peer, key => $key, made => [], traffic => [], owner => $$,
		prefix => sprintf('iu_test_%d_%d_%d', time, $$, scalar @all),
		recorder => IU::Peer->start('recorder', '--to', $peer ? $peer->url : $ENV{QDRANT_URL}) }, $class;
	$self->{is_stand_in} = (decode_json($self->request('GET', '/')->{content})->{commit} // '') =~ /^0+$/;
	push @all, $self;
	return $self;
}

sub url { return $_[0]{recorder}->url }
sub key { return $_[0]{key} }
sub prefix { return $_[0]{prefix} }
sub recorder { return $_[0]{recorder} }
sub is_stand_in { return $_[0]{is_stand_in} }

# $body is JSON, or a structure.
sub request
{
	my ($self, $method, $path, $body) = @_;
	my %headers = ('content-type' => 'application/json', $self->{key} ? ('api-key' => $self->{key}) : ());
	my %options = (headers => \%headers);
	$options{content} = ref $body ? JSON::PP->new->encode($body) : $body if defined $body; # strings are UTF-8 already
	return HTTP::Tiny->new(timeout => 180)->request($method, $self->url . $path, \%options);
}

# The result; dies of a refusal.
sub call
{
	my ($self, @request) = @_;
	my $answer = $self->request(@request);
	die "$request[0] $request[1]: $answer->{status} $answer->{content}\n" unless $answer->{success};
	return decode_json($answer->{content})->{result};
}

sub path
{
	my ($self, $name, $rest) = @_;
	return "/collections/" . ($name =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ger) . ($rest // '');
}

# The whole name.
sub create
{
	my ($self, $name, $body) = @_;
	my $whole = "$self->{prefix}_$name";
	$self->call('PUT', $self->path($whole), $body // { vectors => { size => 2, distance => 'Dot' } });
	push @{ $self->{made} }, $whole;
	return $whole;
}

sub drop
{
	my ($self, $whole) = @_;
	$self->call('DELETE', $self->path($whole));
	$self->{made} = [ grep { $_ ne $whole } @{ $self->{made} } ];
	return;
}

sub load
{
	my ($self, $name, @points) = @_;
	while (my @batch = splice @points, 0, 500)
	{
		$self->call('PUT', $self->path($name, '/points?wait=true'), '{"points":[' . join(',', @batch) . ']}');
	}
	return;
}

sub index
{
	my ($self, $name, $key, $schema) = @_;
	return $self->call('PUT', $self->path($name, '/index?wait=true'), { field_name => $key, field_schema => $schema });
}

sub alias
{
	my ($self, $name, $alias) = @_;
	my $action = { create_alias => { collection_name => $name, alias_name => $alias } };
	$self->call('POST', '/collections/aliases', { actions => [$action] });
	return $alias;
}

# Moves what was recorded into the traffic; returns it.
sub collect
{
	my ($self, $by) = @_;
	my @seen = $self->{recorder}->requests;
	$self->{recorder}->forget;
	push @{ $self->{traffic} }, map { { %$_, by => $by } } @seen;
	return @seen;
}

# What the code gives, and what was asked of Qdrant meanwhile.
sub asked
{
	my ($self, $code) = @_;
	$self->collect('loader');
	my $result = $code->();
	return ($result, map {
			my $query = $_->{query} =~ s/[?&]timeout=\d+$//r;
			join ' ', $_->{method}, "$_->{path}$query", $_->{body} eq '' ? () : $_->{body}
		} $self->collect('wrapper'));
}

sub wire_problems
{
	my ($self) = @_;
	return undef unless $ENV{IU_QDRANT_NPM};
	$self->collect('loader');
	my $said = '';
	my @whole = grep { $_->{answer} } @{ $self->{traffic} };
	my $asked = encode_json([ map { my %one = %$_; delete @one{qw(time_ns number)}; \%one } @whole ]);
	my @check = ('node', "$peers/qdrant/check.js", $ENV{IU_QDRANT_NPM}, $self->is_stand_in ? '--closed' : ());
	IPC::Run::run([@check], '<', \$asked, '>', \$said)
	  or die "check.js failed\n";
	return @{ decode_json($said) };
}

sub clean
{
	my ($self) = @_;
	local ($?, $@);
	return if $self->{owner} != $$ || $self->{peer};
	eval { $self->drop($_) } foreach @{ $self->{made} };
	return;
}
END { $_->clean foreach @all }

1;
