-- Gates are registered by the migrations that bring what they guard. A gate whose
-- migration does not exist yet is registered here, closed, so that whoever asks for it
-- finds it, and taken out by the commit that brings the migration; by now there is
-- none.

DO $check$
BEGIN
  IF EXISTS (SELECT FROM public.v_iu_gate g WHERE NOT g.is_safe) THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = 'migration 003 left a gate open', CONSTRAINT = 'iu_migration_gate_open';
  END IF;
END
$check$;
