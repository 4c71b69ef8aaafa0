-- 010: who may use an approval, who sees its id, and who is who: roles by their
-- oid, the role that is set behind a pooler, and what a person's close ends.
\ir setup.psql
\ir 010_approvals.psql
SELECT no_plan();

-- An approval names who may use it.
SELECT pg_temp.approval() AS unnamed \gset
SELECT matches(pg_temp.opens('agent', :'unnamed'), '^IU105 approval .* names nobody, so it is not for "iu_test_agent"$',
  'an agent does not open on an approval that names nobody');
SELECT pg_temp.approval(p_to => 'iu_test_agent') AS named \gset
SELECT matches(pg_temp.opens('agent2', :'named'), '^IU105 approval .* is for role "iu_test_agent"',
  'an agent does not open on an approval that names another agent');
SELECT is(pg_temp.opens('oscar', :'unnamed'), 'opened', 'an operator opens on an approval that names nobody');
SELECT pg_temp.closes('oscar') \g /dev/null
SELECT is(pg_temp.opens('agent', :'named'), 'opened', 'an agent opens on the approval that names it');

-- Ids are shown to those who may use or grant.
SELECT is(pg_temp.login(w, format($$SELECT count(*) FROM regexp_matches(fn_iu_gate_verify_closed()::text, %L)$$,
  :'named')), n, 'fn_iu_gate_verify_closed shows the id of an approval to ' || w || ': ' || n)
  FROM (VALUES ('agent2', '0'), ('both', '0'), ('olga', '1'), ('ada', '1')) AS v (w, n);
CREATE TEMP TABLE shown AS
  SELECT c.oid::regclass::text AS relation,
         (SELECT string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             AND has_column_privilege('iu_core_reader', c.oid, a.attnum, 'SELECT')) AS columns
    FROM pg_class c
   WHERE c.relowner = 'iu_core_owner'::regrole AND c.relkind IN ('r', 'v')
     AND has_any_column_privilege('iu_core_reader', c.oid, 'SELECT');
SELECT is(pg_temp.login('both', (SELECT format(
    'SELECT string_agg(x.relation, '', '') FROM (%s) AS x (relation, line) WHERE strpos(x.line, %L) > 0',
    string_agg(format('SELECT %L, r::text FROM (SELECT %s FROM %s) r', s.relation, s.columns, s.relation),
    ' UNION ALL '),
    :'named') FROM shown s)), NULL, 'no table and no view shows a reader the id of an approval that is in use');
SELECT cmp_ok((SELECT count(*) FROM shown), '>', 50::bigint, 'more than 50 tables and views were looked at');
SELECT is(pg_temp.login('both', format($$SELECT strpos(fn_iu_gate_ledger_excerpt(now() - interval '1 min',
  clock_timestamp()), %L)$$, :'named')), '0', 'the excerpt of the ledger shows a reader no id');
SELECT is(pg_temp.login('both', format($$SELECT count(*) FROM v_iu_gate_approval a
    JOIN iu_gate_transition t USING (approval_mark) JOIN v_iu_gate g USING (approval_mark)
   WHERE a.granted_to = 'iu_test_agent' AND a.used_by = 'iu_test_agent' AND t.action = 'open' AND g.effective
     AND a.is_open$$)), '1', 'by its mark a reader follows an approval from its grant to what it opened');
SELECT is(pg_temp.login('olga', format($$SELECT concat_ws(' ', (SELECT count(*) FROM v_iu_gate_approval
  WHERE approval_id = %1$L), (SELECT count(*) FROM v_iu_gate WHERE approval_id = %1$L),
  (SELECT count(*) FROM v_iu_gate_holder WHERE approval_id = %1$L),
  (SELECT count(*) FROM iu_gate_transition WHERE approval_id = %1$L))$$, :'named')), '1 1 1 1',
  'an operator sees the id of an approval in the views and in the ledger');
CREATE FUNCTION pg_temp.detail(p_role text, p_sql text) RETURNS text LANGUAGE plpgsql AS $function$
DECLARE
  v_detail text;
