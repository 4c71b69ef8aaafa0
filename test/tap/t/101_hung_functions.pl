# Registered functions and checks that do not end by their time, or end the process
# that calls them: each costs its own route only. And functions that leave something
# behind, which none that is called later finds.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::Process;
use IU::Routes;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = IU::Cluster->new_installed('hung');
talk_to($node);
switches_on();
IU::Gate->open($node, 'iu_core.delivery_enabled', 3600);
sql('CREATE TABLE called (function text, found text); ALTER TABLE called OWNER TO iu_core_owner');

sub runner { return IU::Cluster->wait_for_worker($node, 'runner', @_) }

# A function, registered, and a route of its name that leads to it, allowed and armed.
sub add
{
	my ($function, $type, $body, %options) = @_;
	sql("CREATE FUNCTION $function(p_event uuid, p_payload jsonb) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
		  SET search_path = pg_catalog, pg_temp AS \$\$ $body \$\$;
		REVOKE ALL ON FUNCTION $function(uuid, jsonb) FROM PUBLIC;
		ALTER FUNCTION $function(uuid, jsonb) OWNER TO iu_core_owner");
	sql("SELECT fn_iu_route_function_register('$function', 'tester', 'test')");
	add_route($function, $function, type => $type, kind => 'sql_function', timeout_ms => $options{timeout_ms} // 300000,
		retry => { max_attempts => $options{attempts} // 1, base_s => 0.01, max_s => 0.01, jitter => 0 }, idle => 1);
	sql("SELECT fn_iu_route_allow('$function', 'tester', 'test')");
	sql("SELECT fn_iu_route_arm('$function', 'tester', 'test')");
	return;
}
my $note = 'INSERT INTO public.called VALUES';

# ---- what a function leaves behind

my @left = (
	"EXECUTE 'PREPARE left_behind AS SELECT 1'",
	"EXECUTE 'DECLARE left_behind CURSOR WITH HOLD FOR SELECT 1'",
	"EXECUTE 'CREATE TEMP TABLE left_behind AS SELECT 1 AS n'",
	"PERFORM set_config('work_mem', '99MB', false), set_config('test.left', 'behind', false),"
	  . " set_config('search_path', 'nowhere', false), set_config('synchronous_commit', 'off', false)",
	'PERFORM pg_advisory_lock(81)',
	"PERFORM nextval('public.counted')");
sql('CREATE SEQUENCE counted; ALTER SEQUENCE counted OWNER TO iu_core_owner');
add('fn_leaves', 'structure_op_applied', 'BEGIN ' . join('; ', @left) . "; $note ('leaves', NULL); END");
add('fn_leaves_and_fails', 'structure_op_applied', 'BEGIN ' . join('; ', @left) . "; RAISE 'no'; END");
add('fn_finds', 'version_applied', "DECLARE v_last text := 'none'; BEGIN
	BEGIN v_last := currval('public.counted'); EXCEPTION WHEN OTHERS THEN NULL; END;
	$note ('finds', concat_ws(', ', (SELECT count(*) FROM pg_prepared_statements WHERE name = 'left_behind'),
	  (SELECT count(*) FROM pg_cursors WHERE name = 'left_behind'), to_regclass('pg_temp.left_behind') IS NULL,
	  current_setting('work_mem') <> '99MB', coalesce(current_setting('test.left', true), ''),
	  current_setting('synchronous_commit'), current_user,
	  (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), v_last)); END");
# A role is not left by a function at all.
foreach my $setting (qw(role session_authorization))
{
	add("fn_sets_$setting", 'piece_reordered',
		"BEGIN PERFORM set_config('$setting', 'iu_core_admin', false); $note ('$setting', NULL); END");
}
my $pid = runner();
emit(1, type => 'structure_op_applied');
becomes("SELECT (SELECT count(*) FROM iu_route_attempt WHERE route_code IN ('fn_leaves', 'fn_leaves_and_fails')) || ' '
	|| " . attempts('fn_leaves', 'sent'), '2 1', 'of two functions that leave something behind one fails');
emit(1, type => 'version_applied');
becomes("SELECT found FROM called WHERE function = 'finds'", '0, 0, t, t, , on, iu_core_owner, 0, none',
	'of what a function left behind the next one finds nothing');
is(runner(), $pid, 'both functions were called by the same process');
emit(1, type => 'piece_reordered');
becomes('SELECT ' . attempts("fn_sets_$_", 'failed') . ' = 1', "a function cannot set $_")
  for qw(role session_authorization);
retire('fn_leaves', 'fn_leaves_and_fails', 'fn_finds', 'fn_sets_role', 'fn_sets_session_authorization');

# ---- what does not end

my $hangs = 'BEGIN LOOP BEGIN PERFORM pg_sleep(600); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END';
add('fn_hangs', 'structure_piece_split', $hangs, timeout_ms => 1000, attempts => 2);
add('fn_well', 'structure_piece_split', "BEGIN $note ('well', NULL); END");
my $started = sql('SELECT pg_postmaster_start_time()');
my $others = sql("SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM iu_core.worker_status WHERE role <> 'runner'");
emit(2, type => 'structure_piece_split');
becomes('SELECT ' . attempts('fn_well', 'sent') . ' = 2',
	'beside a function that catches its cancel the function of another route is called');
becomes("SELECT status FROM iu_core.health()", 'CRITICAL', 'health is red where a function did not end');
like(sql('SELECT message FROM iu_core.health()'), qr/runner of database "postgres": a function or a check did not end/,
	'health says that a function did not end');
becomes("SELECT fn_iu_route_worker_health() ->> 'problems' LIKE '%route fn_hangs: its function did not end by its%'",
	't', 'the health of the routes names the route whose function did not end');
becomes("SELECT count(*) = 2 FROM v_iu_route_dead_letter_open WHERE route_code = 'fn_hangs' AND attempts = 2",
	'events of a function that does not end are dead letters after the last attempt');
like(sql("SELECT failure_detail FROM v_iu_route_dead_letter_open WHERE route_code = 'fn_hangs' LIMIT 1"),
	qr/^57014: the function did not end within 1000 ms, nor when it was cancelled/,
	'the dead letter of a function that does not end says so');
emit(1, type => 'structure_piece_split');
becomes('SELECT ' . attempts('fn_well', 'sent') . ' = 3',
	'the function of another route is called while one hangs again and again');
is(sql("SELECT count(*) FROM called WHERE function = 'well'"), '3', 'each event of the other route is called once');
is(sql('SELECT pg_postmaster_start_time()'), $started, 'the server has not been started anew');
is(sql("SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM iu_core.worker_status WHERE role <> 'runner'"), $others,
	'no other worker has ended because of a function that hangs');
sql('CREATE OR REPLACE FUNCTION fn_hangs(p_event uuid, p_payload jsonb) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$ BEGIN END $$');
sql("SELECT fn_iu_route_function_register('fn_hangs', 'tester', 'mended')");
emit(1, type => 'structure_piece_split');
becomes('SELECT ' . attempts('fn_hangs', 'sent') . ' >= 1', 'a function that was mended is called');
becomes("SELECT fn_iu_route_worker_health() ->> 'problems' LIKE '%fn_hangs%'", 'f',
	'a function that ended again is no problem any more');
retire('fn_hangs', 'fn_well');

# ---- a runner that stands still while a function has something to do

my $key = $node->background_psql('postgres');
$key->query_safe('SELECT pg_advisory_lock(82)');
add('fn_stands', 'structure_piece_split', "BEGIN PERFORM pg_advisory_xact_lock(82); $note ('stands', NULL); END",
	timeout_ms => 6000);
emit(1, type => 'structure_piece_split');
my $stands = runner();
wait_until("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = $stands AND NOT granted)");
freeze($stands);
sleep 7;    # longer than the function may take
$key->query_safe('SELECT pg_advisory_unlock(82)');
$key->quit;
thaw($stands);
becomes('SELECT ' . attempts('fn_stands', 'sent') . ' = 1',
	'a function is not out of time because the process that called it stood still for longer');
is(sql("SELECT count(*) FROM called WHERE function = 'stands'"), '1', 'and was called once');
retire('fn_stands');

# ---- what ends the process

sql("TRUNCATE called; CREATE FUNCTION end_process() RETURNS boolean LANGUAGE sql SECURITY DEFINER
	  SET search_path = pg_catalog, pg_temp AS 'SELECT pg_terminate_backend(pg_backend_pid())'");
add('fn_ends', 'structure_child_added', 'BEGIN PERFORM public.end_process(); PERFORM pg_sleep(600); END',
	attempts => 2);
add('fn_beside', 'structure_child_added', "BEGIN $note ('beside', NULL); END");
emit(1, type => 'structure_child_added');
becomes('SELECT ' . attempts('fn_beside', 'sent') . ' = 1',
	'beside a function that ends the process the function of another route is called');
becomes("SELECT attempts || ' ' || failure_detail FROM v_iu_route_dead_letter_open WHERE route_code = 'fn_ends'",
	'2 57P01: twice the process that called the function ended before the function',
	'the event of a function that ends the process is a dead letter after the last attempt');
is(sql("SELECT count(*) FROM called"), '1', 'the function of the other route is called once');
is(sql('SELECT count(*) FROM iu_route_call'), '0', 'no call is noted any more that ended');
retire('fn_ends', 'fn_beside');

# ---- a check that does not end

sql("CREATE FUNCTION hangs() RETURNS int LANGUAGE plpgsql AS \$\$ $hangs \$\$;
	CREATE VIEW inv_hangs AS SELECT hangs() AS left_value, 1 AS right_value;
	CREATE VIEW inv_well AS SELECT 1 AS left_value, 1 AS right_value;
	GRANT SELECT ON inv_hangs, inv_well TO iu_core_owner");
sql("SELECT fn_iu_invariant_register('$_', 'inv_$_', 'm', 'tester', 'test', p_every_seconds => 1, p_timeout_ms => 500)")
  for qw(hangs well);
becomes("SELECT verdict || ' ' || detail FROM v_iu_invariant WHERE invariant_code = 'hangs'",
	'unknown the check before did not end, and the process that made it did', 'a check that does not end is unknown');
my $checks = sql("SELECT checks FROM v_iu_invariant WHERE invariant_code = 'well'");
becomes("SELECT checks > $checks AND verdict = 'pass' FROM v_iu_invariant WHERE invariant_code = 'well'",
	'beside a check that does not end another one is made again');
is(sql('SELECT status FROM iu_core.health()'), 'CRITICAL', 'health is red where a check did not end');

$node->stop;
done_testing();
