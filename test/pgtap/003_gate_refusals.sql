-- 003: what fn_iu_gate_open and its kin refuse, in which order, and what they
-- do in the states that a gate can be in.
\ir setup.psql
SELECT plan(89);

CREATE FUNCTION pg_temp.refused_open(p_arguments text, p_errcode text, p_pattern text, p_description text)
  RETURNS SETOF text
  LANGUAGE sql AS $function$
    SELECT pg_temp.refuses(format('SELECT fn_iu_gate_open(%s)', p_arguments), p_errcode, p_pattern, p_description)
$function$;
CREATE FUNCTION pg_temp.state(p_gate_key text) RETURNS jsonb LANGUAGE sql AS $function$
  SELECT g FROM jsonb_array_elements(public.fn_iu_gate_verify_closed() -> 'gates') g WHERE g ->> 'gate_key' = p_gate_key
$function$;
SELECT coalesce(max(transition_seq), 0) AS ledger_start FROM iu_gate_transition \gset

-- Bad input.
SELECT pg_temp.refused_open($$'no.such_gate', gen_random_uuid(), 'me', 'why', 60$$, '42501',
  '^"?no.such_gate"? is not a governable runtime gate \(fail-closed\)$', 'opening a gate that is not known is refused');
SELECT pg_temp.refused_open($$'', gen_random_uuid(), 'me', 'why', 60$$, '42501', '^"" is not a governable runtime gate',
  'opening a gate with an empty name is refused');
SELECT pg_temp.refused_open($$NULL, gen_random_uuid(), 'me', 'why', 60$$, '42501',
  '^NULL is not a governable runtime gate', 'opening a gate whose name is NULL is refused');
SELECT pg_temp.refused_open($$'IU_CORE.DELIVERY_ENABLED', gen_random_uuid(), 'me', 'why', 60$$, '42501',
  'not a governable', 'opening is refused for a gate''s name in other case');
SELECT pg_temp.refused_open($$'iu_core.delivery_enabled', NULL, 'me', 'why', 60$$, '23514',
  'approval_id required \(Điều 32\)', 'opening without an approval is refused');
SELECT pg_temp.refused_open(format($$'iu_core.delivery_enabled', gen_random_uuid(), 'me', 'why', %s$$, t), '23514',
  format('ttl_seconds must be from 1 to 3600, not %s$', t), format('opening with a time to live of %s is refused', t))
  FROM unnest(ARRAY['0', '-1', '3601', 'NULL', '2147483647', '-2147483648']) t;
SELECT pg_temp.refused_open(format($$'iu_core.delivery_enabled', gen_random_uuid(), %s, 'why', 60$$, a), '23514',
  '^actor required', format('opening by the actor %s is refused', a))
  FROM unnest(ARRAY['NULL', '''''', '''  ''']) a;

-- The order of refusals: never-flip, governable, approval, ttl, actor, row.
SELECT pg_temp.refused_open($$'iu_core.vector_sync_enabled', NULL, NULL, NULL, NULL$$, '42501', 'NEVER-FLIP',
  'opening with every fault: the refusal names the never-flip gate before all else');
SELECT pg_temp.refused_open($$'no.such_gate', NULL, NULL, NULL, NULL$$, '42501', 'not a governable',
  'opening with every other fault: the refusal names the gate that is not governable');
SELECT pg_temp.refused_open($$'iu_core.delivery_enabled', NULL, NULL, NULL, NULL$$, '23514', 'approval_id',
  'opening without approval, time, actor: the refusal names the approval');
SELECT pg_temp.refused_open($$'iu_core.delivery_enabled', gen_random_uuid(), NULL, NULL, NULL$$, '23514', 'ttl_seconds',
  'opening without time and actor: the refusal names the time');
DELETE FROM dot_config WHERE key = 'queue.dlq.replay_enabled';
SELECT pg_temp.refused_open($$'queue.dlq.replay_enabled', gen_random_uuid(), NULL, NULL, 60$$, '23514', 'actor',
  'opening a missing row without actor: the refusal names the actor');
