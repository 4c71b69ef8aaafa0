-- Whether the gates stand as people mean them to: what lapsed is never taken for
-- meant.

CREATE FUNCTION iu.fn_iu_gate_waiting(p_gate_key text) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
AS $function$
DECLARE
  c_most   CONSTANT integer := 1000;
  v_routes text[];
  v_count  bigint;
BEGIN
  IF p_gate_key <> 'iu_core.delivery_enabled' THEN
    RETURN NULL;
  END IF;
  v_routes := ARRAY(SELECT r.route_code FROM public.iu_outbound_route r
                     WHERE r.enabled AND NOT r.dry_run AND r.retired_at IS NULL
                       AND EXISTS (SELECT FROM public.iu_route_position p WHERE p.route_code = r.route_code OFFSET 0));
  SELECT count(*) INTO v_count FROM (
    (SELECT FROM public.iu_route_retry t WHERE t.route_code = ANY (v_routes) LIMIT c_most)
    UNION ALL
    (SELECT FROM public.iu_route_lease l CROSS JOIN LATERAL unnest(l.event_ids) AS e
      WHERE l.route_code = ANY (v_routes) LIMIT c_most)
    UNION ALL
    (SELECT FROM unnest(v_routes) AS v (route_code)
       CROSS JOIN LATERAL (SELECT x.seen, x.floor_seq FROM public.v_iu_route_position x
                            WHERE x.route_code = v.route_code OFFSET 0) AS p
       CROSS JOIN LATERAL (SELECT x.event_domain, x.event_type FROM public.iu_route_type x
                            WHERE x.route_code = v.route_code OFFSET 0) AS r
       CROSS JOIN LATERAL (SELECT FROM public.event_outbox e
                            WHERE e.event_domain = r.event_domain AND e.event_type = r.event_type
                              AND e.emitted_xid >= pg_snapshot_xmin(p.seen)
                              AND NOT pg_visible_in_snapshot(e.emitted_xid, p.seen) AND e.event_seq > p.floor_seq
                              AND e.payload_classification = 'safe_metadata'
                            ORDER BY e.event_domain, e.event_type, e.emitted_xid, e.event_seq LIMIT c_most) AS l
      LIMIT c_most)) AS w;
  RETURN CASE WHEN v_count >= c_most THEN format('%s events or more wait', c_most)
              WHEN v_count > 0 THEN format('%s event(s) wait', v_count) END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_waiting IS
  'How many deliveries of armed routes wait for a gate, in words, counted up to 1000; NULL: none, or the gate is not '
  'that of delivery. Raises nothing.';

CREATE FUNCTION iu.fn_iu_gate_lapsed() RETURNS SETOF text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  -- Whoever said that the database is at home after a restore, or in a copy, decided on what was open before.
  v_decided CONSTANT timestamptz := (SELECT max(p.confirmed_at) FROM public.iu_place p
                                      WHERE p.began NOT IN ('first', 'promotion'));
  v_gate    record;
BEGIN
  FOR v_gate IN
    SELECT r.gate_key, l.expires_at, s.approval_id, s.lapsed_at, a.expires_at AS ends_at, w.state AS was
      FROM public.iu_gate_registry r
      CROSS JOIN LATERAL (
        SELECT t.action, t.created_at, t.expires_at, t.approval_id FROM public.iu_gate_transition t
         WHERE t.gate_key = r.gate_key AND t.action <> 'watchdog_close'
         ORDER BY t.transition_seq DESC LIMIT 1) l
      LEFT JOIN LATERAL iu.fn_iu_gate_standing_on(r.gate_key) s ON true
      LEFT JOIN public.iu_gate_approval a ON a.approval_id = s.approval_id
      LEFT JOIN public.v_iu_gate_approval w
        ON w.approval_id = l.approval_id AND w.kind = 'standing' AND w.state <> 'revoked'
     WHERE r.gate_class = 'governable' AND l.action = 'open' AND NOT iu_core.gate_is_open(r.gate_key)
       AND (s.approval_id IS NOT NULL OR NOT coalesce(l.created_at < v_decided, false))
     ORDER BY r.gate_key
  LOOP
    IF v_gate.approval_id IS NOT NULL THEN
      RETURN NEXT format('a valid standing approval exists for gate %s, until %s, and the gate lapsed at %s',
        v_gate.gate_key, v_gate.ends_at, v_gate.lapsed_at)
        || coalesce('; ' || iu.fn_iu_gate_waiting(v_gate.gate_key), '');
    ELSIF v_gate.was IS NOT NULL THEN
      RETURN NEXT format('gate %s stood open on a standing approval that is %s, lapsed at %s, and nobody closed it: '
        'open it on another, or close it with fn_iu_gate_close', v_gate.gate_key, v_gate.was, v_gate.expires_at)
        || coalesce('; ' || iu.fn_iu_gate_waiting(v_gate.gate_key), '');
    ELSIF iu.fn_iu_gate_waiting(v_gate.gate_key) IS NOT NULL THEN
      RETURN NEXT format('gate %s lapsed at %s, nobody closed it, and %s: open it, or close it with fn_iu_gate_close',
        v_gate.gate_key, v_gate.expires_at, iu.fn_iu_gate_waiting(v_gate.gate_key));
    END IF;
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_lapsed IS
  'Gates that are closed though the last thing that a person did was to open them, in words: on a standing approval, '
  'whether it lasts, ended or is void otherwise, unless somebody revoked it; and where deliveries wait. What a person '
  'closed is meant, and what was open before a person confirmed the place (fn_iu_place_confirm). Raises nothing.';

