-- 039: commands of the catalogue, planned, applied and verified by name: every answer, what the ledger says of it, and
-- with whose rights a target runs.
\ir setup.psql
\ir 030_collections.psql
SELECT no_plan();
CREATE ROLE iu_test_mallory LOGIN;
SELECT pg_temp.gate('iu_core.operator_runtime_enabled', true);

-- A target of our own, which does what it is told, and leaves a row of what it did.
CREATE TABLE public.test_trace (said text, who name);
ALTER TABLE public.test_trace OWNER TO iu_core_owner;
GRANT INSERT, SELECT ON public.test_trace TO iu_test_wim, iu_test_robot;
CREATE FUNCTION public.fn_test_target(p_say jsonb, p_actor text, p_raise text DEFAULT NULL, p_number integer DEFAULT 7)
  RETURNS jsonb LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO public.test_trace VALUES (coalesce(p_say::text, 'NULL') || ' ' || p_actor || ' ' || p_number,
  current_user);
  IF p_raise = 'assert' THEN
    ASSERT false, 'it is not so';
  ELSIF p_raise = 'role' THEN
    SET LOCAL ROLE iu_core_owner;
  ELSIF p_raise IN ('iu_composer_gate_closed', 'no_such_name') THEN
    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'raised ' || p_raise, CONSTRAINT = p_raise;
  ELSIF p_raise IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = p_raise, MESSAGE = 'raised ' || p_raise;
  END IF;
  RETURN p_say;
END $$;
CREATE FUNCTION public.fn_test_dry(p_actor text, p_dry_run boolean DEFAULT true) RETURNS TABLE (n integer, did boolean)
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO public.test_trace VALUES ('dry ' || p_dry_run, current_user);
  RETURN QUERY VALUES (1, NOT p_dry_run), (2, false);
END $$;
CREATE FUNCTION public.fn_test_variadic(VARIADIC p_say text[]) RETURNS text LANGUAGE sql AS $$SELECT p_say[1]$$;
CREATE FUNCTION public.fn_test_nameless(text) RETURNS text LANGUAGE sql AS $$SELECT $1$$;
CREATE FUNCTION public.fn_test_typed(p_row public.test_trace) RETURNS text LANGUAGE sql AS $$SELECT 'x'$$;
CREATE FUNCTION public.fn_test_void() RETURNS void LANGUAGE sql AS $$SELECT$$;
CREATE FUNCTION public.fn_test_two(p_a text) RETURNS text LANGUAGE sql AS $$SELECT p_a$$;
CREATE FUNCTION public.fn_test_two(p_a integer) RETURNS text LANGUAGE sql AS $$SELECT 'x'$$;
CREATE FUNCTION public.fn_test_stranger(p_a text) RETURNS text LANGUAGE sql AS $$SELECT current_user::text$$;
DO $$
DECLARE f regprocedure;
BEGIN
  FOR f IN SELECT oid FROM pg_proc WHERE proname ~ '^fn_test_' LOOP
    EXECUTE format('ALTER FUNCTION %s OWNER TO %I', f,
      CASE WHEN f::text ~ 'stranger' THEN 'iu_test_mallory' ELSE 'iu_core_owner' END);
  END LOOP;
END $$;
INSERT INTO dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions)
  SELECT 'test_' || f, 'health', true, true, ARRAY['fn_test_' || f]
    FROM unnest('{target,dry,variadic,nameless,typed,void,two,stranger,missing}'::text[]) f;
INSERT INTO dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions) VALUES
  ('test_read', 'read', false, true, '{fn_test_target}'), ('test_server', 'health', true, true, '{pg_reload_conf}'),
  ('test_both', 'health', true, true, '{fn_test_target,fn_test_dry}'),
  ('test_sql', 'health', true, true, ARRAY['fn_test_target(''{}'', ''x''); DROP TABLE public.test_trace; --']);

CREATE FUNCTION pg_temp.trace() RETURNS text LANGUAGE sql AS
  $$SELECT string_agg(said || ' as ' || who, ', ') FROM test_trace$$;
-- What the last run in the ledger says.
CREATE FUNCTION pg_temp.ledger() RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', command_name, run_mode, run_status, mutating, actor, evidence - 'by' - 'target' - 'logged_as')
    FROM dot_iu_command_run WHERE evidence ->> 'by' = 'operator_runtime' ORDER BY created_at DESC, run_id LIMIT 1 $$;
