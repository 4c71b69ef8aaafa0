-- 018 retention: what is old goes, if somebody wants it gone, and never what
-- something still needs. Nothing is active when this is applied, and nothing is
-- deleted while the gate is closed. The ledgers (gates, commands) are
-- append-only and no target.

SELECT iu.fn_iu_gate_register(18, 'iu_core.retention_enabled', 'governable', 'Deleting what retention policies let go');

CREATE FUNCTION public.fn_iu_core_retention_enabled() RETURNS boolean
  LANGUAGE sql VOLATILE AS $function$SELECT iu_core.gate_is_open('iu_core.retention_enabled')$function$;
COMMENT ON FUNCTION public.fn_iu_core_retention_enabled IS
  'Whether deleting by retention policies is open now. Raises nothing.';

CREATE TABLE public.iu_core_retention_policy (
  target_table text        NOT NULL PRIMARY KEY,
  age_column   text        NOT NULL,
  keep_days    integer     NOT NULL,
  actor_scope  text[],
  reason       text        NOT NULL,
  active       boolean     NOT NULL DEFAULT false,
  set_by       text,
  set_at       timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT iu_core_retention_policy_target_chk CHECK (target_table IN ('event_outbox', 'iu_route_attempt', 'iu_route_dead_letter')),
  CONSTRAINT iu_core_retention_policy_days_chk CHECK (keep_days BETWEEN 1 AND 36500),
  CONSTRAINT iu_core_retention_policy_reason_chk CHECK (btrim(reason) <> '')
);
COMMENT ON TABLE public.iu_core_retention_policy IS
  'What may be deleted when it is old, one row a table. None is active, and event_outbox has none, until somebody '
  'sets one with fn_iu_core_retention_policy_set.';
COMMENT ON COLUMN public.iu_core_retention_policy.target_table IS
  'event_outbox, iu_route_attempt or iu_route_dead_letter';
COMMENT ON COLUMN public.iu_core_retention_policy.age_column IS 'What its age is counted from';
COMMENT ON COLUMN public.iu_core_retention_policy.keep_days IS 'Younger rows stay, 1 to 36500 days';
COMMENT ON COLUMN public.iu_core_retention_policy.actor_scope IS
  'Only rows of these actors (actor_ref, sender, resolved_by); NULL: of all';
COMMENT ON COLUMN public.iu_core_retention_policy.reason IS 'Why';
COMMENT ON COLUMN public.iu_core_retention_policy.active IS 'false: nothing is deleted by it';
COMMENT ON COLUMN public.iu_core_retention_policy.set_by IS
  'Who set it, as told by the caller; NULL: the migration';
COMMENT ON COLUMN public.iu_core_retention_policy.set_at IS 'Start of the transaction that set it';

INSERT INTO public.iu_core_retention_policy (target_table, age_column, keep_days, reason) VALUES
  ('iu_route_attempt',     'recorded_at', 30, 'attempts of a month are enough to look into'),
  ('iu_route_dead_letter', 'resolved_at', 90, 'what was resolved a quarter ago is over');
