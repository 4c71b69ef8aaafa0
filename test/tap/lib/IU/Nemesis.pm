#-------------------------------------------------------------------------
#
# IU/Nemesis.pm
#	  A run: clients at work on a server, each a process; somebody who asks for
#	  its health; and faults by plan. Then all is mended, and read.
#
#	  my $run = IU::Nemesis->new(seed => 4711, seconds => 40);
#	  $run->work;								# load and faults
#	  my $seen = $run->settle;					# what IU::Nemesis::Checker asks for
#
#-------------------------------------------------------------------------
package IU::Nemesis;

use strict;
use warnings;

use IU::Clock;
use IU::Cluster;
use IU::Nemesis::Faults;
use IU::Nemesis::History qw(now);
use IU::Nemesis::Operations;
use IU::Routes qw(add_route_sql arm_sql switches_sql);
use IU::Sink;
use List::Util qw(max min);
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More ();
use Time::HiRes ();

use constant CLIENTS => 3;

# What deliveries are held is asked of each; a retry comes soon.
my %ROUTES = (
	plain   => { held => 1 },
	ordered => { ordering => 'subject' },
	rearmed => {},
	broken  => { path => '/status/500', fails => 1 },
);
my $RETRY = { max_attempts => 2, base_s => 1, jitter => 0, circuit_failures => 0 };

