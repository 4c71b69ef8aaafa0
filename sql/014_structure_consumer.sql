-- 014: registered functions as targets of routes, the structure consumer first.
--
-- A route of kind sql_function names a function of schema public with the
-- arguments (uuid, jsonb): the event and its payload. Only what is registered
-- is called, and only as it was when it was registered. The call and its record
-- are one transaction, made by the runner (bgworker/runner.c): exactly once.

SELECT iu_core.guard_absent('table', 'iu_route_function', 'iu_tree_change_log');
SELECT iu_core.guard_absent('function', 'fn_iu_route_function_digest(text)', 'fn_iu_route_function_problem(text)',
  'fn_iu_route_function_register(text,text,text)', 'fn_iu_route_function_unregister(text,text,text)',
  'fn_iu_function_claim(text,integer)', 'fn_iu_function_call(bigint,integer,uuid,integer)', 'fn_iu_function_record(bigint,integer,jsonb)', 'fn_iu_function_next_due()',
  'fn_iu_structure_consumer(uuid,jsonb)', 'fn_iu_tree_change_log_append_only()');

DO $guard$
BEGIN
  IF to_regprocedure('public.fn_iu_route_function_refusal(text)') IS NULL
     OR to_regprocedure('public.fn_iu_route_arm(text, text, text, timestamptz, interval)') IS NULL THEN
    RAISE object_not_in_prerequisite_state USING MESSAGE = 'migration 014 needs migrations 006 and 007';
  END IF;
END
$guard$;

-- The list ---------------------------------------------------------------------

CREATE TABLE public.iu_route_function (
  function_name text        NOT NULL PRIMARY KEY,
  digest        text        NOT NULL,
  registered_by text        NOT NULL,
  session_role  name        NOT NULL DEFAULT session_user,
  reason        text        NOT NULL,
  registered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT iu_route_function_name_chk CHECK (function_name ~ '^[a-z_][a-z0-9_]{0,62}$'),
  CONSTRAINT iu_route_function_by_chk CHECK (btrim(registered_by) <> '' AND btrim(reason) <> '')
);
COMMENT ON TABLE public.iu_route_function IS
  'The functions that routes of kind sql_function may call, each as it was when it was registered. Written by fn_iu_route_function_register and _unregister only. (design: Events and delivery)';
COMMENT ON COLUMN public.iu_route_function.function_name IS 'Its name in schema public; its arguments are (uuid, jsonb)';
COMMENT ON COLUMN public.iu_route_function.digest IS 'Of its definition and owner: changed, it is not called until it is registered anew';
COMMENT ON COLUMN public.iu_route_function.registered_by IS 'Who registered it, as told by the caller';
COMMENT ON COLUMN public.iu_route_function.session_role IS 'Login role of who registered it';
COMMENT ON COLUMN public.iu_route_function.reason IS 'Why';
COMMENT ON COLUMN public.iu_route_function.registered_at IS 'When, by the clock';

CREATE FUNCTION public.fn_iu_route_function_digest(p_function_name text) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN (SELECT md5(pg_get_functiondef(p.oid) || pg_get_userbyid(p.proowner)) FROM pg_proc p
         WHERE p.oid = to_regprocedure(format('public.%I(uuid, jsonb)', coalesce(p_function_name, ''))) AND p.prokind = 'f');
COMMENT ON FUNCTION public.fn_iu_route_function_digest(text) IS
  'Digest of the definition and the owner of public.NAME(uuid, jsonb); NULL where there is none. Raises nothing. (design: Events and delivery)';

