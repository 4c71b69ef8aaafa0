-- What has to hold of the tree at any time.

CREATE VIEW public.v_iu_tree_path_check AS
  SELECT u.canonical_address AS key,
         t.path_hash || ' ' || t.depth || ' ' || coalesce(t.parent_id::text, '') || ' '
           || array_to_string(t.path_addresses, ' > ') AS left_value,
         encode(sha256(convert_to(array_to_string(d.path_ids, '/'), 'UTF8')), 'hex') || ' ' || d.depth || ' '
           || coalesce(d.parent_id::text, '') || ' ' || array_to_string(d.path_addresses, ' > ') AS right_value
    FROM public.information_unit u
    LEFT JOIN public.iu_tree_path t ON t.unit_id = u.id
    LEFT JOIN public.v_iu_tree d ON d.unit_id = u.id;
COMMENT ON VIEW public.v_iu_tree_path_check IS
  'One row a unit, for invariant iu.tree_path_true: address, the path that is kept, the path by parents. The two are '
  'equal.';

CREATE VIEW public.v_iu_tree_cycle AS
  SELECT 0::bigint AS left_value,
         (SELECT count(*) FROM public.information_unit) - (SELECT count(*) FROM public.v_iu_tree) AS right_value;
COMMENT ON VIEW public.v_iu_tree_cycle IS
  'One row, for invariant iu.no_cycle: 0, and how many units have no root, since they are on a cycle or below one.';

SELECT iu.fn_iu_invariant_define(17, 'iu.tree_path_true', 'public.v_iu_tree_path_check',
  'The path that is kept of every unit is the one by its parents.', p_every_seconds => 3600, p_timeout_ms => 60000);
SELECT iu.fn_iu_invariant_define(17, 'iu.no_cycle', 'public.v_iu_tree_cycle',
  'Every unit has a root.', p_every_seconds => 3600, p_timeout_ms => 60000);
