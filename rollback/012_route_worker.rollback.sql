-- Undoes 012. Dry runs that were made stay: attempts are 006's. What the cursor
-- counted is lost, so that is refused where it counted something.
SELECT iu_core.guard_rows('public.iu_route_worker_cursor', 'events_seen > 0');
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_route_worker_run', 'dot_iu_route_dry_run',
  'dot_iu_route_test']);

DELETE FROM public.iu_refusal WHERE migration = 12;
DELETE FROM public.iu_delivery_code WHERE migration = 12;

DROP FUNCTION public.fn_iu_route_test;
DROP FUNCTION iu.fn_iu_route_test;
DROP FUNCTION iu.fn_iu_route_test_checks;
DROP FUNCTION public.fn_iu_route_dry_run;
DROP FUNCTION iu.fn_iu_route_dry_run;
DROP FUNCTION public.fn_iu_route_worker_health;
DROP FUNCTION iu.fn_iu_route_worker_health;
DROP FUNCTION iu.fn_iu_route_worker_state;
DROP FUNCTION iu.fn_iu_route_delays;
DROP FUNCTION iu.fn_iu_route_headless;
DROP FUNCTION iu.fn_iu_route_unprobed_circuits;
DROP FUNCTION iu.fn_iu_route_far_retries;
DROP FUNCTION iu.fn_iu_gate_troubles;
DROP FUNCTION iu.fn_iu_certificate_troubles;
DROP FUNCTION iu.fn_iu_certificate_problems;
DROP FUNCTION iu.fn_iu_gate_approvals_ending;
DROP FUNCTION iu.fn_iu_gate_approvals_void;
DROP FUNCTION iu.fn_iu_gate_lapsed;
DROP FUNCTION iu.fn_iu_gate_waiting;
DROP FUNCTION iu.fn_iu_route_lock_problems;
DROP FUNCTION iu.fn_iu_route_locks;
DROP FUNCTION iu.fn_iu_route_hung_problems;
DROP FUNCTION iu.fn_iu_route_hung_holds;
DROP TABLE public.iu_route_hung;
DROP FUNCTION iu.fn_iu_route_stopped;
DROP FUNCTION iu.fn_iu_route_stuck;
DROP FUNCTION iu.fn_iu_route_worker_due;
DROP VIEW public.v_iu_route_health;
DROP FUNCTION iu.fn_iu_attempts_last;
DROP FUNCTION iu.fn_iu_route_worker_ahead;
DROP FUNCTION iu.fn_iu_route_worker_turn;
DROP FUNCTION public.fn_iu_route_worker_run;
DROP FUNCTION iu.fn_iu_route_worker_run;
DROP FUNCTION iu.fn_iu_route_worker_handle;
DROP FUNCTION iu.fn_iu_route_worker_batch;
DROP FUNCTION iu.fn_iu_route_worker_alone;
DROP FUNCTION iu.fn_iu_route_worker_check;
DROP FUNCTION iu.fn_iu_route_worker_event;
DROP FUNCTION iu.fn_iu_route_worker_register;
DROP TABLE public.iu_route_worker_cursor;
