# A long random walk over the gate protocol, compared with a model of it after
# each step: sessions that open, renew, close, change dot_config beside the
# protocol, in transactions with savepoints, prepared or not, under a server and
# a watchdog that are stopped, killed and restarted.
#
# IU_STEPS is its length, IU_SEED, which is told, its beginning.
use strict;
use warnings;

use IU::GateModel;
use IU::GateSession;
use IU::Cluster;
use IU::Process;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $steps = $ENV{IU_STEPS} // 10000;
my $seed  = $ENV{IU_SEED} // time() * 1000 % 2**31;
srand $seed;
note("IU_SEED=$seed IU_STEPS=$steps");

my %classes = (
	'iu_core.delivery_enabled'      => 'governable',
	'iu_core.composer_enabled'      => 'governable',
	'iu_core.structure_ops_enabled' => 'governable',
	'iu_core.vector_sync_enabled'   => 'never_flip',
);
my @keys = (sort(keys %classes), 'test.no_gate');

# What is nearer to the end of an opening than this is waited for: on which side
# of it a step falls cannot be told before. On a busy machine a step may take
# longer: such a one is looked at afterwards (see is_ambiguous).
use constant NEAR => 0.05;

# What is due is closed within this, in s. Less than the longest sleep of the
# watchdog, or one that nobody woke would go unseen.
use constant CLOSES_WITHIN => 30;

my $node = IU::Cluster->new_installed('model', max_prepared_transactions => 10, restart_after_crash => 'on',
	autovacuum => 'off');
$node->safe_psql('postgres', "INSERT INTO dot_config (key, value) VALUES ('test.no_gate', 'false')");

my $gates    = IU::GateModel->new({ %classes, 'test.no_gate' => undef });
my $watchdog = IU::Cluster->wait_for_worker($node, 'watchdog');
my $started  = time;		# the watchdog
my $stopped  = 0;			# and stopped, by SIGSTOP
my $approval = 0;
my %prepared;				# gid => what the model holds for it
my @players;				# { name, session, model }
my $observer;
my $nobody = { frames => [] };	# who has changed nothing
my @told;					# what happened last
my %taken;					# how often each kind of step was

sub connect_all
{
	my ($class) = @_;
	$node->poll_query_until('postgres', 'SELECT true') or BAIL_OUT('the server does not come back');
	$observer = IU::GateSession->new($node);
	@players = map { +{ name => $_, session => IU::GateSession->new($node),
		model => $gates->session } } qw(alice bob carol);
}

sub record { push @told, sprintf '%.6f %s', time, "@_"; shift @told while @told > 40 }

sub differs
{
	my ($what) = @_;
	fail($what);
	diag("IU_SEED=$seed, the last steps:\n", join "\n", @told);
	diag("$_: ", $gates->line($_)) foreach @keys;
	$node->stop('immediate');
	done_testing();
	exit 1;
}

sub same { my ($got, $expected, $what) = @_; differs("$what: got '$got', expected '$expected'") if $got ne $expected }

# ---- Steps that took so long that the clock decided

# Whether an opening of one of these gates ended between $from and now: then it
# cannot be told what the server had to say.
sub is_ambiguous
{
	my ($from, $model, @near) = @_;
	my $now = time;
	return scalar grep { defined && $_ > $from && $_ <= $now }
	  map { my $last = $gates->seen($model, $_)->{last}; ($gates->ends($_), $last ? $last->{ends} : ()) } @near;
}

