-- Opening a change window.

CREATE FUNCTION iu.fn_iu_backup_check(
    p_file text, p_bytes bigint, p_sha256 text, OUT bytes bigint, OUT sha256 text, OUT checked text)
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_file record;
BEGIN
  IF iu_core.text_problem(p_file, true) IN ('is missing', 'shows nothing') THEN
    RAISE check_violation USING
      MESSAGE = 'a backup is a file: say which', CONSTRAINT = 'iu_backup_file';
  END IF;
  PERFORM iu.fn_iu_require_form('p_backup_file', p_file, true);
  PERFORM iu.fn_iu_require_value(coalesce(p_bytes, 1) >= 1, 'iu_backup_bytes', 'p_backup_bytes', '1 or more',
    p_bytes::text);
  PERFORM iu.fn_iu_require_value(coalesce(p_sha256 ~ '^[0-9a-f]{64}$', true), 'iu_backup_sha256', 'p_backup_sha256',
    'a SHA-256 of 64 lower-case hex digits', p_sha256);
  SELECT f.* INTO v_file FROM iu_core.file_digest(p_file) AS f;
  IF v_file.problem IS NULL THEN
    IF v_file.bytes = 0 THEN
      RAISE check_violation USING
        MESSAGE = format('backup "%s" is empty', p_file),
        DETAIL = format('File: %s.', p_file),
        HINT = 'Make the backup again.', CONSTRAINT = 'iu_backup_empty';
    ELSIF v_file.bytes <> p_bytes OR v_file.sha256 <> p_sha256 THEN
      RAISE check_violation USING
        MESSAGE = format('backup "%s" is not the one that was stated', p_file),
        DETAIL = format('It has %s bytes and SHA-256 %s.', v_file.bytes, v_file.sha256),
        HINT = 'Name the right file.', CONSTRAINT = 'iu_backup_another';
    END IF;
    bytes := v_file.bytes;
    sha256 := v_file.sha256;
    checked := 'checked';
  ELSIF p_bytes IS NULL OR p_sha256 IS NULL THEN
    RAISE check_violation USING
      MESSAGE = format('size and SHA-256 of backup "%s" must be stated', p_file),
      DETAIL = format('The server cannot see for itself: %s.', v_file.problem),
      HINT = 'Give both, as sha256sum and stat show them.', CONSTRAINT = 'iu_backup_unstated';
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

CREATE FUNCTION iu.fn_iu_change_window_require_new(
    p_label text, p_approval_id uuid, p_purpose text, p_actor text)
  RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_open CONSTANT text := (SELECT w.window_label FROM public.iu_change_window w WHERE w.closed_at IS NULL);
BEGIN
  PERFORM iu.fn_iu_require_value(p_label ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$', 'iu_change_window_label', 'p_label',
    '1 to 100 letters, digits, "_", "." or "-"', p_label);
  IF p_approval_id IS NULL THEN
    RAISE check_violation USING
      MESSAGE = 'approval_id required (Điều 32)', CONSTRAINT = 'iu_approval_id_required',
      HINT = 'Give the id of the approval, a UUID.';
  END IF;
  PERFORM iu.fn_iu_require_reason(p_actor, p_purpose);
  IF v_open IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = format('change window "%s" is open', v_open),
      DETAIL = 'One at a time: with two nobody could say in which of them a figure changed.',
      HINT = 'Close it with fn_iu_change_window_close.', CONSTRAINT = 'iu_change_window_open';
  ELSIF EXISTS (SELECT FROM public.iu_change_window w WHERE w.window_label = p_label) THEN
    RAISE duplicate_object USING
      MESSAGE = format('there was a change window "%s" before', p_label),
      DETAIL = format('Label: %s.', p_label),
      HINT = 'Give another label.', CONSTRAINT = 'iu_change_window_used';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_change_window_require_new IS
  'Refuses to open a change window: label, approval, purpose, who. SQLSTATE 23514: one of them is missing or wrong; '
  '55006: another window is open; 42710: the label was used.';

