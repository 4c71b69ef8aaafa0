-- A change of what gates rest on ends what other sessions remember of them and
-- wakes the watchdog. It is told before the statement as well as after it: a
-- function that the statement calls sees rows that are changed already, and what
-- is remembered of those is forgotten with the statement if that fails, by what
-- was told before. The triggers are ENABLE ALWAYS, so that this holds in
-- session_replication_role = replica as well.
CREATE TRIGGER trg_dot_config_gate_changing
  BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON public.dot_config
  FOR EACH STATEMENT EXECUTE FUNCTION iu_core.gate_changed();
CREATE TRIGGER trg_dot_config_gate_changed
  AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON public.dot_config
  FOR EACH STATEMENT EXECUTE FUNCTION iu_core.gate_changed();
ALTER TABLE public.dot_config
  ENABLE ALWAYS TRIGGER trg_dot_config_gate_changing, ENABLE ALWAYS TRIGGER trg_dot_config_gate_changed;
COMMENT ON TRIGGER trg_dot_config_gate_changing ON public.dot_config IS
  'Ends cached gate checks, also where the statement fails.';
COMMENT ON TRIGGER trg_dot_config_gate_changed ON public.dot_config IS
  'Ends cached gate checks, wakes the watchdog.';

CREATE TRIGGER trg_iu_gate_registry_gate_changing
  BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON public.iu_gate_registry
  FOR EACH STATEMENT EXECUTE FUNCTION iu_core.gate_changed();
CREATE TRIGGER trg_iu_gate_registry_gate_changed
  AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON public.iu_gate_registry
  FOR EACH STATEMENT EXECUTE FUNCTION iu_core.gate_changed();
ALTER TABLE public.iu_gate_registry
  ENABLE ALWAYS TRIGGER trg_iu_gate_registry_gate_changing, ENABLE ALWAYS TRIGGER trg_iu_gate_registry_gate_changed;
COMMENT ON TRIGGER trg_iu_gate_registry_gate_changing ON public.iu_gate_registry IS
  'Ends cached gate checks, also where the statement fails.';
COMMENT ON TRIGGER trg_iu_gate_registry_gate_changed ON public.iu_gate_registry IS
  'Ends cached gate checks, wakes the watchdog.';

CREATE TRIGGER trg_iu_gate_transition_gate_changing
  BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON public.iu_gate_transition
  FOR EACH STATEMENT EXECUTE FUNCTION iu_core.gate_changed();
CREATE TRIGGER trg_iu_gate_transition_gate_changed
  AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON public.iu_gate_transition
  FOR EACH STATEMENT EXECUTE FUNCTION iu_core.gate_changed();
ALTER TABLE public.iu_gate_transition
  ENABLE ALWAYS TRIGGER trg_iu_gate_transition_gate_changing, ENABLE ALWAYS TRIGGER trg_iu_gate_transition_gate_changed;
COMMENT ON TRIGGER trg_iu_gate_transition_gate_changing ON public.iu_gate_transition IS
  'Ends cached gate checks, also where the statement fails.';
COMMENT ON TRIGGER trg_iu_gate_transition_gate_changed ON public.iu_gate_transition IS
  'Ends cached gate checks, wakes the watchdog.';

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
