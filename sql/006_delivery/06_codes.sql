-- The vocabulary of delivery. What holds a route, what may become of an attempt,
-- and what fn_iu_route_explain answers: one row each. The functions read it
-- here; the handbook has the same table.

CREATE TABLE public.iu_delivery_code (
  code          text    NOT NULL,
  migration     integer NOT NULL,
  kind          text    NOT NULL,
  precedence    integer,
  who_minds_it  text    NOT NULL,
  what_follows  text    NOT NULL,
  after_success text,
  hold_seconds  integer NOT NULL DEFAULT 0,
  circuit       text    NOT NULL DEFAULT 'none',
  by_itself     boolean NOT NULL DEFAULT false,
  sentence      text    NOT NULL,
  next_action   text,
  CONSTRAINT iu_delivery_code_pkey PRIMARY KEY (code),
  CONSTRAINT iu_delivery_code_precedence UNIQUE (precedence),
  CONSTRAINT iu_delivery_code_code CHECK (code ~ '^[a-z][a-z0-9_]{1,59}$'),
  CONSTRAINT iu_delivery_code_migration CHECK (migration > 0),
  CONSTRAINT iu_delivery_code_kind CHECK (kind IN ('refusal', 'outcome', 'reason', 'answer')),
  CONSTRAINT iu_delivery_code_who CHECK (who_minds_it IN
    ('operator', 'administrator', 'receiver', 'developer', 'nobody')),
  CONSTRAINT iu_delivery_code_follows CHECK (what_follows IN
    ('hold', 'retry', 'obey', 'pace', 'give_up', 'disable', 'done', 'wait', 'none')),
  CONSTRAINT iu_delivery_code_after_success CHECK (after_success IN ('retry', 'give_up')),
  CONSTRAINT iu_delivery_code_hold CHECK (hold_seconds >= 0 AND (hold_seconds = 0 OR what_follows = 'hold')),
  CONSTRAINT iu_delivery_code_circuit CHECK (circuit IN ('answered', 'failed', 'none')),
  CONSTRAINT iu_delivery_code_sentence CHECK (sentence ~ '^[^[:cntrl:]]+$' AND next_action ~ '^[^[:cntrl:]]+$')
);
COMMENT ON TABLE public.iu_delivery_code IS
  'The words of delivery, each with what it means and what follows: why a route is held, what became of an attempt, '
  'why a delivery waits, what fn_iu_route_explain answers. Migrations add theirs; the functions of delivery go by it.';
COMMENT ON COLUMN public.iu_delivery_code.code IS
  'The word, e.g. connect_failed; http_4xx stands for each status of the hundred that has no row of its own';
COMMENT ON COLUMN public.iu_delivery_code.migration IS 'Number of the migration that brought it';
COMMENT ON COLUMN public.iu_delivery_code.kind IS
  'refusal: fn_iu_delivery_refusal says it of a route, and an attempt may end with it too; outcome: failure_code of an '
  'attempt; reason: why a delivery waits in iu_route_retry; answer: fn_iu_route_explain says it of an event';
COMMENT ON COLUMN public.iu_delivery_code.precedence IS
  'Place among the checks of fn_iu_route_test; the refusals first, as fn_iu_delivery_refusal asks for them';
COMMENT ON COLUMN public.iu_delivery_code.who_minds_it IS
  'Whose it is to mend: operator, administrator, receiver, developer (of what emits), nobody';
COMMENT ON COLUMN public.iu_delivery_code.what_follows IS
  'For the delivery: hold (it waits and costs no attempt), retry (after the backoff), obey (after the answer''s '
  'Retry-After, where that is later), pace (it costs no attempt, and the whole route waits for that time), give_up '
  '(a dead letter), disable (the route stops, the delivery stays), done, wait (it goes on by itself), none';
COMMENT ON COLUMN public.iu_delivery_code.after_success IS
  'What follows instead where the status was 2xx, so that the receiver took the event; NULL: the same';
COMMENT ON COLUMN public.iu_delivery_code.hold_seconds IS
  'hold: seconds until the delivery is tried again, where only trying finds out; 0: it can be claimed at once';
COMMENT ON COLUMN public.iu_delivery_code.circuit IS
  'What the circuit of the route makes of it: answered (the receiver is there), failed, none (it says nothing of the '
  'receiver)';
COMMENT ON COLUMN public.iu_delivery_code.by_itself IS
  'Whether deliveries stop for it without anybody''s decision, so that health calls it a problem where it lasts';
COMMENT ON COLUMN public.iu_delivery_code.sentence IS
  'What it means; {route}, {secret}, {kind} and the like stand for what fn_iu_route_explain puts there';
COMMENT ON COLUMN public.iu_delivery_code.next_action IS
  'What to do: words, or a call that can be pasted once {route} and the like are put in; NULL: nothing';

CREATE FUNCTION iu.fn_iu_delivery_code_put(p_migration integer, p_kind text, p_codes text[]) RETURNS void
  LANGUAGE sql
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  INSERT INTO public.iu_delivery_code
      (code, migration, kind, precedence, who_minds_it, what_follows, circuit, sentence, next_action)
    SELECT p_codes[n][1], p_migration, p_kind, p_codes[n][2]::integer, p_codes[n][3], p_codes[n][4], p_codes[n][5],
           p_codes[n][6], p_codes[n][7]
      FROM generate_subscripts(p_codes, 1) AS g (n);
