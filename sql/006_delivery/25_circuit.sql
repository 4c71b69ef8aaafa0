-- The circuit of a route: failed attempts in a row open it, one delivery at a time
-- finds out whether it can be closed.

CREATE FUNCTION iu.fn_iu_circuit_is_probing(p_route_code text) RETURNS boolean
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN EXISTS (SELECT FROM public.iu_route_circuit c WHERE c.route_code = p_route_code AND c.state <> 'closed');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_circuit_is_probing IS
  'For the claim, where nothing refuses: whether it may take one delivery only, because the circuit was open.';

CREATE FUNCTION iu.fn_iu_circuit_probe(p_route_code text, p_lease_ids bigint[]) RETURNS void
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  UPDATE public.iu_route_circuit c
     SET state = 'half_open', probe_lease = l.lease_id, changed_at = clock_timestamp(),
         next_at = iu_core.steady_clock() + make_interval(secs => 10 + r.timeout_ms / 1000.0)
    FROM public.iu_route_lease l JOIN public.iu_outbound_route r ON r.route_code = l.route_code
   WHERE c.route_code = p_route_code AND c.next_at <= iu_core.steady_clock()
     AND l.lease_id = ANY (p_lease_ids) AND l.route_code = p_route_code;
END;
COMMENT ON FUNCTION iu.fn_iu_circuit_probe IS
  'For the claim: the one delivery that it leased finds out whether the circuit can be closed. Where nothing is '
  'heard of it, another may be tried 10 s after its timeout.';

-- Counts outcomes in the order in which they came: failures in a row, up to the
-- limit, and the last of them. Of a code that says nothing of the receiver
-- nothing is counted.
CREATE FUNCTION iu.fn_iu_circuit_count(
    p_codes text[], p_limit integer, p_failures integer, p_last_failure text,
    OUT failures integer, OUT last_failure text, OUT verdict text)
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_code    text;
  v_verdict text;
BEGIN
  failures := p_failures;
  last_failure := p_last_failure;
  FOREACH v_code IN ARRAY coalesce(p_codes, '{}') LOOP
    v_verdict := iu.fn_iu_circuit_verdict(v_code);
    CONTINUE WHEN v_verdict IS NULL;
    verdict := v_verdict;
    failures := CASE verdict WHEN 'failed' THEN failures + 1 ELSE 0 END;
    last_failure := CASE verdict WHEN 'failed' THEN v_code END;
    EXIT WHEN p_limit > 0 AND failures >= p_limit;
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_circuit_count IS
  'For fn_iu_circuit_record: outcomes (a failure code each, NULL: sent), the limit (0: none), failures in a row before '
  'them and the last failure; returns both after them, and the last verdict, NULL where there was none.';

CREATE FUNCTION iu.fn_iu_circuit_record(
    p_route public.iu_outbound_route, p_lease_id bigint, p_codes text[], p_pause_s float8)
  RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_limit   constant integer := (p_route.retry_policy ->> 'circuit_failures')::integer;
  v_is      public.iu_route_circuit;
  v_was     public.iu_route_circuit;
  v_verdict text;
BEGIN
  LOOP
    SELECT * INTO v_was FROM public.iu_route_circuit WHERE route_code = p_route.route_code FOR UPDATE;
    EXIT WHEN FOUND;
    IF p_pause_s IS NULL AND (v_limit = 0 OR NOT EXISTS (
         SELECT FROM unnest(p_codes) u WHERE u IS NOT NULL AND iu.fn_iu_circuit_verdict(u) = 'failed')) THEN
      RETURN;
    END IF;
    INSERT INTO public.iu_route_circuit (route_code, state, failures) VALUES (p_route.route_code, 'closed', 0)
      ON CONFLICT DO NOTHING;
  END LOOP;
  IF v_was.state <> 'closed' AND v_was.probe_lease IS DISTINCT FROM p_lease_id THEN
    RETURN;  -- sent before it opened: only the probe decides
  END IF;

  v_is := v_was;
  SELECT c.failures, c.last_failure, c.verdict INTO v_is.failures, v_is.last_failure, v_verdict
    FROM iu.fn_iu_circuit_count(p_codes, v_limit, v_was.failures, v_was.last_failure) c;
  IF p_pause_s IS NOT NULL THEN
    v_is.failures := greatest(v_is.failures, 1);
    v_is.last_failure := coalesce(v_is.last_failure, 'http_429');
    v_verdict := 'failed';
  END IF;
  IF v_is.failures = 0 THEN
    DELETE FROM public.iu_route_circuit WHERE route_code = p_route.route_code;
    IF v_was.state <> 'closed' THEN
      RAISE LOG 'circuit of route "%" is closed: it delivers again', p_route.route_code;
    END IF;
    RETURN;
  END IF;

  IF v_was.state <> 'closed' THEN
    v_is.state := 'open';
    v_is.probe_lease := NULL;
    v_is.open_s := CASE v_verdict
      WHEN 'failed' THEN coalesce(nullif(p_pause_s, 0),
                                  least(v_was.open_s * 2, (p_route.retry_policy ->> 'circuit_max_s')::float8))
      ELSE v_was.open_s END;
    v_is.next_at := iu_core.steady_clock()
      + make_interval(secs => CASE v_verdict WHEN 'failed' THEN v_is.open_s ELSE 0 END);
  ELSIF p_pause_s IS NOT NULL OR (v_limit > 0 AND v_is.failures >= v_limit) THEN
    v_is.state := 'open';
    v_is.open_s := coalesce(nullif(p_pause_s, 0), (p_route.retry_policy ->> 'circuit_open_s')::float8);
    v_is.next_at := iu_core.steady_clock() + make_interval(secs => v_is.open_s);
  END IF;
  IF (v_is.state, v_is.failures) IS DISTINCT FROM (v_was.state, v_was.failures) THEN
    UPDATE public.iu_route_circuit
       SET state = v_is.state, failures = v_is.failures, last_failure = v_is.last_failure, open_s = v_is.open_s,
           next_at = v_is.next_at, probe_lease = v_is.probe_lease, changed_at = clock_timestamp()
     WHERE route_code = p_route.route_code;
    IF v_is.state = 'open' AND v_is.failures > v_was.failures THEN
      RAISE LOG 'circuit of route "%" is open until %: % failed attempts in a row, the last %',
        p_route.route_code, v_is.next_at + iu_core.clock_moved(), v_is.failures, v_is.last_failure;
    END IF;
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_circuit_record IS
  'For the record of a lease: counts its outcomes, in the order in which they came (a failure code each, NULL if '
  'sent; NULL or none: held), opens the circuit at the route''s circuit_failures, or where the receiver wants to be '
  'left alone (p_pause_s: for so many seconds; 0: it did not say; NULL: it does not), and closes it or opens it for '
  'twice as long where the lease is its probe. Writes nothing where nothing changes.';

CREATE FUNCTION iu.fn_iu_circuit_next_due() RETURNS timestamptz
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_circuit record;
BEGIN
  -- Whether something else holds a route is asked of the first, and of others only while it does.
  FOR v_circuit IN
    SELECT c.route_code, c.next_at FROM public.iu_route_circuit c
     WHERE c.next_at > iu_core.steady_clock() ORDER BY c.next_at
  LOOP
    IF iu.fn_iu_delivery_refusal(v_circuit.route_code) = 'circuit_open' THEN
      RETURN v_circuit.next_at;
    END IF;
  END LOOP;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_circuit_next_due IS
  'When the next open circuit may be tried, of routes that nothing else holds.';
