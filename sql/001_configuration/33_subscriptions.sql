-- What a subscription to all tables of another database brings. The rows of
-- governed tables are facts of that other database: they are left out here, so
-- that they open nothing and deliver nothing, and so that nothing that they
-- would collide with stops the subscription. Events are taken as history.

CREATE FUNCTION iu.fn_iu_published_whole() RETURNS SETOF text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT format('publication %I carries the tables of iu_core to whoever subscribes, since it is for %s: make one that '
                'names the tables that are meant', p.pubname,
                CASE WHEN p.puballtables THEN 'all tables' ELSE 'all tables in schema ' || n.pnnspid::regnamespace END)
    FROM pg_publication p
    LEFT JOIN pg_publication_namespace n ON n.pnpubid = p.oid AND n.pnnspid = 'public'::regnamespace
   WHERE p.puballtables OR n.oid IS NOT NULL
   ORDER BY p.pubname
$function$;
COMMENT ON FUNCTION iu.fn_iu_published_whole IS
  'Publications with which the tables of iu_core travel though nobody named them, in words. A subscriber that has '
  'iu_core takes events as history and leaves out the rest; what another one makes of gates, routes and secrets nobody '
  'here knows. Raises nothing.';

CREATE FUNCTION iu.fn_iu_numbers_kept() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_column record;
BEGIN
  IF iu_core.is_replicated() THEN
    FOR v_column IN
      SELECT a.attname, d.objid::regclass AS numbers
        FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
       WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = TG_RELID
         AND d.deptype IN ('a', 'i') AND EXISTS (SELECT FROM pg_sequence s WHERE s.seqrelid = d.objid)
    LOOP
      EXECUTE format('SELECT setval(%L, greatest(s.last_value + s.is_called::integer, '
                     '(SELECT max(t.%I) + 1 FROM %s t)), false) FROM %s s',
                     v_column.numbers, v_column.attname, TG_RELID::regclass, v_column.numbers);
    END LOOP;
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_numbers_kept IS
  'Trigger after TRUNCATE: where another database emptied the table and began its numbers anew, which leaves the rows '
  'here as they are, the numbers go on behind those that are taken. Raises nothing of its own.';

CREATE FUNCTION iu.fn_iu_leave_out_subscriptions() RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_table record;
BEGIN
  FOR v_table IN
    SELECT c.oid::regclass AS name, ARRAY(SELECT t.tgname::text FROM pg_trigger t WHERE t.tgrelid = c.oid) AS triggers
      FROM pg_class c
     WHERE c.relkind = 'r' AND c.relowner = 'iu_core_owner'::regrole
       AND c.relnamespace IN (SELECT n.oid FROM pg_namespace n
                               WHERE n.nspname = 'public' OR n.nspowner = 'iu_core_owner'::regrole)
       AND NOT c.relispartition
     ORDER BY c.oid
  LOOP
    -- Triggers fire in the order of their names: nothing refuses the row before it is left out.
    IF 'trg_0_subscription' <> ALL (v_table.triggers) THEN
      EXECUTE format('CREATE TRIGGER trg_0_subscription BEFORE INSERT OR UPDATE OR DELETE ON %s '
                     'FOR EACH ROW EXECUTE FUNCTION iu_core.leave_out_replicated()', v_table.name);
      EXECUTE format('ALTER TABLE %s ENABLE REPLICA TRIGGER trg_0_subscription', v_table.name);
      EXECUTE format('COMMENT ON TRIGGER trg_0_subscription ON %s IS %L', v_table.name,
                     'Leaves out what a subscription brings.');
    END IF;
    -- The last one before, and the first two after it.
    IF 'trg_zz_subscription_truncate' <> ALL (v_table.triggers) THEN
      EXECUTE format('CREATE TRIGGER trg_zz_subscription_truncate BEFORE TRUNCATE ON %1$s '
                     'FOR EACH STATEMENT EXECUTE FUNCTION iu_core.keep_from_truncation(); '
                     'CREATE TRIGGER trg_0_subscription_truncated AFTER TRUNCATE ON %1$s '
                     'FOR EACH STATEMENT EXECUTE FUNCTION iu_core.keep_from_truncation(); '
                     'CREATE TRIGGER trg_1_subscription_numbers AFTER TRUNCATE ON %1$s '
                     'FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_numbers_kept()', v_table.name);
      EXECUTE format('ALTER TABLE %s ENABLE REPLICA TRIGGER trg_zz_subscription_truncate, '
                     'ENABLE REPLICA TRIGGER trg_0_subscription_truncated, '
                     'ENABLE REPLICA TRIGGER trg_1_subscription_numbers', v_table.name);
      EXECUTE format('COMMENT ON TRIGGER trg_zz_subscription_truncate ON %1$s IS %2$L; '
                     'COMMENT ON TRIGGER trg_0_subscription_truncated ON %1$s IS %2$L; '
                     'COMMENT ON TRIGGER trg_1_subscription_numbers ON %1$s IS %3$L', v_table.name,
                     'Keeps the rows where a subscription would empty the table.',
                     'Keeps the numbers where a subscription would begin them anew.');
    END IF;
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_leave_out_subscriptions IS
  'Called by the migration runner after each script: every table of iu_core_owner that has no trigger '
  'trg_0_subscription of its own gets one, which leaves out what a subscription brings (iu_core.is_replicated), and '
  'three that keep its rows and numbers where the table is emptied elsewhere. They fire in replica role only, so that '
  'nobody else pays for them. Raises nothing of its own.';
