# Whatever is done to a governed object, conformance is red and says what; the
# repair puts it right or says why it is left to people.
#
# A change is made for all objects of a kind in one transaction that is rolled
# back, and each object must have a finding of its own.
use strict;
use warnings;

use IU::Cluster;
use IU::Conformance;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = IU::Cluster->new_installed('conformance');
talk_to($node);

# What the report and the repair rest on, and therefore cannot judge when it is
# gone or does something else: that is looked at one by one, further down.
my $own_functions = '^(iu\.)?fn_iu_(conformance|governed_states|walls|planted_|breached_|partition'
  . '|subscription_trig|subscriptions_rep|leave_out_sub|numbers_kept|grants_rep|trigger_rep)'
  . '|^iu\.fn_dot_iu_command';
my $own_tables = '^(iu_governed_object|dot_config|event_type_registry|iu_\w+_route|dot_iu_command_\w+)$';

sql('CREATE ROLE mallory LOGIN; CREATE ROLE wim LOGIN IN ROLE iu_core_writer; CREATE SCHEMA trial');
# The register, with what the statements below need to know of an object.
sql(<<"SQL");
CREATE TABLE trial.object AS
  SELECT g.object_class AS class, g.object_name AS name, g.grants, g.state, s.object_id AS oid,
         g.object_name ~ '$own_functions' OR g.object_name ~ '$own_tables' AS own,
         p.proconfig, p.prosecdef, t.tgname, t.tgrelid::regclass AS of_table, c.column_name, k.conname,
         CASE g.object_class WHEN 'function' THEN 'FUNCTION ' || s.object_id::regprocedure
                             WHEN 'view' THEN 'VIEW ' || s.object_id::regclass
                             WHEN 'table' THEN 'TABLE ' || s.object_id::regclass
                             WHEN 'trigger' THEN format('TRIGGER %I ON %s', t.tgname, t.tgrelid::regclass)
         END AS object,
         CASE g.object_class WHEN 'function' THEN 'FUNCTION ' || s.object_id::regprocedure
                             ELSE 'TABLE ' || s.object_id::regclass END AS target
    FROM iu_governed_object g
    LEFT JOIN iu_core.object_states(NULL) s ON s.object_class = g.object_class AND s.object_name = g.object_name
    LEFT JOIN pg_proc p ON g.object_class = 'function' AND p.oid = s.object_id
    LEFT JOIN pg_trigger t ON g.object_class = 'trigger' AND t.oid = s.object_id
    LEFT JOIN LATERAL (SELECT quote_ident(a.attname) AS column_name FROM pg_attribute a
                        WHERE g.object_class IN ('table', 'view') AND a.attrelid = s.object_id AND a.attnum > 0
                        ORDER BY a.atttypid = 'text'::regtype DESC, a.attnum LIMIT 1) AS c ON true
    LEFT JOIN LATERAL (SELECT quote_ident(k.conname) AS conname FROM pg_constraint k
                        WHERE g.object_class = 'table' AND k.conrelid = s.object_id AND k.contype IN ('p', 'c')
                        ORDER BY k.contype DESC, k.conname LIMIT 1) AS k ON true
SQL
# The same function with another body, and what an index or a trigger may call.
sql(<<'SQL');
CREATE FUNCTION trial.replacement(p_oid oid) RETURNS text LANGUAGE sql AS $function$
  SELECT format('CREATE OR REPLACE FUNCTION %s.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', p.pronamespace::regnamespace,
                p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid),
                'BEGIN RAISE feature_not_supported; END')
    FROM pg_proc p WHERE p.oid = p_oid