BEGIN
  EXECUTE format('SET LOCAL SESSION AUTHORIZATION %I', 'iu_test_' || p_role);
  EXECUTE p_sql;
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL;
  RETURN v_detail;
END
$function$;
SELECT pg_temp.approval(p_to => 'iu_test_agent2') AS other \gset
SELECT is(strpos(pg_temp.detail('agent2', format($$SELECT fn_iu_gate_open('iu_core.composer_enabled', %L, 'agent2', 'x',
  60)$$, :'other')), :'named'), 0,
  'the refusal of a gate that is open shows an agent no id of somebody else''s approval');
SELECT pg_temp.closes('agent') \g /dev/null
SELECT matches(pg_temp.opens('agent2', :'other', p_ttl => 60), '^opened$', 'the other agent opens on its own approval');
SELECT pg_temp.closes('agent2') \g /dev/null

-- A person's close ends the use of a standing approval until it is confirmed.
SELECT pg_temp.approval(p_kind => 'standing', p_to => 'iu_test_agent') AS standing \gset
SELECT is(pg_temp.opens('agent', :'standing'), 'opened', 'an agent opens on its standing approval');
SELECT is(pg_temp.closes('agent'), 'closed', 'an agent closes its gate');
SELECT is(pg_temp.opens('agent', :'standing'), 'opened', 'an agent that closed its gate itself opens again');
SELECT is(pg_temp.closes('oscar'), 'closed', 'an operator closes the agent''s gate');
SELECT matches(pg_temp.opens('agent', :'standing'),
  '^IU109 approval .* waits for confirmation: "iu_test_oscar" closed its gate$',
  'an agent does not open again on its standing approval after an operator closed the gate');
SELECT is((SELECT state FROM v_iu_gate_approval WHERE approval_id = :'standing'), 'closed by a person',
  'v_iu_gate_approval says that the approval waits for confirmation');
CREATE FUNCTION pg_temp.confirms(p_by text, p_approval text) RETURNS text LANGUAGE sql AS $function$
  SELECT pg_temp.login(p_by, format('SELECT fn_iu_gate_approval_confirm(%L, %L, ''looked at'') ->> ''status''',
    p_approval, p_by))
$function$;
SELECT matches(pg_temp.confirms('agent', :'standing'), '^42501 permission denied',
  'an agent does not confirm its approval');
SELECT pg_temp.login('ada', $$SELECT fn_iu_gate_approvers_set('iu_core.composer_enabled', ARRAY['iu_test_olga'], 'ada',
  'olga decides')$$) \g /dev/null
SELECT matches(pg_temp.confirms('oscar', :'standing'), '^IU107 ',
  'who may not approve for the gate does not confirm either');
SELECT is(pg_temp.confirms('olga', :'standing'), 'confirmed', 'who may approve for the gate confirms');
SELECT is(pg_temp.confirms('olga', :'standing'), 'unchanged', 'confirming twice changes nothing');
SELECT is(pg_temp.opens('agent', :'standing'), 'opened', 'after the confirmation the agent opens again');
UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.composer_enabled';
SELECT matches(pg_temp.opens('agent', :'standing'), '^IU109 ',
  'a close beside the protocol ends the use of a standing approval as well');
SELECT pg_temp.login('ada', $$SELECT fn_iu_gate_approvers_set('iu_core.composer_enabled', '{}', 'ada', 'all')$$)
  \g /dev/null
SELECT pg_temp.refuses('DELETE FROM iu_gate_confirmation', '42501', 'append-only', 'confirmations are not deleted');
SELECT pg_temp.approval(p_kind => 'standing') AS operators \gset
SELECT is(pg_temp.opens('oscar', :'operators'), 'opened', 'an operator opens on a standing approval');
SELECT pg_temp.closes('ada') \g /dev/null
SELECT is(pg_temp.opens('oscar', :'operators'), 'opened',
  'an operator opens on a standing approval anew after another operator closed the gate');
SELECT pg_temp.closes('oscar') \g /dev/null

