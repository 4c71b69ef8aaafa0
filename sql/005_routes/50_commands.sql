-- One call for each thing that is done to a route: add, set, allow, disallow, pause,
-- resume, retire. Arming is in 007, being a dry run in 012.

CREATE FUNCTION iu.fn_iu_route_add(
    p_route_code text, p_event_type text, p_target_ref text, p_actor text, p_reason text,
    p_target_kind text, p_event_domain text,
    p_secret_ref text, p_description text, p_timeout_ms integer,
    p_max_in_flight integer, p_retry_policy jsonb, p_ordering text,
    p_payload_contract jsonb)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_retry  constant jsonb := '{"max_attempts": 8, "base_s": 5, "max_s": 3600, "jitter": 0.2, '
                             '"circuit_failures": 10, "circuit_open_s": 30, "circuit_max_s": 600}';
  v_http   constant boolean := p_target_kind IN ('external_endpoint', 'directus_flow');
  v_route  public.iu_outbound_route;
  v_secret jsonb := '{}';
BEGIN
  PERFORM iu.fn_iu_require_read_committed('fn_iu_route_add', 'would not see event types that the route is to carry');
  -- A type that is being registered is seen, and one that is registered meanwhile sees the route.
  LOCK TABLE public.event_type_registry IN SHARE MODE;
  v_route.route_code := p_route_code;
  v_route.event_domain := p_event_domain;
  v_route.event_type := array_to_string(iu.fn_iu_route_type_words(p_event_type), ', ');
  v_route.event_stream := iu.fn_iu_route_stream(p_event_domain, p_event_type);
  v_route.target_kind := p_target_kind;
  v_route.target_ref := p_target_ref;
  v_route.retry_policy := c_retry || coalesce(p_retry_policy, '{}');
  v_route.payload_contract := p_payload_contract;
  v_route.ordering := p_ordering;
  v_route.timeout_ms := p_timeout_ms;
  v_route.max_in_flight := p_max_in_flight;
  v_route.secret_ref := p_secret_ref;
  PERFORM iu.fn_iu_route_check(v_route, 'registered');
  IF EXISTS (SELECT FROM public.iu_outbound_route WHERE route_code = p_route_code) THEN
    RAISE unique_violation USING
      MESSAGE = format('route "%s" is registered already', p_route_code),
      DETAIL = format('Route: %s.', p_route_code), CONSTRAINT = 'iu_route_exists';
  END IF;

  PERFORM iu.fn_dot_iu_command_note('dot_iu_route_add', 'route_code', p_route_code, 'applied', p_actor, p_reason,
    jsonb_build_object('target_kind', p_target_kind, 'event', p_event_domain || '.' || p_event_type));
  IF v_http AND p_secret_ref IS NULL THEN
    v_secret := iu.fn_iu_route_secret_add(p_route_code, p_actor, p_reason, NULL, now(), NULL)
      - ARRAY['status', 'valid_from'];
  END IF;
  INSERT INTO public.iu_outbound_route (route_code, event_domain, event_type, event_stream, target_kind, target_ref,
      secret_ref, description, timeout_ms, max_in_flight, retry_policy, ordering, payload_contract, created_by)
    VALUES (p_route_code, p_event_domain, v_route.event_type, v_route.event_stream, p_target_kind, p_target_ref,
      CASE WHEN v_http THEN coalesce(p_secret_ref, p_route_code) END, p_description, p_timeout_ms, p_max_in_flight,
      v_route.retry_policy, p_ordering, p_payload_contract, p_actor);
  INSERT INTO public.iu_route_type (route_code, event_domain, event_type, named)
    SELECT r.route_code, t.event_domain, t.event_type, t.named
      FROM public.iu_outbound_route r CROSS JOIN iu.fn_iu_route_types(p_event_domain, v_route.event_type) t
     WHERE r.route_code = p_route_code;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_outbound_route r JOIN public.iu_route_type t ON t.route_code = r.route_code
             WHERE r.route_code = p_route_code),
    'public.iu_outbound_route', 'registering the route');
  PERFORM iu.fn_iu_govern_row(5, 'route', p_route_code, false);
  RETURN jsonb_build_object('status', 'registered', 'route_code', p_route_code, 'enabled', false, 'dry_run', true)
    || v_secret;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_add IS
  'What public.fn_iu_route_add hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_add(
    p_route_code text, p_event_type text, p_target_ref text, p_actor text, p_reason text,
    p_target_kind text DEFAULT 'external_endpoint', p_event_domain text DEFAULT 'iu',
    p_secret_ref text DEFAULT NULL, p_description text DEFAULT NULL, p_timeout_ms integer DEFAULT 10000,
    p_max_in_flight integer DEFAULT 2048, p_retry_policy jsonb DEFAULT NULL, p_ordering text DEFAULT 'none',
    p_payload_contract jsonb DEFAULT '{}')
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_route_add(p_route_code, p_event_type, p_target_ref, p_actor, p_reason, p_target_kind, p_event_domain,
    p_secret_ref, p_description, p_timeout_ms, p_max_in_flight, p_retry_policy, p_ordering, p_payload_contract) END;
