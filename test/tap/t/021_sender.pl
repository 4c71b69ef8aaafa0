# The sender process from the outbox to the wire and back, against receivers
# that behave and receivers that do not.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::Receiver;
use IU::Routes;
use IU::Signature;
use IU::SQL;
use IU::Wait;
use PostgreSQL::Test::Utils;
use Test::More;

my $receiver = IU::Receiver->start;
my $node = IU::Cluster->init_node('sender', { installed => 1 },
	'iu_core.allowed_origins' => $receiver->origin, 'iu_core.allowed_networks' => '127.0.0.0/8');
$node->start;

talk_to($node);

my $gate = 'iu_core.delivery_enabled';
my $sender = "SELECT pid FROM iu_core.worker_status WHERE role = 'sender' AND state = 'running'";

# Live, with one attempt a delivery.
sub add
{
	my ($route, $path, %options) = @_;
	return add_route($route, $receiver->origin . $path, retry => \%IU::Routes::ONCE, timeout_ms => 60000, %options);
}
sub happen { return emit($_[0], payload => q('{"word": "caf\u00e9"}')) }
sub arrived { return $receiver->arrived(@_) }

IU::Cluster->install($node);
switches_on();
becomes("SELECT EXISTS ($sender)", 'the sender runs');
IU::Gate->open($node, $gate, 3600);

note 'what goes over the wire';
my $secret = add('good', '/echo');
my @events = happen(3);
becomes('SELECT ' . attempts('good', 'sent') . ' = 3', 'each of three events is recorded as sent');
my @seen = arrived('/echo');
is(scalar @seen, 3, 'each of three events arrives once');
for my $request (@seen)
{
	is($request->{headers}{'webhook-signature'}, right_signature($secret, @$request{qw(headers body)}),
		'the signature is over id, timestamp and body');
}
my $headers = $seen[0]{headers};
is($headers->{'content-type'}, 'application/json', 'a delivery says that its body is JSON');
is($headers->{'user-agent'}, 'iu_core/' . sql('SELECT iu_core.version()'),
	'a delivery says by its User-Agent that iu_core sends it');
like($headers->{'webhook-timestamp'}, qr/^\d{10}$/, 'a delivery carries the time in seconds');
like($seen[0]{body}, qr/caf\xc3\xa9/, 'the body of a delivery is in UTF-8');
is(sql("SELECT string_agg(DISTINCT concat_ws(' ', http_status, sender, duration_us > 0, response_excerpt <> ''), ',')"
	  . " FROM iu_route_attempt"),
	'200 iu_core sender 1 t t', 'an attempt records status, sender, duration and the beginning of the answer');

note 'the gate';
IU::Gate->close($node, $gate);
@events = happen(1);
is(sql("SELECT fn_iu_route_explain('good', '$events[0]') ->> 'code'"), 'delivery_gate_closed',
	'an event that is emitted while the gate is closed is held');
is(scalar arrived('/echo'), 3, 'while the gate is closed nothing arrives');
IU::Gate->open($node, $gate, 3600);
becomes('SELECT ' . attempts('good', 'sent') . ' = 4', 'when the gate is opened again the held event is sent');

note 'a flow of Directus, which is a webhook too';
add('flow', '/echo?flow', kind => 'directus_flow');
happen(1);
becomes('SELECT ' . attempts('flow', 'sent') . ' = 1', 'a route to a flow of Directus gets its event');
is(scalar arrived('/echo?flow'), 1, 'a flow of Directus gets its event by POST');
like(error_of("SELECT fn_iu_route_secret_end('flow', 'infinity', 'tester', 'test')"),
	qr/this would leave route "flow" without a valid signing secret/,
	'the only secret of a live route cannot be ended');
retire('flow');

note 'woken while it waits for a lock, which uses up its latch';
my $status = "FROM iu_core.worker_status WHERE role = 'sender'";
my $waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'iu_core sender' AND wait_event_type"
	  . " = 'Lock')";
my $claimed = sql("SELECT counters ->> 'claimed' $status");
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE iu_route_worker_cursor');
wait_until("SELECT iu_core.wake(); $waits", "\nt");
happen(1);
$holder->query_safe('COMMIT');
$holder->quit;
becomes("SELECT next_wakeup > clock_timestamp() + interval '10 s' AND last_error IS NULL $status",
	'a sender that was woken while it waited for a lock goes to sleep again afterwards');
is(sql("SELECT (counters ->> 'claimed')::bigint - $claimed $status"), 1,
	'a sender that was woken while it waited for a lock claims the new event before it sleeps');

