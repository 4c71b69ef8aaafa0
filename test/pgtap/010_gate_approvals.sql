-- 010: registered approvals. What each refusal says, who may grant, use and
-- revoke what, strict mode, break-glass, agents.
\ir setup.psql
\ir 010_approvals.psql
SELECT no_plan();

-- Default mode: any id opens, and registered approvals keep their rules.
SELECT is((SELECT value FROM dot_config WHERE key = 'iu_core.gate_approval_mode'), 'default',
  'the mode is default at first');
SELECT is(pg_temp.opens('oscar', gen_random_uuid()::text), 'opened', 'in default mode an operator opens with any id');
SELECT is(pg_temp.closes('olga'), 'closed', 'another operator closes the gate that an operator opened');
SELECT pg_temp.approval() AS one \gset
SELECT is(pg_temp.opens('oscar', :'one'), 'opened', 'in default mode an operator opens with a registered approval');
SELECT pg_temp.closes('oscar') \g /dev/null
SELECT matches(pg_temp.opens('oscar', :'one'), '^IU102 ',
  'in default mode a registered approval is good for once only');

-- Strict mode: one refusal after the other.
SELECT is(pg_temp.mode('strict'), 'set', 'an administrator sets strict mode');
SELECT is(pg_temp.mode('strict'), 'unchanged', 'setting strict mode twice changes nothing');
SELECT matches(pg_temp.opens('oscar', '00000000-0000-0000-0000-00000000dead'),
  '^IU101 approval 00000000-0000-0000-0000-00000000dead is not registered$',
  'in strict mode an id that is not registered is refused with IU101');
SELECT matches(pg_temp.opens('oscar', :'one'),
  format('^IU102 approval %s was used at 20.* UTC by "iu_test_oscar"$', :'one'),
  'an approval that was used is refused with IU102, which says when and by whom');
SELECT pg_temp.approval(p_for => '2 s') AS short \gset
SELECT pg_sleep_until((SELECT expires_at FROM iu_gate_approval WHERE approval_id = :'short')) \g /dev/null
SELECT matches(pg_temp.opens('oscar', :'short'), format('^IU103 approval %s expired at 20.* UTC$', :'short'),
  'an approval that expired is refused with IU103');
SELECT pg_temp.approval() AS withdrawn \gset
SELECT is(pg_temp.revokes('oscar', :'withdrawn') ->> 'status', 'revoked', 'another operator may revoke an approval');
SELECT matches(pg_temp.opens('oscar', :'withdrawn'),
  format('^IU104 approval %s was revoked at 20.* UTC by "iu_test_oscar"$', :'withdrawn'),
  'an approval that was revoked is refused with IU104');
SELECT pg_temp.approval('iu_core.delivery_enabled') AS elsewhere \gset
SELECT is(pg_temp.opens('oscar', :'elsewhere'),
  format('IU105 approval %s is for gate "iu_core.delivery_enabled", not for gate "iu_core.composer_enabled"',
  :'elsewhere'),
  'an approval for another gate is refused with IU105');
SELECT pg_temp.approval(p_action => 'renew') AS renewal \gset
SELECT is(pg_temp.opens('oscar', :'renewal'), format('IU105 approval %s is to renew, not to open', :'renewal'),
  'an approval for another action is refused with IU105');
SELECT pg_temp.approval(p_to => 'iu_test_agent') AS agents \gset
SELECT is(pg_temp.opens('oscar', :'agents'),
  format('IU105 approval %s is for role "iu_test_agent", not for "iu_test_oscar"', :'agents'),
  'an approval for somebody else is refused with IU105');
SELECT pg_temp.approval() AS own \gset
SELECT is(pg_temp.opens('olga', :'own'), format('IU106 approval %s was granted by "iu_test_olga", who may not use it',
  :'own'),
  'an approval of one''s own is refused with IU106');
SELECT is(pg_temp.opens('olga', :'own', p_actor => 'somebody'),
  format('IU106 approval %s was granted by "iu_test_olga", who may not use it', :'own'),
  'an approval of one''s own is refused under another name as well');
