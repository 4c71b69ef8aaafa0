-- 025 envelope retention: the logs of 023 and 024 become targets of retention, and
-- the rows of one actor can be taken back, as after a rehearsal.

-- A row of the error log belongs to the trigger that failed.
INSERT INTO public.iu_core_retention_target (target_table, age_column, actor_column, condition, migration) VALUES
  ('iu_three_axis_envelope_refresh_log', 'started_at', 'actor', 'true', 25),
  ('iu_three_axis_envelope_trigger_error_log', 'captured_at', 'trigger_name', 'true', 25);
INSERT INTO public.iu_core_retention_policy (target_table, age_column, keep_days, actor_scope, reason) VALUES
  ('iu_three_axis_envelope_refresh_log', 'started_at', 30, ARRAY['iu_lifecycle_trigger', 'iu_5000x_pilot'],
   'refreshes by trigger, one for each statement, are looked into for a month'),
  ('iu_three_axis_envelope_trigger_error_log', 'captured_at', 90, NULL,
   'errors of a quarter are enough to see what recurs');
