# The product factory, committed: a database that was migrated to 032 gets 033, makes
# one collection and then twelve of two templates from events, and another connection
# finds all of them; what a rollback leaves; sessions that ask for the same collection
# at once; a route that makes a collection of an event.
use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use IU::Cluster;
use IU::Gate;
use IU::Race;
use IU::Routes;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $loader = File::Spec->rel2abs(dirname(__FILE__) . '/../../pgtap/033_loader_b.psql');
my $wf2 = '1cd4f881-0e7f-4f7a-9133-07ce7e726d8d';
my $node = IU::Cluster->new_node('factory');
talk_to($node);

# The surfaces of the report, as one line.
sub surfaces
{
	return sql(q{SELECT concat_ws(' ', (SELECT count(*) FROM information_unit),
	  (SELECT count(*) FROM iu_piece_collection), (SELECT count(*) FROM iu_piece_membership),
	  (SELECT count(*) FROM iu_collection_template_instance_lineage), (SELECT count(*) FROM v_iu_product_template),
	  (SELECT count(*) FROM iu_collection_template_version), (SELECT count(*) FROM iu_vector_sync_point),
	  (SELECT count(*) FROM iu_lifecycle_log), (SELECT count(*) FROM event_outbox WHERE event_domain = 'iu'),
	  (SELECT count(*) FROM event_outbox WHERE event_domain <> 'iu'))});
}

# Both gates by the toggle within the transaction; what it does; both gates again.
sub inside
{
	my ($work, $end) = @_;
	my $toggle = q{UPDATE dot_config SET value = '%s' WHERE key IN ('iu_core.composer_enabled',
		'iu_core.auto_instantiate_enabled');};
	return sql('BEGIN; ' . sprintf($toggle, 'true') . " $work; " . sprintf($toggle, 'false') . " $end");
}

sub make
{
	my ($event, $template, $suffix, $mode, $actor) = @_;
	return "SELECT fn_iu_auto_instantiate_from_event('$event', 'iu.version_applied', $template, '$suffix', '$mode',"
	  . " '$actor', NULL)";
}

sql('CREATE EXTENSION iu_core; SELECT count(*) FROM iu_core.migrate(32)');
$node->safe_psql('postgres', "\\i $loader");
my @before = split / /, surfaces();
is("@before[0 .. 5]", '174 10 43 4 3 2', 'the factory begins with its units, collections, templates and versions');

# ---- the dry run of 033, and 033

is(sql('SELECT change, object_class, count(*) FROM iu_core.migrate(33, true) GROUP BY 1, 2 ORDER BY 1, 2'),
	"added|config|1\nadded|event_type|1\nadded|function|2\nadded|table|1\nadded|view|2",
	'the dry run of 033 reports seven objects that are added, and none that is changed');
my $governed = sql('SELECT count(*) FROM iu_governed_object');
my $gates = sql('SELECT count(*) FROM v_iu_gate');
is(sql('SELECT count(*) FROM iu_core.migrate(33)'), '7', '033 adds seven objects');
is(sql('SELECT count(*) FROM iu_governed_object') - $governed, 7, 'conformance expects seven objects more');
is(sql("SELECT count(*) || ' ' || bool_and(is_safe) FROM v_iu_gate"), ($gates + 1) . ' true',
	'there is one gate more, and all are closed');
is(sql('SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok'), '0', 'the database conforms');

# ---- the probes within a transaction that is rolled back, seen from another connection

my $probes = inside(join('; ', make('25000c07-0000-4000-8000-000000000001', "'$wf2'", 'c7', 'dry_run', 'c7'),
	make('25000c07-0000-4000-8000-000000000001', "'$wf2'", 'c7', 'dry_run', 'c8'),
	make('25000c09-0000-4000-8000-000000000001', "'$wf2'", 'c9', 'live', 'c9'),
	"SELECT fn_iu_auto_instantiate_rollback_by_actor('c9')"), 'ROLLBACK');
like($probes, qr/"status": "ok".*\n.*"status": "idempotent_replay".*\n.*"status": "ok".*\n.*"log_rows": 1/,
	'C7 to C10 succeed within a transaction');
is(sql("SELECT count(*) FROM iu_auto_instantiate_event_log WHERE triggered_by ~ '^c'"), '0',
	'C11 after it was rolled back another connection finds no row of the probes');
