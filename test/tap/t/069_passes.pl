# Passes over the outbox in two sessions at once, the senders' own beside a
# person's: in every order of their steps each event of a route that is a dry run
# is recorded once, whatever the passes are called and however they end, and no
# event is passed over.
use strict;
use warnings;

use IU::Cluster;
use IU::GateSession;
use IU::Routes;
use IU::SQL;
use Test::More;

# No worker: what a sender does is a step.
my $node = IU::Cluster->new_installed('passes', 'iu_core.databases' => '');
talk_to($node);
switches_on();
add_route('dry', 'https://hooks.example/', idle => 1);
sql("SELECT fn_iu_route_dry_run('dry', 'tester', 'test')");
my ($here, $there, $beside) = map { IU::GateSession->new($node) } 1 .. 3;

my $default = 'iu_outbound_default';
my %statement = (
	begin        => 'BEGIN',
	'begin rr'   => 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1',
	commit       => 'COMMIT',
	rollback     => 'ROLLBACK',
	turn         => "SELECT iu.fn_iu_route_worker_turn('$default', 100)",
	map { ("pass $_" => "SELECT fn_iu_route_worker_run('$_') ->> 'status'") } $default, qw(first second));

# All orders of so many steps of each session.
sub orders
{
	my @left = @_;
	return [] if !grep { $_ } @left;
	my @orders;
	foreach my $n (grep { $left[$_] } 0, 1)
	{
		my @rest = @left;
		$rest[$n]--;
		push @orders, map { [ $n, @$_ ] } orders(@rest);
	}
	return @orders;
}

# One order of steps over three new events: '', or what was wrong, with what each step gave.
sub meet
{
	my ($scripts, $order) = @_;
	my @left = map { [@$_] } @$scripts;
	my $before = ($beside->run('SELECT coalesce(max(event_seq), 0) FROM event_outbox'))[1];
	$beside->run(IU::Routes::emit_sql(3));
	my @told;

	foreach my $n (@$order)
	{
		my $word = shift @{ $left[$n] };
		my ($state, $value) = ($here, $there)[$n]->run($statement{$word} // die $word);
		push @told, "$word of $n: " . ($state || $value // '');
	}
	$beside->run($statement{"pass $_"}) foreach $default, qw(first second);
	my $recorded = ($beside->run("SELECT string_agg(n::text, ' ') FROM (SELECT count(a.id) AS n FROM event_outbox e"
			  . " LEFT JOIN iu_route_attempt a ON a.event_ref = e.id AND a.status = 'dry_run'"
			  . " WHERE e.event_seq > $before GROUP BY e.id) AS x"))[1];
	return $recorded eq '1 1 1' ? '' : "recorded $recorded times: " . join(', ', @told);
}

foreach my $pair (
	[ $default => 'first', 'commit', 'commit' ], [ $default => 'first', 'commit', 'rollback' ],
	[ first => 'second', 'commit', 'commit' ], [ first => 'second', 'rollback', 'commit' ],
	[ first => 'first', 'commit', 'commit' ])
{
	my ($one, $other, @ends) = @$pair;
	my @scripts = ([ 'begin', "pass $one", $ends[0] ], [ 'begin', "pass $other", $ends[1] ]);
	my @orders = orders(3, 3);
	is(join("\n", grep { $_ ne '' } map { meet(\@scripts, $_) } @orders), '',
		"each event is a dry run once: pass $one, $ends[0], beside pass $other, $ends[1], in " . @orders . ' orders');
}
{
	my @scripts = ([ 'begin', 'pass first', 'commit' ], ['turn']);
	is(join("\n", grep { $_ ne '' } map { meet(\@scripts, $_) } orders(3, 1)), '',
		"each event is a dry run once: a person's pass beside a sender's turn");
}
is(sql('SELECT sum(attempts_written) = (SELECT count(*) FROM iu_route_attempt) FROM iu_route_worker_cursor'), 't',
	'the cursors count what was recorded');

# ---- what each is told

emit(3);
$here->run($statement{begin});
is_deeply([ $here->run($statement{'pass first'}) ], [ '', 'ran' ], 'a pass runs');
is_deeply([ $here->run($statement{'pass second'}) ], [ '', 'ran' ], 'so does another in the same transaction');
is_deeply([ $there->run($statement{"pass $_"}) ], [ '', 'busy' ], "meanwhile the pass $_ of another session is busy")
  foreach $default, 'first';
is_deeply([ $there->run($statement{turn}) ], [ '', '0' ], "a sender's turn then has no more to do for now");
is(($there->run("UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.route_worker_enabled'"))[0], '',
	'no switch waits for a pass');
$here->run('ROLLBACK');
$there->run($statement{'begin rr'});
is(sql($statement{'pass first'}), 'ran', 'a pass that was busy before runs');
is(($there->run($statement{'pass second'}))[0], '25000', 'a pass whose snapshot is older than another pass is refused');
$there->run('ROLLBACK');
is(sql('SELECT max(n) FROM (SELECT count(*) AS n FROM iu_route_attempt GROUP BY event_ref) AS x'), '1',
	'no event was ever a dry run twice');

$_->end foreach $here, $there, $beside;
$node->stop;
done_testing();
