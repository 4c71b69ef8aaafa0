-- Which events of its types a route carries: a filter over the payload. An event
-- that does not pass is none of the route's, and nothing is wrong with it; a payload
-- contract says what an event of the route must be, and what breaks it is a fault.

CREATE FUNCTION iu.fn_iu_route_filter_problem(p_filter text) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_ms   constant integer := 100;
  v_path jsonpath;
  v_bare text;
BEGIN
  IF length(p_filter) > 2000 THEN
    RETURN 'the filter is longer than 2000 characters';
  END IF;
  v_path := iu_core.filter_path(p_filter, c_ms);
  v_bare := regexp_replace(v_path::text, '"([^"\\]|\\.)*"', '""', 'g');
  IF v_bare ~ E'\\$""' THEN
    RETURN 'the filter has a variable, which nobody gives it';
  ELSIF v_bare ~ '^(strict )?(true|false|null)$' THEN
    RETURN 'the filter says the same of every payload';
  END IF;
  PERFORM iu_core.payload_passes(v_path, '{}', c_ms);
  RETURN NULL;
EXCEPTION
  WHEN singleton_sql_json_item_required THEN
    RETURN 'the filter selects values and does not decide: an example that does is $.amount > 100';
  WHEN OTHERS THEN
    IF SQLSTATE ~ '^(40|53|57|58|XX)' THEN  -- errors of the server, not of the filter
      RAISE;
    END IF;
    RETURN 'the filter cannot be used: ' || iu_core.text_made_fit(SQLERRM, true);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_filter_problem IS
  'NULL if the text is a filter that a route may have: a jsonpath that is a predicate (a comparison, exists, '
  'like_regex, '
  'starts with, and these joined by &&, || and !), without variables, at most 2000 characters, whose regular '
  'expressions are compiled within 100 ms of processor time; otherwise what is wrong with it.';

-- Each process compiles what a filter has of regular expressions when it uses it for
-- the first time. It has more time for that than whoever set the filter.
CREATE FUNCTION iu.fn_iu_filter_verdict(p_filter text, p_payload jsonb, OUT passes boolean, OUT problem text)
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_read_ms constant integer := 500;
  c_ms      constant integer := 50;
BEGIN
  passes := p_filter IS NULL
    OR coalesce(iu_core.payload_passes(iu_core.filter_path(p_filter, c_read_ms), p_payload, c_ms), false);
EXCEPTION WHEN OTHERS THEN
  IF SQLSTATE ~ '^(40|53|57|58|XX)' THEN
    RAISE;
  END IF;
  passes := NULL;
  problem := iu_core.text_made_fit(SQLERRM, true);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_filter_verdict IS
  'Whether a payload passes a filter; what is unknown does not pass. Where the filter raises, or takes longer than '
  '50 ms of processor time, or 500 ms to be read, passes is NULL, and problem says why. Raises errors of the server '
  'alone.';

CREATE FUNCTION iu.fn_iu_filter_keeps(p_filter text, p_payload jsonb) RETURNS boolean
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN p_filter IS NULL OR (iu.fn_iu_filter_verdict(p_filter, p_payload)).passes IS NOT FALSE;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_filter_keeps IS
  'Whether an event stays on a route with this filter: it passes, or nobody can tell, so that it will be a dead letter '
  'and is not lost.';

-- Evaluates a batch in its order, and stops at its time or when it has enough.
CREATE FUNCTION iu.fn_iu_filter_batch(p_filter text, p_ids uuid[], p_most integer, p_until timestamptz,
    OUT items bigint, OUT last bigint, OUT ids uuid[], OUT seqs bigint[])
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_event record;
BEGIN
  items := 0;
  FOR v_event IN
    SELECT e.id, e.event_seq, e.safe_payload FROM unnest(p_ids) WITH ORDINALITY AS u (id, n)
      CROSS JOIN LATERAL (SELECT o.id, o.event_seq, o.safe_payload FROM public.event_outbox o
                           WHERE o.id = u.id OFFSET 0) AS e ORDER BY u.n
  LOOP
    last := v_event.event_seq;
    IF (iu.fn_iu_filter_verdict(p_filter, v_event.safe_payload)).passes IS NOT FALSE THEN
      items := items + 1;
      ids := ids || v_event.id;
      seqs := seqs || v_event.event_seq;
    END IF;
    EXIT WHEN items >= p_most OR iu_core.steady_clock() > p_until;
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_filter_batch IS
  'For the claim: of these events, in their order, those that stay on a route with this filter (fn_iu_filter_keeps), '
  'until there are p_most of them or a time of iu_core.steady_clock() has come: how many, the event_seq of the last '
  'that was looked at, ids and places.';
