-- Undoes 008: gates demand nothing any more. Refuses while a gate is open, and
-- where invariants, demands, the log of checks or of commands would be lost.
SELECT iu.fn_iu_rollback_guard();
SELECT iu_core.guard_rows('public.iu_gate_demand');
SELECT iu_core.guard_rows('public.iu_invariant');
SELECT iu_core.guard_rows('public.iu_invariant_run');
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_invariant_register', 'dot_iu_invariant_enable',
  'dot_iu_invariant_unregister', 'dot_iu_invariant_check', 'dot_iu_gate_demand_set',
  'dot_iu_gate_demand_unset']);
DELETE FROM public.iu_refusal WHERE migration = 8;

DROP FUNCTION iu.fn_iu_gate_demands_met;
DROP FUNCTION public.fn_iu_gate_demand_unset;
DROP FUNCTION iu.fn_iu_gate_demand_unset;
DROP FUNCTION public.fn_iu_gate_demand_set;
DROP FUNCTION iu.fn_iu_gate_demand_set;
DROP VIEW public.v_iu_invariant_watermark;
DROP VIEW public.v_iu_invariant;
DROP FUNCTION iu.fn_iu_schedule_turn;
DROP FUNCTION iu.fn_iu_schedule_begin;
DROP FUNCTION iu.fn_iu_schedule_begun;
DROP FUNCTION iu.fn_iu_schedule_due;
DROP FUNCTION iu.fn_iu_schedule_chore;
DROP FUNCTION public.fn_iu_invariant_check;
DROP FUNCTION iu.fn_iu_invariant_check;
DROP FUNCTION iu.fn_iu_invariant_check_as;
DROP FUNCTION iu.fn_iu_invariant_record;
DROP FUNCTION iu.fn_iu_invariant_log_run;
DROP FUNCTION iu.fn_iu_invariant_settle;
DROP FUNCTION iu.fn_iu_invariant_remember;
DROP FUNCTION iu.fn_iu_invariant_turned;
DROP FUNCTION iu.fn_iu_invariant_measure;
DROP FUNCTION iu.fn_iu_invariant_found_values;
DROP FUNCTION iu.fn_iu_invariant_found_keys;
DROP FUNCTION iu.fn_iu_invariant_query;
DROP FUNCTION iu.fn_iu_read;
DROP FUNCTION public.fn_iu_invariant_unregister;
DROP FUNCTION iu.fn_iu_invariant_unregister;
DROP FUNCTION public.fn_iu_invariant_enable;
DROP FUNCTION iu.fn_iu_invariant_enable;
DROP FUNCTION public.fn_iu_invariant_register;
DROP FUNCTION iu.fn_iu_invariant_register;
DROP FUNCTION iu.fn_iu_invariant_undefine;
DROP FUNCTION iu.fn_iu_invariant_define;
DROP FUNCTION iu.fn_iu_invariant_put;
DROP FUNCTION iu.fn_iu_invariant_change;
DROP FUNCTION iu.fn_iu_invariant_add;
DROP FUNCTION iu.fn_iu_invariant_require_view;
DROP FUNCTION iu.fn_iu_invariant_problem;
DROP FUNCTION iu.fn_iu_view_problem;
DROP FUNCTION iu.fn_iu_view_uses;
DROP TABLE public.iu_gate_demand;
DROP TABLE public.iu_invariant_run;
DROP TABLE public.iu_invariant_key;
DROP TABLE public.iu_invariant_state;
DROP TABLE public.iu_invariant;
