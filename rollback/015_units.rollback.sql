-- Undoes 015: units, versions, drafts and birth records go. Refuses while a gate
-- is open, where rows of people or the log would be lost, and where an
-- administrator has added to the vocabularies.
SELECT iu.fn_iu_rollback_guard();
SELECT iu_core.guard_rows('public.information_unit');
SELECT iu_core.guard_rows('public.iu_edit_draft');
SELECT iu_core.guard_rows('public.iu_governed_object', 'theirs AND object_class = ''config'' AND migration = 15');

ALTER TABLE public.information_unit DROP CONSTRAINT fk_iu_version_anchor;
DROP TABLE public.iu_policy_registry;
DROP TABLE public.iu_edit_draft;
DROP TABLE public.iu_birth_record;
DROP TABLE public.unit_version;
DROP TABLE public.information_unit;

DROP FUNCTION iu.fn_iu_piece_event_try;
DROP FUNCTION iu.fn_iu_outbound_on_version;
DROP FUNCTION iu.fn_iu_touch;
DROP FUNCTION iu.fn_iu_birth_record;
DROP FUNCTION iu.fn_iu_birth_gate_layer2;
DROP FUNCTION iu.fn_iu_birth_gate_layer1;
DROP FUNCTION iu.fn_iu_birth_refuse;
DROP FUNCTION iu.fn_uv_enacted_immutable;
DROP FUNCTION iu.fn_iu_enacted_immutable;
DROP FUNCTION iu.fn_iu_refuse_change;
DROP FUNCTION iu.fn_iu_gateway_write_guard;
DROP FUNCTION iu.fn_iu_marker_passes;
DROP FUNCTION public.fn_iu_resolve_default;
DROP FUNCTION iu.fn_iu_resolve_default;
DROP FUNCTION public.fn_iu_vocab_remove;
DROP FUNCTION iu.fn_iu_vocab_remove;
DROP FUNCTION iu.fn_iu_vocab_use;
DROP FUNCTION public.fn_iu_vocab_add;
DROP FUNCTION iu.fn_iu_vocab_add;
DROP FUNCTION iu.fn_iu_vocab_require;
DROP FUNCTION iu.fn_iu_vocab_values;
DROP FUNCTION iu.fn_iu_vocab_has;
DROP FUNCTION public.fn_iu_policy_set;
DROP FUNCTION iu.fn_iu_policy_set;

DELETE FROM public.iu_governed_object WHERE theirs AND object_class = 'config' AND migration = 15;
DELETE FROM public.dot_config
 WHERE key LIKE 'vocab.%' OR key LIKE 'iu\_create.%' OR key = 'iu_edit.policy.default_mode';
