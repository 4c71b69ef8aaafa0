-- 010: registered approvals. What each refusal says, who may grant, use and
-- revoke what, strict mode, break-glass, standing approvals, agents.
\ir setup.psql
SELECT no_plan();
SET LOCAL client_min_messages = error;	-- break-glass warns

CREATE ROLE iu_test_olga LOGIN IN ROLE iu_core_operator;
CREATE ROLE iu_test_oscar LOGIN IN ROLE iu_core_operator;
CREATE ROLE iu_test_ada LOGIN IN ROLE iu_core_admin;
CREATE ROLE iu_test_agent LOGIN IN ROLE iu_core_agent;
CREATE ROLE iu_test_agent2 LOGIN IN ROLE iu_core_agent;
CREATE ROLE iu_test_both LOGIN IN ROLE iu_core_writer, iu_core_reader;

-- Runs a query of one value as somebody who logged in; its error, if it has one, as text.
CREATE FUNCTION pg_temp.login(p_role text, p_sql text) RETURNS text
  LANGUAGE plpgsql AS $function$
DECLARE
  v_result text;
BEGIN
  BEGIN
    EXECUTE format('SET LOCAL SESSION AUTHORIZATION %I', 'iu_test_' || p_role);
    EXECUTE p_sql INTO v_result;
    SET LOCAL SESSION AUTHORIZATION DEFAULT;
  EXCEPTION WHEN OTHERS THEN
    v_result := SQLSTATE || ' ' || SQLERRM;
  END;
  RETURN v_result;
END
$function$;
-- Grants one as olga, unless told otherwise, and gives its id, or the refusal.
CREATE FUNCTION pg_temp.approval(p_gate text DEFAULT 'iu_core.composer_enabled', p_action text DEFAULT 'open', p_ttl integer DEFAULT 600,
    p_for text DEFAULT '1 hour', p_kind text DEFAULT 'single', p_to text DEFAULT NULL, p_by text DEFAULT 'olga') RETURNS text LANGUAGE sql AS $function$
  SELECT pg_temp.login(p_by, format('SELECT fn_iu_gate_approval_grant(%L, %L, %L, clock_timestamp() + %L, %L, ''why'', %L, %L) ->> ''approval_id''',
    p_gate, p_action, p_ttl, p_for, p_by, p_kind, p_to))
$function$;
CREATE FUNCTION pg_temp.opens(p_by text, p_approval text, p_gate text DEFAULT 'iu_core.composer_enabled', p_ttl integer DEFAULT 60, p_actor text DEFAULT NULL)
  RETURNS text LANGUAGE sql AS $function$
  SELECT pg_temp.login(p_by, format('SELECT fn_iu_gate_open(%L, %L, %L, ''work'', %s) ->> ''status''', p_gate, p_approval, coalesce(p_actor, p_by), p_ttl))
$function$;
CREATE FUNCTION pg_temp.closes(p_by text, p_gate text DEFAULT 'iu_core.composer_enabled') RETURNS text LANGUAGE sql AS $function$
  SELECT pg_temp.login(p_by, format('SELECT fn_iu_gate_close(%L, %L, ''done'') ->> ''status''', p_gate, p_by))
$function$;
CREATE FUNCTION pg_temp.revokes(p_by text, p_approval text) RETURNS jsonb LANGUAGE sql AS $function$
  SELECT pg_temp.login(p_by, format('SELECT fn_iu_gate_approval_revoke(%L, %L, ''no longer'')', p_approval, p_by))::jsonb
$function$;
CREATE FUNCTION pg_temp.mode(p_mode text) RETURNS text LANGUAGE sql AS $function$
  SELECT pg_temp.login('ada', format('SELECT fn_iu_gate_approval_mode_set(%L, ''ada'', ''test'') ->> ''status''', p_mode))
$function$;

-- Default mode: seed 4's rule, and registered approvals keep theirs.
SELECT is((SELECT value FROM dot_config WHERE key = 'iu_core.gate_approval_mode'), 'default', 'the mode is default at first');
SELECT is(pg_temp.opens('oscar', gen_random_uuid()::text), 'opened', 'default mode: an operator opens with any id');
SELECT is(pg_temp.closes('olga'), 'closed', 'another operator closes it');
SELECT pg_temp.approval() AS one \gset
SELECT is(pg_temp.opens('oscar', :'one'), 'opened', 'default mode: with a registered one too');
SELECT pg_temp.closes('oscar') \g /dev/null
SELECT matches(pg_temp.opens('oscar', :'one'), '^IU102 ', 'which is good for once only, in default mode as well');