$function$;
CREATE FUNCTION trial.same(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION trial.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
SQL

is(wrong(), '0', 'a migrated database conforms');
is(sql("SELECT count(*) FROM trial.object WHERE object IS NULL AND class NOT IN ('config', 'event_type', 'route')"),
	'0',
	'every governed object of the catalog is tried');

# Executes a statement, an expression over trial.object, for each object of a
# condition. Then each must be red with such a detail, and after the repair
# nothing is left over, or each is with such words.
sub every_object
{
	my ($name, $condition, $statement, %how) = @_;
	my $left = $how{left} // '';
	my ($any, $silent, $unrepaired, $unexplained) = split /\|/, sql(<<"SQL"), -1;
BEGIN;
SET LOCAL iu_core.allow_removal = on;
SET LOCAL client_min_messages = error;
-- The runner looks at the same tables in another order, and waits for no lock longer than a second.
SET LOCAL deadlock_timeout = '1min';
CREATE TEMP TABLE target ON COMMIT DROP AS
  SELECT class, name, $statement AS statement FROM trial.object WHERE $condition;
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
         WHERE r.left_over IS NOT NULL AND '$left' = ''),
       (SELECT string_agg(t.name, ', ') FROM target t
         WHERE '$left' <> '' AND NOT EXISTS (SELECT FROM repair r WHERE r.object_class = t.class
                                              AND r.object_name = t.name AND r.left_over ~ '$left'));
ROLLBACK;
SQL
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is("$any $silent", 't ', "$name: each object is red and says so");
	is("$unrepaired$unexplained", '',
		$left
		? "$name: the repair leaves each object to people, who are told why"
		: "$name: the repair makes all green");
}

my $catalog  = "class IN ('function', 'table', 'view')";
my $outer    = "$catalog AND NOT own";
my $triggers = "class = 'trigger'";
my $tables   = "class = 'table' AND name <> 'iu_governed_object'";
my $other    = 'its definition is another one';
my $missing  = 'made by migration \d+, now missing';

# ---- grants

every_object('granted to everybody', $catalog,
	q(format('GRANT %s ON %s TO PUBLIC', CASE class WHEN 'function' THEN 'EXECUTE' ELSE 'SELECT' END, target)),
	red => 'grants PUBLIC: ');
every_object('granted to a login, who grants it on',
	"class IN ('table', 'view') AND name !~ '^(iu|cutter_governance)[.]'",
	q(format('GRANT ALL ON %1$s TO wim WITH GRANT OPTION; SET LOCAL ROLE wim; GRANT ALL ON %1$s TO mallory; RESET ROLE',
	         target)),
	red => 'mallory: .*wim: .*with grant option');
every_object('a column granted to a login', "class IN ('table', 'view')",
	q(format('GRANT SELECT (%s) ON %s TO wim', column_name, target)), red => 'wim: SELECT');
every_object('taken from all roles', "grants <> ''",
	q(format('REVOKE ALL ON %s FROM iu_core_reader, iu_core_writer, iu_core_operator, iu_core_admin, iu_core_agent, '
	         'iu_core_worker, iu_core_check, pg_monitor', target)),
	red => 'grants none instead of ');
every_object('taken from the owner', $outer, q(format('REVOKE ALL ON %s FROM iu_core_owner', target)),
	red => 'iu_core_owner lacks ');

# ---- owners

every_object('given to a superuser', $outer, q(format('ALTER %s OWNER TO postgres', object)),
	red => 'owned by postgres', left => 'gives it back');
every_object('given to a stranger', $outer, q(format('ALTER %s OWNER TO mallory', object)),
	red => 'owned by mallory', left => 'gives it back');

# ---- triggers

every_object('a trigger disabled', $triggers, q(format('ALTER TABLE %s DISABLE TRIGGER %I', of_table, tgname)),
	red => '^disabled instead of enabled');
every_object('triggers disabled and enabled, as a restore does', "$triggers AND state = 'enabled always'",
	q(format('ALTER TABLE %1$s DISABLE TRIGGER ALL; ALTER TABLE %1$s ENABLE TRIGGER ALL', of_table)),
	red => '^enabled instead of enabled always');
every_object('a trigger for replica role only', "$triggers AND state <> 'enabled for replication only'",
	q(format('ALTER TABLE %s ENABLE REPLICA TRIGGER %I', of_table, tgname)),
	red => '^enabled for replication only instead of enabled');
every_object('a trigger that calls another function', $triggers,
	q(format('DROP %s; CREATE TRIGGER %I AFTER INSERT ON %s EXECUTE FUNCTION trial.nothing()',
	         object, tgname, of_table)),
	red => $other, left => 'makes it again');
every_object('a dropped trigger', $triggers, q('DROP ' || object), red => $missing, left => 'makes it again');

# ---- tables

every_object('row security', $tables, q(format('ALTER %s ENABLE ROW LEVEL SECURITY', object)),
	red => 'row security on', left => 'a person changes');
