-- Rows of dot_config that steer units, which of them an administrator may set,
-- and the vocabularies.

INSERT INTO public.dot_config (key, value, description) VALUES
  ('iu_create.gateway.mode', 'enforced',
   'enforced: only canonical functions write units; prepared: everybody who has the rights'),
  ('iu_create.gateway.marker_key', 'app.canonical_writer',
   'the setting by which the guard knows a canonical function'),
  ('iu_create.gateway.allowed_marker_values',
   'fn_iu_create,fn_iu_apply_edit_draft,fn_iu_enact,fn_iu_retire,fn_iu_supersede,fn_iu_piece_split,fn_iu_piece_merge,'
   'fn_iu_structure_op,fn_iu_import,fn_iu_compose,fn_iu_piece_soft_delete,fn_iu_piece_restore',
   'the values of that setting with which an operator passes the guard'),
  ('iu_create.gateway.direct_insert_policy', 'block_after_guard', 'what the guard does with a direct write'),
  ('iu_create.gateway.readme', 'docs/handbook.md, "Units": write with fn_iu_create, fn_iu_save and fn_iu_enact',
   'where it is explained'),
  ('iu_create.default_unit_kind', 'design_doc_section', 'the kind of a unit that is created without one'),
  ('iu_create.default_section_type', 'section', 'the section type of a unit that is created without one'),
  ('iu_edit.policy.default_mode', 'require_review',
   'require_review: an edit is a draft until somebody applies it; auto_apply: at once'),
  ('vocab.unit_kind.design_doc_section', 'section of a design document', 'a value of vocabulary unit_kind'),
  ('vocab.unit_kind.law_unit', 'article or other unit of a law', 'a value of vocabulary unit_kind'),
  ('vocab.section_type.appendix', 'appendix', 'a value of vocabulary section_type'),
  ('vocab.section_type.article', 'article', 'a value of vocabulary section_type'),
  ('vocab.section_type.changelog', 'list of changes', 'a value of vocabulary section_type'),
  ('vocab.section_type.checklist', 'checklist', 'a value of vocabulary section_type'),
  ('vocab.section_type.definition', 'definition', 'a value of vocabulary section_type'),
  ('vocab.section_type.governance_process', 'process of governance', 'a value of vocabulary section_type'),
  ('vocab.section_type.heading', 'heading', 'a value of vocabulary section_type'),
  ('vocab.section_type.instruction_block', 'block of instructions', 'a value of vocabulary section_type'),
  ('vocab.section_type.paragraph', 'paragraph', 'a value of vocabulary section_type'),
  ('vocab.section_type.principle', 'principle', 'a value of vocabulary section_type'),
  ('vocab.section_type.process', 'process', 'a value of vocabulary section_type'),
  ('vocab.section_type.section', 'section', 'a value of vocabulary section_type'),
  ('vocab.section_type.technical_spec', 'technical specification', 'a value of vocabulary section_type'),
  ('vocab.publication_type.law', 'published as a law', 'a value of vocabulary publication_type'),
  ('vocab.publication_type.design_doc', 'published as a design document', 'a value of vocabulary publication_type'),
  ('vocab.publication_authority.incomex_council', 'the council of Incomex',
   'a value of vocabulary publication_authority');

INSERT INTO public.iu_policy_registry (policy_key, allowed_pattern, meaning, migration) VALUES
  ('iu_create.gateway.mode', 'prepared|enforced',
   'enforced: only canonical functions write units; prepared: everybody who has the rights', 15),
  ('iu_create.gateway.allowed_marker_values', 'fn_iu_[a-z_]+(,fn_iu_[a-z_]+)*',
   'markers with which an operator passes the guard, with commas between them', 15),
  ('iu_create.default_unit_kind', '[a-z][a-z0-9_]{0,99}', 'a value of vocabulary unit_kind', 15),
  ('iu_create.default_section_type', '[a-z][a-z0-9_]{0,99}', 'a value of vocabulary section_type', 15),
  ('iu_edit.policy.default_mode', 'require_review|auto_apply',
   'require_review: an edit waits as a draft until somebody applies it; auto_apply: it is applied at once', 15);

CREATE FUNCTION iu.fn_iu_policy_set(p_key text, p_value text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_policy   public.iu_policy_registry;
  v_previous text;
  v_run_id   uuid;
BEGIN
  SELECT p.* INTO v_policy FROM public.iu_policy_registry p WHERE p.policy_key = p_key;
  IF NOT FOUND THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('%s is not a policy key', iu_core.text_shown(p_key)),
      DETAIL = format('Policy keys: %s.', (SELECT string_agg(p.policy_key, ', ' ORDER BY p.policy_key COLLATE "C")
                                             FROM public.iu_policy_registry p)),
      HINT = 'iu_policy_registry has them, with what each may be.', CONSTRAINT = 'iu_policy_unknown';
  END IF;
  PERFORM iu.fn_iu_require_value(length(p_value) <= 2000 AND p_value ~ format('^(?:%s)$', v_policy.allowed_pattern),
    'iu_policy_value', p_key, format('of the form %s', v_policy.allowed_pattern), p_value);
  PERFORM iu.fn_iu_require_reason(p_actor, p_reason);
  SELECT c.value INTO v_previous FROM public.dot_config c WHERE c.key = p_key FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('policy "%s" has no row in dot_config', p_key),
      DETAIL = format('Policy: %s.', p_key),
      HINT = 'Insert it as iu_core_owner, and find out who deleted it.', CONSTRAINT = 'iu_policy_missing';
  END IF;
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_policy_set', 'policy_key', p_key, 'applied', p_actor, p_reason,
    jsonb_build_object('previous', v_previous, 'value', p_value, 'session_user', session_user));
  IF v_previous = p_value THEN
    RETURN jsonb_build_object('status', 'unchanged', 'key', p_key, 'previous', v_previous, 'value', p_value,
      'run_id', v_run_id);
  END IF;
  UPDATE public.dot_config SET value = p_value WHERE key = p_key;
  PERFORM iu.fn_iu_require_effect(
    EXISTS (SELECT FROM public.dot_config c WHERE c.key = p_key AND c.value = p_value),
    'public.dot_config', format('setting policy "%s"', p_key));
  RETURN jsonb_build_object('status', 'set', 'key', p_key, 'previous', v_previous, 'value', p_value,
    'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_policy_set IS
  'What public.fn_iu_policy_set hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_policy_set(p_key text, p_value text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_admin}') THEN
  iu.fn_iu_policy_set(p_key, p_value, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_iu_policy_set IS
  'Sets a policy, a row of dot_config that steers and guards nothing by a time limit, and logs it: key (one of '
  'iu_policy_registry), value, who, why. Returns {status: set | unchanged, key, previous, value, run_id}. SQLSTATE '
  '42501: not a policy key; 42704: its row is missing; 23514: the value has not the form of allowed_pattern, or actor '
  'or reason is missing.';
