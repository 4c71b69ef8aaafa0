-- A change of a gate is a row of the ledger and the value in dot_config. Every
-- change, by whatever way, is written by fn_iu_gate_transit.

CREATE FUNCTION iu.fn_iu_gate_transit(
    p_transition_id uuid, p_gate_key text, p_action text, p_previous text, p_approval_id uuid, p_ttl_seconds integer,
    p_actor text, p_reason text, p_run_id uuid, p_sets_value boolean)
  RETURNS timestamptz
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_value      CONSTANT text := CASE p_action WHEN 'open' THEN 'true' ELSE 'false' END;
  v_was_open   CONSTANT boolean := iu_core.gate_is_open(p_gate_key);
  v_change     CONSTANT text := format('%s of gate "%s"', p_action, p_gate_key);
  v_expires_at timestamptz;
BEGIN
  -- The row of the ledger comes before the value. trg_dot_config_gate_ended
  -- looks at the last row of a gate whose value ceases to be true: where that
  -- row is the close, the protocol closed the gate; where it is still the open,
  -- somebody else did, and the trigger records a close of its own. Written the
  -- other way round, every close would be recorded twice.
  -- Both are planned anew each time: a plan that a rule turned into nothing
  -- names no table, and would be kept when the rule is gone.
  EXECUTE 'INSERT INTO public.iu_gate_transition
      (transition_id, gate_key, action, prev_value, new_value, approval_id, ttl_seconds, actor, reason, run_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)'
    USING p_transition_id, p_gate_key, p_action, p_previous, v_value, p_approval_id, p_ttl_seconds,
          p_actor, p_reason, p_run_id;
  SELECT t.expires_at INTO v_expires_at FROM public.iu_gate_transition t WHERE t.transition_id = p_transition_id;
  PERFORM iu.fn_iu_require_effect(FOUND, 'public.iu_gate_transition', v_change);
  IF p_sets_value THEN
    EXECUTE 'UPDATE public.dot_config SET value = $1 WHERE key = $2' USING v_value, p_gate_key;
    -- A close that ends an opening has an effect by its row of the ledger alone, and that row stays.
    PERFORM iu.fn_iu_require_effect(
      v_was_open AND p_action <> 'open' AND NOT iu_core.gate_is_open(p_gate_key)
        OR EXISTS (SELECT FROM public.dot_config c WHERE c.key = p_gate_key AND c.value = v_value),
      'public.dot_config', v_change);
  END IF;
  RETURN v_expires_at;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_transit IS
  'Writes a change of a gate, under the lock of its row in dot_config: id of the change, gate, action (open, close, '
  'watchdog_close), value that the change met, approval and seconds of an open, who, why, its run, and whether the '
  'value is set as well (it is not where it has changed already). Returns the end of an open, NULL of a close. '
  'Errors: those of the ledger''s own checks, and 55000, iu_change_without_effect, where something kept row or value '
  'from being written. A close that ends an opening stands all the same if only the value could not be set: see '
  'fn_iu_gate_value_problem.';

CREATE FUNCTION iu.fn_iu_gate_value_problem(p_gate_key text) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT format('gate "%s" is closed by its ledger, but its value is still %s: in the way is %s', c.key,
                iu_core.text_shown(c.value), iu.fn_iu_in_the_way('public.dot_config'))
    FROM public.dot_config c WHERE c.key = p_gate_key AND c.value <> 'false'
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_value_problem IS
  'After a close: why the value of a gate is still not false, in words; NULL: it is. Raises nothing.';

CREATE FUNCTION iu.fn_iu_gate_log(
    p_command text, p_status text, p_gate_key text, p_transition_id uuid, p_parameters jsonb, p_actor text,
    p_evidence jsonb)
  RETURNS uuid
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN iu.fn_dot_iu_command_write(
    p_command, 'health', 'apply', 'applied', true, md5(p_parameters::text), iu.fn_iu_gate_snapshot(),
    jsonb_build_object('status', p_status, 'gate_key', p_gate_key, 'transition_id', p_transition_id) || p_evidence,
    p_actor);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_log IS
  'Logs a change of a gate among the runs, with all gates as it met them, and returns the run''s id: command, what '
  'became of the gate, gate, id of the change, parameters (only their MD5 is kept), who, further evidence. Errors: as '
  'fn_dot_iu_command_write.';

-- Closing beside the protocol is a close: the opening must not come back to
-- life when somebody sets the value to true again.
CREATE FUNCTION iu.fn_iu_gate_ended() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM iu.fn_iu_gate_transit(gen_random_uuid(), r.gate_key, 'close', 'true', NULL, NULL,
                                iu_core.text_made_fit(session_user::text, false),
                                format('%s beside the protocol', lower(TG_OP)), NULL, false)
    FROM public.iu_gate_registry r
   WHERE NOT iu_core.is_replicated() AND (TG_OP = 'TRUNCATE' OR r.gate_key = OLD.key)
     AND (TG_OP <> 'UPDATE' OR NEW.value <> 'true' OR NEW.key <> OLD.key)
     AND (SELECT t.action FROM public.iu_gate_transition t
           WHERE t.gate_key = r.gate_key ORDER BY t.transition_seq DESC LIMIT 1) = 'open';
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_ended IS
  'Trigger of dot_config: when the value of a gate whose last change is an open ceases to be true without the '
  'protocol, writes the close into the ledger. Raises nothing of its own.';
