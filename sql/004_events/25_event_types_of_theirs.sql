-- Event types of the platform around us: registered and taken away by an
-- administrator, in domains that no migration uses.

CREATE FUNCTION iu.fn_iu_event_type_check(
    p_event_domain text, p_event_type text, p_stream text, p_lane text, p_severity text, p_description text)
  RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_wrong record;
BEGIN
  SELECT c.name, c.field, c.value, c.allowed INTO v_wrong
    FROM (VALUES
      (1, 'iu_event_type_domain', 'p_event_domain', p_event_domain,
       '1 to 63 small letters, digits and "_", a letter first', p_event_domain ~ '^[a-z][a-z0-9_]{0,62}$'),
      (2, 'iu_event_type_name', 'p_event_type', p_event_type,
       'small letters, digits and "_", in parts with "." between, at most 120',
       p_event_type ~ E'^[a-z0-9_]+(\\.[a-z0-9_]+)*$' AND length(p_event_type) <= 120),
      (3, 'iu_event_type_stream', 'p_stream', p_stream, 'comment, review, update, birth, task, alert, health',
       p_stream IN ('comment', 'review', 'update', 'birth', 'task', 'alert', 'health')),
      (4, 'iu_event_type_lane', 'p_lane', p_lane, 'immediate, delayed', p_lane IN ('immediate', 'delayed')),
      (5, 'iu_event_type_severity', 'p_severity', p_severity, 'info, warning, critical',
       p_severity IN ('info', 'warning', 'critical')),
      (6, 'iu_event_type_description', 'p_description', p_description, 'what happened when it is emitted, in words',
       iu_core.text_problem(p_description, true) IS NULL)) AS c (n, name, field, value, allowed, ok)
   WHERE c.ok IS NOT TRUE ORDER BY c.n LIMIT 1;
  IF FOUND THEN
    RAISE check_violation USING
      MESSAGE = format('%s %s is not allowed', v_wrong.field, iu_core.text_shown(v_wrong.value)),
      DETAIL = format('Allowed: %s.', v_wrong.allowed), CONSTRAINT = v_wrong.name;
  ELSIF p_event_domain IN ('iu', 'piece', 'staging', 'system', 'governance')
        OR EXISTS (SELECT FROM public.iu_governed_object g
                    WHERE g.object_class = 'event_type' AND NOT g.theirs
                      AND starts_with(g.object_name, p_event_domain || '.')) THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('event domain "%s" is the product''s own', p_event_domain),
      DETAIL = 'Migrations register its event types, now or later.',
      HINT = 'Take a domain for the platform, such as its name.', CONSTRAINT = 'iu_event_domain_reserved';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_event_type_check IS
  'For fn_iu_event_type_register, with its arguments: SQLSTATE 23514 for a value that is not allowed, 42501 for a '
  'domain that is the product''s.';

CREATE FUNCTION iu.fn_iu_event_type_register(
    p_event_domain text, p_event_type text, p_stream text, p_lane text, p_severity text, p_description text,
    p_actor text, p_reason text, p_active boolean)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_name   constant text := p_event_domain || '.' || p_event_type;
  v_active constant boolean := coalesce(p_active, false);
  v_was    public.event_type_registry;
  v_status text := 'unchanged';
  v_run_id uuid;
