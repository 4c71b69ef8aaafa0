-- Gates of the platform's own: an administrator registers them, no migration.

CREATE FUNCTION iu.fn_iu_gate_define(p_gate_key text, p_description text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
AS $function$
DECLARE
  v_run_id uuid;
BEGIN
  PERFORM iu.fn_iu_require_value(
    p_gate_key ~ '^[a-z0-9_]+([.][a-z0-9_]+)*$' AND length(p_gate_key) <= 120, 'iu_gate_key', 'p_gate_key',
    'words of small letters, digits and "_", with "." between them, at most 120 characters', p_gate_key);
  PERFORM iu.fn_iu_require_value(p_gate_key !~ '^iu_', 'iu_gate_key_reserved', 'p_gate_key',
    'a name that does not begin with "iu_", as those of migrations do', p_gate_key);
  PERFORM iu.fn_iu_require_text('iu_gate_description', 'p_description',
    'a text that says what the gate stops while closed', p_description, true);
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_gate_define', 'gate_key', p_gate_key, 'applied', p_actor, p_reason,
    jsonb_build_object('description', p_description));
  PERFORM iu.fn_iu_gate_register(NULL, p_gate_key, 'governable', p_description);
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.dot_config c JOIN public.iu_gate_registry r ON r.gate_key = c.key
             WHERE c.key = p_gate_key AND c.value = 'false'),
    'public.dot_config', 'defining the gate');
  RETURN jsonb_build_object('status', 'defined', 'gate_key', p_gate_key, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_define IS
  'What public.fn_iu_gate_define hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_gate_define(p_gate_key text, p_description text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_admin}') THEN
  iu.fn_iu_gate_define(p_gate_key, p_description, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_gate_define IS
  'Registers a governable gate of the platform''s own, closed, and logs it: key (small letters, digits, "_" and "."; '
  'not beginning with "iu_"), what it stops while closed, who, why. What it guards asks iu_core.gate_is_open(key). '
  'Conformance counts it, and a rollback leaves it or says that it is in the way. Returns {status: defined, gate_key, '
  'run_id}. Errors: 23514 key, description, actor or reason missing or wrong, 42710 such a gate or configuration '
  'exists.';

CREATE FUNCTION iu.fn_iu_gate_undefine(p_gate_key text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
AS $function$
DECLARE
  v_gate   public.iu_gate_registry;
  v_reason text;
  v_run_id uuid;
BEGIN
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_gate_undefine', 'gate_key', p_gate_key, 'applied', p_actor, p_reason,
    NULL);
  SELECT r.* INTO v_gate FROM public.iu_gate_registry r WHERE r.gate_key = p_gate_key;
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('%s is not a gate of this protocol', coalesce(quote_ident(p_gate_key), 'NULL')),
      DETAIL = format('Gate: %s.', coalesce(quote_ident(p_gate_key), 'NULL')),
      HINT = 'v_iu_gate lists the gates.', CONSTRAINT = 'iu_gate_undefined';
  ELSIF v_gate.migration IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = format('gate "%s" belongs to migration %s', p_gate_key, v_gate.migration),
      DETAIL = format('Gate: %s; migration: %s.', p_gate_key, v_gate.migration),
      HINT = 'It goes when that migration is rolled back.', CONSTRAINT = 'iu_gate_of_migration';
  END IF;

  -- An opening that has begun is waited for, and one that begins finds no row.
  PERFORM FROM public.dot_config c WHERE c.key = p_gate_key FOR UPDATE;
  SELECT g.reason INTO v_reason FROM public.v_iu_gate g
   WHERE g.gate_key = p_gate_key AND (g.value = 'true' OR g.effective);
  IF FOUND THEN
    RAISE object_in_use USING
      MESSAGE = format('gate "%s" is not closed', p_gate_key), DETAIL = format('It is %s.', v_reason),
      HINT = 'Close it with fn_iu_gate_close.', CONSTRAINT = 'iu_gate_not_closed';
  END IF;
  DELETE FROM public.dot_config c WHERE c.key = p_gate_key;
  PERFORM iu.fn_iu_ungovern_row('config', p_gate_key);
  DELETE FROM public.iu_gate_registry r WHERE r.gate_key = p_gate_key;
  PERFORM iu.fn_iu_require_effect(
    NOT EXISTS (SELECT FROM public.iu_gate_registry r WHERE r.gate_key = p_gate_key),
    'public.iu_gate_registry', 'undefining the gate');
  RETURN jsonb_build_object('status', 'undefined', 'gate_key', p_gate_key, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_undefine IS
  'What public.fn_iu_gate_undefine hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_gate_undefine(p_gate_key text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_admin}') THEN
  iu.fn_iu_gate_undefine(p_gate_key, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_gate_undefine IS
  'Forgets a gate that fn_iu_gate_define registered, and logs it: gate, who, why. Whatever asks for it reads closed '
  'from then on. Its ledger stays, as do approvals and demands, which hold again if a gate of that key is defined '
  'anew. Returns {status: undefined, gate_key, run_id}. Errors: 23514 actor or reason missing, 42704 not a gate, '
  '55006 it belongs to a migration, or it is open.';
