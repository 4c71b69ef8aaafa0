-- 018: nothing goes by itself, nothing goes while the gate is closed, and what
-- something still needs does not go at all.
\ir setup.psql
SELECT no_plan();

-- An old event of a type, named by its subject.
CREATE FUNCTION pg_temp.old(p_ref text, p_type text DEFAULT 'version_applied', p_domain text DEFAULT 'iu') RETURNS uuid
  LANGUAGE sql AS $$
  INSERT INTO event_outbox (event_domain, event_type, event_stream, delivery_lane, event_subject_table,
  event_subject_ref, source_system, actor_ref, created_at)
    SELECT r.event_domain, r.event_type, r.event_stream, r.delivery_lane, 'information_unit', p_ref, 's',
    'act-' || p_ref, now() - interval '400 days'
      FROM event_type_registry r WHERE r.event_domain = p_domain AND r.event_type = p_type RETURNING id $$;
CREATE FUNCTION pg_temp.left_over() RETURNS text LANGUAGE sql AS $$SELECT string_agg(event_subject_ref,
  ' ' ORDER BY event_subject_ref) FROM event_outbox$$;
CREATE FUNCTION pg_temp.clean(p_max integer DEFAULT 50000) RETURNS text LANGUAGE sql AS
  $$SELECT string_agg(concat_ws(' ', target_table, rows_eligible, rows_deleted), ', ')
  FROM fn_iu_core_retention_cleanup('ann', false, p_max)$$;
-- As if the route had seen all there is.
CREATE FUNCTION pg_temp.passed(p_route text) RETURNS void LANGUAGE sql AS $$
  UPDATE iu_route_step SET seen = format('%1$s:%1$s:', pg_current_xact_id()::text::bigint + 1000000)::pg_snapshot
  WHERE route_code = p_route $$;
DELETE FROM iu_route_retry;
DELETE FROM event_outbox;

-- ---- off by default

SELECT bag_eq('SELECT target_table, age_column, keep_days, active FROM iu_core_retention_policy
    JOIN iu_core_retention_target USING (target_table, age_column) WHERE migration = 18 OR active',
  $$VALUES ('iu_route_attempt', 'recorded_at', 30, false), ('iu_route_dead_letter', 'resolved_at', 90, false)$$,
  'no policy of retention is active and the outbox has none');
SELECT is(fn_iu_core_retention_enabled(), false, 'the gate of retention is closed');
SELECT pg_temp.old('plain') \gset
SELECT is((SELECT count(*) FROM fn_iu_core_retention_cleanup('ann', true)), 0::bigint,
  'a dry run without active policies has nothing to tell');
SELECT pg_temp.refuses($$SELECT fn_iu_core_retention_cleanup('ann', false)$$, '42501',
  'retention is closed: gate iu_core.retention_enabled',
  'a cleanup with the gate closed is refused');
SELECT pg_temp.refuses('SELECT fn_iu_core_retention_cleanup(' || a || ')', '23514', m,
  'fn_iu_core_retention_cleanup(' || a || ') is refused') FROM (VALUES
  ($$NULL, true$$, 'iu_actor_required'), ($$' ', true$$, 'iu_actor_required'),
  ($$'ann', NULL$$, 'iu_retention_dry_run'), ($$'ann', true, 0$$, 'iu_retention_max_rows'),
  ($$'ann', true, NULL$$, 'iu_retention_max_rows')) v (a, m);
SELECT pg_temp.refuses('SELECT fn_iu_core_retention_policy_set(' || a || ')', '23514', m,
  'fn_iu_core_retention_policy_set(' || a || ') is refused') FROM (VALUES
  ($$'dot_iu_command_run', 90, 'ann', 't'$$, 'no rule for table "dot_iu_command_run"'),
  ($$'iu_gate_transition', 90, 'ann', 't'$$, 'no rule'), ($$NULL, 90, 'ann', 't'$$, 'no rule'),
  ($$'event_outbox', 0, 'ann', 't'$$, 'iu_retention_keep_days'),
  ($$'event_outbox', NULL, 'ann', 't'$$, 'iu_retention_keep_days'),
  ($$'event_outbox', 1, 'ann', 't', NULL$$, 'iu_retention_active'),
  ($$'event_outbox', 1, '', 't'$$, 'iu_actor_and_reason'),
  ($$'event_outbox', 1, 'ann', NULL$$, 'iu_actor_and_reason')) v (a, m);