every_object('row security forced upon the owner', $tables, q(format('ALTER %s FORCE ROW LEVEL SECURITY', object)),
	red => 'row security forced', left => 'a person changes');
every_object('a policy', $tables, q(format('CREATE POLICY mine ON %s USING (true)', oid::regclass)),
	red => 'policy mine', left => 'a person changes');
every_object('a rule', $tables, q(format('CREATE RULE mine AS ON UPDATE TO %s DO ALSO NOTHING', oid::regclass)),
	red => 'rule mine', left => 'makes it again');
every_object('a column more', $tables, q(format('ALTER %s ADD COLUMN mine integer', object)),
	red => $other, left => 'makes it again');
every_object('a constraint less', "$tables AND conname IS NOT NULL",
	q(format('ALTER %s DROP CONSTRAINT %s CASCADE', object, conname)), red => $other, left => 'makes it again');
every_object('an index that calls a function', "class = 'table'",
	q(format('CREATE INDEX ON %s (trial.same(%s::text))', oid::regclass, column_name)),
	red => $other, left => 'makes it again');
every_object('a dropped table', "class = 'table' AND NOT own",
	q(format('DROP TABLE IF EXISTS %s CASCADE', oid::regclass)), red => $missing, left => 'makes it again');

# ---- views and functions

every_object('a view that shows something else', "class = 'view'",
	q(format('CREATE OR REPLACE VIEW %s AS SELECT * FROM (%s) AS it WHERE true', oid::regclass,
	         rtrim(pg_get_viewdef(oid), ';'))),
	red => $other, left => 'makes it again');
every_object('a dropped view', "class = 'view'", q(format('DROP VIEW IF EXISTS %s CASCADE', oid::regclass)),
	red => $missing, left => 'makes it again');
every_object('a function with another body', "class = 'function' AND NOT own", 'trial.replacement(oid)',
	red => $other, left => 'makes it again');
every_object('a function without its settings', 'proconfig IS NOT NULL', q(format('ALTER %s RESET ALL', object)),
	red => 'search_path=pg_catalog, pg_temp', left => 'makes it again');
every_object('a function with the rights of another', "class = 'function' AND NOT own",
	q(format('ALTER %s SECURITY %s', object, CASE WHEN prosecdef THEN 'INVOKER' ELSE 'DEFINER' END)),
	red => 'security definer', left => 'makes it again');
every_object('a dropped function', "class = 'function' AND NOT own",
	q(format('DROP FUNCTION IF EXISTS %s CASCADE', oid::regprocedure)), red => $missing, left => 'makes it again');

# ---- rows

every_object('a deleted row', "class IN ('config', 'event_type')",
	q(format('ALTER TABLE %1$s DISABLE TRIGGER ALL; DELETE FROM %1$s',
	         CASE class WHEN 'config' THEN 'dot_config' ELSE 'event_type_registry' END)),
	red => 'now missing', left => 'a person decides');

# ---- what the report itself rests on

# What conformance says after a change, and what the repair leaves then.
sub alone
{
	my ($change, $pattern, $name) = @_;
	my ($stdout, $stderr) = ('', '');
	local $ENV{PGOPTIONS} = '-c client_min_messages=error';

	$node->psql('postgres', <<"SQL", stdout => \$stdout, stderr => \$stderr);
BEGIN;
SET LOCAL iu_core.allow_removal = on;
$change;
SELECT coalesce(expected, found), detail FROM fn_iu_conformance() WHERE NOT ok;
SELECT 'left', left_over FROM iu.fn_iu_conformance_repair('tester', 'test') WHERE left_over IS NOT NULL;
ROLLBACK;
SQL
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like("$stdout$stderr", $pattern, $name);
}

alone('DROP TABLE iu_governed_object CASCADE',
	qr/cannot tell what should exist .*"public.iu_governed_object" does not exist\nleft\|.*gives back what belongs/s,
	'conformance without its register says so');
alone('ALTER TABLE iu_governed_object ENABLE ROW LEVEL SECURITY',
	qr/iu_governed_object\|row security on; .* instead of row security off;/,
	'conformance with row security on its register says so');
