-- What the commands on routes refuse, each with a constraint name of its own.

CREATE FUNCTION iu.fn_iu_route_not_there(p_route_code text) RETURNS void
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF EXISTS (SELECT FROM public.iu_outbound_route r
              WHERE r.route_code = p_route_code AND r.retired_at IS NOT NULL) THEN
    RAISE undefined_object USING
      MESSAGE = format('route "%s" is retired', p_route_code),
      DETAIL = format('Route: %s.', p_route_code),
      HINT = 'Register another with fn_iu_route_add.', CONSTRAINT = 'iu_route_retired';
  END IF;
  RAISE undefined_object USING
    MESSAGE = format('route "%s" is not registered', coalesce(p_route_code, '')),
    DETAIL = format('Route: %s.', coalesce(p_route_code, '')),
    HINT = 'iu_outbound_route has the routes; fn_iu_route_add registers one.', CONSTRAINT = 'iu_route_unknown';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_not_there IS
  'For commands that found no route of this code which is not retired: SQLSTATE 42704, saying whether it is retired '
  'or not registered.';

CREATE FUNCTION iu.fn_iu_route_check(p_route public.iu_outbound_route, p_done text) RETURNS void
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_http  constant boolean := p_route.target_kind IN ('external_endpoint', 'directus_flow');
  v_wrong record;
