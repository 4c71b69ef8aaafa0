#-------------------------------------------------------------------------
#
# IU/GateSession.pm
#	  A connection that takes the steps of IU/GateModel.pm on a server.
#
#	  my $session = IU::GateSession->new($node);
#	  my ($state, $ends) = $session->act({ do => 'open', gate => $key, ... });
#	  my ($from, $to, @open) = $session->ask(@keys);
#
# A step gives its SQLSTATE, '' if it was not refused. act_later begins a step
# that may have to wait for a lock; is_done says whether it has ended, and
# outcome what became of it.
#
#-------------------------------------------------------------------------
package IU::GateSession;

use strict;
use warnings;

use DBD::Pg;

sub new
{
	my ($class, $node) = @_;
	my $connection = DBI->connect('dbi:Pg:' . ($node->connstr('postgres') =~ s/'//gr =~ s/ /;/gr), undef, undef,
		{ AutoCommit => 1, RaiseError => 0, PrintError => 0, PrintWarn => 0, pg_server_prepare => 0 })
	  or die DBI->errstr;
	return bless { connection => $connection, pid => $connection->{pg_pid} }, $class;
}

sub statement
{
	my ($step) = @_;
	my $key = $step->{gate};
	my $reason = $step->{reason} // 'test';
	return {
		open   => "SELECT extract(epoch FROM (fn_iu_gate_open('$key', '" . ($step->{approval} // '') . "', '"
			  . ($step->{actor} // '')
		  . "', '$reason', " . ($step->{seconds} // 0) . ") ->> 'expires_at')::timestamptz)",
		close  => "SELECT fn_iu_gate_close('$key', 'closer', '$reason')",
		expire => "SELECT status FROM iu.fn_iu_gate_close_expired('$key', 'by hand')",
		true   => "UPDATE dot_config SET value = 'true' WHERE key = '$key'",
		false  => "UPDATE dot_config SET value = 'false' WHERE key = '$key'",
		insert => "INSERT INTO dot_config (key, value) VALUES ('$key', 'false')",
		delete => "DELETE FROM dot_config WHERE key = '$key'",
	}->{ $step->{do} };
}

# The SQLSTATE, and the first column of the first row where there is one.
sub run
{
	my ($self, $sql) = @_;
	my $query = $self->{connection}->prepare($sql);
	return $query->state if !$query->execute;
	my $row = $query->{NUM_OF_FIELDS} ? $query->fetch : undef;
	return ('', $row ? $row->[0] : undef);
}

sub act { my ($self, $step) = @_; return $self->run(statement($step)) }

# The clock before and after, and for each gate whether it reads open.
sub ask
{
	my ($self, @keys) = @_;
	my $asked = join ', ', map { "CASE WHEN a.at IS NOT NULL THEN iu_core.gate_is_open('$_') END" } @keys;
	my $query = $self->{connection}->prepare(
		"SELECT extract(epoch FROM o.at), extract(epoch FROM clock_timestamp()), o.open"
		  . " FROM (SELECT a.at, ARRAY[$asked] AS open FROM (SELECT clock_timestamp() AS at OFFSET 0) a OFFSET 0) o");
	$query->execute or die 'asking failed: ' . $query->errstr;
	my ($from, $to, $open) = @{ $query->fetch };
	return ($from, $to, @$open);
}

sub run_later
{
	my ($self, $sql) = @_;
	$self->{later} = $self->{connection}->prepare($sql, { pg_async => DBD::Pg::PG_ASYNC() });
	$self->{later}->execute;
}

sub is_done { my ($self) = @_; return $self->{later}->pg_ready }

sub outcome
{
	my ($self) = @_;
	my $query = delete $self->{later};
	return $query->state if !$query->pg_result;
	my $row = $query->{NUM_OF_FIELDS} ? $query->fetch : undef;
	return ('', $row ? $row->[0] : undef);
}

sub end { my ($self) = @_; $self->{connection}->disconnect }

1;
