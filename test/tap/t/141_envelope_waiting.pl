# Who waits for whom over the envelope: nobody. What a refresh leaves because
# another transaction has it, the runner serves once that has ended; and what
# somebody cancels is cancelled.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::LoaderA;
use IU::Race;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $gate = 'iu_core.three_axis_auto_refresh_enabled';
my $node = IU::Cluster->new_installed('waiting', 'iu_core.envelope_timeout' => '10min', max_connections => 100,
	deadlock_timeout => '60s');
talk_to($node);
IU::LoaderA->load($node);
IU::LoaderA->add($node, 1000);
IU::Gate->open($node, $gate, 3600);
is(IU::LoaderA->in_sync($node), 't', 'before: nothing differs');

sub tag
{
	my ($address, $key) = @_;
	return "INSERT INTO iu_metadata_tag (unit_id, tag_key, enrichment_source, assigned_by)"
	  . " SELECT id, '$key', 'confirmed', 't' FROM information_unit WHERE canonical_address = '$address'";
}
# For becomes: whether the envelope has exactly these tags, in their order.
sub has_tags
{
	my ($address, @keys) = @_;
	my $tags = '[' . join(', ', map { "\"$_\"" } @keys) . ']';

	return "SELECT axis_b_tags_by_source ->> 'confirmed' = '$tags' FROM iu_three_axis_envelope"
	  . " WHERE canonical_address = '$address'";
}

# ---- Two transactions tag one unit

my $first  = $node->background_psql('postgres');
my $second = $node->background_psql('postgres');
$first->query_safe('BEGIN; ' . tag('note/n30', 'sectype:heading'));
$second->query_safe('BEGIN; ' . tag('note/n30', 'sectype:article') . '; COMMIT');
pass('a transaction that tags a unit which another one has tagged does not wait');
$first->query_safe('COMMIT');
becomes(has_tags('note/n30', 'sectype:article', 'sectype:heading'),
	'once both have committed the envelope has both tags');
becomes('SELECT count(*) = 0 FROM iu_three_axis_envelope_mark', 'and no mark is left');
is(IU::LoaderA->errors($node), '', 'nothing was swallowed');

# ---- The mark of a transaction that is open is nobody else's business

$first->query_safe('BEGIN; ' . tag('note/n31', 'sectype:heading'));
$second->query_safe('BEGIN; ' . tag('note/n31', 'sectype:section'));
is(sql("SELECT outcome FROM fn_iu_three_axis_envelope_refresh_if_stale('third')"), 'skipped_in_sync',
	'a third sees neither, and has nothing to do');
$second->query_safe('ROLLBACK');
$first->query_safe('COMMIT');
becomes(has_tags('note/n31', 'sectype:heading'), 'what was rolled back is not in the envelope');

# ---- Rows that are missing are made by one transaction at a time

sql("DELETE FROM iu_three_axis_envelope WHERE canonical_address IN ('note/n40', 'note/n41')");
$first->query_safe('BEGIN; ' . tag('note/n40', 'sectype:heading'));
$second->query_safe('BEGIN; ' . tag('note/n41', 'sectype:heading') . '; COMMIT');
pass('two transactions that find the same rows missing do not wait for each other');
$first->query_safe('COMMIT');
becomes("SELECT count(*) = 2 FROM iu_three_axis_envelope WHERE canonical_address IN ('note/n40', 'note/n41')",
	'and both rows are made');
becomes('SELECT count(*) = 0 FROM iu_three_axis_envelope_mark', 'no mark is left of them');
is(IU::LoaderA->errors($node), '', 'still nothing was swallowed');

# ---- An idle transaction holds one unit, 64 others write others

