# A database with collections, templates, versions and what events have made is dumped
# and restored, in each way that pg_dump and pg_restore have: the same rows, the same
# digests, kinds and roles of the platform's own, and everything goes on from there.
use strict;
use warnings;

use IU::Cluster;
use IU::Conformance;
use IU::Gate;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = IU::Cluster->new_installed('restores', 'iu_core.databases' => '');
talk_to($node);
my @gates = ('iu_core.composer_enabled', 'iu_core.auto_instantiate_enabled');
my $dir = PostgreSQL::Test::Utils::tempdir();

sql("SELECT fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'tester', 'test')");
IU::Gate->open($node, $_, 3600) for @gates;
sql(<<'SQL');
SELECT fn_iu_vocab_add('collection_kind', 'recipe', 'what to cook', 'ada', 'r'),
  fn_iu_vocab_add('piece_role', 'hint', 'what may help', 'ada', 'r');
SELECT count(fn_iu_create('u' || i, 'U', 'text', 'w')) FROM generate_series(1, 9) i;
SELECT fn_iu_compose('tpl/v' || v, 'recipe', 'T', 'about', (
    SELECT jsonb_agg(jsonb_build_object('role', CASE i % 2 WHEN 0 THEN 'hint' ELSE 'step' END, 'iu_id', u.id))
      FROM generate_series(1, 3 + v) i JOIN information_unit u ON u.canonical_address = 'u' || i), 'w')
  FROM generate_series(1, 2) v;
SELECT fn_iu_collection_mark_as_template(id, 'T', E'a\nb', 'w') FROM iu_piece_collection;
SELECT fn_iu_collection_register_template_version(id, 'tpl', 'v1', 1, NULL, 'w') FROM iu_piece_collection
 WHERE collection_key = 'tpl/v1';
SELECT fn_iu_collection_register_template_version(b.id, 'tpl', 'v2', 2, a.id, 'w')
  FROM iu_piece_collection a, iu_piece_collection b WHERE a.collection_key = 'tpl/v1' AND b.collection_key = 'tpl/v2';
SELECT fn_iu_auto_instantiate_from_event(md5(n::text)::uuid, 'e', c.id, 'x' || n, 'live', 'robot', NULL)
  FROM generate_series(1, 4) n, iu_piece_collection c WHERE c.collection_key = 'tpl/v2';
SELECT fn_iu_collection_remove_piece(c.id, u.id, 'w') FROM iu_piece_collection c, information_unit u
 WHERE c.collection_key = 'tpl-inst:auto:x1' AND u.canonical_address = 'u2';
SELECT fn_iu_piece_soft_delete(id, 'w') FROM information_unit WHERE canonical_address = 'u9';
SQL
IU::Gate->close($node, $_) for @gates;

my $rows = q{SELECT md5(string_agg(t, E'\n' ORDER BY t COLLATE "C")) FROM (
	SELECT 'c' || c::text AS t FROM iu_piece_collection c UNION ALL SELECT 'm' || m::text FROM iu_piece_membership m
	UNION ALL SELECT 'r' || r::text FROM iu_collection_template_registry r
	UNION ALL SELECT 'l' || l::text FROM iu_collection_template_instance_lineage l
	UNION ALL SELECT 'v' || v::text FROM iu_collection_template_version v
	UNION ALL SELECT 'a' || a::text FROM iu_auto_instantiate_event_log a
	UNION ALL SELECT 'u' || u::text FROM information_unit u
	UNION ALL SELECT 'd' || d.key || d.value FROM dot_config d) x};
my $expected = sql($rows);

sub dump_as
{
	return $node->command_ok([ $node->installed_command('pg_dump'), @_, '-d', $node->connstr('postgres') ],
		"pg_dump @_");
}
dump_as('-Fc', '-f', "$dir/custom");
dump_as('-Fd', '-j2', '-f', "$dir/folder");
dump_as('-f', "$dir/plain.sql");
dump_as('--inserts', '--rows-per-insert=7', '-f', "$dir/inserts.sql");

