# The change of the demo's product factory, as the one script that it is: within a
# change window with a backup before and after it, a migration is applied and tried, a
# template gets a second version, and thirteen collections come of events. The report has
# each figure as it was declared, those of Qdrant and Directus among them.
use strict;
use warnings;
use utf8;

use File::Basename qw(dirname);
use File::Spec;
use IU::Cluster;
use IU::Peer;
use IU::Qdrant;
use IU::SQL;
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Utils;
use Test::More;

my $demo = File::Spec->rel2abs(dirname(__FILE__) . '/../../../demo');
my $qdrant = IU::Qdrant->start(own => []);
my $directus = IU::Peer->start('directus');
my $chunks = $qdrant->create('chunks');
my $documents = $qdrant->create('documents');
my $node = IU::Cluster->new_node('macro', 'iu_core.databases' => '', 'iu_core.allowed_networks' => '127.0.0.0/8',
	'iu_core.allowed_origins' => $qdrant->url . ', ' . $directus->url);
talk_to($node);

# What a script of the demo prints, which says nothing on stderr.
sub script
{
	my ($name, %variables) = @_;
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres',
		DUMPS => PostgreSQL::Test::Utils::tempdir());
	my ($printed, $said) = run_command([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1',
			(map { ('-v', "$_=$variables{$_}") } sort keys %variables), '-f', "$demo/$name" ]);
	is($said, '', "$name runs to its end without a word");
	utf8::decode($printed);
	return $printed;
}

sub matrix
{
	my ($column, @codes) = @_;
	my $codes = join ', ', map { literal($_) } @codes;
	return sql("SELECT string_agg(m.$column, ' ' ORDER BY array_position(ARRAY[$codes], m.surface_code))
		FROM fn_iu_regression_matrix('25000x:before', '25000x:after') AS m WHERE m.surface_code IN ($codes)");
}

# ---- before

sql('CREATE EXTENSION iu_core; SELECT count(*) FROM iu_core.migrate(32)');
script('factory.sql', chunks => $chunks, system_events => 12000);
$qdrant->load($chunks, split /\n/, sql(q{SELECT jsonb_build_object('id', point_id, 'vector', '[1, 0]'::jsonb, 'payload',
	jsonb_build_object('content_digest', content_digest)) FROM iu_vector_sync_point WHERE sync_status = 'planned'}));
$qdrant->load($documents, map { qq({"id":$_,"vector":[0,1]}) } 1 .. 9456);
$directus->control('data', { collections => { iu_three_axis_envelope => { key => 'unit_id', rows =>
				decode_json(sql('SELECT json_agg(e) FROM iu_three_axis_envelope e')) } },
		tokens => { 'iu-reader-token' => ['iu_three_axis_envelope'] } });
script('stores.sql', chunks => $chunks, documents => $documents, qdrant => $qdrant->url, api_key => 'none',
	directus => $directus->url);
is(sql(q{SELECT concat_ws(' ', (SELECT count(*) FROM information_unit), (SELECT count(*) FROM iu_piece_collection),
	(SELECT count(*) FROM iu_piece_membership), (SELECT count(*) FROM iu_vector_sync_point),
	(SELECT count(*) FROM iu_vector_sync_point WHERE sync_status = 'indexed'),
	(SELECT count(*) FROM iu_lifecycle_log), (SELECT count(*) FROM event_outbox WHERE event_domain = 'iu'))}),
	'174 10 43 152 149 146 125', 'the factory begins with its units, collections, points, and events');
is(sql('SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok'), '0', 'and conforms');
my ($gates, $objects, $commands) = split / /, sql(q{SELECT concat_ws(' ', (SELECT count(*) FROM v_iu_gate),
	(SELECT sum(expected) FROM v_iu_conformance), (SELECT count(*) FROM dot_iu_command_catalog))});
my $inert = $gates + 1;

# ---- the change

my $printed = script('macro.sql');
is(scalar(() = $printed =~ /^ C\d+ .*\| ok$/mg), 12, 'the twelve probes answer as they should');
unlike($printed, qr/NOT AS EXPECTED/, 'and none otherwise');
like($printed, qr/:25000x-durable-001 \| df7bcf71ffd37a70db528cbe95161b69 \| true/,
	'one collection has the published key');
is(scalar(() = $printed =~ /^ tpl-inst:auto:25000x-bulk-(?:wf|file)-\d{3}\s+\| ok\s+\| true$/mg), 12,
	'8 and 4 collections come of two templates');
like($printed, qr/^ 13 of 13 /m, 'another connection finds all of them');

# ---- its report

my @surfaces = qw(information_unit iu_piece_collection iu_piece_membership iu_collection_template_instance_lineage
	iu_auto_instantiate_event_log iu_collection_template_registry iu_collection_template_version iu_vector_sync_point
	qdrant.chunks qdrant.documents iu_lifecycle_log event_outbox_iu event_outbox_system axes iu_gates_inert tests
	iu_conformance);
is(matrix('delta', @surfaces), '+1 +14 +75 +13 new +1 +2 0 0 0 0 +89 0 0 +1/+1 0 +7/0',
	'each figure differs as it should');
is(matrix('after', @surfaces), "175 24 118 17 13 4 4 152 149 9456 146 214 12000 27/23/36 $inert/$inert 1324 "
	  . ($objects + 7) . ' / 7 PASS', 'and is what it should be');
is(matrix('after', 'directus.axes', 'commands'), "27/23/36 $commands",
	'Directus has the same documents, and no command came with the migration');
is(sql("SELECT string_agg(DISTINCT verdict, ' ' ORDER BY verdict)
	FROM fn_iu_regression_matrix('25000x:before', '25000x:after')"), 'expected invariant kept',
	'no figure is unknown, and none differs without having been declared');
my @rows = $printed =~ /^\| ([^|]+?) \| [^|]+ \| [^|]+ \| [^|]+ \| (?:expected|invariant|green)/mg;
is(join(' ', map { lc s/ .*//r } @rows[0 .. 10]),
	'information_unit iu_piece_collection iu_piece_membership iu_collection_template_instance_lineage '
	  . 'iu_auto_instantiate_event_log iu_collection_template_registry iu_collection_template_version '
	  . 'iu_vector_sync_point qdrant qdrant iu_lifecycle_log', 'the report has them in this order');
like($printed, qr/^\*\*Verdict: PASS\.\*\*/m, 'its verdict is PASS');
like($printed, qr/^- 033 auto_instantiate_from_event, undone by/m, 'it names the migration');
like($printed, qr/^- Backup $_: .*\/$_\.dump, \d+ bytes, sha256 [0-9a-f]{64} \(checked\)/m,
	"and the backup $_ the change")
  for qw(before after);
like($printed, qr/no change in this window/, 'nobody has seen a gate open');
is(sql('SELECT bool_and(is_safe) FROM v_iu_gate'), 't', 'all gates are closed');
is(sql('SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok'), '0', 'the database conforms');

$node->stop;
done_testing();
