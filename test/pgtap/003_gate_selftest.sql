-- 003: the self-test of the gate protocol, T0 to T9 by their names. T7 waits out an
-- opening of 3 s instead of dating one back, and shows that this is refused.
\ir setup.psql
SELECT plan(31);
SELECT coalesce(max(transition_seq), 0) AS ledger_start FROM iu_gate_transition \gset
SELECT count(*) AS runs_start FROM dot_iu_command_run \gset

SELECT is(fn_iu_gate_verify_closed('selftest') ->> 'all_safe', 'true',
  'T0 before the self-test verify says that all is safe');
SELECT set_has($$SELECT g ->> 'gate_key' AS gate_key,
  g ->> 'gate_class' AS gate_class FROM jsonb_array_elements(fn_iu_gate_verify_closed() -> 'gates') g$$,
  $$VALUES ('iu_core.composer_enabled', 'governable'), ('iu_core.structure_ops_enabled', 'governable'),
           ('iu_core.delivery_enabled', 'governable'), ('iu_core.three_axis_auto_refresh_enabled', 'governable'),
           ('iu_core.operator_runtime_enabled', 'governable'), ('queue.job_substrate.enabled', 'governable'),
           ('queue.dlq.replay_enabled', 'governable'), ('iu_enact.allow_no_review_decision', 'never_flip'),
           ('iu_core.vector_sync_enabled', 'never_flip')$$, 'T0 verify knows the nine gates of the protocol');
SELECT is(jsonb_array_length(fn_iu_gate_verify_closed() -> 'gates')::bigint, (SELECT count(*) FROM iu_gate_registry),
  'T0 verify lists every registered gate once');

SELECT is(fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'selftest', 'T1', 60) ->> 'status', 'opened',
  'T1 opening composer on an approval answers opened');
SELECT is(fn_iu_gate_verify_closed() ->> 'all_governed_closed', 'false',
  'T2 with composer open verify does not say that all governed gates are closed');
SELECT is(fn_iu_gate_verify_closed() ->> 'never_flip_intact', 'true',
  'T2 with composer open verify says that the never-flip gates are intact');
SELECT is(fn_iu_gate_verify_closed() ->> 'all_safe', 'false',
  'T2 with composer open verify does not say that all is safe');

SELECT pg_temp.refuses($$SELECT fn_iu_gate_open('iu_enact.allow_no_review_decision', gen_random_uuid(), 'selftest',
  'T3', 60)$$,
  '42501', 'NEVER-FLIP.*supply a real review_decision_id',
  'T3 opening never-flip gate allow_no_review_decision is refused');
SELECT is((SELECT value FROM dot_config WHERE key = 'iu_enact.allow_no_review_decision'), 'false',
  'T3 after the refusal allow_no_review_decision is still false');
SELECT pg_temp.refuses($$SELECT fn_iu_gate_open('iu_core.vector_sync_enabled', gen_random_uuid(), 'selftest', 'T3b',
  60)$$,
  '42501', 'NEVER-FLIP.*supply a real review_decision_id',
  'T3b opening never-flip gate vector_sync_enabled is refused');
SELECT is((SELECT value FROM dot_config WHERE key = 'iu_core.vector_sync_enabled'), 'false',
  'T3b after the refusal vector_sync_enabled is still false');
SELECT pg_temp.refuses($$SELECT fn_iu_gate_open('iu_core.routes_master_enabled', gen_random_uuid(), 'selftest', 'T4',
  60)$$,
  '42501', 'not a governable runtime gate \(fail-closed\)',
  'T4 opening routes_master_enabled, which is not governable, is refused');
SELECT pg_temp.refuses($$SELECT fn_iu_gate_open('iu_core.structure_ops_enabled', NULL, 'selftest', 'T5', 60)$$,
  '23514', 'approval_id required \(Điều 32\)', 'T5 opening structure_ops without an approval is refused');
SELECT is(fn_iu_gate_close('iu_core.composer_enabled', 'selftest', 'T6') ->> 'status', 'closed',
  'T6 closing composer answers closed');

SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'selftest', 'T7', 3) AS t7 \gset
SELECT is((SELECT value FROM dot_config WHERE key = 'iu_core.delivery_enabled'), 'true',
  'T7 before its expiry delivery is true');