CREATE FUNCTION pg_temp.runs() RETURNS bigint LANGUAGE sql AS $$SELECT count(*) FROM dot_iu_command_run$$;
-- Carries out a mode as wim; its status, field, and whether guidance and next action are as they should be.
CREATE FUNCTION pg_temp.asks(p_mode text, p_command text, p_params text, p_who text DEFAULT 'iu_test_wim')
  RETURNS text LANGUAGE sql AS $$
  SELECT CASE WHEN a ~ '^[{]' THEN concat_ws(' ', a::jsonb ->> 'status', a::jsonb ->> 'field',
           CASE WHEN a::jsonb ? 'guidance' AND (a::jsonb ->> 'guidance' ~ '[.]$' AND a::jsonb ->> 'next_action' <> '')
                IS NOT TRUE THEN 'without guidance' END) ELSE a END
    FROM pg_temp.login(p_who, format('fn_dot_iu_command_%s(%L, %L, %L)', p_mode, p_command, p_params, 'wim')) a $$;

-- ---- planning

SELECT pg_temp.login('iu_test_wim', $c$fn_dot_iu_command_plan('dot_iu_create_collection',
  '{"p_collection_key": "k"}', 'wim')$c$) AS r \gset
SELECT is(:'r'::jsonb ->> 'status', 'invalid_input', 'planning refuses a call without an argument that must be given');
SELECT is(pg_temp.ledger(),
  'dot_iu_create_collection plan refused t wim {"field": "params", "status": "invalid_input"}',
  'a refused plan is in the ledger');
SELECT pg_temp.login('iu_test_wim', $c$fn_dot_iu_command_plan('test_target', '{"p_say": 1}', 'wim')$c$) AS r \gset
SELECT is(:'r'::jsonb - 'run_id' - 'arguments',
  '{"status": "planned", "command_name": "test_target", "category": "health",
  "mutating": true, "reversible": true, "target": "public.fn_test_target(jsonb,text,text,integer)", "dry_run": false,
  "gates": {"iu_core.operator_runtime_enabled": true}, "closed_gates": []}', 'a plan tells target and gates');
SELECT is(:'r'::jsonb -> 'arguments', '[{"name": "p_say", "type": "jsonb", "given": true, "required": true},
  {"name": "p_actor", "type": "text", "given": true, "required": true},
  {"name": "p_raise", "type": "text", "given": false, "required": false},
  {"name": "p_number", "type": "integer", "given": false, "required": false}]', 'a plan tells the arguments');
SELECT is(pg_temp.ledger(), 'test_target plan planned t wim {"closed_gates": []}', 'a plan is in the ledger');
SELECT is(pg_temp.trace(), NULL, 'nothing of a target runs for a plan');
SELECT is(p -> 'closed_gates' || (p -> 'dry_run'),
    '["iu_core.auto_instantiate_enabled", "iu_core.composer_enabled", false]',
  format('a plan tells which gates of the command are closed, of an instance that is made as %s', mode))
  FROM unnest('{live,dry_run}'::text[]) mode, fn_dot_iu_command_plan('dot_iu_auto_instantiate_from_event', format(
  '{"p_event_id": null, "p_event_type": "t", "p_template_collection_id": null, "p_instance_key_suffix": "s",
    "p_emit_mode": "%s", "p_note": null}', mode)::jsonb, 'wim') p;
SELECT is(fn_dot_iu_command_plan('dot_iu_retention_cleanup', '{}', 'wim') - 'run_id' - 'arguments' - 'target',
  '{"status": "planned", "command_name": "dot_iu_retention_cleanup", "category": "health", "mutating": true,
    "reversible": false, "dry_run": true, "gates": {"iu_core.operator_runtime_enabled": true}, "closed_gates": []}',
  'a dry run needs the gate of the runtime alone');

-- ---- what every mode refuses

