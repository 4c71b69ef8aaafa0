-- Inbound: what happens in a table is noted as an attempt of a route. The one table
-- that has the trigger is iu_sql_link.

CREATE FUNCTION iu.fn_iu_sql_link_inbound_capture() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_route public.iu_sql_event_route;
BEGIN
  -- A table of somebody else's has columns and values that nobody of ours vouches for.
  IF TG_RELID <> 'public.iu_sql_link'::regclass OR TG_OP <> 'INSERT' OR TG_LEVEL <> 'ROW' OR TG_WHEN <> 'AFTER' THEN
    RAISE WARNING USING
      MESSAGE = format('trigger "%s" of "%s" captures nothing', TG_NAME, TG_TABLE_NAME),
      DETAIL = 'fn_iu_sql_link_inbound_capture is for rows that are inserted into iu_sql_link.',
      HINT = format('DROP TRIGGER %I ON %I.%I;', TG_NAME, TG_TABLE_SCHEMA, TG_TABLE_NAME),
      CONSTRAINT = 'iu_sql_capture_elsewhere';
    RETURN NULL;
  END IF;
  SELECT r.* INTO v_route FROM public.iu_sql_event_route r
   WHERE r.enabled AND r.object_schema = TG_TABLE_SCHEMA AND r.object_name = TG_TABLE_NAME
     AND r.sql_event = lower(TG_OP);
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  BEGIN
    INSERT INTO public.iu_route_attempt
        (route_kind, route_code, event_ref, attempt_no, idempotency_key, status, sender, payload_snapshot)
      VALUES ('inbound', v_route.route_code, NEW.id, 1, 'in_' || NEW.id,
              CASE WHEN v_route.dry_run THEN 'dry_run' ELSE 'pending' END, 'fn_iu_sql_link_inbound_capture',
              jsonb_build_object('schema', TG_TABLE_SCHEMA, 'table', TG_TABLE_NAME, 'sql_event', lower(TG_OP),
                'link_id', NEW.id, 'target_event', v_route.target_event_domain || '.' || v_route.target_event_type));
  EXCEPTION WHEN OTHERS THEN
    IF v_route.fail_closed THEN
      RAISE object_not_in_prerequisite_state USING
        MESSAGE = format('link %s is not captured by route "%s": %s', NEW.id, v_route.route_code, SQLERRM),
        DETAIL = format('Link: %s; route: %s; SQLSTATE: %s.', NEW.id, v_route.route_code, SQLSTATE),
        HINT = 'Disable the route with fn_iu_sql_event_route_enable, or repair what the message names.',
        CONSTRAINT = 'iu_sql_capture_failed';
    END IF;
    RAISE WARNING USING
      MESSAGE = format('link %s is not captured by route "%s": %s', NEW.id, v_route.route_code, SQLERRM),
      CONSTRAINT = 'iu_sql_capture_failed';
  END;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_sql_link_inbound_capture IS
  'Row trigger of iu_sql_link after INSERT: where a route is enabled for the table, writes one row of iu_route_attempt '
  'of kind inbound, with what was written and no values of it; key in_<link>. Where that fails and the route is '
  'fail_closed, SQLSTATE 55000, otherwise a warning. On another table it captures nothing, and says so with a warning.';

CREATE TRIGGER trg_iu_sql_in_iu_sql_link
  AFTER INSERT ON public.iu_sql_link
  FOR EACH ROW EXECUTE FUNCTION iu.fn_iu_sql_link_inbound_capture();
COMMENT ON TRIGGER trg_iu_sql_in_iu_sql_link ON public.iu_sql_link IS
  'Notes new links as attempts of an enabled route.';

-- ---- the routes

