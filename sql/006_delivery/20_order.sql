-- The order of a subject: whose turn it is.
--
-- Of the unfinished deliveries of a subject one is the head: it is in a lease,
-- or in iu_route_retry with a due_at. All others are in iu_route_retry
-- with due_at NULL, so that nothing else has to know of them. Whoever adds
-- a delivery, or ends one, holds the lock of the route's order meanwhile.
CREATE FUNCTION iu.fn_iu_order_subject(p_event public.event_outbox) RETURNS uuid
  LANGUAGE sql IMMUTABLE
RETURN md5(length(p_event.event_subject_table) || ':' || p_event.event_subject_table || ':'
           || p_event.event_subject_ref)::uuid;
COMMENT ON FUNCTION iu.fn_iu_order_subject IS 'A digest of the subject of an event, table and reference.';

CREATE FUNCTION iu.fn_iu_order_lock(p_route_code text) RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE invalid_transaction_state USING
      MESSAGE = format('deliveries of route "%s" need isolation level READ COMMITTED', p_route_code),
      DETAIL = 'An older snapshot would not see whose turn it is.', CONSTRAINT = 'iu_order_isolation';
  END IF;
  LOOP
    PERFORM FROM public.iu_route_order WHERE route_code = p_route_code FOR UPDATE;
    EXIT WHEN FOUND;
    INSERT INTO public.iu_route_order VALUES (p_route_code) ON CONFLICT DO NOTHING;
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_order_lock IS
  'Waits for, and holds to the end of the transaction, the right to change whose turn it is on a route. SQLSTATE '
  '25000: another isolation level than READ COMMITTED.';

-- Somebody may replay or close a circuit in a transaction that stays open. That
-- stops one route; the claim has others.
CREATE FUNCTION iu.fn_iu_delivery_locks(p_route_code text) RETURNS boolean
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
  SET lock_timeout = '100ms'
AS $function$
BEGIN
  IF EXISTS (SELECT FROM public.iu_outbound_route r
              WHERE r.route_code = p_route_code AND r.ordering = 'subject') THEN
    PERFORM iu.fn_iu_order_lock(p_route_code);
  END IF;
  PERFORM FROM public.iu_route_circuit c WHERE c.route_code = p_route_code AND c.state <> 'closed' FOR UPDATE;
  RETURN true;
EXCEPTION WHEN lock_not_available THEN
  RETURN false;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_locks IS
  'For the claim: takes what it will need of a route, its order and a circuit that is not closed, or returns '
  'false where another transaction has one for 0.1 s, so that this route alone is left out.';

CREATE FUNCTION iu.fn_iu_order_leased(p_route_code text)
  RETURNS TABLE (event_id uuid, replay_number integer, subject uuid)
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT i.event_id, i.replay_number, e.subject
    FROM public.iu_route_lease l
    CROSS JOIN LATERAL unnest(l.event_ids, l.replay_numbers) AS i (event_id, replay_number)
    CROSS JOIN LATERAL (SELECT iu.fn_iu_order_subject(o) AS subject
                          FROM public.event_outbox o WHERE o.id = i.event_id OFFSET 0) AS e
   WHERE l.route_code = p_route_code
     AND l.lease_id >= (SELECT p.lease_low FROM public.v_iu_route_position p WHERE p.route_code = p_route_code);
END;
COMMENT ON FUNCTION iu.fn_iu_order_leased IS 'What senders have of a route, each with its subject.';

CREATE FUNCTION iu.fn_iu_order_head(p_route_code text, p_subject uuid) RETURNS uuid
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT coalesce(
    (SELECT t.event_id FROM public.iu_route_retry t
      WHERE t.route_code = p_route_code AND t.subject = p_subject AND t.due_at IS NOT NULL LIMIT 1),
    (SELECT l.event_id FROM iu.fn_iu_order_leased(p_route_code) l WHERE l.subject = p_subject LIMIT 1));
END;
COMMENT ON FUNCTION iu.fn_iu_order_head IS
  'The event whose delivery the others of its subject wait for on this route; NULL if the subject has none under '
  'way.';

CREATE FUNCTION iu.fn_iu_route_retry_order() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF NOT EXISTS (SELECT FROM public.iu_outbound_route r
                  WHERE r.route_code = NEW.route_code AND r.ordering = 'subject') THEN
    RETURN NEW;
  END IF;
  PERFORM iu.fn_iu_order_lock(NEW.route_code);
  SELECT iu.fn_iu_order_subject(e) INTO NEW.subject FROM public.event_outbox e WHERE e.id = NEW.event_id;
  -- A delivery that comes back from a lease was the head of its subject, and stays the head.
  IF NOT EXISTS (SELECT FROM public.iu_route_lease l
                   CROSS JOIN LATERAL unnest(l.event_ids, l.replay_numbers) AS i (event_id, replay_number)
                  WHERE l.route_code = NEW.route_code AND NEW.event_id = ANY (l.event_ids)
                    AND i.event_id = NEW.event_id AND i.replay_number = NEW.replay_number)
     AND iu.fn_iu_order_head(NEW.route_code, NEW.subject) IS NOT NULL THEN
    NEW.due_at := NULL;
  ELSIF NEW.due_at IS NULL THEN
    NEW.due_at := iu_core.steady_clock();  -- nothing would make it due later
  END IF;
  RETURN NEW;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_retry_order IS
  'Trigger of iu_route_retry, for routes that keep the order of a subject: whoever puts a delivery there, it '
  'waits for its turn.';

