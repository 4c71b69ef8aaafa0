# Whatever is done to a governed object, conformance is red and says what; the
# repair puts it right or says why it is left to people; health is red as long.
#
# The changes are made for all objects of a kind in one transaction that is
# rolled back, and each object must have a finding of its own.
use strict;
use warnings;

use IU::Cluster;
use IU::Dump;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = IU::Cluster->new_node('conformance');
IU::Cluster->install($node);
talk_to($node);

# What the report and the repair rest on, and therefore cannot judge when it is
# gone or does something else: that is looked at one by one, further down.
my $own = q(^(iu\.)?(fn_iu_(conformance|governed_states|walls|planted_names|breached_|grants_repair|trigger_repair))
  |^iu\.fn_dot_iu_command|^(iu_governed_object|dot_config|event_type_registry|iu_\w+_route|dot_iu_command_\w+)$) =~ s/\s//gr;
sql(<<"SQL");
CREATE ROLE mallory LOGIN;
CREATE ROLE wim LOGIN IN ROLE iu_core_writer;
CREATE SCHEMA trial;
CREATE VIEW trial.object AS
  SELECT g.object_class AS class, g.object_name AS name, s.object_id AS oid, g.object_name ~ '$own' AS own,
         CASE g.object_class WHEN 'function' THEN 'FUNCTION ' || s.object_id::regprocedure
                             WHEN 'view' THEN 'VIEW ' || s.object_id::regclass
                             WHEN 'table' THEN 'TABLE ' || s.object_id::regclass
                             WHEN 'trigger' THEN (SELECT format('TRIGGER %I ON %s', t.tgname, t.tgrelid::regclass)
                                                    FROM pg_trigger t WHERE t.oid = s.object_id) END AS object,
         regexp_replace(CASE g.object_class WHEN 'function' THEN 'FUNCTION ' || s.object_id::regprocedure
                                            WHEN 'trigger' THEN '' ELSE g.object_class || ' ' || s.object_id::regclass END,
                        '^(\\w+) ', '\\1 IF EXISTS ') AS if_exists,
         (SELECT t.tgrelid::regclass FROM pg_trigger t WHERE g.object_class = 'trigger' AND t.oid = s.object_id) AS of_table,
         (SELECT t.tgname FROM pg_trigger t WHERE g.object_class = 'trigger' AND t.oid = s.object_id) AS trigger_name
    FROM iu_governed_object g
    LEFT JOIN iu_core.object_states(NULL) s ON s.object_class = g.object_class AND s.object_name = g.object_name;
CREATE FUNCTION trial.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
-- The same function with another body.
CREATE FUNCTION trial.replacement(p_oid oid) RETURNS text LANGUAGE sql AS \$function\$
  SELECT format('CREATE OR REPLACE FUNCTION %s.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', p.pronamespace::regnamespace,
                p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid),
                'BEGIN RAISE feature_not_supported; END')
    FROM pg_proc p WHERE p.oid = p_oid
\$function\$;
SQL
is(sql('SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok'), '0', 'a migrated database conforms');
is(sql('SELECT count(*) FROM trial.object WHERE object IS NULL AND class NOT IN (\'config\', \'event_type\', \'route\')'),
	'0', 'every governed object of the catalog is tried');

# Does something to each object that the query selects: its columns are class,
# name and a statement. Then each must be red with such a detail, and after the
# repair either nothing is (left => undef), or each is left over with such words.
sub every_object
{
	my ($name, $query, %how) = @_;
	my $result = sql(<<"SQL");
BEGIN;
SET LOCAL iu_core.allow_removal = on;
SET LOCAL client_min_messages = error;
CREATE TEMP TABLE target ON COMMIT DROP AS $query;
DO \$\$
DECLARE
  v_statement text;
BEGIN
  FOR v_statement IN SELECT DISTINCT statement FROM target LOOP EXECUTE v_statement; END LOOP;
END
\$\$;
CREATE TEMP TABLE finding ON COMMIT DROP AS SELECT * FROM public.fn_iu_conformance() WHERE NOT ok;
CREATE TEMP TABLE repair ON COMMIT DROP AS SELECT * FROM iu.fn_iu_conformance_repair('tester', 'test');
SELECT (SELECT count(*) FROM target) > 0,
       (SELECT string_agg(t.name, ', ') FROM target t
         WHERE NOT EXISTS (SELECT FROM finding f
                            WHERE f.object_class = t.class AND f.expected = t.name AND f.detail ~ '$how{red}')),
       (SELECT string_agg(r.object_name || ': ' || r.left_over, ', ') FROM repair r
         WHERE r.left_over IS NOT NULL AND '@{[ $how{left} // '' ]}' = ''),
       (SELECT string_agg(t.name, ', ') FROM target t
         WHERE '@{[ $how{left} // '' ]}' <> ''
           AND NOT EXISTS (SELECT FROM repair r WHERE r.object_class = t.class AND r.object_name = t.name
                                                  AND r.left_over ~ '@{[ $how{left} // '' ]}'));
ROLLBACK;
SQL
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($result, 't|||', "$name: each is red and says so, and " . ($how{left} ? 'is left to people with the reason' : 'the repair makes it green'));
}

