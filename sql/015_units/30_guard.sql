-- The gateway guard: units and their versions are written by canonical functions.
--
-- A canonical function belongs to iu_core_owner, is SECURITY DEFINER and has
-- app.canonical_writer pinned in its definition. WHEN is evaluated as the role
-- that runs the statement, so inside of such a function the guard is not even
-- called. Whoever else sets the marker passes only as an operator who was given
-- rights on the table.

CREATE FUNCTION iu.fn_iu_marker_passes() RETURNS boolean
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  RETURN coalesce(
    iu_core.caller_may('{iu_core_operator}')
    AND current_setting((SELECT c.value FROM public.dot_config c WHERE c.key = 'iu_create.gateway.marker_key'), true)
        = ANY (SELECT btrim(v.value)
                 FROM public.dot_config c
                 CROSS JOIN LATERAL unnest(string_to_array(c.value, ',')) AS v (value)
                WHERE c.key = 'iu_create.gateway.allowed_marker_values' AND btrim(v.value) <> ''), false);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_marker_passes IS
  'For the guards of units, which pin its search_path: whether who acts is an operator and has set the marker to one '
  'of the allowed values. False where a row of dot_config is missing. Raises nothing.';

CREATE FUNCTION iu.fn_iu_gateway_write_guard() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  -- What a subscription brings is left out by triggers of its own, and must not stop it.
  IF iu_core.is_replicated()
     OR (SELECT c.value FROM public.dot_config c WHERE c.key = 'iu_create.gateway.mode') = 'prepared'
     OR iu.fn_iu_marker_passes() THEN
    RETURN NULL;
  END IF;
  RAISE insufficient_privilege USING
    MESSAGE = format('IU Gateway blocked: direct write to %s not allowed', TG_TABLE_NAME),
    DETAIL = format('%s is refused. Units are written by fn_iu_create, fn_iu_import, fn_iu_save, '
                    'fn_iu_apply_edit_draft, fn_iu_enact and other canonical functions.', TG_OP),
    HINT = coalesce((SELECT format('See %s.', c.value) FROM public.dot_config c
                      WHERE c.key = 'iu_create.gateway.readme'), 'See iu_create.gateway.readme in dot_config.'),
    TABLE = TG_TABLE_NAME, CONSTRAINT = 'iu_gateway_blocked';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gateway_write_guard IS
  'Statement trigger of information_unit and unit_version: 42501 for a write that is no canonical function''s, '
  'unless iu_create.gateway.mode is prepared, or an operator has set the marker to one of the allowed values. A '
  'missing row of dot_config reads as enforced.';

CREATE TRIGGER trg_aa_iu_gateway_write_guard
  BEFORE INSERT OR UPDATE OR DELETE ON public.information_unit
  FOR EACH STATEMENT
  WHEN (CURRENT_USER <> 'iu_core_owner' OR coalesce(current_setting('app.canonical_writer', true), '') = '')
  EXECUTE FUNCTION iu.fn_iu_gateway_write_guard();
CREATE TRIGGER trg_aa_iu_gateway_truncate_guard
  BEFORE TRUNCATE ON public.information_unit
  FOR EACH STATEMENT
  WHEN (CURRENT_USER <> 'iu_core_owner' OR coalesce(current_setting('app.canonical_writer', true), '') = '')
  EXECUTE FUNCTION iu.fn_iu_gateway_write_guard();
CREATE TRIGGER trg_aa_uv_gateway_write_guard
  BEFORE INSERT OR UPDATE OR DELETE ON public.unit_version
  FOR EACH STATEMENT
  WHEN (CURRENT_USER <> 'iu_core_owner' OR coalesce(current_setting('app.canonical_writer', true), '') = '')
  EXECUTE FUNCTION iu.fn_iu_gateway_write_guard();
CREATE TRIGGER trg_aa_uv_gateway_truncate_guard
  BEFORE TRUNCATE ON public.unit_version
  FOR EACH STATEMENT
  WHEN (CURRENT_USER <> 'iu_core_owner' OR coalesce(current_setting('app.canonical_writer', true), '') = '')
  EXECUTE FUNCTION iu.fn_iu_gateway_write_guard();
ALTER TABLE public.information_unit
  ENABLE ALWAYS TRIGGER trg_aa_iu_gateway_write_guard, ENABLE ALWAYS TRIGGER trg_aa_iu_gateway_truncate_guard;
