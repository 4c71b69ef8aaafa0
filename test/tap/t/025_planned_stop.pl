# A planned stop: a sender that is asked to end waits for the answers to what it has
# sent, and records them, so that nothing is sent again after the next start. It
# does not wait for ever.
use strict;
use warnings;

use IU::Cluster;
use IU::Delivery;
use IU::Receiver;
use IU::Routes;
use IU::Sink;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $sink = IU::Sink->start;
my $hang = IU::Receiver->start;
my $node = IU::Cluster->new_installed('planned', 'iu_core.drain_timeout' => '30s',
	'iu_core.allowed_origins' => join(', ', $sink->url, $hang->origin), 'iu_core.allowed_networks' => '127.0.0.0/8');
my $delivery = IU::Delivery->new($node, $sink);

talk_to($node);
$delivery->live;
$delivery->add_route('hook', max_in_flight => 100);

sub stopped_in_the_middle
{
	my ($what, $stop) = @_;
	my $mark = $delivery->mark('hook');
	my $sent = '(SELECT count(*) FROM iu_route_attempt)';
	my $before = sql("SELECT $sent");

	$sink->slow('/hook', 300);
	$delivery->emit(400);
	ok($sink->wait_for('/hook', $mark->{arrived} + 40), "$what: requests are under way");
	$stop->();
	ok($delivery->settle('hook'), "$what: everything is delivered");
	my %found = $delivery->audit('hook', $mark);
	is(IU::Delivery::told(%found) . ", repeated $found{repeated}", IU::Delivery::perfect(400) . ', repeated 0',
		"$what: nothing is lost, and nothing is sent twice");
	return;
}

stopped_in_the_middle('a fast stop', sub {
		$node->stop('fast');
		cmp_ok($sink->count('/hook'), '<', 400, 'a fast stop does not wait for the whole backlog');
		$node->start;
	});
stopped_in_the_middle('a restart', sub { $node->restart });
stopped_in_the_middle('pg_terminate_backend of a sender', sub {
		my $sender = IU::Cluster->wait_for_worker($node, 'sender');
		sql("SELECT pg_terminate_backend($sender)");
		ok(IU::Cluster->wait_for_worker($node, 'sender', $sender), 'a sender that was terminated is replaced');
	});
stopped_in_the_middle('one sender less', sub {
		IU::Cluster->reload($node, 'iu_core.senders' => 0);
		becomes("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'iu_core sender')",
			'a sender that is not wanted any more ends');
		IU::Cluster->reload($node, 'iu_core.senders' => 1);
	});

subtest 'a receiver that does not answer' => sub {
	IU::Cluster->reload($node, 'iu_core.drain_timeout' => '2s');
	add_route('hang', $hang->origin . '/hang', timeout_ms => 300000);
	emit(1);
	becomes("SELECT count(*) = 1 FROM iu_route_lease WHERE route_code = 'hang'", 'a request is under way');
	my $sender = IU::Cluster->wait_for_worker($node, 'sender');
	my $began = time;
	sql("SELECT pg_terminate_backend($sender)");
	ok(IU::Cluster->wait_for_worker($node, 'sender', $sender), 'a sender does not wait for ever for an answer');
	cmp_ok(time - $began, '>', 1.9, 'it waits as long as iu_core.drain_timeout');
};

subtest 'a record that is not possible' => sub {
	my $mark = $delivery->mark('hook');
	my $lock = $node->background_psql('postgres');
	$lock->query_safe('BEGIN; LOCK TABLE iu_route_attempt IN EXCLUSIVE MODE');
	$sink->heal;
	$delivery->emit(2);
	ok($sink->wait_for('/hook', $mark->{arrived} + 2), 'what cannot be recorded is sent');
	# Its state may be that it fails: it waits for the lock.
	my $sender = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'iu_core sender'");
	sql("SELECT pg_terminate_backend($sender)");
	becomes("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $sender)",
		'a sender that cannot record ends all the same');
	$lock->query_safe('COMMIT');
	$lock->quit;
	ok($delivery->settle('hook'), 'what could not be recorded is delivered after the next start');
};

$node->stop;
done_testing();
