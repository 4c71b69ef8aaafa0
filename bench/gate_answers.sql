-- What iu_core.gate_is_open answers while the gate opens and closes, and which
-- of the answers are wrong. A commit happens somewhere between two readings of
-- the clock, and so does an answer: it is wrong if no moment between its two
-- readings agrees with it.

CREATE UNLOGGED TABLE answer (
  asked_at    timestamptz NOT NULL,
  is_open     boolean NOT NULL,
  answered_at timestamptz NOT NULL
);
CREATE TABLE opening (
  open_from   timestamptz NOT NULL,	-- before and after the commit of the opening
  open_for_sure timestamptz NOT NULL,
  closed_from timestamptz NOT NULL,	-- before and after that of the close, or its end by the clock
  closed_for_sure timestamptz NOT NULL
);

CREATE PROCEDURE ask(p_until timestamptz) LANGUAGE plpgsql AS $$
DECLARE
  v_asked    timestamptz[];
  v_open     boolean[];
  v_answered timestamptz[];
  n          integer := 0;
  v_at       timestamptz := clock_timestamp();
BEGIN
  WHILE v_at < p_until LOOP
    n := n + 1;
    v_asked[n] := v_at;
    v_open[n] := iu_core.gate_is_open('iu_core.delivery_enabled');
    v_at := clock_timestamp();
    v_answered[n] := v_at;
    IF n % 100 = 0 THEN
      PERFORM pg_sleep(0.001);	-- the opener needs a processor, too
      v_at := clock_timestamp();
    END IF;
  END LOOP;
  INSERT INTO answer SELECT * FROM unnest(v_asked, v_open, v_answered);
END
$$;

-- Every fifth opening is left to end by the clock.
CREATE PROCEDURE open_and_close(p_until timestamptz) LANGUAGE plpgsql AS $$
DECLARE
  v_from    timestamptz;
  v_sure    timestamptz;
  v_end     timestamptz;
  v_closing timestamptz;
  n         integer := 0;
BEGIN
  WHILE clock_timestamp() < p_until LOOP
    n := n + 1;
    v_end := fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'opener', 'bench', 1) ->> 'expires_at';
    v_from := clock_timestamp();
    COMMIT;
    v_sure := clock_timestamp();
    IF n % 5 = 0 THEN
      WHILE (SELECT value FROM dot_config WHERE key = 'iu_core.delivery_enabled') = 'true' LOOP
        PERFORM pg_sleep(0.005);
        COMMIT;
      END LOOP;
      INSERT INTO opening VALUES (v_from, v_sure, v_end, v_end);
    ELSE
      PERFORM pg_sleep(0.02 * random()), fn_iu_gate_close('iu_core.delivery_enabled', 'opener', 'bench');
      v_closing := clock_timestamp();
      COMMIT;
      INSERT INTO opening VALUES (v_from, v_sure, least(v_closing, v_end), least(clock_timestamp(), v_end));
    END IF;
    COMMIT;
    PERFORM pg_sleep(0.02 * random());
  END LOOP;
END
$$;

CREATE VIEW wrong_answer AS
  SELECT a.*
    FROM answer a
    LEFT JOIN LATERAL (SELECT o.closed_for_sure FROM opening o
                        WHERE o.open_from <= a.answered_at ORDER BY o.open_from DESC LIMIT 1) AS possible ON true
    LEFT JOIN LATERAL (SELECT o.closed_from FROM opening o
                        WHERE o.open_for_sure <= a.asked_at ORDER BY o.open_for_sure DESC LIMIT 1) AS sure ON true
   WHERE CASE WHEN a.is_open THEN coalesce(a.asked_at > possible.closed_for_sure, true)
              ELSE coalesce(a.answered_at < sure.closed_from, false) END;
