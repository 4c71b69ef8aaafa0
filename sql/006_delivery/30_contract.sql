-- Payload contracts are kept before a delivery is handed out.
CREATE FUNCTION iu.fn_iu_delivery_contract(p_route_code text, p_lease_ids bigint[]) RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_contract constant jsonb := (SELECT r.payload_contract FROM public.iu_outbound_route r
                                 WHERE r.route_code = p_route_code);
  v_broken   record;
BEGIN
  IF v_contract = '{}' THEN
    RETURN;
  END IF;
  FOR v_broken IN
    SELECT l.lease_id, l.generation,
           jsonb_agg(jsonb_build_object('event_id', i.event_id, 'replay_number', i.replay_number,
             'attempt_no', i.attempt_no, 'outcome', 'failed', 'failure_code', 'contract',
             'failure_detail', p.problem)) AS results
      FROM public.iu_route_lease l
      CROSS JOIN LATERAL unnest(l.event_ids, l.replay_numbers, l.attempt_nos)
        AS i (event_id, replay_number, attempt_no)
      CROSS JOIN LATERAL (SELECT iu.fn_iu_payload_problem(v_contract, o.safe_payload) AS problem
                            FROM public.event_outbox o WHERE o.id = i.event_id OFFSET 0) AS p
     WHERE l.lease_id = ANY (p_lease_ids) AND p.problem IS NOT NULL
     GROUP BY l.lease_id, l.generation
  LOOP
    PERFORM iu.fn_iu_delivery_record(v_broken.lease_id, v_broken.generation, v_broken.results);
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_contract IS
  'For the claim: deliveries among these leases whose payload breaks the route''s contract are not handed out: '
  'each is an attempt that failed (contract) and a dead letter.';
