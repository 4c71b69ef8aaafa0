-- 004 events: what happened is written here, in the transaction in which it
-- happened. The registry of event types, the outbox, the switches, the emitters.

CREATE TABLE public.iu_switch_registry (
  switch_key    text        NOT NULL PRIMARY KEY CHECK (switch_key ~ '^[a-z0-9_.]{1,120}$'),
  meaning       text        NOT NULL CHECK (btrim(meaning) <> ''),
  registered_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.iu_switch_registry IS
  'The keys of dot_config that are switches: true or false, without a time limit, changed by fn_iu_switch_set '
  'only. A migration registers what it brings. Gates are not switches.';
COMMENT ON COLUMN public.iu_switch_registry.switch_key IS 'Key of its row in dot_config';
COMMENT ON COLUMN public.iu_switch_registry.registered_at IS 'Start of the transaction that registered it';
COMMENT ON COLUMN public.iu_switch_registry.meaning IS 'What stops while the switch is off.';

INSERT INTO public.dot_config (key, value, description) VALUES
  ('iu_core.routes_master_enabled', 'false', 'switch: off, no event is emitted and no route carries anything');

INSERT INTO public.iu_switch_registry (switch_key, meaning) VALUES
  ('iu_core.routes_master_enabled', 'off: no event is emitted and no route carries anything');

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_switch_set', 'health', true, true, ARRAY['fn_iu_switch_set']);

CREATE FUNCTION iu.fn_iu_switch_set(p_key text, p_value text, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_previous text;
  v_run      uuid;
BEGIN
  IF p_key IS NULL OR NOT EXISTS (SELECT FROM public.iu_switch_registry WHERE switch_key = p_key) THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('"%s" is not a switch', coalesce(p_key, '')),
      DETAIL = 'Only keys of iu_switch_registry are set here.',
      HINT = 'A gate is opened with fn_iu_gate_open, with an approval and a time limit.',
      CONSTRAINT = 'iu_switch_unknown';
  END IF;
  IF p_value IS NULL OR p_value NOT IN ('true', 'false') THEN
    RAISE check_violation USING
      MESSAGE = format('a switch is true or false, not %s', coalesce(quote_literal(p_value), 'NULL')),
      DETAIL = format('Value: %s.', coalesce(quote_literal(p_value), 'NULL')),
      CONSTRAINT = 'iu_switch_value';
  END IF;

  SELECT value INTO v_previous FROM public.dot_config WHERE key = p_key FOR UPDATE;
  IF NOT FOUND THEN
    RAISE no_data_found USING
      MESSAGE = format('switch "%s" has no row in dot_config', p_key),
      DETAIL = 'It reads as false.',
      HINT = 'Insert it with the value false, and find out who deleted it.',
      CONSTRAINT = 'iu_switch_missing';
  END IF;
  IF v_previous IS DISTINCT FROM p_value THEN
    UPDATE public.dot_config SET value = p_value WHERE key = p_key;
    PERFORM iu.fn_iu_require_effect(
      EXISTS (SELECT FROM public.dot_config WHERE key = p_key AND value = p_value),
      'public.dot_config', format('setting switch "%s"', p_key));
  END IF;
  v_run := iu.fn_dot_iu_command_note('dot_iu_switch_set', 'switch', p_key, 'applied', p_actor, p_reason,
    jsonb_build_object('previous', v_previous, 'value', p_value));
  RETURN jsonb_build_object('status', CASE WHEN v_previous = p_value THEN 'unchanged' ELSE 'set' END,
    'switch', p_key, 'previous', v_previous, 'value', p_value, 'run_id', v_run);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_switch_set IS
  'What public.fn_iu_switch_set hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_switch_set(p_key text, p_value text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_admin}') THEN
  iu.fn_iu_switch_set(p_key, p_value, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_switch_set IS
  'Sets a switch to true or false and logs who did it and why. Returns {status: set | unchanged, switch, '
  'previous, value, run_id}. SQLSTATE 42501: not a switch; 23514: value, actor or reason missing or wrong; P0002: '
  'the switch has no row in dot_config.';

CREATE FUNCTION iu.fn_iu_core_routes_enabled() RETURNS boolean
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN EXISTS (SELECT FROM public.dot_config WHERE key = 'iu_core.routes_master_enabled' AND value = 'true');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_core_routes_enabled IS
  'What public.fn_iu_core_routes_enabled hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_core_routes_enabled() RETURNS boolean
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader,iu_core_writer}') THEN
  iu.fn_iu_core_routes_enabled() END;
COMMENT ON FUNCTION public.fn_iu_core_routes_enabled IS
  'Whether the master switch iu_core.routes_master_enabled is on; false where its row is missing.';