SELECT matches(pg_temp.opens('oscar', :'own', p_actor => 'olga'), '^IU106 ',
  'an approval is refused to another role that acts in its grantor''s name');
SELECT is(pg_temp.opens('oscar', :'own', p_ttl => 601),
  format('IU108 approval %s allows at most 600 s, not 601', :'own'),
  'an opening longer than its approval allows is refused with IU108');
SELECT is((SELECT count(*) FROM iu_gate_approval WHERE used_at IS NOT NULL), 1::bigint, 'no refusal used an approval');
SELECT is(fn_iu_gate_verify_closed() ->> 'all_safe', 'true', 'no refusal opened a gate');
SELECT is(pg_temp.opens('oscar', :'own', p_ttl => 600), 'opened',
  'the approval that was refused for longer opens for as long as it allows');
SELECT is((SELECT used_by FROM iu_gate_approval WHERE approval_id = :'own'), 'iu_test_oscar',
  'an approval that opened was used by the login role');
SELECT matches(pg_temp.opens('oscar', :'own'), '^55006 ',
  'an approval that opened is refused while the gate is open, because the gate is in use');
SELECT matches(pg_temp.opens('olga', gen_random_uuid()::text), '^55006 ',
  'whoever opens a gate that is open is told so before anything about the approval');
SELECT matches(pg_temp.opens('oscar', :'elsewhere'), '^IU105 .* is for gate',
  'renewing with an approval for another gate is refused with IU105');
SELECT pg_temp.approval() AS spare \gset
SELECT is(pg_temp.opens('oscar', :'spare'), format('IU105 approval %s is to open, not to renew', :'spare'),
  'renewing with an approval to open is refused with IU105');
SELECT is(pg_temp.opens('oscar', :'renewal'), 'renewed', 'the holder renews with an approval to renew');
SELECT matches(pg_temp.opens('oscar', :'renewal'), '^55006 ', 'the holder cannot renew twice with one approval');

-- An approval comes back with what used it.
SELECT pg_temp.closes('oscar') \g /dev/null
SAVEPOINT before_use;
SELECT is(pg_temp.opens('oscar', :'spare'), 'opened', 'an approval opens in a subtransaction that will be rolled back');
ROLLBACK TO before_use;
SELECT is(pg_temp.opens('oscar', :'spare'), 'opened', 'an approval whose opening was rolled back opens again');
SELECT pg_temp.closes('oscar') \g /dev/null

-- Granting.
SELECT matches(pg_temp.approval(p_gate => 'no.such_gate'), '^42501 "?no.such_gate"? is not a governable',
  'an approval for a gate that is not known is not granted');
SELECT matches(pg_temp.approval(p_gate => 'iu_core.vector_sync_enabled'),
  '^42501 gate "iu_core.vector_sync_enabled" is NEVER-FLIP',
  'an approval for a never-flip gate is not granted');
SELECT matches(pg_temp.approval(p_action => 'close'), '^23514 action must be open or renew, not ''close''',
  'an approval for an unknown action is not granted');
SELECT matches(pg_temp.approval(p_kind => 'break_glass'), '^23514 kind must be single or standing',
  'an approval of kind break_glass is not granted');
SELECT matches(pg_temp.approval(p_action => 'renew', p_kind => 'standing'),
  '^23514 action of a standing approval must be open',
  'a standing approval to renew is not granted');
SELECT matches(pg_temp.approval(p_ttl => t), '^23514 max_ttl_seconds must be from 1 to 3600',
  'an approval for ' || coalesce(t::text, 'NULL') || ' s is not granted') FROM unnest(ARRAY[0, 3601, NULL]) t;
SELECT matches(pg_temp.approval(p_for => f), '^23514 expires_at must be',
  'an approval until ' || coalesce(f, 'NULL') || ' from now is not granted')
  FROM unnest(ARRAY['0 s', '-1 s', '367 days', NULL]) f;
SELECT matches(pg_temp.login('olga', $$SELECT fn_iu_gate_approval_grant('iu_core.composer_enabled', 'open', 60,
  'infinity', 'olga', 'why')$$), '^23514 expires_at must be',
  'an approval for ever is not granted');
