# The owner of the database, whoever may create in schema public, whoever may
# make roles: none of them drops, changes or replaces what iu_core governs, takes
# its names, or has anything run with its rights.
use strict;
use warnings;

use IU::Cluster;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = IU::Cluster->new_node('walls', 'iu_core.databases' => 'platform');

# boss owns the database, as the application next door often does; mallory may
# create in schema public, as everybody may before PostgreSQL 15; maker makes
# roles; kin was given iu_core_owner by a superuser.
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE boss LOGIN;
CREATE ROLE mallory LOGIN;
CREATE ROLE maker LOGIN CREATEROLE;
CREATE ROLE stranger LOGIN;
CREATE DATABASE platform OWNER boss;
SQL
talk_to($node, 'platform');
sql(<<'SQL');
CREATE EXTENSION iu_core;
SELECT count(*) FROM iu_core.migrate();
CREATE ROLE kin LOGIN IN ROLE iu_core_owner;
CREATE ROLE olga LOGIN IN ROLE iu_core_operator;
CREATE ROLE wim LOGIN IN ROLE iu_core_writer;
GRANT CREATE ON SCHEMA public TO mallory;
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
GRANT USAGE ON FOREIGN SERVER nowhere TO boss;
SQL

# A digest of what belongs to iu_core_owner.
sub governed
{
	return sql(<<'SQL');
SELECT md5(string_agg(s::text, E'\n' ORDER BY s::text)) FROM iu_core.object_states(NULL) s
 WHERE owner = 'iu_core_owner' AND object_class NOT IN ('config', 'event_type', 'route')
SQL
}
my $before = governed();

# Each statement is refused to the user, in a transaction of its own: for want of
# a right, or since the name is taken or the object not there.
sub refused
{
	my ($user, @statements) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	foreach my $statement (@statements)
	{
		my $name = $statement =~ s/\s+/ /gr;
		like(error_of($statement, user => $user),
			qr/^ERROR:  (42501|42939|2BP01|42(P06|P07|723|710|704|883|P01)|0LP01):/m, "refused to $user: $name");
	}
	return;
}

# Those beside them show that what is refused is refused for what it is.
sub allowed
{
	my ($user, @statements) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	foreach my $statement (@statements)
	{
		is(error_of($statement, user => $user), '', "allowed to $user: " . $statement =~ s/\s+/ /gr);
	}
	return;
}

