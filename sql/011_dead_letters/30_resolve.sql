-- Dead letters that are resolved without sending them again.

CREATE FUNCTION iu.fn_iu_route_dead_letter_resolve(p_dead_letter_id uuid, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_letter public.iu_route_dead_letter;
  v_result jsonb := '{"status": "resolved", "resolved": true}';
BEGIN
  SELECT * INTO v_letter FROM public.iu_route_dead_letter WHERE id = p_dead_letter_id FOR UPDATE;
  IF NOT FOUND THEN
    v_result := '{"status": "dead_letter_not_found", "resolved": false, "message": "there is no such dead letter"}';
  ELSIF v_letter.resolved_at IS NOT NULL THEN
    v_result := jsonb_build_object('status',
      CASE WHEN v_letter.replayed_as IS NULL THEN 'already_resolved' ELSE 'already_replayed' END, 'resolved', true,
      'message', format('it was resolved at %s by %s: %s', v_letter.resolved_at, v_letter.resolved_by,
                        v_letter.resolution));
  ELSE
    UPDATE public.iu_route_dead_letter
       SET resolved_at = clock_timestamp(), resolved_by = coalesce(p_actor, ''), resolution = coalesce(p_reason, '')
     WHERE id = p_dead_letter_id;
  END IF;
  RETURN iu.fn_iu_route_dead_letter_log('dot_iu_route_dead_letter_resolve', v_letter, p_dead_letter_id, p_actor,
    p_reason, v_result);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_dead_letter_resolve IS
  'What public.fn_iu_route_dead_letter_resolve hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_dead_letter_resolve(p_dead_letter_id uuid, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_route_dead_letter_resolve(p_dead_letter_id, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_route_dead_letter_resolve IS
  'Resolves a dead letter without sending it again: which, who, why. Returns {dead_letter_id, status: resolved | '
  'already_resolved | already_replayed | dead_letter_not_found, resolved, message}. Works with every switch off. '
  'Every call is logged: applied, or what is not resolved by it as refused. SQLSTATE 23514: actor or reason empty.';

CREATE FUNCTION iu.fn_iu_route_dead_letter_resolve_many(
    p_actor text, p_reason text, p_route_code text, p_failure_code text,
    p_from timestamptz, p_until timestamptz, p_limit integer)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_ids     uuid[] := ARRAY(SELECT c FROM iu.fn_iu_route_dead_letter_chosen(p_route_code, p_failure_code, p_from,
                                                                            p_until) c);
  v_matched CONSTANT integer := cardinality(v_ids);
  v_count   integer;
  v_result  jsonb;
BEGIN
  PERFORM iu.fn_iu_require_value(p_limit BETWEEN 1 AND 100000, 'iu_dead_letters_limit', 'p_limit',
    'from 1 to 100000', p_limit::text);
  -- Chosen beforehand: within the UPDATE the limit would hold for each time that the plan asks, not for all together.
  v_ids := ARRAY(SELECT d.id FROM public.iu_route_dead_letter d WHERE d.id = ANY (v_ids) AND d.resolved_at IS NULL
                  ORDER BY d.created_at, d.id LIMIT p_limit FOR UPDATE SKIP LOCKED);
  UPDATE public.iu_route_dead_letter
     SET resolved_at = clock_timestamp(), resolved_by = coalesce(p_actor, ''), resolution = coalesce(p_reason, '')
   WHERE id = ANY (v_ids);
  GET DIAGNOSTICS v_count = ROW_COUNT;
  v_result := jsonb_build_object('status', 'ran', 'matched', v_matched, 'resolved', v_count, 'remaining',
    (SELECT count(*) FROM iu.fn_iu_route_dead_letter_chosen(p_route_code, p_failure_code, p_from, p_until)));
  PERFORM iu.fn_dot_iu_command_note('dot_iu_route_dead_letter_resolve', 'route_code', p_route_code, 'applied', p_actor,
    p_reason, v_result || jsonb_build_object('filter',
      iu.fn_iu_route_dead_letter_filter(p_route_code, p_failure_code, p_from, p_until, p_limit)));
  RETURN v_result;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_dead_letter_resolve_many IS
  'What public.fn_iu_route_dead_letter_resolve_many hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_dead_letter_resolve_many(
    p_actor text, p_reason text, p_route_code text DEFAULT NULL, p_failure_code text DEFAULT NULL,
    p_from timestamptz DEFAULT NULL, p_until timestamptz DEFAULT NULL, p_limit integer DEFAULT 10000)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_route_dead_letter_resolve_many(p_actor, p_reason, p_route_code, p_failure_code, p_from, p_until,
    p_limit) END;
COMMENT ON FUNCTION public.fn_iu_route_dead_letter_resolve_many IS
  'Resolves open dead letters without sending them again: who, why, and which, as in '
  'fn_iu_route_dead_letter_replay_many. Returns {status: ran, matched, resolved, remaining}. SQLSTATE 23514: no '
  'filter, limit out of range, actor or reason empty.';
