-- Whether a remote has what it should: a foreign table that somebody names is
-- counted on schedule, as the role that holds nothing.

CREATE TABLE public.iu_health_surface (
  surface        text NOT NULL,
  handler        text NOT NULL,
  resource       text NOT NULL,
  counted        text NOT NULL,
  invariant_code text NOT NULL,
  migration      integer NOT NULL,
  table_name     text,
  bound_by       text,
  reason         text,
  bound_at       timestamptz,
  CONSTRAINT iu_health_surface_pkey PRIMARY KEY (surface),
  CONSTRAINT iu_health_surface_bound_chk
    CHECK (num_nulls(table_name, bound_by, reason, bound_at) IN (0, 4))
);
COMMENT ON TABLE public.iu_health_surface IS
  'The remotes whose counts are compared with ours, one row each, brought by migrations; fn_iu_health_bind names the '
  'foreign table.';
COMMENT ON COLUMN public.iu_health_surface.surface IS 'Name of the surface, e.g. qdrant_collection';
COMMENT ON COLUMN public.iu_health_surface.handler IS 'Handler of the wrapper that its table must be of';
COMMENT ON COLUMN public.iu_health_surface.resource IS 'Option resource that its table must have';
COMMENT ON COLUMN public.iu_health_surface.counted IS 'The column with the count';
COMMENT ON COLUMN public.iu_health_surface.invariant_code IS
  'The invariant that is enabled while a table is named, as is health.<surface>';
COMMENT ON COLUMN public.iu_health_surface.migration IS 'The migration that brought it';
COMMENT ON COLUMN public.iu_health_surface.table_name IS 'The foreign table; NULL: none is named';
COMMENT ON COLUMN public.iu_health_surface.bound_by IS 'Who named it, as told by the caller';
COMMENT ON COLUMN public.iu_health_surface.reason IS 'Why';
COMMENT ON COLUMN public.iu_health_surface.bound_at IS 'When, by the clock';

INSERT INTO public.iu_health_surface (surface, handler, resource, counted, invariant_code, migration) VALUES
  ('qdrant_collection', 'iu_core.qdrant_fdw_handler()', 'collections', 'points', 'qdrant.indexed_equals_points', 21);

CREATE FUNCTION iu.fn_iu_health_table_problem(p_surface public.iu_health_surface, p_table regclass) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN CASE
  WHEN NOT EXISTS (
         SELECT FROM pg_class c
           JOIN pg_foreign_table t ON t.ftrelid = c.oid
           JOIN pg_foreign_server s ON s.oid = t.ftserver
           JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
          WHERE c.oid = p_table AND c.relkind = 'f' AND w.fdwhandler = to_regprocedure((p_surface).handler)
            AND EXISTS (SELECT FROM pg_options_to_table(t.ftoptions) o
                         WHERE o.option_name = 'resource' AND o.option_value = (p_surface).resource))
    THEN format('a foreign table whose wrapper has handler %s, with resource %s', (p_surface).handler,
                (p_surface).resource)
  WHEN (SELECT count(*) FROM pg_attribute a
         WHERE a.attrelid = p_table AND NOT a.attisdropped AND a.attgenerated = ''
           AND (a.attname, a.atttypid)
               IN (('collection', 'text'::regtype), ((p_surface).counted, 'bigint'::regtype))) <> 2
    THEN format('one with the columns collection text and %s bigint', (p_surface).counted)
  WHEN NOT has_table_privilege('iu_core_owner', p_table, 'SELECT')
       OR NOT has_schema_privilege('iu_core_owner', (SELECT c.relnamespace FROM pg_class c WHERE c.oid = p_table),
                                   'USAGE')
    THEN 'one that iu_core_owner may read' END;
COMMENT ON FUNCTION iu.fn_iu_health_table_problem IS
  'What a table must be, in words, to be named for a surface, where this one is not; otherwise NULL. Arguments: the '
  'surface, the table. Raises nothing.';

