# Databases of before there were units: with 001 to 014, 018 and 019, and with rows in
# them. They work beside a database that has every migration, under the same workers;
# migrate in place; and go back as far as nothing is lost.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::Lines;
use IU::Receiver;
use IU::Routes;
use IU::SQL;
use Test::More;

my $gate     = 'iu_core.delivery_enabled';
my $receiver = IU::Receiver->start;
my $node     = IU::Cluster->new_node('before', 'iu_core.databases' => 'old, bare, new', 'iu_core.senders' => 1,
	max_connections => 60, 'iu_core.allowed_origins' => $receiver->origin, 'iu_core.allowed_networks' => '127.0.0.0/8');

my $newest    = "SELECT string_agg(version::text, ' ' ORDER BY version) FROM iu_core.migrations";
my $applied   = "$newest WHERE state = 'applied'";
my $conforms  = 'SELECT count(*) = 0 FROM fn_iu_conformance() WHERE NOT ok';
my $inventory = 'SELECT object_class, object_name, owner, grants, state, digest'
  . ' FROM iu_core.object_inventory() ORDER BY 1, 2';

# What people put into the tables of 003 to 007, 018 and 019.
my $rows = join ' UNION ALL ', map { "SELECT '$_->[0]', md5(string_agg(t::text, '|' ORDER BY t::text)), count(*)"
		  . " FROM $_->[0] t WHERE $_->[1]" } [ 'event_outbox', 'true' ], [ 'iu_gate_transition', 'true' ],
  [ 'iu_outbound_route', 'true' ], [ 'iu_route_attempt', 'true' ], [ 'dot_iu_command_run', 'true' ],
  [ 'dot_iu_runtime_lease', 'true' ], [ 'iu_core_retention_policy', 'set_by IS NOT NULL' ];

# As the library left it that had no other migrations: for this one run those that came later count as applied.
sub as_before
{
	my ($database, $last) = @_;
	my $later = 'version BETWEEN 15 AND 17 OR version BETWEEN 20 AND 59';

	sql("SELECT count(*) FROM iu_core.migrate(14)", $database);
	my $at_14 = sql($inventory, $database);
	sql("INSERT INTO iu_core.applied_migration (version, name, checksum)"
		  . " SELECT version, name, checksum FROM iu_core.migrations WHERE $later; "
		  . "SELECT count(*) FROM iu_core.migrate($last); "
		  . "DELETE FROM iu_core.applied_migration WHERE $later", $database);
	return $at_14;
}

