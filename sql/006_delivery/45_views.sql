CREATE VIEW public.v_iu_route_attempt_summary AS
  SELECT route_kind, route_code, status, count(*) AS attempts, min(started_at) AS first_at, max(started_at) AS last_at
    FROM public.iu_route_attempt GROUP BY route_kind, route_code, status;
COMMENT ON VIEW public.v_iu_route_attempt_summary IS 'Attempts by kind, route and status.';

CREATE VIEW public.v_iu_route_dead_letter_open AS
  SELECT id, route_code, event_ref, replay_number, attempts, idempotency_key, failure_code, failure_detail,
         http_status, event_snapshot, created_at
    FROM public.iu_route_dead_letter WHERE resolved_at IS NULL;
COMMENT ON VIEW public.v_iu_route_dead_letter_open IS 'Dead letters that nobody resolved.';

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_route_gone', 'health', true, true, ARRAY['fn_iu_delivery_record_batch']);
