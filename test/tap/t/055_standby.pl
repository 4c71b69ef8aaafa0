# Gates on a standby, and what becomes of them when it is promoted.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::SQL;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $short = 'iu_core.composer_enabled';
my $long  = 'iu_core.structure_ops_enabled';
my $third = 'iu_core.delivery_enabled';

my $primary = IU::Cluster->init_node('primary', { allows_streaming => 1 }, max_connections => 40,
	shared_buffers => '16MB');
$primary->start;
IU::Cluster->install($primary);
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

sub catch_up { $primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert')) }
sub is_open { return "SELECT iu_core.gate_is_open('$_[0]')" }

is($standby->safe_psql('postgres', "SELECT role || ' ' || state || ' ' || last_error FROM iu_core.worker_status"),
	'launcher standby this server is a standby: the workers start when it is promoted',
	"on a standby the launcher's status says what it waits for");
is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'iu_core%'"), 0,
	'on a standby no worker runs');

my $session = $standby->background_psql('postgres');
is($session->query_safe(is_open($long)), 'f', 'on a standby the gate is closed at first');
IU::Gate->open($primary, $long, 3600);
catch_up();
is($session->query_safe(is_open($long)), 't',
	'an opening on the primary is seen by a session of the standby that remembers the gate as closed');
IU::Gate->close($primary, $long);
catch_up();
is($session->query_safe(is_open($long)), 'f',
	'a close on the primary is seen by a session of the standby that remembers the gate as open');
$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM dot_config');
IU::Gate->open($primary, $long, 3600);
catch_up();
is($session->query_safe(is_open($long)), 't',
	'an opening on the primary is seen within a REPEATABLE READ transaction of the standby');
$session->query_safe('COMMIT');

talk_to($standby);
like(error_of("SELECT fn_iu_gate_close('$long', 'operator', 'x')"), qr/read-only transaction|recovery/,
	'a gate cannot be closed on a standby');
is(sql("SELECT count(*) FROM iu.fn_iu_gate_expiring()"), 1, 'on a standby it can be asked which gates expire');

# The primary is gone, with gates open: nobody closes them, time does.
IU::Gate->open($primary, $short, 4);
catch_up();
is(IU::Gate->state($standby, $long), 'true open', 'a gate that is open on the primary is open on the standby');
$primary->stop('immediate');
like(sql(IU::Gate->watch_expiry($short)), qr/^(open, then closed|never open)$/,
	'when the primary is gone a gate is never open after its expiry');
is(IU::Gate->state($standby, $short), 'true closed',
	'when the primary is gone an expired gate reads closed, though its row says true');
is(sql("SELECT fn_iu_gate_verify_closed() ->> 'all_safe'"), 'false',
	'when the primary is gone verify does not say that all is safe');

$standby->promote;
IU::Cluster->wait_for_worker($standby, 'watchdog');
ok(IU::Gate->wait_for_ledger($standby, $short, 'open watchdog_close'),
	'after the promotion the new watchdog closes the expired gate');
is($session->query_safe(is_open($short)), 'f',
	'after the promotion a session from before sees the expired gate closed');
is(IU::Gate->state($standby, $long), 'true open',
	'after the promotion a gate with time left is open, since it is the same database');
is($session->query_safe(is_open($long)), 't',
	'after the promotion a session from before sees the gate with time left open');
IU::Gate->open($standby, $long, 1);
ok(IU::Gate->wait_for_ledger($standby, $long, 'open close open open watchdog_close'),
	'a gate that was open over the promotion can be renewed, and ends in its time');
IU::Gate->open($standby, $third, 1);
ok(IU::Gate->wait_for_ledger($standby, $third, 'open watchdog_close'), 'the promoted server opens and closes a gate');
is(sql("SELECT fn_iu_gate_verify_closed() ->> 'all_safe'"), 'true',
	'on the promoted server verify says that all is safe');

$session->quit;
done_testing();
