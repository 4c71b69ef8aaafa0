-- What holds of collections whoever writes them: kinds and roles are words of their
-- vocabularies, and nobody but the composer writes.

CREATE FUNCTION iu.fn_iu_composer_guard() RETURNS trigger
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
    DETAIL = format('%s of %s is refused. Collections are written by fn_iu_compose, fn_iu_collection_add_piece and the '
                    'other functions of the composer.', TG_OP, TG_TABLE_NAME),
    TABLE = TG_TABLE_NAME, CONSTRAINT = 'iu_composer_blocked';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_composer_guard IS
  'Statement trigger of the tables of collections and templates: refuses a write that is no function''s of ours with '
  'SQLSTATE 42501.';

CREATE TRIGGER trg_aa_iu_piece_collection_guard
  BEFORE INSERT OR UPDATE OR DELETE ON public.iu_piece_collection
  FOR EACH STATEMENT WHEN (CURRENT_USER <> 'iu_core_owner') EXECUTE FUNCTION iu.fn_iu_composer_guard();
CREATE TRIGGER trg_aa_iu_piece_collection_truncate_guard
  BEFORE TRUNCATE ON public.iu_piece_collection
  FOR EACH STATEMENT WHEN (CURRENT_USER <> 'iu_core_owner') EXECUTE FUNCTION iu.fn_iu_composer_guard();
CREATE TRIGGER trg_aa_iu_piece_membership_guard
  BEFORE INSERT OR UPDATE OR DELETE ON public.iu_piece_membership
  FOR EACH STATEMENT WHEN (CURRENT_USER <> 'iu_core_owner') EXECUTE FUNCTION iu.fn_iu_composer_guard();
CREATE TRIGGER trg_aa_iu_piece_membership_truncate_guard
  BEFORE TRUNCATE ON public.iu_piece_membership
  FOR EACH STATEMENT WHEN (CURRENT_USER <> 'iu_core_owner') EXECUTE FUNCTION iu.fn_iu_composer_guard();
ALTER TABLE public.iu_piece_collection
  ENABLE ALWAYS TRIGGER trg_aa_iu_piece_collection_guard,
  ENABLE ALWAYS TRIGGER trg_aa_iu_piece_collection_truncate_guard;
ALTER TABLE public.iu_piece_membership
  ENABLE ALWAYS TRIGGER trg_aa_iu_piece_membership_guard,
  ENABLE ALWAYS TRIGGER trg_aa_iu_piece_membership_truncate_guard;
COMMENT ON TRIGGER trg_aa_iu_piece_collection_guard ON public.iu_piece_collection IS
  'Refuses writes that are no function''s of the composer (42501).';
COMMENT ON TRIGGER trg_aa_iu_piece_collection_truncate_guard ON public.iu_piece_collection IS
  'Refuses TRUNCATE (42501).';
COMMENT ON TRIGGER trg_aa_iu_piece_membership_guard ON public.iu_piece_membership IS
  'Refuses writes that are no function''s of the composer (42501).';
COMMENT ON TRIGGER trg_aa_iu_piece_membership_truncate_guard ON public.iu_piece_membership IS
  'Refuses TRUNCATE (42501).';

-- The words that this migration brings are known without a look: a membership of the
-- usual kind costs no more than the comparison.
CREATE FUNCTION iu.fn_iu_piece_membership_role() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF NOT iu.fn_iu_vocab_has('piece_role', NEW.piece_role) THEN
    RAISE check_violation USING
      MESSAGE = format('role of a piece must be one of %s, not %s',
        array_to_string(iu.fn_iu_vocab_values('piece_role'), ', '), iu_core.text_shown(NEW.piece_role)),
      DETAIL = format('Role: %s.', iu_core.text_shown(NEW.piece_role)),
      HINT = 'An administrator adds a role with fn_iu_vocab_add.',
      TABLE = 'iu_piece_membership', CONSTRAINT = 'iu_piece_membership_role_chk';
  END IF;
  RETURN NEW;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_piece_membership_role IS
  'Row trigger of iu_piece_membership: 23514 for a role that is no value of vocabulary piece_role.';
CREATE TRIGGER trg_iu_piece_membership_role
  BEFORE INSERT OR UPDATE ON public.iu_piece_membership
  FOR EACH ROW
  WHEN (NEW.piece_role NOT IN ('title', 'intro', 'body', 'step', 'clause', 'appendix', 'reference'))
  EXECUTE FUNCTION iu.fn_iu_piece_membership_role();
COMMENT ON TRIGGER trg_iu_piece_membership_role ON public.iu_piece_membership IS
  'A role is a value of vocabulary piece_role (23514).';

CREATE FUNCTION iu.fn_iu_piece_collection_kind() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF NOT iu.fn_iu_vocab_has('collection_kind', NEW.collection_kind) THEN
    RAISE check_violation USING
      MESSAGE = format('kind of a collection must be one of %s, not %s',
        array_to_string(iu.fn_iu_vocab_values('collection_kind'), ', '), iu_core.text_shown(NEW.collection_kind)),
      DETAIL = format('Kind: %s.', iu_core.text_shown(NEW.collection_kind)),
      HINT = 'An administrator adds a kind with fn_iu_vocab_add.',
      TABLE = 'iu_piece_collection', CONSTRAINT = 'iu_piece_collection_kind_chk';
  END IF;
  RETURN NEW;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_piece_collection_kind IS
  'Row trigger of iu_piece_collection: 23514 for a kind that is no value of vocabulary collection_kind.';
CREATE TRIGGER trg_iu_piece_collection_kind
  BEFORE INSERT OR UPDATE ON public.iu_piece_collection
  FOR EACH ROW
  WHEN (NEW.collection_kind NOT IN ('file', 'document', 'workflow'))
  EXECUTE FUNCTION iu.fn_iu_piece_collection_kind();
COMMENT ON TRIGGER trg_iu_piece_collection_kind ON public.iu_piece_collection IS
  'A kind is a value of vocabulary collection_kind (23514).';

CREATE FUNCTION iu.fn_iu_collection_vocab_use(p_vocabulary text, p_value text) RETURNS text
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_use text;
BEGIN
  IF p_vocabulary = 'collection_kind' THEN
    LOCK TABLE public.iu_piece_collection IN SHARE MODE;
    SELECT format('collection %s has it', c.collection_key) INTO v_use
      FROM public.iu_piece_collection c WHERE c.collection_kind = p_value LIMIT 1;
  ELSIF p_vocabulary = 'piece_role' THEN
    LOCK TABLE public.iu_piece_membership IN SHARE MODE;
    SELECT format('a piece of collection %s has it', c.collection_key) INTO v_use
      FROM public.iu_piece_membership m JOIN public.iu_piece_collection c ON c.id = m.collection_id
     WHERE m.piece_role = p_value LIMIT 1;
  END IF;
  RETURN v_use;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_vocab_use IS
  'At the point iu.fn_iu_vocab_use: what uses a kind of collections or a role of pieces. Waits for who writes them.';
SELECT iu.fn_iu_hook_add(30, 'iu.fn_iu_vocab_use(text,text)', 'iu.fn_iu_collection_vocab_use(text,text)');
