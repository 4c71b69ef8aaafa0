-- Gates of migrations, and what a rollback asks before anything else.

CREATE FUNCTION iu.fn_iu_gate_register(p_migration integer, p_gate_key text, p_gate_class text, p_description text)
  RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF EXISTS (SELECT FROM public.iu_gate_registry r WHERE r.gate_key = p_gate_key) THEN
    RAISE duplicate_object USING
      MESSAGE = format('gate "%s" is registered already', p_gate_key),
      DETAIL = format('Gate: %s.', p_gate_key),
      HINT = 'v_iu_gate lists the gates.', CONSTRAINT = 'iu_gate_registered';
  END IF;
  IF EXISTS (SELECT FROM public.dot_config c WHERE c.key = p_gate_key) THEN
    RAISE duplicate_object USING
      MESSAGE = format('configuration "%s" is there already and is no gate', p_gate_key),
      DETAIL = format('Gate: %s.', p_gate_key),
      HINT = 'Rename or remove it if nothing needs it, then try again.', CONSTRAINT = 'iu_gate_key_taken';
  END IF;
  INSERT INTO public.iu_gate_registry (gate_key, gate_class, description, migration)
    VALUES (p_gate_key, p_gate_class, p_description, p_migration);
  INSERT INTO public.dot_config (key, value, description) VALUES (p_gate_key, 'false', p_description);
  -- The row is one of dot_config, which migration 001 brought.
  PERFORM iu.fn_iu_govern_row(coalesce(p_migration, 1), 'config', p_gate_key, p_migration IS NULL);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_register IS
  'Registers a gate, closed: number of the migration that brings it (NULL: the platform''s own), key, class '
  '(governable or never_flip), what it stops while closed. Writes iu_gate_registry and dot_config and registers the '
  'key as governed. Errors: 42710 gate or key exists, 23514 bad key or class, 23502 a NULL.';

CREATE FUNCTION iu.fn_iu_gate_unregister(p_migration integer) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM iu.fn_iu_rollback_guard();
  DELETE FROM public.dot_config c
   USING public.iu_gate_registry r WHERE r.migration = p_migration AND c.key = r.gate_key;
  DELETE FROM public.iu_governed_object g
   USING public.iu_gate_registry r
   WHERE r.migration = p_migration AND g.object_class = 'config' AND g.object_name = r.gate_key;
  DELETE FROM public.iu_gate_registry r WHERE r.migration = p_migration;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_unregister IS
  'For rollbacks: removes the gates of a migration, their rows in dot_config and in the register. '
  'Their ledger stays. Errors: as fn_iu_rollback_guard.';

CREATE FUNCTION iu.fn_iu_rollback_guard() RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
  SET lock_timeout = '5s'
AS $function$
DECLARE
  v_open      integer;
  v_unlawful  integer;
  v_standing  text;
BEGIN
  -- The locks wait for whoever is about to open a gate, and let nobody open one until the transaction ends.
  BEGIN
    LOCK TABLE public.dot_config, public.iu_gate_transition IN SHARE ROW EXCLUSIVE MODE;
  EXCEPTION WHEN lock_not_available THEN
    RAISE object_in_use USING
      MESSAGE = 'rollback refused: another session is changing gates or their configuration',
      HINT = 'Look for its transaction in pg_stat_activity and pg_prepared_xacts, and try again.',
      CONSTRAINT = 'iu_rollback_gates_locked';
  END;
  SELECT count(*) FILTER (WHERE g.gate_class = 'governable' AND (g.value = 'true' OR g.effective)),
         count(*) FILTER (WHERE g.gate_class = 'never_flip' AND (g.value = 'true' OR g.effective)),
         string_agg(format('%s: %s', g.gate_key, g.reason), '; ' ORDER BY g.gate_key)
           FILTER (WHERE g.value = 'true' OR g.effective)
    INTO v_open, v_unlawful, v_standing
    FROM public.v_iu_gate g;
  IF v_open + v_unlawful > 0 THEN
    RAISE object_in_use USING
      MESSAGE = CASE WHEN v_open > 0 THEN format('rollback refused: %s governable gate(s) currently OPEN', v_open)
                     ELSE format('rollback refused: %s never-flip gate(s) set to true', v_unlawful) END,
      DETAIL = v_standing,
      HINT = 'Close them: SELECT fn_iu_gate_close(gate_key, session_user, ''reason'') FROM v_iu_gate '
        'WHERE value = ''true'' OR effective;',
      CONSTRAINT = 'iu_rollback_gate_open';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_rollback_guard IS
  'Before any rollback: refuses while a gate is true or effective, and keeps gates from being changed until the '
  'transaction ends. Error: 55006 with the number of open gates, also if a session keeps a gate locked for 5 s.';
