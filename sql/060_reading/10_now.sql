-- 060 reading: the answers that people look for first, each a view of few and
-- narrow columns: what is now, what is wrong and what to do about it, what became
-- of an event, which commands one may call. The views that they rest on have
-- everything else.

CREATE VIEW public.v_iu_now AS
  SELECT n.kind, n.name, n.state, n.holder, date_trunc('second', n.since) AS since,
         date_trunc('second', n.ends_at) AS ends_at
    FROM (
      SELECT 'switch' AS kind, s.switch_key AS name,
             CASE c.value WHEN 'true' THEN 'on' WHEN 'false' THEN 'off' ELSE 'not set' END AS state,
             NULL::text AS holder, c.updated_at AS since, NULL::timestamptz AS ends_at
        FROM public.iu_switch_registry s LEFT JOIN public.dot_config c ON c.key = s.switch_key
      UNION ALL
      SELECT 'gate'::text, g.gate_key,
             CASE WHEN g.effective THEN 'open' WHEN g.is_safe THEN 'closed' ELSE 'not safe' END,
             CASE WHEN g.effective THEN h.holder END, CASE WHEN g.effective THEN h.since END,
             CASE WHEN g.effective THEN g.due_at END
        FROM public.v_iu_gate g LEFT JOIN public.v_iu_gate_holder h ON h.gate_key = g.gate_key
      UNION ALL
      SELECT 'standing approval'::text, a.gate_key, a.state, a.granted_by, a.granted_at, a.expires_at
        FROM public.v_iu_gate_approval a WHERE a.kind = 'standing' AND a.state = 'valid'
      UNION ALL
      SELECT 'runtime lease'::text, l.lease_name, 'held'::text, l.lease_holder, l.acquired_at, l.expires_at
        FROM public.v_dot_iu_runtime_lease l WHERE l.held
      UNION ALL
      SELECT 'change window'::text, w.window_label, w.state, w.opened_by, w.opened_at, NULL::timestamptz
        FROM public.v_iu_change_window w WHERE w.closed_at IS NULL
      UNION ALL
      SELECT 'route'::text, r.route_code,
             CASE WHEN r.dry_run AND r.enabled THEN 'dry run' WHEN r.enabled THEN 'live'
                  WHEN p.route_code IS NULL THEN 'not armed' ELSE 'paused' END,
             p.armed_by, p.armed_at, NULL::timestamptz
        FROM public.iu_outbound_route r LEFT JOIN public.iu_route_position p ON p.route_code = r.route_code
       WHERE r.retired_at IS NULL
      UNION ALL
      SELECT 'circuit'::text, c.route_code, replace(c.state, '_', '-'), c.last_failure, c.changed_at,
             c.next_at + iu_core.clock_moved()
        FROM public.iu_route_circuit c WHERE c.state <> 'closed') AS n;
COMMENT ON VIEW public.v_iu_now IS
  'What is now, a row each, times as of the second: every switch (on, off), every gate (open, closed, or not safe: '
  'v_iu_gate says why), standing approvals that are valid, runtime leases that are held, the change window that is '
  'open, every route that is not retired (live, dry run, paused, not armed), and circuits that are not closed (the '
  'holder is the last failure, the end when one delivery is tried). holder: who holds, granted, opened or armed it, as '
  'told; ends_at NULL: it does not end by itself.';
