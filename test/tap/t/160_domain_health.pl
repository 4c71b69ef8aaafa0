# Health of a domain whose remotes answer: what Directus and Qdrant have, looked at by
# the runner on its schedule; an invariant that turns red is an event that a route
# carries to a receiver, and so is its end; what a stranger's table evaluates has no
# rights.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::Peer;
use IU::Qdrant;
use IU::Routes;
use IU::SQL;
use IU::Wait qw(wait_for);
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Utils;
use Test::More;

my $receiver = IU::Peer->start('receiver');
my $directus = IU::Peer->start('directus');
my %shown = (tokens => { 'the-token' => '*' });
$directus->control('data', { %shown, collections => { iu_three_axis_envelope => 2 } });
my $qdrant = IU::Qdrant->start(own => []);
my $chunks = $qdrant->create('health');

my $node = IU::Cluster->new_node('health', 'iu_core.allowed_networks' => '127.0.0.0/8',
	'iu_core.allowed_origins' => join(', ', map { $_->url } $receiver, $directus, $qdrant));
talk_to($node);
sql(<<"SQL");
CREATE EXTENSION iu_core;
SELECT count(*) FROM iu_core.migrate();
CREATE ROLE rita LOGIN IN ROLE iu_core_reader;
CREATE ROLE mallory LOGIN;
CREATE SCHEMA remote;
CREATE SERVER directus FOREIGN DATA WRAPPER directus_fdw OPTIONS (url '@{[$directus->url]}');
CREATE SERVER qdrant FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '@{[$qdrant->url]}');
CREATE USER MAPPING FOR iu_core_owner SERVER directus OPTIONS (token 'the-token');
CREATE USER MAPPING FOR iu_core_owner SERVER qdrant;
CREATE FOREIGN TABLE remote.items (collection text, items bigint) SERVER directus OPTIONS (resource 'collections');
CREATE FOREIGN TABLE remote.points (collection text, points bigint) SERVER qdrant OPTIONS (resource 'collections');
GRANT USAGE ON SCHEMA remote TO iu_core_owner;
GRANT SELECT ON ALL TABLES IN SCHEMA remote TO iu_core_owner;
SQL

sub health { return decode_json(ask('SELECT fn_iu_domain_healthcheck()', user => 'rita')) }
sub state_of
{
	my $surface = health()->{surfaces}{ $_[0] };
	return join ' ', defined $surface->{ok} ? ($surface->{ok} ? 'ok:' : 'not ok:') : 'null:', $surface->{detail};
}
sub check_now
{
	return sql("UPDATE iu_invariant_state SET next_at = clock_timestamp() WHERE invariant_code = '$_[0]';"
		  . ' SELECT iu_core.wake()');
}
# What the receiver was told of the surface of Directus, in order.
sub told
{
	return grep { $_->{data}{payload}{invariant_code} eq 'health.directus_collection' }
	  map { decode_json($_->{body}) } $receiver->requests('/alarm');
}
sub verdict { return "SELECT verdict FROM v_iu_invariant WHERE invariant_code = '$_[0]'" }

# ---- on the schedule