-- It is called as iu_core_owner. Only SECURITY DEFINER gives it its own rights
-- instead of those of the whole schema, and nobody but its callers' equals.
CREATE FUNCTION public.fn_iu_route_function_problem(p_function_name text) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN (SELECT CASE
    WHEN f.name !~ '^[a-z_][a-z0-9_]{0,62}$' THEN 'its name is not 1 to 63 small letters, digits and "_"'
    WHEN p.oid IS NULL THEN format('there is no function public.%s(uuid, jsonb)', f.name)
    WHEN p.prokind <> 'f' OR p.proretset THEN 'it is not a function that returns one value'
    WHEN NOT p.prosecdef THEN 'it is not SECURITY DEFINER: it would run with the rights of iu_core_owner'
    WHEN r.rolsuper THEN format('its owner %s is a superuser', r.rolname)
    WHEN NOT EXISTS (SELECT FROM unnest(p.proconfig) AS c (setting) WHERE c.setting LIKE 'search_path=%')
      THEN 'its search_path is not pinned (SET search_path = pg_catalog, pg_temp)'
    WHEN EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a WHERE a.grantee = 0)
      THEN 'PUBLIC may call it'
    WHEN NOT has_function_privilege('iu_core_owner', p.oid, 'EXECUTE') THEN 'iu_core_owner may not call it' END
  FROM (SELECT coalesce(p_function_name, '') AS name) AS f
  LEFT JOIN pg_proc p ON p.oid = to_regprocedure(format('public.%I(uuid, jsonb)', f.name))
  LEFT JOIN pg_roles r ON r.oid = p.proowner);
COMMENT ON FUNCTION public.fn_iu_route_function_problem(text) IS
  'NULL if public.NAME(uuid, jsonb) may be registered as a target, otherwise why not: it must exist, return one value, be SECURITY DEFINER with a pinned search_path, belong to a role that is not a superuser, be callable for iu_core_owner and not for PUBLIC. Raises nothing. (design: Events and delivery)';

CREATE OR REPLACE FUNCTION public.fn_iu_route_function_refusal(p_target_ref text) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN (SELECT CASE
    WHEN f.function_name IS NULL THEN format('function "%s" is not registered', p_target_ref)
    WHEN public.fn_iu_route_function_problem(p_target_ref) IS NOT NULL
      THEN format('function "%s" may not be called: %s', p_target_ref, public.fn_iu_route_function_problem(p_target_ref))
    WHEN f.digest IS DISTINCT FROM public.fn_iu_route_function_digest(p_target_ref)
      THEN format('function "%s" was changed since it was registered', p_target_ref) END
  FROM (VALUES (p_target_ref)) AS t (name) LEFT JOIN public.iu_route_function f ON f.function_name = t.name);
COMMENT ON FUNCTION public.fn_iu_route_function_refusal(text) IS
  'NULL if a route of kind sql_function may call this function, otherwise why not, in words: it is not registered, fn_iu_route_function_problem has something against it, or it is not the one that was registered. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_route_function_register(p_function_name text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_problem constant text := public.fn_iu_route_function_problem(p_function_name);
  v_digest  constant text := public.fn_iu_route_function_digest(p_function_name);
