# Migrating is a way there and back: what pg_dump sees at a version is the same
# whichever way the database came to it, and the register of objects has what there is.
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

# What a rollback says that it does.
sub report { return sql("SELECT version, change, object_class, object_name FROM iu_core.$_[0]") }

# The rows that the migrations bring, without identities and times.
sub rows
{
	my $tables = sql("SELECT string_agg(format('SELECT %L || '' '' || (to_jsonb(t) - %L::text[])"
		  . " FROM %s t', c.oid::regclass,"
		  . " ARRAY(SELECT attname FROM pg_attribute a WHERE attrelid = c.oid AND (atttypid"
		  . " IN ('timestamptz'::regtype, 'uuid'::regtype) OR attidentity <> '')),"
		  . " c.oid::regclass), ' UNION ALL ') FROM pg_class c WHERE relkind = 'r' AND relnamespace"
		  . " = 'public'::regnamespace");
	return $tables && sql("$tables ORDER BY 1");
}

# Asks whether the database is as it was when the migration was applied for the first time.
my (%schema, %rows);

sub is_as_at
{
	my ($version, $when) = @_;
	same_lines(schema_of($node), $schema{$version}, "$when the schema is that of $version");
	same_lines(rows(), $rows{$version}, "$when the rows are those of $version");
	is(sql('SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok'), 0, "$when the database conforms")
	  if $version >= $versions[0];
	return;
}

# All of them up, one at a time, and down again. A run of migrations fails where the
# database does not conform in the end.
$schema{0} = schema_of($node);
$rows{0} = rows();
my $before = 0;
foreach my $version (@versions)
{
	run("migrate($version)");
	$schema{$version} = schema_of($node);
	$rows{$version}   = rows();
	ok($schema{$version} ne $schema{$before} || $rows{$version} ne $rows{$before},
		"migration $version makes something");
	$before = $version;
}
my $last = $versions[-1];
cmp_ok(scalar @versions, '>=', 5, 'there are at least five migrations');
like($schema{$last}, qr/^CREATE TABLE public\.iu_gate_transition /m, 'the dump shows the tables of the migrations');

my $all_at_once = report('rollback(0, true)');
my @reports;
foreach my $back (reverse 0, @versions[0 .. $#versions - 1])
{
	push @reports, grep { $_ ne '' } report("rollback($back)");
	is_as_at($back, "taken back from the migration after $back");
}
same_lines($all_at_once, join("\n", @reports), 'a rollback of all reports what one after the other does');
run('migrate()');
is_as_at($last, 'migrated again from nothing');

# Several at once, some and all.
foreach my $version ($versions[$#versions / 2], 0)
{
	run("rollback($version)");
	is_as_at($version, "rolled back from the last migration to $version at once");
	is(sql("SELECT count(*) FROM iu_core.migrations WHERE state <> 'pending'"), grep({ $_ <= $version } @versions) + 0,
		"the record of migrations has those up to $version then");
	run('migrate()');
	is_as_at($last, "migrated up again from $version");
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
