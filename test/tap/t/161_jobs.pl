# The job queue under what befalls servers and workers: a worker's backend is killed
# in the middle of its work, again and again; the server is restarted; nobody can
# connect; work takes longer than the lease; and an old snapshot is open all the time.
# Nothing is lost, and by the queue's own account nothing is done twice. Besides: what
# only several sessions show.
#
# A worker claims, begins, fails now and then, and acknowledges, each in a transaction
# of its own; with the acknowledgement it writes down that the job is done, so that
# what is done twice would be there twice.
use strict;
use warnings;

use IPC::Run ();
use IU::Cluster;
use IU::Gate;
use IU::Process;
use IU::SQL;
use IU::Wait;
use PostgreSQL::Test::Utils;
use Test::More;

my $jobs    = $ENV{IU_JOBS} // 3000;
my $workers = 6;
my $gate    = 'queue.job_substrate.enabled';
my $node    = IU::Cluster->new_installed('jobs', max_connections => 30, restart_after_crash => 'on',
	max_prepared_transactions => 2);
talk_to($node);
sql(<<'SQL');
CREATE TABLE test_done (job_id uuid, worker text);
CREATE TABLE test_late (job_id uuid, worker text);
CREATE PROCEDURE test_work(p_worker text) LANGUAGE plpgsql AS $$
DECLARE
  v_job    record;
  v_answer jsonb;
  v_n      integer;
BEGIN
  LOOP
    v_n := 0;
    FOR v_job IN SELECT * FROM fn_job_claim(p_worker, 'external_worker', 1 + floor(random() * 5)::integer) LOOP
      v_n := v_n + 1;
      COMMIT;
      PERFORM fn_job_start(v_job.job_id, v_job.lease_owner);
      COMMIT;
      -- The work; some of it takes longer than the lease, the first time.
      PERFORM pg_sleep(CASE WHEN v_job.payload_json ? 'slow' AND v_job.attempts = 1 THEN 5 ELSE 0.02 END);
      IF random() < 0.1 AND NOT v_job.payload_json ? 'slow' THEN
        PERFORM fn_job_fail(v_job.job_id, v_job.lease_owner, 'now and then');
      ELSE
        v_answer := fn_job_ack(v_job.job_id, v_job.lease_owner);
        INSERT INTO test_done SELECT v_job.job_id, p_worker WHERE v_answer ->> 'status' = 'succeeded';
        INSERT INTO test_late SELECT v_job.job_id, p_worker WHERE v_answer ->> 'reason' = 'lease_not_held';
      END IF;
      COMMIT;
    END LOOP;
    IF v_n = 0 THEN
      COMMIT;
      EXIT WHEN NOT EXISTS (SELECT FROM job_queue WHERE finished_at IS NULL);
      PERFORM pg_sleep(0.1);
    END IF;
  END LOOP;
END $$;
SQL
sql("SELECT fn_iu_policy_set('$_->[0]', '$_->[1]', 'test', 'a test is short')")
  for [ 'queue.lease.duration_sec', 2 ], [ 'queue.retry.backoff_base_sec', 1 ],
  [ 'queue.retry.max_attempts_default', 100 ];
sql("SELECT fn_iu_switch_set('$_->[0]', '$_->[1]', 'test', 'leases are taken back')")
  for [ 'queue.worker.enabled', 'true' ], [ 'queue.lease.reaper_enabled', 'true' ],
  [ 'queue.lease.reaper_dry_run_only', 'false' ];

# A gate that was opened for an hour may have been closed where the server was down.
sub open_the_gate
{
	IU::Gate->open($node, $gate, 3600) if sql("SELECT iu_core.gate_is_open('$gate')") ne 't';
	return;
}

# Somebody whose snapshot is as old as the server's last start.
my $reader;
sub read_on
{
	eval { $reader->quit } if $reader;
	$reader = $node->background_psql('postgres');
	$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM test_done');
	return;
}

sub up
{
	wait_for { return $node->psql('postgres', 'SELECT 1') == 0 } or die "the server does not answer\n";
	open_the_gate();
	read_on();
	return;
}

my @running;