note 'receivers that misbehave';
my %fate = (
	redirect => 'http_302', close => 'connection_lost', garbage => 'not_http', gone => 'http_410',
	hang => 'timed_out', flood => 'response_too_large', binary => '');
IU::Cluster->reload($node, 'iu_core.max_response_size' => '64kB');
add($_, "/$_", timeout_ms => $fate{$_} eq 'timed_out' ? 3000 : 60000) for sort keys %fate;
add_route('nobody', 'http://127.0.0.1:1/');
happen(1);
becomes('SELECT ' . attempts('good', 'sent') . ' = 7',
	'beside receivers that misbehave the one that behaves gets its event');
for my $route (sort keys %fate)
{
	becomes("SELECT count(*) = 1 FROM iu_route_attempt WHERE route_code = '$route'",
		"route $route: one attempt is recorded");
	is(sql("SELECT coalesce(failure_code, '') FROM iu_route_attempt WHERE route_code = '$route'"), $fate{$route},
		"route $route: its failure is recorded as " . ($fate{$route} || 'none'));
}
is(sql("SELECT response_excerpt FROM iu_route_attempt WHERE route_code = 'binary'"), "a?b?\xc3\xa9",
	'bytes of an answer that are no text are kept as ?');
is(scalar(grep { $_->{line} =~ /echo/ } arrived('/redirect')), 0, 'a redirect is not followed');
is(sql("SELECT enabled FROM iu_outbound_route WHERE route_code = 'gone'"), 'f',
	'a receiver that answers 410 disables its route');
is(sql("SELECT count(*) FROM iu_route_attempt WHERE route_code = 'nobody'"), '0',
	'a route whose origin is not allowed makes no attempt');
is(sql("SELECT iu.fn_iu_delivery_refusal('nobody')"), 'origin_not_allowed',
	'a route whose origin is not allowed is held for that');
is(sql("SELECT max(octet_length(response_excerpt)) <= 1024 FROM iu_route_attempt"), 't',
	'no excerpt of an answer is longer than 1024 bytes');
retire(sort keys %fate);

note 'a receiver that wants fewer requests';
add('busy', '/busy');
happen(3);
becomes("SELECT EXISTS (SELECT FROM iu_route_retry WHERE route_code = 'busy' AND reason = 'http_429'"
	  . " AND attempt_no = 1) AND EXISTS (SELECT FROM iu_route_circuit WHERE route_code = 'busy' AND open_s = 17)",
	'a 429 costs no attempt, and lets the whole route wait as long as Retry-After says');
is(sql('SELECT ' . attempts('busy', 'failed')), '0', 'a 429 is no attempt that failed');
retire('busy');

note 'an address that is not allowed';
add($_, '/ok') foreach 'inside', 'other';
retire('good');
IU::Cluster->reload($node, 'iu_core.allowed_networks' => '10.0.0.0/8');
@events = happen(1);
becomes("SELECT count(*) = 2 FROM iu_route_retry WHERE reason = 'address_refused'",
	'a delivery whose address is not allowed is held');
is(sql("SELECT fn_iu_route_explain('inside', '$events[0]') ->> 'code'"), 'address_refused',
	'the explanation of the event says that the address is refused');
like(sql("SELECT sentence FROM v_iu_route_held WHERE route_code = 'inside'"),
	qr/^address 127\.0\.0\.1 of origin "http:.* is not public and not in iu_core.allowed_networks$/,
	'the explanation of the route names address, origin and setting');
is(sql('SELECT ' . attempts('inside', 'failed')), '0', 'a delivery whose address is not allowed costs no attempt');
IU::Cluster->reload($node, 'iu_core.allowed_networks' => '127.0.0.0/8');
sql("UPDATE iu_route_retry SET due_at = clock_timestamp(); SELECT iu_core.wake()");
becomes('SELECT ' . attempts('inside', 'sent') . ' = 1',
	'a delivery whose address is allowed again is sent, though its route has one attempt');
retire('inside', 'other');

