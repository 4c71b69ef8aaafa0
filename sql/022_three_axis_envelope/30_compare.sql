-- What differs between the view and the table: of all units, or of those with
-- marks. A small collection is compared as a whole, since that costs next to
-- nothing; beyond it marks say where to look, and counts come from the tally.

-- A statement that a trigger follows waits for the look, so that it is kept short:
-- the newest marks are those of the statement itself, and what is older is left to
-- whoever comes for it.
CREATE FUNCTION iu.fn_iu_envelope_marks(
    OUT mark_ids bigint[], OUT unit_ids uuid[], OUT everything boolean, OUT some_wait boolean)
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_newest bigint;
  v_most   bigint;
BEGIN
  IF pg_trigger_depth() > 0 THEN
    -- Behind an old snapshot the index is full of marks that are gone: so many numbers are looked at and no more.
    v_most := 1000;
    SELECT s.last_value INTO v_newest FROM public.iu_three_axis_envelope_mark_mark_id_seq s;
    SELECT array_agg(y.mark_id) FILTER (WHERE y.units <= v_most), coalesce(bool_or(y.units > v_most), false), false
      INTO mark_ids, some_wait, everything
      FROM (SELECT x.mark_id, sum(x.units) OVER (ORDER BY x.mark_id DESC) AS units
              FROM (SELECT m.mark_id, cardinality(m.unit_ids) AS units FROM public.iu_three_axis_envelope_mark m
                     WHERE m.mark_id > v_newest - 10000 AND m.unit_ids IS NOT NULL
                     ORDER BY m.mark_id DESC LIMIT v_most + 1) AS x) AS y;
  ELSE
    -- The runner takes batches, each a transaction of its own.
    v_most := CASE WHEN current_setting('app.canonical_writer', true) = 'iu_envelope_chore' THEN 5000 END;
    SELECT array_agg(y.mark_id) FILTER (WHERE (y.units <= v_most) IS NOT FALSE),
           coalesce(bool_or(y.is_all AND (y.units <= v_most) IS NOT FALSE), false),
           coalesce(bool_or(y.units > v_most), false)
      INTO mark_ids, everything, some_wait
      FROM (SELECT x.mark_id, x.is_all, sum(x.units) OVER (ORDER BY x.mark_id) AS units
              FROM (SELECT m.mark_id, m.unit_ids IS NULL AS is_all, coalesce(cardinality(m.unit_ids), 1) AS units
                      FROM public.iu_three_axis_envelope_mark m ORDER BY m.mark_id LIMIT v_most + 1) AS x) AS y;
  END IF;
  mark_ids := coalesce(mark_ids, '{}');
  unit_ids := ARRAY(SELECT DISTINCT u.id
                      FROM public.iu_three_axis_envelope_mark m CROSS JOIN unnest(m.unit_ids) AS u (id)
                     WHERE m.mark_id = ANY (mark_ids));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_envelope_marks IS
  'The marks that are to be served now: their numbers, their units, each once, whether one stands for every unit, and '
  'whether others wait. Within a trigger the newest, of at most 1000 units, among the last 10000 numbers, and none '
  'that stands for every unit; for the runner the oldest, of at most 5000 units. Raises nothing.';

CREATE FUNCTION iu.fn_iu_envelope_is_full(p_full boolean, p_marked bigint, p_everything boolean) RETURNS boolean
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF p_full IS NOT NULL THEN
    RETURN p_full;
  ELSIF p_everything OR p_marked > 20000 THEN
    RETURN true;
  ELSIF iu.fn_iu_envelope_count() > 1000 THEN
    RETURN false;
  END IF;
  RETURN (SELECT count(*) FROM (SELECT FROM public.information_unit u LIMIT 1001) AS x) <= 1000;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_envelope_is_full IS
  'Whether all units are compared, or those with marks: what the caller wants (NULL: as it is best), how many units '
  'have marks, whether a mark stands for every unit. Up to 1000 units, or with more than 20000 of them marked, all '
  'are. Raises nothing.';

CREATE VIEW iu.v_iu_three_axis_kept AS
  SELECT t.unit_id, t.canonical_address, t.unit_kind, t.section_type, t.lifecycle_status, t.axis_a_doc_code,
         t.axis_a_sort_order, t.axis_a_section_code, t.axis_b_tags, t.axis_b_tags_by_source, t.axis_c_parent_id,
         t.axis_c_depth, t.axis_c_ancestors, t.axis_c_ancestor_addresses, t.created_at, t.updated_at
    FROM public.iu_three_axis_envelope t;
