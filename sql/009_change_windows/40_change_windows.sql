CREATE FUNCTION iu.fn_iu_backup_check(p_file text, p_bytes bigint, p_sha256 text, OUT bytes bigint, OUT sha256 text, OUT checked text)
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_file record;
BEGIN
  IF coalesce(btrim(p_file), '') = '' THEN
    RAISE check_violation USING
      MESSAGE = 'a backup is a file: say which';
  ELSIF p_bytes < 1 OR p_sha256 !~ '^[0-9a-f]{64}$' THEN
    RAISE check_violation USING
      MESSAGE = 'a backup has a size of 1 byte or more, and a SHA-256 in lower-case hex';
  END IF;
  SELECT f.* INTO v_file FROM iu_core.file_digest(p_file) AS f;
  IF v_file.problem IS NULL THEN
    IF v_file.bytes = 0 THEN
      RAISE check_violation USING
        MESSAGE = format('backup "%s" is empty', p_file);
    ELSIF v_file.bytes <> p_bytes OR v_file.sha256 <> p_sha256 THEN
      RAISE check_violation USING
        MESSAGE = format('backup "%s" is not the one that was stated', p_file),
        DETAIL = format('It has %s bytes and SHA-256 %s.', v_file.bytes, v_file.sha256);
    END IF;
    bytes := v_file.bytes;
    sha256 := v_file.sha256;
    checked := 'checked';
  ELSIF p_bytes IS NULL OR p_sha256 IS NULL THEN
    RAISE check_violation USING
      MESSAGE = format('size and SHA-256 of backup "%s" must be stated', p_file),
      DETAIL = format('The server cannot see for itself: %s.', v_file.problem);
  ELSE
    bytes := p_bytes;
    sha256 := p_sha256;
    checked := 'as stated: ' || v_file.problem;
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_backup_check IS
  'For a change window: a backup, its size and SHA-256 as stated (NULL: not stated). Where the login role may '
  'have the server read the file, it is read and compared; otherwise what was stated stands, and why. SQLSTATE '
  '23514: no file, an impossible size or digest, neither stated nor seen, empty, or not the one that was stated.';

CREATE FUNCTION iu.fn_iu_change_window_open(
    p_label text, p_approval_id uuid, p_purpose text, p_actor text, p_backup_file text, p_backup_bytes bigint, p_backup_sha256 text)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_start  constant timestamptz := clock_timestamp();
  v_open   text := (SELECT w.window_label FROM public.iu_change_window w WHERE w.closed_at IS NULL);
  v_backup record;
  v_values public.iu_regression_value[];
  v_run_id uuid;
