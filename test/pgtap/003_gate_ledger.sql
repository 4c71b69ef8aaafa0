-- 003: the chain of the gate ledger. Whatever a superuser with triggers off
-- deletes or alters shows; a tail or a whole history with the logged head.
\ir setup.psql
SELECT no_plan();

CREATE TEMP TABLE first (n bigint);
CREATE FUNCTION pg_temp.verdict(p_gate text, p_heads jsonb DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', g ->> 'rows', CASE WHEN (v ->> 'ok')::boolean THEN 'ok' ELSE 'not ok' END,
                   (g ->> 'transition_seq')::bigint - (SELECT n FROM pg_temp.first), g ->> 'problem')
    FROM fn_iu_gate_ledger_verify(p_gate, p_heads) v, jsonb_array_elements(v -> 'gates') g
$$;
DO $$ BEGIN
  FOR i IN 1..3 LOOP
    PERFORM fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'mé | "x"', 'why | not', 60);
    PERFORM fn_iu_gate_close('iu_core.composer_enabled', 'me', NULL);
  END LOOP;
END $$;
INSERT INTO pg_temp.first SELECT min(transition_seq) FROM iu_gate_transition;
SELECT jsonb_build_object('iu_core.composer_enabled', encode(row_hash, 'hex')) AS head FROM iu_gate_transition
  ORDER BY transition_seq DESC LIMIT 1 \gset
SELECT jsonb_build_object('iu_core.composer_enabled', encode(row_hash, 'hex')) AS older FROM iu_gate_transition
  ORDER BY transition_seq OFFSET 2 LIMIT 1 \gset

SELECT is(pg_temp.verdict('iu_core.composer_enabled'), '6 ok', 'a ledger as it was written verifies');
SELECT is(pg_temp.verdict('iu_core.composer_enabled', :'head'), '6 ok', 'a ledger verifies up to its head');
SELECT is(pg_temp.verdict('iu_core.composer_enabled', :'older'), '6 ok', 'a ledger verifies up to an older head');
SELECT is(fn_iu_gate_ledger_verify() ->> 'ok', 'true', 'the ledgers of all gates verify together');
SET LOCAL timezone = 'Asia/Kathmandu'; SET LOCAL datestyle = 'SQL, DMY'; SET LOCAL bytea_output = 'escape';
  SET LOCAL extra_float_digits = -5;
SELECT is(pg_temp.verdict('iu_core.composer_enabled', :'head'), '6 ok',
  'a ledger verifies under other settings of time and date');
RESET timezone; RESET datestyle; RESET bytea_output; RESET extra_float_digits;
SELECT is((SELECT bool_and(session_role = session_user) FROM iu_gate_transition), true,
  'each row of a ledger names the role that logged in');

-- Beside the functions, by the owner: the chain takes it up.
UPDATE dot_config SET value = 'true' WHERE key = 'queue.job_substrate.enabled';
INSERT INTO iu_gate_transition (gate_key, action, new_value, actor) VALUES ('queue.job_substrate.enabled', 'close',
  'false', 'owner');
SELECT is(pg_temp.verdict('queue.job_substrate.enabled') ~ '^1 ok', true,
  'a row that is inserted beside the functions is chained');
SELECT pg_temp.refuses(format('INSERT INTO iu_gate_transition (gate_key, action, new_value, actor, %I) VALUES '
  '(''x'', ''close'', ''false'', ''me'', %L)', c, v),
  '23514', 'by hand', c || ' of a ledger row cannot be given') FROM (VALUES ('transition_seq', '1'),
  ('prev_hash', '\x00'), ('row_hash', '\x00'), ('session_role', 'postgres')) t (c, v);

