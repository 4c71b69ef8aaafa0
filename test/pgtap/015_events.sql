-- 015: what others are told of units, and what speaks against deleting one.
\ir setup.psql
\ir 015_units.psql
SELECT no_plan();

CREATE FUNCTION pg_temp.told() RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(concat_ws(' ', event_domain || '.' || event_type, canonical_address, actor_ref,
    safe_payload ->> 'transition', safe_payload ->> 'version_seq'), ', ' ORDER BY event_seq), 'nothing')
    FROM event_outbox $$;

SELECT fn_iu_create('quiet', 'Q', 'one', 'wim'), fn_iu_apply_edit_draft((fn_iu_save('quiet', 'two', 'wim')
  ->> 'draft_id')::uuid, 'wim');
SELECT is(pg_temp.told(), 'nothing', 'while the master switch is off nothing is told');
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.routes_master_enabled';
SELECT fn_iu_create('a', 'A', 'one', 'wim'), fn_iu_import('[{"canonical_address": "b", "title": "B", "body": "b"}]',
  'wim', false);
SELECT is(pg_temp.told(), 'nothing', 'a first version is no version_applied');
SELECT fn_iu_apply_edit_draft((fn_iu_save('a', 'two', 'wim') ->> 'draft_id')::uuid, 'rita');
SELECT is(pg_temp.told(), 'iu.version_applied a rita 2', 'while the gate of pieces is closed only versions are told');
UPDATE dot_config SET value = 'true' WHERE key = 'piece_event_runtime.emit_enabled';
SELECT fn_iu_create('c', 'C', 'one', 'wim'), fn_iu_import('[{"canonical_address": "e", "title": "E", "body": "e"},
  {"canonical_address": "d", "title": "D", "body": "d"}]', 'ina', false);
SELECT fn_iu_apply_edit_draft((fn_iu_save('c', 'two', 'wim') ->> 'draft_id')::uuid, 'rita');
SELECT is(pg_temp.told(), 'iu.version_applied a rita 2, piece.created c wim, piece.created d ina, piece.created e ina, '
  'iu.version_applied c rita 2, piece.updated c rita apply', 'while it is open, pieces are as well');
SELECT results_eq($$SELECT safe_payload ->> 'content_hash', (safe_payload ->> 'version_id')::uuid,
    safe_payload ->> 'emit_mode' FROM event_outbox WHERE event_domain = 'piece' AND event_type = 'updated'$$,
  $$SELECT content_anchor_ref, version_anchor_ref, 'dry_run' FROM information_unit WHERE canonical_address = 'c'$$,
  'with the version and its digest');
-- An event that is refused: the act goes on.
SET LOCAL client_min_messages = error;
ALTER TABLE event_outbox ADD CONSTRAINT test_refuses CHECK (actor_ref <> 'refused');
SELECT is(fn_iu_create('f', 'F', 'one', 'refused') ->> 'status', 'created', 'a unit is created whose event is refused');
SELECT is(fn_iu_import('[{"canonical_address": "g", "title": "G", "body": "g"}]', 'refused', false) ->> 'status',
  'imported', 'units are imported whose events are refused');
SET LOCAL client_min_messages = warning;

-- ---- the point that later migrations give their reasons at

SELECT is(iu.fn_iu_unit_in_use(pg_temp.id_of('a')), NULL, 'nothing speaks against deleting a unit');
SET LOCAL ROLE iu_core_owner;
CREATE FUNCTION iu.test_in_use(p_unit_id uuid) RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
  RETURN (SELECT 'it is c' FROM public.information_unit u WHERE u.id = p_unit_id AND u.canonical_address = 'c');
SELECT iu.fn_iu_hook_add(9000, 'iu.fn_iu_unit_in_use(uuid)', 'iu.test_in_use(uuid)');
RESET ROLE;
SELECT is(iu.fn_iu_unit_in_use(pg_temp.id_of(a)), w, 'a later migration gives its reason, or none')
  FROM (VALUES ('c', 'it is c'), ('a', NULL)) v (a, w);
SELECT finish();
ROLLBACK;
