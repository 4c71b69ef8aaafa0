-- Undoes 016: decisions and the ledger of the lifecycle go; the status of units
-- stays. Refuses while a gate is open, and where decisions, the ledger or the log
-- would be lost.
SELECT iu.fn_iu_rollback_guard();
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_review_decision_record', 'dot_iu_enact']);
SELECT iu_core.guard_rows('public.iu_lifecycle_log');
SELECT iu_core.guard_rows('cutter_governance.review_decision');
SELECT iu_core.guard_rows('cutter_governance.manifest_envelope');
DELETE FROM public.iu_refusal WHERE migration = 16;
SELECT iu.fn_iu_surface_undefine(16);

DROP VIEW public.v_iu_review_decision;
DROP FUNCTION public.fn_iu_enact_many;
DROP FUNCTION iu.fn_iu_enact_many;
DROP FUNCTION public.fn_iu_enact;
DROP FUNCTION iu.fn_iu_enact;
DROP FUNCTION iu.fn_iu_enact_write;
DROP FUNCTION iu.fn_iu_enact_check;
DROP FUNCTION iu.fn_iu_fsm_denied;
DROP FUNCTION iu.fn_iu_act_check;
DROP FUNCTION iu.fn_iu_lifecycle_write;
DROP FUNCTION public.fn_iu_review_decision_check;
DROP FUNCTION iu.fn_iu_review_decision_check;
DROP FUNCTION iu.fn_iu_decision_other_text;
DROP FUNCTION iu.fn_iu_decision_is_own;
DROP FUNCTION public.fn_iu_review_decision_record;
DROP FUNCTION iu.fn_iu_review_decision_record;
DROP FUNCTION iu.fn_iu_decision_check;
DROP FUNCTION iu.fn_iu_decision_units;
DROP FUNCTION iu.fn_iu_text_to_decide;

DROP TABLE public.iu_lifecycle_log;
DROP TABLE public.iu_lifecycle_vocab;
DROP TABLE cutter_governance.review_decision;
DROP TABLE cutter_governance.manifest_unit_block;
DROP TABLE cutter_governance.manifest_envelope;
DROP FUNCTION iu.fn_iu_lifecycle_log_guard;
DROP FUNCTION iu.fn_iu_review_decision_once;

SELECT iu.fn_iu_gate_unregister(16);
