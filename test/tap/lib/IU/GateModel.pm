#-------------------------------------------------------------------------
#
# IU/GateModel.pm
#	  The gate protocol as a test understands it: what each step does, what it
#	  is refused with, and who then reads which gate as open. Nothing here asks
#	  a server; times are seconds since the epoch.
#
#	  my $gates = IU::GateModel->new({ 'iu_core.delivery_enabled' => 'governable' });
#	  my $alice = $gates->session;
#	  $gates->begin($alice, 'rc');
#	  my $state = $gates->refusal($alice, { do => 'open', gate => $key, ... }, time);	# '': it is done
#	  $gates->done($alice, { do => 'open', ... }, $ends);
#
# A transaction is a pile of frames, one for each savepoint. A frame holds what
# it did to each gate; a gate that an open transaction changed is locked by it.
#
#-------------------------------------------------------------------------
package IU::GateModel;

use strict;
use warnings;

sub new
{
	my ($class, $classes) = @_;
	my %gates = map { $_ => { value => 'false', ledger => [], version => 0 } } keys %$classes;
	return bless { classes => $classes, gates => \%gates, holders => [] }, $class;
}

sub session
{
	my ($self) = @_;
	my $session = { frames => [] };
	push @{ $self->{holders} }, $session;
	return $session;
}

# ---- Transactions ----

sub in_transaction { my ($self, $session) = @_; return @{ $session->{frames} } > 0 }

# level: rc (read committed), or rr: repeatable read and stricter.
sub begin
{
	my ($self, $session, $level) = @_;
	$session->{frames} = [ { gates => {} } ];
	$session->{failed} = 0;
	$session->{seen} = $level eq 'rc' ? undef
	  : { map { $_ => $self->_version($_) } keys %{ $self->{gates} } };
}

sub _version
{
	my ($self, $key) = @_;
	my $gate = $self->{gates}{$key};
	return { version => $gate->{version}, there => defined $gate->{value} };
}

sub savepoint { my ($self, $session) = @_; push @{ $session->{frames} }, { gates => {} } }

# To the savepoint that began a frame; it stays.
sub rollback_to
{
	my ($self, $session, $frame) = @_;
	splice @{ $session->{frames} }, $frame;
	push @{ $session->{frames} }, { gates => {} };
	$session->{failed} = 0;
}

sub rollback { my ($self, $session) = @_; $session->{frames} = []; $session->{failed} = 0 }

# What fails undoes the frame in which it did.
sub fail
{
	my ($self, $session) = @_;
	$session->{failed} = 1;
	$session->{frames}[-1]{gates} = {};
}

sub commit
{
	my ($self, $session) = @_;
	my $changes = $session->{failed} ? {} : $self->_changes($session);
	foreach my $key (keys %$changes)
	{
		my $gate = $self->{gates}{$key};
		$gate->{value} = $changes->{$key}{value} if $changes->{$key}{wrote};
		$gate->{version}++ if $changes->{$key}{wrote};
		push @{ $gate->{ledger} }, @{ $changes->{$key}{ledger} };
	}
	$self->rollback($session);
}

# The transaction leaves its session; what is returned goes to commit or rollback.
sub prepare
{
	my ($self, $session) = @_;
	my $prepared = $self->session;
	$prepared->{frames} = $session->{frames};
	$session->{frames} = [];
	return $prepared;
}

sub forget
{
	my ($self, $session) = @_;
	$self->{holders} = [ grep { $_ != $session } @{ $self->{holders} } ];
}

# What the server was found to have committed, where the model could not tell.
# No transaction that was there before may go on.
sub adopt
{
	my ($self, $key, $value, @ledger) = @_;
	my $gate = $self->{gates}{$key};
	@$gate{qw(value ledger)} = ($value, \@ledger);
	$gate->{version}++;
}

# What a transaction has done to each gate, its frames taken together.
sub _changes
{
	my ($self, $session) = @_;
	my %changes;
	foreach my $frame (@{ $session->{frames} })
	{
		foreach my $key (keys %{ $frame->{gates} })
		{
			my $change = $changes{$key} //= { ledger => [] };
			my $part = $frame->{gates}{$key};
			@$change{qw(value wrote)} = ($part->{value}, 1) if $part->{wrote};
			push @{ $change->{ledger} }, @{ $part->{ledger} };
		}
	}
	return \%changes;
}

# Another session or prepared transaction that has changed the gate.
sub locked_by_other
{
	my ($self, $session, $key) = @_;
	foreach my $other (@{ $self->{holders} })
	{
		return 1 if $other != $session && grep { $_->{gates}{$key} } @{ $other->{frames} };
	}
	return 0;
}

# ---- What is read ----

# The gate as a transaction sees it under a new snapshot.
sub seen
{
	my ($self, $session, $key) = @_;
	my $gate = $self->{gates}{$key};
	my $own = $self->_changes($session)->{$key} // { ledger => [] };
	my $last = $own->{ledger}[-1] // $gate->{ledger}[-1];
	return {
		value    => $own->{wrote} ? $own->{value} : $gate->{value},
		own      => $own->{wrote},
		own_open => (@{ $own->{ledger} } && $last->{action} eq 'open'),
		last     => $last,
	};
}

