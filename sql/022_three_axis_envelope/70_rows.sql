-- Commands, surfaces, invariants and refusals of 022.

INSERT INTO public.dot_iu_command_catalog
    (command_name, category, mutating, reversible, target_functions, logged_by) VALUES
  ('dot_iu_three_axis_envelope_refresh', 'health', true, true, ARRAY['fn_iu_three_axis_envelope_refresh'], 'runtime'),
  ('dot_iu_three_axis_envelope_drift_check', 'read', false, true, ARRAY['fn_iu_three_axis_envelope_drift_check'],
   'caller');

SELECT iu.fn_iu_surface_define(22, 'iu_three_axis_envelope', 'iu_three_axis_envelope', 'query',
  'SELECT count(*) FROM public.iu_three_axis_envelope', p_sort_order => 200);
SELECT iu.fn_iu_surface_define(22, 'envelope_documents', 'Envelope: documents / rows of documents', 'query', $query$
  SELECT count(DISTINCT e.axis_a_doc_code) || ' / ' || count(e.axis_a_doc_code)
    FROM public.iu_three_axis_envelope e$query$, p_sort_order => 201);

-- Beyond a million units one pass takes longer than an invariant may. So there is
-- a part of them each day, by the hash of the unit, and some days later all were
-- looked at.
CREATE VIEW iu.v_iu_envelope_true AS
  WITH size AS MATERIALIZED (
    SELECT coalesce(sum(t.delta), 0) AS units, ceil(greatest(sum(t.delta), 1) / 250000)::bigint AS parts
      FROM public.iu_three_axis_envelope_tally t
  ), part AS MATERIALIZED (
    SELECT s.parts, floor(extract(epoch FROM now()) / 86400)::bigint % s.parts AS today
      FROM size s WHERE s.units > 1000000
  )
  SELECT coalesce(v.unit_id, t.unit_id)::text AS key, CASE WHEN v.unit_id IS NOT NULL THEN 0 END AS left_value,
         CASE WHEN t.unit_id IS NOT NULL THEN (v IS DISTINCT FROM t)::integer END AS right_value
    FROM iu.v_iu_three_axis_rows v FULL JOIN iu.v_iu_three_axis_kept t ON t.unit_id = v.unit_id
   WHERE NOT EXISTS (SELECT FROM part)
  UNION ALL
  SELECT coalesce(v.unit_id, t.unit_id)::text, CASE WHEN v.unit_id IS NOT NULL THEN 0 END,
         CASE WHEN t.unit_id IS NOT NULL THEN (v IS DISTINCT FROM t)::integer END
    FROM (SELECT e.* FROM public.v_ui_iu_three_axis_envelope e
           WHERE abs(uuid_hash_extended(e.unit_id, 0) % (SELECT p.parts FROM part p)) = (SELECT p.today FROM part p)
         ) AS v
    FULL JOIN (
           SELECT e.* FROM iu.v_iu_three_axis_kept e
            WHERE abs(uuid_hash_extended(e.unit_id, 0) % (SELECT p.parts FROM part p)) = (SELECT p.today FROM part p)
         ) AS t ON t.unit_id = v.unit_id
   WHERE EXISTS (SELECT FROM part);
COMMENT ON VIEW iu.v_iu_envelope_true IS
  'Invariant iu.envelope_true: a unit is its key, left is 0 where the view has it, right 0 where the envelope has the '
  'same, 1 where it has another content. Beyond 1000000 units those of today''s part.';

CREATE VIEW iu.v_iu_envelope_units AS
  SELECT (SELECT count(*) FROM public.information_unit u WHERE u.deleted_at IS NULL) AS left_value,
         (SELECT coalesce(sum(t.delta), 0)::bigint FROM public.iu_three_axis_envelope_tally t) AS right_value;
COMMENT ON VIEW iu.v_iu_envelope_units IS
  'Invariant iu.envelope_units: how many units are not deleted, and how many rows the envelope has by its tally.';

-- While the gate is closed nobody refreshes by himself, so that both are warnings.
SELECT iu.fn_iu_invariant_define(22, 'iu.envelope_true', 'iu.v_iu_envelope_true',
  'the envelope has the rows of the view', 'warning', p_every_seconds => 86400, p_timeout_ms => 60000);
SELECT iu.fn_iu_invariant_define(22, 'iu.envelope_units', 'iu.v_iu_envelope_units',
  'the envelope has as many rows as there are units', 'warning', p_settle_seconds => 60, p_every_seconds => 300);

SELECT iu.fn_iu_refusal_put(22, ARRAY[
  ['iu_envelope_dry_run', '23514', 'Whether the refresh is a dry run was left out.', 'Give true or false.']]);
