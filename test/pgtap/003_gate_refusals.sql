-- 003: what fn_iu_gate_open and its kin refuse, in which order, and what they
-- do in the states that a gate can be in.
\ir setup.psql
SELECT plan(89);

CREATE FUNCTION pg_temp.refused_open(p_arguments text, p_errcode text, p_pattern text, p_description text) RETURNS SETOF text
  LANGUAGE sql AS $function$
    SELECT pg_temp.refuses(format('SELECT fn_iu_gate_open(%s)', p_arguments), p_errcode, p_pattern, p_description)
$function$;
CREATE FUNCTION pg_temp.state(p_gate_key text) RETURNS jsonb LANGUAGE sql AS $function$
  SELECT g FROM jsonb_array_elements(public.fn_iu_gate_verify_closed() -> 'gates') g WHERE g ->> 'gate_key' = p_gate_key
$function$;
SELECT coalesce(max(transition_seq), 0) AS ledger_start FROM iu_gate_transition \gset

-- Bad input.
SELECT pg_temp.refused_open($$'no.such_gate', gen_random_uuid(), 'me', 'why', 60$$, '42501', '^"?no.such_gate"? is not a governable runtime gate \(fail-closed\)$', 'open: unknown gate');
SELECT pg_temp.refused_open($$'', gen_random_uuid(), 'me', 'why', 60$$, '42501', '^"" is not a governable runtime gate', 'open: empty gate');
SELECT pg_temp.refused_open($$NULL, gen_random_uuid(), 'me', 'why', 60$$, '42501', '^NULL is not a governable runtime gate', 'open: NULL gate');
SELECT pg_temp.refused_open($$'IU_CORE.DELIVERY_ENABLED', gen_random_uuid(), 'me', 'why', 60$$, '42501', 'not a governable', 'open: a gate''s name is exact');
SELECT pg_temp.refused_open($$'iu_core.delivery_enabled', NULL, 'me', 'why', 60$$, '23514', 'approval_id required \(Điều 32\)', 'open: NULL approval');
SELECT pg_temp.refused_open(format($$'iu_core.delivery_enabled', gen_random_uuid(), 'me', 'why', %s$$, t), '23514', format('ttl_seconds must be from 1 to 3600, not %s$', t), format('open: ttl of %s', t))
  FROM unnest(ARRAY['0', '-1', '3601', 'NULL', '2147483647', '-2147483648']) t;
SELECT pg_temp.refused_open(format($$'iu_core.delivery_enabled', gen_random_uuid(), %s, 'why', 60$$, a), '23514', '^actor required', format('open: actor %s', a))
  FROM unnest(ARRAY['NULL', '''''', '''  ''']) a;

-- The order of refusals: never-flip, governable, approval, ttl, actor, row.
SELECT pg_temp.refused_open($$'iu_core.vector_sync_enabled', NULL, NULL, NULL, NULL$$, '42501', 'NEVER-FLIP', 'never-flip is said before all else');
SELECT pg_temp.refused_open($$'no.such_gate', NULL, NULL, NULL, NULL$$, '42501', 'not a governable', 'then not governable');
SELECT pg_temp.refused_open($$'iu_core.delivery_enabled', NULL, NULL, NULL, NULL$$, '23514', 'approval_id', 'then the approval');
SELECT pg_temp.refused_open($$'iu_core.delivery_enabled', gen_random_uuid(), NULL, NULL, NULL$$, '23514', 'ttl_seconds', 'then the time');
DELETE FROM dot_config WHERE key = 'queue.dlq.replay_enabled';
SELECT pg_temp.refused_open($$'queue.dlq.replay_enabled', gen_random_uuid(), NULL, NULL, 60$$, '23514', 'actor', 'then the actor');
SELECT pg_temp.refused_open($$'queue.dlq.replay_enabled', gen_random_uuid(), 'me', NULL, 60$$, '42704', '^gate "queue.dlq.replay_enabled" has no row in dot_config, which reads as closed$', 'open: a registered gate without a row');
SELECT pg_temp.refuses($$SELECT fn_iu_gate_close('queue.dlq.replay_enabled', 'me', NULL)$$, '42704', 'has no row in dot_config', 'close: a registered gate without a row');
SELECT is(pg_temp.state('queue.dlq.replay_enabled') ->> 'is_safe', 'false', 'verify: a missing row is not safe');
SELECT is(pg_temp.state('queue.dlq.replay_enabled') ->> 'reason', 'row missing in dot_config', 'and says so');
SELECT is(fn_iu_gate_verify_closed() ->> 'all_safe', 'false', 'and nothing is all safe');
SELECT is(fn_iu_gate_verify_closed() ->> 'all_governed_closed', 'false', 'nor governed closed');
SELECT pg_temp.hint_runs($$SELECT fn_iu_gate_open('queue.dlq.replay_enabled', gen_random_uuid(), 'me', NULL, 60)$$, 'what the hint shows puts the row back');
SELECT is((SELECT value FROM dot_config WHERE key = 'queue.dlq.replay_enabled'), 'false', 'closed');
DELETE FROM dot_config WHERE key = 'queue.dlq.replay_enabled';
SELECT pg_temp.hint_runs($$SELECT fn_iu_gate_close('queue.dlq.replay_enabled', 'me', NULL)$$, 'so does that of a closing');
DELETE FROM dot_config WHERE key = 'iu_core.vector_sync_enabled';
SELECT is(fn_iu_gate_verify_closed() ->> 'never_flip_intact', 'false', 'verify: a never-flip gate without a row is not intact');
INSERT INTO dot_config (key, value) VALUES ('iu_core.vector_sync_enabled', 'false');
SELECT is(fn_iu_gate_verify_closed() ->> 'all_safe', 'true', 'put back, all is safe');

