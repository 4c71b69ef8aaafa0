-- Directus as a remote whose counts are compared with ours; the table is named with
-- fn_iu_health_bind of 021.

INSERT INTO public.iu_health_surface (surface, handler, resource, counted, invariant_code, migration) VALUES
  ('directus_collection', 'iu_core.directus_fdw_handler()', 'collections', 'items', 'directus.envelope_equals_items',
   40);

CREATE VIEW iu.v_iu_directus_items AS
  SELECT 'iu_three_axis_envelope' AS key,
         (SELECT coalesce(sum(t.delta), 0)::numeric FROM public.iu_three_axis_envelope_tally t) AS left_value,
         (SELECT c.counted FROM iu.fn_iu_health_counts('directus_collection', ARRAY['iu_three_axis_envelope']) c)
           AS right_value;
COMMENT ON VIEW iu.v_iu_directus_items IS
  'Invariant directus.envelope_equals_items: the collection of the envelope is the key, left is how many rows it has '
  'by its tally, right how many items Directus counts.';

SELECT iu.fn_iu_invariant_define(40, 'directus.envelope_equals_items', 'iu.v_iu_directus_items',
  'Directus has as many items of the envelope as it has rows', 'warning', p_settle_seconds => 600,
  p_every_seconds => 600, p_timeout_ms => 30000, p_enabled => false);
