-- Policies: how long what is old is kept, and whose.

CREATE TABLE public.iu_core_retention_policy (
  target_table text        NOT NULL PRIMARY KEY,
  age_column   text        NOT NULL,
  keep_days    integer     NOT NULL,
  actor_scope  text[],
  reason       text        NOT NULL,
  active       boolean     NOT NULL DEFAULT false,
  set_by       text,
  set_at       timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT iu_core_retention_policy_target_fkey FOREIGN KEY (target_table)
    REFERENCES public.iu_core_retention_target (target_table),
  CONSTRAINT iu_core_retention_policy_days_chk CHECK (keep_days BETWEEN 1 AND 36500),
  CONSTRAINT iu_core_retention_policy_reason_chk CHECK (btrim(reason) <> '')
);
COMMENT ON TABLE public.iu_core_retention_policy IS
  'What may be deleted when it is old, one row a table. None is active, and event_outbox has none, until somebody '
  'sets one with fn_iu_core_retention_policy_set.';
COMMENT ON COLUMN public.iu_core_retention_policy.target_table IS 'One of iu_core_retention_target';
COMMENT ON COLUMN public.iu_core_retention_policy.age_column IS 'What its age is counted from';
COMMENT ON COLUMN public.iu_core_retention_policy.keep_days IS 'Younger rows stay, 1 to 36500 days';
COMMENT ON COLUMN public.iu_core_retention_policy.actor_scope IS
  'Only rows of these actors, as actor_column of the target has them; NULL: of all';
COMMENT ON COLUMN public.iu_core_retention_policy.reason IS 'Why';
COMMENT ON COLUMN public.iu_core_retention_policy.active IS 'false: nothing is deleted by it';
COMMENT ON COLUMN public.iu_core_retention_policy.set_by IS
  'Who set it, as told by the caller; NULL: the migration';
COMMENT ON COLUMN public.iu_core_retention_policy.set_at IS 'Start of the transaction that set it';

INSERT INTO public.iu_core_retention_policy (target_table, age_column, keep_days, reason) VALUES
  ('iu_route_attempt',     'recorded_at', 30, 'attempts of a month are enough to look into'),
  ('iu_route_dead_letter', 'resolved_at', 90, 'what was resolved a quarter ago is over');

-- A clock that is set forward lets nothing go that is too young.
-- Attempts lie in partitions of a day, which go as a whole.
CREATE FUNCTION iu.fn_iu_core_retention_cutoff(p_policy public.iu_core_retention_policy) RETURNS timestamptz
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN (SELECT CASE (p_policy).target_table WHEN 'iu_route_attempt' THEN date_trunc('day', x.at, 'UTC') ELSE x.at END
  FROM (SELECT least(now(), iu_core.steady_clock()) - make_interval(days => (p_policy).keep_days) AS at) AS x);
COMMENT ON FUNCTION iu.fn_iu_core_retention_cutoff IS
  'For retention: before when something is as old as a policy has it, by the time of day and by the clock that nobody '
  'sets; of attempts the start of that day, by UTC.';

CREATE FUNCTION iu.fn_iu_core_retention_where(p_policy public.iu_core_retention_policy) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN (SELECT format('r.%I < %L::timestamptz%s AND (%s)', t.age_column,
    iu.fn_iu_core_retention_cutoff(p_policy),
    CASE WHEN (p_policy).actor_scope IS NOT NULL
         THEN format(' AND r.%I = ANY (%L::text[])', t.actor_column, (p_policy).actor_scope) END,
    t.condition)
  FROM public.iu_core_retention_target AS t WHERE t.target_table = (p_policy).target_table);
COMMENT ON FUNCTION iu.fn_iu_core_retention_where IS
  'For retention: what a policy lets go, as a condition on a row r.';

CREATE FUNCTION iu.fn_iu_core_retention_policy_set(
    p_target_table text, p_keep_days integer, p_actor text, p_reason text, p_active boolean, p_actor_scope text[])
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_age      CONSTANT text := (SELECT t.age_column FROM public.iu_core_retention_target t
                                WHERE t.target_table = p_target_table);
  v_previous jsonb;
BEGIN
  IF v_age IS NULL THEN
    RAISE check_violation USING
      MESSAGE = format('retention has no rule for table "%s"', coalesce(p_target_table, '')),
      DETAIL = format('Targets: %s.', (SELECT string_agg(t.target_table, ', ' ORDER BY t.target_table)
                                         FROM public.iu_core_retention_target t)),
      CONSTRAINT = 'iu_retention_target';
  END IF;
  PERFORM iu.fn_iu_require_value(p_keep_days BETWEEN 1 AND 36500, 'iu_retention_keep_days', 'p_keep_days',
    'from 1 to 36500', p_keep_days::text);
  PERFORM iu.fn_iu_require_value(p_active IS NOT NULL, 'iu_retention_active', 'p_active', 'true or false', NULL);
  SELECT to_jsonb(p) INTO v_previous
    FROM public.iu_core_retention_policy p WHERE p.target_table = p_target_table FOR UPDATE;
  PERFORM iu.fn_dot_iu_command_note('dot_iu_retention_policy_set', 'target_table', p_target_table, 'applied', p_actor,
    p_reason, jsonb_build_object('previous', v_previous, 'keep_days', p_keep_days, 'active', p_active,
      'actor_scope', p_actor_scope));
  INSERT INTO public.iu_core_retention_policy
      (target_table, age_column, keep_days, actor_scope, reason, active, set_by)
    VALUES (p_target_table, v_age, p_keep_days, p_actor_scope, p_reason, p_active, p_actor)
    ON CONFLICT (target_table) DO UPDATE
      SET keep_days = excluded.keep_days, actor_scope = excluded.actor_scope, reason = excluded.reason,
          active = excluded.active, set_by = excluded.set_by, set_at = now();
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_core_retention_policy p
             WHERE p.target_table = p_target_table AND p.keep_days = p_keep_days AND p.active = p_active),
    'public.iu_core_retention_policy', 'setting the retention policy');
  RETURN jsonb_build_object('status', 'set', 'target_table', p_target_table, 'age_column', v_age,
    'keep_days', p_keep_days, 'active', p_active, 'previous', v_previous);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_core_retention_policy_set IS
  'What public.fn_iu_core_retention_policy_set hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_core_retention_policy_set(
    p_target_table text, p_keep_days integer, p_actor text, p_reason text, p_active boolean DEFAULT true,
    p_actor_scope text[] DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_admin}') THEN
  iu.fn_iu_core_retention_policy_set(p_target_table, p_keep_days, p_actor, p_reason, p_active, p_actor_scope) END;
COMMENT ON FUNCTION public.fn_iu_core_retention_policy_set IS
  'Sets the retention policy of a table and logs it: table (one of iu_core_retention_target), how '
  'many days are kept (1 to 36500), who, why, whether it is active, whose rows (NULL: all). It deletes nothing. '
  'Returns {status: set, target_table, age_column, keep_days, active, previous}. SQLSTATE 23514: table, days, '
  'actor or reason.';
