# What was committed about the envelope, as another connection sees it: the pilot
# with one real event (6000x), the smoke of the trigger (340), that of the refresh
# that looks first (330), and the rows of a rehearsal taken back by actor.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::LoaderA;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $gate = 'iu_core.three_axis_auto_refresh_enabled';
my $node = IU::Cluster->new_installed('smokes', 'iu_core.envelope_timeout' => '10min');
talk_to($node);
# An invariant of the envelope that is checked between two steps of the loader finds a difference, and leaves a mark for
# all units.
sql("SELECT fn_iu_invariant_enable(c, false, 'tester', 'the loader')
	FROM unnest('{iu.envelope_true,iu.envelope_units}'::text[]) c");
IU::LoaderA->load($node);
# Nobody looks at what is left over: whatever the log has is of the smokes. The runner may be about to remove a mark
# of a unit that has another one.
becomes('SELECT count(*) = 0 FROM iu_three_axis_envelope_mark', 'before: the loader leaves no mark');

sub status
{
	return sql("SELECT concat_ws(' ', last_actor, last_outcome, cache_healthy, current_in_sync, current_view_count,"
		  . ' current_table_count) FROM v_iu_three_axis_envelope_refresh_status');
}
sub counts
{
	return sql("SELECT concat_ws(' ', (SELECT count(*) FROM iu_three_axis_envelope_refresh_log),"
		  . ' (SELECT count(*) FROM iu_three_axis_envelope_trigger_error_log),'
		  . ' (SELECT count(*) FROM iu_three_axis_envelope))');
}
sub drift
{
	return sql("SELECT concat_ws(' ', d ->> 'in_sync', d ->> 'view_count', d ->> 'table_count')"
		  . ' FROM fn_iu_three_axis_envelope_drift_check() d');
}

# ---- The pilot: a real event, durable

my $ledger = sql('SELECT count(*) FROM iu_gate_transition');
my $envelope = sql('SELECT md5(string_agg(e::text || e.xmin, E\'\n\' ORDER BY unit_id)) FROM iu_three_axis_envelope e');
is(IU::Gate->state($node, $gate), 'false closed', '6000x, before: the gate is closed');
is(counts(), '5 0 163', '6000x, before: five rows in the log, no error, 163 rows in the envelope');
is(sql("SELECT concat_ws(' ', id, actor, outcome) FROM iu_three_axis_envelope_refresh_log ORDER BY id DESC LIMIT 1"),
	'16 iu_5000x_pilot skipped_in_sync', '6000x, before: the most recent row of the log');
is(drift(), 'true 163 163', '6000x, before: in sync, 163 in the view, 163 in the table');

is(sql(<<"SQL"), "true\nfalse", '6000x: the gate is open in the transaction, and closed in it');
BEGIN;
SET LOCAL app.canonical_writer = 'iu_6000x_pilot';
UPDATE dot_config SET value='true' WHERE key='$gate';
SELECT value FROM dot_config WHERE key='$gate';
UPDATE iu_metadata_tag SET assigned_at = assigned_at WHERE FALSE;
UPDATE dot_config SET value='false' WHERE key='$gate';
SELECT value FROM dot_config WHERE key='$gate';
COMMIT;
SQL

is(IU::Gate->state($node, $gate), 'false closed', '6000x, after: a new connection sees the gate closed');
is(counts(), '6 0 163', '6000x, after: one row more in the log, no error swallowed, 163 rows in the envelope');
is(drift(), 'true 163 163', '6000x, after: the drift is unchanged');
is( sql("SELECT concat_ws(' | ', id, actor, outcome, dry_run, forced, in_sync_pre, in_sync_post, upserted_count,"
		  . ' deleted_count, written_count, view_count_pre, table_count_pre, table_count_post,'
		  . ' started_at = finished_at)'
		  . ' FROM iu_three_axis_envelope_refresh_log ORDER BY id DESC LIMIT 1'),
	'18 | iu_lifecycle_trigger | skipped_in_sync | f | f | t | t | 0 | 0 | 0 | 163 | 163 | 163 | t',
	'6000x, after: row 18 of the log, field by field');
is(status(), 'iu_lifecycle_trigger skipped_in_sync t t 163 163', '6000x, after: the status');
is(sql('SELECT md5(string_agg(e::text || e.xmin, E\'\n\' ORDER BY unit_id)) FROM iu_three_axis_envelope e'), $envelope,
	'6000x, after: no row of the envelope was written');
is(sql('SELECT count(*) FROM iu_gate_transition'), $ledger, '6000x, after: the ledger of gates has no row more');

# ---- The trigger: one controlled cycle of the gate

is(sql(<<"SQL"), 'true', '340: the gate is open in the transaction');
BEGIN;
SET LOCAL app.canonical_writer = 'fn_iu_enact';
UPDATE dot_config SET value = 'true' WHERE key = '$gate' AND value = 'false';
SELECT value FROM dot_config WHERE key = '$gate';
UPDATE information_unit SET owner_ref = owner_ref
 WHERE canonical_address = 'law:DIEU-28/p3' AND lifecycle_status = 'enacted';
UPDATE dot_config SET value = 'false' WHERE key = '$gate';
COMMIT;
SQL
is( sql("SELECT concat_ws(' ', id, actor, outcome) FROM iu_three_axis_envelope_refresh_log WHERE id > 18"),
	'19 iu_lifecycle_trigger skipped_in_sync', '340.4: the trigger left one row');
is(IU::Gate->state($node, $gate) . ' ' . status(), 'false closed iu_lifecycle_trigger skipped_in_sync t t 163 163',
	'340.6: the gate is closed, the cache healthy and in sync');

# ---- The refresh that looks first, by hand

sub refresh
{
	my ($dry_run) = @_;
	return sql("SELECT concat_ws(' ', log_id, outcome, upserted_count, deleted_count)"
		  . " FROM fn_iu_three_axis_envelope_refresh_if_stale('iu_330_smoke', $dry_run, false)");
}
is(refresh('true'), '20 dry_run 163 0', '330.1: a dry run would upsert 163 and delete 0');
is(refresh('false'), '21 skipped_in_sync 0 0', '330.2: a call that finds nothing to do skips');
is(status(), 'iu_330_smoke skipped_in_sync t t 163 163', '330.3: the status');
is( sql("SELECT string_agg(concat_ws(' ', id, actor, outcome), ', ' ORDER BY id)"
		  . ' FROM iu_three_axis_envelope_refresh_log WHERE id > 19'),
	'20 iu_330_smoke dry_run, 21 iu_330_smoke skipped_in_sync', '330.4: both calls left their rows');

# ---- Taken back by actor

my $others = "SELECT md5(string_agg(l::text, E'\\n' ORDER BY id)) FROM iu_three_axis_envelope_refresh_log l"
  . " WHERE actor <> 'iu_330_smoke'";
my $before = sql($others);
my $take_back = "SELECT concat_ws(' ', rows_matching, rows_deleted)"
  . " FROM fn_iu_runtime_rollback_by_actor('iu_three_axis_envelope_refresh_log', 'iu_330_smoke', false)";
like(ask($take_back), qr/42501/, '330: while retention is closed nothing is taken back');
IU::Gate->open($node, 'iu_core.retention_enabled', 600);
is(sql($take_back), '2 2', '330: its two rows are taken back');
IU::Gate->close($node, 'iu_core.retention_enabled');
is(sql("SELECT count(*) FROM iu_three_axis_envelope_refresh_log WHERE actor = 'iu_330_smoke'"), '0',
	'330: no row of that actor is left');
is(sql($others), $before, '330: no other row is touched');

# ---- Left open, the gate does nothing for others

sql("UPDATE dot_config SET value = 'true' WHERE key = '$gate'");
sql('UPDATE iu_metadata_tag SET assigned_at = assigned_at WHERE false');
is(sql('SELECT max(id) FROM iu_three_axis_envelope_refresh_log WHERE actor = \'iu_lifecycle_trigger\''), '19',
	'a gate that a transaction left true opens nothing for the next one');
becomes("SELECT value = 'false' FROM dot_config WHERE key = '$gate'", 'and the watchdog closes it');

$node->stop;
done_testing();
