# Functions that would fit a call better than iu_core's own, made from the catalog
# for every function, in schema public and in a schema that is searched before it.
# While the library is loaded none of a governed name can be planted. Those that
# were planted while it was not are found by conformance, and nothing that has
# rights calls one, whatever the handbook does.
#
# What the extension itself brings is called in schema iu_core by name, where
# nobody else may create; so its names stay free elsewhere.
use strict;
use warnings;

use IU::Cluster;
use IU::Handbook;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

# Each argument of another type, all of one, one more, one fewer, VARIADIC, with
# defaults; with the result of the original. Each tells the server's log by whom
# it was called.
my $variants = <<'SQL';
CREATE TABLE evil.variant AS
WITH target AS (
  SELECT p.oid, p.proname, p.pronargs::integer AS count,
         p.proretset OR p.prorettype = 'void'::regtype OR coalesce('o' = ANY (p.proargmodes), false) AS returns_plainly,
         ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, n) ORDER BY n) AS types,
         (SELECT string_agg(format('OUT %I %s', p.proargnames[i], format_type(p.proallargtypes[i], NULL)), ', '
                            ORDER BY i)
            FROM generate_subscripts(p.proallargtypes, 1) AS i WHERE p.proargmodes[i] = 'o') AS outs,
         CASE WHEN p.prorettype = 'trigger'::regtype THEN 'integer' ELSE pg_get_function_result(p.oid) END AS result
    FROM pg_proc p
   WHERE p.pronamespace IN ('public'::regnamespace, 'iu'::regnamespace, 'iu_core'::regnamespace) AND p.prokind = 'f'
), other (type) AS (
  VALUES ('text'), ('character varying'), ('anyelement'), ('bigint'), ('jsonb')
), variant AS (
  SELECT t.oid, array_to_string(t.types[:i - 1] || o.type || t.types[i + 1:], ', ') AS list
    FROM target t CROSS JOIN other o CROSS JOIN LATERAL generate_series(1, t.count) AS i
  UNION
  SELECT t.oid, array_to_string(array_fill(o.type, ARRAY[t.count]), ', ')
    FROM target t CROSS JOIN other o WHERE t.count > 0
  UNION
  SELECT t.oid, concat_ws(', ', nullif(array_to_string(t.types, ', '), ''), more) FROM target t
    CROSS JOIN unnest(ARRAY['text', 'text DEFAULT NULL', 'VARIADIC text[]', 'VARIADIC anyarray']) AS more
  UNION
  SELECT t.oid, concat_ws(', ', nullif(array_to_string(t.types[:t.count - 1], ', '), ''), more) FROM target t
    CROSS JOIN unnest(ARRAY[NULL, 'VARIADIC text[]', 'VARIADIC anyarray', 'VARIADIC integer[]']) AS more
   WHERE t.count > 0
  UNION
  SELECT t.oid, array_to_string(t.types[2:], ', ') FROM target t WHERE t.count > 0
  UNION
  SELECT t.oid, array_to_string(t.types, ' DEFAULT NULL, ') || CASE WHEN t.count > 0 THEN ' DEFAULT NULL' ELSE '' END
    FROM target t
)
SELECT DISTINCT ON (s.name, t.proname, v.list) s.name AS schema, t.proname,
       format('CREATE FUNCTION %s.%I(%s) %s LANGUAGE plpgsql AS %L', s.name, t.proname,
              concat_ws(', ', nullif(v.list, ''), t.outs), CASE WHEN t.outs IS NULL THEN 'RETURNS ' || t.result END,
              format('BEGIN RAISE LOG %L, current_user, session_user; RETURN%s; END',
                     format('planted %s.%s(%s) called by %% for %%', s.name, t.proname, v.list),
                     CASE WHEN NOT t.returns_plainly THEN ' NULL' END)) AS statement
  FROM variant v JOIN target t USING (oid) CROSS JOIN (VALUES ('public'), ('evil')) AS s (name)
 ORDER BY s.name, t.proname, v.list;
ALTER TABLE evil.variant ADD COLUMN governed boolean, ADD COLUMN for_people boolean;
UPDATE evil.variant v
   SET governed = EXISTS (SELECT FROM pg_proc p WHERE p.proname = v.proname AND p.proowner = 'iu_core_owner'::regrole),
       for_people = EXISTS (SELECT FROM pg_proc p WHERE p.proname = v.proname AND p.proowner = 'iu_core_owner'::regrole
                                                        AND p.pronamespace = 'public'::regnamespace);
GRANT SELECT ON evil.variant TO PUBLIC;
SQL

# Makes the variants of a condition as a role. The rows: SQLSTATE or "made", and how often.
sub plant
{
	my ($role, $condition) = @_;
	return sql(<<"SQL");
CREATE TEMP TABLE outcome (state text);
GRANT ALL ON outcome TO PUBLIC;
SET ROLE $role;
DO \$\$
DECLARE
  v_statement text;
BEGIN
  FOR v_statement IN SELECT statement FROM evil.variant WHERE $condition LOOP
    BEGIN
      EXECUTE v_statement;
      INSERT INTO outcome VALUES ('made');
    EXCEPTION WHEN OTHERS THEN
      INSERT INTO outcome VALUES (SQLSTATE);
    END;
  END LOOP;
END
\$\$;
RESET ROLE;
SELECT state, count(*) FROM outcome GROUP BY state ORDER BY state;
SQL
}

