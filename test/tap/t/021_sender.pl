# The sender process from the outbox to the wire and back, against receivers
# that behave and receivers that do not.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Digest::SHA qw(hmac_sha256_base64);
use IU::Cluster;
use IU::Receiver;
use MIME::Base64 qw(decode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $receiver = IU::Receiver->start;
my $node = IU::Cluster->init_node('sender', {},
	'iu_core.allowed_origins' => $receiver->origin, 'iu_core.allowed_networks' => '127.0.0.0/8');
$node->start;

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub becomes { my ($query, $name) = @_; return ok($node->poll_query_until('postgres', $query), $name) }
sub emit { return split(/\n/, sql("SELECT fn_iu_emit_event('version_applied', 'A/' || n, gen_random_uuid(), 'tester', '{\"word\": \"caf\\u00e9\"}') FROM generate_series(1, $_[0]) n")) }
sub arrived { my ($path) = @_; return grep { $_->{line} =~ m{^POST $path } } $receiver->requests }
sub open_gate { return IU::Cluster->open_gate($node, 'iu_core.delivery_enabled', 600) }
sub close_gate { return sql("SELECT fn_iu_gate_close('iu_core.delivery_enabled', 'tester', 'test') ->> 'status'") }
sub sender { return "SELECT pid FROM iu_core.worker_status WHERE role = 'sender' AND state = 'running'" }

# A route that is live, with one attempt a delivery unless told otherwise.
sub add_route
{
	my ($route, $url, %options) = @_;
	my $retry = $options{retry} // '{"max_attempts": 1, "base_s": 1, "max_s": 1, "jitter": 0}';
	my $timeout = $options{timeout_ms} // 10000;
	my $kind = $options{kind} // 'external_endpoint';
	sql("SELECT fn_iu_route_add('$route', 'version_applied', '$url', 'tester', 'test', '$kind', p_timeout_ms => $timeout, p_retry_policy => '$retry');
	     SELECT fn_iu_route_allow('$route', 'tester', 'test'); SELECT fn_iu_route_arm('$route', 'tester', 'test')");
	return;
}

sub retire { return sql("SELECT fn_iu_route_retire('$_[0]', 'tester', 'test')") }
sub attempts { return "(SELECT count(*) FROM iu_route_attempt WHERE route_code = '$_[0]' AND status = '$_[1]')" }

IU::Cluster->install($node);
sql("SELECT fn_iu_switch_set(k, 'true', 'tester', 'test') FROM unnest(ARRAY['iu_core.routes_master_enabled', 'iu_core.route_worker_enabled']) k");
becomes('SELECT EXISTS (' . sender() . ')', 'the sender runs');
open_gate();

note 'what goes over the wire';
add_route('good', $receiver->origin . '/echo');
my @events = emit(3);
becomes('SELECT ' . attempts('good', 'sent') . ' = 3', 'three events, three attempts');
my @seen = arrived('/echo');
is(scalar @seen, 3, 'that arrived once each');
my $secret = sql("SELECT secret FROM iu_route_secret WHERE secret_ref = 'good'");
(my $key = $secret) =~ s/^whsec_//;
for my $request (@seen)
{
	my $h = $request->{headers};
	my $right = hmac_sha256_base64("$h->{'webhook-id'}.$h->{'webhook-timestamp'}.$request->{body}", decode_base64($key));
	$right .= '=' while length($right) % 4;
	is($h->{'webhook-signature'}, "v1,$right", 'signed over id, timestamp and body');
}
my $headers = $seen[0]{headers};
is($headers->{'content-type'}, 'application/json', 'as JSON');
is($headers->{'user-agent'}, 'iu_core/' . sql('SELECT iu_core.version()'), 'by us');
like($headers->{'webhook-timestamp'}, qr/^\d{10}$/, 'with the time');
like($seen[0]{body}, qr/caf\xc3\xa9/, 'in UTF-8');
is(sql("SELECT string_agg(DISTINCT concat_ws(' ', http_status, sender, duration_us > 0, response_excerpt <> ''), ',') FROM iu_route_attempt"),
	'200 iu_core sender 1 t t', 'the attempts say what came back');

note 'the gate';
close_gate();
@events = emit(1);
is(sql("SELECT fn_iu_route_explain('good', '$events[0]') ->> 'code'"), 'delivery_gate_closed', 'a closed gate holds');
is(scalar arrived('/echo'), 3, 'nothing arrived');
open_gate();
becomes('SELECT ' . attempts('good', 'sent') . ' = 4', 'opened again, it goes');

note 'a flow of Directus, which is a webhook too';
add_route('flow', $receiver->origin . '/echo?flow', kind => 'directus_flow');
emit(1);
becomes('SELECT ' . attempts('flow', 'sent') . ' = 1', 'it gets its event');
is(scalar arrived('/echo\\?flow'), 1, 'by POST');
$node->psql('postgres', "SELECT fn_iu_route_secret_end('flow', 'infinity', 'tester', 'test')", stderr => \my $refused);
like($refused, qr/this would leave route "flow" without a valid signing secret/, 'its only secret is not ended while it is live');
retire('flow');

note 'woken while it waits for a lock, which uses up its latch';
my $status = "FROM iu_core.worker_status WHERE role = 'sender'";
my $waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'iu_core sender' AND wait_event_type = 'Lock')";
my $claimed = sql("SELECT counters ->> 'claimed' $status");
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE iu_route_worker_cursor');
$node->poll_query_until('postgres', "SELECT iu_core.wake(); $waits", "\nt");
emit(1);
$holder->query_safe('COMMIT');
$holder->quit;
becomes("SELECT next_wakeup > clock_timestamp() + interval '10 s' AND last_error IS NULL $status", 'before it goes to sleep again');
is(sql("SELECT (counters ->> 'claimed')::bigint - $claimed $status"), 1, 'it looks what there is');

note 'receivers that misbehave';
my %fate = (
	redirect => 'http_302', close => 'connection_lost', garbage => 'not_http', busy => 'http_429', gone => 'http_410',
	hang => 'timed_out', flood => 'response_too_large', binary => '');
IU::Cluster->reload($node, 'iu_core.max_response_size' => '64kB');
add_route($_, $receiver->origin . "/$_", timeout_ms => 1000) for sort keys %fate;
add_route('nobody', 'http://127.0.0.1:1/');
emit(1);
becomes('SELECT ' . attempts('good', 'sent') . ' = 7', 'the good one gets its event');
for my $route (sort keys %fate)
{
	becomes("SELECT count(*) = 1 FROM iu_route_attempt WHERE route_code = '$route'", "$route: one attempt");
	is(sql("SELECT coalesce(failure_code, '') FROM iu_route_attempt WHERE route_code = '$route'"), $fate{$route}, "$route: told");
}
is(sql("SELECT response_excerpt FROM iu_route_attempt WHERE route_code = 'binary'"), "a?b?\xc3\xa9", 'bytes that are no text');
is(scalar(grep { $_->{line} =~ /echo/ } arrived('/redirect')), 0, 'a redirect is not followed');
is(sql("SELECT enabled FROM iu_outbound_route WHERE route_code = 'gone'"), 'f', 'gone: the route is disabled');
is(sql("SELECT count(*) FROM iu_route_attempt WHERE route_code = 'nobody'"), '0', 'an origin that is not allowed: no attempt');
is(sql("SELECT fn_iu_delivery_refusal('nobody')"), 'origin_not_allowed', 'held');
is(sql("SELECT max(octet_length(response_excerpt)) <= 1024 FROM iu_route_attempt"), 't', 'excerpts are short');
retire($_) for grep { $_ ne 'hang' } sort keys %fate;
retire('hang');

note 'an address that is not allowed';
add_route('inside', $receiver->origin . '/ok');
add_route('other', $receiver->origin . '/ok');
retire('good');
IU::Cluster->reload($node, 'iu_core.allowed_networks' => '10.0.0.0/8');
@events = emit(1);
becomes("SELECT count(*) = 2 FROM iu_route_retry WHERE reason = 'address_refused'", 'it is held');
is(sql("SELECT fn_iu_route_explain('inside', '$events[0]') ->> 'code'"), 'address_refused', 'which is told');
like(sql("SELECT sentence FROM v_iu_route_held WHERE route_code = 'inside'"), qr/^address 127\.0\.0\.1 of origin "http:.* is not public and not in iu_core.allowed_networks$/, 'with the address');
is(sql('SELECT ' . attempts('inside', 'failed')), '0', 'and costs no attempt');
IU::Cluster->reload($node, 'iu_core.allowed_networks' => '127.0.0.0/8');
sql("UPDATE iu_route_retry SET due_at = clock_timestamp(); SELECT iu_core.wake()");
becomes('SELECT ' . attempts('inside', 'sent') . ' = 1', 'allowed again, it goes out, though only one attempt may be made');
retire($_) for 'inside', 'other';

note 'nothing unsigned';
add_route('signed', $receiver->origin . '/keep');
sql("ALTER FUNCTION fn_iu_delivery_refusal(text) RENAME TO fn_refusal;
	CREATE FUNCTION fn_iu_delivery_refusal(p_route_code text) RETURNS text LANGUAGE sql SECURITY DEFINER AS
	  \$\$SELECT nullif(public.fn_refusal(p_route_code), 'secret_missing')\$\$;
	UPDATE iu_route_secret SET valid_until = clock_timestamp() WHERE secret_ref = 'signed'");
@events = emit(1);
becomes("SELECT EXISTS (SELECT FROM iu_route_retry WHERE route_code = 'signed' AND reason = 'secret_missing')", 'a secret that ends between check and claim holds the event');
is(scalar arrived('/keep'), 0, 'which is not sent without');
sql("DROP FUNCTION fn_iu_delivery_refusal(text); ALTER FUNCTION fn_refusal(text) RENAME TO fn_iu_delivery_refusal; SELECT fn_iu_route_secret_add('signed', 'tester', 'test')");
becomes('SELECT ' . attempts('signed', 'sent') . ' = 1', 'with a secret it is');
retire('signed');
sql('DELETE FROM iu_route_attempt WHERE route_code = \'good\'');
add_route('good2', $receiver->origin . '/echo');

note 'a slow receiver and the others';
add_route('slow', $receiver->origin . '/half', timeout_ms => 60000);
emit(40);
becomes('SELECT ' . attempts('good2', 'sent') . ' = 40', 'forty go to the good one while the slow one hangs');
is(sql('SELECT ' . attempts('slow', 'sent') . ' + ' . attempts('slow', 'failed')), '0', 'which it still does');
is(sql("SELECT xact_start IS NULL AND backend_xmin IS NULL FROM pg_stat_activity WHERE backend_type = 'iu_core sender'"), 't',
	'no transaction, no snapshot meanwhile');
is(sql("SELECT count(*) FROM pg_locks WHERE pid = (" . sender() . ')'), '0', 'no lock');

note 'a sender that ends with requests under way';
my %before = map { $_->{headers}{'webhook-id'} => 1 } arrived('/half');
my $pid = sql(sender());
sql("SELECT pg_cancel_backend($pid)");
emit(1);
becomes('SELECT ' . attempts('good2', 'sent') . ' = 41', 'a cancel changes nothing');
is(sql(sender()), $pid, 'not even the process');
sql("SELECT pg_terminate_backend($pid)");
becomes("SELECT EXISTS (" . sender() . " AND pid <> $pid)", 'terminated, it is replaced');
my %again;
foreach (1 .. 1800)
{
	%again = ();
	$again{ $_->{headers}{'webhook-id'} }++ for arrived('/half');
	last if grep { $again{$_} > 1 } keys %before;
	select(undef, undef, undef, 0.1);
}
ok((grep { $again{$_} > 1 } keys %before) > 0, 'what was under way is sent again under the same webhook-id');
retire('slow');

note 'recording fails';
my $count = scalar arrived('/echo');
sql('REVOKE EXECUTE ON FUNCTION fn_iu_delivery_record_batch FROM iu_core_worker');
emit(1);
becomes("SELECT state = 'failing' AND last_error LIKE 'permission denied for function fn_iu_delivery_record_batch' FROM iu_core.worker_status WHERE role = 'sender'",
	'the status says why');
sql('GRANT EXECUTE ON FUNCTION fn_iu_delivery_record_batch TO iu_core_worker');
becomes('SELECT ' . attempts('good2', 'sent') . ' = 42', 'recorded as soon as it can be');
is(scalar arrived('/echo'), $count + 1, 'and sent only once');
becomes('SELECT EXISTS (' . sender() . ')', 'all is well again');
$count = scalar arrived('/echo');
my $lock = $node->background_psql('postgres');
$lock->query_safe('BEGIN; LOCK TABLE iu_route_attempt IN EXCLUSIVE MODE');
emit(2);
becomes("SELECT state = 'failing' FROM iu_core.worker_status WHERE role = 'sender'", 'it cannot be recorded');
sql("REVOKE EXECUTE ON FUNCTION fn_iu_delivery_keep(bigint, integer) FROM iu_core_worker; UPDATE iu_route_lease SET expires_at = clock_timestamp() WHERE route_code = 'good2'; SELECT iu_core.wake()");
becomes("SELECT max(generation) > 1 FROM iu_route_lease WHERE route_code = 'good2'", 'nor the lease kept, for so long that it ends and is taken over by the sender itself');
$lock->query_safe('COMMIT');
$lock->quit;
sql('GRANT EXECUTE ON FUNCTION fn_iu_delivery_keep(bigint, integer) TO iu_core_worker');
becomes('SELECT ' . attempts('good2', 'sent') . ' = 44', 'recorded in the end');
is(scalar arrived('/echo'), $count + 2, 'and what is known was not sent again');

$node->stop;
$receiver->stop;
done_testing();
