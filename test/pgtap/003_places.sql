-- 003: the places of a database: how each way to another place is told, what it
-- holds up, and what a person's word lets go on. This database has no watchdog;
-- its calls are made by hand.
\ir setup.psql
\ir 010_approvals.psql
SELECT no_plan();

CREATE FUNCTION pg_temp.seen() RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', began, CASE WHEN confirmed_at IS NOT NULL THEN 'confirmed' ELSE 'open' END)
    FROM iu_place ORDER BY place_seq DESC LIMIT 1$$;

-- What the database would be if it had been at home elsewhere: another place, which differs by this.
CREATE FUNCTION pg_temp.from_another(p_differs text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_trouble text;
  v_seen    text;
BEGIN
  BEGIN
    EXECUTE 'UPDATE iu_place SET place = gen_random_uuid(), ' || p_differs;
    v_trouble := iu.fn_iu_place_begin('dog');
    v_seen := concat_ws(' ', pg_temp.seen(), iu.fn_iu_place_is_home(), v_trouble);
    RAISE EXCEPTION USING ERRCODE = 'IU999';
  EXCEPTION WHEN SQLSTATE 'IU999' THEN
    RETURN v_seen;
  END;
END
$$;

SELECT is(iu.fn_iu_place_is_home(), true, 'before a watchdog has looked the database counts as at home');
SELECT is(iu.fn_iu_place_begin('dog'), NULL, 'the first place needs nobody''s word');
SELECT is(pg_temp.seen(), 'first confirmed', 'the first place is noted');
SELECT is(iu.fn_iu_place_begin('dog'), NULL, 'at home there is nothing to say');
SELECT is((SELECT count(*) FROM iu_place), 1::bigint, 'and nothing is noted again');
SELECT is((SELECT place FROM iu_place), iu_core.place(), 'what is noted is the place of the extension');
SELECT is((SELECT instance FROM iu_place) ~ '^[0-9a-f]{64}$', true, 'of the instance only a digest is noted');
SELECT pg_temp.refuses('SELECT iu.fn_iu_place_begin('''')', '23514', 'actor required', 'who looks has to be said');
SELECT pg_temp.refuses($$SELECT fn_iu_place_confirm('ann', 't')$$, '55000', 'iu_place_is_home',
  'at home there is nothing to confirm');
SELECT pg_temp.refuses($$SELECT fn_iu_place_confirm('ann', '')$$, '23514', 'reason', 'why has to be said');
SELECT pg_temp.refuses($$SELECT fn_iu_place_confirm('ann', 't', NULL, 'throw away')$$, '23514', 'iu_place_deliveries',
  'what becomes of the deliveries is one of three words');
SELECT matches(pg_temp.login('agent', $$SELECT fn_iu_place_confirm('agent', 't')$$), '^42501 ',
  'an agent does not say where the database is at home');

SELECT matches(pg_temp.from_another($$instance = repeat('0', 64)$$),
  '^copy open f this is a copy: iu_core.instance is another than at home', 'another instance makes a copy');
SELECT matches(pg_temp.from_another('instance = NULL'),
  '^copy open f this is a copy: iu_core.instance is given now .* and was not before',
  'an instance that is given for the first time makes a copy, since a copy could have been given it');
SELECT matches(pg_temp.from_another('written_in = 1'), '^copy open f this is a copy: it was restored from a dump',
  'rows that came with a dump make a copy');
SELECT matches(pg_temp.from_another('database_oid = 1'),
  '^copy open f this is a copy: it was copied from another database', 'another database makes a copy');
SELECT matches(pg_temp.from_another('system_identifier = 1'),
  '^upgrade open f the same files have another system identifier', 'another system identifier is an upgrade');
SELECT matches(pg_temp.from_another('system_identifier = 1, instance = repeat(''0'', 64)'), '^copy open f ',
  'another system identifier with another instance is a copy');
SELECT matches(pg_temp.from_another('timeline = 7'),
  '^restore open f it was restored: timeline 1; what was done after that point is lost',
  'what nothing tells is a restore');
SELECT is((SELECT count(*) FROM iu_place), 1::bigint, 'all that was tried and undone');
SAVEPOINT dumped;
UPDATE iu_place SET written_in = 1;
SELECT is(iu.fn_iu_place_is_home(), false,
  'where the place came with a dump the database is not at home, in it or not');
ROLLBACK TO dumped;

-- A restore, with an approval that was in use, and a gate that was open.
SELECT pg_temp.approval('iu_core.structure_ops_enabled', p_kind => 'standing') AS standing \gset
SELECT is(pg_temp.opens('oscar', :'standing', 'iu_core.structure_ops_enabled'), 'opened',
  'a gate is open on a standing approval');
UPDATE iu_place SET place = gen_random_uuid();
UPDATE iu_gate_approval SET place = (SELECT place FROM iu_place);
SAVEPOINT unknown;
DELETE FROM iu_place;
SELECT is((SELECT began FROM iu.fn_iu_place_kind()), 'copy',
  'where an approval is of another place and no place is known, the database is a copy');
ROLLBACK TO unknown;
SELECT matches(iu.fn_iu_place_begin('dog'), 'it was restored', 'the database is somewhere else');
SELECT is((SELECT state FROM v_iu_gate_approval WHERE gate_key = 'iu_core.structure_ops_enabled'), 'foreign',
  'an approval from before is worth nothing');
SELECT is((SELECT standing FROM iu.fn_iu_gate_approval_state('iu_core.structure_ops_enabled')), false,
  'the watchdog does not renew on it');
SELECT matches(pg_temp.opens('oscar', :'standing', 'iu_core.structure_ops_enabled'), '^(IU101|55006) ',
  'nobody opens on it');
SELECT is(iu.fn_iu_delivery_refusal('none'), 'place_not_confirmed', 'nothing is sent');
SELECT matches(pg_temp.login('olga', $$SELECT fn_iu_place_confirm('olga', 't', ARRAY[gen_random_uuid()])$$), '^IU101 ',
  'an approval that is not registered is not confirmed');
SELECT is(iu.fn_iu_place_is_home(), false, 'a confirmation that is refused confirms nothing');
SELECT is(pg_temp.login('olga', format('SELECT fn_iu_place_confirm(''olga'', ''t'', ARRAY[%L::uuid]) - ''run_id'''
    ' - ''detail''', :'standing'))::jsonb,
  '{"status": "confirmed", "began": "restore", "carried": 0, "approvals": 1, "routes": []}',
  'an operator confirms the place and the approval');
SELECT is(iu.fn_iu_place_is_home(), true, 'after that the database is at home');
SELECT is((SELECT state FROM v_iu_gate_approval WHERE gate_key = 'iu_core.structure_ops_enabled'), 'valid',
  'and the approval is valid');
SELECT is(iu.fn_iu_delivery_refusal('none'), 'master_gate_closed', 'the place holds up nothing any more');
SELECT is((SELECT evidence ->> 'began' FROM dot_iu_command_run WHERE command_name = 'dot_iu_place_confirm'), 'restore',
  'the confirmation is logged');
SELECT pg_temp.refuses($$SELECT fn_iu_place_confirm('ann', 't')$$, '55000', 'iu_place_is_home',
  'a second confirmation has nothing to confirm');

SELECT * FROM finish();
ROLLBACK;