# Nobody goes on from there: every player rolls back, and the model takes what
# the tables say of gates that no prepared transaction holds.
sub begin_anew
{
	my ($why) = @_;
	record("begins anew: $why");
	foreach my $player (@players)
	{
		$player->{session}->run('ROLLBACK') if $gates->in_transaction($player->{model});
		$gates->rollback($player->{model});
	}
	foreach my $key (grep { !$gates->locked_by_other({ frames => [] }, $_) } @keys)
	{
		my $value = ($observer->run("SELECT value FROM dot_config WHERE key = '$key'"))[1];
		my $rows = ($observer->run("SELECT string_agg(concat_ws('|', action, coalesce(actor, ''),"
			  . " coalesce(approval_id::text, ''),"
			  . " extract(epoch FROM expires_at)), ',' ORDER BY transition_seq) FROM iu_gate_transition"
			  . " WHERE gate_key = '$key'"))[1];
		my @ledger = map { my %row; @row{qw(action actor approval ends)} = split /\|/; \%row } split /,/, $rows // '';
		$gates->adopt($key, $value, @ledger);
	}
	$taken{'begins anew'}++;
}

# ---- The watchdog, whose time is its own

# Gates that it has to close and can are closed before anything else happens.
sub settle
{
	return if $stopped;
	foreach my $key (@keys)
	{
		next if !$gates->is_due($key, time) || $gates->locked_by_other({ frames => [] }, $key);
		my $deadline = time + CLOSES_WITHIN;
		my $value;
		while (($value = ($observer->run("SELECT value FROM dot_config WHERE key = '$key'"))[1]) ne 'false')
		{
			differs("$key was not closed by the watchdog") if time > $deadline;
			sleep 0.002;
		}
		$gates->watchdog_closed($key);
		record("watchdog closed $key");
	}
}

# Until no committed or own opening of these gates is about to end.
sub get_clear
{
	my ($model, @near) = @_;
	foreach my $key (@near)
	{
		foreach my $ends ($gates->ends($key),
			map { $_->{ends} } grep { $_ && $_->{ends} } $gates->seen($model, $key)->{last})
		{
			next if !defined $ends;
			my $left = $ends - time;
			sleep $left + 0.01 if $left > -0.01 && $left < NEAR;
		}
	}
	settle();
}

# ---- Steps

sub pick { return $_[ rand @_ ] }

sub act
{
	my ($player) = @_;
	my $model = $player->{model};
	my $in = $gates->in_transaction($model);
	my $step = { gate => pick(@keys),
		do => pick(qw(open open open open close close true true false), $in ? () : qw(delete insert)) };
	my $key = $step->{gate};

	if ($step->{do} eq 'open')
	{
		my $last = $gates->seen($model, $key)->{last};
		$step->{seconds} = pick(1, 2, 600, 600, 600, 3600, rand() < 0.05 ? (0, 3601) : 600);
		$step->{actor} = pick($player->{name}, $player->{name}, $last && $last->{actor} ? $last->{actor} : 'dave');
		$step->{approval} = rand() < 0.1 && $last && $last->{approval} ? $last->{approval}
			  : sprintf '00000000-0000-0000-0000-%012d', ++$approval;
	}
	get_clear($model, $key);
	# Whose row came or went since the snapshot is another matter in each statement.
	return if $model->{seen} && $in && !($model->{seen}{$key}{there} && defined $gates->{gates}{$key}{value});
	if ($gates->locked_by_other($model, $key))
	{
		wait_in_vain($player, $step) if !$in;
		return;
	}
	$gates->begin($model, 'rc') if !$in;
	my $from = time;
	my $expected = $gates->refusal($model, $step, $from);
	record($player->{name}, $in ? 'in transaction' : '', map { "$_=$step->{$_}" } sort keys %$step);
	my ($state, $ends) = $player->{session}->act($step);
	return begin_anew("$step->{do} of $key") if is_ambiguous($from, $model, $key);
	same($state, $expected, "$step->{do} of $key by $player->{name}");
	if ($state ne '') { $gates->fail($model) if $state ne '25P02' }
	else { $gates->done($model, $step, $ends) }
	$gates->commit($model) if !$in;
	$taken{ $step->{do} . ($state ne '' ? " $state" : '') }++;
}

