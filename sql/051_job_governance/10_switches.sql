-- 051 job governance: what becomes of jobs that nobody ended. Leases that are over are
-- taken back; dead letters are looked at by people, who close them or have them done
-- once more; what is over for long loses its payload. And what people look at.

SELECT iu.fn_iu_gate_register(51, 'queue.dlq.replay_enabled', 'governable', 'Replaying dead letters');

INSERT INTO public.dot_config (key, value, description) VALUES
  ('queue.lease.reaper_enabled', 'false', 'switch: off, no lease is taken back'),
  ('queue.lease.reaper_dry_run_only', 'true', 'switch: on, it is only said which leases would be taken back'),
  ('queue.runtime.phase', 'phase2_governance', 'what the queue can do: jobs, and their governance');

INSERT INTO public.iu_switch_registry (switch_key, meaning) VALUES
  ('queue.lease.reaper_enabled', 'off: no lease is taken back, however long it is over'),
  ('queue.lease.reaper_dry_run_only', 'on: it is only said which leases would be taken back');
