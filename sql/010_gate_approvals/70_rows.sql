INSERT INTO public.dot_config (key, value, description) VALUES
  ('iu_core.gate_approval_mode', 'default', 'default: an operator may open with any approval id; anything else: the approval must be registered');

INSERT INTO public.event_type_registry
  (event_domain, event_type, event_stream, delivery_lane, default_severity, description) VALUES
  ('governance', 'gate_break_glass', 'alert', 'immediate', 'critical', 'a gate was opened without anybody''s approval');

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_gate_approval_grant',    'health', true, true,  ARRAY['fn_iu_gate_approval_grant']),
  ('dot_iu_gate_approval_revoke',   'health', true, false, ARRAY['fn_iu_gate_approval_revoke']),
  ('dot_iu_gate_approvers_set',     'health', true, true,  ARRAY['fn_iu_gate_approvers_set']),
  ('dot_iu_gate_approval_mode_set', 'health', true, true,  ARRAY['fn_iu_gate_approval_mode_set']);
