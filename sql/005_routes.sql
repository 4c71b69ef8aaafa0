-- 005 routes: where events may be carried. A route is registered by one logged
-- call and carries nothing until it is on the allowlist and armed (006).

SELECT iu_core.guard_absent('table', 'iu_outbound_route', 'iu_route_secret');
SELECT iu_core.guard_absent('function', 'fn_iu_route_url_problem(text)', 'fn_iu_route_retry_problem(jsonb)',
  'fn_iu_route_contract_problem(jsonb)', 'fn_iu_payload_problem(jsonb,jsonb)',
  'fn_iu_route_worker_enabled()', 'fn_iu_delivery_live_routes()', 'fn_iu_outbound_route_delivery_guard()',
  'fn_iu_route_log(text,text,text,text,jsonb,text)',
  'fn_iu_route_secret_add(text,text,text,text,timestamp with time zone,timestamp with time zone)',
  'fn_iu_route_secret_end(text,timestamp with time zone,text,text)',
  'fn_iu_route_add(text,text,text,text,text,text,text,text,text,integer,integer,jsonb,text,jsonb)',
  'fn_iu_route_set(text,text,text,text,integer,integer,jsonb,jsonb,text)',
  'fn_iu_route_allow(text,text,text)', 'fn_iu_route_disallow(text,text,text)', 'fn_iu_route_pause(text,text,text)',
  'fn_iu_route_resume(text,text,text)', 'fn_iu_route_settle(text)', 'fn_iu_route_retire(text,text,text)');
SELECT iu_core.guard_absent('config', 'iu_core.route_worker_enabled', 'iu_core.delivery_live_routes');

DO $guard$
BEGIN
  IF to_regclass('public.event_outbox') IS NULL OR to_regclass('public.iu_switch_registry') IS NULL THEN
    RAISE EXCEPTION 'migration 005 needs migration 004, the events'
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
END
$guard$;

-- Switch and allowlist -------------------------------------------------------

INSERT INTO public.dot_config (key, value, description) VALUES
  ('iu_core.route_worker_enabled', 'false', 'switch: off, no route is worked on'),
  ('iu_core.delivery_live_routes', '', 'allowlist: comma-separated route codes that may deliver; empty, none');
INSERT INTO public.iu_switch_registry (switch_key, meaning) VALUES
  ('iu_core.route_worker_enabled', 'off: no route is worked on; events are emitted and wait');

-- In plpgsql, which keeps the plan for the session: both are asked before each send.
CREATE FUNCTION public.fn_iu_route_worker_enabled() RETURNS boolean
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN EXISTS (SELECT FROM public.dot_config WHERE key = 'iu_core.route_worker_enabled' AND value = 'true');
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_worker_enabled() IS
  'Whether the switch iu_core.route_worker_enabled is on; false where its row is missing. (facts-events 2.8)';

CREATE FUNCTION public.fn_iu_delivery_live_routes() RETURNS text[]
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN ARRAY(SELECT btrim(r.code)
                 FROM public.dot_config c, string_to_table(c.value, ',') WITH ORDINALITY AS r (code, n)
                WHERE c.key = 'iu_core.delivery_live_routes' AND btrim(r.code) <> '' ORDER BY r.n);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_delivery_live_routes() IS
  'The route codes of the allowlist iu_core.delivery_live_routes; none where its row is missing. (seed 4 A3)';

-- What a route may say -------------------------------------------------------

-- Only the form, so that a slip is told at registration. Whether the origin may
-- be reached is decided by iu_core.egress_refusal, at each send.
CREATE FUNCTION public.fn_iu_route_url_problem(p_url text) RETURNS text
  LANGUAGE plpgsql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_part text[];
BEGIN
  IF p_url IS NULL OR p_url = '' THEN
    RETURN 'there is no URL';
  ELSIF length(p_url) > 2048 THEN
    RETURN 'the URL is longer than 2048 characters';
  ELSIF p_url !~ '^[\x21-\x7e]+$' OR p_url ~ '[\\"<>^`{|}]' THEN
    RETURN 'the URL has a character that a URL spells with %';
  ELSIF p_url !~ '^https?://' THEN
    RETURN 'the URL begins neither with http:// nor with https://';
  ELSIF p_url ~ '#' THEN
    RETURN 'the URL has a fragment (#), which is never sent';
  END IF;
  v_part := regexp_match(p_url, '^https?://([^/?]*)');
  IF v_part[1] ~ '@' THEN
    RETURN 'the URL has a user part';
  END IF;
  v_part := regexp_match(v_part[1], '^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)?(:.*)?$');
  IF v_part IS NULL OR v_part[1] IS NULL THEN
    RETURN 'the URL has no valid host';
  ELSIF v_part[2] IS NOT NULL AND (v_part[2] !~ '^:[0-9]{1,5}$' OR substr(v_part[2], 2)::integer NOT BETWEEN 1 AND 65535) THEN
    RETURN 'the port is not a number from 1 to 65535';
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_url_problem(text) IS
  'NULL if the text is a URL that a route may have (http or https, a host, no user part, no fragment, a valid port, at most 2048 characters), otherwise what is wrong with it. (design: Egress)';

CREATE FUNCTION public.fn_iu_route_retry_problem(p_policy jsonb) RETURNS text
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
RETURN CASE
  WHEN p_policy IS NULL OR jsonb_typeof(p_policy) <> 'object' THEN 'the retry policy is not an object'
  WHEN p_policy - ARRAY['max_attempts', 'base_s', 'max_s', 'jitter', 'circuit_failures', 'circuit_open_s', 'circuit_max_s'] <> '{}'
      OR NOT p_policy ?& ARRAY['max_attempts', 'base_s', 'max_s', 'jitter', 'circuit_failures', 'circuit_open_s', 'circuit_max_s']
    THEN 'the retry policy has other keys than max_attempts, base_s, max_s, jitter, circuit_failures, circuit_open_s, circuit_max_s'
  WHEN EXISTS (SELECT FROM jsonb_each(p_policy) AS k (name, value) WHERE jsonb_typeof(k.value) <> 'number')
    THEN 'a value of the retry policy is not a number'
  WHEN p_policy ->> 'max_attempts' !~ '^[0-9]{1,3}$' OR (p_policy ->> 'max_attempts')::integer NOT BETWEEN 1 AND 100
    THEN 'max_attempts is not a whole number from 1 to 100'
  WHEN (p_policy ->> 'base_s')::numeric NOT BETWEEN 0.001 AND 3600 THEN 'base_s is not from 0.001 to 3600 seconds'
  WHEN (p_policy ->> 'max_s')::numeric NOT BETWEEN (p_policy ->> 'base_s')::numeric AND 86400
    THEN 'max_s is not from base_s to 86400 seconds'
  WHEN (p_policy ->> 'jitter')::numeric <> 0 AND (p_policy ->> 'jitter')::numeric NOT BETWEEN 0.000001 AND 1
    THEN 'jitter is neither 0 nor from 0.000001 to 1'	-- a smaller one may be none of float8
  WHEN p_policy ->> 'circuit_failures' !~ '^[0-9]{1,4}$' OR (p_policy ->> 'circuit_failures')::integer > 1000
    THEN 'circuit_failures is not a whole number from 0 to 1000'
  WHEN (p_policy ->> 'circuit_open_s')::numeric NOT BETWEEN 0.001 AND 3600 THEN 'circuit_open_s is not from 0.001 to 3600 seconds'
  WHEN (p_policy ->> 'circuit_max_s')::numeric NOT BETWEEN (p_policy ->> 'circuit_open_s')::numeric AND 86400
    THEN 'circuit_max_s is not from circuit_open_s to 86400 seconds'
