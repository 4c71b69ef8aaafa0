-- The refresh. What is written was read after the row was locked, since a row that
-- is computed first and written then loses what somebody else committed between the
-- two. A row that somebody else has locked is left with its mark: he, or whoever
-- comes for left-over marks, serves it. So no refresh waits for another one.

-- Rows for units that this transaction made are nobody else's business. For others
-- one transaction at a time makes rows: two that insert the same key would wait.
CREATE FUNCTION iu.fn_iu_envelope_insert(p_actor text, p_unit_ids uuid[], p_all boolean) RETURNS uuid[]
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
  SET jit = off
AS $function$
DECLARE
  v_missing uuid[];
  v_made    uuid[];
BEGIN
  v_missing := ARRAY(SELECT u.id FROM unnest(p_unit_ids) AS d (id)
                       JOIN public.information_unit u ON u.id = d.id AND u.deleted_at IS NULL
                      WHERE NOT EXISTS (SELECT FROM public.iu_three_axis_envelope t WHERE t.unit_id = u.id));
  IF v_missing = '{}' THEN
    RETURN v_missing;
  ELSIF NOT pg_try_advisory_xact_lock(hashtextextended('iu_three_axis_envelope_insert', 0)) THEN
    v_missing := ARRAY(SELECT u.id FROM public.information_unit u
                        WHERE u.id = ANY (v_missing) AND iu_core.xid_is_mine(u.xmin));
  END IF;
  IF p_all AND cardinality(v_missing) > 20000 THEN
    WITH made AS (
      INSERT INTO public.iu_three_axis_envelope
        SELECT v.*, now(), p_actor
          FROM iu.v_iu_three_axis_rows v JOIN unnest(v_missing) AS d (id) ON d.id = v.unit_id
        ON CONFLICT (unit_id) DO NOTHING
        RETURNING unit_id)
    SELECT array_agg(m.unit_id) INTO v_made FROM made m;
  ELSE
    WITH made AS (
      INSERT INTO public.iu_three_axis_envelope
        SELECT v.*, now(), p_actor
          FROM public.v_ui_iu_three_axis_envelope v WHERE v.unit_id = ANY (v_missing)
        ON CONFLICT (unit_id) DO NOTHING
        RETURNING unit_id)
    SELECT array_agg(m.unit_id) INTO v_made FROM made m;
  END IF;
  RETURN coalesce(v_made, '{}');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_envelope_insert IS
  'For the refresh: makes the rows that are missing for these units, and returns for which it did. Arguments: who, the '
  'units, whether all units were compared. Where another transaction is making rows, only those of units that this '
  'one made. Raises nothing of its own.';

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
          AND CASE WHEN m.unit_id IS NULL THEN p_all AND p_left_over = '{}' ELSE m.unit_id <> ALL (p_left_over) END
          FOR UPDATE SKIP LOCKED);
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_envelope_unmark IS
  'For the refresh: deletes marks that were served, by their numbers, and waits for nobody. Arguments: the marks; the '
  'units that are left over, whose marks stay; whether all units were compared: only then, and where none is left '
  'over, a mark goes that stands for every unit. Raises nothing.';

CREATE FUNCTION iu.fn_iu_envelope_rows_of(p_unit_ids uuid[]) RETURNS SETOF public.v_ui_iu_three_axis_envelope
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
  SET jit = off
AS $function$
BEGIN
  IF cardinality(p_unit_ids) > 20000 THEN
    RETURN QUERY SELECT v.* FROM iu.v_iu_three_axis_rows v JOIN unnest(p_unit_ids) AS d (id) ON d.id = v.unit_id;
  ELSE
    RETURN QUERY SELECT v.* FROM public.v_ui_iu_three_axis_envelope v WHERE v.unit_id = ANY (p_unit_ids);
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_envelope_rows_of IS
  'For the refresh: the rows that the view has for these units, one by one or, where they are many, all at once. '
  'Raises nothing.';

CREATE FUNCTION iu.fn_iu_envelope_write(
    p_actor text, p_unit_ids uuid[], p_mark_ids bigint[], p_all boolean, OUT written bigint, OUT deleted bigint,
    OUT left_over uuid[])
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
  SET app.canonical_writer = 'fn_iu_three_axis_envelope_refresh'
  SET jit = off
AS $function$
DECLARE
  v_made   CONSTANT uuid[] := iu.fn_iu_envelope_insert(p_actor, p_unit_ids, p_all);
  v_served uuid[];
