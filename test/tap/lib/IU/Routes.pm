#-------------------------------------------------------------------------
#
# IU/Routes.pm
#	  Routes, events and what became of them, on the server of IU::SQL.
#
#	  use IU::Routes;
#	  switches_on();									# routes and their worker
#	  my $secret = add_route('hook', $url, timeout_ms => 20000);	# allowed and armed
#	  my @ids = emit(3);								# of version_applied, payload {"n": 1 ...}
#	  becomes('SELECT ' . attempts('hook', 'sent') . ' = 3', 'they are sent');
#	  retire('hook');
#
# add_route: type (version_applied), kind, timeout_ms, retry (a hash, or its
# JSON), ordering, max_in_flight, secret_ref; idle => 1 leaves it as it is made.
# emit: type, address and payload, which are SQL of the number n; payload => ''
# leaves it to the function's default. The same as text, for a session of the
# test's own: add_route_sql, emit_sql, switches_sql, retire_sql.
#
#-------------------------------------------------------------------------
package IU::Routes;

use strict;
use warnings;

use parent 'Exporter';
use IU::SQL;
use JSON::PP ();

our @EXPORT = qw(switches_on add_route retire emit attempts);
our @EXPORT_OK = qw(switches_sql add_route_sql arm_sql retire_sql emit_sql);

# With one attempt a delivery; with a second attempt that is an hour away.
our %ONCE = (max_attempts => 1);
our %IN_AN_HOUR = (max_attempts => 3, base_s => 3600, jitter => 0, circuit_failures => 0);

sub switches_sql
{
	return "SELECT fn_iu_switch_set(k, 'true', 'tester', 'test')"
	  . " FROM unnest(ARRAY['iu_core.routes_master_enabled', 'iu_core.route_worker_enabled']) k";
}

# One statement, which gives the secret.
sub add_route_sql
{
	my ($route, $target, %options) = @_;
	my $retry = $options{retry};
	my %named = (
		p_target_kind    => $options{kind},
		p_timeout_ms     => $options{timeout_ms},
		p_max_in_flight  => $options{max_in_flight},
		p_secret_ref     => $options{secret_ref},
		p_ordering       => $options{ordering},
		p_retry_policy   => ref $retry ? JSON::PP->new->canonical->encode($retry) : $retry);
	my $type = $options{type} // 'version_applied';

	return "SELECT fn_iu_route_add('$route', '$type', " . literal($target) . ", 'tester', 'test'"
	  . join('', map { ", $_ => " . literal($named{$_}) } grep { defined $named{$_} } sort keys %named)
	  . ") ->> 'secret'";
}

sub arm_sql
{
	my ($route) = @_;
	return join '; ', map { "SELECT fn_iu_route_$_('$route', 'tester', 'test')" } 'allow', 'arm';
}

sub retire_sql { return "SELECT fn_iu_route_retire('$_[0]', 'tester', 'test')" }

sub emit_sql
{
	my ($count, %options) = @_;
	my $type = $options{type} // 'version_applied';
	my $address = $options{address} // "'A/' || n";
	my $payload = $options{payload} // "jsonb_build_object('n', n)";

	return "SELECT fn_iu_emit_event('$type', $address, gen_random_uuid(), 'tester'"
		  . ($payload eq '' ? '' : ", $payload")
	  . ") FROM generate_series(1, $count) n";
}

sub switches_on { sql(switches_sql()); return }

sub add_route
{
	my ($route, $target, %options) = @_;
	my $secret = sql(add_route_sql($route, $target, %options));
	sql(arm_sql($route)) unless $options{idle};
	return $secret;
}

sub retire { sql(retire_sql($_)) foreach @_; return }

# The ids.
sub emit { return split /\n/, sql(emit_sql(@_)) }

# SQL of how many attempts of a route have a status.
sub attempts { return "(SELECT count(*) FROM iu_route_attempt WHERE route_code = '$_[0]' AND status = '$_[1]')" }

1;
