-- 018 retention: what is old goes, if somebody wants it gone, and never what
-- something still needs. Nothing is active when this is applied, and nothing is
-- deleted while the gate is closed. The ledgers (gates, commands) are
-- append-only and no target.

SELECT iu_core.guard_absent('table', 'iu_core_retention_policy');
SELECT iu_core.guard_absent('view', 'v_iu_core_retention_candidate');
SELECT iu_core.guard_absent('function', 'fn_iu_core_retention_enabled()', 'fn_iu_core_retention_rule(text)',
  'fn_iu_core_retention_where(public.iu_core_retention_policy)',
  'fn_iu_core_retention_policy_set(text,integer,text,text,boolean,text[])', 'fn_iu_core_retention_candidates()',
  'fn_iu_core_retention_cleanup(text,boolean,integer)');

DO $guard$
BEGIN
  IF to_regclass('public.iu_route_worker_cursor') IS NULL THEN
    RAISE object_not_in_prerequisite_state USING MESSAGE = 'migration 018 needs migration 012';
  END IF;
END
$guard$;

SELECT public.fn_iu_gate_register(18, 'iu_core.retention_enabled', 'governable', 'Deleting what retention policies let go');

CREATE FUNCTION public.fn_iu_core_retention_enabled() RETURNS boolean
  LANGUAGE sql VOLATILE AS $function$SELECT iu_core.gate_is_open('iu_core.retention_enabled')$function$;
COMMENT ON FUNCTION public.fn_iu_core_retention_enabled() IS
  'Whether deleting by retention policies is open now. Raises nothing. (facts-events 6; design: Gates)';

-- Policies ---------------------------------------------------------------------

CREATE TABLE public.iu_core_retention_policy (
  target_table text        NOT NULL PRIMARY KEY,
  age_column   text        NOT NULL,
  keep_days    integer     NOT NULL,
  actor_scope  text[],
  reason       text        NOT NULL,
  active       boolean     NOT NULL DEFAULT false,
  set_by       text,
  set_at       timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT iu_core_retention_policy_target_chk CHECK (target_table IN ('event_outbox', 'iu_route_attempt', 'iu_route_dead_letter')),
  CONSTRAINT iu_core_retention_policy_days_chk CHECK (keep_days BETWEEN 1 AND 36500),
  CONSTRAINT iu_core_retention_policy_reason_chk CHECK (btrim(reason) <> '')
);
COMMENT ON TABLE public.iu_core_retention_policy IS
  'What may be deleted when it is old, one row a table. None is active, and event_outbox has none, until somebody sets one with fn_iu_core_retention_policy_set. (facts-events 6)';
COMMENT ON COLUMN public.iu_core_retention_policy.target_table IS 'event_outbox, iu_route_attempt or iu_route_dead_letter';
COMMENT ON COLUMN public.iu_core_retention_policy.age_column IS 'What its age is counted from';
COMMENT ON COLUMN public.iu_core_retention_policy.keep_days IS 'Younger rows stay, 1 to 36500 days';
COMMENT ON COLUMN public.iu_core_retention_policy.actor_scope IS 'Only rows of these actors (actor_ref, sender, resolved_by); NULL: of all';
COMMENT ON COLUMN public.iu_core_retention_policy.reason IS 'Why';
COMMENT ON COLUMN public.iu_core_retention_policy.active IS 'false: nothing is deleted by it';
COMMENT ON COLUMN public.iu_core_retention_policy.set_by IS 'Who set it, as told by the caller; NULL: the migration';
COMMENT ON COLUMN public.iu_core_retention_policy.set_at IS 'Start of the transaction that set it';

INSERT INTO public.iu_core_retention_policy (target_table, age_column, keep_days, reason) VALUES
  ('iu_route_attempt',     'recorded_at', 30, 'attempts of a month are enough to look into'),
  ('iu_route_dead_letter', 'resolved_at', 90, 'what was resolved a quarter ago is over');