COMMENT ON FUNCTION public.fn_iu_route_add IS
  'Registers a route, not enabled, dry run. p_event_type: an event type, or several, separated by commas, or patterns '
  'in which * stands for any characters; what is registered later and matches is carried too. p_event_domain * is '
  'every '
  'domain. An HTTP route (external_endpoint, directus_flow) is always signed: '
  'without p_secret_ref a secret is made and returned, this once. p_timeout_ms: 100 to 300000 and no more than '
  'iu_core.request_timeout, for one attempt; '
  'p_max_in_flight: 1 to 10000 requests under way at a time, of all senders together. Keys left '
  'out of p_retry_policy keep their defaults (8 attempts, 5 s doubling to 1 h, jitter 0.2; a circuit that 10 '
  'failed attempts in a row open for 30 s, doubling to 10 min; see fn_iu_route_retry_problem). p_ordering '
  'subject: the events of one subject one after another. p_payload_contract: see fn_iu_route_contract_problem. '
  'Returns {status: registered, route_code, enabled, dry_run, secret_ref, secret}. SQLSTATE 23514: code, type, '
  'URL, kind, limits, policy, ordering, contract, actor or reason; 23505: there already; 25000 outside of READ '
  'COMMITTED.';

CREATE FUNCTION iu.fn_iu_route_set(
    p_route_code text, p_actor text, p_reason text, p_target_ref text, p_timeout_ms integer,
    p_max_in_flight integer, p_retry_policy jsonb, p_payload_contract jsonb, p_description text,
    p_payload_filter text, p_headers jsonb, p_per_second numeric, p_ca_name text, p_client_name text)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_was      public.iu_outbound_route;
  v_is       public.iu_outbound_route;
  v_changed  jsonb;
  v_previous jsonb;
