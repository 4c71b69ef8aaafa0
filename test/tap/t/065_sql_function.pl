# Routes to registered functions: what the function did and what is recorded of
# it stand or fall together, whoever dies in between, and no function holds up
# what goes over the wire.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::Receiver;
use PostgreSQL::Test::Utils;
use Test::More;

my $receiver = IU::Receiver->start;
my $node = IU::Cluster->new_node('functions', restart_after_crash => 'on',
	'iu_core.allowed_origins' => $receiver->origin, 'iu_core.allowed_networks' => '127.0.0.0/8');
my $lock = 65;	# the advisory lock that a function may have to wait for

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub becomes
{
	my ($query, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($node->poll_query_until('postgres', $query), $name) || diag sql('TABLE iu_core.worker_status; TABLE v_iu_route_attempt_summary; TABLE v_iu_route_held');
}
sub emit { my ($count, $type) = @_; return sql("SELECT count(x) FROM generate_series(1, $count) n, LATERAL fn_iu_emit_event('$type', 'DOC/' || n, gen_random_uuid(), 'tester', jsonb_build_object('n', n)) x") }
sub runner { return IU::Cluster->wait_for_worker($node, 'runner', @_) }
sub attempts { return "(SELECT count(*) FROM iu_route_attempt WHERE route_code = '$_[0]' AND status = '$_[1]')" }
sub error_of { my ($statement) = @_; my ($code, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$statement;"); return $err }

# Somebody who holds the lock until he lets go, and a function that waits for it.
sub hold { my $session = $node->background_psql('postgres'); $session->query_safe("SELECT pg_advisory_lock($lock)"); return $session }
sub somebody_waits { return becomes("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = $lock AND NOT granted)", $_[0]) }

sub add_function
{
	my ($name, $body) = @_;
	sql("CREATE FUNCTION $name(p_event uuid, p_payload jsonb) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS \$\$ BEGIN $body END \$\$;
	     REVOKE ALL ON FUNCTION $name(uuid, jsonb) FROM PUBLIC; ALTER FUNCTION $name(uuid, jsonb) OWNER TO iu_core_owner");
	return;
}
sub register { return sql("SELECT fn_iu_route_function_register('$_[0]', 'tester', 'test') ->> 'status'") }

sub add_route
{
	my ($route, $type, $function, %options) = @_;
	my ($timeout, $attempts) = ($options{timeout_ms} // 60000, $options{attempts} // 1);
	sql("SELECT fn_iu_route_add('$route', '$type', '$function', 'tester', 'test', 'sql_function', p_timeout_ms => $timeout,
	       p_retry_policy => '{\"max_attempts\": $attempts, \"base_s\": 0.01, \"max_s\": 0.01, \"jitter\": 0}');
	     SELECT fn_iu_route_allow('$route', 'tester', 'test')");
	sql("SELECT fn_iu_route_arm('$route', 'tester', 'test')") unless $options{idle};
	return;
}
sub retire { return sql("SELECT fn_iu_route_retire('$_[0]', 'tester', 'test')") }

IU::Cluster->install($node);
sql("SELECT fn_iu_switch_set(k, 'true', 'tester', 'test') FROM unnest(ARRAY['iu_core.routes_master_enabled', 'iu_core.route_worker_enabled']) k");
IU::Gate->open($node, 'iu_core.delivery_enabled', 3600);
sql('CREATE TABLE called (event_id uuid, n int); ALTER TABLE called OWNER TO iu_core_owner');

# ---- only what is registered

add_function('fn_note', "INSERT INTO public.called VALUES (p_event, (p_payload ->> 'n')::int);");
add_route('note', 'structure_op_applied', 'fn_note', idle => 1);
like(error_of("SELECT fn_iu_route_arm('note', 'tester', 'test')"), qr/0A000: route "note" cannot be armed: function "fn_note" is not registered/, 'a function that is not registered: not armed');
is(register('fn_note'), 'registered', 'registered');
sql("SELECT fn_iu_route_arm('note', 'tester', 'test')");
my $first = runner();
emit(1, 'structure_op_applied');
becomes('SELECT count(*) = 1 FROM called', 'it is called');
becomes('SELECT ' . attempts('note', 'sent') . ' = 1', 'and that is recorded');
is(sql('SELECT sender, http_status IS NULL, duration_us > 0 FROM iu_route_attempt'), 'iu_core runner|t|t', 'by the runner');
is(sql("SELECT counters ->> 'sent' FROM iu_core.worker_status WHERE role = 'runner'"), '1', 'and counted');
sql('CREATE OR REPLACE FUNCTION fn_note(p_event uuid, p_payload jsonb) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
	$$ BEGIN INSERT INTO public.called VALUES (p_event, -1); END $$');
emit(1, 'structure_op_applied');
is(sql("SELECT iu.fn_iu_route_refusal('note') ->> 'sentence'"), 'function "fn_note" was changed since it was registered', 'changed since: refused');
is(sql("SELECT code || held FROM v_iu_route_held"), 'function_refused1', 'its event is held');
register('fn_note');
becomes('SELECT count(*) = 1 FROM called WHERE n = -1', 'registered anew, it goes');
sql("SELECT fn_iu_route_function_unregister('fn_note', 'tester', 'test')");
emit(1, 'structure_op_applied');
is(sql("SELECT code || held FROM v_iu_route_held"), 'function_refused1', 'taken off the list: held');
retire('note');
sql('TRUNCATE called; TRUNCATE iu_tree_change_log');

# ---- two hundred events, each exactly once, with three kills in the middle

# Where it comes to a stop it stays until the row is gone; the lock tells where it is.
sql('CREATE TABLE stop (n int); ALTER TABLE stop OWNER TO iu_core_owner; INSERT INTO stop VALUES (20), (90), (150)');
add_function('fn_count', "INSERT INTO public.called VALUES (p_event, (p_payload ->> 'n')::int);
	PERFORM pg_advisory_xact_lock(1000 + (p_payload ->> 'n')::int);
	WHILE EXISTS (SELECT FROM public.stop s WHERE s.n = (p_payload ->> 'n')::int) LOOP PERFORM pg_sleep(0.001); END LOOP;");
register('fn_count');
add_route('tree', 'structure_piece_split', 'fn_iu_structure_consumer');
add_route('count', 'structure_piece_split', 'fn_count');
emit(200, 'structure_piece_split');
for my $n (20, 90, 150)
{
	becomes("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 1000 + $n)", "the runner is in the middle of call $n");
	is(sql("SELECT count(*) > 0 AND bool_and(n <> $n) FROM called"), 't', 'with others behind it');
	my $pid = runner();
	kill(9, $pid);
	$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not come back';
	runner($pid);
	becomes("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 1000 + $n)", 'killed there, the next one begins it anew');
	sql("DELETE FROM stop WHERE n = $n");
}
becomes('SELECT ' . attempts('count', 'sent') . ' = 200 AND ' . attempts('tree', 'sent') . ' = 200', 'all are delivered');
is(sql('SELECT count(*), count(DISTINCT event_id), count(DISTINCT n) FROM called'), '200|200|200', 'called for each exactly once, as a table without a key tells');
is(sql('SELECT count(*), count(DISTINCT event_ref), min(operation_type), min(delivered_by) FROM iu_tree_change_log'), '200|200|structure_piece_split|fn_iu_structure_consumer', 'each once in the log');
is(sql("SELECT count(*) FROM iu_route_attempt WHERE route_code IN ('count', 'tree') AND (status <> 'sent' OR attempt_no <> 1)"), '0', 'at the first attempt');
is(sql('SELECT (SELECT count(*) FROM iu_route_lease) + (SELECT count(*) FROM iu_route_retry WHERE route_code <> \'note\')'), '0', 'nothing is left over');
retire('count');
retire('tree');

# ---- what a function may do wrong

sql("TRUNCATE called; CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
	ALTER TABLE parent OWNER TO iu_core_owner; ALTER TABLE child OWNER TO iu_core_owner");
my $note = 'INSERT INTO public.called VALUES (p_event, 0);';
my %wrong = (
	fn_raises   => [ "$note RAISE EXCEPTION 'no luck' USING ERRCODE = 'IU001';", qr/^IU001: no luck\nPL\/pgSQL function public\.fn_raises/ ],
	fn_asserts  => [ "$note ASSERT false, 'not so';", qr/^P0004: not so/ ],
	fn_is_slow  => [ "$note PERFORM pg_sleep(600);", qr/^57014: canceling statement due to statement timeout/ ],
	fn_deferred => [ "$note INSERT INTO public.child VALUES (1);", qr/^23503: .*violates foreign key/ ],
	fn_refused  => [ "$note PERFORM 1 FROM pg_authid;", qr/^42501: permission denied for table pg_authid/ ],
	fn_older    => [ "$note RAISE object_not_in_prerequisite_state USING MESSAGE = 'too old';", qr/^55000: too old/ ]);
for my $function (sort keys %wrong)
{
	add_function($function, $wrong{$function}[0]);
	register($function);
	add_route($function, 'version_applied', $function, timeout_ms => $function eq 'fn_is_slow' ? 100 : 60000, attempts => 2);
}
add_function('fn_litters', "$note PERFORM set_config('search_path', 'nowhere', false), set_config('default_transaction_read_only', 'on', false), pg_advisory_lock(66); CREATE TEMP TABLE litter ();");
register('fn_litters');
add_route('fn_litters', 'version_applied', 'fn_litters');
emit(3, 'version_applied');
becomes("SELECT count(*) = 3 FROM v_iu_route_dead_letter_open WHERE route_code = '$_' AND attempts = 2", "$_: dead letters after the last attempt") for sort keys %wrong;
for my $function (sort keys %wrong)
{
	is(sql("SELECT DISTINCT failure_code FROM iu_route_attempt WHERE route_code = '$function'"), 'sql_function_failed', "$function: told");
	like(sql("SELECT DISTINCT failure_detail FROM v_iu_route_dead_letter_open WHERE route_code = '$function'"), $wrong{$function}[1], 'with SQLSTATE and message');
}
becomes('SELECT ' . attempts('fn_litters', 'sent') . ' = 3', 'one that leaves settings, locks and tables behind is called again');
is(sql('SELECT count(*) FROM called'), '3', 'what a failed call wrote is undone');
is(sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), '0', 'what it left behind is cleared away');
is(sql("SELECT state || coalesce(last_error, '') FROM iu_core.worker_status WHERE role = 'runner'"), 'running', 'and the runner is well');
retire($_) for 'fn_litters', keys %wrong;

# ---- a function that makes its own record impossible

sql("TRUNCATE called; CREATE TABLE again (n int); ALTER TABLE again OWNER TO iu_core_owner;
	CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN IF NEW.n > 1 THEN RAISE 'at the commit'; END IF;
		SET CONSTRAINTS ALL DEFERRED; INSERT INTO public.again VALUES (NEW.n + 1); RETURN NULL; END \$\$;
	CREATE CONSTRAINT TRIGGER later AFTER INSERT ON again DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION again()");
my %unrecorded = (
	fn_takes_lease => [ "$note DELETE FROM public.iu_route_lease;", qr/^55000: lease \d+ of generation 1 is no longer held\nafter the call/ ],
	fn_revokes     => [ "$note REVOKE EXECUTE ON FUNCTION iu.fn_iu_delivery_record_batch FROM iu_core_worker;", qr/^42501: permission denied for function fn_iu_delivery_record_batch\nafter the call/ ],
	fn_at_commit   => [ "$note INSERT INTO public.again VALUES (1);", qr/^P0001: at the commit\nafter the call/ ]);
for my $function (sort keys %unrecorded)
{
	add_function($function, $unrecorded{$function}[0]);
	register($function);
	add_route($function, 'piece_reordered', $function, attempts => 3);
}
add_route('beside', 'piece_reordered', 'fn_note', idle => 1);
add_function('fn_beside', $note);
register('fn_beside');
sql("SELECT fn_iu_route_set('beside', 'tester', 'test', 'fn_beside'); SELECT fn_iu_route_arm('beside', 'tester', 'test')");
my $errors = sql("SELECT counters ->> 'errors' FROM iu_core.worker_status WHERE role = 'runner'");
emit(4, 'piece_reordered');
becomes('SELECT ' . attempts('beside', 'sent') . ' = 4', 'the other routes go on');
for my $function (sort keys %unrecorded)
{
	becomes("SELECT count(*) = 4 FROM v_iu_route_dead_letter_open WHERE route_code = '$function' AND attempts = 3 AND failure_code = 'sql_function_failed'", "$function: dead letters after the last attempt");
	like(sql("SELECT failure_detail FROM v_iu_route_dead_letter_open WHERE route_code = '$function' LIMIT 1"), $unrecorded{$function}[1], 'with the reason');
	is(sql("SELECT count(*) FILTER (WHERE status = 'failed'), count(*) FROM iu_route_attempt WHERE route_code = '$function'"), '12|12', 'each attempt is recorded');
}
is(sql('SELECT count(*) FROM called'), '4', 'what they did is undone');
is(sql('SELECT (SELECT count(*) FROM iu_route_lease) + (SELECT count(*) FROM iu_route_retry)'), '0', 'nothing is left over');
is(sql("SELECT state || (counters ->> 'errors') FROM iu_core.worker_status WHERE role = 'runner'"), "running$errors", 'and the runner is well');
retire($_) for 'beside', keys %unrecorded;

# ---- a slow function and the others

sql('TRUNCATE called');
add_function('fn_waits', "PERFORM pg_advisory_xact_lock($lock); $note");
register('fn_waits');
add_route('waits', 'structure_child_added', 'fn_waits');
sql("SELECT fn_iu_route_add('wire', 'structure_child_added', '" . $receiver->origin . "/echo', 'tester', 'test');
	SELECT fn_iu_route_allow('wire', 'tester', 'test'); SELECT fn_iu_route_arm('wire', 'tester', 'test')");
my $holder = hold();
emit(50, 'structure_child_added');
somebody_waits('a function waits, for as long as its route allows');
becomes('SELECT ' . attempts('wire', 'sent') . ' = 50', 'what goes over the wire does not wait for it');
is(sql("SELECT (SELECT count(*) FROM called) + " . attempts('waits', 'sent')), '0', 'which it still does');
my $pid = runner();
sql("SELECT pg_terminate_backend($pid)");
isnt(runner($pid), $pid, 'a runner that is ended in a call is replaced');
somebody_waits('and calls again');
sql("SELECT pg_cancel_backend(" . runner() . ')');
becomes('SELECT ' . attempts('waits', 'failed') . ' = 1', 'a cancel costs an attempt');
IU::Cluster->reload($node, 'iu_core.senders' => 0);
becomes("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'iu_core runner')", 'without senders there is no runner, even in the middle of a call');
IU::Cluster->reload($node, 'iu_core.senders' => 1);
$holder->quit;
becomes('SELECT ' . attempts('waits', 'sent') . ' = 49', 'when the lock is free the others are called');
is(sql('SELECT count(*), count(DISTINCT event_id) FROM called'), '49|49', 'each once');

# ---- the gate

sql("SELECT fn_iu_gate_close('iu_core.delivery_enabled', 'tester', 'test')");
emit(1, 'structure_child_added');
sql('SELECT iu_core.wake()');
is(sql("SELECT code || held FROM v_iu_route_held WHERE route_code = 'waits'"), 'delivery_gate_closed1', 'a closed gate holds');
IU::Gate->open($node, 'iu_core.delivery_enabled', 3600);
becomes('SELECT ' . attempts('waits', 'sent') . ' = 50', 'opened again, it goes');

# ---- recording fails

sql('REVOKE EXECUTE ON FUNCTION iu.fn_iu_delivery_record_batch FROM iu_core_worker');
emit(1, 'structure_child_added');
becomes("SELECT state = 'failing' AND last_error = 'permission denied for function fn_iu_delivery_record_batch' FROM iu_core.worker_status WHERE role = 'runner'", 'what cannot be recorded is told');
is(sql('SELECT count(*) FROM called'), '50', 'and was not done');
like(sql('SELECT message FROM iu_core.health()'), qr/runner of database "postgres": failing/, 'the monitor sees it');
sql('GRANT EXECUTE ON FUNCTION iu.fn_iu_delivery_record_batch TO iu_core_worker');
becomes('SELECT ' . attempts('waits', 'sent') . ' = 51', 'once it can be');
is(sql('SELECT count(*) FROM called'), '51', 'it is done');

# Said by somebody else, the code that also says that a lease was taken over.
# The refusal may be lifted just when a failure is to be recorded, which then is one.
sql(q(SELECT fn_iu_route_set('waits', 'tester', 'test', p_retry_policy => '{"max_attempts": 5}')));
sql('CREATE TABLE broken (); INSERT INTO broken DEFAULT VALUES; GRANT SELECT ON broken TO PUBLIC');
sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN IF NEW.route_code = 'waits' AND EXISTS (SELECT FROM public.broken) THEN
	RAISE object_not_in_prerequisite_state USING MESSAGE = 'not now'; END IF; RETURN NULL; END \$\$;
	CREATE CONSTRAINT TRIGGER later AFTER INSERT ON iu_route_attempt DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()");
add_route('free', 'structure_child_added', 'fn_beside');
emit(1, 'structure_child_added');
becomes('SELECT ' . attempts('free', 'sent') . ' = 1', 'what cannot be recorded on one route is put aside: another goes on');
becomes("SELECT state = 'failing' AND last_error = 'not now' FROM iu_core.worker_status WHERE role = 'runner'", 'a record that is refused with the code of a lost lease is told too');
sql('DELETE FROM broken');
becomes('SELECT ' . attempts('waits', 'sent') . ' = 52', 'and tried again');
is(sql('SELECT count(*) FROM called'), '53', 'each is done once');
becomes("SELECT state = 'running' FROM iu_core.worker_status WHERE role = 'runner'", 'and the runner is well again');
sql('DROP TRIGGER later ON iu_route_attempt; DROP FUNCTION refuse(); DROP TABLE broken');

$node->stop;
$receiver->stop;
done_testing();
