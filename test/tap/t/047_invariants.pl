# Invariants with a remote in them: one that is down, slow or gone makes unknown,
# never pass; the runner checks on time, and holds up no delivery over the wire;
# nothing is locked while a remote is waited for. And change windows that race.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::Peer;
use IU::Routes;
use IU::SQL;
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;

my $qdrant   = IU::Peer->start('qdrant', '--api-key', 'the-key');
my $receiver = IU::Peer->start('receiver');
my $key      = { 'api-key' => 'the-key' };
my $node     = IU::Cluster->new_installed('invariants',
	'iu_core.allowed_origins' => join(', ', $qdrant->url, $receiver->url), 'iu_core.allowed_networks' => '127.0.0.0/8');

talk_to($node);

sub points
{
	my ($from, $to) = @_;
	return $qdrant->call('PUT', '/collections/chunks/points?wait=true',
		{ points => [ map { { id => $_, vector => [$_] } } $from .. $to ] }, $key);
}
sub found
{
	return sql("SELECT concat_ws(' ', verdict, left_value, right_value, difference, '(' || detail || ')')"
		  . " FROM fn_iu_invariant_check('$_[0]')");
}
sub register
{
	my ($code, $view, $more) = @_;
	return sql("SELECT fn_iu_invariant_register('$code', '$view', 'm', 'tester', 'test'" . ($more ? ", $more" : '')
		  . ") ->> 'status'");
}
sub runner { return IU::Cluster->wait_for_worker($node, 'runner', @_) }