-- Strict mode: one refusal after the other.
SELECT is(pg_temp.mode('strict'), 'set', 'an administrator sets strict mode');
SELECT is(pg_temp.mode('strict'), 'unchanged', 'twice is fine');
SELECT matches(pg_temp.opens('oscar', '00000000-0000-0000-0000-00000000dead'), '^IU101 approval 00000000-0000-0000-0000-00000000dead is not registered$', 'unknown: IU101');
SELECT matches(pg_temp.opens('oscar', :'one'), format('^IU102 approval %s was used at 20.* UTC by "iu_test_oscar"$', :'one'), 'used: IU102, when and by whom');
SELECT pg_temp.approval(p_for => '50 ms') AS short \gset
SELECT pg_sleep(0.06) \g /dev/null
SELECT matches(pg_temp.opens('oscar', :'short'), format('^IU103 approval %s expired at 20.* UTC$', :'short'), 'expired: IU103');
SELECT pg_temp.approval() AS withdrawn \gset
SELECT is(pg_temp.revokes('oscar', :'withdrawn') ->> 'status', 'revoked', 'another operator may revoke');
SELECT matches(pg_temp.opens('oscar', :'withdrawn'), format('^IU104 approval %s was revoked at 20.* UTC by "iu_test_oscar"$', :'withdrawn'), 'revoked: IU104');
SELECT pg_temp.approval('iu_core.delivery_enabled') AS elsewhere \gset
SELECT is(pg_temp.opens('oscar', :'elsewhere'), format('IU105 approval %s is for gate "iu_core.delivery_enabled", not for gate "iu_core.composer_enabled"', :'elsewhere'), 'for another gate: IU105');
SELECT pg_temp.approval(p_action => 'renew') AS renewal \gset
SELECT is(pg_temp.opens('oscar', :'renewal'), format('IU105 approval %s is to renew, not to open', :'renewal'), 'for another action: IU105');
SELECT pg_temp.approval(p_to => 'iu_test_agent') AS agents \gset
SELECT is(pg_temp.opens('oscar', :'agents'), format('IU105 approval %s is for role "iu_test_agent", not for "iu_test_oscar"', :'agents'), 'for somebody else: IU105');
SELECT pg_temp.approval() AS own \gset
SELECT is(pg_temp.opens('olga', :'own'), format('IU106 approval %s was granted by "iu_test_olga", who may not use it', :'own'), 'self-granted: IU106');
SELECT is(pg_temp.opens('olga', :'own', p_actor => 'somebody'), format('IU106 approval %s was granted by "iu_test_olga", who may not use it', :'own'), 'under another name too');
SELECT matches(pg_temp.opens('oscar', :'own', p_actor => 'olga'), '^IU106 ', 'nor by another role in her name');
SELECT is(pg_temp.opens('oscar', :'own', p_ttl => 601), format('IU108 approval %s allows at most 600 s, not 601', :'own'), 'for longer than approved: IU108');
SELECT is((SELECT count(*) FROM iu_gate_approval WHERE used_at IS NOT NULL), 1::bigint, 'no refusal used an approval');
SELECT is(fn_iu_gate_verify_closed() ->> 'all_safe', 'true', 'nor opened anything');
SELECT is(pg_temp.opens('oscar', :'own', p_ttl => 600), 'opened', 'the same approval as it was meant: opened');
SELECT is((SELECT used_by FROM iu_gate_approval WHERE approval_id = :'own'), 'iu_test_oscar', 'used by the login role');
SELECT matches(pg_temp.opens('oscar', :'own'), '^55006 ', 'again while it is open: in use, as ever');
SELECT matches(pg_temp.opens('olga', gen_random_uuid()::text), '^55006 ', 'open already is said before anything about an approval');
SELECT matches(pg_temp.opens('oscar', :'elsewhere'), '^IU105 .* is for gate', 'renewing with one for another gate: IU105');
SELECT pg_temp.approval() AS spare \gset
SELECT is(pg_temp.opens('oscar', :'spare'), format('IU105 approval %s is to open, not to renew', :'spare'), 'renewing with one for opening: IU105');
SELECT is(pg_temp.opens('oscar', :'renewal'), 'renewed', 'the holder renews with one for that');
SELECT matches(pg_temp.opens('oscar', :'renewal'), '^55006 ', 'once');

-- An approval comes back with what used it.
SELECT pg_temp.closes('oscar') \g /dev/null
SAVEPOINT before_use;
SELECT is(pg_temp.opens('oscar', :'spare'), 'opened', 'an opening');
ROLLBACK TO before_use;
SELECT is(pg_temp.opens('oscar', :'spare'), 'opened', 'that is rolled back used nothing');
SELECT pg_temp.closes('oscar') \g /dev/null