note 'nothing unsigned';
add('signed', '/keep');
sql("ALTER FUNCTION iu.fn_iu_delivery_refusal(text) RENAME TO fn_refusal;
	CREATE FUNCTION iu.fn_iu_delivery_refusal(p_route_code text) RETURNS text LANGUAGE sql SECURITY DEFINER AS
	  \$\$SELECT nullif(iu.fn_refusal(p_route_code), 'secret_missing')\$\$;
	UPDATE iu_route_secret SET valid_until = clock_timestamp() WHERE secret_ref = 'signed'");
@events = happen(1);
becomes("SELECT EXISTS (SELECT FROM iu_route_retry WHERE route_code = 'signed' AND reason = 'secret_missing')",
	"an event whose route's secret ends between check and claim is held");
is(scalar arrived('/keep'), 0, 'an event without a secret is not sent unsigned');
sql("DROP FUNCTION iu.fn_iu_delivery_refusal(text); ALTER FUNCTION iu.fn_refusal(text) RENAME TO"
	  . " fn_iu_delivery_refusal;"
	  . " SELECT fn_iu_route_secret_add('signed', 'tester', 'test')");
becomes('SELECT ' . attempts('signed', 'sent') . ' = 1',
	'an event that was held for want of a secret is sent when there is one');
retire('signed');
sql('DELETE FROM iu_route_attempt WHERE route_code = \'good\'');
add('good2', '/echo');

note 'a slow receiver and the others';
add('slow', '/half', timeout_ms => 300000);
happen(40);
becomes('SELECT ' . attempts('good2', 'sent') . ' = 40',
	'forty events go to a fast receiver while a slow one keeps its requests');
is(sql('SELECT ' . attempts('slow', 'sent') . ' + ' . attempts('slow', 'failed')), '0',
	"the slow receiver's requests are still under way");
becomes("SELECT xact_start IS NULL AND backend_xmin IS NULL FROM pg_stat_activity WHERE backend_type = 'iu_core"
	  . " sender'",
	'while the sender waits for an answer it has no transaction and no snapshot');
becomes("SELECT NOT EXISTS (SELECT FROM pg_locks WHERE pid = ($sender))",
	'while the sender waits for an answer it holds no lock');

note 'a sender that ends with requests under way';
my %before = map { $_->{headers}{'webhook-id'} => 1 } arrived('/half');
my $pid = sql($sender);
sql("SELECT pg_cancel_backend($pid)");
happen(1);
becomes('SELECT ' . attempts('good2', 'sent') . ' = 41', 'a sender that is cancelled goes on to deliver');
is(sql($sender), $pid, "a cancel does not end the sender's process");
sql("SELECT pg_terminate_backend($pid)");
becomes("SELECT EXISTS ($sender AND pid <> $pid)", 'a sender that is terminated is replaced');
ok(
	wait_for
	{
		my %times;
		$times{ $_->{headers}{'webhook-id'} }++ foreach arrived('/half');
		grep { $times{$_} > 1 } keys %before;
	}, 'what was under way when the sender ended is sent again under the same webhook-id');
retire('slow');

note 'recording fails';
my $count = scalar arrived('/echo');
sql('REVOKE EXECUTE ON FUNCTION iu.fn_iu_delivery_record_batch FROM iu_core_worker');
happen(1);
becomes("SELECT state = 'failing' AND last_error LIKE 'permission denied for function fn_iu_delivery_record_batch'"
	  . " FROM iu_core.worker_status WHERE role = 'sender'",
	'the status of a sender that may not record says why');
sql('GRANT EXECUTE ON FUNCTION iu.fn_iu_delivery_record_batch TO iu_core_worker');
becomes('SELECT ' . attempts('good2', 'sent') . ' = 42', 'what could not be recorded is recorded as soon as it can be');
is(scalar arrived('/echo'), $count + 1, 'what could not be recorded is sent only once');
becomes("SELECT EXISTS ($sender)", 'a sender that can record again is running');
$count = scalar arrived('/echo');
my $lock = $node->background_psql('postgres');
$lock->query_safe('BEGIN; LOCK TABLE iu_route_attempt IN EXCLUSIVE MODE');
happen(2);
becomes("SELECT state = 'failing' FROM iu_core.worker_status WHERE role = 'sender'",
	'a sender whose table of attempts is locked is failing');
sql("REVOKE EXECUTE ON FUNCTION iu.fn_iu_delivery_keep(bigint, integer) FROM iu_core_worker; UPDATE iu_route_lease"
	  . " SET expires_at = clock_timestamp() WHERE route_code = 'good2'; SELECT iu_core.wake()");
becomes("SELECT max(generation) > 1 FROM iu_route_lease WHERE route_code = 'good2'",
	'a lease that cannot be kept ends, and its own sender takes it over');
$lock->query_safe('COMMIT');
$lock->quit;
sql('GRANT EXECUTE ON FUNCTION iu.fn_iu_delivery_keep(bigint, integer) TO iu_core_worker');
becomes('SELECT ' . attempts('good2', 'sent') . ' = 44',
	'what could not be recorded before the lease ended is recorded in the end');
is(scalar arrived('/echo'), $count + 2,
	'what is known to have been sent is not sent again when its lease was taken over');

$node->stop;
$receiver->stop;
done_testing();