CREATE FUNCTION iu.fn_iu_sql_event_route_refusal(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE
  WHEN (p_route_code ~ '^iu_sql[.][A-Za-z0-9_.:-]{1,113}$') IS NOT TRUE
    THEN iu.fn_iu_invalid('route_code', p_route_code, 'iu_sql. and 1 to 113 letters, digits, "_", ".", ":" or "-"')
  WHEN iu_core.text_problem(p_actor, false) IS NOT NULL
    THEN iu.fn_iu_invalid('actor', p_actor, 'who does it, in up to 200 characters')
  WHEN iu_core.text_problem(p_reason, true) IS NOT NULL
    THEN iu.fn_iu_invalid('reason', p_reason, 'why, in up to 2000 characters in one line') END;
COMMENT ON FUNCTION iu.fn_iu_sql_event_route_refusal IS
  'The refusal invalid_input of what names a route that captures, or NULL: its code, who, why.';

CREATE FUNCTION iu.fn_iu_sql_event_route_add(
    p_route_code text, p_object_schema text, p_object_name text, p_sql_event text, p_target_event_domain text,
    p_target_event_type text, p_actor text, p_reason text, p_fail_closed boolean, p_payload_contract jsonb)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_refusal jsonb := iu.fn_iu_sql_event_route_refusal(p_route_code, p_actor, p_reason);
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_sql_event_route_add');
  v_refusal := coalesce(v_refusal, CASE
    WHEN (p_target_event_domain IN ('iu', 'iu_sql')) IS NOT TRUE
      THEN iu.fn_iu_invalid('target_event_domain', p_target_event_domain, 'iu or iu_sql')
    WHEN (length(p_target_event_type) <= 200 AND p_target_event_type ~ '^[a-z0-9_]+(\.[a-z0-9_]+)*$') IS NOT TRUE
      THEN iu.fn_iu_invalid('target_event_type', p_target_event_type, 'words of small letters, digits and "_"')
    WHEN p_fail_closed IS NULL THEN iu.fn_iu_invalid('fail_closed', NULL, 'true or false')
    WHEN (jsonb_typeof(p_payload_contract) = 'object' AND iu.fn_iu_json_fits(p_payload_contract, 262144)) IS NOT TRUE
      THEN iu.fn_iu_invalid('payload_contract', CASE jsonb_typeof(p_payload_contract) WHEN 'object'
             THEN 'a longer one' ELSE jsonb_typeof(p_payload_contract) END, 'an object of up to 262144 bytes')
    WHEN (p_object_schema, p_object_name, p_sql_event) IS DISTINCT FROM ('public', 'iu_sql_link', 'insert')
      THEN iu.fn_iu_answer('not_captured', 'object_name',
             'Nothing captures that: the one table with the trigger is public.iu_sql_link, and the event insert.',
             'correct_the_argument') END);
  IF v_refusal IS NOT NULL THEN
    RETURN v_refusal;
  END IF;
  PERFORM iu_core.named_lock('iu_sql_event_route:' || p_route_code);
  IF EXISTS (SELECT FROM public.iu_governed_object g
              WHERE g.object_class = 'route' AND g.object_name = p_route_code) THEN
    RETURN iu.fn_iu_answer('route_exists', 'route_code',
      format('There is a route %s already.', iu_core.text_shown(p_route_code)), 'choose_another_code');
  END IF;
  INSERT INTO public.iu_sql_event_route (route_code, object_schema, object_name, sql_event, target_event_domain,
      target_event_type, fail_closed, payload_contract, created_by)
    VALUES (p_route_code, p_object_schema, p_object_name, p_sql_event, p_target_event_domain, p_target_event_type,
            p_fail_closed, p_payload_contract, p_actor);
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_sql_event_route r WHERE r.route_code = p_route_code),
    'public.iu_sql_event_route', 'registering the route');
  PERFORM iu.fn_iu_govern_row(38, 'route', p_route_code, false);
  PERFORM iu.fn_dot_iu_command_note('dot_iu_sql_event_route_add', 'route_code', p_route_code, 'applied', p_actor,
    p_reason, jsonb_build_object('target_event', p_target_event_domain || '.' || p_target_event_type));
  RETURN jsonb_build_object('status', 'registered', 'route_code', p_route_code, 'enabled', false, 'dry_run', true);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_sql_event_route_add IS
  'What public.fn_iu_sql_event_route_add hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_sql_event_route_add(
    p_route_code text, p_object_schema text, p_object_name text, p_sql_event text, p_target_event_domain text,
    p_target_event_type text, p_actor text, p_reason text, p_fail_closed boolean DEFAULT true,
    p_payload_contract jsonb DEFAULT '{}')
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_sql_event_route_add(p_route_code, p_object_schema, p_object_name, p_sql_event, p_target_event_domain,
    p_target_event_type, p_actor, p_reason, p_fail_closed, p_payload_contract) END;
COMMENT ON FUNCTION public.fn_iu_sql_event_route_add IS
  'Registers a route that captures what happens in a table, not enabled, dry run, and logs it, for operators: code '
  '(iu_sql. and what it is), schema, table, insert, domain (iu or iu_sql) and type of the event that it would become, '
  'who, why; whether a row that cannot be captured is refused (the default), what the payload must be, in up to 256 '
  'kB. Returns {status: registered, route_code, enabled, dry_run}. Refusals {status, field, guidance, next_action}: '
  'invalid_input (the arguments), not_captured (another table than public.iu_sql_link), route_exists. SQLSTATE 25000: '
  'another isolation level than READ COMMITTED.';

