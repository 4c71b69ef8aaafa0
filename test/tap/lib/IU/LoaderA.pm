#-------------------------------------------------------------------------
#
# IU/LoaderA.pm
#	  The 163 units of the envelope's probes, and what one looks at afterwards.
#
#	  IU::LoaderA->load($node);			# pgtap/022_loader_a.psql, committed
#	  IU::LoaderA->add($node, 2000);	# so many units more, each with a tag
#	  IU::LoaderA->errors($node);		# the error log of the trigger: "55P03 2, 57014 1"
#	  IU::LoaderA->in_sync($node);		# t: nothing differs, of all units
#
#-------------------------------------------------------------------------
package IU::LoaderA;

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;

my $file = File::Spec->rel2abs(dirname(__FILE__) . '/../../../pgtap/022_loader_a.psql');

sub load
{
	my ($class, $node) = @_;

	$node->safe_psql('postgres', "\\i $file");
	return;
}

sub add
{
	my ($class, $node, $units) = @_;

	$node->safe_psql('postgres', <<"SQL");
SET app.canonical_writer = 'fn_iu_create';
WITH new AS MATERIALIZED (
  SELECT n, gen_random_uuid() AS id, gen_random_uuid() AS version_id FROM generate_series(1, $units) n),
unit AS (
  INSERT INTO information_unit (id, canonical_address, unit_kind, content_anchor_ref, version_anchor_ref, owner_ref,
      identity_profile, created_by, updated_by, section_type, doc_code, sort_order)
    SELECT id, 'added/' || n, 'law_unit', encode(sha256('x'), 'hex'), version_id, 'o',
           '{"title": "t", "owner_lookup_ref": "o", "primary_section_type_ref": "article"}', 'c', 'c', 'article',
           'ADDED', n FROM new)
INSERT INTO unit_version (id, unit_id, body, content_hash, version_seq, created_by)
  SELECT version_id, id, 'x', encode(sha256('x'), 'hex'), 1, 'c' FROM new;
INSERT INTO iu_metadata_tag (unit_id, tag_key, enrichment_source, assigned_by)
  SELECT id, 'kind:law_unit', 'derived', 't' FROM information_unit WHERE doc_code = 'ADDED'
  ON CONFLICT (unit_id, tag_key, enrichment_source) DO NOTHING;
RESET app.canonical_writer;
SELECT * FROM fn_iu_three_axis_envelope_refresh('added', false) \\gset added_
SQL
	return;
}

sub errors
{
	my ($class, $node) = @_;

	return $node->safe_psql('postgres', "SELECT string_agg(concat_ws(' ', e.sqlstate, e.n), ', ' ORDER BY e.sqlstate)"
		  . ' FROM (SELECT l.sqlstate, count(*) AS n FROM iu_three_axis_envelope_trigger_error_log l GROUP BY 1) AS e');
}

sub in_sync
{
	my ($class, $node) = @_;

	return $node->safe_psql('postgres',
		"SELECT (fn_iu_three_axis_envelope_drift_check(true) ->> 'in_sync')::boolean");
}

1;
