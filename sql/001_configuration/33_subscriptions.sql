-- What a subscription to all tables of another database brings. The rows of
-- governed tables are facts of that other database: they are left out here, so
-- that they open nothing and deliver nothing, and so that nothing that they
-- would collide with stops the subscription. Events are taken as history.

CREATE FUNCTION iu.fn_iu_leave_out_subscriptions() RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_table regclass;
BEGIN
  FOR v_table IN
    SELECT c.oid FROM pg_class c
     WHERE c.relkind IN ('r', 'p') AND c.relowner = 'iu_core_owner'::regrole
       AND c.relnamespace IN ('public'::regnamespace, 'iu'::regnamespace) AND NOT c.relispartition
       AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'trg_0_subscription')
     ORDER BY c.oid
  LOOP
    -- Triggers fire in the order of their names: nothing refuses the row before it is left out.
    EXECUTE format('CREATE TRIGGER trg_0_subscription BEFORE INSERT OR UPDATE OR DELETE ON %s '
                   'FOR EACH ROW EXECUTE FUNCTION iu_core.leave_out_replicated()', v_table);
    EXECUTE format('ALTER TABLE %s ENABLE REPLICA TRIGGER trg_0_subscription', v_table);
    EXECUTE format('COMMENT ON TRIGGER trg_0_subscription ON %s IS %L', v_table,
                   'Leaves out what a subscription brings.');
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_leave_out_subscriptions IS
  'Called by the migration runner after each script: every table of iu_core_owner that has no trigger '
  'trg_0_subscription of its own gets one, which leaves out what a subscription brings (iu_core.is_replicated). It '
  'fires in replica role only, so that nobody else pays for it. Raises nothing of its own.';
