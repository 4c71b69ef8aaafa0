-- Who may read and use what 037 brings, its commands, surfaces, invariant and refusals.

GRANT SELECT ON
    public.iu_structure_operation, public.iu_relation, public.v_iu_structure_operation_log,
    public.v_iu_relation_parent_check
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_structure_op_plan, iu.fn_iu_structure_op_plan,
    public.fn_iu_structure_op_apply, iu.fn_iu_structure_op_apply
  TO iu_core_writer, iu_core_agent;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_structure_op_verify, iu.fn_iu_structure_op_verify
  TO iu_core_reader, iu_core_writer, iu_core_agent;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_structure_op_rollback, iu.fn_iu_structure_op_rollback
  TO iu_core_operator;

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions, logged_by)
  VALUES
  ('dot_iu_structure_op_plan', 'piece', true, false, ARRAY['fn_iu_structure_op_plan'], 'runtime'),
  ('dot_iu_structure_op_apply', 'piece', true, true, ARRAY['fn_iu_structure_op_apply'], 'runtime'),
  ('dot_iu_structure_op_verify', 'piece', false, false, ARRAY['fn_iu_structure_op_verify'], 'caller'),
  ('dot_iu_structure_op_rollback', 'piece', true, false, ARRAY['fn_iu_structure_op_rollback'], 'runtime');

SELECT iu.fn_iu_surface_define(37, 'iu_structure_operation', 'iu_structure_operation', 'query',
  $$SELECT count(*) FROM public.iu_structure_operation$$, p_sort_order => 17);
SELECT iu.fn_iu_surface_define(37, 'iu_relation', 'iu_relation', 'query',
  $$SELECT count(*) FROM public.iu_relation r WHERE r.relation_status = 'active'$$, p_sort_order => 18);

SELECT iu.fn_iu_invariant_define(37, 'iu.relation_parent', 'public.v_iu_relation_parent_check',
  'A unit is under the parent that its relation says.', p_every_seconds => 3600, p_timeout_ms => 60000);

SELECT iu.fn_iu_refusal_put(37, ARRAY[
  ['iu_structure_gate_closed', '42501', 'Structure operations are closed.',
   'Open gate iu_core.structure_ops_enabled with fn_iu_gate_open, with an approval and a time limit.'],
  ['iu_structure_blocked', '42501', 'Structure operations and relations are written by functions only.',
   'Use fn_iu_structure_op_plan, fn_iu_structure_op_apply and fn_iu_structure_op_rollback.'],
  ['iu_structure_unchanged', '42501', 'Of an operation or a relation nothing changes but its status.',
   'Plan another operation, or take this one back with fn_iu_structure_op_rollback.']]);
