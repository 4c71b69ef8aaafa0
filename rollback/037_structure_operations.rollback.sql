-- Undoes 037. Units that operations made, moved or took out of use stay as they are.
-- Refuses while a gate is open, and where operations, relations or the log of its
-- commands would be lost.
SELECT iu.fn_iu_rollback_guard();
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_structure_op_plan', 'dot_iu_structure_op_apply',
  'dot_iu_structure_op_verify', 'dot_iu_structure_op_rollback']);
SELECT iu_core.guard_rows('public.iu_structure_operation');
SELECT iu_core.guard_rows('public.iu_relation');
DELETE FROM public.iu_refusal WHERE migration = 37;
SELECT iu.fn_iu_surface_undefine(37);
SELECT iu.fn_iu_invariant_undefine(37);
SELECT iu.fn_iu_hook_remove(37);

DROP VIEW public.v_iu_relation_parent_check;
DROP VIEW public.v_iu_structure_operation_log;
DROP FUNCTION public.fn_iu_structure_op_verify;
DROP FUNCTION iu.fn_iu_structure_op_verify;
DROP FUNCTION iu.fn_iu_structure_checks;
DROP FUNCTION public.fn_iu_structure_op_rollback;
DROP FUNCTION iu.fn_iu_structure_op_rollback;
DROP FUNCTION iu.fn_iu_structure_rollback_write;
DROP FUNCTION iu.fn_iu_structure_rollback_check;
DROP FUNCTION iu.fn_iu_structure_created;
DROP FUNCTION iu.fn_iu_structure_use;
DROP FUNCTION public.fn_iu_structure_op_apply;
DROP FUNCTION iu.fn_iu_structure_op_apply;
DROP FUNCTION iu.fn_iu_structure_op_write;
DROP FUNCTION iu.fn_iu_structure_status_answer;
DROP FUNCTION iu.fn_iu_structure_call_refusal;
DROP FUNCTION iu.fn_iu_structure_events;
DROP FUNCTION iu.fn_iu_structure_relate;
DROP FUNCTION iu.fn_iu_structure_move;
DROP FUNCTION iu.fn_iu_structure_restore;
DROP FUNCTION iu.fn_iu_structure_deprecate;
DROP FUNCTION iu.fn_iu_structure_mint;
DROP FUNCTION iu.fn_iu_structure_tree_lock;
DROP FUNCTION iu.fn_iu_structure_lock;
DROP FUNCTION public.fn_iu_structure_op_plan;
DROP FUNCTION iu.fn_iu_structure_op_plan;
DROP FUNCTION iu.fn_iu_structure_impact;
DROP FUNCTION iu.fn_iu_structure_op_known;
DROP FUNCTION iu.fn_iu_structure_op_check;
DROP FUNCTION iu.fn_iu_structure_rows_refusal;
DROP FUNCTION iu.fn_iu_structure_rows;
DROP FUNCTION iu.fn_iu_structure_move_refusal;
DROP FUNCTION iu.fn_iu_structure_units_refusal;
DROP FUNCTION iu.fn_iu_structure_source_refusal;
DROP FUNCTION iu.fn_iu_structure_op_input;
DROP FUNCTION iu.fn_iu_structure_pieces_refusal;
DROP FUNCTION iu.fn_iu_structure_ids_fit;
DROP FUNCTION iu.fn_iu_structure_rules;
DROP FUNCTION iu.fn_iu_structure_require;
DROP TABLE public.iu_relation;
DROP TABLE public.iu_structure_operation;
DROP FUNCTION iu.fn_iu_structure_unchanged;
DROP FUNCTION iu.fn_iu_structure_guard;
SELECT iu.fn_iu_gate_unregister(37);