sub _is_live
{
	my ($seen, $now) = @_;
	return $seen->{last} && $seen->{last}{action} eq 'open' && $now < $seen->{last}{ends};
}

sub is_open
{
	my ($self, $session, $key, $now) = @_;
	my $seen = $self->seen($session, $key);
	return 0 if ($self->{classes}{$key} // '') ne 'governable' || ($seen->{value} // '') ne 'true';
	return 1 if _is_live($seen, $now);
	return $seen->{own} && !$seen->{own_open} && ($self->{gates}{$key}{value} // '') eq 'false' ? 1 : 0;
}

# Whether the watchdog has to close it.
sub is_due
{
	my ($self, $key, $now) = @_;
	my $gate = $self->{gates}{$key};
	my $class = $self->{classes}{$key} or return 0;
	return 0 if ($gate->{value} // 'false') eq 'false';
	return !($class eq 'governable' && _is_live({ last => $gate->{ledger}[-1] }, $now));
}

# What closing it because it expired comes to.
sub expiry
{
	my ($self, $session, $key, $now) = @_;
	my $seen = $self->seen($session, $key);
	return 'locked' if $self->locked_by_other($session, $key);
	return 'not_due' if ($seen->{value} // 'false') eq 'false';
	return $self->{classes}{$key} eq 'governable' && _is_live($seen, $now) ? 'not_due' : 'closed';
}

# When a committed opening ends, if it has not.
sub ends
{
	my ($self, $key) = @_;
	my $last = $self->{gates}{$key}{ledger}[-1] or return undef;
	return $last->{action} eq 'open' ? $last->{ends} : undef;
}

# ---- What is done ----

# The SQLSTATE with which a step is refused, '' if it is not.
sub refusal
{
	my ($self, $session, $step, $now) = @_;
	my $key = $step->{gate};
	my $class = $self->{classes}{$key} // '';
	my $seen = $self->seen($session, $key);

	return '25P02' if $session->{failed};
	if ($step->{do} eq 'open')
	{
		return '42501' if $class ne 'governable';
		return '23514' if $step->{seconds} < 1 || $step->{seconds} > 3600;
	}
	return '42501' if $step->{do} eq 'close' && $class eq '';
	return $self->_stale($session, $key) if $self->_stale($session, $key);
	return '42704' if $step->{do} =~ /^(open|close)$/ && !defined $seen->{value};
	return '23505' if $step->{do} eq 'insert' && defined $seen->{value};
	return '55006' if $step->{do} eq 'open' && $seen->{value} eq 'true' && _is_live($seen, $now)
	  && ($seen->{last}{actor} ne $step->{actor} || $seen->{last}{approval} eq $step->{approval});
	return '';
}

# A snapshot too old to see the last change of the gate.
sub _stale
{
	my ($self, $session, $key) = @_;
	my $seen = $session->{seen} or return '';
	return '' if grep { $_->{gates}{$key} } @{ $session->{frames} };
	return '' if $seen->{$key}{version} == $self->{gates}{$key}{version};
	return '40001';
}

# What a step that was not refused has done. $ends: the end of an opening, as
# the server told it; of an expiry, its status.
sub done
{
	my ($self, $session, $step, $ends) = @_;
	my $key = $step->{gate};
	my $seen = $self->seen($session, $key);
	my %becomes = (open => 'true', close => 'false', true => 'true', false => 'false', insert => 'false');
	my $value = $becomes{ $step->{do} };

	return if !defined $seen->{value} && $step->{do} =~ /^(true|false|delete)$/;
	return if $step->{do} eq 'expire' && $ends eq 'locked';
	my $part = $session->{frames}[-1]{gates}{$key} //= { ledger => [] };
	my %opening = (action => 'open', actor => $step->{actor}, approval => $step->{approval}, ends => $ends);
	push @{ $part->{ledger} }, \%opening if $step->{do} eq 'open';
	push @{ $part->{ledger} }, { action => 'close' } if $step->{do} eq 'close';
	# Beside the protocol: an opening whose value ceases to be true is closed.
	push @{ $part->{ledger} }, { action => 'close' }
	  if $step->{do} =~ /^(false|delete)$/ && $self->{classes}{$key} && $seen->{value} eq 'true' && $seen->{last}
	  && $seen->{last}{action} eq 'open';
	@$part{qw(value wrote)} = ($value, 1) if $step->{do} ne 'expire';
	if ($step->{do} eq 'expire' && $ends eq 'closed')
	{
		push @{ $part->{ledger} }, { action => 'watchdog_close' };
		@$part{qw(value wrote)} = ('false', 1);
	}
}

sub watchdog_closed
{
	my ($self, $key) = @_;
	my $gate = $self->{gates}{$key};
	$gate->{value} = 'false';
	$gate->{version}++;
	push @{ $gate->{ledger} }, { action => 'watchdog_close' };
}

# The committed state of a gate in a line.
sub line
{
	my ($self, $key) = @_;
	my $gate = $self->{gates}{$key};
	return join ' ', $gate->{value} // 'missing', map { $_->{action} } @{ $gate->{ledger} };
}

1;
