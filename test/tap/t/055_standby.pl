# Gates on a standby, and what becomes of them and of standing approvals when it is
# promoted.
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
sub sql_on_primary { return $primary->safe_psql('postgres', $_[0]) }
sub is_open { return "SELECT iu_core.gate_is_open('$_[0]')" }

is($standby->safe_psql('postgres', "SELECT role || ' ' || state || ' ' || last_error FROM iu_core.worker_status"),
	'launcher standby this server is a standby: the workers start when it is promoted',
	"on a standby the launcher's status says what it waits for");
is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'iu_core%'"), 0,
	'on a standby no worker runs');

sql_on_primary('CREATE ROLE olga LOGIN IN ROLE iu_core_operator; CREATE ROLE oscar LOGIN IN ROLE iu_core_operator');
my $approval = sql_on_primary("SET SESSION AUTHORIZATION olga; SELECT fn_iu_gate_approval_grant('$third', 'open', 3600,"
	  . " clock_timestamp() + '90 days', 'olga', 'test', p_kind => 'standing') ->> 'approval_id'");
sql_on_primary("SET SESSION AUTHORIZATION oscar; SELECT fn_iu_gate_open('$third', '$approval', 'oscar', 'test', 3600)");

my $session = $standby->background_psql('postgres');
IU::Gate->open($primary, $long, 3600);
IU::Gate->open($primary, $short, 4);
catch_up();
is(IU::Gate->state($standby, $long), 'true closed',
	'on a standby a gate reads closed that is open on the primary: nothing is done there');
is($session->query_safe(is_open($long)), 'f', 'a session of the standby reads it closed');
talk_to($standby);
like(error_of("SELECT fn_iu_gate_close('$long', 'operator', 'x')"), qr/read-only transaction|recovery/,
	'a gate cannot be closed on a standby');
like(error_of("SELECT iu_core.$_('x')"), qr/25006: cannot execute iu_core.$_\(\) during recovery/,
	"what asks for a lock by $_ is told that a standby recovers")
  foreach qw(named_lock try_named_lock);
is(sql("SELECT count(*) FROM iu.fn_iu_gate_expiring()"), 3, 'on a standby it can be asked which gates expire');
is(sql("SELECT fn_iu_gate_verify_closed() ->> 'all_safe'"), 'false',
	'on a standby verify does not say that all is safe while a value is true');
is(sql('SELECT iu_core.place() IS NULL'), 't', 'a standby is no place of its own');

# The primary is gone, with gates open.
$primary->stop('immediate');
$standby->promote;
IU::Cluster->wait_for_worker($standby, 'watchdog');
ok(IU::Gate->wait_for_ledger($standby, $short, 'open watchdog_close'),
	'after the promotion the new watchdog closes a gate that was open before');
ok(IU::Gate->wait_for_ledger($standby, $long, 'open watchdog_close'),
	'after the promotion the new watchdog closes a gate with time left as well:'
	  . ' its opening belongs to the old timeline');
is($session->query_safe(is_open($long)), 'f', 'after the promotion a session from before sees that gate closed');
becomes(is_open($third), 't', 'after the promotion a standing approval goes on: its gate is open');
is(IU::Gate->ledger($standby, $third), 'open watchdog_close open',
	'the ledger says that it was opened again on the new timeline');
is(sql("SELECT began || ' ' || timeline || ' ' || confirmed_by FROM iu_place ORDER BY place_seq DESC LIMIT 1"),
	'promotion 2 iu_core watchdog', 'the new place is on record, and needs nobody to confirm it');
like(sql('SELECT detail FROM iu_place ORDER BY place_seq DESC LIMIT 1'),
	qr{^a standby was promoted: timeline 2, after 1 at [0-9A-F/]+ \(no recovery target specified\)$},
	'the record says after which timeline and where it began');
becomes('SELECT status FROM iu_core.health()', 'OK', 'after the promotion health is well');
is($session->query_safe(is_open($third)), 't', 'a session from before sees the gate open that the watchdog opened');
IU::Gate->open($standby, $long, 1);
ok(IU::Gate->wait_for_ledger($standby, $long, 'open watchdog_close open watchdog_close'),
	'the promoted server opens and closes a gate');
is(sql("SET SESSION AUTHORIZATION olga;"
	  . " SELECT fn_iu_gate_approval_revoke('$approval', 'olga', 'enough') ->> 'closed'"), 'true',
	'on the promoted server the standing approval is revoked, which closes its gate');
is(sql("SELECT fn_iu_gate_verify_closed() ->> 'all_safe'"), 'true',
	'on the promoted server verify says that all is safe');
$standby->restart;
becomes('SELECT status FROM iu_core.health()', 'OK', 'after a restart the promoted server knows that it was promoted');

# A standby that is told another instance is a copy once it is promoted: a test of the failover, say.
$standby->backup('again');
my $trial = PostgreSQL::Test::Cluster->new('trial');
$trial->init_from_backup($standby, 'again', has_streaming => 1);
{
	local $ENV{IU_CORE_INSTANCE} = 'trial';
	$trial->start;
}
$trial->promote;
IU::Cluster->wait_for_worker($trial, 'watchdog');
talk_to($trial);
becomes("SELECT message ~ 'this is a copy: iu_core.instance is another than at home' FROM iu_core.health()",
	'a standby with another instance is a copy when it is promoted');

# Nobody is there to see how a timeline begins: the server ends before its watchdog has looked.
sub began_unseen
{
	my ($node, $begin) = @_;
	$node->append_conf('postgresql.conf', "iu_core.databases = ''\n");
	$node->start;
	$begin->();
	$node->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die "it recovers on and on\n";
	$node->stop('immediate');
	$node->append_conf('postgresql.conf', "iu_core.databases = 'postgres'\n");
	$node->start;
	talk_to($node);
	becomes('SELECT iu.fn_iu_place_is_noted()', 't', 'the watchdog notes the place after that');
	return sql('SELECT began FROM iu_place ORDER BY place_seq DESC LIMIT 1');
}

my $hasty = PostgreSQL::Test::Cluster->new('hasty');
$hasty->init_from_backup($standby, 'again', has_streaming => 1);
is(began_unseen($hasty, sub { $hasty->promote }), 'promotion',
	'a standby that was promoted, and died before its watchdog had looked, was promoted');
$hasty->backup('marked');
my $restored = PostgreSQL::Test::Cluster->new('restored');
$restored->init_from_backup($hasty, 'marked', has_restoring => 1, standby => 0);
is(began_unseen($restored, sub { }), 'restore',
	'what was restored from a backup of that, and died before its watchdog had looked, was restored');

$session->quit;
$_->stop foreach $restored, $hasty, $trial, $standby;
done_testing();
