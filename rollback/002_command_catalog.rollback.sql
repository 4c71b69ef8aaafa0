-- Undoes 002. The commands of later migrations went with them: what is left in
-- the catalogue or the ledger is somebody's data.
SELECT iu_core.guard_rows('public.dot_iu_command_run');
SELECT iu_core.guard_rows('public.dot_iu_command_catalog', $$command_name <> 'dot_iu_conformance_repair'$$);

DO $guard$
DECLARE
  v_left text;
BEGIN
  SELECT string_agg(DISTINCT r.migration::text, ', ') INTO v_left FROM public.iu_refusal r WHERE r.migration > 2;
  IF v_left IS NOT NULL THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = 'rollback refused: refusals of later migrations are still listed',
      DETAIL = format('Migrations: %s.', v_left), CONSTRAINT = 'iu_rollback_order',
      HINT = 'Roll them back first.';
  END IF;
END
$guard$;

DROP FUNCTION iu.fn_iu_hook_functions;
DROP FUNCTION iu.fn_iu_hook_remove;
DROP FUNCTION iu.fn_iu_hook_add;
DROP FUNCTION iu.fn_iu_hook_problem;
DROP TABLE iu.hook;
DROP VIEW public.v_dot_iu_command_run_health;
DROP VIEW public.v_dot_iu_command_registry;
DROP FUNCTION iu.fn_dot_iu_command_forget;
DROP FUNCTION iu.fn_dot_iu_command_note;
DROP FUNCTION iu.fn_iu_require_reason;
DROP FUNCTION iu.fn_iu_require_actor;
DROP FUNCTION iu.fn_iu_require_effect;
DROP FUNCTION iu.fn_iu_in_the_way;
DROP FUNCTION iu.fn_iu_keys_shown;
DROP FUNCTION iu.fn_iu_require_text;
DROP FUNCTION iu.fn_iu_require_form;
DROP FUNCTION iu.fn_iu_require_value;
DROP FUNCTION iu.fn_iu_require_read_committed;
DROP FUNCTION public.fn_dot_iu_command_log;
DROP FUNCTION iu.fn_dot_iu_command_log;
DROP FUNCTION iu.fn_dot_iu_command_write;
DROP TABLE public.dot_iu_command_run;
DROP TABLE public.dot_iu_command_catalog;
DROP FUNCTION iu.fn_iu_refusal_put;
DROP TABLE public.iu_refusal;
DROP FUNCTION iu.fn_iu_append_only;
