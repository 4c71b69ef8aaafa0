#-------------------------------------------------------------------------
#
# IU/Nemesis/Faults.pm
#	  What happens to a server at random moments: processes that are killed or
#	  stand still, restarts, steps of the clock, a copy beside it, a promotion,
#	  storms of commits, no connection left.
#
#	  my $faults = IU::Nemesis::Faults->new(seed => 4711, history => $history, node => $node, clock => $clock);
#	  my $plan = $faults->plan($seconds);		# [ [ after, name ], ... ], from the seed alone
#	  $faults->make('clock_back');				# begins, lasts, and is over; written to the history
#	  $faults->node;							# the server by now
#
# kills is true of what may repeat deliveries: what was under way is not known then.
#
#-------------------------------------------------------------------------
package IU::Nemesis::Faults;

use strict;
use warnings;

use File::Path ();
use IPC::Run ();
use IU::Cluster;
use IU::Nemesis::History qw(now);
use IU::Process;
use IU::Wait;
use PostgreSQL::Test::Cluster;
use Time::HiRes ();

my %FAULTS = (
	kill_worker   => { kills => 1, make => sub { $_[0]->_kill('KILL') } },
	end_worker    => { kills => 0, make => sub { $_[0]->_kill('TERM') } },
	freeze_sender => { kills => 0, make => sub { $_[0]->_freeze('sender') } },
	freeze_all    => { kills => 0, make => sub { $_[0]->_freeze('.*') } },
	restart       => { kills => 0, make => sub { $_[0]->_stop_and_start('fast') } },
	crash         => { kills => 1, make => sub { $_[0]->_stop_and_start('immediate') } },
	clock_back    => { kills => 0, make => sub { $_[0]->_step_clock(-3600) } },
	clock_forward => { kills => 0, make => sub { $_[0]->_step_clock(3600) } },
	connections   => { kills => 0, make => sub { $_[0]->_take_connections } },
	storm         => { kills => 0, make => sub { $_[0]->_storm } },
	copy          => { kills => 0, make => sub { $_[0]->_copy } },
	promote       => { kills => 1, make => sub { $_[0]->_promote } },
);

sub names { return sort keys %FAULTS }

sub new
{
	my ($class, %how) = @_;
	return bless { %how, state => $how{seed}, copies => 0 }, $class;
}

sub node { return $_[0]{node} }

sub _random
{
	my ($self, $below) = @_;
	$self->{state} = ($self->{state} * 1103515245 + 12345) % 2147483648;
	return int($self->{state} / 65536) % $below;
}

# Each fault once before any comes again, in an order from the seed, a second to
# $gap seconds between them.
sub plan
{
	my ($self, $seconds, $gap) = @_;
	my (@plan, @left);

	for (my $at = 1 + $self->_random($gap); $at < $seconds; $at += 1 + $self->_random($gap))
	{
		@left = $self->{only} ? @{ $self->{only} } : names() unless @left;
		push @plan, [ $at, splice(@left, $self->_random(scalar @left), 1), $self->_random(1000) ];
	}
	return \@plan;
}

# A server that recovers from the fault before is waited for.
sub make
{
	my ($self, $what, $draw) = @_;
	$self->{node}->poll_query_until('postgres', 'SELECT true');
	my $invoked = now();
	$self->{draw} = $draw;
	my $told = eval { $FAULTS{$what}{make}->($self) } // "not made: $@";

	$self->{history}->write('fault', what => $what, invoked => $invoked, completed => now(),
		kills => $FAULTS{$what}{kills}, told => $told);
	return $told;
}

# As many seconds as this fault was drawn to last.
sub _seconds { my ($self, $least, $most) = @_; return $least + $self->{draw} * ($most - $least) / 1000 }

sub _wait { Time::HiRes::sleep($_[0]); return }

# ---- Processes ----

sub _workers
{
	my ($self, $role) = @_;
	my $pids = "SELECT pid FROM iu_core.worker_status WHERE role ~ '^($role)\$' AND pid IS NOT NULL";

	$self->{node}->poll_query_until('postgres', "SELECT EXISTS ($pids)");
	return split /\n/, $self->{node}->safe_psql('postgres', "$pids ORDER BY role, pid");
}

sub _kill
{
	my ($self, $signal) = @_;
	my @pids = $self->_workers('.*');
	my $pid = $pids[ $self->{draw} % @pids ];

	kill($signal, $pid);
	wait_for { process_state($pid) =~ /^[Z]?$/ };
	return "$signal of $pid";
}

