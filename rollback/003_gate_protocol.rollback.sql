-- Undoes 003. Refuses while a gate is open: nothing would be left to close it.
SELECT iu.fn_iu_rollback_guard();
DO $guard$
DECLARE
  v_left text;
BEGIN
  SELECT string_agg(format('%s (%s)', r.gate_key, coalesce('migration ' || r.migration, 'of the platform')), ', '
                    ORDER BY r.gate_key) INTO v_left
    FROM public.iu_gate_registry r WHERE r.migration IS DISTINCT FROM 3;
  IF v_left IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = 'rollback refused: gates that 003 did not bring are still registered',
      DETAIL = format('Gates: %s.', v_left), CONSTRAINT = 'iu_rollback_gates_left',
      HINT = 'Roll their migrations back; an administrator undefines those of the platform with fn_iu_gate_undefine.';
  END IF;
END
$guard$;
SELECT iu_core.guard_rows('public.iu_gate_transition');
SELECT iu_core.guard_rows('public.iu_gate_revocation');
SELECT iu_core.guard_rows('public.iu_place', $$began <> 'first'$$);
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_gate_open', 'dot_iu_gate_close',
  'dot_iu_gate_watchdog', 'dot_iu_gate_verify_closed', 'dot_iu_gate_define', 'dot_iu_gate_undefine',
  'dot_iu_gate_unblock', 'dot_iu_place_confirm']);
DELETE FROM public.iu_refusal WHERE migration = 3;

SELECT iu.fn_iu_gate_unregister(3);

DROP FUNCTION public.fn_iu_vector_sync_enabled;
DROP FUNCTION public.fn_dot_iu_operator_runtime_enabled;
DROP FUNCTION public.fn_iu_composer_enabled;
DROP FUNCTION public.fn_iu_delivery_enabled;
DROP FUNCTION public.fn_iu_structure_ops_enabled;
DROP FUNCTION public.fn_iu_gate_undefine;
DROP FUNCTION iu.fn_iu_gate_undefine;
DROP FUNCTION public.fn_iu_gate_define;
DROP FUNCTION iu.fn_iu_gate_define;
DROP FUNCTION iu.fn_iu_rollback_guard;
DROP FUNCTION iu.fn_iu_gate_unregister;
DROP FUNCTION iu.fn_iu_gate_register;
DROP FUNCTION public.fn_iu_gate_watchdog;
DROP FUNCTION iu.fn_iu_gate_watchdog;
DROP FUNCTION iu.fn_iu_gate_close_overstayed;
DROP FUNCTION iu.fn_iu_gate_close_expired;
DROP FUNCTION iu.fn_iu_gate_watchdog_close;
DROP FUNCTION iu.fn_iu_gate_try_lock;
DROP FUNCTION public.fn_iu_gate_blocker;
DROP FUNCTION iu.fn_iu_gate_blocker;
DROP FUNCTION public.fn_iu_gate_unblock;
DROP FUNCTION iu.fn_iu_gate_unblock;
DROP FUNCTION iu.fn_iu_gate_blockers;
DROP FUNCTION iu.fn_iu_gate_row_holders;
DROP FUNCTION iu.fn_iu_gate_expiring;
DROP FUNCTION public.fn_iu_gate_close;
DROP FUNCTION iu.fn_iu_gate_close;
DROP FUNCTION public.fn_iu_gate_open;
DROP FUNCTION iu.fn_iu_gate_open;
DROP FUNCTION iu.fn_iu_gate_may_open;
DROP FUNCTION iu.fn_iu_gate_lock;
DROP FUNCTION iu.fn_iu_gate_require_closer;
DROP FUNCTION iu.fn_iu_gate_require_governable;
DROP FUNCTION public.fn_iu_gate_ledger_excerpt;
DROP FUNCTION iu.fn_iu_gate_ledger_excerpt;
DROP FUNCTION public.fn_iu_gate_ledger_verify;
DROP FUNCTION iu.fn_iu_gate_ledger_verify;
DROP FUNCTION iu.fn_iu_markdown_table;
DROP FUNCTION iu.fn_iu_markdown_row;
DROP FUNCTION iu.fn_iu_gate_demands;
DROP FUNCTION iu.fn_iu_same_person;
DROP FUNCTION iu.fn_iu_require_caller;
DROP FUNCTION iu.fn_iu_gate_is_mine;
DROP FUNCTION iu.fn_iu_gate_held_by;
DROP FUNCTION iu.fn_iu_gate_is_to_reopen;
DROP FUNCTION iu.fn_iu_gate_renew;
DROP FUNCTION iu.fn_iu_gate_is_standing;
DROP FUNCTION iu.fn_iu_gate_approval_due;
DROP FUNCTION iu.fn_iu_gate_approval_use;
DROP FUNCTION public.fn_iu_gate_verify_closed;
DROP FUNCTION iu.fn_iu_gate_verify_closed;
DROP FUNCTION iu.fn_iu_gate_snapshot;
DROP VIEW public.v_iu_gate_holder;
DROP VIEW public.v_iu_gate;
DROP TRIGGER trg_dot_config_gate_changing ON public.dot_config;
DROP TRIGGER trg_dot_config_gate_changed ON public.dot_config;
DROP TRIGGER trg_dot_config_gate_ended ON public.dot_config;
DROP TRIGGER trg_dot_config_gates_ended ON public.dot_config;
DROP FUNCTION iu.fn_iu_gate_ended;
DROP FUNCTION iu.fn_iu_gate_log;
DROP FUNCTION iu.fn_iu_gate_value_problem;
DROP FUNCTION iu.fn_iu_gate_transit;
DROP FUNCTION iu.fn_iu_gate_transition_hash;
DROP TABLE public.iu_gate_transition;
DROP TABLE public.iu_gate_revocation;
DROP FUNCTION iu.fn_iu_gate_approval_mark;
DROP TABLE public.iu_gate_registry;
DROP FUNCTION iu.fn_iu_gate_transition_stamp;
DROP FUNCTION public.fn_iu_place_confirm;
DROP FUNCTION iu.fn_iu_place_confirm;
DROP FUNCTION iu.fn_iu_place_confirm_all;
DROP FUNCTION iu.fn_iu_place_begin;
DROP FUNCTION iu.fn_iu_place_trouble;
DROP FUNCTION iu.fn_iu_place_kind;
DROP FUNCTION iu.fn_iu_place_holds_foreign;
DROP FUNCTION iu.fn_iu_place_carry;
DROP FUNCTION iu.fn_iu_place_tables;
DROP FUNCTION iu.fn_iu_place_is_noted;
DROP FUNCTION iu.fn_iu_place_is_home;
DROP FUNCTION iu.fn_iu_place_home;
DROP TABLE public.iu_place;
DROP FUNCTION iu.fn_iu_gate_transition_next;
