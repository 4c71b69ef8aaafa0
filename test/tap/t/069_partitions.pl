# The partitions of attempts: the runner makes them ahead, whatever day the clock
# shows and however long the server was down; where it cannot, deliveries go on and
# health tells; and days that are old go while others are recorded.
use strict;
use warnings;

use IPC::Run qw(start finish);
use IU::Clock;
use IU::Cluster;
use IU::Delivery;
use IU::Dump;
use IU::Gate;
use IU::GateSession;
use IU::Routes qw(emit_sql);
use IU::SQL;
use IU::Sink;
use PostgreSQL::Test::Utils;
use Test::More;

my $day = 24 * 3600;
my $sink = IU::Sink->start;
my $clock = IU::Clock->new;
my $node = IU::Cluster->init_node('partitions', { installed => 1 }, wal_level => 'logical',
	'iu_core.allowed_origins' => $sink->url, 'iu_core.allowed_networks' => '127.0.0.0/8');
my $delivery = IU::Delivery->new($node, $sink);

$clock->start($node);
talk_to($node);
IU::Cluster->install($node);
$delivery->live;
$delivery->add_route('hook');
# What is published needs a key, by which a row is told from another where it goes.
sql('CREATE PUBLICATION everything FOR ALL TABLES');

my $well = 'SELECT iu.fn_iu_attempt_trouble() IS NULL AND NOT EXISTS (SELECT FROM iu.iu_route_attempt_default)'
  . " AND NOT EXISTS (SELECT FROM iu_core.findings() WHERE about = 'partition')";
my $conforms = 'SELECT count(*) = 0 FROM fn_iu_conformance() WHERE NOT ok';
my $lies_in = "SELECT string_agg(DISTINCT tableoid::regclass::text, ' ') FROM iu_route_attempt";

sub today { return sql("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD')") }

sub set_clock
{
	$clock->step($_[0] * $day);
	sql("SELECT fn_iu_gate_close('iu_core.delivery_enabled', 'tester', 'test')");
	return $delivery->gate('open');
}

# So many events are delivered, each once.
sub delivers
{
	my ($count, $name) = @_;
	my $mark = $delivery->mark('hook');
	$delivery->emit($count);
	ok($delivery->settle('hook', $mark), "$name: everything is delivered");
	my %found = $delivery->audit('hook', $mark);
	is(IU::Delivery::told(%found) . ", repeated $found{repeated}", IU::Delivery::perfect($count) . ', repeated 0',
		"$name: nothing is lost, and nothing is sent twice");
	return;
}

becomes($well, 'a week of partitions is there after the migration');
delivers(10, 'at first');
is(sql($lies_in), 'iu.iu_route_attempt_' . today(), 'attempts lie in the partition of today');

subtest 'the runner makes what is missing' => sub {
	my $missing = sql("SELECT iu.fn_iu_attempt_table(d) FROM iu.fn_iu_attempt_days() d ORDER BY d DESC LIMIT 1");
	sql("DROP TABLE $missing");
	becomes("SELECT to_regclass('$missing') IS NOT NULL", 'a partition that is gone is made again');
	is(sql($conforms), 't', 'it is as its table');
};

subtest 'what holds a lock for long' => sub {
	my $lock = $node->background_psql('postgres');
	my $missing = sql("SELECT iu.fn_iu_attempt_table(d) FROM iu.fn_iu_attempt_days() d ORDER BY d DESC LIMIT 1");
	# As a VACUUM does.
	$lock->query_safe('BEGIN; LOCK TABLE iu.iu_route_attempt_kept IN SHARE UPDATE EXCLUSIVE MODE');
	sql("DROP TABLE $missing");
	becomes("SELECT to_regclass('$missing') IS NOT NULL", 'partitions are made while another partition is vacuumed');
	$lock->query_safe('COMMIT; BEGIN; LOCK TABLE iu.iu_route_attempt_default IN ACCESS EXCLUSIVE MODE');
	becomes("SELECT finding ~ 'a session has locked iu.iu_route_attempt_default' AND severity = 2"
		  . " FROM iu_core.findings() WHERE about = 'partition'", 'health tells that the default partition is locked');
	my $mark = $delivery->mark('hook');
	$delivery->emit(5);
	ok($sink->wait_for('/hook', $mark->{arrived} + 5) && $delivery->rest('hook'),
		'deliveries are made and recorded while it is');
	$lock->query_safe('COMMIT');
	$lock->quit;
	my %found = $delivery->audit('hook', $mark);
	is(IU::Delivery::told(%found) . ", repeated $found{repeated}", IU::Delivery::perfect(5) . ', repeated 0',
		'once each');
	becomes($well, 'all is well once the locks are gone');
};

