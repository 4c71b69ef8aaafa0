-- What holds of links and of their routes whoever writes them.

CREATE FUNCTION iu.fn_iu_sql_link_guard() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  -- What a subscription brings is left out by triggers of its own, and must not stop it.
  IF iu_core.is_replicated() THEN
    RETURN NULL;
  END IF;
  RAISE insufficient_privilege USING
    MESSAGE = format('direct write to %s not allowed', TG_TABLE_NAME),
    DETAIL = format('%s of %s is refused. Rows are written by fn_iu_sql_link_add, fn_iu_sql_event_route_add and their '
                    'kin.', TG_OP, TG_TABLE_NAME),
    TABLE = TG_TABLE_NAME, CONSTRAINT = 'iu_sql_link_blocked';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_sql_link_guard IS
  'Statement trigger of iu_sql_link and iu_sql_event_route: refuses a write that is no function''s of ours with '
  'SQLSTATE 42501.';

CREATE FUNCTION iu.fn_iu_sql_link_unchanged() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF OLD.lifecycle_status <> 'active' OR NEW.lifecycle_status <> 'retired'
     OR to_jsonb(OLD) - '{lifecycle_status,enabled,valid_to}'::text[]
        <> to_jsonb(NEW) - '{lifecycle_status,enabled,valid_to}'::text[] THEN
    RAISE insufficient_privilege USING
      MESSAGE = 'a link does not change but that it is retired',
      DETAIL = format('Link: %s; status: %s; status to be: %s.', OLD.id, OLD.lifecycle_status, NEW.lifecycle_status),
      HINT = 'Retire it with fn_iu_sql_link_retire, once, and add another one.',
      TABLE = 'iu_sql_link', CONSTRAINT = 'iu_sql_link_unchanged';
  END IF;
  RETURN NEW;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_sql_link_unchanged IS
  'Row trigger of iu_sql_link: a link is retired, once, and nothing else of it changes (42501).';

CREATE TRIGGER trg_aa_iu_sql_link_guard
  BEFORE INSERT OR UPDATE ON public.iu_sql_link
  FOR EACH STATEMENT WHEN (CURRENT_USER <> 'iu_core_owner') EXECUTE FUNCTION iu.fn_iu_sql_link_guard();
CREATE TRIGGER trg_iu_sql_link_append_only
  BEFORE DELETE OR TRUNCATE ON public.iu_sql_link
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_append_only();
CREATE TRIGGER trg_iu_sql_link_unchanged
  BEFORE UPDATE ON public.iu_sql_link
  FOR EACH ROW EXECUTE FUNCTION iu.fn_iu_sql_link_unchanged();
CREATE TRIGGER trg_aa_iu_sql_event_route_guard
  BEFORE INSERT OR UPDATE OR DELETE ON public.iu_sql_event_route
  FOR EACH STATEMENT WHEN (CURRENT_USER <> 'iu_core_owner') EXECUTE FUNCTION iu.fn_iu_sql_link_guard();
CREATE TRIGGER trg_aa_iu_sql_event_route_truncate_guard
  BEFORE TRUNCATE ON public.iu_sql_event_route
  FOR EACH STATEMENT WHEN (CURRENT_USER <> 'iu_core_owner') EXECUTE FUNCTION iu.fn_iu_sql_link_guard();
ALTER TABLE public.iu_sql_link
  ENABLE ALWAYS TRIGGER trg_aa_iu_sql_link_guard, ENABLE ALWAYS TRIGGER trg_iu_sql_link_append_only,
  ENABLE ALWAYS TRIGGER trg_iu_sql_link_unchanged;
ALTER TABLE public.iu_sql_event_route
  ENABLE ALWAYS TRIGGER trg_aa_iu_sql_event_route_guard,
  ENABLE ALWAYS TRIGGER trg_aa_iu_sql_event_route_truncate_guard;
COMMENT ON TRIGGER trg_aa_iu_sql_link_guard ON public.iu_sql_link IS
  'Refuses writes that are no function''s of ours (42501).';
COMMENT ON TRIGGER trg_iu_sql_link_append_only ON public.iu_sql_link IS 'Links are not deleted (42501).';
COMMENT ON TRIGGER trg_iu_sql_link_unchanged ON public.iu_sql_link IS 'A link is retired, once (42501).';
COMMENT ON TRIGGER trg_aa_iu_sql_event_route_guard ON public.iu_sql_event_route IS
  'Refuses writes that are no function''s of ours (42501).';
COMMENT ON TRIGGER trg_aa_iu_sql_event_route_truncate_guard ON public.iu_sql_event_route IS
  'Refuses TRUNCATE (42501).';