CREATE TRIGGER trg_iu_route_retry_order BEFORE INSERT ON public.iu_route_retry
  FOR EACH ROW WHEN (NEW.subject IS NULL) EXECUTE FUNCTION iu.fn_iu_route_retry_order();
ALTER TABLE public.iu_route_retry ENABLE ALWAYS TRIGGER trg_iu_route_retry_order;
COMMENT ON TRIGGER trg_iu_route_retry_order ON public.iu_route_retry IS 'Only the head of a subject is due.';

CREATE FUNCTION iu.fn_iu_order_heads(p_route_code text, p_ids uuid[], p_seqs bigint[],
    OUT items bigint, OUT ids uuid[], OUT seqs bigint[])
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM iu.fn_iu_order_lock(p_route_code);
  WITH fresh AS MATERIALIZED (
    SELECT i.event_id, i.event_seq, e.subject
      FROM unnest(p_ids, p_seqs) AS i (event_id, event_seq)
      CROSS JOIN LATERAL (SELECT iu.fn_iu_order_subject(o) AS subject
                            FROM public.event_outbox o WHERE o.id = i.event_id OFFSET 0) AS e
  ), leased AS MATERIALIZED (
    SELECT DISTINCT l.subject FROM iu.fn_iu_order_leased(p_route_code) l
  ), split AS MATERIALIZED (
    SELECT f.*, row_number() OVER (PARTITION BY f.subject ORDER BY f.event_seq) = 1
           AND f.subject NOT IN (SELECT l.subject FROM leased l)
           AND (SELECT true FROM public.iu_route_retry t
                 WHERE t.route_code = p_route_code AND t.subject = f.subject LIMIT 1) IS NULL AS is_head
      FROM fresh f
  ), behind AS (
    INSERT INTO public.iu_route_retry (route_code, event_id, event_seq, due_at, reason, subject)
      SELECT p_route_code, s.event_id, s.event_seq, NULL, 'subject', s.subject
        FROM split s WHERE NOT s.is_head
      ON CONFLICT DO NOTHING
  )
  SELECT count(*), array_agg(s.event_id ORDER BY s.event_seq), array_agg(s.event_seq ORDER BY s.event_seq)
    INTO items, ids, seqs FROM split s WHERE s.is_head;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_order_heads IS
  'For the claim: of these new events, those that are the first of their subject. The others wait in '
  'iu_route_retry for their turn.';

CREATE FUNCTION iu.fn_iu_order_release(p_lease public.iu_route_lease) RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
  SET enable_nestloop = on
AS $function$
BEGIN
  PERFORM iu.fn_iu_order_lock(p_lease.route_code);
  WITH ended AS MATERIALIZED (
    SELECT i.event_id, i.replay_number
      FROM unnest(p_lease.event_ids, p_lease.replay_numbers) AS i (event_id, replay_number)
    EXCEPT
    SELECT i.event_id, i.replay_number
      FROM public.iu_route_lease l
      CROSS JOIN LATERAL unnest(l.event_ids, l.replay_numbers) AS i (event_id, replay_number)
     WHERE l.lease_id = p_lease.lease_id
  ), next AS MATERIALIZED (
    SELECT n.place
      FROM ended i
      CROSS JOIN LATERAL (SELECT iu.fn_iu_order_subject(o) AS subject
                            FROM public.event_outbox o WHERE o.id = i.event_id OFFSET 0) AS e
      CROSS JOIN LATERAL (SELECT x.ctid AS place FROM public.iu_route_retry x
                           WHERE x.route_code = p_lease.route_code AND x.subject = e.subject
                           ORDER BY x.event_seq, x.replay_number LIMIT 1) AS n
     WHERE (SELECT true FROM public.iu_route_retry h
             WHERE h.route_code = p_lease.route_code AND h.subject = e.subject AND h.due_at IS NOT NULL
             LIMIT 1) IS NULL
  )
  UPDATE public.iu_route_retry t SET due_at = iu_core.steady_clock()
   WHERE t.ctid = ANY (ARRAY(SELECT n.place FROM next n));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_order_release IS
  'For the record of a lease, given as it was: makes due, for each of its deliveries that has ended (sent, or a '
  'dead letter), the next of its subject: the lowest event_seq.';