ALTER TABLE public.unit_version
  ENABLE ALWAYS TRIGGER trg_aa_uv_gateway_write_guard, ENABLE ALWAYS TRIGGER trg_aa_uv_gateway_truncate_guard;
COMMENT ON TRIGGER trg_aa_iu_gateway_write_guard ON public.information_unit IS
  'Refuses writes that are no canonical function''s (42501).';
COMMENT ON TRIGGER trg_aa_iu_gateway_truncate_guard ON public.information_unit IS
  'Refuses TRUNCATE, unless it is a canonical function''s (42501).';
COMMENT ON TRIGGER trg_aa_uv_gateway_write_guard ON public.unit_version IS
  'Refuses writes that are no canonical function''s (42501).';
COMMENT ON TRIGGER trg_aa_uv_gateway_truncate_guard ON public.unit_version IS
  'Refuses TRUNCATE, unless it is a canonical function''s (42501).';

-- What is enacted stays as it is, in mode prepared too. Writers with nothing but
-- rights on the table call no function of ours before this one is called.
CREATE FUNCTION iu.fn_iu_refuse_change(p_what text, p_op text, p_status text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RAISE insufficient_privilege USING
    MESSAGE = format('%s is %s: it does not change', p_what, p_status),
    DETAIL = format('%s is refused. Status: %s.', p_op, p_status),
    HINT = 'Save an edit with fn_iu_save, which makes a further version, or replace the unit with fn_iu_supersede.',
    CONSTRAINT = 'iu_unit_immutable';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_refuse_change IS
  'For the triggers that keep enacted units: raises 42501, saying what does not change, the operation, and its status.';

CREATE FUNCTION iu.fn_iu_enacted_immutable() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF NOT iu.fn_iu_marker_passes() THEN
    PERFORM iu.fn_iu_refuse_change(format('unit "%s"', OLD.canonical_address), TG_OP, OLD.lifecycle_status);
  END IF;
  RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_enacted_immutable IS
  'Row trigger of information_unit: an enacted, superseded or retired unit changes only by a canonical function, or by '
  'an operator with the marker (42501).';

CREATE TRIGGER trg_iu_enacted_immut
  BEFORE DELETE OR UPDATE ON public.information_unit
  FOR EACH ROW
  WHEN (OLD.lifecycle_status IN ('enacted', 'superseded', 'retired')
        AND (CURRENT_USER <> 'iu_core_owner' OR coalesce(current_setting('app.canonical_writer', true), '') = ''))
  EXECUTE FUNCTION iu.fn_iu_enacted_immutable();
ALTER TABLE public.information_unit ENABLE ALWAYS TRIGGER trg_iu_enacted_immut;
COMMENT ON TRIGGER trg_iu_enacted_immut ON public.information_unit IS
  'An enacted, superseded or retired unit does not change but by a canonical function (42501).';

CREATE FUNCTION iu.fn_uv_enacted_immutable() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_unit public.information_unit;
BEGIN
  SELECT u.* INTO v_unit FROM public.information_unit u WHERE u.id = OLD.unit_id;
  IF (v_unit.lifecycle_status IN ('enacted', 'superseded', 'retired') OR OLD.lifecycle_status <> 'draft')
     AND NOT iu.fn_iu_marker_passes() THEN
    PERFORM iu.fn_iu_refuse_change(
      format('version %s of unit "%s"', OLD.version_seq, v_unit.canonical_address), TG_OP,
      CASE OLD.lifecycle_status WHEN 'draft' THEN 'of a unit that is ' || v_unit.lifecycle_status
                                ELSE OLD.lifecycle_status END);
  END IF;
  RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END
$function$;
COMMENT ON FUNCTION iu.fn_uv_enacted_immutable IS
  'Row trigger of unit_version: a version that is no draft, and every version of an enacted, superseded or retired '
  'unit, changes only by a canonical function, or by an operator with the marker (42501).';

CREATE TRIGGER trg_uv_enacted_immut
  BEFORE DELETE OR UPDATE ON public.unit_version
  FOR EACH ROW
  WHEN (CURRENT_USER <> 'iu_core_owner' OR coalesce(current_setting('app.canonical_writer', true), '') = '')
  EXECUTE FUNCTION iu.fn_uv_enacted_immutable();
ALTER TABLE public.unit_version ENABLE ALWAYS TRIGGER trg_uv_enacted_immut;
COMMENT ON TRIGGER trg_uv_enacted_immut ON public.unit_version IS
  'A version of an enacted unit does not change but by a canonical function (42501).';