sub has_sent
{
	my ($database, $count, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	talk_to($node, $database);
	return becomes('SELECT ' . attempts('hook', 'sent') . " = $count", $name);
}

sub open_gate
{
	my ($seconds) = @_;
	return sql("SELECT fn_iu_gate_open('$gate', gen_random_uuid(), 'operator', 'test', $seconds) ->> 'status'");
}

sub close_gate { return sql("SELECT fn_iu_gate_close('$gate', 'operator', 'test') ->> 'status'") }

talk_to($node);
foreach my $database (qw(old bare new))
{
	sql("CREATE DATABASE $database");
	sql('CREATE EXTENSION iu_core', $database);
}
as_before('old', 19);
my $at_14 = as_before('bare', 'NULL');
sql('SELECT count(*) FROM iu_core.migrate()', 'new');
is(sql($applied, 'old'), join(' ', 1 .. 14, 18, 19), 'one database is at 019, and has no units');
is(sql($applied, 'bare'), join(' ', 1 .. 14, 18, 19, 60), 'another one is so and has 060');
is(sql($applied, 'new'), sql($newest, 'new'), 'and a third one has everything');

# ---- At the same time

foreach my $database (qw(old bare new))
{
	talk_to($node, $database);
	becomes("SELECT count(DISTINCT role) = 3 FROM iu_core.worker_status WHERE database = '$database'"
		  . " AND role IN ('watchdog', 'sender', 'runner') AND state = 'running'", "$database: its workers run");
	switches_on();
	add_route('hook', $receiver->origin . "/echo?$database", retry => \%IU::Routes::ONCE, timeout_ms => 60000);
	emit(5);
	is(open_gate(3600), 'opened', "$database: its gate is opened");
}
foreach my $database (qw(old bare new))
{
	has_sent($database, 5, "$database: five events are sent while the gates of three databases are open");
	is(scalar $receiver->arrived("/echo?$database"), 5, "$database: each arrives once");
}
talk_to($node, 'old');
is(close_gate(), 'closed', 'the gate of the old database is closed');
emit(1);
talk_to($node, 'new');
emit(1);
has_sent('new', 6, 'the one of the new database is open, and an event is sent');
is(scalar $receiver->arrived('/echo?old'), 5, 'that of the old one is held');
foreach my $pair ([ 'old', 'new' ], [ 'new', 'old' ])
{
	my ($database, $other) = @$pair;

	talk_to($node, $database);
	close_gate() if IU::Gate->state($node, $gate, $database) eq 'true open';
	is(open_gate(1), 'opened', "$database: its gate is opened for a second");
	becomes("SELECT value = 'false' AND (SELECT action = 'watchdog_close' FROM iu_gate_transition WHERE gate_key = key"
		  . " ORDER BY transition_seq DESC LIMIT 1) FROM dot_config WHERE key = '$gate'",
		"$database: its watchdog closes it");
	is(IU::Gate->state($node, $gate, 'bare'), 'true open', "$database: and leaves that of another database");
}
talk_to($node, 'old');
open_gate(3600);
has_sent('old', 6, 'the event that was held is sent');
talk_to($node, 'new');
open_gate(3600);

# ---- In place, with rows and an open gate

talk_to($node, 'old');
sql("SELECT fn_iu_core_retention_policy_set('iu_route_attempt', 60, 'ada', 'two months')");
my $token = sql("SELECT fn_dot_iu_runtime_lease_acquire('driver', 'wim', 86400)");
my $before = sql($rows);
unlike($before, qr/\|\|0$/m, 'the old database has rows in the tables of 004 to 019');
sql('SELECT count(*) FROM iu_core.migrate()');
is(sql($applied), sql($newest), 'a database at 019 is migrated in place');
is(sql($rows), $before, 'its events, attempts, gates, policies, leases and runs are those that it had');
is(sql($conforms), 't', 'it conforms');
same_lines(sql($inventory), sql($inventory, 'new'), 'and has the objects that a new one has');
is(IU::Gate->state($node, $gate, 'old'), 'true open', 'a gate that was open is open');
emit(1);
has_sent('old', 7, 'and the next event is sent');

# ---- Back to before

my $refused = error_of('SELECT count(*) FROM iu_core.rollback(14)');
like($refused, qr/^ERROR:  55006: .*\b$gate: open until.*HINT:  Close them: SELECT fn_iu_gate_close/s,
	'while its gate is open it does not go back, and is told to close it');
close_gate();
foreach my $table (qw(dot_iu_runtime_lease iu_core_retention_policy))
{
	like(error_of('SELECT count(*) FROM iu_core.rollback(14)'),
		qr/^ERROR:  55006: .*\b$table\b.*HINT:  .*backup.*allow_data_loss/s,
		"while $table has rows it does not go back to 014, and is told what to do");
	sql("SELECT fn_dot_iu_runtime_lease_release('driver', 'wim', '$token')");
}
is(sql($applied), sql($newest), 'what was refused has undone nothing');
like(sql("SELECT string_agg(object_name || ' ' || rows_lost, ', ' ORDER BY object_name)"
		  . " FROM iu_core.rollback(14, true, true) WHERE change = 'rows lost'"),
	qr/\biu_core_retention_policy 1\b/, 'a dry run tells what would be lost');

is(sql("SELECT fn_iu_create('one', 'T', 'text', 'wim') ->> 'status'"), 'created', 'it has units');
# What came later is known by the order that was noted: here the clock was a day behind when it came.
sql("UPDATE iu_core.applied_migration SET applied_at = applied_at - interval '1 day'"
	  . ' WHERE version BETWEEN 15 AND 17 OR version > 19');
my $said = ask('SELECT count(*) FROM iu_core.rollback(19)');
like($said, qr/^NOTICE:  00000: migrations below 19 that were applied after it stay: 15, 16, 17$/m,
	'going back to 019 it is told which lower numbers stay');
like($said, qr/^HINT:  .*iu_core\.rollback\(14\);/m, 'and how to go back to before them');
is(sql($applied), join(' ', 1 .. 19), 'and they do');
is(sql("SELECT count(*) FROM information_unit"), 1, 'and the units with them');
is(sql($conforms), 't', 'it conforms');
unlike(ask('SELECT count(*) FROM iu_core.rollback(17, true, true)'), qr/NOTICE/,
	'where no lower number came later there is nothing to tell');
# A record that came with a dump of before there was such an order.
like(ask('BEGIN; UPDATE iu_core.applied_migration SET nth = 0; UPDATE iu_core.applied_migration'
		  . " SET applied_at = applied_at + interval '2 days' WHERE version BETWEEN 15 AND 17;"
		  . ' SELECT count(*) FROM iu_core.rollback(18, true, true); ROLLBACK'),
	qr/^NOTICE:  00000: migrations below 18 that were applied after it stay: 15, 16, 17$/m,
	'where no order was noted the time decides');
sql('SELECT count(*) FROM iu_core.migrate()');
same_lines(sql($inventory), sql($inventory, 'new'), 'up again it has every object');

talk_to($node, 'bare');
sql('SELECT count(*) FROM iu_core.migrate()');
same_lines(sql($inventory), sql($inventory, 'new'), 'a database that has 060 gets what is below it');
close_gate();
$before = sql('SELECT * FROM event_outbox ORDER BY id');
is(error_of('SELECT count(*) FROM iu_core.rollback(14)'), '',
	'where 018 and 019 hold no rows it goes back to 014, and nobody needs to allow a loss');
is(sql($applied), join(' ', 1 .. 14), 'then it has no number above');
same_lines(sql($inventory) =~ s/^route\|hook\|.*\n//mr, $at_14, 'and the objects of 014');
is(sql('SELECT * FROM event_outbox ORDER BY id'), $before, 'and its events');

# ---- At 014 beside what is new

is(open_gate(3600), 'opened', 'at 014 its gate is opened');
emit(1);
talk_to($node, 'new');
emit(1);
has_sent('new', 7, 'the new database sends');
has_sent('bare', 6, 'and so does the one at 014');
talk_to($node, 'bare');
is(close_gate(), 'closed', 'its gate is closed');
is(IU::Gate->state($node, $gate, 'new'), 'true open', 'and that of the new one is open');
sql('SELECT count(*) FROM iu_core.migrate()');
is(sql($conforms), 't', 'it migrates again, and conforms');

$node->stop;
done_testing();
