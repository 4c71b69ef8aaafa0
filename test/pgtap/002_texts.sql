-- The one rule for texts that people give, and that every function keeps it.
\ir setup.psql
SELECT plan(77);

-- ---- the rule

SELECT is(iu_core.text_problem(t, false), p, 'the rule for texts, ' || n) FROM (VALUES
  ('a name', 'olga', NULL), ('letters of every language', 'Điều 32, 東京, אבג, ß', NULL),
  ('marks and figures', 'a|b <c> `d` 100 %', NULL), ('a picture', U&'\+01F600', NULL),
  ('200 characters', repeat('é', 200), NULL), ('NULL', NULL, 'is missing'),
  ('nothing', '', 'shows nothing'), ('a blank', '  ', 'shows nothing'),
  ('a blank of another width', U&'\00A0\3000', 'shows nothing'),
  ('an accent alone', U&'\0301', 'shows nothing'), ('an empty Braille cell', U&'\2800', 'shows nothing'),
  ('201 characters', repeat('a', 201), 'is longer than 200 characters'),
  ('30 MB', repeat('a', 30000000), 'is longer than 200 characters'))
  AS t (n, t, p);
SELECT matches(iu_core.text_problem(format('a%sb', chr(c)), false),
  '^holds U[+]0*' || upper(to_hex(c)) || ', at character 2',
  'the rule for texts refuses U+' || upper(to_hex(c))) FROM unnest(ARRAY[
  1, 7, 8, 9, 10, 11, 13, 27, 127, 133, 155, 173, 847, 1564, 4447, 6158, 8203, 8204, 8205, 8206, 8207, 8232, 8233,
  8234, 8238,
  8288, 8294, 8297, 8303, 12644, 65279, 65440, 65529, 65535, 119155, 917505, 917536, 917760]) AS c;
SELECT is(iu_core.text_problem(repeat('a ', 1000), true), NULL, 'a text that says something may have 2000 characters');
SELECT is(iu_core.text_problem(repeat('a ', 1001), true), 'is longer than 2000 characters',
  'a text that says something has no more than 2000 characters');

-- ---- how a text is shown

SELECT is(iu_core.text_shown(t), s, 'a message shows ' || n) FROM (VALUES
  ('NULL', NULL, 'NULL'), ('a text as it is', 'it''s', '''it''''s'''),
  ('what nobody would see', U&'a\202E\200Bb', '''a<U+202E><U+200B>b'''), ('a line end as a blank', E'a\nb', '''a b'''),
  ('the beginning of a long text', repeat('é', 5000000), '''' || repeat('é', 100) || '...''')) AS t (n, t, s);
SELECT is(iu.fn_iu_keys_shown(k), s, 'a message shows of keys ' || n) FROM (VALUES
  ('none', '{}'::jsonb, NULL), ('ten', (SELECT jsonb_object_agg('k' || i, 1) FROM generate_series(0, 9) i),
    '''k0'', ''k1'', ''k2'', ''k3'', ''k4'', ''k5'', ''k6'', ''k7'', ''k8'', ''k9'''),
  ('the first ten of a thousand',
    (SELECT jsonb_object_agg(i || repeat('k', 1000), 1) FROM generate_series(1000, 1999) i),
    (SELECT string_agg('''' || i || repeat('k', 96) || '...''', ', ' ORDER BY i) FROM generate_series(1000, 1009) i)
      || ' and 990 more')) AS t (n, k, s);
SELECT is(iu_core.text_made_fit(t, false), s, 'what the server keeps of ' || n) FROM (VALUES
  ('a text that fits', 'olga', 'olga'), ('nothing', '', ''), ('a role with a line end', E'ol\nga', '"ol ga"'),
  ('a role that shows nothing', U&'\200B', '"<U+200B>"')) AS t (n, t, s);
SELECT is((SELECT count(*) FROM unnest(ARRAY[repeat('x', 9000000), U&'\202E', E'\n', '  ']) AS t (t)
  WHERE iu_core.text_problem(iu_core.text_made_fit(t, true), true) IS NOT NULL), 0::bigint,
  'what the server keeps of a text keeps the rule, whatever the text is');

-- ---- every function that people call with texts