becomes("SELECT count(*) = 5 AND bool_and(verdict = 'pass') FROM v_iu_invariant
	WHERE invariant_code ~ '^health[.]' AND enabled", 'the runner checks each surface by itself');
ok(health()->{overall_ok}, 'a new platform is well');
like(state_of($_), qr/^null: not looked at: no foreign table is named for it/, "a remote without a table is not: $_")
	foreach 'directus_collection', 'qdrant_collection';

# ---- Directus

switches_on();
IU::Gate->open($node, 'iu_core.delivery_enabled', 3600);
sql(sprintf(q{SELECT fn_iu_route_add('alarm', 'issue_*', %s, 'tester', 'test', p_event_domain => 'system');},
	literal($receiver->url . '/alarm')) . IU::Routes::arm_sql('alarm'));
sql("SELECT fn_iu_create('d/' || i, 'D', 'text', 'wim') FROM generate_series(1, 2) i");
sql("SELECT fn_iu_three_axis_envelope_refresh_if_stale('olga', false, true)");
sql("SELECT fn_iu_health_bind('directus_collection', 'remote.items', 'ada', 'test')");
is(state_of('directus_collection'), 'ok: Directus shows the envelope', 'Directus that shows the envelope is ok');
check_now($_), becomes("SELECT (@{[verdict($_)]}) = 'pass'", "its check passes: $_")
	foreach 'health.directus_collection', 'directus.envelope_equals_items';

$directus->fault({ path => '*', status => 503, body => 'later' });
check_now('health.directus_collection');
becomes("SELECT (@{[verdict('health.directus_collection')]}) = 'unknown'", 'a Directus that refuses is unknown');
like(state_of('directus_collection'), qr/^not ok: it cannot be looked at: /, 'to a person it is not ok');
ok(wait_for(sub { told() == 1 }), 'that it turned is delivered to a receiver');
$directus->heal;
check_now('health.directus_collection');
ok(wait_for(sub { told() == 2 }), 'and so is that it is well again');
is(join(', ', map { "$_->{type} $_->{data}{severity} $_->{data}{payload}{verdict}" } told()),
	'system.issue_opened warning unknown, system.issue_resolved info pass', 'with what it is about');
is(sql("SELECT count(*) FROM iu_open_issue WHERE invariant_code = 'health.directus_collection'"), '0',
	'no issue of it is left open');
$directus->control('data', { %shown, collections => { other => 3 } });
like(state_of('directus_collection'), qr/^not ok: .*no such collection$/, 'Directus that does not show it is not ok');
$directus->control('data', { %shown, collections => { iu_three_axis_envelope => 2 } });

# ---- Qdrant

sql("SELECT fn_iu_qdrant_collection_register('$chunks', 2, 'Dot', 'm', 'iu_core_per_iu_chunks', 'olga', 'test');"
	  . " UPDATE iu_qdrant_collection_registry SET status = 'active';"
	  . " SELECT fn_iu_health_bind('qdrant_collection', 'remote.points', 'ada', 'test')");
is(state_of('qdrant_collection'), 'ok: Qdrant has the active collections', 'Qdrant with the collection is ok');
sql("SELECT fn_iu_qdrant_collection_register('gone', 2, 'Dot', 'm', 'iu_core_per_iu_chunks', 'olga', 'test');"
	  . " UPDATE iu_qdrant_collection_registry SET status = 'active'");
like(state_of('qdrant_collection'), qr/^not ok: .*"gone".*no such collection$/, 'without one of them it is not');

# ---- a stranger's table

sql(<<'SQL');
CREATE SCHEMA mallory AUTHORIZATION mallory;
CREATE TABLE mallory.ran (who name, of_owner boolean);
GRANT INSERT ON mallory.ran TO PUBLIC;
GRANT USAGE ON SCHEMA mallory TO PUBLIC;
CREATE FUNCTION mallory.note(b bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  RAISE LOG 'mallory ran as % (%)', current_user, pg_has_role('iu_core_owner', 'USAGE');
  RETURN b;
END $$;
ALTER FUNCTION mallory.note OWNER TO mallory;
CREATE VIEW remote.trap AS SELECT 'iu_three_axis_envelope'::text AS collection, mallory.note(2) AS items;
GRANT SELECT ON remote.trap TO iu_core_owner;
ALTER VIEW remote.trap OWNER TO mallory;
GRANT USAGE, CREATE ON SCHEMA remote TO mallory;
ALTER FOREIGN TABLE remote.items OWNER TO mallory;
SQL
sql('ALTER FOREIGN TABLE remote.items RENAME TO was; ALTER VIEW remote.trap RENAME TO items');
check_now('health.directus_collection');
becomes("SELECT (@{[verdict('health.directus_collection')]}) = 'unknown'",
	'a view in the place of the table is unknown');
like(state_of('directus_collection'), qr/must be a foreign table whose wrapper has handler/, 'and said to be one');
my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
unlike($log, qr/mallory ran as (?!iu_core_check |%)/,
	'what the view calls never ran as anybody else than iu_core_check');
like($log, qr/mallory ran as iu_core_check \(f\)/, 'it did run, without rights');
unlike($log, qr/mallory ran as \S+ \(t/, 'nor with the rights of iu_core_owner');
ask("ALTER VIEW remote.items RENAME TO trap", user => 'mallory');
ask("ALTER FOREIGN TABLE remote.was RENAME TO items", user => 'mallory');
check_now('health.directus_collection');
becomes("SELECT (@{[verdict('health.directus_collection')]}) = 'pass'", 'the table that was named is looked at again');

is(sql('SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok'), '0', 'conformance finds nothing');
$node->stop;
done_testing();
