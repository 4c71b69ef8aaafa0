INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_gate_open', 'health', true, true, ARRAY['fn_iu_gate_open']),
  ('dot_iu_gate_close', 'health', true, true, ARRAY['fn_iu_gate_close']),
  ('dot_iu_gate_watchdog', 'health', true, true, ARRAY['fn_iu_gate_watchdog']),
  ('dot_iu_gate_verify_closed', 'read', false, true, ARRAY['fn_iu_gate_verify_closed']);

SELECT iu.fn_iu_gate_register(3, g.gate_key, g.gate_class, g.description)
  FROM (VALUES
    ('iu_core.composer_enabled', 'governable', 'Composing, collections and cutting'),
    ('iu_core.structure_ops_enabled', 'governable', 'Applying and rolling back structure operations'),
    ('iu_core.delivery_enabled', 'governable', 'Live delivery along routes'),
    ('iu_core.three_axis_auto_refresh_enabled', 'governable', 'Refreshing the three-axis envelope by trigger'),
    ('iu_core.operator_runtime_enabled', 'governable', 'Applying commands in the operator runtime'),
    ('queue.job_substrate.enabled', 'governable', 'Running jobs of the queue'),
    ('queue.dlq.replay_enabled', 'governable', 'Replaying dead letters'),
    ('iu_enact.allow_no_review_decision', 'never_flip', 'Enacting without a review decision'),
    ('iu_core.vector_sync_enabled', 'never_flip', 'Recording a vector point as indexed')
  ) AS g (gate_key, gate_class, description);

DO $check$
BEGIN
  IF NOT (iu.fn_iu_gate_verify_closed('migration 003') ->> 'all_safe')::boolean THEN
    RAISE object_not_in_prerequisite_state USING MESSAGE = 'migration 003 left a gate open';
  END IF;
END
$check$;