CREATE FUNCTION iu.fn_iu_gate_approvals_void() RETURNS SETOF text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT format('the standing approval of gate %s is void, though nobody revoked it: %s; it is not renewed. Have '
                'another one granted, and open the gate on that', a.gate_key, p.problem)
    FROM public.iu_gate_registry r
    CROSS JOIN LATERAL (
      SELECT t.action, t.approval_id FROM public.iu_gate_transition t
       WHERE t.gate_key = r.gate_key AND t.action <> 'watchdog_close'
       ORDER BY t.transition_seq DESC LIMIT 1) l
    JOIN public.iu_gate_approval a ON a.approval_id = l.approval_id AND l.action = 'open' AND a.kind = 'standing'
    CROSS JOIN LATERAL (
      SELECT CASE WHEN a.granted_by_oid NOT IN (SELECT u.oid FROM pg_roles u)
                    THEN format('the role that granted it, "%s", is gone', a.granted_by)
                  WHEN a.granted_to_oid NOT IN (SELECT u.oid FROM pg_roles u)
                    THEN format('the role that it names, "%s", is gone', a.granted_to)
                  WHEN NOT iu.fn_iu_gate_approver_is(a.gate_key, a.granted_by_oid)
                    THEN format('"%s", who granted it, may no longer approve for the gate', a.granted_by)
             END AS problem) p
   WHERE p.problem IS NOT NULL AND a.expires_at > clock_timestamp()
     AND NOT EXISTS (SELECT FROM public.iu_gate_revocation v WHERE v.approval_id = a.approval_id)
   ORDER BY a.gate_key
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approvals_void IS
  'Standing approvals on which a person opened a gate last and that are not renewed because a role is gone or has lost '
  'its right, in words. A role that took the name of another counts as another. Raises nothing.';

CREATE FUNCTION iu.fn_iu_gate_approvals_ending() RETURNS SETOF text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT format('the standing approval of gate %s ends at %s: have another one granted, and its holder renew the gate '
                'on that', a.gate_key, a.expires_at)
    FROM public.iu_gate_registry r
    CROSS JOIN LATERAL iu.fn_iu_gate_standing_on(r.gate_key) s
    JOIN public.iu_gate_approval a ON a.approval_id = s.approval_id
   WHERE a.expires_at < clock_timestamp() + least(interval '7 days', (a.expires_at - a.granted_at) / 2)
   ORDER BY a.gate_key
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approvals_ending IS
  'Standing approvals on which a gate is to be open and that end within seven days (or, where they were granted for '
  'less than a fortnight, in the second half of their time), in words. Raises nothing.';

CREATE FUNCTION iu.fn_iu_gate_troubles(OUT alarm text, OUT warning text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
AS $function$
BEGIN
  -- Where the database is not at home its watchdog says so, and nothing else is expected of its gates.
  IF iu.fn_iu_place_is_home() THEN
    alarm := (SELECT string_agg(l, '; ')
                FROM (SELECT iu.fn_iu_gate_lapsed() UNION ALL SELECT iu.fn_iu_gate_approvals_void()) AS x (l));
    warning := (SELECT string_agg(w, '; ')
                  FROM (SELECT iu.fn_iu_gate_approvals_ending() UNION ALL SELECT iu.fn_iu_published_whole()) AS x (w));
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_troubles IS
  'For the runner and for health: what is wrong with the gates (fn_iu_gate_lapsed, fn_iu_gate_approvals_void), and '
  'what soon will be (fn_iu_gate_approvals_ending) or may be elsewhere (fn_iu_published_whole); NULL: nothing. Raises '
  'nothing.';
