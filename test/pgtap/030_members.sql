-- 030: a piece more, a piece less, a piece elsewhere; the life of a collection; deleting units.
\ir setup.psql
\ir 030_collections.psql
SELECT no_plan();
SELECT pg_temp.gate('iu_core.composer_enabled', true);
SELECT fn_iu_compose('k', 'file', 'K', NULL, pg_temp.pieces('{u1,u2,u3,u4}'), 'wim');
SELECT pg_temp.collection('k') AS k, pg_temp.id_of('u1') AS u1, pg_temp.id_of('u2') AS u2, pg_temp.id_of('u5') AS u5,
  pg_temp.id_of('u6') AS u6, pg_temp.id_of('u9') AS u9, gen_random_uuid() AS nobody \gset

-- ---- adding

SELECT pg_temp.last_event() AS seq \gset
SELECT is(fn_iu_collection_add_piece(:'k', :'u5', NULL, 'step', 'ann'), jsonb_build_object('ok', true, 'collection_id',
  :'k',
    'iu_id', :'u5', 'piece_order', 4, 'piece_role', 'step', 'piece_count', 5, 'manifest_digest',
    pg_temp.digest_of('k')),
  'a piece without a place comes at the end');
SELECT is(fn_iu_collection_add_piece(:'k', :'u6', 1, 'step', 'ann') ->> 'manifest_digest', pg_temp.digest_of('k'),
  'a piece with a place moves those behind it');
SELECT is(pg_temp.order_of('k'), '0 body u1, 1 step u6, 2 body u2, 3 body u3, 4 body u4, 5 step u5',
  'the order has no gap after pieces were added');
SELECT results_eq($$SELECT updated_by, manifest_digest = pg_temp.digest_of('k') FROM iu_piece_collection
   WHERE collection_key = 'k'$$, $$VALUES ('ann', true)$$, 'the collection says who changed it, and has the digest');
SELECT results_eq(format($$SELECT event_type, safe_payload - '{collection_id,collection_key}'::text[],
  correlation_id = %L
    FROM event_outbox WHERE event_seq > %s ORDER BY event_seq$$, :'k', :seq),
  format($$VALUES ('piece_added_to_collection', jsonb_build_object('iu_id', %L, 'piece_order', 4, 'piece_role',
    'step'), true),
    ('piece_added_to_collection', jsonb_build_object('iu_id', %L, 'piece_order', 1, 'piece_role', 'step'), true)$$,
    :'u5',
    :'u6'), 'adding a piece is one event, with its place and role');

-- ---- removing, and adding again

SELECT pg_temp.last_event() AS seq \gset
SELECT is(fn_iu_collection_remove_piece(:'k', :'u6', 'bob'), jsonb_build_object('ok', true, 'collection_id', :'k',
    'iu_id', :'u6', 'was_piece_order', 1, 'piece_count', 5, 'manifest_digest', pg_temp.digest_of('k')),
  'removing a piece answers where it was');
SELECT is(pg_temp.order_of('k'), '0 body u1, 1 body u2, 2 body u3, 3 body u4, 4 step u5',
  'the order has no gap after a piece was removed');
SELECT results_eq(format($$SELECT piece_order, membership_status, removed_by, removed_at IS NOT NULL, piece_role
    FROM iu_piece_membership WHERE iu_id = %L$$, :'u6'), $$VALUES (NULL::integer, 'removed', 'bob', true, 'step')$$,
  'what a piece was here is kept when it is removed');
SELECT is((SELECT deleted_at FROM information_unit WHERE id = :'u6'), NULL, 'the unit itself stays');
SELECT is(pg_temp.events_since(:seq), '1 piece_removed_from_collection', 'removing a piece is one event');
SELECT is(fn_iu_collection_add_piece(:'k', :'u6', 0, 'intro', 'cyd') -> 'piece_count', '6',
  'a removed piece is added again');
SELECT results_eq(format($$SELECT count(*), min(added_by), bool_and(removed_by IS NULL AND removed_at IS NULL)
    FROM iu_piece_membership WHERE iu_id = %L$$, :'u6'), $$VALUES (1::bigint, 'cyd', true)$$,
  'a piece that is added again gets its row back');
SELECT fn_iu_collection_remove_piece(:'k', :'u6', 'bob');

-- ---- moving

SELECT pg_temp.last_event() AS seq \gset
SELECT is(fn_iu_collection_reorder_piece(:'k', :'u1', 3, 'dan'), jsonb_build_object('ok', true, 'collection_id', :'k',
    'iu_id', :'u1', 'piece_order', 3, 'was_piece_order', 0, 'piece_count', 5, 'manifest_digest',
    pg_temp.digest_of('k')),
  'a piece is moved back');
