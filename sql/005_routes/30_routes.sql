-- The routes themselves, and the trigger that keeps a live one on the allowlist.

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
    '{"max_attempts": 8, "base_s": 5, "max_s": 3600, "jitter": 0.2, '
    '"circuit_failures": 10, "circuit_open_s": 30, "circuit_max_s": 600}',
  payload_contract jsonb       NOT NULL DEFAULT '{}',
  payload_filter   text,
  request_headers  jsonb       NOT NULL DEFAULT '{}',
  ca_name          text,
  client_name      text,
  timeout_ms       integer     NOT NULL DEFAULT 10000,
  max_in_flight    integer     NOT NULL DEFAULT 2048,
  per_second       numeric,
  ordering         text        NOT NULL DEFAULT 'none',
  secret_ref       text,
  description      text,
  disabled_reason  text,
  created_at       timestamptz NOT NULL DEFAULT now(),
  created_by       text        NOT NULL,
  updated_at       timestamptz NOT NULL DEFAULT now(),
  retired_at       timestamptz,
  CONSTRAINT iu_outbound_route_code_chk CHECK (route_code ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}$'),
  CONSTRAINT iu_outbound_route_kind_chk CHECK (target_kind IN
    ('sql_function', 'workflow', 'vector', 'report', 'directus_flow', 'external_endpoint')),
  CONSTRAINT iu_outbound_route_target_chk CHECK (btrim(target_ref) <> '' AND
    (target_kind NOT IN ('directus_flow', 'external_endpoint') OR iu.fn_iu_route_url_problem(target_ref) IS NULL)),
  CONSTRAINT iu_outbound_route_fail_closed_chk CHECK (fail_closed),
  CONSTRAINT iu_outbound_route_retry_chk CHECK (iu.fn_iu_route_retry_problem(retry_policy) IS NULL),
  CONSTRAINT iu_outbound_route_contract_chk CHECK (iu.fn_iu_route_contract_problem(payload_contract) IS NULL),
  CONSTRAINT iu_outbound_route_filter_chk CHECK (payload_filter::jsonpath IS NOT NULL OR payload_filter IS NULL),
  CONSTRAINT iu_outbound_route_headers_chk CHECK (iu.fn_iu_route_headers_problem(request_headers) IS NULL),
  CONSTRAINT iu_outbound_route_certificates_chk CHECK
    (iu.fn_iu_route_certificate_problem(target_kind, target_ref, ca_name, client_name) IS NULL),
  CONSTRAINT iu_outbound_route_timeout_chk CHECK (timeout_ms BETWEEN 100 AND 300000),
  CONSTRAINT iu_outbound_route_in_flight_chk CHECK (max_in_flight BETWEEN 1 AND 10000),
  CONSTRAINT iu_outbound_route_rate_chk CHECK (per_second BETWEEN 0.001 AND 100000),
  CONSTRAINT iu_outbound_route_ordering_chk CHECK (ordering IN ('none', 'subject')),
  CONSTRAINT iu_outbound_route_retired_chk CHECK (retired_at IS NULL OR NOT enabled),
  CONSTRAINT iu_outbound_route_created_by_chk CHECK (btrim(created_by) <> '')
);
COMMENT ON TABLE public.iu_outbound_route IS
  'Where events of one or several types are carried. enabled and not dry_run: live, only for codes on the allowlist. '
  'Changed '
  'by the fn_iu_route_ functions.';
COMMENT ON COLUMN public.iu_outbound_route.route_code IS 'Its name: 1 to 120 letters, digits, _ . : -';
COMMENT ON COLUMN public.iu_outbound_route.event_domain IS 'With event_type: what it carries; * is every domain';
COMMENT ON COLUMN public.iu_outbound_route.event_type IS
  'Names of event types, and patterns in which * stands for any characters, separated by commas; iu_route_type has '
  'what they come to';
COMMENT ON COLUMN public.iu_outbound_route.event_stream IS 'That of the types; several where they differ';
COMMENT ON COLUMN public.iu_outbound_route.target_kind IS
  'external_endpoint and directus_flow: a webhook; sql_function: a registered function; no other kind is carried '
  'yet';
COMMENT ON COLUMN public.iu_outbound_route.enabled IS 'false: paused, retired, or not armed yet';
COMMENT ON COLUMN public.iu_outbound_route.dry_run IS 'true: nothing is sent';
COMMENT ON COLUMN public.iu_outbound_route.description IS 'For people';
COMMENT ON COLUMN public.iu_outbound_route.created_at IS 'Start of the transaction that registered it';
COMMENT ON COLUMN public.iu_outbound_route.created_by IS 'Who registered it, as told by the caller';
COMMENT ON COLUMN public.iu_outbound_route.updated_at IS 'Start of the transaction that changed it last';
COMMENT ON COLUMN public.iu_outbound_route.retired_at IS 'Since when it is ended for good';
COMMENT ON COLUMN public.iu_outbound_route.id IS 'Part of the webhook-id of its deliveries.';
COMMENT ON COLUMN public.iu_outbound_route.target_ref IS
  'The URL of external_endpoint and directus_flow; of sql_function the name of a function in schema public; '
  'otherwise a name.';
