-- So many jobs that wait, written set-wise as if they had come one by one: :ours in the
-- queue; :hand in a table with the same columns, constraints and indexes that is worked
-- on by hand; :others in tables as others make them: one from which what is read is
-- deleted, and one as pgmq makes it, with what it archives.
SET synchronous_commit = off;
SET ROLE iu_core_owner;
INSERT INTO job_lane (job_kind, priority) SELECT 'bench', 100
  WHERE NOT EXISTS (SELECT FROM job_lane WHERE job_kind = 'bench' AND priority = 100);
INSERT INTO job_queue (job_kind, payload_json, source_ref, idempotency_key, actor, place)
  SELECT 'bench', jsonb_build_object('n', n), 'bench/' || n, gen_random_uuid(), 'bench', iu_core.steady_clock()
    FROM generate_series(1, :ours) AS n;
RESET ROLE;
CREATE TABLE IF NOT EXISTS job_hand (LIKE job_queue INCLUDING ALL);
INSERT INTO job_hand (job_kind, payload_json, source_ref, idempotency_key, actor, place)
  SELECT 'bench', jsonb_build_object('n', n), 'bench/' || n, gen_random_uuid(), 'bench', clock_timestamp()
    FROM generate_series(1, :hand) AS n;
CREATE TABLE IF NOT EXISTS job_deleted (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payload jsonb);
INSERT INTO job_deleted (payload) SELECT jsonb_build_object('n', n) FROM generate_series(1, :others) AS n;
CREATE TABLE IF NOT EXISTS job_read (
  msg_id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, read_ct integer DEFAULT 0 NOT NULL,
  enqueued_at timestamptz DEFAULT now() NOT NULL, vt timestamptz NOT NULL, message jsonb);
CREATE INDEX IF NOT EXISTS job_read_vt_idx ON job_read (vt);
CREATE TABLE IF NOT EXISTS job_archive (
  msg_id bigint PRIMARY KEY, read_ct integer DEFAULT 0 NOT NULL, enqueued_at timestamptz DEFAULT now() NOT NULL,
  archived_at timestamptz DEFAULT now() NOT NULL, vt timestamptz NOT NULL, message jsonb);
CREATE INDEX IF NOT EXISTS job_archive_archived_at_idx ON job_archive (archived_at);
INSERT INTO job_read (vt, message)
  SELECT clock_timestamp(), jsonb_build_object('n', n) FROM generate_series(1, :others) AS n;