BEGIN
  IF v_problem IS NOT NULL THEN
    RAISE EXCEPTION 'function "%" cannot be registered: %', coalesce(p_function_name, ''), v_problem
      USING ERRCODE = 'check_violation';
  END IF;
  PERFORM public.fn_iu_route_log('dot_iu_route_function_register', NULL, p_actor, p_reason,
    jsonb_build_object('function', p_function_name, 'digest', v_digest));
  INSERT INTO public.iu_route_function AS f (function_name, digest, registered_by, reason)
    VALUES (p_function_name, v_digest, p_actor, p_reason)
    ON CONFLICT (function_name) DO UPDATE
      SET digest = excluded.digest, registered_by = excluded.registered_by, session_role = excluded.session_role,
          reason = excluded.reason, registered_at = excluded.registered_at
    WHERE f.digest <> excluded.digest;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('status', 'unchanged', 'function_name', p_function_name, 'digest', v_digest);
  END IF;
  PERFORM iu_core.wake();
  RETURN jsonb_build_object('status', 'registered', 'function_name', p_function_name, 'digest', v_digest);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_function_register(text, text, text) IS
  'Puts a function on the list of those that routes may call, as it is now, and logs it: a change of it has to be registered again. Name of a function (uuid, jsonb) in schema public, who, why. Returns {status: registered | unchanged, function_name, digest}. SQLSTATE 23514: what fn_iu_route_function_problem says, or actor or reason missing. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_route_function_unregister(p_function_name text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM public.fn_iu_route_log('dot_iu_route_function_unregister', NULL, p_actor, p_reason,
    jsonb_build_object('function', p_function_name));
  DELETE FROM public.iu_route_function WHERE function_name = p_function_name;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'function "%" is not registered', coalesce(p_function_name, '') USING ERRCODE = 'undefined_object';
  END IF;
  RETURN jsonb_build_object('status', 'unregistered', 'function_name', p_function_name);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_route_function_unregister(text, text, text) IS
  'Takes a function off the list and logs it; from the commit on the deliveries of its routes are held. Name, who, why. Returns {status: unregistered, function_name}. SQLSTATE 42704: not registered; 23514: actor or reason missing. (design: Events and delivery)';

-- What the runner calls --------------------------------------------------------

CREATE FUNCTION public.fn_iu_function_claim(p_sender text, p_max integer)
  RETURNS TABLE (lease_id bigint, lease_generation integer, event_id uuid, replay_number integer, timeout_ms integer)
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $function$
#variable_conflict use_column
DECLARE
  v_routes text[];
  v_route  text;
  v_share  integer;
  v_most   integer;
  v_taken  bigint[];
  v_leases bigint[] := '{}';
BEGIN
  IF coalesce(btrim(p_sender), '') = '' OR p_max IS NULL OR p_max < 1 THEN
    RAISE EXCEPTION 'a claim names its sender and asks for at least one delivery' USING ERRCODE = 'check_violation';
  END IF;
  v_routes := ARRAY(SELECT r.route_code FROM public.iu_outbound_route r
                     WHERE r.target_kind = 'sql_function' AND r.enabled AND NOT r.dry_run ORDER BY random());
  IF v_routes = '{}' THEN
    RETURN;
  END IF;
  v_share := ceil(p_max::numeric / cardinality(v_routes));
  FOREACH v_route IN ARRAY v_routes LOOP
    CONTINUE WHEN public.fn_iu_delivery_refusal(v_route) IS NOT NULL;
    PERFORM FROM public.iu_route_position p WHERE p.route_code = v_route FOR NO KEY UPDATE SKIP LOCKED;
    CONTINUE WHEN NOT FOUND OR NOT public.fn_iu_delivery_locks(v_route);
    v_most := least(v_share, (SELECT r.max_in_flight FROM public.iu_outbound_route r WHERE r.route_code = v_route)
      - (SELECT coalesce(sum(l.item_count), 0) FROM public.iu_route_lease l
          WHERE l.route_code = v_route AND l.backend_pid = pg_backend_pid() AND l.expires_at > clock_timestamp()
            AND l.lease_id >= (SELECT p.lease_low FROM public.v_iu_route_position p WHERE p.route_code = v_route)));
    CONTINUE WHEN v_most <= 0;
    v_taken := ARRAY(SELECT o FROM public.fn_iu_delivery_lease_orphans(v_route, p_sender, v_most) o);
    IF v_taken = '{}' THEN
      v_taken := ARRAY(SELECT o FROM public.fn_iu_delivery_lease_retries(v_route, p_sender, v_most) o);
    END IF;
    IF v_taken = '{}' THEN
      v_taken := ARRAY(SELECT o FROM public.fn_iu_delivery_lease_window(v_route, p_sender, v_most) o);
    END IF;
    IF v_taken <> '{}' THEN
      PERFORM public.fn_iu_delivery_contract(v_route, v_taken);
    END IF;
    v_leases := v_leases || v_taken;
  END LOOP;

  RETURN QUERY
    SELECT l.lease_id, l.generation, i.event_id, i.replay_number, r.timeout_ms
      FROM public.iu_route_lease l
      JOIN public.iu_outbound_route r ON r.route_code = l.route_code
      CROSS JOIN LATERAL unnest(l.event_ids, l.event_seqs, l.replay_numbers) AS i (event_id, event_seq, replay_number)
     WHERE l.lease_id = ANY (v_leases)
     ORDER BY i.event_seq, l.lease_id;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_function_claim(text, integer) IS
  'For the runner, as fn_iu_delivery_claim for the senders: leases deliveries of the routes of kind sql_function that may deliver, p_max shared among the routes (at least one each, never more than max_in_flight with what the session holds); of each route abandoned leases, or due retries, or new events. Payload contracts are kept; no circuit opens, since a function that fails says nothing of the next event. Writes nothing where there is nothing. SQLSTATE 23514: no sender, or p_max below 1. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_function_next_due() RETURNS timestamptz
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $function$
BEGIN
  RETURN (
    SELECT min(CASE WHEN d.unfinished THEN clock_timestamp() ELSE d.due_at END)
      FROM (SELECT p.route_code, p.window_end IS NOT NULL AS unfinished, least(
                     (SELECT min(l.expires_at) FROM public.iu_route_lease l
                       WHERE l.route_code = p.route_code AND l.lease_id >= p.lease_low),
                     (SELECT t.due_at FROM public.iu_route_retry t WHERE t.route_code = p.route_code ORDER BY t.due_at LIMIT 1)) AS due_at
              FROM public.v_iu_route_position p JOIN public.iu_outbound_route r ON r.route_code = p.route_code
             WHERE r.target_kind = 'sql_function' AND r.enabled AND NOT r.dry_run) AS d
     WHERE (d.unfinished OR d.due_at IS NOT NULL) AND public.fn_iu_delivery_refusal(d.route_code) IS NULL);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_function_next_due() IS
  'For the runner, as fn_iu_delivery_next_due for the senders: when a claim finds something again without a commit that would wake it; NULL if nothing waits for the clock. (design: Processes)';