CREATE FUNCTION iu.fn_iu_health_bind(p_surface text, p_table regclass, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_surface public.iu_health_surface;
  v_run_id  uuid;
BEGIN
  SELECT s.* INTO v_surface FROM public.iu_health_surface s WHERE s.surface = p_surface FOR NO KEY UPDATE;
  PERFORM iu.fn_iu_require_value(v_surface.surface IS NOT NULL, 'iu_health_surface', 'p_surface',
    (SELECT 'one of ' || string_agg(s.surface, ', ' ORDER BY s.surface) FROM public.iu_health_surface s), p_surface);
  PERFORM iu.fn_iu_require_value(p_table IS NULL OR iu.fn_iu_health_table_problem(v_surface, p_table) IS NULL,
    'iu_health_table', 'p_table', iu.fn_iu_health_table_problem(v_surface, p_table), p_table::text);
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_health_bind', 'surface', p_surface, 'applied', p_actor, p_reason,
    jsonb_build_object('table', p_table::text, 'previous', v_surface.table_name, 'session_user', session_user));
  UPDATE public.iu_health_surface s
     SET table_name = p_table::text, bound_by = CASE WHEN p_table IS NOT NULL THEN p_actor END,
         reason = CASE WHEN p_table IS NOT NULL THEN p_reason END,
         bound_at = CASE WHEN p_table IS NOT NULL THEN clock_timestamp() END
   WHERE s.surface = p_surface;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.iu_health_surface s
             WHERE s.surface = p_surface AND s.table_name IS NOT DISTINCT FROM p_table::text),
    'public.iu_health_surface', 'naming the table of the surface');
  -- Beside the count, what migration 040 has looked at of the surface.
  PERFORM iu.fn_iu_invariant_enable(i.invariant_code, p_table IS NOT NULL, p_actor, p_reason)
    FROM public.iu_invariant i WHERE i.invariant_code IN (v_surface.invariant_code, 'health.' || p_surface);
  RETURN jsonb_build_object('status', CASE WHEN p_table IS NULL THEN 'unbound' ELSE 'bound' END, 'surface', p_surface,
    'table', p_table::text, 'invariant_code', v_surface.invariant_code, 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_health_bind IS
  'What public.fn_iu_health_bind hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_health_bind(p_surface text, p_table regclass, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_admin}') THEN
  iu.fn_iu_health_bind(p_surface, p_table, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_health_bind IS
  'Names the foreign table that tells what a remote has, enables the invariants over it, and logs it: surface '
  '(qdrant_collection, directus_collection), table (NULL: none any more, and the invariants are disabled), who, why. '
  'The table is read with the rights and the user mapping of iu_core_owner, and what it evaluates runs as '
  'iu_core_check. Returns {status: bound | unbound, surface, table, invariant_code, run_id}. SQLSTATE 23514: surface, '
  'table, actor or reason.';

CREATE FUNCTION iu.fn_iu_health_counts(p_surface text, p_collections text[])
  RETURNS TABLE (collection text, counted numeric)
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_surface public.iu_health_surface;
  v_found   jsonb;
  v_problem text;
BEGIN
  SELECT s.* INTO v_surface FROM public.iu_health_surface s WHERE s.surface = p_surface;
  IF v_surface.table_name IS NULL OR to_regclass(v_surface.table_name) IS NULL THEN
    RAISE undefined_table USING
      MESSAGE = format('surface "%s" has no table', p_surface),
      DETAIL = format('Named: %s.', coalesce(v_surface.table_name, 'none')),
      HINT = 'An administrator names one with fn_iu_health_bind.', CONSTRAINT = 'iu_health_unbound';
  END IF;
  v_found := iu_core.read_with_no_rights(format(
    'SELECT jsonb_agg(jsonb_build_object(''collection'', t.collection, ''counted'', t.%I)) FROM ONLY %s AS t '
    'WHERE t.collection = ANY (%L::text[])', v_surface.counted, to_regclass(v_surface.table_name), p_collections));
  -- It is locked now, and was, if its owner had put another one in its place, read with no rights all the same.
  v_problem := iu.fn_iu_health_table_problem(v_surface, to_regclass(v_surface.table_name));
  PERFORM iu.fn_iu_require_value(v_problem IS NULL, 'iu_health_table', 'the table of surface ' || p_surface, v_problem,
    v_surface.table_name);
  RETURN QUERY
    SELECT f.collection, f.counted
      FROM jsonb_to_recordset(coalesce(v_found, '[]')) AS f (collection text, counted numeric);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_health_counts IS
  'For invariants: what the foreign table of a surface counts of each of these collections. SQLSTATE 42P01: none is '
  'named, or it is gone; 23514: it is not any more what fn_iu_health_bind asks for; and what the foreign table raises.';

CREATE VIEW iu.v_iu_qdrant_points AS
  WITH active AS MATERIALIZED (
    SELECT r.collection_name FROM public.iu_qdrant_collection_registry r WHERE r.status = 'active'
  )
  SELECT a.collection_name AS key,
         (SELECT coalesce(sum(p.point_count), 0)::numeric FROM public.iu_vector_sync_point p
           WHERE p.collection_name = a.collection_name AND p.sync_status = 'indexed') AS left_value,
         c.counted AS right_value
    FROM active a
    LEFT JOIN iu.fn_iu_health_counts('qdrant_collection', ARRAY(SELECT b.collection_name FROM active b)) AS c
      ON c.collection = a.collection_name;
COMMENT ON VIEW iu.v_iu_qdrant_points IS
  'Invariant qdrant.indexed_equals_points: a collection is its key, left is how many of its points are indexed by the '
  'last observation, right how many Qdrant counts.';

CREATE VIEW iu.v_iu_vector_boundary AS
  SELECT (SELECT count(*) FROM (
            SELECT FROM public.iu_vector_sync_point p
             WHERE p.source_kind = 'iu' AND p.sync_status NOT IN ('disabled', 'dryrun')
             GROUP BY p.collection_name, p.unit_id
            HAVING count(DISTINCT p.chunk_count) > 1 OR count(DISTINCT p.chunk_index) < count(*)
                OR bool_or(p.chunk_index >= p.chunk_count)) AS u) AS left_value,
         0::bigint AS right_value;
COMMENT ON VIEW iu.v_iu_vector_boundary IS
  'Invariant iu.vector_boundary: of how many units the points in a collection disagree on the number of chunks, or '
  'have one of them twice or beyond it, and 0.';

SELECT iu.fn_iu_invariant_define(21, 'iu.vector_boundary', 'iu.v_iu_vector_boundary',
  'the points of a unit are its chunks, each once', p_every_seconds => 3600, p_timeout_ms => 60000);
SELECT iu.fn_iu_invariant_define(21, 'qdrant.indexed_equals_points', 'iu.v_iu_qdrant_points',
  'Qdrant has as many points as are indexed', 'warning', p_settle_seconds => 600, p_every_seconds => 600,
  p_timeout_ms => 30000, p_enabled => false);