$qdrant->call('PUT', '/collections/chunks', { vectors => { size => 1, distance => 'Dot' } }, $key);
points(1, 149);
sql("CREATE SERVER q FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '" . $qdrant->url . "');
     CREATE USER MAPPING FOR postgres SERVER q OPTIONS (api_key 'the-key');
     CREATE FOREIGN TABLE q_collections (collection text, points bigint, error text) SERVER q
       OPTIONS (resource 'collections');
     CREATE FOREIGN TABLE q_counts (collection text, points bigint, error text) SERVER q
       OPTIONS (resource 'collections', on_error 'null');
     CREATE TABLE sync_point (id int PRIMARY KEY, indexed boolean NOT NULL DEFAULT true);
     INSERT INTO sync_point SELECT generate_series(1, 152);
     CREATE VIEW inv_points AS SELECT (SELECT count(*) FROM sync_point WHERE indexed) AS left_value,
       (SELECT points FROM q_collections WHERE collection = 'chunks') AS right_value;
     CREATE VIEW inv_nulls AS SELECT (SELECT count(*) FROM sync_point WHERE indexed) AS left_value,
       (SELECT points FROM q_counts WHERE collection = 'chunks') AS right_value;
     CREATE VIEW surf_points AS SELECT points AS value FROM q_collections WHERE collection = 'chunks';
     GRANT SELECT ON inv_points, inv_nulls, surf_points TO iu_core_owner");
register('points', 'inv_points');
register('nulls', 'inv_nulls');

# ---- a remote that answers, and one that does not

is(found('points'), 'fail 152 149 3 (left is 152, right is 149)', '152 rows against 149 points fail');
sql('UPDATE sync_point SET indexed = false WHERE id > 149');
is(found('points'), 'pass 149 149 0 (both are 149)',
	'with the three rows that have no point marked as not indexed the counts pass');
$qdrant->fault({ path => '/collections/*', status => 503, body => '{"status":{"error":"later"},"time":0}' });
like(found('points'), qr/^unknown \(HV\w+: /, 'a remote that refuses makes the verdict unknown, with its SQLSTATE');
like(found('nulls'), qr/^unknown 149 \(right is NULL\)$/,
	'a remote whose error is read as NULL makes the verdict unknown');
$qdrant->heal;
$qdrant->fault({ path => '/collections/*', action => 'hang' });
register('points', 'inv_points', 'p_timeout_ms => 200');
is(found('points'), 'unknown (no answer within 200 ms)',
	"a remote that does not answer makes the verdict unknown in the invariant's time");
is(sql("SELECT verdict FROM fn_iu_invariant_check('points');"
	  . ' SELECT count(*) FROM generate_series(1, 2), pg_sleep(0.3)'),
	"unknown\n2", 'the statement after a check has its time undiminished');
like(error_of("SET statement_timeout = 100; SELECT * FROM fn_iu_invariant_check('points')"),
	qr/57014.*statement timeout/, 'a session with less time than the invariant is cancelled, and learns no verdict');
is(sql("SET statement_timeout = '60s'; SELECT verdict FROM fn_iu_invariant_check('points')"), 'unknown',
	'a session with more time than the invariant gets its verdict');
like(error_of("SET statement_timeout = 500; SELECT verdict, pg_sleep(60) FROM fn_iu_invariant_check('points')"),
	qr/57014.*statement timeout/, "after a check the session's statement_timeout is as it was");
like(error_of("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM fn_iu_invariant_check('points')"), qr/25000/,
	'a check under REPEATABLE READ is refused');

# Key by key: which rows have no point.
$qdrant->heal;
sql("CREATE FOREIGN TABLE q_points (collection text, id text) SERVER q OPTIONS (resource 'points');
     CREATE VIEW inv_keys AS SELECT coalesce(s.id::text, p.id) AS key, CASE WHEN s.id IS NOT NULL THEN 1
	  END AS left_value, CASE WHEN p.id IS NOT NULL THEN 1 END AS right_value
       FROM (SELECT * FROM sync_point WHERE indexed) s FULL JOIN (SELECT * FROM q_points WHERE collection = 'chunks')
	  p ON p.id = s.id::text;
     GRANT SELECT ON inv_keys TO iu_core_owner");
register('keys', 'inv_keys');
is(found('keys'), 'pass 149 149 0 (the same 149 key(s) on both sides)', 'key by key every indexed row has its point');
sql('UPDATE sync_point SET indexed = true');
is(sql("SELECT verdict, left_value, right_value, keys, keys_total FROM fn_iu_invariant_check('keys')"),
	'fail|152|149|{150,151,152}|3', 'key by key one check names the three of 152 rows that have no point');
sql('UPDATE sync_point SET indexed = false WHERE id > 149');
is(found('keys'), 'pass 149 149 0 (the same 149 key(s) on both sides)',
	'key by key the check passes with the three marked as not indexed');
$qdrant->fault({ path => '/collections/*', status => 503, body => '{"status":{"error":"later"},"time":0}' });
like(found('keys'), qr/^unknown \(HV\w+: /,
	'key by key a remote that refuses makes the verdict unknown, and no key missing');
sql("SELECT fn_iu_invariant_unregister('keys', 'tester', 'test')");
$qdrant->heal;
$qdrant->fault({ path => '/collections/*', action => 'hang' });

# ---- nothing is locked meanwhile

register('points', 'inv_points', 'p_timeout_ms => 60000');
my $asking = $node->background_psql('postgres', on_error_stop => 0);
$asking->query_safe("SET application_name = 'asking'");
start_query($asking, "SELECT verdict || ' ' || detail FROM fn_iu_invariant_check();\n\\echo answered\n");
becomes("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'asking' AND state = 'active'"
	  . " AND wait_event_type = 'Extension')", 'a check waits for the remote');
is(sql("SELECT string_agg(l.relation::regclass || ' ' || l.mode, ', ' ORDER BY 1) FROM pg_locks l
	  JOIN pg_stat_activity a USING (pid)
         WHERE a.application_name = 'asking' AND l.locktype = 'relation' AND l.mode NOT IN ('AccessShareLock')"), '',
	'a check that waits for the remote holds nothing but read locks');
is(register('other', 'inv_nulls'), 'registered', 'an invariant can be registered while a check waits for the remote');
is(sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'asking'"), 't',
	'a check that waits for the remote can be cancelled');
my $told = $asking->query_until(qr/answered/, "\\echo\n");
like($asking->{stderr}, qr/canceling statement due to user request/,
	'a check that is cancelled is an error, and not unknown');
$qdrant->heal;
register('points', 'inv_points');
is(sql("BEGIN; SELECT count(*) FROM fn_iu_invariant_check('points'); SELECT count(*) FROM pg_locks"
	  . " WHERE pid = pg_backend_pid() AND relation IN ('q_collections'::regclass, 'sync_point'::regclass,"
	  . " 'inv_points'::regclass); COMMIT"),
	"1\n0", 'what a check has read is not locked when the check is done');

# What was registered otherwise meanwhile does not get the answer of what it was.
$qdrant->fault({ path => '/collections/*', hold => JSON::PP::true() });
start_query($asking, "SELECT verdict || ' ' || detail FROM fn_iu_invariant_check('points');\n\\echo answered\n");
becomes("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'asking' AND state = 'active'"
	  . " AND wait_event_type = 'Extension')", 'a second check waits for the remote');
register('points', 'inv_points', 'p_tolerance => 1');
$qdrant->heal;
like($asking->query_until(qr/answered/, "\\echo\n"), qr/unknown it was registered otherwise while it was read/,
	'an invariant that is registered otherwise while it is read comes to unknown');
is(sql("SELECT verdict || ' ' || detail FROM v_iu_invariant WHERE invariant_code = 'points'"),
	'unknown not checked yet', 'an invariant that is registered otherwise while it is read counts as not checked yet');
register('points', 'inv_points');
$asking->quit;
sql("SELECT fn_iu_invariant_unregister('other', 'tester', 'test'), fn_iu_invariant_unregister('nulls', 'tester',"
	  . " 'test')");

# ---- on a schedule

my $pid = runner();
sub checks { return "(SELECT checks FROM iu_invariant_state WHERE invariant_code = '$_[0]')" }
sub runs
{
	return sql("SELECT count(*) FROM iu_invariant_run WHERE asked_by = 'schedule' AND invariant_code = '$_[0]'");
}
register('points', 'inv_points', 'p_every_seconds => 1');
becomes("SELECT verdict = 'pass' FROM v_iu_invariant WHERE invariant_code = 'points'",
	'an invariant that is registered with a schedule is checked');
becomes('SELECT ' . checks('points')
	  . ' >= (SELECT count(*) FROM iu_invariant_run WHERE invariant_code = \'points\') + 2',
	'an invariant that is registered with a schedule is checked again by the clock');
is(runs('points'), 1, 'a verdict that is the same as before is not logged again');
is(sql("SELECT DISTINCT session_role FROM iu_invariant_run WHERE asked_by = 'schedule'"), 'iu_core_worker',
	"scheduled checks are made by the worker's role");
points(150, 150);
becomes("SELECT verdict = 'fail' AND difference = -1 FROM v_iu_invariant WHERE invariant_code = 'points'",
	'a scheduled check finds a point too many');
becomes("SELECT checks > 3 AND next_at < clock_timestamp() + interval '1 s' FROM iu_invariant_state"
	  . " WHERE invariant_code = 'points'", 'an invariant that fails is checked on');
$qdrant->fault({ path => '/collections/*', status => 500, body => '{"status":{"error":"broken"},"time":0}' });
becomes("SELECT verdict = 'unknown' AND detail ~ '^HV' FROM v_iu_invariant WHERE invariant_code = 'points'",
	'a scheduled check of a remote that fails comes to unknown');
is(sql("SELECT state || coalesce(last_error, '') FROM iu_core.worker_status WHERE role = 'runner'"), 'running',
	'a remote that fails leaves the runner running');
$qdrant->heal;
$qdrant->call('POST', '/collections/chunks/points/delete?wait=true', { points => [150] }, $key);
becomes("SELECT verdict = 'pass' FROM v_iu_invariant WHERE invariant_code = 'points'",
	'a scheduled check passes when the remote and the counts are as they were');
is(sql("SELECT string_agg(verdict, ' ' ORDER BY run_seq) ~ 'pass fail (fail )?unknown ((fail|unknown) )*pass\$'"
	  . " FROM iu_invariant_run WHERE asked_by = 'schedule'"), 't',
	'the log of scheduled checks has each change of the verdict');

# Somebody's open transaction holds up his own invariant, and no other.
sql('CREATE VIEW inv_held AS SELECT 1 AS left_value, 1 AS right_value; GRANT SELECT ON inv_held TO iu_core_owner');
register('held', 'inv_held', 'p_every_seconds => 1');
my $holder = $node->background_psql('postgres');
$holder->query_safe("BEGIN; SELECT count(*) FROM fn_iu_invariant_check('held')");
my $turns = sql('SELECT ' . checks('points'));
becomes('SELECT ' . checks('points') . " > $turns + 2", 'while one invariant is locked the others are checked on');
becomes("SELECT NOT overdue FROM v_iu_invariant WHERE invariant_code = 'points'",
	'while one invariant is locked the others are not overdue');
$holder->query_safe('COMMIT');
my $held = sql('SELECT ' . checks('held'));
becomes('SELECT ' . checks('held') . " > $held", 'an invariant that was locked is checked when its lock is gone');

# A registration and a check of the same invariant wait for each other, and for nothing else.
sql("CREATE VIEW inv_lag AS SELECT 'k' AS key, 1 AS left_value, NULL::int AS right_value;"
	  . " GRANT SELECT ON inv_lag TO iu_core_owner");
register('lag', 'inv_lag', 'p_settle_seconds => 600');
$holder->query_safe("BEGIN; SELECT FROM iu_invariant WHERE invariant_code = 'lag' FOR UPDATE");
my $check = $node->background_psql('postgres', on_error_stop => 0);
$check->query_safe("SET application_name = 'lagging'");
start_query($check, "SELECT verdict FROM fn_iu_invariant_check('lag');\n\\echo done\n");
becomes("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'lagging' AND wait_event_type = 'Lock')",
	'a check waits for a registration of the same invariant');
$holder->query_safe("UPDATE iu_invariant_state SET checks = checks WHERE invariant_code = 'lag'; COMMIT");
like($check->query_until(qr/done/, "\\echo\n"), qr/unknown/,
	'a check that waited for a registration gives its verdict');
is($check->{stderr}, '', 'a check and a registration of the same invariant do not deadlock');
$_->quit for $check, $holder;
sql("SELECT fn_iu_invariant_unregister('held', 'tester', 'test'), fn_iu_invariant_unregister('lag', 'tester', 'test')");

# A remote that never answers: deliveries over the wire go on, and so does the runner.
$qdrant->fault({ path => '/collections/*', action => 'hang' });
register('points', 'inv_points', 'p_every_seconds => 1, p_timeout_ms => 60000');
becomes("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'iu_core runner' AND state = 'active'"
	  . " AND wait_event_type = 'Extension')", 'the runner waits for a remote that never answers');
switches_on();
add_route('r', $receiver->url . '/r', timeout_ms => 60000);
IU::Gate->open($node, 'iu_core.delivery_enabled', 600);
emit(1);
becomes("SELECT EXISTS (SELECT FROM iu_route_attempt WHERE status = 'sent')",
	'an event is delivered while the runner waits for the remote');
is(sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'iu_core runner' AND state = 'active'"
	  . " AND wait_event_type = 'Extension'"), 1, 'the runner still waits for the remote when the event is delivered');
IU::Gate->close($node, 'iu_core.delivery_enabled');
sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'iu_core runner'");
becomes("SELECT state = 'failing' AND last_error ~ 'user request' FROM iu_core.worker_status WHERE role = 'runner'",
	'a runner that is cancelled says so in its status');
register('points', 'inv_points', 'p_every_seconds => 1, p_timeout_ms => 1000');
wait_until("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'iu_core runner'");
becomes("SELECT detail = 'no answer within 1000 ms' FROM v_iu_invariant WHERE invariant_code = 'points'",
	'with less time the check of a remote that never answers comes to unknown');
$qdrant->heal;
register('points', 'inv_points', 'p_every_seconds => 1, p_timeout_ms => 60000');
becomes("SELECT state = 'running' FROM iu_core.worker_status WHERE role = 'runner'",
	'a runner that was cancelled is running again');
is(sql("SELECT pid FROM iu_core.worker_status WHERE role = 'runner'"), $pid,
	'the runner is the same process after the cancel');
becomes("SELECT verdict = 'pass' FROM v_iu_invariant WHERE invariant_code = 'points'",
	'the runner checks on when the remote answers again');

# A remote that is gone altogether; a gate that demands it.
sql("SELECT fn_iu_gate_demand_set('iu_core.composer_enabled', 'points', 0, 'tester', 'test')");
is(sql("SELECT fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'tester', 'test', 60) ->> 'status'"),
	'opened', 'a gate that demands an invariant opens while the counts agree');
sql("SELECT fn_iu_gate_close('iu_core.composer_enabled', 'tester', 'test')");

# ---- change windows

my $backup = $node->basedir . '/pre.dump';
append_to_file($backup, join('', map { "row $_\n" } 1 .. 100_000));
sql("SELECT fn_iu_surface_register('chunks', 'Qdrant chunks', 'view', 'invariant', 'tester', 'test', 'surf_points',"
	  . " p_layer => 'Qdrant')");
my $open = "SELECT fn_iu_change_window_open('%s', gen_random_uuid(), 'test', 'tester', '$backup')";
my @racers = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 4;
my $gate = $node->background_psql('postgres');
$gate->query_safe('BEGIN; LOCK TABLE iu_change_window IN SHARE ROW EXCLUSIVE MODE');
for my $n (0 .. $#racers) { start_query($racers[$n], sprintf($open, "race$n") . " ->> 'status';\n\\echo done\n") }
becomes("SELECT count(*) = 4 FROM pg_locks WHERE relation = 'iu_change_window'::regclass AND NOT granted",
	'four sessions open a change window at the same time');
$gate->query_safe('COMMIT');
$gate->quit;
$_->query_until(qr/done/, "\\echo\n") for @racers;
is(sql('SELECT count(*) FROM v_iu_change_window'), 1, 'of four sessions one opens the change window');
is(scalar(grep { $_->{stderr} =~ /another change window was opened meanwhile/ } @racers), 3,
	'the other three sessions are told that a window was opened meanwhile');
$_->quit for @racers;
my $label = sql('SELECT window_label FROM v_iu_change_window');
my $sha = sql("SELECT encode(sha256(pg_read_binary_file('$backup')), 'hex')");
is(sql('SELECT backup_sha256, backup_check FROM v_iu_change_window'), "$sha|checked",
	'the server reads the backup of the change window and its digest');
is(sql("SELECT backup_bytes FROM iu_change_window"), -s $backup, 'the server records the size of the backup');
sql("SELECT fn_iu_invariant_enable('points', false, 'tester', 'test')");
$qdrant->stop;
is(sql("SELECT fn_iu_change_window_close('$label', 'tester') ->> 'verdict'"), 'UNKNOWN',
	'a change window that is closed while a remote is gone comes to UNKNOWN');
like(sql("SELECT fn_iu_change_report('$label')"),
	qr/\| Qdrant chunks \| 149 \| unknown \| \? \| \*\*unknown\*\*: after: HV00N: /,
	'the report of the change window says which figure is unknown, and why');
sql("SELECT fn_iu_invariant_enable('points', true, 'tester', 'test')");
like(error_of("SELECT fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'tester', 'test', 60)"),
	qr/IU112.*demands invariant "points", which is unknown.*HV00N/s,
	'a gate that demands an invariant is refused while its remote is gone, and says why');
is(sql("SELECT value FROM dot_config WHERE key = 'iu_core.composer_enabled'"), 'false',
	'a gate that demands an invariant stays closed while its remote is gone');

# ---- there and back

like(error_of('SELECT count(*) FROM iu_core.rollback(7)'), qr/55006/,
	'a rollback of the invariants that would lose rows is refused');
cmp_ok(sql('SELECT count(*) FROM iu_core.rollback(7, false, true)'), '>', 0,
	'a rollback of the invariants is done where rows may be lost');
is(sql("SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'tester', 'test', 60) ->> 'status'"),
	'opened', 'after the rollback of the invariants the gate demands nothing');
sql("SELECT fn_iu_gate_close('iu_core.delivery_enabled', 'tester', 'test')");
becomes("SELECT state = 'nothing migrated' FROM iu_core.worker_status WHERE role = 'runner'",
	'after the rollback of the invariants the runner has nothing to do');
sql('SELECT count(*) FROM iu_core.migrate(8)');
sql('CREATE VIEW inv_two AS SELECT 2 AS left_value, 2 AS right_value; GRANT SELECT ON inv_two TO iu_core_owner');
register('two', 'inv_two', 'p_every_seconds => 1');
becomes("SELECT verdict = 'pass' FROM v_iu_invariant WHERE invariant_code = 'two'",
	'with migration 008 and without 014 the runner checks what is scheduled');
becomes("SELECT state = 'running' FROM iu_core.worker_status WHERE role = 'runner'",
	'with migration 008 and without 014 the runner says that it runs');

$node->stop;
done_testing();