SELECT matches(pg_temp.login('olga',
  format($$SELECT fn_iu_gate_approval_grant('iu_core.composer_enabled', 'open', 60, now() + interval '1 h', %s)$$, a)),
  '^23514 actor and reason are required',
  'an approval with actor and reason ' || a || ' is not granted')
  FROM unnest(ARRAY['NULL, ''why''', ''' '', ''why''', '''olga'', NULL', '''olga'', ''''']) a;
SELECT matches(pg_temp.approval(p_to => 'iu_test_no_one'), '^42704 role "iu_test_no_one" does not exist',
  'an approval to a role that does not exist is not granted');
SELECT matches(pg_temp.approval(p_to => 'iu_test_olga'), '^IU106 ', 'an approval to oneself is not granted');
SELECT matches(pg_temp.approval(p_by => w), '^42501 permission denied',
  'an approval is not granted by ' || w) FROM unnest(ARRAY['agent', 'both']) w;

SELECT is(pg_temp.login('olga', $$SELECT fn_iu_gate_approval_grant('iu_core.composer_enabled', 'open', 60,
  now() + interval '1 h', 'olga', 'why', p_approval_id => '00000000-0000-0000-0000-000000000010') ->> 'approval_id'$$),
  '00000000-0000-0000-0000-000000000010', 'an approval may be granted under an id of one''s own');
SELECT is(pg_temp.login('olga', $$SELECT fn_iu_gate_approval_grant('iu_core.composer_enabled', 'open', 60,
  now() + interval '1 h', 'olga', 'why', p_approval_id => '00000000-0000-0000-0000-000000000010')$$),
  '42710 approval 00000000-0000-0000-0000-000000000010 is registered already',
  'an approval is not granted twice under the same id');

-- Nothing of an approval changes but that it is used or revoked, once.
SELECT pg_temp.refuses(format('UPDATE iu_gate_approval SET %s WHERE approval_id = %L', c, :'elsewhere'), '42501',
  'append-only',
  'of a granted approval this is not changed: ' || c)
  FROM unnest(ARRAY['max_ttl_seconds = 3600', 'expires_at = ''infinity''', 'granted_by = ''x''', 'gate_key = ''x''',
  'kind = ''standing''']) c;
SELECT pg_temp.refuses(format('UPDATE iu_gate_approval SET used_at = NULL, used_by = NULL WHERE approval_id = %L',
  :'own'), '42501', 'append-only',
  'an approval that was used stays used');
SELECT pg_temp.refuses(q, '42501', 'append-only', 'an approval that was revoked stays revoked: ' || q)
  FROM unnest(ARRAY['UPDATE iu_gate_revocation SET approval_id = gen_random_uuid()', 'DELETE FROM iu_gate_revocation',
  'TRUNCATE iu_gate_revocation']) q;
SELECT pg_temp.refuses('DELETE FROM iu_gate_approval', '42501', 'append-only', 'approvals are not deleted');
SELECT pg_temp.refuses('TRUNCATE iu_gate_approval', '42501', 'append-only', 'approvals are not truncated');
SELECT pg_temp.refuses(format($$INSERT INTO iu_gate_approval (gate_key, kind, action, max_ttl_seconds, expires_at,
  grantor, reason, %s)
  VALUES ('iu_core.composer_enabled', 'single', 'open', 60, now() + interval '1 h', 'x', 'x', %s)$$, c, v), '23514',
  'not by hand',
  c || ' of an approval is not given by hand')
  FROM (VALUES ('granted_at', 'now()'), ('granted_by', '''x'''), ('place', 'gen_random_uuid()'))
  AS v (c, v);
SELECT is((SELECT string_agg(concat_ws(' ', r, t), ', ')
  FROM unnest(ARRAY['iu_core_reader', 'iu_core_writer', 'iu_core_operator', 'iu_core_admin', 'iu_core_agent',
  'iu_core_worker']) r,
             unnest(ARRAY['iu_gate_approval', 'iu_gate_approver']) t
            WHERE has_table_privilege(r, t, 'INSERT, DELETE, TRUNCATE, TRIGGER') OR has_any_column_privilege(r, t,
            'UPDATE')), NULL,
  'no role but the owner writes approvals and approval lists');

