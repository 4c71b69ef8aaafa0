-- Where the rounds are written down; the time of the CPU that this server process has
-- used, in us; and what a round cost of each job, by that and by the clock.
CREATE TABLE bench_round (n bigint GENERATED ALWAYS AS IDENTITY, what text, cpu_us numeric, us numeric);
CREATE FUNCTION bench_cpu() RETURNS numeric LANGUAGE sql VOLATILE AS $$
  SELECT split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::numeric / 1000 $$;
CREATE FUNCTION bench_note(p_what text, p_cpu numeric, p_clock timestamptz, p_jobs integer) RETURNS void
LANGUAGE sql VOLATILE AS $$
  INSERT INTO bench_round (what, cpu_us, us)
    VALUES (p_what, (bench_cpu() - p_cpu) / p_jobs,
            extract(epoch FROM clock_timestamp() - p_clock)::numeric * 1000000 / p_jobs) $$;