-- A role is its oid.
CREATE ROLE iu_test_robob LOGIN IN ROLE iu_core_agent;
SELECT pg_temp.approval(p_to => 'iu_test_robob') AS former \gset
DROP ROLE iu_test_robob;
CREATE ROLE iu_test_robob LOGIN IN ROLE iu_core_agent;
SELECT matches(pg_temp.opens('robob', :'former'), '^IU105 approval .* is for role "iu_test_robob", not for',
  'a role that was dropped and made anew does not open on the approval of the first');
SELECT is((SELECT state FROM v_iu_gate_approval WHERE approval_id = :'former'), 'role gone',
  'v_iu_gate_approval says that whom an approval names is gone');
SELECT pg_temp.approval(p_to => 'iu_test_robob') AS renamed \gset
SELECT pg_temp.approval('iu_core.delivery_enabled', p_to => 'iu_test_robob') AS second \gset
SELECT is(pg_temp.opens('robob', :'renamed'), 'opened', 'an agent opens before it is renamed');
ALTER ROLE iu_test_robob RENAME TO iu_test_rolf;
CREATE ROLE iu_test_robob LOGIN IN ROLE iu_core_agent;
SELECT matches(pg_temp.closes('robob'), '^42501 gate .* is not held by "iu_test_robob"$',
  'who takes the name of a gate''s holder does not close the gate');
SELECT matches(pg_temp.opens('robob', :'second', 'iu_core.delivery_enabled'), '^IU105 ',
  'who takes the name of a role does not open on its approval');
SELECT is(iu.fn_iu_gate_held_by('iu_core.composer_enabled'), 'iu_test_rolf', 'a renamed holder holds its gate');
SELECT is(pg_temp.closes('rolf'), 'closed', 'a renamed holder closes its gate');
SELECT is(pg_temp.opens('rolf', :'second', 'iu_core.delivery_enabled'), 'opened',
  'a renamed role opens on the approval that was granted to it');
SELECT pg_temp.closes('rolf', 'iu_core.delivery_enabled') \g /dev/null

CREATE ROLE iu_test_gina LOGIN IN ROLE iu_core_operator;
SELECT pg_temp.approval('iu_core.delivery_enabled', p_kind => 'standing', p_by => 'gina') AS ginas \gset
SELECT is(pg_temp.opens('oscar', :'ginas', 'iu_core.delivery_enabled'), 'opened',
  'a gate is open on a standing approval');
SELECT isnt((SELECT renew_at FROM iu.fn_iu_gate_expiring() WHERE gate_key = 'iu_core.delivery_enabled'), NULL,
  'while its grantor is there it is to be renewed');
DROP ROLE iu_test_gina;
SELECT is((SELECT renew_at FROM iu.fn_iu_gate_expiring() WHERE gate_key = 'iu_core.delivery_enabled'), NULL,
  'what a role that was dropped granted is not renewed');
SELECT is((SELECT state FROM v_iu_gate_approval WHERE approval_id = :'ginas'), 'grantor not allowed',
  'v_iu_gate_approval says that a grantor is gone');
CREATE ROLE iu_test_gina LOGIN IN ROLE iu_core_operator;
SELECT is((SELECT renew_at FROM iu.fn_iu_gate_expiring() WHERE gate_key = 'iu_core.delivery_enabled'), NULL,
  'a new role of the grantor''s name does not bring the approval back');
SELECT pg_temp.closes('oscar', 'iu_core.delivery_enabled') \g /dev/null
SELECT matches(pg_temp.opens('oscar', :'ginas', 'iu_core.delivery_enabled'), '^IU107 ',
  'what a role that was dropped granted opens nothing');

CREATE ROLE iu_test_listed LOGIN IN ROLE iu_core_operator;
SELECT pg_temp.login('ada', $$SELECT fn_iu_gate_approvers_set('iu_core.delivery_enabled', ARRAY['iu_test_listed'],
  'ada', 'one')$$) \g /dev/null
