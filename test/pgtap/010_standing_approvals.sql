-- 010: standing approvals: what they open, how the watchdog renews on them, when
-- it no longer does, and who holds a gate that was renewed.
\ir setup.psql
\ir 010_approvals.psql
SELECT no_plan();
SELECT pg_temp.mode('strict') \g /dev/null

-- Standing approvals. The watchdog's work by hand: this database has none.
SELECT pg_temp.approval('iu_core.delivery_enabled', p_kind => 'standing', p_ttl => 12, p_for => '10 min')
  AS standing \gset
SELECT is(pg_temp.opens('oscar', :'standing', 'iu_core.delivery_enabled', 13),
  format('IU108 approval %s allows at most 12 s, not 13', :'standing'),
  'a standing approval bounds the time of each opening');
SELECT is(pg_temp.opens('oscar', :'standing', 'iu_core.delivery_enabled', 10), 'opened', 'a standing approval opens');
SELECT is((SELECT renew_at FROM iu.fn_iu_gate_expiring() WHERE gate_key = 'iu_core.delivery_enabled'),
  (SELECT expires_at - interval '5 s' FROM v_iu_gate WHERE gate_key = 'iu_core.delivery_enabled'),
  'an opening on a standing approval is to be renewed half its time before its end');
SELECT is((SELECT due_at FROM iu.fn_iu_gate_expiring() WHERE gate_key = 'iu_core.delivery_enabled'),
  (SELECT expires_at FROM v_iu_gate WHERE gate_key = 'iu_core.delivery_enabled'),
  'an opening on a standing approval is due to be closed at its end');
SELECT is((SELECT status FROM iu.fn_iu_gate_close_expired('iu_core.delivery_enabled', 'dog')), 'not_due',
  'an opening on a standing approval is not due before half its time');
SELECT pg_sleep_until(renew_at) FROM iu.fn_iu_gate_expiring() WHERE gate_key = 'iu_core.delivery_enabled' \g /dev/null
SELECT is(fn_iu_gate_watchdog('by hand') - 'closed' - 'locked' #- '{renewed,0,reason}',
  '{"closed_count": 0, "renewed": [{"gate_key": "iu_core.delivery_enabled"}]}',
  'after half its time an opening on a standing approval is renewed');
SELECT results_eq($$SELECT action, prev_value, approval_id::text, actor,
  ttl_seconds FROM iu_gate_transition WHERE gate_key = 'iu_core.delivery_enabled'
  ORDER BY transition_seq DESC LIMIT 1$$,
  format($$VALUES ('open', 'true', %L, 'oscar', 10)$$, :'standing'),
  'the renewal of a standing approval is an opening of the holder on the same approval');
SELECT matches((SELECT reason FROM iu_gate_transition WHERE gate_key = 'iu_core.delivery_enabled'
  ORDER BY transition_seq DESC LIMIT 1),
  '^renewed by by hand on the standing approval of "iu_test_olga"',
  'the reason of a renewal says who renewed and on whose approval');
SELECT is(iu.fn_iu_gate_held_by('iu_core.delivery_enabled'), 'iu_test_oscar',
  'after a renewal the gate is held by whoever opened it');
-- What each of these says by itself, whatever else would close the gate.
CREATE FUNCTION pg_temp.lasts(p_approval uuid, p_changed jsonb) RETURNS boolean LANGUAGE sql AS $$
  SELECT iu.fn_iu_gate_approval_lasts(jsonb_populate_record(a, p_changed)) FROM iu_gate_approval a
   WHERE a.approval_id = p_approval $$;
SELECT is(pg_temp.lasts(:'standing', '{}'), true, 'a standing approval lasts');
SELECT is(pg_temp.lasts(:'standing', c::jsonb), false, 'a standing approval does not last that ' || n) FROM (VALUES
  ('{"granted_to_oid": 1}', 'names a role that is gone'),
  ('{"granted_by_oid": 1}', 'was granted by a role that is gone'),
  ('{"place": "00000000-0000-0000-0000-000000000000"}', 'was granted in another place'),
  ('{"granted_at": "2999-01-01 UTC"}', 'is dated in the future'), ('{"expires_at": "2000-01-01 UTC"}', 'has expired'),
  ('{"kind": "single"}', 'is good for one use')) AS t (c, n);
