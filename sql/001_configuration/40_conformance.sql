-- Conformance: what should exist, and how it should be, against what does.

CREATE FUNCTION iu.fn_iu_governed_states()
  RETURNS TABLE (object_class text, object_name text, owner name, grants text, state text, digest text, object_id oid)
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT DISTINCT ON (s.object_class, s.object_name)
         s.object_class, s.object_name, s.owner, s.grants, s.state, s.digest, s.object_id
    FROM iu_core.object_states(ARRAY(
           SELECT n.object_id FROM iu_core.named_objects(NULL) n
            WHERE n.owner = 'iu_core_owner'
               OR EXISTS (SELECT FROM public.iu_governed_object g
                           WHERE g.object_class = n.object_class AND g.object_name = n.object_name))) s
$function$;
COMMENT ON FUNCTION iu.fn_iu_governed_states IS
  'What iu_core.object_states() tells of all that belongs to iu_core_owner or has the name of a registered object: the '
  'platform''s own objects, which may be many, are not described for nothing.';

CREATE FUNCTION iu.fn_iu_conformance_findings()
  RETURNS TABLE (check_code text, object_class text, expected text, found text, ok boolean, detail text)
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
  SET row_security = off
AS $function$
  WITH class (name, code, by_owner, counted_as) AS (
    VALUES ('table', 'D1', true, 'table'), ('view', 'D2', true, 'view'), ('function', 'D3', true, 'function'),
           ('trigger', 'D4', true, 'trigger'), ('config', 'D5', false, 'config'),
           ('event_type', 'D6', false, 'event_type'), ('route', 'D7', false, 'route'),
           ('schema', 'D1', true, 'table'), ('type', 'D1', true, 'table'), ('sequence', 'D1', true, 'table')
  ), inventory AS MATERIALIZED (
    SELECT i.object_class AS class, i.object_name AS name, i.owner, i.grants, i.state, i.digest
      FROM iu.fn_iu_governed_states() i
  ), expected AS (
    SELECT g.object_class AS class, g.object_name AS name, g.migration, g.theirs, g.grants, g.state, g.digest
      FROM public.iu_governed_object g
  ), presence AS (
    SELECT c.code, e.class, e.name AS expected, i.name AS found,
           CASE
             WHEN i.name IS NULL AND e.theirs THEN 'registered by an administrator, now missing'
             WHEN i.name IS NULL THEN format('made by migration %s, now missing', e.migration)
             WHEN c.by_owner THEN nullif(concat_ws('; ',
               CASE WHEN i.owner <> 'iu_core_owner' THEN format('owned by %I', i.owner) END,
               CASE WHEN i.grants IS DISTINCT FROM e.grants
                    THEN format('grants %s instead of %s', coalesce(i.grants, 'none'), coalesce(e.grants, 'none')) END,
               CASE WHEN i.state IS DISTINCT FROM e.state
                    THEN format('%s instead of %s', coalesce(nullif(i.state, ''), 'no settings'),
                                coalesce(nullif(e.state, ''), 'no settings')) END,
               CASE WHEN i.digest IS DISTINCT FROM e.digest
                         AND (i.digest NOT LIKE '%:%' OR e.digest NOT LIKE '%:%'
                              OR split_part(i.digest, ':', 1) = split_part(e.digest, ':', 1))
                    THEN 'its definition is another one' END), '')
           END AS problem,
           CASE e.class WHEN 'trigger' THEN i.state
                        WHEN 'config' THEN 'value ' || (SELECT quote_literal(d.value) FROM public.dot_config d
                                                         WHERE d.key = e.name)
           END AS detail
      FROM expected e
      JOIN class c ON c.name = e.class
      LEFT JOIN inventory i ON i.class = e.class AND i.name = e.name
  ), unregistered AS (
    SELECT i.class, i.name, i.owner
      FROM inventory i
      JOIN class c ON c.name = i.class
     WHERE (NOT c.by_owner OR i.owner = 'iu_core_owner')
       AND NOT EXISTS (SELECT FROM expected e WHERE e.class = i.class AND e.name = i.name)
  ), tally AS (
    SELECT c.counted_as AS class,
           (SELECT count(*) FROM expected e JOIN class k ON k.name = e.class
             WHERE k.counted_as = c.counted_as) AS expected,
           (SELECT count(*) FROM presence p JOIN class k ON k.name = p.class
             WHERE k.counted_as = c.counted_as AND p.found IS NULL) AS missing,
           (SELECT count(*) FROM unregistered u JOIN class k ON k.name = u.class
             WHERE k.counted_as = c.counted_as) AS unregistered
      FROM class c GROUP BY c.counted_as
  )
  SELECT p.code, p.class, p.expected, p.found, p.problem IS NULL, coalesce(p.problem, p.detail) FROM presence p
  UNION ALL
  SELECT 'D8', u.class, NULL, u.name, false,
         CASE WHEN u.class IN ('config', 'event_type', 'route') THEN 'a row that nobody registered'
              ELSE 'owned by iu_core_owner, made by no migration' END
    FROM unregistered u
  UNION ALL
  SELECT 'D8', w.object_class, NULL, w.object_name, false, w.detail FROM iu.fn_iu_walls() w
  UNION ALL
  SELECT 'D9', t.class, t.expected::text, (t.expected - t.missing + t.unregistered)::text,
         t.missing + t.unregistered = 0,
         CASE WHEN t.missing + t.unregistered > 0
              THEN format('%s missing, %s unregistered', t.missing, t.unregistered) END
    FROM tally t
  ORDER BY 1, 2, 3, 4
