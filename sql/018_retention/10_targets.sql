-- 018 retention: what is old goes, if somebody wants it gone, and never what
-- something still needs. Nothing is active when this is applied, and nothing is
-- deleted while the gate is closed. The ledgers (gates, commands) are
-- append-only and no target.

SELECT iu.fn_iu_gate_register(18, 'iu_core.retention_enabled', 'governable', 'Deleting what retention policies let go');

CREATE FUNCTION public.fn_iu_core_retention_enabled() RETURNS boolean
  LANGUAGE sql VOLATILE AS $function$SELECT iu_core.gate_is_open('iu_core.retention_enabled')$function$;
COMMENT ON FUNCTION public.fn_iu_core_retention_enabled IS
  'Whether deleting by retention policies is open now. Raises nothing.';

-- The tables from which something may be deleted, and the rule of each. A
-- migration that brings such a table adds a row, and its rollback deletes it.
CREATE TABLE public.iu_core_retention_target (
  target_table text NOT NULL,
  age_column   text NOT NULL,
  actor_column text NOT NULL,
  condition    text NOT NULL,
  migration    integer NOT NULL,
  CONSTRAINT iu_core_retention_target_pkey PRIMARY KEY (target_table),
  CONSTRAINT iu_core_retention_target_condition CHECK (btrim(condition) <> ''),
  CONSTRAINT iu_core_retention_target_migration CHECK (migration > 0)
);
COMMENT ON TABLE public.iu_core_retention_target IS
  'What retention may delete from, one row a table of schema public, and what stays whatever its age. Written by '
  'migrations only: the condition is run as iu_core_owner.';
COMMENT ON COLUMN public.iu_core_retention_target.target_table IS 'Name of the table';
COMMENT ON COLUMN public.iu_core_retention_target.age_column IS 'What the age of a row is counted from';
COMMENT ON COLUMN public.iu_core_retention_target.actor_column IS 'Who a row belongs to, for the scope of a policy';
COMMENT ON COLUMN public.iu_core_retention_target.condition IS
  'SQL on a row r: without it the row stays, whatever its age';
COMMENT ON COLUMN public.iu_core_retention_target.migration IS 'The migration that brought it';

-- An arming and a hand-over know by the last attempt of a delivery that it was
-- made: that attempt stays as long as the event.
INSERT INTO public.iu_core_retention_target (target_table, age_column, actor_column, condition, migration) VALUES
  ('iu_route_attempt', 'recorded_at', 'sender', $sql$
    (r.status IN ('dry_run', 'skipped')
     OR NOT EXISTS (SELECT FROM public.event_outbox e WHERE e.id = r.event_ref)
     OR EXISTS (SELECT FROM public.iu_route_attempt n
                 WHERE n.idempotency_key = r.idempotency_key AND n.attempt_no > r.attempt_no))$sql$, 18),
  ('iu_route_dead_letter', 'resolved_at', 'resolved_by', 'r.resolved_at IS NOT NULL', 18),
  -- What a delivery repeats is known as long as anything of it is.
  ('iu_route_repeat', 'asked_at', 'asked_by', $sql$
    NOT EXISTS (SELECT FROM public.event_outbox e WHERE e.id = r.event_ref)
    AND NOT EXISTS (SELECT FROM public.iu_route_attempt a WHERE a.idempotency_key = r.webhook_id)
    AND NOT EXISTS (SELECT FROM public.iu_route_dead_letter d WHERE d.idempotency_key = r.webhook_id)$sql$, 18),
  -- An event stays while it is to be tried again, with a sender, of an open dead
  -- letter, ahead of the position of a route that carries it, ahead of a pass
  -- that makes dry runs of it, or not read by a subscriber.
  ('event_outbox', 'created_at', 'actor_ref', $sql$
    NOT EXISTS (SELECT FROM public.iu_route_retry t WHERE t.event_id = r.id)
    AND NOT EXISTS (SELECT FROM (SELECT unnest(l.event_ids) AS id FROM public.iu_route_lease l) AS x WHERE x.id = r.id)
    AND NOT EXISTS (SELECT FROM public.iu_route_dead_letter d WHERE d.event_ref = r.id AND d.resolved_at IS NULL)
    AND NOT EXISTS (
      SELECT FROM public.v_iu_route_position p JOIN public.iu_outbound_route o ON o.route_code = p.route_code
        JOIN public.iu_route_type y ON y.route_code = p.route_code
       WHERE y.event_domain = r.event_domain AND y.event_type = r.event_type AND o.retired_at IS NULL
         AND (p.place <> iu_core.place()
              OR (r.event_seq > p.floor_seq AND NOT pg_visible_in_snapshot(r.emitted_xid, p.seen)
                  AND (p.window_end IS NULL OR r.event_seq > p.window_seq
                       OR NOT pg_visible_in_snapshot(r.emitted_xid, p.window_end)))))
    AND NOT EXISTS (
      SELECT FROM public.iu_outbound_route o JOIN public.iu_route_type y ON y.route_code = o.route_code
        JOIN public.iu_route_worker_cursor c ON coalesce(c.event_domain, y.event_domain) = y.event_domain
         AND c.place = iu_core.place()
       WHERE y.event_domain = r.event_domain AND y.event_type = r.event_type AND o.enabled AND o.dry_run
         AND r.event_seq > c.floor_seq AND NOT pg_visible_in_snapshot(r.emitted_xid, c.seen))
    AND NOT EXISTS (
      SELECT FROM public.event_subscription s
       WHERE s.active AND s.event_domain = r.event_domain AND coalesce(s.event_type, r.event_type) = r.event_type
         AND coalesce(s.event_stream, r.event_stream) = r.event_stream AND s.created_at <= r.created_at
         AND s.subscriber_ref IS DISTINCT FROM r.actor_ref
         AND NOT EXISTS (SELECT FROM public.event_read x
                          WHERE x.event_id = r.id AND x.reader_ref = s.subscriber_ref))$sql$, 18);
