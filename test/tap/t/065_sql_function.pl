# Routes to registered functions: what the function did and what is recorded of
# it stand or fall together, whoever dies in between, and no function holds up
# what goes over the wire.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::Receiver;
use IU::Routes;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $receiver = IU::Receiver->start;
my $node = IU::Cluster->new_installed('functions', restart_after_crash => 'on',
	'iu_core.allowed_origins' => $receiver->origin, 'iu_core.allowed_networks' => '127.0.0.0/8');
my $lock = 65;	# the advisory lock that a function may have to wait for

talk_to($node);

sub happen { my ($count, $type) = @_; return emit($count, type => $type, address => "'DOC/' || n") }
sub runner { return IU::Cluster->wait_for_worker($node, 'runner', @_) }

# Somebody who holds the lock until he lets go, and a function that waits for it.
sub hold
{
	my $session = $node->background_psql('postgres');
	$session->query_safe("SELECT pg_advisory_lock($lock)");
	return $session;
}
sub somebody_waits
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return becomes("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = $lock AND NOT granted)",
		$_[0]);
}

sub add_function
{
	my ($name, $body) = @_;
	sql("CREATE FUNCTION $name(p_event uuid, p_payload jsonb) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
		  SET search_path = pg_catalog, pg_temp AS \$\$ BEGIN $body END \$\$;
	     REVOKE ALL ON FUNCTION $name(uuid, jsonb) FROM PUBLIC; ALTER FUNCTION $name(uuid, jsonb) OWNER TO
	  iu_core_owner");
	return;
}
sub register { return sql("SELECT fn_iu_route_function_register('$_[0]', 'tester', 'test') ->> 'status'") }

sub arm { return sql("SELECT fn_iu_route_arm('$_[0]', 'tester', 'test')") }

# Allowed, and armed unless idle => 1.
sub add
{
	my ($route, $type, $function, %options) = @_;
	my %retry = (max_attempts => delete $options{attempts} // 1, base_s => 0.01, max_s => 0.01, jitter => 0);
	add_route($route, $function, type => $type, kind => 'sql_function', timeout_ms => 300000, retry => \%retry,
		%options, idle => 1);
	sql("SELECT fn_iu_route_allow('$route', 'tester', 'test')");
	arm($route) unless $options{idle};
	return;
}

switches_on();
IU::Gate->open($node, 'iu_core.delivery_enabled', 3600);
sql('CREATE TABLE called (event_id uuid, n int); ALTER TABLE called OWNER TO iu_core_owner');

# ---- only what is registered

add_function('fn_note', "INSERT INTO public.called VALUES (p_event, (p_payload ->> 'n')::int);");
add('note', 'structure_op_applied', 'fn_note', idle => 1);
like(error_of("SELECT fn_iu_route_arm('note', 'tester', 'test')"),
	qr/0A000: route "note" cannot be armed: function "fn_note" is not registered/,
	'a route whose function is not registered cannot be armed');
is(register('fn_note'), 'registered', 'a function is registered');
arm('note');
my $first = runner();
happen(1, 'structure_op_applied');
becomes('SELECT count(*) = 1 FROM called', 'a registered function is called with its event');
becomes('SELECT ' . attempts('note', 'sent') . ' = 1', 'the call of a registered function is recorded as sent');
is(sql('SELECT sender, http_status IS NULL, duration_us > 0 FROM iu_route_attempt'), 'iu_core runner|t|t',
	'the attempt says that the runner made the call, without an HTTP status');
becomes("SELECT counters ->> 'sent' FROM iu_core.worker_status WHERE role = 'runner'", '1',
	'the status of the runner counts the call');
sql('CREATE OR REPLACE FUNCTION fn_note(p_event uuid, p_payload jsonb) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS
	$$ BEGIN INSERT INTO public.called VALUES (p_event, -1); END $$');
happen(1, 'structure_op_applied');
is(sql("SELECT iu.fn_iu_route_refusal('note') ->> 'sentence'"),
	'function "fn_note" was changed since it was registered',
	'a function that was changed since it was registered is refused');
is(sql("SELECT code || held FROM v_iu_route_held"), 'function_refused1',
	'the event of a function that was changed is held');
register('fn_note');
becomes('SELECT count(*) = 1 FROM called WHERE n = -1',
	'a function that is registered anew is called with the held event');
sql("SELECT fn_iu_route_function_unregister('fn_note', 'tester', 'test')");
happen(1, 'structure_op_applied');
is(sql("SELECT code || held FROM v_iu_route_held"), 'function_refused1',
	'the event of a function that was taken off the list is held');
retire('note');
sql('TRUNCATE called; TRUNCATE iu_tree_change_log');

# ---- two hundred events, each exactly once, with three kills in the middle

# Where it comes to a stop it stays until the row is gone; the lock tells where it is.
sql('CREATE TABLE stop (n int); ALTER TABLE stop OWNER TO iu_core_owner; INSERT INTO stop VALUES (20), (90), (150)');
add_function('fn_count', "INSERT INTO public.called VALUES (p_event, (p_payload ->> 'n')::int);
	PERFORM pg_advisory_xact_lock(1000 + (p_payload ->> 'n')::int);
	WHILE EXISTS (SELECT FROM public.stop s WHERE s.n = (p_payload ->> 'n')::int) LOOP PERFORM pg_sleep(0.001);
	  END LOOP;");
register('fn_count');
add('tree', 'structure_piece_split', 'fn_iu_structure_consumer');
add('count', 'structure_piece_split', 'fn_count');
happen(200, 'structure_piece_split');
for my $n (20, 90, 150)
{
	becomes("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 1000 + $n)",
		"the runner is in the middle of call $n of 200");
	is(sql("SELECT count(*) > 0 AND bool_and(n <> $n) FROM called"), 't',
		"before call $n others are committed, and call $n is not");
	my $pid = runner();
	kill(9, $pid);
	wait_until('SELECT true');
	runner($pid);
	becomes("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 1000 + $n)",
		"after a kill -9 in the middle of call $n the next runner begins it anew");
	sql("DELETE FROM stop WHERE n = $n");
}
becomes('SELECT ' . attempts('count', 'sent') . ' = 200 AND ' . attempts('tree', 'sent') . ' = 200',
	'after three kills both routes have sent all 200 events');
is(sql('SELECT count(*), count(DISTINCT event_id), count(DISTINCT n) FROM called'), '200|200|200',
	'after three kills the function has been called for each event exactly once');
is(sql('SELECT count(*), count(DISTINCT event_ref), min(operation_type), min(delivered_by) FROM iu_tree_change_log'),
	'200|200|structure_piece_split|fn_iu_structure_consumer',
	'after three kills the change log has each event exactly once');
is(sql("SELECT count(*) FROM iu_route_attempt WHERE route_code IN ('count', 'tree') AND (status <> 'sent'"
	  . " OR attempt_no <> 1)"), '0', 'every event was sent at its first attempt');
is(sql('SELECT (SELECT count(*) FROM iu_route_lease) + (SELECT count(*) FROM iu_route_retry'
	  . ' WHERE route_code <> \'note\')'), '0', 'after three kills no lease and no retry is left');
retire('count', 'tree');

# ---- what a function may do wrong

sql("TRUNCATE called; CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int REFERENCES parent
	  DEFERRABLE INITIALLY DEFERRED);
	ALTER TABLE parent OWNER TO iu_core_owner; ALTER TABLE child OWNER TO iu_core_owner");
my $note = 'INSERT INTO public.called VALUES (p_event, 0);';
my %wrong = (
	fn_raises   => [ "$note RAISE EXCEPTION 'no luck' USING ERRCODE = 'IU001', HINT = 'Try again.';",
	qr/^IU001: no luck Hint: Try again\.\nPL\/pgSQL function public\.fn_raises/ ],
	fn_asserts  => [ "$note ASSERT false, 'not so';", qr/^P0004: not so/ ],
	fn_is_slow  => [ "$note PERFORM pg_sleep(600);", qr/^57014: it did not end within 100 ms\n/ ],
	fn_deferred => [ "$note INSERT INTO public.child VALUES (1);", qr/^23503: .*violates foreign key/ ],
	fn_refused  => [ "$note PERFORM 1 FROM pg_authid;", qr/^42501: permission denied for table pg_authid/ ],
	fn_older    => [ "$note RAISE object_not_in_prerequisite_state USING MESSAGE = 'too old';", qr/^55000: too old/ ]);
for my $function (sort keys %wrong)
{
	add_function($function, $wrong{$function}[0]);
	register($function);
	add($function, 'version_applied', $function, timeout_ms => $function eq 'fn_is_slow' ? 100 : 300000, attempts => 2);
}
# What comes before a call is within its time as well.
sql("CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
	  \$\$ BEGIN PERFORM pg_sleep(0.05); RETURN OLD; END \$\$;
	CREATE TRIGGER dawdle BEFORE DELETE ON iu_route_call FOR EACH ROW WHEN (OLD.route_code = 'fn_is_slow')
	  EXECUTE FUNCTION dawdle()");
add_function('fn_litters', "$note PERFORM set_config('search_path', 'nowhere', false),"
	  . " set_config('default_transaction_read_only', 'on', false), pg_advisory_lock(66);"
	  . ' CREATE TEMP TABLE litter ();');
register('fn_litters');
add('fn_litters', 'version_applied', 'fn_litters');
happen(3, 'version_applied');
becomes("SELECT count(*) = 3 FROM v_iu_route_dead_letter_open WHERE route_code = '$_' AND attempts = 2",
	"a function that fails, $_: its events are dead letters after the last attempt") for sort keys %wrong;
for my $function (sort keys %wrong)
{
	is(sql("SELECT DISTINCT failure_code FROM iu_route_attempt WHERE route_code = '$function'"), 'sql_function_failed',
		"a function that fails, $function: its failure has the code sql_function_failed");
	like(sql("SELECT DISTINCT failure_detail FROM v_iu_route_dead_letter_open WHERE route_code = '$function'"),
		$wrong{$function}[1], "a function that fails, $function: its failure has SQLSTATE and message");
}
becomes('SELECT ' . attempts('fn_litters', 'sent') . ' = 3',
	'a function that leaves settings, locks and a table behind is called again');
is(sql('SELECT count(*) FROM called'), '3', 'what a call that failed wrote is undone');
becomes("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", '0',
	'the locks that a function left behind are released');
becomes("SELECT state || coalesce(last_error, '') FROM iu_core.worker_status WHERE role = 'runner'", 'running',
	'after every failure the runner is running');
retire('fn_litters', keys %wrong);
sql('DROP TRIGGER dawdle ON iu_route_call');

# ---- a function that makes its own record impossible

sql("TRUNCATE called; CREATE TABLE again (n int); ALTER TABLE again OWNER TO iu_core_owner;
	CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN IF NEW.n > 1 THEN RAISE 'at the commit';
	  END IF;
		SET CONSTRAINTS ALL DEFERRED; INSERT INTO public.again VALUES (NEW.n + 1); RETURN NULL; END \$\$;
	CREATE CONSTRAINT TRIGGER later AFTER INSERT ON again DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	  EXECUTE FUNCTION again()");
my %unrecorded = (
	fn_takes_lease => [ "$note DELETE FROM public.iu_route_lease;",
	qr/^55000: lease \d+ of generation 1 is no longer held\nafter the call/ ],
	fn_revokes     => [ "$note REVOKE EXECUTE ON FUNCTION iu.fn_iu_delivery_record_batch FROM iu_core_worker;",
	qr/^42501: permission denied for function fn_iu_delivery_record_batch\nafter the call/ ],
	# What is deferred until the commit would run with the rights of whoever commits.
	fn_at_commit   => [ "$note INSERT INTO public.again VALUES (1);", qr/^42501: cannot fire deferred trigger/ ]);
for my $function (sort keys %unrecorded)
{
	add_function($function, $unrecorded{$function}[0]);
	register($function);
	add($function, 'piece_reordered', $function, attempts => 3);
}
add('beside', 'piece_reordered', 'fn_note', idle => 1);
add_function('fn_beside', $note);
register('fn_beside');
sql("SELECT fn_iu_route_set('beside', 'tester', 'test', 'fn_beside')");
arm('beside');
my $errors = sql("SELECT counters ->> 'errors' FROM iu_core.worker_status WHERE role = 'runner'");
happen(4, 'piece_reordered');
becomes('SELECT ' . attempts('beside', 'sent') . ' = 4',
	'beside functions whose record is impossible another route goes on');
for my $function (sort keys %unrecorded)
{
	becomes("SELECT count(*) = 4 FROM v_iu_route_dead_letter_open WHERE route_code = '$function' AND attempts = 3"
		  . " AND failure_code = 'sql_function_failed'",
		"a function whose record is impossible, $function: its events are dead letters after the last attempt");
	like(sql("SELECT failure_detail FROM v_iu_route_dead_letter_open WHERE route_code = '$function' LIMIT 1"),
		$unrecorded{$function}[1], "a function whose record is impossible, $function: its failure says why");
	is(sql("SELECT count(*) FILTER (WHERE status = 'failed'), count(*) FROM iu_route_attempt"
		  . " WHERE route_code = '$function'"), '12|12',
		"a function whose record is impossible, $function: each attempt is recorded");
}
is(sql('SELECT count(*) FROM called'), '4', 'what functions whose record was impossible wrote is undone');
is(sql('SELECT (SELECT count(*) FROM iu_route_lease) + (SELECT count(*) FROM iu_route_retry)'), '0',
	'no lease and no retry of functions whose record was impossible is left');
becomes("SELECT state || (counters ->> 'errors') FROM iu_core.worker_status WHERE role = 'runner'", "running$errors",
	'functions whose record was impossible cost the runner no error');
retire('beside', keys %unrecorded);

# ---- a slow function and the others

sql('TRUNCATE called');
add_function('fn_waits', "PERFORM pg_advisory_xact_lock($lock); $note");
register('fn_waits');
add('waits', 'structure_child_added', 'fn_waits');
add_route('wire', $receiver->origin . '/echo', type => 'structure_child_added', timeout_ms => 60000);
my $holder = hold();
happen(50, 'structure_child_added');
somebody_waits('a function waits for a lock');
becomes('SELECT ' . attempts('wire', 'sent') . ' = 50',
	'what goes over the wire does not wait for a function that waits');
is(sql("SELECT (SELECT count(*) FROM called) + " . attempts('waits', 'sent')), '0',
	'the function that waits has not been called to its end');
my $pid = runner();
sql("SELECT pg_terminate_backend($pid)");
isnt(runner($pid), $pid, 'a runner that is terminated in a call is replaced');
somebody_waits('the new runner calls the function again, which waits');
sql("SELECT pg_cancel_backend(" . runner() . ')');
becomes('SELECT ' . attempts('waits', 'failed') . ' = 1', 'a call that is cancelled costs an attempt');
IU::Cluster->reload($node, 'iu_core.senders' => 0);
becomes("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'iu_core runner')",
	'without senders there is no runner, even if one was in the middle of a call');
IU::Cluster->reload($node, 'iu_core.senders' => 1);
$holder->quit;
becomes('SELECT ' . attempts('waits', 'sent') . ' = 49',
	'when the lock is free the function is called with the other events');
is(sql('SELECT count(*), count(DISTINCT event_id) FROM called'), '49|49',
	'the function is called with each of the other events once');

# ---- the gate

IU::Gate->close($node, 'iu_core.delivery_enabled');
happen(1, 'structure_child_added');
sql('SELECT iu_core.wake()');
is(sql("SELECT code || held FROM v_iu_route_held WHERE route_code = 'waits'"), 'delivery_gate_closed1',
	'with the gate closed the event of a function is held');
IU::Gate->open($node, 'iu_core.delivery_enabled', 3600);
becomes('SELECT ' . attempts('waits', 'sent') . ' = 50',
	'with the gate open the function is called with the held event');

# ---- recording fails

sql('REVOKE EXECUTE ON FUNCTION iu.fn_iu_delivery_record_batch FROM iu_core_worker');
happen(1, 'structure_child_added');
becomes("SELECT state = 'failing' AND last_error = 'permission denied for function fn_iu_delivery_record_batch'"
	  . " FROM iu_core.worker_status WHERE role = 'runner'", 'the status of a runner that may not record says so');
is(sql('SELECT count(*) FROM called'), '50', 'a call that cannot be recorded was not done');
like(sql('SELECT message FROM iu_core.health()'), qr/runner of database "postgres": failing/,
	'health says that a runner that may not record is failing');
sql('GRANT EXECUTE ON FUNCTION iu.fn_iu_delivery_record_batch TO iu_core_worker');
becomes('SELECT ' . attempts('waits', 'sent') . ' = 51', 'a call is recorded as soon as it can be');
is(sql('SELECT count(*) FROM called'), '51', 'a call that could not be recorded is done once it can be');

# Said by somebody else, the code that also says that a lease was taken over.
# The refusal may be lifted just when a failure is to be recorded, which then is one.
sql(q(SELECT fn_iu_route_set('waits', 'tester', 'test', p_retry_policy => '{"max_attempts": 5}')));
sql('CREATE TABLE broken (); INSERT INTO broken DEFAULT VALUES; GRANT SELECT ON broken TO PUBLIC');
sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN IF NEW.route_code = 'waits'
	  AND EXISTS (SELECT FROM public.broken) THEN
	RAISE object_not_in_prerequisite_state USING MESSAGE = 'not now'; END IF; RETURN NULL; END \$\$;
	CREATE CONSTRAINT TRIGGER later AFTER INSERT ON iu_route_attempt DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	  EXECUTE FUNCTION refuse()");
add('free', 'structure_child_added', 'fn_beside');
happen(1, 'structure_child_added');
becomes('SELECT ' . attempts('free', 'sent') . ' = 1', 'beside a route whose record is refused another route goes on');
becomes("SELECT state = 'failing' AND last_error = 'not now' FROM iu_core.worker_status WHERE role = 'runner'",
	'a record that is refused with the code of a lost lease is told in the status of the runner');
sql('DELETE FROM broken');
becomes('SELECT ' . attempts('waits', 'sent') . ' = 52', 'a call whose record was refused is tried again');
is(sql('SELECT count(*) FROM called'), '53', 'every call is done once');
becomes("SELECT state = 'running' FROM iu_core.worker_status WHERE role = 'runner'",
	'when no record is refused any more the runner is running');
sql('DROP TRIGGER later ON iu_route_attempt; DROP FUNCTION refuse(); DROP TABLE broken');

$node->stop;
$receiver->stop;
done_testing();