SELECT pg_temp.refused_open($$'queue.dlq.replay_enabled', gen_random_uuid(), 'me', NULL, 60$$, '42704',
  '^gate "queue.dlq.replay_enabled" has no row in dot_config, which reads as closed$',
  'opening a registered gate whose row is missing is refused');
SELECT pg_temp.refuses($$SELECT fn_iu_gate_close('queue.dlq.replay_enabled', 'me', NULL)$$, '42704',
  'has no row in dot_config',
  'closing a registered gate whose row is missing is refused');
SELECT is(pg_temp.state('queue.dlq.replay_enabled') ->> 'is_safe', 'false', 'a gate whose row is missing is not safe');
SELECT is(pg_temp.state('queue.dlq.replay_enabled') ->> 'reason', 'row missing in dot_config',
  'verify says that the row of the gate is missing');
SELECT is(fn_iu_gate_verify_closed() ->> 'all_safe', 'false',
  'with a missing row verify does not say that all is safe');
SELECT is(fn_iu_gate_verify_closed() ->> 'all_governed_closed', 'false',
  'with a missing row verify does not say that all governed gates are closed');
SELECT pg_temp.hint_runs($$SELECT fn_iu_gate_open('queue.dlq.replay_enabled', gen_random_uuid(), 'me', NULL, 60)$$,
  'the statement in the hint puts the missing row back');
SELECT is((SELECT value FROM dot_config WHERE key = 'queue.dlq.replay_enabled'), 'false',
  'the row that the hint''s statement puts back is closed');
DELETE FROM dot_config WHERE key = 'queue.dlq.replay_enabled';
SELECT pg_temp.hint_runs($$SELECT fn_iu_gate_close('queue.dlq.replay_enabled', 'me', NULL)$$,
  'the statement in the hint of a refused closing puts the missing row back');
DELETE FROM dot_config WHERE key = 'iu_core.vector_sync_enabled';
SELECT is(fn_iu_gate_verify_closed() ->> 'never_flip_intact', 'false',
  'a never-flip gate whose row is missing is not intact');
INSERT INTO dot_config (key, value) VALUES ('iu_core.vector_sync_enabled', 'false');
SELECT is(fn_iu_gate_verify_closed() ->> 'all_safe', 'true', 'with every row put back verify says that all is safe');

SELECT pg_temp.refuses(format('SELECT fn_iu_gate_close(%s, ''me'', NULL)', k), '42501',
  'is not a gate of this protocol \(fail-closed\)',
  format('closing is refused for gate %s', k))
  FROM unnest(ARRAY['''no.such_gate''', '''''', 'NULL']) k;
SELECT pg_temp.refuses('SELECT fn_iu_gate_close(''iu_core.delivery_enabled'', '' '', NULL)', '23514', '^actor required',
  'closing is refused to an empty actor');
SELECT pg_temp.refuses('SELECT fn_iu_gate_watchdog(NULL)', '23514', '^actor required',
  'the watchdog''s function is refused to a NULL actor');