BEGIN
  IF p_label IS NULL OR p_label !~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$' THEN
    RAISE check_violation USING
      MESSAGE = 'a change window has a label: 1 to 100 letters, digits, "_", "." or "-"';
  ELSIF p_approval_id IS NULL THEN
    RAISE check_violation USING
      MESSAGE = 'approval_id required (Điều 32)';
  ELSIF coalesce(btrim(p_actor), '') = '' OR coalesce(btrim(p_purpose), '') = '' THEN
    RAISE check_violation USING
      MESSAGE = 'a change window is opened by somebody for a purpose',
      HINT = 'Give p_purpose and p_actor.';
  ELSIF v_open IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = format('change window "%s" is open', v_open),
      DETAIL = 'One at a time: with two nobody could say in which of them a figure changed.',
      HINT = 'Close it with fn_iu_change_window_close.';
  ELSIF EXISTS (SELECT FROM public.iu_change_window w WHERE w.window_label = p_label) THEN
    RAISE duplicate_object USING
      MESSAGE = format('there was a change window "%s" before', p_label),
      HINT = 'Give another label.';
  END IF;
  SELECT b.* INTO v_backup FROM iu.fn_iu_backup_check(p_backup_file, p_backup_bytes, p_backup_sha256) AS b;
  v_values := ARRAY(SELECT v FROM iu.fn_iu_surface_measure_all(p_label || ':before') AS v);
  BEGIN
    INSERT INTO public.iu_change_window (window_label, purpose, approval_id, opened_by, opened_at, migrations_before, backup_file, backup_bytes, backup_sha256, backup_check)
      VALUES (p_label, p_purpose, p_approval_id, p_actor, v_start, ARRAY(SELECT m.version FROM iu_core.applied_migration m ORDER BY m.version),
              p_backup_file, v_backup.bytes, v_backup.sha256, v_backup.checked);
  EXCEPTION WHEN unique_violation THEN
    RAISE object_in_use USING
      MESSAGE = 'another change window was opened meanwhile';
  END;
  INSERT INTO public.iu_regression_snapshot (snapshot_label, taken_at, taken_by) VALUES (p_label || ':before', v_start, p_actor);
  INSERT INTO public.iu_regression_value SELECT v.* FROM unnest(v_values) AS v;
  v_run_id := iu.fn_iu_invariant_log('dot_iu_change_window_open', p_label, p_actor, p_purpose,
    jsonb_build_object('window_label', p_label, 'approval_id', p_approval_id, 'backup_file', p_backup_file, 'backup_sha256', v_backup.sha256,
      'backup_check', v_backup.checked));
  RETURN jsonb_build_object('status', 'opened', 'window_label', p_label, 'before_label', p_label || ':before', 'surfaces', cardinality(v_values),
    'unknown', (SELECT coalesce(jsonb_agg(v.surface_code ORDER BY v.surface_code), '[]') FROM unnest(v_values) AS v WHERE v.value IS NULL),
    'backup_bytes', v_backup.bytes, 'backup_sha256', v_backup.sha256, 'backup_check', v_backup.checked, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_change_window_open IS
  'What public.fn_iu_change_window_open hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_change_window_open(
    p_label text, p_approval_id uuid, p_purpose text, p_actor text, p_backup_file text, p_backup_bytes bigint DEFAULT NULL, p_backup_sha256 text DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_change_window_open(p_label, p_approval_id, p_purpose, p_actor, p_backup_file, p_backup_bytes, p_backup_sha256) END;
COMMENT ON FUNCTION public.fn_iu_change_window_open IS
  'Opens a change window and takes the snapshot LABEL:before: label, approval, purpose, who, the backup''s file, '
  'its size in bytes and SHA-256 (may be left out where the login role may have the server read the file; then it '
  'is read in any case, and compared). It opens no gate. Returns {status: opened, window_label, before_label, '
  'surfaces, unknown: [codes], backup_bytes, backup_sha256, backup_check, run_id}. SQLSTATE 23514: label, '
  'approval, purpose, actor or backup missing or wrong; 55006: another one is open; 42710: the label was used; '
  '25000 outside of READ COMMITTED.';

CREATE FUNCTION iu.fn_iu_change_window_close(
    p_label text, p_actor text, p_impact jsonb, p_not_touched text[], p_allow_open_gates boolean,
    p_backup_file text, p_backup_bytes bigint, p_backup_sha256 text)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_start      timestamptz;
  v_window     public.iu_change_window;
  v_open       text;
  v_backup     record;
  v_invariants jsonb;
  v_failing    text;
  v_unsure     text;
  v_values     public.iu_regression_value[];
  v_matrix     record;
  v_verdict    text;
  v_reason     text;
  v_run_id     uuid;
BEGIN
  SELECT w.* INTO v_window FROM public.iu_change_window w WHERE w.window_label = p_label;
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('there is no change window "%s"', coalesce(p_label, ''));
  ELSIF v_window.closed_at IS NOT NULL THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('change window "%s" is closed', p_label);
  ELSIF coalesce(btrim(p_actor), '') = '' OR p_allow_open_gates IS NULL OR p_not_touched IS NULL OR array_position(p_not_touched, NULL) IS NOT NULL THEN
    RAISE check_violation USING
      MESSAGE = 'a change window is closed by somebody; nothing but the backup may be NULL',
      HINT = 'Give p_actor.';
  ELSIF p_impact IS NULL OR jsonb_typeof(p_impact) <> 'object'
        OR EXISTS (SELECT FROM jsonb_each(p_impact) AS i WHERE i.key NOT IN ('PG', 'Directus', 'Nuxt', 'AgentData', 'Qdrant') OR jsonb_typeof(i.value) <> 'string') THEN
    RAISE check_violation USING
      MESSAGE = 'p_impact has a sentence for each layer',
      DETAIL = 'Layers: PG, Directus, Nuxt, AgentData, Qdrant.';
  END IF;
  IF p_backup_file IS NOT NULL THEN
    SELECT b.* INTO v_backup FROM iu.fn_iu_backup_check(p_backup_file, p_backup_bytes, p_backup_sha256) AS b;
  ELSE
    SELECT NULL::bigint AS bytes, NULL::text AS sha256, NULL::text AS checked INTO v_backup;
  END IF;

  -- After all that was before it, though the clock was set back meanwhile.
  v_start := greatest(clock_timestamp(), v_window.opened_at,
    (SELECT max(e.declared_at) + interval '1 us' FROM public.iu_regression_expectation e WHERE e.before_label = p_label || ':before'));
  v_values := ARRAY(SELECT v FROM iu.fn_iu_surface_measure_all(p_label || ':after') AS v);
  -- Last, since it locks what it records.
  SELECT coalesce(jsonb_agg(to_jsonb(r) - ARRAY['run_seq', 'asked_by', 'session_role', 'error_code'] || jsonb_build_object('severity', i.severity) ORDER BY r.invariant_code), '[]'),
         string_agg(r.invariant_code, ', ' ORDER BY r.invariant_code) FILTER (WHERE r.verdict = 'fail' AND i.severity = 'critical'),
         string_agg(r.invariant_code, ', ' ORDER BY r.invariant_code) FILTER (WHERE r.verdict = 'unknown' AND i.severity = 'critical')
    INTO v_invariants, v_failing, v_unsure
    FROM iu.fn_iu_invariant_check_as(NULL, 'window') AS r JOIN public.iu_invariant i ON i.invariant_code = r.invariant_code;

  PERFORM FROM public.iu_change_window w WHERE w.window_label = p_label AND w.closed_at IS NULL FOR UPDATE;
  IF NOT FOUND THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('change window "%s" is closed', p_label);
  END IF;
  -- Not before the figures: one may have been opened while they were read.
  SELECT string_agg(format('%s: %s', g.gate_key, g.reason), '; ' ORDER BY g.gate_key) INTO v_open FROM public.v_iu_gate g WHERE g.value = 'true' OR g.effective;
  IF v_open IS NOT NULL AND NOT p_allow_open_gates THEN
    RAISE object_in_use USING
      MESSAGE = format('change window "%s" is not closed: a gate is open', p_label),
      DETAIL = v_open,
      HINT = 'Close it with fn_iu_gate_close, or pass p_allow_open_gates => true; the report will say so.';
  END IF;
  INSERT INTO public.iu_regression_snapshot (snapshot_label, taken_at, taken_by) VALUES (p_label || ':after', v_start, p_actor);
  -- What was not reported is unknown from now on, whatever becomes of the surface.
  INSERT INTO public.iu_regression_value (snapshot_label, surface_code, surface, layer, expectation, green_rule, sort_order, error, read_at)
    SELECT n.snapshot_label, s.surface_code, s.label, s.layer, s.expectation, s.green_rule, s.sort_order, 'not reported', clock_timestamp()
      FROM public.iu_regression_surface s
      JOIN public.iu_regression_snapshot n ON n.snapshot_label IN (p_label || ':before', p_label || ':after') AND s.registered_at <= n.taken_at
     WHERE s.kind = 'external'
    ON CONFLICT (snapshot_label, surface_code) DO NOTHING;
  INSERT INTO public.iu_regression_value SELECT v.* FROM unnest(v_values) AS v;

  SELECT count(*) AS surfaces, string_agg(m.surface, ', ') FILTER (WHERE m.verdict = 'violated') AS violated,
         string_agg(m.surface, ', ') FILTER (WHERE m.verdict = 'unknown') AS unknown
    INTO v_matrix FROM iu.fn_iu_regression_matrix(p_label || ':before', p_label || ':after') AS m;
  v_verdict := CASE WHEN v_matrix.violated IS NOT NULL OR v_failing IS NOT NULL THEN 'FAIL'
                    WHEN v_matrix.unknown IS NOT NULL OR v_unsure IS NOT NULL THEN 'UNKNOWN' ELSE 'PASS' END;
  v_reason := coalesce(nullif(concat_ws('; ', 'violated: ' || v_matrix.violated, 'failing invariants: ' || v_failing, 'unknown: ' || v_matrix.unknown,
    'unknown invariants: ' || v_unsure), ''), format('%s surfaces and %s invariants as they should be', v_matrix.surfaces, jsonb_array_length(v_invariants)))
    || coalesce('; closed with open gates: ' || v_open, '')
    || coalesce('; disabled, so not checked: ' || (SELECT string_agg(i.invariant_code, ', ' ORDER BY i.invariant_code) FROM public.iu_invariant i WHERE NOT i.enabled), '');
  UPDATE public.iu_change_window
     SET closed_by = p_actor, closed_role = session_user, closed_at = clock_timestamp(), gates = iu.fn_iu_gate_verify_closed(p_actor),
         migrations_after = ARRAY(SELECT m.version FROM iu_core.applied_migration m ORDER BY m.version), invariants = v_invariants, impact = p_impact,
         not_touched = p_not_touched, verdict = v_verdict, verdict_reason = v_reason, after_backup_file = p_backup_file,
         after_backup_bytes = v_backup.bytes, after_backup_sha256 = v_backup.sha256, after_backup_check = v_backup.checked
   WHERE window_label = p_label;
  v_run_id := iu.fn_iu_invariant_log('dot_iu_change_window_close', p_label, p_actor, v_window.purpose,
    jsonb_build_object('window_label', p_label, 'verdict', v_verdict, 'verdict_reason', v_reason));
  RETURN jsonb_build_object('status', 'closed', 'window_label', p_label, 'after_label', p_label || ':after', 'verdict', v_verdict, 'verdict_reason', v_reason, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_change_window_close IS
  'What public.fn_iu_change_window_close hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_change_window_close(
    p_label text, p_actor text, p_impact jsonb DEFAULT '{}', p_not_touched text[] DEFAULT '{}', p_allow_open_gates boolean DEFAULT false,
    p_backup_file text DEFAULT NULL, p_backup_bytes bigint DEFAULT NULL, p_backup_sha256 text DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_change_window_close(p_label, p_actor, p_impact, p_not_touched, p_allow_open_gates, p_backup_file, p_backup_bytes, p_backup_sha256) END;
COMMENT ON FUNCTION public.fn_iu_change_window_close IS
  'Closes a change window: checks all invariants, takes the snapshot LABEL:after, compares, and gives the '
  'verdict. Label, who, what is stated of the layers ({layer: sentence}; PG, Directus, Nuxt, AgentData, Qdrant), '
  'what was not touched, whether gates may be open, and a backup of after (as in fn_iu_change_window_open; NULL: '
  'none). Figures from outside are reported before. An invariant that is disabled is not checked, and the reason '
  'of the verdict names it. Returns {status: closed, window_label, after_label, verdict: PASS | FAIL | UNKNOWN, '
  'verdict_reason, run_id}. SQLSTATE 42704: no such window; 55000: closed already; 55006: a gate is open, and '
  'nobody said it may; 23514: an argument; 25000 outside of READ COMMITTED.';

CREATE VIEW public.v_iu_change_window AS
  SELECT w.window_label, CASE WHEN w.closed_at IS NULL THEN 'open' ELSE 'closed' END AS state, w.purpose, w.approval_id, w.opened_by, w.opened_at,
         w.closed_by, w.closed_at, w.verdict, w.verdict_reason, w.backup_file, w.backup_sha256, w.backup_check
    FROM public.iu_change_window w;
COMMENT ON VIEW public.v_iu_change_window IS
  'The change windows: open or closed, what for, on which approval, by whom and when, the verdict and why, the '
  'backup and whether the server has checked it.';
