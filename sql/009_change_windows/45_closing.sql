-- Closing a change window, and its verdict.

CREATE FUNCTION iu.fn_iu_gates_open(OUT otherwise text, OUT standing jsonb)
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT string_agg(format('%s: %s', o.gate_key, o.reason), '; ' ORDER BY o.gate_key) FILTER (WHERE NOT o.standing),
         coalesce(jsonb_agg(o.gate_key ORDER BY o.gate_key) FILTER (WHERE o.standing), '[]')
    FROM (SELECT g.gate_key, g.reason, iu.fn_iu_gate_is_standing(g.gate_key) AS standing
            FROM public.v_iu_gate g WHERE g.value = 'true' OR g.effective) AS o
$function$;
COMMENT ON FUNCTION iu.fn_iu_gates_open IS
  'The gates that are open now: otherwise, those that are not on a standing approval, with how they stand, in words '
  '(NULL: none); standing, the keys of those that are. Raises nothing.';

CREATE FUNCTION iu.fn_iu_change_window_require_open(
    p_label text, p_actor text, p_impact jsonb, p_not_touched text[], p_allow_open_gates boolean)
  RETURNS public.iu_change_window
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_layers CONSTANT text[] := ARRAY['PG', 'Directus', 'Nuxt', 'AgentData', 'Qdrant'];
  v_window public.iu_change_window;
BEGIN
  SELECT w.* INTO v_window FROM public.iu_change_window w WHERE w.window_label = p_label;
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('there is no change window "%s"', coalesce(p_label, '')),
      DETAIL = format('Label: %s.', coalesce(p_label, '')),
      HINT = 'v_iu_change_window lists them.', CONSTRAINT = 'iu_change_window_unknown';
  ELSIF v_window.closed_at IS NOT NULL THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('change window "%s" is closed', p_label),
      DETAIL = format('Closed at %s.', v_window.closed_at), CONSTRAINT = 'iu_change_window_closed';
  END IF;
  PERFORM iu.fn_iu_require_actor(p_actor, 'closes the change window');
  PERFORM iu.fn_iu_require_value(p_allow_open_gates IS NOT NULL, 'iu_change_window_gates', 'p_allow_open_gates',
    'true or false', NULL);
  PERFORM iu.fn_iu_require_value(p_not_touched IS NOT NULL AND array_position(p_not_touched, NULL) IS NULL,
    'iu_change_window_not_touched', 'p_not_touched', 'a list of texts without NULL', p_not_touched::text);
  PERFORM iu.fn_iu_require_value(jsonb_typeof(p_impact) = 'object', 'iu_change_window_impact', 'p_impact',
    'an object with a sentence for each layer: PG, Directus, Nuxt, AgentData, Qdrant', p_impact::text);
  PERFORM iu.fn_iu_require_value(
    (SELECT coalesce(bool_and(i.key = ANY (c_layers) AND jsonb_typeof(i.value) = 'string'), true)
       FROM jsonb_each(p_impact) AS i), 'iu_change_window_impact', 'p_impact',
    'an object with a sentence for each layer: PG, Directus, Nuxt, AgentData, Qdrant', p_impact::text);
  PERFORM iu.fn_iu_require_form('p_impact', i.value, true) FROM jsonb_each_text(p_impact) AS i;
  PERFORM iu.fn_iu_require_form('p_not_touched', t.what, true) FROM unnest(p_not_touched) AS t (what);
  RETURN v_window;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_change_window_require_open IS
  'The change window of a label, if it is open, and the other arguments of its closing are as they should be. '
  'SQLSTATE 42704: no such window; 55000: closed already; 23514: an argument.';

CREATE FUNCTION iu.fn_iu_change_window_keep(
    p_label text, p_actor text, p_at timestamptz, p_values public.iu_regression_value[])
  RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  INSERT INTO public.iu_regression_snapshot (snapshot_label, taken_at, taken_by)
    VALUES (p_label || ':after', p_at, p_actor);
  -- What was not reported is unknown from now on, whatever becomes of the surface.
  INSERT INTO public.iu_regression_value
      (snapshot_label, surface_code, surface, layer, expectation, green_rule, sort_order, error, read_at)
    SELECT n.snapshot_label, s.surface_code, s.label, s.layer, s.expectation, s.green_rule, s.sort_order,
           'not reported', clock_timestamp()
      FROM public.iu_regression_surface s
      JOIN public.iu_regression_snapshot n ON n.snapshot_label IN (p_label || ':before', p_label || ':after')
                                          AND s.registered_at <= n.taken_at
     WHERE s.kind = 'external'
    ON CONFLICT (snapshot_label, surface_code) DO NOTHING;
  INSERT INTO public.iu_regression_value SELECT v.* FROM unnest(p_values) AS v;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_change_window_keep IS
  'For fn_iu_change_window_close: keeps the snapshot LABEL:after: label of the window, who, when its reading began, '
  'what was read. Raises nothing of its own.';

