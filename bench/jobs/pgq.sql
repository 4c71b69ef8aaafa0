-- A queue of PgQ with one consumer, and events in it: so many batches of so many, each
-- closed by a tick, as its daemon would.
CREATE EXTENSION pgq;
SELECT pgq.create_queue('bench'), pgq.register_consumer('bench', 'bench');
SELECT pgq.ticker();
CREATE PROCEDURE bench_pgq(p_batch integer, p_times integer) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. p_times LOOP
    PERFORM pgq.insert_event('bench', 'job', format('{"n": %s}', n)) FROM generate_series(1, p_batch) AS n;
    COMMIT;
    PERFORM pgq.force_tick('bench');
    COMMIT;
    PERFORM pgq.ticker('bench');
    COMMIT;
  END LOOP;
END $$;
