-- 025: retention of the logs of the envelope, and rows taken back by actor.
\ir setup.psql
\ir 022_loader_a.psql
SELECT no_plan();

CREATE FUNCTION pg_temp.take_back(p_actor text, p_dry_run boolean DEFAULT true,
    p_table text DEFAULT 'iu_three_axis_envelope_refresh_log') RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', r.target_table, r.actor, r.rows_matching, r.rows_deleted, r.dry_run)
    FROM fn_iu_runtime_rollback_by_actor(p_table, p_actor, p_dry_run) r $$;
CREATE FUNCTION pg_temp.runs() RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM dot_iu_command_run WHERE command_name = 'dot_iu_runtime_rollback_by_actor' $$;

SELECT bag_eq($$SELECT target_table, age_column, keep_days, actor_scope, active FROM iu_core_retention_policy
    WHERE target_table ~ 'envelope'$$,
  $$VALUES ('iu_three_axis_envelope_refresh_log', 'started_at', 30, ARRAY['iu_lifecycle_trigger', 'iu_5000x_pilot'],
    false),
           ('iu_three_axis_envelope_trigger_error_log', 'captured_at', 90, NULL, false)$$,
  'both logs have a policy, and neither is active');
SELECT pg_temp.refuses($$SELECT fn_iu_core_retention_policy_set('dot_iu_command_run', 90, 'a', 'r')$$, '23514',
  'iu_retention_target', 'the ledger of commands is no target');

-- ---- by actor

SELECT pg_temp.refuses($$SELECT pg_temp.take_back('a', true, 'dot_iu_command_run')$$, '23514',
  'iu_runtime_rollback_target', 'rows of another table are not taken back');
SELECT pg_temp.refuses($$SELECT pg_temp.take_back('a', true, NULL)$$, '23514', 'iu_runtime_rollback_target',
  'the table must be named');
SELECT pg_temp.refuses($$SELECT pg_temp.take_back(NULL)$$, '23514', 'iu_actor_required', 'the actor must be named');
SELECT pg_temp.refuses($$SELECT pg_temp.take_back('a', NULL)$$, '23514', 'iu_runtime_rollback_dry_run',
  'whether it is a dry run must be said');
SELECT pg_temp.refuses($$SELECT pg_temp.take_back('iu_3000x_smoke', false)$$, '42501', 'iu_retention_gate_closed',
  'while retention is closed no row is taken back');
SELECT is(pg_temp.runs() || ' ' || count(*), '0 5', 'what is refused takes nothing, and is not logged')
  FROM iu_three_axis_envelope_refresh_log;
SELECT is(pg_temp.take_back('iu_3000x_smoke'), 'iu_three_axis_envelope_refresh_log iu_3000x_smoke 2 0 t',
  'a dry run counts the rows of the actor');
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.retention_enabled';
SELECT is(pg_temp.take_back('iu_3000x_smoke', false), 'iu_three_axis_envelope_refresh_log iu_3000x_smoke 2 2 f',
  'while retention is open they are taken back');
SELECT is((SELECT string_agg(id::text, ' ' ORDER BY id) FROM iu_three_axis_envelope_refresh_log), '12 14 16',
  'and no row of another actor');
SELECT is(pg_temp.take_back('iu_3000x_smoke', false), 'iu_three_axis_envelope_refresh_log iu_3000x_smoke 0 0 f',
  'a second time there is nothing');
SELECT is((SELECT string_agg(concat_ws(' ', run_mode, run_status, evidence ->> 'rows_deleted',
      length(evidence ->> 'sha256'), actor), ', ' ORDER BY created_at)
    FROM dot_iu_command_run WHERE command_name = 'dot_iu_runtime_rollback_by_actor'),
  'plan planned 0 postgres, apply applied 2 64 postgres, apply applied 0 postgres',
  'each call is logged, with number and digest of the rows that went');
SELECT alike(pg_temp.as_role(r, $$SELECT rows_matching
    FROM fn_iu_runtime_rollback_by_actor('iu_three_axis_envelope_refresh_log', 'iu_5000x_pilot')$$), a,
  format('%s: %s', r, a)) FROM (VALUES ('iu_core_operator', '1'), ('iu_core_reader', '42501%'),
    ('iu_core_writer', '42501%'), ('iu_core_agent', '42501%')) v (r, a);

-- ---- by age

INSERT INTO iu_three_axis_envelope_trigger_error_log (trigger_name, host_table, tg_op, sqlstate, sqlerrm, captured_at)
  SELECT 't', 'h', 'UPDATE', '55P03', 'x', now() - make_interval(days => d) FROM unnest(ARRAY[1, 89, 91]) d;
UPDATE iu_three_axis_envelope_refresh_log SET started_at = now() - interval '40 days';
SELECT fn_iu_core_retention_policy_set('iu_three_axis_envelope_refresh_log', 30, 'ann', 'a month', true,
  ARRAY['iu_lifecycle_trigger', 'iu_5000x_pilot']);
SELECT fn_iu_core_retention_policy_set('iu_three_axis_envelope_trigger_error_log', 90, 'ann', 'a quarter');
SELECT results_eq($$SELECT target_table, rows_eligible, rows_deleted FROM fn_iu_core_retention_cleanup('ann', false)$$,
  $$VALUES ('iu_three_axis_envelope_refresh_log', 2::bigint, 2::bigint), ('iu_three_axis_envelope_trigger_error_log',
    1, 1)$$,
  'retention deletes what is older than the policies say');
SELECT is((SELECT string_agg(actor, ' ') FROM iu_three_axis_envelope_refresh_log), 'iu_4000x_operator',
  'and keeps what others left');

-- ---- down and up

SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(24)', '55006', 'currently OPEN',
  'a rollback is refused while a gate is open');
UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.retention_enabled';
SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(24)', '55006', 'would be lost',
  'a rollback is refused where policies that somebody set, or runs, would be lost');
CREATE TEMPORARY TABLE inventory AS SELECT * FROM iu_core.object_inventory();
SELECT count(*) AS steps FROM iu_core.rollback(24, false, true) \gset
SELECT is((SELECT count(*) FROM iu_core_retention_target WHERE target_table ~ 'envelope'), 0::bigint,
  'the rollback takes its targets away');
SELECT count(*) AS steps FROM iu_core.migrate() \gset
SELECT bag_eq('SELECT * FROM iu_core.object_inventory()', 'SELECT * FROM inventory',
  'down and up again every object is what it was');
SELECT finish();
ROLLBACK;
