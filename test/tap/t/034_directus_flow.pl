# A route to a flow of Directus: the real one, or with PEERS=light the stand-in.
# An event makes the flow write an item; what a flow answers when it is not
# there or fails is classified.
use strict;
use warnings;

use IU::Cluster;
use IU::Directus;
use IU::Gate;
use IU::Routes;
use IU::SQL;
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;

my ($url, $token) = @ENV{qw(DIRECTUS_URL DIRECTUS_ADMIN_TOKEN)};
plan skip_all => 'no Directus' unless $url && $token;

my $directus = IU::Directus->new($url, $token);

# A flow that POST /flows/trigger/ID starts, with one operation.
sub flow
{
	my ($name, $type, $options, %more) = @_;
	my $flow = $directus->call('POST', '/flows',
		{ name => $name, trigger => 'webhook', status => 'active', accountability => 'all',
		options => { method => 'POST', return => '$last', %more } })->{id};
	my $operation = $directus->call('POST', '/operations',
		{ flow => $flow, key => 'only', name => $name, type => $type, options => $options, position_x => 19,
		position_y => 1 })->{id};
	$directus->call('PATCH', "/flows/$flow", { operation => $operation });
	return $flow;
}

my $collection = 'iu_deliveries';
$directus->call('POST', '/collections', { collection => $collection, schema => {}, meta => {}, fields => [
	{ field => 'id', type => 'integer',
	schema => { is_primary_key => JSON::PP::true, has_auto_increment => JSON::PP::true }, meta => {} },
	map { { field => $_, type => 'string', schema => {}, meta => {} } } qw(event_id kind webhook_id title) ] });
my %item = (event_id => '{{$trigger.body.data.event_id}}', kind => '{{$trigger.body.type}}',
	webhook_id => '{{$trigger.headers[webhook-id]}}', title => '{{$trigger.body.data.payload.title}}');
my $throws = { code => 'ORDER_REFUSED', status => '422', message => 'the flow refuses' };
my %flow = (
	writes  => flow('writes', 'item-create',
	{ collection => $collection, permissions => '$full', emitEvents => JSON::PP::false, payload => \%item }),
	refuses => flow('refuses', 'throw-error', $throws, error_on_reject => JSON::PP::true),
	hushed  => flow('hushed', 'throw-error', $throws),
	nowhere => flow('nowhere', 'item-create',
	{ collection => 'iu_no_such_collection', permissions => '$full', payload => \%item },
	error_on_reject => JSON::PP::true),
	paused  => flow('paused', 'item-create', { collection => $collection, permissions => '$full', payload => \%item }),
	absent  => '00000000-0000-4000-8000-000000000000',
	no_flow => 'not-an-id',
);
$directus->call('PATCH', "/flows/$flow{paused}", { status => 'inactive' });

my $node = IU::Cluster->new_installed('flow', 'iu_core.allowed_origins' => $url,
	'iu_core.allowed_networks' => '127.0.0.0/8');
talk_to($node);
sub items { return @{ $directus->call('GET', "/items/$collection?sort=id&limit=-1") } }

switches_on();
IU::Gate->open($node, 'iu_core.delivery_enabled', 3600);
sub add
{
	return add_route($_[0], "$url/flows/trigger/$flow{$_[0]}", kind => 'directus_flow', retry => \%IU::Routes::ONCE,
		timeout_ms => 120000);
}

note 'a flow that writes';
add('writes');
my @events = emit(3, payload => "jsonb_build_object('title', 'caf' || chr(233) || ' ' || n)");
becomes("SELECT count(*) = 3 FROM iu_route_attempt WHERE route_code = 'writes'",
	'three events are attempted on a route to a flow that writes');
is(sql("SELECT string_agg(DISTINCT status || ' ' || http_status, ',') FROM iu_route_attempt"), 'sent 200',
	'a flow that writes answers 200, and its events are sent');
my %made = map { $_->{event_id} => $_ } items();
is_deeply([ sort keys %made ], [ sort @events ], 'each event made one item');
is_deeply([ sort map { $_->{title} } values %made ], [ map { "caf\x{e9} $_" } 1 .. 3 ],
	"each item has the title that its event's payload holds");
is_deeply({ map { $_->{kind} => 1 } values %made }, { 'iu.version_applied' => 1 },
	'each item has the type of its event');
is(sql("SELECT idempotency_key FROM iu_route_attempt WHERE event_ref = '$events[0]'"), $made{ $events[0] }{webhook_id},
	'an item has the webhook-id of its attempt, by which a flow knows a repetition');
retire('writes');

note 'flows that do not';
# a flow whose operation names a collection that is not there: 500 of Directus 11, 403 since 12
my $nowhere = IU::Directus::is_since(12) ? 'http_403' : 'http_500';
my %expected = (refuses => 'http_422', nowhere => $nowhere, absent => 'http_403', no_flow => 'http_404',
	paused => 'http_403', hushed => '');
add($_) foreach sort keys %expected;
emit(1);
foreach my $route (sort keys %expected)
{
	becomes("SELECT EXISTS (SELECT FROM iu_route_attempt WHERE route_code = '$route')",
		"a flow that does not write, $route: an attempt is recorded");
	is(sql("SELECT coalesce(failure_code, '') FROM iu_route_attempt WHERE route_code = '$route'"), $expected{$route},
		"a flow that does not write, $route: the failure is " . ($expected{$route} || 'none, it counts as delivered'))
	  or diag(sql("SELECT response_excerpt FROM iu_route_attempt WHERE route_code = '$route'"));
}
like(sql("SELECT response_excerpt FROM iu_route_attempt WHERE route_code = 'refuses'"),
	qr/the flow refuses.*ORDER_REFUSED/, 'the words of a flow that refuses are kept in the excerpt');
is(sql('SELECT count(*) FROM v_iu_route_dead_letter_open'), 5, 'every event that a flow did not take is a dead letter');
is(scalar items(), 3, 'an event that a flow did not take makes no item');

$directus->call('DELETE', "/flows/$flow{$_}") foreach qw(writes refuses hushed nowhere paused);
$directus->call('DELETE', "/collections/$collection");
$node->stop;
done_testing();
