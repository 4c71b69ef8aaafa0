# Who asks for conformance, and what is heard of it: after a restore that left
# something out, when migrations run, when its time is over before it has looked,
# and in health, which is red as long as the database differs.
use strict;
use warnings;

use IU::Cluster;
use IU::Conformance;
use IU::Dump;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = IU::Cluster->new_installed('conformance');
talk_to($node);
sql('CREATE ROLE wim LOGIN IN ROLE iu_core_writer');

# ---- restores

my $dump = $node->basedir . '/conformance.dump';
dump_to($node, $dump);

sub restore
{
	my ($database, @options) = @_;
	return run_command([ $node->installed_command('pg_restore'), @options, '-d', $node->connstr($database), $dump ]);
}
# What the repair leaves, and what is wrong after it.
sub repaired
{
	my ($database) = @_;
	my $left = sql("SELECT count(left_over) FROM fn_iu_conformance_repair('tester', 'restored')", $database);
	return "$left " . wrong($database);
}

sql('CREATE DATABASE no_acl TEMPLATE template0', 'template1');
restore('no_acl', '--no-acl');
cmp_ok(wrong('no_acl', "detail ~ '^grants PUBLIC: EXECUTE'"), '>', 100,
	'conformance says that a restore without privileges has functions for everybody');
is(repaired('no_acl'), '0 0', 'a restore without privileges conforms after the repair');

sql('CREATE DATABASE no_owner TEMPLATE template0', 'template1');
restore('no_owner', '--no-owner');
is(sql(<<'SQL', 'no_owner'), '', 'after a restore without owners every object is red and says whose it is');
SELECT string_agg(object_name, ', ') FROM iu_governed_object g
 WHERE object_class IN ('table', 'view', 'function')
   AND NOT EXISTS (SELECT FROM fn_iu_conformance() c
                    WHERE c.object_class = g.object_class AND c.expected = g.object_name
                      AND c.detail ~ 'owned by postgres')
SQL
is(sql("SELECT bool_and(left_over ~ 'gives (it )?back') FROM fn_iu_conformance_repair('tester', 'restored')"
	  . " WHERE object_class <> 'schema'", 'no_owner'), 't',
	'the repair of a restore without owners says who gives the objects back');
sql(<<'SQL', 'no_owner');
DO $$
DECLARE
  v_object text;
BEGIN
  FOR v_object IN
    SELECT 'ROUTINE ' || oid::regprocedure FROM pg_proc
     WHERE pronamespace IN ('public'::regnamespace, 'iu'::regnamespace)
    UNION ALL
    SELECT 'TABLE ' || oid::regclass FROM pg_class
     WHERE relnamespace IN ('public'::regnamespace, 'iu'::regnamespace, 'cutter_governance'::regnamespace)
       AND relkind IN ('r', 'p', 'v')
  LOOP
    EXECUTE format('ALTER %s OWNER TO iu_core_owner', v_object);
  END LOOP;
END
$$
SQL
is(repaired('no_owner'), '0 0', 'a restore without owners conforms when all is given back and repaired');

sql('CREATE DATABASE fresh', 'template1');
sql('CREATE EXTENSION iu_core; SELECT count(*) FROM iu_core.migrate()', 'fresh');
restore('fresh', '--data-only', '--disable-triggers');
cmp_ok(wrong('fresh', "detail = 'enabled instead of enabled always'"), '>', 5,
	'conformance says that a restore of data without triggers has weaker triggers');
is(repaired('fresh'), '0 0', 'a restore of data without triggers conforms after the repair');

# ---- migrations

sql('SELECT count(*) FROM iu_core.rollback(18)', 'fresh');
foreach my $schema ('iu', 'iu_core', 'cutter_governance')
{
	sql("GRANT CREATE ON SCHEMA $schema TO wim", 'fresh');
	like(error_of('SELECT count(*) FROM iu_core.migrate()', database => 'fresh'),
		qr/55000: the migrated database does not conform\nDETAIL:  .*schema $schema "wim" may create in it/,
			"migrations are refused while somebody may create in schema $schema, and say who that is");
	sql("REVOKE CREATE ON SCHEMA $schema FROM wim", 'fresh');
}
like(error_of(<<'SQL', database => 'fresh'),
BEGIN; SET LOCAL iu_core.allow_removal = on; DROP FUNCTION iu.fn_iu_conformance_require CASCADE;
SELECT count(*) FROM iu_core.migrate();
SQL
	qr/55000: function iu\.fn_iu_conformance_require\(boolean\) is missing/,
	'migrations are refused where the function that asks for conformance is gone');
