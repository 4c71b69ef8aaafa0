-- :jobs jobs that wait, written set-wise as if they had come one by one, and as many
-- in a table with the same columns, constraints and indexes that is worked on by
-- hand.
SET synchronous_commit = off;
SET ROLE iu_core_owner;
INSERT INTO job_lane (job_kind, priority) SELECT 'bench', 100
  WHERE NOT EXISTS (SELECT FROM job_lane WHERE job_kind = 'bench' AND priority = 100);
INSERT INTO job_queue (job_kind, payload_json, source_ref, idempotency_key, actor, place)
  SELECT 'bench', jsonb_build_object('n', n), 'bench/' || n, gen_random_uuid(), 'bench', iu_core.steady_clock()
    FROM generate_series(1, :jobs) AS n;
RESET ROLE;
CREATE TABLE IF NOT EXISTS job_hand (LIKE job_queue INCLUDING ALL);
INSERT INTO job_hand (job_kind, payload_json, source_ref, idempotency_key, actor, place)
  SELECT 'bench', jsonb_build_object('n', n), 'bench/' || n, gen_random_uuid(), 'bench', clock_timestamp()
    FROM generate_series(1, :jobs) AS n;
CREATE TABLE IF NOT EXISTS job_deleted (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payload jsonb);
INSERT INTO job_deleted (payload) SELECT jsonb_build_object('n', n) FROM generate_series(1, :jobs) AS n;
