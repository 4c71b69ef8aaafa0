# Pages of Directus that fail midway, contradict what was asked, or never end:
# no row comes twice, none is missing in silence, and every reading ends.
use strict;
use warnings;

use IU::Answers;
use IU::Canned;
use IU::Cluster;
use IU::SQL;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $json = JSON::PP->new->utf8->canonical;
my $broken = { status => 500, body => '{"errors":[{"message":"An unexpected error occurred.",'
	  . '"extensions":{"code":"INTERNAL_SERVER_ERROR"}}]}' };
my %asked;

sub refusal
{
	my ($reason) = @_;
	my $error = { message => "Invalid query. $reason.", extensions => { reason => $reason, code => 'INVALID_QUERY' } };
	return { status => 400, body => $json->encode({ errors => [$error] }) };
}

sub page
{
	my ($total, @items) = @_;
	return { status => 200, body => $json->encode({ meta => { filter_count => $total }, data => \@items }) };
}

# What a collection answers, by its name: told the request, the first item's number, the limit and the ids.
my %answer = (
	# the second page fails, once
	once => sub {
		my ($first, $limit, @ids) = @_;
		return $broken if $first > 1 && !$asked{once}++;
		return page(scalar @ids, map { { id => $_ } } splice @ids, $first - 1, $limit);
	},
	# the first request fails, once; and the second page always
	always => sub {
		my ($first, $limit, @ids) = @_;
		return @ids ? $broken : page(20, { id => '1' }) if !$asked{always}++ || $first > 1;
		return page(1, { id => '1' }) unless @ids;
		return page(scalar @ids, map { { id => $_ } } splice @ids, $first - 1, $limit);
	},
	# refuses ids, and shows an item without a key
	keyless => sub { my ($first, $limit, @ids) = @_; return @ids ? refusal('Invalid numeric value') : page(1, {}) },
	# another item behind every one
	endless => sub {
		my ($first, $limit) = @_;
		return page(10**15, map { { id => $_ } } $first .. $first + $limit - 1);
	},
	# more than an int, of which the rest is 5
	wide => sub { return refusal('"limit" must be less than or equal to 4294967301') },
	# long keys
	long => sub {
		my ($first, $limit) = @_;
		return page(300, map { { id => sprintf('%03d', $_) . 'x' x 10_000 } } $first .. $first + $limit - 1);
	});

sub directus
{
	my ($request) = @_;
	my ($path, $query) = split /\?/, $request->{path}, 2;
	my %of = map { s/%([0-9A-F]{2})/chr hex $1/ger } map { split /=/, $_, 2 } split /&/, $query // '';

	my $full = { read => { access => 'full', fields => ['*'] } };
	return directus_data($json->encode({ map { $_ => $full } keys %answer })) if $path eq '/permissions/me';
	my ($name) = $path =~ m{^/items/(\w+)$} or return { status => 404, body => '{}' };
	my @ids = $of{filter} ? @{ $json->decode($of{filter})->{_or}[0]{id}{_in} } : ();
	return $answer{$name}->(($of{offset} // 0) + 1, $of{limit}, @ids);
}

sub qdrant
{
	my ($request) = @_;
	return qdrant_result('{"aliases":[]}') if $request->{path} eq '/aliases';
	return qdrant_error(400, 'Bad request: Limit exceeded 1000 > 4294967301 for \"limit\". Help: None')
	  if $request->{path} =~ m{^/collections/wide/};
	my $id = sub { return sprintf '"00000000-0000-4000-8000-%012d"', $_[0] };
	my $from = substr $json->decode($request->{body})->{offset} // '1', -12;
	return qdrant_result('{"points":[{"id":' . $id->($from) . '}],"next_page_offset":' . $id->($from + 1) . '}');
}

my %peer = (directus => IU::Canned->start(\&directus, keep => 60), qdrant => IU::Canned->start(\&qdrant, keep => 60));
my $node = IU::Cluster->new_node('pages',
	'iu_core.databases' => '',
	'iu_core.max_response_size' => '64kB',
	'iu_core.allowed_origins' => join(', ', map { $_->url } values %peer),
	'iu_core.allowed_networks' => '127.0.0.0/8');
talk_to($node);
my %size = (long => 2);
sql('CREATE EXTENSION iu_core; CREATE SCHEMA directus; CREATE SCHEMA qdrant;'
	  . join('', map { "CREATE SERVER $_ FOREIGN DATA WRAPPER ${_}_fdw OPTIONS (url '@{[$peer{$_}->url]}');" }
		  keys %peer)
	  . join('', map { "CREATE FOREIGN TABLE directus.$_ (id text) SERVER directus OPTIONS (resource 'items',"
			  . " collection '$_', page_size '@{[$size{$_} // 10]}');" } keys %answer)
	  . "CREATE FOREIGN TABLE qdrant.wide (id text) SERVER qdrant OPTIONS (resource 'points', collection 'wide');"
	  . "CREATE FOREIGN TABLE qdrant.long (id text) SERVER qdrant"
	  . " OPTIONS (resource 'points', collection 'long', page_size '1')");

sub ids { return 'id = ANY (ARRAY(SELECT ' . $_[0] . ' FROM generate_series(1, 20) n))' }
sub of
{
	my ($collection, $ids) = @_;
	return "SELECT count(*), count(DISTINCT id) FROM directus.$collection WHERE " . ids($ids);
}

# ---- ids

like(ask(of('once', 'n::text')), qr/^ERROR:  HV000: .*HTTP 500/s,
	'a second page that is refused is an error: the ids of the first are not asked for again');
is(ask(of('once', 'n::text')), '20|20', 'asked again, each id is there once');
like(ask(of('always', q('x' || n))), qr/^ERROR:  HV000: .*HTTP 500/s,
	'a second page that is refused is an error, and not the end, where the ids are unlike other keys');
like(ask(of('keyless', 'n::text')), qr/^ERROR:  HV000: .*an item has no field "id" that could be its key/s,
	'an item without a key is an error, and no proof that there is no item with these ids');
like(ask("SET statement_timeout = '120s'; " . of('endless', 'n::text')),
	qr/^ERROR:  HV000: .*it gives more items than there are ids that were asked for/s,
	'more items than there are ids are an error, and are not read without end');

# ---- numbers

foreach my $api (sort keys %peer)
{
	my ($error, @requests) = $peer{$api}->asked(sub { ask("SELECT id FROM $api.wide") });
	like($error, qr/^ERROR:  HV000: .*HTTP 400: .*4294967301/s, "$api: a limit that is no int is an error");
	is(scalar(grep { $_->{path} =~ /wide/ } @requests), 1, "$api: and none that would be met by asking for less");
}

# ---- memory

# The bytes of a scan's requests after so many rows of a cursor, and after more.
foreach my $case ([ directus => 'long', 20, 100 ], [ qdrant => 'long', 100, 600 ])
{
	my ($api, $name, @rows) = @$case;
	my $bytes = q(SELECT sum(total_bytes) FROM pg_backend_memory_contexts WHERE name = 'iu_core requests';);
	my ($few, $many) = split /\n/, ask("BEGIN; DECLARE c CURSOR FOR SELECT id FROM $api.$name;"
		  . join('', map { "MOVE $_ FROM c; $bytes" } @rows));
	cmp_ok($many - $few, '<', 16384, "$api: a reading takes no more memory after more pages: $few, then $many bytes");
}

$node->stop;
done_testing();
