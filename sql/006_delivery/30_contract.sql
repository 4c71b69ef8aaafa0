-- Payload contracts are kept before a delivery is handed out, and what a filter
-- cannot decide on is not handed out either.

CREATE FUNCTION iu.fn_iu_payload_verdict(p_route public.iu_outbound_route, p_payload jsonb,
    OUT code text, OUT problem text)
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_verdict record;
BEGIN
  IF p_route.payload_filter IS NOT NULL THEN
    v_verdict := iu.fn_iu_filter_verdict(p_route.payload_filter, p_payload);
    code := CASE WHEN v_verdict.passes IS NULL THEN 'filter_failed' WHEN NOT v_verdict.passes THEN 'filtered' END;
    problem := CASE code WHEN 'filtered' THEN p_route.payload_filter ELSE v_verdict.problem END;
  END IF;
  IF code IS NULL AND p_route.payload_contract <> '{}' THEN
    problem := iu.fn_iu_payload_problem(p_route.payload_contract, p_payload);
    code := CASE WHEN problem IS NOT NULL THEN 'contract' END;
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_payload_verdict IS
  'Why a route does not carry a payload: filtered (it does not pass the filter, which is the problem then), '
  'filter_failed (the filter cannot decide), contract (it breaks the contract); NULL: it does.';

CREATE FUNCTION iu.fn_iu_delivery_contract(p_route_code text, p_lease_ids bigint[]) RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_route  public.iu_outbound_route;
  v_broken record;
BEGIN
  SELECT * INTO v_route FROM public.iu_outbound_route r WHERE r.route_code = p_route_code;
  IF v_route.payload_contract = '{}' AND v_route.payload_filter IS NULL THEN
    RETURN;
  END IF;
  FOR v_broken IN
    SELECT l.lease_id, l.generation,
           jsonb_agg(jsonb_build_object('event_id', i.event_id, 'replay_number', i.replay_number,
             'attempt_no', i.attempt_no, 'outcome', 'failed', 'failure_code', p.code,
             'failure_detail', p.problem)) AS results
      FROM public.iu_route_lease l
      CROSS JOIN LATERAL unnest(l.event_ids, l.replay_numbers, l.attempt_nos)
        AS i (event_id, replay_number, attempt_no)
      CROSS JOIN LATERAL (SELECT v.code, v.problem
                            FROM public.event_outbox o, iu.fn_iu_payload_verdict(v_route, o.safe_payload) v
                           WHERE o.id = i.event_id OFFSET 0) AS p
     WHERE l.lease_id = ANY (p_lease_ids) AND p.code <> 'filtered'
     GROUP BY l.lease_id, l.generation
  LOOP
    PERFORM iu.fn_iu_delivery_record(v_broken.lease_id, v_broken.generation, v_broken.results);
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_contract IS
  'For the claim: deliveries among these leases whose payload breaks the route''s contract are not handed out: '
  'each is an attempt that failed (contract; filter_failed where the route''s filter cannot decide on it) and a dead '
  'letter. What does not pass the filter, and was owed before it was set, is handed out.';
