-- Commands, surfaces, invariants and refusals of 030.

INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions, logged_by)
  VALUES
  ('dot_iu_create_collection', 'collection', true, false, ARRAY['fn_iu_collection_create'], 'runtime'),
  ('dot_iu_create_file_from_pieces', 'collection', true, false, ARRAY['fn_iu_compose'], 'runtime'),
  ('dot_iu_add_piece', 'collection', true, true, ARRAY['fn_iu_collection_add_piece'], 'runtime'),
  ('dot_iu_remove_piece', 'collection', true, true, ARRAY['fn_iu_collection_remove_piece'], 'runtime'),
  ('dot_iu_reorder_piece', 'collection', true, true, ARRAY['fn_iu_collection_reorder_piece'], 'runtime'),
  ('dot_iu_checkpoint_collection', 'collection', true, false, ARRAY['fn_iu_collection_checkpoint'], 'runtime'),
  ('dot_iu_refresh_manifest', 'collection', true, false, ARRAY['fn_iu_collection_manifest_refresh'], 'runtime'),
  ('dot_iu_propose_import', 'collection', true, false, ARRAY['fn_iu_collection_import_propose'], 'runtime'),
  ('dot_iu_validate_collection', 'read', false, false, ARRAY['fn_iu_collection_validate'], 'caller'),
  ('dot_iu_render_file', 'read', false, false, ARRAY['fn_iu_render_file', 'fn_iu_render_html'], 'caller'),
  ('dot_iu_export_collection', 'read', false, false, ARRAY['fn_iu_collection_export'], 'caller'),
  ('dot_iu_healthcheck', 'read', false, false, ARRAY['fn_iu_corpus_healthcheck'], 'caller'),
  ('dot_iu_delete_piece_soft', 'piece', true, true, ARRAY['fn_iu_piece_soft_delete'], 'runtime'),
  ('dot_iu_restore_piece', 'piece', true, true, ARRAY['fn_iu_piece_restore'], 'runtime');
INSERT INTO public.dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('dot_iu_set_collection_status', 'collection', true, false, ARRAY['fn_iu_collection_set_status']);

SELECT iu.fn_iu_surface_define(30, 'iu_piece_collection', 'iu_piece_collection', 'query',
  $$SELECT count(*) FROM public.iu_piece_collection$$, p_sort_order => 11);
SELECT iu.fn_iu_surface_define(30, 'iu_piece_membership', 'iu_piece_membership', 'query',
  $$SELECT count(*) FROM public.iu_piece_membership$$, p_sort_order => 12);

SELECT iu.fn_iu_invariant_define(30, 'iu.collection_digest', 'public.v_iu_collection_digest_check',
  'The digest that a collection stores is that of its order.', p_every_seconds => 3600, p_timeout_ms => 60000);
SELECT iu.fn_iu_invariant_define(30, 'iu.collection_order', 'public.v_iu_collection_order_check',
  'The pieces of a collection stand in order without a gap.', p_every_seconds => 3600, p_timeout_ms => 60000);

SELECT iu.fn_iu_refusal_put(30, ARRAY[
  ['iu_composer_gate_closed', '42501', 'Composing is closed.',
   'Open gate iu_core.composer_enabled with fn_iu_gate_open, with an approval and a time limit.'],
  ['iu_composer_blocked', '42501', 'Collections and templates are written by functions only.',
   'Use fn_iu_compose, fn_iu_collection_add_piece and the other functions.'],
  ['iu_piece_collection_kind_chk', '23514', 'The kind of the collection is not in the vocabulary.',
   'Give a kind that the error lists, or have an administrator add it with fn_iu_vocab_add.'],
  ['iu_piece_membership_role_chk', '23514', 'The role of the piece is not in the vocabulary.',
   'Give a role that the error lists, or have an administrator add it with fn_iu_vocab_add.'],
  ['iu_collection_key', '23514', 'The key of the collection has another form.',
   'Give 1 to 200 characters in one line, without blanks at the ends, and no parts "." and ".." between slashes.'],
  ['iu_collection_title', '23514', 'The collection has no title.', 'Say what stands above it.'],
  ['iu_collection_description', '23514', 'The description shows nothing.', 'Say what the collection is for, or NULL.'],
  ['iu_collection_key_taken', '23505', 'Another collection has the key.',
   'Give another key; that of a deleted collection stays taken.'],
  ['iu_collection_unknown', 'P0002', 'There is no such collection, or it is deleted.',
   'See v_iu_collection_envelope for the collections.'],
  ['iu_collection_retired', '55000', 'A retired collection does not change.', 'Compose another one.'],
  ['iu_collection_status', '23514', 'A collection has no such status.', 'Give draft, active, deprecated or retired.'],
  ['iu_collection_transition', '55000', 'A collection does not go back in its life.', 'Compose another one.'],
  ['iu_collection_pieces', '23514', 'The pieces are not given as they should be.',
   'Give an array of {role, iu_id} or {role, new_piece}.'],
  ['iu_collection_too_many_pieces', '54000', 'A collection has at most 10000 pieces.', 'Make several collections.'],
  ['iu_collection_piece_unknown', '23503', 'A piece is not found, or soft-deleted.',
   'Give the id of a unit that is not deleted.'],
  ['iu_collection_piece_address_taken', '23505', 'A unit has the address of the new piece already.',
   'Give the unit that there is as iu_id, or another address.'],
  ['iu_collection_piece_twice', '23505', 'The unit is a piece of the collection already.',
   'Move it with fn_iu_collection_reorder_piece.'],
  ['iu_collection_piece_absent', 'P0002', 'The unit is no piece of the collection.',
   'See v_iu_collection_manifest for the pieces.'],
  ['iu_collection_piece_order', '23514', 'The collection has no such place.', 'Give one that the error lists.'],
  ['iu_collection_import_text', '23514', 'The text is no export of a collection.',
   'Give what fn_iu_collection_export returned, with its list of pieces edited.'],
  ['iu_collection_checkpoint', '23514', 'The type of event is not one of reading a collection.',
   'Give one that the error lists.'],
  ['iu_collection_detail', '23514', 'The detail is neither an object of up to 256 kB nor NULL.',
   'Give a jsonb object.'],
  ['iu_piece_unknown', 'P0002', 'There is no such unit.', 'Give the id of a unit.'],
  ['iu_piece_enacted', '55000', 'An enacted unit is not deleted.', 'Retire it with fn_iu_retire.'],
  ['iu_piece_in_use', '55006', 'The unit is in use.', 'End its use first; the error names it.'],
  ['iu_piece_parent_deleted', '55000', 'The unit is part of one that is deleted.', 'Restore that one first.']]);