-- Granting.
SELECT matches(pg_temp.approval(p_gate => 'no.such_gate'), '^42501 "?no.such_gate"? is not a governable', 'grant: unknown gate');
SELECT matches(pg_temp.approval(p_gate => 'iu_core.vector_sync_enabled'), '^42501 gate "iu_core.vector_sync_enabled" is NEVER-FLIP', 'grant: never-flip gate');
SELECT matches(pg_temp.approval(p_action => 'close'), '^23514 action must be open or renew, not ''close''', 'grant: unknown action');
SELECT matches(pg_temp.approval(p_kind => 'break_glass'), '^23514 kind must be single or standing', 'grant: break-glass is not granted');
SELECT matches(pg_temp.approval(p_action => 'renew', p_kind => 'standing'), '^23514 action of a standing approval must be open', 'grant: a standing one opens');
SELECT matches(pg_temp.approval(p_ttl => t), '^23514 max_ttl_seconds must be from 1 to 3600', 'grant: ttl ' || coalesce(t::text, 'NULL')) FROM unnest(ARRAY[0, 3601, NULL]) t;
SELECT matches(pg_temp.approval(p_for => f), '^23514 expires_at must be', 'grant: until ' || coalesce(f, 'NULL')) FROM unnest(ARRAY['0 s', '-1 s', '367 days', NULL]) f;
SELECT matches(pg_temp.login('olga', $$SELECT fn_iu_gate_approval_grant('iu_core.composer_enabled', 'open', 60, 'infinity', 'olga', 'why')$$), '^23514 expires_at must be', 'grant: for ever');
SELECT matches(pg_temp.login('olga', format($$SELECT fn_iu_gate_approval_grant('iu_core.composer_enabled', 'open', 60, now() + interval '1 h', %s)$$, a)), '^23514 actor and reason are required', 'grant: ' || a)
  FROM unnest(ARRAY['NULL, ''why''', ''' '', ''why''', '''olga'', NULL', '''olga'', ''''']) a;
SELECT matches(pg_temp.approval(p_to => 'iu_test_no_one'), '^42704 role "iu_test_no_one" does not exist', 'grant: to a role that is not');
SELECT matches(pg_temp.approval(p_to => 'iu_test_olga'), '^IU106 ', 'grant: to oneself');
SELECT matches(pg_temp.approval(p_by => w), '^42501 permission denied', 'grant: not by ' || w) FROM unnest(ARRAY['agent', 'both']) w;

SELECT is(pg_temp.login('olga', $$SELECT fn_iu_gate_approval_grant('iu_core.composer_enabled', 'open', 60, now() + interval '1 h', 'olga', 'why', p_approval_id => '00000000-0000-0000-0000-000000000010') ->> 'approval_id'$$),
  '00000000-0000-0000-0000-000000000010', 'grant: under an id of one''s own');
SELECT is(pg_temp.login('olga', $$SELECT fn_iu_gate_approval_grant('iu_core.composer_enabled', 'open', 60, now() + interval '1 h', 'olga', 'why', p_approval_id => '00000000-0000-0000-0000-000000000010')$$),
  '42710 approval 00000000-0000-0000-0000-000000000010 is registered already', 'grant: not twice');

-- Nothing of an approval changes but that it is used or revoked, once.
SELECT pg_temp.refuses(format('UPDATE iu_gate_approval SET %s WHERE approval_id = %L', c, :'elsewhere'), '42501', 'append-only', 'approvals: ' || c)
  FROM unnest(ARRAY['max_ttl_seconds = 3600', 'expires_at = ''infinity''', 'granted_by = ''x''', 'gate_key = ''x''', 'kind = ''standing''']) c;
SELECT pg_temp.refuses(format('UPDATE iu_gate_approval SET used_at = NULL, used_by = NULL WHERE approval_id = %L', :'own'), '42501', 'append-only', 'a used one stays used');
SELECT pg_temp.refuses(format('UPDATE iu_gate_approval SET revoked_at = NULL, revoked_by = NULL, revoked_reason = NULL WHERE approval_id = %L', :'withdrawn'), '42501', 'append-only', 'a revoked one revoked');
SELECT pg_temp.refuses('DELETE FROM iu_gate_approval', '42501', 'append-only', 'approvals are not deleted');
SELECT pg_temp.refuses('TRUNCATE iu_gate_approval', '42501', 'append-only', 'nor truncated');
SELECT pg_temp.refuses(format($$INSERT INTO iu_gate_approval (gate_key, kind, action, max_ttl_seconds, expires_at, grantor, reason, %s)
  VALUES ('iu_core.composer_enabled', 'single', 'open', 60, now() + interval '1 h', 'x', 'x', %s)$$, c, v), '23514', 'not by hand', 'nor is ' || c || ' given by hand')
  FROM (VALUES ('granted_at', 'now()'), ('granted_by', '''x'''), ('system_identifier', '1'), ('database_oid', '1')) AS v (c, v);
SELECT is((SELECT string_agg(concat_ws(' ', r, t), ', ') FROM unnest(ARRAY['iu_core_reader', 'iu_core_writer', 'iu_core_operator', 'iu_core_admin', 'iu_core_agent', 'iu_core_worker']) r,
             unnest(ARRAY['iu_gate_approval', 'iu_gate_approver']) t
            WHERE has_table_privilege(r, t, 'INSERT, DELETE, TRUNCATE, TRIGGER') OR has_any_column_privilege(r, t, 'UPDATE')), NULL, 'nobody but the owner writes them');

