-- The refresh. What is written was read after the row was locked, since a row that
-- is computed first and written then loses what somebody else committed between the
-- two. A row that somebody else has locked is left with its mark: he, or whoever
-- comes for left-over marks, serves it. So no refresh waits for another one.
--
-- Locked first, rows are computed, compared and written in one statement, so that
-- they are computed once: that is most of what a refresh costs.

-- Rows for units that this transaction made are nobody else's business. For others
-- one transaction at a time makes rows: two that insert the same key would wait.
CREATE FUNCTION iu.fn_iu_envelope_makeable(p_unit_ids uuid[]) RETURNS uuid[]
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_missing CONSTANT uuid[] := ARRAY(
    SELECT u.id FROM public.information_unit u
     WHERE u.id = ANY (p_unit_ids) AND u.deleted_at IS NULL
       AND NOT EXISTS (SELECT FROM public.iu_three_axis_envelope t WHERE t.unit_id = u.id));
BEGIN
  IF v_missing = '{}' OR iu_core.try_named_lock('iu_three_axis_envelope_insert') THEN
    RETURN v_missing;
  END IF;
  RETURN ARRAY(SELECT u.id FROM public.information_unit u
                WHERE u.id = ANY (v_missing) AND iu_core.xid_is_mine(u.xmin));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_envelope_makeable IS
  'For the refresh: of these units those whose rows are missing, and that this transaction may make; where another '
  'transaction is making rows, only those of units that this one made. Raises nothing.';

CREATE FUNCTION iu.fn_iu_envelope_unmark(p_mark_ids bigint[], p_left_over uuid[], p_all boolean) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF p_mark_ids <> '{}' THEN
    DELETE FROM public.iu_three_axis_envelope_mark d
     WHERE d.mark_id IN (
       SELECT m.mark_id FROM public.iu_three_axis_envelope_mark m
        WHERE m.mark_id = ANY (p_mark_ids)
          AND CASE WHEN p_left_over = '{}' THEN p_all OR m.unit_ids IS NOT NULL
                   ELSE NOT EXISTS (SELECT FROM unnest(m.unit_ids) AS u (id)
                                     WHERE u.id IN (SELECT l.id FROM unnest(p_left_over) AS l (id)))
                        AND m.unit_ids IS NOT NULL END
          FOR UPDATE SKIP LOCKED);
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_envelope_unmark IS
  'For the refresh: deletes marks that were served, by their numbers, and waits for nobody. Arguments: the marks; the '
  'units that are left over, whose marks stay; whether all units were compared: only then, and where none is left '
  'over, a mark goes that stands for every unit. Raises nothing.';

-- In the statement that writes, what is looked up in a list is looked up in a hash,
-- however long the list is and whatever the planner believes.
CREATE FUNCTION iu.fn_iu_envelope_serve(
    p_actor text, p_unit_ids uuid[], OUT table_count bigint, OUT missing_in_table bigint, OUT missing_in_view bigint,
    OUT content_diff bigint, OUT written bigint, OUT deleted bigint, OUT left_in_table bigint, OUT left_in_view bigint,
    OUT left_in_both bigint, OUT left_over uuid[])
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
  SET app.canonical_writer = 'fn_iu_three_axis_envelope_refresh'
AS $function$
DECLARE
  v_locked CONSTANT uuid[] := ARRAY(
    SELECT t.unit_id FROM public.iu_three_axis_envelope t
     WHERE t.unit_id = ANY (p_unit_ids) ORDER BY t.unit_id FOR UPDATE OF t SKIP LOCKED);
  v_makeable CONSTANT uuid[] := CASE WHEN cardinality(v_locked) = cardinality(p_unit_ids) THEN '{}'
                                     ELSE iu.fn_iu_envelope_makeable(p_unit_ids) END;