-- One from another database is none here.
SELECT pg_temp.approval() AS moved \gset
ALTER TABLE iu_gate_approval DISABLE TRIGGER trg_iu_gate_approval_guard;
UPDATE iu_gate_approval SET place = gen_random_uuid() WHERE approval_id = :'moved';
ALTER TABLE iu_gate_approval ENABLE ALWAYS TRIGGER trg_iu_gate_approval_guard;
SELECT is(pg_temp.opens('oscar', :'moved'), format('IU101 approval %s was granted in another place', :'moved'),
  'an approval that was granted in another place is refused with IU101');

-- Approval lists.
SELECT is(pg_temp.login('ada', $$SELECT fn_iu_gate_approvers_set('iu_core.composer_enabled', ARRAY['iu_test_oscar'],
  'ada', 'oscar decides') -> 'approvers'$$), '["iu_test_oscar"]',
  'an administrator makes an approval list');
SELECT is(pg_temp.approval(), 'IU107 "iu_test_olga" is not on the approval list of gate "iu_core.composer_enabled"',
  'who is not on the approval list cannot grant: IU107');
SELECT matches(pg_temp.approval('iu_core.delivery_enabled'), '^[0-9a-f-]{36}$',
  'who is not on the approval list of one gate can grant for another gate');
SELECT pg_temp.approval(p_by => 'oscar') AS listed \gset
SELECT is(pg_temp.opens('olga', :'listed'), 'opened', 'what a member of the approval list granted opens');
SELECT pg_temp.closes('olga') \g /dev/null
SELECT pg_temp.approval(p_by => 'oscar') AS listed \gset
SELECT pg_temp.login('ada', $$SELECT fn_iu_gate_approvers_set('iu_core.composer_enabled', ARRAY['iu_core_admin'], 'ada',
  'a group')$$) \g /dev/null
SELECT is(pg_temp.opens('olga', :'listed'),
  format('IU107 approval %s was granted by "iu_test_oscar", who is not on the approval list of gate '
    '"iu_core.composer_enabled"', :'listed'),
  'what a member of the approval list granted no longer opens when he is off the list: IU107');
SELECT pg_temp.approval(p_by => 'ada') AS by_group \gset
SELECT is(pg_temp.opens('olga', :'by_group'), 'opened', 'a member of a role on the approval list may grant');
SELECT pg_temp.closes('olga') \g /dev/null
SELECT is(pg_temp.login('ada', $$SELECT fn_iu_gate_approvers_set('iu_core.composer_enabled', '{}', 'ada',
  'all again') -> 'approvers'$$), '[]',
  'an administrator empties an approval list');
SELECT is(pg_temp.opens('olga', :'listed'), 'opened', 'an empty approval list lets every operator approve');
SELECT pg_temp.closes('olga') \g /dev/null
SELECT matches(pg_temp.login('ada', format($$SELECT fn_iu_gate_approvers_set(%s, 'ada', 'x')$$, a)), p,
  'fn_iu_gate_approvers_set(' || a || ', ...) is refused') FROM (VALUES
  ($$'no.such_gate', '{}'$$, '^42501 '), ($$'iu_core.composer_enabled', NULL$$, '^23514 '),
  ($$'iu_core.composer_enabled', ARRAY['iu_test_no_one']$$, '^42704 role "iu_test_no_one" does not exist')) AS v (a, p);
SELECT matches(pg_temp.login('olga', $$SELECT fn_iu_gate_approvers_set('iu_core.composer_enabled', '{}', 'olga',
  'x')$$), '^42501 permission denied',
  'an operator does not change an approval list');
SELECT pg_temp.approval() AS by_former \gset
REVOKE iu_core_operator FROM iu_test_olga;
SELECT matches(pg_temp.opens('oscar', :'by_former'),
  '^IU107 approval .* was granted by "iu_test_olga", who is no longer a member of iu_core_operator',
  'what a former operator granted is void: IU107');
