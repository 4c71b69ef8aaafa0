-- Undoes 001. What migrations put into dot_config and the register is gone by
-- now, so a row left there is somebody's data.

DO $guard$
DECLARE
  v_left text;
BEGIN
  SELECT string_agg(DISTINCT g.migration::text, ', ') INTO v_left
    FROM public.iu_governed_object g WHERE g.migration <> 1;
  IF v_left IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = 'rollback refused: later migrations still have registered objects',
      DETAIL = format('Migrations: %s.', v_left), HINT = 'Roll them back first.',
      CONSTRAINT = 'iu_rollback_registered';
  END IF;
END
$guard$;
SELECT iu_core.guard_rows('public.dot_config');

DROP VIEW public.v_iu_unfit_login;
DROP FUNCTION public.fn_iu_login_problems;
DROP FUNCTION iu.fn_iu_login_problems;
DROP VIEW public.v_iu_conformance;
DROP FUNCTION public.fn_iu_conformance_repair;
DROP FUNCTION iu.fn_iu_conformance_repair;
DROP FUNCTION iu.fn_iu_conformance_mend;
DROP FUNCTION iu.fn_iu_partitions_mend;
DROP FUNCTION iu.fn_iu_conformance_advice;
DROP FUNCTION iu.fn_iu_subscriptions_repair;
DROP FUNCTION iu.fn_iu_trigger_repair;
DROP FUNCTION iu.fn_iu_grants_repair;
DROP FUNCTION iu.fn_iu_conformance_require;
DROP FUNCTION public.fn_iu_conformance;
DROP FUNCTION iu.fn_iu_conformance_problems;
DROP FUNCTION iu.fn_iu_conformance;
DROP FUNCTION iu.fn_iu_conformance_findings;
DROP FUNCTION iu.fn_iu_governed_states;
DROP FUNCTION iu.fn_iu_refuse_locked;
DROP FUNCTION iu.fn_iu_troubles_of_locks;
DROP FUNCTION iu.fn_iu_tables_locked;
DROP FUNCTION iu.fn_iu_process_told;
DROP FUNCTION iu.fn_iu_walls;
DROP FUNCTION iu.fn_iu_breached_partitions;
DROP FUNCTION iu.fn_iu_partition_extras;
DROP FUNCTION iu.fn_iu_partition_key;
DROP FUNCTION iu.fn_iu_partition_bound;
DROP FUNCTION iu.fn_iu_partition_day;
DROP FUNCTION iu.fn_iu_partitions;
DROP FUNCTION iu.fn_iu_breached_rights;
DROP FUNCTION iu.fn_iu_breached_tables;
DROP FUNCTION iu.fn_iu_planted_names;
DROP FUNCTION iu.fn_iu_ungovern_row;
DROP FUNCTION iu.fn_iu_govern_row;
DROP FUNCTION iu.fn_iu_rollback_is_complete;
DROP FUNCTION iu.fn_iu_leave_out_subscriptions;
DROP FUNCTION iu.fn_iu_subscription_triggers;
DROP FUNCTION iu.fn_iu_published_whole;
DROP FUNCTION iu.fn_iu_govern;
DROP TABLE public.iu_governed_object;
DROP TABLE public.dot_config;
DROP FUNCTION iu.fn_dot_config_touch;
DROP FUNCTION iu.fn_iu_numbers_kept;

DO $check$
DECLARE
  v_left text;
BEGIN
  SELECT string_agg(i.object_name, ', ') INTO v_left
    FROM iu_core.object_names() i WHERE i.owner = 'iu_core_owner' AND i.object_class <> 'schema';
  IF v_left IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = 'rollback of migration 1 is incomplete',
      DETAIL = format('Still there: %s.', v_left), CONSTRAINT = 'iu_rollback_incomplete';
  END IF;
END
$check$;