BEGIN
  PERFORM iu.fn_iu_event_type_check(p_event_domain, p_event_type, p_stream, p_lane, p_severity, p_description);
  PERFORM iu.fn_iu_require_read_committed('fn_iu_event_type_register',
    'would not see routes that are to carry the type');
  LOCK TABLE public.event_type_registry IN SHARE ROW EXCLUSIVE MODE;
  IF NOT EXISTS (SELECT FROM public.iu_governed_object g
                  WHERE g.object_class = 'event_type' AND g.object_name = v_name) THEN
    v_status := 'registered';
    PERFORM iu.fn_iu_govern_row(4, 'event_type', v_name, true);
  END IF;
  SELECT * INTO v_was FROM public.event_type_registry r
   WHERE r.event_domain = p_event_domain AND r.event_type = p_event_type;
  IF NOT FOUND THEN
    v_status := 'registered';
    INSERT INTO public.event_type_registry
        (event_domain, event_type, event_stream, delivery_lane, default_severity, description, active)
      VALUES (p_event_domain, p_event_type, p_stream, p_lane, p_severity, p_description, v_active);
    PERFORM iu_core.forget_unheard(p_event_domain, p_event_type);
  ELSIF (v_was.event_stream, v_was.delivery_lane) <> (p_stream, p_lane) THEN
    RAISE unique_violation USING
      MESSAGE = format('event type "%s" is registered already, with stream %s and lane %s',
                       v_name, v_was.event_stream, v_was.delivery_lane),
      DETAIL = format('Event type: %s; stream: %s; lane: %s.', v_name, v_was.event_stream, v_was.delivery_lane),
      HINT = 'Events and routes have them as well: register another type.', CONSTRAINT = 'iu_event_type_exists';
  ELSIF (v_was.default_severity, v_was.description, v_was.active) <> (p_severity, p_description, v_active) THEN
    v_status := CASE v_status WHEN 'registered' THEN v_status ELSE 'changed' END;
    UPDATE public.event_type_registry r
       SET default_severity = p_severity, description = p_description, active = v_active
     WHERE r.event_domain = p_event_domain AND r.event_type = p_event_type;
  END IF;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.event_type_registry r
             WHERE r.event_domain = p_event_domain AND r.event_type = p_event_type AND r.active = v_active),
    'public.event_type_registry', 'registering the event type');
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_event_type_register', 'event_type', v_name, 'applied', p_actor,
    p_reason, jsonb_build_object('status', v_status, 'stream', p_stream, 'lane', p_lane, 'severity', p_severity,
      'active', v_active));
  RETURN jsonb_build_object('status', v_status, 'event_type', v_name, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_event_type_register IS
  'What public.fn_iu_event_type_register hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_event_type_register(
    p_event_domain text, p_event_type text, p_stream text, p_lane text, p_severity text, p_description text,
    p_actor text, p_reason text, p_active boolean DEFAULT true)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_admin}') THEN
  iu.fn_iu_event_type_register(p_event_domain, p_event_type, p_stream, p_lane, p_severity, p_description, p_actor,
    p_reason, p_active) END;
COMMENT ON FUNCTION public.fn_iu_event_type_register IS
  'Registers an event type of the platform, so that fn_iu_event_emit writes it and routes may carry it: domain (of '
  'the platform''s own, e.g. its name), type, stream (comment, review, update, birth, task, alert, health), lane '
  '(immediate, delayed), severity (info, warning, critical), what happened when it is emitted, who, why, and whether '
  'it is emitted. Registering it again changes severity, description and the last. Conformance counts it as the '
  'platform''s. Returns {status: registered | changed | unchanged, event_type, run_id}. SQLSTATE 23514: a value '
  'that is not allowed, or actor or reason missing; 42501: the domain is the product''s, or the caller is not in '
  'iu_core_admin; 23505: registered with another stream or lane; 25000 outside of READ COMMITTED.';

CREATE FUNCTION iu.fn_iu_event_type_used(p_event_domain text, p_event_type text) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_routes  text;
  v_waiting bigint := 0;
  v_events  constant bigint := (SELECT count(*) FROM public.event_outbox e
                                 WHERE e.event_domain = p_event_domain AND e.event_type = p_event_type);