$function$;
COMMENT ON FUNCTION iu.fn_iu_conformance_findings IS
  'For fn_iu_conformance, which says what its columns mean. Raises where the register or a function of the inventory '
  'is missing, or may not be read.';

CREATE FUNCTION iu.fn_iu_conformance()
  RETURNS TABLE (check_code text, object_class text, expected text, found text, ok boolean, detail text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
AS $function$
DECLARE
  v_problem text;
BEGIN
  IF current_user <> 'iu_core_owner' THEN
    RETURN QUERY SELECT 'D8', 'function', NULL::text, 'iu.fn_iu_conformance()', false,
      format('runs with the rights of "%s" instead of iu_core_owner''s', current_user);
  END IF;
  BEGIN
    RETURN QUERY SELECT * FROM iu.fn_iu_conformance_findings();
  EXCEPTION
    WHEN lock_not_available OR deadlock_detected THEN
      PERFORM iu.fn_iu_refuse_locked('what conforms');
    WHEN OTHERS THEN
      GET STACKED DIAGNOSTICS v_problem = MESSAGE_TEXT;
      RETURN QUERY SELECT 'D8', 'function', NULL::text, 'iu.fn_iu_conformance_findings()', false,
        format('cannot tell what should exist against what does (%s): %s', SQLSTATE, v_problem);
  END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_conformance IS
  'What public.fn_iu_conformance hands on to, with the rights of iu_core_owner. Where these are gone, or it cannot '
  'look, a row says so. Raises only 55P03, where a lock is waited for in vain for 1 s, or would never come.';

CREATE FUNCTION iu.fn_iu_conformance_problems(OUT problems integer, OUT first text)
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
AS $function$
  SELECT count(*)::integer, (array_agg(p.problem ORDER BY p.rank, p.n))[1] FROM (
    SELECT 1 AS rank, 1 AS n,
           format('the library is version %s and the extension %s: ALTER EXTENSION iu_core UPDATE', iu_core.version(),
                  e.extversion) AS problem
      FROM pg_extension e WHERE e.extname = 'iu_core' AND e.extversion <> iu_core.version()
    UNION ALL
    SELECT 2, m.version, format('migration %s %s has drifted: the library has another text for it (iu_core.migrations)',
                                m.version, m.name)
      FROM iu_core.migrations m WHERE m.state = 'drifted'
    UNION ALL
    SELECT 3, row_number() OVER (ORDER BY c.check_code, c.object_class, c.expected, c.found),
           concat_ws(' ', c.check_code, c.object_class, coalesce(c.expected, c.found) || ':', c.detail)
      FROM iu.fn_iu_conformance() c
     WHERE NOT c.ok AND c.check_code <> 'D9') AS p
$function$;
COMMENT ON FUNCTION iu.fn_iu_conformance_problems IS
  'For the runner, which asks once a minute and lets iu_core.health() tell: an extension that is not as new as the '
  'library, migrations that have drifted, and rows of fn_iu_conformance that are not ok, D9 apart, which only counts '
  'the others: how many, and the first of them in words (NULL: none).';

CREATE FUNCTION public.fn_iu_conformance()
  RETURNS TABLE (check_code text, object_class text, expected text, found text, ok boolean, detail text)
  LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT * FROM iu.fn_iu_conformance() WHERE iu_core.require_role('{iu_core_reader}');
END;
COMMENT ON FUNCTION public.fn_iu_conformance IS
  'What should exist against what does. D1 to D7: one row per registered table, view, function, trigger, config key, '
  'event type, route (schemas, types and sequences that stand alone count to D1); ok if it is there, belongs to '
  'iu_core_owner, and has the grants, the state (trigger enabled, row security, settings of a function) and the '
  'definition that it had when its migration had run; detail says in words what differs. D8: one row per object of '
  'iu_core_owner, or row of a row class, that nobody registered, and per breach of the walls: an object of a '
  'stranger, a role that is neither iu_core_owner nor a superuser, with a governed name; what strangers attached to '
  'governed tables and types, or have in schema iu or iu_core; rights there that nobody should have; and where '
  'conformance itself cannot look. D9: registered and found per class; schemas, types and sequences count as tables. '
  'A definition that was recorded under another major version of PostgreSQL is not compared, except that of a function '
  'in plpgsql or in plain SQL text. SQLSTATE 42501 for whoever is not in iu_core_reader, 55P03 where a table that it '
  'reads is locked for 1 s.';

CREATE FUNCTION iu.fn_iu_conformance_require(p_made_now boolean) RETURNS void
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
AS $function$
DECLARE
  v_wrong text;
BEGIN
  IF p_made_now THEN
    -- The register was written from the catalog in this very run: who stands and who came in beside is left to ask.
    SELECT string_agg(w.finding, '; ' ORDER BY w.finding) INTO v_wrong
      FROM (SELECT concat_ws(' ', g.object_class, g.object_name, 'is registered and missing') AS finding
              FROM public.iu_governed_object g
             WHERE NOT EXISTS (SELECT FROM iu_core.object_names() i
                                WHERE i.object_class = g.object_class AND i.object_name = g.object_name)
            UNION ALL
            SELECT concat_ws(' ', w.object_class, w.object_name, w.detail) FROM iu.fn_iu_walls() w) AS w;
  ELSE
    SELECT string_agg(concat_ws(' ', c.check_code, c.object_class, coalesce(c.expected, c.found), c.detail), '; ')
      INTO v_wrong FROM iu.fn_iu_conformance() c WHERE NOT c.ok;
  END IF;
  IF v_wrong IS NOT NULL THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = 'the migrated database does not conform', DETAIL = v_wrong, CONSTRAINT = 'iu_conformance',
      HINT = 'fn_iu_conformance() lists it; fn_iu_conformance_repair() puts grants and trigger states right.';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_conformance_require IS
  'Last step of a run of migrations: refuses unless all is well. Argument: whether every migration was applied in this '
  'run, so that only presence and the walls are left to look at; otherwise all that fn_iu_conformance() looks at. '
  'Error: 55000 with what is wrong.';

CREATE VIEW public.v_iu_conformance AS
  SELECT k.counted_as AS object_class,
         max(c.expected) FILTER (WHERE c.check_code = 'D9')::bigint AS expected,
         max(c.found) FILTER (WHERE c.check_code = 'D9')::bigint AS found,
         bool_and(c.ok) AS ok,
         array_agg(concat_ws(': ', coalesce(c.expected, c.found), c.detail))
           FILTER (WHERE NOT c.ok AND c.check_code <> 'D9') AS findings
    FROM public.fn_iu_conformance() c
    CROSS JOIN LATERAL (
      SELECT CASE WHEN c.object_class IN ('schema', 'type', 'sequence') THEN 'table'
                  ELSE c.object_class END AS counted_as) k
   GROUP BY k.counted_as;
COMMENT ON VIEW public.v_iu_conformance IS
  'fn_iu_conformance() in one row per class: registered, found, whether all is well, and what is not.';
