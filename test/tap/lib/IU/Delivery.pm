# IU::Delivery: a server that delivers, what it emits, and whether what arrived,
# what was recorded and what the outbox holds agree.
#
#   my $delivery = IU::Delivery->new($node, $sink);      # a third one: the database
#   $delivery->live;                                     # switches, gate
#   $delivery->add_route('hook', max_in_flight => 64);   # goes to /hook
#   my $mark = $delivery->mark('hook');                  # what follows is audited
#   $delivery->emit(1000);
#   $delivery->settle('hook');
#   my %found = $delivery->audit('hook', $mark);         # events, lost, repeated, ...
package IU::Delivery;

use strict;
use warnings;
use IPC::Run qw(start finish);
use IU::Routes qw(add_route_sql switches_sql);

sub new
{
	my ($class, $node, $sink, $database) = @_;
	return bless { node => $node, sink => $sink, database => $database // 'postgres' }, $class;
}

sub sql { return $_[0]{node}->safe_psql($_[0]{database}, $_[1]) }

# Waits no more once it has waited in vain: what fails then need not take as long.
my $hopeless;
sub becomes
{
	my ($self, $query) = @_;
	$hopeless ||= !$self->{node}->poll_query_until($self->{database}, $query);
	return !$hopeless;
}

sub gate
{
	my ($self, $verb) = @_;
	return $self->sql($verb eq 'open'
		? "SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'tester', 'test', 3600)"
		: "SELECT fn_iu_gate_close('iu_core.delivery_enabled', 'tester', 'test')");
}

sub live
{
	my ($self) = @_;
	$self->sql(switches_sql());
	return $self->gate('open');
}

# pause, resume, allow, disallow, arm, retire
sub route { return $_[0]->sql("SELECT fn_iu_route_$_[1]('$_[2]', 'tester', 'test')") }

sub add_route
{
	my ($self, $code, %options) = @_;
	my $url = delete $options{url} // $self->{sink}->url . "/$code";

	$self->sql(add_route_sql($code, $url, max_in_flight => 10000, timeout_ms => 120000, %options));
	$self->route($_, $code) foreach 'allow', 'arm';
	return;
}

# So many events from two writers, fifty in each transaction.
sub emit
{
	my ($self, $count, $type) = @_;
	$type //= 'version_applied';
	my @writers = map {
		my $own = int(($count + $_) / 2);
		start([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $self->{node}->connstr($self->{database}), '-c',
			"DO \$\$ BEGIN FOR n IN 1..$own LOOP"
			  . " PERFORM fn_iu_emit_event('$type', 'A/' || n, gen_random_uuid(), 'writer $_',"
			  . " jsonb_build_object('n', n));"
			  . ' IF n % 50 = 0 THEN COMMIT; END IF; END LOOP; END $$' ])
	} 0, 1;
	foreach my $writer (@writers)
	{
		finish($writer) or die "a writer failed\n";
	}
	return;
}

# An event in a transaction that stays prepared, named $name.
sub prepare
{
	my ($self, $name) = @_;
	return $self->sql("BEGIN; SELECT fn_iu_emit_event('version_applied', '$name', gen_random_uuid(), 'late');"
		  . " PREPARE TRANSACTION '$name'");
}

# Of a route, as SQL: its events, the attempts that were sent, what is left.
sub _events
{
	return "event_outbox e JOIN iu_outbound_route r USING (event_domain, event_type) WHERE r.route_code = '$_[0]'";
}
sub sent_count { return "(SELECT count(*) FROM iu_route_attempt WHERE route_code = '$_[0]' AND status = 'sent')" }
sub _left
{
	my ($route) = @_;
	my @what = qw(lease retry dead_letter);
	return join ' + ', map { "(SELECT count(*) FROM iu_route_$_ WHERE route_code = '$route')" } @what;
}

# Until as many deliveries are recorded as there are events; false: they never are.
# With a mark, until each event since then is recorded as sent.
sub settle
{
	my ($self, $route, $mark) = @_;
	return $self->becomes('SELECT NOT EXISTS (SELECT FROM ' . _events($route) . " AND e.event_seq > $mark->{seq}"
		  . " AND NOT EXISTS (SELECT FROM iu_route_attempt a WHERE a.route_code = '$route' AND a.event_ref = e.id"
		  . " AND a.status = 'sent')) AND " . _left($route) . ' = 0') if $mark;
	return $self->becomes('SELECT ' . sent_count($route) . ' >= (SELECT count(*) FROM ' . _events($route) . ') AND '
		  . _left($route) . ' = 0');
}

# Until no sender has anything in hand.
sub rest { return $_[0]->becomes("SELECT NOT EXISTS (SELECT FROM iu_route_lease WHERE route_code = '$_[1]')") }

# The pids of the senders at work.
sub senders
{
	return split /\n/, $_[0]->sql("SELECT pid FROM iu_core.worker_status WHERE role = 'sender' AND state = 'running'"
		  . " AND database = '$_[0]{database}' AND pid IS NOT NULL");
}

sub mark
{
	my ($self, $route) = @_;
	return { seq => $self->sql('SELECT coalesce(max(event_seq), 0) FROM event_outbox'),
		arrived => $self->{sink}->count("/$route") };
}

# Of what happened since the mark:
#   events     in the outbox, of them
#   delivered  that arrived, and
#   lost       that did not
#   repeated   requests beyond the first of a delivery
#   foreign    requests with an unknown id, or whose body is not the event's
#   unrecorded events without exactly one attempt that was sent
#   left       leases, retries and dead letters, of the route as a whole
sub audit
{
	my ($self, $route, $mark) = @_;
	my $seq = $mark ? $mark->{seq} : 0;
	my @arrived = $self->{sink}->arrived("/$route");
	splice @arrived, 0, $mark->{arrived} if $mark;
	my %found = map { $_ => 0 } qw(delivered repeated foreign unrecorded);
	my (%body, %times);
	foreach (split /\n/, $self->sql("SELECT iu.fn_iu_webhook_id(e.event_seq, r.id, 0, e.id),"
		  . " encode(sha256(convert_to(fn_iu_delivery_body(e), 'UTF8')), 'hex'),"
			. " (SELECT count(*) FROM iu_route_attempt a WHERE a.idempotency_key = iu.fn_iu_webhook_id(e.event_seq,"
			  . " r.id, 0, e.id) AND a.status = 'sent')"
			. ' FROM ' . _events($route) . " AND e.event_seq > $seq"))
	{
		my ($id, $digest, $attempts) = split /\|/;
		$body{$id} = $digest;
		$found{unrecorded}++ if $attempts != 1;
	}
	foreach (@arrived)
	{
		my ($id, $digest) = @$_;
		if (($body{$id} // '') ne $digest) { $found{foreign}++ }
		elsif ($times{$id}++) { $found{repeated}++ }
	}
	$found{events} = keys %body;
	$found{delivered} = keys %times;
	$found{lost} = $found{events} - $found{delivered};
	$found{left} = $self->sql('SELECT ' . _left($route));
	return %found;
}

# An audit in words; perfect is what it should say, where repetitions do not count.
sub told { my %found = @_; return join ', ', map { "$_ $found{$_}" } qw(events delivered lost foreign unrecorded left) }
sub perfect { return "events $_[0], delivered $_[0], lost 0, foreign 0, unrecorded 0, left 0" }

1;