BEGIN
  SELECT * INTO v_was FROM public.iu_outbound_route WHERE route_code = p_route_code AND retired_at IS NULL FOR UPDATE;
  IF NOT FOUND THEN
    PERFORM iu.fn_iu_route_not_there(p_route_code);
  END IF;
  v_is := v_was;
  v_is.target_ref := coalesce(p_target_ref, v_was.target_ref);
  v_is.timeout_ms := coalesce(p_timeout_ms, v_was.timeout_ms);
  v_is.max_in_flight := coalesce(p_max_in_flight, v_was.max_in_flight);
  v_is.retry_policy := v_was.retry_policy || coalesce(p_retry_policy, '{}');
  v_is.payload_contract := coalesce(p_payload_contract, v_was.payload_contract);
  v_is.payload_filter := nullif(coalesce(p_payload_filter, v_was.payload_filter), '');
  v_is.request_headers := coalesce(p_headers, v_was.request_headers);
  v_is.ca_name := nullif(coalesce(p_ca_name, v_was.ca_name), '');
  v_is.client_name := nullif(coalesce(p_client_name, v_was.client_name), '');
  v_is.per_second := nullif(coalesce(p_per_second, v_was.per_second), 0);
  v_is.description := coalesce(p_description, v_was.description);
  PERFORM iu.fn_iu_route_check(v_is, 'changed');
  PERFORM iu.fn_iu_route_credentials_check(v_is);
  PERFORM iu.fn_iu_route_live_check(v_was, v_is);
  PERFORM iu.fn_iu_route_certificates_check(v_was, v_is);
  IF v_is.payload_filter <> coalesce(v_was.payload_filter, '') THEN
    PERFORM iu.fn_iu_route_filter_try(p_route_code, v_is.payload_filter);
  END IF;

  SELECT coalesce(jsonb_object_agg(i.key, i.value), '{}'), coalesce(jsonb_object_agg(i.key, w.value), '{}')
    INTO v_changed, v_previous
    FROM jsonb_each(to_jsonb(v_is)) AS i
    JOIN jsonb_each(to_jsonb(v_was)) AS w ON w.key = i.key AND w.value <> i.value;
  PERFORM iu.fn_dot_iu_command_note('dot_iu_route_set', 'route_code', p_route_code, 'applied', p_actor, p_reason,
    jsonb_build_object('changed', v_changed, 'previous', v_previous));
  IF v_changed <> '{}' THEN
    UPDATE public.iu_outbound_route
       SET target_ref = v_is.target_ref, timeout_ms = v_is.timeout_ms, max_in_flight = v_is.max_in_flight,
           retry_policy = v_is.retry_policy, payload_contract = v_is.payload_contract,
           payload_filter = v_is.payload_filter, request_headers = v_is.request_headers,
           ca_name = v_is.ca_name, client_name = v_is.client_name,
           per_second = v_is.per_second, description = v_is.description
     WHERE id = v_was.id;
    PERFORM iu.fn_iu_require_effect(
      EXISTS (SELECT FROM public.iu_outbound_route r
               WHERE r.id = v_was.id AND to_jsonb(r) - 'updated_at' = to_jsonb(v_is) - 'updated_at'),
      'public.iu_outbound_route', 'changing the route');
  END IF;
  RETURN jsonb_build_object('status', CASE WHEN v_changed <> '{}' THEN 'set' ELSE 'unchanged' END,
    'route_code', p_route_code, 'changed', v_changed, 'previous', v_previous);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_set IS
  'What public.fn_iu_route_set hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_set(
    p_route_code text, p_actor text, p_reason text, p_target_ref text DEFAULT NULL, p_timeout_ms integer DEFAULT NULL,
    p_max_in_flight integer DEFAULT NULL, p_retry_policy jsonb DEFAULT NULL, p_payload_contract jsonb DEFAULT NULL,
    p_description text DEFAULT NULL, p_payload_filter text DEFAULT NULL, p_headers jsonb DEFAULT NULL,
    p_per_second numeric DEFAULT NULL, p_ca_name text DEFAULT NULL, p_client_name text DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_route_set(p_route_code, p_actor, p_reason, p_target_ref, p_timeout_ms, p_max_in_flight, p_retry_policy,
    p_payload_contract, p_description, p_payload_filter, p_headers, p_per_second, p_ca_name, p_client_name) END;