SELECT is(pg_temp.asks(m, c, p), wanted, format('%s refuses %s', m, what))
  FROM unnest('{plan,apply,verify}'::text[]) m, (VALUES
    ('a command that there is not', 'nope', '{}', 'command_unknown command'),
    ('a command that is NULL', NULL, '{}', 'command_unknown command'),
    ('two functions', 'test_both', '{}', 'command_not_callable command'),
    ('a function that there is not', 'test_missing', '{}', 'command_not_callable command'),
    ('a function of the server', 'test_server', '{}', 'command_not_callable command'),
    ('a name that is SQL', 'test_sql', '{}', 'command_not_callable command'),
    ('a function of a stranger', 'test_stranger', '{"p_a": "x"}', 'command_not_callable command'),
    ('one of two functions of a name', 'test_two', '{"p_a": "x"}', 'command_not_callable command'),
    ('a list of arguments', 'test_variadic', '{"p_say": ["x"]}', 'command_not_callable command'),
    ('an argument without a name', 'test_nameless', '{}', 'command_not_callable command'),
    ('an argument of a type that is not PostgreSQL''s own', 'test_typed', '{"p_row": {}}',
     'command_not_callable command'),
    ('a function that returns nothing', 'test_void', '{}', 'command_not_callable command'),
    ('no parameters', 'test_target', NULL, 'invalid_input params'),
    ('parameters that are no object', 'test_target', '[]', 'invalid_input params'),
    ('an argument that there is not', 'test_target', '{"p_say": 1, "p_other": 1}', 'invalid_input params'),
    ('an argument that is SQL', 'test_target', '{"p_say => 1); DROP TABLE test_trace; --": 1, "p_say": 1}',
     'invalid_input params'),
    ('an argument that is missing', 'test_target', '{}', 'invalid_input params'),
    ('a value of another type', 'test_target', '{"p_say": 1, "p_number": "one"}', 'invalid_input params'),
    ('another actor', 'test_target', '{"p_say": 1, "p_actor": "somebody"}', 'invalid_input params'))
    AS v (what, c, p, wanted);
SELECT pg_temp.runs() AS n \gset
SELECT is(pg_temp.asks(m, 'test_target', format('{"p_say": "%s"}', repeat('x', 1048564))), 'invalid_input params',
  format('%s refuses parameters of more than 1 MiB', m)) FROM unnest('{plan,apply,verify}'::text[]) m;
SELECT is(pg_temp.runs() - :n, 0::bigint, 'and logs nothing of them');
SELECT is(pg_temp.asks('plan', 'test_target', format('{"p_say": "%s"}', repeat('x', 1048563))), 'planned',
  'parameters of 1 MiB are planned');
SELECT alike(fn_dot_iu_command_plan('test_target', jsonb_object_agg('k' || lpad(i::text, 5, '0'), 1), 'ada')
    ->> 'guidance', '%test_target(%) takes no argument ''k00001'', ''k00002'', %, ''k00010'' and 59990 more.',
  'of arguments that there are not ten are named, and how many more') FROM generate_series(1, 60000) i;
SELECT is(fn_dot_iu_command_apply('test_target', '{"p_say": 1}', a) - 'guidance',
  '{"status": "invalid_input", "field": "actor", "next_action": "correct_the_argument"}',
  'no actor is refused, and not logged') FROM unnest(ARRAY[NULL, ' ']) a;
