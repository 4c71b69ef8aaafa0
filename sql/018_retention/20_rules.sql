-- An arming and a hand-over know by its last attempt that a delivery was made:
-- that stays as long as the event.
CREATE FUNCTION iu.fn_iu_core_retention_rule(p_target_table text, OUT age_column text, OUT actor_column text, OUT condition text)
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
COMMENT ON FUNCTION iu.fn_iu_core_retention_rule IS
  'For retention: of a table the column that its age is counted from, the one with its actor, and the condition '
  'on a row r without which it stays, whatever its age; NULLs where the table is no target. An event stays while '
  'it is to be tried again, with a sender, ahead of the position of any route that is not retired, or of a pass '
  'that makes dry runs of it, while a dead letter of it is open, and while a subscriber has not read it; an '
  'attempt that is the last of its delivery stays as long as its event; a dead letter while it is open.';

CREATE FUNCTION iu.fn_iu_core_retention_where(p_policy public.iu_core_retention_policy) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN (SELECT format('r.%I < %L::timestamptz%s AND %s', x.age_column, now() - make_interval(days => (p_policy).keep_days),
    CASE WHEN (p_policy).actor_scope IS NOT NULL THEN format(' AND r.%I = ANY (%L::text[])', x.actor_column, (p_policy).actor_scope) END,
    x.condition)
  FROM iu.fn_iu_core_retention_rule((p_policy).target_table) AS x);
COMMENT ON FUNCTION iu.fn_iu_core_retention_where IS
  'For retention: what a policy lets go, as a condition on a row r.';

CREATE FUNCTION iu.fn_iu_core_retention_policy_set(
    p_target_table text, p_keep_days integer, p_actor text, p_reason text, p_active boolean, p_actor_scope text[])
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_age      text := (SELECT r.age_column FROM iu.fn_iu_core_retention_rule(p_target_table) r);
  v_previous jsonb;
BEGIN
  IF v_age IS NULL THEN
    RAISE check_violation USING
      MESSAGE = format('retention has no rule for table "%s"', coalesce(p_target_table, '')),
      DETAIL = 'Targets: event_outbox, iu_route_attempt, iu_route_dead_letter.';
  ELSIF p_keep_days IS NULL OR p_keep_days NOT BETWEEN 1 AND 36500 OR p_active IS NULL THEN
    RAISE check_violation USING
      MESSAGE = 'a retention policy keeps 1 to 36500 days, and is active or not';
  ELSIF coalesce(btrim(p_actor), '') = '' OR coalesce(btrim(p_reason), '') = '' THEN
    RAISE check_violation USING
      MESSAGE = 'a retention policy is set by somebody for a reason',
      HINT = 'Give p_actor and p_reason.';
  END IF;
  SELECT to_jsonb(p) INTO v_previous FROM public.iu_core_retention_policy p WHERE p.target_table = p_target_table FOR UPDATE;
  INSERT INTO public.iu_core_retention_policy (target_table, age_column, keep_days, actor_scope, reason, active, set_by)
    VALUES (p_target_table, v_age, p_keep_days, p_actor_scope, p_reason, p_active, p_actor)
    ON CONFLICT (target_table) DO UPDATE
      SET keep_days = excluded.keep_days, actor_scope = excluded.actor_scope, reason = excluded.reason, active = excluded.active,
          set_by = excluded.set_by, set_at = now();
  PERFORM iu.fn_dot_iu_command_log('dot_iu_retention_policy_set', 'health', 'apply', 'applied', true, md5(p_target_table),
    iu.fn_iu_gate_snapshot(), jsonb_build_object('target_table', p_target_table, 'previous', v_previous, 'keep_days', p_keep_days,
      'active', p_active, 'actor_scope', p_actor_scope, 'reason', p_reason), p_actor);
  RETURN jsonb_build_object('status', 'set', 'target_table', p_target_table, 'age_column', v_age, 'keep_days', p_keep_days,
    'active', p_active, 'previous', v_previous);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_core_retention_policy_set IS
  'What public.fn_iu_core_retention_policy_set hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_core_retention_policy_set(
    p_target_table text, p_keep_days integer, p_actor text, p_reason text, p_active boolean DEFAULT true, p_actor_scope text[] DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_admin}') THEN
  iu.fn_iu_core_retention_policy_set(p_target_table, p_keep_days, p_actor, p_reason, p_active, p_actor_scope) END;
COMMENT ON FUNCTION public.fn_iu_core_retention_policy_set IS
  'Sets the retention policy of a table and logs it: event_outbox, iu_route_attempt or iu_route_dead_letter, how '
  'many days are kept (1 to 36500), who, why, whether it is active, whose rows (NULL: all). It deletes nothing. '
  'Returns {status: set, target_table, age_column, keep_days, active, previous}. SQLSTATE 23514: table, days, '
  'actor or reason.';
