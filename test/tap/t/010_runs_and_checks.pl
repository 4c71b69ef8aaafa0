# A run of migrations and what the runner does on a schedule keep apart: a run waits
# for the check that is being carried out, and while there is a run none begins. What
# workers do beside a run gives way to it.
use strict;
use warnings;

use IU::Cluster;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = IU::Cluster->new_node('apart');
talk_to($node);
IU::Cluster->install($node);
sql('CREATE TABLE read (value int, seconds int); INSERT INTO read VALUES (1, 0);
     CREATE VIEW inv AS SELECT value AS left_value, 1 AS right_value FROM read, pg_sleep(seconds);
     GRANT SELECT ON inv TO iu_core_owner');
my $checks = "(SELECT count(*) FROM iu_invariant_run WHERE invariant_code = 'read')";
my $runner = "FROM pg_stat_activity WHERE backend_type = 'iu_core runner'";

sub check_now
{
	return sql("UPDATE iu_invariant_state SET next_at = clock_timestamp() WHERE invariant_code = 'read';"
		  . ' SELECT iu_core.wake()');
}

sql("SELECT fn_iu_invariant_register('read', 'inv', 'm', 'tester', 'test', p_timeout_ms => 60000,
	p_every_seconds => 3600)");
becomes("SELECT $checks > 0", 'the runner carries out a check');

# The check ends after its time, a minute, or with the runner.
sql('UPDATE read SET seconds = 3600');
check_now();
becomes("SELECT EXISTS (SELECT $runner AND wait_event = 'PgSleep')", 'the runner is at a check that takes long');
my $refused = error_of("SET lock_timeout = '1s'; SELECT count(*) FROM iu_core.migrate()");
like($refused, qr/the runner of this database does not end what it is at/,
	'a run does not begin in the middle of a check');
like($refused, qr/iu_core[.]worker_status/, 'and says where to look');
sql("UPDATE read SET seconds = 0; SELECT pg_terminate_backend(pid) $runner");
is(sql("SET lock_timeout = '170s'; SELECT count(*) FROM iu_core.migrate(); SHOW lock_timeout"), "0\n170s",
	'when the runner is ended a run begins, and leaves lock_timeout as it was');

my $run = $node->background_psql('postgres');
$run->query_safe('BEGIN; SELECT count(*) FROM iu_core.migrate()');
my $before = sql("SELECT $checks");
becomes("SELECT EXISTS (SELECT $runner)", 'another runner is started');
check_now();
my $passes = "(SELECT (counters ->> 'passes')::bigint FROM iu_core.worker_status WHERE role = 'runner')";
my $looked = sql("SELECT coalesce($passes, 0)");
becomes("SELECT $passes > $looked + 2", 'while there is a run the runner goes on with its passes');
is(sql("SELECT $checks"), $before, 'but begins no check');
$run->query_safe('COMMIT');
becomes("SELECT $checks > $before", 'and carries it out when the run has ended');

# As a worker: who reads several tables, and waits for a lock for a short while.
my $worker = $node->background_psql('postgres', on_error_stop => 0);
$worker->query_safe("SET lock_timeout = '2s'; BEGIN; SELECT count(*) FROM iu_piece_collection");
$run->query_until(qr/begun/, "\\echo begun\nSELECT count(*) > 0 FROM iu_core.rollback(29, true);\n");
becomes("SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'iu_piece_collection'::regclass AND NOT granted)",
	'a rollback waits for what a worker reads');
$worker->query('SELECT count(*) FROM job_dead_letter');
is($run->query_safe('SELECT 1'), "t\n1", 'a worker that waits for the rollback in its turn gives way, and it goes on');
$worker->query('ROLLBACK');
$worker->quit;
$run->quit;
$node->stop;
done_testing();
