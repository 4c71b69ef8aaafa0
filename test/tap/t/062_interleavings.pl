# Every order in which the steps of two or three sessions on one gate can
# happen, at each isolation level: who waits for whom, what is refused, and
# after each step whether the gate is open, as the model of the protocol has it.
# No gate is left open without a live opening in the ledger, and none is closed
# that is rightly open.
use strict;
use warnings;

use IU::GateModel;
use IU::GateSession;
use IU::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

# No worker: what expires is closed as a step.
my $node = IU::Cluster->new_installed('interleavings', max_prepared_transactions => 10, 'iu_core.databases' => '',
	autovacuum => 'off');
my $observer = IU::GateSession->new($node);
my @connections = map { IU::GateSession->new($node) } 1 .. 3;
my $nobody = { frames => [] };
my $serial = 0;

# How each gate stands before the sessions meet.
my %start = (
	closed  => [],
	open    => [ 'open alice 600' ],
	expired => [ 'open alice 1' ],
	beside  => [ 'true' ],
);

# What each session does. A word may have an actor and seconds.
my $open     = [ 'begin', 'open alice 600', 'commit' ];
my $other    = [ 'begin', 'open bob 600', 'commit' ];
my $close    = [ 'begin', 'close', 'commit' ];
my $expire   = [ 'begin', 'expire', 'commit' ];
my $true     = [ 'begin', 'true', 'commit' ];
my $false    = [ 'begin', 'false', 'commit' ];
my $prepared = [ 'begin', 'open alice 600', 'prepare', 'commit prepared' ];
my $undone   = [ 'begin', 'open alice 600', 'prepare', 'rollback prepared' ];
my $closing  = [ 'begin', 'close', 'prepare', 'commit prepared' ];
my $back     = [ 'begin', 'savepoint', 'open alice 600', 'back', 'commit' ];
my $given_up = [ 'begin', 'open alice 600', 'rollback' ];
my @pairs = (
	[ closed => $open, $other ], [ closed => $open, $close ], [ closed => $open, $true ], [ closed => $open, $false ],
	[ closed => $open, $expire ],
	[ closed => $given_up, $other ], [ closed => $back, $other ], [ closed => $prepared, $other ],
	[ closed => $undone, $other ],
	[ closed => $prepared, $close ], [ closed => $prepared, $true ],
	[ open => $open, $open ], [ open => $open, $close ], [ open => $open, $false ], [ open => $open, $true ],
	[ open => $open, $expire ],
	[ open => $close, $other ], [ open => $false, $other ], [ open => $false, $true ], [ open => $close, $close ],
	[ open => $closing, $open ],
	[ open => $back, $close ], [ open => $undone, $expire ],
	[ expired => $open, $other ], [ expired => $expire, $other ], [ expired => $expire, $expire ],
	[ expired => $expire, $close ], [ expired => $expire, $true ],
	[ expired => $expire, $false ], [ expired => $expire, $prepared ], [ expired => $expire, $given_up ],
	[ beside => $expire, $open ], [ beside => $expire, $false ], [ beside => $close, $true ],
);
my @threes = (
	[ closed => [ 'begin open alice 600', 'commit' ], [ 'begin close', 'commit' ], [ 'begin open bob 600', 'commit' ] ],
	[ expired => [ 'begin expire', 'commit' ], [ 'begin open alice 600', 'commit' ],
	[ 'begin open bob 600', 'rollback' ] ],
	[ open => [ 'begin open alice 600', 'commit' ], [ 'begin false', 'commit' ], [ 'begin expire', 'commit' ] ],
);

