# The migration runner on the real migrations: what a run reports, what forbids
# it, what it leaves when it fails, and what a dump and a standby make of it.
use strict;
use warnings;
use Digest::SHA;
use IPC::Run qw(start finish);
use IU::Cluster;
use IU::Dump;
use IU::Lines;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = IU::Cluster->new_node('migrate', wal_level => 'replica', 'iu_core.databases' => '');
my $last = (sort { $a <=> $b } map { m{(\d{3})_[^/]*$} ? $1 + 0 : () } glob '../sql/*')[-1];
$last or BAIL_OUT('no migrations in ../sql');

talk_to($node);

# The SQL that a hint shows.
sub shown { return $_[0] =~ /^HINT:  [^:]*: (.*;)$/m ? $1 : '' }

sub states
{
	return sql("SELECT coalesce(string_agg(DISTINCT state, ',' ORDER BY state), '') FROM iu_core.migrations");
}

sub inventory { return sql('SELECT * FROM iu_core.object_inventory() ORDER BY 1, 2, 4') }

# Where a script has its first match, as errors say it: the file where it has several, and the line.
sub place_of
{
	my ($script, $pattern) = @_;
	for my $file (-d "../$script" ? sort glob "../$script/*.sql" : "../$script")
	{
		my $line = 0;
		my ($name) = $file =~ m{([^/]*)$};
		for (split /\n/, slurp_file($file)) { $line++; return (-d "../$script" ? "$name, " : '') . "line $line"
			  if /$pattern/ }
	}
	BAIL_OUT("$script has no $pattern");
}