COMMENT ON FUNCTION public.fn_iu_route_set IS
  'Changes settings of a route and logs what they were; what is left out stays. p_target_ref, p_ca_name and '
  'p_client_name (files of iu_core.certificate_directory, '''' for none) only while the route is not live; '
  'p_timeout_ms: 100 to 300000; p_max_in_flight: 1 to 10000; p_retry_policy: the keys to change; '
  'p_payload_contract: the whole of it, {} for none. Its position, retries and secrets stay, and they go by the '
  'new settings; what is with a sender goes by the old. Returns {status: set | unchanged, route_code, changed, '
  'previous}. SQLSTATE 42704: not registered or retired; 42501: live and not on the allowlist, where nothing of '
  'it is changed (allow it or pause it first); 55006: another target or other certificates for a live '
  'route; 23514: URL, limits, policy, contract, headers, certificates, actor or reason.';

CREATE FUNCTION iu.fn_iu_route_allowlist_set(p_list text[], p_doing text) RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_key   constant text := 'iu_core.delivery_live_routes';
  v_value constant text := array_to_string(p_list, ',');
BEGIN
  UPDATE public.dot_config SET value = v_value WHERE key = c_key;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.dot_config WHERE key = c_key AND value = v_value), 'public.dot_config', p_doing);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_allowlist_set IS
  'Writes the allowlist of routes and looks whether it is there. p_doing: what was asked for, for the refusal. Errors: '
  'as fn_iu_require_effect.';

CREATE FUNCTION iu.fn_iu_route_allow(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_list text[];
BEGIN
  PERFORM FROM public.dot_config WHERE key = 'iu_core.delivery_live_routes' FOR UPDATE;
  IF NOT FOUND THEN
    RAISE no_data_found USING
      MESSAGE = 'the allowlist iu_core.delivery_live_routes has no row in dot_config',
      HINT = 'Insert it with an empty value, and find out who deleted it.', CONSTRAINT = 'iu_route_allowlist_missing';
  ELSIF NOT EXISTS (SELECT FROM public.iu_outbound_route WHERE route_code = p_route_code AND retired_at IS NULL) THEN
    PERFORM iu.fn_iu_route_not_there(p_route_code);
  END IF;
  v_list := iu.fn_iu_delivery_live_routes();
  PERFORM iu.fn_dot_iu_command_note('dot_iu_route_allow', 'route_code', p_route_code, 'applied', p_actor, p_reason,
    jsonb_build_object('previous', v_list));
  IF p_route_code = ANY (v_list) THEN
    RETURN jsonb_build_object('status', 'unchanged', 'route_code', p_route_code, 'allowlist', v_list);
  END IF;
  v_list := v_list || p_route_code;
  PERFORM iu.fn_iu_route_allowlist_set(v_list, 'allowing the route');
  RETURN jsonb_build_object('status', 'allowed', 'route_code', p_route_code, 'allowlist', v_list);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_allow IS
  'What public.fn_iu_route_allow hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_allow(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_route_allow(p_route_code, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_route_allow IS
  'Puts a route on the allowlist iu_core.delivery_live_routes and logs it. Returns {status: allowed | unchanged, '
  'route_code, allowlist}. SQLSTATE 42704: not registered or retired; 23514: actor or reason missing; P0002: the '
  'list has no row.';

CREATE FUNCTION iu.fn_iu_route_disallow(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_list text[];
BEGIN
  PERFORM FROM public.dot_config WHERE key = 'iu_core.delivery_live_routes' FOR UPDATE;
  v_list := iu.fn_iu_delivery_live_routes();
  PERFORM iu.fn_dot_iu_command_note('dot_iu_route_disallow', 'route_code', p_route_code, 'applied', p_actor, p_reason,
    jsonb_build_object('previous', v_list));
  IF p_route_code IS NULL OR p_route_code <> ALL (v_list) THEN
    RETURN jsonb_build_object('status', 'unchanged', 'route_code', p_route_code, 'allowlist', v_list);
  END IF;
  v_list := array_remove(v_list, p_route_code);
  PERFORM iu.fn_iu_route_allowlist_set(v_list, 'disallowing the route');
  RETURN jsonb_build_object('status', 'disallowed', 'route_code', p_route_code, 'allowlist', v_list);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_disallow IS
  'What public.fn_iu_route_disallow hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_disallow(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_route_disallow(p_route_code, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_route_disallow IS
  'Takes a code off the allowlist and logs it; from the commit on its events are held. Takes any code, so that a '
  'stray entry can be removed. Returns {status: disallowed | unchanged, route_code, allowlist}. SQLSTATE 23514: '
  'actor or reason missing.';

CREATE FUNCTION iu.fn_iu_route_pause(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM iu.fn_dot_iu_command_note('dot_iu_route_pause', 'route_code', p_route_code, 'applied', p_actor, p_reason,
    NULL);
  UPDATE public.iu_outbound_route SET enabled = false, disabled_reason = format('paused by %s: %s', p_actor, p_reason)
   WHERE route_code = p_route_code AND retired_at IS NULL;
  IF NOT FOUND THEN
    PERFORM iu.fn_iu_route_not_there(p_route_code);
  END IF;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_outbound_route WHERE route_code = p_route_code AND NOT enabled),
    'public.iu_outbound_route', 'pausing the route');
  RETURN jsonb_build_object('status', 'paused', 'route_code', p_route_code);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_pause IS
  'What public.fn_iu_route_pause hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_pause(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_route_pause(p_route_code, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_route_pause IS
  'Disables a route and logs it. Its position stays: what is emitted meanwhile waits for fn_iu_route_resume. '
  'Returns {status: paused, route_code}. SQLSTATE 42704: not registered or retired; 23514: actor or reason '
  'missing.';

CREATE FUNCTION iu.fn_iu_route_resume(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM iu.fn_dot_iu_command_note('dot_iu_route_resume', 'route_code', p_route_code, 'applied', p_actor, p_reason,
    NULL);
  UPDATE public.iu_outbound_route SET enabled = true, disabled_reason = NULL
   WHERE route_code = p_route_code AND retired_at IS NULL;
  IF NOT FOUND THEN
    PERFORM iu.fn_iu_route_not_there(p_route_code);
  END IF;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_outbound_route WHERE route_code = p_route_code AND enabled),
    'public.iu_outbound_route', 'resuming the route');
  RETURN jsonb_build_object('status', 'resumed', 'route_code', p_route_code);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_resume IS
  'What public.fn_iu_route_resume hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_resume(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_route_resume(p_route_code, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_route_resume IS
  'Enables a paused route, or one that an answer 410 disabled, where it stood, and logs it: what waited goes out. '
  'Returns {status: resumed, route_code}. SQLSTATE 42704: not registered or retired; 42501: live and not on the '
  'allowlist; 23514: actor or reason missing.';

CREATE FUNCTION iu.fn_iu_route_retire(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_left jsonb := '{}';
BEGIN
  UPDATE public.iu_outbound_route
     SET enabled = false, dry_run = true, retired_at = now(),
         disabled_reason = format('retired by %s: %s', p_actor, p_reason)
   WHERE route_code = p_route_code AND retired_at IS NULL;
  IF NOT FOUND THEN
    PERFORM iu.fn_iu_route_not_there(p_route_code);
  END IF;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_outbound_route
             WHERE route_code = p_route_code AND NOT enabled AND retired_at IS NOT NULL),
    'public.iu_outbound_route', 'retiring the route');
  -- Deliveries are made from migration 007 on.
  IF to_regprocedure('iu.fn_iu_route_settle(text)') IS NOT NULL THEN
    v_left := iu.fn_iu_route_settle(p_route_code);
  END IF;
  PERFORM iu.fn_dot_iu_command_note('dot_iu_route_retire', 'route_code', p_route_code, 'applied', p_actor, p_reason,
    v_left);
  PERFORM iu.fn_iu_route_disallow(p_route_code, p_actor, p_reason);
  RETURN jsonb_build_object('status', 'retired', 'route_code', p_route_code) || v_left;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_retire IS
  'What public.fn_iu_route_retire hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_route_retire(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_route_retire(p_route_code, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_route_retire IS
  'Ends a route for good, takes it off the allowlist and logs it. What waits to be tried becomes a dead letter, '
  'failure_code route_retired; what is with a sender is recorded if it was sent, and otherwise becomes one; what '
  'the route had not come to is left in the outbox. A dead letter of a retired route is resolved, not replayed. '
  'Its attempts stay readable; its code is not given out again. Returns {status: retired, route_code, '
  'dead_letters, with_sender, passed_over}: how many became dead letters, are with a sender yet, and are left in '
  'the outbox. SQLSTATE 42704: not registered or retired; 23514: actor or reason missing; 25000 outside of READ '
  'COMMITTED.';

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_route_add',        'health', true, true,  ARRAY['fn_iu_route_add']),
  ('dot_iu_route_set',        'health', true, true,  ARRAY['fn_iu_route_set']),
  ('dot_iu_route_allow',      'health', true, true,  ARRAY['fn_iu_route_allow']),
  ('dot_iu_route_disallow',   'health', true, true,  ARRAY['fn_iu_route_disallow']),
  ('dot_iu_route_pause',      'health', true, true,  ARRAY['fn_iu_route_pause']),
  ('dot_iu_route_resume',     'health', true, true,  ARRAY['fn_iu_route_resume']),
  ('dot_iu_route_retire',     'health', true, false, ARRAY['fn_iu_route_retire']),
  ('dot_iu_route_credential_put', 'health', true, false, ARRAY['fn_iu_route_credential_put']),
  ('dot_iu_route_credential_end', 'health', true, false, ARRAY['fn_iu_route_credential_end']),
  ('dot_iu_route_key_add',    'health', true, true,  ARRAY['fn_iu_route_key_add']),
  ('dot_iu_route_secret_add', 'health', true, true,  ARRAY['fn_iu_route_secret_add']),
  ('dot_iu_route_secret_end', 'health', true, false, ARRAY['fn_iu_route_secret_end']);