alone('ALTER TABLE iu_governed_object FORCE ROW LEVEL SECURITY',
	qr/iu_governed_object\|row security off; row security forced; .* instead of row security off;/,
	'conformance with row security forced upon its register says so');
alone('ALTER TABLE iu_governed_object ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY',
	qr/cannot tell .*42501.*row-level security/, 'conformance from which row security hides its register says so');
alone('REASSIGN OWNED BY iu_core_owner TO postgres',
	qr/runs with the rights of "postgres".*^event_outbox\|owned by postgres.*^left\|.*gives it back/ms,
	'conformance that belongs to a superuser says so, and of every object');
alone('REASSIGN OWNED BY iu_core_owner TO mallory',
	qr/runs with the rights of "mallory".*cannot tell what should exist.*^left\|.*gives back/ms,
	'conformance that belongs to a stranger says so');
foreach my $function (split /\n/, sql("SELECT object_name FROM iu_governed_object WHERE object_class = 'function'"
	. " AND object_name ~ '^iu\.fn_iu_(conformance_(findings|mend|problems|require)|governed|walls|planted|breached)'"))
{
	alone("DROP FUNCTION $function CASCADE", qr/cannot tell what should exist|now missing/,
		"conformance without $function says so");
}

# ---- rights and names that nobody should have

alone('GRANT EXECUTE ON FUNCTION iu_core.rollback TO wim',
	qr/iu_core\.rollback\(integer,boolean,boolean\)\|gives EXECUTE to wim/,
	'conformance tells who may execute a function of the extension beside its script');
alone('REVOKE EXECUTE ON FUNCTION iu_core.migrate FROM iu_core_admin', qr/no longer gives EXECUTE to iu_core_admin/,
	'conformance tells who may no longer execute a function of the extension');
alone('GRANT USAGE ON SCHEMA iu TO wim', qr/iu\|gives USAGE to wim/, 'conformance tells who may look into schema iu');
alone('GRANT CREATE ON SCHEMA iu TO wim', qr/iu\|"wim" may create in it/,
	'conformance tells who may create in schema iu');
alone('GRANT CREATE ON SCHEMA iu_core TO PUBLIC', qr/iu_core\|"mallory" may create in it/,
	'conformance tells who may create in schema iu_core');
alone('GRANT iu_core_owner TO wim', qr/iu_core_owner\|"wim" is a member of it/,
	'conformance tells of a member of iu_core_owner');
alone('GRANT iu_core_worker TO wim', qr/iu_core_worker\|"wim" is a member of it/,
	'conformance tells of a member of the role of the workers');
alone('ALTER DEFAULT PRIVILEGES FOR ROLE iu_core_owner IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO PUBLIC',
	qr/iu_core_owner\|default privileges give EXECUTE on what it makes to PUBLIC/,
	'conformance tells of default privileges that give something');
alone('ALTER DEFAULT PRIVILEGES FOR ROLE iu_core_owner GRANT EXECUTE ON FUNCTIONS TO PUBLIC',
	qr/iu_core_owner\|functions and types that it makes would be for PUBLIC/,
	'conformance tells of default privileges that are gone');
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
foreach ([ qr/mine ON public\.iu_gate_transition\|calls function theirs\.f\(\) of "mallory"/, 'trigger' ],
	[ qr/dot_config\|a foreign key of table theirs\.t of "mallory" refers to it/, 'foreign key' ],
	[ qr/iu_gate_registry\|table theirs\.c of "mallory" inherits from it/, 'table that inherits' ],
	[ qr/dot_config\|is cast by function theirs\.as_number\(public\.dot_config\) of "mallory"/, 'cast' ],
	[ qr/theirs\.fn_iu_gate_open\(text\)\|takes a governed name, and belongs to "mallory"/, 'function of our name' ],
	[ qr/theirs\.fn_iu_gate_watchdog\|takes a governed name/, "type of a function's name" ],
	[ qr/theirs\.v_iu_gate\|takes a governed name/, 'view of our name' ],
	[ qr/iu\.mine\(\)\|lies inside, and belongs to "mallory"/, 'function in schema iu' ])
{
	alone($attached, $_->[0], "conformance tells of a stranger's $_->[1]");
}
is(wrong(), '0', 'with all of it undone the database conforms');

$node->stop;
done_testing();