SELECT pg_temp.refuses('SELECT iu.fn_iu_gate_close_expired(''iu_core.delivery_enabled'', '''')', '23514',
  '^actor required',
  'closing of expired gates is refused to an empty actor');
SELECT is((SELECT count(*) FROM iu_gate_transition WHERE transition_seq > :ledger_start), 0::bigint,
  'no refusal leaves a row in the ledger');

-- Hints: what begins like SQL ends like it, so that it can be pasted.
SELECT is((SELECT string_agg(p.proname || ': ' || h[1], E'\n') FROM pg_proc p CROSS
  JOIN LATERAL regexp_matches(p.prosrc, $$HINT = (?:format\()?'((?:[^']|'')*)'$$, 'g') AS h
    WHERE p.pronamespace = 'public'::regnamespace AND h[1] ~ '\m(SELECT|INSERT INTO|UPDATE|DELETE FROM|ALTER) '
    AND h[1] !~ '\m(SELECT|INSERT INTO|UPDATE|DELETE FROM|ALTER) [^;]*;'),
  NULL, 'no hint shows half a statement');

-- Open and already open.
SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'alice', 'hint', 60) \g /dev/null
SELECT pg_temp.hint_runs('SELECT iu.fn_iu_rollback_guard()',
  'the statement in the hint of a refused rollback closes the gate that keeps it back');
SELECT max(transition_seq) AS ledger_start FROM iu_gate_transition \gset
SELECT fn_iu_gate_open('iu_core.delivery_enabled', '00000000-0000-0000-0000-00000000000a', 'alice', 'first', 3600)
  AS first \gset
SELECT results_eq(format('SELECT k FROM jsonb_object_keys(%L::jsonb) k ORDER BY k COLLATE "C"', :'first'),
  ARRAY['approval_id', 'expires_at', 'gate_key', 'previous', 'run_id', 'status', 'transition_id', 'ttl_seconds',
  'value'],
  'opening a gate says that it was opened');
SELECT is(:'first'::jsonb ->> 'previous', 'false', 'opening a gate tells the value before it, false');
SELECT is(:'first'::jsonb ->> 'value', 'true', 'opening a gate tells the value after it, true');
SELECT is(:'first'::jsonb ->> 'ttl_seconds', '3600', 'an opening of 3600 s, the longest, is allowed');
SELECT is(:'first'::jsonb ->> 'approval_id', '00000000-0000-0000-0000-00000000000a',
  'opening a gate tells the approval');
SELECT is(iu_core.gate_is_open('iu_core.delivery_enabled'), true, 'a gate that was opened is open');
SELECT is(fn_iu_delivery_enabled(), true, 'the capability of a gate that was opened is on');
SELECT is(pg_temp.state('iu_core.delivery_enabled') ->> 'holder', 'alice', 'verify names the holder of an open gate');
SELECT is(pg_temp.state('iu_core.delivery_enabled') ->> 'effective', 'true', 'verify tells the effect of an open gate');
SELECT is((pg_temp.state('iu_core.delivery_enabled') ->> 'expires_at')::timestamptz,
  (:'first'::jsonb ->> 'expires_at')::timestamptz,
  'verify tells the end of an opening');
SELECT is(pg_temp.state('iu_core.delivery_enabled') ->> 'approval_id', '00000000-0000-0000-0000-00000000000a',
  'verify tells the approval of an opening');
SELECT pg_temp.refused_open($$'iu_core.delivery_enabled', gen_random_uuid(), 'bob', 'second', 60$$, '55006',
  '^gate "iu_core.delivery_enabled" is open until 20.* UTC, held by alice$',
  'open twice: refused, naming holder and end');
SELECT pg_temp.refused_open($$'iu_core.delivery_enabled', '00000000-0000-0000-0000-00000000000a', 'alice', 'again',
  60$$, '55006', 'held by alice', 'its holder needs another approval');
CREATE ROLE iu_test_imposter IN ROLE iu_core_operator;
SET LOCAL SESSION AUTHORIZATION iu_test_imposter;
SELECT throws_ok($$SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'alice', 'again', 60)$$,
  '55006', NULL,
  'the holder''s name with the same approval does not renew an opening');
SET LOCAL SESSION AUTHORIZATION DEFAULT;
SELECT is((SELECT (holder, held_by, approval_id, reason, until - since, effective)::text FROM v_iu_gate_holder),
  format('(alice,%s,00000000-0000-0000-0000-00000000000a,first,01:00:00,t)', session_user),
  'one view says which gate is held by whom until when');
SELECT fn_iu_gate_open('iu_core.delivery_enabled', '00000000-0000-0000-0000-00000000000b', 'alice', 'again', 1)
  AS renewed \gset
SELECT is(:'renewed'::jsonb ->> 'status', 'renewed', 'the holder renews with a new approval');
SELECT is(:'renewed'::jsonb ->> 'previous', 'true', 'a renewal tells the value before it, true');
SELECT ok((:'renewed'::jsonb ->> 'expires_at')::timestamptz < (:'first'::jsonb ->> 'expires_at')::timestamptz,
  'the last opening counts, also where it ends sooner');
SELECT results_eq(format('SELECT action, prev_value, new_value, actor, reason, ttl_seconds FROM iu_gate_transition '
  'WHERE transition_seq > %s ORDER BY transition_seq', :ledger_start),
  $$VALUES ('open', 'false', 'true', 'alice', 'first', 3600), ('open', 'true', 'true', 'alice', 'again', 1)$$,
  'a renewal is an opening from true in the ledger');
SELECT pg_sleep(1.05) \g /dev/null
SELECT matches(pg_temp.state('iu_core.delivery_enabled') ->> 'reason', '^expired at ',
  'verify tells that a gate has expired');
SELECT is(fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'bob', NULL, 60) ->> 'status', 'opened',
  'an expired gate can be opened by anybody before the watchdog comes');
SELECT is(fn_iu_gate_close('iu_core.delivery_enabled', 'carol', NULL) ->> 'previous', 'true',
  'an open gate can be closed by anybody');
SELECT is(fn_iu_gate_close('iu_core.delivery_enabled', 'carol', NULL) ->> 'status', 'closed',
  'closing a closed gate is no refusal');
SELECT is(iu_core.gate_is_open('iu_core.delivery_enabled'), false, 'a gate that was closed twice is closed');

-- Beside the protocol.
UPDATE dot_config SET value = 'true' WHERE key IN ('queue.job_substrate.enabled', 'iu_core.vector_sync_enabled');
UPDATE dot_config SET value = 'TRUE' WHERE key = 'queue.dlq.replay_enabled';
SELECT is(fn_iu_vector_sync_enabled(), false, 'a never-flip gate that is set to true is not effective');
SELECT is(fn_iu_gate_verify_closed() ->> 'never_flip_intact', 'false',
  'verify shows the value of a never-flip gate that is set to true');
SELECT is(pg_temp.state('queue.dlq.replay_enabled') ->> 'reason', 'value is neither true nor false',
  'a gate with value TRUE in capitals does not count as true');
SELECT is(iu_core.gate_is_open('queue.dlq.replay_enabled'), false, 'a gate with value TRUE in capitals is not open');
SELECT set_eq('SELECT gate_key, due_at FROM iu.fn_iu_gate_expiring()',
  $$VALUES ('queue.job_substrate.enabled', '-infinity'::timestamptz), ('iu_core.vector_sync_enabled', '-infinity'),
  ('queue.dlq.replay_enabled', '-infinity')$$,
  'three gates that are set beside the protocol are due at once');
SELECT is(fn_iu_gate_open('queue.job_substrate.enabled', gen_random_uuid(), 'me', NULL, 60) ->> 'previous', 'true',
  'a gate whose value was set beside the protocol may be opened');
SELECT results_eq('SELECT status, detail FROM iu.fn_iu_gate_close_expired(''iu_core.vector_sync_enabled'', ''dog'')',
  $$VALUES ('closed', 'never-flip gate set beside the protocol')$$,
  'closing of expired gates closes a never-flip gate that is set to true');
SELECT results_eq('SELECT status, detail ~ ''^open until'' FROM '
  'iu.fn_iu_gate_close_expired(''queue.job_substrate.enabled'', ''dog'')',
  $$VALUES ('not_due', true)$$, 'closing of expired gates finds a lasting opening not due');
SELECT results_eq('SELECT status, detail FROM iu.fn_iu_gate_close_expired(''iu_core.composer_enabled'', ''dog'')',
  $$VALUES ('not_due', 'closed')$$,
  'closing of expired gates finds a closed gate not due');
SELECT results_eq('SELECT status, detail FROM iu.fn_iu_gate_close_expired(''no.such'', ''dog'')',
  $$VALUES ('not_due', 'not a gate of this protocol')$$,
  'closing of expired gates finds what is no gate not due');
SELECT is(fn_iu_gate_watchdog('dog') #>> '{closed,0,reason}', 'value is neither true nor false',
  'the watchdog''s function closes what has another value than false');

-- The guard of a rollback counts what is open.
SELECT pg_temp.refuses('SELECT iu.fn_iu_rollback_guard()', '55006',
  '^rollback refused: 1 governable gate\(s\) currently OPEN$',
  'the rollback guard refuses while a gate is open');
SELECT is(fn_iu_gate_close('queue.job_substrate.enabled', 'me', NULL) ->> 'status', 'closed',
  'the gate that the rollback guard named is closed');
SELECT lives_ok('SELECT iu.fn_iu_rollback_guard()', 'the rollback guard passes when the gate is closed');

UPDATE dot_config SET value = 'true' WHERE key = 'iu_enact.allow_no_review_decision';
SELECT pg_temp.refuses('SELECT iu.fn_iu_rollback_guard()', '55006',
  '^rollback refused: 1 never-flip gate\(s\) set to true$',
  'the rollback guard refuses while a never-flip gate is set to true');
UPDATE dot_config SET value = 'false' WHERE key = 'iu_enact.allow_no_review_decision';

-- Gates of later migrations.
SELECT lives_ok($$SELECT iu.fn_iu_gate_register(999, 'test.gate', 'governable', 'a test')$$,
  'a migration registers a gate of its own');
SELECT is(pg_temp.state('test.gate') ->> 'reason', 'closed', 'a gate that a migration registers is closed');
SELECT is((SELECT bool_and(ok) FROM fn_iu_conformance()), true, 'a gate that a migration registers is governed');
SELECT pg_temp.refuses($$SELECT iu.fn_iu_gate_register(999, 'test.gate', 'governable', 'a test')$$, '42710',
  'registered already',
  'a migration cannot register a gate twice');
SELECT is(fn_iu_gate_open('test.gate', gen_random_uuid(), 'me', NULL, 60) ->> 'status', 'opened',
  'a gate that a migration registered is opened like any other');
SELECT pg_temp.refuses('SELECT iu.fn_iu_gate_unregister(999)', '55006', '1 governable gate\(s\) currently OPEN',
  'a migration''s rollback does not take an open gate back');
SELECT fn_iu_gate_close('test.gate', 'me', NULL) \g /dev/null
SELECT lives_ok($$SELECT iu.fn_iu_gate_unregister(999)$$, 'a migration''s rollback takes its closed gate back');
SELECT is((SELECT count(*) FROM dot_config WHERE key = 'test.gate') + (SELECT count(*) FROM iu_gate_registry
  WHERE gate_key = 'test.gate')
  + (SELECT count(*) FROM iu_governed_object WHERE object_name = 'test.gate'), 0::bigint,
  'a migration''s rollback leaves nothing of its gate');
SAVEPOINT registry;
DELETE FROM iu_gate_registry WHERE gate_class = 'governable';
SELECT is(fn_iu_gate_verify_closed() ->> 'all_safe', 'false',
  'without a governable gate verify does not say that all is safe');
ROLLBACK TO SAVEPOINT registry;
DELETE FROM iu_gate_registry WHERE gate_class = 'never_flip';
SELECT is(fn_iu_gate_verify_closed() ->> 'all_safe', 'false',
  'without a never-flip gate verify does not say that all is safe');
DELETE FROM iu_gate_registry;
SELECT is(fn_iu_gate_verify_closed() ->> 'all_safe', 'false', 'without any gate verify does not say that all is safe');
SELECT * FROM finish();
ROLLBACK;