# All orders of so many steps of each session, as lists of session numbers.
sub orders
{
	my @left = @_;
	return [] if !grep { $_ } @left;
	my @orders;
	foreach my $n (grep { $left[$_] } 0 .. $#left)
	{
		my @rest = @left;
		$rest[$n]--;
		push @orders, map { [ $n, @$_ ] } orders(@rest);
	}
	return @orders;
}

# ---- One order

my ($gates, $key, $level, @players, $trouble, $waits);

sub differs { my ($what) = @_; $trouble //= $what; return }

sub step_of
{
	my ($word) = @_;
	my ($do, $actor, $seconds) = split / /, $word;
	return { do => $do, gate => $key, actor => $actor, seconds => $seconds,
		approval => sprintf '00000000-0000-0000-0000-%012d', ++$serial };
}

# What came of a step. A serializable transaction may be refused at any time.
sub take
{
	my ($player, $step, $state, $value, $now) = @_;
	my $model = $player->{model};
	my $expected = $gates->refusal($model, $step, $now);
	my $status = $step->{do} eq 'expire' && $expected eq '' ? $gates->expiry($model, $key, $now) : undef;

	$expected = '' if defined $status && $status eq 'locked';
	if ($state eq '40001' && $level eq 'SERIALIZABLE') { return $gates->fail($model) }
	return differs("$step->{do} of session $player->{n}: got '$state', expected '$expected'") if $state ne $expected;
	return differs("expiry by session $player->{n}: got '$value', expected '$status'")
		  if defined $status && $state eq '' && $value ne $status;
	if ($state eq '') { $gates->done($model, $step, $value) }
	elsif ($state ne '25P02') { $gates->fail($model) }
}

sub waits_for_another
{
	my ($player, $step) = @_;
	return $step->{do} ne 'expire' && !$player->{model}{failed} && $gates->locked_by_other($player->{model}, $key);
}

sub act
{
	my ($player, $step) = @_;
	if (!waits_for_another($player, $step))
	{
		my ($state, $value) = $player->{session}->act($step);
		return take($player, $step, $state, $value, time);
	}
	$player->{session}->run_later(IU::GateSession::statement($step));
	$player->{waiting} = $step;
	$player->{since} = ++$waits;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	until (($observer->run("SELECT cardinality(pg_blocking_pids($player->{session}{pid})) > 0"))[1])
	{
		return differs("$step->{do} of session $player->{n} did not wait")
			  if $player->{session}->is_done || time > $deadline;
	}
}

sub end_transaction
{
	my ($player, $word) = @_;
	my ($session, $model) = @$player{qw(session model)};
	my $gid = "p$player->{n}";
	my ($state) = $session->run({ prepare => "PREPARE TRANSACTION '$gid'",
		'commit prepared' => "COMMIT PREPARED '$gid'",
			'rollback prepared' => "ROLLBACK PREPARED '$gid'" }->{$word} // uc $word);

	if ($word eq 'prepare')
	{
		# What failed is rolled back instead; a serializable one may be refused.
		$gates->rollback($model) if $model->{failed} || $state ne '';
		$player->{prepared} = $gates->prepare($model);
	}
	elsif ($word =~ /^(\w+) prepared$/)
	{
		differs("$word: $state") if $state ne '' && $gates->in_transaction($player->{prepared});
		$1 eq 'commit' ? $gates->commit($player->{prepared}) : $gates->rollback($player->{prepared});
		$gates->forget($player->{prepared});
	}
	elsif ($word eq 'commit' && $state eq '40001' && $level eq 'SERIALIZABLE') { $gates->rollback($model) }
	else
	{
		differs("$word of session $player->{n}: $state") if $state ne '';
		$word eq 'commit' ? $gates->commit($model) : $gates->rollback($model);
	}
}

sub take_step
{
	my ($player, $word) = @_;
	my ($session, $model) = @$player{qw(session model)};

	return push @{ $player->{later} }, $word if $player->{waiting};
	if ($word =~ s/^begin ?//)
	{
		$session->run("BEGIN ISOLATION LEVEL $level; SELECT 1");
		$gates->begin($model, $level eq 'READ COMMITTED' ? 'rc' : 'rr');
		return if $word eq '';
	}
	if ($word eq 'savepoint') { $session->run('SAVEPOINT s'); $gates->savepoint($model) unless $model->{failed} }
	elsif ($word eq 'back') { $session->run('ROLLBACK TO s'); $gates->rollback_to($model, 1) }
	elsif ($word =~ /^(commit|rollback|prepare)/) { end_transaction($player, $word) }
	else { act($player, step_of($word)) }
	go_on();
}

# Those that waited and need not any more, the first to wait first.
sub go_on
{
	foreach my $player (sort { $a->{since} <=> $b->{since} } grep { $_->{waiting} } @players)
	{
		# What the one before did may have woken it already, or made it wait on.
		next if !$player->{waiting} || $gates->locked_by_other($player->{model}, $key) || $trouble;
		my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
		until ($player->{session}->is_done)
		{
			return differs("session $player->{n} waits for nobody") if time > $deadline;
			sleep 0.0005;
		}
		take($player, delete $player->{waiting}, $player->{session}->outcome, time);
		take_step($player, $_) foreach splice @{ $player->{later} };
	}
}

sub look
{
	my ($from, $to, $open) = $observer->ask($key);
	my ($at_first, $at_last) = map { $gates->is_open($nobody, $key, $_) } $from, $to;
	differs('it reads ' . ($open ? 'open' : 'closed')) if $at_first == $at_last && ($open ? 1 : 0) != $at_first;
}

# undef, or in words what was wrong.
sub meet
{
	my ($scripts, $order) = @_;
	my @left = map { [@$_] } @$scripts;

	($trouble, $waits) = (undef, 0);
	@players = map { +{ n => $_, session => $connections[$_], model => $gates->session, later => [] } } 0 .. $#$scripts;
	foreach my $n (@$order)
	{
		take_step($players[$n], shift @{ $left[$n] });
		look();
		last if $trouble;
	}
	$gates->forget($_->{model}) foreach @players;
	my $line = ($observer->run("SELECT concat_ws(' ', value, (SELECT string_agg(action, ' ' ORDER BY transition_seq)"
		  . " FROM iu_gate_transition WHERE gate_key = key)) FROM dot_config WHERE key = '$key'"))[1];
	differs("the tables say '$line', not '" . $gates->line($key) . "'") if $line ne $gates->line($key);
	return $trouble;
}

# ---- All orders

# A gate for each, so that those that begin expired are waited for together.
sub make_gates
{
	my ($count, $state) = @_;
	my @keys = map { 'test.gate_' . ++$serial } 1 .. $count;
	$gates = IU::GateModel->new({ map { $_ => 'governable' } @keys });
	$node->safe_psql('postgres', join ';', map {
			"INSERT INTO dot_config (key, value) VALUES ('$_', 'false'); INSERT INTO iu_gate_registry"
				  . " VALUES ('$_', 'governable', 'test', 3)" } @keys);
	my $end = 0;
	foreach (@keys)
	{
		$key = $_;
		$gates->begin($nobody, 'rc');
		foreach my $step (map { step_of($_) } @{ $start{$state} })
		{
			my ($failed, $ends) = $observer->act($step);
			BAIL_OUT("$state: $failed") if $failed ne '';
			$gates->done($nobody, $step, $ends);
			$end = $ends if $state eq 'expired';
		}
		$gates->commit($nobody);
	}
	sleep 0.01 while time < $end;
	return @keys;
}

# How many gates read open without a live opening in the ledger, or closed with
# one; then they leave the registry, since each opening notes how all gates in it
# stand, which takes the longer the more there are. The ledger keeps theirs.
sub retire_gates
{
	my ($failed, $count) = $observer->run(
		"SELECT count(*) FROM iu_gate_registry r WHERE iu_core.gate_is_open(r.gate_key)"
		  . " <> coalesce((SELECT c.value = 'true' AND t.action = 'open' AND t.expires_at > clock_timestamp()"
		  . " FROM dot_config c, iu_gate_transition t WHERE c.key = r.gate_key AND t.gate_key = r.gate_key"
		  . " ORDER BY t.transition_seq DESC LIMIT 1), false)");

	BAIL_OUT("the gates cannot be read: $failed") if $failed ne '';
	$node->safe_psql('postgres', "DELETE FROM iu_gate_registry WHERE gate_key LIKE 'test.gate%'");
	return $count;
}

sub connect_again
{
	$_->end foreach @connections;
	@connections = map { IU::GateSession->new($node) } 1 .. 3;
}

my $misread = 0;

foreach my $meeting (@pairs, @threes)
{
	my ($state, @scripts) = @$meeting;
	my $name = "$state: " . join ' | ',
		map { join ' ', map { /^(begin|commit)$/ ? () : s/^begin | 600$//gr } @$_ } @scripts;
	foreach my $isolation (@scripts > 2 ? ('READ COMMITTED') : ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'))
	{
		my @orders = orders(map { scalar @$_ } @scripts);
		my @keys = make_gates(scalar @orders, $state);
		my @wrong;

		$level = $isolation;
		foreach my $order (@orders)
		{
			$key = shift @keys;
			my $what = meet(\@scripts, $order) // next;
			push @wrong, join('', @$order) . ": $what";
			connect_again();
		}
		is(join("\n", @wrong), '', lc($isolation) . ", $name: " . @orders . ' orders');
		$misread += retire_gates();
	}
}
is(($observer->run("SELECT fn_iu_gate_ledger_verify() ->> 'ok'"))[1], 'true', 'the chain of every gate verifies');
is($misread, 0, 'a gate reads open if and only if its ledger has a live opening');
$_->end foreach $observer, @connections;
$node->stop;
done_testing();
