-- Configuration, event, commands and refusals of 010.

INSERT INTO public.dot_config (key, value, description) VALUES
  ('iu_core.gate_approval_mode', 'default',
   'default: an operator may open with any approval id; anything else: the approval must be registered');

INSERT INTO public.event_type_registry
  (event_domain, event_type, event_stream, delivery_lane, default_severity, description) VALUES
  ('governance', 'gate_break_glass', 'alert', 'immediate', 'critical', 'a gate was opened without anybody''s approval');

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_gate_approval_grant',    'health', true, true,  ARRAY['fn_iu_gate_approval_grant']),
  ('dot_iu_gate_approval_revoke',   'health', true, false, ARRAY['fn_iu_gate_approval_revoke']),
  ('dot_iu_gate_approval_confirm',  'health', true, false, ARRAY['fn_iu_gate_approval_confirm']),
  ('dot_iu_gate_approvers_set',     'health', true, true,  ARRAY['fn_iu_gate_approvers_set']),
  ('dot_iu_gate_approval_mode_set', 'health', true, true,  ARRAY['fn_iu_gate_approval_mode_set']),
  ('dot_iu_gate_break_glass',       'health', true, false, ARRAY['fn_iu_gate_break_glass']);

SELECT iu.fn_iu_refusal_put(10, ARRAY[
  ['iu_approval_unregistered', 'IU101', 'The approval is not registered, and it has to be.',
   'Ask somebody else for one: fn_iu_gate_approval_grant.'],
  ['iu_approval_foreign', 'IU101',
   'The approval was granted in another place: before a restore, or in the original of a copy.',
   'Ask for another one, or confirm it with fn_iu_place_confirm.'],
  ['iu_approval_used', 'IU102', 'The approval was used, and it is good for one use.', 'Ask for another one.'],
  ['iu_approval_expired', 'IU103', 'The approval expired.', 'Ask for another one.'],
  ['iu_approval_future', 'IU103', 'The approval is dated in the future of the clock, which was set back.',
   'Ask for another one.'],
  ['iu_approval_revoked', 'IU104', 'The approval was revoked.', 'Ask who revoked it; the error names the role.'],
  ['iu_approval_gate', 'IU105', 'The approval is for another gate.', 'Use the right one.'],
  ['iu_approval_action', 'IU105', 'The approval is for another action.', 'Use the right one.'],
  ['iu_approval_role', 'IU105', 'The approval is for another role, or for one of the same name that is gone.',
   'Use the right one, or ask for another one.'],
  ['iu_approval_unnamed', 'IU105', 'The approval names nobody, and is for operators only.',
   'Ask for one that is granted to you.'],
  ['iu_approval_closed', 'IU109', 'Somebody else than the holder closed the gate of the standing approval.',
   'Have one who may approve for the gate confirm it: fn_iu_gate_approval_confirm.'],
  ['iu_approval_own', 'IU106', 'The approval was granted by the one who opens.',
   'Somebody else opens on it, or grants another one.'],
  ['iu_approval_grantor', 'IU107', 'Who granted the approval may not approve for the gate.',
   'Ask one who may; iu_gate_approver has the lists.'],
  ['iu_approval_ttl', 'IU108', 'The approval allows a shorter time.', 'Open for less.'],
  ['iu_approval_ends', 'IU108', 'The standing approval ends before the opening would.', 'Open for less.'],
  ['iu_approval_kind', '23514', 'The kind of the approval is not one of those there are.', 'Give single or standing.'],
  ['iu_approval_what', '23514', 'The action of the approval is not one of those there are.', 'Give open or renew.'],
  ['iu_approval_standing_open', '23514', 'A standing approval is to open, and covers renewals.', 'Give open.'],
  ['iu_approval_max_ttl', '23514', 'The longest time of an opening is out of range.', 'Give 1 to 3600 seconds.'],
  ['iu_approval_end', '23514', 'The end of the approval has passed or is too far away.',
   'Give a time to come, within 366 days.'],
  ['iu_role_unknown', '42704', 'There is no such role.', 'Give the name of a role.'],
  ['iu_approval_to_oneself', 'IU106', 'Nobody approves what he opens himself.', 'Somebody else grants it.'],
  ['iu_approver_not_listed', 'IU107', 'Who acts may not approve for the gate.',
   'Ask one who may; iu_gate_approver has the lists.'],
  ['iu_approval_registered', '42710', 'There is an approval of that id already.', 'Give another id, or none.'],
  ['iu_approval_unknown', 'IU101', 'There is no registered approval of that id.',
   'See v_iu_gate_approval for the approvals.'],
  ['iu_approval_by_hand', '23514', 'What the server sets in an approval was given by hand.',
   'Leave these columns out.'],
  ['iu_approvers_null', '23514', 'The list of who may approve is NULL, or has a NULL.',
   'Give a list of roles; an empty one stands for iu_core_operator.'],
  ['iu_approval_mode', '23514', 'The approval mode is not one of those there are.', 'Give default or strict.'],
  ['iu_approval_mode_row', '42704', 'The approval mode has no row in dot_config, which reads as strict.',
   'Put the row iu_core.gate_approval_mode back.'],
  ['iu_break_glass_reason', '23514', 'Why nobody else approves was left out.', 'Say it.'],
  ['iu_break_glass', '01000', 'A gate was opened without anybody''s approval; this is a warning.',
   'Find out why, and look at what was done meanwhile.'],
  ['iu_rollback_strict', '55006', 'Approvals are strict, which a rollback would undo.',
   'Set the mode to default with fn_iu_gate_approval_mode_set.'],
  ['iu_rollback_routes', '55006', 'Routes carry an event that the rollback takes away.', 'Retire these routes.']]);
