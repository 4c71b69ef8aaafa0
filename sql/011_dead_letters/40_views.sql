CREATE VIEW public.v_iu_route_dead_letter AS
  SELECT d.id, d.route_code, d.event_ref, d.replay_number, d.attempts, d.failure_code, d.failure_detail, d.http_status,
         d.created_at,
         CASE WHEN d.resolved_at IS NULL THEN 'open' WHEN d.replayed_as IS NULL THEN 'resolved'
              ELSE 'replayed' END AS state,
         d.resolved_at, d.resolved_by, d.resolution,
         -- Found by its key, which a dry run has with dry_ before it.
         (SELECT b.id FROM public.iu_route_dead_letter b
           WHERE b.idempotency_key = ANY (ARRAY[r.before, 'dry_' || r.before])
             AND b.replayed_as = d.replay_number) AS replay_of,
         d.replayed_as, r.webhook_id AS replay_webhook_id,
         CASE WHEN d.replayed_as IS NULL THEN NULL
              WHEN EXISTS (SELECT FROM public.iu_route_attempt a
                            WHERE a.idempotency_key = r.webhook_id AND a.status = 'sent') THEN 'delivered'
              WHEN EXISTS (SELECT FROM public.iu_route_dead_letter n
                            WHERE n.idempotency_key = r.webhook_id) THEN 'dead_letter'
              WHEN t.due_at <= iu_core.steady_clock() THEN 'due' WHEN t.event_id IS NOT NULL THEN 'waiting'
              WHEN EXISTS (SELECT FROM public.iu_route_lease l
                            WHERE l.route_code = d.route_code AND d.event_ref = ANY (l.event_ids)) THEN 'in_flight'
              ELSE 'unknown' END AS replay_state,
         t.due_at + iu_core.clock_moved() AS replay_due_at
    FROM public.iu_route_dead_letter d
    LEFT JOIN public.iu_outbound_route o ON o.route_code = d.route_code
    LEFT JOIN LATERAL (
      SELECT iu.fn_iu_webhook_id((d.event_snapshot ->> 'event_seq')::bigint, o.id, d.replayed_as, d.event_ref)
               AS webhook_id,
             iu.fn_iu_webhook_id((d.event_snapshot ->> 'event_seq')::bigint, o.id, d.replay_number - 1, d.event_ref)
               COLLATE "C" AS before) AS r ON true
    LEFT JOIN public.iu_route_retry t
      ON t.route_code = d.route_code AND t.event_id = d.event_ref AND t.replay_number = d.replayed_as;
COMMENT ON VIEW public.v_iu_route_dead_letter IS
  'Every dead letter with its lineage: state (open, replayed, resolved), the dead letter that it is a replay of, '
  'the replay number and webhook-id it was replayed as, and what became of that (waiting, due, in_flight, '
  'delivered, dead_letter, or unknown where retention took what was known).';

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_route_dead_letter_replay',  'health', true, false,
    ARRAY['fn_iu_route_dead_letter_replay', 'fn_iu_route_dead_letter_replay_many']),
  ('dot_iu_route_dead_letter_resolve', 'health', true, false,
    ARRAY['fn_iu_route_dead_letter_resolve', 'fn_iu_route_dead_letter_resolve_many']);