# Of those that come as far as the gate's row.
sub wait_in_vain
{
	my ($player, $step) = @_;
	return if $step->{do} eq 'insert' || !defined $gates->{gates}{ $step->{gate} }{value}
	  || $gates->refusal($player->{model}, $step, time) =~ /^(42501|23514)$/;
	record($player->{name}, 'in vain', map { "$_=$step->{$_}" } sort keys %$step);
	my $from = time;
	$player->{session}->run("SET lock_timeout = '2ms'");
	my ($state) = $player->{session}->act($step);
	$player->{session}->run('RESET lock_timeout');
	return begin_anew("$step->{do} of a locked gate") if is_ambiguous($from, $player->{model}, $step->{gate});
	same($state, '55P03', "$step->{do} of $step->{gate}, which is locked");
	$taken{'waits in vain'}++;
}

sub transaction
{
	my ($player) = @_;
	my ($session, $model) = @$player{qw(session model)};
	my $depth = @{ $model->{frames} };

	if ($depth == 0)
	{
		my $level = pick('rc', 'rc', 'rr');
		get_clear($model, @keys) if $level eq 'rr';
		record($player->{name}, "begin $level");
		my $from = time;
		$session->run('BEGIN ISOLATION LEVEL ' . ($level eq 'rc' ? 'READ COMMITTED' : 'REPEATABLE READ')
			  . '; SELECT 1');
		$gates->begin($model, $level);
		begin_anew('begin') if $level eq 'rr' && is_ambiguous($from, $model, @keys);
	}
	elsif (rand() < 0.35 && !$model->{failed} && $depth < 6)
	{
		record($player->{name}, "savepoint s$depth");
		same(($session->run("SAVEPOINT s$depth"))[0], '', 'a savepoint');
		$gates->savepoint($model);
	}
	elsif (rand() < 0.4 && $depth > 1)
	{
		my $frame = 1 + int rand($depth - 1);
		record($player->{name}, "rollback to s$frame");
		same(($session->run("ROLLBACK TO s$frame"))[0], '', 'back to a savepoint');
		$gates->rollback_to($model, $frame);
		$taken{'rollback to'}++;
	}
	elsif (rand() < 0.3 && !$model->{failed} && keys %prepared < 3)
	{
		my $gid = 'p' . ++$approval;
		record($player->{name}, "prepare $gid");
		same(($session->run("PREPARE TRANSACTION '$gid'"))[0], '', 'prepare');
		$prepared{$gid} = $gates->prepare($model);
		$taken{prepare}++;
	}
	else
	{
		my $commits = rand() < 0.7;
		get_clear($model, @keys);
		record($player->{name}, $commits ? 'commit' : 'rollback');
		same(($session->run($commits ? 'COMMIT' : 'ROLLBACK'))[0], '', 'the end of a transaction');
		$commits ? $gates->commit($model) : $gates->rollback($model);
		$taken{ $commits ? 'commit' : 'rollback' }++;
	}
}

sub decide
{
	my ($player) = @_;
	my $gid = pick(sort keys %prepared) // return;
	return if $gates->in_transaction($player->{model});
	my $commits = rand() < 0.6;
	record($player->{name}, $commits ? 'commit' : 'rollback', "prepared $gid");
	same(($player->{session}->run(($commits ? 'COMMIT' : 'ROLLBACK') . " PREPARED '$gid'"))[0], '',
		'a prepared transaction');
	$commits ? $gates->commit($prepared{$gid}) : $gates->rollback($prepared{$gid});
	$gates->forget(delete $prepared{$gid});
	$taken{decide}++;
}

sub pass_time
{
	my $now = time;
	my ($next) = sort { $a <=> $b } grep { defined && $_ > $now && $_ < $now + 2 } map { $gates->ends($_) } @keys;
	return if !defined $next;
	sleep $next - $now + 0.001;
	record('time passed');
	$taken{'time passes'}++;
}

# ---- What happens to the server

