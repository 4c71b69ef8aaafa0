-- What a client prepares: the functions; the same by hand, on a table like job_queue;
-- and reading and deleting, as queues do it that keep nothing of what is done.
\set QUIET on
SET synchronous_commit = off;
PREPARE ours_claim_1 AS
  SELECT job_id AS ids, lease_owner AS owner, payload_json AS payload
    FROM fn_job_claim('bench', 'external_worker', 1);
PREPARE ours_ack_1 (uuid, text) AS SELECT fn_job_ack($1, $2);
PREPARE ours_claim_10 AS
  SELECT array_agg(job_id) AS ids, min(lease_owner) AS owner, max(payload_json::text) AS payload
    FROM fn_job_claim('bench', 'external_worker', 10);
PREPARE ours_ack_10 (uuid[], text) AS SELECT fn_job_ack_many($1, $2);
PREPARE ours_claim_100 AS
  SELECT array_agg(job_id) AS ids, min(lease_owner) AS owner, max(payload_json::text) AS payload
    FROM fn_job_claim('bench', 'external_worker', 100);
PREPARE ours_ack_100 (uuid[], text) AS SELECT fn_job_ack_many($1, $2);

PREPARE hand_claim_1 AS
  UPDATE job_hand
     SET state = 'leased', picked_at = clock_timestamp(), lease_owner = 'bench',
         lease_until = clock_timestamp() + interval '300 s', attempts = attempts + 1, updated_at = now()
   WHERE job_id = (SELECT job_id FROM job_hand
                    WHERE state IN ('queued', 'retry_waiting') AND job_kind = 'bench' AND priority = 100
                      AND place <= now()
                    ORDER BY job_kind, priority, place LIMIT 1 FOR UPDATE SKIP LOCKED)
  RETURNING job_id AS ids, lease_owner AS owner, payload_json AS payload;
PREPARE hand_ack_1 (uuid, text) AS
  UPDATE job_hand
     SET state = 'succeeded', finished_at = clock_timestamp(), lease_owner = NULL, lease_until = NULL,
         updated_at = now()
   WHERE job_id = $1 AND lease_owner = $2;
PREPARE hand_claim_10 AS
  WITH claimed AS (
    UPDATE job_hand
       SET state = 'leased', picked_at = clock_timestamp(), lease_owner = 'bench',
           lease_until = clock_timestamp() + interval '300 s', attempts = attempts + 1, updated_at = now()
     WHERE job_id IN (SELECT job_id FROM job_hand
                       WHERE state IN ('queued', 'retry_waiting') AND job_kind = 'bench' AND priority = 100
                      AND place <= now()
                       ORDER BY job_kind, priority, place LIMIT 10 FOR UPDATE SKIP LOCKED)
    RETURNING *)
  SELECT array_agg(job_id) AS ids, min(lease_owner) AS owner, max(payload_json::text) AS payload FROM claimed;
PREPARE hand_ack_10 (uuid[], text) AS
  UPDATE job_hand
     SET state = 'succeeded', finished_at = clock_timestamp(), lease_owner = NULL, lease_until = NULL,
         updated_at = now()
   WHERE job_id = ANY ($1) AND lease_owner = $2;
PREPARE hand_claim_100 AS
  WITH claimed AS (
    UPDATE job_hand
       SET state = 'leased', picked_at = clock_timestamp(), lease_owner = 'bench',
           lease_until = clock_timestamp() + interval '300 s', attempts = attempts + 1, updated_at = now()
     WHERE job_id IN (SELECT job_id FROM job_hand
                       WHERE state IN ('queued', 'retry_waiting') AND job_kind = 'bench' AND priority = 100
                      AND place <= now()
                       ORDER BY job_kind, priority, place LIMIT 100 FOR UPDATE SKIP LOCKED)
    RETURNING *)
  SELECT array_agg(job_id) AS ids, min(lease_owner) AS owner, max(payload_json::text) AS payload FROM claimed;
PREPARE hand_ack_100 (uuid[], text) AS
  UPDATE job_hand
     SET state = 'succeeded', finished_at = clock_timestamp(), lease_owner = NULL, lease_until = NULL,
         updated_at = now()
   WHERE job_id = ANY ($1) AND lease_owner = $2;

PREPARE delete_1 AS
  DELETE FROM job_deleted WHERE ctid = ANY (ARRAY(SELECT ctid FROM job_deleted ORDER BY n LIMIT 1
    FOR UPDATE SKIP LOCKED)) RETURNING *;
PREPARE delete_10 AS
  DELETE FROM job_deleted WHERE ctid = ANY (ARRAY(SELECT ctid FROM job_deleted ORDER BY n LIMIT 10
    FOR UPDATE SKIP LOCKED)) RETURNING *;
PREPARE delete_100 AS
  DELETE FROM job_deleted WHERE ctid = ANY (ARRAY(SELECT ctid FROM job_deleted ORDER BY n LIMIT 100
    FOR UPDATE SKIP LOCKED)) RETURNING *;