CREATE FUNCTION iu.fn_iu_change_window_judge(
    p_label text, p_invariants jsonb, p_open text, p_standing jsonb, OUT verdict text, OUT reason text)
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_surfaces record;
  v_checks   record;
BEGIN
  SELECT count(*) AS number, string_agg(m.surface, ', ') FILTER (WHERE m.verdict = 'violated') AS violated,
         string_agg(m.surface, ', ') FILTER (WHERE m.verdict = 'unknown') AS unknown
    INTO v_surfaces FROM iu.fn_iu_regression_matrix(p_label || ':before', p_label || ':after') AS m;
  SELECT string_agg(i ->> 'invariant_code', ', ' ORDER BY i ->> 'invariant_code')
           FILTER (WHERE i ->> 'verdict' = 'fail') AS failing,
         string_agg(i ->> 'invariant_code', ', ' ORDER BY i ->> 'invariant_code')
           FILTER (WHERE i ->> 'verdict' = 'unknown') AS unknown
    INTO v_checks FROM jsonb_array_elements(p_invariants) AS i WHERE i ->> 'severity' = 'critical';
  verdict := CASE WHEN v_surfaces.violated IS NOT NULL OR v_checks.failing IS NOT NULL THEN 'FAIL'
                  WHEN v_surfaces.unknown IS NOT NULL OR v_checks.unknown IS NOT NULL THEN 'UNKNOWN'
                  ELSE 'PASS' END;
  reason := concat_ws('; ', 'violated: ' || v_surfaces.violated, 'failing invariants: ' || v_checks.failing,
    'unknown: ' || v_surfaces.unknown, 'unknown invariants: ' || v_checks.unknown,
    CASE verdict WHEN 'PASS' THEN format('%s surfaces and %s invariants as they should be', v_surfaces.number,
                                         jsonb_array_length(p_invariants)) END,
    'closed with open gates: ' || p_open,
    'open on a standing approval: ' || (SELECT string_agg(s.gate, ', ') FROM jsonb_array_elements_text(p_standing)
                                          AS s (gate)),
    'disabled, so not checked: ' || (SELECT string_agg(i.invariant_code, ', ' ORDER BY i.invariant_code)
                                       FROM public.iu_invariant i WHERE NOT i.enabled));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_change_window_judge IS
  'For fn_iu_change_window_close: the verdict and why, in words: label of the window, what the checks found, the gates '
  'that are open otherwise than on a standing approval (NULL: none), those that are open on one. FAIL: a surface was '
  'violated, or a critical invariant fails; UNKNOWN: no such thing is known, but not all is known; PASS: all is known '
  'and as it should be.';