GRANT iu_core_operator TO iu_test_olga;

-- Mode.
SELECT matches(pg_temp.login('olga', $$SELECT fn_iu_gate_approval_mode_set('default', 'olga', 'x')$$),
  '^42501 permission denied',
  'an operator does not set the mode');
SELECT matches(pg_temp.login('ada', $$SELECT fn_iu_gate_approval_mode_set('lax', 'ada', 'x')$$),
  '^23514 p_mode must be default or strict, not ''lax''',
  'a mode that is neither default nor strict is refused');
SELECT matches(pg_temp.login('ada', $$SELECT fn_iu_gate_approval_mode_set('default', 'ada', '')$$), '^23514 ',
  'setting the mode without a reason is refused');
UPDATE dot_config SET value = 'whatever' WHERE key = 'iu_core.gate_approval_mode';
SELECT matches(pg_temp.opens('oscar', gen_random_uuid()::text), '^IU101 ', 'any other value of the mode means strict');
SAVEPOINT no_mode;
DELETE FROM dot_config WHERE key = 'iu_core.gate_approval_mode';
SELECT pg_temp.hint_runs($$SELECT fn_iu_gate_approval_mode_set('default', 'ada', 'x')$$,
  'the statement in the hint puts the mode''s row back');
DELETE FROM dot_config WHERE key = 'iu_core.gate_approval_mode';
SELECT matches(pg_temp.opens('oscar', gen_random_uuid()::text), '^IU101 ', 'without its row the mode is strict');
SELECT matches(pg_temp.mode('default'), '^42704 ', 'a mode without its row cannot be set');
ROLLBACK TO no_mode;
SELECT is(pg_temp.mode('default'), 'set', 'an administrator sets default mode again');
SELECT is(pg_temp.opens('oscar', gen_random_uuid()::text), 'opened', 'in default mode set again any id opens');
SELECT pg_temp.closes('oscar') \g /dev/null
SELECT set_has($$SELECT evidence ->> 'previous' AS previous, evidence ->> 'mode' AS mode FROM dot_iu_command_run
  WHERE command_name = 'dot_iu_gate_approval_mode_set'$$,
  $$VALUES ('default', 'strict'), ('whatever', 'default')$$, 'changes of the mode are logged');

-- Agents: with a registered approval, whatever the mode, and nothing else.
SELECT matches(pg_temp.opens('agent', gen_random_uuid()::text), '^IU101 approval .* is not registered$',
  'an agent opens with no unregistered id, in default mode either');
SELECT is(pg_temp.opens('agent', :'agents'), 'opened', 'an agent opens with the approval granted to it');
SELECT is(pg_temp.login('agent', $$SELECT iu_core.gate_is_open('iu_core.composer_enabled')$$), 'true',
  'an agent sees the gate open');
SELECT matches(pg_temp.closes('agent2'), '^42501 gate "iu_core.composer_enabled" is not held by "iu_test_agent2"$',
  'an agent cannot close what another agent holds');
SELECT is(pg_temp.closes('agent'), 'closed', 'an agent closes what it holds');
SELECT matches(pg_temp.closes('agent'), '^42501 gate "iu_core.composer_enabled" is not held by "iu_test_agent"$',
  'an agent cannot close what it no longer holds');
SELECT is(pg_temp.login('agent', 'SELECT fn_iu_gate_verify_closed(''agent'') ->> ''all_safe'''), 'true',
  'an agent asks whether gates are closed');
UPDATE dot_config SET value = 'true' WHERE key = 'iu_core.routes_master_enabled';
SELECT matches(pg_temp.login('agent',
  'SELECT fn_iu_emit_event(''version_applied'', ''a'', gen_random_uuid(), ''agent'')'), '^[0-9a-f-]{36}$',
  'an agent emits events');