# What a copy has, and what can be done there.
sub goes_on
{
	my ($database, $what, $wrong) = @_;
	my $value = sub { return $node->safe_psql($database, $_[0]) };

	subtest "restored: $what" => sub {
		is(&$value($rows), $expected, 'the rows are the same');
		cmp_ok(wrong($database), '>', 0, 'conformance says what the restore has left out') if $wrong;
		is(&$value("SELECT count(left_over) FROM fn_iu_conformance_repair('tester', 'restored')"), '0',
			'nothing is left to people') if $wrong;
		is(wrong($database), '0', 'the database conforms');
		is(&$value('SELECT count(*) FROM v_iu_collection_digest_check WHERE left_value IS DISTINCT FROM right_value'),
			'0',
			'the digests are those of the orders');
		is(&$value("SELECT string_agg(version_label || ' ' || version_status || ' ' || instance_count || ' '
			|| digest_matching_instances, ', ' ORDER BY version_seq) FROM v_iu_template_observability"),
			'v1 superseded 0 0, v2 current 4 3', 'templates have their versions and instances');
		like(error_of("SELECT fn_iu_collection_create('n', 'recipe', 'N', NULL, 'w')", database => $database),
			qr/42501.*composing is closed/, 'the gate is closed');
		like(error_of('DELETE FROM iu_piece_membership', database => $database), qr/42501.*direct write/,
			'memberships are guarded');
		my $answers = &$value(join '; ', 'BEGIN',
			(map { "UPDATE dot_config SET value = 'true' WHERE key = '$_'" } @gates),
			"SELECT fn_iu_auto_instantiate_from_event(md5('3')::uuid, 'e', id, 'x3', 'live', 'robot', NULL) ->> 'status'
			FROM iu_piece_collection WHERE collection_key = 'tpl/v2'",
			"SELECT fn_iu_auto_instantiate_from_event(md5('5')::uuid, 'e', id, 'x5', 'live', 'robot', NULL) ->> 'status'
			FROM iu_piece_collection WHERE collection_key = 'tpl/v2'",
			"SELECT fn_iu_collection_add_piece(c.id, u.id, 1, 'hint', 'w') -> 'piece_order' FROM iu_piece_collection c,
			information_unit u WHERE c.collection_key = 'tpl-inst:auto:x1' AND u.canonical_address = 'u2'",
			"SELECT digest_matches_template FROM v_iu_product_template_instance
			WHERE instance_collection_key = 'tpl-inst:auto:x1'",
			"SELECT fn_iu_auto_instantiate_rollback_by_actor('robot', false) ->> 'collections'",
			(map { "UPDATE dot_config SET value = 'false' WHERE key = '$_'" } @gates), 'COMMIT');
		is($answers, "idempotent_replay\nok\n1\nt\n5", 'replays, new ones, changes and taking back work as before');
		like(error_of("SELECT fn_iu_vocab_remove('collection_kind', 'recipe', 'a', 'r')", database => $database),
			qr/55006/, 'a kind of its own that is in use stays');
	};
	return;
}

sub made
{
	my ($database) = @_;
	sql("CREATE DATABASE $database TEMPLATE template0", 'template1');
	return $node->connstr($database);
}

my $pg_restore = $node->installed_command('pg_restore');
my $psql = $node->installed_command('psql');
command_ok([ $pg_restore, '--exit-on-error', '-d', made('whole'), "$dir/custom" ], 'a whole dump');
goes_on('whole', 'a whole dump');
command_ok([ $pg_restore, '--exit-on-error', '-j2', '-d', made('parallel'), "$dir/folder" ], 'a folder, by two');
goes_on('parallel', 'a folder, by two');
command_ok([ $psql, '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', made('plain'), '-f', "$dir/plain.sql" ], 'a script');
goes_on('plain', 'a script');
command_ok([ $psql, '-Xq1', '-v', 'ON_ERROR_STOP=1', '-d', made('inserts'), '-f', "$dir/inserts.sql" ],
	'a script of INSERTs, in one transaction');
goes_on('inserts', 'a script of INSERTs, in one transaction');
my $sections = made('sections');
command_ok([ $pg_restore, '--exit-on-error', "--section=$_", '-d', $sections, "$dir/custom" ], "section $_")
  foreach qw(pre-data data post-data);
goes_on('sections', 'section by section');
my $halves = made('halves');
command_ok([ $pg_restore, '--exit-on-error', '--schema-only', '-d', $halves, "$dir/custom" ], 'the schema alone');
command_ok([ $pg_restore, '--exit-on-error', '--data-only', '--disable-triggers', '-d', $halves, "$dir/custom" ],
	'then the data alone, without triggers');
goes_on('halves', 'schema and data one after the other', 1);
command_ok([ 'env', 'PGOPTIONS=-c iu_core.allow_removal=on', $pg_restore, '--exit-on-error', '--clean', '--if-exists',
	'--single-transaction', '-d', $node->connstr('whole'), "$dir/custom" ],
	'a dump over a database that has another state');
goes_on('whole', 'over a database that has another state');

$node->stop;
done_testing();