CREATE FUNCTION iu.fn_iu_change_window_close(
    p_label text, p_actor text, p_impact jsonb, p_not_touched text[], p_allow_open_gates boolean,
    p_backup_file text, p_backup_bytes bigint, p_backup_sha256 text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_window     CONSTANT public.iu_change_window := iu.fn_iu_change_window_require_open(
                 p_label, p_actor, p_impact, p_not_touched, p_allow_open_gates);
  v_start      timestamptz;
  v_backup     record;
  v_values     public.iu_regression_value[];
  v_invariants jsonb;
  v_gates      record;
  v_judged     record;
  v_run_id     uuid;
BEGIN
  IF p_backup_file IS NOT NULL THEN
    SELECT b.* INTO v_backup FROM iu.fn_iu_backup_check(p_backup_file, p_backup_bytes, p_backup_sha256) AS b;
  ELSE
    SELECT NULL::bigint AS bytes, NULL::text AS sha256, NULL::text AS checked INTO v_backup;
  END IF;
  -- The snapshot is dated after all that belongs before it, even if the clock was set back meanwhile.
  v_start := greatest(clock_timestamp(), v_window.opened_at,
    (SELECT max(e.declared_at) + interval '1 us' FROM public.iu_regression_expectation e
      WHERE e.before_label = p_label || ':before'));
  v_values := ARRAY(SELECT v FROM iu.fn_iu_surface_measure_all(p_label || ':after') AS v);
  -- The checks come last of what is read, since they lock what they record.
  SELECT coalesce(jsonb_agg(to_jsonb(r) - ARRAY['run_seq', 'asked_by', 'session_role', 'error_code']
                            || jsonb_build_object('severity', i.severity) ORDER BY r.invariant_code), '[]')
    INTO v_invariants
    FROM iu.fn_iu_invariant_check_as(NULL, 'window') AS r
    JOIN public.iu_invariant i ON i.invariant_code = r.invariant_code;

  PERFORM FROM public.iu_change_window w WHERE w.window_label = p_label AND w.closed_at IS NULL FOR UPDATE;
  IF NOT FOUND THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('change window "%s" is closed', p_label),
      DETAIL = 'Somebody closed it meanwhile.', CONSTRAINT = 'iu_change_window_closed';
  END IF;
  -- Gates are looked at after the figures: one may have been opened while those were read.
  SELECT o.* INTO v_gates FROM iu.fn_iu_gates_open() AS o;
  IF v_gates.otherwise IS NOT NULL AND NOT p_allow_open_gates THEN
    RAISE object_in_use USING
      MESSAGE = format('change window "%s" is not closed: a gate is open', p_label),
      DETAIL = v_gates.otherwise, CONSTRAINT = 'iu_change_window_gate_open',
      HINT = 'Close it with fn_iu_gate_close, or pass p_allow_open_gates => true; the report will say so.';
  END IF;
  PERFORM iu.fn_iu_change_window_keep(p_label, p_actor, v_start, v_values);
  SELECT j.* INTO v_judged
    FROM iu.fn_iu_change_window_judge(p_label, v_invariants, v_gates.otherwise, v_gates.standing) AS j;
  UPDATE public.iu_change_window
     SET closed_by = p_actor, closed_role = session_user, closed_at = clock_timestamp(),
         gates = iu.fn_iu_gate_verify_closed(p_actor) || jsonb_build_object('standing', v_gates.standing),
         migrations_after = ARRAY(SELECT m.version FROM iu_core.applied_migration m ORDER BY m.version),
         invariants = v_invariants, impact = p_impact, not_touched = p_not_touched, verdict = v_judged.verdict,
         verdict_reason = v_judged.reason, after_backup_file = p_backup_file, after_backup_bytes = v_backup.bytes,
         after_backup_sha256 = v_backup.sha256, after_backup_check = v_backup.checked
   WHERE window_label = p_label;
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_change_window_close', 'window_label', p_label, 'applied', p_actor,
    v_window.purpose, jsonb_build_object('verdict', v_judged.verdict, 'verdict_reason', v_judged.reason));
  RETURN jsonb_build_object('status', 'closed', 'window_label', p_label, 'after_label', p_label || ':after',
    'verdict', v_judged.verdict, 'verdict_reason', v_judged.reason, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_change_window_close IS
  'What public.fn_iu_change_window_close hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_change_window_close(
    p_label text, p_actor text, p_impact jsonb DEFAULT '{}', p_not_touched text[] DEFAULT '{}',
    p_allow_open_gates boolean DEFAULT false, p_backup_file text DEFAULT NULL, p_backup_bytes bigint DEFAULT NULL,
    p_backup_sha256 text DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_change_window_close(p_label, p_actor, p_impact, p_not_touched, p_allow_open_gates, p_backup_file,
                               p_backup_bytes, p_backup_sha256) END;
COMMENT ON FUNCTION public.fn_iu_change_window_close IS
  'Closes a change window: checks all invariants, takes the snapshot LABEL:after, compares, and gives the '
  'verdict. Label, who, what is stated of the layers ({layer: sentence}; PG, Directus, Nuxt, AgentData, Qdrant), '
  'what was not touched, whether gates may be open that are open otherwise than on a standing approval, and a backup '
  'of after (as in fn_iu_change_window_open; NULL: none). Figures from outside are reported before. An invariant that '
  'is disabled is not checked, and the reason of the verdict names it. Returns {status: closed, window_label, '
  'after_label, verdict: PASS | FAIL | UNKNOWN, verdict_reason, run_id}. SQLSTATE 42704: no such window; 55000: closed '
  'already; 55006: a gate is open otherwise than on a standing approval, and nobody said it may; 23514: an argument; '
  '25000 outside of READ COMMITTED.';