SELECT is(pg_temp.revokes('olga', :'standing') - 'run_id',
  jsonb_build_object('status', 'revoked', 'approval_id', :'standing', 'gate_key', 'iu_core.delivery_enabled', 'closed',
  true, 'blocker', NULL),
  'revoking a standing approval says that it closed the gate');
SELECT is(pg_temp.lasts(:'standing', '{}'), false, 'a standing approval does not last that was revoked');
SELECT is((SELECT value || ' ' || effective FROM v_iu_gate WHERE gate_key = 'iu_core.delivery_enabled'), 'false false',
  'revoking a standing approval closes the gate in the same transaction');
SELECT matches((SELECT reason FROM iu_gate_transition WHERE gate_key = 'iu_core.delivery_enabled'
  ORDER BY transition_seq DESC LIMIT 1), '^approval revoked: no longer$',
  'the ledger says that the gate was closed because its approval was revoked');
SELECT is(pg_temp.revokes('olga', :'standing') ->> 'status', 'unchanged',
  'revoking a revoked approval changes nothing');
SELECT matches(pg_temp.opens('oscar', :'standing', 'iu_core.delivery_enabled', 2), '^IU104 ',
  'a standing approval that was revoked is refused with IU104');
SELECT matches(pg_temp.login('olga', 'SELECT fn_iu_gate_approval_revoke(gen_random_uuid(), ''olga'', ''x'')'),
  '^IU101 ',
  'revoking an approval that is not registered is refused with IU101');
