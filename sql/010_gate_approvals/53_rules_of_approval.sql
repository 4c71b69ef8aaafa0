-- Who may approve, and whether an approval must be registered.

CREATE FUNCTION iu.fn_iu_gate_approvers_set(p_gate_key text, p_approvers text[], p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
AS $function$
DECLARE
  v_unknown  text;
  v_previous jsonb;
  v_run_id   uuid;
BEGIN
  PERFORM iu.fn_iu_gate_require_governable(p_gate_key);
  PERFORM iu.fn_iu_require_reason(p_actor, p_reason);
  PERFORM iu.fn_iu_require_value(p_approvers IS NOT NULL AND array_position(p_approvers, NULL) IS NULL,
    'iu_approvers_null', 'p_approvers', 'a list of roles without NULL (empty: every member of iu_core_operator)',
    p_approvers::text);
  SELECT n.name INTO v_unknown FROM unnest(p_approvers) AS n (name)
   WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = n.name) LIMIT 1;
  IF FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('role "%s" does not exist', v_unknown),
      DETAIL = format('Role: %s.', v_unknown), CONSTRAINT = 'iu_role_unknown';
  END IF;

  -- The gate's row is locked, so that no opening decides on the old list later.
  UPDATE public.dot_config SET value = value WHERE key = p_gate_key;
  SELECT coalesce(jsonb_agg(a.approver ORDER BY a.approver), '[]') INTO v_previous
    FROM public.iu_gate_approver a WHERE a.gate_key = p_gate_key;
  DELETE FROM public.iu_gate_approver a WHERE a.gate_key = p_gate_key;
  INSERT INTO public.iu_gate_approver (gate_key, approver, approver_oid)
    SELECT DISTINCT p_gate_key, r.rolname, r.oid
      FROM unnest(p_approvers) AS n (name) JOIN pg_roles r ON r.rolname = n.name;
  PERFORM iu.fn_iu_require_effect(
    (SELECT count(*) FROM public.iu_gate_approver a WHERE a.gate_key = p_gate_key)
      = (SELECT count(DISTINCT n.name) FROM unnest(p_approvers) AS n (name)),
    'public.iu_gate_approver', 'setting the approval list');
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_gate_approvers_set', 'gate_key', p_gate_key, 'applied', p_actor,
    p_reason, jsonb_build_object('previous', v_previous, 'approvers', to_jsonb(p_approvers),
      'session_user', session_user));
  RETURN jsonb_build_object('status', 'set', 'gate_key', p_gate_key, 'previous', v_previous,
    'approvers', to_jsonb(p_approvers), 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approvers_set IS
  'What public.fn_iu_gate_approvers_set hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_gate_approvers_set(p_gate_key text, p_approvers text[], p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_admin}') THEN
  iu.fn_iu_gate_approvers_set(p_gate_key, p_approvers, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_gate_approvers_set IS
  'Sets a gate''s approval list: gate, the roles whose members may grant approvals for it (an empty list: '
  'iu_core_operator), who, why. What somebody granted who is not on it is void from then on, and no longer '
  'renewed. To grant one needs EXECUTE on fn_iu_gate_approval_grant as well, which members of iu_core_operator '
  'have. Returns {status: set, gate_key, previous, approvers, run_id}. Errors: 42501 not a governable gate, 23514 '
  'list, actor or reason missing, 42704 no such role.';

CREATE FUNCTION iu.fn_iu_gate_approval_mode_set(p_mode text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
AS $function$
DECLARE
  v_previous text;
  v_status   text;
  v_run_id   uuid;
BEGIN
  PERFORM iu.fn_iu_require_value(p_mode IN ('default', 'strict'), 'iu_approval_mode', 'p_mode', 'default or strict',
    p_mode);
  PERFORM iu.fn_iu_require_reason(p_actor, p_reason);
  SELECT c.value INTO v_previous
    FROM public.dot_config c WHERE c.key = 'iu_core.gate_approval_mode' FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = 'iu_core.gate_approval_mode has no row in dot_config, which reads as strict',
      HINT = 'Put it back: INSERT INTO dot_config (key, value) VALUES (''iu_core.gate_approval_mode'', ''strict'');',
      CONSTRAINT = 'iu_approval_mode_row';
  END IF;
  v_status := CASE WHEN v_previous = p_mode THEN 'unchanged' ELSE 'set' END;
  UPDATE public.dot_config SET value = p_mode WHERE key = 'iu_core.gate_approval_mode';
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.dot_config c WHERE c.key = 'iu_core.gate_approval_mode' AND c.value = p_mode),
    'public.dot_config', 'setting the mode of approval');
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_gate_approval_mode_set', 'mode', p_mode, 'applied', p_actor, p_reason,
    jsonb_build_object('status', v_status, 'previous', v_previous, 'session_user', session_user));
  RETURN jsonb_build_object('status', v_status, 'previous', v_previous, 'mode', p_mode, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_approval_mode_set IS
  'What public.fn_iu_gate_approval_mode_set hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_gate_approval_mode_set(p_mode text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_admin}') THEN
  iu.fn_iu_gate_approval_mode_set(p_mode, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_gate_approval_mode_set IS
  'Sets how openings are approved: default (an operator may give any id) or strict (the approval must be '
  'registered), who, why. Waits for openings under way. Returns {status: set | unchanged, previous, mode, '
  'run_id}. Errors: 23514 mode, actor or reason missing or wrong, 42704 no row in dot_config.';