$first->query_safe('BEGIN; ' . tag('note/n50', 'sectype:heading'));
my $from = sql('SELECT max(id) FROM iu_three_axis_envelope_refresh_log');
my @writers = IU::Race->run($node, {}, map { [ tag("added/$_", 'sectype:heading') ] } 1 .. 64);
is(join('', map { $_->{err} } @writers), '', 'while a transaction idles, 64 writers of other units have no error');
is(IU::LoaderA->errors($node), '', 'and none of their refreshes failed or waited in vain');
is( sql("SELECT count(*) FROM iu_three_axis_envelope WHERE canonical_address ~ '^added/'"
		  . " AND axis_b_tags_by_source ->> 'confirmed' = '[\"sectype:heading\"]'"),
	'64', 'all 64 units are refreshed, each in its own transaction');
is( sql("SELECT count(*) FROM iu_three_axis_envelope_refresh_log WHERE id > $from AND actor = 'iu_lifecycle_trigger'"
		  . " AND outcome = 'refreshed'"),
	'64', 'by their own triggers');
$first->query_safe('COMMIT');
becomes("SELECT (fn_iu_three_axis_envelope_drift_check(true) ->> 'in_sync')::boolean",
	'once the idle transaction has committed nothing differs');

# ---- A snapshot that is older than what the refresh would write

$first->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM iu_metadata_tag');
sql(tag('note/n70', 'sectype:heading'));
$first->query_safe(tag('note/n70', 'sectype:article') . '; COMMIT');
pass('a statement under an older snapshot goes on');
is(IU::LoaderA->errors($node), '40001 1', 'that its refresh could not write is in the error log');
becomes(has_tags('note/n70', 'sectype:article', 'sectype:heading'), 'and the runner serves what it left');
sql('DELETE FROM iu_three_axis_envelope_trigger_error_log');

# ---- A deadlock that the refresh would be a part of

sub replace_refresh
{
	my ($body) = @_;
	sql("CREATE OR REPLACE FUNCTION public.fn_iu_three_axis_envelope_refresh_if_stale(
	  p_actor text, p_dry_run boolean DEFAULT false, p_force boolean DEFAULT false)
	RETURNS TABLE (log_id bigint, outcome text, upserted_count bigint, deleted_count bigint, view_count bigint,
	               table_count bigint, in_sync_pre boolean, in_sync_post boolean)
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'BEGIN $body; END'");
	return;
}
replace_refresh('PERFORM pg_advisory_xact_lock(77)');
$first->query_safe('BEGIN; SELECT pg_advisory_xact_lock(77)');
$second->query_safe("BEGIN; SELECT set_config('app.canonical_writer', 'fn_iu_create', true);"
	  . " SELECT id FROM information_unit WHERE canonical_address = 'note/n71' FOR UPDATE");
start_query($first, "SELECT id FROM information_unit WHERE canonical_address = 'note/n71' FOR UPDATE");
wait_until("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted)");
$second->query_safe("UPDATE information_unit SET section_code = 'z' WHERE canonical_address = 'note/n71'; COMMIT");
pass('a statement whose refresh waits for a transaction that waits for it goes on');
is(IU::LoaderA->errors($node), '55P03 1', 'that it waited in vain is in the error log');
$first->query_safe('SELECT 1; COMMIT');
sql('DELETE FROM iu_three_axis_envelope_trigger_error_log');

# ---- A cancel is a cancel

replace_refresh('PERFORM pg_sleep(3600)');
my $slow = $node->background_psql('postgres', on_error_stop => 0);
start_query($slow, tag('note/n60', 'sectype:heading'));
wait_until("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query ~ 'note/n60'");
$slow->query('SELECT 1');
like($slow->{stderr}, qr/canceling statement due to user request/,
	'who cancels a statement whose refresh runs cancels it');
is(sql("SELECT count(*) FROM iu_metadata_tag t JOIN information_unit u ON u.id = t.unit_id"
		  . " WHERE u.canonical_address = 'note/n60' AND t.enrichment_source = 'confirmed'"),
	'0', 'and it has done nothing');
is(IU::LoaderA->errors($node), '', 'nor is that in the error log');
$_->quit foreach $first, $second, $slow;

$node->stop;
done_testing();
