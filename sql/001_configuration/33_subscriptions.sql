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

-- A trigger for rows of a table in partitions is one of each of them; one for statements is not.
CREATE FUNCTION iu.fn_iu_subscription_triggers()
  RETURNS TABLE (trigger_name text, of_table boolean, of_root boolean, of_partition boolean, fires text, calls text,
                 comment text)
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  VALUES ('trg_0_subscription', true, true, false, 'BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW',
          'iu_core.leave_out_replicated()', 'Leaves out what a subscription brings.'),
         ('trg_zz_subscription_truncate', true, false, true, 'BEFORE TRUNCATE ON %s FOR EACH STATEMENT',
          'iu_core.keep_from_truncation()', 'Keeps the rows where a subscription would empty the table.'),
         ('trg_0_subscription_truncated', true, false, true, 'AFTER TRUNCATE ON %s FOR EACH STATEMENT',
          'iu_core.keep_from_truncation()', 'Keeps the rows where a subscription would empty the table.'),
         ('trg_1_subscription_numbers', true, true, false, 'AFTER TRUNCATE ON %s FOR EACH STATEMENT',
          'iu.fn_iu_numbers_kept()', 'Keeps the numbers where a subscription would begin them anew.')
$function$;
COMMENT ON FUNCTION iu.fn_iu_subscription_triggers IS
  'The triggers that keep what a subscription brings out of a table: name, whether an ordinary table has it, one in '
  'partitions, and each partition for itself; when it fires, what it calls, its comment. They fire in the order of '
  'their names: nothing refuses a row before it is left out; of those of TRUNCATE the last one before it and the first '
  'two after it.';

CREATE FUNCTION iu.fn_iu_leave_out_subscriptions() RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_new record;
BEGIN
  FOR v_new IN
    SELECT c.oid::regclass AS name, t.trigger_name, format(t.fires, c.oid::regclass) AS fires, t.calls, t.comment
      FROM pg_class c CROSS JOIN iu.fn_iu_subscription_triggers() t
     WHERE c.relkind IN ('r', 'p') AND c.relowner = 'iu_core_owner'::regrole
       AND c.relnamespace IN ('public'::regnamespace, 'iu'::regnamespace)
       AND CASE WHEN c.relispartition THEN t.of_partition WHEN c.relkind = 'p' THEN t.of_root ELSE t.of_table END
       AND NOT EXISTS (SELECT FROM pg_trigger o WHERE o.tgrelid = c.oid AND o.tgname = t.trigger_name)
     ORDER BY c.oid, t.trigger_name
  LOOP
    EXECUTE format('CREATE TRIGGER %I %s EXECUTE FUNCTION %s', v_new.trigger_name, v_new.fires, v_new.calls);
    EXECUTE format('ALTER TABLE %s ENABLE REPLICA TRIGGER %I', v_new.name, v_new.trigger_name);
    EXECUTE format('COMMENT ON TRIGGER %I ON %s IS %L', v_new.trigger_name, v_new.name, v_new.comment);
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_leave_out_subscriptions IS
  'Called by the migration runner after each script, and for a new partition: every table of iu_core_owner that has no '
  'trigger trg_0_subscription of its own gets one, which leaves out what a subscription brings '
  '(iu_core.is_replicated), and three that keep its rows and numbers where the table is emptied elsewhere '
  '(fn_iu_subscription_triggers). They fire in replica role only, so that nobody else pays for them. Raises nothing of '
  'its own.';
