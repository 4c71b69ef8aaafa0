-- What a client prepares: the functions; the same by hand, on a table like job_queue;
-- reading and deleting, as queues do it that keep nothing of what is done; and what
-- pgmq's functions read and archive run.
\set QUIET on
SET synchronous_commit = off;
PREPARE ours_claim_1 AS
  SELECT job_id AS ids, lease_owner AS owner, payload_json AS payload
    FROM fn_job_claim('bench', 'external_worker', 1);
PREPARE ours_ack_1 (uuid, text) AS SELECT fn_job_ack($1, $2);

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

-- In batches of 10 and of 100.
SELECT replace(s.text, '<batch>', b.batch::text)
  FROM (VALUES (10), (100)) AS b (batch) CROSS JOIN (VALUES
  ($$PREPARE ours_claim_<batch> AS
       SELECT array_agg(job_id) AS ids, min(lease_owner) AS owner, max(payload_json::text) AS payload
         FROM fn_job_claim('bench', 'external_worker', <batch>)$$),
  ($$PREPARE ours_ack_<batch> (uuid[], text) AS SELECT fn_job_ack_many($1, $2)$$),
  ($$PREPARE hand_claim_<batch> AS
       WITH claimed AS (
         UPDATE job_hand
            SET state = 'leased', picked_at = clock_timestamp(), lease_owner = 'bench',
                lease_until = clock_timestamp() + interval '300 s', attempts = attempts + 1, updated_at = now()
          WHERE job_id IN (SELECT job_id FROM job_hand
                            WHERE state IN ('queued', 'retry_waiting') AND job_kind = 'bench' AND priority = 100
                              AND place <= now()
                            ORDER BY job_kind, priority, place LIMIT <batch> FOR UPDATE SKIP LOCKED)
         RETURNING *)
       SELECT array_agg(job_id) AS ids, min(lease_owner) AS owner, max(payload_json::text) AS payload FROM claimed$$),
  ($$PREPARE hand_ack_<batch> (uuid[], text) AS
       UPDATE job_hand
          SET state = 'succeeded', finished_at = clock_timestamp(), lease_owner = NULL, lease_until = NULL,
              updated_at = now()
        WHERE job_id = ANY ($1) AND lease_owner = $2$$)) AS s (text) \gexec

SELECT replace(s.text, '<batch>', b.batch::text)
  FROM (VALUES (1), (10), (100)) AS b (batch) CROSS JOIN (VALUES
  ($$PREPARE delete_<batch> AS
       DELETE FROM job_deleted WHERE ctid = ANY (ARRAY(SELECT ctid FROM job_deleted ORDER BY n LIMIT <batch>
         FOR UPDATE SKIP LOCKED)) RETURNING *$$),
  ($$PREPARE pgmq_claim_<batch> AS
       WITH cte AS (
         SELECT msg_id FROM job_read WHERE vt <= clock_timestamp() ORDER BY msg_id LIMIT <batch>
            FOR UPDATE SKIP LOCKED),
       message AS (
         UPDATE job_read m SET vt = clock_timestamp() + interval '300 s', read_ct = read_ct + 1
           FROM cte WHERE m.msg_id = cte.msg_id
         RETURNING m.msg_id, m.read_ct, m.enqueued_at, m.vt, m.message)
       SELECT array_agg(msg_id) AS ids, '' AS owner, max(message::text) AS payload FROM message$$),
  ($$PREPARE pgmq_ack_<batch> (bigint[], text) AS
       WITH archived AS (
         DELETE FROM job_read WHERE msg_id = ANY ($1) RETURNING msg_id, vt, read_ct, enqueued_at, message)
       INSERT INTO job_archive (msg_id, vt, read_ct, enqueued_at, message)
         SELECT msg_id, vt, read_ct, enqueued_at, message FROM archived RETURNING msg_id$$)) AS s (text) \gexec
