# Nothing is lost: whatever ends in the middle of a backlog, and however late a
# transaction commits, every event arrives, what is repeated is the same to the
# byte, and the attempts say what happened. Where recording fails, nothing is
# repeated. IU_EVENTS is how many events a backlog has; `make losses` prints the
# lines that begin with a bar.
use strict;
use warnings;

use IU::Delivery;
use IU::Sink;
use IU::Cluster;
use IU::Process;
use PostgreSQL::Test::Utils;
use Test::More;

my $events = $ENV{IU_EVENTS} || 1000;
my $sink = IU::Sink->start;
my $node = IU::Cluster->new_installed('losses', 'iu_core.senders' => 2, restart_after_crash => 'on',
	max_prepared_transactions => 10,
	'iu_core.allowed_origins' => $sink->url, 'iu_core.allowed_networks' => '127.0.0.0/8');
my $delivery = IU::Delivery->new($node, $sink);
$delivery->live;

# ---- What ends, and when

# The sender that waits for a lock, if one does; else the one with the most in hand.
sub a_sender
{
	return $delivery->sql("SELECT a.pid FROM pg_stat_activity a LEFT JOIN iu_route_lease l ON l.backend_pid = a.pid
		WHERE a.backend_type LIKE 'iu_core sender%' GROUP BY a.pid, a.wait_event_type
		ORDER BY coalesce(a.wait_event_type = 'Lock', false) DESC, coalesce(sum(l.item_count), 0) DESC LIMIT 1");
}

my @faults = (
	[ 'kill -9 of a sender', sub { kill(9, a_sender()) } ],
	[ 'pg_terminate_backend', sub { $delivery->sql('SELECT pg_terminate_backend(' . a_sender() . ')') } ],
	[ 'pg_ctl stop -m immediate', sub { $node->stop('immediate'); start_again($node) } ],
	[ 'kill -9 of the postmaster', sub { kill_server($node); start_again($node) } ],
);

# Whatever the moment, the receiver lets the rest wait, so that it is the middle.
# Once so many have arrived each brings about its moment, knowing how many attempts
# there are when all that is answered is recorded, and may return a session to be
# ended after the fault.
my @moments = (
	[ 'requests under way', sub { $sink->hold('/hook', $_[0]) }, sub {
			my ($recorded) = @_;
			ok($delivery->becomes("SELECT $recorded <= " . IU::Delivery::sent_count('hook')),
				'what was answered is recorded, though the rest of its lease is not');
			return;
		} ],
	[ 'at full speed', sub { $sink->hold('/hook', $_[0] * 3 / 2); $sink->slow('/hook', 20) }, sub { return } ],
	[ 'answers not recorded', sub { $sink->hold('/hook', $_[0]) }, sub {
			my $lock = $node->background_psql('postgres', on_error_stop => 0);
			$lock->query_safe('BEGIN; LOCK TABLE iu_route_attempt IN EXCLUSIVE MODE');
			$sink->heal;
			ok($delivery->becomes("SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'iu_route_attempt'::regclass"
				  . " AND NOT granted)"),
				'a sender waits for a lock to record answers');
			return $lock;
		} ],
);

sub row
{
	my ($what, %found) = @_;
	note(sprintf('| %-63s | %9s | %8s | %5s |', $what, @found{qw(delivered repeated lost)}));
	return;
}

sub strike
{
	my ($moment, $prepare, $arrange, $fault, $act) = @_;
	my $mark = $delivery->mark('hook');
	my $middle = int($events * 0.4);
	my $recorded = $delivery->sql('SELECT ' . IU::Delivery::sent_count('hook'));

	$delivery->route('pause', 'hook');
	$delivery->prepare('late');
	$delivery->emit($events);
	$prepare->($middle);
	$delivery->route('resume', 'hook');
	ok($sink->wait_for('/hook', $mark->{arrived} + $middle), 'the part of the backlog before the fault has arrived');
	my $session = $arrange->($recorded + $middle);
	cmp_ok($sink->count('/hook') - $mark->{arrived}, '<', $events,
		'a part of the backlog has not arrived at the fault');
	$act->();
	$sink->heal;
	eval { $session->quit } if $session;
	ok($delivery->settle('hook'), 'after the fault all of the backlog is delivered');
	$delivery->sql("COMMIT PREPARED 'late'");
	ok($delivery->settle('hook'), 'an event that commits after the fault is delivered');
	my %found = $delivery->audit('hook', $mark);
	is(IU::Delivery::told(%found), IU::Delivery::perfect($events + 1),
		'after the fault nothing is lost, and the records agree');
	row("$fault, $moment", %found);
	return;
}

$delivery->add_route('hook', max_in_flight => 256);
row('fault, moment', map { $_ => $_ } qw(delivered repeated lost));
foreach my $fault (@faults)
{
	foreach my $moment (@moments)
	{
		subtest "nothing is lost by $fault->[0], $moment->[0]" => sub { strike(@$moment, @$fault) };
	}
}

# ---- A sender that stands still until its leases are another's

subtest 'a sender that stands still loses nothing' => sub {
	my $mark = $delivery->mark('hook');
	my $log = -s $node->logfile;
	$sink->hold('/hook');
	$delivery->emit(20);
	ok($sink->wait_for('/hook', $mark->{arrived} + 20), 'requests of the sender that is to stand still are under way');
	my $stopped = a_sender();
	freeze_idle(sub { $delivery->sql($_[0]) }, $stopped);
	$delivery->sql("UPDATE iu_route_lease SET expires_at = clock_timestamp() WHERE backend_pid = $stopped;"
		  . " SELECT iu_core.wake()");
	ok($delivery->becomes("SELECT NOT EXISTS (SELECT FROM iu_route_lease WHERE backend_pid = $stopped)"),
		'another sender takes the leases over when they end');
	$sink->heal;
	ok($delivery->settle('hook'), 'the other sender delivers everything');
	thaw($stopped);
	ok($node->wait_for_log(qr/results of deliveries came too late and are dropped/, $log),
		'what the sender that stood still knows comes too late and is dropped');
	ok($delivery->becomes("SELECT state = 'running' FROM iu_core.worker_status WHERE pid = $stopped"),
		'the sender that stood still goes on');
	my %found = $delivery->audit('hook', $mark);
	is(IU::Delivery::told(%found), IU::Delivery::perfect(20),
		'everything that two senders had in hand is recorded once');
	row('a sender stands still', %found);
};

# ---- Transactions that stay open

subtest 'a writer and a reader that are idle in transaction delay nothing' => sub {
	my $mark = $delivery->mark('hook');
	my $writer = $node->background_psql('postgres', on_error_stop => 1);
	my $reader = $node->background_psql('postgres', on_error_stop => 1);
	$writer->query_safe("BEGIN; SAVEPOINT s; SELECT fn_iu_emit_event('version_applied', 'late', gen_random_uuid(),"
		  . " 'tester'); RELEASE s");
	$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM event_outbox');
	foreach my $part (1, 2)
	{
		$delivery->emit($events / 2);
		ok($delivery->settle('hook'), "while a writer and a reader are idle in transaction part $part of the others is"
			  . " delivered");
	}
	is(IU::Delivery::told($delivery->audit('hook', $mark)), IU::Delivery::perfect($events),
		'while a writer and a reader are idle in transaction nothing of the others is lost');
	ok($delivery->becomes("SELECT count(*) = 2 FROM pg_stat_activity WHERE state = 'idle in transaction'"),
		'the writer and the reader are idle in transaction');
	$writer->query_safe('COMMIT');
	ok($delivery->settle('hook'), 'the event of the idle writer is delivered when it commits');
	my %found = $delivery->audit('hook', $mark);
	is(IU::Delivery::told(%found) . ", repeated $found{repeated}", IU::Delivery::perfect($events + 1) . ', repeated 0',
		'the event of the idle writer is delivered once');
	row('a late commit, others idle in transaction', %found);
	$_->quit foreach $writer, $reader;
};

# ---- Results that cannot be recorded: what was sent is not sent again

my $record = $delivery->sql("SELECT oid::regprocedure FROM pg_proc WHERE proname LIKE 'fn_iu_delivery_record%'"
	  . " AND has_function_privilege('iu_core_worker', oid, 'EXECUTE')");
my ($name) = $record =~ /^iu\.(\w+)/;
my $back = "ALTER FUNCTION iu.whole RENAME TO $name";
sub trigger
{
	my ($kind, $body) = @_;
	return "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS \$\$BEGIN $body; RETURN NEW; END\$\$;"
	  . " CREATE $kind FOR EACH ROW EXECUTE FUNCTION broken()";
}
my @failures = (
	[ 'the function raises', "ALTER FUNCTION $record RENAME TO whole;
		CREATE FUNCTION $record RETURNS integer LANGUAGE plpgsql AS \$\$BEGIN RAISE 'broken'; END\$\$;
		GRANT EXECUTE ON FUNCTION $record TO iu_core_worker", "DROP FUNCTION $record; $back" ],
	[ 'the function is gone', "ALTER FUNCTION $record RENAME TO whole", $back ],
	[ 'the role may not call it', "REVOKE EXECUTE ON FUNCTION $record FROM iu_core_worker",
	"GRANT EXECUTE ON FUNCTION $record TO iu_core_worker" ],
	[ 'the disk is full', trigger('TRIGGER broken BEFORE INSERT ON iu_route_attempt',
	"RAISE disk_full USING MESSAGE = 'no space left'") ],
	[ 'an error like that of a lost lease',
	trigger('TRIGGER broken BEFORE INSERT ON iu_route_attempt',
	"RAISE object_not_in_prerequisite_state USING MESSAGE = 'no longer held, says this trigger'") ],
	[ 'the commit fails', trigger('CONSTRAINT TRIGGER broken AFTER INSERT ON iu_route_attempt DEFERRABLE INITIALLY'
	  . ' DEFERRED', "RAISE 'not at the end either'") ],
	[ 'it is cancelled', trigger('TRIGGER broken BEFORE INSERT ON iu_route_attempt',
	'PERFORM pg_cancel_backend(pg_backend_pid())') ],
	[ 'the table is locked' ],
);

sub cannot_record
{
	my ($what, $break, $mend) = @_;
	my $mark = $delivery->mark('hook');
	my $errors = "(SELECT sum((counters ->> 'errors')::bigint) FROM iu_core.worker_status WHERE role = 'sender')";
	my $before = $delivery->sql("SELECT $errors");
	my $lock = $node->background_psql('postgres', on_error_stop => 1);
	$sink->hold('/hook', 20);
	$delivery->emit(200);
	ok($sink->wait_for('/hook', $mark->{arrived} + 30), 'a part has arrived before recording fails');
	if ($break) { $delivery->sql($break) }
	else { $lock->query_safe('BEGIN; LOCK TABLE iu_route_attempt IN EXCLUSIVE MODE') }
	$sink->heal;
	ok($delivery->becomes("SELECT $errors >= $before + 4"), 'recording fails again and again');
	my $ends = $delivery->sql('SELECT max(expires_at) FROM iu_route_lease');
	ok($delivery->becomes("SELECT min(expires_at) > '$ends' FROM iu_route_lease"),
		'while recording fails the leases are kept, so that nobody sends again');
	$delivery->sql($mend // 'DROP FUNCTION broken() CASCADE') if $break;
	$lock->query_safe('COMMIT') unless $break;
	ok($delivery->settle('hook'), 'when recording works again everything is recorded');
	my %found = $delivery->audit('hook', $mark);
	is(IU::Delivery::told(%found) . ", repeated $found{repeated}", IU::Delivery::perfect(200) . ', repeated 0',
		'what could not be recorded for a while was sent once');
	row("recording fails for a while: $what", %found);
	$lock->quit;
	return;
}
foreach my $failure (@failures)
{
	subtest "nothing is sent twice though recording fails: $failure->[0]" => sub { cannot_record(@$failure) };
}

# ---- All in all

my %found = $delivery->audit('hook');
my $all = (@faults * @moments + 1) * ($events + 1) + 20 + @failures * 200;
is(IU::Delivery::told(%found), IU::Delivery::perfect($all), 'over all faults nothing is lost, and the records agree');
row('all in all', %found);

$node->stop;
done_testing();