CREATE TABLE pg_temp.given (argument text, value text);
INSERT INTO given VALUES
  ('p_gate_key', '''iu_core.composer_enabled'''), ('p_actor', '''ann'''), ('p_reason', '''why'''),
  ('p_purpose', '''why'''),
  ('p_ttl_seconds', '60'), ('p_approval_id', 'gen_random_uuid()'), ('p_command', '''dot_iu_gate_open'''),
  ('p_category', '''health'''), ('p_run_mode', '''plan'''), ('p_run_status', '''planned'''), ('p_mutating', 'false'),
  ('p_params_digest', 'NULL'), ('p_gate_snapshot', '''{}'''), ('p_evidence', '''{}'''),
  ('p_key', '''iu_core.routes_master_enabled'''),
  ('p_event_domain', '''platform_x'''), ('p_event_type', '''happened'''), ('p_stream', '''update'''),
  ('p_lane', '''immediate'''),
  ('p_severity', '''info'''), ('p_description', '''what it is'''), ('p_active', 'true'), ('p_route_code', '''texts'''),
  ('p_target_ref', '''https://hooks.example/x'''), ('p_target_kind', '''external_endpoint'''),
  ('p_secret_ref', '''texts'''),
  ('p_label', '''texts'''), ('p_layer', '''PG'''), ('p_code', '''texts_code'''), ('p_view', '''public.texts_view'''),
  ('p_meaning', '''what holds'''), ('p_kind', '''external'''), ('p_expectation', '''any'''),
  ('p_backup_file', '''/x'''),
  ('p_backup_bytes', '1'), ('p_backup_sha256', '''' || repeat('0', 64) || ''''), ('p_lease_name', '''texts'''),
  ('p_lease_holder', '''driver'''), ('p_reader_ref', '''reader'''),
  ('p_event_id', '(SELECT id FROM event_outbox LIMIT 1)'),
  ('p_value', '''true'''), ('p_mode', '''default'''), ('p_approvers', '''{}'''), ('p_enabled', 'true'),
  ('p_action', '''open'''), ('p_max_ttl_seconds', '60'), ('p_expires_at', 'now() + interval ''1 hour'''),
  ('p_max_age_seconds', '60'), ('p_keep_days', '100'), ('p_target_table', '''event_outbox'''), ('p_dry_run', 'true'),
  ('p_function_name', '''fn_iu_structure_consumer'''), ('p_older_than', 'now()'), ('p_worker_name', '''w'''),
  ('p_delta', '1'),
  ('p_sort_order', '1'), ('p_retry_policy', 'NULL'), ('p_ordering', '''none'''), ('p_payload_contract', '''{}''');

SELECT fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'ann', 't') \g /dev/null
SELECT fn_iu_emit_event('version_applied', 'A', gen_random_uuid(), 'ann') \g /dev/null
CREATE VIEW texts_view AS SELECT 1 AS left_value, 1 AS right_value;
GRANT SELECT ON texts_view TO iu_core_owner;

-- Calls each with each bad text in each of its texts; what it says is not of interest, only what it leaves.
CREATE FUNCTION pg_temp.give_bad_texts(OUT calls integer, OUT refused integer) LANGUAGE plpgsql AS $function$
DECLARE
  c_bad CONSTANT text[] := ARRAY[U&'bad\200Btext', U&'bad\202Etext', E'bad\ttext', U&'\00A0', repeat('bad', 200000)];
  v_call   text;
  v_answer text;
BEGIN
  calls := 0; refused := 0;
  FOR v_call IN
    SELECT format('SELECT public.%I(%s)', p.proname,
             string_agg(format('%I => %s', a.name,
               CASE WHEN a.n = t.n THEN quote_literal(b.text) ELSE coalesce(g.value, 'NULL') END), ', ' ORDER BY a.n))
      FROM pg_proc p
      CROSS JOIN LATERAL unnest(p.proargnames, p.proargtypes::oid[]) WITH ORDINALITY AS a (name, type, n)
      CROSS JOIN LATERAL (SELECT x.n FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS x (type, n)
                           WHERE x.type = 'text'::regtype) AS t
      CROSS JOIN unnest(c_bad) AS b (text)
      LEFT JOIN pg_temp.given g ON g.argument = a.name
     WHERE p.pronamespace = 'public'::regnamespace AND p.proowner = 'iu_core_owner'::regrole AND p.provolatile = 'v'
       -- What is emitted never fails its caller, and is no text of a person's.
       AND p.proname !~ 'emit' AND a.n <= p.pronargs
     GROUP BY p.oid, p.proname, t.n, b.text
  LOOP
    calls := calls + 1;
    BEGIN
      EXECUTE v_call INTO v_answer;
      -- Canonical functions refuse in what they answer.
      refused := refused + CASE WHEN v_answer ~ '"guidance":' THEN 1 ELSE 0 END;
    EXCEPTION WHEN OTHERS THEN
      refused := refused + 1;
      IF length(SQLERRM) > 5000 THEN
        RAISE NOTICE 'a message of % characters: %', length(SQLERRM), left(v_call, 80);
      END IF;
    END;
  END LOOP;
END
$function$;
SELECT ok(calls > 400 AND refused > calls * 0.8, format('%s of %s calls with texts that nobody may give are refused',
  refused, calls)) FROM pg_temp.give_bad_texts();

-- Whatever was written by the calls that were not: no table holds such a text.
CREATE FUNCTION pg_temp.tables_with_bad_texts() RETURNS SETOF text LANGUAGE plpgsql AS $function$
DECLARE
  v_table regclass;
  v_bad   bigint;
