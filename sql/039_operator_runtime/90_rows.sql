-- The gate, which commands need which gates, words of success, and what needs no command.

SELECT iu.fn_iu_gate_register(39, 'iu_core.operator_runtime_enabled', 'governable',
  'Applying commands in the operator runtime');

SELECT iu.fn_iu_command_gate_put('iu_core.composer_enabled', ARRAY['dot_iu_create_collection',
  'dot_iu_create_file_from_pieces', 'dot_iu_add_piece', 'dot_iu_remove_piece', 'dot_iu_reorder_piece',
  'dot_iu_delete_piece_soft', 'dot_iu_restore_piece', 'dot_iu_set_collection_status',
  'dot_iu_auto_instantiate_from_event', 'dot_iu_auto_instantiate_rollback_by_actor']);
SELECT iu.fn_iu_command_gate_put('iu_core.auto_instantiate_enabled', ARRAY['dot_iu_auto_instantiate_from_event']);
SELECT iu.fn_iu_command_gate_put('iu_core.structure_ops_enabled', ARRAY['dot_iu_structure_op_apply',
  'dot_iu_structure_op_rollback']);
SELECT iu.fn_iu_command_gate_put('iu_core.retention_enabled', ARRAY['dot_iu_retention_cleanup',
  'dot_iu_runtime_rollback_by_actor']);
SELECT iu.fn_iu_command_gate_put('iu_core.delivery_enabled', ARRAY['dot_iu_route_deliver', 'dot_iu_route_send_again']);

SELECT iu.fn_iu_command_done_put(39, ARRAY['added', 'allowed', 'already_read', 'applied', 'applied_pending_enact',
  'armed', 'bound', 'changed', 'closed', 'comment_recorded', 'confirmed', 'created', 'declared', 'defined',
  'disabled', 'disallowed', 'draft_created_review_required', 'dry_run', 'due', 'enabled', 'enacted', 'ended',
  'free', 'granted', 'handed_over', 'idempotent_replay', 'imported', 'marked', 'merged', 'not_tagged', 'observed',
  'ok', 'opened', 'paused', 'planned', 'published', 'ran', 'ready', 'recorded', 'registered', 'registered_again',
  'removed', 'renewed', 'replaced', 'replayed', 'reported', 'resolved', 'resumed', 'retired', 'revoked',
  'rolled_back', 'set', 'split', 'superseded', 'tagged', 'taken', 'unbound', 'unchanged', 'undefined',
  'unregistered', 'unset', 'untagged']);

SELECT iu.fn_iu_command_exempt(39, 'it emits an event, which is its own record',
  ARRAY['fn_iu_emit_event', 'fn_iu_emit_events', 'fn_iu_emit_collection_event', 'fn_iu_event_emit',
        'fn_iu_piece_emit_event']);
SELECT iu.fn_iu_command_exempt(39, 'it marks what one has read, for oneself', ARRAY['fn_event_mark_read']);
SELECT iu.fn_iu_command_exempt(39, 'it writes the ledger of commands',
  ARRAY['fn_dot_iu_command_log', 'fn_dot_iu_command_plan', 'fn_dot_iu_command_apply', 'fn_dot_iu_command_verify']);
SELECT iu.fn_iu_command_exempt(39, 'a driver takes and gives back a lease of its own',
  ARRAY['fn_dot_iu_runtime_lease_acquire', 'fn_dot_iu_runtime_lease_release']);
SELECT iu.fn_iu_command_exempt(39, 'it takes down figures, for the report of a change',
  ARRAY['fn_iu_surface_snapshot', 'fn_iu_surface_report']);
SELECT iu.fn_iu_command_exempt(39, 'it reads what changes while it reads, and changes nothing',
  ARRAY['fn_dot_iu_operator_runtime_enabled', 'fn_iu_composer_enabled', 'fn_iu_core_retention_enabled',
        'fn_iu_delivery_enabled', 'fn_iu_structure_ops_enabled', 'fn_iu_vector_sync_enabled', 'fn_iu_gate_blocker',
        'fn_iu_route_explain', 'fn_iu_route_worker_health']);
