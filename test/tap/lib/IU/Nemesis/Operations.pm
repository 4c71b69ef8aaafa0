#-------------------------------------------------------------------------
#
# IU/Nemesis/Operations.pm
#	  A client: what it does, at random from a seed, and what it was told.
#
#	  my $client = IU::Nemesis::Operations->new(number => 1, seed => 4711, history => $history,
#		connection => sub { ... }, routes => { ... });
#	  $client->step($quiet);					# one operation, chosen at random
#	  $client->perform({ do => 'close' });		# this one
#
# What is chosen depends on the seed and the number alone, never on an answer, so
# that the same seed makes the same plan. connection gives the server's connection
# string at the moment, since the server may be another after a promotion.
#
# An operation ends as ok; as failed, where the server said so, or was not there to
# take it; or as unknown, where the connection was lost under it.
#
#-------------------------------------------------------------------------
package IU::Nemesis::Operations;

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use IPC::Run ();
use IU::Nemesis::History qw(now);
use Time::HiRes ();

use constant GATE => 'iu_core.delivery_enabled';

# Longer than any operation takes that is not stuck.
use constant STUCK => 60;

# How often each is done, in shares.
my @SHARES = (
	[ emit => 60 ], [ foreign => 8 ], [ open => 10 ], [ renew => 6 ], [ close => 5 ], [ stand => 3 ], [ revoke => 3 ],
	[ hold => 3 ], [ go_on => 6 ], [ arm => 2 ], [ replay => 4 ],
);

sub new
{
	my ($class, %how) = @_;
	my $state = ($how{seed} * 1000 + $how{number}) * 2654435761 % 2147483648;
	return bless { %how, state => $state, count => 0, standing => undef }, $class;
}

# A number of 0 to $below - 1. Not rand(), which others would draw from as well.
sub _random
{
	my ($self, $below) = @_;
	$self->{state} = ($self->{state} * 1103515245 + 12345) % 2147483648;
	return int($self->{state} / 65536) % $below;
}

# An id that depends on the seed.
sub _uuid
{
	my ($self) = @_;
	return join '-', unpack('a8 a4 a4 a4 a12', md5_hex("$self->{seed} $self->{number} " . ++$self->{count}));
}

sub _subject
{
	my ($self) = @_;
	return sprintf('00000000-0000-4000-8000-%012d', $self->_random(10));
}

# ---- What is done next ----

