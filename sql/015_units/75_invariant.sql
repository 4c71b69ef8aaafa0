-- What has to hold of all units at any time.

CREATE VIEW public.v_iu_unit_anchor AS
  SELECT u.canonical_address AS key, u.content_anchor_ref AS left_value, v.content_hash AS right_value
    FROM public.information_unit u
    LEFT JOIN public.unit_version v ON v.id = u.version_anchor_ref AND v.unit_id = u.id;
COMMENT ON VIEW public.v_iu_unit_anchor IS
  'One row a unit, for invariant iu.unit_has_anchor: address, its content anchor, and the content hash of the version '
  'that its version anchor names, NULL where that is none of its versions. The two are equal.';

SELECT iu.fn_iu_invariant_define(15, 'iu.unit_has_anchor', 'public.v_iu_unit_anchor',
  'Every unit has a version of its own as its anchor, and the digest of that version.',
  p_every_seconds => 3600, p_timeout_ms => 60000);

SELECT iu.fn_iu_surface_define(15, 'information_unit', 'information_unit', 'query',
  $$SELECT count(*) FROM public.information_unit$$, p_sort_order => 10);