-- An arming and a hand-over know by its last attempt that a delivery was made:
-- that stays as long as the event.
CREATE FUNCTION public.fn_iu_core_retention_rule(p_target_table text, OUT age_column text, OUT actor_column text, OUT condition text)
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  CASE p_target_table
    WHEN 'iu_route_attempt' THEN
      age_column := 'recorded_at';
      actor_column := 'sender';
      condition := $sql$(r.status IN ('dry_run', 'skipped')
        OR NOT EXISTS (SELECT FROM public.event_outbox e WHERE e.id = r.event_ref)
        OR EXISTS (SELECT FROM public.iu_route_attempt n WHERE n.idempotency_key = r.idempotency_key AND n.attempt_no > r.attempt_no))$sql$;
    WHEN 'iu_route_dead_letter' THEN
      age_column := 'resolved_at';
      actor_column := 'resolved_by';
      condition := 'r.resolved_at IS NOT NULL';
    WHEN 'event_outbox' THEN
      age_column := 'created_at';
      actor_column := 'actor_ref';
      condition := $sql$NOT EXISTS (SELECT FROM public.iu_route_retry t WHERE t.event_id = r.id)
        AND r.id <> ALL (ARRAY(SELECT unnest(l.event_ids) FROM public.iu_route_lease l))
        AND NOT EXISTS (SELECT FROM public.iu_route_dead_letter d WHERE d.event_ref = r.id AND d.resolved_at IS NULL)
        AND NOT EXISTS (
          SELECT FROM public.v_iu_route_position p JOIN public.iu_outbound_route o ON o.route_code = p.route_code
           WHERE o.event_domain = r.event_domain AND o.event_type = r.event_type AND o.retired_at IS NULL
             AND (p.system_identifier <> iu_core.system_identifier() OR p.database_oid <> iu_core.database_oid()
                  OR (r.event_seq > p.floor_seq AND NOT pg_visible_in_snapshot(r.emitted_xid, p.seen)
                      AND (p.window_end IS NULL OR r.event_seq > p.window_seq OR NOT pg_visible_in_snapshot(r.emitted_xid, p.window_end)))))
        AND NOT EXISTS (
          SELECT FROM public.iu_outbound_route o JOIN public.iu_route_worker_cursor c
              ON coalesce(c.event_domain, o.event_domain) = o.event_domain
             AND c.system_identifier = iu_core.system_identifier() AND c.database_oid = iu_core.database_oid()
           WHERE o.event_domain = r.event_domain AND o.event_type = r.event_type AND o.enabled AND o.dry_run
             AND r.event_seq > c.floor_seq AND NOT pg_visible_in_snapshot(r.emitted_xid, c.seen))$sql$;
      IF to_regclass('public.event_subscription') IS NOT NULL THEN	-- 013
        condition := condition || $sql$
        AND NOT EXISTS (
          SELECT FROM public.event_subscription s
           WHERE s.active AND s.event_domain = r.event_domain AND coalesce(s.event_type, r.event_type) = r.event_type
             AND coalesce(s.event_stream, r.event_stream) = r.event_stream AND s.created_at <= r.created_at
             AND s.subscriber_ref IS DISTINCT FROM r.actor_ref
             AND NOT EXISTS (SELECT FROM public.event_read x WHERE x.event_id = r.id AND x.reader_ref = s.subscriber_ref))$sql$;
      END IF;
    ELSE
  END CASE;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_core_retention_rule(text) IS
  'For retention: of a table the column that its age is counted from, the one with its actor, and the condition on a row r without which it stays, whatever its age; NULLs where the table is no target. An event stays while it is to be tried again, with a sender, ahead of the position of any route that is not retired, or of a pass that makes dry runs of it, while a dead letter of it is open, and while a subscriber has not read it; an attempt that is the last of its delivery stays as long as its event; a dead letter while it is open. (design: Events and delivery)';

CREATE FUNCTION public.fn_iu_core_retention_where(p_policy public.iu_core_retention_policy) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN (SELECT format('r.%I < %L::timestamptz%s AND %s', x.age_column, now() - make_interval(days => (p_policy).keep_days),
    CASE WHEN (p_policy).actor_scope IS NOT NULL THEN format(' AND r.%I = ANY (%L::text[])', x.actor_column, (p_policy).actor_scope) END,
    x.condition)
  FROM public.fn_iu_core_retention_rule((p_policy).target_table) AS x);
COMMENT ON FUNCTION public.fn_iu_core_retention_where(public.iu_core_retention_policy) IS
  'For retention: what a policy lets go, as a condition on a row r. (facts-events 6)';