SELECT is(fn_iu_gate_watchdog('selftest') ->> 'closed_count', '0',
  'T7 the watchdog''s function closes no opening that lasts');
SELECT pg_temp.refuses($$UPDATE iu_gate_transition SET expires_at = now() - interval '1 hour'$$,
  '42501', 'append-only', 'T7 an opening cannot be dated back by an UPDATE of the ledger');
SELECT pg_temp.refuses($$INSERT INTO iu_gate_transition (gate_key, action, new_value, approval_id, ttl_seconds, actor,
  created_at)
    VALUES ('iu_core.delivery_enabled', 'open', 'true', gen_random_uuid(), 60, 'selftest', now() - interval '1 hour')$$,
  '23514', 'dated by the clock', 'T7 an opening cannot be dated back by an INSERT of created_at');
SELECT pg_temp.refuses($$INSERT INTO iu_gate_transition (gate_key, action, new_value, approval_id, ttl_seconds, actor,
  expires_at)
    VALUES ('iu_core.delivery_enabled', 'open', 'true', gen_random_uuid(), 60, 'selftest', now() + interval '1 day')$$,
  '23514', 'dated by the clock', 'T7 an opening cannot be prolonged by an INSERT of expires_at');
SELECT pg_temp.refuses(format($$INSERT INTO iu_gate_transition (gate_key, action, new_value, approval_id, ttl_seconds,
  actor, %s)
    VALUES ('iu_core.delivery_enabled', 'open', 'true', gen_random_uuid(), 60, 'selftest', %s)$$, c, v),
  '23514', 'dated by the clock', 'T7 an INSERT into the ledger cannot give the place of an opening: ' || c)
  FROM (VALUES ('system_identifier', '1'), ('database_oid', '1'), ('place', 'iu_core.place()'),
               ('written_by', 'iu_core.current_xid()')) t (c, v);
SELECT pg_sleep(3.05) \g /dev/null
SELECT is(fn_iu_gate_watchdog('selftest') ->> 'closed_count', '1',
  'T7 after the expiry the watchdog''s function closes one gate');
SELECT is((SELECT value FROM dot_config WHERE key = 'iu_core.delivery_enabled'), 'false',
  'T7 after the watchdog''s function delivery is false');

SELECT is(fn_iu_gate_verify_closed() ->> 'all_safe', 'true', 'T8 at the end verify says that all is safe');
SELECT results_eq(
  format('SELECT gate_key, action, prev_value, new_value FROM iu_gate_transition WHERE transition_seq > %s ORDER BY '
    'gate_key, transition_seq', :ledger_start),
  $$VALUES ('iu_core.composer_enabled', 'open', 'false', 'true'),
           ('iu_core.composer_enabled', 'close', 'true', 'false'),
           ('iu_core.delivery_enabled', 'open', 'false', 'true'),
           ('iu_core.delivery_enabled', 'watchdog_close', 'true', 'false')$$,
           'T9 the ledger has the transitions of the self-test');

SELECT is((:'t7'::jsonb ->> 'expires_at')::timestamptz,
  (SELECT created_at + interval '3 seconds' FROM iu_gate_transition
            WHERE transition_id = (:'t7'::jsonb ->> 'transition_id')::uuid),
            'an opening ends ttl_seconds after it was made');
SELECT matches((SELECT reason FROM iu_gate_transition WHERE gate_key = 'iu_core.delivery_enabled'
  ORDER BY transition_seq DESC LIMIT 1),
  '^expired at 20', 'the watchdog says why it closed');
SELECT is((SELECT count(*) FROM dot_iu_command_run) - :runs_start, 4::bigint,
  'each change of a gate is logged as a run');
SELECT is((SELECT count(*) FROM iu_gate_transition t JOIN dot_iu_command_run r USING (run_id)
            WHERE t.transition_seq > :ledger_start AND r.evidence ->> 'transition_id' = t.transition_id::text
              AND r.gate_snapshot ? t.gate_key), 4::bigint, 'a run and its transition name each other');
SELECT * FROM finish();
ROLLBACK;