SELECT matches(pg_temp.login('olga', format('SELECT fn_iu_gate_approval_revoke(%L, ''olga'', '''')', :'standing')),
  '^23514 ',
  'revoking without a reason is refused');
SELECT matches(pg_temp.login('agent', format('SELECT fn_iu_gate_approval_revoke(%L, ''a'', ''b'')', :'standing')),
  '^42501 permission denied',
  'an agent revokes no approval');

-- Who holds it after renewals, which the watchdog makes as iu_core_worker.
SELECT pg_temp.approval('iu_core.delivery_enabled', p_kind => 'standing', p_ttl => 10, p_for => '10 min',
  p_to => 'iu_test_agent') AS agents \gset
SELECT is(pg_temp.opens('agent', :'agents', 'iu_core.delivery_enabled', 10), 'opened',
  'an agent opens on a standing approval');
SELECT pg_sleep_until(renew_at) FROM iu.fn_iu_gate_expiring() WHERE gate_key = 'iu_core.delivery_enabled' \g /dev/null
SET LOCAL SESSION AUTHORIZATION iu_core_worker;
SELECT status AS first FROM iu.fn_iu_gate_close_expired('iu_core.delivery_enabled', 'dog') \gset
RESET SESSION AUTHORIZATION;
SELECT pg_sleep_until(renew_at) FROM iu.fn_iu_gate_expiring() WHERE gate_key = 'iu_core.delivery_enabled' \g /dev/null
SET LOCAL SESSION AUTHORIZATION iu_core_worker;
SELECT status AS second FROM iu.fn_iu_gate_close_expired('iu_core.delivery_enabled', 'dog') \gset
RESET SESSION AUTHORIZATION;
SELECT is(:'first' || ' ' || :'second', 'renewed renewed',
  'the watchdog as iu_core_worker renews an agent''s opening twice');
SELECT is((SELECT array_agg(t.session_role::text ORDER BY t.transition_seq) FROM iu_gate_transition t
  WHERE t.approval_id = :'agents'),
  ARRAY['iu_test_agent', 'iu_core_worker', 'iu_core_worker'], 'the ledger says which login opened and which renewed');
SELECT is((SELECT (holder, held_by)::text FROM v_iu_gate_holder WHERE gate_key = 'iu_core.delivery_enabled'),
  '(agent,iu_test_agent)',
  'after renewals by the watchdog the agent holds the gate');
SELECT matches(pg_temp.closes('agent2', 'iu_core.delivery_enabled'), '^42501 ',
  'another agent cannot close a gate that was renewed for its holder');
SELECT is(pg_temp.closes('agent', 'iu_core.delivery_enabled'), 'closed',
  'the holder closes a gate that was renewed for it');
SELECT is(iu.fn_iu_gate_held_by('iu_core.delivery_enabled'), NULL, 'after its holder closed it nobody holds the gate');

SELECT pg_temp.approval('iu_core.delivery_enabled') AS single \gset
SELECT is(pg_temp.opens('oscar', :'single', 'iu_core.delivery_enabled', 60), 'opened', 'a single approval opens');
SELECT is((SELECT renew_at FROM iu.fn_iu_gate_expiring() WHERE gate_key = 'iu_core.delivery_enabled'), NULL,
  'an opening on a single approval is not to be renewed');
SELECT is(pg_temp.revokes('olga', :'single') ->> 'closed', 'true', 'revoking a single approval closes the gate');

SELECT pg_temp.approval('iu_core.delivery_enabled', p_kind => 'standing', p_ttl => 20, p_for => '18 s') AS ending \gset
SELECT matches(pg_temp.opens('oscar', :'ending', 'iu_core.delivery_enabled', 20),
  '^IU108 approval .* ends at 20.* UTC, before an opening of 20 s would$',
  'an opening that would outlast its standing approval is refused with IU108');
SELECT is(pg_temp.opens('oscar', :'ending', 'iu_core.delivery_enabled', 8), 'opened',
  'an opening that ends before its standing approval is allowed');
SELECT pg_sleep_until(renew_at) FROM iu.fn_iu_gate_expiring() WHERE gate_key = 'iu_core.delivery_enabled' \g /dev/null
SELECT is(jsonb_array_length(fn_iu_gate_watchdog('dog') -> 'renewed'), 1,
  'an opening on a standing approval is renewed while there is time');
SELECT cmp_ok((SELECT max(expires_at) FROM iu_gate_transition WHERE approval_id = :'ending'), '<=',
  (SELECT expires_at FROM iu_gate_approval WHERE approval_id = :'ending'),
  'the first renewal does not reach beyond the end of the standing approval');
SELECT pg_sleep_until(renew_at) FROM iu.fn_iu_gate_expiring() WHERE gate_key = 'iu_core.delivery_enabled' \g /dev/null
SELECT fn_iu_gate_watchdog('dog') \g /dev/null
SELECT cmp_ok((SELECT max(expires_at) FROM iu_gate_transition WHERE approval_id = :'ending'), '<=',
  (SELECT expires_at FROM iu_gate_approval WHERE approval_id = :'ending'),
  'no renewal reaches beyond the end of the standing approval');
SELECT pg_sleep_until(expires_at) FROM v_iu_gate WHERE gate_key = 'iu_core.delivery_enabled' \g /dev/null
SELECT is(fn_iu_gate_watchdog('dog') ->> 'closed_count', '1', 'at the end of the standing approval the gate is closed');

SELECT pg_temp.approval('iu_core.delivery_enabled', p_kind => 'standing', p_for => '1 h') AS lost \gset
SELECT is(pg_temp.opens('oscar', :'lost', 'iu_core.delivery_enabled', 1), 'opened',
  'a gate is opened on a standing approval for one second');
SELECT pg_sleep_until(expires_at) FROM v_iu_gate WHERE gate_key = 'iu_core.delivery_enabled' \g /dev/null
SELECT is(fn_iu_gate_watchdog('dog') ->> 'closed_count', '1',
  'an opening on a standing approval that was not renewed in time is closed');
SELECT is(pg_temp.opens('oscar', :'lost', 'iu_core.delivery_enabled', 60), 'opened',
  'the holder opens again on the standing approval');
SELECT pg_temp.login('ada', $$SELECT fn_iu_gate_approvers_set('iu_core.delivery_enabled', ARRAY['iu_core_admin'], 'ada',
  'only admins')$$) \g /dev/null
SELECT is((SELECT renew_at FROM iu.fn_iu_gate_expiring() WHERE gate_key = 'iu_core.delivery_enabled'), NULL,
  'an opening is no longer to be renewed when its grantor is off the approval list');
SELECT is(pg_temp.closes('oscar', 'iu_core.delivery_enabled'), 'closed',
  'the holder closes the opening that is no longer renewed');
SELECT is((SELECT count(*) FROM iu.fn_iu_gate_expiring()), 0::bigint, 'after all were closed nothing is to be renewed');

SELECT is((SELECT state FROM v_iu_gate_approval WHERE approval_id = :'lost'), 'grantor not allowed',
  'v_iu_gate_approval says that a standing approval is worth nothing when its grantor is off the approval list');
SELECT is((SELECT openings FROM v_iu_gate_approval WHERE approval_id = :'lost'), 2::bigint,
  'v_iu_gate_approval says how often an approval opened');
SELECT is((SELECT bool_and(ok) FROM fn_iu_conformance()), true, 'the database conforms');

SELECT * FROM finish();
ROLLBACK;