is(sql("SELECT string_agg(value, ' ') FROM dot_config WHERE key IN ('iu_core.composer_enabled',
	'iu_core.auto_instantiate_enabled')"), 'false false', 'C12 and both gates false');

# ---- the second version of the file template: five pieces of the first, and a new one

inside(q{
  SELECT fn_iu_compose('tpl:file:status-report/v2', 'file', 'Status report', NULL,
    jsonb_build_array('{"role": "intro", "new_piece": {"canonical_address": "status-report/executive_summary",
      "title": "Executive summary", "body": "What happened."}}'::jsonb) || (
    SELECT jsonb_agg(jsonb_build_object('role', CASE m.piece_role WHEN 'intro' THEN 'body' ELSE m.piece_role END,
             'iu_id', m.iu_id) ORDER BY m.piece_order)
      FROM v_iu_collection_manifest m WHERE m.collection_key = 'tpl:file:status-report/v1'), 'iu-core-25000x')},
	'COMMIT');
sql(q{SELECT fn_iu_collection_mark_as_template(id, 'Status report', NULL, 'iu-core-25000x')
	FROM iu_piece_collection WHERE collection_key = 'tpl:file:status-report/v2'});
sql(q{SELECT fn_iu_collection_register_template_version(id, 'tpl:file:status-report', 'v1', 1, NULL, 'iu-core-25000x')
	FROM iu_piece_collection WHERE collection_key = 'tpl:file:status-report/v1'});
sql(q{SELECT fn_iu_collection_register_template_version(b.id, 'tpl:file:status-report', 'v2', 2, a.id, 'iu-core-25000x')
	FROM iu_piece_collection a, iu_piece_collection b
	WHERE a.collection_key = 'tpl:file:status-report/v1' AND b.collection_key = 'tpl:file:status-report/v2'});

# ---- one collection, and twelve in one transaction

like(inside(make('25000d25-0000-4000-8000-000000000001', "'$wf2'", '25000x-durable-001', 'live',
	'iu-core-25000x-durable'), 'COMMIT'), qr/"status": "ok".*"idempotency_key": "df7bcf71ffd37a70db528cbe95161b69"/,
	'one collection is made live, under the published key');
my $bulk = inside(join('; ',
	(map { make(sprintf('25000b00-0000-4000-8000-%012d', $_), "'$wf2'", sprintf('25000x-bulk-wf-%03d', $_), 'live',
		'iu-core-25000x-bulk') } 1 .. 8),
	(map { make(sprintf('25000b10-0000-4000-8000-%012d', $_),
		"(SELECT id FROM iu_piece_collection WHERE collection_key = 'tpl:file:status-report/v2')",
		sprintf('25000x-bulk-file-%03d', $_), 'live', 'iu-core-25000x-bulk') } 1 .. 4)), 'COMMIT');
is(scalar(() = $bulk =~ /"status": "ok"/g), 12, '8 and 4 collections are made of two templates in one transaction');
is(sql(q{SELECT count(*) || ' ' || bool_and(digest_matches_template) || ' ' || count(DISTINCT triggered_by)
	FROM v_iu_auto_instantiate_event_log WHERE emit_mode = 'live'}), '13 true 2',
	'another connection finds 13 of 13, each with the digest of its template, of two actors');
is(sql("SELECT bool_and(is_safe) FROM v_iu_gate"), 't', 'all gates are closed afterwards');

my @after = split / /, surfaces();
is(join(' ', map { $after[$_] - $before[$_] } 0 .. 9), '1 14 75 13 1 2 0 0 89 0',
	'the surfaces differ by +1, +14, +75, +13, +1, +2, 0, 0, +89 and 0');
is(sql('SELECT count(*) FROM iu_auto_instantiate_event_log'), '13', 'the log has 13 rows');
is(sql(q{SELECT template_collection_key, version_label, version_status, instance_count, digest_matching_instances,
	digest_diverged_instances, template_without_version FROM v_iu_template_observability ORDER BY 1}),
	join("\n", 'tpl:file:status-report/v1|v1|superseded|0|0|0|f', 'tpl:file:status-report/v2|v2|current|4|4|0|f',
		'tpl:wf:onboarding/v1|v1|superseded|1|1|0|f', 'tpl:wf:onboarding/v2|v2|current|12|12|0|f'),
	'each template has a version and its instances, none of which has another digest');
