# A route to a flow of Directus: the real one, or with PEERS=light the stand-in.
# An event makes the flow write an item; what a flow answers when it is not
# there or fails is classified.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use HTTP::Tiny;
use IU::Cluster;
use JSON::PP qw(decode_json encode_json);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($url, $token) = @ENV{qw(DIRECTUS_URL DIRECTUS_ADMIN_TOKEN)};
plan skip_all => 'no Directus' unless $url && $token;

sub directus
{
	my ($method, $path, $value) = @_;
	my $answer = HTTP::Tiny->new(timeout => 30)->request($method, "$url$path",
		{ headers => { authorization => "Bearer $token", 'content-type' => 'application/json' }, defined $value ? (content => encode_json($value)) : () });
	die "$method $path: $answer->{status} $answer->{content}\n" unless $answer->{success};
	return $answer->{content} eq '' ? undef : decode_json($answer->{content})->{data};
}

# A flow that POST /flows/trigger/ID starts, with one operation.
sub flow
{
	my ($name, $type, $options, %more) = @_;
	my $flow = directus('POST', '/flows', { name => $name, trigger => 'webhook', status => 'active', accountability => 'all',
		options => { method => 'POST', return => '$last', %more } })->{id};
	my $operation = directus('POST', '/operations', { flow => $flow, key => 'only', name => $name, type => $type, options => $options, position_x => 19, position_y => 1 })->{id};
	directus('PATCH', "/flows/$flow", { operation => $operation });
	return $flow;
}

my $collection = 'iu_deliveries';
directus('POST', '/collections', { collection => $collection, schema => {}, meta => {}, fields => [
	{ field => 'id', type => 'integer', schema => { is_primary_key => JSON::PP::true, has_auto_increment => JSON::PP::true }, meta => {} },
	map { { field => $_, type => 'string', schema => {}, meta => {} } } qw(event_id kind webhook_id title) ] });
my %item = (event_id => '{{$trigger.body.data.event_id}}', kind => '{{$trigger.body.type}}',
	webhook_id => '{{$trigger.headers[webhook-id]}}', title => '{{$trigger.body.data.payload.title}}');
my $throws = { code => 'ORDER_REFUSED', status => '422', message => 'the flow refuses' };
my %flow = (
	writes  => flow('writes', 'item-create', { collection => $collection, permissions => '$full', emitEvents => JSON::PP::false, payload => \%item }),
	refuses => flow('refuses', 'throw-error', $throws, error_on_reject => JSON::PP::true),
	hushed  => flow('hushed', 'throw-error', $throws),
	nowhere => flow('nowhere', 'item-create', { collection => 'iu_no_such_collection', permissions => '$full', payload => \%item }, error_on_reject => JSON::PP::true),
	paused  => flow('paused', 'item-create', { collection => $collection, permissions => '$full', payload => \%item }),
	absent  => '00000000-0000-4000-8000-000000000000',
	no_flow => 'not-an-id',
);
directus('PATCH', "/flows/$flow{paused}", { status => 'inactive' });

my $node = IU::Cluster->new_node('flow', 'iu_core.allowed_origins' => $url, 'iu_core.allowed_networks' => '127.0.0.0/8');
IU::Cluster->install($node);
sub sql { return $node->safe_psql('postgres', $_[0]) }
sub becomes { my ($query, $name) = @_; return ok($node->poll_query_until('postgres', $query), $name) }
sub items { return @{ directus('GET', "/items/$collection?sort=id&limit=-1") } }

sql("SELECT fn_iu_switch_set(k, 'true', 'tester', 'test') FROM unnest(ARRAY['iu_core.routes_master_enabled', 'iu_core.route_worker_enabled']) k");
IU::Cluster->open_gate($node, 'iu_core.delivery_enabled', 600);
sub add_route
{
	my ($route) = @_;
	sql("SELECT fn_iu_route_add('$route', 'version_applied', '$url/flows/trigger/$flow{$route}', 'tester', 'test', 'directus_flow', p_retry_policy => '{\"max_attempts\": 1}', p_timeout_ms => 60000);
		SELECT fn_iu_route_allow('$route', 'tester', 'test'); SELECT fn_iu_route_arm('$route', 'tester', 'test')");
	return;
}

note 'a flow that writes';
add_route('writes');
my @events = split /\n/, sql("SELECT fn_iu_emit_event('version_applied', 'A/' || n, gen_random_uuid(), 'tester', jsonb_build_object('title', 'caf' || chr(233) || ' ' || n)) FROM generate_series(1, 3) n");
becomes("SELECT count(*) = 3 FROM iu_route_attempt WHERE route_code = 'writes'", 'three events are sent to it');
is(sql("SELECT string_agg(DISTINCT status || ' ' || http_status, ',') FROM iu_route_attempt"), 'sent 200', 'and taken');
my %made = map { $_->{event_id} => $_ } items();
is_deeply([ sort keys %made ], [ sort @events ], 'each made an item');
is_deeply([ sort map { $_->{title} } values %made ], [ map { "caf\x{e9} $_" } 1 .. 3 ], 'with what the event holds');
is_deeply({ map { $_->{kind} => 1 } values %made }, { 'iu.version_applied' => 1 }, 'and its type');
is(sql("SELECT idempotency_key FROM iu_route_attempt WHERE event_ref = '$events[0]'"), $made{ $events[0] }{webhook_id}, 'and the webhook-id by which a flow knows a repetition');
sql("SELECT fn_iu_route_retire('writes', 'tester', 'test')");

note 'flows that do not';
my %expected = (refuses => 'http_422', nowhere => 'http_500', absent => 'http_403', no_flow => 'http_404', paused => 'http_403', hushed => '');
add_route($_) foreach sort keys %expected;
sql("SELECT fn_iu_emit_event('version_applied', 'A/1', gen_random_uuid(), 'tester')");
foreach my $route (sort keys %expected)
{
	becomes("SELECT EXISTS (SELECT FROM iu_route_attempt WHERE route_code = '$route')", "$route: an attempt");
	is(sql("SELECT coalesce(failure_code, '') FROM iu_route_attempt WHERE route_code = '$route'"), $expected{$route}, "$route: " . ($expected{$route} || 'taken for delivered'))
	  or diag(sql("SELECT response_excerpt FROM iu_route_attempt WHERE route_code = '$route'"));
}
like(sql("SELECT response_excerpt FROM iu_route_attempt WHERE route_code = 'refuses'"), qr/the flow refuses.*ORDER_REFUSED/, 'the flow\'s own words are kept');
is(sql('SELECT count(*) FROM v_iu_route_dead_letter_open'), 5, 'what was not taken is a dead letter');
is(scalar items(), 3, 'and made no item');

directus('DELETE', "/flows/$flow{$_}") foreach qw(writes refuses hushed nowhere paused);
directus('DELETE', "/collections/$collection");
$node->stop;
done_testing();
