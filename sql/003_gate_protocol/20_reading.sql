-- How the gates stand, and who holds them.

CREATE VIEW public.v_iu_gate AS
  SELECT g.gate_key, g.gate_class, g.value, g.effective,
         g.holder, CASE WHEN iu_core.may('{iu_core_operator}') THEN g.approval_id END AS approval_id,
         g.expires_at, g.due_at,
         coalesce(g.value = 'false' AND NOT g.effective, false) AS is_safe,
         CASE
           WHEN g.value IS NULL THEN 'row missing in dot_config'
           WHEN g.value = 'false' AND NOT g.effective THEN 'closed'
           WHEN g.gate_class = 'never_flip' THEN 'never-flip gate set beside the protocol'
           WHEN g.value <> 'true' THEN 'value is neither true nor false'
           WHEN g.due_at > clock_timestamp() AND NOT g.effective AND iu_core.is_preloaded()
             THEN 'its approval was revoked'
           WHEN g.due_at > clock_timestamp() THEN
             format('open until %s UTC, held by %s',
                    to_char(g.due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS'), g.holder)
           WHEN g.due_at IS NOT NULL THEN
             format('expired at %s UTC', to_char(g.due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS'))
           WHEN g.expires_at IS NOT NULL AND g.elsewhere THEN 'opened in another database'
           WHEN g.expires_at IS NOT NULL AND g.too_early THEN 'opened at a time to come: the clock was set back'
           WHEN g.expires_at IS NOT NULL THEN
             'opened before a restore, a promotion, or a restart without iu_core.instance'
           WHEN g.effective THEN 'set beside the protocol, effective in this transaction only'
           ELSE 'set beside the protocol'
         END AS reason,
         g.approval_mark
    FROM (
      SELECT r.gate_key, r.gate_class, c.value, iu_core.gate_is_open(r.gate_key) AS effective,
             CASE l.action WHEN 'open' THEN l.actor END AS holder,
             l.approval_id, l.approval_mark, l.expires_at,
             CASE WHEN r.gate_class = 'governable' AND l.action = 'open'
                       AND l.place = iu_core.opening_place() AND l.written_here
                       AND l.created_at <= clock_timestamp()
                  THEN l.expires_at END AS due_at,
             l.system_identifier <> iu_core.system_identifier() OR l.database_oid <> iu_core.database_oid()
               AS elsewhere,
             l.place = iu_core.opening_place() AND l.created_at > clock_timestamp() AS too_early
        FROM public.iu_gate_registry r
        LEFT JOIN public.dot_config c ON c.key = r.gate_key
        LEFT JOIN LATERAL (
          SELECT t.action, t.actor, t.approval_id, t.approval_mark, t.expires_at, t.created_at, t.place,
                 t.system_identifier, t.database_oid, t.xmin = t.written_by AS written_here
            FROM public.iu_gate_transition t
           WHERE t.gate_key = r.gate_key
           ORDER BY t.transition_seq DESC LIMIT 1) l ON true) g;
COMMENT ON VIEW public.v_iu_gate IS
  'Every registered gate: value (NULL: row missing), effective (iu_core.gate_is_open), holder, approval and end '
  'of its last change if that was an open, due_at (when the value must be false again; NULL: it may not be '
  'true at all), is_safe (false for sure), and the reason in words. The id of the approval is shown to members of '
  'iu_core_operator, its mark to all.';

-- A role is its oid: one that was renamed holds what it held, and one that took its name does not.
CREATE VIEW public.v_iu_gate_holder AS
  SELECT l.gate_key, iu_core.gate_is_open(l.gate_key) AS effective, l.actor AS holder,
         h.rolname AS held_by,
         CASE WHEN iu_core.may('{iu_core_operator}') THEN l.approval_id END AS approval_id, l.reason,
         l.created_at AS since, l.expires_at AS until,
         greatest(l.expires_at - clock_timestamp(), interval '0') AS remaining,
         l.holder_oid AS held_by_oid, l.holder_login AS held_by_login, l.approval_mark
    FROM public.iu_gate_registry r
    CROSS JOIN LATERAL (
      SELECT t.* FROM public.iu_gate_transition t
       WHERE t.gate_key = r.gate_key
       ORDER BY t.transition_seq DESC LIMIT 1) l
    LEFT JOIN pg_catalog.pg_roles h ON h.oid = l.holder_oid
   WHERE l.action = 'open';
COMMENT ON VIEW public.v_iu_gate_holder IS
  'Who holds what until when: each gate whose last change is an open or a renewal, with holder (the actor as '
  'told), held_by (the role that acted, as it is called now; NULL: it is gone), approval (the id for members of '
  'iu_core_operator only) and reason of that change, since and until when, what remains of it, and the oids of held_by '
  'and of the role that had logged in. effective is false where it has ended and is about to be closed, or was made in '
  'another database.';

CREATE FUNCTION iu.fn_iu_gate_snapshot() RETURNS jsonb
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT coalesce(jsonb_object_agg(g.gate_key, jsonb_build_object('value', g.value, 'effective', g.effective)), '{}')
    FROM public.v_iu_gate g
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_snapshot IS
  'All gates as {gate_key: {value, effective}}, for the run ledger. Raises nothing.';

CREATE FUNCTION iu.fn_iu_gate_verify_closed(p_actor text) RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
AS $function$
BEGIN
  RETURN (SELECT jsonb_build_object(
             'gates', coalesce(jsonb_agg(jsonb_build_object(
                'gate_key', g.gate_key, 'gate_class', g.gate_class, 'value', g.value, 'effective', g.effective,
                'expires_at', g.expires_at, 'holder', g.holder,
                'approval_id', CASE WHEN iu_core.caller_may('{iu_core_operator}') THEN g.approval_id END,
                'is_safe', g.is_safe, 'reason', g.reason) ORDER BY g.gate_class, g.gate_key), '[]'),
             'all_governed_closed', coalesce(bool_and(g.is_safe) FILTER (WHERE g.gate_class = 'governable'), false),
             'never_flip_intact', coalesce(bool_and(g.is_safe) FILTER (WHERE g.gate_class = 'never_flip'), false),
             'all_safe', bool_and(g.is_safe)
               AND count(*) FILTER (WHERE g.gate_class = 'governable') > 0
               AND count(*) FILTER (WHERE g.gate_class = 'never_flip') > 0,
             'checked_by', p_actor,
             'checked_at', clock_timestamp())
      FROM public.v_iu_gate g);
EXCEPTION WHEN lock_not_available THEN
  PERFORM iu.fn_iu_refuse_locked('whether every gate is closed');
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_verify_closed IS
  'What public.fn_iu_gate_verify_closed hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_gate_verify_closed(p_actor text DEFAULT NULL) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader,iu_core_agent}') THEN
  iu.fn_iu_gate_verify_closed(p_actor) END;
COMMENT ON FUNCTION public.fn_iu_gate_verify_closed IS
  'Whether every gate is closed for sure: {gates: [{gate_key, gate_class, value, effective, expires_at, holder, '
  'approval_id, is_safe, reason}], all_governed_closed, never_flip_intact, all_safe, checked_by, checked_at}. A '
  'gate is safe if its value is exactly false and it is not effective; a missing row, any other value, or no gate '
  'at all is not safe. approval_id is null for whoever is not in iu_core_operator. Argument: who asks, may be NULL. '
  'SQLSTATE 55P03 where a table that it reads is locked for 1 s.';