BEGIN
  IF p_unit_ids = '{}' THEN
    SELECT iu.fn_iu_envelope_count(), 0, 0, 0, 0, 0, 0, 0, 0, '{}'
      INTO table_count, missing_in_table, missing_in_view, content_diff, written, deleted, left_in_table, left_in_view,
           left_in_both, left_over;
    RETURN;
  END IF;
  WITH look AS MATERIALIZED (
    SELECT v.*, t.unit_id AS kept_id,
           t.unit_id IN (SELECT l.id FROM unnest(v_locked) AS l (id)) AS is_locked,
           v.unit_id IN (SELECT m.id FROM unnest(v_makeable) AS m (id)) AS is_makeable
      FROM iu.fn_iu_envelope_rows_of(p_unit_ids) v
      FULL JOIN (SELECT k.* FROM iu.v_iu_three_axis_kept k WHERE k.unit_id = ANY (p_unit_ids)) AS t
        ON t.unit_id = v.unit_id
     WHERE ROW(v.*) IS DISTINCT FROM ROW(t.*)
  ), made AS (
    INSERT INTO public.iu_three_axis_envelope AS t
      SELECT k.unit_id, k.canonical_address, k.unit_kind, k.section_type, k.lifecycle_status, k.axis_a_doc_code,
             k.axis_a_sort_order, k.axis_a_section_code, k.axis_b_tags, k.axis_b_tags_by_source, k.axis_c_parent_id,
             k.axis_c_depth, k.axis_c_ancestors, k.axis_c_ancestor_addresses, k.created_at, k.updated_at, now(),
             p_actor
        FROM look k WHERE k.kept_id IS NULL AND k.is_makeable
      ON CONFLICT (unit_id) DO NOTHING
      RETURNING t.unit_id
  ), changed AS (
    UPDATE public.iu_three_axis_envelope t
       SET canonical_address = k.canonical_address, unit_kind = k.unit_kind, section_type = k.section_type,
           lifecycle_status = k.lifecycle_status, axis_a_doc_code = k.axis_a_doc_code,
           axis_a_sort_order = k.axis_a_sort_order, axis_a_section_code = k.axis_a_section_code,
           axis_b_tags = k.axis_b_tags, axis_b_tags_by_source = k.axis_b_tags_by_source,
           axis_c_parent_id = k.axis_c_parent_id, axis_c_depth = k.axis_c_depth,
           axis_c_ancestors = k.axis_c_ancestors, axis_c_ancestor_addresses = k.axis_c_ancestor_addresses,
           created_at = k.created_at, updated_at = k.updated_at, refreshed_at = now(), refreshed_by = p_actor
      FROM look k WHERE t.unit_id = k.kept_id AND k.unit_id IS NOT NULL AND k.is_locked
    RETURNING t.unit_id
  ), gone AS (
    DELETE FROM public.iu_three_axis_envelope t
     USING look k WHERE t.unit_id = k.kept_id AND k.unit_id IS NULL AND k.is_locked
    RETURNING t.unit_id
  ), judged AS MATERIALIZED (
    SELECT coalesce(k.unit_id, k.kept_id) AS unit_id, k.unit_id IS NOT NULL AS in_view,
           k.kept_id IS NOT NULL AS in_table,
           coalesce(k.unit_id, k.kept_id) NOT IN (SELECT m.unit_id FROM made m UNION ALL SELECT c.unit_id FROM changed c
             UNION ALL SELECT g.unit_id FROM gone g) AS is_left
      FROM look k
  )
  SELECT count(*) FILTER (WHERE NOT j.in_table), count(*) FILTER (WHERE NOT j.in_view),
         count(*) FILTER (WHERE j.in_table AND j.in_view), count(*) FILTER (WHERE NOT j.is_left),
         count(*) FILTER (WHERE NOT j.in_view AND NOT j.is_left),
         count(*) FILTER (WHERE j.is_left AND NOT j.in_view), count(*) FILTER (WHERE j.is_left AND NOT j.in_table),
         count(*) FILTER (WHERE j.is_left AND j.in_view AND j.in_table),
         coalesce(array_agg(j.unit_id) FILTER (WHERE j.is_left), '{}'), iu.fn_iu_envelope_count()
    INTO missing_in_table, missing_in_view, content_diff, written, deleted, left_in_table, left_in_view, left_in_both,
         left_over, table_count
    FROM judged j;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_envelope_serve IS
  'For the refresh: writes what differs of these units, but for rows that somebody else is writing. Arguments: who, '
  'the units. Returns rows of the table and what differed before, how many rows were written and how many of these '
  'deleted, and the units that differ still: only the table has them, only the view, both, and which. Raises nothing '
  'of its own; in a transaction with an older snapshot 40001.';