CREATE FUNCTION public.fn_iu_core_retention_policy_set(
    p_target_table text, p_keep_days integer, p_actor text, p_reason text, p_active boolean DEFAULT true, p_actor_scope text[] DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_age      text := (SELECT r.age_column FROM public.fn_iu_core_retention_rule(p_target_table) r);
  v_previous jsonb;
BEGIN
  IF v_age IS NULL THEN
    RAISE EXCEPTION 'retention has no rule for table "%"', coalesce(p_target_table, '') USING ERRCODE = 'check_violation',
      DETAIL = 'Targets: event_outbox, iu_route_attempt, iu_route_dead_letter.';
  ELSIF p_keep_days IS NULL OR p_keep_days NOT BETWEEN 1 AND 36500 OR p_active IS NULL THEN
    RAISE EXCEPTION 'a retention policy keeps 1 to 36500 days, and is active or not' USING ERRCODE = 'check_violation';
  ELSIF coalesce(btrim(p_actor), '') = '' OR coalesce(btrim(p_reason), '') = '' THEN
    RAISE EXCEPTION 'a retention policy is set by somebody for a reason' USING ERRCODE = 'check_violation',
      HINT = 'Give p_actor and p_reason.';
  END IF;
  SELECT to_jsonb(p) INTO v_previous FROM public.iu_core_retention_policy p WHERE p.target_table = p_target_table FOR UPDATE;
  INSERT INTO public.iu_core_retention_policy (target_table, age_column, keep_days, actor_scope, reason, active, set_by)
    VALUES (p_target_table, v_age, p_keep_days, p_actor_scope, p_reason, p_active, p_actor)
    ON CONFLICT (target_table) DO UPDATE
      SET keep_days = excluded.keep_days, actor_scope = excluded.actor_scope, reason = excluded.reason, active = excluded.active,
          set_by = excluded.set_by, set_at = now();
  PERFORM public.fn_dot_iu_command_log('dot_iu_retention_policy_set', 'health', 'apply', 'applied', true, md5(p_target_table),
    public.fn_iu_gate_snapshot(), jsonb_build_object('target_table', p_target_table, 'previous', v_previous, 'keep_days', p_keep_days,
      'active', p_active, 'actor_scope', p_actor_scope, 'reason', p_reason), p_actor);
  RETURN jsonb_build_object('status', 'set', 'target_table', p_target_table, 'age_column', v_age, 'keep_days', p_keep_days,
    'active', p_active, 'previous', v_previous);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_core_retention_policy_set(text, integer, text, text, boolean, text[]) IS
  'Sets the retention policy of a table and logs it: event_outbox, iu_route_attempt or iu_route_dead_letter, how many days are kept (1 to 36500), who, why, whether it is active, whose rows (NULL: all). It deletes nothing. Returns {status: set, target_table, age_column, keep_days, active, previous}. SQLSTATE 23514: table, days, actor or reason. (facts-events 6)';

-- Looking before -----------------------------------------------------------------

CREATE FUNCTION public.fn_iu_core_retention_candidates()
  RETURNS TABLE (target_table text, age_column text, keep_days integer, active boolean, cutoff timestamptz, rows_eligible bigint, sample_row jsonb)
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_policy public.iu_core_retention_policy;
BEGIN
  FOR v_policy IN SELECT p.* FROM public.iu_core_retention_policy p ORDER BY p.target_table LOOP
    target_table := v_policy.target_table;
    age_column := v_policy.age_column;
    keep_days := v_policy.keep_days;
    active := v_policy.active;
    cutoff := now() - make_interval(days => v_policy.keep_days);
    EXECUTE format('SELECT count(*) FROM public.%I AS r WHERE %s', target_table, public.fn_iu_core_retention_where(v_policy)) INTO rows_eligible;
    EXECUTE format('SELECT to_jsonb(r) FROM public.%I AS r WHERE %s LIMIT 1', target_table, public.fn_iu_core_retention_where(v_policy)) INTO sample_row;
    RETURN NEXT;
  END LOOP;
END
$function$;
COMMENT ON FUNCTION public.fn_iu_core_retention_candidates() IS
  'What each policy would let go now: see v_iu_core_retention_candidate. (facts-events 6)';

CREATE VIEW public.v_iu_core_retention_candidate AS
  SELECT c.* FROM public.fn_iu_core_retention_candidates() AS c;
COMMENT ON VIEW public.v_iu_core_retention_candidate IS
  'One row a retention policy, active or not: table, what its age is counted from, days kept, before when a row is old, how many rows may go now, and one of them. Counts, so it takes its time. (facts-events 6)';

-- Deleting -----------------------------------------------------------------------

CREATE FUNCTION public.fn_iu_core_retention_cleanup(p_actor text, p_dry_run boolean DEFAULT true, p_max_rows integer DEFAULT 50000)
  RETURNS TABLE (target_table text, cutoff timestamptz, rows_eligible bigint, rows_deleted bigint, dry_run boolean)
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_policy public.iu_core_retention_policy;
  v_where  text;
  v_rows   tid[];
  v_done   jsonb := '[]';
BEGIN
  IF coalesce(btrim(p_actor), '') = '' OR p_dry_run IS NULL THEN
    RAISE EXCEPTION 'a cleanup is run by somebody, as a dry run or not' USING ERRCODE = 'check_violation',
      HINT = 'Give p_actor and p_dry_run.';
  ELSIF p_max_rows IS NULL OR p_max_rows NOT BETWEEN 1 AND 1000000 THEN
    RAISE EXCEPTION 'p_max_rows is from 1 to 1000000' USING ERRCODE = 'check_violation';
  ELSIF NOT p_dry_run AND NOT public.fn_iu_core_retention_enabled() THEN
    RAISE EXCEPTION 'retention is closed: gate iu_core.retention_enabled' USING ERRCODE = 'insufficient_privilege',
      HINT = 'Open it with fn_iu_gate_open, with an approval and a time limit; or make a dry run.';
  ELSIF NOT p_dry_run AND current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'fn_iu_core_retention_cleanup needs isolation level READ COMMITTED' USING ERRCODE = 'invalid_transaction_state',
      DETAIL = 'An older snapshot would not see who has come to need an event.';
  END IF;

  -- Events before attempts, which may follow them.
  FOR v_policy IN SELECT p.* FROM public.iu_core_retention_policy p WHERE p.active ORDER BY p.target_table LOOP
    target_table := v_policy.target_table;
    cutoff := now() - make_interval(days => v_policy.keep_days);
    dry_run := p_dry_run;
    rows_deleted := 0;
    v_where := public.fn_iu_core_retention_where(v_policy);
    EXECUTE format('SELECT count(*) FROM public.%I AS r WHERE %s', target_table, v_where) INTO rows_eligible;
    IF NOT p_dry_run AND rows_eligible > 0 THEN
      -- Asked again once they are locked: nobody can hand one over any more.
      EXECUTE format('SELECT array_agg(x.row) FROM (SELECT r.ctid AS row FROM public.%I AS r WHERE %s LIMIT %s FOR UPDATE SKIP LOCKED) AS x',
        target_table, v_where, p_max_rows) INTO v_rows;
      EXECUTE format('DELETE FROM public.%I AS r WHERE r.ctid = ANY ($1) AND %s', target_table, v_where) USING v_rows;
      GET DIAGNOSTICS rows_deleted = ROW_COUNT;
    END IF;
    v_done := v_done || jsonb_build_object('target_table', target_table, 'cutoff', cutoff, 'rows_eligible', rows_eligible, 'rows_deleted', rows_deleted);
    RETURN NEXT;
  END LOOP;
  PERFORM public.fn_dot_iu_command_log('dot_iu_retention_cleanup', 'health', CASE WHEN p_dry_run THEN 'plan' ELSE 'apply' END,
    CASE WHEN p_dry_run THEN 'planned' ELSE 'applied' END, NOT p_dry_run, md5(p_max_rows::text), public.fn_iu_gate_snapshot(),
    jsonb_build_object('tables', v_done, 'max_rows', p_max_rows), p_actor);
END
$function$;
COMMENT ON FUNCTION public.fn_iu_core_retention_cleanup(text, boolean, integer) IS
  'Deletes what the active policies let go, one batch of at most p_max_rows (1 to 1000000) a table, or only counts it: who, whether it is a dry run. Call it again, in a transaction of its own each time, until rows_deleted is 0. Returns one row a table: (target_table, cutoff, rows_eligible, rows_deleted, dry_run). What stays whatever its age: see fn_iu_core_retention_rule; what another transaction has locked is left for the next call. Logged. SQLSTATE 42501: gate iu_core.retention_enabled is closed and it is no dry run; 23514: actor, dry run or limit; 25000: another isolation level than READ COMMITTED. (facts-events 6)';

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_retention_policy_set', 'health', true, true,  ARRAY['fn_iu_core_retention_policy_set']),
  ('dot_iu_retention_cleanup',    'health', true, false, ARRAY['fn_iu_core_retention_cleanup']);

-- Privileges, registration, post-check -------------------------------------------

GRANT SELECT ON public.iu_core_retention_policy, public.v_iu_core_retention_candidate TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_core_retention_enabled(), public.fn_iu_core_retention_candidates() TO iu_core_reader;
GRANT EXECUTE ON FUNCTION public.fn_iu_core_retention_cleanup(text, boolean, integer) TO iu_core_operator;
GRANT EXECUTE ON FUNCTION public.fn_iu_core_retention_policy_set(text, integer, text, text, boolean, text[]) TO iu_core_admin;

SELECT public.fn_iu_govern(18, 'table', 'iu_core_retention_policy');
SELECT public.fn_iu_govern(18, 'view', 'v_iu_core_retention_candidate');
SELECT public.fn_iu_govern(18, 'function', 'fn_iu_core_retention_enabled()', 'fn_iu_core_retention_rule(text)',
  'fn_iu_core_retention_where(public.iu_core_retention_policy)',
  'fn_iu_core_retention_policy_set(text,integer,text,text,boolean,text[])', 'fn_iu_core_retention_candidates()',
  'fn_iu_core_retention_cleanup(text,boolean,integer)');

SELECT public.fn_iu_conformance_require(18);