-- The caller ends what takes too long by a timer that it sets around this call,
-- and records the outcome in the same transaction. The lease is locked first, so
-- that nobody takes it over meanwhile. A deferred constraint speaks up here, where
-- it is the function's failure, and not at the commit.
CREATE FUNCTION public.fn_iu_function_call(p_lease_id bigint, p_lease_generation integer, p_event_id uuid, p_replay_number integer,
    OUT outcome text, OUT results jsonb)
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_route   public.iu_outbound_route;
  v_payload jsonb;
  v_code    text;
  v_detail  text;
  v_context text;
  v_start   timestamptz := clock_timestamp();
  v_wait    constant text := current_setting('lock_timeout');
BEGIN
  SELECT r.* INTO v_route FROM public.iu_route_lease l JOIN public.iu_outbound_route r ON r.route_code = l.route_code
   WHERE l.lease_id = p_lease_id AND l.generation = p_lease_generation AND p_event_id = ANY (l.event_ids)
     FOR NO KEY UPDATE OF l;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'lease % of generation % does not hold event %', p_lease_id, p_lease_generation, p_event_id
      USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = 'It was recorded, or it expired and another sender took it over.';
  END IF;
  v_code := public.fn_iu_delivery_refusal(v_route.route_code);
  IF v_code IS NULL AND v_route.target_kind <> 'sql_function' THEN
    v_code := 'target_kind_not_supported';
  END IF;
  IF v_code IS NOT NULL THEN
    outcome := 'held';
  ELSE
    SELECT e.safe_payload INTO v_payload FROM public.event_outbox e WHERE e.id = p_event_id;
    BEGIN
      PERFORM set_config('lock_timeout', '0', true);
      EXECUTE format('SELECT public.%I($1, $2)', v_route.target_ref) USING p_event_id, v_payload;
      SET CONSTRAINTS ALL IMMEDIATE;
      PERFORM set_config('lock_timeout', v_wait, true);
      outcome := 'sent';
    EXCEPTION WHEN OTHERS OR query_canceled OR assert_failure THEN
      GET STACKED DIAGNOSTICS v_context = PG_EXCEPTION_CONTEXT;
      outcome := 'failed';
      v_code := 'sql_function_failed';
      v_detail := SQLSTATE || ': ' || SQLERRM || coalesce(E'\n' || nullif(v_context, ''), '');
    END;
  END IF;
  results := jsonb_build_array(jsonb_build_object('event_id', p_event_id, 'replay_number', p_replay_number, 'outcome', outcome,
    'failure_code', v_code, 'failure_detail', v_detail, 'started_at', v_start,
    'duration_us', round(extract(epoch FROM clock_timestamp() - v_start) * 1000000)));