sub new
{
	my ($class, %how) = @_;
	my $self = bless { %how, files => [], folder => PostgreSQL::Test::Utils::tempdir() }, $class;

	$self->{sink} = IU::Sink->start;
	$self->{clock} = IU::Clock->new;
	$self->{node} = IU::Cluster->init_node('nemesis', { allows_streaming => 1 }, $self->_settings);
	$self->{clock}->start($self->{node});
	$self->_moved($self->{node});
	IU::Cluster->install($self->{node});
	$self->_sql(switches_sql());
	$self->_sql('CREATE ROLE granter LOGIN IN ROLE iu_core_operator');
	foreach my $route (sort keys %ROUTES)
	{
		my $url = $self->{sink}->url . ($ROUTES{$route}{path} // "/$route");
		$self->_sql(add_route_sql($route, $url, max_in_flight => 200, timeout_ms => 2000,
				ordering => $ROUTES{$route}{ordering}, retry => $RETRY));
		$self->_sql(arm_sql($route));
	}
	return $self;
}

sub _settings
{
	my ($self) = @_;
	return (
		'iu_core.senders'          => 2,
		'iu_core.allowed_origins'  => $self->{sink}->url,
		'iu_core.allowed_networks' => '127.0.0.0/8',
		restart_after_crash        => 'on',
		max_connections            => 40,
	);
}

# Where the clients find the server, which may be another one after a fault.
sub _moved
{
	my ($self, $node) = @_;
	my $file = "$self->{folder}/connection";
	open(my $out, '>', "$file.new") or die $!;
	print $out $node->connstr('postgres');
	close $out;
	rename("$file.new", $file) or die $!;
	return;
}

sub _connection { return slurp_file("$_[0]{folder}/connection") }

sub _sql { my ($self, $sql) = @_; return $self->{node}->safe_psql('postgres', $sql) }

sub _history
{
	my ($self, $name) = @_;
	push @{ $self->{files} }, "$self->{folder}/$name";
	return IU::Nemesis::History->new("$self->{folder}/$name");
}

# ---- Load and faults ----

sub work
{
	my ($self) = @_;
	my $end = now() + $self->{seconds};
	my @children = map { $self->_client($_, $end) } 1 .. CLIENTS;
	push @children, $self->_watch($end);
	my $faults = IU::Nemesis::Faults->new(seed => $self->{seed}, history => $self->_history('faults'),
		node => $self->{node}, clock => $self->{clock}, only => $self->{faults}, moved => sub { $self->_moved(@_) });
	my $began = now();

	foreach my $fault (@{ $faults->plan($self->{seconds}, $self->{seconds} < 60 ? 4 : 8) })
	{
		my ($after, $what, $draw) = @$fault;
		last if now() >= $end;
		Time::HiRes::sleep(max(0, min($began + $after, $end) - now()));
		Test::More::note(sprintf("| %6.1f s  %-14s %s |", now() - $began, $what, $faults->make($what, $draw)));
	}
	waitpid($_, 0) foreach @children;
	$self->{node} = $faults->node;
	return;
}

# A child process that does this until the end; nothing of the test's is ended with it.
sub _child
{
	my ($self, $do) = @_;
	my $pid = fork() // die "fork: $!";
	return $pid if $pid;
	eval { $do->(); 1 } or print STDERR "a child of the run failed: $@";
	POSIX::_exit(0);
}

sub _client
{
	my ($self, $number, $end) = @_;
	my $history = $self->_history("client$number");
	my $client = IU::Nemesis::Operations->new(number => $number, seed => $self->{seed}, history => $history,
		routes => \%ROUTES, rearmed => 'rearmed', connection => sub { $self->_connection });

	return $self->_child(sub {
			$client->perform({ do => 'open', ttl => 10, approval => $client->_uuid }) if $number == 1;
			$client->step($self->_is_quiet($end)) while now() < $end;
		});
}

# In a long run the last two of every three minutes.
sub _is_quiet
{
	my ($self, $end) = @_;
	return ($self->{seconds} - ($end - now())) / 60 % 3 > 0;
}

# What health says. Somebody reads it, and does what it asks for where the database
# is not at home: nobody else may say that it is.
sub _watch
{
	my ($self, $end) = @_;
	my $history = $self->_history('health');
	my $asker = IU::Nemesis::Operations->new(number => 0, seed => 0, history => $history,
		connection => sub { $self->_connection });
	my $question = "SELECT status || ' ' || message FROM iu_core.health()";

	return $self->_child(sub {
			while (now() < $end)
			{
				my ($outcome, $told) = $asker->_ask($question);
				$history->write('health', at => now(), says => $told,
					well => $outcome eq 'ok' && $told =~ /^OK / ? 1 : 0);
				$asker->perform({ do => 'confirm' }) if $told =~ /fn_iu_place_confirm/;
				Time::HiRes::sleep(1);
			}
		});
}

# ---- All is mended, and read ----

sub settle
{
	my ($self) = @_;
	my $last = IU::Nemesis::Operations->new(number => 9, seed => $self->{seed}, history => $self->_history('end'),
		routes => \%ROUTES, rearmed => 'rearmed', connection => sub { $self->_connection });

	$self->{node}->poll_query_until('postgres', 'SELECT iu.fn_iu_place_is_noted() OR iu.fn_iu_place_is_home()');
	$last->perform({ do => $_ }) foreach qw(confirm close);
	$last->perform({ do => 'open', ttl => 3600, approval => $last->_uuid });
	$last->perform({ do => 'go_on', route => $_ }) foreach sort keys %ROUTES;
	$self->{still} = !$self->{node}->poll_query_until('postgres', 'SELECT coalesce(sum(waiting + retrying + leased), 0)'
		  . " = 0 FROM v_iu_event_backlog");
	my $seen = IU::Nemesis::History->read(@{ $self->{files} });
	return { %$seen, routes => \%ROUTES, arrivals => $self->_arrivals, explained => $self->_explained($seen),
		ledger => { split /[|\n]/, $self->_sql('SELECT transition_id, action FROM iu_gate_transition') },
		verify => $self->_sql("SELECT CASE v ->> 'ok' WHEN 'true' THEN 'ok' ELSE v::text END"
			  . ' FROM fn_iu_gate_ledger_verify() v') };
}

# By route: msg_SEQ_ROUTE_REPLAY_TAIL.
sub _arrivals
{
	my ($self) = @_;
	my %codes = reverse split /[|\n]/, $self->_sql('SELECT route_code, id FROM iu_outbound_route');
	my @arrivals;

	foreach my $path (map { $ROUTES{$_}{path} // "/$_" } sort keys %ROUTES)
	{
		foreach my $entry ($self->{sink}->arrived($path))
		{
			my ($id, $digest, $at) = @$entry;
			my (undef, undef, $route, $replay, $tail) = split /_/, $id;
			push @arrivals, { at => $at, id => $id, route => $codes{$route}, replay => $replay, tail => $tail };
		}
	}
	return \@arrivals;
}

# What the server says of each event that did not arrive.
sub _explained
{
	my ($self, $seen) = @_;
	my %arrived = map { ("$_->{route} $_->{tail}" => 1) } @{ $self->_arrivals };
	my %explained;

	foreach my $op (grep { $_->{outcome} eq 'ok' && $_->{do} =~ /^(emit|foreign)$/ } @{ $seen->{op} })
	{
		foreach my $route (grep { !$arrived{ "$_ " . substr($op->{event}, -12) } } sort keys %ROUTES)
		{
			$explained{"$route $op->{event}"} = $self->_sql(
				"SELECT fn_iu_route_explain('$route', '$op->{event}') ->> 'code'");
		}
	}
	return \%explained;
}

1;