CREATE FUNCTION iu.fn_iu_envelope_fill(
    p_actor text, p_unit_ids uuid[], OUT written bigint, OUT deleted bigint, OUT left_in_table bigint,
    OUT left_in_view bigint, OUT left_in_both bigint, OUT left_over uuid[])
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
  SET app.canonical_writer = 'fn_iu_three_axis_envelope_refresh'
AS $function$
DECLARE
  v_units bigint;
  v_left  record;
BEGIN
  IF NOT iu_core.try_named_lock('iu_three_axis_envelope_insert') THEN
    SELECT s.written, s.deleted, s.left_in_table, s.left_in_view, s.left_in_both, s.left_over
      INTO written, deleted, left_in_table, left_in_view, left_in_both, left_over
      FROM iu.fn_iu_envelope_serve(p_actor, p_unit_ids) s;
    RETURN;
  END IF;
  WITH made AS (
    INSERT INTO public.iu_three_axis_envelope
      SELECT v.*, now(), p_actor FROM iu.v_iu_three_axis_rows v
      ON CONFLICT (unit_id) DO NOTHING
      RETURNING true)
  SELECT count(*), (SELECT count(*) FROM public.information_unit u WHERE u.deleted_at IS NULL)
    INTO written, v_units FROM made;
  deleted := 0;
  left_in_table := 0;
  left_in_view := 0;
  left_in_both := 0;
  left_over := '{}';
  IF written <> v_units THEN
    SELECT c.* INTO v_left FROM iu.fn_iu_envelope_compare(NULL) c;
    left_in_table := v_left.missing_in_view;
    left_in_view := v_left.missing_in_table;
    left_in_both := v_left.content_diff;
    left_over := v_left.differing;
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_envelope_fill IS
  'For the refresh: makes all rows of a table that has none, in one pass, or where another transaction is making rows '
  'does what fn_iu_envelope_serve does. Arguments: who, all units. Returns how many rows were written, none of them '
  'deleted, and the units that differ: only the table has them, only the view, both, and which. Raises nothing of its '
  'own.';

CREATE FUNCTION iu.fn_iu_envelope_run(
    p_actor text, p_dry_run boolean, p_force boolean, OUT outcome text, OUT drift_pre jsonb, OUT drift_post jsonb,
    OUT upserted bigint, OUT deleted bigint, OUT written bigint, OUT acted boolean)
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
  SET jit = off
  SET plan_cache_mode = force_generic_plan
AS $function$
DECLARE
  v_marks record;
  v_full  boolean;
  v_units uuid[];
  v_done  record;
