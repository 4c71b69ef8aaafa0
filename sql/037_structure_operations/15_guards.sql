-- What holds of structure operations and relations whoever writes them: nobody but
-- our functions does, nothing is deleted, and what was planned stays as it was planned.

CREATE FUNCTION iu.fn_iu_structure_guard() RETURNS trigger
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
    DETAIL = format('%s of %s is refused. Rows are written by fn_iu_structure_op_plan, _apply and _rollback.', TG_OP,
                    TG_TABLE_NAME),
    TABLE = TG_TABLE_NAME, CONSTRAINT = 'iu_structure_blocked';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_guard IS
  'Statement trigger of iu_structure_operation and iu_relation: refuses a write that is no function''s of ours with '
  'SQLSTATE 42501.';

CREATE FUNCTION iu.fn_iu_structure_unchanged() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_may CONSTANT text[] := CASE TG_TABLE_NAME
    WHEN 'iu_relation' THEN ARRAY['relation_status', 'valid_to']
    ELSE ARRAY['operation_status', 'enacted_at', 'updated_at', 'impact_summary'] END;
  v_was CONSTANT text := coalesce(to_jsonb(OLD) ->> 'operation_status', to_jsonb(OLD) ->> 'relation_status');
  v_is  CONSTANT text := coalesce(to_jsonb(NEW) ->> 'operation_status', to_jsonb(NEW) ->> 'relation_status');
BEGIN
  IF to_jsonb(OLD) - v_may <> to_jsonb(NEW) - v_may
     OR v_was || ' ' || v_is NOT IN ('planned enacted', 'enacted rolled_back', 'active ended') THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('a row of "%s" does not change but for its status', TG_TABLE_NAME),
      DETAIL = format('Row: %s; status: %s; status to be: %s.', OLD.id, v_was, v_is),
      HINT = 'An operation is planned, applied and taken back, once each; a relation ends once.',
      TABLE = TG_TABLE_NAME, CONSTRAINT = 'iu_structure_unchanged';
  END IF;
  RETURN NEW;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_structure_unchanged IS
  'Row trigger of iu_structure_operation and iu_relation: an operation goes from planned to enacted and rolled_back, a '
  'relation from active to ended, and nothing else of them changes (42501).';

CREATE TRIGGER trg_aa_iu_structure_operation_guard
  BEFORE INSERT OR UPDATE ON public.iu_structure_operation
  FOR EACH STATEMENT WHEN (CURRENT_USER <> 'iu_core_owner') EXECUTE FUNCTION iu.fn_iu_structure_guard();
CREATE TRIGGER trg_aa_iu_relation_guard
  BEFORE INSERT OR UPDATE ON public.iu_relation
  FOR EACH STATEMENT WHEN (CURRENT_USER <> 'iu_core_owner') EXECUTE FUNCTION iu.fn_iu_structure_guard();
CREATE TRIGGER trg_iu_structure_operation_append_only
  BEFORE DELETE OR TRUNCATE ON public.iu_structure_operation
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_append_only();
CREATE TRIGGER trg_iu_relation_append_only
  BEFORE DELETE OR TRUNCATE ON public.iu_relation
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_append_only();
CREATE TRIGGER trg_iu_structure_operation_unchanged
  BEFORE UPDATE ON public.iu_structure_operation
  FOR EACH ROW EXECUTE FUNCTION iu.fn_iu_structure_unchanged();
CREATE TRIGGER trg_iu_relation_unchanged
  BEFORE UPDATE ON public.iu_relation
  FOR EACH ROW EXECUTE FUNCTION iu.fn_iu_structure_unchanged();
ALTER TABLE public.iu_structure_operation
  ENABLE ALWAYS TRIGGER trg_aa_iu_structure_operation_guard,
  ENABLE ALWAYS TRIGGER trg_iu_structure_operation_append_only,
  ENABLE ALWAYS TRIGGER trg_iu_structure_operation_unchanged;
ALTER TABLE public.iu_relation
  ENABLE ALWAYS TRIGGER trg_aa_iu_relation_guard,
  ENABLE ALWAYS TRIGGER trg_iu_relation_append_only,
  ENABLE ALWAYS TRIGGER trg_iu_relation_unchanged;
COMMENT ON TRIGGER trg_aa_iu_structure_operation_guard ON public.iu_structure_operation IS
  'Refuses writes that are no function''s of ours (42501).';
COMMENT ON TRIGGER trg_aa_iu_relation_guard ON public.iu_relation IS
  'Refuses writes that are no function''s of ours (42501).';
COMMENT ON TRIGGER trg_iu_structure_operation_append_only ON public.iu_structure_operation IS
  'Operations are not deleted (42501).';
COMMENT ON TRIGGER trg_iu_relation_append_only ON public.iu_relation IS 'Relations are not deleted (42501).';
COMMENT ON TRIGGER trg_iu_structure_operation_unchanged ON public.iu_structure_operation IS
  'Of an operation nothing changes but its status and what came of it (42501).';
COMMENT ON TRIGGER trg_iu_relation_unchanged ON public.iu_relation IS 'A relation ends, once (42501).';