SELECT is(fn_iu_core_retention_policy_set('event_outbox', 365, 'ann', 'a year') - 'previous',
  '{"status": "set", "target_table": "event_outbox", "age_column": "created_at", "keep_days": 365, "active": true}',
  'a policy for the outbox can be set');
SELECT is(fn_iu_core_retention_policy_set('event_outbox', 366, 'ann', 'a leap year') -> 'previous' ->> 'keep_days',
  '365',
  'setting another policy tells of the one before');
SELECT row_eq($$SELECT target_table, rows_eligible, rows_deleted, dry_run,
  cutoff = now() - interval '366 days' FROM fn_iu_core_retention_cleanup('ann', true)$$,
  ROW('event_outbox'::text, 1::bigint, 0::bigint, true, true), 'a dry run counts with the gate closed');
SELECT row_eq($$SELECT rows_eligible, sample_row ->> 'event_subject_ref' FROM v_iu_core_retention_candidates
  WHERE target_table = 'event_outbox'$$, ROW(1::bigint, 'plain'::text),
  'the view of candidates shows one row of those that would go');
SELECT is(pg_temp.left_over(), 'plain', 'a dry run deletes nothing');
SELECT fn_iu_gate_open('iu_core.retention_enabled', gen_random_uuid(), 'ann', 't', 600);
SELECT fn_iu_core_retention_policy_set('event_outbox', 366, 'ann', 'not now', false);
SELECT is(pg_temp.clean(), NULL, 'a policy that is not active deletes nothing');
SELECT fn_iu_core_retention_policy_set('event_outbox', 500, 'ann', 'long');
SELECT is(pg_temp.clean(), 'event_outbox 0 0', 'an event younger than the policy''s days stays');
SELECT fn_iu_core_retention_policy_set('event_outbox', 366, 'ann', 'of others', true, ARRAY['act-other']);
SELECT is(pg_temp.clean(), 'event_outbox 0 0', 'an event of another actor than the policy''s stays');
SELECT fn_iu_core_retention_policy_set('event_outbox', 366, 'ann', 'a leap year');
SELECT is(pg_temp.clean(), 'event_outbox 1 1', 'an event that is old and that nothing needs goes');
SELECT pg_temp.old('x' || n) FROM generate_series(1, 5) n;
SELECT is(pg_temp.clean(2) || ', ' || pg_temp.clean(2) || ', ' || pg_temp.clean(2) || ', ' || pg_temp.clean(2),
  'event_outbox 5 2, event_outbox 3 2, event_outbox 1 1, event_outbox 0 0',
  'a cleanup with a limit deletes in batches');

-- ---- an event that something needs

UPDATE dot_config SET value = 'true' WHERE key IN ('iu_core.routes_master_enabled', 'iu_core.route_worker_enabled');
SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'ann', 't', 600);
SELECT fn_iu_route_add(r, 'version_applied', 'https://hooks.example/x', 'ann', 't'), fn_iu_route_allow(r, 'ann', 't'),
  fn_iu_route_arm(r, 'ann', 't') FROM unnest(ARRAY['r', 'second']) r;
SELECT pg_temp.old('ahead');
SELECT is(pg_temp.clean(), 'event_outbox 0 0', 'an event ahead of the position of a route stays');
SELECT pg_temp.passed('r');
SELECT is(pg_temp.clean(), 'event_outbox 0 0', 'an event that one route has passed and another has not stays');
SELECT fn_iu_route_pause('second', 'ann', 't');
SELECT is(pg_temp.clean(), 'event_outbox 0 0', 'an event ahead of the position of a paused route stays');
SELECT pg_temp.passed('second');
UPDATE iu_route_position SET place = gen_random_uuid() WHERE route_code = 'second';
SELECT is(pg_temp.clean(), 'event_outbox 0 0', 'an event ahead of an unconfirmed position in a copy stays');
UPDATE iu_route_position SET place = iu_core.place() WHERE route_code = 'second';
UPDATE iu_route_step s SET seen = '1:1:', window_end = s.seen,
  window_seq = (SELECT min(event_seq) - 1 FROM event_outbox), window_high = (SELECT max(event_seq) FROM event_outbox)
 WHERE route_code = 'second';