BEGIN
  FOR v_table IN SELECT c.oid FROM pg_class c WHERE c.relowner = 'iu_core_owner'::regrole AND c.relkind = 'r'
                    AND c.relname NOT IN ('event_outbox', 'event_pending') LOOP
    EXECUTE format($$SELECT count(*) FROM %s t WHERE to_jsonb(t)::text ~ '[\u200B\u202E\t]|\\t|(bad){100}'$$, v_table)
      INTO v_bad;
    IF v_bad > 0 THEN
      RETURN NEXT format('%s: %s', v_table, v_bad);
    END IF;
  END LOOP;
END
$function$;
SELECT is_empty('SELECT * FROM pg_temp.tables_with_bad_texts()', 'no table holds a text that nobody may give');

-- What takes JSON says how long it may be: commands 1 MiB (in the ledger for both, and to the runtime), events, what
-- consumers are given of them and what is told of a collection 256 kB, routes their own rules and those that capture
-- 256 kB, findings and references 256 kB, what is kept with a job or a worker 256 kB, of a link its row 2000 and its
-- own object 16000 characters, imports, pieces that are composed or planned and parts of a split 64 MB with 1 MiB for
-- each text.
SELECT set_eq($$SELECT p.proname || '.' || a.name FROM pg_proc p
    CROSS JOIN LATERAL unnest(p.proargnames[:p.pronargs], p.proargtypes::oid[]) AS a (name, type)
   WHERE p.pronamespace = 'public'::regnamespace AND p.proowner = 'iu_core_owner'::regrole AND p.provolatile = 'v'
     AND p.prorettype <> 'trigger'::regtype AND a.type IN ('jsonb'::regtype, 'json'::regtype)$$,
  ARRAY['fn_dot_iu_command_apply.p_params', 'fn_dot_iu_command_log.p_gate_snapshot',
    'fn_dot_iu_command_log.p_evidence', 'fn_dot_iu_command_plan.p_params', 'fn_dot_iu_command_verify.p_params',
    'fn_iu_auto_instantiate_consumer.p_safe_payload', 'fn_iu_change_window_close.p_impact',
    'fn_iu_collection_checkpoint.p_detail', 'fn_iu_compose.p_pieces', 'fn_iu_emit_collection_event.p_safe_payload',
    'fn_iu_emit_event.p_safe_payload', 'fn_iu_emit_events.p_events', 'fn_iu_event_emit.p_safe_payload',
    'fn_iu_import.p_rows', 'fn_iu_piece_emit_event.p_safe_payload', 'fn_iu_piece_merge.p_merged_spec',
    'fn_iu_piece_split.p_child_specs', 'fn_iu_review_decision_record.p_findings',
    'fn_iu_route_add.p_retry_policy', 'fn_iu_route_add.p_payload_contract', 'fn_iu_route_deliver.p_safe_payload',
    'fn_iu_route_set.p_retry_policy', 'fn_iu_route_set.p_payload_contract', 'fn_iu_route_set.p_headers',
    'fn_iu_sql_event_route_add.p_payload_contract', 'fn_iu_sql_link_add.p_row_pk', 'fn_iu_sql_link_add.p_metadata',
    'fn_iu_structure_consumer.p_safe_payload', 'fn_iu_structure_op_plan.p_payload',
    'fn_iu_vector_sync_record_v2.p_axis_refs', 'fn_job_ack.p_result', 'fn_job_enqueue.p_payload_json',
    'fn_queue_heartbeat_tick.p_metadata'],
  'of every function that takes JSON it is known how long that may be');

-- The keys of payloads keep the rule as well: one that only looks like a forbidden one is none that is looked for.
SELECT fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'ann', 't') IS NOT NULL AS switched \gset
SELECT pg_temp.refuses(
  format('SELECT fn_iu_emit_event(''version_applied'', ''a'', gen_random_uuid(), ''t'', %L)', p), '23514',
  'iu_event_payload_key_form',
  'a key that nobody can read is refused: ' || n)
  FROM (VALUES (jsonb_build_object(U&'secret\200B', 1), 'a space without width behind a forbidden key'),
               (jsonb_build_object(U&'\00ADtoken', 1), 'a soft hyphen before a forbidden key'),
               (jsonb_build_object(U&'a\202Eb', 1), 'a mark of direction'), (jsonb_build_object(E'a\tb', 1), 'a tab'),
               ('{" ": 1}', 'a blank'), (jsonb_build_object(repeat('k', 201), 1), '201 characters'),
               (jsonb_build_object('a', jsonb_build_array(jsonb_build_object(U&'b\2060', 1))), 'within an array'))
    AS v (p, n);
SELECT isnt(fn_iu_emit_event('version_applied', 'a', gen_random_uuid(), 't',
  jsonb_build_object('größe', 1, '鍵', U&'a\200B')), NULL,
  'keys of any script are taken, and values are as they are given');

SELECT * FROM finish();
ROLLBACK;
