# The migration runner on the real migrations: what a run reports, what forbids
# it, what it leaves when it fails, and what a dump and a standby make of it.
use strict;
use warnings;
use Cwd qw(abs_path);
use IPC::Run qw(start finish);
use IU::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = IU::Cluster->new_node('migrate', wal_level => 'replica', 'iu_core.databases' => '');
my $last = (sort { $a <=> $b } map { m{(\d{3})_[^/]*$} ? $1 + 0 : () } glob '../sql/*.sql')[-1];
$last or BAIL_OUT('no migrations in ../sql');

sub sql { return $node->safe_psql('postgres', @_) }

# The error of a statement, with its SQLSTATE and context; '' if there is none.
sub error_of
{
	my ($statement, $user) = @_;
	my ($code, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$statement;",
		on_error_stop => 1, extra_params => [ '-U', $user // 'postgres' ]);
	return $code == 0 ? '' : $err;
}

# The SQL that a hint shows.
sub shown { return $_[0] =~ /^HINT:  [^:]*: (.*;)$/m ? $1 : '' }

sub states
{
	return sql("SELECT coalesce(string_agg(DISTINCT state, ',' ORDER BY state), '') FROM iu_core.migrations");
}

sub inventory { return sql('SELECT * FROM iu_core.object_inventory() ORDER BY 1, 2, 4') }

# pg_dump of the schema without the line that is different each time.
sub dumped
{
	my ($database) = @_;
	my ($out, $err);
	IPC::Run::run([ 'pg_dump', '-s', '-h', $node->host, '-p', $node->port, '-U', 'postgres', $database ],
		'>', \$out, '2>', \$err) or BAIL_OUT($err);
	return join "\n", grep { !/^\\(un)?restrict / } split /\n/, $out;
}

# is() for texts of many lines: a failure shows only the lines that differ.
sub same
{
	my ($got, $expected, $name) = @_;
	my %count;
	$count{$_}++ for split /\n/, $got;
	$count{$_}-- for split /\n/, $expected;
	return is(join("\n", map { ($count{$_} > 0 ? '+' : '-') . $_ } grep { $count{$_} } sort keys %count), '', $name);
}

# The line of the first match in a script.
sub line_of
{
	my ($script, $pattern) = @_;
	my $line = 0;
	for (split /\n/, slurp_file("../$script")) { $line++; return $line if /$pattern/ }
	BAIL_OUT("$script has no $pattern");
}

sql('CREATE EXTENSION iu_core; CREATE ROLE nobody LOGIN; CREATE ROLE reader LOGIN; CREATE ROLE adm LOGIN;
     GRANT iu_core_reader TO reader; GRANT iu_core_admin TO adm');
my $empty = inventory();

# ---- who may, and what may not be asked for

is(states(), 'pending', 'all migrations are pending');
is(sql("SELECT count(*) FROM iu_core.migrations m WHERE m.checksum = encode(sha256(pg_read_binary_file('"
		  . abs_path('..') . "/sql/' || lpad(version::text, 3, '0') || '_' || name || '.sql')), 'hex')"),
	sql('SELECT count(*) FROM iu_core.migrations'), 'the checksum is the SHA-256 of the file');
like(error_of('SELECT iu_core.migrate()', 'nobody'), qr/42501/, 'a stranger may not migrate');
like(error_of('SELECT iu_core.migrate()', 'reader'), qr/42501.*function migrate/, 'a reader may not migrate');
like(error_of('SELECT iu_core.rollback(0)', 'reader'), qr/42501.*function rollback/, 'nor roll back');
is(error_of('TABLE iu_core.migrations', 'reader'), '', 'but sees the migrations');
like(error_of('DELETE FROM iu_core.applied_migration', 'adm'), qr/42501/, 'an admin cannot edit the record');
like(error_of('SELECT iu_core.migrate(999)'), qr/22023.*no migration 999\n.*DETAIL:  The library carries: 1, 2, 3/s, 'an unknown target is refused');
like(error_of('SELECT iu_core.migrate(0)'), qr/22023.*no migration 0/, 'so is 0');
like(error_of('SELECT iu_core.migrate(-1)'), qr/22023/, 'and a negative one');
like(error_of('SELECT iu_core.migrate(1, NULL)'), qr/22004/, 'dry_run is not NULL');
like(error_of('SELECT iu_core.rollback(NULL)'), qr/22004.*rollback needs a target\n.*HINT:  The target is the last/s, 'a rollback has no default target');
like(error_of('SELECT iu_core.rollback(1)'), qr/22023.*not applied\n.*Applied are: none/s, 'a rollback goes to what is applied');
is(sql('SELECT count(*) FROM iu_core.rollback(0)'), '0', 'with nothing applied there is nothing to undo');
like(error_of('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT iu_core.migrate()'), qr/25000.*READ COMMITTED/, 'an old snapshot is refused');
like(error_of('BEGIN READ ONLY; SELECT iu_core.migrate()'), qr/25006/, 'a read-only transaction too');
like(error_of("SELECT iu_core.guard_rows('pg_class')"), qr/55000.*rollback scripts/, 'guard_rows is for rollbacks');
sql('ALTER ROLE iu_core_owner SUPERUSER');
my $refused = error_of('SELECT iu_core.migrate()');
like($refused, qr/55000.*"iu_core_owner" is a superuser/, 'the owner may not be a superuser');
sql(shown($refused));
is(sql("SELECT rolsuper FROM pg_roles WHERE rolname = 'iu_core_owner'"), 'f', 'what the hint shows mends that');

# ---- failing in the middle leaves nothing

sql(q{CREATE SCHEMA fault; CREATE FUNCTION fault.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION 'refused by the test'; END $$});
for my $case ([ 'CREATE TRIGGER', '001_configuration', 0 ], [ 'CREATE VIEW', '003_gate_protocol', 2 ])
{
	my ($tag, $script, $stays) = @$case;
	sql("SELECT count(*) FROM iu_core.migrate($stays)") if $stays;
	my $start = inventory();
	my $line = line_of("sql/$script.sql", "^$tag ");
	sql("CREATE EVENT TRIGGER refuse ON ddl_command_end WHEN tag IN ('$tag') EXECUTE FUNCTION fault.refuse()");
	like(error_of('SELECT iu_core.migrate()'), qr/refused by the test.*\bmigration $script, line $line\n/s, "$tag fails: script and line $line");
	like(error_of('SELECT iu_core.migrate(NULL, true)'), qr/migration $script, line $line\n/, 'in a dry run too');
	sql('DROP EVENT TRIGGER refuse');
	same(inventory(), $start, 'nothing of it is left');
	sql('SELECT count(*) FROM iu_core.rollback(0)');
}
is(states(), 'pending', 'and nothing is recorded');

sql('CREATE TABLE iu_gate_transition (mine int)');
like(error_of('SELECT iu_core.migrate()'),
	qr/42710.*table "public\.iu_gate_transition" exists and was not made by this migration.*migration 003_gate_protocol, line \d+/s,
	'an object of somebody else is met with a refusal');
is(states(), 'pending', 'which undoes the scripts before it');
sql('DROP TABLE iu_gate_transition');
sql('DROP SCHEMA fault CASCADE');

# ---- dry run, run, and back

my $plan = sql('SELECT * FROM iu_core.migrate(dry_run => true)');
same(inventory(), $empty, 'a dry run leaves no object');
is(states(), 'pending', 'and no record');
is($node->safe_psql('postgres', 'SELECT * FROM iu_core.migrate()', extra_params => [ '-U', 'adm' ]), $plan,
	'the run by an admin does what the dry run said');
is(states(), 'applied', 'all are applied');
is(sql('SELECT DISTINCT applied_by FROM iu_core.migrations'), 'adm', 'by whom');
is(sql("SELECT count(*) FROM iu_core.object_names() WHERE object_class NOT IN ('schema', 'config', 'event_type', 'route') AND owner <> 'iu_core_owner'"),
	'0', 'everything belongs to iu_core_owner');
is(sql('SELECT count(*) FROM iu_core.migrate()'), '0', 'a second run finds nothing to do');
is(sql("SELECT count(*) FROM iu_core.migrate($last)"), '0', 'nor to the last');
like(error_of('SELECT iu_core.migrate(1)'), qr/22023.*beyond migration 1\n.*iu_core\.rollback\(1\)/s, 'migrate does not go back');
is(sql('SET search_path = pg_temp; BEGIN; SELECT count(*) > 0 FROM iu_core.rollback(0, true); SELECT current_user, current_setting(\'search_path\'); COMMIT'),
	"t\npostgres|pg_temp", 'user and settings are the caller\'s again');
is(states(), 'applied', 'the dry rollback left all applied');

my ($full, $dump) = (inventory(), dumped('postgres'));
like(sql('SELECT * FROM iu_core.rollback(0)'), qr/removed\|table\|dot_config/, 'all are rolled back');
same(inventory(), $empty, 'nothing is left');
is(states(), 'pending', 'no record either');
sql("SELECT count(*) FROM iu_core.migrate($_)") for 1 .. 3;
sql('SELECT count(*) FROM iu_core.migrate()');
same(inventory(), $full, 'migrating again, in pieces, makes the same objects');
same(dumped('postgres'), $dump, 'and the same dump');
sql("SELECT count(*) FROM iu_core.rollback($_)") for reverse 1 .. 3;
sql('SELECT count(*) FROM iu_core.migrate()');
same(inventory(), $full, 'piece by piece backwards as well');

# ---- the caller's deferred triggers fire as the caller

sql(q{CREATE SCHEMA adm; CREATE TABLE adm.t (a int); CREATE TABLE adm.who (name text);
      CREATE FUNCTION adm.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO adm.who VALUES (current_user); RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER note AFTER INSERT ON adm.t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION adm.note();
      GRANT USAGE ON SCHEMA adm TO PUBLIC; GRANT ALL ON adm.t, adm.who TO PUBLIC});
$node->safe_psql('postgres', 'BEGIN; INSERT INTO adm.t VALUES (1); SELECT count(*) FROM iu_core.rollback(1); SELECT count(*) FROM iu_core.migrate(); COMMIT',
	extra_params => [ '-U', 'adm' ]);
is(sql('TABLE adm.who'), 'adm', 'a pending trigger of the caller fires as the caller');
sql('DROP SCHEMA adm CASCADE');

# ---- a second runner

my ($in, $out) = ('', '');
my $first = start([ 'psql', '-X', '-h', $node->host, '-p', $node->port, '-U', 'adm', '-d', 'postgres',
		'-c', "SET application_name = 'first'", '-c', 'BEGIN', '-c', 'SELECT count(*) FROM iu_core.rollback(0, true)',
		'-c', 'SELECT pg_sleep(600)' ], '<', \$in, '>', \$out, '2>', \$out);
$node->poll_query_until('postgres', "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE application_name = 'first'") or BAIL_OUT($out);
like(error_of('SELECT iu_core.migrate(dry_run => true)', 'adm'),
	qr/55P03.*another migration run is in progress\n.*Process \d+ of user "adm", application "first", has run since \d/s, 'a second runner is told who runs');
sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'first'");
finish($first);
$node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'first')");
is(error_of('SELECT iu_core.migrate(dry_run => true)', 'adm'), '', 'and may run when it is gone');

# ---- drift

my $checksum = sql('SELECT checksum FROM iu_core.applied_migration WHERE version = 2');
sql("UPDATE iu_core.applied_migration SET checksum = repeat('0', 64) WHERE version = 2");
is(sql('SELECT version FROM iu_core.migrations WHERE state = \'drifted\''), '2', 'a changed script shows as drifted');
like(error_of('SELECT iu_core.migrate()'), qr/55000.*migration 002_command_catalog has drifted\n.*migrate again: SELECT \* FROM iu_core\.rollback\(1\); SELECT \* FROM iu_core\.migrate\(\);/s, 'and stops a migration');
my ($code, $rows, $warning) = $node->psql('postgres', 'SELECT count(*) > 0 FROM iu_core.rollback(1, true)');
is("$code $rows", '0 t', 'it can be rolled back');
like($warning, qr/WARNING:  migration 002_command_catalog has drifted/, 'with a warning');
sql("UPDATE iu_core.applied_migration SET checksum = '$checksum' WHERE version = 2;
     INSERT INTO iu_core.applied_migration VALUES (998, 'later', repeat('0', 64))");
like(error_of('SELECT iu_core.migrate()'), qr/55000.*migration 998_later has drifted\n.*does not carry it/s, 'a migration of another library stops one too');
like(error_of('SELECT iu_core.rollback(0, allow_data_loss => true)'), qr/55000.*998_later.*\n.*HINT:  Load the library that applied it/s, 'and cannot be rolled back');
sql('DELETE FROM iu_core.applied_migration WHERE version = 998');
is(states(), 'applied', 'all is well again');

# ---- an open gate, and rows that would be lost

sql(q{SELECT fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'tester', 'test', 600)});
for my $call ("rollback($last)", 'rollback(0)', 'rollback(0, true)', 'rollback(0, false, true)')
{
	like(error_of("SELECT iu_core.$call"), qr/55006.*gate.*rollback guard/s, "$call is refused while a gate is open");
}
sql(q{SELECT fn_iu_gate_close('iu_core.composer_enabled', 'tester', 'test')});
my $line = line_of('rollback/003_gate_protocol.rollback.sql', 'guard_rows.*iu_gate_transition');
$refused = error_of('SELECT iu_core.rollback(2)');
is(shown($refused), 'SELECT * FROM iu_core.rollback(2, allow_data_loss => true);', 'what the hint shows can be pasted');
like($refused,
	qr/55006.*rollback refused: table iu_gate_transition holds 2 row\(s\) that would be lost\n.*HINT:  Take a backup.*rollback 003_gate_protocol, line $line\n/s,
	'rows are not lost unasked');
like(error_of('SELECT iu_core.rollback(2, true)'), qr/55006/, 'which a dry run shows');
like(sql('SELECT * FROM iu_core.rollback(2, true, true)'), qr/^3\|003_gate_protocol\|rows lost\|table\|iu_gate_transition\|2$/m, 'if asked, the loss is reported');

# ---- dump and restore

my $file = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-U', 'postgres', '-f', $file, 'postgres' ], 'the database is dumped');
sql('CREATE DATABASE copy');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-h', $node->host, '-p', $node->port, '-U', 'postgres', '-d', 'copy', '-f', $file ], 'and restored');
is($node->safe_psql('copy', 'TABLE iu_core.migrations'), sql('TABLE iu_core.migrations'), 'the record is intact');
# PostgreSQL drops superfluous parentheses of a parsed body when it reads it back.
my $restored = "SELECT n.object_class, n.object_name, n.owner, CASE WHEN p.prosqlbody IS NULL THEN i.fingerprint END
  FROM iu_core.object_names() n JOIN iu_core.object_inventory() i USING (object_class, object_name)
  LEFT JOIN pg_proc p ON n.catalog_id = 'pg_proc'::regclass AND p.oid = n.object_id ORDER BY 1, 2, 4";
same($node->safe_psql('copy', $restored), sql($restored), 'and every object the same');
is($node->safe_psql('copy', 'SELECT count(*) FROM iu_core.migrate()'), '0', 'there is nothing to migrate');

like(sql('SELECT * FROM iu_core.rollback(0, false, true)'), qr/rows lost/, 'with allow_data_loss all goes');
same(inventory(), $empty, 'without a trace');

# ---- in another encoding

sql("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
my (undef, undef, $latin) = $node->psql('latin', "\\set VERBOSITY verbose\nCREATE EXTENSION iu_core;\nSELECT iu_core.migrate();");
like($latin, qr/0A000.*iu_core\.migrate\(\) needs a database with encoding UTF8.*has encoding LATIN1/s, 'a database whose encoding lacks letters of the scripts is refused');

# ---- on a standby

$node->stop;
append_to_file($node->data_dir . '/standby.signal', '');
$node->start;
like(error_of('SELECT iu_core.migrate()'), qr/25006.*during recovery/, 'a standby refuses as PostgreSQL does');
is(states(), 'pending', 'and can be asked');
$node->stop;

done_testing();
