# Headers and credentials of routes on the wire: they arrive as they were given, a
# credential that changes is used from the next claim on, and no secret is in what
# is recorded, though the receiver shows it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IU::Cluster;
use IU::Gate;
use IU::Receiver;
use IU::Routes;
use IU::SQL;
use Test::More;

my $receiver = IU::Receiver->start;
my $node = IU::Cluster->new_installed('headers', 'iu_core.allowed_origins' => $receiver->origin,
	'iu_core.allowed_networks' => '127.0.0.0/8');
talk_to($node);
switches_on();
IU::Gate->open($node, 'iu_core.delivery_enabled', 3600);

sub credential { return sql("SELECT fn_iu_route_credential_put('$_[0]', '$_[1]', 'tester', 'test') ->> 'status'") }

sub arrives
{
	my ($name) = @_;
	my $before = $receiver->arrived('/echo');
	emit(1);
	becomes('SELECT NOT EXISTS (SELECT FROM v_iu_event_backlog WHERE waiting + retrying + leased > 0)', $name);
	my ($request) = ($receiver->arrived('/echo'))[$before];
	return $request->{headers};
}

credential('token', 'rWzq7bT2kXv0');
credential('login', 'mirror:pa:ss-word');
add_route('hook', $receiver->origin . '/echo', timeout_ms => 60000, idle => 1);
sql(q(SELECT fn_iu_route_set('hook', 'tester', 'test', p_headers =>
	'{"X-Tenant": "a b", "X-Key": {"secret": "token"}, "Authorization": {"bearer": "token"}}')));
sql("SELECT fn_iu_route_allow('hook', 'tester', 'test'); SELECT fn_iu_route_arm('hook', 'tester', 'test')");

my $headers = arrives('an event is delivered with headers');
is($headers->{'x-tenant'}, 'a b', 'a header arrives as it was given');
is($headers->{'x-key'}, 'rWzq7bT2kXv0', 'a header that is a secret has its value');
is($headers->{authorization}, 'Bearer rWzq7bT2kXv0', 'a bearer token arrives');
like($headers->{'webhook-signature'}, qr/^v1,/, 'the delivery is signed all the same');
is($headers->{'content-type'}, 'application/json', 'what the sender says of the body stays');
like(sql('SELECT response_excerpt FROM iu_route_attempt ORDER BY id DESC LIMIT 1'), qr/Bearer \*{12}/i,
	'where the receiver shows what it was sent, the record has asterisks');

is(credential('token', 'aNoTher0ne11'), 'replaced', 'a credential gets another value');
is(arrives('an event is delivered with the new value')->{'x-key'}, 'aNoTher0ne11',
	'the new value of a credential is used from the next claim on');

sql(q(SELECT fn_iu_route_set('hook', 'tester', 'test', p_headers => '{"Authorization": {"basic": "login"}}')));
is(arrives('an event is delivered with user and password')->{authorization}, 'Basic bWlycm9yOnBhOnNzLXdvcmQ=',
	'user and password arrive in base64');

sql(q(DELETE FROM iu_route_credential WHERE credential_ref = 'login'));
emit(1);
becomes("SELECT code = 'credential_missing' FROM v_iu_route_held", 'without its credential the event is held');
credential('login', 'mirror:another');
becomes('SELECT ' . attempts('hook', 'sent') . ' = 4', 'with its credential again the event goes out');
is(sql("SELECT count(*) FROM iu_route_attempt a WHERE a::text ~ '(rWzq7bT2kXv0|aNoTher0ne11|bWlycm9y|ss-word)'"), '0',
	'no secret is in an attempt');
is(sql('SELECT count(*) FROM iu_route_attempt WHERE failure_code IS NOT NULL'), '0', 'nothing failed');
$node->stop;
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile),
	qr/^(?!.*STATEMENT|.*statement:).*(?:rWzq7bT2kXv0|aNoTher0ne11)/m,
	'no secret is in the server log but where a statement had it');
done_testing();
