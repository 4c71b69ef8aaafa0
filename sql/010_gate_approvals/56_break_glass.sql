-- Opening a gate that nobody else approved.

CREATE FUNCTION iu.fn_iu_gate_break_glass(p_gate_key text, p_actor text, p_reason text, p_ttl_seconds integer)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
AS $function$
DECLARE
  v_approval_id CONSTANT uuid := gen_random_uuid();
  v_caller      CONSTANT oid := iu.fn_iu_require_caller();
  v_opened      jsonb;
  v_event_id    uuid;
BEGIN
  PERFORM iu.fn_iu_gate_require_governable(p_gate_key);
  IF iu_core.text_problem(p_reason, true) IN ('is missing', 'shows nothing') THEN
    RAISE check_violation USING
      MESSAGE = 'break-glass needs a reason: say why nobody else approves', CONSTRAINT = 'iu_break_glass_reason';
  END IF;
  PERFORM iu.fn_iu_require_value(
    p_ttl_seconds BETWEEN 1 AND 3600, 'iu_gate_ttl', 'ttl_seconds', 'from 1 to 3600', p_ttl_seconds::text);
  PERFORM iu.fn_iu_require_actor(p_actor, 'opens the gate');
  PERFORM iu.fn_iu_require_form('reason', p_reason, true);

  INSERT INTO public.iu_gate_approval
      (approval_id, gate_key, kind, action, max_ttl_seconds, granted_to, granted_to_oid, expires_at, grantor, reason)
    VALUES (v_approval_id, p_gate_key, 'break_glass', 'open', p_ttl_seconds, pg_get_userbyid(v_caller), v_caller,
            clock_timestamp() + interval '1 hour', p_actor, p_reason);
  v_opened := iu.fn_iu_gate_open(p_gate_key, v_approval_id, p_actor, left('break-glass: ' || p_reason, 2000),
    p_ttl_seconds);

  INSERT INTO public.event_outbox
      (event_domain, event_type, event_stream, delivery_lane, event_severity, event_subject_table,
       event_subject_ref, actor_ref, source_system, safe_payload)
    SELECT r.event_domain, r.event_type, r.event_stream, r.delivery_lane, r.default_severity, 'iu_gate_transition',
           v_opened ->> 'transition_id', p_actor, 'iu_core',
           jsonb_build_object('gate_key', p_gate_key, 'approval_mark',
             iu.fn_iu_gate_approval_mark(v_approval_id), 'reason', p_reason,
             'status', v_opened ->> 'status', 'expires_at', v_opened ->> 'expires_at', 'session_user', session_user)
      FROM public.event_type_registry r
     WHERE r.event_domain = 'governance' AND r.event_type = 'gate_break_glass' AND r.active
       AND iu.fn_iu_core_routes_enabled()
    RETURNING id INTO v_event_id;
  PERFORM iu.fn_dot_iu_command_note('dot_iu_gate_break_glass', 'gate_key', p_gate_key, 'applied', p_actor, p_reason,
    jsonb_build_object('status', v_opened ->> 'status', 'approval_mark', iu.fn_iu_gate_approval_mark(v_approval_id),
      'transition_id', v_opened ->> 'transition_id', 'event_id', v_event_id, 'session_user', session_user));
  RAISE WARNING USING
    MESSAGE = format('break-glass: gate "%s" %s by "%s" without anybody''s approval, for %s s',
                     p_gate_key, v_opened ->> 'status', pg_get_userbyid(v_caller), p_ttl_seconds),
    DETAIL = format('Actor: %s. Reason: %s. Login role: %s.', p_actor, p_reason, session_user),
    CONSTRAINT = 'iu_break_glass';
  RETURN v_opened || jsonb_build_object('event_id', v_event_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_break_glass IS
  'What public.fn_iu_gate_break_glass hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_gate_break_glass(p_gate_key text, p_actor text, p_reason text, p_ttl_seconds integer)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_gate_break_glass(p_gate_key, p_actor, p_reason, p_ttl_seconds) END;
COMMENT ON FUNCTION public.fn_iu_gate_break_glass IS
  'Opens (or, for its holder, renews) a gate that nobody else approved, in strict mode and beside its approval '
  'list too: gate, who, why, seconds. It makes an approval of its own, a run of the command dot_iu_gate_break_glass '
  'beside that of the opening, a WARNING in the server log, and the event governance.gate_break_glass (none while the '
  'master switch is off). Returns what fn_iu_gate_open does, and '
  'event_id. Errors: 42501 NEVER-FLIP, 42501 not a governable gate, 23514 reason, time or actor missing or out of '
  'range, and from 55000 on those of fn_iu_gate_open.';