CREATE FUNCTION iu.fn_iu_change_window_open(
    p_label text, p_approval_id uuid, p_purpose text, p_actor text, p_backup_file text, p_backup_bytes bigint,
    p_backup_sha256 text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_start  CONSTANT timestamptz := clock_timestamp();
  v_before CONSTANT text := p_label || ':before';
  v_backup record;
  v_values public.iu_regression_value[];
  v_red    text[];
  v_run_id uuid;
BEGIN
  PERFORM iu.fn_iu_change_window_require_new(p_label, p_approval_id, p_purpose, p_actor);
  SELECT b.* INTO v_backup FROM iu.fn_iu_backup_check(p_backup_file, p_backup_bytes, p_backup_sha256) AS b;
  v_values := ARRAY(SELECT v FROM iu.fn_iu_surface_measure_all(v_before) AS v);
  BEGIN
    INSERT INTO public.iu_change_window
        (window_label, purpose, approval_id, opened_by, opened_at, migrations_before, backup_file, backup_bytes,
         backup_sha256, backup_check)
      VALUES (p_label, p_purpose, p_approval_id, p_actor, v_start,
              ARRAY(SELECT m.version FROM iu_core.applied_migration m ORDER BY m.version),
              p_backup_file, v_backup.bytes, v_backup.sha256, v_backup.checked);
  EXCEPTION WHEN unique_violation THEN
    RAISE object_in_use USING
      MESSAGE = 'another change window was opened meanwhile',
      HINT = 'v_iu_change_window shows it.', CONSTRAINT = 'iu_change_window_open';
  END;
  INSERT INTO public.iu_regression_snapshot (snapshot_label, taken_at, taken_by) VALUES (v_before, v_start, p_actor);
  INSERT INTO public.iu_regression_value SELECT v.* FROM unnest(v_values) AS v;
  v_red := ARRAY(SELECT v.surface_code FROM unnest(v_values) AS v
                  WHERE v.value IS NOT NULL AND v.green_rule IS NOT NULL
                    AND NOT iu.fn_iu_regression_green(v.green_rule, v.value, v.value) ORDER BY v.surface_code);
  IF v_red <> '{}' THEN
    RAISE WARNING 'change window "%" opens over figures that are red already: %', p_label,
      array_to_string(v_red, ', ');
  END IF;
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_change_window_open', 'window_label', p_label, 'applied', p_actor,
    p_purpose, jsonb_build_object('approval_id', p_approval_id, 'backup_file', p_backup_file,
      'backup_sha256', v_backup.sha256, 'backup_check', v_backup.checked));
  RETURN jsonb_build_object(
    'status', 'opened', 'window_label', p_label, 'before_label', v_before, 'surfaces', cardinality(v_values),
    'unknown', (SELECT coalesce(jsonb_agg(v.surface_code ORDER BY v.surface_code), '[]')
                  FROM unnest(v_values) AS v WHERE v.value IS NULL),
    'red', to_jsonb(v_red), 'backup_bytes', v_backup.bytes, 'backup_sha256', v_backup.sha256,
    'backup_check', v_backup.checked,
    'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_change_window_open IS
  'What public.fn_iu_change_window_open hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_change_window_open(
    p_label text, p_approval_id uuid, p_purpose text, p_actor text, p_backup_file text,
    p_backup_bytes bigint DEFAULT NULL, p_backup_sha256 text DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_change_window_open(p_label, p_approval_id, p_purpose, p_actor, p_backup_file, p_backup_bytes,
                              p_backup_sha256) END;
COMMENT ON FUNCTION public.fn_iu_change_window_open IS
  'Opens a change window and takes the snapshot LABEL:before: label, approval, purpose, who, the backup''s file, '
  'its size in bytes and SHA-256 (may be left out where the login role may have the server read the file; then it '
  'is read in any case, and compared). It opens no gate. Returns {status: opened, window_label, before_label, '
  'surfaces, unknown: [codes], red: [codes] (figures that are not green before the change: a WARNING names them too), '
  'backup_bytes, backup_sha256, backup_check, run_id}. SQLSTATE 23514: label, '
  'approval, purpose, actor or backup missing or wrong; 55006: another one is open; 42710: the label was used; '
  '25000 outside of READ COMMITTED.';