END;
COMMENT ON FUNCTION public.fn_iu_route_retry_problem(jsonb) IS
  'NULL if the object is a retry policy, otherwise what is wrong with it. Keys: max_attempts (1 to 100, the first included), base_s (seconds before the second attempt, doubled each time), max_s (the longest wait, at most a day), jitter (0, or 0.000001 to 1: the share of a wait that is random), circuit_failures (failed attempts in a row that open the circuit; 0: it never opens), circuit_open_s (seconds that it is open at first, doubled each time a probe fails), circuit_max_s (the longest, at most a day). (design: Events and delivery)';

-- A few words of JSON Schema, with the meaning that they have there.
CREATE FUNCTION public.fn_iu_route_contract_problem(p_contract jsonb) RETURNS text
  LANGUAGE plpgsql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_not_names  constant jsonpath := 'strict $[*] ? (@.type() != "string")';
  v_properties constant jsonb := coalesce(p_contract -> 'properties', '{}');
  v_name       text;
  v_rule       jsonb;
  v_word       text;
BEGIN
  IF p_contract IS NULL OR jsonb_typeof(p_contract) <> 'object' THEN
    RETURN 'the payload contract is not an object';
  END IF;
  SELECT min(k) INTO v_word FROM jsonb_object_keys(p_contract - ARRAY['required', 'properties', 'additionalProperties', 'not']) k;
  IF v_word IS NOT NULL THEN
    RETURN format('the payload contract has the word "%s"; allowed are required, properties, additionalProperties, not', v_word);
  ELSIF p_contract ? 'required' AND (jsonb_typeof(p_contract -> 'required') <> 'array' OR jsonb_path_exists(p_contract -> 'required', c_not_names, '{}', true)) THEN
    RETURN 'required is not an array of names';
  ELSIF jsonb_typeof(v_properties) <> 'object' THEN
    RETURN 'properties is not an object';
  ELSIF jsonb_typeof(coalesce(p_contract -> 'additionalProperties', 'true')) <> 'boolean' THEN
    RETURN 'additionalProperties is neither true nor false';
  ELSIF p_contract ? 'not' AND (jsonb_typeof(p_contract -> 'not') <> 'object' OR (p_contract -> 'not') - 'required' <> '{}'
      OR jsonb_typeof(p_contract #> '{not,required}') IS DISTINCT FROM 'array' OR p_contract #> '{not,required}' = '[]'
      OR jsonb_path_exists(p_contract #> '{not,required}', c_not_names, '{}', true)) THEN
    RETURN 'not is not an object with the one word required, an array of names';
  END IF;

  FOR v_name, v_rule IN SELECT e.key, e.value FROM jsonb_each(v_properties) e LOOP
    CONTINUE WHEN v_rule = 'false';
    IF jsonb_typeof(v_rule) <> 'object' THEN
      RETURN format('the rule of property "%s" is neither false nor an object', v_name);
    END IF;
    SELECT min(k) INTO v_word FROM jsonb_object_keys(v_rule - 'type') k;
    IF v_word IS NOT NULL THEN
      RETURN format('the rule of property "%s" has the word "%s"; allowed is type', v_name, v_word);
    END IF;
    SELECT min(t::text) INTO v_word
      FROM jsonb_array_elements(CASE WHEN jsonb_typeof(v_rule -> 'type') = 'array' THEN v_rule -> 'type'
                                     WHEN v_rule ? 'type' THEN jsonb_build_array(v_rule -> 'type') ELSE '[]' END) t
     WHERE jsonb_typeof(t) <> 'string' OR t #>> '{}' NOT IN ('string', 'number', 'integer', 'boolean', 'object', 'array', 'null');
    IF v_word IS NOT NULL OR v_rule -> 'type' = '[]' THEN
      RETURN format('property "%s" has the type %s; allowed are string, number, integer, boolean, object, array, null, or an array of them',
        v_name, coalesce(v_word, '[]'));
    END IF;
  END LOOP;

  SELECT min(k) INTO v_name FROM jsonb_array_elements_text(coalesce(p_contract -> 'required', '[]')) k
   WHERE v_properties -> k = 'false' OR (p_contract -> 'additionalProperties' = 'false' AND NOT v_properties ? k);
  RETURN CASE WHEN v_name IS NOT NULL THEN format('the payload contract requires "%s" and forbids it', v_name) END;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_contract_problem(jsonb) IS
  'NULL if the object is a payload contract, otherwise what is wrong with it. Words, as in JSON Schema: required (array of names), properties (a name: {"type": ...}, false, which forbids it, or {}), additionalProperties (false: no names but those of properties), not ({"required": [names]}: not all of these together). Types: string, number, integer, boolean, object, array, null, or an array of them. (facts-events 2.2)';

CREATE FUNCTION public.fn_iu_payload_problem(p_contract jsonb, p_payload jsonb) RETURNS text
  LANGUAGE plpgsql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_properties constant jsonb := coalesce(p_contract -> 'properties', '{}');
  v_forbidden  constant jsonb := p_contract #> '{not,required}';
  v_name       text;
  v_rule       jsonb;
  v_is         text;
BEGIN
  SELECT k INTO v_name FROM jsonb_array_elements_text(coalesce(p_contract -> 'required', '[]')) WITH ORDINALITY r (k, n)
   WHERE NOT p_payload ? k ORDER BY n LIMIT 1;
  IF FOUND THEN
    RETURN format('key "%s" is missing', v_name);
  END IF;
  FOR v_name, v_rule IN SELECT e.key, e.value FROM jsonb_each(v_properties) e WHERE p_payload ? e.key LOOP
    v_is := jsonb_typeof(p_payload -> v_name);
    IF v_rule = 'false' THEN
      RETURN format('key "%s" is forbidden', v_name);
    ELSIF v_rule ? 'type' AND NOT v_rule -> 'type' @> to_jsonb(v_is)
        AND NOT (v_rule -> 'type' @> '"integer"' AND v_is = 'number' AND trunc((p_payload ->> v_name)::numeric) = (p_payload ->> v_name)::numeric) THEN
      RETURN format('key "%s" has the type %s, not %s', v_name, v_is, v_rule ->> 'type');
    END IF;
  END LOOP;
  IF p_contract -> 'additionalProperties' = 'false' THEN
    SELECT min(k) INTO v_name FROM jsonb_object_keys(p_payload) k WHERE NOT v_properties ? k;
    IF v_name IS NOT NULL THEN
      RETURN format('key "%s" is not among the properties', v_name);
    END IF;
  END IF;
  IF v_forbidden IS NOT NULL AND NOT EXISTS (SELECT FROM jsonb_array_elements_text(v_forbidden) k WHERE NOT p_payload ? k) THEN
    RETURN format(CASE jsonb_array_length(v_forbidden) WHEN 1 THEN 'key %s is forbidden' ELSE 'keys %s are forbidden together' END,
      (SELECT string_agg(format('"%s"', k), ', ') FROM jsonb_array_elements_text(v_forbidden) k));
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_payload_problem(jsonb, jsonb) IS
  'NULL if the payload keeps the contract, otherwise the first key that breaks it and how. See fn_iu_route_contract_problem. (facts-events 2.2)';

CREATE TABLE public.iu_outbound_route (
  id               bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  route_code       text        NOT NULL UNIQUE,
  event_domain     text        NOT NULL,
  event_type       text        NOT NULL,
  event_stream     text        NOT NULL,
  target_kind      text        NOT NULL,
  target_ref       text        NOT NULL,
  enabled          boolean     NOT NULL DEFAULT false,
  dry_run          boolean     NOT NULL DEFAULT true,
  fail_closed      boolean     NOT NULL DEFAULT true,
  retry_policy     jsonb       NOT NULL DEFAULT
    '{"max_attempts": 8, "base_s": 5, "max_s": 3600, "jitter": 0.2, "circuit_failures": 10, "circuit_open_s": 30, "circuit_max_s": 600}',
  payload_contract jsonb       NOT NULL DEFAULT '{}',
  timeout_ms       integer     NOT NULL DEFAULT 10000,
  max_in_flight    integer     NOT NULL DEFAULT 2048,
  ordering         text        NOT NULL DEFAULT 'none',
  secret_ref       text,
  description      text,
  disabled_reason  text,
  created_at       timestamptz NOT NULL DEFAULT now(),
  created_by       text        NOT NULL,
  updated_at       timestamptz NOT NULL DEFAULT now(),
  retired_at       timestamptz,
  FOREIGN KEY (event_domain, event_type) REFERENCES public.event_type_registry (event_domain, event_type),
  CONSTRAINT iu_outbound_route_code_chk CHECK (route_code ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$'),
  CONSTRAINT iu_outbound_route_kind_chk CHECK (target_kind IN
    ('sql_function', 'workflow', 'vector', 'report', 'directus_flow', 'external_endpoint')),
  CONSTRAINT iu_outbound_route_target_chk CHECK (btrim(target_ref) <> '' AND
    (target_kind NOT IN ('directus_flow', 'external_endpoint') OR public.fn_iu_route_url_problem(target_ref) IS NULL)),
  CONSTRAINT iu_outbound_route_fail_closed_chk CHECK (fail_closed),
  CONSTRAINT iu_outbound_route_retry_chk CHECK (public.fn_iu_route_retry_problem(retry_policy) IS NULL),
  CONSTRAINT iu_outbound_route_contract_chk CHECK (public.fn_iu_route_contract_problem(payload_contract) IS NULL),
  CONSTRAINT iu_outbound_route_timeout_chk CHECK (timeout_ms BETWEEN 100 AND 300000),
  CONSTRAINT iu_outbound_route_in_flight_chk CHECK (max_in_flight BETWEEN 1 AND 10000),
  CONSTRAINT iu_outbound_route_ordering_chk CHECK (ordering IN ('none', 'subject')),
  CONSTRAINT iu_outbound_route_retired_chk CHECK (retired_at IS NULL OR NOT enabled),
  CONSTRAINT iu_outbound_route_created_by_chk CHECK (btrim(created_by) <> '')
);
COMMENT ON TABLE public.iu_outbound_route IS
  'Where events of one type are carried. enabled and not dry_run: live, only for codes on the allowlist. Changed by the fn_iu_route_ functions. (facts-events 2.2; design: Events and delivery)';
COMMENT ON COLUMN public.iu_outbound_route.route_code IS 'Its name: 1 to 120 letters, digits, _ . : -';
COMMENT ON COLUMN public.iu_outbound_route.event_domain IS 'With event_type: what it carries';
COMMENT ON COLUMN public.iu_outbound_route.event_type IS 'With event_domain: what it carries';
COMMENT ON COLUMN public.iu_outbound_route.event_stream IS 'That of the type';
COMMENT ON COLUMN public.iu_outbound_route.target_kind IS 'external_endpoint and directus_flow: a webhook; sql_function: a registered function; no other kind is carried yet';
COMMENT ON COLUMN public.iu_outbound_route.enabled IS 'false: paused, retired, or not armed yet';
COMMENT ON COLUMN public.iu_outbound_route.dry_run IS 'true: nothing is sent';
COMMENT ON COLUMN public.iu_outbound_route.description IS 'For people';
COMMENT ON COLUMN public.iu_outbound_route.created_at IS 'Start of the transaction that registered it';
COMMENT ON COLUMN public.iu_outbound_route.created_by IS 'Who registered it, as told by the caller';
COMMENT ON COLUMN public.iu_outbound_route.updated_at IS 'Start of the transaction that changed it last';
COMMENT ON COLUMN public.iu_outbound_route.retired_at IS 'Since when it is ended for good';
COMMENT ON COLUMN public.iu_outbound_route.id IS 'Part of the webhook-id of its deliveries.';
COMMENT ON COLUMN public.iu_outbound_route.target_ref IS 'The URL of external_endpoint and directus_flow; of sql_function the name of a function in schema public; otherwise a name.';
COMMENT ON COLUMN public.iu_outbound_route.fail_closed IS 'Always true: what cannot be decided is not sent.';
COMMENT ON COLUMN public.iu_outbound_route.retry_policy IS 'See fn_iu_route_retry_problem.';
COMMENT ON COLUMN public.iu_outbound_route.payload_contract IS 'What a payload must be, see fn_iu_route_contract_problem; {} asks for nothing. What breaks it is never sent.';
COMMENT ON COLUMN public.iu_outbound_route.timeout_ms IS 'Milliseconds for one attempt, connecting included.';
COMMENT ON COLUMN public.iu_outbound_route.max_in_flight IS 'Deliveries that all senders together may hold at a time, so never more requests than that; 256 or fewer are claimed a quarter at a time, at least 16. A sender has some 100 connections for a route that is alone.';
COMMENT ON COLUMN public.iu_outbound_route.ordering IS 'none, or subject: the events of one subject one after another, each when the one before was sent or given up.';
COMMENT ON COLUMN public.iu_outbound_route.secret_ref IS 'Names the signing secrets in iu_route_secret.';
COMMENT ON COLUMN public.iu_outbound_route.disabled_reason IS 'Why it is not enabled, where somebody or an answer 410 switched it off.';
CREATE INDEX iu_outbound_route_type ON public.iu_outbound_route (event_domain, event_type);

CREATE FUNCTION public.fn_iu_outbound_route_delivery_guard() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF NEW.enabled AND NOT NEW.dry_run AND NEW.route_code <> ALL (public.fn_iu_delivery_live_routes()) THEN
    RAISE EXCEPTION 'route "%" is not on the allowlist of live routes', NEW.route_code
      USING ERRCODE = 'insufficient_privilege',
            DETAIL = 'A route is enabled without dry_run only while iu_core.delivery_live_routes names it.',
            HINT = format('Put it there: SELECT fn_iu_route_allow(%L, session_user, ''reason'');', NEW.route_code);
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF (NEW.route_code, NEW.event_domain, NEW.event_type, NEW.ordering) <> (OLD.route_code, OLD.event_domain, OLD.event_type, OLD.ordering) THEN
      RAISE EXCEPTION 'code, event type and ordering of route "%" cannot be changed', OLD.route_code
        USING ERRCODE = 'feature_not_supported', DETAIL = 'Its deliveries refer to them.',
              HINT = 'Retire it and register another.';
    END IF;
    NEW.updated_at := now();
  END IF;
  RETURN NEW;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_outbound_route_delivery_guard() IS
  'Trigger of iu_outbound_route: SQLSTATE 42501 for a live route that is not on the allowlist; 0A000 for another code, event type or ordering; keeps updated_at. (facts-events 2.2)';
CREATE TRIGGER trg_iu_outbound_route_delivery_guard BEFORE INSERT OR UPDATE ON public.iu_outbound_route
  FOR EACH ROW EXECUTE FUNCTION public.fn_iu_outbound_route_delivery_guard();
COMMENT ON TRIGGER trg_iu_outbound_route_delivery_guard ON public.iu_outbound_route IS
  'No live route beside the allowlist. (facts-events 2.2)';
CREATE TRIGGER trg_iu_outbound_route_wake AFTER UPDATE ON public.iu_outbound_route
  FOR EACH STATEMENT EXECUTE FUNCTION iu_core.wake_sender();
COMMENT ON TRIGGER trg_iu_outbound_route_wake ON public.iu_outbound_route IS
  'A route that was armed, resumed or changed is looked at when the change commits. (design: Processes)';

-- Signing secrets ------------------------------------------------------------

CREATE TABLE public.iu_route_secret (
  id          bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  secret_ref  text        NOT NULL,
  secret      text        NOT NULL,
  valid_from  timestamptz NOT NULL DEFAULT now(),
  valid_until timestamptz NOT NULL DEFAULT 'infinity',
  created_by  text        NOT NULL,
  UNIQUE (secret_ref, secret),
  CONSTRAINT iu_route_secret_ref_chk CHECK (secret_ref ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$'),
  CONSTRAINT iu_route_secret_form_chk CHECK (secret ~ '^whsec_([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$'
    AND octet_length(decode(substr(secret, 7), 'base64')) BETWEEN 24 AND 64),
  CONSTRAINT iu_route_secret_validity_chk CHECK (valid_from < valid_until)
);
COMMENT ON TABLE public.iu_route_secret IS
  'Signing secrets of routes (Standard Webhooks). Several are valid at a time while one replaces another. No role may read it: the claim hands them to the sender. (design: Egress)';
COMMENT ON COLUMN public.iu_route_secret.id IS 'Order of adding';
COMMENT ON COLUMN public.iu_route_secret.secret_ref IS 'What routes name in secret_ref';
COMMENT ON COLUMN public.iu_route_secret.valid_from IS 'It signs from here on';
COMMENT ON COLUMN public.iu_route_secret.valid_until IS 'up to here; infinity: until it is ended';
COMMENT ON COLUMN public.iu_route_secret.created_by IS 'Who added it, as told by the caller';
COMMENT ON COLUMN public.iu_route_secret.secret IS 'whsec_ and 24 to 64 bytes in base64.';

CREATE FUNCTION public.fn_iu_route_log(p_command text, p_route_code text, p_actor text, p_reason text, p_evidence jsonb,
    p_run_status text DEFAULT 'applied')
  RETURNS uuid
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF coalesce(btrim(p_actor), '') = '' OR coalesce(btrim(p_reason), '') = '' THEN
    RAISE EXCEPTION 'a route is changed by somebody for a reason'
      USING ERRCODE = 'check_violation', HINT = 'Give p_actor and p_reason.';
  END IF;
  RETURN public.fn_dot_iu_command_log(p_command, 'health', 'apply', p_run_status, true, md5(coalesce(p_route_code, '')),
    public.fn_iu_gate_snapshot(),
    jsonb_build_object('route_code', p_route_code, 'reason', p_reason) || coalesce(p_evidence, '{}'), p_actor);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_log(text, text, text, text, jsonb, text) IS
  'Logs one command on a route, applied unless told to be refused or failed, with the gates as they stand. For the fn_iu_route_ functions. Returns the run_id. SQLSTATE 23514 without actor or reason. (facts-core 2.3)';

CREATE FUNCTION public.fn_iu_route_secret_add(
    p_secret_ref text, p_actor text, p_reason text, p_secret text DEFAULT NULL,
    p_valid_from timestamptz DEFAULT now(), p_valid_until timestamptz DEFAULT 'infinity')
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_secret text;
BEGIN
  -- An error of the table's own would print the row, and the secret with it. One
  -- that is made here is made in the INSERT: as a variable a logged plan has it.
  IF p_secret !~ '^whsec_([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$'
     OR octet_length(decode(substr(p_secret, 7), 'base64')) NOT BETWEEN 24 AND 64 THEN
    RAISE EXCEPTION 'the secret is not whsec_ and 24 to 64 bytes in base64'
      USING ERRCODE = 'check_violation', HINT = 'Leave it out to have one made.';
  ELSIF p_secret_ref IS NULL OR p_secret_ref !~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$' THEN
    RAISE EXCEPTION 'the reference of a secret is 1 to 120 letters, digits, "_", ".", ":" or "-"'
      USING ERRCODE = 'check_violation';
  ELSIF p_valid_from IS NULL OR p_valid_until IS NULL OR p_valid_from >= p_valid_until THEN
    RAISE EXCEPTION 'a secret is valid from a time until a later one' USING ERRCODE = 'check_violation';
  END IF;
  PERFORM public.fn_iu_route_log('dot_iu_route_secret_add', p_secret_ref, p_actor, p_reason,
    jsonb_build_object('valid_from', p_valid_from, 'valid_until', p_valid_until, 'made_here', p_secret IS NULL));
  INSERT INTO public.iu_route_secret (secret_ref, secret, valid_from, valid_until, created_by)
    VALUES (p_secret_ref, coalesce(p_secret, 'whsec_' || encode(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), 'base64')),
      p_valid_from, p_valid_until, p_actor)
    ON CONFLICT (secret_ref, secret) DO NOTHING
    RETURNING secret INTO v_secret;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'this secret is registered under "%" already', p_secret_ref USING ERRCODE = 'unique_violation';
  END IF;
  PERFORM iu_core.wake();	-- a route may have been held for want of it
  RETURN jsonb_strip_nulls(jsonb_build_object('status', 'added', 'secret_ref', p_secret_ref,
    'secret', CASE WHEN p_secret IS NULL THEN v_secret END, 'valid_from', p_valid_from));
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_secret_add(text, text, text, text, timestamptz, timestamptz) IS
  'Adds a signing secret under a reference. Without p_secret one is made here and returned, this once: a secret in a statement ends up in logs. Returns {status: added, secret_ref, secret, valid_from}. To rotate, add the new one, give it to the receiver, and end those before it with fn_iu_route_secret_end and this valid_from. SQLSTATE 23514: form, reference, times, actor or reason; 23505: there already. (design: Egress)';

CREATE FUNCTION public.fn_iu_route_secret_end(p_secret_ref text, p_older_than timestamptz, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_ended  integer;
  v_routes text;
BEGIN
  IF p_secret_ref IS NULL OR p_older_than IS NULL THEN
    RAISE EXCEPTION 'p_secret_ref and p_older_than say which secrets are ended' USING ERRCODE = 'check_violation';
  END IF;
  UPDATE public.iu_route_secret SET valid_until = greatest(now(), valid_from + interval '1 microsecond')
   WHERE secret_ref = p_secret_ref AND valid_from < p_older_than AND valid_until > now();
  GET DIAGNOSTICS v_ended = ROW_COUNT;
  SELECT string_agg(format('"%s"', r.route_code), ', ' ORDER BY r.route_code) INTO v_routes
    FROM public.iu_outbound_route r
   WHERE v_ended > 0 AND r.secret_ref = p_secret_ref AND r.enabled AND NOT r.dry_run
     AND NOT EXISTS (SELECT FROM public.iu_route_secret s
                      WHERE s.secret_ref = p_secret_ref AND s.valid_from <= clock_timestamp() AND s.valid_until > clock_timestamp());
  IF v_routes IS NOT NULL THEN
    RAISE EXCEPTION 'this would leave route % without a valid signing secret', v_routes
      USING ERRCODE = 'object_in_use', DETAIL = format('No secret that is valid now is valid from %s on or later. A route without one is held.', p_older_than),
            HINT = format('Add another first: SELECT fn_iu_route_secret_add(%L, session_user, ''reason''); and give its valid_from as p_older_than.', p_secret_ref);
  END IF;
  PERFORM public.fn_iu_route_log('dot_iu_route_secret_end', p_secret_ref, p_actor, p_reason,
    jsonb_build_object('older_than', p_older_than, 'ended', v_ended));
  RETURN jsonb_build_object('status', CASE WHEN v_ended > 0 THEN 'ended' ELSE 'unchanged' END, 'secret_ref', p_secret_ref, 'ended', v_ended);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_secret_end(text, timestamptz, text, text) IS
  'Ends, now, the secrets of a reference that were valid before p_older_than (the valid_from of the one that stays). Returns {status: ended | unchanged, secret_ref, ended: how many}. SQLSTATE 55006 where a live route would be left without a valid secret: add the new one first, in the same transaction if need be; 23514 without reference, time, actor or reason. (design: Egress)';

-- One call each: add, set, allow, disallow, pause, resume, retire (arm is in 007)

CREATE FUNCTION public.fn_iu_route_add(
    p_route_code text, p_event_type text, p_target_ref text, p_actor text, p_reason text,
    p_target_kind text DEFAULT 'external_endpoint', p_event_domain text DEFAULT 'iu',
    p_secret_ref text DEFAULT NULL, p_description text DEFAULT NULL, p_timeout_ms integer DEFAULT 10000,
    p_max_in_flight integer DEFAULT 2048, p_retry_policy jsonb DEFAULT NULL, p_ordering text DEFAULT 'none',
    p_payload_contract jsonb DEFAULT '{}')
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_retry   constant jsonb := '{"max_attempts": 8, "base_s": 5, "max_s": 3600, "jitter": 0.2, "circuit_failures": 10, "circuit_open_s": 30, "circuit_max_s": 600}';
  v_http    constant boolean := p_target_kind IN ('external_endpoint', 'directus_flow');
  v_retry   constant jsonb := c_retry || coalesce(p_retry_policy, '{}');
  v_problem text;
  v_stream  text;
  v_secret  jsonb := '{}';
BEGIN
  SELECT r.event_stream INTO v_stream FROM public.event_type_registry r
   WHERE r.event_domain = p_event_domain AND r.event_type = p_event_type;
  v_problem := CASE
    WHEN p_route_code IS NULL OR p_route_code !~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$'
      THEN 'a route code is 1 to 120 letters, digits, "_", ".", ":" or "-"'
    WHEN v_stream IS NULL THEN format('event type "%s.%s" is not registered', p_event_domain, p_event_type)
    WHEN p_target_kind IS NULL OR p_target_kind NOT IN ('sql_function', 'workflow', 'vector', 'report', 'directus_flow', 'external_endpoint')
      THEN 'the target kind is none of sql_function, workflow, vector, report, directus_flow, external_endpoint'
    WHEN v_http THEN public.fn_iu_route_url_problem(p_target_ref)
    WHEN coalesce(btrim(p_target_ref), '') = '' THEN 'there is no target' END;
  v_problem := coalesce(v_problem, public.fn_iu_route_retry_problem(v_retry), public.fn_iu_route_contract_problem(p_payload_contract),
    CASE WHEN p_ordering IS NULL OR p_ordering NOT IN ('none', 'subject') THEN 'the ordering is neither none nor subject'
      WHEN p_timeout_ms IS NULL OR p_timeout_ms NOT BETWEEN 100 AND 300000 THEN 'p_timeout_ms is not from 100 to 300000'
      WHEN p_max_in_flight IS NULL OR p_max_in_flight NOT BETWEEN 1 AND 10000 THEN 'p_max_in_flight is not from 1 to 10000'
      WHEN p_secret_ref !~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$'
        THEN 'the reference of its secret is not 1 to 120 letters, digits, "_", ".", ":" or "-"' END);
  IF v_problem IS NOT NULL THEN
    RAISE EXCEPTION 'route "%" cannot be registered: %', coalesce(p_route_code, ''), v_problem
      USING ERRCODE = 'check_violation';
  END IF;
  IF EXISTS (SELECT FROM public.iu_outbound_route WHERE route_code = p_route_code) THEN
    RAISE EXCEPTION 'route "%" is registered already', p_route_code USING ERRCODE = 'unique_violation';
  END IF;

  PERFORM public.fn_iu_route_log('dot_iu_route_add', p_route_code, p_actor, p_reason,
    jsonb_build_object('target_kind', p_target_kind, 'event', p_event_domain || '.' || p_event_type));
  IF v_http AND p_secret_ref IS NULL THEN
    v_secret := public.fn_iu_route_secret_add(p_route_code, p_actor, p_reason) - ARRAY['status', 'valid_from'];
  END IF;
  INSERT INTO public.iu_outbound_route (route_code, event_domain, event_type, event_stream, target_kind, target_ref,
      secret_ref, description, timeout_ms, max_in_flight, retry_policy, ordering, payload_contract, created_by)
    VALUES (p_route_code, p_event_domain, p_event_type, v_stream, p_target_kind, p_target_ref,
      CASE WHEN v_http THEN coalesce(p_secret_ref, p_route_code) END, p_description, p_timeout_ms, p_max_in_flight,
      v_retry, p_ordering, p_payload_contract, p_actor);
  PERFORM public.fn_iu_govern(5, 'route', p_route_code);
  RETURN jsonb_build_object('status', 'registered', 'route_code', p_route_code, 'enabled', false, 'dry_run', true) || v_secret;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_add(text, text, text, text, text, text, text, text, text, integer, integer, jsonb, text, jsonb) IS
  'Registers a route, not enabled, dry run. An HTTP route (external_endpoint, directus_flow) is always signed: without p_secret_ref a secret is made and returned, this once. p_timeout_ms: 100 to 300000, for one attempt; p_max_in_flight: 1 to 10000 deliveries with senders at a time, which bounds the requests under way. Keys left out of p_retry_policy keep their defaults (8 attempts, 5 s doubling to 1 h, jitter 0.2; a circuit that 10 failed attempts in a row open for 30 s, doubling to 10 min; see fn_iu_route_retry_problem). p_ordering subject: the events of one subject one after another. p_payload_contract: see fn_iu_route_contract_problem. Returns {status: registered, route_code, enabled, dry_run, secret_ref, secret}. SQLSTATE 23514: code, type, URL, kind, limits, policy, ordering, contract, actor or reason; 23505: there already. (facts-events 2.2)';

-- What a live route calls was looked at when it was allowed: stopped first, it
-- is changed in full view.
CREATE FUNCTION public.fn_iu_route_set(
    p_route_code text, p_actor text, p_reason text, p_target_ref text DEFAULT NULL, p_timeout_ms integer DEFAULT NULL,
    p_max_in_flight integer DEFAULT NULL, p_retry_policy jsonb DEFAULT NULL, p_payload_contract jsonb DEFAULT NULL, p_description text DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_was      public.iu_outbound_route;
  v_is       public.iu_outbound_route;
  v_problem  text;
  v_changed  jsonb;
  v_previous jsonb;
BEGIN
  SELECT * INTO v_was FROM public.iu_outbound_route WHERE route_code = p_route_code AND retired_at IS NULL FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'route "%" is not registered, or retired', coalesce(p_route_code, '') USING ERRCODE = 'undefined_object';
  END IF;
  v_is := v_was;
  v_is.target_ref := coalesce(p_target_ref, v_was.target_ref);
  v_is.timeout_ms := coalesce(p_timeout_ms, v_was.timeout_ms);
  v_is.max_in_flight := coalesce(p_max_in_flight, v_was.max_in_flight);
  v_is.retry_policy := v_was.retry_policy || coalesce(p_retry_policy, '{}');
  v_is.payload_contract := coalesce(p_payload_contract, v_was.payload_contract);
  v_is.description := coalesce(p_description, v_was.description);
  v_problem := coalesce(
    CASE WHEN v_is.target_kind IN ('external_endpoint', 'directus_flow') THEN public.fn_iu_route_url_problem(v_is.target_ref)
         WHEN btrim(v_is.target_ref) = '' THEN 'the target is empty' END,
    CASE WHEN v_is.timeout_ms NOT BETWEEN 100 AND 300000 THEN 'p_timeout_ms is from 100 to 300000'
         WHEN v_is.max_in_flight NOT BETWEEN 1 AND 10000 THEN 'p_max_in_flight is from 1 to 10000' END,
    public.fn_iu_route_retry_problem(v_is.retry_policy), public.fn_iu_route_contract_problem(v_is.payload_contract));
  IF v_problem IS NOT NULL THEN
    RAISE EXCEPTION 'route "%" cannot be changed: %', p_route_code, v_problem USING ERRCODE = 'check_violation';
  ELSIF v_is.target_ref <> v_was.target_ref AND v_was.enabled AND NOT v_was.dry_run THEN
    RAISE EXCEPTION 'route "%" is live: its target cannot be changed', p_route_code USING ERRCODE = 'object_in_use',
      HINT = format('Pause it first: SELECT fn_iu_route_pause(%L, session_user, ''reason''); and resume it afterwards.', p_route_code);
  END IF;

  SELECT coalesce(jsonb_object_agg(i.key, i.value), '{}'), coalesce(jsonb_object_agg(i.key, w.value), '{}') INTO v_changed, v_previous
    FROM jsonb_each(to_jsonb(v_is)) AS i JOIN jsonb_each(to_jsonb(v_was)) AS w ON w.key = i.key AND w.value <> i.value;
  PERFORM public.fn_iu_route_log('dot_iu_route_set', p_route_code, p_actor, p_reason,
    jsonb_build_object('changed', v_changed, 'previous', v_previous));
  IF v_changed <> '{}' THEN
    UPDATE public.iu_outbound_route
       SET target_ref = v_is.target_ref, timeout_ms = v_is.timeout_ms, max_in_flight = v_is.max_in_flight,
           retry_policy = v_is.retry_policy, payload_contract = v_is.payload_contract, description = v_is.description
     WHERE id = v_was.id;
  END IF;
  RETURN jsonb_build_object('status', CASE WHEN v_changed <> '{}' THEN 'set' ELSE 'unchanged' END, 'route_code', p_route_code,
    'changed', v_changed, 'previous', v_previous);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_set(text, text, text, text, integer, integer, jsonb, jsonb, text) IS
  'Changes settings of a route and logs what they were; what is left out stays. p_target_ref only while the route is not live; p_timeout_ms: 100 to 300000; p_max_in_flight: 1 to 10000; p_retry_policy: the keys to change; p_payload_contract: the whole of it, {} for none. Its position, retries and secrets stay, and they go by the new settings; what is with a sender goes by the old. Returns {status: set | unchanged, route_code, changed, previous}. SQLSTATE 42704: not registered or retired; 42501: live and not on the allowlist, where nothing of it is changed (allow it or pause it first); 55006: another target for a live route; 23514: URL, limits, policy, contract, actor or reason. (facts-events 2.2; design: Events and delivery)';

CREATE FUNCTION public.fn_iu_route_allow(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_list text[];
BEGIN
  PERFORM FROM public.dot_config WHERE key = 'iu_core.delivery_live_routes' FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the allowlist iu_core.delivery_live_routes has no row in dot_config'
      USING ERRCODE = 'no_data_found', HINT = 'Insert it with an empty value, and find out who deleted it.';
  ELSIF NOT EXISTS (SELECT FROM public.iu_outbound_route WHERE route_code = p_route_code AND retired_at IS NULL) THEN
    RAISE EXCEPTION 'route "%" is not registered, or retired', coalesce(p_route_code, '')
      USING ERRCODE = 'undefined_object', HINT = 'Register it with fn_iu_route_add.';
  END IF;
  v_list := public.fn_iu_delivery_live_routes();
  PERFORM public.fn_iu_route_log('dot_iu_route_allow', p_route_code, p_actor, p_reason, jsonb_build_object('previous', v_list));
  IF p_route_code = ANY (v_list) THEN
    RETURN jsonb_build_object('status', 'unchanged', 'route_code', p_route_code, 'allowlist', v_list);
  END IF;
  v_list := v_list || p_route_code;
  UPDATE public.dot_config SET value = array_to_string(v_list, ',') WHERE key = 'iu_core.delivery_live_routes';
  RETURN jsonb_build_object('status', 'allowed', 'route_code', p_route_code, 'allowlist', v_list);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_allow(text, text, text) IS
  'Puts a route on the allowlist iu_core.delivery_live_routes and logs it. Returns {status: allowed | unchanged, route_code, allowlist}. SQLSTATE 42704: not registered or retired; 23514: actor or reason missing; P0002: the list has no row. (seed 4 A3)';

CREATE FUNCTION public.fn_iu_route_disallow(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_list text[];
BEGIN
  PERFORM FROM public.dot_config WHERE key = 'iu_core.delivery_live_routes' FOR UPDATE;
  v_list := public.fn_iu_delivery_live_routes();
  PERFORM public.fn_iu_route_log('dot_iu_route_disallow', p_route_code, p_actor, p_reason, jsonb_build_object('previous', v_list));
  IF p_route_code IS NULL OR p_route_code <> ALL (v_list) THEN
    RETURN jsonb_build_object('status', 'unchanged', 'route_code', p_route_code, 'allowlist', v_list);
  END IF;
  v_list := array_remove(v_list, p_route_code);
  UPDATE public.dot_config SET value = array_to_string(v_list, ',') WHERE key = 'iu_core.delivery_live_routes';
  RETURN jsonb_build_object('status', 'disallowed', 'route_code', p_route_code, 'allowlist', v_list);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_disallow(text, text, text) IS
  'Takes a code off the allowlist and logs it; from the commit on its events are held. Takes any code, so that a stray entry can be removed. Returns {status: disallowed | unchanged, route_code, allowlist}. SQLSTATE 23514: actor or reason missing. (seed 4 A3)';

CREATE FUNCTION public.fn_iu_route_pause(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM public.fn_iu_route_log('dot_iu_route_pause', p_route_code, p_actor, p_reason, NULL);
  UPDATE public.iu_outbound_route SET enabled = false, disabled_reason = format('paused by %s: %s', p_actor, p_reason)
   WHERE route_code = p_route_code AND retired_at IS NULL;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'route "%" is not registered, or retired', coalesce(p_route_code, '')
      USING ERRCODE = 'undefined_object';
  END IF;
  RETURN jsonb_build_object('status', 'paused', 'route_code', p_route_code);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_pause(text, text, text) IS
  'Disables a route and logs it. Its position stays: what is emitted meanwhile waits for fn_iu_route_resume. Returns {status: paused, route_code}. SQLSTATE 42704: not registered or retired; 23514: actor or reason missing. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_route_resume(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM public.fn_iu_route_log('dot_iu_route_resume', p_route_code, p_actor, p_reason, NULL);
  UPDATE public.iu_outbound_route SET enabled = true, disabled_reason = NULL
   WHERE route_code = p_route_code AND retired_at IS NULL;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'route "%" is not registered, or retired', coalesce(p_route_code, '')
      USING ERRCODE = 'undefined_object';
  END IF;
  RETURN jsonb_build_object('status', 'resumed', 'route_code', p_route_code);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_resume(text, text, text) IS
  'Enables a paused route, or one that an answer 410 disabled, where it stood, and logs it: what waited goes out. Returns {status: resumed, route_code}. SQLSTATE 42704: not registered or retired; 42501: live and not on the allowlist; 23514: actor or reason missing. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_route_settle(p_route_code text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN '{}';
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_settle(text) IS
  'For fn_iu_route_retire: what becomes of the deliveries of a route that was just retired. Here there are none; migration 007 replaces it. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_route_retire(p_route_code text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_left jsonb;
BEGIN
  UPDATE public.iu_outbound_route
     SET enabled = false, dry_run = true, retired_at = now(), disabled_reason = format('retired by %s: %s', p_actor, p_reason)
   WHERE route_code = p_route_code AND retired_at IS NULL;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'route "%" is not registered, or retired', coalesce(p_route_code, '')
      USING ERRCODE = 'undefined_object';
  END IF;
  v_left := public.fn_iu_route_settle(p_route_code);
  PERFORM public.fn_iu_route_log('dot_iu_route_retire', p_route_code, p_actor, p_reason, v_left);
  PERFORM public.fn_iu_route_disallow(p_route_code, p_actor, p_reason);
  RETURN jsonb_build_object('status', 'retired', 'route_code', p_route_code) || v_left;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_retire(text, text, text) IS
  'Ends a route for good, takes it off the allowlist and logs it. What waits to be tried becomes a dead letter, failure_code route_retired; what is with a sender is recorded if it was sent, and otherwise becomes one; what the route had not come to is left in the outbox. A dead letter of a retired route is resolved, not replayed. Its attempts stay readable; its code is not given out again. Returns {status: retired, route_code, dead_letters, with_sender, passed_over}: how many became dead letters, are with a sender yet, and are left in the outbox. SQLSTATE 42704: not registered or retired; 23514: actor or reason missing. (design: Events and delivery)';

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_route_add',        'health', true, true,  ARRAY['fn_iu_route_add']),
  ('dot_iu_route_set',        'health', true, true,  ARRAY['fn_iu_route_set']),
  ('dot_iu_route_allow',      'health', true, true,  ARRAY['fn_iu_route_allow']),
  ('dot_iu_route_disallow',   'health', true, true,  ARRAY['fn_iu_route_disallow']),
  ('dot_iu_route_pause',      'health', true, true,  ARRAY['fn_iu_route_pause']),
  ('dot_iu_route_resume',     'health', true, true,  ARRAY['fn_iu_route_resume']),
  ('dot_iu_route_retire',     'health', true, false, ARRAY['fn_iu_route_retire']),
  ('dot_iu_route_secret_add', 'health', true, true,  ARRAY['fn_iu_route_secret_add']),
  ('dot_iu_route_secret_end', 'health', true, false, ARRAY['fn_iu_route_secret_end']);

-- Privileges, registration, post-check ---------------------------------------

GRANT SELECT ON public.iu_outbound_route TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_route_worker_enabled(), public.fn_iu_delivery_live_routes(),
  public.fn_iu_route_url_problem(text), public.fn_iu_route_retry_problem(jsonb),
  public.fn_iu_route_contract_problem(jsonb), public.fn_iu_payload_problem(jsonb, jsonb) TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
  public.fn_iu_route_add(text, text, text, text, text, text, text, text, text, integer, integer, jsonb, text, jsonb),
  public.fn_iu_route_set(text, text, text, text, integer, integer, jsonb, jsonb, text),
  public.fn_iu_route_allow(text, text, text), public.fn_iu_route_disallow(text, text, text),
  public.fn_iu_route_pause(text, text, text), public.fn_iu_route_resume(text, text, text),
  public.fn_iu_route_retire(text, text, text),
  public.fn_iu_route_secret_add(text, text, text, text, timestamptz, timestamptz),
  public.fn_iu_route_secret_end(text, timestamptz, text, text)
  TO iu_core_operator;

SELECT public.fn_iu_govern(5, 'table', 'iu_outbound_route', 'iu_route_secret');
SELECT public.fn_iu_govern(5, 'function', 'fn_iu_route_url_problem(text)', 'fn_iu_route_retry_problem(jsonb)',
  'fn_iu_route_contract_problem(jsonb)', 'fn_iu_payload_problem(jsonb,jsonb)',
  'fn_iu_route_worker_enabled()', 'fn_iu_delivery_live_routes()', 'fn_iu_outbound_route_delivery_guard()',
  'fn_iu_route_log(text,text,text,text,jsonb,text)',
  'fn_iu_route_secret_add(text,text,text,text,timestamp with time zone,timestamp with time zone)',
  'fn_iu_route_secret_end(text,timestamp with time zone,text,text)',
  'fn_iu_route_add(text,text,text,text,text,text,text,text,text,integer,integer,jsonb,text,jsonb)',
  'fn_iu_route_set(text,text,text,text,integer,integer,jsonb,jsonb,text)',
  'fn_iu_route_allow(text,text,text)', 'fn_iu_route_disallow(text,text,text)', 'fn_iu_route_pause(text,text,text)',
  'fn_iu_route_resume(text,text,text)', 'fn_iu_route_settle(text)', 'fn_iu_route_retire(text,text,text)');
SELECT public.fn_iu_govern(5, 'trigger', 'trg_iu_outbound_route_delivery_guard ON iu_outbound_route',
  'trg_iu_outbound_route_wake ON iu_outbound_route');
SELECT public.fn_iu_govern(5, 'config', 'iu_core.route_worker_enabled', 'iu_core.delivery_live_routes');

SELECT public.fn_iu_conformance_require(5);
