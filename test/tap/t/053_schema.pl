# Migrating is a way there and back: what pg_dump sees at a version is the same
# whichever way the database came to it.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = IU::Cluster->new_node('schema', 'iu_core.databases' => '', autovacuum => 'off');
$node->safe_psql('postgres', 'CREATE EXTENSION iu_core');
my @versions = split(/\n/, value('SELECT version FROM iu_core.migrations ORDER BY version'));

sub value { return $node->safe_psql('postgres', $_[0]) }
sub run { return value("SELECT count(*) FROM iu_core.$_[0]") }

# Without the key that differs from one dump to the next.
sub dump_schema
{
	my ($out, $err) = run_command([ $node->installed_command('pg_dump'), '--schema-only', '-d', $node->connstr('postgres') ]);
	die $err if $err;
	return $out =~ s/^\\(un)?restrict .*\n//mgr;
}

# The rows that the migrations bring, without identities and times.
sub rows
{
	my $tables = value("SELECT string_agg(format('SELECT %L || '' '' || (to_jsonb(t) - %L::text[]) FROM %s t', c.oid::regclass,"
		  . " ARRAY(SELECT attname FROM pg_attribute a WHERE attrelid = c.oid AND (atttypid IN ('timestamptz'::regtype, 'uuid'::regtype) OR attidentity <> '')),"
		  . " c.oid::regclass), ' UNION ALL ') FROM pg_class c WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace");
	return value("$tables ORDER BY 1");
}

# is() would print both dumps.
sub same
{
	my ($got, $expected, $name) = @_;
	return pass($name) if $got eq $expected;
	my %expected = map { $_ => 1 } split /\n/, $expected;
	my %got      = map { $_ => 1 } split /\n/, $got;
	fail($name);
	diag('too much: ' . join("\n", grep { !$expected{$_} } split /\n/, $got));
	diag('missing: ' . join("\n", grep { !$got{$_} } split /\n/, $expected));
}

my (%schema, %rows);
$schema{0} = dump_schema();
foreach my $version (@versions)
{
	run("migrate($version)");
	$schema{$version} = dump_schema();
	$rows{$version}   = rows();
	isnt($schema{$version}, $schema{0}, "migration $version makes something");
}
my $last = $versions[-1];
cmp_ok(scalar @versions, '>=', 5, 'several steps');
like($schema{$last}, qr/^CREATE TABLE public\.iu_gate_transition /m, 'the dump shows the tables');

cmp_ok(run('rollback(0)'), '>', 0, 'rollback(0)');
same(dump_schema(), $schema{0}, 'after rollback(0) the schema is that of before the first migration');
is(value("SELECT count(*) FROM iu_core.migrations WHERE state <> 'pending'"), 0, 'and the record is empty');

run('migrate()');
same(dump_schema(), $schema{$last}, 'migrate, rollback(0), migrate: the same schema');
same(rows(), $rows{$last}, 'and the same rows');

foreach my $version (reverse grep { $_ != $last } @versions)
{
	run("rollback($version)");
	same(dump_schema(), $schema{$version}, "rolled back to $version from the end: the schema of $version");
	same(rows(), $rows{$version}, 'and its rows');
	run('migrate()');
	same(dump_schema(), $schema{$last}, 'and up again: the last schema');
}

# Forth and back within one transaction, and a dry run, leave nothing at all.
value("BEGIN; SELECT count(*) FROM iu_core.rollback(0); SELECT count(*) FROM iu_core.migrate(); COMMIT");
same(dump_schema(), $schema{$last}, 'back and forth in one transaction: the last schema');
run('rollback(0, true)');
same(dump_schema(), $schema{$last}, 'a dry run of rollback(0) changes nothing');

# A watchdog lives through all of it, and so does a session that has read gates.
my $gate = 'iu_core.composer_enabled';
$node->append_conf('postgresql.conf', "iu_core.databases = 'postgres'\n");
$node->reload;
my $watchdog = IU::Cluster->wait_for_worker($node, 'watchdog');
IU::Gate->open($node, $gate, 1);
ok(IU::Gate->wait_for_ledger($node, $gate, 'open watchdog_close'), 'a watchdog closes a gate');
my $session = $node->background_psql('postgres');
is($session->query_safe("SELECT iu_core.gate_is_open('$gate')"), 'f', 'a session reads it closed');
run('rollback(0, false, true)');
is($session->query_safe("SELECT iu_core.gate_is_open('$gate')"), 'f', 'without any table as well');
same(dump_schema(), $schema{0}, 'after a rollback of a database in use the schema is that of before');
my $state = "SELECT pid || ' ' || state || coalesce(last_error, '') FROM iu_core.worker_status WHERE role = 'watchdog'";
ok($node->poll_query_until('postgres', $state, "$watchdog nothing migrated"), 'it sees that nothing is migrated');
run('migrate()');
ok($node->poll_query_until('postgres', $state, "$watchdog running"), 'and that all is, again');
IU::Gate->open($node, $gate, 3600);
is($session->query_safe("SELECT iu_core.gate_is_open('$gate')"), 't', 'that session sees an open in the new tables');
IU::Gate->open($node, $gate, 1);
ok(IU::Gate->wait_for_ledger($node, $gate, 'open open watchdog_close'), 'and the watchdog closes it');
$session->quit;

$node->stop;
done_testing();