-- One from another database is none here.
SELECT pg_temp.approval() AS moved \gset
ALTER TABLE iu_gate_approval DISABLE TRIGGER trg_iu_gate_approval_guard;
UPDATE iu_gate_approval SET system_identifier = 1 WHERE approval_id = :'moved';
ALTER TABLE iu_gate_approval ENABLE ALWAYS TRIGGER trg_iu_gate_approval_guard;
SELECT is(pg_temp.opens('oscar', :'moved'), format('IU101 approval %s was granted in another database', :'moved'), 'granted in another database: IU101');

-- Approval lists.
SELECT is(pg_temp.login('ada', $$SELECT fn_iu_gate_approvers_set('iu_core.composer_enabled', ARRAY['iu_test_oscar'], 'ada', 'oscar decides') -> 'approvers'$$), '["iu_test_oscar"]', 'an administrator makes an approval list');
SELECT is(pg_temp.approval(), 'IU107 "iu_test_olga" is not on the approval list of gate "iu_core.composer_enabled"', 'who is not on it cannot grant: IU107');
SELECT matches(pg_temp.approval('iu_core.delivery_enabled'), '^[0-9a-f-]{36}$', 'for another gate she can');
SELECT pg_temp.approval(p_by => 'oscar') AS listed \gset
SELECT is(pg_temp.opens('olga', :'listed'), 'opened', 'what he granted opens');
SELECT pg_temp.closes('olga') \g /dev/null
SELECT pg_temp.approval(p_by => 'oscar') AS listed \gset
SELECT pg_temp.login('ada', $$SELECT fn_iu_gate_approvers_set('iu_core.composer_enabled', ARRAY['iu_core_admin'], 'ada', 'a group')$$) \g /dev/null
SELECT is(pg_temp.opens('olga', :'listed'), format('IU107 approval %s was granted by "iu_test_oscar", who is not on the approval list of gate "iu_core.composer_enabled"', :'listed'), 'once he is off the list it no longer does: IU107');
SELECT pg_temp.approval(p_by => 'ada') AS by_group \gset
SELECT is(pg_temp.opens('olga', :'by_group'), 'opened', 'a member of a listed role may grant');
SELECT pg_temp.closes('olga') \g /dev/null
SELECT is(pg_temp.login('ada', $$SELECT fn_iu_gate_approvers_set('iu_core.composer_enabled', '{}', 'ada', 'all again') -> 'approvers'$$), '[]', 'an empty list');
SELECT is(pg_temp.opens('olga', :'listed'), 'opened', 'lets every operator approve');
SELECT pg_temp.closes('olga') \g /dev/null
SELECT matches(pg_temp.login('ada', format($$SELECT fn_iu_gate_approvers_set(%s, 'ada', 'x')$$, a)), p, 'list: ' || a) FROM (VALUES
  ($$'no.such_gate', '{}'$$, '^42501 '), ($$'iu_core.composer_enabled', NULL$$, '^23514 '), ($$'iu_core.composer_enabled', ARRAY['iu_test_no_one']$$, '^42704 role "iu_test_no_one" does not exist')) AS v (a, p);
SELECT matches(pg_temp.login('olga', $$SELECT fn_iu_gate_approvers_set('iu_core.composer_enabled', '{}', 'olga', 'x')$$), '^42501 permission denied', 'an operator does not change a list');
SELECT pg_temp.approval() AS by_former \gset
REVOKE iu_core_operator FROM iu_test_olga;
SELECT matches(pg_temp.opens('oscar', :'by_former'), '^IU107 approval .* was granted by "iu_test_olga", who is no longer a member of iu_core_operator', 'what a former operator granted is void');
GRANT iu_core_operator TO iu_test_olga;

-- Mode.
SELECT matches(pg_temp.login('olga', $$SELECT fn_iu_gate_approval_mode_set('default', 'olga', 'x')$$), '^42501 permission denied', 'an operator does not set the mode');
SELECT matches(pg_temp.login('ada', $$SELECT fn_iu_gate_approval_mode_set('lax', 'ada', 'x')$$), '^23514 p_mode must be default or strict, not ''lax''', 'mode: a word of its own');
SELECT matches(pg_temp.login('ada', $$SELECT fn_iu_gate_approval_mode_set('default', 'ada', '')$$), '^23514 ', 'mode: without a reason');
UPDATE dot_config SET value = 'whatever' WHERE key = 'iu_core.gate_approval_mode';
SELECT matches(pg_temp.opens('oscar', gen_random_uuid()::text), '^IU101 ', 'any other value is strict');
SAVEPOINT no_mode;
DELETE FROM dot_config WHERE key = 'iu_core.gate_approval_mode';
SELECT pg_temp.hint_runs($$SELECT fn_iu_gate_approval_mode_set('default', 'ada', 'x')$$, 'what the hint shows puts the mode back');
DELETE FROM dot_config WHERE key = 'iu_core.gate_approval_mode';
SELECT matches(pg_temp.opens('oscar', gen_random_uuid()::text), '^IU101 ', 'and so is a missing row');
SELECT matches(pg_temp.mode('default'), '^42704 ', 'which cannot be set');
ROLLBACK TO no_mode;
SELECT is(pg_temp.mode('default'), 'set', 'back to default mode');
SELECT is(pg_temp.opens('oscar', gen_random_uuid()::text), 'opened', 'any id will do again');
SELECT pg_temp.closes('oscar') \g /dev/null
SELECT set_has($$SELECT evidence ->> 'previous' AS previous, evidence ->> 'mode' AS mode FROM dot_iu_command_run WHERE command_name = 'dot_iu_gate_approval_mode_set'$$,
  $$VALUES ('default', 'strict'), ('whatever', 'default')$$, 'changes of the mode are logged');

