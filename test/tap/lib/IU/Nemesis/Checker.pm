#-------------------------------------------------------------------------
#
# IU/Nemesis/Checker.pm
#	  Whether a run kept what is promised. It knows only what clients were told,
#	  what receivers got, which faults were made, and what clients read when all
#	  was over; never what the server meant.
#
#	  my @violations = IU::Nemesis::Checker->new($seen)->violations;	# "lost: ...", none if all is well
#
# $seen is a hash:
#	  routes	=> { CODE => { ordering => 'subject', ... } }
#	  op		=> [ { do, invoked, completed, outcome, ... } ], see Operations.pm
#	  fault		=> [ { what, invoked, completed, kills } ]
#	  health	=> [ { at, well, says } ]
#	  arrivals	=> [ { at, route, tail, replay, id } ], tail being the end of the event's id
#	  explained	=> { "ROUTE EVENT" => code }, of what did not arrive
#	  ledger	=> { id of a transition => action }
#	  verify	=> what the verification of the ledger says, 'ok'
#
# An operation whose outcome is unknown (the connection was lost) may have happened
# or not: where that matters, the checker assumes what excuses the server.
#
#-------------------------------------------------------------------------
package IU::Nemesis::Checker;

use strict;
use warnings;

use List::Util qw(any first max min);

# What is begun when a gate closes may arrive this much later, by a busy machine.
use constant UNDER_WAY => 5;

# What is due and does not move for so long must make health red.
use constant PATIENCE => 45;

sub new
{
	my ($class, $seen) = @_;
	my $self = bless {%$seen}, $class;
	my %first;

	foreach my $arrival (sort { $a->{at} <=> $b->{at} } @{ $self->{arrivals} })
	{
		$first{"$arrival->{route} $arrival->{tail} $arrival->{replay}"} //= $arrival->{at};
	}
	$self->{first} = \%first;
	return $self;
}

sub violations
{
	my ($self) = @_;
	return map { $self->$_ } qw(lost never_committed disordered sent_while_closed repeated replays_lost not_in_ledger
	  standing_still);
}

# ---- What clients know ----

sub _ops
{
	my ($self, $do, @outcomes) = @_;
	@outcomes = ('ok') unless @outcomes;
	return grep {
		my $op = $_;
		$op->{do} =~ /^(?:$do)$/ && any { $op->{outcome} eq $_ } @outcomes
	} @{ $self->{op} };
}

# Events that were committed for sure, with the routes on which they belong.
sub _emitted { return $_[0]->_ops('emit|foreign') }

sub _tail { return substr($_[0], -12) }

sub _arrived_at { my ($self, $route, $event) = @_; return $self->{first}{ "$route " . _tail($event) . ' 0' } }

# ---- Every committed event arrived, or its explanation is true ----

# Whether an explanation agrees with what clients did.
sub _is_true
{
	my ($self, $code, $route, $op) = @_;

	return 0 unless $code eq 'before_start';
	# an event that was there when somebody armed the route anew, without a start
	return any { $_->{route} eq $route && $_->{completed} >= $op->{invoked} } $self->_ops('arm', 'ok', 'unknown');
}

sub lost
{
	my ($self) = @_;
	my @violations;

	foreach my $op ($self->_emitted)
	{
		foreach my $route (sort keys %{ $self->{routes} })
		{
			next if defined $self->_arrived_at($route, $op->{event});
			my $code = $self->{explained}{"$route $op->{event}"} // 'nothing';
			next if $self->_is_true($code, $route, $op);
			push @violations, "lost: event $op->{event} ($op->{do}, told at $op->{completed}) did not arrive on route"
			  . " $route, which is explained by: $code";
		}
	}
	return @violations;
}

# ---- What never happened here does not arrive ----

sub never_committed
{
	my ($self) = @_;
	my %copied = map { _tail($_->{event}) => $_ } $self->_ops('copied');
	my %known = map { _tail($_->{event}) => 1 } $self->_emitted;
	my $unknown = $self->_ops('emit|foreign', 'unknown');
	my @violations;

	foreach my $arrival (@{ $self->{arrivals} })
	{
		push @violations, "copied: event ...$arrival->{tail} of a copy arrived on route $arrival->{route}"
		  if $copied{ $arrival->{tail} };
		push @violations, "unheard of: event ...$arrival->{tail} arrived on route $arrival->{route},"
		  . " and nobody emitted it"
		  if !$copied{ $arrival->{tail} } && !$known{ $arrival->{tail} } && !$unknown;
	}
	return @violations;
}

