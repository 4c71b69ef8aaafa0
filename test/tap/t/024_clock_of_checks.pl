# The clock is set back and forward by an hour while the view of an invariant is
# read: a reading has the time that the invariant gives it, no more and no less.
use strict;
use warnings;

use IU::Clock;
use IU::Cluster;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $hour = 3600;
my $node = IU::Cluster->init_node('checks', { installed => 1 }, log_lock_waits => 'on');
my $clock = IU::Clock->new;
$clock->start($node);
talk_to($node);
IU::Cluster->install($node);
sql('CREATE TABLE read (a int); INSERT INTO read VALUES (1);
     CREATE VIEW inv AS SELECT (SELECT a FROM read) AS left_value, 1 AS right_value;
     GRANT SELECT ON inv TO iu_core_owner');
my ($holder, $asking) = map { $node->background_psql('postgres', on_error_stop => 0) } 1, 2;
my $asking_pid = $asking->query_safe('SELECT pg_backend_pid()');
$asking->query_safe("SET deadlock_timeout = '5s'");

# What a check with so much time finds that waits for a lock. $meanwhile is done while it waits; then $releases: the
# lock is given back.
sub found
{
	my ($ms, $meanwhile, $releases) = @_;
	sql("SELECT fn_iu_invariant_register('read', 'inv', 'm', 'tester', 'test', p_timeout_ms => $ms)");
	$holder->query_safe('BEGIN; LOCK TABLE read IN ACCESS EXCLUSIVE MODE');
	start_query($asking, "SELECT verdict || ' ' || detail FROM fn_iu_invariant_check('read');\n\\echo answered\n");
	becomes("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $asking_pid",
		"a reading that has $ms ms waits");
	$meanwhile->();
	$holder->query_safe('ROLLBACK') if $releases;
	becomes("SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $asking_pid",
		"the check whose reading has $ms ms answers");
	$holder->query_safe('ROLLBACK') if !$releases;
	return $asking->query_until(qr/answered/, "\\echo\n") =~ /^(\w+ .*)$/m ? $1 : $asking->{stderr};
}
my $last_ms = 'SELECT ms BETWEEN %s AND 600000 FROM iu_invariant_run ORDER BY run_seq DESC LIMIT 1';

is(found(5000, sub { $clock->step(-$hour) }), 'unknown no answer within 5000 ms',
	'with the clock set back by an hour a reading ends when it has had its time');
is(sql(sprintf $last_ms, 5000), 't', 'how long the reading took is told by a clock that nobody sets');
is(found(60000,
		sub {
			my $log = -s $node->logfile;
			$clock->step(2 * $hour);
			# A timer of the session goes off, at which PostgreSQL looks for all others that are due by the clock.
			ok($node->wait_for_log(qr/still waiting for AccessShareLock/, $log), 'the reading goes on waiting');
		}, 1),
	'pass both are 1', 'with the clock set forward by two hours a reading has the time that it would have had');
is(sql(sprintf $last_ms, 0), 't', 'how long the reading took does not have the hours in it');

$_->quit foreach $holder, $asking;
$node->stop;
done_testing();