END
$function$;
COMMENT ON FUNCTION public.fn_iu_function_call(bigint, integer, uuid, integer) IS
  'For the runner: asks once more whether the route of a lease may deliver, and calls its function with the event and its payload. Returns outcome (sent, failed, held) and results, an argument for fn_iu_function_record in the same transaction. What the function raises, the end of its time included, undoes what it did and is the outcome failed, code sql_function_failed, with SQLSTATE, message and context. SQLSTATE 55000: the lease is another''s, or does not hold the event. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_function_record(p_lease_id bigint, p_lease_generation integer, p_results jsonb) RETURNS integer
  LANGUAGE sql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET enable_seqscan = off SET jit = off
AS $function$
  SELECT public.fn_iu_delivery_record(p_lease_id, p_lease_generation, p_results)
$function$;
COMMENT ON FUNCTION public.fn_iu_function_record(bigint, integer, jsonb) IS
  'For the runner: fn_iu_delivery_record, with its rights. Errors: as there. (design: Events and delivery)';

-- The first of them --------------------------------------------------------------

CREATE TABLE public.iu_tree_change_log (
  change_seq        bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  event_ref         uuid        NOT NULL UNIQUE,
  operation_type    text        NOT NULL,
  canonical_address text,
  delivered_by      text        NOT NULL DEFAULT 'fn_iu_structure_consumer',
  delivered_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE public.iu_tree_change_log IS
  'One row for each structure event that was delivered to fn_iu_structure_consumer, never changed. A projection: it may be truncated. (facts-events 2.10)';
COMMENT ON COLUMN public.iu_tree_change_log.change_seq IS 'Order of delivery';
COMMENT ON COLUMN public.iu_tree_change_log.event_ref IS 'The event; no foreign key, the log outlives the outbox';
COMMENT ON COLUMN public.iu_tree_change_log.operation_type IS 'operation_type of the payload, or the type of the event';
COMMENT ON COLUMN public.iu_tree_change_log.canonical_address IS 'Of the event';
COMMENT ON COLUMN public.iu_tree_change_log.delivered_by IS 'The consumer';
COMMENT ON COLUMN public.iu_tree_change_log.delivered_at IS 'When, by the clock';

CREATE FUNCTION public.fn_iu_tree_change_log_append_only() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RAISE EXCEPTION 'a row of iu_tree_change_log is not changed' USING ERRCODE = 'insufficient_privilege',
    HINT = 'The whole projection may be truncated.';
END
$function$;
COMMENT ON FUNCTION public.fn_iu_tree_change_log_append_only() IS
  'Trigger of iu_tree_change_log: SQLSTATE 42501 for UPDATE and DELETE. (facts-events 2.10)';
CREATE TRIGGER trg_iu_tree_change_log_append_only BEFORE UPDATE OR DELETE ON public.iu_tree_change_log
  FOR EACH STATEMENT EXECUTE FUNCTION public.fn_iu_tree_change_log_append_only();
COMMENT ON TRIGGER trg_iu_tree_change_log_append_only ON public.iu_tree_change_log IS 'Append-only. (facts-events 2.10)';

CREATE FUNCTION public.fn_iu_structure_consumer(p_event_ref uuid, p_safe_payload jsonb) RETURNS boolean
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_event public.event_outbox;
BEGIN
  SELECT * INTO v_event FROM public.event_outbox WHERE id = p_event_ref;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'event % is not in the outbox', coalesce(p_event_ref::text, 'NULL') USING ERRCODE = 'no_data_found';
  ELSIF v_event.event_domain <> 'iu' OR NOT starts_with(v_event.event_type, 'structure_') THEN
    RAISE EXCEPTION 'event % is of type %.%, not of the structure', p_event_ref, v_event.event_domain, v_event.event_type
      USING ERRCODE = 'check_violation', HINT = 'Routes to fn_iu_structure_consumer carry the types iu.structure_...';
  END IF;
  INSERT INTO public.iu_tree_change_log (event_ref, operation_type, canonical_address)
    VALUES (p_event_ref, coalesce(p_safe_payload ->> 'operation_type', v_event.event_type), v_event.canonical_address)
    ON CONFLICT (event_ref) DO NOTHING;
  RETURN FOUND;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_structure_consumer(uuid, jsonb) IS
  'Target of routes: writes one row of iu_tree_change_log for a structure event; a second call for the event writes none. Event, its payload. Returns whether a row was written. SQLSTATE P0002: unknown event; 23514: not a structure event. (facts-events 2.10)';

-- Privileges, registration, post-check ---------------------------------------

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_route_function_register',   'health', true, true, ARRAY['fn_iu_route_function_register']),
  ('dot_iu_route_function_unregister', 'health', true, true, ARRAY['fn_iu_route_function_unregister']);

GRANT SELECT ON public.iu_route_function, public.iu_tree_change_log TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_route_function_problem(text), public.fn_iu_route_function_digest(text) TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_route_function_register(text, text, text),
  public.fn_iu_route_function_unregister(text, text, text) TO iu_core_admin;
GRANT EXECUTE ON FUNCTION public.fn_iu_function_claim(text, integer), public.fn_iu_function_call(bigint, integer, uuid, integer),
  public.fn_iu_function_record(bigint, integer, jsonb),  public.fn_iu_function_next_due() TO iu_core_worker;

SELECT public.fn_iu_govern(14, 'table', 'iu_route_function', 'iu_tree_change_log');
SELECT public.fn_iu_govern(14, 'function', 'fn_iu_route_function_digest(text)', 'fn_iu_route_function_problem(text)',
  'fn_iu_route_function_register(text,text,text)', 'fn_iu_route_function_unregister(text,text,text)',
  'fn_iu_function_claim(text,integer)', 'fn_iu_function_call(bigint,integer,uuid,integer)', 'fn_iu_function_record(bigint,integer,jsonb)', 'fn_iu_function_next_due()',
  'fn_iu_structure_consumer(uuid,jsonb)', 'fn_iu_tree_change_log_append_only()');
SELECT public.fn_iu_govern(14, 'trigger', 'trg_iu_tree_change_log_append_only ON iu_tree_change_log');

INSERT INTO public.iu_route_function (function_name, digest, registered_by, reason)
  SELECT 'fn_iu_structure_consumer', public.fn_iu_route_function_digest('fn_iu_structure_consumer'), 'migration 014', 'the structure consumer'
   WHERE public.fn_iu_route_function_problem('fn_iu_structure_consumer') IS NULL;
DO $check$
BEGIN
  IF public.fn_iu_route_function_refusal('fn_iu_structure_consumer') IS NOT NULL THEN
    RAISE EXCEPTION '%', public.fn_iu_route_function_refusal('fn_iu_structure_consumer');
  END IF;
END
$check$;

SELECT public.fn_iu_conformance_require(14);