is(sql(q{SELECT string_agg(DISTINCT doc_code || ' ' || n, ' ' ORDER BY doc_code || ' ' || n) FROM (
	SELECT doc_code, count(*) AS n FROM information_unit WHERE doc_code ~ '^DIEU' GROUP BY 1) x}),
	'DIEU-28 27 DIEU-32 23 DIEU-35 36', 'the documents have the units that they had');
like(error_of('SELECT iu_core.rollback(32)'), qr/55006/, 'a rollback of 033 is refused while the log has rows');

# ---- sessions that ask for the same collections at once

sql('SELECT count(*) FROM iu_core.migrate()');
IU::Gate->open($node, $_, 3600) for 'iu_core.composer_enabled', 'iu_core.auto_instantiate_enabled';
my @racers = IU::Race->run($node, {}, map { my $session = $_;
	[ map { make(sprintf('25000e00-0000-4000-8000-%012d', $_), "'$wf2'", sprintf('race-%03d', $_), 'live',
			"s$session") }
		1 .. 6 ] } 1 .. 16);
is(join('', map { $_->{err} } @racers), '', 'of 16 sessions that ask for the same six collections none fails');
is(scalar(() = join('', map { $_->{out} } @racers) =~ /"status": "ok"/g), 6, 'each collection is made once');
is(scalar(() = join('', map { $_->{out} } @racers) =~ /"status": "idempotent_replay"/g), 90,
	'and is a replay for everybody else');
is(sql(q{SELECT count(*) || ' ' || bool_and(digest_matches_template) FROM v_iu_auto_instantiate_event_log
	WHERE instance_collection_key LIKE 'tpl-inst:auto:race-%'}), '6 true', 'all of them are complete');
@racers = IU::Race->run($node, {},
	map { [ "SELECT fn_iu_compose('clash', 'file', 'C', NULL, '[]', 's') ->> 'ok'" ] } 1 .. 8);
my $made = grep { $_->{out} =~ /true/ } @racers;
my $taken = grep { $_->{err} =~ /iu_collection_key_taken/ } @racers;
is("$made $taken", '1 7',
	'of 8 sessions that compose under one key one succeeds, and the others are told that it is taken');

# Adding, removing and moving in one collection, each session other units.
sql("SELECT fn_iu_collection_create('busy', 'file', 'B', NULL, 's')");
my $busy = "(SELECT id FROM iu_piece_collection WHERE collection_key = 'busy')";
@racers = IU::Race->run($node, {}, map {
	my $unit = "(SELECT id FROM information_unit WHERE canonical_address = 'OTHER/$_')";
	[ "SELECT FROM fn_iu_collection_add_piece($busy, $unit, 0, 'body', 's')",
	  "SELECT FROM fn_iu_collection_reorder_piece($busy, $unit, 0, 's')",
	  $_ % 2 ? "SELECT FROM fn_iu_collection_remove_piece($busy, $unit, 's')" : 'SELECT 1' ] } 1 .. 16);
is(join('', map { $_->{err} } @racers), '', 'of 16 sessions that change one collection none fails');
is(sql(q{SELECT piece_count || ' ' || order_contiguous || ' ' || (c.manifest_digest = fn_iu_collection_digest(c.id))
	FROM v_iu_collection_health h JOIN iu_piece_collection c ON c.id = h.collection_id
	WHERE c.collection_key = 'busy'}),
	'8 true true', 'no piece is lost, no place is empty, and the digest is true');

# ---- a route that makes a collection of an event

switches_on();
IU::Gate->open($node, 'iu_core.delivery_enabled', 3600);
add_route('factory', 'fn_iu_auto_instantiate_consumer', type => 'template.published', kind => 'sql_function',
	timeout_ms => 300000, idle => 1);
sql("SELECT fn_iu_route_allow('factory', 'tester', 'test'); SELECT fn_iu_route_arm('factory', 'tester', 'test')");
is(sql("SELECT fn_iu_template_publish('$wf2', 'published', 'tester') ->> 'status'"), 'published',
	'a template is published');
becomes("SELECT count(*) = 1 FROM v_iu_auto_instantiate_event_log
	WHERE instance_collection_key = 'tpl-inst:auto:published' AND triggered_by = 'iu_auto_instantiate_consumer'
	AND digest_matches_template", 'the runner makes the collection that was asked for');
becomes('SELECT ' . attempts('factory', 'sent') . ' = 1', 'and records that it did');
is(sql('SELECT count(*) FROM iu_three_axis_envelope_trigger_error_log'), '0', 'no refresh of the envelope has failed');

$node->stop;
done_testing();