COMMENT ON COLUMN public.iu_outbound_route.fail_closed IS 'Always true: what cannot be decided is not sent.';
COMMENT ON COLUMN public.iu_outbound_route.retry_policy IS 'See fn_iu_route_retry_problem.';
COMMENT ON COLUMN public.iu_outbound_route.payload_contract IS
  'What a payload must be, see fn_iu_route_contract_problem; {} asks for nothing. What breaks it is never sent.';
COMMENT ON COLUMN public.iu_outbound_route.payload_filter IS
  'Which events of its types it carries: a jsonpath that is true of their payload, see fn_iu_route_filter_problem; '
  'NULL: all. What does not pass is passed over, and stays in the outbox.';
COMMENT ON COLUMN public.iu_outbound_route.request_headers IS
  'Headers that its requests have beside the sender''s, see fn_iu_route_headers_problem; a secret is there by '
  'reference.';
COMMENT ON COLUMN public.iu_outbound_route.ca_name IS
  'File NAME.crt in iu_core.certificate_directory: the authorities that its receiver''s certificate must come from, '
  'instead of those of the server; NULL: those of the server.';
COMMENT ON COLUMN public.iu_outbound_route.client_name IS
  'Files NAME.crt and NAME.key in iu_core.certificate_directory: the certificate that its requests show; NULL: none.';
COMMENT ON COLUMN public.iu_outbound_route.timeout_ms IS 'Milliseconds for one attempt, connecting included.';
COMMENT ON COLUMN public.iu_outbound_route.max_in_flight IS
  'Requests that all senders together may have under way at a time, each sender its share; they hold half as many '
  'deliveries more, so that requests leave while others are recorded. A sender has some 100 connections for a route '
  'that is alone.';
COMMENT ON COLUMN public.iu_outbound_route.per_second IS
  'Deliveries that may begin within a second, of all senders together, after a pause a fifth of them at once; NULL: no '
  'limit.';
COMMENT ON COLUMN public.iu_outbound_route.ordering IS
  'none, or subject: the events of one subject one after another, each when the one before was sent or given up.';
COMMENT ON COLUMN public.iu_outbound_route.secret_ref IS 'Names the signing secrets in iu_route_secret.';
COMMENT ON COLUMN public.iu_outbound_route.disabled_reason IS
  'Why it is not enabled, where somebody or an answer 410 switched it off.';
CREATE INDEX iu_outbound_route_function ON public.iu_outbound_route (route_code) WHERE target_kind = 'sql_function';
COMMENT ON INDEX public.iu_outbound_route_function IS
  'The routes of the runner, beside which there may be many others.';

CREATE FUNCTION iu.fn_iu_outbound_route_delivery_guard() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF NEW.enabled AND NOT NEW.dry_run AND NEW.route_code <> ALL (iu.fn_iu_delivery_live_routes()) THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('route "%s" is not on the allowlist of live routes', NEW.route_code),
      DETAIL = 'A route is enabled without dry_run only while iu_core.delivery_live_routes names it.',
      HINT = format('Put it there: SELECT fn_iu_route_allow(%L, session_user, ''reason'');', NEW.route_code),
      CONSTRAINT = 'iu_route_not_on_allowlist';
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF (NEW.route_code, NEW.event_domain, NEW.event_type, NEW.ordering)
       <> (OLD.route_code, OLD.event_domain, OLD.event_type, OLD.ordering) THEN
      RAISE feature_not_supported USING
        MESSAGE = format('code, event type and ordering of route "%s" cannot be changed', OLD.route_code),
        DETAIL = 'Its deliveries refer to them.',
        HINT = 'Retire it and register another.', CONSTRAINT = 'iu_route_fixed';
    END IF;
    NEW.updated_at := now();
  END IF;
  RETURN NEW;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_outbound_route_delivery_guard IS
  'Trigger of iu_outbound_route: SQLSTATE 42501 for a live route that is not on the allowlist; 0A000 for another '
  'code, event type or ordering; keeps updated_at.';

CREATE TRIGGER trg_iu_outbound_route_delivery_guard BEFORE INSERT OR UPDATE ON public.iu_outbound_route
  FOR EACH ROW EXECUTE FUNCTION iu.fn_iu_outbound_route_delivery_guard();
COMMENT ON TRIGGER trg_iu_outbound_route_delivery_guard ON public.iu_outbound_route IS
  'No live route beside the allowlist.';

CREATE TRIGGER trg_iu_outbound_route_wake AFTER UPDATE ON public.iu_outbound_route
  FOR EACH STATEMENT EXECUTE FUNCTION iu_core.wake_sender();
ALTER TABLE public.iu_outbound_route ENABLE ALWAYS TRIGGER trg_iu_outbound_route_wake;
COMMENT ON TRIGGER trg_iu_outbound_route_wake ON public.iu_outbound_route IS
  'A route that was armed, resumed or changed is looked at when the change commits.';
