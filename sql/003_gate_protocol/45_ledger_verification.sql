-- Whether the ledger is as it was written, and what it says of a window.

CREATE FUNCTION iu.fn_iu_gate_ledger_verify(p_gate_key text, p_expected_heads jsonb)
  RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
  SET row_security = off
AS $function$
DECLARE
  v_result jsonb;
BEGIN
  IF p_expected_heads IS NOT NULL AND (jsonb_typeof(p_expected_heads) <> 'object' OR EXISTS (
       SELECT FROM jsonb_each(p_expected_heads) e
        WHERE jsonb_typeof(e.value) <> 'string' OR (e.value #>> '{}') !~ '^[0-9a-f]{64}$')) THEN
    RAISE check_violation USING
      MESSAGE = 'expected heads must be an object of gate keys, each with a hash of 64 hex digits',
      HINT = 'The server log names them: "iu_core ledger head: gate ... seq ... hash ...".',
      CONSTRAINT = 'iu_gate_ledger_heads';
  END IF;

  WITH chained AS (
    SELECT t.gate_key, t.transition_seq, t.row_hash,
           CASE WHEN t.row_hash <> iu.fn_iu_gate_transition_hash(t) THEN 'this change was altered'
                WHEN t.prev_hash IS DISTINCT FROM lag(t.row_hash) OVER w
                  THEN 'the change before this one is missing or altered'
           END AS problem
      FROM public.iu_gate_transition t
     WHERE p_gate_key IS NULL OR t.gate_key = p_gate_key
    WINDOW w AS (PARTITION BY t.gate_key ORDER BY t.transition_seq)
  ), gate AS (
    SELECT r.gate_key FROM public.iu_gate_registry r
    UNION SELECT c.gate_key FROM chained c
    UNION SELECT e.key FROM jsonb_each(p_expected_heads) e
    UNION SELECT p_gate_key
  ), found AS (
    SELECT g.gate_key, count(c.gate_key) AS rows,
           encode((array_agg(c.row_hash ORDER BY c.transition_seq DESC))[1], 'hex') AS head,
           min(c.transition_seq) FILTER (WHERE c.problem IS NOT NULL) AS broken_at,
           (array_agg(c.problem ORDER BY c.transition_seq) FILTER (WHERE c.problem IS NOT NULL))[1] AS broken,
           p_expected_heads ->> g.gate_key AS expected,
           bool_or(encode(c.row_hash, 'hex') = p_expected_heads ->> g.gate_key) AS expected_found
      FROM gate g LEFT JOIN chained c ON c.gate_key = g.gate_key
     WHERE g.gate_key IS NOT NULL AND (p_gate_key IS NULL OR g.gate_key = p_gate_key)
     GROUP BY g.gate_key
  ), judged AS (
    SELECT f.*, coalesce(f.broken,
             CASE WHEN f.expected IS NOT NULL AND f.expected_found IS NOT TRUE
                  THEN 'the expected head is not in the ledger: changes up to it are missing' END) AS problem
      FROM found f
  )
  SELECT jsonb_build_object(
           'ok', coalesce(bool_and(j.problem IS NULL), false),
           'gates', coalesce(jsonb_agg(jsonb_build_object(
              'gate_key', j.gate_key, 'rows', j.rows, 'head', j.head, 'ok', j.problem IS NULL,
              'transition_seq', j.broken_at, 'problem', j.problem) ORDER BY j.gate_key), '[]'),
           'checked_at', clock_timestamp())
    INTO v_result FROM judged j;
  RETURN v_result;
EXCEPTION WHEN insufficient_privilege THEN
  -- With row_security off, a policy that would leave rows out is an error.
  RETURN jsonb_build_object('ok', NULL, 'gates', '[]'::jsonb, 'problem', SQLERRM, 'checked_at', clock_timestamp());
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_ledger_verify IS
  'What public.fn_iu_gate_ledger_verify hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_gate_ledger_verify(p_gate_key text DEFAULT NULL, p_expected_heads jsonb DEFAULT NULL)
  RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader}') THEN
  iu.fn_iu_gate_ledger_verify(p_gate_key, p_expected_heads) END;
COMMENT ON FUNCTION public.fn_iu_gate_ledger_verify IS
  'Whether the gate ledger is as it was written: {ok, gates: [{gate_key, rows, head, ok, transition_seq, '
  'problem}], checked_at}; transition_seq and problem name the first change that does not fit. Where row security '
  'would leave rows out nothing is known: ok is null, and problem beside it says so. Arguments: a gate '
  '(NULL: all), and heads known from the server log as {gate_key: hash}, without which a tail cut off, or a '
  'gate''s whole history, does not show. Tamper-evident, not tamper-proof. Error: 23514 if the heads are not of '
  'that form.';

CREATE FUNCTION iu.fn_iu_gate_ledger_excerpt(p_from timestamptz, p_to timestamptz, p_gate_key text)
  RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
  SET timezone = 'UTC'
AS $function$
DECLARE
  c_second CONSTANT text := 'YYYY-MM-DD HH24:MI:SS';
  c_milli  CONSTANT text := 'YYYY-MM-DD HH24:MI:SS.MS';
  v_verify CONSTANT jsonb := iu.fn_iu_gate_ledger_verify(p_gate_key, NULL);
  v_rows   text;
  v_chain  text;
BEGIN
  IF p_from IS NULL OR p_to IS NULL OR p_from > p_to THEN
    RAISE check_violation USING
      MESSAGE = 'the window needs a beginning and an end, in this order',
      DETAIL = format('From: %s; to: %s.', coalesce(p_from::text, 'NULL'), coalesce(p_to::text, 'NULL')),
      CONSTRAINT = 'iu_report_window';
  END IF;
  IF v_verify ->> 'ok' IS NOT NULL THEN
    SELECT string_agg(iu.fn_iu_markdown_row(ARRAY[
             t.transition_seq::text, to_char(t.created_at, c_milli), t.gate_key, t.action,
             format('%s -> %s', t.prev_value, t.new_value), t.actor, t.session_role::text, t.approval_mark,
             to_char(t.expires_at, c_milli), t.reason, left(encode(t.row_hash, 'hex'), 12)], NULL), E'\n'
             ORDER BY t.transition_seq)
      INTO v_rows
      FROM public.iu_gate_transition t
     WHERE t.created_at >= p_from AND t.created_at <= p_to AND (p_gate_key IS NULL OR t.gate_key = p_gate_key);
    SELECT 'BROKEN: '
           || string_agg(iu_core.markdown_text(format('%s at seq %s: %s', g ->> 'gate_key', g ->> 'transition_seq',
                                                      g ->> 'problem'), false), '; ')
      INTO v_chain
      FROM jsonb_array_elements(v_verify -> 'gates') g WHERE NOT (g ->> 'ok')::boolean;
  END IF;
  RETURN concat_ws(E'\n',
    format('## Gate ledger, %s to %s UTC%s', to_char(p_from, c_second), to_char(p_to, c_second),
           ', gate ' || iu_core.markdown_text(p_gate_key, false)),
    '',
    iu.fn_iu_markdown_table(ARRAY['seq', 'at (UTC)', 'gate', 'action', 'value', 'actor', 'session role', 'approval',
      'until (UTC)', 'reason', 'hash'], v_rows, 'no change in this window'),
    '',
    format('Chain: %s.', coalesce('UNKNOWN: ' || iu_core.markdown_text(v_verify ->> 'problem', false), v_chain,
                                  'verified')));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_gate_ledger_excerpt IS
  'What public.fn_iu_gate_ledger_excerpt hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_gate_ledger_excerpt(p_from timestamptz, p_to timestamptz, p_gate_key text DEFAULT NULL)
  RETURNS text
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader}') THEN
  iu.fn_iu_gate_ledger_excerpt(p_from, p_to, p_gate_key) END;
COMMENT ON FUNCTION public.fn_iu_gate_ledger_excerpt IS
  'The gate ledger of a window as a Markdown table, with the result of its verification, for a report: from, to '
  '(both included), a gate (NULL: all). Times in UTC. Error: 23514 without a window.';