allowed('boss', 'CREATE SCHEMA evil', 'GRANT USAGE ON SCHEMA evil TO PUBLIC',
	'ALTER DATABASE platform SET search_path = evil, public',
	q(CREATE FUNCTION evil.one(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'),
	q(CREATE FUNCTION evil.note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'),
	'CREATE TABLE evil.mine (k text, v text)', 'CREATE FOREIGN TABLE evil.far (a integer) SERVER nowhere');

# ---- a function that fits better, planted beside one that runs with rights

refused('mallory', <<'SQL');
CREATE FUNCTION public.fn_iu_govern(a integer, b text, c text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF current_user = 'iu_core_owner' THEN
    GRANT EXECUTE ON FUNCTION public.fn_iu_gate_break_glass(text,text,text,integer) TO mallory;
  END IF;
  PERFORM public.fn_iu_govern(a, b, VARIADIC ARRAY[c]);
END
$$
SQL
refused('mallory', map { "CREATE FUNCTION public.$_ RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb'" }
	  'fn_iu_gate_open(text, text, text, text, integer)', 'fn_iu_gate_verify_closed()');
like(sql("SET ROLE olga; SELECT public.fn_iu_route_add('web-cache', 'version_applied', 'https://hooks.example.com/c',"
		  . " 'olga', 'x') ->> 'status'"), qr/^registered$/m,
	'an operator adds a route after a function that would fit better was refused');
refused('mallory', "SELECT public.fn_iu_gate_break_glass('iu_core.delivery_enabled', 'mallory', 'x', 3600)");

# ---- every way to drop a governed object, and to make it anew

# Tables on which nothing depends: a plain DROP would do, which is what Directus sends for a deleted collection.
my @tables = split /\n/, sql(<<'SQL');
SELECT c.relname FROM pg_class c
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relowner = 'iu_core_owner'::regrole
   AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.confrelid = c.oid)
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid = c.oid)
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.refobjid = c.oid)
SQL
cmp_ok(scalar @tables, '>', 4, 'there are governed tables on which nothing depends');
refused('boss', "DROP TABLE public.$_", "CREATE TABLE public.$_ (id integer PRIMARY KEY)") foreach @tables;
refused('boss', "DROP TABLE public.$_ CASCADE") foreach 'dot_config', 'iu_governed_object', 'event_outbox';
refused('boss', "DROP VIEW public.$_ CASCADE", "CREATE VIEW public.$_ AS SELECT 1",
	"CREATE OR REPLACE VIEW public.$_ AS SELECT 1")
  foreach 'v_iu_gate', 'v_iu_conformance';
my $log    = 'public.fn_dot_iu_command_log(text, text, text, text, boolean, text, jsonb, jsonb, text)';
my $anew   = "FUNCTION $log RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'";
my $switch = 'public.fn_iu_vector_sync_enabled()';
refused('boss', "DROP FUNCTION $log", "DROP ROUTINE $log", "DROP FUNCTION $log CASCADE", "CREATE $anew",
	"CREATE OR REPLACE $anew", "DO \$\$BEGIN DROP FUNCTION $log; CREATE $anew; END\$\$",
	"ALTER FUNCTION $log RENAME TO aside", "ALTER FUNCTION $log SET SCHEMA evil", "ALTER FUNCTION $log OWNER TO boss");
refused('boss', 'DROP SCHEMA public CASCADE', 'ALTER SCHEMA public RENAME TO aside',
	'ALTER SCHEMA public OWNER TO boss', 'DROP SCHEMA iu CASCADE', 'ALTER SCHEMA iu RENAME TO aside',
	'DROP SCHEMA iu_core CASCADE', 'CREATE SCHEMA iu',
	'DROP OWNED BY iu_core_owner CASCADE', 'REASSIGN OWNED BY iu_core_owner TO boss', 'DROP EXTENSION iu_core CASCADE',
	'ALTER EXTENSION iu_core DROP FUNCTION iu_core.version()', 'ALTER TABLE public.dot_config RENAME TO aside',
	'ALTER TABLE public.dot_config SET SCHEMA evil', 'DROP TYPE public.dot_config CASCADE',
	'DROP SEQUENCE public.iu_gate_transition_number CASCADE', 'DROP INDEX public.ix_iu_gate_transition_last',
	'DROP TRIGGER trg_dot_config_touch ON public.dot_config', 'ALTER TABLE public.dot_config DISABLE TRIGGER ALL',
	'TRUNCATE public.event_outbox', 'DELETE FROM public.dot_config');
allowed('boss', 'REINDEX SCHEMA public', 'REINDEX SCHEMA CONCURRENTLY public', 'VACUUM FULL public.dot_config',
	'ANALYZE public.dot_config');
is(governed(), $before, 'nothing of what iu_core_owner has is lost or changed');

# ---- names, in whatever schema and of whatever kind

refused('boss', map { "CREATE $_" } 'TABLE evil.dot_config (k text)', 'UNLOGGED TABLE evil.dot_config (k text)',
	'TABLE evil.dot_config AS SELECT 1 AS a', 'VIEW evil.dot_config AS SELECT 1',
	'MATERIALIZED VIEW evil.dot_config AS SELECT 1', 'FOREIGN TABLE evil.dot_config (a integer) SERVER nowhere',
	'SEQUENCE evil.dot_config', 'TYPE evil.dot_config AS (a integer)', 'DOMAIN evil.dot_config AS text',
	q(TYPE evil.dot_config AS ENUM ('a')), 'TYPE evil.dot_config',
	q(FUNCTION evil.fn_iu_gate_open(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'),
	q(PROCEDURE evil.fn_iu_gate_open(integer) LANGUAGE sql AS 'SELECT 1'),
	'AGGREGATE evil.fn_iu_gate_open(integer) (sfunc = int4pl, stype = integer)',
	q(FUNCTION evil.fn_iu_gate_expiring() RETURNS integer LANGUAGE sql AS 'SELECT 1'));
refused('boss', 'SELECT 1 AS a INTO evil.event_outbox', 'ALTER TABLE evil.mine RENAME TO event_outbox',
	'ALTER FUNCTION evil.one(integer) RENAME TO fn_iu_gate_open', 'ALTER FOREIGN TABLE evil.far RENAME TO v_iu_gate');
# A call with one untyped argument is a cast where a type has the function's name.
refused('boss', map { "CREATE $_" } 'DOMAIN evil.fn_iu_gate_watchdog AS text CHECK (evil.one(1) = 1)',
	q(TYPE evil.fn_iu_gate_watchdog AS ENUM ('a')), 'TYPE evil.fn_iu_gate_watchdog AS (a integer)',
	'TYPE evil.fn_iu_gate_open AS RANGE (subtype = integer)',
	'TYPE evil.r AS RANGE (subtype = integer, multirange_type_name = fn_iu_gate_open)');

# ---- privileges granted too widely

sql('GRANT ALL ON ALL TABLES IN SCHEMA public TO boss; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO boss');
refused('boss', 'CREATE TRIGGER mine AFTER INSERT ON public.iu_gate_transition EXECUTE FUNCTION evil.note()',
	'CREATE CONSTRAINT TRIGGER mine AFTER INSERT ON public.dot_config FOR EACH ROW EXECUTE FUNCTION evil.note()',
	'CREATE TABLE evil.child (k text REFERENCES public.dot_config ON DELETE CASCADE)',
	'ALTER TABLE evil.mine ADD FOREIGN KEY (k) REFERENCES public.dot_config',
	'CREATE TABLE evil.child () INHERITS (public.iu_gate_registry)',
	'CREATE RULE mine AS ON UPDATE TO public.dot_config DO INSTEAD NOTHING',
	'CREATE POLICY mine ON public.dot_config USING (false)',
	'CREATE STATISTICS evil.s ON key, value FROM public.dot_config', 'CREATE INDEX ON public.dot_config (key)',
	'CREATE PUBLICATION mine FOR TABLE public.dot_config', 'CREATE PUBLICATION mine FOR ALL TABLES',
	'ALTER TABLE public.dot_config ENABLE ROW LEVEL SECURITY');
sql('REVOKE ALL ON ALL TABLES IN SCHEMA public FROM boss; REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM boss');

# ---- casts and operators for governed types

sql('GRANT USAGE ON TYPE public.dot_config TO boss');
allowed('boss', q(CREATE TYPE evil.theirs AS ENUM ('a')),
	'CREATE FUNCTION evil.of_theirs(evil.theirs) RETURNS public.dot_config LANGUAGE sql AS'
	  . q( 'SELECT NULL::public.dot_config'),
	'CREATE FUNCTION evil.same(public.dot_config, public.dot_config) RETURNS boolean LANGUAGE sql AS'
	  . q( 'SELECT true'));
refused('boss', 'CREATE CAST (evil.theirs AS public.dot_config) WITH FUNCTION evil.of_theirs(evil.theirs) AS IMPLICIT',
	'CREATE OPERATOR evil.= (leftarg = public.dot_config, rightarg = public.dot_config, function = evil.same)',
	'CREATE CAST (public.dot_config AS text) WITH INOUT AS IMPLICIT');
sql('REVOKE USAGE ON TYPE public.dot_config FROM boss');

# ---- settings, languages, event triggers, default privileges

refused('boss', map { "ALTER DATABASE platform SET $_" } 'iu_core.allow_removal = on',
	q(session_preload_libraries = 'x'), 'session_replication_role = replica');
allowed('boss', q(ALTER DATABASE platform SET app.canonical_writer = 'boss'));
is(sql('SHOW app.canonical_writer'), '', 'the marker of canonical writers set for a database marks nobody');
sql('ALTER DATABASE platform RESET app.canonical_writer');
refused('boss', 'ALTER ROLE iu_core_worker IN DATABASE platform SET search_path = evil',
	'SET iu_core.allow_removal = on', 'SET session_replication_role = replica', 'SET ROLE iu_core_owner',
	'CREATE EVENT TRIGGER mine ON sql_drop EXECUTE FUNCTION evil.note()',
	'CREATE LANGUAGE evil HANDLER plpgsql_call_handler', 'CREATE SCHEMA AUTHORIZATION iu_core_owner',
	'ALTER DEFAULT PRIVILEGES FOR ROLE iu_core_owner GRANT ALL ON TABLES TO boss');

# ---- whoever makes roles

# Before 16 CREATEROLE is all that this asks for; from 16 on the server refuses most of it itself.
refused('maker', 'GRANT iu_core_owner TO maker', 'GRANT iu_core_worker TO mallory',
	'GRANT iu_core_operator, iu_core_admin TO maker', 'CREATE ROLE other IN ROLE iu_core_owner',
	'CREATE ROLE other IN GROUP iu_core_admin', 'ALTER GROUP iu_core_owner ADD USER maker',
	q(ALTER ROLE iu_core_worker PASSWORD 'known'), 'ALTER ROLE iu_core_worker SET search_path = evil',
	'ALTER ROLE iu_core_owner LOGIN', 'ALTER ROLE iu_core_worker RENAME TO other', 'DROP ROLE iu_core_agent');
allowed('maker', 'CREATE ROLE other', 'DROP ROLE other');
sql('GRANT iu_core_operator TO maker WITH ADMIN OPTION');
allowed('maker', 'GRANT iu_core_operator TO olga');

# ---- a member of iu_core_owner that does not become it

my $view = sql("SELECT rtrim(pg_get_viewdef('v_iu_conformance'::regclass), ';')");
sql('CREATE SCHEMA kins AUTHORIZATION kin');
allowed('kin', 'CREATE TABLE kins.same (LIKE public.dot_config INCLUDING CONSTRAINTS)');
refused('kin', "DROP FUNCTION $switch", "ALTER FUNCTION $switch OWNER TO kin",
	"CREATE OR REPLACE FUNCTION $switch RETURNS boolean LANGUAGE sql AS 'SELECT true'",
	"CREATE OR REPLACE VIEW public.v_iu_conformance AS SELECT * FROM ($view) AS it WHERE false",
	'ALTER TABLE public.dot_config ADD COLUMN more integer', 'ALTER TABLE public.dot_config DISABLE TRIGGER ALL',
	q(ALTER TABLE public.dot_config ALTER COLUMN value SET DEFAULT 'true'),
	'ALTER TABLE public.dot_config ADD CHECK (true)',
	'CREATE RULE mine AS ON UPDATE TO public.dot_config DO INSTEAD NOTHING',
	'CREATE POLICY mine ON public.dot_config USING (false)',
	'CREATE TRIGGER mine AFTER INSERT ON public.dot_config EXECUTE FUNCTION evil.note()',
	'CREATE TABLE kins.child () INHERITS (public.dot_config)', 'ALTER TABLE kins.same INHERIT public.dot_config',
	'CREATE TABLE iu.mine (a integer)',
	q(CREATE FUNCTION iu.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'), q(CREATE TYPE iu.mine AS ENUM ('a')));
is(sql("SELECT detail FROM fn_iu_conformance() WHERE NOT ok AND object_class = 'role'"),
	'"kin" is a member of it, and has its rights', 'conformance tells of a member of iu_core_owner, who may become it');
sql('DROP OWNED BY kin; DROP ROLE kin');
is(governed(), $before, 'nothing of what iu_core_owner has was changed by its members, or by others');

# ---- sessions that look elsewhere first

# Functions and operators with names of PostgreSQL's own, which a session finds
# first, and which note who calls them.
my %shadows = (btrim => [ 'text', 'text' ], now => [ '', 'timestamptz' ], clock_timestamp => [ '', 'timestamptz' ],
	to_regclass => [ 'text', 'regclass' ], gen_random_uuid => [ '', 'uuid' ], length => [ 'text', 'integer' ],
	starts_with => [ 'text, text', 'boolean' ], format => [ 'text, text', 'text' ],
	pg_has_role => [ 'name, text', 'boolean' ]);
my %operators = ('=' => 'boolean', '<>' => 'boolean', '~' => 'boolean', '||' => 'text');
sub shadow
{
	my ($called, $name, $arguments, $result) = @_;
	return "CREATE FUNCTION evil.$name($arguments) RETURNS $result LANGUAGE sql AS"
	  . " \$\$INSERT INTO evil.noted VALUES ('$called', current_user); SELECT NULL::$result\$\$;\n";
}
my $shadows = 'CREATE TABLE evil.noted (what text, who name); GRANT ALL ON evil.noted TO PUBLIC;';
$shadows .= shadow($_, $_, @{ $shadows{$_} }) foreach sort keys %shadows;
foreach my $operator (sort keys %operators)
{
	my $function = 'operator_' . unpack 'H*', $operator;
	$shadows .= shadow($operator, $function, 'text, text', $operators{$operator})
	  . "CREATE OPERATOR evil.$operator (leftarg = text, rightarg = text, function = evil.$function);";
}
is(error_of($shadows, user => 'boss'), '', "the owner of the database makes functions of PostgreSQL's names");
is(error_of(<<'SQL', user => 'olga'), '', 'an operator works in a session that looks elsewhere first');
SET search_path = pg_temp, evil, pg_catalog, public;
CREATE TEMP TABLE dot_config (key text, value text);
CREATE TEMP TABLE iu_gate_transition (gate_key text, action text);
INSERT INTO dot_config VALUES ('iu_core.delivery_enabled', 'true');
SELECT public.fn_iu_gate_open('iu_core.delivery_enabled', '4f0c6a3e-9f0e-4c6e-8a57-0d2c6c1f7b11', 'olga', 'x', 600);
SELECT public.fn_iu_gate_close('iu_core.delivery_enabled', 'olga', 'x');
SELECT * FROM public.v_iu_gate;
SELECT public.fn_iu_route_add('mirror', 'version_applied', 'https://hooks.example.com/c', 'olga', 'x');
SELECT 'a' = 'a';
SQL
is(sql("SELECT string_agg(action, ' ' ORDER BY transition_seq) FROM public.iu_gate_transition"
	  . " WHERE gate_key = 'iu_core.delivery_enabled'"), 'open close',
	'what a session that looks elsewhere first did is in the ledger');
is(sql("SELECT count(*) FROM evil.noted WHERE what = '=' AND who = 'olga'"), '1',
	'her own statement called what she finds first');
is(sql("SELECT string_agg(DISTINCT what || ' by ' || who, ', ') FROM evil.noted WHERE who <> 'olga'"), '',
	'nothing with the rights of iu_core_owner calls what a session finds first');
is(sql("SELECT iu_core.gate_is_open('iu_core.delivery_enabled')"), 'f',
	'a gate does not open by a temporary table of its name');

# Somebody's function has that one's rights, whoever calls it.
is(error_of(<<'SQL', user => 'boss'), '', 'the owner of the database makes a function that would open a gate');
CREATE FUNCTION evil.open() RETURNS jsonb LANGUAGE sql SECURITY DEFINER
  AS $$SELECT public.fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'boss', 'x', 600)$$
SQL
refused('olga', 'SELECT evil.open()');

# ---- a function to which a route leads

# It belongs to the owner of the database. Whatever it defers has that one's
# rights: a trigger, a trigger that defers itself once more, a cursor that is read
# at commit; and so has the function that takes its place after it was looked at.
is(error_of(<<'SQL', user => 'boss'), '', 'the owner of the database makes a function for a route');
CREATE FUNCTION evil.note_down(p_what text) RETURNS integer LANGUAGE sql
  AS $$INSERT INTO evil.noted VALUES (p_what, current_user); SELECT 1$$;
CREATE TABLE evil.deferred (what text);
CREATE FUNCTION evil.later() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM evil.note_down('trigger');
  IF NEW.what = 'again' THEN
    SET CONSTRAINTS ALL DEFERRED;
    INSERT INTO evil.deferred VALUES ('again');
  END IF;
  RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON evil.deferred DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION evil.later();
CREATE FUNCTION public.mirror(uuid, jsonb) RETURNS void LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM evil.note_down('function');
  INSERT INTO evil.deferred VALUES ($2 ->> 'title');
  EXECUTE 'DECLARE held CURSOR WITH HOLD FOR SELECT evil.note_down(''cursor'')';
END
$$;
REVOKE ALL ON FUNCTION public.mirror FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.mirror TO iu_core_owner;
SQL
sql(<<'SQL');
TRUNCATE evil.noted;
SELECT public.fn_iu_route_function_register('mirror', 'ada', 'x');
SELECT public.fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'ada', 'x');
SELECT public.fn_iu_switch_set('iu_core.route_worker_enabled', 'true', 'ada', 'x');
SELECT public.fn_iu_route_add('mirrored', 'version_applied', 'mirror', 'ada', 'x', 'sql_function');
SELECT public.fn_iu_route_allow('mirrored', 'ada', 'x');
SELECT public.fn_iu_route_arm('mirrored', 'ada', 'x');
SELECT public.fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'ada', 'x', 3000);
SELECT public.fn_iu_emit_event('version_applied', 'iu:' || t, gen_random_uuid(), 'ada', jsonb_build_object('title', t))
  FROM unnest(ARRAY['once', 'again']) AS t;
SQL
wait_until("SELECT count(DISTINCT status) = 2 FROM public.iu_route_attempt WHERE route_code = 'mirrored'");
is(sql("SELECT string_agg(DISTINCT status || coalesce(' ' || substr(failure_detail, 1, 5), ''), ', ')"
	  . " FROM public.iu_route_attempt WHERE route_code = 'mirrored'"), 'failed 42501, sent',
	'a function may defer a trigger, which may not defer itself once more');
is(sql("SELECT string_agg(DISTINCT what || ' by ' || who, ', ' ORDER BY what || ' by ' || who) FROM evil.noted"),
	'function by boss, trigger by boss', 'a function of a route, and what it defers, has the rights of its owner');
sql("SELECT public.fn_iu_gate_close('iu_core.delivery_enabled', 'ada', 'x')");

# ---- EXECUTE for everybody, as after a restore without privileges

# Calls every function with some value for each argument, and returns those that
# did not end in "permission denied", with what they did.
sub not_refused_to
{
	my ($role) = @_;
	return sql(<<"SQL");
CREATE TEMP TABLE call AS
  SELECT p.oid::regprocedure::text AS function, NULL::text AS state,
         format('SELECT %s.%I(%s)', p.pronamespace::regnamespace, p.proname,
                (SELECT string_agg(coalesce(v.value, 'NULL') || '::' || format_type(t, NULL), ', ' ORDER BY n)
                   FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, n)
                   LEFT JOIN (VALUES ('text', '''x'''), ('uuid', 'gen_random_uuid()'), ('integer', '1'),
                                     ('bigint', '1'), ('boolean', 'true'), ('jsonb', '''{}'''),
                                     ('timestamp with time zone', 'now()'),
                                     ('regclass', '''pg_class'''), ('numeric', '1'), ('text[]', '''{}'''),
                                     ('regprocedure', '''now()'''), ('name', '''x'''), ('xid', '''1'''))
                          AS v (type, value) ON v.type = format_type(t, NULL))) AS statement
    FROM pg_proc p WHERE p.proowner = 'iu_core_owner'::regrole AND p.prorettype <> 'trigger'::regtype;
GRANT ALL ON call TO PUBLIC;
SET ROLE $role;
DO \$\$
DECLARE
  v_call record;
BEGIN
  FOR v_call IN SELECT * FROM call LOOP
    BEGIN
      EXECUTE v_call.statement;
      UPDATE call SET state = 'done' WHERE function = v_call.function;
    EXCEPTION WHEN OTHERS THEN
      UPDATE call SET state = SQLSTATE WHERE function = v_call.function;
    END;
  END LOOP;
END
\$\$;
RESET ROLE;
SELECT string_agg(function || ' ' || state, ', ' ORDER BY function) FROM call WHERE state <> '42501';
SQL
}

sql('ALTER DATABASE platform RESET search_path');
sql('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public, iu, iu_core TO PUBLIC');
# The body of a delivery and the digest of a text are made of what the caller hands over; whether a gate is open is
# no secret.
is(not_refused_to('stranger'), 'fn_content_hash(text) done, fn_iu_delivery_body(event_outbox) done',
	'a stranger who may execute every function is refused by each that does something');
sql('GRANT USAGE ON SCHEMA iu_core TO PUBLIC');
my $harmless = qr/fn_\w+_enabled\(\)|fn_content_hash\(text\)|fn_iu_delivery_body\(event_outbox\)/;
is(not_refused_to('stranger') =~ s/$harmless done(, )?//gr, '',
	'a stranger who may ask for his own roles is refused by each function that does something');
foreach my $call ('SELECT iu_core.migrate()', 'SELECT iu_core.rollback(0, false, true)',
	q(SELECT iu_core.log_at_commit('x')), q(SELECT iu_core.http_probe('GET', 'http://127.0.0.1:9/')),
	q(SELECT iu_core.call_as_owner('now()', NULL, NULL)), q(SELECT iu_core.call_for_caller('SELECT 1', '{}')))
{
	like(error_of($call, user => 'stranger'), qr/^ERROR:  42501: role "stranger" may not call this function/m,
		"a stranger may execute it and is refused: $call");
}
like(error_of("SELECT fn_iu_gate_break_glass('iu_core.delivery_enabled', 'wim', 'x', 3600)", user => 'wim'),
	qr/^ERROR:  42501: role "wim" may not call this function\nDETAIL:  It is for members of iu_core_/m,
	'a writer who may execute what is for others is refused, and told whom it is for');
cmp_ok(sql("SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok AND detail ~ 'PUBLIC'"), '>', 200,
	'conformance tells of functions that are for everybody');

$node->stop;
done_testing();