DROP ROLE iu_test_listed;
CREATE ROLE iu_test_listed LOGIN IN ROLE iu_core_operator;
SELECT matches(pg_temp.approval('iu_core.delivery_enabled', p_by => 'listed'), '^IU107 ',
  'a role that takes a name on an approval list may not approve');
SELECT pg_temp.login('ada', $$SELECT fn_iu_gate_approvers_set('iu_core.delivery_enabled', '{}', 'ada', 'all')$$)
  \g /dev/null

-- Behind a pooler: one login sets the roles of people and agents.
CREATE ROLE iu_test_pooler LOGIN NOINHERIT IN ROLE iu_test_olga, iu_test_oscar, iu_test_agent, iu_test_agent2,
  iu_core_operator, iu_core_agent;
CREATE FUNCTION pg_temp.through(p_role text, p_sql text) RETURNS text LANGUAGE plpgsql AS $function$
DECLARE
  v_result text;
BEGIN
  BEGIN
    SET LOCAL SESSION AUTHORIZATION iu_test_pooler;
    EXECUTE format('SET LOCAL ROLE %I', p_role);
    EXECUTE p_sql INTO v_result;
    SET LOCAL SESSION AUTHORIZATION DEFAULT;
    RESET ROLE;
  EXCEPTION WHEN OTHERS THEN
    v_result := SQLSTATE || ' ' || SQLERRM;
  END;
  RETURN v_result;
END
$function$;
CREATE FUNCTION pg_temp.open_sql(p_approval text, p_gate text DEFAULT 'iu_core.composer_enabled') RETURNS text
  LANGUAGE sql AS $function$
  SELECT format('SELECT fn_iu_gate_open(%L, %L, ''x'', ''work'', 60) ->> ''status''', p_gate, p_approval)
$function$;
CREATE FUNCTION pg_temp.close_sql(p_gate text DEFAULT 'iu_core.composer_enabled') RETURNS text
  LANGUAGE sql AS $function$
  SELECT format('SELECT fn_iu_gate_close(%L, ''x'', ''done'') ->> ''status''', p_gate)
$function$;
SELECT matches(pg_temp.through('iu_core_agent', pg_temp.open_sql(gen_random_uuid()::text)),
  '^IU101 approval .* is not registered$', 'as an agent a login that may also be an operator opens with no random id');
SELECT pg_temp.approval(p_to => 'iu_test_agent') AS one \gset
SELECT pg_temp.approval('iu_core.delivery_enabled', p_to => 'iu_test_agent2') AS two \gset
SELECT is(pg_temp.through('iu_test_agent', pg_temp.open_sql(:'one')), 'opened',
  'behind a pooler an agent opens on the approval that names its role');
SELECT matches(pg_temp.through('iu_test_agent2', pg_temp.close_sql()),
  '^42501 gate .* is not held by "iu_test_agent2"$',
  'behind a pooler an agent does not close what another agent holds under the same login');
SELECT matches(pg_temp.through('iu_test_agent', pg_temp.open_sql(:'two', 'iu_core.delivery_enabled')),
  '^IU105 approval .* is for role "iu_test_agent2", not for "iu_test_agent"$',
  'behind a pooler an agent does not open on the approval of another agent');
SELECT matches(pg_temp.closes('agent'), '^42501 ', 'the same role under another login does not hold the gate');
SELECT is((SELECT concat_ws(' ', session_role, acting_role, session_oid = 'iu_test_pooler'::regrole,
    acting_oid = 'iu_test_agent'::regrole, holder_oid = 'iu_test_agent'::regrole,
    holder_login = 'iu_test_pooler'::regrole)
  FROM iu_gate_transition ORDER BY transition_seq DESC LIMIT 1), 'iu_test_pooler iu_test_agent t t t t',
  'the ledger has who logged in and the role that was set, each with its oid');
SELECT is(pg_temp.through('iu_test_agent', pg_temp.close_sql()), 'closed', 'the holder closes its gate');
SELECT is(pg_temp.opens('olga', gen_random_uuid()::text), 'opened', 'an operator opens a gate');
SELECT matches(pg_temp.through('iu_core_agent', pg_temp.close_sql()), '^42501 gate .* is not held by "iu_core_agent"$',
  'as an agent a login that may also be an operator does not close an operator''s gate');