BEGIN
  v_served := ARRAY(SELECT t.unit_id FROM public.iu_three_axis_envelope t
                     WHERE t.unit_id IN (SELECT d.id FROM unnest(p_unit_ids) AS d (id)
                                         EXCEPT ALL SELECT m.id FROM unnest(v_made) AS m (id))
                     ORDER BY t.unit_id FOR UPDATE OF t SKIP LOCKED);
  written := cardinality(v_made);
  deleted := 0;
  IF v_served <> '{}' THEN
    UPDATE public.iu_three_axis_envelope t
       SET canonical_address = v.canonical_address, unit_kind = v.unit_kind, section_type = v.section_type,
           lifecycle_status = v.lifecycle_status, axis_a_doc_code = v.axis_a_doc_code,
           axis_a_sort_order = v.axis_a_sort_order, axis_a_section_code = v.axis_a_section_code,
           axis_b_tags = v.axis_b_tags, axis_b_tags_by_source = v.axis_b_tags_by_source,
           axis_c_parent_id = v.axis_c_parent_id, axis_c_depth = v.axis_c_depth,
           axis_c_ancestors = v.axis_c_ancestors, axis_c_ancestor_addresses = v.axis_c_ancestor_addresses,
           created_at = v.created_at, updated_at = v.updated_at, refreshed_at = now(), refreshed_by = p_actor
      FROM iu.fn_iu_envelope_rows_of(v_served) v JOIN iu.v_iu_three_axis_kept k ON k.unit_id = v.unit_id
     WHERE t.unit_id = v.unit_id AND ROW(v.*) IS DISTINCT FROM ROW(k.*);
    GET DIAGNOSTICS written = ROW_COUNT;
    written := written + cardinality(v_made);
    -- One by one by key: most statements delete nothing.
    IF EXISTS (SELECT FROM unnest(v_served) AS s (id)
                 LEFT JOIN public.information_unit u ON u.id = s.id AND u.deleted_at IS NULL
                WHERE u.id IS NULL) THEN
      DELETE FROM public.iu_three_axis_envelope t
       WHERE t.unit_id = ANY (v_served)
         AND NOT EXISTS (SELECT FROM public.information_unit u WHERE u.id = t.unit_id AND u.deleted_at IS NULL);
      GET DIAGNOSTICS deleted = ROW_COUNT;
      written := written + deleted;
    END IF;
  END IF;
  left_over := ARRAY(SELECT d.id FROM unnest(p_unit_ids) AS d (id)
                     EXCEPT SELECT s.id FROM unnest(v_served) AS s (id)
                     EXCEPT SELECT m.id FROM unnest(v_made) AS m (id));
  PERFORM iu.fn_iu_envelope_unmark(p_mark_ids, left_over, p_all);
  IF left_over <> '{}' OR pg_trigger_depth() > 0 AND cardinality(p_mark_ids) = 1000 THEN
    PERFORM iu_core.wake();
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_envelope_write IS
  'For the refresh: writes what differs of these units, and takes away the marks that were looked at, but for those of '
  'units that somebody else is writing. Arguments: who, the units, the marks, whether all units were compared. Returns '
  'how many rows were written, how many of them deleted, and the units that are left over, for which it wakes the '
  'runner. Raises nothing of its own; '
  'in a transaction with an older snapshot 40001.';

CREATE FUNCTION iu.fn_iu_envelope_run(
    p_actor text, p_dry_run boolean, p_force boolean, OUT outcome text, OUT drift_pre jsonb, OUT drift_post jsonb,
    OUT upserted bigint, OUT deleted bigint, OUT written bigint, OUT acted boolean)
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_before record;
  v_done   record;
  v_left   record;
BEGIN
  SELECT d.* INTO v_before FROM iu.fn_iu_envelope_drift(CASE WHEN p_force AND NOT p_dry_run THEN true END) d;
  drift_pre := v_before.drift;
  drift_post := v_before.drift;
  upserted := 0;
  deleted := 0;
  written := 0;
  acted := false;
  IF p_dry_run THEN
    outcome := 'dry_run';
    upserted := (drift_pre ->> 'view_count')::bigint;
    deleted := (drift_pre ->> 'missing_in_view')::bigint;
  ELSIF (drift_pre ->> 'in_sync')::boolean AND NOT p_force THEN
    outcome := 'skipped_in_sync';
    PERFORM iu.fn_iu_envelope_unmark(v_before.mark_ids, '{}', drift_pre ->> 'scope' = 'full');
  ELSE
    outcome := 'refreshed';
    acted := true;
    SELECT w.* INTO v_done FROM iu.fn_iu_envelope_write(p_actor, v_before.differing, v_before.mark_ids,
                                                        drift_pre ->> 'scope' = 'full') w;
    written := v_done.written;
    deleted := v_done.deleted;
    -- Looked at again, and not taken for granted: what was served, and what somebody else is writing.
    SELECT c.* INTO v_left FROM iu.fn_iu_envelope_compare(
      CASE WHEN cardinality(v_before.differing) <= 20000 THEN v_before.differing END) c;
    drift_post := drift_pre || jsonb_build_object(
      'view_count', (drift_pre ->> 'view_count')::bigint,
      'table_count', (drift_pre ->> 'view_count')::bigint - v_left.missing_in_table + v_left.missing_in_view,
      'missing_in_table', v_left.missing_in_table, 'missing_in_view', v_left.missing_in_view,
      'content_diff_count', v_left.content_diff, 'in_sync', cardinality(v_left.differing) = 0,
      'checked_at', clock_timestamp());
    upserted := (drift_post ->> 'view_count')::bigint;
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_envelope_run IS
  'One look at the envelope, and what follows from it: who, whether nothing is to be written, whether all units are '
  'compared and what differs is written whatever the marks say. Returns outcome (dry_run, refreshed, '
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