BEGIN
  -- Routes come with migration 005, event_pending with 013.
  IF to_regclass('public.iu_route_type') IS NOT NULL THEN
    SELECT string_agg(r.route_code, ', ' ORDER BY r.route_code) INTO v_routes FROM public.iu_route_type r
     WHERE r.event_domain = p_event_domain AND r.event_type = p_event_type AND r.named;
  END IF;
  IF to_regclass('public.event_pending') IS NOT NULL THEN
    SELECT count(*) INTO v_waiting FROM public.event_pending x
     WHERE x.event_domain = p_event_domain AND x.event_type = p_event_type;
  END IF;
  RETURN nullif(concat_ws('; ', CASE WHEN v_events > 0 THEN format('%s event(s) in event_outbox', v_events) END,
    CASE WHEN v_waiting > 0 THEN format('%s row(s) in event_pending', v_waiting) END, 'routes: ' || v_routes), '');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_event_type_used IS
  'What uses an event type, in words: events, rows of event_pending, routes that name it, retired ones included; NULL: '
  'nothing.';

CREATE FUNCTION iu.fn_iu_event_type_unregister(p_event_domain text, p_event_type text, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_name   constant text := coalesce(p_event_domain, '') || '.' || coalesce(p_event_type, '');
  v_theirs constant boolean := (SELECT g.theirs FROM public.iu_governed_object g
                                 WHERE g.object_class = 'event_type' AND g.object_name = v_name);
  v_used   text;
  v_run_id uuid;
BEGIN
  PERFORM iu.fn_iu_require_read_committed('fn_iu_event_type_unregister', 'would not see who has come to use the type');
  LOCK TABLE public.event_type_registry IN SHARE ROW EXCLUSIVE MODE;
  IF v_theirs IS NULL AND NOT EXISTS (SELECT FROM public.event_type_registry r
                                       WHERE r.event_domain = p_event_domain AND r.event_type = p_event_type) THEN
    RAISE undefined_object USING
      MESSAGE = format('event type "%s" is not registered', v_name),
      DETAIL = format('Event type: %s.', v_name), CONSTRAINT = 'iu_event_type_undefined';
  ELSIF v_theirs IS NOT TRUE THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('event type "%s" is the product''s own', v_name),
      DETAIL = 'It goes with the rollback of the migration that registered it.',
      CONSTRAINT = 'iu_event_type_not_theirs';
  END IF;
  LOCK TABLE public.event_outbox IN SHARE ROW EXCLUSIVE MODE;  -- an emit under way is counted
  v_used := iu.fn_iu_event_type_used(p_event_domain, p_event_type);
  IF v_used IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = format('event type "%s" is in use', v_name), DETAIL = format('In the way: %s.', v_used),
      HINT = 'Register it again with p_active => false: it is no longer emitted, and what was emitted stays.',
      CONSTRAINT = 'iu_event_type_in_use';
  END IF;
  DELETE FROM public.event_type_registry r WHERE r.event_domain = p_event_domain AND r.event_type = p_event_type;
  PERFORM iu.fn_iu_require_effect(
    NOT EXISTS (SELECT FROM public.event_type_registry r
                 WHERE r.event_domain = p_event_domain AND r.event_type = p_event_type),
    'public.event_type_registry', 'unregistering the event type');
  PERFORM iu.fn_iu_ungovern_row('event_type', v_name);
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_event_type_unregister', 'event_type', v_name, 'applied', p_actor,
    p_reason, NULL);
  RETURN jsonb_build_object('status', 'unregistered', 'event_type', v_name, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_event_type_unregister IS
  'What public.fn_iu_event_type_unregister hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_event_type_unregister(
    p_event_domain text, p_event_type text, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_admin}') THEN
  iu.fn_iu_event_type_unregister(p_event_domain, p_event_type, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_event_type_unregister IS
  'Takes an event type of the platform away again: domain, type, who, why. Waits for emits that are under way. '
  'Returns {status: unregistered, event_type, run_id}. SQLSTATE 42704: not registered; 42501: it is the product''s, '
  'or the caller is not in iu_core_admin; 55006: events, routes or rows of event_pending have it (which, is in '
  'DETAIL); 23514: actor or reason missing; 25000 outside of READ COMMITTED.';

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_event_type_register',   'health', true, true, ARRAY['fn_iu_event_type_register']),
  ('dot_iu_event_type_unregister', 'health', true, true, ARRAY['fn_iu_event_type_unregister']);