END;
COMMENT ON FUNCTION iu.fn_iu_delivery_code_put IS
  'For migrations: adds the codes that one brings. Arguments: its number, their kind, and a list of (code, precedence, '
  'who minds it, what follows, circuit, sentence, next action). Errors: 23505 a code that is there already, 23514 a '
  'word that is not in its vocabulary.';

-- This function is inlined into the queries that call it, so it has no settings.
CREATE FUNCTION iu.fn_iu_delivery_code(p_code text) RETURNS SETOF public.iu_delivery_code
  LANGUAGE sql STABLE ROWS 1
BEGIN ATOMIC
  SELECT c.*
    FROM unnest(ARRAY[p_code, CASE WHEN p_code ~ '^http_[0-9]{3}$' THEN left(p_code, 6) || 'xx' END,
                      CASE WHEN starts_with(p_code, 'http_') THEN 'http_other' END, 'unknown'])
           WITH ORDINALITY AS w (code, n)
    JOIN public.iu_delivery_code c ON c.code = w.code
   ORDER BY w.n LIMIT 1;
END;
COMMENT ON FUNCTION iu.fn_iu_delivery_code IS
  'The row of a code: its own, for http_ and a status otherwise that of the hundred (http_4xx) or http_other, else '
  'that of unknown.';

CREATE FUNCTION iu.fn_iu_delivery_say(p_text text, p_facts jsonb, p_as_sql boolean) RETURNS text
  LANGUAGE plpgsql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_text text := p_text;
  v_fact record;
BEGIN
  FOR v_fact IN SELECT f.key, f.value FROM jsonb_each_text(p_facts) f LOOP
    v_text := replace(v_text, '{' || v_fact.key || '}',
      CASE WHEN p_as_sql THEN quote_nullable(v_fact.value) ELSE coalesce(v_fact.value, 'NULL') END);
  END LOOP;
  RETURN v_text;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_say IS
  'A sentence or next action of iu_delivery_code with facts (names and values) in place of {names}, as SQL literals '
  'where it is a call that can be pasted.';

CREATE FUNCTION iu.fn_iu_delivery_answer(p_code text, p_facts jsonb) RETURNS jsonb
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT jsonb_strip_nulls(jsonb_build_object('code', p_code,
           'sentence', coalesce(p_facts ->> 'sentence', iu.fn_iu_delivery_say(c.sentence, p_facts, false)),
           'next_action', iu.fn_iu_delivery_say(c.next_action, p_facts, true)))
    FROM iu.fn_iu_delivery_code(p_code) c;
END;
COMMENT ON FUNCTION iu.fn_iu_delivery_answer IS
  '{code, sentence, next_action} of a code, with facts put in (fn_iu_delivery_say); a fact called sentence stands '
  'instead of that of the code.';

CREATE FUNCTION iu.fn_iu_delivery_rule(p_http_status integer, p_failure_code text) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN (
    SELECT r.rule
      FROM (SELECT CASE WHEN p_http_status BETWEEN 200 AND 299 THEN coalesce(c.after_success, c.what_follows)
                        ELSE c.what_follows END AS rule
              FROM iu.fn_iu_delivery_code(coalesce(p_failure_code, 'http_' || p_http_status)) c
            UNION ALL
            SELECT s.what_follows FROM iu.fn_iu_delivery_code('http_' || p_http_status) s
            UNION ALL
            SELECT 'retry') AS r
      JOIN unnest(ARRAY['disable', 'give_up', 'pace', 'obey', 'retry']) WITH ORDINALITY AS o (rule, n)
        ON o.rule = r.rule
     ORDER BY o.n LIMIT 1);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_delivery_rule IS
  'What follows a failed attempt by iu_delivery_code, its status and its failure code both considered; where they '
  'differ, the first of: disable the route and keep the delivery; give_up, where another attempt cannot differ; pace, '
  'where the receiver wants fewer requests: the route waits, and the delivery costs no attempt; obey '
  'the answer''s Retry-After where that is later than the backoff, a day at most; retry after the backoff. What has no '
  'row is tried again, 4xx as well: what the receiver refuses today, a wrong path, a missing right, it may take '
  'tomorrow, and the limit of attempts is the route''s.';

CREATE FUNCTION iu.fn_iu_circuit_verdict(p_failure_code text) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF p_failure_code IS NULL THEN
    RETURN 'answered';
  END IF;
  RETURN (SELECT nullif(c.circuit, 'none') FROM iu.fn_iu_delivery_code(p_failure_code) c);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_circuit_verdict IS
  'What the outcome of an attempt says of its route, by iu_delivery_code: answered (sent, which has no failure code, '
  'or the receiver minds this one event), failed (no connection, no complete answer, any other status), NULL '
  '(nothing: the request never left, the answer was too large, which a success may be, or the route is disabled for '
  'it).';