COMMENT ON VIEW iu.v_iu_three_axis_kept IS
  'The columns of iu_three_axis_envelope that v_ui_iu_three_axis_envelope has, to be compared with it.';

CREATE FUNCTION iu.fn_iu_envelope_rows_of(p_unit_ids uuid[]) RETURNS SETOF public.v_ui_iu_three_axis_envelope
  LANGUAGE plpgsql STABLE ROWS 100
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF cardinality(p_unit_ids) > 20000 THEN
    RETURN QUERY SELECT v.* FROM iu.v_iu_three_axis_rows v JOIN unnest(p_unit_ids) AS d (id) ON d.id = v.unit_id;
  ELSE
    RETURN QUERY SELECT v.* FROM iu.fn_iu_three_axis_envelope_rows_of(p_unit_ids) v;
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_envelope_rows_of IS
  'The rows that the view has for these units, by their keys or, where they are many, out of those of all. Raises '
  'nothing of its own.';

CREATE FUNCTION iu.fn_iu_envelope_compare(
    p_unit_ids uuid[], OUT view_count bigint, OUT table_count bigint, OUT missing_in_table bigint,
    OUT missing_in_view bigint, OUT content_diff bigint, OUT differing uuid[])
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
  SET jit = off
AS $function$
BEGIN
  IF p_unit_ids IS NOT NULL THEN
    SELECT count(v.unit_id), count(t.unit_id), count(*) FILTER (WHERE t.unit_id IS NULL),
           count(*) FILTER (WHERE v.unit_id IS NULL),
           array_agg(coalesce(v.unit_id, t.unit_id)) FILTER (WHERE ROW(v.*) IS DISTINCT FROM ROW(t.*))
      INTO view_count, table_count, missing_in_table, missing_in_view, differing
      FROM iu.fn_iu_envelope_rows_of(p_unit_ids) v
      FULL JOIN (SELECT e.* FROM iu.v_iu_three_axis_kept e WHERE e.unit_id = ANY (p_unit_ids)) AS t
        ON t.unit_id = v.unit_id;
  ELSIF EXISTS (SELECT FROM public.iu_three_axis_envelope) THEN
    SELECT count(v.unit_id), count(t.unit_id), count(*) FILTER (WHERE t.unit_id IS NULL),
           count(*) FILTER (WHERE v.unit_id IS NULL),
           array_agg(coalesce(v.unit_id, t.unit_id)) FILTER (WHERE ROW(v.*) IS DISTINCT FROM ROW(t.*))
      INTO view_count, table_count, missing_in_table, missing_in_view, differing
      FROM iu.v_iu_three_axis_rows v FULL JOIN iu.v_iu_three_axis_kept t ON t.unit_id = v.unit_id;
  ELSE
    -- An empty table lacks every row of the view, whatever is in it.
    SELECT count(*), 0, count(*), 0, array_agg(u.id)
      INTO view_count, table_count, missing_in_table, missing_in_view, differing
      FROM public.information_unit u WHERE u.deleted_at IS NULL;
  END IF;
  differing := coalesce(differing, '{}');
  content_diff := cardinality(differing) - missing_in_table - missing_in_view;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_envelope_compare IS
  'Compares view and table: of these units, or of all (NULL). How many rows each has, how many only the view, how '
  'many only the table, how many differ in content, and which units all of these are. Raises nothing of its own.';

CREATE FUNCTION iu.fn_iu_envelope_drift_of(
    p_view_count bigint, p_table_count bigint, p_missing_in_table bigint, p_missing_in_view bigint,
    p_content_diff bigint, p_full boolean) RETURNS jsonb
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
RETURN jsonb_build_object(
  'view_count', p_view_count, 'table_count', p_table_count, 'missing_in_table', p_missing_in_table,
  'missing_in_view', p_missing_in_view, 'content_diff_count', p_content_diff,
  'in_sync', p_missing_in_table + p_missing_in_view + p_content_diff = 0,
  'checked_at', clock_timestamp(), 'scope', CASE WHEN p_full THEN 'full' ELSE 'marked' END);
