-- Gates whose migration does not exist yet, one line each. The migration that
-- brings what a gate guards registers the gate itself, and takes its line out of
-- this file in the same commit. Until then the gate is here, closed, so that
-- whoever asks for it finds it.

SELECT iu.fn_iu_gate_register(3, g.gate_key, g.gate_class, g.description) FROM (VALUES
  ('queue.dlq.replay_enabled', 'governable', 'Replaying dead letters')                                 -- 051
  ) AS g (gate_key, gate_class, description);

DO $check$
BEGIN
  IF EXISTS (SELECT FROM public.v_iu_gate g WHERE NOT g.is_safe) THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = 'migration 003 left a gate open', CONSTRAINT = 'iu_migration_gate_open';
  END IF;
END
$check$;