like(error_of(<<'SQL', database => 'fresh'),
BEGIN; SET LOCAL iu_core.allow_removal = on;
CREATE OR REPLACE FUNCTION iu.fn_iu_conformance_require(p_made_now boolean) RETURNS void
  LANGUAGE plpgsql AS 'BEGIN END';
SELECT count(*) FROM iu_core.migrate();
SQL
	qr/55000: function iu\.fn_iu_conformance_require\(\) is not the one that the library carries/,
	'migrations are refused where a superuser replaced the function that asks for conformance');
like(error_of(<<'SQL', database => 'fresh'),
BEGIN; SET LOCAL iu_core.allow_removal = on;
CREATE OR REPLACE FUNCTION iu_core.is_preloaded() RETURNS boolean LANGUAGE sql AS 'SELECT true';
SELECT count(*) FROM iu_core.migrate();
SQL
	qr/55000: function iu_core\.is_preloaded\(\) is not the one that the library carries/,
	'migrations are refused where a superuser replaced a function of the extension');
sql('SELECT count(*) FROM iu_core.migrate()', 'fresh');

# ---- what is said when time is over

# In whatever of it the wait for a lock ends, what is shown of the queries fits on a screen.
foreach my $catalog (qw(pg_depend pg_sequence))
{
	foreach my $query ('fn_iu_conformance()', "fn_iu_conformance_repair('tester', 'test')",
		'iu_core.object_inventory()')
	{
		my $error = error_while("LOCK TABLE pg_catalog.$catalog", "SELECT * FROM $query");
		like($error, qr/55P03/, "$query waits in vain for $catalog");
		cmp_ok(length $error, '<', 1600, "$query that waits in vain for $catalog says it in few words") or diag $error;
	}
}

# ---- health

sub health_becomes { becomes("SELECT message ~ '$_[0]' FROM iu_core.health()", $_[1]) }
# The runner looks once a minute; one that has just started looks at once.
sub look { sql("SELECT pg_terminate_backend(pid) FROM iu_core.worker_status WHERE role = 'runner'") }

is(sql('SELECT severity FROM iu_core.health()'), '0', 'health is well while the database conforms');
sql('GRANT SELECT ON event_outbox TO wim');
look();
health_becomes('^database "postgres": conformance finds 1 difference.*WHERE NOT ok.*'
	  . 'D1 table event_outbox: grants iu_core_reader: SELECT, wim: SELECT instead of', 'health says what differs');
is(sql('SELECT severity FROM iu_core.health()'), '2', 'health is red while the database differs');
is(sql("SELECT done FROM fn_iu_conformance_repair('tester', 'test')"), 'grants iu_core_reader: SELECT',
	'the repair says what it did');
is(sql("SELECT actor FROM dot_iu_command_run WHERE command_name = 'dot_iu_conformance_repair'"), 'tester',
	'the repair is logged');
becomes('SELECT severity FROM iu_core.health()', '0', 'health is well again after the repair');

# Conformance is made of functions, and says of itself that all is well whatever it is.
my $judge = sql("SELECT pg_get_functiondef('iu.fn_iu_conformance_problems'::regproc)");
sql('BEGIN; SET LOCAL iu_core.allow_removal = on; CREATE OR REPLACE FUNCTION iu.fn_iu_conformance_problems('
	  . q{OUT problems integer, OUT first text) LANGUAGE sql AS 'SELECT 0, NULL::text'; COMMIT});
look();
health_becomes('^database "postgres": .*function iu.fn_iu_conformance_problems\(\) is not the one that the library',
	'health says that the function which judges conformance was replaced');
sql("BEGIN; SET LOCAL iu_core.allow_removal = on; $judge; COMMIT");
becomes('SELECT severity FROM iu_core.health()', '0', 'health is well when that function is what it was');

sql('BEGIN; SET LOCAL iu_core.allow_removal = on; SET LOCAL client_min_messages = error;'
	  . ' DROP FUNCTION iu.fn_iu_conformance_problems; COMMIT');
look();
health_becomes('conformance finds 1 difference.*function iu.fn_iu_conformance_problems\(\) is gone',
	'health says that nobody can look when the function that looks is gone');

$node->stop;
done_testing();
