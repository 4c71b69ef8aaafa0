-- Undoes 003. Refuses while a gate is open: nothing would be left to close it.
SELECT iu.fn_iu_rollback_guard();
DO $guard$
DECLARE
  v_left text;
BEGIN
  SELECT string_agg(r.gate_key, ', ' ORDER BY r.gate_key) INTO v_left
    FROM public.iu_gate_registry r WHERE r.migration <> 3;
  IF v_left IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = 'rollback refused: gates of later migrations are still registered',
      DETAIL = format('Gates: %s.', v_left);
  END IF;
END
$guard$;
SELECT iu_core.guard_rows('public.iu_gate_transition');
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_gate_open', 'dot_iu_gate_close',
  'dot_iu_gate_watchdog', 'dot_iu_gate_verify_closed']);

SELECT iu.fn_iu_gate_unregister(3);

DROP FUNCTION public.fn_iu_vector_sync_enabled;
DROP FUNCTION public.fn_dot_iu_operator_runtime_enabled;
DROP FUNCTION public.fn_iu_composer_enabled;
DROP FUNCTION public.fn_iu_delivery_enabled;
DROP FUNCTION public.fn_iu_structure_ops_enabled;
DROP FUNCTION iu.fn_iu_rollback_guard;
DROP FUNCTION iu.fn_iu_gate_unregister;
DROP FUNCTION iu.fn_iu_gate_register;
DROP FUNCTION public.fn_iu_gate_watchdog;
DROP FUNCTION iu.fn_iu_gate_watchdog;
DROP FUNCTION iu.fn_iu_gate_close_expired;
DROP FUNCTION public.fn_iu_gate_blocker;
DROP FUNCTION iu.fn_iu_gate_blocker;
DROP FUNCTION iu.fn_iu_gate_expiring;
DROP FUNCTION public.fn_iu_gate_close;
DROP FUNCTION iu.fn_iu_gate_close;
DROP FUNCTION public.fn_iu_gate_open;
DROP FUNCTION iu.fn_iu_gate_open;
DROP FUNCTION public.fn_iu_gate_ledger_excerpt;
DROP FUNCTION iu.fn_iu_gate_ledger_excerpt;
DROP FUNCTION public.fn_iu_gate_ledger_verify;
DROP FUNCTION iu.fn_iu_gate_ledger_verify;
DROP FUNCTION iu.fn_iu_gate_demands;
DROP FUNCTION iu.fn_iu_gate_held_by;
DROP FUNCTION iu.fn_iu_gate_renew;
DROP FUNCTION iu.fn_iu_gate_approval_due;
DROP FUNCTION iu.fn_iu_gate_approval_use;
DROP FUNCTION public.fn_iu_gate_verify_closed;
DROP FUNCTION iu.fn_iu_gate_verify_closed;
DROP FUNCTION iu.fn_iu_gate_snapshot;
DROP VIEW public.v_iu_gate_holder;
DROP VIEW public.v_iu_gate;
DROP TRIGGER trg_dot_config_gate_changed ON public.dot_config;
DROP TRIGGER trg_dot_config_gate_ended ON public.dot_config;
DROP TRIGGER trg_dot_config_gates_ended ON public.dot_config;
DROP FUNCTION iu.fn_iu_gate_ended;
DROP FUNCTION iu.fn_iu_gate_transition_hash;
DROP TABLE public.iu_gate_transition;
DROP TABLE public.iu_gate_registry;
DROP FUNCTION iu.fn_iu_gate_transition_stamp;
