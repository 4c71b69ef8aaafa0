-- Undoes 039: commands are run by calling their functions. What the runtime wrote into
-- the ledger stays, as the rows of those commands. Refuses while a gate is open, or
-- demands the invariant of 039.
SELECT iu.fn_iu_rollback_guard();
SELECT iu.fn_iu_invariant_undefine(39);

DROP VIEW iu.v_iu_command_uncovered;
DROP VIEW public.v_iu_command_coverage;
DROP FUNCTION public.fn_dot_iu_command_verify;
DROP FUNCTION iu.fn_dot_iu_command_verify;
DROP FUNCTION public.fn_dot_iu_command_apply;
DROP FUNCTION iu.fn_dot_iu_command_apply;
DROP FUNCTION iu.fn_iu_command_carry_out;
DROP FUNCTION public.fn_dot_iu_command_plan;
DROP FUNCTION iu.fn_dot_iu_command_plan;
DROP FUNCTION iu.fn_iu_command_check;
DROP FUNCTION iu.fn_iu_command_call;
DROP FUNCTION iu.fn_iu_command_refuse;
DROP FUNCTION iu.fn_iu_command_row;
DROP FUNCTION iu.fn_iu_command_gates_refusal;
DROP FUNCTION iu.fn_iu_command_closed;
DROP FUNCTION iu.fn_iu_command_gates;
DROP FUNCTION iu.fn_iu_command_outcome;
DROP FUNCTION iu.fn_iu_command_params_problem;
DROP FUNCTION iu.fn_iu_command_params_of;
DROP FUNCTION iu.fn_iu_command_is_dry;
DROP FUNCTION iu.fn_iu_command_statement;
DROP FUNCTION iu.fn_iu_command_target;
DROP FUNCTION iu.fn_iu_command_arguments;
DROP FUNCTION iu.fn_iu_command_exempt;
DROP TABLE public.iu_command_exemption;
DROP FUNCTION iu.fn_iu_command_done_put;
DROP TABLE public.iu_command_done;
DROP FUNCTION iu.fn_iu_command_gate_put;
DROP TABLE public.iu_command_gate;
SELECT iu.fn_iu_gate_unregister(39);
