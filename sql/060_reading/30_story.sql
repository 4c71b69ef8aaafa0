-- What became of an event.

CREATE FUNCTION iu.fn_iu_event_carried(p_event public.event_outbox)
  RETURNS TABLE (at timestamptz, route_code text, step text, attempt integer, outcome text, detail text,
    webhook_id text)
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET jit = off
AS $function$
  WITH route AS (
    SELECT r.route_code, k.prefix || 'msg_' || p_event.event_seq || '_' || r.id || '_' AS prefix
      FROM public.iu_outbound_route r CROSS JOIN unnest(ARRAY['', 'dry_']) AS k (prefix)
  )
  SELECT a.recorded_at, a.route_code, CASE a.status WHEN 'dry_run' THEN 'dry run' ELSE 'attempt' END, a.attempt_no,
         coalesce(a.failure_code, replace(a.status, '_', ' ')), coalesce(a.failure_detail, a.response_excerpt),
         a.idempotency_key
    FROM route r JOIN public.iu_route_attempt a
      ON a.idempotency_key >= r.prefix AND a.idempotency_key < r.prefix || 'a'
  UNION ALL
  SELECT d.created_at, d.route_code, 'dead letter', d.attempts, d.failure_code, d.failure_detail, d.idempotency_key
    FROM route r JOIN public.iu_route_dead_letter d
      ON d.idempotency_key >= r.prefix AND d.idempotency_key < r.prefix || 'a'
  UNION ALL
  SELECT d.resolved_at, d.route_code, CASE WHEN d.replayed_as IS NULL THEN 'resolved' ELSE 'replay' END, d.replayed_as,
         'by ' || d.resolved_by, d.resolution, d.idempotency_key
    FROM route r JOIN public.iu_route_dead_letter d
      ON d.idempotency_key >= r.prefix AND d.idempotency_key < r.prefix || 'a' AND d.resolved_at IS NOT NULL
$function$;
COMMENT ON FUNCTION iu.fn_iu_event_carried IS
  'For v_iu_event_story: what is recorded of an event on every route: attempts, dead letters, and what became of '
  'those. Raises nothing.';

CREATE FUNCTION iu.fn_iu_event_story(p_event_id uuid)
  RETURNS TABLE (at timestamptz, route_code text, step text, attempt integer, outcome text, detail text,
    webhook_id text)
  LANGUAGE sql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
  WITH event AS MATERIALIZED (
    SELECT e AS row FROM public.event_outbox e WHERE e.id = p_event_id
  ), now AS MATERIALIZED (
    SELECT r.route_code, iu.fn_iu_route_explain(r.route_code, p_event_id) AS answer
      FROM event e CROSS JOIN public.iu_outbound_route r
     WHERE r.retired_at IS NULL AND iu.fn_iu_route_carries(r.route_code, (e.row).event_domain, (e.row).event_type)
  ), story AS (
    SELECT 1 AS part, (e.row).created_at AS at, NULL::text AS route_code, 'emitted' AS step, NULL::integer AS attempt,
           (e.row).event_domain || '.' || (e.row).event_type AS outcome,
           concat_ws(', ', 'by ' || coalesce((e.row).actor_ref, 'nobody named'), 'as role ' || (e.row).emitter_role)
             AS detail, NULL::text AS webhook_id
      FROM event e
    UNION ALL
    SELECT 2, c.* FROM event e CROSS JOIN LATERAL iu.fn_iu_event_carried(e.row) c
    UNION ALL
    SELECT 2, m.read_at, NULL, 'read', NULL, 'by ' || m.reader_ref, NULL, NULL
      FROM public.event_read m WHERE m.event_id = p_event_id
    UNION ALL
    SELECT 3, NULL, n.route_code, 'now', (n.answer ->> 'attempts')::integer, n.answer ->> 'code',
           concat_ws(': ', n.answer ->> 'sentence', n.answer ->> 'next_action'), n.answer ->> 'webhook_id'
      FROM now n
    UNION ALL
    SELECT 3, NULL, NULL, 'now', NULL, 'no route', 'no route carries events of this type: fn_iu_route_add makes one',
           NULL
      FROM event e WHERE NOT EXISTS (SELECT FROM now n)
  )
  SELECT s.at, s.route_code, s.step, s.attempt, s.outcome, s.detail, s.webhook_id
    FROM story s ORDER BY s.part, s.at, s.route_code, s.attempt
$function$;
COMMENT ON FUNCTION iu.fn_iu_event_story IS 'The rows that v_iu_event_story has of an event. Raises nothing.';

CREATE VIEW public.v_iu_event_story AS
  SELECT e.id AS event_id, s.*
    FROM public.event_outbox e CROSS JOIN LATERAL iu.fn_iu_event_story(e.id) s;
COMMENT ON VIEW public.v_iu_event_story IS
  'What became of an event, to be asked with WHERE event_id = ..., in order: emitted (its type, by whom), each attempt '
  'and dry run on each route (sent, or the failure code), each dead letter, what became of it (replay, with the number '
  'of the replay as attempt; resolved), who read it, and last, without a time, how it stands now on each route that '
  'carries it: the code, sentence and next action of fn_iu_route_explain; no route: none carries it.';