SELECT set_eq($$SELECT p.oid::regprocedure::text FROM pg_proc p
    WHERE p.proowner = 'iu_core_owner'::regrole AND pg_temp.called_as(p.oid) IS NOT NULL
    AND has_function_privilege('iu_core_agent', p.oid, 'EXECUTE')
       OR p.pronamespace = 'iu_core'::regnamespace AND has_function_privilege('iu_core_agent', p.oid, 'EXECUTE')$$,
  ARRAY['fn_iu_gate_open(text,uuid,text,text,integer)', 'fn_iu_gate_close(text,text,text)',
  'fn_iu_gate_verify_closed(text)',
        'fn_iu_emit_event(text,text,uuid,text,jsonb,text,text)', 'iu_core.gate_is_open(text)',
        'iu_core.require_role(text[])', 'iu_core.may(text[])', 'fn_content_hash(text)',
        'fn_iu_create(text,text,text,text,text,text,text,text,uuid)',
        'fn_iu_create_plan(text,text,text,text,text,text,text,text,uuid)', 'fn_iu_import(jsonb,text,boolean)',
        'fn_iu_save(text,text,text,text,text)', 'fn_iu_comment(text,text,text)',
        'fn_iu_apply_edit_draft(uuid,text)', 'fn_iu_review_decision_check(uuid,text,text[])',
        'fn_iu_enact(text,text,uuid,text,uuid,text,text,boolean)',
        'fn_iu_enact_many(text[],text,uuid,uuid,text,text,boolean)', 'fn_iu_metadata_refresh(uuid[])',
        'fn_iu_tag_set(text,text,text,numeric,text)', 'fn_iu_tag_unset(text,text,text,text)',
        'fn_iu_supersede(text,text,uuid,text,uuid,text,text,boolean)',
        'fn_iu_piece_split(text,jsonb,text,uuid,uuid,text,text,boolean)',
        'fn_iu_piece_merge(jsonb,text[],text,uuid,uuid,text,text,boolean)', 'fn_iu_vector_plan(text,integer)',
        'fn_iu_vector_text(text)', 'fn_iu_vector_sync_record(text,text,text,text,text,integer,text)',
        'fn_iu_vector_sync_record_v2(text,text,text,text,text,integer,text,text,uuid,integer,integer,boolean,jsonb)',
        'fn_iu_vector_sync_observe(text,regclass,text,boolean,uuid[],uuid,integer)',
        'fn_iu_compose(text,text,text,text,jsonb,text)', 'fn_iu_collection_create(text,text,text,text,text)',
        'fn_iu_collection_add_piece(uuid,uuid,integer,text,text)', 'fn_iu_collection_remove_piece(uuid,uuid,text)',
        'fn_iu_collection_reorder_piece(uuid,uuid,integer,text)', 'fn_iu_collection_set_status(uuid,text,text,text)',
        'fn_iu_collection_manifest_refresh(uuid)', 'fn_iu_collection_render(uuid)', 'fn_iu_render_file(uuid)',
        'fn_iu_render_html(uuid)', 'fn_iu_collection_validate(uuid)', 'fn_iu_collection_export(uuid)',
        'fn_iu_collection_import_propose(text,text)', 'fn_iu_collection_checkpoint(uuid,text,text,jsonb)',
        'fn_iu_piece_soft_delete(uuid,text)', 'fn_iu_piece_restore(uuid,text)',
        'fn_iu_collection_mark_as_template(uuid,text,text,text)', 'fn_iu_collection_unmark_template(uuid,text,text)',
        'fn_iu_collection_record_template_instance(uuid,uuid,text,text)',
        'fn_iu_collection_register_template_version(uuid,text,text,integer,uuid,text)',
        'fn_iu_collection_retire_template_version(uuid,text,text)', 'fn_iu_template_publish(uuid,text,text)',
        'fn_iu_auto_instantiate_from_event(uuid,text,uuid,text,text,text,text)',
        'fn_iu_structure_op_plan(text,uuid[],uuid[],uuid,jsonb,text,text,text)', 'fn_iu_structure_op_apply(uuid,text)',
        'fn_iu_structure_op_verify(uuid)', 'fn_dot_iu_command_plan(text,jsonb,text)',
        'fn_dot_iu_command_apply(text,jsonb,text)', 'fn_dot_iu_command_verify(text,jsonb,text)',
        'fn_job_enqueue(text,text,jsonb,text,text,integer,timestamp with time zone,text,text,integer,uuid)',
        'fn_job_claim(text,text,integer,text[])', 'fn_job_start(uuid,text)', 'fn_job_ack(uuid,text,jsonb)',
        'fn_job_ack_many(uuid[],text)', 'fn_job_fail(uuid,text,text,boolean)', 'fn_job_cancel(uuid,text,text)',
        'fn_queue_heartbeat_tick(text,text,text,uuid,text,jsonb)', 'fn_queue_stale_check(integer)'],
  'an agent may execute these functions and no others');