SELECT is(fn_dot_iu_command_plan('dot_iu_health_bind', '{"p_surface": "s", "p_table": "other.public.t",
    "p_reason": "r"}', 'ada') ->> 'status', 'invalid_input', 'a table of another database is refused, not raised');
SELECT is(pg_temp.trace(), NULL, 'nothing of a target ran that was refused before');
SELECT is(pg_temp.asks('apply', 'test_target', '{"p_say": 1}', 'iu_test_mallory'),
  '42501 permission denied for function fn_dot_iu_command_apply', 'a stranger does not apply');
SELECT is(pg_temp.asks('apply', 'test_target', '{"p_say": 1}', 'iu_test_rita'),
  '42501 permission denied for function fn_dot_iu_command_apply', 'a reader does not apply');

-- ---- applying, with the rights of whoever acts

SELECT pg_temp.runs() AS n \gset
SELECT pg_temp.login('iu_test_robot',
  $c$fn_dot_iu_command_apply('test_target', '{"p_say": {"status": "created"}}', 'wim')$c$) AS r \gset
SELECT is(:'r'::jsonb - 'run_id',
  '{"status": "applied", "command_name": "test_target", "answer": {"status": "created"}}',
  'a command is applied');
SELECT is(pg_temp.trace(), '{"status": "created"} wim 7 as iu_test_robot',
  'its target ran as who acts, with its defaults');
SELECT is(pg_temp.ledger(), 'test_target apply applied t wim {"answered": "created"}', 'it is applied in the ledger');
SELECT is(pg_temp.runs() - :n, 1::bigint, 'by one row');
SELECT is((SELECT params_digest FROM dot_iu_command_run WHERE run_id = (:'r'::jsonb ->> 'run_id')::uuid),
  encode(sha256(convert_to('{"p_say": {"status": "created"}}', 'UTF8')), 'hex'), 'with the digest of its arguments');
SELECT is((SELECT session_role || ' ' || acting_role FROM dot_iu_command_run
            WHERE run_id = (:'r'::jsonb ->> 'run_id')::uuid), 'iu_test_robot iu_test_robot', 'and who it was');
TRUNCATE test_trace;
SELECT is(pg_temp.asks('apply', 'test_target', format('{"p_say": %s}', say)), wanted,
  format('a target that answers %s', say)) FROM (VALUES
  ('{"status": "unchanged"}', 'applied'), ('{"deleted": 3}', 'applied'), ('"text"', 'applied'), ('[]', 'applied'),
  ('{"status": "imported", "refused": []}', 'applied'),
  ('{"status": "would_do"}', 'planned'), ('{"status": "plan_ok"}', 'planned'), ('{"status": "dry_run"}', 'planned'),
  ('{"status": "ok", "dry_run": true}', 'planned')) AS v (say, wanted);
SELECT is(pg_temp.ledger(), 'test_target plan planned t wim {"answered": "ok"}',
  'what only tried is planned in the ledger');
TRUNCATE test_trace;
SELECT is(pg_temp.asks('apply', 'test_target', format('{"p_say": %s}', say)) || ': ' || pg_temp.ledger(),
  'target_refused: test_target apply refused t wim ' || jsonb_strip_nulls(jsonb_build_object('status', 'target_refused',
    'answered', CASE WHEN say ~ '^[{]' THEN say::jsonb -> 'status' END))::text,
  format('a target that answers %s is refused in the ledger', say)) FROM unnest(ARRAY[
  '{"status": "no_such_word"}', '{"status": null}', '{"status": "ok", "guidance": "No."}',
  '{"status": "created", "ok": false}',
  '{"ok": "maybe"}', '{"refused": true, "reason": "queue.job_substrate.enabled=false"}',
  '{"status": "imported", "refused": [{"row": 1}]}', '{"status": "imported", "refused": {}}', '{"status": "refused"}',
  '{"status": "composer_gate_closed"}', 'false', 'null']) say;
SELECT is(pg_temp.trace(), NULL, 'nothing is left of what a target did that refused');
SELECT is(pg_temp.asks('apply', 'test_target', format('{"p_say": 1, "p_raise": %s}', to_jsonb(x))) || ': '
    || pg_temp.ledger(), wanted, format('a target that raises %s', x)) FROM (VALUES
  ('42501', 'target_refused: test_target apply refused t wim {"status": "target_refused", "sqlstate": "42501"}'),
  ('iu_composer_gate_closed', 'target_refused: test_target apply refused t wim '
    '{"status": "target_refused", "sqlstate": "55000", "constraint": "iu_composer_gate_closed"}'),
  ('no_such_name', 'target_failed: test_target apply failed t wim '
    '{"status": "target_failed", "sqlstate": "55000", "constraint": "no_such_name"}'),
  ('22012', 'target_failed: test_target apply failed t wim {"status": "target_failed", "sqlstate": "22012"}'),
  ('40001', 'target_failed: test_target apply failed t wim {"status": "target_failed", "sqlstate": "40001"}'),
  ('assert', 'target_failed: test_target apply failed t wim {"status": "target_failed", "sqlstate": "P0004"}'),
  ('IU000', 'target_refused: test_target apply refused t wim {"status": "target_refused"}'),
  ('role', 'target_refused: test_target apply refused t wim {"status": "target_refused", "sqlstate": "42501"}'))
  AS v (x, wanted);
SELECT is(pg_temp.trace(), NULL, 'nothing is left of what a target did that raised');
CREATE FUNCTION pg_temp.cancelled() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM fn_dot_iu_command_apply('test_target', '{"p_say": 1, "p_raise": "57014"}', 'wim');
  RETURN false;
EXCEPTION WHEN query_canceled THEN
  RETURN true;
END $$;
SELECT is(pg_temp.cancelled(), true, 'a cancel is not swallowed');
SELECT is(current_user::text, session_user::text, 'the session is who it was, after all that');

SELECT is(pg_temp.asks('apply', 'dot_iu_import', '{"p_rows": [{"canonical_address": "runtime/1", "title": "T",
  "body": "b"}], "p_dry_run": false}'), 'applied', 'an import of which no row is refused is applied');