subtest 'a look at the partitions that fails is told' => sub {
	my $whole = sql("SELECT pg_get_functiondef('iu.fn_iu_attempt_trouble()'::regprocedure)");
	sql("CREATE OR REPLACE FUNCTION iu.fn_iu_attempt_trouble() RETURNS text LANGUAGE plpgsql"
		  . " SET search_path = pg_catalog, pg_temp AS \$\$BEGIN RAISE 'no eyes'; END\$\$");
	becomes("SELECT finding ~ 'cannot be looked after: no eyes' AND severity = 2"
		  . " FROM iu_core.findings() WHERE about = 'partition'", 'health has its error');
	sql($whole);
	becomes($well, 'all is well once it succeeds');
};

# An attempt of a day, of an event that is gone.
sub attempt_sql
{
	my ($days, $key) = @_;
	return 'INSERT INTO iu_route_attempt (route_code, event_ref, attempt_no, idempotency_key, status, recorded_at)'
	  . " VALUES ('r', gen_random_uuid(), 1, '$key', 'sent', now() - interval '$days days')";
}
sub make_day
{
	my ($days) = @_;
	my $date = sql("SELECT ((now() - interval '$days days') AT TIME ZONE 'UTC')::date");
	sql("BEGIN; SET LOCAL ROLE iu_core_owner; SELECT iu.fn_iu_attempt_partitions_make('$date', '$date'); RESET ROLE; "
		  . attempt_sql($days, 'first') . '; COMMIT');
	return $date;
}

subtest 'an attempt that a clock set back dates to a day that is ending' => sub {
	my $date = make_day(300);
	my ($ends, $records, $looks) = map { IU::GateSession->new($node) } 1 .. 3;
	$ends->run('BEGIN');
	is_deeply([ $ends->run("SELECT iu.fn_iu_attempt_partition_leave('$date', 'true', NULL)") ], [ '', '0' ],
		'what is there is set apart');
	$records->run_later(attempt_sql(300, 'second'));
	my $waits = "SELECT cardinality(pg_blocking_pids($records->{pid})) > 0";
	1 until $records->is_done || ($looks->run($waits))[1];
	ok(!$records->is_done, 'whoever records for that day waits');
	my ($state) = $ends->run("SELECT iu.fn_iu_attempt_partitions_drop(ARRAY['$date'::date])");
	is($state, '55P03', 'the day does not end before that is recorded');
	$ends->run($state eq '' ? 'COMMIT' : 'ROLLBACK');
	is_deeply([ $records->outcome ], [ '', undef ], 'it is recorded');
	$_->end foreach $ends, $records, $looks;
	is(sql("SELECT string_agg(idempotency_key, ' ' ORDER BY id) FROM iu_route_attempt WHERE route_code = 'r'"),
		'first second', 'both attempts are there');
	sql("DROP TABLE iu.iu_route_attempt_${\ ($date =~ s/-//gr)}; DELETE FROM iu_route_attempt WHERE route_code = 'r'");
};

subtest 'a cleanup beside a session that has locked an old day' => sub {
	my $date = make_day(200);
	sql(attempt_sql(500, 'of no day'));
	IU::Gate->open($node, 'iu_core.retention_enabled', 600);
	sql("SELECT fn_iu_core_retention_policy_set('iu_route_attempt', 100, 'tester', 'test')");
	my $lock = $node->background_psql('postgres');
	$lock->query_safe("BEGIN; LOCK TABLE iu.iu_route_attempt_${\ ($date =~ s/-//gr)} IN ACCESS SHARE MODE");
	my $cleanup = "SELECT rows_deleted FROM fn_iu_core_retention_cleanup('tester', false)"
	  . " WHERE target_table = 'iu_route_attempt'";
	is(sql($cleanup), '1', 'it counts what it deleted elsewhere');
	is(sql("SELECT string_agg(idempotency_key, ' ') FROM iu_route_attempt WHERE route_code = 'r'"), 'first',
		'the day is left for the next call');
	$lock->query_safe('COMMIT');
	$lock->quit;
	# Whoever records at that moment keeps it from going once more.
	my $left = "SELECT count(*) FROM iu_route_attempt WHERE route_code = 'r'";
	foreach (1 .. 100) { last if sql($left) == 0; sql($cleanup); }
	is(sql($left), '0', 'which takes it');
	sql("SELECT fn_iu_gate_close('iu_core.retention_enabled', 'tester', 'test')");
};

