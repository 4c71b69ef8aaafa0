-- Whoever changes what gates rest on ends what other sessions remember of them
-- and wakes the watchdog, in whatever replication role.
CREATE TRIGGER trg_dot_config_gate_changed
  AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON public.dot_config
  FOR EACH STATEMENT EXECUTE FUNCTION iu_core.gate_changed();

CREATE TRIGGER trg_iu_gate_registry_gate_changed
  AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON public.iu_gate_registry
  FOR EACH STATEMENT EXECUTE FUNCTION iu_core.gate_changed();

CREATE TRIGGER trg_iu_gate_transition_gate_changed
  AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON public.iu_gate_transition
  FOR EACH STATEMENT EXECUTE FUNCTION iu_core.gate_changed();
ALTER TABLE public.dot_config ENABLE ALWAYS TRIGGER trg_dot_config_gate_changed;
ALTER TABLE public.iu_gate_registry ENABLE ALWAYS TRIGGER trg_iu_gate_registry_gate_changed;
ALTER TABLE public.iu_gate_transition ENABLE ALWAYS TRIGGER trg_iu_gate_transition_gate_changed;
COMMENT ON TRIGGER trg_dot_config_gate_changed ON public.dot_config IS
  'Ends cached gate checks, wakes the watchdog.';
COMMENT ON TRIGGER trg_iu_gate_registry_gate_changed ON public.iu_gate_registry IS
  'Ends cached gate checks, wakes the watchdog.';
COMMENT ON TRIGGER trg_iu_gate_transition_gate_changed ON public.iu_gate_transition IS
  'Ends cached gate checks, wakes the watchdog.';

-- A gate that is closed beside the protocol is closed: its opening must not
-- come back to life when the value is set to true again.
CREATE FUNCTION iu.fn_iu_gate_ended() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  INSERT INTO public.iu_gate_transition (gate_key, action, prev_value, new_value, actor, reason)
    SELECT r.gate_key, 'close', 'true', 'false', session_user, format('%s beside the protocol', lower(TG_OP))
      FROM public.iu_gate_registry r
     WHERE (TG_OP = 'TRUNCATE' OR r.gate_key = OLD.key)
       AND (TG_OP <> 'UPDATE' OR NEW.value <> 'true' OR NEW.key <> OLD.key)
       AND (SELECT t.action FROM public.iu_gate_transition t
             WHERE t.gate_key = r.gate_key ORDER BY t.transition_seq DESC LIMIT 1) = 'open';
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_ended IS
  'Trigger of dot_config: when the value of a gate whose last change is an open ceases to be true without the '
  'protocol, writes the close into the ledger. Raises nothing of its own.';

CREATE TRIGGER trg_dot_config_gate_ended
  AFTER UPDATE OR DELETE ON public.dot_config
  FOR EACH ROW WHEN (OLD.value = 'true') EXECUTE FUNCTION iu.fn_iu_gate_ended();

CREATE TRIGGER trg_dot_config_gates_ended
  AFTER TRUNCATE ON public.dot_config
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_gate_ended();
ALTER TABLE public.dot_config ENABLE ALWAYS TRIGGER trg_dot_config_gate_ended;
ALTER TABLE public.dot_config ENABLE ALWAYS TRIGGER trg_dot_config_gates_ended;
COMMENT ON TRIGGER trg_dot_config_gate_ended ON public.dot_config IS 'Records a close beside the protocol.';
COMMENT ON TRIGGER trg_dot_config_gates_ended ON public.dot_config IS
  'Records a close of all gates beside the protocol.';
