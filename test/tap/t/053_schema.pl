# Migrating is a way there and back: what pg_dump sees at a version is the same
# whichever way the database came to it. That the register has what there is then
# is asked by the runner after each script: it refuses a rollback that leaves
# something of its migration, which pgtap/001_conformance.sql shows.
use strict;
use warnings;

use IU::Cluster;
use IU::Dump;
use IU::Gate;
use IU::Lines;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = IU::Cluster->new_node('schema', 'iu_core.databases' => '', autovacuum => 'off');
$node->safe_psql('postgres', 'CREATE EXTENSION iu_core');
talk_to($node);
my @versions = split(/\n/, sql('SELECT version FROM iu_core.migrations ORDER BY version'));

sub run { return sql("SELECT count(*) FROM iu_core.$_[0]") }

# The rows that the migrations bring, without identities and times.
sub rows
{
	my $tables = sql("SELECT string_agg(format('SELECT %L || '' '' || (to_jsonb(t) - %L::text[])"
		  . " FROM %s t', c.oid::regclass,"
		  . " ARRAY(SELECT attname FROM pg_attribute a WHERE attrelid = c.oid AND (atttypid"
		  . " IN ('timestamptz'::regtype, 'uuid'::regtype) OR attidentity <> '')),"
		  . " c.oid::regclass), ' UNION ALL ') FROM pg_class c WHERE relkind = 'r' AND relnamespace"
		  . " = 'public'::regnamespace");
	return sql("$tables ORDER BY 1");
}

my (%schema, %rows);
$schema{0} = schema_of($node);
foreach my $version (@versions)
{
	run("migrate($version)");
	$schema{$version} = schema_of($node);
	$rows{$version}   = rows();
	isnt($schema{$version}, $schema{0}, "migration $version makes something");
}
my $last = $versions[-1];
cmp_ok(scalar @versions, '>=', 5, 'there are at least five migrations');
like($schema{$last}, qr/^CREATE TABLE public\.iu_gate_transition /m, 'the dump shows the tables of the migrations');

cmp_ok(run('rollback(0)'), '>', 0, 'a rollback to 0 removes something');
same_lines(schema_of($node), $schema{0}, 'after a rollback to 0 the schema is that of before the first migration');
is(sql("SELECT count(*) FROM iu_core.migrations WHERE state <> 'pending'"), 0,
	'after a rollback to 0 the record of migrations is empty');

run('migrate()');
same_lines(schema_of($node), $schema{$last}, 'migrate, rollback to 0, migrate: the schema is the same');
same_lines(rows(), $rows{$last}, 'migrate, rollback to 0, migrate: the rows are the same');

foreach my $version (reverse grep { $_ != $last } @versions)
{
	run("rollback($version)");
	same_lines(schema_of($node), $schema{$version},
		"rolled back from the last migration to $version the schema is that of $version");
	same_lines(rows(), $rows{$version},
		"rolled back from the last migration to $version the rows are those of $version");
	run('migrate()');
	same_lines(schema_of($node), $schema{$last},
		"migrated up again from $version the schema is that of the last migration");
}

# Forth and back within one transaction, and a dry run, leave nothing at all.
sql("BEGIN; SELECT count(*) FROM iu_core.rollback(0); SELECT count(*) FROM iu_core.migrate(); COMMIT");
same_lines(schema_of($node), $schema{$last},
	'rolled back and migrated in one transaction the schema is that of the last migration');
run('rollback(0, true)');
same_lines(schema_of($node), $schema{$last}, 'a dry run of a rollback to 0 leaves the schema as it is');

# A watchdog lives through all of it, and so does a session that has read gates.
my $gate = 'iu_core.composer_enabled';
IU::Cluster->reload($node, 'iu_core.databases' => 'postgres');
my $watchdog = IU::Cluster->wait_for_worker($node, 'watchdog');
IU::Gate->open($node, $gate, 1);
ok(IU::Gate->wait_for_ledger($node, $gate, 'open watchdog_close'), 'a watchdog closes a gate before the rollback');
my $session = $node->background_psql('postgres');
is($session->query_safe("SELECT iu_core.gate_is_open('$gate')"), 'f',
	'a session reads the gate as closed before the rollback');
run('rollback(0, false, true)');
is($session->query_safe("SELECT iu_core.gate_is_open('$gate')"), 'f',
	'a session reads the gate as closed when its tables are rolled back');
same_lines(schema_of($node), $schema{0}, 'after the rollback of a database in use the schema is that of before');
my $state = "SELECT pid || ' ' || state || coalesce(last_error, '') FROM iu_core.worker_status WHERE role = 'watchdog'";
becomes($state, "$watchdog nothing migrated", 'the watchdog sees that nothing is migrated, and stays the same process');
run('migrate()');
becomes($state, "$watchdog running", 'the watchdog sees that everything is migrated again, and stays the same process');
IU::Gate->open($node, $gate, 3600);
is($session->query_safe("SELECT iu_core.gate_is_open('$gate')"), 't',
	'a session from before the rollback sees an opening in the new tables');
IU::Gate->open($node, $gate, 1);
ok(IU::Gate->wait_for_ledger($node, $gate, 'open open watchdog_close'),
	'the watchdog from before the rollback closes a gate in the new tables');
$session->quit;

$node->stop;
done_testing();