BEGIN
  SELECT c.name, c.problem INTO v_wrong
    FROM (VALUES
      (1, 'iu_route_code', CASE WHEN (p_route.route_code ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$') IS NOT TRUE
        THEN 'a route code is 1 to 120 letters, digits, "_", ".", ":" or "-"' END),
      (2, 'iu_route_event_type', CASE WHEN p_route.event_stream IS NULL
        THEN iu.fn_iu_route_type_problem(p_route.event_domain, p_route.event_type) END),
      (3, 'iu_route_target_kind', CASE WHEN (p_route.target_kind IN
          ('sql_function', 'workflow', 'vector', 'report', 'directus_flow', 'external_endpoint')) IS NOT TRUE
        THEN 'the target kind is none of sql_function, workflow, vector, report, directus_flow, external_endpoint' END),
      (4, 'iu_route_url', CASE WHEN v_http THEN iu.fn_iu_route_url_problem(p_route.target_ref) END),
      (5, 'iu_route_target', CASE iu_core.text_problem(p_route.target_ref, true)
        WHEN 'is missing' THEN 'there is no target' WHEN 'shows nothing' THEN 'there is no target'
        ELSE 'the target ' || iu_core.text_problem(p_route.target_ref, true) END),
      (6, 'iu_route_retry_policy', iu.fn_iu_route_retry_problem(p_route.retry_policy)),
      (7, 'iu_route_payload_contract', iu.fn_iu_route_contract_problem(p_route.payload_contract)),
      (7, 'iu_route_payload_filter', iu.fn_iu_route_filter_problem(p_route.payload_filter)),
      (7, 'iu_route_headers', CASE WHEN p_route.request_headers <> '{}' AND NOT v_http
        THEN 'only a route to a URL has headers'
        ELSE iu.fn_iu_route_headers_problem(coalesce(p_route.request_headers, '{}')) END),
      (7, 'iu_route_certificate', iu.fn_iu_route_certificate_problem(
        p_route.target_kind, p_route.target_ref, p_route.ca_name, p_route.client_name)),
      (8, 'iu_route_ordering', CASE WHEN (p_route.ordering IN ('none', 'subject')) IS NOT TRUE
        THEN 'the ordering is neither none nor subject' END),
      (9, 'iu_route_timeout', CASE WHEN (p_route.timeout_ms BETWEEN 100 AND 300000) IS NOT TRUE
        THEN 'p_timeout_ms is not from 100 to 300000' END),
      (9, 'iu_route_timeout_setting', CASE WHEN v_http AND p_route.timeout_ms >
          (SELECT s.setting::integer FROM pg_settings s WHERE s.name = 'iu_core.request_timeout')
        THEN format('p_timeout_ms is %s, and no request lasts longer than iu_core.request_timeout, which is %s',
                    p_route.timeout_ms, current_setting('iu_core.request_timeout')) END),
      (10, 'iu_route_max_in_flight', CASE WHEN (p_route.max_in_flight BETWEEN 1 AND 10000) IS NOT TRUE
        THEN 'p_max_in_flight is not from 1 to 10000' END),
      (10, 'iu_route_rate', CASE WHEN p_route.per_second NOT BETWEEN 0.001 AND 100000
        THEN 'p_per_second is neither 0, for no limit, nor from 0.001 to 100000' END),
      (10, 'iu_route_rate', CASE WHEN p_route.per_second IS NOT NULL AND NOT v_http
        THEN 'only a route to a URL has a limit of deliveries a second' END),
      (11, 'iu_route_secret_ref', CASE WHEN p_route.secret_ref !~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$'
        THEN 'the reference of its secret is not 1 to 120 letters, digits, "_", ".", ":" or "-"' END),
      (12, 'iu_text_form', CASE WHEN p_route.description <> ''
        THEN 'its description ' || iu_core.text_problem(p_route.description, true) END))
      AS c (n, name, problem)
   WHERE c.problem IS NOT NULL ORDER BY c.n LIMIT 1;
  IF FOUND THEN
    RAISE check_violation USING
      MESSAGE = format('route "%s" cannot be %s: %s',
                       coalesce(iu_core.text_made_fit(p_route.route_code, false), ''), p_done, v_wrong.problem),
      DETAIL = format('Route: %s; problem: %s.',
                      coalesce(iu_core.text_made_fit(p_route.route_code, false), ''), v_wrong.problem),
      CONSTRAINT = v_wrong.name;
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_check IS
  'For fn_iu_route_add and fn_iu_route_set: a route as it would be, and registered or changed, for the message. '
  'SQLSTATE 23514 for the first thing that is wrong with it: its code, event type (no event_stream), target kind, URL, '
  'target, retry policy, payload contract, payload filter, headers, certificates, ordering, limits, secret reference.';

CREATE FUNCTION iu.fn_iu_route_credentials_check(p_route public.iu_outbound_route) RETURNS void
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_problem constant text := iu.fn_iu_route_credential_problem(p_route.request_headers);
BEGIN
  IF v_problem IS NOT NULL THEN
    RAISE check_violation USING
      MESSAGE = format('route "%s" cannot be changed: %s', p_route.route_code, v_problem),
      DETAIL = format('Route: %s; problem: %s.', p_route.route_code, v_problem),
      HINT = 'Register the credential with fn_iu_route_credential_put.', CONSTRAINT = 'iu_route_credential';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_credentials_check IS
  'For fn_iu_route_set: a route as it would be. SQLSTATE 23514 where its headers name a credential that is not '
  'registered, or is not user:password where it has to be.';

CREATE FUNCTION iu.fn_iu_route_certificates_check(
    p_was public.iu_outbound_route, p_is public.iu_outbound_route)
  RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_problem text;
BEGIN
  IF (p_was.ca_name, p_was.client_name) IS DISTINCT FROM (p_is.ca_name, p_is.client_name) THEN
    v_problem := iu_core.certificate_problem(p_is.target_ref, p_is.ca_name, p_is.client_name);
  END IF;
  IF v_problem IS NOT NULL THEN
    RAISE check_violation USING
      MESSAGE = format('route "%s" cannot be changed: %s', p_is.route_code, v_problem),
      DETAIL = format('Route: %s; problem: %s.', p_is.route_code, v_problem),
      HINT = 'The server''s administrator keeps these files.', CONSTRAINT = 'iu_route_certificate_file';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_certificates_check IS
  'For fn_iu_route_set: a route as it is and as it would be. SQLSTATE 23514 where it would have other names of '
  'certificates than before and their files cannot be used.';

CREATE FUNCTION iu.fn_iu_route_live_check(p_was public.iu_outbound_route, p_is public.iu_outbound_route) RETURNS void
  LANGUAGE plpgsql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF p_was.enabled AND NOT p_was.dry_run AND (p_was.target_ref, p_was.ca_name, p_was.client_name)
                                             IS DISTINCT FROM (p_is.target_ref, p_is.ca_name, p_is.client_name) THEN
    RAISE object_in_use USING
      MESSAGE = format('route "%s" is live: its target and its certificates cannot be changed', p_was.route_code),
      DETAIL = format('Route: %s.', p_was.route_code),
      HINT = format('Pause it first: SELECT fn_iu_route_pause(%L, session_user, ''reason''); and resume it '
                    'afterwards.', p_was.route_code),
      CONSTRAINT = 'iu_route_is_live';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_live_check IS
  'For fn_iu_route_set: a route as it is and as it would be. SQLSTATE 55006 where it is live and would have another '
  'target, trust other authorities or show another certificate: somebody looked at these when it was allowed.';

CREATE FUNCTION iu.fn_iu_route_filter_try(p_route_code text, p_filter text) RETURNS void
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_most  constant integer := 100;
  v_wrong record;
BEGIN
  SELECT e.id, v.problem INTO v_wrong
    FROM (SELECT l.id, l.safe_payload FROM public.iu_route_type t
            CROSS JOIN LATERAL (SELECT o.id, o.event_seq, o.safe_payload FROM public.event_outbox o
                                 WHERE o.event_domain = t.event_domain AND o.event_type = t.event_type
                                 ORDER BY o.event_domain DESC, o.event_type DESC, o.event_seq DESC LIMIT c_most) AS l
           WHERE t.route_code = p_route_code ORDER BY l.event_seq DESC LIMIT c_most) AS e
    CROSS JOIN LATERAL iu.fn_iu_filter_verdict(p_filter, e.safe_payload) AS v
   WHERE v.passes IS NULL LIMIT 1;
  IF FOUND THEN
    RAISE check_violation USING
      MESSAGE = format('the filter of route "%s" cannot decide on an event that it would carry', p_route_code),
      DETAIL = format('Event %s: %s.', v_wrong.id, v_wrong.problem), CONSTRAINT = 'iu_route_filter_undecided';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_filter_try IS
  'For fn_iu_route_set: tries a filter on the newest 100 events of the types of a route. SQLSTATE 23514 where it '
  'raises '
  'or takes too long over one of them.';