# So many workers; as many as there are at a time, unless it is said.
sub begin_work
{
	my ($how_many) = @_;
	push @running, map {
		my $out = '';
		[ IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "CALL test_work('w$_')" ],
			'<', \undef, '>', \$out, '2>', \$out), \$out ] } 1 .. $how_many // $workers;
	return;
}

# However each of them ended.
sub end_work
{
	foreach my $worker (@running)
	{
		eval { $worker->[0]->finish };
	}
	@running = ();
	return;
}

my $of_workers = q{FROM pg_stat_activity WHERE query LIKE 'CALL test_work%' AND pid <> pg_backend_pid()};

sub some_are_done
{
	my ($more) = @_;
	my $before = sql('SELECT count(*) FROM test_done');
	wait_until("SELECT count(*) >= $before + $more OR NOT EXISTS (SELECT FROM job_queue WHERE finished_at IS NULL)
		FROM test_done");
	return;
}

# ---- what an unfinished transaction adds is found, whoever claimed meanwhile

open_the_gate();
my $adder = $node->background_psql('postgres', on_error_stop => 1);
sql("SELECT count(fn_job_enqueue('late', 't', '{}', NULL, 'before ' || i)) FROM generate_series(1, 5) i");
$adder->query_safe("BEGIN; SELECT fn_job_enqueue('late', 't', '{}', NULL, 'late')");
sql("SELECT count(fn_job_enqueue('late', 't', '{}', NULL, 'then ' || i)) FROM generate_series(1, 300) i");
is(sql("SELECT count(*) FROM fn_job_claim('w', 'DOT', 250)"), '250', 'claims go on while a transaction adds a job');
is(sql("SELECT count(*) FROM fn_job_claim('w', 'DOT', 250)"), '55', 'and hand out all that was committed');
$adder->query_safe('COMMIT');
is(sql("SELECT idempotency_key FROM fn_job_claim('w', 'DOT', 250)"), 'late',
	'its job is handed out once it has committed');
is(sql('SELECT left_value = right_value FROM v_job_waiting_check'), 't', 'no position is past what waits');
sql("SELECT fn_job_cancel(job_id, 't', 'enough') FROM job_queue WHERE finished_at IS NULL");

# ---- claims wait for nobody, and no job is handed out twice at a time

sql("SELECT fn_job_enqueue('held', 't', '{}', NULL, 'held ' || i) FROM generate_series(1, 3) i");
$adder->query_safe("BEGIN; SELECT count(*) FROM fn_job_claim('first', 'DOT', 2, '{held}')");
is(sql("SELECT string_agg(idempotency_key, ' ') FROM fn_job_claim('second', 'DOT', 3, '{held}')"), 'held 3',
	'a claim passes what another one is taking');
$adder->query_safe('ROLLBACK');
is(sql("SELECT count(*) FROM fn_job_claim('second', 'DOT', 3, '{held}')"), '2',
	'what was taken by a transaction that was rolled back waits again');
sql("SELECT fn_job_cancel(job_id, 't', 'enough') FROM job_queue WHERE finished_at IS NULL");

# ---- lanes are removed beside those who add jobs, and hide none

my $as_runner = q{SET LOCAL ROLE iu_core_owner; SELECT iu.fn_job_chore('runner') IS NOT NULL; RESET ROLE};

# As if the lane of the kind had last been used so long ago.
sub lane_unused_for
{
	my ($kind, $time) = @_;
	sql("SET ROLE iu_core_owner; UPDATE job_lane SET used_at = iu_core.steady_clock() - interval '$time'
		WHERE job_kind = '$kind'");
	return;
}
my $lanes = q{SELECT string_agg(job_kind, ' ' ORDER BY lane_id) FROM job_lane WHERE job_kind LIKE 'lane%'};

sql("SELECT fn_job_cancel(id, 't', 'enough') FROM (SELECT (fn_job_enqueue('lane' || i, 't', '{}', NULL,
	'lane' || i) ->> 'job_id')::uuid FROM generate_series(1, 3) i) j (id)");
lane_unused_for('lane1', '1 day 1 hour');
$adder->query_safe("BEGIN; $as_runner");
like(sql("SET statement_timeout = '30 s'; SELECT fn_job_enqueue('lane1', 't', '{}', NULL, 'lane1')"), qr/"queued"/,
	'who adds a job does not wait for the runner, which is about to remove its lane');
