-- What a consumer of PgQ prepares.
PREPARE pgq_next AS SELECT pgq.next_batch('bench', 'bench') AS batch;
PREPARE pgq_events (bigint) AS SELECT * FROM pgq.get_batch_events($1);
PREPARE pgq_finish (bigint) AS SELECT pgq.finish_batch($1);
