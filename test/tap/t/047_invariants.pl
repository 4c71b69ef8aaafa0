# Invariants with a remote in them: one that is down, slow or gone makes unknown,
# never pass; the runner checks on time, and holds up no delivery over the wire;
# nothing is locked while a remote is waited for. And change windows that race.
use strict;
use warnings;

use IU::Peer;
use IU::Cluster;
use IU::Gate;
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;

my $qdrant   = IU::Peer->start('qdrant', '--api-key', 'the-key');
my $receiver = IU::Peer->start('receiver');
my $key      = { 'api-key' => 'the-key' };
my $node     = IU::Cluster->new_node('invariants',
	'iu_core.allowed_origins' => join(', ', $qdrant->url, $receiver->url), 'iu_core.allowed_networks' => '127.0.0.0/8');

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub error_of { my ($statement) = @_; my ($code, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$statement;"); return $err }
sub becomes
{
	my ($query, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($node->poll_query_until('postgres', $query), $name) || diag sql('TABLE iu_core.worker_status; TABLE v_iu_invariant; TABLE iu_invariant_run');
}
sub points { my ($from, $to) = @_; return $qdrant->call('PUT', '/collections/chunks/points?wait=true', { points => [ map { { id => $_, vector => [$_] } } $from .. $to ] }, $key) }
sub found { return sql("SELECT concat_ws(' ', verdict, left_value, right_value, difference, '(' || detail || ')') FROM fn_iu_invariant_check('$_[0]')") }
sub register { my ($code, $view, $more) = @_; return sql("SELECT fn_iu_invariant_register('$code', '$view', 'm', 'tester', 'test'" . ($more ? ", $more" : '') . ") ->> 'status'") }
sub runner { return IU::Cluster->wait_for_worker($node, 'runner', @_) }

IU::Cluster->install($node);
$qdrant->call('PUT', '/collections/chunks', { vectors => { size => 1, distance => 'Dot' } }, $key);
points(1, 149);
sql("CREATE SERVER q FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '" . $qdrant->url . "');
     CREATE USER MAPPING FOR postgres SERVER q OPTIONS (api_key 'the-key');
     CREATE FOREIGN TABLE q_collections (collection text, points bigint, error text) SERVER q OPTIONS (resource 'collections');
     CREATE FOREIGN TABLE q_counts (collection text, points bigint, error text) SERVER q OPTIONS (resource 'collections', on_error 'null');
     CREATE TABLE sync_point (id int PRIMARY KEY, indexed boolean NOT NULL DEFAULT true);
     INSERT INTO sync_point SELECT generate_series(1, 152);
     CREATE VIEW inv_points AS SELECT (SELECT count(*) FROM sync_point WHERE indexed) AS left_value, (SELECT points FROM q_collections WHERE collection = 'chunks') AS right_value;
     CREATE VIEW inv_nulls AS SELECT (SELECT count(*) FROM sync_point WHERE indexed) AS left_value, (SELECT points FROM q_counts WHERE collection = 'chunks') AS right_value;
     CREATE VIEW surf_points AS SELECT points AS value FROM q_collections WHERE collection = 'chunks';
     GRANT SELECT ON inv_points, inv_nulls, surf_points TO iu_core_owner");
register('points', 'inv_points');
register('nulls', 'inv_nulls');

# ---- a remote that answers, and one that does not

is(found('points'), 'fail 152 149 3 (left is 152, right is 149)', '152 rows against 149 points');
sql('UPDATE sync_point SET indexed = false WHERE id > 149');
is(found('points'), 'pass 149 149 0 (both are 149)', 'with the three marked as not indexed it holds');
$qdrant->fault({ path => '/collections/*', status => 503, body => '{"status":{"error":"later"},"time":0}' });
like(found('points'), qr/^unknown \(HV\w+: /, 'a remote that refuses: unknown, with its SQLSTATE');
like(found('nulls'), qr/^unknown 149 \(right is NULL\)$/, 'with NULL for an error: unknown as well');
$qdrant->heal;
$qdrant->fault({ path => '/collections/*', action => 'hang' });
register('points', 'inv_points', 'p_timeout_ms => 200');
is(found('points'), 'unknown (no answer within 200 ms)', 'one that does not answer: unknown, in its time');
is(sql("SELECT verdict FROM fn_iu_invariant_check('points'); SELECT count(*) FROM generate_series(1, 2), pg_sleep(0.3)"), "unknown\n2", 'the statement after it has the time it takes');
like(error_of("SET statement_timeout = 100; SELECT * FROM fn_iu_invariant_check('points')"), qr/57014.*statement timeout/, 'who has less time than that is cancelled, and learns nothing');
is(sql("SET statement_timeout = 900; SELECT verdict FROM fn_iu_invariant_check('points')"), 'unknown', 'who has more is not');
like(error_of("SET statement_timeout = 500; SELECT verdict, pg_sleep(60) FROM fn_iu_invariant_check('points')"), qr/57014.*statement timeout/, 'and keeps the time that he had');
like(error_of("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM fn_iu_invariant_check('points')"), qr/25000/, 'not in a snapshot of some time ago');

# Key by key: which rows have no point.
$qdrant->heal;
sql("CREATE FOREIGN TABLE q_points (collection text, id text) SERVER q OPTIONS (resource 'points');
     CREATE VIEW inv_keys AS SELECT coalesce(s.id::text, p.id) AS key, CASE WHEN s.id IS NOT NULL THEN 1 END AS left_value, CASE WHEN p.id IS NOT NULL THEN 1 END AS right_value
       FROM (SELECT * FROM sync_point WHERE indexed) s FULL JOIN (SELECT * FROM q_points WHERE collection = 'chunks') p ON p.id = s.id::text;
     GRANT SELECT ON inv_keys TO iu_core_owner");
register('keys', 'inv_keys');
is(found('keys'), 'pass 149 149 0 (the same 149 key(s) on both sides)', 'every indexed row has its point');
sql('UPDATE sync_point SET indexed = true');
is(sql("SELECT verdict, left_value, right_value, keys, keys_total FROM fn_iu_invariant_check('keys')"), 'fail|152|149|{150,151,152}|3', '152 keys against 149 points: one SELECT names the three');
sql('UPDATE sync_point SET indexed = false WHERE id > 149');
is(found('keys'), 'pass 149 149 0 (the same 149 key(s) on both sides)', 'with the three marked as not indexed it holds');
$qdrant->fault({ path => '/collections/*', status => 503, body => '{"status":{"error":"later"},"time":0}' });
like(found('keys'), qr/^unknown \(HV\w+: /, 'and without the remote no key is missing, it is unknown');
sql("SELECT fn_iu_invariant_unregister('keys', 'tester', 'test')");
$qdrant->heal;
$qdrant->fault({ path => '/collections/*', action => 'hang' });

# ---- nothing is locked meanwhile

register('points', 'inv_points', 'p_timeout_ms => 60000');
my $asking = $node->background_psql('postgres', on_error_stop => 0);
$asking->query_safe("SET application_name = 'asking'");
$asking->query_until(qr/asked/, "\\echo asked\nSELECT verdict || ' ' || detail FROM fn_iu_invariant_check();\n\\echo answered\n");
becomes("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'asking' AND state = 'active' AND wait_event_type = 'Extension')", 'a check waits for the remote');
is(sql("SELECT string_agg(l.relation::regclass || ' ' || l.mode, ', ' ORDER BY 1) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
         WHERE a.application_name = 'asking' AND l.locktype = 'relation' AND l.mode NOT IN ('AccessShareLock')"), '', 'meanwhile it has nothing but read locks');
is(register('other', 'inv_nulls'), 'registered', 'another can be registered');
is(sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'asking'"), 't', 'somebody cancels it');
my $told = $asking->query_until(qr/answered/, "\\echo\n");
like($asking->{stderr}, qr/canceling statement due to user request/, 'and it is cancelled, not unknown');
$qdrant->heal;
register('points', 'inv_points');
is(sql("BEGIN; SELECT count(*) FROM fn_iu_invariant_check('points'); SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation IN ('q_collections'::regclass, 'sync_point'::regclass, 'inv_points'::regclass); COMMIT"),
	"1\n0", 'what a check has read is not locked when it is done');

# What was registered otherwise meanwhile does not get the answer of what it was.
$qdrant->fault({ path => '/collections/*', hold => JSON::PP::true() });
$asking->query_until(qr/asked/, "\\echo asked\nSELECT verdict || ' ' || detail FROM fn_iu_invariant_check('points');\n\\echo answered\n");
becomes("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'asking' AND state = 'active' AND wait_event_type = 'Extension')", 'another check waits for the remote');
register('points', 'inv_points', 'p_tolerance => 1');
$qdrant->heal;
like($asking->query_until(qr/answered/, "\\echo\n"), qr/unknown it was registered otherwise while it was read/, 'registered otherwise meanwhile: unknown');
is(sql("SELECT verdict || ' ' || detail FROM v_iu_invariant WHERE invariant_code = 'points'"), 'unknown not checked yet', 'and not checked yet');
register('points', 'inv_points');
$asking->quit;
sql("SELECT fn_iu_invariant_unregister('other', 'tester', 'test'), fn_iu_invariant_unregister('nulls', 'tester', 'test')");

# ---- on a schedule

my $pid = runner();
sub checks { return "(SELECT checks FROM iu_invariant_state WHERE invariant_code = '$_[0]')" }
sub runs { return sql("SELECT count(*) FROM iu_invariant_run WHERE asked_by = 'schedule' AND invariant_code = '$_[0]'") }
register('points', 'inv_points', 'p_every_seconds => 1');
becomes("SELECT verdict = 'pass' FROM v_iu_invariant WHERE invariant_code = 'points'", 'registered with a schedule, it is checked');
becomes('SELECT ' . checks('points') . ' >= (SELECT count(*) FROM iu_invariant_run WHERE invariant_code = \'points\') + 2', 'and again, by the clock');
is(runs('points'), 1, 'what is the same as before is not logged again');
is(sql("SELECT session_role FROM iu_invariant_run WHERE asked_by = 'schedule'"), 'iu_core_worker', 'by the worker');
points(150, 150);
becomes("SELECT verdict = 'fail' AND difference = -1 FROM v_iu_invariant WHERE invariant_code = 'points'", 'a point too many is found');
becomes("SELECT checks > 3 AND next_at < clock_timestamp() + interval '1 s' FROM iu_invariant_state WHERE invariant_code = 'points'", 'and it goes on');
$qdrant->fault({ path => '/collections/*', status => 500, body => '{"status":{"error":"broken"},"time":0}' });
becomes("SELECT verdict = 'unknown' AND detail ~ '^HV' FROM v_iu_invariant WHERE invariant_code = 'points'", 'a remote that fails: unknown');
is(sql("SELECT state || coalesce(last_error, '') FROM iu_core.worker_status WHERE role = 'runner'"), 'running', 'which is no failure of the runner');
$qdrant->heal;
$qdrant->call('POST', '/collections/chunks/points/delete?wait=true', { points => [150] }, $key);
becomes("SELECT verdict = 'pass' FROM v_iu_invariant WHERE invariant_code = 'points'", 'then it holds again');
is(sql("SELECT string_agg(verdict, ' ' ORDER BY run_seq) ~ 'pass fail (fail )?unknown ((fail|unknown) )*pass\$' FROM iu_invariant_run WHERE asked_by = 'schedule'"), 't', 'the log has each change');

# Somebody's open transaction holds up his own invariant, and no other.
sql('CREATE VIEW inv_held AS SELECT 1 AS left_value, 1 AS right_value; GRANT SELECT ON inv_held TO iu_core_owner');
register('held', 'inv_held', 'p_every_seconds => 1');
my $holder = $node->background_psql('postgres');
$holder->query_safe("BEGIN; SELECT count(*) FROM fn_iu_invariant_check('held')");
my $turns = sql('SELECT ' . checks('points'));
becomes('SELECT ' . checks('points') . " > $turns + 2", 'with one invariant locked the others are checked on time');
is(sql("SELECT overdue FROM v_iu_invariant WHERE invariant_code = 'points'"), 'f', 'and are not overdue');
$holder->query_safe('COMMIT');
my $held = sql('SELECT ' . checks('held'));
becomes('SELECT ' . checks('held') . " > $held", 'then the locked one too');

# A registration and a check of the same invariant wait for each other, and for nothing else.
sql("CREATE VIEW inv_lag AS SELECT 'k' AS key, 1 AS left_value, NULL::int AS right_value; GRANT SELECT ON inv_lag TO iu_core_owner");
register('lag', 'inv_lag', 'p_settle_seconds => 600');
$holder->query_safe("BEGIN; SELECT FROM iu_invariant WHERE invariant_code = 'lag' FOR UPDATE");
my $check = $node->background_psql('postgres', on_error_stop => 0);
$check->query_safe("SET application_name = 'lagging'");
$check->query_until(qr/go/, "\\echo go\nSELECT verdict FROM fn_iu_invariant_check('lag');\n\\echo done\n");
becomes("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'lagging' AND wait_event_type = 'Lock')", 'a check waits for a registration');
$holder->query_safe("UPDATE iu_invariant_state SET checks = checks WHERE invariant_code = 'lag'; COMMIT");
like($check->query_until(qr/done/, "\\echo\n"), qr/unknown/, 'which has what it needs');
is($check->{stderr}, '', 'there is no deadlock');
$_->quit for $check, $holder;
sql("SELECT fn_iu_invariant_unregister('held', 'tester', 'test'), fn_iu_invariant_unregister('lag', 'tester', 'test')");

# A remote that never answers: deliveries over the wire go on, and so does the runner.
$qdrant->fault({ path => '/collections/*', action => 'hang' });
register('points', 'inv_points', 'p_every_seconds => 1, p_timeout_ms => 60000');
becomes("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'iu_core runner' AND state = 'active' AND wait_event_type = 'Extension')", 'the runner waits for the remote');
sql("SELECT fn_iu_switch_set(k, 'true', 'tester', 'test') FROM unnest(ARRAY['iu_core.routes_master_enabled', 'iu_core.route_worker_enabled']) k;
     SELECT fn_iu_route_add('r', 'version_applied', '" . $receiver->url . "/r', 'tester', 'test'), fn_iu_route_allow('r', 'tester', 'test'), fn_iu_route_arm('r', 'tester', 'test')");
IU::Gate->open($node, 'iu_core.delivery_enabled', 600);
sql("SELECT fn_iu_emit_event('version_applied', 'x', gen_random_uuid(), 'tester', '{}')");
becomes("SELECT EXISTS (SELECT FROM iu_route_attempt WHERE status = 'sent')", 'an event is delivered all the same');
is(sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'iu_core runner' AND state = 'active' AND wait_event_type = 'Extension'"), 1, 'while the runner still waits');
sql("SELECT fn_iu_gate_close('iu_core.delivery_enabled', 'tester', 'test')");
sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'iu_core runner'");
becomes("SELECT state = 'failing' AND last_error ~ 'user request' FROM iu_core.worker_status WHERE role = 'runner'", 'cancelled by somebody: the runner says so');
register('points', 'inv_points', 'p_every_seconds => 1, p_timeout_ms => 100');
$node->poll_query_until('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'iu_core runner'");
becomes("SELECT detail = 'no answer within 100 ms' FROM v_iu_invariant WHERE invariant_code = 'points'", 'with less time it is unknown');
$qdrant->heal;
becomes("SELECT state = 'running' FROM iu_core.worker_status WHERE role = 'runner'", 'the runner is well again');
is(sql("SELECT pid FROM iu_core.worker_status WHERE role = 'runner'"), $pid, 'it is the same process');
becomes("SELECT verdict = 'pass' FROM v_iu_invariant WHERE invariant_code = 'points'", 'and checks');

# A remote that is gone altogether; a gate that demands it.
sql("SELECT fn_iu_gate_demand_set('iu_core.composer_enabled', 'points', 0, 'tester', 'test')");
is(sql("SELECT fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'tester', 'test', 60) ->> 'status'"), 'opened', 'the gate opens while the stores agree');
sql("SELECT fn_iu_gate_close('iu_core.composer_enabled', 'tester', 'test')");

# ---- change windows

my $backup = $node->basedir . '/pre.dump';
append_to_file($backup, join('', map { "row $_\n" } 1 .. 100_000));
sql("SELECT fn_iu_surface_register('chunks', 'Qdrant chunks', 'view', 'invariant', 'tester', 'test', 'surf_points', p_layer => 'Qdrant')");
my $open = "SELECT fn_iu_change_window_open('%s', gen_random_uuid(), 'test', 'tester', '$backup')";
my @racers = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 4;
my $gate = $node->background_psql('postgres');
$gate->query_safe('BEGIN; LOCK TABLE iu_change_window IN SHARE ROW EXCLUSIVE MODE');
for my $n (0 .. $#racers) { $racers[$n]->query_until(qr/go/, "\\echo go\n" . sprintf($open, "race$n") . " ->> 'status';\n\\echo done\n") }
becomes("SELECT count(*) = 4 FROM pg_locks WHERE relation = 'iu_change_window'::regclass AND NOT granted", 'four open a window at the same time');
$gate->query_safe('COMMIT');
$gate->quit;
$_->query_until(qr/done/, "\\echo\n") for @racers;
is(sql('SELECT count(*) FROM v_iu_change_window'), 1, 'one has it');
is(scalar(grep { $_->{stderr} =~ /another change window was opened meanwhile/ } @racers), 3, 'the others are told');
$_->quit for @racers;
my $label = sql('SELECT window_label FROM v_iu_change_window');
my $sha = sql("SELECT encode(sha256(pg_read_binary_file('$backup')), 'hex')");
is(sql('SELECT backup_sha256, backup_check FROM v_iu_change_window'), "$sha|checked", 'the backup is read by the server');
is(sql("SELECT backup_bytes FROM iu_change_window"), -s $backup, 'its size too');
sql("SELECT fn_iu_invariant_enable('points', false, 'tester', 'test')");
$qdrant->stop;
is(sql("SELECT fn_iu_change_window_close('$label', 'tester') ->> 'verdict'"), 'UNKNOWN', 'closed while a remote is gone: UNKNOWN');
like(sql("SELECT fn_iu_change_report('$label')"), qr/\| Qdrant chunks \| 149 \| unknown \| \? \| \*\*unknown\*\*: after: HV00N: /, 'the report says which figure, and why');
sql("SELECT fn_iu_invariant_enable('points', true, 'tester', 'test')");
like(error_of("SELECT fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'tester', 'test', 60)"), qr/IU112.*demands invariant "points", which is unknown.*HV00N/s, 'the gate stays shut, and says why');
is(sql("SELECT value FROM dot_config WHERE key = 'iu_core.composer_enabled'"), 'false', 'it does');

# ---- there and back

like(error_of('SELECT count(*) FROM iu_core.rollback(7)'), qr/55006/, 'a rollback refuses');
cmp_ok(sql('SELECT count(*) FROM iu_core.rollback(7, false, true)'), '>', 0, 'and does it with the loss allowed');
is(sql("SELECT fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'tester', 'test', 60) ->> 'status'"), 'opened', 'then the gate demands nothing');
sql("SELECT fn_iu_gate_close('iu_core.composer_enabled', 'tester', 'test')");
becomes("SELECT state = 'nothing migrated' FROM iu_core.worker_status WHERE role = 'runner'", 'the runner has nothing to do');
sql('SELECT count(*) FROM iu_core.migrate(8)');
sql('CREATE VIEW inv_two AS SELECT 2 AS left_value, 2 AS right_value; GRANT SELECT ON inv_two TO iu_core_owner');
register('two', 'inv_two', 'p_every_seconds => 1');
becomes("SELECT verdict = 'pass' FROM v_iu_invariant WHERE invariant_code = 'two'", 'with 008 and without 014 it checks what is scheduled');
becomes("SELECT state = 'running' FROM iu_core.worker_status WHERE role = 'runner'", 'and says that it runs');

$node->stop;
done_testing();