# ---- grants

every_object('granted to everybody',
	q(SELECT class, name, format('GRANT %s ON %s TO PUBLIC', CASE class WHEN 'function' THEN 'EXECUTE' ELSE 'SELECT' END,
	                             replace(object, 'VIEW ', 'TABLE ')) AS statement
	    FROM trial.object WHERE class IN ('function', 'table', 'view')),
	red => 'grants PUBLIC: ');
every_object('granted to a login, who grants it on',
	q(SELECT class, name, format('GRANT ALL ON %1$s TO wim WITH GRANT OPTION; SET LOCAL ROLE wim;
	                              GRANT ALL ON %1$s TO mallory; RESET ROLE', replace(object, 'VIEW ', 'TABLE ')) AS statement
	    FROM trial.object WHERE class IN ('table', 'view') AND name NOT LIKE 'iu.%'),
	red => 'mallory: .*wim: .*with grant option');
every_object('a column granted to a login',
	q(SELECT class, name, format('GRANT SELECT (%I) ON %s TO wim', a.attname, oid::regclass) AS statement
	    FROM trial.object JOIN pg_attribute a ON a.attrelid = oid AND a.attnum = 1 WHERE class IN ('table', 'view')),
	red => 'wim: SELECT');
every_object('taken from all roles',
	q(SELECT class, name, format('REVOKE ALL ON %s FROM iu_core_reader, iu_core_writer, iu_core_operator, iu_core_admin,'
	                             ' iu_core_agent, iu_core_worker', replace(object, 'VIEW ', 'TABLE ')) AS statement
	    FROM trial.object JOIN iu_governed_object g ON g.object_class = class AND g.object_name = name WHERE g.grants <> ''),
	red => 'grants none instead of ');
every_object('taken from the owner',
	q(SELECT class, name, format('REVOKE ALL ON %s FROM iu_core_owner', replace(object, 'VIEW ', 'TABLE ')) AS statement
	    FROM trial.object WHERE class IN ('function', 'table', 'view') AND NOT own),
	red => 'iu_core_owner lacks ');

# ---- owners

every_object('given to a superuser',
	q(SELECT class, name, format('ALTER %s OWNER TO postgres', object) AS statement
	    FROM trial.object WHERE class IN ('function', 'table', 'view') AND NOT own),
	red => 'owned by postgres', left => 'gives it back');
every_object('given to a stranger',
	q(SELECT class, name, format('ALTER %s OWNER TO mallory', object) AS statement
	    FROM trial.object WHERE class IN ('function', 'table', 'view') AND NOT own),
	red => 'owned by mallory', left => 'gives it back');

# ---- triggers

every_object('a trigger disabled',
	q(SELECT class, name, format('ALTER TABLE %s DISABLE TRIGGER %I', of_table, trigger_name) AS statement
	    FROM trial.object WHERE class = 'trigger'),
	red => '^disabled instead of enabled');
every_object('triggers disabled and enabled, as a restore does',
	q(SELECT class, name, format('ALTER TABLE %1$s DISABLE TRIGGER ALL; ALTER TABLE %1$s ENABLE TRIGGER ALL', of_table) AS statement
	    FROM trial.object JOIN iu_governed_object g ON g.object_class = class AND g.object_name = name
	   WHERE class = 'trigger' AND g.state = 'enabled always'),
	red => '^enabled instead of enabled always');
every_object('a trigger that fires only in replica role',
	q(SELECT class, name, format('ALTER TABLE %s ENABLE REPLICA TRIGGER %I', of_table, trigger_name) AS statement
	    FROM trial.object WHERE class = 'trigger'),
	red => '^enabled for replication only instead of enabled');
every_object('a trigger replaced by one that calls another function',
	q(SELECT class, name, format('DROP %s; CREATE %s AFTER INSERT ON %s EXECUTE FUNCTION trial.nothing()',
	                             object, split_part(object, ' ON ', 1), of_table) AS statement
	    FROM trial.object WHERE class = 'trigger'),
	red => 'its definition is another one', left => 'makes it again');
every_object('a trigger dropped',
	q(SELECT class, name, 'DROP ' || object AS statement FROM trial.object WHERE class = 'trigger'),
	red => 'made by migration \d+, now missing', left => 'makes it again');

# ---- tables

my $tables = q(FROM trial.object WHERE class = 'table' AND name <> 'iu_governed_object');
every_object('row security', qq(SELECT class, name, format('ALTER %s ENABLE ROW LEVEL SECURITY', object) AS statement $tables),
	red => 'row security on', left => 'a person changes');
every_object('row security forced upon the owner',
	qq(SELECT class, name, format('ALTER %s FORCE ROW LEVEL SECURITY', object) AS statement $tables),
	red => 'row security forced', left => 'a person changes');
every_object('a policy', qq(SELECT class, name, format('CREATE POLICY mine ON %s USING (true)', oid::regclass) AS statement $tables),
	red => 'policy mine', left => 'a person changes');
every_object('a rule',
	qq(SELECT class, name, format('CREATE RULE mine AS ON UPDATE TO %s DO ALSO NOTHING', oid::regclass) AS statement $tables),
	red => 'rule mine', left => 'makes it again');
every_object('a column more', qq(SELECT class, name, format('ALTER %s ADD COLUMN mine integer', object) AS statement $tables),
	red => 'its definition is another one', left => 'makes it again');
every_object('a constraint less',
	q(SELECT class, name, format('ALTER %s DROP CONSTRAINT %I CASCADE', object, k.conname) AS statement
	    FROM trial.object o JOIN LATERAL (SELECT conname FROM pg_constraint WHERE conrelid = o.oid AND contype IN ('p', 'c')
	                                       ORDER BY contype DESC, conname LIMIT 1) k ON true
	   WHERE class = 'table' AND name <> 'iu_governed_object'),
	red => 'its definition is another one', left => 'makes it again');
every_object('an index that calls a function of a stranger',
	q(SELECT class, name, format('CREATE OR REPLACE FUNCTION trial.f(text) RETURNS text LANGUAGE sql IMMUTABLE AS ''SELECT $1'';
	                              CREATE INDEX ON %s (trial.f(%I::text))', oid::regclass, a.attname) AS statement
	    FROM trial.object JOIN LATERAL (SELECT attname FROM pg_attribute WHERE attrelid = oid AND attnum > 0 AND atttypid = 'text'::regtype
	                                     LIMIT 1) a ON true WHERE class = 'table'),
	red => 'its definition is another one', left => 'makes it again');
every_object('dropped tables', q(SELECT class, name, format('DROP %s CASCADE', if_exists) AS statement
	    FROM trial.object WHERE class = 'table' AND NOT own),
	red => 'made by migration \d+, now missing', left => 'makes it again');

# ---- views and functions

every_object('a view that shows something else',
	q(SELECT class, name, format('CREATE OR REPLACE VIEW %s AS SELECT * FROM (%s) AS it WHERE true', oid::regclass,
	                             rtrim(pg_get_viewdef(oid), ';')) AS statement FROM trial.object WHERE class = 'view'),
	red => 'its definition is another one', left => 'makes it again');
every_object('dropped views', q(SELECT class, name, format('DROP %s CASCADE', if_exists) AS statement FROM trial.object WHERE class = 'view'),
	red => 'made by migration \d+, now missing', left => 'makes it again');
every_object('a function with another body',
	q(SELECT class, name, trial.replacement(oid) AS statement FROM trial.object WHERE class = 'function' AND NOT own),
	red => 'its definition is another one', left => 'makes it again');
every_object('a function without its settings',
	q(SELECT class, name, format('ALTER %s RESET ALL', object) AS statement
	    FROM trial.object JOIN pg_proc p ON p.oid = trial.object.oid WHERE class = 'function' AND p.proconfig IS NOT NULL),
	red => 'search_path=pg_catalog, pg_temp', left => 'makes it again');
every_object('a function with other rights',
	q(SELECT class, name, format('ALTER %s SECURITY %s', object, CASE WHEN p.prosecdef THEN 'INVOKER' ELSE 'DEFINER' END) AS statement
	    FROM trial.object JOIN pg_proc p ON p.oid = trial.object.oid WHERE class = 'function' AND NOT own),
	red => 'security definer', left => 'makes it again');
every_object('dropped functions',
	q(SELECT class, name, format('DROP %s CASCADE', if_exists) AS statement
	    FROM trial.object WHERE class = 'function' AND NOT own),
	red => 'made by migration \d+, now missing', left => 'makes it again');

# ---- rows

every_object('deleted rows',
	q(SELECT g.class, g.name, format('ALTER TABLE %1$s DISABLE TRIGGER ALL; DELETE FROM %1$s WHERE %2$s', t.oid, t.key) AS statement
	    FROM trial.object g
	    JOIN (VALUES ('config', 'dot_config'::regclass, 'key IS NOT NULL'),
	                 ('event_type', 'event_type_registry', 'event_type IS NOT NULL')) AS t (class, oid, key) ON t.class = g.class),
	red => 'now missing', left => 'a person decides');

# ---- what the report itself rests on

# What conformance says after a change, and what the repair does then.
sub alone
{
	my ($change, $pattern, $name) = @_;
	my ($stdout, $stderr) = ('', '');
	$node->psql('postgres', "BEGIN; SET LOCAL iu_core.allow_removal = on; SET LOCAL client_min_messages = error; $change;"
		  . ' SELECT coalesce(expected, found), detail FROM fn_iu_conformance() WHERE NOT ok;'
		  . " SELECT left_over FROM iu.fn_iu_conformance_repair('tester', 'test') WHERE left_over IS NOT NULL; ROLLBACK",
		stdout => \$stdout, stderr => \$stderr);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like($stdout . $stderr, $pattern, $name) or diag("$stdout$stderr");
}
alone('DROP TABLE iu_governed_object CASCADE', qr/cannot tell what should exist .*"public.iu_governed_object" does not exist\n.*gives back what belongs/s,
	'conformance without its register says so');
alone("ALTER TABLE iu_governed_object $_ ROW LEVEL SECURITY", $_ eq 'ENABLE'
	  ? qr/iu_governed_object\|row security on instead of row security off/
	  : qr/iu_governed_object\|row security off; row security forced instead of row security off/,
	"conformance with row security on its register says so ($_)") foreach 'ENABLE', 'FORCE';
alone('ALTER TABLE iu_governed_object ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', qr/cannot tell .*42501.*row-level security/,
	'conformance from which row security hides its register says so');
alone('REASSIGN OWNED BY iu_core_owner TO postgres', qr/iu\.fn_iu_conformance\(\)\|runs with the rights of "postgres".*\nevent_outbox\|owned by postgres.*\n.*gives it back/s,
	'conformance that belongs to a superuser says so, and of every object');
alone('REASSIGN OWNED BY iu_core_owner TO mallory', qr/runs with the rights of "mallory".*cannot tell what should exist.*gives back/s,
	'conformance that belongs to a stranger says so');
alone("DROP FUNCTION $_ CASCADE", qr/cannot tell what should exist|now missing/, "conformance without $_ says so")
  foreach split /\n/, sql(q(SELECT object_name FROM iu_governed_object WHERE object_class = 'function'
	AND object_name ~ '^iu\.fn_iu_(conformance_(advice|findings|mend|problems|require)|governed_states|walls|planted_names|breached_)'
	AND object_name !~ 'advice'));

# ---- rights and names that nobody should have

alone('GRANT EXECUTE ON FUNCTION iu_core.rollback(integer, boolean, boolean) TO wim', qr/rollback\(integer,boolean,boolean\)\|gives EXECUTE to wim/,
	'conformance tells who may execute a function of the extension beside its script');
alone('REVOKE EXECUTE ON FUNCTION iu_core.migrate(integer, boolean) FROM iu_core_admin', qr/no longer gives EXECUTE to iu_core_admin/,
	'conformance tells who may no longer execute a function of the extension');
alone('GRANT USAGE ON SCHEMA iu TO wim', qr/iu\|gives USAGE to wim/, 'conformance tells who may look into schema iu');
alone('GRANT CREATE ON SCHEMA iu TO wim', qr/iu\|"wim" may create in it/, 'conformance tells who may create in schema iu');
alone('GRANT CREATE ON SCHEMA iu_core TO PUBLIC', qr/iu_core\|"mallory" may create in it/, 'conformance tells who may create in schema iu_core');
alone('GRANT iu_core_owner TO wim', qr/iu_core_owner\|"wim" is a member of it/, 'conformance tells of a member of iu_core_owner');
alone('GRANT iu_core_worker TO wim', qr/iu_core_worker\|"wim" is a member of it/, 'conformance tells of a member of the role of the workers');
alone('ALTER DEFAULT PRIVILEGES FOR ROLE iu_core_owner IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO PUBLIC',
	qr/iu_core_owner\|default privileges give EXECUTE on what it makes to PUBLIC/, 'conformance tells of default privileges');
alone('ALTER DEFAULT PRIVILEGES FOR ROLE iu_core_owner GRANT EXECUTE ON FUNCTIONS TO PUBLIC',
	qr/iu_core_owner\|functions and types that it makes would be for PUBLIC/, 'conformance tells of default privileges that are gone');
my $attached = <<'SQL';
CREATE SCHEMA theirs AUTHORIZATION mallory;
CREATE FUNCTION theirs.f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
CREATE FUNCTION theirs.as_number(dot_config) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION theirs.fn_iu_gate_open(text) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE TRIGGER mine AFTER INSERT ON iu_gate_transition EXECUTE FUNCTION theirs.f();
CREATE TABLE theirs.t (k text REFERENCES dot_config);
CREATE TABLE theirs.c () INHERITS (iu_gate_registry);
CREATE TYPE theirs.fn_iu_gate_watchdog AS ENUM ();
CREATE VIEW theirs.v_iu_gate AS SELECT 1;
CREATE CAST (dot_config AS integer) WITH FUNCTION theirs.as_number(dot_config);
CREATE FUNCTION iu.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1';
ALTER FUNCTION theirs.f() OWNER TO mallory;
ALTER FUNCTION theirs.as_number(dot_config) OWNER TO mallory;
ALTER FUNCTION theirs.fn_iu_gate_open(text) OWNER TO mallory;
ALTER FUNCTION iu.mine() OWNER TO mallory;
ALTER TABLE theirs.t OWNER TO mallory;
ALTER TABLE theirs.c OWNER TO mallory;
ALTER TYPE theirs.fn_iu_gate_watchdog OWNER TO mallory;
ALTER VIEW theirs.v_iu_gate OWNER TO mallory
SQL
alone($attached, $_->[0], "conformance tells of $_->[1]")
  foreach [ qr/mine ON public\.iu_gate_transition\|calls function theirs\.f\(\) of "mallory"/, "a stranger's trigger" ],
  [ qr/dot_config\|a foreign key of table theirs\.t of "mallory" refers to it/, "a stranger's foreign key" ],
  [ qr/iu_gate_registry\|table theirs\.c of "mallory" inherits from it/, "a stranger's table that inherits" ],
  [ qr/dot_config\|is cast by function theirs\.as_number\(public\.dot_config\) of "mallory"/, "a stranger's cast" ],
  [ qr/theirs\.fn_iu_gate_open\(text\)\|takes a governed name, and belongs to "mallory"/, "a stranger's function with a governed name" ],
  [ qr/theirs\.fn_iu_gate_watchdog\|takes a governed name/, "a stranger's type with the name of a function" ],
  [ qr/theirs\.v_iu_gate\|takes a governed name/, "a stranger's view with a governed name" ],
  [ qr/iu\.mine\(\)\|lies inside, and belongs to "mallory"/, "a stranger's function in schema iu" ];
is(sql('SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok'), '0', 'all of it undone, the database conforms');

# ---- restores

my $dump = $node->basedir . '/conformance.dump';
dump_to($node, $dump);
sub restore
{
	my ($database, @options) = @_;
	sql("CREATE DATABASE $database TEMPLATE template0", 'template1') unless $database eq 'fresh';
	return run_command([ $node->installed_command('pg_restore'), @options, '-d', $node->connstr($database), $dump ]);
}
sub wrong { return sql("SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok$_[1]", $_[0]) }

restore('no_acl', '--no-acl');
cmp_ok(wrong('no_acl', " AND detail ~ '^grants PUBLIC: EXECUTE'"), '>', 100, 'restored without privileges, functions are for everybody, and conformance says so');
is(sql("SELECT count(left_over) FROM fn_iu_conformance_repair('tester', 'restored')", 'no_acl'), '0', 'the repair of a restore without privileges leaves nothing');
is(wrong('no_acl', ''), '0', 'a restore without privileges conforms after the repair');

restore('no_owner', '--no-owner');
is(sql("SELECT string_agg(object_name, ', ') FROM iu_governed_object g WHERE object_class IN ('table', 'view', 'function')"
	  . " AND NOT EXISTS (SELECT FROM fn_iu_conformance() c WHERE c.object_class = g.object_class AND c.expected = g.object_name"
	  . " AND c.detail ~ 'owned by postgres')", 'no_owner'), '', 'restored without owners, every object is red and says whose it is');
is(sql("SELECT bool_and(left_over ~ 'gives (it )?back|who did it') FROM fn_iu_conformance_repair('tester', 'restored')", 'no_owner'), 't',
	'the repair of a restore without owners says who gives the objects back');
sql("DO \$\$ DECLARE v record; BEGIN FOR v IN SELECT object FROM (SELECT 'ROUTINE ' || oid::regprocedure AS object FROM pg_proc"
	  . " WHERE pronamespace IN ('public'::regnamespace, 'iu'::regnamespace) UNION ALL SELECT 'TABLE ' || oid::regclass FROM pg_class"
	  . " WHERE relnamespace IN ('public'::regnamespace, 'iu'::regnamespace) AND relkind IN ('r', 'v')) o LOOP EXECUTE format('ALTER %s OWNER TO"
	  . " iu_core_owner', v.object); END LOOP; END \$\$", 'no_owner');
is(sql("SELECT count(left_over) FROM fn_iu_conformance_repair('tester', 'restored')", 'no_owner') . ' ' . wrong('no_owner', ''), '0 0',
	'a restore without owners conforms when all is given back and repaired');

sql('CREATE DATABASE fresh', 'template1');
sql('CREATE EXTENSION iu_core; SELECT count(*) FROM iu_core.migrate()', 'fresh');
restore('fresh', '--data-only', '--disable-triggers');
cmp_ok(wrong('fresh', " AND detail = 'enabled instead of enabled always'"), '>', 5, 'data restored without triggers leaves them weaker, and conformance says so');
is(sql("SELECT count(left_over) FROM fn_iu_conformance_repair('tester', 'restored')", 'fresh') . ' ' . wrong('fresh', ''), '0 0',
	'data restored without triggers conforms after the repair');

# ---- migrations

sql('SELECT count(*) FROM iu_core.rollback(18)', 'fresh');
foreach my $schema ('iu', 'iu_core')
{
	sql("GRANT CREATE ON SCHEMA $schema TO wim", 'fresh');
	like(error_of('SELECT count(*) FROM iu_core.migrate()', database => 'fresh'),
		qr/55000: the migrated database does not conform\nDETAIL:  .*schema $schema "wim" may create in it/,
		"migrations are refused while somebody may create in schema $schema, who");
	sql("REVOKE CREATE ON SCHEMA $schema FROM wim", 'fresh');
}
sql('SELECT count(*) FROM iu_core.migrate()', 'fresh');

# ---- health

sub health_becomes { becomes("SELECT message ~ '$_[0]' FROM iu_core.health()", $_[1]) }
# The runner looks once a minute; one that has just started looks at once.
sub look { sql("SELECT pg_terminate_backend(pid) FROM iu_core.worker_status WHERE role = 'runner'") }

is(sql('SELECT severity FROM iu_core.health()'), '0', 'health is well while the database conforms');
sql('GRANT SELECT ON event_outbox TO wim');
look();
health_becomes('^database "postgres": conformance finds 1 difference.*WHERE NOT ok.*D1 table event_outbox: grants iu_core_reader: SELECT, wim: SELECT instead of',
	'health says what differs');
is(sql('SELECT severity FROM iu_core.health()'), '2', 'health is red while the database differs');
is(sql("SELECT done FROM fn_iu_conformance_repair('tester', 'test')"), 'grants iu_core_reader: SELECT', 'the repair says what it did');
is(sql("SELECT actor FROM dot_iu_command_run WHERE command_name = 'dot_iu_conformance_repair'"), 'tester', 'the repair is logged');
becomes('SELECT severity FROM iu_core.health()', '0', 'health is well again after the repair');

sql('BEGIN; SET LOCAL iu_core.allow_removal = on; SET LOCAL client_min_messages = error; DROP FUNCTION iu.fn_iu_conformance_problems; COMMIT');
look();
health_becomes('conformance finds 1 difference.*function iu.fn_iu_conformance_problems\(\) is gone', 'health says that nobody can look any more');

$node->stop;
done_testing();
