# Points observed in Qdrant: what an observation finds, asks for and writes, whose
# rights it has, and that nobody makes up what it found. The same tests for the
# stand-in and for a real server (QDRANT_URL).
use strict;
use warnings;

use IU::Cluster;
use IU::Qdrant;
use IU::SQL;
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Utils;
use Test::More;

my $qdrant = IU::Qdrant->start;
$qdrant = IU::Qdrant->start(own => [ '--api-key', 'the-key' ], key => 'the-key') if $qdrant->is_stand_in;
my $chunks = $qdrant->create('chunks');
note $qdrant->is_stand_in ? 'the stand-in' : 'a real Qdrant';

my $node = IU::Cluster->new_node('vectors', 'iu_core.databases' => '', 'iu_core.allowed_origins' => $qdrant->url,
	'iu_core.allowed_networks' => '127.0.0.0/8');
talk_to($node);
my $key = $qdrant->key ? "OPTIONS (api_key '" . $qdrant->key . "')" : '';
sql(<<"SQL");
CREATE EXTENSION iu_core;
SELECT count(*) FROM iu_core.migrate();
CREATE ROLE wim LOGIN IN ROLE iu_core_writer, iu_core_reader;
CREATE ROLE robot LOGIN IN ROLE iu_core_agent, iu_core_reader;
CREATE ROLE mallory LOGIN IN ROLE iu_core_writer, iu_core_reader;
CREATE ROLE ada LOGIN IN ROLE iu_core_admin;
CREATE SERVER qdrant FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '@{[$qdrant->url]}');
CREATE USER MAPPING FOR wim SERVER qdrant $key;
CREATE USER MAPPING FOR robot SERVER qdrant $key;
CREATE USER MAPPING FOR mallory SERVER qdrant $key;
CREATE USER MAPPING FOR iu_core_owner SERVER qdrant $key;
CREATE SCHEMA q;
IMPORT FOREIGN SCHEMA api FROM SERVER qdrant INTO q;
CREATE FOREIGN TABLE q.chunks (id text, payload jsonb) SERVER qdrant
  OPTIONS (resource 'points', collection '$chunks');
GRANT USAGE ON SCHEMA q TO iu_core_writer, iu_core_agent, iu_core_owner;
GRANT SELECT ON q.points, q.chunks TO wim, robot;
GRANT SELECT ON q.collections TO iu_core_owner;
GRANT USAGE ON FOREIGN SERVER qdrant TO mallory;
CREATE SCHEMA mallory AUTHORIZATION mallory;
SELECT fn_iu_qdrant_collection_register('$chunks', 2, 'Dot', 'm', 'iu_core_per_iu_chunks', 'olga', 'test');
CREATE FUNCTION enact(a text) RETURNS text LANGUAGE sql AS \$\$
  SELECT fn_iu_enact(a, 'wim', (fn_iu_review_decision_record('enact', ARRAY[a], 'approve', 'olga', 'x')
    ->> 'review_decision_id')::uuid) ->> 'status' \$\$;
CREATE FUNCTION states() RETURNS text LANGUAGE sql AS \$\$
  SELECT string_agg(concat_ws(' ', substr(point_key, 4), sync_status), ', ' ORDER BY point_key)
    FROM public.iu_vector_sync_point \$\$;
SELECT fn_iu_create(a, a, CASE a WHEN 'long' THEN repeat('x', 1700) || E'\\n' || repeat('y', 1700)
  ELSE 'text ' || a END, 'wim') FROM unnest(ARRAY['a', 'b', 'long']) a;
SELECT enact(a) FROM unnest(ARRAY['a', 'b', 'long']) a;
SQL