sub choose
{
	my ($self) = @_;
	my @held = grep { $self->{routes}{$_}{held} } sort keys %{ $self->{routes} };
	my $drawn = $self->_random(110);
	my ($do) = map { $_->[0] } grep { ($drawn -= $_->[1]) < 0 } @SHARES;
	my %op = (do => $do // 'emit');

	$op{subject} = $self->_subject;
	$op{ttl} = 2 + $self->_random(14);
	$op{approval} = $self->_uuid;
	$op{way} = $self->_random(3);
	$op{route} = $held[ $self->_random(scalar @held) ];
	$op{pause} = $self->_random(60);
	return \%op;
}

# In a quiet time nobody closes and nobody holds, so that whatever stands still does so by itself.
sub step
{
	my ($self, $quiet) = @_;
	my $op = $self->choose;
	$op->{do} = 'emit' if $quiet && $op->{do} =~ /^(close|revoke|hold|arm)$/;
	$self->perform($op);
	Time::HiRes::sleep($op->{pause} / 1000);
	return;
}

# ---- How it is done ----

my %DO = (
	emit => sub {
		my ($self, $op) = @_;
		return ([qw(subject)], "SELECT fn_iu_emit_event('version_applied', 'A', '$op->{subject}', 'client')", 'event');
	},
	foreign => sub { my ($self, $op) = @_; return ([qw(subject way)], _foreign($op), 'event') },
	open => sub { my ($self, $op) = @_; return ([qw(ttl approval)], _open($op), 'transition') },
	renew => sub { my ($self, $op) = @_; return ([qw(ttl approval)], _open($op), 'transition') },
	close => sub {
		return ([], "SELECT fn_iu_gate_close('" . GATE . "', 'client', 'nemesis') ->> 'transition_id'", 'transition');
	},
	stand => sub { my ($self, $op) = @_; return ([qw(approval)], _grant($op), undef) },
	revoke => sub {
		my ($self, $op) = @_;
		$op->{approval} = delete $self->{standing} // return;
		return ([qw(approval)], "SELECT fn_iu_gate_approval_revoke('$op->{approval}', 'granter', 'nemesis')", undef);
	},
	hold => sub { return _on_route($_[1], 'pause') },
	go_on => sub { return _on_route($_[1], 'resume') },
	arm => sub {
		my ($self, $op) = @_;
		my $rearmed = $self->{rearmed} // return;
		return ([qw(route)], "BEGIN; SELECT fn_iu_route_pause('$rearmed', 'client', 'nemesis') \\g /dev/null\n"
			  . "SELECT fn_iu_route_arm('$rearmed', 'client', 'nemesis') \\g /dev/null\nCOMMIT", undef)
		  if $op->{route} = $rearmed;
	},
	# a promotion of which the server died before its watchdog had noted it is taken for a restore
	confirm => sub {
		return ([], "SELECT fn_iu_place_confirm('client', 'nemesis', NULL, 'send') ->> 'status'"
			  . ' WHERE iu.fn_iu_place_is_noted() AND NOT iu.fn_iu_place_is_home()', undef);
	},
	# the webhook-id of the replay says whether it arrived
	replay => sub {
		return ([], <<'SQL', 'id');
WITH letter AS (SELECT d.id, d.event_ref, d.route_code FROM v_iu_route_dead_letter_open d LIMIT 1 OFFSET 0),
  answer AS MATERIALIZED (SELECT l.*, fn_iu_route_dead_letter_replay(l.id, 'client', 'nemesis') AS a FROM letter l)
SELECT a ->> 'webhook_id' FROM answer
SQL
	},
);

sub _open
{
	my ($op) = @_;
	return "SELECT fn_iu_gate_open('" . GATE . "', '$op->{approval}', 'client', 'nemesis', $op->{ttl})"
	  . " ->> 'transition_id'";
}

sub _grant
{
	my ($op) = @_;
	return "SELECT fn_iu_gate_approval_grant('" . GATE
		. "', 'open', 60, clock_timestamp() + interval '1 day', 'granter',"
	  . " 'nemesis', 'standing', NULL, '$op->{approval}')";
}

sub _on_route
{
	my ($op, $verb) = @_;
	return ([qw(route)], "SELECT fn_iu_route_$verb('$op->{route}', 'client', 'nemesis')", undef);
}

# A row that comes into the outbox beside the protocol: by a superuser who gives
# what the server gives, in replica role, or by COPY.
sub _foreign
{
	my ($op) = @_;
	my $columns = 'id, event_domain, event_type, event_stream, delivery_lane, event_subject_table, event_subject_ref,'
	  . ' source_system, event_seq, emitted_xid';
	my @values = ($op->{approval}, qw(iu version_applied update immediate information_unit), $op->{subject},
		'elsewhere',
		5, $op->{ttl});
	my $insert = "INSERT INTO event_outbox ($columns) OVERRIDING SYSTEM VALUE VALUES ("
	  . join(', ', map { "'$_'" } @values) . ') RETURNING id';

	return $insert if $op->{way} == 0;
	return "SET session_replication_role = replica;\n$insert" if $op->{way} == 1;
	return "COPY event_outbox ($columns) FROM STDIN;\n" . join("\t", @values) . "\n\\.\nSELECT '$op->{approval}'";
}

sub perform
{
	my ($self, $op) = @_;
	my ($keep, $sql, $result) = $DO{ $op->{do} }->($self, $op);
	return unless defined $sql;
	my $invoked = now();
	my ($outcome, $told) = $self->_ask($sql, $op->{do} =~ /^(stand|revoke)$/ ? 'granter' : 'postgres');
	my %entry = (do => $op->{do}, client => $self->{number}, invoked => $invoked, completed => now(),
		outcome => $outcome, map { $_ => $op->{$_} } @$keep);

	$entry{outcome} = 'failed' if $outcome eq 'ok' && defined $result && $told eq '';
	$entry{$result} = $told if $entry{outcome} eq 'ok' && defined $result;
	$entry{told} = $told if $entry{outcome} ne 'ok';
	$self->{history}->write('op', %entry);
	# an approval that was granted is used at once
	$self->_open_standing($op->{approval}) if $op->{do} eq 'stand' && $outcome eq 'ok';
	return $entry{outcome};
}

sub _open_standing
{
	my ($self, $approval) = @_;
	my $invoked = now();
	my ($outcome, $told) = $self->_ask(_open({ approval => $approval, ttl => 10 }));

	$self->{standing} = $approval;
	$self->{history}->write('op', do => 'open', client => $self->{number}, invoked => $invoked, completed => now(),
		outcome => $outcome, ttl => 10, approval => $approval, standing => 1,
		$outcome eq 'ok' ? (transition => $told) : (told => $told));
	return;
}

# The outcome, and what was answered, or complained of.
sub _ask
{
	my ($self, $sql, $user) = @_;
	my ($out, $err) = ('', '');
	my @psql = ('psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose', '-U', $user // 'postgres',
		'-d', $self->{connection}->());

	local $ENV{PGOPTIONS} = '-c client_min_messages=warning';
	local $ENV{PGCONNECT_TIMEOUT} = STUCK;
	my $run = IPC::Run::start(\@psql, '<', \"$sql;\n", '>', \$out, '2>', \$err, IPC::Run::timeout(STUCK));
	my $ended = eval { IPC::Run::finish($run); 1 };
	IPC::Run::kill_kill($run) unless $ended;
	chomp($out);
	return ('ok', $out) if $ended && $run->result(0) == 0 && $err !~ /WARNING:  01000/;
	return ('failed', $err) if $ended && $err =~ /^psql: error: connection to server|ERROR:  \w{5}/
	  && $err !~ /closed the connection|57P0[123]|terminat/;
	return ('unknown', $err);
}

1;