SELECT is(pg_temp.clean(), 'event_outbox 0 0', 'an event in the window of a route that was not handed out stays');
UPDATE iu_route_step SET window_seq = window_high WHERE route_code = 'second';
SELECT is((SELECT rows_eligible FROM fn_iu_core_retention_cleanup('ann', true)), 1::bigint,
  'an event that was handed out of the window may go');
SELECT fn_iu_route_deliver('r', id) FROM event_outbox;
SELECT is(pg_temp.clean(), 'event_outbox 0 0', 'an event that is to be tried stays');
SELECT * FROM iu.fn_iu_delivery_claim('s', 10) \gset
SELECT is(pg_temp.clean(), 'event_outbox 0 0', 'an event that is with a sender stays');
SELECT iu.fn_iu_delivery_record(:lease_id, 1,
  jsonb_build_array(jsonb_build_object('event_id', :'event_id', 'outcome', 'failed', 'failure_code',
  'request_too_large')));
SELECT is(pg_temp.clean(), 'event_outbox 0 0', 'an event with an open dead letter stays');
SELECT fn_iu_route_dead_letter_replay(id) FROM v_iu_route_dead_letter_open;
SELECT is(pg_temp.clean(), 'event_outbox 0 0', 'an event whose replay is to be tried stays');
SELECT * FROM iu.fn_iu_delivery_claim('s', 10) \gset
SELECT iu.fn_iu_delivery_record(:lease_id, 1,
  jsonb_build_array(jsonb_build_object('event_id', :'event_id', 'replay_number', 1, 'outcome', 'sent')));
SELECT fn_iu_route_add('dry', 'version_applied', 'https://hooks.example/x', 'ann', 't'),
  fn_iu_route_dry_run('dry', 'ann', 't');
SELECT fn_iu_route_worker_run('w');
SELECT is(pg_temp.clean(), 'event_outbox 0 0', 'an event whose dry run is to be made stays');
SELECT fn_iu_route_retire('dry', 'ann', 't');
SAVEPOINT unread;
DO $$BEGIN	-- 013's, or what stands for it
  IF to_regclass('event_subscription') IS NULL THEN
    CREATE TABLE event_subscription (subscriber_ref text, event_domain text, event_type text, event_stream text,
    active boolean DEFAULT true, created_at timestamptz DEFAULT now());
    CREATE TABLE event_read (event_id uuid, reader_ref text);
    ALTER TABLE event_subscription OWNER TO iu_core_owner;
    ALTER TABLE event_read OWNER TO iu_core_owner;
  END IF;
END$$;
INSERT INTO event_subscription (subscriber_ref, event_domain, event_type, event_stream, created_at)
  VALUES ('role:reader', 'iu', NULL, 'update', '2000-01-01');
SELECT is(pg_temp.clean(), 'event_outbox 0 0', 'an event that a subscriber has not read stays');
INSERT INTO event_read (event_id, reader_ref) SELECT id, 'role:reader' FROM event_outbox;
SELECT is((SELECT rows_eligible FROM fn_iu_core_retention_cleanup('ann', true)), 1::bigint,
  'an event that every subscriber has read may go');
ROLLBACK TO unread;

-- ---- attempts, dead letters

UPDATE iu_route_attempt SET recorded_at = now() - interval '100 days';
INSERT INTO iu_route_attempt (route_code, event_ref, attempt_no, idempotency_key, status, recorded_at)
  SELECT 'r', id, n, 'several', s, now() - interval '100 days' FROM event_outbox,
  (VALUES (1, 'failed'), (2, 'failed'), (3, 'sent')) v (n, s)
  UNION ALL SELECT 'r', id, 1, 'dry_x', 'dry_run', now() - interval '100 days' FROM event_outbox
  UNION ALL SELECT 'r', id, 2, 'dry_x', 'dry_run', now() FROM event_outbox;
