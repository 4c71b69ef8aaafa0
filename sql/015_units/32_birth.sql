-- What a unit must have when it is born and at each commit, whoever wrote it.
-- A role with rights on the table and nothing else may be the writer, so the
-- trigger functions that look something up run with the rights of their owner.

CREATE FUNCTION iu.fn_iu_birth_refuse(p_field text, p_value text, p_allowed text, p_address text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RAISE check_violation USING
    MESSAGE = format('unit %s: %s must be %s, not %s', iu_core.text_shown(p_address), p_field, p_allowed,
                     iu_core.text_shown(p_value)),
    DETAIL = format('Field: %s; value: %s; allowed: %s.', p_field, iu_core.text_shown(p_value), p_allowed),
    HINT = 'An administrator adds a value with fn_iu_vocab_add.',
    TABLE = 'information_unit', CONSTRAINT = 'iu_birth_field';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_birth_refuse IS
  'For fn_iu_birth_gate_layer1: raises 23514, naming field, value, what is allowed, and the unit''s address.';

CREATE FUNCTION iu.fn_iu_birth_gate_layer1() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_publication CONSTANT text := NEW.identity_profile ->> 'publication_type_ref';
  v_section     CONSTANT text := NEW.identity_profile ->> 'primary_section_type_ref';
  v_field       text;
BEGIN
  IF NOT iu.fn_iu_vocab_has('unit_kind', NEW.unit_kind) THEN
    PERFORM iu.fn_iu_birth_refuse('unit_kind', NEW.unit_kind,
      'one of ' || array_to_string(iu.fn_iu_vocab_values('unit_kind'), ', '), NEW.canonical_address);
  ELSIF NEW.section_type IS NOT NULL AND NOT iu.fn_iu_vocab_has('section_type', NEW.section_type) THEN
    PERFORM iu.fn_iu_birth_refuse('section_type', NEW.section_type,
      'one of ' || array_to_string(iu.fn_iu_vocab_values('section_type'), ', '), NEW.canonical_address);
  ELSIF coalesce(v_section, '') NOT IN ('', coalesce(NEW.section_type, ''))
        AND NOT iu.fn_iu_vocab_has('section_type', v_section) THEN
    PERFORM iu.fn_iu_birth_refuse('identity_profile.primary_section_type_ref', v_section,
      'one of ' || array_to_string(iu.fn_iu_vocab_values('section_type'), ', '), NEW.canonical_address);
  ELSIF v_publication IS NOT NULL AND NOT iu.fn_iu_vocab_has('publication_type', v_publication) THEN
    PERFORM iu.fn_iu_birth_refuse('publication_type_ref', v_publication,
      'one of ' || array_to_string(iu.fn_iu_vocab_values('publication_type'), ', '), NEW.canonical_address);
  END IF;
  SELECT f.field INTO v_field
    FROM unnest(ARRAY['title', 'owner_lookup_ref', 'primary_section_type_ref']) AS f (field)
   WHERE coalesce(btrim(NEW.identity_profile ->> f.field), '') = '' LIMIT 1;
  IF FOUND THEN
    PERFORM iu.fn_iu_birth_refuse('identity_profile.' || v_field, NEW.identity_profile ->> v_field,
      'given', NEW.canonical_address);
  END IF;
  RETURN NEW;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_birth_gate_layer1 IS
  'Row trigger of information_unit before INSERT: kind, section type and publication type are in their vocabularies, '
  'and identity_profile has title, owner_lookup_ref and primary_section_type_ref (23514, naming field and allowed '
  'values). A unit without publication is none that is published, and nothing is said of it.';

CREATE TRIGGER trg_iu_birth_gate_layer1
  BEFORE INSERT ON public.information_unit
  FOR EACH ROW EXECUTE FUNCTION iu.fn_iu_birth_gate_layer1();
COMMENT ON TRIGGER trg_iu_birth_gate_layer1 ON public.information_unit IS
  'A unit is born with values of the vocabularies and a complete profile (23514).';

-- At the commit the row may be another one than when the trigger was noted, so
-- it is read anew.
CREATE FUNCTION iu.fn_iu_birth_gate_layer2() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_unit    record;
  v_problem text;
BEGIN
  SELECT u.canonical_address, u.content_anchor_ref, u.version_anchor_ref, v.unit_id, v.content_hash INTO v_unit
    FROM public.information_unit u LEFT JOIN public.unit_version v ON v.id = u.version_anchor_ref
   WHERE u.id = NEW.id;
  IF FOUND THEN
    v_problem := CASE
      WHEN v_unit.content_anchor_ref IS NULL OR v_unit.version_anchor_ref IS NULL THEN 'it has no anchor'
      WHEN v_unit.unit_id IS DISTINCT FROM NEW.id THEN 'its version anchor is no version of it'
      WHEN v_unit.content_hash <> v_unit.content_anchor_ref
        THEN 'its content anchor is not the content hash of its version' END;
  END IF;
  IF v_problem IS NOT NULL THEN
    RAISE check_violation USING
      MESSAGE = format('unit %s is not complete: %s', iu_core.text_shown(v_unit.canonical_address), v_problem),
      DETAIL = format('Version anchor: %s; content anchor: %s.', v_unit.version_anchor_ref,
                      v_unit.content_anchor_ref),
      HINT = 'Create units with fn_iu_create; the unit and its version are written in one statement there.',
      TABLE = 'information_unit', CONSTRAINT = 'iu_unit_anchor';
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_birth_gate_layer2 IS
  'Deferred row trigger of information_unit: at commit both anchors are set, the version is one of the unit, and '
  'content_anchor_ref is its content_hash (23514).';

CREATE CONSTRAINT TRIGGER trg_iu_birth_gate_layer2
  AFTER INSERT OR UPDATE ON public.information_unit
  DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION iu.fn_iu_birth_gate_layer2();
COMMENT ON TRIGGER trg_iu_birth_gate_layer2 ON public.information_unit IS
  'At commit a unit has both anchors, and they are valid (23514).';

CREATE FUNCTION iu.fn_iu_birth_record() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  INSERT INTO public.iu_birth_record (unit_id, canonical_address, born_by)
    VALUES (NEW.id, NEW.canonical_address, NEW.created_by);
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_birth_record IS
  'Row trigger of information_unit after INSERT: writes the birth record. Raises nothing of its own.';

CREATE TRIGGER trg_birth_information_unit
  AFTER INSERT ON public.information_unit
  FOR EACH ROW EXECUTE FUNCTION iu.fn_iu_birth_record();
COMMENT ON TRIGGER trg_birth_information_unit ON public.information_unit IS 'Writes the birth record.';

CREATE FUNCTION iu.fn_iu_touch() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  NEW.updated_at := now();
  RETURN NEW;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_touch IS 'Row trigger of information_unit: sets updated_at. Raises nothing.';

-- An UPDATE that changes nothing leaves updated_at as it is: otherwise it would be
-- a difference for everything that compares units. Every column but the generated
-- title is named by itself, since WHEN may not refer to a row that has generated
-- columns, and a comparison of rows would read otherwise after a dump.
CREATE TRIGGER trg_iu_updated_at
  BEFORE UPDATE ON public.information_unit
  FOR EACH ROW
  WHEN (OLD.id IS DISTINCT FROM NEW.id
        OR OLD.canonical_address IS DISTINCT FROM NEW.canonical_address
        OR OLD.unit_kind IS DISTINCT FROM NEW.unit_kind
        OR OLD.lifecycle_status IS DISTINCT FROM NEW.lifecycle_status
        OR OLD.content_anchor_ref IS DISTINCT FROM NEW.content_anchor_ref
        OR OLD.version_anchor_ref IS DISTINCT FROM NEW.version_anchor_ref
        OR OLD.owner_ref IS DISTINCT FROM NEW.owner_ref
        OR OLD.parent_or_container_ref IS DISTINCT FROM NEW.parent_or_container_ref
        OR OLD.conformance_status IS DISTINCT FROM NEW.conformance_status
        OR OLD.identity_profile IS DISTINCT FROM NEW.identity_profile
        OR OLD.created_at IS DISTINCT FROM NEW.created_at
        OR OLD.created_by IS DISTINCT FROM NEW.created_by
        OR OLD.updated_at IS DISTINCT FROM NEW.updated_at
        OR OLD.updated_by IS DISTINCT FROM NEW.updated_by
        OR OLD.deleted_at IS DISTINCT FROM NEW.deleted_at
        OR OLD.doc_code IS DISTINCT FROM NEW.doc_code
        OR OLD.section_type IS DISTINCT FROM NEW.section_type
        OR OLD.section_code IS DISTINCT FROM NEW.section_code
        OR OLD.sort_order IS DISTINCT FROM NEW.sort_order)
  EXECUTE FUNCTION iu.fn_iu_touch();
ALTER TABLE public.information_unit ENABLE ALWAYS TRIGGER trg_iu_updated_at;
COMMENT ON TRIGGER trg_iu_updated_at ON public.information_unit IS
  'Keeps updated_at; an UPDATE that changes nothing leaves it.';