-- With the triggers off.
CREATE FUNCTION pg_temp.after(p_tamper text, p_heads jsonb DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $function$
DECLARE
  v_verdict text;
BEGIN
  BEGIN
    ALTER TABLE iu_gate_transition DISABLE TRIGGER ALL;
    EXECUTE p_tamper;
    v_verdict := pg_temp.verdict('iu_core.composer_enabled', p_heads);
    RAISE SQLSTATE 'TT000';
  EXCEPTION WHEN SQLSTATE 'TT000' THEN
    RETURN v_verdict;
  END;
END
$function$;
SELECT is(pg_temp.after(format('DELETE FROM iu_gate_transition WHERE transition_seq = %s', n)),
  '5 not ok 1 the change before this one is missing or altered', 'a ledger whose first row is deleted does not verify')
  FROM first;
SELECT is(pg_temp.after(format('DELETE FROM iu_gate_transition WHERE transition_seq = %s', n + 2)),
  '5 not ok 3 the change before this one is missing or altered',
  'a ledger with a row deleted in its middle does not verify') FROM first;
SELECT is(pg_temp.after(format('DELETE FROM iu_gate_transition WHERE transition_seq = %s', n + 5)), '5 ok',
  'a ledger whose last row is deleted verifies without its head') FROM first;
SELECT is(pg_temp.after(format('DELETE FROM iu_gate_transition WHERE transition_seq = %s', n + 5), :'head'),
  '5 not ok the expected head is not in the ledger: changes up to it are missing',
  'a ledger whose last row is deleted does not verify up to its head') FROM first;
SELECT is(pg_temp.after('DELETE FROM iu_gate_transition', :'head'),
  '0 not ok the expected head is not in the ledger: changes up to it are missing',
  'a ledger whose rows are all deleted does not verify up to its head');
SELECT is(pg_temp.after(format('UPDATE iu_gate_transition SET %s = %s WHERE transition_seq = %s', c, v, n + k)),
  format('6 not ok %s this change was altered', k),
  format('a ledger with %s altered in change %s does not verify', c, k))
  FROM first, unnest(ARRAY[0, 2, 4]) k,
  (VALUES ('actor', '''another'''), ('reason', '''because'''), ('approval_id', 'gen_random_uuid()'),
  ('ttl_seconds', '61'),
    ('expires_at', 'expires_at + interval ''1 us'''), ('created_at', 'created_at - interval ''1 us'''),
    ('prev_value', '''true'''), ('run_id', 'NULL'),
    ('system_identifier', '1'), ('database_oid', '1'), ('place', 'gen_random_uuid()'), ('written_by', '''3'''),
    ('session_role', '''nobody'''),
    ('transition_id', 'gen_random_uuid()')) t (c, v);
SELECT is(pg_temp.after(format('UPDATE iu_gate_transition SET actor = ''another'' WHERE transition_seq = %s', n + 5)),
  '6 not ok 5 this change was altered', 'a ledger whose last row is altered does not verify') FROM first;
SELECT is(pg_temp.after(format($$UPDATE iu_gate_transition t SET actor = 'another' WHERE transition_seq = %1$s;
  UPDATE iu_gate_transition t SET row_hash = iu.fn_iu_gate_transition_hash(t) WHERE transition_seq = %1$s$$, n + 2)),
  '6 not ok 3 the change before this one is missing or altered',
  'a ledger with a row altered and hashed anew does not verify for the next row') FROM first;
SELECT is(pg_temp.after('UPDATE iu_gate_transition SET actor = ''another''',
  :'head') ~ '^6 not ok 0 this change was altered', true, 'a ledger whose rows are all altered does not verify');

-- Bad input
SELECT pg_temp.refuses(format('SELECT fn_iu_gate_ledger_verify(NULL, %L)', h), '23514',
  'expected heads must be an object', 'heads that are no heads are refused: ' || h)
  FROM unnest(ARRAY['[]', '"x"', '{"a": 1}', '{"a": "xyz"}']) h;
SELECT is(fn_iu_gate_ledger_verify('no.such.gate', NULL) #>> '{gates,0,rows}', '0',
  'a gate without a ledger has no rows to verify');
SELECT pg_temp.refuses('SELECT fn_iu_gate_ledger_excerpt(now(), now() - interval ''1 s'')', '23514', 'in this order',
  'a window of the ledger''s excerpt runs forward');

-- For an auditor
SELECT is((SELECT count(*)
  FROM string_to_table(fn_iu_gate_ledger_excerpt('-infinity', 'infinity', 'iu_core.composer_enabled'), E'\n') l
  WHERE l ~ '^\| \d+ \|'),
  6::bigint, 'the ledger''s excerpt has a line for each change');
SELECT matches(fn_iu_gate_ledger_excerpt('-infinity', 'infinity'), 'Chain: verified\.$',
  'the ledger''s excerpt says that the chain holds');
SELECT matches(fn_iu_gate_ledger_excerpt('-infinity', 'infinity'), 'mé \\\| "x"',
  'a bar in a name does not break the table of the ledger''s excerpt');

-- What becomes of the sequence is undone by no rollback: the numbers go on all the same.
SELECT last_value AS numbered FROM iu_gate_transition_number \gset
CREATE FUNCTION pg_temp.opens_and_closes() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_open boolean;
BEGIN
  PERFORM fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'me', NULL, 60);
  v_open := iu_core.gate_is_open('iu_core.composer_enabled');
  PERFORM fn_iu_gate_close('iu_core.composer_enabled', 'me', NULL);
  RETURN format('%s %s, %s', v_open, iu_core.gate_is_open('iu_core.composer_enabled'),
                pg_temp.verdict('iu_core.composer_enabled'));
END $$;
SELECT is(pg_temp.opens_and_closes(), v.found,
  'a gate opens and closes after the sequence of the ledger was ' || v.what)
  FROM (VALUES (1, 'set to its beginning', setval('iu_gate_transition_number', 1, false), 't f, 8 ok'),
    (2, 'set to a number that is taken', setval('iu_gate_transition_number', :numbered), 't f, 10 ok'),
    (3, 'set to its end', setval('iu_gate_transition_number', 9223372036854775807), 't f, 12 ok'),
    (4, 'set far ahead', setval('iu_gate_transition_number', 9223372036854775000), 't f, 14 ok'))
  AS v (n, what, set, found) WHERE v.set IS NOT NULL ORDER BY v.n;
SELECT cmp_ok((SELECT max(transition_seq) FROM iu_gate_transition), '<', 1000000000::bigint,
  'a sequence that was set far ahead uses up no numbers');
SELECT setval('iu_gate_transition_number', :numbered);

SELECT * FROM finish();
ROLLBACK;