sql('CREATE EXTENSION iu_core; CREATE ROLE nobody LOGIN; CREATE ROLE reader LOGIN; CREATE ROLE adm LOGIN;
     GRANT iu_core_reader TO reader; GRANT iu_core_admin TO adm');
my $empty = inventory();

# ---- who may, and what may not be asked for

is(states(), 'pending', 'before the first run every migration is pending');
for my $migration (split /\n/, sql(
	"SELECT lpad(version::text, 3, '0') || '_' || name || ' ' || checksum FROM iu_core.migrations"))
{
	my ($name, $checksum) = split / /, $migration;
	my $script = join '', map { slurp_file($_) } sort glob "../sql/$name/*.sql";
	is($checksum, Digest::SHA::sha256_hex($script),
		"the checksum of $name is the SHA-256 of its files, put together in order");
}
like(error_of('SELECT iu_core.migrate()', user => 'nobody'), qr/42501/, 'a stranger may not migrate');
like(error_of('SELECT iu_core.migrate()', user => 'reader'), qr/42501.*function migrate/, 'a reader may not migrate');
like(error_of('SELECT iu_core.rollback(0)', user => 'reader'), qr/42501.*function rollback/,
	'a reader may not roll back');
is(error_of('TABLE iu_core.migrations', user => 'reader'), '', 'a reader may see the migrations');
like(error_of('DELETE FROM iu_core.applied_migration', user => 'adm'), qr/42501/, 'an admin cannot edit the record');
like(error_of('SELECT iu_core.migrate(999)'), qr/22023.*no migration 999\n.*DETAIL:  The library carries: 1, 2, 3/s,
	'a migration that the library does not carry is refused as a target');
like(error_of('SELECT iu_core.migrate(0)'), qr/22023.*no migration 0/, '0 is refused as a target');
like(error_of('SELECT iu_core.migrate(-1)'), qr/22023/, 'a negative target is refused');
like(error_of('SELECT iu_core.migrate(1, NULL)'), qr/22004/, 'NULL is refused for dry_run');
like(error_of('SELECT iu_core.rollback(NULL)'), qr/22004.*rollback needs a target\n.*HINT:  The target is the last/s,
	'a rollback has no default target');
like(error_of('SELECT iu_core.rollback(1)'), qr/22023.*not applied\n.*Applied are: none/s,
	'a rollback to a migration that is not applied is refused');
is(sql('SELECT count(*) FROM iu_core.rollback(0)'), '0', 'where nothing is applied a rollback to 0 undoes nothing');
like(error_of('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT iu_core.migrate()'), qr/25000.*READ COMMITTED/,
	'a migration under REPEATABLE READ is refused');
like(error_of('BEGIN READ ONLY; SELECT iu_core.migrate()'), qr/25006/,
	'a migration in a read-only transaction is refused');
like(error_of("SELECT iu_core.guard_rows('pg_class')"), qr/55000.*rollback scripts/,
	'guard_rows cannot be called outside of a rollback script');
sql('ALTER ROLE iu_core_owner SUPERUSER');
my $refused = error_of('SELECT iu_core.migrate()');
like($refused, qr/55000.*"iu_core_owner" is a superuser/, 'a migration is refused while iu_core_owner is a superuser');
sql(shown($refused));
is(sql("SELECT rolsuper FROM pg_roles WHERE rolname = 'iu_core_owner'"), 'f',
	'the statement in the hint takes SUPERUSER from iu_core_owner');

# Whatever ends the reading of the catalog, who reads the error is not shown the query that read it.
my $waited = error_while('LOCK TABLE pg_catalog.pg_depend', 'SELECT iu_core.migrate()');
like($waited, qr/55P03.*^CONTEXT:  reading what exists in the database, by iu_core\.object_states\(\)$/ms,
	'a migration that waits in vain for a lock of the catalog says what it was at');
unlike($waited, qr/object_class/, 'and does not show the query that reads the catalog');

# ---- failing in the middle leaves nothing

sql(q{CREATE SCHEMA fault; CREATE FUNCTION fault.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION 'refused by the test'; END $$});
for my $case ([ 'CREATE TRIGGER', '001_configuration', 0 ], [ 'CREATE VIEW', '003_gate_protocol', 2 ])
{
	my ($tag, $script, $stays) = @$case;
	sql("SELECT count(*) FROM iu_core.migrate($stays)") if $stays;
	my $start = inventory();
	my $place = place_of("sql/$script", "^$tag ");
	sql("CREATE EVENT TRIGGER refuse ON ddl_command_end WHEN tag IN ('$tag') EXECUTE FUNCTION fault.refuse()");
	like(error_of('SELECT iu_core.migrate()'), qr/refused by the test.*\bmigration $script, $place\n/s,
		"a migration whose $tag fails names script, file and line ($script, $place)");
	like(error_of('SELECT iu_core.migrate(NULL, true)'), qr/migration $script, $place\n/,
		"a dry run whose $tag fails names script, file and line ($script, $place)");
	sql('DROP EVENT TRIGGER refuse');
	same_lines(inventory(), $start, "a migration whose $tag fails leaves no object");
	sql('SELECT count(*) FROM iu_core.rollback(0)');
}
is(states(), 'pending', 'a migration that failed is not recorded');

sql('CREATE TABLE iu_gate_transition (mine int)');
like(error_of('SELECT iu_core.migrate()'),
	pattern(pattern(qr/42P07.*relation "iu_gate_transition" already exists/s,
		qr/\n.*HINT:  No migration made it\. Rename or remove it.*migration/s),
		qr/ 003_gate_protocol, 10_ledger\.sql, line \d+/s),
	"a migration is refused where another's object has the name of one of its own");
is(states(), 'pending', 'the refusal of one script undoes the scripts before it');
sql('DROP TABLE iu_gate_transition');
sql('DROP SCHEMA fault CASCADE');

# ---- dry run, run, and back

my $plan = sql('SELECT * FROM iu_core.migrate(dry_run => true)');
same_lines(inventory(), $empty, 'a dry run leaves no object');
is(states(), 'pending', 'a dry run leaves no record');
is($node->safe_psql('postgres', 'SELECT * FROM iu_core.migrate()', extra_params => [ '-U', 'adm' ]), $plan,
	"what an administrator's run does is what the dry run said");
is(states(), 'applied', 'after a run every migration is applied');
is(sql('SELECT DISTINCT applied_by FROM iu_core.migrations'), 'adm', 'the record says who applied the migrations');
is(sql("SELECT count(*) FROM iu_core.object_names() WHERE object_class NOT IN ('schema', 'config', 'event_type',"
	  . " 'route') AND owner <> 'iu_core_owner'"),
	'0', 'every object of the migrations belongs to iu_core_owner');
is(sql('SELECT count(*) FROM iu_core.migrate()'), '0', 'a second run finds nothing to do');
is(sql("SELECT count(*) FROM iu_core.migrate($last)"), '0', 'a run to the last migration finds nothing to do either');
like(error_of('SELECT iu_core.migrate(1)'), qr/22023.*beyond migration 1\n.*iu_core\.rollback\(1\)/s,
	'migrate does not go back');
is(sql('SET search_path = pg_temp; BEGIN; SELECT count(*) > 0 FROM iu_core.rollback(0, true);'
	  . ' SELECT current_user, current_setting(\'search_path\'); COMMIT'),
	"t\npostgres|pg_temp", "after a run the session's user and search_path are the caller's again");
is(states(), 'applied', 'a dry run of a rollback leaves every migration applied');

my ($full, $dump) = (inventory(), schema_of($node));
like(sql('SELECT * FROM iu_core.rollback(0)'), qr/removed\|table\|dot_config/,
	'a rollback to 0 reports each object that it removed');
same_lines(inventory(), $empty, 'a rollback to 0 leaves no object');
is(states(), 'pending', 'a rollback to 0 leaves no record');
sql("SELECT count(*) FROM iu_core.migrate($_)") for 1 .. 3;
sql('SELECT count(*) FROM iu_core.migrate()');
same_lines(inventory(), $full, 'migrating again in several steps makes the same objects');
same_lines(schema_of($node), $dump, 'migrating again in several steps makes the same schema');
sql("SELECT count(*) FROM iu_core.rollback($_)") for reverse 1 .. 3;
sql('SELECT count(*) FROM iu_core.migrate()');
same_lines(inventory(), $full, 'rolling back in several steps and migrating makes the same objects');

# ---- the caller's deferred triggers fire as the caller

sql(q{CREATE SCHEMA adm; CREATE TABLE adm.t (a int); CREATE TABLE adm.who (name text);
      CREATE FUNCTION adm.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO adm.who
	  VALUES (current_user); RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER note AFTER INSERT ON adm.t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	  EXECUTE FUNCTION adm.note();
      GRANT USAGE ON SCHEMA adm TO PUBLIC; GRANT ALL ON adm.t, adm.who TO PUBLIC});
$node->safe_psql('postgres', 'BEGIN; INSERT INTO adm.t VALUES (1); SELECT count(*) FROM iu_core.rollback(1);'
	  . ' SELECT count(*) FROM iu_core.migrate(); COMMIT',
	extra_params => [ '-U', 'adm' ]);
is(sql('TABLE adm.who'), 'adm', "a pending deferred trigger of the caller's transaction fires as the caller");
sql('DROP SCHEMA adm CASCADE');

# ---- a second runner

my ($in, $out) = ('', '');
my $first = start([ 'psql', '-X', '-h', $node->host, '-p', $node->port, '-U', 'adm', '-d', 'postgres',
		'-c', "SET application_name = 'first'", '-c', 'BEGIN', '-c', 'SELECT count(*) FROM iu_core.rollback(0, true)',
		'-c', 'SELECT pg_sleep(600)' ], '<', \$in, '>', \$out, '2>', \$out);
wait_until("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'first' AND wait_event = 'PgSleep')");
like(error_of('SELECT iu_core.migrate(dry_run => true)', user => 'adm'),
	pattern(qr/55P03.*another migration run is in progress\n/s,
		qr/.*Process \d+ of user "adm", application "first", has run since \d/s),
	'a second run at the same time is refused, and told who runs');
sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'first'");
finish($first);
wait_until("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'first')");
is(error_of('SELECT iu_core.migrate(dry_run => true)', user => 'adm'), '',
	"a run is possible when the other run's session is gone");

# ---- drift

my $checksum = sql('SELECT checksum FROM iu_core.applied_migration WHERE version = 2');
sql("UPDATE iu_core.applied_migration SET checksum = repeat('0', 64) WHERE version = 2");
is(sql('SELECT version FROM iu_core.migrations WHERE state = \'drifted\''), '2', 'a changed script shows as drifted');
like(error_of('SELECT iu_core.migrate()'),
	pattern(qr/55000.*migration 002_command_catalog has drifted/s,
		qr/\n.*migrate again: SELECT \* FROM iu_core\.rollback\(1\); SELECT \* FROM iu_core\.migrate\(\);/s),
	'a migration that has drifted stops a run');
my ($code, $rows, $warning) = $node->psql('postgres', 'SELECT count(*) > 0 FROM iu_core.rollback(1, true)');
is("$code $rows", '0 t', 'a migration that has drifted can be rolled back');
like($warning, qr/WARNING:  migration 002_command_catalog has drifted/,
	'the rollback of a migration that has drifted gives a warning');
sql("UPDATE iu_core.applied_migration SET checksum = '$checksum' WHERE version = 2;
     INSERT INTO iu_core.applied_migration VALUES (998, 'later', repeat('0', 64))");
like(error_of('SELECT iu_core.migrate()'), qr/55000.*migration 998_later has drifted\n.*does not carry it/s,
	'a migration that the library does not carry stops a run');
like(error_of('SELECT iu_core.rollback(0, allow_data_loss => true)'),
	qr/55000.*998_later.*\n.*HINT:  Load the library that applied it/s,
	'a migration that the library does not carry cannot be rolled back');
sql('DELETE FROM iu_core.applied_migration WHERE version = 998');
is(states(), 'applied', 'with the record as it was every migration is applied');

# ---- an open gate, and rows that would be lost

sql(q{SELECT fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'tester', 'test', 600)});
for my $call ("rollback($last)", 'rollback(0)', 'rollback(0, true)', 'rollback(0, false, true)')
{
	like(error_of("SELECT iu_core.$call"), qr/55006.*gate.*rollback guard/s, "$call is refused while a gate is open");
}
sql(q{SELECT fn_iu_gate_close('iu_core.composer_enabled', 'tester', 'test')});
my $place = place_of('rollback/003_gate_protocol.rollback.sql', 'guard_rows.*iu_gate_transition');
$refused = error_of('SELECT iu_core.rollback(2)');
is(shown($refused), 'SELECT * FROM iu_core.rollback(2, allow_data_loss => true);',
	'the hint of a refused rollback shows the statement that does it');
like($refused,
	pattern(qr/55006.*rollback refused: table iu_gate_transition holds 2 row\(s\) that would be lost/s,
		qr/\n.*HINT:  Take a backup.*rollback 003_gate_protocol, $place\n/s),
	'a rollback that would lose rows is refused');
like(error_of('SELECT iu_core.rollback(2, true)'), qr/55006/,
	'a dry run of a rollback that would lose rows is refused');
like(sql('SELECT * FROM iu_core.rollback(2, true, true)'),
	qr/^3\|003_gate_protocol\|rows lost\|table\|iu_gate_transition\|2$/m,
	'a rollback that may lose rows reports how many');

# ---- dump and restore

my $file = $node->basedir . '/dump';
dump_to($node, $file);
restore_into($node, 'copy', $file);
is($node->safe_psql('copy', 'TABLE iu_core.migrations'), sql('TABLE iu_core.migrations'),
	'the copy has the same record of migrations');
# PostgreSQL drops superfluous parentheses of a parsed body when it reads it back.
my $restored = "SELECT n.object_class, n.object_name, n.owner, CASE WHEN p.prosqlbody IS NULL THEN i.fingerprint END
  FROM iu_core.object_names() n JOIN iu_core.object_inventory() i USING (object_class, object_name)
  LEFT JOIN pg_proc p ON n.catalog_id = 'pg_proc'::regclass AND p.oid = n.object_id ORDER BY 1, 2, 4";
same_lines($node->safe_psql('copy', $restored), sql($restored), 'the copy has the same objects');
is($node->safe_psql('copy', q{SELECT string_agg(concat_ws(' ', check_code, expected, found, detail), '; ')
	  FROM fn_iu_conformance() WHERE NOT ok}),
	'', 'the copy conforms');
is($node->safe_psql('copy', 'SELECT count(*) FROM iu_core.migrate()'), '0', 'there is nothing to migrate in the copy');

like(sql('SELECT * FROM iu_core.rollback(0, false, true)'), qr/rows lost/,
	'with allow_data_loss everything is rolled back');
same_lines(inventory(), $empty, 'with allow_data_loss nothing is left');

# ---- in another encoding

sql("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
like(error_of('CREATE EXTENSION iu_core; SELECT iu_core.migrate()', database => 'latin'),
	qr/0A000.*iu_core\.migrate\(\) needs a database with encoding UTF8.*has encoding LATIN1/s,
	'a database whose encoding lacks letters of the scripts is refused');

# ---- on a standby

$node->stop;
append_to_file($node->data_dir . '/standby.signal', '');
$node->start;
like(error_of('SELECT iu_core.migrate()'), qr/25006.*during recovery/,
	'a run on a standby is refused as PostgreSQL refuses a write');
is(states(), 'pending', 'on a standby the migrations can be looked at');
$node->stop;

done_testing();