# A session that holds a lock on the default partition keeps it from being attached to.
foreach my $days (40, -70)
{
	my $way = $days > 0 ? 'forward' : 'back';

	subtest "the clock is set $way by " . abs($days) . ' days while a session holds a lock' => sub {
		my $lock = $node->background_psql('postgres');
		my $before = sql('SELECT count(*) FROM iu_route_attempt');
		$lock->query_safe('BEGIN; SELECT count(*) FROM iu.iu_route_attempt_default');
		set_clock($days);
		becomes("SELECT finding ~ 'iu_route_attempt has no partition for today' AND severity = 2"
			  . " FROM iu_core.findings() WHERE about = 'partition'", 'health is critical: today has no partition');
		delivers(20, "set $way");
		becomes("SELECT count(*) = 20 FROM iu_route_attempt WHERE tableoid IN ('iu.iu_route_attempt_default'::regclass,"
			  . " 'iu.iu_route_attempt_kept'::regclass) AND recorded_at > clock_timestamp() - interval '1 day'"
			  . " AND recorded_at < clock_timestamp() + interval '1 day'",
			'what has no partition is recorded all the same');
		$lock->query_safe('COMMIT');
		$lock->quit;
		becomes($well, 'all is well once the lock is gone');
		is(sql('SELECT count(*) FROM iu_route_attempt'), $before + 20, 'no attempt is lost');
		delivers(5, 'afterwards');
		like(sql($lies_in), qr/iu_route_attempt_@{[ today() ]}/, 'attempts lie in the partition of that day');
		is(sql($conforms), 't', 'the database conforms');
	};
}
set_clock(30);

subtest 'the server is down for a month' => sub {
	my $before = sql('SELECT count(*) FROM iu_route_attempt');
	$node->stop('fast');
	$clock->step(31 * $day);
	$clock->start($node);
	becomes($well, 'the partitions of the days to come are made after the start');
	set_clock(0);
	delivers(5, 'after a month');
	is(sql('SELECT count(*) FROM iu_route_attempt'), $before + 5, 'what was recorded before is there');
};

subtest 'old days go while others are recorded' => sub {
	IU::Gate->open($node, 'iu_core.retention_enabled', 3000);
	sql("SELECT fn_iu_core_retention_policy_set(t, 20, 'tester', 'test')"
		  . " FROM unnest(ARRAY['event_outbox', 'iu_route_attempt']) t");
	my $left = "SELECT count(*) FROM iu_route_attempt WHERE recorded_at < now() - interval '21 days'";
	cmp_ok(sql($left), '>', 20, 'there are attempts of days that are old');
	my $mark = $delivery->mark('hook');
	my $writer = start([ 'psql', '-XqAt', '-d', $node->connstr('postgres'),
			map { ('-c', emit_sql(10)) } 1 .. 20 ], '>', '/dev/null');
	my $cleanup = "SELECT string_agg(target_table || rows_deleted, ' ')"
	  . " FROM fn_iu_core_retention_cleanup('tester', false)";
	note(sql($cleanup)) foreach 1 .. 8;
	ok(finish($writer), 'events are emitted meanwhile');
	ok($delivery->settle('hook', $mark), 'what is emitted meanwhile is delivered');
	my %found = $delivery->audit('hook', $mark);
	is(IU::Delivery::told(%found) . ", repeated $found{repeated}", IU::Delivery::perfect(200) . ', repeated 0',
		'nothing is lost, and nothing is sent twice, while days go');
	foreach (1 .. 20)
	{
		last if sql($left) == 0;
		sql($cleanup);
	}
	is(sql($left), '0', 'everything that is old is gone');
	is(sql("SELECT count(*) FROM iu.fn_iu_attempt_days() d WHERE d < (now() - interval '22 days')::date"), '0',
		'no partition of an old day is left');
	is(sql($conforms), 't', 'the database conforms');
};

subtest 'a dump, restored on another day' => sub {
	my $file = PostgreSQL::Test::Utils::tempdir . '/dump';
	my $all = "SELECT md5(string_agg(a::text, ' ' ORDER BY id)) FROM iu_route_attempt a";
	dump_to($node, $file);
	set_clock(15);
	restore_into($node, 'copy', $file);
	is(sql($all, 'copy'), sql($all), 'every attempt is there');
	is(sql($conforms, 'copy'), 't', 'the copy conforms, whatever days it has partitions of');
	is(sql('SELECT iu.fn_iu_attempt_trouble() IS NULL', 'copy'), 'f', 'that today has no partition there is told');
	sql('SELECT iu.fn_iu_attempt_partitions_tend() FROM generate_series(1, 3)', 'copy');
	is(sql('SELECT iu.fn_iu_attempt_trouble() IS NULL', 'copy'), 't', 'the partitions are made there');
	is(sql($all, 'copy'), sql($all), 'and every attempt is still there');
};

$node->stop;
done_testing();