SELECT is(pg_temp.order_of('k'), '0 body u2, 1 body u3, 2 body u4, 3 body u1, 4 step u5',
  'those that a piece was moved behind come forward by one');
SELECT is(fn_iu_collection_reorder_piece(:'k', :'u5', 0, 'dan') ->> 'manifest_digest', pg_temp.digest_of('k'),
  'a piece is moved to the front');
SELECT is(pg_temp.order_of('k'), '0 step u5, 1 body u2, 2 body u3, 3 body u4, 4 body u1',
  'those that a piece was moved before go back by one');
SELECT is(pg_temp.events_since(:seq), '2 piece_reordered', 'moving a piece is one event');
SELECT pg_temp.answers(format('fn_iu_collection_reorder_piece(%L, %L, 0, ''eve'')', :'k', :'u5'),
  jsonb_build_object('ok', true, 'piece_order', 0, 'manifest_digest', pg_temp.digest_of('k')),
  'moving a piece to where it is writes nothing');

-- ---- what is refused

SELECT fn_iu_collection_create('k:retired', 'file', 'R', NULL, 'wim') ->> 'collection_id' AS r \gset
SELECT fn_iu_collection_set_status(:'r', 'retired', 'wim', 'over');
SELECT fn_iu_piece_soft_delete(:'u9', 'wim');
SELECT pg_temp.refuses(format('SELECT fn_iu_collection_' || c, VARIADIC a), s, n, 'refused: ' || what) FROM (VALUES
  ('adding to no collection', 'add_piece(%L, %L, NULL, ''body'', ''w'')', ARRAY[:'nobody', :'u6'], 'P0002',
   'iu_collection_unknown'),
  ('adding to a retired collection', 'add_piece(%L, %L, NULL, ''body'', ''w'')', ARRAY[:'r', :'u6'], '55000',
   'iu_collection_retired'),
  ('adding by nobody', 'add_piece(%L, %L, NULL, ''body'', '' '')', ARRAY[:'k', :'u6'], '23514', 'iu_actor_required'),
  ('adding with a role that there is not', 'add_piece(%L, %L, NULL, ''hero'', ''w'')', ARRAY[:'k', :'u6'], '23514',
   'iu_piece_membership_role_chk'),
  ('adding without a role', 'add_piece(%L, %L, NULL, NULL, ''w'')', ARRAY[:'k', :'u6'], '23514',
   'iu_piece_membership_role_chk'),
  ('adding a unit that there is not', 'add_piece(%L, %L, NULL, ''body'', ''w'')', ARRAY[:'k', :'nobody'], '23503',
   '^piece .* not found / soft-deleted$'),
  ('adding a unit that is deleted', 'add_piece(%L, %L, NULL, ''body'', ''w'')', ARRAY[:'k', :'u9'], '23503',
   'iu_collection_piece_unknown'),
  ('adding no unit', 'add_piece(%L, NULL, NULL, ''body'', ''w'')', ARRAY[:'k'], '23503', 'iu_collection_piece_unknown'),
  ('adding a piece that is there', 'add_piece(%L, %L, NULL, ''body'', ''w'')', ARRAY[:'k', :'u1'], '23505',
   'iu_collection_piece_twice'),
  ('adding before the first', 'add_piece(%L, %L, -1, ''body'', ''w'')', ARRAY[:'k', :'u6'], '23514',
   'iu_collection_piece_order'),
  ('adding behind a gap', 'add_piece(%L, %L, 6, ''body'', ''w'')', ARRAY[:'k', :'u6'], '23514',
   'iu_collection_piece_order'),
  ('removing from no collection', 'remove_piece(%L, %L, ''w'')', ARRAY[:'nobody', :'u1'], 'P0002',
   'iu_collection_unknown'),
  ('removing from a retired collection', 'remove_piece(%L, %L, ''w'')', ARRAY[:'r', :'u1'], '55000',
   'iu_collection_retired'),
  ('removing by nobody', 'remove_piece(%L, %L, NULL)', ARRAY[:'k', :'u1'], '23514', 'iu_actor_required'),
  ('removing what is no piece', 'remove_piece(%L, %L, ''w'')', ARRAY[:'k', :'u9'], 'P0002',
    'iu_collection_piece_absent'),
  ('removing what was removed', 'remove_piece(%L, %L, ''w'')', ARRAY[:'k', :'u6'], 'P0002',
    'iu_collection_piece_absent'),
  ('moving in no collection', 'reorder_piece(%L, %L, 0, ''w'')', ARRAY[:'nobody', :'u1'], 'P0002',
   'iu_collection_unknown'),
  ('moving in a retired collection', 'reorder_piece(%L, %L, 0, ''w'')', ARRAY[:'r', :'u1'], '55000',
   'iu_collection_retired'),
  ('moving by nobody', 'reorder_piece(%L, %L, 0, '''')', ARRAY[:'k', :'u1'], '23514', 'iu_actor_required'),
  ('moving what is no piece', 'reorder_piece(%L, %L, 0, ''w'')', ARRAY[:'k', :'u6'], 'P0002',
   'iu_collection_piece_absent'),
  ('moving behind the last', 'reorder_piece(%L, %L, 5, ''w'')', ARRAY[:'k', :'u1'], '23514',
    'iu_collection_piece_order'),
  ('moving before the first', 'reorder_piece(%L, %L, -1, ''w'')', ARRAY[:'k', :'u1'], '23514',
   'iu_collection_piece_order'),
  ('moving nowhere', 'reorder_piece(%L, %L, NULL, ''w'')', ARRAY[:'k', :'u1'], '23514', 'iu_collection_piece_order'),
  ('a status that there is not', 'set_status(%L, ''gone'', ''w'', ''r'')', ARRAY[:'k'], '23514',
    'iu_collection_status'),
  ('no status', 'set_status(%L, NULL, ''w'', ''r'')', ARRAY[:'k'], '23514', 'iu_collection_status'),
  ('a status without a reason', 'set_status(%L, ''active'', ''w'', '' '')', ARRAY[:'k'], '23514',
    'iu_actor_and_reason'),
  ('a status of no collection', 'set_status(%L, ''active'', ''w'', ''r'')', ARRAY[:'nobody'], 'P0002',
   'iu_collection_unknown'),
  ('a way back from retirement', 'set_status(%L, ''active'', ''w'', ''r'')', ARRAY[:'r'], '55000',
   'iu_collection_transition')) AS v (what, c, a, s, n);
SELECT is(pg_temp.order_of('k'), '0 step u5, 1 body u2, 2 body u3, 3 body u4, 4 body u1',
  'what was refused has moved nothing');

SAVEPOINT ten_thousand;
SET LOCAL ROLE iu_core_owner;
CREATE OR REPLACE FUNCTION iu.fn_iu_piece_count(p_collection_id uuid) RETURNS integer LANGUAGE sql AS 'SELECT 10000';
RESET ROLE;
SELECT pg_temp.refuses(format('SELECT fn_iu_collection_add_piece(%L, %L, NULL, ''body'', ''w'')', :'k', :'u6'), '54000',
  'iu_collection_too_many_pieces', 'a collection of 10000 pieces gets no more');
ROLLBACK TO ten_thousand;

-- ---- the life of a collection

SELECT is(fn_iu_collection_set_status(:'k', s, 'olga', 'on it goes') - 'run_id', jsonb_build_object('ok', true,
    'collection_id', :'k', 'lifecycle_status', s, 'previous', p), 'a collection goes from ' || p || ' to ' || s)
  FROM (VALUES ('active', 'draft'), ('active', 'active'), ('deprecated', 'active'), ('retired', 'deprecated')) v (s, p);
SELECT results_eq($$SELECT command_name, run_status, actor, evidence ->> 'reason', evidence ->> 'status'
  FROM dot_iu_command_run
   WHERE command_name = 'dot_iu_set_collection_status' AND evidence ->> 'collection_key' = 'k'
   ORDER BY created_at DESC LIMIT 1$$,
  $$VALUES ('dot_iu_set_collection_status', 'applied', 'olga', 'on it goes', 'retired')$$,
  'who took a collection on, and why, is in the ledger of commands');

-- ---- deleting and restoring units

SELECT pg_temp.refuses(format('SELECT fn_iu_piece_%s', c), s, n, 'refused: ' || what) FROM (VALUES
  ('deleting a unit that there is not', format('soft_delete(%L, ''w'')', :'nobody'), 'P0002', 'iu_piece_unknown'),
  ('deleting by nobody', format('soft_delete(%L, NULL)', :'u6'), '23514', 'iu_actor_required'),
  ('deleting a piece of a collection', format('soft_delete(%L, ''w'')', :'u1'), '55006',
   'is in use: it is a piece of collection k$'),
  ('restoring a unit that there is not', format('restore(%L, ''w'')', :'nobody'), 'P0002', 'iu_piece_unknown'),
  ('restoring by nobody', format('restore(%L, '' '')', :'u9'), '23514', 'iu_actor_required')) AS v (what, c, s, n);
SELECT fn_iu_create('kid', 'Kid', 'k', 'wim', p_parent_ref => pg_temp.id_of('u7'));
SELECT pg_temp.refuses($$SELECT fn_iu_piece_soft_delete(pg_temp.id_of('u7'), 'w')$$, '55006',
  'is in use: other units are part of it$', 'a unit that has parts is not deleted');
SELECT fn_iu_review_decision_record('enact', '{u8}', 'approve', 'olga', 'good') ->> 'review_decision_id' AS d \gset
SELECT fn_iu_enact('u8', 'wim', :'d');
SELECT pg_temp.refuses($$SELECT fn_iu_piece_soft_delete(pg_temp.id_of('u8'), 'w')$$, '55000', 'iu_piece_enacted',
  'an enacted unit is not deleted');
SELECT is(fn_iu_piece_soft_delete(:'u6', 'ann') - 'deleted_at', jsonb_build_object('ok', true, 'iu_id', :'u6',
  'changed', true),
  'a unit that was removed from its collection is deleted');
SELECT results_eq(format($$SELECT deleted_at IS NOT NULL, updated_by, lifecycle_status FROM information_unit
  WHERE id = %L$$,
  :'u6'), $$VALUES (true, 'ann', 'draft')$$, 'a deleted unit stays, and says who deleted it');
SELECT pg_temp.answers(format('fn_iu_piece_soft_delete(%L, ''bob'')', :'u6'), '{"ok": true, "changed": false}',
  'deleting it again writes nothing');
SELECT is(fn_iu_piece_restore(:'u6', 'bob'), jsonb_build_object('ok', true, 'iu_id', :'u6', 'changed', true),
  'a deleted unit is restored');
SELECT pg_temp.answers(format('fn_iu_piece_restore(%L, ''bob'')', :'u6'), '{"ok": true, "changed": false}',
  'restoring it again writes nothing');
SELECT fn_iu_piece_soft_delete(pg_temp.id_of('kid'), 'w'), fn_iu_piece_soft_delete(pg_temp.id_of('u7'), 'w');
SELECT pg_temp.refuses($$SELECT fn_iu_piece_restore(pg_temp.id_of('kid'), 'w')$$, '55000', 'iu_piece_parent_deleted',
  'a part is not restored before what it is part of');

-- ---- a random walk, compared with a list

CREATE FUNCTION pg_temp.walk(p_seed double precision, p_steps integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_id    uuid;
  v_all   uuid[] := ARRAY(SELECT id FROM information_unit WHERE canonical_address LIKE 'w%');
  v_list  uuid[] := '{}';
  v_unit  uuid;
  v_place integer;
  v_has   uuid[];
BEGIN
  PERFORM setseed(p_seed);
  v_id := (fn_iu_collection_create('walk', 'file', 'W', NULL, 'w') ->> 'collection_id')::uuid;
  FOR i IN 1 .. p_steps LOOP
    v_unit := v_all[1 + floor(random() * cardinality(v_all))::integer];
    IF v_unit <> ALL (v_list) THEN
      v_place := floor(random() * (cardinality(v_list) + 1))::integer;
      PERFORM fn_iu_collection_add_piece(v_id, v_unit, v_place, 'body', 'w');
      v_list := v_list[: v_place] || v_unit || v_list[v_place + 1 :];
    ELSIF random() < 0.4 THEN
      PERFORM fn_iu_collection_remove_piece(v_id, v_unit, 'w');
      v_list := array_remove(v_list, v_unit);
    ELSE
      v_place := floor(random() * cardinality(v_list))::integer;
      PERFORM fn_iu_collection_reorder_piece(v_id, v_unit, v_place, 'w');
      v_list := array_remove(v_list, v_unit);
      v_list := v_list[: v_place] || v_unit || v_list[v_place + 1 :];
    END IF;
    v_has := ARRAY(SELECT r.iu_id FROM fn_iu_collection_render(v_id) r ORDER BY r.piece_order);
    IF v_has <> v_list OR EXISTS (SELECT FROM iu_piece_collection c
                                   WHERE c.id = v_id AND c.manifest_digest IS DISTINCT FROM pg_temp.digest_of('walk'))
       OR EXISTS (SELECT FROM v_iu_collection_health h WHERE h.collection_id = v_id AND NOT h.order_contiguous) THEN
      RETURN format('seed %s, step %s: %s instead of %s', p_seed, i, v_has, v_list);
    END IF;
  END LOOP;
  RETURN 'true to the list';
END $$;
SELECT fn_iu_create('w' || i, 'W', 'w', 'wim') FROM generate_series(1, 12) i;
SELECT is(pg_temp.walk(0.25, 300), 'true to the list',
  'after each of 300 steps order, places and digest are those of a list that does the same');
SELECT finish();
ROLLBACK;