# What an observation answers, or its error; as wim, unless somebody else is named.
sub observe
{
	my ($arguments, $user, $table) = @_;
	return ask(sprintf("SELECT fn_iu_vector_sync_observe('%s', '%s', 'indexer'%s)", $chunks, $table // 'q.chunks',
			$arguments ? ", $arguments" : ''), user => $user // 'wim');
}
sub found
{
	my ($answer, @what) = @_;
	my $object = $answer =~ /^\{/ ? decode_json($answer) : return $answer;
	return join ' ', map { "$_=" . ($object->{$_} // 'null') } @what;
}
sub id_of { return sql("SELECT point_id FROM iu_vector_sync_point WHERE point_key = 'iu.$_[0]'") }

# What an indexer does of what is pending, with another digest for what is named.
sub index_pending
{
	my ($condition, $digest) = @_;
	my @points = split /\n/, sql("SELECT jsonb_build_object('id', point_id, 'vector', '[0, 1]'::jsonb, 'payload',"
		  . " jsonb_build_object('content_digest', " . ($digest // 'content_digest') . ", 'unit_id', unit_id))"
		  . " FROM v_iu_vector_pending WHERE action = 'upsert' AND $condition");
	$qdrant->load($chunks, @points) if @points;
	return scalar @points;
}
my @counts = qw(status points indexed drift missing written orphan_count);

# ---- found, missing, another text

is(found(observe(''), @counts),
	'status=would_observe points=0 indexed=0 drift=0 missing=4 written=0 orphan_count=0',
	'of an empty collection all points are missing');
is(index_pending("canonical_address = 'a'"), 1, 'a point is written into Qdrant');
is(found(observe(''), @counts),
	'status=would_observe points=1 indexed=1 drift=0 missing=3 written=0 orphan_count=0', 'a dry run finds it');
is(sql('SELECT states()'),
	'a#chunk-0000 planned, b#chunk-0000 planned, long#chunk-0000 planned, long#chunk-0001 planned',
	'and writes nothing');
is(sql('SELECT status FROM iu_qdrant_collection_registry'), 'planned', 'nor does it make the collection active');
is(found(observe('false'), @counts),
	'status=observed points=1 indexed=1 drift=0 missing=3 written=1 orphan_count=0',
	'an observation writes what it found');
is(sql('SELECT states()'),
	'a#chunk-0000 indexed, b#chunk-0000 planned, long#chunk-0000 planned, long#chunk-0001 planned',
	'that a point is indexed');
is(sql('SELECT status FROM iu_qdrant_collection_registry'), 'active', 'and that the collection is there');
is(found(observe('false'), @counts),
	'status=observed points=1 indexed=1 drift=0 missing=3 written=0 orphan_count=0',
	'observing again writes nothing');
index_pending("canonical_address = 'b'", "'old'");
index_pending("canonical_address = 'long' AND chunk_index = 1");
is(found(observe('false', 'robot'), @counts),
	'status=observed points=3 indexed=2 drift=1 missing=1 written=2 orphan_count=0', 'an agent observes');
is(sql('SELECT states()'), 'a#chunk-0000 indexed, b#chunk-0000 drift, long#chunk-0000 planned, long#chunk-0001 indexed',
	'a point with another text is drift');
is(sql("SELECT string_agg(action || ' ' || point_key, ', ' ORDER BY point_key) FROM v_iu_vector_pending"),
	'upsert iu.b#chunk-0000, upsert iu.long#chunk-0000', 'what is drift or missing is pending');
is(sql("SELECT string_agg(length(fn_iu_vector_text('iu.long#chunk-000' || i))::text, ' ')"
		  . ' FROM generate_series(0, 1) i'),
	'1701 1700', 'an indexer gets the text of each chunk');
is(index_pending('true'), 2, 'an indexer writes what is pending');
is(found(observe('false', 'wim', 'q.points'), @counts),
	'status=observed points=4 indexed=4 drift=0 missing=0 written=2 orphan_count=0',
	'a table of all collections serves as well');
$qdrant->load($chunks, '{"id":7,"vector":[0,1]}', '{"id":"00000000-0000-4000-8000-000000000001","vector":[0,1]}');
is(found(observe(''), 'orphan_count') . ' ' . join(' ', @{ decode_json(observe(''))->{orphans} }),
	'orphan_count=2 00000000-0000-4000-8000-000000000001 7', 'points that no row knows are orphans');

# ---- by unit, by range

sub asked
{
	my ($arguments, @what) = @_;
	my ($answer, @requests) = $qdrant->asked(sub { observe($arguments) });
	return found($answer, @what) . ' '
	  . join ' ', sort map { m{POST \S*/points(/scroll)?} ? $1 // 'by id' : () } @requests;
}
is(asked("false, ARRAY(SELECT id FROM information_unit WHERE canonical_address = 'long')", 'points', 'orphan_count'),
	'points=2 orphan_count=null by id', 'the points of a unit are asked for by their ids');
my @ids = split /\n/, sql('SELECT point_id FROM iu_vector_sync_point ORDER BY 1');
is(asked('false, p_limit => 3', 'points', 'next_after', 'orphan_count'),
	"points=3 next_after=$ids[2] orphan_count=null by id",
	'a range is asked for by its ids, and says where the next begins');
is(asked("false, p_after => '$ids[2]', p_limit => 3", 'points', 'next_after'), 'points=1 next_after=null by id',
	'the last range has no next one');
is(asked("false, ARRAY[gen_random_uuid()]", 'points'), 'points=0 ', 'of a unit without points nothing is asked');

# ---- what is not enacted any more

sql("SELECT fn_iu_retire('b', 'lea', (fn_iu_review_decision_record('retire', ARRAY['b'], 'approve', 'olga', 'x')"
	  . " ->> 'review_decision_id')::uuid)");
is(found(observe('false'), 'points', 'indexed', 'to_delete', 'written'), 'points=4 indexed=3 to_delete=1 written=0',
	'a point of a unit that is not enacted any more is to be deleted');
$qdrant->call('POST', $qdrant->path($chunks, '/points/delete?wait=true'), { points => [ id_of('b#chunk-0000') ] });
is(found(observe('false'), 'points', 'to_delete', 'written'), 'points=3 to_delete=0 written=1',
	'an observation sees that it is deleted');
is(sql('SELECT count(*) FROM v_iu_vector_pending'), 0, 'then nothing is pending');
$qdrant->call('POST', $qdrant->path($chunks, '/points/delete?wait=true'), { points => [ id_of('a#chunk-0000') ] });
is(found(observe('false'), 'missing', 'written'), 'missing=1 written=1', 'a point that is gone is planned again');
index_pending('true');
observe('false');

# ---- as the one who asks, and made up by nobody

like(observe('false', 'mallory'), qr/"field": "points".*one that you may read/,
	'who may not read the table does not observe with it');
sql('CREATE ROLE nora LOGIN IN ROLE iu_core_writer; GRANT SELECT ON q.chunks TO nora');
SKIP:
{
	skip 'Qdrant wants no key', 1 unless $qdrant->key;
	like(observe('false', 'nora'), qr/^ERROR:  28000:/,
		'the user mapping of the one who asks is taken, not that of iu_core_owner');
}
# A table of a stranger's own, with rows made up in a child of it.
sql("SET ROLE mallory; CREATE FOREIGN TABLE mallory.points (id text, payload jsonb) SERVER qdrant"
	  . " OPTIONS (resource 'points', collection '$chunks');"
	  . " CREATE TABLE mallory.made_up (id text, payload jsonb) INHERITS (mallory.points)");
sql("SELECT fn_iu_create('c', 'c', 'text c', 'wim'), enact('c')");
sql("INSERT INTO mallory.made_up SELECT point_id, jsonb_build_object('content_digest', content_digest)"
	  . " FROM iu_vector_sync_point WHERE sync_status = 'planned'");
is(ask('SELECT (SELECT count(*) FROM mallory.points) - count(*) FROM ONLY mallory.points', user => 'mallory'), 1,
	'a child of a foreign table adds a row to it');
is(found(observe('false', 'mallory', 'mallory.points'), 'indexed', 'missing', 'written'),
	'indexed=3 missing=1 written=0', 'a row in a child of the foreign table is no point');
# A function of a stranger that would run with rights: in a policy, a rule, a domain, an operator.
sql("SET ROLE mallory; CREATE TABLE mallory.ran (who name);"
	  . " GRANT INSERT, SELECT ON mallory.ran TO PUBLIC; GRANT USAGE ON SCHEMA mallory TO PUBLIC;"
	  . " CREATE FUNCTION mallory.spy(text) RETURNS boolean LANGUAGE plpgsql AS"
	  . " \$\$ BEGIN INSERT INTO mallory.ran VALUES (current_user); RETURN true; END \$\$;"
	  . " CREATE DOMAIN mallory.spied AS text CHECK (mallory.spy(VALUE));"
	  . " CREATE FOREIGN TABLE mallory.spying (id text, payload jsonb, extra mallory.spied) SERVER qdrant"
	  . " OPTIONS (resource 'points', collection '$chunks');"
	  . " CREATE FUNCTION mallory.equal(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT mallory.spy(\$1)';"
	  . " CREATE OPERATOR mallory.= (FUNCTION = mallory.equal, LEFTARG = text, RIGHTARG = text)");
for my $table ('mallory.spying', 'mallory.points')
{
	ask("SET search_path = mallory, public, pg_catalog; SELECT fn_iu_vector_sync_observe('$chunks', '$table', 'x',"
		  . " false, (SELECT array_agg(id) FROM information_unit))", user => 'mallory');
}
is(sql("SELECT count(*) FROM mallory.ran WHERE who <> 'mallory'"), 0, 'nothing of a stranger ran as somebody else');
is(sql("SELECT states()"), 'a#chunk-0000 indexed, b#chunk-0000 disabled, c#chunk-0000 planned, '
	  . 'long#chunk-0000 indexed, long#chunk-0001 indexed', 'and made nothing indexed');

# The table becomes another one between the look at it and the reading, which waits for its lock meanwhile.
sql("SET ROLE mallory; CREATE FOREIGN TABLE mallory.real (id text, payload jsonb) SERVER qdrant"
	  . " OPTIONS (resource 'points', collection '$chunks')");
my $mallory = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', 'mallory' ]);
my $renaming = $node->background_psql('postgres', on_error_stop => 0);
$renaming->query_safe('BEGIN; ALTER TABLE mallory.real RENAME TO away; ALTER TABLE mallory.made_up RENAME TO real');
start_query($mallory, "SELECT fn_iu_vector_sync_observe('$chunks', 'mallory.real', 'x', false)");
wait_until("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'mallory')");
$renaming->query_safe('COMMIT');
$mallory->query('SELECT 1');
like($mallory->{stderr}, qr/was changed while it was read/, 'a table that was put in its place is not believed');
is(sql("SELECT sync_status FROM iu_vector_sync_point WHERE point_key = 'iu.c#chunk-0000'"), 'planned',
	'and made nothing indexed either');

# ---- a remote that does not answer holds up nobody

$qdrant->recorder->fault({ path => "/collections/$chunks/*", action => 'hang' });
my $waiting = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', 'wim' ]);
start_query($waiting, "SELECT fn_iu_vector_sync_observe('$chunks', 'q.chunks', 'x', false)");
wait_until("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'wim' AND wait_event_type = 'Extension')");
is(sql("SET lock_timeout = '60s'; SELECT fn_iu_apply_edit_draft((fn_iu_save('a', 'text a, edited', 'wim')"
		  . " ->> 'draft_id')::uuid, 'wim') ->> 'status', enact('a')"),
	'applied_pending_enact|enacted', 'while Qdrant is waited for, a unit is enacted whose points are observed');
sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = 'wim'");
$waiting->query('SELECT 1');
$qdrant->recorder->heal;
$qdrant->recorder->fault({ path => "/collections/$chunks/*", status => 503,
	body => '{"status":{"error":"later"},"time":0}' });
like(observe('false'), qr/^ERROR:  HV/, 'a remote that refuses is an error');
$qdrant->recorder->heal;
is(found(observe('false'), 'indexed', 'drift', 'missing'), 'indexed=2 drift=1 missing=1',
	'an observation after that finds the text that was enacted meanwhile not there');

# ---- counted on schedule

sql("SELECT fn_iu_health_bind('qdrant_collection', 'q.collections', 'ada', 'test')");
my $check = "SELECT concat_ws(' ', verdict, detail) FROM fn_iu_invariant_check('qdrant.indexed_equals_points')";
like(sql($check), qr/^unknown 1 key\(s\) differ: .* settling/,
	'the count of points differs while there are orphans and drift');
index_pending('true');
$qdrant->call('POST', $qdrant->path($chunks, '/points/delete?wait=true'),
	{ points => [ 7, '00000000-0000-4000-8000-000000000001' ] });
observe('false');
like(sql($check), qr/^pass/, 'and is the same when Qdrant has what is indexed and nothing else');
sql('REVOKE SELECT ON q.collections FROM iu_core_owner');
like(sql($check), qr/^unknown .*42501/, 'what cannot be read is unknown');

is(sql('SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok'), 0, 'conformance finds nothing');
done_testing();
