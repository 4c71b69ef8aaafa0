-- Whether a change had its effect, and what stood in its way. A rule, a trigger
-- or a policy that somebody put on a governed table can turn an UPDATE into
-- nothing, without an error; only a look at the table afterwards tells.

CREATE FUNCTION iu.fn_iu_in_the_way(p_table regclass) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
  SET quote_all_identifiers = off
AS $function$
  SELECT coalesce(string_agg(w.what, ', ' ORDER BY w.n, w.what), 'something that the catalog does not show')
    FROM (SELECT 1 AS n, format('rule %I ON %s', r.rulename, p_table) AS what
            FROM pg_rewrite r WHERE r.ev_class = p_table AND r.ev_type <> '1'
          UNION ALL
          -- Row triggers that come before the change may leave it out or make another one of it.
          SELECT 2, format('trigger %I ON %s', t.tgname, p_table)
            FROM pg_trigger t
           WHERE t.tgrelid = p_table AND NOT t.tgisinternal AND t.tgenabled NOT IN ('D', 'R') AND t.tgtype & 3 = 3
             AND NOT EXISTS (SELECT FROM public.iu_governed_object g
                              WHERE g.object_class = 'trigger'
                                AND g.object_name = format('%I ON %s', t.tgname,
                                      regexp_replace(p_table::text, '^public[.]', '')))
          UNION ALL
          SELECT 3, format('row security of %s, forced for its owner', p_table)
            FROM pg_class c WHERE c.oid = p_table AND c.relrowsecurity AND c.relforcerowsecurity
          UNION ALL
          SELECT 4, format('policy %I ON %s', p.polname, p_table)
            FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
           WHERE p.polrelid = p_table AND c.relrowsecurity AND c.relforcerowsecurity) AS w
$function$;
COMMENT ON FUNCTION iu.fn_iu_in_the_way IS
  'What on a table can keep a change from having its effect, in words: rules, row triggers BEFORE it that no migration '
  'made, row security that holds for the owner, its policies. Raises nothing.';

CREATE FUNCTION iu.fn_iu_require_effect(p_has_effect boolean, p_table regclass, p_change text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_in_the_way text;
BEGIN
  IF p_has_effect IS NOT TRUE THEN
    v_in_the_way := iu.fn_iu_in_the_way(p_table);
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('%s had no effect: in the way is %s', p_change, v_in_the_way),
      DETAIL = format('In the way: %s.', v_in_the_way),
      HINT = 'Have a superuser remove it, then try again in a new session.', CONSTRAINT = 'iu_change_without_effect';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_require_effect IS
  'After a change of a governed table: whether a look at the table has shown its effect (NULL: no), the table, what '
  'was done in words. Error: 55000, iu_change_without_effect, naming what stands in the way.';