-- Agents: with a registered approval, whatever the mode, and nothing else.
SELECT matches(pg_temp.opens('agent', gen_random_uuid()::text), '^IU101 approval .* is not registered$', 'agent: not with any id, in default mode either');
SELECT is(pg_temp.opens('agent', :'agents'), 'opened', 'agent: with the approval granted to it');
SELECT is(pg_temp.login('agent', $$SELECT iu_core.gate_is_open('iu_core.composer_enabled')$$), 'true', 'agent: sees it open');
SELECT matches(pg_temp.closes('agent2'), '^42501 gate "iu_core.composer_enabled" is not held by "iu_test_agent2"$', 'agent: another one cannot close it');
SELECT is(pg_temp.closes('agent'), 'closed', 'agent: closes what it holds');
SELECT matches(pg_temp.closes('agent'), '^42501 gate "iu_core.composer_enabled" is not held by "iu_test_agent"$', 'agent: not what it no longer holds');
SELECT is(pg_temp.login('agent', 'SELECT fn_iu_gate_verify_closed(''agent'') ->> ''all_safe'''), 'true', 'agent: verifies');
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.routes_master_enabled';
SELECT matches(pg_temp.login('agent', 'SELECT fn_iu_emit_event(''version_applied'', ''a'', gen_random_uuid(), ''agent'')'), '^[0-9a-f-]{36}$', 'agent: emits');
SELECT set_eq($$SELECT p.oid::regprocedure::text FROM pg_proc p
    WHERE p.proowner = 'iu_core_owner'::regrole AND pg_temp.called_as(p.oid) IS NOT NULL AND has_function_privilege('iu_core_agent', p.oid, 'EXECUTE')
       OR p.pronamespace = 'iu_core'::regnamespace AND has_function_privilege('iu_core_agent', p.oid, 'EXECUTE')$$,
  ARRAY['fn_iu_gate_open(text,uuid,text,text,integer)', 'fn_iu_gate_close(text,text,text)', 'fn_iu_gate_verify_closed(text)',
        'fn_iu_emit_event(text,text,uuid,text,jsonb,text,text)', 'iu_core.gate_is_open(text)', 'iu_core.require_role(text[])'], 'agent: executes these and nothing else');
