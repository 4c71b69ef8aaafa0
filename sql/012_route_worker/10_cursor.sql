-- 012 the pass over the outbox that needs no network, and whether routes are well.
--
-- A route that is live is served by the senders alone, one that is a dry run by
-- the pass alone, so that nothing is done twice. A pass follows commits with a
-- cursor of its own, as the routes' positions do: it makes the dry runs, and
-- counts what is handed to the senders and what no route carries. It is called by
-- hand or, in turns, by a sender. An event that cannot be handled is set aside
-- with its error and stops no other.

CREATE TABLE public.iu_route_worker_cursor (
  worker_name       text        NOT NULL PRIMARY KEY,
  event_domain      text,
  last_created_at   timestamptz,
  last_event_id     uuid,
  last_run_at       timestamptz,
  events_seen       bigint      NOT NULL DEFAULT 0,
  attempts_written  bigint      NOT NULL DEFAULT 0,
  dead_lettered     bigint      NOT NULL DEFAULT 0,
  last_run_summary  jsonb,
  registered_at     timestamptz NOT NULL DEFAULT now(),
  place             uuid        NOT NULL,
  floor_seq         bigint      NOT NULL,
  seen              pg_snapshot NOT NULL,
  window_end        pg_snapshot,
  window_xid        xid8,
  window_seq        bigint,
  CONSTRAINT iu_route_worker_cursor_name_chk CHECK (worker_name ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$'),
  CONSTRAINT iu_route_worker_cursor_window_chk CHECK (num_nulls(window_end, window_xid, window_seq) IN (0, 3))
) WITH (fillfactor = 50);
COMMENT ON TABLE public.iu_route_worker_cursor IS
  'How far each named worker has passed over the outbox, and what it did. A pass locks its row.';
COMMENT ON COLUMN public.iu_route_worker_cursor.worker_name IS
  'iu_outbound_default is the one that the senders run';
COMMENT ON COLUMN public.iu_route_worker_cursor.event_domain IS 'The domain whose events it reads; NULL: all';
COMMENT ON COLUMN public.iu_route_worker_cursor.last_created_at IS 'created_at of the last event it saw';
COMMENT ON COLUMN public.iu_route_worker_cursor.last_event_id IS 'The last event it saw';
COMMENT ON COLUMN public.iu_route_worker_cursor.last_run_at IS
  'When it last ran or found nothing to do, to the minute';
COMMENT ON COLUMN public.iu_route_worker_cursor.events_seen IS 'Events it saw, in all';
COMMENT ON COLUMN public.iu_route_worker_cursor.attempts_written IS 'Attempts it wrote, in all';
COMMENT ON COLUMN public.iu_route_worker_cursor.dead_lettered IS 'Events it set aside, in all';
COMMENT ON COLUMN public.iu_route_worker_cursor.last_run_summary IS 'What its last run returned';
COMMENT ON COLUMN public.iu_route_worker_cursor.registered_at IS 'Start of the transaction of its first run';
COMMENT ON COLUMN public.iu_route_worker_cursor.place IS
  'Where the cursor means something, iu_core.place(); in a copy or after a restore it starts anew';
COMMENT ON COLUMN public.iu_route_worker_cursor.floor_seq IS
  'Events up to here came with a restore and are left out';
COMMENT ON COLUMN public.iu_route_worker_cursor.seen IS 'All that it sees has been passed';
COMMENT ON COLUMN public.iu_route_worker_cursor.window_end IS
  'The window being passed: what it sees and seen does not';
COMMENT ON COLUMN public.iu_route_worker_cursor.window_xid IS
  'With window_seq: of the window, the last event that was passed, in the order of emitted_xid, event_seq';
COMMENT ON COLUMN public.iu_route_worker_cursor.window_seq IS 'See window_xid';

-- An event that is seen though its transaction is not finished came with a restore.
-- A cursor that came with a restore starts with what commits from now on.
CREATE FUNCTION iu.fn_iu_route_worker_register(p_worker_name text, p_event_domain text) RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF EXISTS (SELECT FROM public.iu_route_worker_cursor c WHERE c.worker_name = p_worker_name
               AND c.place = iu_core.place()) THEN
    RETURN;
  END IF;
  INSERT INTO public.iu_route_worker_cursor AS c
      (worker_name, event_domain, place, floor_seq, seen)
    SELECT p_worker_name, p_event_domain, iu_core.place(),
           coalesce((SELECT max(e.event_seq) FROM public.event_outbox e
                      WHERE e.emitted_xid >= pg_snapshot_xmin(s.now)
                        AND NOT pg_visible_in_snapshot(e.emitted_xid, s.now)
                        AND e.emitted_xid IS DISTINCT FROM pg_current_xact_id_if_assigned()), 0), '1:1:'
      FROM (SELECT iu.fn_iu_snapshot_now() AS now) AS s
    ON CONFLICT (worker_name) DO UPDATE
      SET place = excluded.place,
          floor_seq = excluded.floor_seq,
          seen = iu.fn_iu_snapshot_now(), window_end = NULL, window_xid = NULL, window_seq = NULL
      WHERE c.place <> excluded.place;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_worker_register IS
  'For the pass: gives a worker its cursor, at the beginning of the outbox, or, in a copy of the database, a new '
  'one.';