CREATE FUNCTION iu.fn_iu_sql_event_route_enable(
    p_route_code text, p_enabled boolean, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_refusal jsonb := coalesce(iu.fn_iu_sql_event_route_refusal(p_route_code, p_actor, p_reason),
    CASE WHEN p_enabled IS NULL THEN iu.fn_iu_invalid('enabled', NULL, 'true or false') END);
  v_route   public.iu_sql_event_route;
  v_other   text;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_sql_event_route_enable');
  IF v_refusal IS NOT NULL THEN
    RETURN v_refusal;
  END IF;
  -- There are few of them, and one of a table is enabled: who changes one waits for whoever changes another.
  PERFORM FROM public.iu_sql_event_route r ORDER BY r.route_code FOR NO KEY UPDATE;
  SELECT r.* INTO v_route FROM public.iu_sql_event_route r WHERE r.route_code = p_route_code;
  IF NOT FOUND THEN
    RETURN iu.fn_iu_answer('route_not_found', 'route_code',
      format('There is no route %s.', iu_core.text_shown(p_route_code)), 'fn_iu_sql_event_route_add');
  ELSIF v_route.enabled = p_enabled THEN
    RETURN jsonb_build_object('status', 'unchanged', 'route_code', p_route_code, 'enabled', p_enabled);
  END IF;
  SELECT r.route_code INTO v_other FROM public.iu_sql_event_route r
   WHERE p_enabled AND r.enabled AND (r.object_schema, r.object_name, r.sql_event)
         = (v_route.object_schema, v_route.object_name, v_route.sql_event);
  IF FOUND THEN
    RETURN iu.fn_iu_answer('route_enabled_for_table', 'route_code',
      format('Route %s captures that already.', v_other), 'fn_iu_sql_event_route_enable');
  END IF;
  UPDATE public.iu_sql_event_route r SET enabled = p_enabled WHERE r.route_code = p_route_code;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_sql_event_route r WHERE r.route_code = p_route_code AND r.enabled = p_enabled),
    'public.iu_sql_event_route', 'enabling or disabling the route');
  PERFORM iu.fn_dot_iu_command_note('dot_iu_sql_event_route_enable', 'route_code', p_route_code, 'applied', p_actor,
    p_reason, jsonb_build_object('enabled', p_enabled));
  RETURN jsonb_build_object('status', CASE WHEN p_enabled THEN 'enabled' ELSE 'disabled' END, 'route_code',
    p_route_code, 'enabled', p_enabled);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_sql_event_route_enable IS
  'What public.fn_iu_sql_event_route_enable hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_sql_event_route_enable(
    p_route_code text, p_enabled boolean, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_sql_event_route_enable(p_route_code, p_enabled, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_sql_event_route_enable IS
  'Lets a route capture, or not any more, and logs it, for operators: code, whether, who, why. It stays a dry run. '
  'Returns {status: enabled, disabled or unchanged, route_code, enabled}. Refusals {status, field, guidance, '
  'next_action}: invalid_input (route_code, actor, reason, enabled), route_not_found, route_enabled_for_table (another '
  'one captures the table). SQLSTATE 25000: another isolation level than READ COMMITTED.';

CREATE FUNCTION iu.fn_iu_sql_event_route_remove(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_refusal CONSTANT jsonb := iu.fn_iu_sql_event_route_refusal(p_route_code, p_actor, p_reason);
  v_route   public.iu_sql_event_route;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_sql_event_route_remove');
  IF v_refusal IS NOT NULL THEN
    RETURN v_refusal;
  END IF;
  SELECT r.* INTO v_route FROM public.iu_sql_event_route r WHERE r.route_code = p_route_code FOR UPDATE;
  IF NOT FOUND THEN
    RETURN iu.fn_iu_answer('route_not_found', 'route_code',
      format('There is no route %s.', iu_core.text_shown(p_route_code)), 'correct_the_argument');
  ELSIF v_route.enabled THEN
    RETURN iu.fn_iu_answer('route_enabled', 'route_code',
      format('Route %s captures.', iu_core.text_shown(p_route_code)), 'fn_iu_sql_event_route_enable');
  END IF;
  DELETE FROM public.iu_sql_event_route r WHERE r.route_code = p_route_code;
  PERFORM iu.fn_iu_require_effect(
    NOT EXISTS (SELECT FROM public.iu_sql_event_route r WHERE r.route_code = p_route_code),
    'public.iu_sql_event_route', 'removing the route');
  PERFORM iu.fn_iu_ungovern_row('route', p_route_code);
  PERFORM iu.fn_dot_iu_command_note('dot_iu_sql_event_route_remove', 'route_code', p_route_code, 'applied', p_actor,
    p_reason, to_jsonb(v_route) - 'route_code');
  RETURN jsonb_build_object('status', 'removed', 'route_code', p_route_code);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_sql_event_route_remove IS
  'What public.fn_iu_sql_event_route_remove hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_sql_event_route_remove(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_sql_event_route_remove(p_route_code, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_sql_event_route_remove IS
  'Removes a route that captures, and logs it, for operators: code, who, why. Its attempts stay. Returns {status: '
  'removed, route_code}. Refusals {status, field, guidance, next_action}: invalid_input (route_code, actor, reason), '
  'route_not_found, route_enabled (disable it first). SQLSTATE 25000: another isolation level than READ COMMITTED.';
