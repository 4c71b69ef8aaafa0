-- What gates demand, and how the invariants stand.

CREATE TABLE public.iu_gate_demand (
  gate_key        text        NOT NULL,
  invariant_code  text        NOT NULL REFERENCES public.iu_invariant,
  max_age_seconds integer     NOT NULL,
  set_by          text        NOT NULL,
  session_role    name        NOT NULL DEFAULT session_user,
  reason          text        NOT NULL,
  set_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT iu_gate_demand_pkey PRIMARY KEY (gate_key, invariant_code),
  CONSTRAINT iu_gate_demand_age_chk CHECK (max_age_seconds BETWEEN 0 AND 86400)
);
COMMENT ON TABLE public.iu_gate_demand IS
  'The invariants that must pass before a gate opens. Written by fn_iu_gate_demand_set and _unset only.';
COMMENT ON COLUMN public.iu_gate_demand.gate_key IS
  'The gate; no foreign key, a demand outlives a migration that is rolled back';
COMMENT ON COLUMN public.iu_gate_demand.invariant_code IS 'What it demands';
COMMENT ON COLUMN public.iu_gate_demand.max_age_seconds IS
  'A pass that is younger will do, 0 to 86400 s, if it is the last that was found; otherwise the opening checks. '
  '0: it always checks';
COMMENT ON COLUMN public.iu_gate_demand.set_by IS 'Who set it, as told by the caller';
COMMENT ON COLUMN public.iu_gate_demand.session_role IS 'Login role of who set it';
COMMENT ON COLUMN public.iu_gate_demand.reason IS 'Why';
COMMENT ON COLUMN public.iu_gate_demand.set_at IS 'When, by the clock';

CREATE VIEW public.v_iu_invariant AS
  SELECT i.invariant_code, i.meaning, i.severity, i.enabled,
         CASE WHEN s.verdict IS NOT NULL AND s.place = iu_core.place()
              THEN s.verdict ELSE 'unknown' END AS verdict,
         s.verdict_since, s.checked_at, s.last_pass_at, s.differs_since,
         r.left_value, r.right_value, r.difference, r.keys, r.keys_total,
         CASE WHEN s.verdict IS NULL THEN 'not checked yet'
              WHEN s.place IS DISTINCT FROM iu_core.place()
                THEN 'not checked in this place: it is a copy, or was restored since'
              ELSE r.detail END AS detail,
         i.every_seconds, s.next_at, coalesce(s.next_at < clock_timestamp() - interval '2 minutes', false) AS overdue,
         i.tolerance, i.settle_seconds, s.checks,
         ARRAY(SELECT d.gate_key FROM public.iu_gate_demand d
                WHERE d.invariant_code = i.invariant_code ORDER BY d.gate_key) AS demanded_by
    FROM public.iu_invariant i
    JOIN public.iu_invariant_state s ON s.invariant_code = i.invariant_code
    LEFT JOIN public.iu_invariant_run r ON r.run_seq = s.run_seq;
COMMENT ON VIEW public.v_iu_invariant IS
  'One row an invariant: what the last check found (pass, fail, unknown; unknown as well where it was never '
  'checked as it is registered now, or only in the original of this copy), since when, when it was last checked, '
  'when it last passed, since when it has differed, left and right, what differs, why in words; how often it is '
  'checked, when next, whether that is overdue by two minutes (is a runner at work?), and the gates that demand '
  'it.';

CREATE VIEW public.v_iu_invariant_watermark AS
  SELECT CASE WHEN count(*) > 0 AND count(*) = count(v.last_pass_at) THEN min(v.last_pass_at) END AS last_full_pass_at,
         count(*) > 0 AND coalesce(bool_and(v.verdict = 'pass'), false) AS all_pass,
         count(*) AS invariants, count(*) FILTER (WHERE v.verdict = 'pass') AS passing,
         count(*) FILTER (WHERE v.verdict = 'fail') AS failing,
         count(*) FILTER (WHERE v.verdict = 'unknown') AS unknown, count(*) FILTER (WHERE v.overdue) AS overdue
    FROM public.v_iu_invariant v WHERE v.enabled;
COMMENT ON VIEW public.v_iu_invariant_watermark IS
  'One row over all invariants that are enabled: last_full_pass_at, the time at or after which each of them has '
  'passed (NULL: one never has, or there is none), whether all pass now, and how many there are, pass, fail, are '
  'unknown, are overdue.';