# It need not be well: a prepared transaction may hold what it has to close.
sub next_watchdog
{
	my $next = "SELECT pid FROM iu_core.worker_status WHERE role = 'watchdog' AND pid <> $watchdog"
		  . " AND state <> 'starting'";
	$node->poll_query_until('postgres', "SELECT EXISTS ($next)") or BAIL_OUT('no watchdog comes');
	$watchdog = $node->safe_psql('postgres', $next);
	$started = time;
	$stopped = 0;
}

sub lose_sessions
{
	$gates->forget($_->{model}) foreach @players;
	connect_all();
	next_watchdog();
}

sub misfortune
{
	my $what = shift // pick('stop', 'stop', 'stop', 'stop', 'terminate', 'terminate',
		rand() < 0.3 ? ('kill', 'fast', 'immediate') : 'stop');
	settle();
	# One that ends soon after its start is started again later and later.
	return if $what ne 'stop' && ($stopped || time < $started + 11);
	record("server: $what");
	$taken{"server: $what"}++;
	if ($what eq 'stop')
	{
		$stopped ? thaw($watchdog) : freeze_idle(sub { ($observer->run($_[0]))[1] }, $watchdog);
		$stopped = !$stopped;
	}
	elsif ($what eq 'terminate')
	{
		kill 'TERM', $watchdog;
		next_watchdog();
	}
	elsif ($what eq 'kill')
	{
		kill 'KILL', $watchdog;
		# The postmaster ends all sessions; one that still answered would deceive us.
		my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
		while (($observer->run('SELECT 1'))[0] eq '') { BAIL_OUT('the crash was not noticed')
			  if time > $deadline; sleep 0.01 }
		lose_sessions();
	}
	else
	{
		$node->stop($what);
		$node->start;
		lose_sessions();
	}
}

# ---- What must be seen

sub look
{
	my ($who, $session, $model) = @_;
	return if $model->{failed};
	my ($from, $to, @open) = $session->ask(@keys);
	foreach my $key (@keys)
	{
		my $open = shift @open;
		my ($at_first, $at_last) = map { $gates->is_open($model, $key, $_) } $from, $to;
		same($open ? 1 : 0, $at_first, "$key, as $who reads it") if $at_first == $at_last;
	}
}

sub compare_tables
{
	foreach my $key (@keys)
	{
		my ($from, $line);
		do
		{
			get_clear($nobody, $key);
			$from = time;
			# A gate that is due may be closed at any moment by a watchdog that was stopped in its sleep.
			$line = ($observer->run("SELECT concat_ws(' ', coalesce((SELECT value FROM dot_config WHERE key = '$key'),"
				  . " 'missing'),"
				  . " (SELECT string_agg(action, ' ' ORDER BY transition_seq) FROM iu_gate_transition"
				  . " WHERE gate_key = '$key'))"))[1];
		} while (is_ambiguous($from, $nobody, $key));
		same($line, $gates->line($key), "the tables on $key");
	}
	same(($observer->run("SELECT fn_iu_gate_ledger_verify() ->> 'ok'"))[1], 'true', 'the chain');
}

connect_all();
for my $n (1 .. $steps)
{
	my $player = pick(@players);
	my $dice = rand;

	settle();
	if ($dice < 0.55 && !($player->{model}{failed} && rand() < 0.8)) { act($player) }
	elsif ($dice < 0.90) { transaction($player) }
	elsif ($dice < 0.96) { decide($player) }
	elsif ($dice < 0.975) { pass_time() }
	elsif ($dice < 0.98) { misfortune(); $player = pick(@players) }
	settle();
	look($player->{name}, $player->{session}, $player->{model});
	look('an observer', $observer, $nobody);
	compare_tables() if $n % 250 == 0;
}
misfortune('stop') if $stopped;
compare_tables();
pass("a random walk of $steps steps shows no difference between server and model");
note(join ', ', map { "$taken{$_} x $_" } sort keys %taken);
$node->stop;
done_testing();