SELECT is(fn_iu_core_retention_policy_set(t, 30, 'ann', 'a month') ->> 'status', 'set',
  'a policy for ' || t || ' can be set') FROM unnest(ARRAY['iu_route_attempt', 'iu_route_dead_letter']) t;
SELECT fn_iu_core_retention_policy_set('event_outbox', 366, 'ann', 'not now', false);
SELECT is(pg_temp.clean(), 'iu_route_dead_letter 0 0, iu_route_attempt 3 3',
  'attempts that another followed and old dry runs go');
SELECT bag_eq('SELECT attempt_no, status FROM iu_route_attempt', $$VALUES (3, 'sent'), (2, 'dry_run'), (1, 'failed'),
  (1, 'sent')$$,
  'the last attempt of each delivery stays as long as its event');
SELECT is(fn_iu_route_deliver('r', id) ->> 'status', 'already_attempted',
  'an event whose earlier attempts are gone is not sent anew') FROM event_outbox;
UPDATE iu_route_repeat SET asked_at = now() - interval '400 days';
SELECT fn_iu_core_retention_policy_set('iu_route_repeat', 366, 'ann', 'a leap year');
SELECT alike(pg_temp.clean(), '%iu_route_repeat 0 0%',
  'what a delivery repeats is known as long as its event is there');
SELECT fn_iu_core_retention_policy_set('iu_route_repeat', 366, 'ann', 'not now', false);
INSERT INTO iu_route_dead_letter (route_code, event_ref, replay_number, attempts, idempotency_key, failure_code,
  event_snapshot, created_at)
  VALUES ('r', gen_random_uuid(), 0, 1, 'open', 'x', '{}', now() - interval '400 days');
UPDATE iu_route_dead_letter SET resolved_at = now() - interval '100 days' WHERE resolved_at IS NOT NULL;
SELECT fn_iu_core_retention_policy_set('event_outbox', 366, 'ann', 'now');
SELECT is(pg_temp.clean(), 'event_outbox 1 1, iu_route_dead_letter 1 1, iu_route_attempt 3 3',
  'with an event go its attempts, and an old resolved dead letter goes');
SELECT fn_iu_core_retention_policy_set('iu_route_repeat', 366, 'ann', 'a leap year');
SELECT alike(pg_temp.clean(), '%iu_route_repeat 1 1%', 'what a delivery repeats goes with the last of it');
SELECT is((SELECT string_agg(idempotency_key, ',') FROM iu_route_dead_letter), 'open',
  'an open dead letter stays however old it is');
SELECT is(pg_temp.left_over(), NULL, 'an old event whose attempts went with it is gone');

-- ---- a target that a later migration brings

SAVEPOINT target;
SET LOCAL ROLE iu_core_owner;
CREATE TABLE public.test_log (id int, made_at timestamptz, made_by text);
INSERT INTO public.test_log SELECT g, now() - make_interval(days => g),
  CASE g % 2 WHEN 0 THEN 'even' ELSE 'odd' END FROM generate_series(1, 100) g;
INSERT INTO iu_core_retention_target VALUES ('test_log', 'made_at', 'made_by', 'r.id <> 99 OR r.id = 2', 9000);
RESET ROLE;
SELECT is(fn_iu_core_retention_policy_set('test_log', 50, 'ann', 'a target of a later migration', true,
  ARRAY['odd']) ->> 'age_column', 'made_at', 'a target that a migration added gets its policy');
SELECT is((SELECT rows_eligible || ' ' || active FROM v_iu_core_retention_candidates WHERE target_table = 'test_log'),
  '24 true', 'the condition of the target holds beside age and scope, whatever OR it has');
SELECT alike(pg_temp.clean(), '%test_log 24 24%', 'its rows are deleted like any others');
SELECT is((SELECT string_agg(id::text, ' ' ORDER BY id) FROM public.test_log WHERE id > 50 AND made_by = 'odd'), '99',
  'what its condition keeps stays');
SELECT pg_temp.refuses($$INSERT INTO iu_core_retention_policy (target_table, age_column, keep_days, reason)
  VALUES ('dot_config', 'updated_at', 1, 'x')$$, '23503', '.', 'no policy without a target');