BEGIN
  -- The marks first: what is compared after them is as new as they are, or newer.
  SELECT m.* INTO v_marks FROM iu.fn_iu_envelope_marks() m;
  v_full := iu.fn_iu_envelope_is_full(CASE WHEN p_force AND NOT p_dry_run THEN true END,
                                      cardinality(v_marks.unit_ids), v_marks.everything);
  v_units := v_marks.unit_ids;
  IF p_dry_run OR v_full THEN
    SELECT d.drift, d.differing INTO drift_pre, v_units
      FROM iu.fn_iu_envelope_drift(CASE WHEN NOT v_full THEN v_marks.unit_ids END) d;
  END IF;
  IF p_dry_run THEN
    outcome := 'dry_run';
    drift_post := drift_pre;
    upserted := (drift_pre ->> 'view_count')::bigint;
    deleted := (drift_pre ->> 'missing_in_view')::bigint;
    written := 0;
    acted := false;
    RETURN;
  ELSIF drift_pre ->> 'table_count' = '0' THEN
    SELECT f.* INTO v_done FROM iu.fn_iu_envelope_fill(p_actor, v_units) f;
  ELSE
    SELECT s.* INTO v_done FROM iu.fn_iu_envelope_serve(p_actor, v_units) s;
    IF NOT v_full THEN
      drift_pre := iu.fn_iu_envelope_drift_of(
        v_done.table_count + v_done.missing_in_table - v_done.missing_in_view, v_done.table_count,
        v_done.missing_in_table, v_done.missing_in_view, v_done.content_diff, false);
    END IF;
  END IF;
  PERFORM iu.fn_iu_envelope_unmark(v_marks.mark_ids, v_done.left_over, v_full);
  written := v_done.written;
  deleted := v_done.deleted;
  IF (drift_pre ->> 'in_sync')::boolean AND NOT p_force THEN
    outcome := 'skipped_in_sync';
    drift_post := drift_pre;
    upserted := 0;
    acted := false;
    RETURN;
  END IF;
  IF v_done.left_over <> '{}' OR pg_trigger_depth() > 0 AND v_marks.some_wait THEN
    PERFORM iu_core.wake();
  END IF;
  outcome := 'refreshed';
  upserted := (drift_pre ->> 'view_count')::bigint;
  acted := true;
  drift_post := iu.fn_iu_envelope_drift_of(upserted, upserted - v_done.left_in_view + v_done.left_in_table,
                                           v_done.left_in_view, v_done.left_in_table, v_done.left_in_both, v_full);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_envelope_run IS
  'One look at the envelope, and what follows from it: who, whether nothing is to be written, whether all units are '
  'compared and what differs is written whatever the marks say. Takes away the marks that were looked at, but for '
  'those of units that somebody else is writing, for which it wakes the runner. Returns outcome (dry_run, refreshed, '
  'skipped_in_sync), drift before and after, rows of the view (0 where it was skipped), rows deleted (in a dry run: '
  'that would be), rows written, and whether a refresh was made. Raises nothing of its own.';

CREATE FUNCTION iu.fn_iu_three_axis_envelope_refresh(p_actor text, p_dry_run boolean)
  RETURNS TABLE (upserted_count bigint, deleted_count bigint, view_count bigint, table_count bigint)
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_run record;
BEGIN
  PERFORM iu.fn_iu_require_actor(p_actor, 'refreshes the envelope');
  PERFORM iu.fn_iu_require_value(p_dry_run IS NOT NULL, 'iu_envelope_dry_run', 'p_dry_run', 'true or false', NULL);
  SELECT r.* INTO v_run FROM iu.fn_iu_envelope_run(p_actor, p_dry_run, false) r;
  RETURN QUERY SELECT (v_run.drift_post ->> 'view_count')::bigint, v_run.deleted,
    (v_run.drift_post ->> 'view_count')::bigint, (v_run.drift_post ->> 'table_count')::bigint;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_three_axis_envelope_refresh IS
  'What public.fn_iu_three_axis_envelope_refresh hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_three_axis_envelope_refresh(p_actor text, p_dry_run boolean)
  RETURNS TABLE (upserted_count bigint, deleted_count bigint, view_count bigint, table_count bigint)
  LANGUAGE sql VOLATILE
BEGIN ATOMIC
  SELECT * FROM iu.fn_iu_three_axis_envelope_refresh(p_actor, p_dry_run)
   WHERE iu_core.require_role('{iu_core_operator}');
END;
COMMENT ON FUNCTION public.fn_iu_three_axis_envelope_refresh IS
  'Makes iu_three_axis_envelope as the view is: who, and whether that is a dry run, which writes nothing. Compares '
  'what fn_iu_three_axis_envelope_drift_check(NULL) compares, and writes only what differs. Returns one row: all '
  'rows of the view (upserted_count, whether they differed or not), rows that were or would be deleted, rows of the '
  'view, rows of the table. A row that another transaction is writing is left to it. SQLSTATE 23514: actor or '
  'p_dry_run missing; 42501 for whoever is not in iu_core_operator; 40001 in a transaction whose snapshot is older '
  'than what it would write.';