$adder->query_safe('COMMIT');
is(sql($lanes), 'lane2 lane3 lane1', 'and has made another lane');
is(sql("SELECT idempotency_key FROM fn_job_claim('w', 'DOT', 250, '{lane1}')"), 'lane1', 'from which it is handed out');

lane_unused_for('lane2', '1 day 1 hour');
$adder->query_safe("BEGIN; SELECT fn_job_enqueue('lane2', 't', '{}', NULL, 'lane2')");
sql("BEGIN; $as_runner; COMMIT");
$adder->query_safe('COMMIT');
is(sql("SELECT idempotency_key FROM fn_job_claim('w', 'DOT', 250, '{lane2}')"), 'lane2',
	'the runner leaves a lane that is being marked as used');

# The lane was in use when the transaction began; a day later by the lane's mark, the transaction has not ended.
$adder->query_safe("BEGIN; SELECT fn_job_enqueue('lane3', 't', '{}', NULL, 'lane3')");
lane_unused_for('lane3', '1 day');
sql("BEGIN; $as_runner; COMMIT");
$adder->query_safe('COMMIT');
is(sql("SELECT idempotency_key FROM fn_job_claim('w', 'DOT', 250, '{lane3}')"), 'lane3',
	'the runner leaves a lane as long as a transaction may still let a job wait there');

# The same of one that is prepared, and outlives the server.
lane_unused_for('lane3', '0 s');
sql("BEGIN; SELECT fn_job_enqueue('lane3', 't', '{}', NULL, 'prepared'); PREPARE TRANSACTION 'adds a job'");
$adder->quit;
$node->restart;
$adder = $node->background_psql('postgres', on_error_stop => 1);
open_the_gate();
lane_unused_for('lane3', '1 day');
sql("BEGIN; $as_runner; COMMIT");
sql("COMMIT PREPARED 'adds a job'");
is(sql("SELECT idempotency_key FROM fn_job_claim('w', 'DOT', 250, '{lane3}')"), 'prepared',
	'also where that is prepared, and the server was restarted');

# A lane that one session marks is good enough for the others; one that they made at the same time goes.
lane_unused_for('lane3', '2 hours');
$adder->query_safe("BEGIN; SELECT fn_job_enqueue('lane3', 't', '{}', NULL, 'marks')");
sql("SET statement_timeout = '30 s'; SELECT fn_job_enqueue('lane3', 't', '{}', NULL, 'does not wait')");
is(sql("SELECT count(*) FROM job_lane WHERE job_kind = 'lane3'"), '1',
	'who adds a job takes a lane that another session marks as used');