SELECT is(left(pg_temp.as_role('iu_core_admin',
  $$INSERT INTO iu_core_retention_target VALUES ('dot_config', 'updated_at', 'key', 'true', 1) RETURNING 1$$), 5),
  '42501', 'an administrator adds no target');
ROLLBACK TO target;

-- ---- logged, who may, taken back

SELECT ok((SELECT count(*) FROM dot_iu_command_run WHERE command_name = 'dot_iu_retention_cleanup'
  AND run_status = 'applied' AND evidence -> 'tables' -> 0 ->> 'rows_deleted' = '1') >= 2,
  'every cleanup that deleted is logged');
SELECT ok(EXISTS (SELECT FROM dot_iu_command_run WHERE command_name = 'dot_iu_retention_cleanup' AND run_mode = 'plan'
  AND run_status = 'planned' AND NOT mutating),
  'a dry run is logged as planned');
SELECT set_eq($$SELECT r.rolname::text, pg_temp.called_as(p.oid) FROM pg_proc p CROSS JOIN pg_roles r
   WHERE pg_temp.called_as(p.oid) IS NOT NULL
   AND p.oid IN (SELECT to_regprocedure(g.object_name) FROM iu_governed_object g WHERE g.migration = 18
   AND g.object_class = 'function')
     AND r.rolname ~ '^iu_core_(reader|writer|operator|worker|agent)$' AND has_function_privilege(r.oid, p.oid,
     'EXECUTE')$$,
  $$VALUES ('iu_core_reader', 'fn_iu_core_retention_enabled'), ('iu_core_reader', 'iu.fn_iu_core_retention_candidates'),
  ('iu_core_operator', 'fn_iu_core_retention_enabled'),
    ('iu_core_operator', 'iu.fn_iu_core_retention_candidates'), ('iu_core_operator', 'fn_iu_core_retention_cleanup')$$,
  'readers look and operators clean up');
SELECT is(pg_temp.as_role('iu_core_reader', 'SELECT count(*) FROM v_iu_core_retention_candidates'),
  (SELECT count(*)::text FROM iu_core_retention_policy), 'a reader sees a candidate of each policy through the view');
-- ---- plans do not hang on statistics that are of another table

DELETE FROM iu_route_retry;
ANALYZE iu_route_retry;
ANALYZE event_outbox;
SELECT count(pg_temp.old('many' || n)) AS made FROM generate_series(1, 4000) n \gset
INSERT INTO iu_route_retry (route_code, event_id, event_seq, due_at, reason)
  SELECT 'many', id, event_seq, NULL, 'deliver' FROM event_outbox WHERE event_subject_ref ~ '^many';
CREATE FUNCTION pg_temp.pages_read(p_sql text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_plan jsonb;
BEGIN
  EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT json) ' || p_sql INTO v_plan;
  RETURN (v_plan #> '{0,Plan,Shared Hit Blocks}')::bigint + (v_plan #> '{0,Plan,Shared Read Blocks}')::bigint;
END $$;
SELECT cmp_ok(pg_temp.pages_read('SELECT * FROM v_iu_core_retention_candidates'), '<', 60000::bigint,
  'after a mass change what may go is found by a few looks at each table');
DELETE FROM iu_route_retry;

SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(12, false, true)', '55006', 'currently OPEN',
  'rolling back retention is refused while a gate is open');
SELECT fn_iu_gate_close(g, 'ann', 't') FROM unnest(ARRAY['iu_core.retention_enabled', 'iu_core.delivery_enabled']) g;
SELECT pg_temp.refuses($$SELECT fn_iu_core_retention_cleanup('ann', false)$$, '42501', 'retention is closed',
  'a cleanup with the gate closed again is refused');
SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(12, false, false)', '55006', 'would be lost',
  'rolling back retention is refused where policies would be lost');
SELECT lives_ok('SELECT count(*) FROM iu_core.rollback(12, false, true)',
  'with leave to lose policies the rollback of retention succeeds');
SELECT is((SELECT count(*) FROM dot_config WHERE key = 'iu_core.retention_enabled') + (SELECT count(*)
  FROM iu_gate_registry WHERE gate_key = 'iu_core.retention_enabled'), 0::bigint,
  'the rollback of retention leaves no gate of it');

SELECT finish();
ROLLBACK;