# ---- The order of a subject ----

# Where somebody was told of an event before he emitted the next of its subject,
# the first arrives before the next.
sub disordered
{
	my ($self) = @_;
	my @violations;

	foreach my $route (grep { ($self->{routes}{$_}{ordering} // '') eq 'subject' } sort keys %{ $self->{routes} })
	{
		my %subjects;
		push @{ $subjects{ $_->{subject} } }, $_ foreach $self->_emitted;
		foreach my $subject (sort keys %subjects)
		{
			push @violations, map { "disordered: on route $route, subject $subject: $_" }
			  $self->_disorder($route, @{ $subjects{$subject} });
		}
	}
	return @violations;
}

# Events in the order in which they were asked for. $latest is the latest arrival
# of those that were told of before the event at hand was asked for.
sub _disorder
{
	my ($self, $route, @events) = @_;
	my @found;
	my @told = sort { $a->{completed} <=> $b->{completed} } @events;
	my $latest;

	foreach my $event (@events)
	{
		while (@told && $told[0]{completed} < $event->{invoked})
		{
			my $earlier = shift @told;
			my $at = $self->_arrived_at($route, $earlier->{event}) // next;
			$latest = { at => $at, event => $earlier->{event} } if !$latest || $at > $latest->{at};
		}
		my $at = $self->_arrived_at($route, $event->{event}) // next;
		push @found, "event $event->{event} arrived before $latest->{event}, which was emitted before it"
		  if $latest && $at < $latest->{at};
	}
	return @found;
}

# ---- Nothing is sent while the gate is closed ----

# Until when an opening may hold, if nobody closes: its time from when it was
# told; for ever on a standing approval.
sub _may_hold_until
{
	my ($opening) = @_;
	return $opening->{standing} ? 9e99 : $opening->{completed} + $opening->{ttl};
}

# Whether a close, or a revocation, surely came after an opening, and when.
sub _ended_at
{
	my ($self, $opening) = @_;
	my @ends = grep {
		$_->{invoked} >= $opening->{completed}
		  && ($_->{do} eq 'close' || ($opening->{approval} // '') eq ($_->{approval} // '-'))
	} $self->_ops('close|revoke');
	return min(map { $_->{completed} } @ends) // 9e99;
}

# The times in which the gate may be open, joined, as [from, until].
sub _may_be_open
{
	my ($self) = @_;
	my @spans;

	foreach my $opening ($self->_ops('open|renew', 'ok', 'unknown'))
	{
		my ($from, $until) = ($opening->{invoked}, min(_may_hold_until($opening), $self->_ended_at($opening)));
		if (@spans && $from <= $spans[-1][1]) { $spans[-1][1] = max($spans[-1][1], $until) }
		else { push @spans, [ $from, $until ] }
	}
	return @spans;
}

# A sender that stands still after it looked at the gate sends when it goes on:
# what was under way then is so until a while after it goes on.
sub _under_way_until
{
	my ($self, $closed) = @_;
	my $until = $closed + UNDER_WAY;

	foreach my $fault (@{ $self->{fault} })
	{
		$until = max($until, $fault->{completed} + UNDER_WAY)
		  if $fault->{invoked} <= $until && $fault->{completed} > $closed;
	}
	return $until;
}

sub sent_while_closed
{
	my ($self) = @_;
	my @spans = map { [ $_->[0], $self->_under_way_until($_->[1]) ] } $self->_may_be_open;
	my @violations;

	foreach my $arrival (@{ $self->{arrivals} })
	{
		next if any { $arrival->{at} >= $_->[0] && $arrival->{at} <= $_->[1] } @spans;
		my $last = first { $_->[1] < $arrival->{at} } reverse @spans;
		push @violations, sprintf('sent while closed: %s arrived on route %s at %.3f, and the gate %s', $arrival->{id},
			$arrival->{route}, $arrival->{at}, $last ? sprintf('was open until %.3f', $last->[1]) : 'was never open');
	}
	return @violations;
}

# ---- Nothing is repeated unless something was killed ----

sub repeated
{
	my ($self) = @_;
	my (%last, @violations);

	foreach my $arrival (sort { $a->{at} <=> $b->{at} } @{ $self->{arrivals} })
	{
		next if $self->{routes}{ $arrival->{route} }{fails};	# tried again, as it should be
		my $before = $last{ $arrival->{id} };
		$last{ $arrival->{id} } = $arrival->{at};
		next if !defined $before
		  || any { $_->{kills} && $_->{invoked} <= $arrival->{at} && $_->{completed} >= $before - UNDER_WAY }
		@{ $self->{fault} };
		push @violations, sprintf('repeated: %s arrived on route %s at %.3f and at %.3f, and nothing was killed',
			$arrival->{id}, $arrival->{route}, $before, $arrival->{at});
	}
	return @violations;
}

# ---- Every replay that somebody was told of arrived ----

sub replays_lost
{
	my ($self) = @_;
	my %ids = map { $_->{id} => 1 } @{ $self->{arrivals} };

	return map { "replay lost: $_->{id} did not arrive" } grep { !$ids{ $_->{id} } } $self->_ops('replay');
}

# ---- The ledger ----

sub not_in_ledger
{
	my ($self) = @_;
	my %wanted = (open => 'open', renew => 'open', close => 'close');
	my @violations;

	foreach my $op (grep { defined $_->{transition} } $self->_ops('open|renew|close'))
	{
		my $found = $self->{ledger}{ $op->{transition} } // 'nothing';
		push @violations, "not in the ledger: $op->{do} $op->{transition}, told at $op->{completed}; there is: $found"
		  if $found ne $wanted{ $op->{do} };
	}
	push @violations, "the ledger does not verify: $self->{verify}" if $self->{verify} ne 'ok';
	return @violations;
}

# ---- Nothing stands still with health OK ----

# Whether a person meant deliveries of a route to stop at some moment between the
# two times, or before them and until then.
sub _is_meant
{
	my ($self, $route, $from, $until) = @_;
	my %stops = (close => 1, revoke => 1, hold => 1);
	my %state;

	foreach my $op ($self->_ops('open|renew|close|revoke|hold|go_on|arm', 'ok', 'unknown'))
	{
		next if defined $op->{route} && $op->{route} ne $route;
		my $what = defined $op->{route} ? 'route' : 'gate';
		next if $op->{invoked} > $until;
		return 1 if $op->{completed} >= $from && $stops{ $op->{do} };
		$state{$what} = $stops{ $op->{do} } if $op->{completed} < $from;
	}
	return !exists $state{gate} || any { $_ } values %state;
}

# Spans in which health was asked often enough and was always well, cut into
# pieces of PATIENCE.
sub _well_spans
{
	my ($self) = @_;
	my (@spans, $from, $last);

	foreach my $sample (@{ $self->{health} })
	{
		if (!$sample->{well} || (defined $last && $sample->{at} - $last > PATIENCE / 4)) { undef $from }
		$last = $sample->{at};
		next unless $sample->{well};
		$from //= $sample->{at};
		if ($sample->{at} - $from >= PATIENCE)
		{
			push @spans, [ $from, $sample->{at} ];
			$from = $sample->{at};
		}
	}
	return @spans;
}

sub standing_still
{
	my ($self) = @_;
	my @violations;

	foreach my $span ($self->_well_spans)
	{
		my ($from, $until) = @$span;
		foreach my $route (sort keys %{ $self->{routes} })
		{
			next if $self->_is_meant($route, $from, $until);
			next if any { $_->{route} eq $route && $_->{at} >= $from && $_->{at} <= $until } @{ $self->{arrivals} };
			my @waiting = grep { $self->_waits($route, $_, $from, $until) } $self->_emitted;
			push @violations, sprintf('stands still with health OK: route %s, from %.3f to %.3f, %d events waiting,'
				  . ' the first %s', $route, $from, $until, scalar @waiting, $waiting[0]{event}) if @waiting;
		}
	}
	return @violations;
}

sub _waits
{
	my ($self, $route, $op, $from, $until) = @_;
	return 0 if $op->{completed} > $from;
	my $at = $self->_arrived_at($route, $op->{event});
	return $at > $until if defined $at;
	return !$self->_is_true($self->{explained}{"$route $op->{event}"} // 'nothing', $route, $op);
}

1;