SELECT is((SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c
            WHERE (c.relowner = 'iu_core_owner'::regrole OR c.relnamespace = 'iu_core'::regnamespace) AND c.relkind IN ('r', 'v', 'p', 'm')
              AND has_any_column_privilege('iu_core_agent', c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')), NULL, 'agent: reads and writes no table');
SELECT matches(pg_temp.login('agent', $$SELECT fn_iu_gate_break_glass('iu_core.composer_enabled', 'agent', 'hot', 60)$$), '^42501 permission denied', 'agent: breaks no glass');

-- Break-glass: approved by the one who opens, and loud.
SELECT pg_temp.mode('strict') \g /dev/null
SELECT pg_temp.login('ada', $$SELECT fn_iu_gate_approvers_set('iu_core.composer_enabled', ARRAY['iu_core_admin'], 'ada', 'only admins')$$) \g /dev/null
SELECT matches(pg_temp.login('olga', format($$SELECT fn_iu_gate_break_glass('iu_core.composer_enabled', 'olga', %L, 60)$$, r)), '^23514 .*reason', 'break-glass: a reason, not ' || coalesce(quote_literal(r), 'NULL'))
  FROM unnest(ARRAY[NULL, '', '  ']) r;
SELECT matches(pg_temp.login('olga', $$SELECT fn_iu_gate_break_glass('iu_core.vector_sync_enabled', 'olga', 'hot', 60)$$), '^42501 .*NEVER-FLIP', 'break-glass: never-flip stays shut');
SELECT matches(pg_temp.login('olga', $$SELECT fn_iu_gate_break_glass('iu_core.composer_enabled', 'olga', 'hot', 3601)$$), '^23514 ttl_seconds', 'break-glass: no longer than others');
SELECT is((SELECT count(*) FROM iu_gate_approval WHERE kind = 'break_glass'), 0::bigint, 'break-glass: a refusal leaves no approval');
SELECT pg_temp.login('olga', $$SELECT fn_iu_gate_break_glass('iu_core.composer_enabled', 'olga', 'the site is down', 60)$$)::jsonb AS broken \gset
SELECT is(:'broken'::jsonb ->> 'status', 'opened', 'break-glass: opens without a second person, in strict mode and beside the list');
SELECT is((SELECT row(a.kind, a.granted_by, a.used_by, a.reason)::text FROM iu_gate_approval a WHERE a.approval_id::text = :'broken'::jsonb ->> 'approval_id'),
  '(break_glass,iu_test_olga,iu_test_olga,"the site is down")', 'break-glass: the approval says so');
SELECT results_eq(format('SELECT event_domain, event_type, event_stream, event_severity, event_subject_ref, safe_payload ->> ''gate_key'' FROM event_outbox WHERE id = %L', :'broken'::jsonb ->> 'event_id'),
  format($$VALUES ('governance', 'gate_break_glass', 'alert', 'critical', %L, 'iu_core.composer_enabled')$$, :'broken'::jsonb ->> 'transition_id'), 'break-glass: an event tells it');
SELECT is(pg_temp.login('olga', $$SELECT fn_iu_gate_break_glass('iu_core.composer_enabled', 'olga', 'still down', 60) ->> 'status'$$), 'renewed', 'break-glass: the holder renews so');
SELECT matches(pg_temp.login('oscar', $$SELECT fn_iu_gate_break_glass('iu_core.composer_enabled', 'oscar', 'me too', 60)$$), '^55006 ', 'break-glass: does not break into an open gate');
SELECT pg_temp.closes('olga') \g /dev/null
SELECT matches(pg_temp.opens('olga', :'broken'::jsonb ->> 'approval_id'), '^IU102 ', 'break-glass: its approval is good for once');
UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.routes_master_enabled';
SELECT is(pg_temp.login('olga', $$SELECT jsonb_typeof(fn_iu_gate_break_glass('iu_core.composer_enabled', 'olga', 'down again', 60) -> 'event_id')$$), 'null', 'break-glass: no event while the master switch is off, and no failure');
SELECT pg_temp.closes('olga') \g /dev/null
SELECT pg_temp.login('ada', $$SELECT fn_iu_gate_approvers_set('iu_core.composer_enabled', '{}', 'ada', 'all')$$) \g /dev/null

-- Standing approvals. The watchdog's work by hand: this database has none.
SELECT pg_temp.approval('iu_core.delivery_enabled', p_kind => 'standing', p_ttl => 8, p_for => '10 min') AS standing \gset
SELECT is(pg_temp.opens('oscar', :'standing', 'iu_core.delivery_enabled', 9), format('IU108 approval %s allows at most 8 s, not 9', :'standing'), 'standing: the time of each opening is bounded');
SELECT is(pg_temp.opens('oscar', :'standing', 'iu_core.delivery_enabled', 6), 'opened', 'standing: opens');
SELECT is((SELECT renew_at FROM iu.fn_iu_gate_expiring() WHERE gate_key = 'iu_core.delivery_enabled'), (SELECT expires_at - interval '3 s' FROM v_iu_gate WHERE gate_key = 'iu_core.delivery_enabled'),
  'standing: to be renewed half a ttl before its end');
SELECT is((SELECT due_at FROM iu.fn_iu_gate_expiring() WHERE gate_key = 'iu_core.delivery_enabled'), (SELECT expires_at FROM v_iu_gate WHERE gate_key = 'iu_core.delivery_enabled'), 'standing: and due at its end');
SELECT is((SELECT status FROM iu.fn_iu_gate_close_expired('iu_core.delivery_enabled', 'dog')), 'not_due', 'standing: not before that');
SELECT pg_sleep(3.05) \g /dev/null
SELECT is(fn_iu_gate_watchdog('by hand') - 'closed' - 'locked' #- '{renewed,0,reason}', '{"closed_count": 0, "renewed": [{"gate_key": "iu_core.delivery_enabled"}]}', 'standing: then it is renewed');
SELECT results_eq($$SELECT action, prev_value, approval_id::text, actor, ttl_seconds FROM iu_gate_transition WHERE gate_key = 'iu_core.delivery_enabled' ORDER BY transition_seq DESC LIMIT 1$$,
  format($$VALUES ('open', 'true', %L, 'oscar', 6)$$, :'standing'), 'standing: a renewal is an open of the holder on the same approval');
SELECT matches((SELECT reason FROM iu_gate_transition WHERE gate_key = 'iu_core.delivery_enabled' ORDER BY transition_seq DESC LIMIT 1),
  '^renewed by by hand on the standing approval of "iu_test_olga"', 'standing: and says by whom');
SELECT is(iu.fn_iu_gate_held_by('iu_core.delivery_enabled'), 'iu_test_oscar', 'standing: he still holds it');
SELECT is(pg_temp.revokes('olga', :'standing') - 'run_id', jsonb_build_object('status', 'revoked', 'approval_id', :'standing', 'gate_key', 'iu_core.delivery_enabled', 'closed', true, 'blocker', NULL), 'revoking it');
SELECT is((SELECT value || ' ' || effective FROM v_iu_gate WHERE gate_key = 'iu_core.delivery_enabled'), 'false false', 'closes the gate in the same transaction');
SELECT matches((SELECT reason FROM iu_gate_transition WHERE gate_key = 'iu_core.delivery_enabled' ORDER BY transition_seq DESC LIMIT 1), '^approval revoked: no longer$', 'and the ledger says why');
SELECT is(pg_temp.revokes('olga', :'standing') ->> 'status', 'unchanged', 'revoking twice is fine');
SELECT matches(pg_temp.opens('oscar', :'standing', 'iu_core.delivery_enabled', 2), '^IU104 ', 'and it opens nothing more');
SELECT matches(pg_temp.login('olga', 'SELECT fn_iu_gate_approval_revoke(gen_random_uuid(), ''olga'', ''x'')'), '^IU101 ', 'revoke: an unknown one');
SELECT matches(pg_temp.login('olga', format('SELECT fn_iu_gate_approval_revoke(%L, ''olga'', '''')', :'standing')), '^23514 ', 'revoke: without a reason');
SELECT matches(pg_temp.login('agent', format('SELECT fn_iu_gate_approval_revoke(%L, ''a'', ''b'')', :'standing')), '^42501 permission denied', 'revoke: not by an agent');

-- Who holds it after renewals, which the watchdog makes as iu_core_worker.
SELECT pg_temp.approval('iu_core.delivery_enabled', p_kind => 'standing', p_ttl => 6, p_for => '10 min', p_to => 'iu_test_agent') AS agents \gset
SELECT is(pg_temp.opens('agent', :'agents', 'iu_core.delivery_enabled', 6), 'opened', 'standing: an agent opens');
SELECT pg_sleep(3.05) \g /dev/null
SET LOCAL SESSION AUTHORIZATION iu_core_worker;
SELECT status AS first FROM iu.fn_iu_gate_close_expired('iu_core.delivery_enabled', 'dog') \gset
RESET SESSION AUTHORIZATION;
SELECT pg_sleep(3.05) \g /dev/null
SET LOCAL SESSION AUTHORIZATION iu_core_worker;
SELECT status AS second FROM iu.fn_iu_gate_close_expired('iu_core.delivery_enabled', 'dog') \gset
RESET SESSION AUTHORIZATION;
SELECT is(:'first' || ' ' || :'second', 'renewed renewed', 'standing: renewed twice by the watchdog');
SELECT is((SELECT array_agg(t.session_role::text ORDER BY t.transition_seq) FROM iu_gate_transition t WHERE t.approval_id = :'agents'),
  ARRAY['iu_test_agent', 'iu_core_worker', 'iu_core_worker'], 'standing: the ledger says who was logged in');
SELECT is((SELECT (holder, held_by)::text FROM v_iu_gate_holder WHERE gate_key = 'iu_core.delivery_enabled'), '(agent,iu_test_agent)', 'standing: but the agent holds it still');
SELECT matches(pg_temp.closes('agent2', 'iu_core.delivery_enabled'), '^42501 ', 'standing: another agent cannot close it');
SELECT is(pg_temp.closes('agent', 'iu_core.delivery_enabled'), 'closed', 'standing: its holder can');
SELECT is(iu.fn_iu_gate_held_by('iu_core.delivery_enabled'), NULL, 'standing: then nobody holds it');

SELECT pg_temp.approval('iu_core.delivery_enabled') AS single \gset
SELECT is(pg_temp.opens('oscar', :'single', 'iu_core.delivery_enabled', 60), 'opened', 'on a single approval');
SELECT is((SELECT renew_at FROM iu.fn_iu_gate_expiring() WHERE gate_key = 'iu_core.delivery_enabled'), NULL, 'nothing is renewed');
SELECT is(pg_temp.revokes('olga', :'single') ->> 'closed', 'true', 'but revoking closes as well');

SELECT pg_temp.approval('iu_core.delivery_enabled', p_kind => 'standing', p_ttl => 10, p_for => '9 s') AS ending \gset
SELECT matches(pg_temp.opens('oscar', :'ending', 'iu_core.delivery_enabled', 10), '^IU108 approval .* ends at 20.* UTC, before an opening of 10 s would$', 'standing: no opening outlasts its approval');
SELECT is(pg_temp.opens('oscar', :'ending', 'iu_core.delivery_enabled', 4), 'opened', 'standing: one that ends before');
SELECT pg_sleep(2.1) \g /dev/null
SELECT is(jsonb_array_length(fn_iu_gate_watchdog('dog') -> 'renewed'), 1, 'standing: renewed while there is time');
SELECT cmp_ok((SELECT max(expires_at) FROM iu_gate_transition WHERE approval_id = :'ending'), '<=', (SELECT expires_at FROM iu_gate_approval WHERE approval_id = :'ending'), 'standing: not beyond its end');
SELECT pg_sleep(2.1) \g /dev/null
SELECT fn_iu_gate_watchdog('dog') \g /dev/null
SELECT cmp_ok((SELECT max(expires_at) FROM iu_gate_transition WHERE approval_id = :'ending'), '<=', (SELECT expires_at FROM iu_gate_approval WHERE approval_id = :'ending'), 'standing: never');
SELECT pg_sleep(5) \g /dev/null
SELECT is(fn_iu_gate_watchdog('dog') ->> 'closed_count', '1', 'standing: then the gate is closed');

SELECT pg_temp.approval('iu_core.delivery_enabled', p_kind => 'standing', p_for => '1 h') AS lost \gset
SELECT is(pg_temp.opens('oscar', :'lost', 'iu_core.delivery_enabled', 1), 'opened', 'standing: opened, not renewed in time');
SELECT pg_sleep(1.05) \g /dev/null
SELECT is(fn_iu_gate_watchdog('dog') ->> 'closed_count', '1', 'is closed, not brought back');
SELECT is(pg_temp.opens('oscar', :'lost', 'iu_core.delivery_enabled', 1), 'opened', 'its holder opens it again');
SELECT pg_temp.login('ada', $$SELECT fn_iu_gate_approvers_set('iu_core.delivery_enabled', ARRAY['iu_core_admin'], 'ada', 'only admins')$$) \g /dev/null
SELECT is((SELECT renew_at FROM iu.fn_iu_gate_expiring() WHERE gate_key = 'iu_core.delivery_enabled'), NULL, 'it is no longer renewed once its grantor is off the list');
SELECT is(pg_temp.closes('oscar', 'iu_core.delivery_enabled'), 'closed', 'closed by hand it stays closed');
SELECT is((SELECT count(*) FROM iu.fn_iu_gate_expiring()), 0::bigint, 'and nothing is to be renewed');

SELECT pg_temp.approval() AS fresh \gset
SELECT results_eq(format($$SELECT state FROM v_iu_gate_approval WHERE approval_id IN (%L, %L, %L, %L, %L) ORDER BY state$$, :'own', :'short', :'withdrawn', :'fresh', :'lost'),
  ARRAY['expired', 'grantor not allowed', 'revoked', 'used', 'valid'], 'v_iu_gate_approval says what each is worth');
SELECT is((SELECT openings FROM v_iu_gate_approval WHERE approval_id = :'lost'), 2::bigint, 'and how often it opened');
SELECT is((SELECT bool_and(ok) FROM fn_iu_conformance()), true, 'the database conforms');

-- Rollback.
SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(7, false, true)', '55006', '^rollback refused: approvals are strict$', 'no rollback out of strict mode');
SELECT pg_temp.mode('default') \g /dev/null
SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(7)', '55006', 'holds \d+ row\(s\) that would be lost', 'no rollback that loses approvals');
CREATE TEMP TABLE before AS SELECT object_class, object_name, fingerprint FROM iu_core.object_inventory();
SELECT lives_ok('SELECT count(*) FROM iu_core.rollback(7, false, true)', 'with leave to lose them, it goes');
SELECT is(pg_temp.opens('oscar', gen_random_uuid()::text), 'opened', 'any id opens again');
SELECT pg_temp.closes('oscar') \g /dev/null
SELECT matches(pg_temp.opens('agent', gen_random_uuid()::text), '^42501 permission denied', 'and agents open nothing');
CREATE TEMP TABLE without AS SELECT object_class, object_name, fingerprint FROM iu_core.object_inventory();
SELECT lives_ok('SELECT count(*) FROM iu_core.migrate()', 'it comes back');
SELECT is_empty('(TABLE before EXCEPT SELECT object_class, object_name, fingerprint FROM iu_core.object_inventory()) UNION ALL (SELECT object_class, object_name, fingerprint FROM iu_core.object_inventory() EXCEPT TABLE before)', 'the same');
SELECT lives_ok('SELECT count(*) FROM iu_core.rollback(0, false, true)', 'all of it goes');
SELECT lives_ok('SELECT count(*) FROM iu_core.migrate(7)', 'what was before 010 comes');
SELECT is_empty('(TABLE without EXCEPT SELECT object_class, object_name, fingerprint FROM iu_core.object_inventory()) UNION ALL (SELECT object_class, object_name, fingerprint FROM iu_core.object_inventory() EXCEPT TABLE without)', 'as the rollback of 010 had left it');

SELECT * FROM finish();
ROLLBACK;