SELECT is(pg_temp.through('iu_core_operator', pg_temp.close_sql()), 'closed', 'as an operator it closes it');
CREATE FUNCTION pg_temp.grant_sql(p_actor text) RETURNS text LANGUAGE sql AS $function$
  SELECT format('SELECT fn_iu_gate_approval_grant(''iu_core.composer_enabled'', ''open'', 60,
    clock_timestamp() + ''1 h'', %L, ''why'') ->> ''approval_id''', p_actor)
$function$;
SELECT pg_temp.through('iu_test_olga', pg_temp.grant_sql('olga')) AS olgas \gset
SELECT matches(pg_temp.through('iu_test_olga', pg_temp.open_sql(:'olgas')), '^IU106 ',
  'behind a pooler nobody opens on what the same role granted');
SELECT is(pg_temp.through('iu_test_oscar', pg_temp.open_sql(:'olgas')), 'opened',
  'behind a pooler another role opens on it');
SELECT is(pg_temp.through('iu_test_oscar', pg_temp.close_sql()), 'closed', 'and closes it');
-- One person who changes roles is one person.
CREATE ROLE iu_test_otto LOGIN IN ROLE iu_core_operator;
CREATE FUNCTION pg_temp.otto_as(p_role text, p_sql text) RETURNS text LANGUAGE plpgsql AS $function$
DECLARE
  v_result text;
BEGIN
  BEGIN
    SET LOCAL SESSION AUTHORIZATION iu_test_otto;
    EXECUTE format('SET LOCAL ROLE %I', p_role);
    EXECUTE p_sql INTO v_result;
    SET LOCAL SESSION AUTHORIZATION DEFAULT;
    RESET ROLE;
  EXCEPTION WHEN OTHERS THEN
    v_result := SQLSTATE || ' ' || SQLERRM;
  END;
  RETURN v_result;
END
$function$;
SELECT pg_temp.otto_as('iu_core_operator', pg_temp.grant_sql('somebody')) AS ottos \gset
SELECT matches(pg_temp.otto_as('iu_test_otto', pg_temp.open_sql(:'ottos')), '^IU106 ',
  'an operator does not open on what he granted under the role of his group');
SELECT pg_temp.otto_as('iu_test_otto', pg_temp.grant_sql('somebody')) AS ottos \gset
SELECT matches(pg_temp.otto_as('iu_core_operator', pg_temp.open_sql(:'ottos')), '^IU106 ',
  'an operator does not open under the role of his group on what he granted');

-- Where the server runs somebody's function for its own ends nobody acts.
CREATE SCHEMA iu_test_own AUTHORIZATION iu_test_agent;
CREATE FUNCTION iu_test_own.opens(p integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $function$
BEGIN
  PERFORM public.fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'trick', 'trick', 60);
  RETURN p;
END
$function$;
ALTER FUNCTION iu_test_own.opens(integer) OWNER TO iu_test_agent;
CREATE TABLE iu_test_own.t AS SELECT 1 AS a;
ALTER TABLE iu_test_own.t OWNER TO iu_test_agent;
CREATE FUNCTION pg_temp.index_made() RETURNS text LANGUAGE plpgsql AS $function$
DECLARE
  v_name text;
BEGIN
  CREATE INDEX ON iu_test_own.t (iu_test_own.opens(a));
  RETURN 'made';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS v_name = CONSTRAINT_NAME;
  RETURN SQLSTATE || ' ' || v_name;
END
$function$;
SELECT is(pg_temp.index_made(), '42501 iu_caller_unknown',
  'in an index that a superuser makes an agent''s function opens no gate with the superuser''s rights');
SELECT is(fn_iu_gate_verify_closed() ->> 'all_safe', 'true', 'no gate is open in the end');
SELECT is((SELECT bool_and(ok) FROM fn_iu_conformance()), true, 'the database conforms');
SELECT * FROM finish();
ROLLBACK;