# Longer than any timeout of a route, shorter than a lease.
sub _freeze
{
	my ($self, $role) = @_;
	my @pids = $self->_workers($role);

	freeze(@pids);
	_wait($self->_seconds(2, 8));
	thaw(@pids);
	return "@pids stood still";
}

# ---- The server ----

# Every start of the server goes through the clock.
sub _start
{
	my ($self) = @_;
	wait_for
	{
		return 1 if $self->{clock}->start($self->{node}, fail_ok => 1);
		$self->{node}->stop('fast', fail_ok => 1);
		return 0;
	}
	or die "the server does not start\n";
	return;
}

sub _stop_and_start
{
	my ($self, $mode) = @_;
	$self->{node}->stop($mode);
	_wait($self->_seconds(0, 3));
	$self->_start;
	return "stopped ($mode) and started";
}

sub _step_clock
{
	my ($self, $by) = @_;
	$self->{clock}->step($by);
	_wait($self->_seconds(2, 6));
	$self->{clock}->step(-$by);
	return "the clock was set by $by s and back";
}

# ---- What others do to the server ----

sub _psql
{
	my ($self, $sql) = @_;
	return IPC::Run::start([ 'psql', '-XqAt', '-d', $self->{node}->connstr('postgres'), '-c', $sql ],
		'<', \undef, '>', \my $out, '2>', \my $err);
}

sub _take_connections
{
	my ($self) = @_;
	my $left = $self->{node}->safe_psql('postgres', "SELECT current_setting('max_connections')::int - count(*)"
		  . " FROM pg_stat_activity WHERE backend_type = 'client backend'");
	my $seconds = $self->_seconds(2, 5);
	my @sessions = map { $self->_psql("SELECT pg_sleep($seconds)") } 1 .. $left;

	eval { IPC::Run::finish($_) } foreach @sessions;
	return "$left sessions for $seconds s";
}

# Commits of a type that no route carries.
sub _storm
{
	my ($self) = @_;
	my @sessions = map {
		$self->_psql("DO \$\$ DECLARE v_end timestamptz := clock_timestamp() + interval '3 s'; BEGIN"
			  . " FOR n IN 1..600 LOOP PERFORM fn_iu_emit_event('collection_created', 'S', gen_random_uuid(), 'storm');"
			  . ' COMMIT; PERFORM pg_sleep(0.005); END LOOP; END $$')
	} 1, 2;

	eval { IPC::Run::finish($_) } foreach @sessions;
	return 'a storm of commits';
}

# A server that recovers from the fault before is asked again.
sub _back_up
{
	my ($self, $name) = @_;
	my $node = $self->{node};
	my $path = $node->backup_dir . "/$name";

	wait_for
	{
		File::Path::remove_tree($path);
		return system('pg_basebackup', '-D', $path, '-h', $node->host, '-p', $node->port, '--checkpoint=fast',
			'--no-sync') == 0;
	}
	or die "no backup is made\n";
	return;
}

# The files, started beside the original, as a staging system is made. What is
# emitted there must never arrive.
sub _copy
{
	my ($self) = @_;
	my $name = 'copy' . ++$self->{copies};
	my $copy = PostgreSQL::Test::Cluster->new($name);

	$self->_back_up($name);
	$copy->init_from_backup($self->{node}, $name);
	{
		local $ENV{IU_CORE_INSTANCE} = $self->{draw} % 2 ? 'a staging system' : '';
		$copy->start;
	}
	my $seconds = $self->_seconds(3, 6);
	for (my $end = now() + $seconds; now() < $end; _wait(0.2))
	{
		my $event = $copy->safe_psql('postgres',
			"SELECT fn_iu_emit_event('version_applied', 'C', gen_random_uuid(), 'copy')");
		$self->{history}->write('op', do => 'copied', invoked => now(), completed => now(), outcome => 'ok',
			event => $event);
	}
	$copy->stop('immediate');
	return "a copy ran for $seconds s";
}

# What was committed is on the standby as well, since commits wait for it.
sub _promote
{
	my ($self) = @_;
	my $name = 'standby' . ++$self->{copies};
	my $standby = PostgreSQL::Test::Cluster->new($name);
	my $old = $self->{node};

	$self->_back_up($name);
	$standby->init_from_backup($old, $name, has_streaming => 1);
	$standby->append_conf('postgresql.conf', "synchronous_standby_names = ''\n");
	$self->{clock}->start($standby);
	$old->wait_for_catchup($standby, 'replay', $old->lsn('insert'));
	IU::Cluster->reload($old, synchronous_standby_names => '*');
	$old->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'");
	kill_server($old);
	$standby->promote;
	$self->{node} = $standby;
	$self->{moved}->($standby);
	return 'a standby was promoted';
}

1;