$adder->query_safe('COMMIT');
sql("SET ROLE iu_core_owner; INSERT INTO job_lane (job_kind, priority, used_at)
	SELECT 'lane3', 100, iu_core.steady_clock() - interval '1 day 1 hour'");
sql("BEGIN; $as_runner; COMMIT");
is(sql("SELECT count(*) FROM job_lane WHERE job_kind = 'lane3'"), '1',
	'the runner removes a second lane that nobody uses, though jobs wait');
is(sql("SELECT count(*) FROM fn_job_claim('w', 'DOT', 250, '{lane3}')"), '2', 'which are handed out');
is(sql('SELECT left_value = right_value FROM v_job_waiting_check'), 't', 'no job waits without a lane');

# A claim that put a position forward, in a transaction that goes on.
my $put = q{SET LOCAL ROLE iu_core_owner; SELECT iu.fn_job_positions_put('{own}'); RESET ROLE};
my $claim = "SELECT count(*) FROM fn_job_claim('w', 'DOT', 10, '{own}')";
sql("SELECT count(fn_job_enqueue('own', 't', '{}', NULL, 'own ' || i)) FROM generate_series(1, 40) i");
sql("$claim; BEGIN; $put; COMMIT; $claim");
$adder->query_safe("BEGIN; $claim; $put");
like(sql("SET statement_timeout = '30 s'; BEGIN; $put; COMMIT; $claim"), qr/^10$/m,
	'a claim does not wait for another one that put the position forward');
like(sql("SET statement_timeout = '30 s'; BEGIN; $as_runner; COMMIT"), qr/^t$/m, 'nor does the runner');
$adder->query_safe('ROLLBACK');
is(sql($claim), '10', 'what that one had claimed is found when it is rolled back');
sql("SELECT fn_job_cancel(job_id, 't', 'enough') FROM job_queue WHERE finished_at IS NULL");

# ---- an old snapshot keeps every dead row, and no claim passes them all

sql("SELECT count(fn_job_enqueue('old', 't', '{}', NULL, 'old ' || i)) FROM generate_series(1, 3000) i");
$adder->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM job_queue');
sql(<<'SQL') for 1 .. 28;
DO $$ BEGIN
  FOR i IN 1 .. 100 LOOP
    PERFORM fn_job_ack(c.job_id, c.lease_owner) FROM fn_job_claim('w', 'DOT', 1, '{old}') c;
    COMMIT;
  END LOOP;
END $$
SQL
my $passed = q{SELECT pg_stat_force_next_flush(); SELECT idx_tup_read FROM pg_stat_user_indexes
	WHERE indexrelname = 'job_queue_waiting_idx'};
my $before = (split /\n/, sql($passed))[-1];
sql("SELECT count(*) FROM fn_job_claim('w', 'DOT', 1, '{old}')") for 1 .. 50;
wait_until("SELECT idx_tup_read >= $before + 50 FROM pg_stat_user_indexes
	WHERE indexrelname = 'job_queue_waiting_idx'");
my $entries = ((split /\n/, sql($passed))[-1] - $before) / 50;
note("a claim passes $entries entries of the index, of which 2,800 are dead");
cmp_ok($entries, '<', 1000, 'a claim does not pass what was taken long ago, though an old snapshot keeps it');
$adder->query_safe('COMMIT');
sql("SELECT fn_job_cancel(job_id, 't', 'enough') FROM job_queue WHERE finished_at IS NULL");

# ---- who listens is told; an older snapshot is refused

sql("SELECT fn_iu_switch_set('queue.notify.enabled', 'true', 'test', 't')");
like(sql("LISTEN iu_job_queue; SELECT fn_job_enqueue('told', 't', '{}', NULL, 'told')"),
	qr/notification "iu_job_queue" with payload "told"/, 'a new job is told to who listens, where the switch is on');
sql("SELECT fn_iu_switch_set('queue.notify.enabled', 'false', 'test', 't')");
unlike(sql("LISTEN iu_job_queue; SELECT fn_job_enqueue('told', 't', '{}', NULL, 'not told')"), qr/notification/,
	'and is not where it is off');
sql("SELECT fn_job_cancel(job_id, 't', 'enough') FROM job_queue WHERE finished_at IS NULL");
like(error_of("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT $_"), qr/25000/, "refused in an older snapshot: $_")
  for "fn_job_enqueue('k', 'a', '{}', NULL, 'x')", "fn_job_ack(gen_random_uuid(), 'x')",
  "fn_job_ack_many(ARRAY[gen_random_uuid()], 'x')", "fn_job_start(gen_random_uuid(), 'x')",
  "fn_job_fail(gen_random_uuid(), 'x', 'e')", "fn_job_cancel(gen_random_uuid(), 'x', 'e')",
  "fn_queue_heartbeat_tick('w', 'Agent', 'ok')", "count(*) FROM fn_job_claim('w', 'Agent', 1)",
  'fn_job_reap_stale_leases_apply()', "fn_job_dead_letter_triage(gen_random_uuid(), 'closed', 'o', 'w')",
  "fn_job_dead_letter_replay(gen_random_uuid(), 'o', 'w')", "fn_job_clean(1, 'o', 'w')";

# ---- two sessions add a job under one key

$adder->query_safe("BEGIN; SELECT fn_job_enqueue('twice', 't', '{}', NULL, 'twice')");
my $other = $node->background_psql('postgres', on_error_stop => 1);
start_query($other, "SELECT fn_job_enqueue('twice', 't', '{}', NULL, 'twice') ->> 'status'");
wait_until("SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%twice%'");
$adder->query_safe('COMMIT');
is($other->query('SELECT 1'), "idempotent_replay\n1",
	'of two sessions that add a job under one key the second is told of it');
$other->quit;
$adder->quit;
sql("SELECT fn_job_cancel(job_id, 't', 'enough') FROM job_queue WHERE finished_at IS NULL");

# ---- chaos

sql("SELECT count(fn_job_enqueue('chaos', 't', CASE WHEN i % 100 = 0 THEN '{\"slow\": true}' ELSE '{}' END::jsonb, NULL,
	'chaos ' || i, i % 3)) FROM generate_series(1, $jobs) i");
read_on();
my $ended = 0;
begin_work();
some_are_done(50);
for (1 .. 15)
{
	$ended += sql("SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))
		FROM (SELECT pid $of_workers ORDER BY random() LIMIT 1) w");
	begin_work(1);
	some_are_done(10);
}
is($ended, 15, 'workers are ended 15 times');

# All connections are somebody else's: workers that come cannot work, those that are there go on.
my $there = $node->background_psql('postgres');
my @idle;
while (@idle < 40)
{
	my $out = '';
	push @idle, IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', 'SELECT pg_sleep(600)' ],
		'<', \undef, '>', \$out, '2>', \$out);
}
ok(wait_for { error_of('SELECT 1') =~ /too many clients|remaining connection slots/ }, 'nobody can connect any more');
my $done = $there->query_safe('SELECT count(*) FROM test_done');
ok(wait_for { $there->query_safe('SELECT count(*) FROM test_done') >= $done + 10 }, 'workers that are connected go on');
$there->query_safe('SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
	WHERE query = $$SELECT pg_sleep(600)$$');
$there->quit;
eval { $_->finish } for @idle;
is($reader->query_safe('SELECT count(*) FROM test_done'), '0', 'the old snapshot has lasted all the time');
end_work_after(sub { sql("SELECT pg_terminate_backend(pid) $of_workers") });

my $crashes = qr/all server processes terminated; reinitializing/;
foreach my $round (1 .. 3)
{
	begin_work();
	some_are_done(30);
	my $pid = sql("SELECT pid $of_workers ORDER BY random() LIMIT 1");
	end_work_after(sub { kill('KILL', $pid) if $pid });
	up();
}
is(scalar(() = slurp_file($node->logfile) =~ /$crashes/g), 3,
	'a worker\'s backend is killed three times, which takes the server down');
my $started = 'SELECT pg_postmaster_start_time()';
my @starts = sql($started);
begin_work();
some_are_done(30);
end_work_after(sub { $node->restart });
up();
push @starts, sql($started);
begin_work();
some_are_done(30);
end_work_after(sub { kill_server($node) });
start_again($node);
up();
my %starts = map { $_ => 1 } @starts, sql($started);
is(scalar keys %starts, 3, 'the server is restarted, and killed');
cmp_ok(sql('SELECT count(*) FROM job_queue WHERE finished_at IS NULL'), '>', 0, 'all that before the work is done');

# ---- what came of it

end_work_after(sub { sql("SELECT pg_terminate_backend(pid) $of_workers") });
begin_work();
becomes('SELECT NOT EXISTS (SELECT FROM job_queue WHERE finished_at IS NULL)', 'all jobs end');
end_work();
is(sql("SELECT count(*) FROM job_queue WHERE job_kind = 'chaos' AND state = 'succeeded'"), $jobs, 'nothing is lost');
is(sql("SELECT count(*) || ' ' || count(DISTINCT job_id) FROM test_done d JOIN job_queue q USING (job_id)
	WHERE q.job_kind = 'chaos'"), "$jobs $jobs", 'nothing is done twice');
is(sql('SELECT left_value = right_value FROM v_job_waiting_check'), 't', 'no position is past what waits');
cmp_ok(sql("SELECT count(*) FROM job_queue WHERE payload_json ? 'slow' AND attempts > 1"), '>', 0,
	'leases of workers that were gone were taken back');
cmp_ok(sql('SELECT count(*) FROM test_late'), '>', 0, 'workers that came too late were told');
is($reader->query_safe('SELECT 1'), '1', 'an old snapshot is open to the end');
$reader->quit;
is(sql('SELECT count(*) FROM job_dead_letter'), '0', 'no job was given up');
is(sql('SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok'), '0', 'the database conforms');
$node->stop;
done_testing();

sub end_work_after
{
	my ($what) = @_;
	$what->();
	end_work();
	return;
}