# Runs the handbook with variants of these names planted as soon as the migrations
# are there, and returns the server's log and what the rest of the listings did.
sub run_handbook
{
	my ($name, $which) = @_;
	my $handbook = IU::Handbook->new($name);
	my $node     = $handbook->node;
	my @listings = $handbook->listings('sql');
	my %outcomes;

	$node->start;
	$node->safe_psql('postgres', 'CREATE ROLE mallory LOGIN; CREATE ROLE boss LOGIN');
	$node->safe_psql('postgres', 'CREATE DATABASE platform OWNER boss');
	talk_to($node, 'platform');
	while (@listings)
	{
		$handbook->run(shift @listings);
		last if sql("SELECT to_regclass('iu_core.migrations') IS NOT NULL") eq 't'
		  && sql("SELECT count(*) FROM iu_core.migrations WHERE state <> 'applied'") eq '0';
	}
	sql('CREATE SCHEMA evil; GRANT USAGE, CREATE ON SCHEMA evil TO PUBLIC; GRANT CREATE ON SCHEMA public TO mallory');
	sql($variants);
	subtest 'planted while the library is loaded' => sub { refuses_to_plant() } if $which eq 'governed';

	$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
	$node->restart;
	subtest "planted while the library is not loaded ($name)" => sub { plants($which) };
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'iu_core'\n");
	$node->restart;
	sql('ALTER DATABASE platform SET search_path = evil, public');
	subtest "found ($name)" => sub { finds() };

	foreach my $listing (@listings)
	{
		my $patience = $PostgreSQL::Test::Utils::timeout_default;
		my ($rows, $complaints) = $handbook->run($listing, "-c statement_timeout=${patience}s");
		my ($state) = $complaints =~ /ERROR:  (\w{5}):/;
		$outcomes{ $listing->{where} } = [ $listing->{refused} // '', $state // '', $complaints ];
	}
	sql('SET ROLE mallory; SELECT evil.fn_planted_control()');
	$node->stop;
	return (slurp_file($node->logfile), %outcomes);
}

sub refuses_to_plant
{
	cmp_ok(sql('SELECT count(*) FROM evil.variant WHERE governed'), '>', 5000, 'there are many variants');
	foreach my $role ('mallory', 'boss')
	{
		my %outcomes = map { split /\|/ } split /\n/, plant($role, 'governed');
		cmp_ok($outcomes{'42939'} // 0, '>', 5000, "variants are refused to $role, since the name is taken");
		is($outcomes{made}, undef, "not one of them is made by $role");
	}
	return;
}

sub plants
{
	my ($which) = @_;
	my %outcomes = map { split /\|/ } split /\n/, plant('mallory', $which);

	cmp_ok($outcomes{made} // 0, '>', 1000, 'variants are made where nobody watches');
	sql('SET ROLE mallory; CREATE FUNCTION evil.fn_planted_control() RETURNS integer LANGUAGE plpgsql AS'
		  . q( $$BEGIN RAISE LOG 'planted control called by % for %', current_user, session_user; RETURN 1; END$$));
	return;
}

sub finds
{
	is(sql(<<'SQL'), '', 'conformance names every planted function of a governed name');
SET search_path = pg_catalog;
SELECT string_agg(p.oid::regprocedure::text, ', ')
  FROM pg_proc p
 WHERE p.proowner = 'mallory'::regrole AND p.proname IN (SELECT v.proname FROM evil.variant v WHERE v.governed)
   AND p.oid::regprocedure::text NOT IN (
         SELECT c.found FROM public.fn_iu_conformance() c
          WHERE NOT c.ok AND c.detail = 'takes a governed name, and belongs to "mallory"')
SQL
	becomes(q(SELECT message ~ 'database "platform": conformance finds \d+ difference' FROM iu_core.health()),
		'health is red');
	return;
}

# Who called a planted function, and for whom.
sub callers
{
	my ($log) = @_;
	my %callers;
	$callers{"$1 for $2"}++ while $log =~ /LOG:  planted (?!control).* called by (\w+) for (\w+)$/mg;
	return %callers;
}

# ---- names that people call are planted as well: their own untyped calls go astray, and nothing else

my ($log) = run_handbook('overloads', 'governed');
like($log, qr/planted control called by mallory for postgres/, 'a planted function tells by whom it was called');
my %callers = callers($log);
note("$_: $callers{$_}") foreach sort keys %callers;
is_deeply([ grep { !/^(\w+) for \1$/ } keys %callers ], [], 'nothing planted is called with the rights of another');
is_deeply([ grep { /iu_core/ } keys %callers ], [], 'nothing planted is called by iu_core_owner or a worker');

# ---- names of the inside alone: the handbook does what it says, and nothing planted is called

my ($inside, %outcomes) = run_handbook('inside', 'NOT for_people');
like($inside, qr/planted control called by mallory for postgres/,
	'a planted function of the inside would tell as well');
%callers = callers($inside);
is_deeply(\%callers, {}, 'nothing planted beside functions of the inside is called by anybody');
# While conformance is red a run of migrations is refused, and functions of a
# stranger that take rows of a table are in the way of its removal; then the
# listings after that find what they should not. A server that was built without
# OpenSSL refuses to make a key.
my @listings = sort { ($a =~ /:(\d+)/)[0] <=> ($b =~ /:(\d+)/)[0] }
  grep { /handbook/ && $outcomes{$_}[2] !~ /cannot make signatures by Ed25519/ } keys %outcomes;
my ($first)  = grep { $outcomes{$_}[0] ne $outcomes{$_}[1] } @listings;
like($outcomes{ $first // '' }[2] // '', qr/^$|the migrated database does not conform|other objects depend on it/,
	'beside planted functions of the inside every listing does what the handbook says, up to the removal');
note("the first listing that ends otherwise: $first") if $first;
my $done = grep { $outcomes{$_}[0] eq $outcomes{$_}[1] } @listings;
cmp_ok($done, '>', 0.9 * @listings, 'all but the last listings did so');
done_testing();