SELECT is((SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c
            WHERE (c.relowner = 'iu_core_owner'::regrole OR c.relnamespace = 'iu_core'::regnamespace)
            AND c.relkind IN ('r', 'v', 'p', 'm')
              AND has_any_column_privilege('iu_core_agent', c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')),
  'v_iu_my_command', 'an agent reads what it may call, and writes no table');
SELECT matches(pg_temp.login('agent', $$SELECT fn_iu_gate_break_glass('iu_core.composer_enabled', 'agent', 'hot',
  60)$$), '^42501 permission denied',
  'an agent breaks no glass');

-- Break-glass: approved by the one who opens, and loud.
SELECT pg_temp.mode('strict') \g /dev/null
SELECT pg_temp.login('ada', $$SELECT fn_iu_gate_approvers_set('iu_core.composer_enabled', ARRAY['iu_core_admin'], 'ada',
  'only admins')$$) \g /dev/null
SELECT matches(pg_temp.login('olga',
  format($$SELECT fn_iu_gate_break_glass('iu_core.composer_enabled', 'olga', %L, 60)$$, r)), '^23514 .*reason',
  'break-glass is refused with the reason ' || coalesce(quote_literal(r), 'NULL'))
  FROM unnest(ARRAY[NULL, '', '  ']) r;
SELECT matches(pg_temp.login('olga', $$SELECT fn_iu_gate_break_glass('iu_core.vector_sync_enabled', 'olga', 'hot',
  60)$$), '^42501 .*NEVER-FLIP',
  'break-glass does not open a never-flip gate');
SELECT matches(pg_temp.login('olga', $$SELECT fn_iu_gate_break_glass('iu_core.composer_enabled', 'olga', 'hot',
  3601)$$), '^23514 ttl_seconds',
  'break-glass opens for no longer than others open');
SELECT is((SELECT count(*) FROM iu_gate_approval WHERE kind = 'break_glass'), 0::bigint,
  'a refused break-glass leaves no approval');
SELECT pg_temp.login('olga', $$SELECT fn_iu_gate_break_glass('iu_core.composer_enabled', 'olga', 'the site is down',
  60)$$)::jsonb AS broken \gset
SELECT is(:'broken'::jsonb ->> 'status', 'opened',
  'break-glass opens without a second person, in strict mode and beside the approval list');
SELECT is((SELECT row(a.kind, a.granted_by, a.used_by, a.reason)::text FROM iu_gate_approval a
  WHERE a.approval_id::text = :'broken'::jsonb ->> 'approval_id'),
  '(break_glass,iu_test_olga,iu_test_olga,"the site is down")', 'the approval of break-glass says who opened and why');
SELECT results_eq(format('SELECT event_domain, event_type, event_stream, event_severity, event_subject_ref, '
  'safe_payload ->> ''gate_key'' FROM event_outbox WHERE id = %L', :'broken'::jsonb ->> 'event_id'),
  format($$VALUES ('governance', 'gate_break_glass', 'alert', 'critical', %L, 'iu_core.composer_enabled')$$,
  :'broken'::jsonb ->> 'transition_id'),
  'break-glass emits a critical event');
SELECT is(pg_temp.login('olga', $$SELECT fn_iu_gate_break_glass('iu_core.composer_enabled', 'olga', 'still down',
  60) ->> 'status'$$), 'renewed',
  'the holder renews by break-glass');
SELECT matches(pg_temp.login('oscar', $$SELECT fn_iu_gate_break_glass('iu_core.composer_enabled', 'oscar', 'me too',
  60)$$), '^55006 ',
  'break-glass does not break into a gate that somebody else holds open');
SELECT pg_temp.closes('olga') \g /dev/null
SELECT matches(pg_temp.opens('olga', :'broken'::jsonb ->> 'approval_id'), '^IU102 ',
  'the approval of break-glass is good for once');
UPDATE dot_config SET value = 'false' WHERE key = 'iu_core.routes_master_enabled';
SELECT is(pg_temp.login('olga',
  $$SELECT jsonb_typeof(fn_iu_gate_break_glass('iu_core.composer_enabled', 'olga', 'down again', 60) -> 'event_id')$$),
  'null',
  'break-glass opens without an event while the master switch is off');
SELECT pg_temp.closes('olga') \g /dev/null
SELECT pg_temp.login('ada', $$SELECT fn_iu_gate_approvers_set('iu_core.composer_enabled', '{}', 'ada',
  'all')$$) \g /dev/null

-- What each approval is worth.
SELECT pg_temp.approval() AS fresh \gset
SELECT results_eq(format($$SELECT state FROM v_iu_gate_approval WHERE approval_id IN (%L, %L, %L, %L)
  ORDER BY state$$, :'own', :'short', :'withdrawn', :'fresh'),
  ARRAY['expired', 'revoked', 'used', 'valid'],
  'v_iu_gate_approval says what each approval is worth');
SELECT is((SELECT bool_and(ok) FROM fn_iu_conformance()), true, 'the database conforms');

-- Rollback.
SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(7, false, true)', '55006',
  '^rollback refused: approvals are strict$',
  'rolling back approvals is refused in strict mode');
SELECT pg_temp.mode('default') \g /dev/null
SELECT pg_temp.refuses('SELECT count(*) FROM iu_core.rollback(7)', '55006', 'holds \d+ row\(s\) that would be lost',
  'rolling back approvals is refused where approvals would be lost');
CREATE TEMP TABLE before AS SELECT object_class, object_name, fingerprint FROM iu_core.object_inventory();
SELECT lives_ok('SELECT count(*) FROM iu_core.rollback(7, false, true)',
  'with leave to lose approvals their rollback succeeds');
SELECT is(pg_temp.opens('oscar', gen_random_uuid()::text, 'iu_core.delivery_enabled'), 'opened',
  'without the migration of approvals any id opens');
SELECT pg_temp.closes('oscar', 'iu_core.delivery_enabled') \g /dev/null
SELECT matches(pg_temp.opens('agent', gen_random_uuid()::text, 'iu_core.delivery_enabled'), '^42501 permission denied',
  'without the migration of approvals agents open nothing');
CREATE TEMP TABLE without AS SELECT object_class, object_name, fingerprint FROM iu_core.object_inventory();
SELECT lives_ok('SELECT count(*) FROM iu_core.migrate()',
  'the migration of approvals can come back after its rollback');
SELECT is_empty('(TABLE before EXCEPT SELECT object_class, object_name, fingerprint FROM iu_core.object_inventory()) '
  'UNION ALL (SELECT object_class, object_name, fingerprint FROM iu_core.object_inventory() EXCEPT TABLE before)',
  'the migration that came back has the same objects');
SELECT lives_ok('SELECT count(*) FROM iu_core.rollback(0, false, true)', 'every migration can be rolled back');
SELECT lives_ok('SELECT count(*) FROM iu_core.migrate(7)', 'the migrations before approvals can come back');
SELECT is_empty('(TABLE without EXCEPT SELECT object_class, object_name, fingerprint FROM iu_core.object_inventory()) '
  'UNION ALL (SELECT object_class, object_name, fingerprint FROM iu_core.object_inventory() EXCEPT TABLE without)',
  'the migrations before approvals are as the rollback of approvals left them');

SELECT * FROM finish();
ROLLBACK;
