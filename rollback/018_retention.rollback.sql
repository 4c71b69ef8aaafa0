-- Undoes 018: the policies go. What was deleted stays so. Refuses while a gate
-- is open, and where somebody set a policy or the log would be lost.
SELECT iu.fn_iu_rollback_guard();
SELECT iu_core.guard_rows('public.iu_core_retention_policy', 'set_by IS NOT NULL');
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_retention_policy_set',
  'dot_iu_retention_cleanup']);
DELETE FROM public.iu_refusal WHERE migration = 18;

DROP FUNCTION public.fn_iu_core_retention_cleanup;
DROP FUNCTION iu.fn_iu_core_retention_cleanup;
DROP FUNCTION iu.fn_iu_core_retention_attempts;
DROP FUNCTION iu.fn_iu_core_retention_delete;
DROP VIEW public.v_iu_core_retention_candidates;
DROP FUNCTION iu.fn_iu_core_retention_candidates;
DROP FUNCTION public.fn_iu_core_retention_policy_set;
DROP FUNCTION iu.fn_iu_core_retention_policy_set;
DROP FUNCTION iu.fn_iu_core_retention_where;
DROP FUNCTION iu.fn_iu_core_retention_cutoff;
DROP TABLE public.iu_core_retention_policy;
DROP TABLE public.iu_core_retention_target;
DROP FUNCTION public.fn_iu_core_retention_enabled;

SELECT iu.fn_iu_gate_unregister(18);
