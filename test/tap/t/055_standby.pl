# Gates on a standby, and what becomes of them when it is promoted.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $short = 'iu_core.composer_enabled';
my $long  = 'iu_core.structure_ops_enabled';
my $third = 'iu_core.delivery_enabled';

my $primary = IU::Cluster->init_node('primary', { allows_streaming => 1 }, max_connections => 40, shared_buffers => '16MB');
$primary->start;
IU::Cluster->install($primary);
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

sub catch_up { $primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert')) }
sub is_open { return "SELECT iu_core.gate_is_open('$_[0]')" }

is($standby->safe_psql('postgres', "SELECT role || ' ' || state || ' ' || last_error FROM iu_core.worker_status"),
	'launcher standby this server is a standby: the workers start when it is promoted', 'the status says standby');
is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'iu_core%'"), 0, 'no worker runs');

my $session = $standby->background_psql('postgres');
is($session->query_safe(is_open($long)), 'f', 'closed on the standby');
IU::Gate->open($primary, $long, 3600);
catch_up();
is($session->query_safe(is_open($long)), 't', 'an open of the primary is seen by a session that had cached closed');
$primary->safe_psql('postgres', "SELECT fn_iu_gate_close('$long', 'operator', 'done')");
catch_up();
is($session->query_safe(is_open($long)), 'f', 'and so is its close');
$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM dot_config');
IU::Gate->open($primary, $long, 3600);
catch_up();
is($session->query_safe(is_open($long)), 't', 'within a REPEATABLE READ transaction as well');
$session->query_safe('COMMIT');

my ($rc, $out, $err) = $standby->psql('postgres', "SELECT fn_iu_gate_close('$long', 'operator', 'x')");
like($err, qr/read-only transaction|recovery/, 'a gate cannot be closed there');
is($standby->safe_psql('postgres', "SELECT count(*) FROM fn_iu_gate_expiring()"), 1, 'only looked at');

# The primary is gone, with gates open: nobody closes them, time does.
IU::Gate->open($primary, $short, 4);
catch_up();
is(IU::Gate->state($standby, $long), 'true open', 'open on the standby');
$primary->stop('immediate');
like($standby->safe_psql('postgres', IU::Gate->watch_expiry($short)), qr/^(open, then closed|never open)$/, 'never open after its expiry');
is(IU::Gate->state($standby, $short), 'true closed', 'closed by the clock, though the table says true');
is($standby->safe_psql('postgres', "SELECT fn_iu_gate_verify_closed() ->> 'all_safe'"), 'false', 'verify knows');

$standby->promote;
IU::Cluster->wait_for_worker($standby, 'watchdog');
ok(IU::Gate->wait_for_ledger($standby, $short, 'open watchdog_close'), 'after the promotion the new watchdog closes what expired');
is($session->query_safe(is_open($short)), 'f', 'closed to a session from before');
is(IU::Gate->state($standby, $long), 'true open', 'what has time left is still open: it is the same database');
is($session->query_safe(is_open($long)), 't', 'to a session from before as well');
IU::Gate->open($standby, $long, 1);
ok(IU::Gate->wait_for_ledger($standby, $long, 'open close open open watchdog_close'), 'and ends in its time');
IU::Gate->open($standby, $third, 1);
ok(IU::Gate->wait_for_ledger($standby, $third, 'open watchdog_close'), 'the new primary opens and closes');
is($standby->safe_psql('postgres', "SELECT fn_iu_gate_verify_closed() ->> 'all_safe'"), 'true', 'all is safe');

$session->quit;
done_testing();