COMMENT ON FUNCTION iu.fn_iu_envelope_drift_of IS
  'What fn_iu_three_axis_envelope_drift_check returns, of its counts and of whether all units were compared. Raises '
  'nothing.';

CREATE FUNCTION iu.fn_iu_envelope_drift(p_unit_ids uuid[], OUT drift jsonb, OUT differing uuid[])
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_found record;
BEGIN
  SELECT c.* INTO v_found FROM iu.fn_iu_envelope_compare(p_unit_ids) c;
  IF p_unit_ids IS NOT NULL THEN
    v_found.table_count := iu.fn_iu_envelope_count();
    v_found.view_count := v_found.table_count + v_found.missing_in_table - v_found.missing_in_view;
  END IF;
  differing := v_found.differing;
  drift := iu.fn_iu_envelope_drift_of(v_found.view_count, v_found.table_count, v_found.missing_in_table,
    v_found.missing_in_view, v_found.content_diff, p_unit_ids IS NULL);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_envelope_drift IS
  'What fn_iu_three_axis_envelope_drift_check returns, of these units or of all (NULL), and the units that differ. '
  'Raises nothing of its own.';

-- The marks first: what is compared after them is as new as they are, or newer.
CREATE FUNCTION iu.fn_iu_three_axis_envelope_drift_check(p_full boolean) RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_marks record;
BEGIN
  SELECT m.* INTO v_marks FROM iu.fn_iu_envelope_marks() m;
  RETURN (SELECT d.drift FROM iu.fn_iu_envelope_drift(
            CASE WHEN NOT iu.fn_iu_envelope_is_full(p_full, cardinality(v_marks.unit_ids), v_marks.everything)
                 THEN v_marks.unit_ids END) AS d);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_three_axis_envelope_drift_check IS
  'What public.fn_iu_three_axis_envelope_drift_check hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_three_axis_envelope_drift_check(p_full boolean DEFAULT NULL) RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader}') THEN
  iu.fn_iu_three_axis_envelope_drift_check(p_full) END;
COMMENT ON FUNCTION public.fn_iu_three_axis_envelope_drift_check IS
  'Whether iu_three_axis_envelope is as v_ui_iu_three_axis_envelope: {view_count, table_count, missing_in_table, '
  'missing_in_view, content_diff_count, in_sync, checked_at, scope}. Argument: true compares all units; false those '
  'with marks, and counts by the tally; NULL, the default: all up to 1000 units, after a TRUNCATE, and where more than '
  '20000 have marks, otherwise those with marks. Writes nothing. SQLSTATE 42501 for whoever is not in iu_core_reader.';

CREATE VIEW public.v_iu_three_axis_envelope_drift AS
  SELECT coalesce(v.unit_id, t.unit_id) AS unit_id, coalesce(v.canonical_address, t.canonical_address)
           AS canonical_address,
         CASE WHEN v.unit_id IS NULL THEN 'missing_in_view'
              WHEN t.unit_id IS NULL THEN 'missing_in_table'
              WHEN v IS DISTINCT FROM t THEN 'content_diff'
              ELSE 'in_sync' END AS drift_kind,
         e.refreshed_at, e.refreshed_by
    FROM iu.v_iu_three_axis_rows v
    FULL JOIN iu.v_iu_three_axis_kept t ON t.unit_id = v.unit_id
    LEFT JOIN public.iu_three_axis_envelope e ON e.unit_id = t.unit_id;
COMMENT ON VIEW public.v_iu_three_axis_envelope_drift IS
  'One row a unit that the view or the table has: how the two stand. Reads all units.';
COMMENT ON COLUMN public.v_iu_three_axis_envelope_drift.unit_id IS 'The unit';
COMMENT ON COLUMN public.v_iu_three_axis_envelope_drift.canonical_address IS 'Its address, as the view has it';
COMMENT ON COLUMN public.v_iu_three_axis_envelope_drift.drift_kind IS
  'in_sync, content_diff, missing_in_table or missing_in_view';
COMMENT ON COLUMN public.v_iu_three_axis_envelope_drift.refreshed_at IS
  'When the row of the table was written; NULL: there is none';
COMMENT ON COLUMN public.v_iu_three_axis_envelope_drift.refreshed_by IS 'Who had it written';