SELECT pg_temp.refuses(format('SELECT fn_iu_gate_close(%s, ''me'', NULL)', k), '42501', 'is not a gate of this protocol \(fail-closed\)', format('close: gate %s', k))
  FROM unnest(ARRAY['''no.such_gate''', '''''', 'NULL']) k;
SELECT pg_temp.refuses('SELECT fn_iu_gate_close(''iu_core.delivery_enabled'', '' '', NULL)', '23514', '^actor required', 'close: empty actor');
SELECT pg_temp.refuses('SELECT fn_iu_gate_watchdog(NULL)', '23514', '^actor required', 'watchdog: NULL actor');
SELECT pg_temp.refuses('SELECT iu.fn_iu_gate_close_expired(''iu_core.delivery_enabled'', '''')', '23514', '^actor required', 'close_expired: empty actor');
SELECT is((SELECT count(*) FROM iu_gate_transition WHERE transition_seq > :ledger_start), 0::bigint, 'no refusal left a row in the ledger');

-- Hints: what begins like SQL ends like it, so that it can be pasted.
SELECT is((SELECT string_agg(p.proname || ': ' || h[1], E'\n') FROM pg_proc p CROSS JOIN LATERAL regexp_matches(p.prosrc, $$HINT = (?:format\()?'((?:[^']|'')*)'$$, 'g') AS h
    WHERE p.pronamespace = 'public'::regnamespace AND h[1] ~ '\m(SELECT|INSERT INTO|UPDATE|DELETE FROM|ALTER) ' AND h[1] !~ '\m(SELECT|INSERT INTO|UPDATE|DELETE FROM|ALTER) [^;]*;'),
  NULL, 'no hint shows half a statement');

-- Open and already open.
SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'alice', 'hint', 60) \g /dev/null
SELECT pg_temp.hint_runs('SELECT iu.fn_iu_rollback_guard()', 'what keeps a rollback back is closed by what the hint shows');
SELECT max(transition_seq) AS ledger_start FROM iu_gate_transition \gset
SELECT fn_iu_gate_open('iu_core.delivery_enabled', '00000000-0000-0000-0000-00000000000a', 'alice', 'first', 3600) AS first \gset
SELECT results_eq(format('SELECT k FROM jsonb_object_keys(%L::jsonb) k ORDER BY k COLLATE "C"', :'first'),
  ARRAY['approval_id', 'expires_at', 'gate_key', 'previous', 'run_id', 'status', 'transition_id', 'ttl_seconds', 'value'],
  'open says what it did');
SELECT is(:'first'::jsonb ->> 'previous', 'false', 'from false');
SELECT is(:'first'::jsonb ->> 'value', 'true', 'to true');
SELECT is(:'first'::jsonb ->> 'ttl_seconds', '3600', '3600 s is the longest');
SELECT is(:'first'::jsonb ->> 'approval_id', '00000000-0000-0000-0000-00000000000a', 'on this approval');
SELECT is(iu_core.gate_is_open('iu_core.delivery_enabled'), true, 'it is open');
SELECT is(fn_iu_delivery_enabled(), true, 'for those who ask');
SELECT is(pg_temp.state('iu_core.delivery_enabled') ->> 'holder', 'alice', 'verify names the holder');
SELECT is(pg_temp.state('iu_core.delivery_enabled') ->> 'effective', 'true', 'the effect');
SELECT is((pg_temp.state('iu_core.delivery_enabled') ->> 'expires_at')::timestamptz, (:'first'::jsonb ->> 'expires_at')::timestamptz, 'the end');
SELECT is(pg_temp.state('iu_core.delivery_enabled') ->> 'approval_id', '00000000-0000-0000-0000-00000000000a', 'and the approval');
SELECT pg_temp.refused_open($$'iu_core.delivery_enabled', gen_random_uuid(), 'bob', 'second', 60$$, '55006', '^gate "iu_core.delivery_enabled" is open until 20.* UTC, held by alice$', 'open twice: refused, naming holder and end');
SELECT pg_temp.refused_open($$'iu_core.delivery_enabled', '00000000-0000-0000-0000-00000000000a', 'alice', 'again', 60$$, '55006', 'held by alice', 'its holder needs another approval');
CREATE ROLE iu_test_imposter IN ROLE iu_core_operator;
SET LOCAL SESSION AUTHORIZATION iu_test_imposter;
SELECT throws_ok($$SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'alice', 'again', 60)$$, '55006', NULL, 'her name alone does not make a holder');
SET LOCAL SESSION AUTHORIZATION DEFAULT;
SELECT is((SELECT (holder, held_by, approval_id, reason, until - since, effective)::text FROM v_iu_gate_holder),
  format('(alice,%s,00000000-0000-0000-0000-00000000000a,first,01:00:00,t)', session_user), 'one view says who holds what until when');
SELECT fn_iu_gate_open('iu_core.delivery_enabled', '00000000-0000-0000-0000-00000000000b', 'alice', 'again', 1) AS renewed \gset
SELECT is(:'renewed'::jsonb ->> 'status', 'renewed', 'and renews with it');
SELECT is(:'renewed'::jsonb ->> 'previous', 'true', 'from true');
SELECT ok((:'renewed'::jsonb ->> 'expires_at')::timestamptz < (:'first'::jsonb ->> 'expires_at')::timestamptz, 'the last one counts, also if it ends sooner');
SELECT results_eq(format('SELECT action, prev_value, new_value, actor, reason, ttl_seconds FROM iu_gate_transition WHERE transition_seq > %s ORDER BY transition_seq', :ledger_start),
  $$VALUES ('open', 'false', 'true', 'alice', 'first', 3600), ('open', 'true', 'true', 'alice', 'again', 1)$$, 'a renewal is an open from true');
SELECT pg_sleep(1.05) \g /dev/null
SELECT matches(pg_temp.state('iu_core.delivery_enabled') ->> 'reason', '^expired at ', 'verify tells an expired gate');
SELECT is(fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'bob', NULL, 60) ->> 'status', 'opened', 'an expired gate can be opened by anybody, before the watchdog came');
SELECT is(fn_iu_gate_close('iu_core.delivery_enabled', 'carol', NULL) ->> 'previous', 'true', 'and closed by anybody');
SELECT is(fn_iu_gate_close('iu_core.delivery_enabled', 'carol', NULL) ->> 'status', 'closed', 'closing a closed gate is fine');
SELECT is(iu_core.gate_is_open('iu_core.delivery_enabled'), false, 'and it is closed');

-- Beside the protocol.
UPDATE dot_config SET value = 'true' WHERE key IN ('queue.job_substrate.enabled', 'iu_core.vector_sync_enabled');
UPDATE dot_config SET value = 'TRUE' WHERE key = 'queue.dlq.replay_enabled';
SELECT is(fn_iu_vector_sync_enabled(), false, 'a never-flip gate is never effective');
SELECT is(fn_iu_gate_verify_closed() ->> 'never_flip_intact', 'false', 'but its value shows');
SELECT is(pg_temp.state('queue.dlq.replay_enabled') ->> 'reason', 'value is neither true nor false', 'TRUE is not true');
SELECT is(iu_core.gate_is_open('queue.dlq.replay_enabled'), false, 'and opens nothing');
SELECT set_eq('SELECT gate_key, due_at FROM iu.fn_iu_gate_expiring()',
  $$VALUES ('queue.job_substrate.enabled', '-infinity'::timestamptz), ('iu_core.vector_sync_enabled', '-infinity'), ('queue.dlq.replay_enabled', '-infinity')$$,
  'expiring: all three are due at once');
SELECT is(fn_iu_gate_open('queue.job_substrate.enabled', gen_random_uuid(), 'me', NULL, 60) ->> 'previous', 'true', 'a value set beside the protocol may be opened');
SELECT results_eq('SELECT status, detail FROM iu.fn_iu_gate_close_expired(''iu_core.vector_sync_enabled'', ''dog'')',
  $$VALUES ('closed', 'never-flip gate set beside the protocol')$$, 'close_expired: never-flip');
SELECT results_eq('SELECT status, detail ~ ''^open until'' FROM iu.fn_iu_gate_close_expired(''queue.job_substrate.enabled'', ''dog'')',
  $$VALUES ('not_due', true)$$, 'close_expired: what lasts is not due');
SELECT results_eq('SELECT status, detail FROM iu.fn_iu_gate_close_expired(''iu_core.composer_enabled'', ''dog'')', $$VALUES ('not_due', 'closed')$$, 'close_expired: nor what is closed');
SELECT results_eq('SELECT status, detail FROM iu.fn_iu_gate_close_expired(''no.such'', ''dog'')', $$VALUES ('not_due', 'not a gate of this protocol')$$, 'close_expired: nor what is no gate');
SELECT is(fn_iu_gate_watchdog('dog') #>> '{closed,0,reason}', 'value is neither true nor false', 'watchdog: closes what is not false');

-- The guard of a rollback counts what is open.
SELECT pg_temp.refuses('SELECT iu.fn_iu_rollback_guard()', '55006', '^rollback refused: 1 governable gate\(s\) currently OPEN$', 'rollback guard: refuses');
SELECT is(fn_iu_gate_close('queue.job_substrate.enabled', 'me', NULL) ->> 'status', 'closed', 'until the gate is closed');
SELECT lives_ok('SELECT iu.fn_iu_rollback_guard()', 'then it passes');

UPDATE dot_config SET value = 'true' WHERE key = 'iu_enact.allow_no_review_decision';
SELECT pg_temp.refuses('SELECT iu.fn_iu_rollback_guard()', '55006', '^rollback refused: 1 never-flip gate\(s\) set to true$', 'but not with a never-flip gate set');
UPDATE dot_config SET value = 'false' WHERE key = 'iu_enact.allow_no_review_decision';

-- Gates of later migrations.
SELECT lives_ok($$SELECT iu.fn_iu_gate_register(999, 'test.gate', 'governable', 'a test')$$, 'a migration registers a gate');
SELECT is(pg_temp.state('test.gate') ->> 'reason', 'closed', 'it is closed');
SELECT is((SELECT bool_and(ok) FROM fn_iu_conformance()), true, 'and governed');
SELECT pg_temp.refuses($$SELECT iu.fn_iu_gate_register(999, 'test.gate', 'governable', 'a test')$$, '42710', 'registered already', 'but not twice');
SELECT is(fn_iu_gate_open('test.gate', gen_random_uuid(), 'me', NULL, 60) ->> 'status', 'opened', 'it opens like any other');
SELECT pg_temp.refuses('SELECT iu.fn_iu_gate_unregister(999)', '55006', '1 governable gate\(s\) currently OPEN', 'an open gate is not taken back');
SELECT fn_iu_gate_close('test.gate', 'me', NULL) \g /dev/null
SELECT lives_ok($$SELECT iu.fn_iu_gate_unregister(999)$$, 'its rollback takes it back');
SELECT is((SELECT count(*) FROM dot_config WHERE key = 'test.gate') + (SELECT count(*) FROM iu_gate_registry WHERE gate_key = 'test.gate')
  + (SELECT count(*) FROM iu_governed_object WHERE object_name = 'test.gate'), 0::bigint, 'and leaves nothing');
SAVEPOINT registry;
DELETE FROM iu_gate_registry WHERE gate_class = 'governable';
SELECT is(fn_iu_gate_verify_closed() ->> 'all_safe', 'false', 'verify: without a governable gate nothing is safe');
ROLLBACK TO SAVEPOINT registry;
DELETE FROM iu_gate_registry WHERE gate_class = 'never_flip';
SELECT is(fn_iu_gate_verify_closed() ->> 'all_safe', 'false', 'nor without a never-flip gate');
DELETE FROM iu_gate_registry;
SELECT is(fn_iu_gate_verify_closed() ->> 'all_safe', 'false', 'nor without any');
SELECT * FROM finish();
ROLLBACK;