SELECT is(pg_temp.asks('apply', 'dot_iu_import', '{"p_rows": [{"canonical_address": "runtime/2"}],
  "p_dry_run": false}'), 'target_refused', 'one of which a row is refused is refused');
-- A role that may not execute a target, and one that may only by a restore that lost the privileges.
SELECT is(pg_temp.asks('apply', 'dot_iu_gate_define',
  '{"p_gate_key": "shop.prices_enabled", "p_description": "Prices", "p_reason": "r"}'), 'not_permitted command',
  'who may not execute the target is told before');
GRANT EXECUTE ON FUNCTION public.fn_iu_gate_define, iu.fn_iu_gate_define TO PUBLIC;
SELECT is(pg_temp.asks('apply', 'dot_iu_gate_define',
    '{"p_gate_key": "shop.prices_enabled", "p_description": "Prices", "p_reason": "r"}') || ': ' || pg_temp.ledger(),
  'target_refused: dot_iu_gate_define apply refused t wim '
    '{"status": "target_refused", "sqlstate": "42501", "constraint": "iu_role_required"}',
  'a writer does not do through the runtime what an administrator may do');
SELECT is((SELECT count(*) FROM iu_gate_registry WHERE gate_key = 'shop.prices_enabled'), 0::bigint,
  'and nothing is done');
SELECT is(pg_temp.asks('apply', 'dot_iu_gate_define',
  '{"p_gate_key": "shop.prices_enabled", "p_description": "Prices", "p_reason": "r"}', 'iu_test_ada'), 'applied',
  'an administrator does');
SELECT is((SELECT string_agg(run_status || ' ' || coalesce(evidence ->> 'by', 'itself'), ', ' ORDER BY created_at)
    FROM dot_iu_command_run WHERE command_name = 'dot_iu_gate_define' AND run_status = 'applied'),
  'applied itself, applied operator_runtime',
  'a command that logs itself has a row of its own beside that of the runtime');
SELECT is(pg_temp.asks('apply', 'dot_iu_create_piece',
  format('{"p_canonical_address": "rt/1", "p_title": %s, "p_body": "b"}',
  to_jsonb($s$'); DROP TABLE test_trace; -- "$s$::text))), 'applied', 'a value that looks like SQL is a value');
SELECT is((SELECT title FROM information_unit WHERE canonical_address = 'rt/1'), $s$'); DROP TABLE test_trace; -- "$s$,
  'and is kept as it is');
SELECT is(pg_temp.asks('apply', 'dot_iu_create_piece',
  '{"p_canonical_address": "rt/1", "p_title": "T", "p_body": "b"}'),
  'target_refused', 'a unit that is there already is not applied');

-- ---- gates

SELECT is(pg_temp.asks('apply', 'dot_iu_create_collection',
    '{"p_collection_key": "rt", "p_collection_kind": "file", "p_title": "T", "p_description": null}') || ': '
    || pg_temp.ledger(),
  'gates_closed: dot_iu_create_collection apply refused t wim '
    '{"status": "gates_closed", "closed_gates": ["iu_core.composer_enabled"]}', 'a closed gate of the command refuses');
SELECT pg_temp.gate('iu_core.composer_enabled', true);
SELECT is(pg_temp.asks('apply', 'dot_iu_create_collection',
  '{"p_collection_key": "rt", "p_collection_kind": "file", "p_title": "T", "p_description": null}'), 'applied',
  'with its gate open the command is applied');
SELECT pg_temp.gate('iu_core.operator_runtime_enabled', false);
TRUNCATE test_trace;
SELECT is(pg_temp.asks('apply', 'test_target', '{"p_say": 1}') || ': ' || pg_temp.ledger(),
  'gates_closed: test_target apply refused t wim '
    '{"status": "gates_closed", "closed_gates": ["iu_core.operator_runtime_enabled"]}',
  'nothing is applied while the gate of the runtime is closed');
SELECT is(pg_temp.asks('apply', 'test_dry', '{}'), 'gates_closed', 'nor is a dry run');
SELECT is(iu.fn_iu_command_call(c, 'fn_test_target'::regproc::oid, '{"p_say": 1, "p_actor": "wim"}', true, true)
  ->> 'status', 'gates_closed', 'the gates are asked again right before the call')
  FROM dot_iu_command_catalog c WHERE c.command_name = 'test_target';
SELECT is(pg_temp.asks('plan', 'test_target', '{"p_say": 1}'), 'planned', 'planning needs no gate');
SELECT is(pg_temp.asks('verify', 'test_target', '{"p_say": 1}'), 'gates_closed',
  'what could not be applied now is not verified');
SELECT is(pg_temp.asks('verify', 'test_read', '{"p_say": "found"}'), 'verified',
  'what only reads is verified without a gate');
SELECT is(pg_temp.trace(), NULL, 'and what it did is undone');
INSERT INTO iu_command_gate VALUES ('test_target', 'shop.no_such_gate');
SELECT pg_temp.gate('iu_core.operator_runtime_enabled', true);
SELECT is(pg_temp.asks('apply', 'dot_iu_enqueue_job',
  '{"p_job_kind": "k", "p_payload_json": {}, "p_source_ref": null, "p_idempotency_key": "rt"}'), 'gates_closed',
  'a job is put into the queue by name only while that is open');
SELECT pg_temp.gate('queue.job_substrate.enabled', true);
SELECT is(pg_temp.asks('apply', 'dot_iu_enqueue_job',
  '{"p_job_kind": "k", "p_payload_json": {}, "p_source_ref": null, "p_idempotency_key": "rt"}'), 'applied',
  'then it is');
SELECT is(pg_temp.asks('apply', 'test_target', '{"p_say": 1}'), 'gates_closed',
  'a gate that is not registered is closed');
DELETE FROM iu_command_gate WHERE gate_key = 'shop.no_such_gate';

-- ---- verifying, and dry runs

SELECT fn_dot_iu_command_verify('test_dry', '{"p_dry_run": false}', 'wim') AS r \gset
SELECT is(:'r'::jsonb - 'run_id', '{"status": "verified", "command_name": "test_dry", "last_applied": null,
  "target": "public.fn_test_dry(text,boolean)", "answer": [{"n": 1, "did": false}, {"n": 2, "did": false}]}',
  'verifying has a target only try, whatever it is given');
SELECT is(pg_temp.ledger(), 'test_dry verify verified t wim {}', 'it is verified in the ledger');
SELECT is(pg_temp.trace(), NULL, 'verifying leaves nothing of what the target did');
SELECT is(pg_temp.asks('apply', 'test_dry', '{}') || ' ' || pg_temp.trace(), 'planned dry true as iu_test_wim',
  'a dry run is planned');
SELECT is(pg_temp.asks('apply', 'test_dry', format('{"p_dry_run": %s}', v)) || ': ' || pg_temp.ledger(),
  'planned: test_dry plan planned t wim {}', format('a dry run that is asked for with %s is planned', v))
  FROM unnest(ARRAY['true', '"true"', '"t"', '"YES"', '1', '"on"']) v;
DELETE FROM test_trace WHERE ctid NOT IN (SELECT min(t.ctid) FROM test_trace t);
SELECT fn_dot_iu_command_apply('test_dry', '{"p_dry_run": false}', 'wim') AS d \gset
SELECT is(:'d'::jsonb -> 'answer', '[{"n": 1, "did": true}, {"n": 2, "did": false}]',
  'the rows of a target are the answer');
SELECT is(fn_dot_iu_command_verify('test_dry', '{"p_dry_run": false}', 'olga') #>> '{last_applied,run_id}',
  :'d'::jsonb ->> 'run_id', 'verifying tells when the command was last applied with these values');
SELECT is(fn_dot_iu_command_verify('test_target', '{"p_say": {"status": "created"}}', 'olga') -> 'answer', 'null',
  'of a target that takes no dry run nothing is called');
SELECT is(pg_temp.trace(), 'dry true as iu_test_wim, dry false as postgres', 'and nothing is left of it');

-- ---- the statement that is called

SELECT is(iu.fn_iu_command_statement('fn_test_target'::regproc::oid, '{"p_say": 1, "p_actor": "x"}'),
  'SELECT to_jsonb(iu_answer) FROM jsonb_to_record($1) AS iu_given (p_say jsonb, p_actor text), '
  'public.fn_test_target(p_say => iu_given.p_say, p_actor => iu_given.p_actor) AS iu_answer',
  'the statement has names and types of the catalogue, and no value');
SELECT is(iu.fn_iu_command_statement('fn_test_dry'::regproc::oid, '{}'),
  'SELECT coalesce(jsonb_agg(to_jsonb(iu_answer)), ''[]'') FROM '
  'public.fn_test_dry() AS iu_answer', 'the statement of rows, without arguments');
SELECT is(pg_temp.login('iu_test_wim', $$iu_core.call_for_caller('SELECT ''{}''::jsonb', '{}')$$),
  '42501 permission denied for function call_for_caller', 'nobody else has a statement called');
SELECT pg_temp.refuses(format('SELECT iu_core.call_for_caller(%L, ''{}'')', s), '0A000', 'iu_caller_statement',
  'what is called for somebody is not ' || what) FROM (VALUES ('SELECT 1', 'a number'),
  ('SELECT ''{}''::jsonb FROM generate_series(1, 2)', 'two rows'), ('SELECT ''{}''::jsonb WHERE false', 'no row'),
  ('SELECT ''{}''::jsonb, 1', 'two columns'), ('CREATE TABLE test_made ()', 'another statement')) AS v (s, what);

-- ---- coverage

SELECT is((SELECT string_agg(function_name, ', ' ORDER BY function_name) FROM v_iu_command_coverage
            WHERE problem IS NOT NULL AND function_name !~ '^(fn_test_|pg_reload_conf)'), NULL,
  'each function that changes something is a command, or exempt');
SELECT cmp_ok((SELECT count(*) FROM v_iu_command_coverage WHERE commands IS NOT NULL), '>', 80::bigint,
  'coverage looks at the commands that there are');
SELECT is((SELECT string_agg(function_name, ', ') FROM iu_command_exemption x
            WHERE NOT EXISTS (SELECT FROM v_iu_command_coverage c WHERE c.function_name = x.function_name)), NULL,
  'nothing is exempt that there is not');
DELETE FROM dot_iu_command_catalog WHERE command_name ~ '^test_';
DROP FUNCTION fn_test_stranger, fn_test_void, fn_test_typed, fn_test_nameless, fn_test_variadic, fn_test_dry,
  fn_test_target;
DROP FUNCTION fn_test_two(text), fn_test_two(integer);
CREATE FUNCTION pg_temp.coverage() RETURNS text LANGUAGE sql AS
  $$SELECT verdict || ' ' || keys::text FROM fn_iu_invariant_check('iu.command_coverage')$$;
SELECT is(pg_temp.coverage(), 'pass {}', 'the invariant passes');
SET LOCAL ROLE iu_core_owner;
CREATE FUNCTION iu.fn_iu_test_new(p_a text) RETURNS text LANGUAGE sql VOLATILE AS $$SELECT p_a$$;
RESET ROLE;
SELECT is(pg_temp.coverage(), 'pass {}', 'a function that nobody may execute needs no command');
GRANT EXECUTE ON FUNCTION iu.fn_iu_test_new TO iu_core_writer;
SELECT is(pg_temp.coverage(), 'fail {iu.fn_iu_test_new(text)}', 'one that a role may execute does, and is named');
INSERT INTO dot_iu_command_catalog (command_name, category, mutating, reversible, target_functions)
  VALUES ('test_new', 'health', true, true, '{fn_iu_test_new,fn_iu_test_gone}');
SELECT is(pg_temp.coverage(), 'fail {fn_iu_test_gone}', 'a target that there is not is named');
SELECT finish();
ROLLBACK;
